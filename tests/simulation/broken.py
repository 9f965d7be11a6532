"""Programs that are broken on purpose: the simulation must catch each of them.

A proof that has never failed proves nothing. These are the mistakes that the program was built
to avoid; each is the sound program with one thing put wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any, TypeAlias

from simulation.lives import Fate
from simulation.run import SOUND, Parts
from simulation.scenario import Faults, Scenario, plain_board

from pipeline.errors import SubmissionInDoubt
from pipeline.ledger import AttemptState, EventKind
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


class CountsAbsent(Production):
    """Buys what it takes for absent under another id."""

    @contextmanager
    def fresh_task_id(
        self, fingerprint: str, results: int, choose: Callable[[int], str]
    ) -> Iterator[str]:
        attempts = self.ledger().attempts
        absent = {a.chosen_id for a in attempts if a.state is AttemptState.ABSENT}

        def elsewhere(number: int) -> str:
            return next(each for each in map(choose, count(number)) if each not in absent)

        with super().fresh_task_id(f"{fingerprint} ", results, elsewhere) as task_id:
            yield task_id


class CountsRefusals(Production):
    """Gives the id of a submission that was refused to nobody any more."""

    @contextmanager
    def fresh_task_id(
        self, fingerprint: str, results: int, choose: Callable[[int], str]
    ) -> Iterator[str]:
        same = [a for a in self.ledger().attempts if a.fingerprint == fingerprint]
        used = {a.chosen_id for a in same} | self._held_ids
        number = next(n for n in count() if choose(n) not in used)
        self._held_ids.add(choose(number))
        yield choose(number)


async def _believe(*_: object) -> None:
    """No task was made: the second sending was refused, after all."""


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
    "ids that count what was refused": (Parts(production=CountsRefusals), "PAID TWICE"),
}
_UNMADE = Fate(what="kill", label="submit on the wire", count=1)
_MADE = Fate(what="kill", label="submit made", count=1)
_ONE = Scenario(seed=0, provider="runware", boards=(plain_board(3),), pauses_s=(1.0,))
_PAIR = (replace(plain_board(1)[0], takes=2, results=2),)
Patch: TypeAlias = tuple[str, Callable[..., Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """One thing that the program takes care of where ids are ours: the world in which it counts,
    what is put in its place, and how the judge's sentence begins."""

    scenario: Scenario
    without: tuple[Patch, ...]
    verdict: str
    parts: Parts = SOUND


CARES: dict[str, Care] = {
    "a refusal of the second sending is no proof": Care(
        scenario=replace(
            _ONE,
            faults=Faults(
                submit={"lost_after": 0.5}, task={"404_at_first": 1.0}, resend={"refused": 1.0}
            ),
            pauses_s=(),
        ),
        parts=Parts(production=CountsAbsent),
        without=(("pipeline.asking._look_only", _believe),),
        verdict="PAID TWICE",
    ),
    "a doubt that no shot asks for is never sent": Care(
        scenario=replace(_ONE, fates=(_UNMADE,), edits=1),
        without=(("pipeline.taking.TakeMaker._why_not_again", lambda *_: ""),),
        verdict="BOUGHT FOR NOBODY",
    ),
    "takes of one submission are settled together": Care(
        scenario=replace(
            _ONE, boards=(_PAIR,), fates=(_MADE,), faults=Faults(resend={"refused": 0.5})
        ),
        without=(("pipeline.ledger.Ledger.doubts_with", lambda _, attempt: (attempt,)),),
        verdict="an exception escaped",
    ),
    "an id that may be forgotten is never sent": Care(
        scenario=replace(
            _ONE,
            fates=(_MADE,),
            pauses_s=(30 * 3600.0,),
            clock_ahead_s=20 * 3600.0,
            faults=Faults(poll={"503": 0.8}),
        ),
        without=(("pipeline.asking._too_old", lambda *_: ""),),
        verdict="PAID TWICE",
    ),
}
