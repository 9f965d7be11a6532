"""The full kill loop, as a program that anybody can run.

    python tests/kill/soak.py --points 1000 --workers 2 --report FILE.json [--seed N]

``--points`` counts runs that are killed once: every exact moment of the protocol for each of 20
shots, the rest at random moments. After these come runs that are killed two or three times, a
death at every single write, and what can happen other than a death: signals, a second copy, full
disks. Exit code 1 if anything is not as it should be, or if less than what was asked for could be
played.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kill.incidents import (
    ANSWER_S,
    INCIDENTS,
    SMALL_FILES_BYTES,
    Incident,
    Setting,
    full_disk,
    may_mount,
    small_files,
)
from kill.loop import Loop, Result
from kill.points import exact_points, random_points
from kill.stage import TERMS, Stage
from kill.verdicts import FaultKind

SHOTS = 20
INCIDENT_SHOTS = 3
# Storyboards small enough to die at each write of: the journal's, and every file's and database's.
WRITES_SHOTS = {"journal": 5, "all": 2}
_MOST_WRITES = 2000
# How often each incident is played, and the most seconds that its figure may take: of the wall's
# clock where people wait for it, of the processor's where a loaded machine would be measured.
_TIMES = {
    "first Ctrl-C": (20, None, None),
    "second Ctrl-C": (20, 2.0, None),
    "Ctrl-C twice through make": (10, 2.0, None),
    "SIGTERM, nothing on the wire": (20, 5.0, None),
    "SIGTERM, a submission on the wire": (20, ANSWER_S + 2.0, None),
    "a second copy": (50, None, 1.0),
    "nothing left to do": (20, None, 1.0),
    "a storm of restarts": (20, None, None),
    "two storyboards at once": (20, None, None),
    "a server that dies": (20, None, None),
    "64 open files": (5, None, None),
}
# From a disk too small for the journal to one that holds the film.
_DISKS_KIB = range(8, 264, 8)
_INCIDENT_WORKERS = 4
_REPEATED = "two or three kills, random moments"
_FAILURES_SHOWN = 20


@dataclass(slots=True, kw_only=True)
class Phase:
    """The figures of one kind of points."""

    name: str
    wanted: int
    shots: int = SHOTS
    seconds: float = 0.0
    results: list[Result] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Counts only; see ``failures`` for the rest."""
        results = self.results
        faults = Counter(fault.kind for result in results for fault in result.faults)
        return {
            "name": self.name,
            "shots": self.shots,
            "wanted": self.wanted,
            "points": len(results),
            "failed": sum(bool(result.faults) for result in results),
            "kills": sum(result.kills for result in results),
            "kills_with_doubts": sum(result.doubts > 0 for result in results),
            "most_doubts": max((result.doubts for result in results), default=0),
            "a_person_was_asked": sum(result.asked for result in results),
            "by_terms": dict(Counter(result.point.terms for result in results)),
            "faults": {kind.value: faults[kind] for kind in FaultKind},
            "seconds": round(self.seconds, 1),
        }

    @property
    def is_whole(self) -> bool:
        """Whether all that was wanted was played, each with the deaths it names."""
        return len(self.results) >= self.wanted and all(
            result.all_died for result in self.results if not _is_survivor(result)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One kind of incident, played many times."""

    name: str
    wanted: int
    most_s: float | None
    most_cpu_s: float | None
    incidents: tuple[Incident, ...]

    def figures(self) -> dict[str, Any]:
        """Counts, the seconds of the slowest, and what was wrong."""
        seconds = sorted(one.seconds for one in self.incidents) or [0.0]
        cpu_s = max((one.cpu_s for one in self.incidents), default=0.0)
        wrong = sum(bool(one.faults) for one in self.incidents)
        late = self.most_s is not None and seconds[-1] > self.most_s
        dear = self.most_cpu_s is not None and cpu_s > self.most_cpu_s
        return {
            "name": self.name,
            "wanted": self.wanted,
            "played": len(self.incidents),
            "failed": wrong,
            "median_s": round(statistics.median(seconds), 3),
            "longest_s": round(seconds[-1], 3),
            "most_s": self.most_s,
            "longest_cpu_s": round(cpu_s, 3),
            "most_cpu_s": self.most_cpu_s,
            "passed": len(self.incidents) >= self.wanted and not (wrong or late or dear),
            "faults": [list(one.faults) for one in self.incidents if one.faults][:_FAILURES_SHOWN],
        }


@dataclass(slots=True, kw_only=True)
class Soak:
    """One run of the program."""

    options: argparse.Namespace
    folder: Path
    began_s: float = field(default_factory=time.monotonic)
    loops: list[Loop] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    incidents: list[Played] = field(default_factory=list)

    @property
    def workers(self) -> int:
        """Points played at the same time."""
        return int(self.options.workers)

    @property
    def until_s(self) -> float | None:
        """When nothing more is begun, on the monotonic clock."""
        minutes = self.options.minutes
        return None if minutes is None else self.began_s + minutes * 60

    def loop(self, shots: int) -> Loop:
        """A loop over a storyboard of so many shots."""
        folder = self.folder / f"{shots}-shots"
        (folder / "work").mkdir(parents=True)
        stage = Stage(folder=folder / "stage", shots=shots)
        self.loops.append(Loop(stage=stage, folder=folder / "work", workers=self.workers))
        return self.loops[-1]

    def play(self, phase: Phase, play: Callable[[], Iterable[Result]]) -> None:
        """Play one phase and say how it goes."""
        began = time.monotonic()
        self.phases.append(phase)
        for result in play():
            phase.results.append(result)
            phase.seconds = time.monotonic() - began
            if result.faults:
                _say(f"FAILED {result.point}: {'; '.join(map(str, result.faults))} {result.kept}")
            if len(phase.results) % 50 == 0:
                _say(f"{phase.name}: {len(phase.results)} of {phase.wanted}")
                self.save(complete=False)
        phase.seconds = time.monotonic() - began
        self.save(complete=False)

    def in_time(self) -> bool:
        """Whether another phase may begin."""
        return self.until_s is None or time.monotonic() < self.until_s

    def report(self, *, complete: bool) -> dict[str, Any]:
        """All figures so far; ``complete``: nothing more will come."""
        killed_once = [phase for phase in self.phases if phase.name.startswith("one kill")]
        results = [result for phase in self.phases for result in phase.results]
        failures = [result for result in results if result.faults]
        complete = complete and all(phase.is_whole for phase in self.phases)
        incidents = [played.figures() for played in self.incidents]
        faults = Counter(fault.kind for result in results for fault in result.faults)
        phases = [phase.figures() for phase in self.phases]
        return {
            "proof": "kill loop",
            "passed": complete and not failures and all(each["passed"] for each in incidents),
            "complete": complete,
            "seed": self.options.seed,
            "workers": self.workers,
            "seconds": round(time.monotonic() - self.began_s, 1),
            "machine": machine(),
            "killed_once": {
                "points": sum(len(phase.results) for phase in killed_once),
                "wanted": self.options.points,
                "failed": sum(bool(r.faults) for phase in killed_once for r in phase.results),
            },
            "runs": len(results),
            "kills": sum(result.kills for result in results),
            "faults": {kind.value: faults[kind] for kind in FaultKind},
            "hung_and_played_again": sum(loop.hung_once for loop in self.loops),
            "drawn_again": sum(loop.redrawn for loop in self.loops),
            "goals": goals_of(incidents, phases),
            "phases": phases,
            "incidents": incidents,
            "failures": [
                {
                    "point": str(result.point),
                    "faults": [str(fault) for fault in result.faults],
                    "kept": str(result.kept),
                }
                for result in failures[:_FAILURES_SHOWN]
            ],
        }

    def save(self, *, complete: bool) -> dict[str, Any]:
        """Write the report, so that a soak that is cut short leaves what it has found."""
        report = self.report(complete=complete)
        part = self.options.report.with_name(f"{self.options.report.name}.part")
        part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        part.replace(self.options.report)
        return report


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Play everything and return the report."""
    run = Soak(options=options, folder=folder)
    loop = run.loop(SHOTS)
    points = (exact_points(SHOTS) + exact_points(SHOTS, terms="runware"))[: options.points]
    chance = random_points(options.points - len(points), seed=options.seed, kills=1)
    repeated = random_points(options.repeated, seed=options.seed + 1)
    undisturbed = Phase(name="undisturbed", wanted=len(TERMS) * options.workers)
    run.play(undisturbed, lambda: loop.prepare(TERMS))
    if any(result.faults for result in undisturbed.results):
        # Nothing that follows could be judged by such runs.
        return run.save(complete=False)
    for name, drawn in (
        ("one kill, exact moment", points),
        ("one kill, random moment", chance),
        (_REPEATED, repeated),
    ):
        play = partial(loop.play_all, drawn, until_s=run.until_s)
        run.play(Phase(name=name, wanted=len(drawn)), play)
    for which, shots in WRITES_SHOTS.items() if options.writes else ():
        _play_writes(run, which, shots)
    if options.incidents:
        _play_incidents(run, options.seed, options.incidents)
    return run.save(complete=True)


def _play_writes(run: Soak, which: str, shots: int) -> None:
    phase = Phase(name=f"at each write: {which}", wanted=1, shots=shots)
    if not run.in_time():
        run.phases.append(phase)
        return
    loop = run.loop(shots)
    loop.prepare(["one lane"])
    run.play(phase, lambda: loop.play_writes(which, terms="one lane", most=_MOST_WRITES))


def _play_incidents(run: Soak, seed: int, at_most: int) -> None:
    """Every incident at random moments, then disks of every size."""
    loop = run.loop(INCIDENT_SHOTS)
    loop.prepare(["wide"], copies=1)
    chance = random.Random(seed)

    def play_all(
        name: str, plays: Sequence[Callable[[Setting], Incident]], most: tuple[float | None, ...]
    ) -> None:
        def play(one: Callable[[Setting], Incident]) -> Incident | None:
            if not run.in_time():
                return None
            folder = Path(tempfile.mkdtemp(prefix="incident-", dir=loop.folder))
            after_s = chance.uniform(0.0, 1.5)
            at = Setting(
                stage=loop.stage, folder=folder, film_sha256=loop.film_sha256, after_s=after_s
            )
            try:
                return one(at)
            except (OSError, subprocess.SubprocessError, TimeoutError) as exc:
                return Incident(faults=(f"{type(exc).__name__}: {exc}",))

        with ThreadPoolExecutor(min(run.workers, _INCIDENT_WORKERS)) as pool:
            incidents = tuple(one for one in pool.map(play, plays) if one is not None)
        played = Played(
            name=name,
            wanted=len(plays),
            most_s=most[0],
            most_cpu_s=most[1],
            incidents=incidents,
        )
        run.incidents.append(played)
        run.save(complete=False)
        _say(f"{name}: {played.figures()}")

    for name, (times, *most) in _TIMES.items():
        play_all(name, [INCIDENTS[name]] * min(times, at_most), tuple(most))
    small = [partial(small_files, limit_bytes=n) for n in SMALL_FILES_BYTES]
    play_all("files that cannot grow", small, (None, None))
    if may_mount(run.folder):
        disks = [partial(full_disk, size_kib=n, may_fit=True) for n in _DISKS_KIB]
        play_all("a full disk", disks, (None, None))
    else:
        _say("a full disk: left out, as it needs the right to mount")


# Each with what it asks for, and the incidents that show it.
_GOALS: dict[str, tuple[str, tuple[str, ...]]] = {
    "G6": (
        "no rate violation under kills and with two processes",
        ("a storm of restarts", "two storyboards at once"),
    ),
    "G12": (
        "second Ctrl-C to exit 2 s, SIGTERM 5 s, no doubt from one signal",
        (
            "first Ctrl-C",
            "second Ctrl-C",
            "Ctrl-C twice through make",
            "SIGTERM, nothing on the wire",
            "SIGTERM, a submission on the wire",
        ),
    ),
    "G13": ("second copy: exit 75 within 1 s, no request, 50 of 50", ("a second copy",)),
    "G17": ("finished film again: no request, within 1 s", ("nothing left to do",)),
}


# Each with what it asks for, how many points that are, and the phases that play them.
_KILL_GOALS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "G1": (
        "1,000 kill points: nothing billed twice, no paid clip lost, no violation, one film",
        1000,
        ("one kill, exact moment", "one kill, random moment"),
    ),
    "G2": ("200 runs killed two or three times: the same", 200, (_REPEATED,)),
}


