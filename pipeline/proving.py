"""What the provider's bill proves about a submission whose answer was lost. Asks, never spends.

The history may be late, or say nothing of what was ordered; the bill names the task that is paid
for, and the key that made it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from pipeline.errors import ProviderError
from pipeline.ledger import DOUBTFUL, Attempt
from pipeline.production import Services
from pipeline.providers.base import BillingRow, HistoryItem

# Enough of the account's own tasks to learn from the bill which key is its own.
_TASKS_COMPARED = 20


def is_held(services: Services, attempt: Attempt, task_id: str, taken: Collection[str]) -> bool:
    """Whether a task belongs to another submission than the doubtful one, for all that is known.

    What only the account's state says counts for other journals alone: what it has of the
    attempt's own journal, and that journal has not, was lost with the end of the journal, as when
    a copy of it was put back. It may be the very task that is looked for.

    Args:
        taken: the tasks of every attempt of the run's journals.
    """
    if task_id in taken:
        return True
    holder = services.account.holder_of(task_id)
    return holder is not None and _journal_of(holder) != _journal_of(attempt.attempt_id)


async def why_unproved(
    services: Services, attempt: Attempt, candidate: HistoryItem, attempts: list[Attempt]
) -> str:
    """Why a task that shows no inputs may be somebody else's; empty where the bill leaves nobody.

    It must be charged at our price to the key that made the tasks known to be ours, and no other
    submission of this account may still be without an answer: that one could have made it.
    """
    unproved = f"task {candidate.task_id} may be it or not: the history shows no inputs"
    others = [known for known in attempts if known.attempt_id != attempt.attempt_id]
    ours = {known.attempt_id for known in attempts}
    # Asked after the history: what another process began meanwhile is in both or in neither.
    unanswered = services.account.unanswered_besides(ours)
    if unanswered or any(known.state in DOUBTFUL for known in others):
        return f"{unproved}, and another submission is in doubt too"
    known_ids = _known_tasks(services, others)
    try:
        rows = await services.provider.charges([candidate.task_id, *known_ids])
    except ProviderError as exc:
        return f"{unproved}, and the bill cannot be read: {exc.message}"
    our_keys = _keys_of(rows, known_ids)
    if any(
        our_keys == {row.key_id} and row.amount_usd == attempt.price_usd
        for row in rows
        if not row.is_refund and row.task_id == candidate.task_id
    ):
        return ""
    return f"{unproved}, and the bill does not prove that our key made it"


async def find_unexplained(
    services: Services,
    attempt: Attempt,
    attempts: list[Attempt],
    *,
    since: datetime,
    shown: Collection[str],
) -> list[BillingRow]:
    """The charges that may be for the doubtful submission although no history shows their tasks.

    A charge to our own key is one whatever its amount, as a price may have changed; where it
    cannot be told whose key it is, one of our price.

    Args:
        since: by the provider's clock, when the task was made at the earliest.
        shown: tasks that the history shows, none of which can be the attempt's.
    Raises:
        ProviderError: the bill cannot be read, and so proves nothing.
    """
    taken = {known.task_id for known in attempts if known.task_id is not None}
    loose = [
        row
        for row in await services.provider.billings(since)
        if not row.is_refund
        and row.task_id not in shown
        and not is_held(services, attempt, row.task_id, taken)
    ]
    if not loose:
        return []
    known_ids = _known_tasks(services, attempts)
    our_keys = _keys_of(await services.provider.charges(known_ids), known_ids)

    def may_be_ours(row: BillingRow) -> bool:
        if our_keys and row.key_id:
            return row.key_id in our_keys
        return row.amount_usd == attempt.price_usd

    return [row for row in loose if may_be_ours(row)]


def _known_tasks(services: Services, attempts: Iterable[Attempt]) -> list[str]:
    """The newest tasks that this account is known to have made."""
    here = [known for known in attempts if known.account == services.account_name]
    known_ids = [known.task_id for known in reversed(here) if known.task_id is not None]
    known_ids += services.account.recent_tasks(_TASKS_COMPARED)
    return list(dict.fromkeys(known_ids))[:_TASKS_COMPARED]


def _keys_of(rows: Iterable[BillingRow], task_ids: Collection[str]) -> set[str]:
    """The keys that some tasks are charged to."""
    return {
        row.key_id for row in rows if not row.is_refund and row.key_id and row.task_id in task_ids
    }


def _journal_of(attempt_id: str) -> str:
    """Which journal an attempt is of; see ``Production.attempt_prefix``."""
    return attempt_id.partition("-")[0]
