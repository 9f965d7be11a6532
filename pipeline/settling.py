"""Find out what became of a submission whose answer was lost, without sending it again.

Source of the procedure: the provider's own advice on ambiguous submissions,
https://wavespeed.ai/docs/errors-retries-timeouts: look among the recent predictions, and submit
again only if none is there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import anyio

from pipeline.asking import ask_by_id, hint_of
from pipeline.errors import ProviderError, SubmissionInDoubt
from pipeline.ledger import DOUBTFUL, Attempt, Ledger
from pipeline.pricing import dollars
from pipeline.production import Services
from pipeline.providers.base import BillingRow, HistoryItem
from pipeline.proving import find_unexplained, is_held, why_unproved

# How far before the intent a task may seem to have been made, for what is left of clocks that
# disagree: a `Date` header counts whole seconds.
_CLOCK_SLACK = timedelta(seconds=120)
# Looks at the history before it counts as complete, and with those after it: a bill that charges
# a task which the history does not show may be ahead of it.
_LEAST_LOOKS = 2
_MOST_LOOKS = 5
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


async def find_task(
    services: Services,
    attempt: Attempt,
    ledgers: Iterable[Ledger],
    *,
    permit: Callable[[], str],
    put_url: str | None = None,
) -> str | None:
    """Look a doubtful submission up in the provider's history, or ask for it by our own id.

    Waits until the history can be trusted to show it. The caller holds the gate shut. That the
    history has nothing counts only where the bill charges nothing either that nobody here has
    ordered.

    Args:
        permit, put_url: as for ``ask_by_id``.
        ledgers: those of every storyboard of the run, the attempt's own included: whose tasks
            are known, and which other submissions are in doubt.
    Returns:
        The task's id; None where it is proved that no task was made.
    Raises:
        SubmissionInDoubt: history and bill do not decide it; a later run may, or a person must.
    """
    if attempt.chosen_id is not None:
        return await ask_by_id(services, attempt, attempt.chosen_id, permit=permit, put_url=put_url)
    if not services.provider.capabilities.history:
        raise SubmissionInDoubt("the provider keeps no history to look in", hint=hint_of(attempt))
    attempts = [known for ledger in ledgers for known in ledger.attempts]
    taken = {known.task_id for known in attempts if known.task_id is not None}
    noted = services.account.task_of(attempt.attempt_id)
    if noted is not None and noted not in taken:
        # Its answer came; the journal has lost it, as when a copy of the journal was put back.
        return noted
    settings, clock = services.settings, services.clock
    trusted_at = attempt.intended_at + timedelta(
        seconds=settings.submit_timeout_s + settings.settle_s
    )
    if clock.utc() - attempt.intended_at > _HISTORY_DAYS:
        raise SubmissionInDoubt("too old for the provider's history", hint=hint_of(attempt))
    wait_s = (trusted_at - clock.utc()).total_seconds()
    if wait_s > 0:
        await clock.sleep(min(wait_s, settings.submit_timeout_s + settings.settle_s))
    loose: list[BillingRow] = []
    shown: set[str] = set()
    for look in range(1, _MOST_LOOKS + 1):
        since = _earliest(services, attempt)
        try:
            found = await services.provider.history(since)
        except ProviderError as exc:
            raise SubmissionInDoubt(
                f"the provider's history cannot be read: {exc.message}", hint=hint_of(attempt)
            ) from exc
        shown |= {item.task_id for item in found}
        strangers = [item for item in found if not is_held(services, attempt, item.task_id, taken)]
        choice = _decide(services, attempt, strangers, alike=_alike(attempt, attempts))
        if choice is not None:
            await _prove(services, attempt, choice, attempts)
            return choice.task_id
        if look > _LEAST_LOOKS and all(row.task_id in shown for row in loose):
            # What was charged between that history and its bill is in this history, and not ours.
            return None
        if look >= _LEAST_LOOKS:
            loose = await _find_charges(services, attempt, attempts, since=since, shown=shown)
            if not loose:
                return None
        if look < _MOST_LOOKS:
            await clock.sleep(settings.settle_s)
    charge = loose[0]
    raise SubmissionInDoubt(
        f"task {charge.task_id} is on the bill for {dollars(charge.amount_usd)} and not in the "
        "history; it may be it or not",
        hint=f"run again later, when the history may show it, or {hint_of(attempt)}",
    )


def _earliest(services: Services, attempt: Attempt) -> datetime:
    """When, by the provider's clock, the task was made at the earliest.

    Our clock may have been wrong at the intent, or wrong now, or set in between. Of what is
    known, whatever looks back furthest holds: a task that is overlooked is paid for twice.
    """
    known_s = (attempt.server_ahead_s, services.provider.server_ahead_s, 0.0)
    ahead_s = min(seconds for seconds in known_s if seconds is not None)
    return attempt.intended_at + timedelta(seconds=ahead_s) - _CLOCK_SLACK


def _latest(services: Services, attempt: Attempt) -> datetime:
    """When, by the provider's clock, the history shows what the submission made, at the latest.

    A task that was made later was ordered by somebody else: nothing is bought again before then.
    """
    known_s = (attempt.server_ahead_s, services.provider.server_ahead_s, 0.0)
    ahead_s = max(seconds for seconds in known_s if seconds is not None)
    settings = services.settings
    patience_s = settings.submit_timeout_s + settings.settle_s
    return attempt.intended_at + timedelta(seconds=ahead_s + patience_s)


def _alike(attempt: Attempt, attempts: Iterable[Attempt]) -> int:
    """How many submissions in doubt asked for the very same, the attempt itself among them."""
    return sum(
        known.state in DOUBTFUL
        and known.account == attempt.account
        and known.request == attempt.request
        for known in attempts
    )


def _decide(
    services: Services, attempt: Attempt, strangers: list[HistoryItem], *, alike: int
) -> HistoryItem | None:
    """Which of the tasks that nobody here started is ours, if any.

    One that shows no inputs is returned only where nothing else could be ours; that it is, is
    for the bill to prove. Tasks of the same inputs can stand for each other: where there are no
    more of them than doubts that asked for just that, the oldest is as good as any.

    Args:
        alike: how many doubts asked for what the attempt did, itself included.
    """
    request = attempt.request or {}
    latest = _latest(services, attempt)
    ours, blind, near = [], [], []
    for item in strangers:
        if item.inputs is None:
            if item.created_at <= latest + _CLOCK_SLACK:
                blind.append(item)
        elif services.provider.same_request(item.inputs, request):
            ours.append(item)
        elif _same_words(item.inputs, request):
            near.append(item)
    if ours and len(ours) <= max(alike, 1):
        return min(ours, key=lambda item: item.created_at)
    if not ours and not near and len(blind) == 1 and blind[0].created_at <= latest:
        return blind[0]
    candidates = ours or [*near, *blind]
    if not candidates:
        return None
    ids = ", ".join(item.task_id for item in candidates[:5])
    if len(candidates) == 1:
        raise SubmissionInDoubt(f"task {ids} may be it or not", hint=hint_of(attempt))
    raise SubmissionInDoubt(f"more than one task could be it: {ids}", hint=hint_of(attempt))


async def _prove(
    services: Services, attempt: Attempt, choice: HistoryItem, attempts: list[Attempt]
) -> None:
    """Take a task that shows no inputs for ours only where the bill proves it.

    Raises:
        SubmissionInDoubt: it may be somebody else's.
    """
    if choice.inputs is not None:
        return
    reason = await why_unproved(services, attempt, choice, attempts)
    if reason:
        raise SubmissionInDoubt(reason, hint=hint_of(attempt))


async def _find_charges(
    services: Services,
    attempt: Attempt,
    attempts: list[Attempt],
    *,
    since: datetime,
    shown: set[str],
) -> list[BillingRow]:
    """The charges that may be for it; see ``find_unexplained``.

    Raises:
        SubmissionInDoubt: the bill cannot be read.
    """
    try:
        return await find_unexplained(services, attempt, attempts, since=since, shown=shown)
    except ProviderError as exc:
        raise SubmissionInDoubt(
            "the provider's history shows no such task, and its bill cannot be read: "
            f"{exc.message}",
            hint=hint_of(attempt),
        ) from exc


def _same_words(inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Whether an echo that differs from what we sent may still be an echo of it.

    A provider may rewrite image addresses, fill in defaults or leave keys out; only another
    prompt proves another task.
    """
    echoed, sent = inputs.get("prompt"), request.get("prompt")
    if not isinstance(echoed, str) or not isinstance(sent, str):
        return True
    return echoed.split() == sent.split()
