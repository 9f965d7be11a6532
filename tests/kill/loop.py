"""The kill loop: start the real command, kill it, start it again until it ends, ask the bill.

The command is never told that it is being tested, and its own word counts for nothing: every
figure comes from the sandbox's record and from the bytes of the film.
"""

from __future__ import annotations

import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kill.points import AtMoment, AtRandom, AtWrite, Death, Point, write_point
from kill.scene import read_ledger
from kill.stage import TERMS, WIDE, Stage, command, environment, provider, read_json, start
from kill.verdicts import Evidence, Fault, judge

from pipeline.errors import ExitCode
from pipeline.files import file_sha256
from pipeline.journal import JOURNAL_NAME
from pipeline.ledger import DOUBTFUL
from pipeline.sandbox.faults import parse_faults
from pipeline.summary import CLIPS_FOLDER, FILM_NAME, SUMMARY_NAME

# No run of 20 shots takes a quarter of this on a machine that is not stalled.
START_LIMIT_S = 150.0
_LOOK_S = 0.004
# A moment drawn beyond the end of a run that went quicker is drawn again, earlier.
_REDRAWS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one point ended.

    ``kills`` that did happen; ``doubts`` most submissions without an answer that a kill left
    behind; ``asked``: how often a person had to name a task; ``accepted`` tasks on the bill at
    each kill; ``starts_s`` how long each start ran from
    the moment its journal was there.
    """

    point: Point
    faults: tuple[Fault, ...]
    kills: int
    doubts: int
    accepted: tuple[int, ...]
    seconds: float
    starts_s: tuple[float, ...]
    film_sha256: str | None
    hung: bool = False
    asked: int = 0
    kept: Path | None = None

    @property
    def all_died(self) -> bool:
        """Whether every death of the point took place."""
        return self.kills == len(self.point.deaths)


@dataclass(slots=True, kw_only=True)
class Play:
    """One point being played in a folder of its own."""

    stage: Stage
    point: Point
    folder: Path
    length_s: float
    launcher: tuple[str, ...] = ()
    kills: int = 0
    doubts: int = 0
    asked: int = 0
    accepted: list[int] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    wrecks: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """The storyboard's folder."""
        return self.folder / "out" / self.stage.name

    def run(self, film_sha256: str | None) -> Result:
        """Play it to its end and judge it."""
        began = time.monotonic()
        pid_file = self.folder / "client.pid"
        terms = TERMS[self.point.terms]
        rules = [death.rule() for death in self.point.deaths if isinstance(death, AtMoment)]
        rules += terms.rules
        script = {"client_pid_file": str(pid_file), "faults": rules}
        options = {"faults": parse_faults(script)} if rules else {}
        with provider(self.stage, terms, **options) as server:
            env = environment(
                terms,
                server.base_url,
                self.folder,
                # To the cent: money that a dead run keeps reserved would stop the next. One that
                # is broken is let pay twice, or this cap would be all that is tested.
                day_cap_usd=None if self.launcher else self.stage.price_at(terms),
            )
            deaths: Iterator[Death | None] = iter(self.point.deaths)
            code: int | None = -signal.SIGKILL
            while code == -signal.SIGKILL or self._is_told(code, server.record(), env):
                code = self._start(next(deaths, None), env, pid_file)
                if code == -signal.SIGKILL:
                    self.kills += 1
                    self.accepted.append(len(server.record()["tasks"]))
                    self._look_at_wreck(film_sha256)
            record = server.record()
        film = self.out / FILM_NAME
        evidence = Evidence(
            record=record,
            summary=read_json(self.out / SUMMARY_NAME),
            exit_code=code,
            film_sha256=file_sha256(film) if film.is_file() else None,
            kills=self.kills,
            wrecks=tuple(self.wrecks),
        )
        found = judge(
            evidence,
            shots=self.stage.shots,
            price_usd=self.stage.price_at(terms),
            film_sha256=film_sha256,
        )
        return Result(
            point=self.point,
            faults=tuple(found),
            kills=self.kills,
            doubts=self.doubts,
            accepted=tuple(self.accepted),
            seconds=time.monotonic() - began,
            starts_s=tuple(self.starts_s),
            film_sha256=evidence.film_sha256,
            hung=code is None,
            asked=self.asked,
        )

    def _is_told(self, code: int | None, record: Mapping[str, Any], env: dict[str, str]) -> bool:
        """Do as the person whom a doubt calls for: name the task that it made.

        Only where nothing but a person can know: the history shows no inputs, and with no other
        task of ours yet, the bill cannot show which key is ours.
        """
        if code != ExitCode.IN_DOUBT or TERMS[self.point.terms].echo:
            return False
        attempts = read_ledger(self.out, self.folder / "copy").attempts
        known = {each.task_id for each in attempts if each.task_id is not None}
        doubts = [each for each in attempts if each.state in DOUBTFUL]
        unknown = [task["id"] for task in record["tasks"] if task["id"] not in known]
        if known or len(doubts) != 1 or len(unknown) != 1:
            return False
        words = [sys.executable, "-m", "pipeline", "resolve", doubts[0].shot_id]
        words += [str(self.stage.manifest), "--out", str(self.folder / "out")]
        words += ["--provider", "wavespeed", "--adopt", unknown[0]]
        log = self.folder / "resolve.log"
        with log.open("wb") as output:
            subprocess.run(words, env=env, check=True, stdout=output, stderr=output, timeout=60)
        self.asked += 1
        return True

    def _start(self, death: Death | None, env: dict[str, str], pid_file: Path) -> int | None:
        """One life of the command; its exit code, or None where it had to be ended for hanging."""
        launcher = self.launcher
        if isinstance(death, AtWrite):
            launcher = (*launcher, "--kill-at", str(death.n), "--writes", death.which)
        words = command(
            [self.stage.manifest],
            self.folder / "out",
            max_cost=self.stage.price_at(TERMS[self.point.terms]),
            launcher=launcher,
            provider=TERMS[self.point.terms].provider,
        )
        log = self.folder / f"start{len(self.starts_s) + 1}.log"
        process = start(words, env, log)
        pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + START_LIMIT_S
        journal = self.out / JOURNAL_NAME
        while not journal.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        there = time.monotonic()
        if isinstance(death, AtRandom):
            _wait(process, death.share * self.length_s)
            process.kill()
        code = _wait(process, deadline - time.monotonic())
        self.starts_s.append(time.monotonic() - there)
        if code is None:
            process.kill()
            process.wait()
        return code

    def _look_at_wreck(self, film_sha256: str | None) -> None:
        """No file under its final name may be anything but what it should be, at any moment."""
        known = self.stage.clip_hashes()
        clips = sorted((self.out / CLIPS_FOLDER).glob("*.mp4"))
        self.wrecks += [
            f"{clip.name} was no whole clip at kill {self.kills}"
            for clip in clips
            if file_sha256(clip) not in known
        ]
        film = self.out / FILM_NAME
        if film_sha256 is not None and film.is_file() and file_sha256(film) != film_sha256:
            self.wrecks.append(f"there was another film at kill {self.kills}")
        attempts = read_ledger(self.out, self.folder / "copy").attempts
        self.doubts = max(self.doubts, sum(each.state in DOUBTFUL for each in attempts))


