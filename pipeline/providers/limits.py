"""Waiting for the account's allowance, and repeating the calls that are safe to repeat."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

import anyio

from pipeline.account import AccountStore, Allowance
from pipeline.capabilities import AccountLevel, Capabilities
from pipeline.errors import NotOffered, RateLimited, StillRunning, Unavailable
from pipeline.model import FileReference
from pipeline.providers.base import BillingRow, HistoryItem, Provider, TakeRequest, TaskStatus

T = TypeVar("T")
# How often another process's slots are looked at while waiting.
_LOOK_AGAIN_S = 0.5
# The answer time of a submission that the number of lanes is reckoned with.
_ANSWER_S = 2.0
# Waits after a 429 that names none; a limit's window is a minute.
_FIRST_429_WAIT_S = 5.0
_LONGEST_WAIT_S = 600.0
_TRIES = 5


def allowance(level: AccountLevel, window_s: float) -> Allowance:
    """A level's limits in the limiter's terms.

    Lanes are submissions in flight at once: as few as the rate needs (Little's law), one at the
    lowest level, because each of them can be in doubt after a crash.
    """
    lanes = max(1, math.ceil(level.submits_per_minute / window_s * _ANSWER_S))
    return Allowance(
        starts=level.submits_per_minute,
        window_s=window_s,
        max_tasks=level.max_tasks,
        lanes=min(lanes, level.max_tasks, 32),
    )


class Limiter:
    """Hands out the account's slots, first come first served within this process."""

    def __init__(self, store: AccountStore, limits: Allowance) -> None:
        self._store = store
        self._limits = limits
        self._queue = anyio.Lock()
        self._changed = anyio.Event()
        self._refusals = 0
        self._left: set[str] = set()

    async def acquire(self, attempt_id: str) -> None:
        """Wait until a task may be started, and take the slot for it.

        Raises:
            StillRunning: every place is held by a task that this run has left to a later one.
        """
        async with self._queue:
            try:
                while True:
                    self._changed = anyio.Event()
                    wait_s = await anyio.to_thread.run_sync(
                        self._store.try_start, attempt_id, self._limits
                    )
                    if wait_s <= 0:
                        return
                    self._check_places()
                    with anyio.move_on_after(min(wait_s, _LOOK_AGAIN_S)):
                        await self._changed.wait()
            except BaseException:
                # Cancelled, perhaps just as the slot was taken: nothing will be sent for it.
                self._store.not_sent(attempt_id)
                raise

    def _check_places(self) -> None:
        """Refuse to wait for what this run cannot live to see."""
        if len(self._left) >= self._limits.max_tasks:
            raise StillRunning(
                f"all {self._limits.max_tasks} places of the account are held by tasks that do "
                "not end",
                hint="run again later; nothing was sent for this take",
            )

    def answered(self, attempt_id: str, task_id: str | None) -> None:
        """See ``AccountStore.answered``."""
        self._store.answered(attempt_id, task_id)
        if task_id is not None:
            self._refusals = 0
        self._changed.set()

    def not_sent(self, attempt_id: str) -> None:
        """See ``AccountStore.not_sent``."""
        self._store.not_sent(attempt_id)
        self._changed.set()

    def resumed(self, attempt_id: str, task_id: str) -> None:
        """See ``AccountStore.resumed``."""
        self._store.resumed(attempt_id, task_id)

    def left(self, attempt_id: str) -> None:
        """A task goes on without this run: its place stays taken, and nobody here frees it."""
        self._left.add(attempt_id)
        self._changed.set()

    def ended(self, attempt_id: str) -> None:
        """See ``AccountStore.ended``."""
        self._store.ended(attempt_id)
        self._changed.set()

    def refused(self, retry_after_s: float | None) -> None:
        """A 429: wait as long as told, else longer each time, and go on at half the rate."""
        self._refusals += 1
        # The exponent is held down too: 2**1024 is no float.
        fallback_s = min(_FIRST_429_WAIT_S * 2 ** min(self._refusals - 1, 10), 60.0)
        wait_s = fallback_s if retry_after_s is None else retry_after_s
        self._store.slow_down(min(wait_s, _LONGEST_WAIT_S), self._limits)


class Retrying:
    """A provider whose free calls are repeated when they fail in passing.

    ``submit`` goes through untouched: only the runner may decide to send another paid request.
    ``status`` as well, as its caller polls anyway.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        random: Random | None = None,
    ) -> None:
        self._inner = inner
        self._sleep = sleep
        # Jitter only; nothing secret hangs on it.
        self._random = random or Random()  # noqa: S311

    @property
    def capabilities(self) -> Capabilities:
        """See ``Provider``."""
        return self._inner.capabilities

    @property
    def server_ahead_s(self) -> float | None:
        """See ``Provider``."""
        return self._inner.server_ahead_s

    async def submit(self, request: TakeRequest) -> str:
        """See ``Provider``; sent once."""
        return await self._inner.submit(request)

    async def status(self, task_id: str, results: int = 1) -> TaskStatus:
        """See ``Provider``; asked once."""
        return await self._inner.status(task_id, results)

    async def details(self, task_id: str) -> bool:
        """See ``Provider``."""
        return await self._repeat(lambda: self._inner.details(task_id))

    async def upload(self, reference: FileReference) -> str:
        """See ``Provider``; each try takes a new ticket."""
        return await self._repeat(lambda: self._inner.upload(reference))

    async def history(self, created_after: datetime) -> tuple[HistoryItem, ...]:
        """See ``Provider``."""
        return await self._repeat(lambda: self._inner.history(created_after))

    def same_request(self, inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        """See ``Provider``."""
        return self._inner.same_request(inputs, request)

    async def balance(self) -> Decimal:
        """See ``Provider``."""
        return await self._repeat(self._inner.balance)

    async def quote(self, request: TakeRequest) -> Decimal:
        """See ``Provider``."""
        return await self._repeat(lambda: self._inner.quote(request))

    async def billings(self, since: datetime) -> tuple[BillingRow, ...]:
        """See ``Provider``."""
        return await self._repeat(lambda: self._inner.billings(since))

    async def charges(self, task_ids: Sequence[str]) -> tuple[BillingRow, ...]:
        """See ``Provider``."""
        return await self._repeat(lambda: self._inner.charges(task_ids))

    async def webhook_secret(self) -> str:
        """See ``Provider``."""
        return await self._repeat(self._inner.webhook_secret)

    async def _repeat(self, call: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, _TRIES):
            try:
                return await call()
            except RateLimited as exc:
                wait_s = exc.retry_after_s or _FIRST_429_WAIT_S * attempt
            except NotOffered:
                raise
            except Unavailable:
                # Full jitter: https://aws.amazon.com/builders-library (timeouts, retries)
                wait_s = self._random.uniform(0, min(20.0, 0.5 * 2**attempt))
            await self._sleep(min(wait_s, 60.0))
        return await call()
