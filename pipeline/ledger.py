"""What the journal means: events folded into the state of every attempt. Pure, no I/O.

An *attempt* is one paid submission: its intent is written before the request leaves, and every
later fact about it is one more event. The state machine:

    INTENT -> SUBMITTED -> COMPLETED -> DOWNLOADED -> VERIFIED
      |           |            |            '-> DAMAGED (paid, never passed its checks)
      |           |            '-> LOST (the provider no longer has it; one whose task is there
      |           |               after all goes on from where it is)
      |           '-> FAILED (the provider's task failed)
      |-> REFUSED (the provider said no, or nothing was sent: no money)
      '-> IN_DOUBT -> SUBMITTED (found) | ABSENT (proved not there) | ABANDONED (given up by a
                      person; what it may have cost counts as spent)

An INTENT that is read back from disk by a later run is a doubt as well: the process died before
it could write down what became of the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from pipeline.errors import StorageError
from pipeline.model import Container, Resolution


class EventKind(StrEnum):
    """What can be written down about an attempt."""

    INTENT = "intent"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    DOUBT = "doubt"
    ABSENT = "absent"
    ABANDONED = "abandoned"
    COMPLETED = "completed"
    FAILED = "failed"
    LOST = "lost"
    DOWNLOADED = "downloaded"
    DAMAGED = "damaged"
    VERIFIED = "verified"
    ADOPTED = "adopted"
    REFUNDED = "refunded"
    USED = "used"


class AttemptState(StrEnum):
    """Where an attempt stands; the words are those of the events that lead there."""

    INTENT = "intent"
    SUBMITTED = "submitted"
    REFUSED = "refused"
    IN_DOUBT = "in doubt"
    ABSENT = "absent"
    ABANDONED = "abandoned"
    COMPLETED = "completed"
    FAILED = "failed"
    LOST = "lost"
    DOWNLOADED = "downloaded"
    DAMAGED = "damaged"
    VERIFIED = "verified"


# No task exists, so no money is bound.
FREE = frozenset({AttemptState.REFUSED, AttemptState.ABSENT})
# It is not known whether a task exists; the price stays reserved.
DOUBTFUL = frozenset({AttemptState.INTENT, AttemptState.IN_DOUBT})
# A task exists and its clip is still to come.
PENDING = frozenset({AttemptState.SUBMITTED, AttemptState.COMPLETED, AttemptState.DOWNLOADED})
# A task exists, or must be taken to, and no clip will come of it.
SPOILED = frozenset(
    {AttemptState.FAILED, AttemptState.LOST, AttemptState.DAMAGED, AttemptState.ABANDONED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the journal; ``at`` is UTC, ``data`` holds JSON values."""

    seq: int
    at: datetime
    attempt_id: str
    kind: EventKind
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The present state of one paid submission.

    ``clip`` is the file name inside the storyboard's ``clips`` folder, with its size and sha256
    once known; ``reason`` the provider's or our own words on why it stands where it stands;
    ``request`` what was sent; ``chosen_id`` the id that we gave the task, where that is ours to
    choose; ``result`` which of a task's results it is, from 0; ``expected_s`` how long the clip
    should be, in seconds, ``short_side_px`` how high or wide at least (of both, None: not known);
    ``container`` its file format;
    ``results`` how many its task makes. ``settled_usd`` what the provider says that it cost
    (None: it does not). ``outputs`` the addresses of all clips of its task, from when that was
    done; empty before, and in journals of earlier versions. ``server_ahead_s`` how far the
    provider's clock was ahead of ours at the intent, None where that was not known. ``is_retake``
    whether ``--retake`` asked for it, ``is_used`` whether a run came to its film with it since.
    """

    attempt_id: str
    shot_id: str
    take: int
    fingerprint: str
    provider: str
    model: str
    price_usd: Decimal
    duration_s: int
    resolution: Resolution
    intended_at: datetime
    changed_at: datetime
    state: AttemptState = AttemptState.INTENT
    task_id: str | None = None
    clip: str | None = None
    clip_bytes: int | None = None
    clip_sha256: str | None = None
    reason: str = ""
    request: Mapping[str, Any] | None = None
    refunded_usd: Decimal = Decimal(0)
    account: str | None = None
    server_ahead_s: float | None = None
    chosen_id: str | None = None
    result: int = 0
    results: int = 1
    expected_s: Fraction | None = None
    short_side_px: int | None = None
    container: Container = Container.MP4
    settled_usd: Decimal | None = None
    outputs: tuple[str, ...] = ()
    is_retake: bool = False
    is_used: bool = False

    @property
    def is_open_retake(self) -> bool:
        """Whether it is what ``--retake`` asked for and no run has come to its film with so far."""
        return self.is_retake and not self.is_used

    @property
    def cost_usd(self) -> Decimal:
        """Dollars that it cost: what the provider says where it does, else the listed price."""
        return self.price_usd if self.settled_usd is None else self.settled_usd

    @property
    def bound_usd(self) -> Decimal:
        """Dollars that a cap counts: until its clip is home the larger of price and cost."""
        if self.state in PENDING | DOUBTFUL:
            return max(self.price_usd, self.cost_usd)
        return self.cost_usd

    @property
    def slate(self) -> str:
        """The identity of its clip: ``opening_tk01``."""
        return slate(self.shot_id, self.take)

    @property
    def clip_name(self) -> str:
        """The name of its file: ``opening_tk01.mp4``."""
        return f"{self.slate}{self.container.suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Every attempt of one storyboard, in the order of their intents."""

    attempts: tuple[Attempt, ...] = ()

    @property
    def spent_usd(self) -> Decimal:
        """Dollars of every task that exists, by ``cost_usd``; refunds are not taken off."""
        tasks = (a.cost_usd for a in self.attempts if a.state not in FREE | DOUBTFUL)
        return sum(tasks, Decimal(0))

    @property
    def bound_usd(self) -> Decimal:
        """Dollars that count towards a cap: of every task that exists or may exist."""
        binding = (a.bound_usd for a in self.attempts if a.state not in FREE)
        return sum(binding, Decimal(0))

    @property
    def refunded_usd(self) -> Decimal:
        """Dollars that were seen to come back on the provider's bill."""
        return sum((attempt.refunded_usd for attempt in self.attempts), Decimal(0))

    @property
    def reserved_usd(self) -> Decimal:
        """Dollars of submissions whose outcome is not known."""
        doubts = (a.price_usd for a in self.attempts if a.state in DOUBTFUL)
        return sum(doubts, Decimal(0))

    def doubts_with(self, attempt: Attempt) -> tuple[Attempt, ...]:
        """The doubts that are settled together with an attempt, itself included: the takes of the
        same submission."""
        same = [a for a in self.attempts if a.chosen_id == attempt.chosen_id]
        bundle = [attempt] if attempt.chosen_id is None else same
        return tuple(a for a in bundle if a.state in DOUBTFUL)

    def next_take(self, shot_id: str) -> int:
        """The number that a new take of the shot gets: one past the highest ever used.

        A refused submission made no take, so its number is given out again.
        """
        used = (a.take for a in self.attempts if a.shot_id == shot_id and a.state not in FREE)
        return max(used, default=0) + 1


