"""The runner's world, scripted: a clock, a provider, downloads, checks and joins that only act.

Journals and account state are real SQLite files; everything else is played.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from inspect import isawaitable
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from support import MODEL, NOON

from pipeline.account import AccountStore, Allowance
from pipeline.capabilities import WAVESPEED, Capabilities
from pipeline.errors import ClipRejected, SubmissionInDoubt, UnknownTask
from pipeline.filming import Studio
from pipeline.journal import Journal, read_events
from pipeline.ledger import Attempt, AttemptState, Book, Event, Ledger, fold
from pipeline.media.conform import CutClip, Film
from pipeline.model import ClipFacts, Expected, FileReference, Storyboard
from pipeline.planning import Plan, make_plan
from pipeline.pricing import RATE_CARDS, estimate
from pipeline.production import Clock, Halt, Production, Services
from pipeline.providers.base import BillingRow, HistoryItem, TakeRequest, TaskPhase, TaskStatus
from pipeline.providers.limits import Limiter
from pipeline.runner import Runner, heed_journals
from pipeline.settings import Settings, read_settings
from pipeline.summary import (
    Outcome,
    missing_clips,
    read_film_record,
    summarise,
    write_summary,
)
from pipeline.waking import Bell

# As Runware does it, under the name and at the price that the played provider has.
CHOSEN = replace(
    WAVESPEED, client_task_ids=True, history=False, bill=False, quotes=False, max_results=4
)
Step: TypeAlias = Any  # a value, an exception to raise, or a callable (async or not) giving either


class FakeClock:
    """Time that moves only when somebody sleeps; sleepers at the same moment wake together."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def utc(self) -> datetime:
        return NOON + timedelta(seconds=self.now_s)

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until_s = self.now_s + seconds
        await anyio.lowlevel.checkpoint()
        self.now_s = max(self.now_s, until_s)

    @property
    def parts(self) -> Clock:
        return Clock(utc=self.utc, monotonic=self.monotonic, sleep=self.sleep)


async def play(step: Step, *args: Any) -> Any:
    """Carry out one step of a script."""
    value = step(*args) if callable(step) else step
    if isawaitable(value):
        value = await value
    if isinstance(value, Exception):
        raise value
    return value


def processing(word: str = "processing") -> TaskStatus:
    return TaskStatus(phase=TaskPhase.RUNNING, word=word)


def charge(task_id: str, *, key_id: str = "our-key", usd: str = "0.30") -> BillingRow:
    """A line of the bill for one task of 6 s."""
    return BillingRow(
        row_id=f"row-of-{task_id}",
        task_id=task_id,
        is_refund=False,
        amount_usd=Decimal(usd),
        created_at=NOON,
        key_id=key_id,
    )


def completed(*outputs: str, flagged: bool = False) -> TaskStatus:
    return TaskStatus(phase=TaskPhase.DONE, word="completed", outputs=outputs, flagged=flagged)


def failed(word: str = "failed", code: str = "", message: str = "") -> TaskStatus:
    return TaskStatus(phase=TaskPhase.FAILED, word=word, code=code, message=message)


