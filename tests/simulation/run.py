"""Run the real program over the scripted world: one production, as many lives as it takes.

Everything of the program that decides about money is the program's own: the HTTP adapter, the
limiter and its account file, the journal, the planner, the runner. Time is virtual, so hours
cost milliseconds; every source of chance comes from the seed, so a seed replays exactly.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import anyio.lowlevel
import anyio.to_thread
import trio
import trio.testing
from simulation.fittings import (
    MortalAccount,
    MortalJournal,
    Silent,
    conform,
    edit_first,
    make_storyboards,
    never_delivered,
    prompt_of,
    settings_of,
    utc_now,
    verify,
)
from simulation.lives import Fate, Killed, Life, Trace
from simulation.runware_world import RunwareDoor
from simulation.scenario import PlannedShot, Scenario
from simulation.world import API, KEY, Door, World

from pipeline.capabilities import CAPABILITIES, PromptDialect
from pipeline.commands.jobs import Job, plan_job
from pipeline.download import Downloader
from pipeline.errors import ExitCode, StoryboardError, gravest
from pipeline.filming import Studio
from pipeline.journal import Journal, read_events
from pipeline.ledger import DOUBTFUL, Book, Ledger, fold
from pipeline.model import Storyboard
from pipeline.production import Clock, Halt, Production, Services
from pipeline.providers.http import HttpProvider
from pipeline.providers.limits import Limiter, Retrying, allowance
from pipeline.providers.runware import Runware
from pipeline.providers.wavespeed import WaveSpeed
from pipeline.quoting import check_quotes
from pipeline.runner import Runner, heed_journals
from pipeline.settings import Settings, account_level
from pipeline.summary import Outcome, summarise, write_summary

# A life that takes longer than this, in virtual seconds, does not end by itself.
LIFE_LIMIT_S = 6 * 3600.0
# Lives with trouble beyond those that the scenario ends itself, before the world calms down.
_MORE_LIVES = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one life of one storyboard ended; ``code`` None where it was killed.

    ``doubts``: submissions whose outcome it did not know in the end.
    """

    life: int
    board: str
    code: ExitCode | None
    calm: bool
    began_s: float
    ended_s: float
    doubts: int


@dataclass(slots=True)
class Result:
    """What a seed came to; ``breaches`` empty where every promise was kept."""

    scenario: Scenario
    world: World
    breaches: list[str] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    digest: str = ""
    lines: list[str] | None = None


def within_budgets(stage: Stage, jobs: Sequence[Job]) -> Mapping[str, ExitCode]:
    """The storyboards that may not be worked on, each with why not."""
    del stage
    return {
        job.storyboard.name: ExitCode.OVER_BUDGET
        for job in jobs
        if job.plan.buy_usd and job.plan.committed_usd > (job.storyboard.budget_usd or 0)
    }