def slate(shot_id: str, take: int) -> str:
    """The name under which a take's clip is filed and logged."""
    return f"{shot_id}_tk{take:02d}"


class Book:
    """The fold, one event at a time: what a running program keeps beside its journal."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._attempts: dict[str, Attempt] = {}
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take one more event into account.

        Raises:
            StorageError: it speaks of an attempt that has no intent, repeats one, or would take
                back what is known about a task, and with it the money that it cost.
        """
        known = self._attempts.get(event.attempt_id)
        if event.kind is EventKind.INTENT:
            if known is not None:
                raise _inconsistent(event, "a second intent for the same attempt")
            self._attempts[event.attempt_id] = _begin(event)
        elif known is None:
            raise _inconsistent(event, "no intent was written before it")
        elif known.state in FREE or (event.kind in _ANSWERS and not _is_open_to(event, known)):
            raise _inconsistent(event, f"the attempt is already settled as {known.state}")
        else:
            self._attempts[event.attempt_id] = _advance(known, event)

    def attempt(self, attempt_id: str) -> Attempt:
        """One attempt as it stands now."""
        return self._attempts[attempt_id]

    def ledger(self) -> Ledger:
        """Every attempt as it stands now."""
        return Ledger(attempts=tuple(self._attempts.values()))


def fold(events: Iterable[Event]) -> Ledger:
    """Replay events, oldest first, into the state of every attempt; see ``Book.apply``."""
    return Book(events).ledger()


