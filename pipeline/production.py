"""What the runner works with: one storyboard being made, and the parts it is given.

Everything that touches the world is handed in, so that a test can hand in another world.
"""

from __future__ import annotations

import hashlib
import math
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from random import Random
from typing import Any, Protocol

import anyio

from pipeline.account import AccountStore
from pipeline.download import Downloader
from pipeline.errors import ExitCode, StoryboardError
from pipeline.filming import Studio
from pipeline.journal import Journal
from pipeline.ledger import FREE, Attempt, AttemptState, Book, EventKind, Ledger
from pipeline.model import ClipFacts, Expected
from pipeline.planning import Plan
from pipeline.providers.base import Provider, TaskPhase, TaskStatus
from pipeline.providers.limits import Limiter
from pipeline.settings import Settings
from pipeline.summary import CLIPS_FOLDER, FilmRecord
from pipeline.waking import Bell


class Verify(Protocol):
    """Decode a downloaded file and say what it is; raises ``ClipRejected``."""

    async def __call__(self, path: Path, expected: Expected) -> ClipFacts: ...


class Reporter(Protocol):
    """Where progress goes; ``phase`` is one or two plain words."""

    def take(self, storyboard: str, slate: str, phase: str, detail: str = "") -> None: ...
    def film(self, storyboard: str, fraction: float) -> None: ...
    def note(self, storyboard: str, text: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time as an argument: the wall for records, ``anyio`` for waiting."""

    utc: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = anyio.current_time
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The outside world of a run; one set for all storyboards in it."""

    provider: Provider
    limiter: Limiter
    account: AccountStore
    downloader: Downloader
    verify: Verify
    studio: Studio
    settings: Settings
    reporter: Reporter
    # Names the account that pays, without giving its key away; goes into every intent.
    account_name: str = ""
    # Where the provider shall tell that a task is done; polling goes on all the same.
    webhook_url: str = ""
    # Rings where this run hears such notices itself.
    bell: Bell | None = None
    clock: Clock = field(default_factory=Clock)
    # Held while a task is asked about: a second question must keep its distance.
    looking: dict[str, anyio.Lock] = field(default_factory=dict)
    # When each task was last asked about, on the monotonic clock.
    looked_at: dict[str, float] = field(default_factory=dict)
    # When this run sent each submission whose id we chose, on the monotonic clock.
    sent_at: dict[str, float] = field(default_factory=dict)
    # The last answer about each task that has ended: several takes of one task share it.
    ends: dict[str, TaskStatus] = field(default_factory=dict)
    # Spreads polls and retries, so that a run can be replayed; nothing secret hangs on it.
    random: Random = field(default_factory=Random)

    async def look(self, task_id: str, results: int, *, anew: bool = False) -> TaskStatus:
        """How a task is: asked, never sooner after the last time than the interval, or as known
        where it has ended.

        Args:
            anew: ask even so, as an address may have expired.
        """
        clock, interval_s = self.clock, self.settings.poll_interval_s
        asked = self.ends.get(task_id)
        # Several takes of one task wait here together: one look serves them all.
        async with self.looking.setdefault(task_id, anyio.Lock()):
            if self._is_known(task_id, asked, anew=anew):
                return self.ends[task_id]
            due = self.looked_at.get(task_id, -math.inf) + interval_s
            while (left_s := due - clock.monotonic()) > 0:
                await clock.sleep(left_s)
            self.ends.pop(task_id, None)
            try:
                status = await self.provider.status(task_id, results)
            finally:
                self.looked_at[task_id] = clock.monotonic()
            if status.phase is not TaskPhase.RUNNING:
                self.ends[task_id] = status
            return status

    def _is_known(self, task_id: str, asked: TaskStatus | None, *, anew: bool) -> bool:
        """Whether the end of a task is known; newer than when it was asked for, if ``anew``."""
        end = self.ends.get(task_id)
        return end is not None and not (anew and end is asked)

    def say(self, production: Production, name: str, phase: str, detail: str = "") -> None:
        """Report where a take is."""
        self.reporter.take(production.storyboard.name, name, phase, detail)


class Halt:
    """Whether new submissions are still wanted. Set once, by a signal or a refused key."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self.reason = ""
        self.exit_code = ExitCode.DONE

    def set(self, reason: str, exit_code: ExitCode) -> None:
        """No further submission from now on; the first reason given stays."""
        if not self._event.is_set():
            self.reason, self.exit_code = reason, exit_code
            self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether submissions have been stopped."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when submissions are stopped."""
        await self._event.wait()


def attempt_prefix(folder: Path) -> str:
    """How the ids of all attempts of the journal in a folder begin: shared state knows attempts by
    their ids alone, and this is how it tells whose they are."""
    place = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()
    return f"{place[:12]}-"


class Production:
    """One storyboard with its plan, its open journal, its folder, and what the journal means."""

    def __init__(
        self,
        *,
        plan: Plan,
        journal: Journal,
        folder: Path,
        book: Book,
        recorded_film: FilmRecord | None,
    ) -> None:
        self.storyboard = plan.storyboard
        self.plan = plan
        self.folder = folder
        self.clips = folder / CLIPS_FOLDER
        self.recorded_film = recorded_film
        # Why nothing may be bought for it in this run, where that is so.
        self.refusal: StoryboardError | None = None
        self.attempt_prefix = attempt_prefix(folder)
        self._journal = journal
        self._book = book
        self._held_ids: set[str] = set()

    def ledger(self) -> Ledger:
        """The state of every attempt as the journal has it now."""
        return self._book.ledger()

    @contextmanager
    def fresh_task_id(
        self, fingerprint: str, results: int, choose: Callable[[int], str]
    ) -> Iterator[str]:
        """An id for one more task of this content: of all that ``choose`` gives by number, the
        first under which no task exists or may exist. Nobody else gets it while it is held, which
        must be until its intent is written.

        What was proved absent comes first: should the proof be wrong, asking for that very id
        buys nothing twice.
        """
        same = [a for a in self.ledger().attempts if a.chosen_id and a.fingerprint == fingerprint]
        taken = {a.chosen_id for a in same if a.state not in FREE} | self._held_ids
        absent = [
            a.chosen_id
            for a in same
            if a.state is AttemptState.ABSENT
            and (a.provider, a.results) == (self.plan.provider, results)
        ]
        ids = chain(filter(None, absent), map(choose, count()))
        task_id = next(each for each in ids if each not in taken)
        self._held_ids.add(task_id)
        try:
            yield task_id
        finally:
            self._held_ids.discard(task_id)

    def new_attempt_id(self) -> str:
        """An id for one more submission; it says which journal the submission is of."""
        return f"{self.attempt_prefix}{uuid.uuid4().hex}"

    def attempt(self, attempt_id: str) -> Attempt:
        """One attempt as the journal has it now."""
        return self._book.attempt(attempt_id)

    async def record(self, attempt_id: str, kind: EventKind, **data: Any) -> None:
        """Append to the journal off the event loop, whole even if the run is being cancelled.

        Raises:
            StorageError: the journal could not be written; nothing more may be spent.
        """
        with anyio.CancelScope(shield=True):
            event = await anyio.to_thread.run_sync(self._journal.append, attempt_id, kind, data)
        self._book.apply(event)

    async def record_all(self, rows: Sequence[tuple[str, EventKind, Mapping[str, Any]]]) -> None:
        """Append several events, all of them or none; see ``record``."""
        if len(rows) == 1:
            attempt_id, kind, data = rows[0]
            await self.record(attempt_id, kind, **data)
            return
        with anyio.CancelScope(shield=True):
            events = await anyio.to_thread.run_sync(self._journal.append_all, rows)
        for event in events:
            self._book.apply(event)