@dataclass(slots=True, kw_only=True)
class Loop:
    """Plays points in parallel, each against a sandbox of its own.

    ``folder`` holds what is being played and the leavings of points that failed; ``launcher``
    options, for a command that is broken on purpose; ``films`` the sha256 of an undisturbed film
    by provider, which a film names as its maker.
    """

    stage: Stage
    folder: Path
    workers: int
    launcher: tuple[str, ...] = ()
    lengths_s: dict[str, float] = field(default_factory=dict)
    films: dict[str, str | None] = field(default_factory=dict)
    hung_once: int = 0
    redrawn: int = 0

    @property
    def film_sha256(self) -> str | None:
        """Of the film on the usual terms; None before it is made."""
        return self.films.get(WIDE.provider)

    def prepare(self, terms: Iterable[str], *, copies: int | None = None) -> list[Result]:
        """Make the stage, and learn from undisturbed runs how long one is and what its film is.

        Args:
            copies: runs on each account, at the same time; None: as many as will be played so.
        Returns:
            The undisturbed runs' results; a fault in one of them makes the loop worthless.
        """
        self.stage.build()
        results = []
        for name in terms:
            undisturbed = [Point(terms=name, deaths=(), kind="undisturbed")]
            undisturbed *= copies or self.workers
            played = list(self.play_all(undisturbed))
            self.lengths_s[name] = statistics.median(one.starts_s[0] for one in played)
            self.films.setdefault(TERMS[name].provider, played[0].film_sha256)
            results += played
        return results

    def play_all(
        self, points: Sequence[Point], *, until_s: float | None = None
    ) -> Iterator[Result]:
        """Play them all, ``workers`` at a time, in order; results as they come.

        Args:
            until_s: on the monotonic clock; no point is begun after it.
        """
        with ThreadPoolExecutor(self.workers, thread_name_prefix="kill") as pool:
            waiting: list[Future[Result | None]] = [
                pool.submit(self._play_in_time, point, until_s) for point in points
            ]
            for future in waiting:
                result = future.result()
                if result is not None:
                    yield result

    def _play_in_time(self, point: Point, until_s: float | None) -> Result | None:
        if until_s is not None and time.monotonic() > until_s:
            return None
        return self.play(point)

    def play_writes(self, which: str, *, terms: str, most: int) -> Iterator[Result]:
        """Die at write 1, 2, ... until a run survives because it has no nth write.

        Raises:
            AssertionError: even the ``most``-th write was one to die at.
        """
        for first in range(1, most + 1, self.workers):
            numbers = range(first, first + self.workers)
            survived = False
            for result in self.play_all([write_point(which, n, terms=terms) for n in numbers]):
                survived = survived or result.kills == 0
                yield result
            if survived:
                return
        raise AssertionError(f"no run survived up to {which} write {most}")

    def play(self, point: Point) -> Result:
        """Play one point; one that hangs is played once more, for machines stall."""
        for _ in range(_REDRAWS):
            result = self._play_once(point)
            if result.hung:
                self.hung_once += 1
                result = self._play_once(point)
            if result.faults or result.all_died or not _is_random(point):
                return result
            self.redrawn += 1
            point = _earlier(point)
        return result

    def _play_once(self, point: Point) -> Result:
        folder = Path(tempfile.mkdtemp(prefix="point-", dir=self.folder))
        play = Play(
            stage=self.stage,
            point=point,
            folder=folder,
            length_s=self.lengths_s.get(point.terms, 0.0),
            launcher=self.launcher,
        )
        result = play.run(self.films.get(TERMS[point.terms].provider))
        if not result.faults:
            shutil.rmtree(folder)
        return result if not result.faults else _keep(result, folder)


def _is_random(point: Point) -> bool:
    return any(isinstance(death, AtRandom) for death in point.deaths)


def _earlier(point: Point) -> Point:
    """The same point with its random moments at half their time."""
    deaths = tuple(
        AtRandom(share=death.share / 2) if isinstance(death, AtRandom) else death
        for death in point.deaths
    )
    return Point(terms=point.terms, deaths=deaths, kind=point.kind)


def _keep(result: Result, folder: Path) -> Result:
    (folder / "verdict.txt").write_text("\n".join(map(str, [result.point, *result.faults])) + "\n")
    return replace(result, kept=folder)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        return None
