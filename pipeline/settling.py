"""Find out what became of a submission whose answer was lost, without sending it again.

Source of the procedure: the provider's own advice on ambiguous submissions,
https://wavespeed.ai/docs/errors-retries-timeouts: look among the recent predictions, and submit
again only if none is there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import anyio

from pipeline.errors import (
    ConfigurationError,
    KeyRefused,
    ProviderError,
    Rejected,
    SubmissionInDoubt,
    UnknownTask,
)
from pipeline.ledger import DOUBTFUL, Attempt, Ledger
from pipeline.production import Services
from pipeline.providers.base import HistoryItem
from pipeline.providers.records import read_request

# How far before the intent a task may seem to have been made, for what is left of clocks that
# disagree: a `Date` header counts whole seconds.
_CLOCK_SLACK = timedelta(seconds=120)
# Enough of the account's own tasks to learn from the bill which key is its own.
_TASKS_COMPARED = 20
# How long a provider that lets us choose ids is sure to refuse one that it has seen; longer is
# likely, but nowhere said.
_IDS_REMEMBERED = timedelta(hours=24)
_ASKS = 5
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


async def find_task(services: Services, attempt: Attempt, ledgers: Iterable[Ledger]) -> str | None:
    """Look a doubtful submission up in the provider's history.

    Waits until the history can be trusted to show it. The caller holds the gate shut.

    Args:
        ledgers: those of every storyboard of the run, the attempt's own included: whose tasks
            are known, and which other submissions are in doubt.
    Returns:
        The task's id; None where it is proved that no task was made.
    Raises:
        SubmissionInDoubt: the history does not decide it; a person must.
    """
    if attempt.chosen_id is not None:
        return await _ask_by_our_id(services, attempt, attempt.chosen_id)
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
    attempts = [known for ledger in ledgers for known in ledger.attempts]
    taken = {known.task_id for known in attempts}
    for last_look in (False, True):
        try:
            found = await services.provider.history(_earliest(services, attempt))
        except ProviderError as exc:
            raise SubmissionInDoubt(
                f"the provider's history cannot be read: {exc.message}", hint=_hint(attempt)
            ) from exc
        strangers = [
            item
            for item in found
            if item.task_id not in taken and not services.account.knows_task(item.task_id)
        ]
        choice = _decide(services, attempt, strangers)
        if choice is not None and choice.inputs is None:
            await _prove(services, attempt, choice, attempts)
        if choice is not None or last_look:
            return choice.task_id if choice is not None else None
        await clock.sleep(settings.settle_s)
    raise AssertionError("the second look returns")


async def _ask_by_our_id(services: Services, attempt: Attempt, task_id: str) -> str | None:
    """Find out about a task whose id we chose; submit it under the same id where nobody knows it.

    The provider refuses an id that it has seen, so the second submission cannot buy a second
    task. How long it remembers is not documented: after a day only its archive is asked.

    Returns:
        The id where the task exists now; None where the provider refuses to make it.
    """
    clock, provider = services.clock, services.provider
    reason = ""
    for number in range(_ASKS):
        if number:
            await clock.sleep(services.settings.settle_s)
        try:
            await services.look(task_id, attempt.results)
        except UnknownTask:
            pass
        except (Rejected, ConfigurationError) as exc:
            raise SubmissionInDoubt(f"cannot ask: {exc.message}", hint=_hint(attempt)) from exc
        except ProviderError as exc:
            # The question failed; an answer to the submission says as much.
            reason = exc.message
        else:
            return task_id
        try:
            if clock.utc() - attempt.intended_at > _IDS_REMEMBERED:
                if await provider.details(task_id):
                    return task_id
                break
            request = read_request(
                attempt.request or {},
                model=attempt.model,
                task_id=task_id,
                webhook_url=services.webhook_url,
            )
            return await provider.submit(request)
        except KeyRefused as exc:
            raise SubmissionInDoubt(f"cannot ask: {exc.message}", hint=_hint(attempt)) from exc
        except Rejected:
            return None
        except ProviderError as exc:
            reason = exc.message
    raise SubmissionInDoubt(
        f"the provider does not say what became of it{f': {reason}' if reason else ''}",
        hint=_hint(attempt),
    )


def _earliest(services: Services, attempt: Attempt) -> datetime:
    """When, by the provider's clock, the task was made at the earliest.

    Our clock may have been wrong at the intent, or wrong now, or set in between. Of what is
    known, whatever looks back furthest holds: a task that is overlooked is paid for twice.
    """
    known_s = (attempt.server_ahead_s, services.provider.server_ahead_s, 0.0)
    ahead_s = min(seconds for seconds in known_s if seconds is not None)
    return attempt.intended_at + timedelta(seconds=ahead_s) - _CLOCK_SLACK


def _decide(
    services: Services, attempt: Attempt, strangers: list[HistoryItem]
) -> HistoryItem | None:
    """Which of the tasks that nobody here started is ours, if any.

    One that shows no inputs is returned only where nothing else could be ours; that it is, is
    for the bill to prove.
    """
    request = attempt.request or {}
    ours, blind, near = [], [], []
    for item in strangers:
        if item.inputs is None:
            blind.append(item)
        elif services.provider.same_request(item.inputs, request):
            ours.append(item)
        elif _same_words(item.inputs, request):
            near.append(item)
    if len(ours) == 1:
        return ours[0]
    if not ours and not near and len(blind) == 1:
        return blind[0]
    candidates = ours or [*near, *blind]
    if not candidates:
        return None
    ids = ", ".join(item.task_id for item in candidates[:5])
    if len(candidates) == 1:
        raise SubmissionInDoubt(f"task {ids} may be it or not", hint=_hint(attempt))
    raise SubmissionInDoubt(f"more than one task could be it: {ids}", hint=_hint(attempt))


async def _prove(
    services: Services, attempt: Attempt, candidate: HistoryItem, attempts: list[Attempt]
) -> None:
    """Take a task that shows no inputs for ours only if the bill leaves nobody else.

    It must be charged at our price to the key that made the tasks known to be ours, and no other
    submission of this account may still be without an answer: that one could have made it.

    Raises:
        SubmissionInDoubt: it may be somebody else's.
    """
    unproved = f"task {candidate.task_id} may be it or not: the history shows no inputs"
    others = [known for known in attempts if known.attempt_id != attempt.attempt_id]
    ours = {known.attempt_id for known in attempts}
    # Asked after the history: what another process began meanwhile is in both or in neither.
    unanswered = services.account.unanswered_besides(ours)
    if unanswered or any(known.state in DOUBTFUL for known in others):
        raise SubmissionInDoubt(
            f"{unproved}, and another submission is in doubt too", hint=_hint(attempt)
        )
    here = [known for known in others if known.account == services.account_name]
    known_ids = [known.task_id for known in reversed(here) if known.task_id is not None]
    known_ids += services.account.recent_tasks(_TASKS_COMPARED)
    known_ids = list(dict.fromkeys(known_ids))[:_TASKS_COMPARED]
    try:
        rows = await services.provider.charges([candidate.task_id, *known_ids])
    except ProviderError as exc:
        raise SubmissionInDoubt(
            f"{unproved}, and the bill cannot be read: {exc.message}", hint=_hint(attempt)
        ) from exc
    charged = [row for row in rows if not row.is_refund and row.key_id]
    our_keys = {row.key_id for row in charged if row.task_id in known_ids}
    if any(
        our_keys == {row.key_id} and row.amount_usd == attempt.price_usd
        for row in charged
        if row.task_id == candidate.task_id
    ):
        return
    raise SubmissionInDoubt(
        f"{unproved}, and the bill does not prove that our key made it", hint=_hint(attempt)
    )


def _same_words(inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Whether an echo that differs from what we sent may still be an echo of it.

    A provider may rewrite image addresses, fill in defaults or leave keys out; only another
    prompt proves another task.
    """
    echoed, sent = inputs.get("prompt"), request.get("prompt")
    if not isinstance(echoed, str) or not isinstance(sent, str):
        return True
    return echoed.split() == sent.split()


def _hint(attempt: Attempt) -> str:
    return f"see `storyboard resolve` for shot {attempt.shot_id}"