async def check_prices(services: Services, productions: Sequence[Production], halt: Halt) -> None:
    """What is asked before anything is spent."""
    del halt
    await check_quotes(services, productions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a deliberately broken program, or a proof of its own, replaces; by default nothing.

    ``gate`` names the storyboards that may not be worked on; ``opening`` comes before a run.
    """

    provider: type[Retrying] = Retrying
    account: type[MortalAccount] = MortalAccount
    door: type[Door] = Door
    settings: Callable[[Scenario], Settings] = settings_of
    gate: Callable[[Stage, Sequence[Job]], Mapping[str, ExitCode]] = within_budgets
    opening: Callable[[Services, Sequence[Production], Halt], Awaitable[None]] = check_prices
    dialect: type[WaveSpeed] = WaveSpeed
    production: type[Production] = Production
    journal_folder: Callable[[Path, int], Path] = lambda folder, _: folder
    account_file: Callable[[Path, int], Path] = lambda folder, _: folder / "account.sqlite3"
    # Not a part of the program: the way to the world, where answers may be tampered with.
    door: Callable[[World, Life], Door] = Door


SOUND = Parts()
# Whose code is running, for the points that have no other way of knowing.
_LIFE: ContextVar[Life] = ContextVar("life")


@dataclass(slots=True)
class Stage:
    """One production in the making: the world, the folder, and what has been seen."""

    scenario: Scenario
    folder: Path
    parts: Parts
    trace: Trace
    world: World
    storyboards: list[Storyboard]
    # What each storyboard asks for now.
    boards: list[tuple[PlannedShot, ...]] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    lives: int = 0

    def clock(self, life: Life) -> Callable[[], datetime]:
        """The wall clock as a life sees it."""
        wrong_s = self.scenario.clock_ahead_s if life.number == 1 else 0.0
        return lambda: utc_now() + timedelta(seconds=wrong_s)

    def edit(self, index: int) -> None:
        """Give the first shot of a storyboard another content."""
        old = self.boards[index]
        self.boards[index] = self.scenario.edited(old)
        self.storyboards[index] = edit_first(self.storyboards[index], self.boards[index])
        if all(shot.key != old[0].key for shot in self.boards[index]):
            self.world.retired[prompt_of(old[0].key)] = trio.current_time()

    def board_folder(self, storyboard: Storyboard) -> Path:
        """Where a storyboard's journal, clips and film are."""
        return self.folder / storyboard.name

    def job(self, storyboard: Storyboard, ledger: Ledger) -> Job:
        """Its plan, as the command line makes it."""
        args = argparse.Namespace(provider=self.scenario.provider)
        return plan_job(args, storyboard, self.board_folder(storyboard), ledger)

    def ledger(self, storyboard: Storyboard) -> Ledger:
        """What is on disk."""
        return fold(read_events(self.board_folder(storyboard)))


@asynccontextmanager
async def _services(stage: Stage, life: Life) -> AsyncIterator[Services]:
    scenario, parts = stage.scenario, stage.parts
    settings = parts.settings(scenario)
    capabilities = CAPABILITIES[scenario.provider]
    limits = allowance(account_level(settings, capabilities), settings.rate_window_s)
    rng = random.Random(f"runner {scenario.seed} {life.number}")
    is_runware = scenario.provider == "runware"
    speaks = RunwareDoor if is_runware and parts.door is Door else parts.door
    door = speaks(stage.world, life)

    async def sleep(seconds: float) -> None:
        life.tick("sleep")
        await anyio.sleep(seconds)

    http = HttpProvider(
        Runware(capabilities, prompts=PromptDialect.MANIFEST)
        if is_runware
        else parts.dialect(capabilities),
        base_url=API,
        key=KEY,
        submit_timeout_s=settings.submit_timeout_s,
        transport=door,
        utc=stage.clock(life),
    )
    downloader = Downloader(local=True, api_url=API, transport=door)
    account_file = parts.account_file(stage.folder, life.number)
    account = parts.account(account_file, life, lambda: stage.clock(life)().timestamp())
    with account:
        async with http, downloader:
            yield Services(
                provider=parts.provider(http, sleep=sleep, random=rng),
                limiter=Limiter(account, limits),
                account=account,
                downloader=downloader,
                verify=verify,
                studio=Studio(conform=partial(conform, life), deliver=never_delivered),
                settings=settings,
                reporter=Silent(),
                clock=Clock(utc=stage.clock(life), sleep=sleep),
                random=rng,
            )


async def _live(stage: Stage, life: Life, storyboards: Sequence[Storyboard]) -> None:
    """One process from start to end: plan, gate, quotes, run, summary."""
    _LIFE.set(life)
    began_s, calm = trio.current_time(), stage.world.calm
    codes: dict[str, ExitCode | None] = {board.name: None for board in storyboards}
    books: dict[str, Book] = {}

    def end(job: Job, outcome: Outcome) -> None:
        life.tick("film summary")
        write_summary(job.folder, summarise(outcome, job.estimate, stage.scenario.provider))
        codes[job.storyboard.name] = outcome.exit_code

    with ExitStack() as stack:
        jobs: dict[str, Job] = {}
        journals: dict[str, Journal] = {}
        for board in storyboards:
            folder = stage.parts.journal_folder(stage.board_folder(board), life.number)
            journal = stack.enter_context(MortalJournal(folder, life, stage.clock(life)))
            book = Book(journal.events())
            job = stage.job(board, book.ledger())
            jobs[board.name], books[board.name], journals[board.name] = job, book, journal
        waiting = [job for job in jobs.values() if not job.is_finished]
        refused = stage.parts.gate(stage, waiting)
        codes |= {name: ExitCode.DONE for name, job in jobs.items() if job not in waiting}
        codes |= refused
        productions = [
            stage.parts.production(
                plan=job.plan,
                journal=journals[name],
                folder=job.folder,
                book=books[name],
                recorded_film=job.recorded_film,
            )
            for name, job in jobs.items()
            if job in waiting and name not in refused
        ]
        try:
            if productions:
                code = await _session(stage, life, productions, jobs, end)
                for name, known in codes.items():
                    codes[name] = code if known is None else gravest([known, code])
        except BaseException as exc:
            if not life.dead:
                raise
            strange = [each for each in _leaves(exc) if not _is_of_a_death(each)]
            if strange:
                raise
            for production in productions:
                codes[production.storyboard.name] = None
    stage.ended += [
        Ended(
            life=life.number,
            board=name,
            code=code,
            calm=calm,
            began_s=began_s,
            ended_s=trio.current_time(),
            doubts=sum(a.state in DOUBTFUL for a in books[name].ledger().attempts),
        )
        for name, code in codes.items()
    ]


async def _session(
    stage: Stage,
    life: Life,
    productions: Sequence[Production],
    jobs: Mapping[str, Job],
    end: Callable[[Job, Outcome], None],
) -> ExitCode:
    """The part of a run that speaks to the provider; DONE, or why it was cut short."""
    halt, heard = Halt(), list[ExitCode]()

    def finished(outcome: Outcome) -> None:
        end(jobs[outcome.plan.storyboard.name], outcome)

    def interrupt() -> None:
        heard.append(ExitCode.SIGINT)
        halt.set("interrupted; nothing more was submitted", ExitCode.SIGINT)

    def terminate() -> None:
        heard.append(ExitCode.SIGTERM)
        halt.set("stopped by a signal", ExitCode.SIGTERM)
        group.cancel_scope.cancel()

    try:
        async with _services(stage, life) as services:
            heed_journals(services.account, productions)
            await stage.parts.opening(services, productions, halt)
            async with anyio.create_task_group() as group:
                life.on_interrupt, life.on_terminate = interrupt, terminate
                with anyio.fail_after(LIFE_LIMIT_S):
                    await Runner(services, halt).run(productions, finished)
    except StoryboardError as exc:
        return exc.exit_code
    return heard[-1] if heard else ExitCode.DONE


async def _play(stage: Stage) -> None:
    """Lives one after the other until all is done, the last of them in a calm world."""
    scenario = stage.scenario
    numbers = range(len(stage.storyboards))
    groups = [[number] for number in numbers] if scenario.together else [list(numbers)]
    async with trio.open_nursery() as nursery:
        for group in groups:
            nursery.start_soon(_lives, stage, group)
    stage.world.calm_down()
    for group in groups:
        boards = [stage.storyboards[number] for number in group]
        await _live(stage, _new_life(stage, None), boards)
    stage.world.catch_up()


async def _lives(stage: Stage, numbers: Sequence[int]) -> None:
    fates: list[Fate | None] = [*stage.scenario.fates, *[None] * _MORE_LIVES]
    pauses_s = [*stage.scenario.pauses_s, *[1.0] * _MORE_LIVES]
    for lived, (fate, pause_s) in enumerate(zip(fates, pauses_s, strict=True)):
        for number in numbers:
            if stage.scenario.forgets == lived:
                shutil.rmtree(stage.board_folder(stage.storyboards[number]))
            if stage.scenario.edits == lived:
                stage.edit(number)
        life = _new_life(stage, fate)
        await _live(stage, life, [stage.storyboards[number] for number in numbers])
        await trio.sleep(pause_s)


def _new_life(stage: Stage, fate: Fate | None) -> Life:
    stage.lives += 1
    return Life(stage.lives, fate, stage.trace)


def run_scenario(
    scenario: Scenario,
    *,
    parts: Parts = SOUND,
    judge: Callable[[Stage], list[str]],
    keep_lines: bool = False,
) -> Result:
    """Play a scenario from its beginning to its end and judge it."""
    began_cpu_s = time.process_time()
    base = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="story-sim-", dir=base if base.is_dir() else None))
    trace = Trace()
    trace.lines = [] if keep_lines else None
    stages: list[Stage] = []
    failure: list[str] = []
    virtual_s = [0.0]

    async def main() -> None:
        world = World(scenario, trace, random.Random(f"world {scenario.seed}"))
        stage = Stage(
            scenario=scenario,
            folder=folder,
            parts=parts,
            trace=trace,
            world=world,
            storyboards=make_storyboards(scenario, folder),
            boards=list(scenario.boards),
        )
        stages.append(stage)
        try:
            await _play(stage)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it must not get this far
            failure.extend(f"{type(each).__name__}: {each}" for each in _leaves(exc))
            _print_traceback(exc, keep_lines)
        virtual_s[0] = trio.current_time()
        if not failure:
            stage.breaches += judge(stage)

    try:
        with _patched(scenario.seed):
            clock = trio.testing.MockClock(autojump_threshold=0)
            anyio.run(main, backend="trio", backend_options={"clock": clock})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    stage = stages[0]
    return Result(
        scenario=scenario,
        world=stage.world,
        breaches=[*(f"an exception escaped: {text}" for text in failure), *stage.breaches],
        ended=stage.ended,
        virtual_s=virtual_s[0],
        cpu_s=time.process_time() - began_cpu_s,
        digest=trace.digest,
        lines=trace.lines,
    )