def goals_of(
    incidents: Sequence[Mapping[str, Any]], phases: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each goal by its name: its figure, and whether it was reached; None where not all is played.

    G6 counts the violations in the provider's books of every run of the kill loop besides.

    Args:
        incidents: their figures.
        phases: likewise.
    """
    return [*_goals_of_kills(phases), *_goals_of_incidents(incidents, phases)]


def _goals_of_kills(phases: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for goal, (asks_for, least, names) in _KILL_GOALS.items():
        rows = [phase for phase in phases if phase["name"] in names]
        points = sum(row["points"] for row in rows)
        faults = Counter[str]()
        for row in rows:
            faults.update(row["faults"])
        counted = ", ".join(f"{kind} {faults[kind]}" for kind in FaultKind)
        yield {
            "goal": goal,
            "asks_for": asks_for,
            "figure": f"{points} runs: {counted}",
            "reached": None if points < least else not any(row["failed"] for row in rows),
        }


def _goals_of_incidents(
    incidents: Sequence[Mapping[str, Any]], phases: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    played = {one["name"]: one for one in incidents}
    violations = sum(phase["faults"][FaultKind.VIOLATION] for phase in phases)
    for goal, (asks_for, names) in _GOALS.items():
        rows = [played[name] for name in names if name in played]
        words = [
            f"{row['name']}: {row['played'] - row['failed']} of {row['wanted']}, longest "
            f"{row['longest_s']} s ({row['longest_cpu_s']} s of processor)"
            for row in rows
        ]
        reached = all(row["passed"] for row in rows) if len(rows) == len(names) else None
        if goal == "G6":
            words.insert(0, f"{violations} violations in killed runs")
            reached = None if reached is None else reached and not violations
        yield {"goal": goal, "asks_for": asks_for, "figure": "; ".join(words), "reached": reached}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpus": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _is_survivor(result: Result) -> bool:
    """A run that had no nth write to die at, which is how such a phase ends."""
    return result.point.kind.endswith("writes") and result.kills == 0


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--points", type=int, default=1000, help="runs that are killed once")
    parser.add_argument("--repeated", type=int, default=200, help="runs killed twice or more")
    parser.add_argument("--no-writes", dest="writes", action="store_false")
    parser.add_argument("--incidents", type=int, default=50, help="the most often to play each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="begin no point later than this")
    parser.add_argument("--report", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--keep", type=Path, help="where failed points are kept")
    options = parser.parse_args()
    base = options.keep
    if base is not None:
        base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="storyboard-kill-", dir=base))
    report = soak(options, folder)
    if not report["failures"]:
        shutil.rmtree(folder)
    _say(f"{report['killed_once']}, {report['faults']}")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