def _is_open_to(answer: Event, attempt: Attempt) -> bool:
    """Whether it may still be said what became of a submission: in doubt, or lost and its very
    task named again by a person."""
    is_again = answer.kind is EventKind.ACCEPTED and answer.data["task_id"] == attempt.task_id
    return attempt.state in DOUBTFUL or (attempt.state is AttemptState.LOST and is_again)


def _begin(event: Event) -> Attempt:
    data = event.data
    return Attempt(
        attempt_id=event.attempt_id,
        shot_id=data["shot"],
        take=data["take"],
        fingerprint=data["fingerprint"],
        provider=data["provider"],
        model=data["model"],
        price_usd=Decimal(data["price_usd"]),
        duration_s=data["duration_s"],
        resolution=Resolution(data["resolution"]),
        intended_at=event.at,
        changed_at=event.at,
        request=data.get("request"),
        account=data.get("account"),
        server_ahead_s=data.get("server_ahead_s"),
        chosen_id=data.get("task_id"),
        result=data.get("result", 0),
        results=data.get("results", 1),
        expected_s=_expected_s(data),
        short_side_px=data.get("short_side_px", Resolution(data["resolution"]).short_side_px),
        container=Container(data.get("container", Container.MP4)),
        is_retake=data.get("retake", False),
    )


def _expected_s(data: Mapping[str, Any]) -> Fraction | None:
    """How long a clip should be by its intent; None where nobody can say."""
    if "length_s" in data:
        return None if data["length_s"] is None else Fraction(data["length_s"])
    # Journals of earlier versions have no length for an edit whose seconds were asked for, and
    # the provider may have made it as long as its source all the same.
    if (data.get("request") or {}).get("video"):
        return None
    return Fraction(data["duration_s"])


# Events that say what became of a submission; only one that is still open can have any.
_ANSWERS = frozenset(
    {
        EventKind.ACCEPTED,
        EventKind.REFUSED,
        EventKind.DOUBT,
        EventKind.ABSENT,
        EventKind.ABANDONED,
    }
)
# Events that only move the attempt to a state, with the reason given.
_STATE_AFTER = {
    EventKind.REFUSED: AttemptState.REFUSED,
    EventKind.DOUBT: AttemptState.IN_DOUBT,
    EventKind.ABSENT: AttemptState.ABSENT,
    EventKind.ABANDONED: AttemptState.ABANDONED,
    EventKind.COMPLETED: AttemptState.COMPLETED,
    EventKind.FAILED: AttemptState.FAILED,
    EventKind.LOST: AttemptState.LOST,
    EventKind.DAMAGED: AttemptState.DAMAGED,
    EventKind.VERIFIED: AttemptState.VERIFIED,
}

# Events that may say what a task cost.
_ENDS = frozenset({EventKind.COMPLETED, EventKind.FAILED})


def _advance(attempt: Attempt, event: Event) -> Attempt:
    data = event.data
    now = replace(attempt, changed_at=event.at, reason=str(data.get("reason", "")))
    if event.kind is EventKind.ACCEPTED:
        return replace(now, state=AttemptState.SUBMITTED, task_id=data["task_id"])
    if event.kind is EventKind.DOWNLOADED:
        return replace(
            now,
            state=AttemptState.DOWNLOADED,
            clip=data["clip"],
            clip_bytes=data["bytes"],
            clip_sha256=data["sha256"],
        )
    if event.kind in _ENDS and data.get("cost_usd") is not None:
        now = replace(now, settled_usd=Decimal(data["cost_usd"]))
    if event.kind is EventKind.COMPLETED:
        now = replace(now, outputs=tuple(data.get("outputs", ())))
    if event.kind is EventKind.REFUNDED:
        return replace(attempt, refunded_usd=Decimal(data["usd"]))
    if event.kind is EventKind.USED:
        return replace(attempt, is_used=True)
    if event.kind is EventKind.ADOPTED:
        return replace(now, shot_id=data["shot"], take=data["take"], clip=data["clip"])
    return replace(now, state=_STATE_AFTER[event.kind])


def _inconsistent(event: Event, why: str) -> StorageError:
    return StorageError(
        f"the journal makes no sense at event {event.seq} ({event.kind}): {why}",
        hint="nothing was submitted; restore the journal from a copy, or keep it and ask for help",
    )
