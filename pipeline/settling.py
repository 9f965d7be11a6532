"""Find out what became of a submission whose answer was lost, without sending it again.

Source of the procedure: the provider's own advice on ambiguous submissions,
https://wavespeed.ai/docs/errors-retries-timeouts: look among the recent predictions, and submit
again only if none is there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import anyio

from pipeline.errors import ProviderError, SubmissionInDoubt
from pipeline.ledger import Attempt
from pipeline.production import Services
from pipeline.providers.base import HistoryItem

# How far before the intent a task may seem to have been made, for what is left of clocks that
# disagree: a `Date` header counts whole seconds.
_CLOCK_SLACK = timedelta(seconds=120)
# The provider keeps its history for seven days; the last of them is not relied on.
_HISTORY_DAYS = timedelta(days=6)


class SubmitGate:
    """Lets submissions through, or one settling at a time with no submission on the wire.

    While a doubt is being settled, a new task would be one more candidate for it.
    """

    def __init__(self) -> None:
        self._condition = anyio.Condition()
        self._submitting = 0
        self._settling = 0
        self._one_at_a_time = anyio.Lock()

    @asynccontextmanager
    async def submitting(self) -> AsyncGenerator[None]:
        """Hold the gate open for one submission."""
        async with self._condition:
            while self._settling:
                await self._condition.wait()
            self._submitting += 1
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                async with self._condition:
                    self._submitting -= 1
                    self._condition.notify_all()

    @asynccontextmanager
    async def settling(self) -> AsyncGenerator[None]:
        """Hold the gate shut, once every submission under way has its answer."""
        async with self._condition:
            self._settling += 1
        try:
            async with self._one_at_a_time:
                async with self._condition:
                    while self._submitting:
                        await self._condition.wait()
                yield
        finally:
            with anyio.CancelScope(shield=True):
                async with self._condition:
                    self._settling -= 1
                    self._condition.notify_all()


async def find_task(services: Services, attempt: Attempt) -> str | None:
    """Look a doubtful submission up in the provider's history.

    Waits until the history can be trusted to show it. The caller holds the gate shut.

    Returns:
        The task's id; None where it is proved that no task was made.
    Raises:
        SubmissionInDoubt: the history does not decide it; a person must.
    """
    if not services.provider.capabilities.history:
        raise SubmissionInDoubt("the provider keeps no history to look in", hint=_hint(attempt))
    settings, clock = services.settings, services.clock
    trusted_at = attempt.intended_at + timedelta(
        seconds=settings.submit_timeout_s + settings.settle_s
    )
    if clock.utc() - attempt.intended_at > _HISTORY_DAYS:
        raise SubmissionInDoubt("too old for the provider's history", hint=_hint(attempt))
    wait_s = (trusted_at - clock.utc()).total_seconds()
    if wait_s > 0:
        await clock.sleep(min(wait_s, settings.submit_timeout_s + settings.settle_s))
    for last_look in (False, True):
        try:
            found = await services.provider.history(_earliest(services, attempt))
        except ProviderError as exc:
            raise SubmissionInDoubt(
                f"the provider's history cannot be read: {exc.message}", hint=_hint(attempt)
            ) from exc
        strangers = [item for item in found if not services.account.knows_task(item.task_id)]
        task_id = _decide(services, attempt, strangers)
        if task_id is not None or last_look:
            return task_id
        await clock.sleep(settings.settle_s)
    raise AssertionError("the second look returns")


def _earliest(services: Services, attempt: Attempt) -> datetime:
    """When, by the provider's clock, the task was made at the earliest.

    Our clock may have been wrong at the intent, or wrong now, or set in between. Of what is
    known, whatever looks back furthest holds: a task that is overlooked is paid for twice.
    """
    known_s = (attempt.server_ahead_s, services.provider.server_ahead_s, 0.0)
    ahead_s = min(seconds for seconds in known_s if seconds is not None)
    return attempt.intended_at + timedelta(seconds=ahead_s) - _CLOCK_SLACK


def _decide(services: Services, attempt: Attempt, strangers: list[HistoryItem]) -> str | None:
    """Which of the tasks that nobody here started is ours, if any."""
    request = attempt.request or {}
    ours = [
        item
        for item in strangers
        if item.inputs is not None and services.provider.same_request(item.inputs, request)
    ]
    # Without echoed inputs any of them may be ours.
    blind = [item for item in strangers if item.inputs is None]
    if len(ours) == 1:
        return ours[0].task_id
    if not ours and len(blind) == 1:
        return blind[0].task_id
    if ours or blind:
        ids = ", ".join(item.task_id for item in (ours or blind)[:5])
        raise SubmissionInDoubt(f"more than one task could be it: {ids}", hint=_hint(attempt))
    return None


def _hint(attempt: Attempt) -> str:
    return f"see `storyboard resolve` for shot {attempt.shot_id}"
