"""Cuts the wait for a task short when a provider's notice says that it is worth a look.

A notice decides nothing: what became of a task is what the provider answers when it is asked,
and a task that no notice is heard of is looked at when its time has come.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio

Sleep = Callable[[float], Awaitable[None]]

# A notice may come before the answer that gives the task its id. So many are kept.
_MOST_EARLY = 256


class Bell:
    """Which tasks are waited for. For one event loop, and no other thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[_Nap]] = {}
        # In order of arrival; a dict, as sets have none.
        self._early: dict[str, None] = {}

    def ring(self, task_id: str) -> bool:
        """Say that a task is worth a look. Returns whether anybody waits for it."""
        waiting = self._waiting.get(task_id, [])
        for nap in waiting:
            nap.end()
        if not waiting:
            self._early[task_id] = None
            if len(self._early) > _MOST_EARLY:
                del self._early[next(iter(self._early))]
        return bool(waiting)

    @contextmanager
    def heard_in(self, sleep: Sleep, task_id: str) -> Iterator[Sleep]:
        """The same sleep, but for notices about this task: each ends the present or the next one.

        Several may wait for one task; each hears every notice.
        """
        nap = _Nap(sleep)
        if task_id in self._early:
            del self._early[task_id]
            nap.end()
        self._waiting.setdefault(task_id, []).append(nap)
        try:
            yield nap.sleep
        finally:
            self._waiting[task_id].remove(nap)
            if not self._waiting[task_id]:
                del self._waiting[task_id]


class _Nap:
    """The sleep of one who waits."""

    def __init__(self, sleep: Sleep) -> None:
        self._sleep = sleep
        self._rung = anyio.Event()

    def end(self) -> None:
        self._rung.set()

    async def sleep(self, seconds: float) -> None:
        if not self._rung.is_set():
            async with anyio.create_task_group() as group:
                group.start_soon(self._wake, group.cancel_scope)
                await self._sleep(seconds)
                group.cancel_scope.cancel()
        if self._rung.is_set():
            self._rung = anyio.Event()

    async def _wake(self, sleeping: anyio.CancelScope) -> None:
        await self._rung.wait()
        sleeping.cancel()
