"""Programs that are broken on purpose: the simulation must catch each of them.

A proof that has never failed proves nothing. These are the mistakes that the program was built
to avoid; each is the sound program with one thing put wrong.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from simulation.run import Parts

from pipeline.errors import SubmissionInDoubt
from pipeline.ledger import EventKind
from pipeline.production import Production
from pipeline.providers.base import BillingRow, TakeRequest
from pipeline.providers.limits import Retrying


class BlindRetry(Retrying):
    """Sends a paid request again when its answer was lost, as HTTP libraries like to do."""

    async def submit(self, request: TakeRequest) -> str:
        for _ in range(2):
            try:
                return await super().submit(request)
            except SubmissionInDoubt:
                continue
        return await super().submit(request)


class FreshIds(Retrying):
    """Chooses the id of a task anew for each sending, as HTTP clients like to do."""

    _sent = 0

    async def submit(self, request: TakeRequest) -> str:
        FreshIds._sent += 1
        fresh = f"00000000-0000-4000-8000-{FreshIds._sent:012d}"
        return await super().submit(replace(request, task_id=fresh))


class BlindToTheBill(Retrying):
    """Believes a history that shows nothing, whatever is charged."""

    async def billings(self, since: datetime) -> tuple[BillingRow, ...]:
        return ()


class LateIntent(Production):
    """Writes the intent down together with the answer, when the request has long been sent."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._held: dict[str, dict[str, Any]] = {}

    async def record(self, attempt_id: str, kind: EventKind, **data: Any) -> None:
        if kind is EventKind.INTENT:
            self._held[attempt_id] = data
            return
        held = self._held.pop(attempt_id, None)
        if held is not None:
            await super().record(attempt_id, EventKind.INTENT, **held)
        await super().record(attempt_id, kind, **data)


# Each with what the judge says of it, and how a broken program's sentence begins.
BROKEN: dict[str, tuple[Parts, str]] = {
    "blind retry of a lost answer": (Parts(provider=BlindRetry), "PAID TWICE"),
    "intent written after the request": (Parts(production=LateIntent), "PAID TWICE"),
    "no journal": (
        Parts(journal_folder=lambda folder, life: folder / f"life{life}"),
        "PAID TWICE",
    ),
    "limits forgotten by a restart": (
        Parts(account_file=lambda folder, life: folder / f"account{life}.sqlite3"),
        "LIMIT",
    ),
}
# The same where the ids of tasks are ours to choose. An intent that comes late does no harm there:
# the id follows from what is bought, so a run that knows nothing asks for the very same task.
BROKEN_RUNWARE: dict[str, tuple[Parts, str]] = {
    "a fresh id for every sending": (Parts(provider=FreshIds), "PAID TWICE"),
}