@contextmanager
def _patched(seed: int) -> Iterator[None]:
    """No chance but the seed's, and no thread that time could overtake."""
    from trio._core import _run as scheduler  # noqa: PLC0415 - only for its source of chance

    ids = random.Random(f"ids {seed}")

    async def run_sync(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        life, name = _LIFE.get(), getattr(function, "__name__", "")
        await anyio.lowlevel.checkpoint()
        life.tick(f"disk {name}")
        result = function(*args)
        life.tick(f"disk {name} done")
        return result

    def next_id() -> uuid.UUID:
        return uuid.UUID(int=ids.getrandbits(128), version=4)

    with (
        patch.object(anyio.to_thread, "run_sync", run_sync),
        patch.object(uuid, "uuid4", next_id),
        patch.object(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True),
        patch.object(scheduler, "_r", random.Random(f"scheduler {seed}")),
    ):
        yield


def _leaves(exc: BaseException) -> list[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        return [leaf for each in exc.exceptions for leaf in _leaves(each)]
    return [exc]


def _is_of_a_death(exc: BaseException) -> bool:
    return isinstance(exc, Killed | trio.Cancelled)


def _print_traceback(exc: BaseException, wanted: bool) -> None:
    if wanted:
        import traceback  # noqa: PLC0415 - only when somebody looks

        traceback.print_exception(exc)