class FakeProvider:
    """Makes a task for every accepted submission and has its clip ready at once.

    Scripts come first, step by step: ``submits`` for the next submissions, ``statuses[task]`` for
    the next looks at a task (its last step stays), ``histories`` and ``uploads`` likewise.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.capabilities: Capabilities = WAVESPEED
        self.server_ahead_s: float | None = None
        self.echoes_inputs = True
        self.submits: list[Step] = []
        self.statuses: dict[str, list[Step]] = {}
        self.histories: list[Step] = []
        self.bills: list[Step] = []
        self.uploads: list[Step] = []
        self.submitted: list[TakeRequest] = []
        self.tasks: dict[str, HistoryItem] = {}
        self.looks: list[tuple[str, float]] = []
        self.history_calls: list[datetime] = []
        self.charge_calls: list[list[str]] = []
        # What the bill shows since a time, and what is asked for takes; scripts as above.
        self.billing_pages: list[Step] = []
        self.billing_calls: list[datetime] = []
        self.quotes: list[Step] = []
        self.details_asked: list[str] = []
        self.archives: list[Step] = []
        self.archived: set[str] = set()
        self.uploaded: list[FileReference] = []

    def make_task(self, request: TakeRequest, task_id: str = "") -> str:
        """What the server does when it accepts: the task is there, and billed."""
        task_id = task_id or request.task_id or f"task-{len(self.tasks) + 1}"
        inputs = {
            "images": list(request.image_urls),
            "prompt": request.prompt,
            "duration": request.duration_s,
            "resolution": request.resolution.value,
        }
        self.tasks[task_id] = HistoryItem(
            task_id=task_id,
            created_at=self.clock.utc(),
            inputs=inputs if self.echoes_inputs else None,
        )
        return task_id

    def accept_and_lose(self, request: TakeRequest) -> Exception:
        """A step of ``submits``: the task is made, its answer never arrives."""
        self.make_task(request)
        return SubmissionInDoubt("the connection broke before the answer (ReadError)")

    async def submit(self, request: TakeRequest) -> str:
        self.submitted.append(request)
        await anyio.lowlevel.checkpoint()
        if self.submits:
            return str(await play(self.submits.pop(0), request))
        return self.make_task(request)

    async def status(self, task_id: str, results: int = 1) -> TaskStatus:
        self.looks.append((task_id, self.clock.now_s))
        await anyio.lowlevel.checkpoint()
        script = self.statuses.get(task_id, [])
        if script:
            step = script.pop(0) if len(script) > 1 else script[0]
            status = await play(step)
            assert isinstance(status, TaskStatus)
            return status
        if task_id not in self.tasks:
            raise UnknownTask("the provider does not know it (any more)")
        if results == 1:
            return completed(f"https://cdn.example/{task_id}.mp4")
        return completed(*(f"https://cdn.example/{task_id}-{n}.mp4" for n in range(results)))

    async def details(self, task_id: str) -> bool:
        self.details_asked.append(task_id)
        await anyio.lowlevel.checkpoint()
        if self.archives:
            return bool(await play(self.archives.pop(0)))
        return task_id in self.tasks or task_id in self.archived

    async def history(self, created_after: datetime) -> tuple[HistoryItem, ...]:
        self.history_calls.append(created_after)
        await anyio.lowlevel.checkpoint()
        if self.histories:
            return tuple(await play(self.histories.pop(0)))
        return tuple(item for item in self.tasks.values() if item.created_at >= created_after)

    async def charges(self, task_ids: Sequence[str]) -> tuple[BillingRow, ...]:
        self.charge_calls.append(list(task_ids))
        await anyio.lowlevel.checkpoint()
        if self.bills:
            return tuple(await play(self.bills.pop(0)))
        return tuple(charge(task_id) for task_id in task_ids)

    async def billings(self, since: datetime) -> tuple[BillingRow, ...]:
        self.billing_calls.append(since)
        await anyio.lowlevel.checkpoint()
        if self.billing_pages:
            return tuple(await play(self.billing_pages.pop(0)))
        made = [item for item in self.tasks.values() if item.created_at >= since]
        return tuple(charge(item.task_id) for item in made)

    async def quote(self, request: TakeRequest) -> Decimal:
        await anyio.lowlevel.checkpoint()
        if self.quotes:
            return Decimal(await play(self.quotes.pop(0), request))
        return Decimal("0.05") * (request.duration_s or 0)

    def same_request(self, inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        return all(inputs.get(key) == request.get(key) for key in request)

    async def upload(self, reference: FileReference) -> str:
        self.uploaded.append(reference)
        await anyio.lowlevel.checkpoint()
        if self.uploads:
            return str(await play(self.uploads.pop(0), reference))
        return f"https://static.example/{reference.sha256[:8]}.png"

    async def balance(self) -> Decimal:
        raise AssertionError("a run has no need of the balance")


class FakeDownloader:
    """Writes the bytes that belong to a URL; ``script`` first, step by step."""

    def __init__(self) -> None:
        self.script: list[Step] = []
        self.urls: list[str] = []
        self.destinations: list[Path] = []

    async def fetch(self, url: str, destination: Path) -> int:
        self.urls.append(url)
        self.destinations.append(destination)
        await anyio.lowlevel.checkpoint()
        content = await play(self.script.pop(0)) if self.script else clip_of(url)
        destination.write_bytes(content)
        return len(content)


def clip_of(url: str) -> bytes:
    """The clip behind a URL."""
    return f"clip of {url}".encode()


async def fake_verify(path: Path, expected: Expected) -> ClipFacts:
    """Any bytes are a clip unless they say that they are not."""
    content = path.read_bytes()
    if not content.startswith(b"clip"):
        raise ClipRejected(f"{path.name} is damaged")
    return ClipFacts(
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        width_px=1280,
        height_px=expected.short_side_px or 720,
        frames=round(24 * expected.duration_s),
        frame_rate=Fraction(24),
        video_codec="h264",
        has_audio=True,
    )


@dataclass
class FakeConform:
    """Joins clips by writing their names; remembers what it was asked for."""

    films: list[tuple[str, list[str]]] = field(default_factory=list)

    async def __call__(
        self,
        clips: Sequence[CutClip],
        destination: Path,
        *,
        cache_dir: Path,
        title: str,
        comment: str,
        mark: Callable[[Path], None],
        on_progress: Callable[[float], None],
    ) -> Film:
        self.films.append((title, [clip.path.name for clip in clips]))
        content = b"".join(clip.path.read_bytes() for clip in clips)
        destination.write_bytes(content)
        return Film(
            path=destination,
            sha256=hashlib.sha256(content).hexdigest(),
            frames=144 * len(clips),
            frame_rate=Fraction(24),
            width_px=1280,
            height_px=720,
            copied=True,
            spans=tuple((clip.slate, 144 * n, 144) for n, clip in enumerate(clips)),
        )


@dataclass
class FakeReporter:
    """Keeps what it is told."""

    takes: list[tuple[str, str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, storyboard: str, slate: str, phase: str, detail: str = "") -> None:
        self.takes.append((storyboard, slate, phase, detail))

    def film(self, storyboard: str, fraction: float) -> None:
        pass

    def note(self, storyboard: str, text: str) -> None:
        self.notes.append(f"{storyboard}: {text}")


# What the account answers when another take must end first: nothing that a clock can bring about.
_WAITS_FOR_OTHERS_S = 0.25
_PATIENCE = 100


class PatientLimiter(Limiter):
    """The real limiter, whose waits pass on the fake clock."""

    def __init__(self, store: AccountStore, limits: Allowance, clock: FakeClock) -> None:
        super().__init__(store, limits)
        self._clock, self._allowance, self._account = clock, limits, store
        self._turn = anyio.Lock()

    async def acquire(self, attempt_id: str) -> None:
        async with self._turn:
            in_vain = 0
            while (wait_s := self._account.try_start(attempt_id, self._allowance)) > 0:
                if wait_s != _WAITS_FOR_OTHERS_S:
                    await self._clock.sleep(wait_s)
                elif in_vain < _PATIENCE:
                    in_vain += 1
                    await anyio.sleep(0.001)
                else:
                    # Nobody is at work: what blocks is the slot of a run that died.
                    await self._clock.sleep(30)


WIDE = Allowance(starts=1000, window_s=60, max_tasks=1000, lanes=32)
NARROW = Allowance(starts=1000, window_s=60, max_tasks=1000, lanes=1)


class World:
    """A folder, an account, a provider: everything that several runs share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.provider: Any = FakeProvider(self.clock)
        self.downloader = FakeDownloader()
        self.conform = FakeConform()
        # Plain films do without it; where one is delivered, the real thing is what counts.
        self.deliver: Any = None
        self.reporter = FakeReporter()
        self.limits = WIDE
        self.verify: Any = fake_verify
        self.env: dict[str, str] = {}
        self.halt: Halt | None = None
        self.bell: Bell | None = None
        self.ended: list[str] = []

    @property
    def studio(self) -> Studio:
        """What joins the clips."""
        return Studio(conform=self.conform, deliver=self.deliver)

    @property
    def settings(self) -> Settings:
        return replace(read_settings(self.env), state_dir=self.folder / "state")

    def open(self, stack: ExitStack) -> Services:
        """The services of one run."""
        account = stack.enter_context(
            AccountStore(
                self.folder / "state" / "account.sqlite3",
                now=lambda: self.clock.utc().timestamp(),
            )
        )
        return Services(
            provider=self.provider,
            limiter=PatientLimiter(account, self.limits, self.clock),
            account=account,
            downloader=self.downloader,  # type: ignore[arg-type]
            verify=self.verify,
            studio=self.studio,
            settings=self.settings,
            reporter=self.reporter,
            clock=self.clock.parts,
            bell=self.bell,
        )

    def open_production(
        self, stack: ExitStack, storyboard: Storyboard, **options: Any
    ) -> Production:
        """A storyboard with its journal open and its plan made, as the command line does it."""
        folder = self.folder / storyboard.name
        journal = stack.enter_context(Journal(folder, now=self.clock.utc))
        book = Book(journal.events())
        plan = self.plan(storyboard, book.ledger(), **options)
        return Production(
            plan=plan,
            journal=journal,
            folder=folder,
            book=book,
            recorded_film=read_film_record(folder),
        )

    def plan(self, storyboard: Storyboard, ledger: Ledger, **options: Any) -> Plan:
        return make_plan(
            storyboard,
            ledger,
            provider="wavespeed",
            model=MODEL,
            card=RATE_CARDS["wavespeed"],
            missing_clips=missing_clips(self.folder / storyboard.name, ledger),
            **options,
        )

    async def run(self, *storyboards: Storyboard, **options: Any) -> list[Outcome]:
        """One whole run; nothing of it stays open."""
        with ExitStack() as stack:
            services = self.open(stack)
            productions = [self.open_production(stack, each, **options) for each in storyboards]
            self.halt = Halt()
            heed_journals(services.account, productions)
            return await Runner(services, self.halt).run(productions, self._end)

    def _end(self, outcome: Outcome) -> None:
        """What the command line does as each storyboard ends."""
        self.ended.append(outcome.plan.storyboard.name)
        priced = estimate(outcome.plan.storyboard, RATE_CARDS["wavespeed"])
        write_summary(outcome.folder, summarise(outcome, priced, "wavespeed"))

    def events(self, storyboard: Storyboard) -> list[Event]:
        """The journal as it is on disk at this moment."""
        return read_events(self.folder / storyboard.name)

    def kinds(self, storyboard: Storyboard) -> list[str]:
        return [event.kind.value for event in self.events(storyboard)]

    def attempts(self, storyboard: Storyboard) -> tuple[Attempt, ...]:
        return fold(self.events(storyboard)).attempts

    def states(self, storyboard: Storyboard) -> dict[str, AttemptState]:
        """Shot and present state of every attempt that is not free of money, by slate."""
        return {attempt.slate: attempt.state for attempt in self.attempts(storyboard)}

    def write_journal(self, storyboard: Storyboard, events: Iterable[Event]) -> None:
        """What an earlier run left behind."""
        folder = self.folder / storyboard.name
        with Journal(folder, now=self.clock.utc) as journal:
            for event in events:
                journal.append(event.attempt_id, event.kind, event.data)

    def clip(self, storyboard: Storyboard, name: str) -> Path:
        path = self.folder / storyboard.name / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


async def hang(*_: object) -> None:
    """A step that never ends by itself."""
    await anyio.sleep_forever()


def then(action: Callable[[], object], result: Step) -> Callable[..., Awaitable[Any]]:
    """A step that does something first."""

    async def step(*args: Any) -> Any:
        action()
        return await play(result, *args)

    return step
