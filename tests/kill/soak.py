"""The full kill loop, as a program that anybody can run.

    python tests/kill/soak.py --points 1000 --workers 2 --report FILE.json [--seed N]

``--points`` counts runs that are killed once: every exact moment of the protocol for each of 20
shots, the rest at random moments. After these come runs that are killed two or three times, and a
death at every single write. Exit code 1 if anything is not as it should be, or if less than what
was asked for could be played.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kill.loop import Loop, Result
from kill.points import exact_points, random_points
from kill.stage import TERMS, Stage
from kill.verdicts import FaultKind

SHOTS = 20
# Storyboards small enough to die at each write of: the journal's, and every file's and database's.
WRITES_SHOTS = {"journal": 5, "all": 2}
_MOST_WRITES = 2000
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


@dataclass(slots=True, kw_only=True)
class Soak:
    """One run of the program."""

    folder: Path
    workers: int
    until_s: float | None
    phases: list[Phase] = field(default_factory=list)

    def loop(self, shots: int) -> Loop:
        """A loop over a storyboard of so many shots."""
        folder = self.folder / f"{shots}-shots"
        (folder / "work").mkdir(parents=True)
        stage = Stage(folder=folder / "stage", shots=shots)
        return Loop(stage=stage, folder=folder / "work", workers=self.workers)

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
                _say(f"{phase.name}: {len(phase.results)} of {phase.wanted or '?'}")
        phase.seconds = time.monotonic() - began

    def in_time(self) -> bool:
        """Whether another phase may begin."""
        return self.until_s is None or time.monotonic() < self.until_s


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Play everything and return the report."""
    began = time.monotonic()
    until_s = began + options.minutes * 60 if options.minutes else None
    run = Soak(folder=folder, workers=options.workers, until_s=until_s)
    loop = run.loop(SHOTS)
    points = exact_points(SHOTS)[: options.points]
    chance = random_points(options.points - len(points), seed=options.seed, kills=1)
    run.play(
        Phase(name="undisturbed", wanted=len(TERMS) * options.workers), lambda: loop.prepare(TERMS)
    )
    if run.phases[0].figures()["failed"]:
        # Nothing that follows could be judged by such runs.
        return _report(run, loop, options, began)
    run.play(
        Phase(name="one kill, exact moment", wanted=len(points)),
        lambda: loop.play_all(points, until_s=until_s),
    )
    run.play(
        Phase(name="one kill, random moment", wanted=len(chance)),
        lambda: loop.play_all(chance, until_s=until_s),
    )
    repeated = random_points(options.repeated, seed=options.seed + 1)
    run.play(
        Phase(name="two or three kills, random moments", wanted=len(repeated)),
        lambda: loop.play_all(repeated, until_s=until_s),
    )
    for which, shots in WRITES_SHOTS.items() if options.writes else ():
        _play_writes(run, which, shots)
    return _report(run, loop, options, began)


def _play_writes(run: Soak, which: str, shots: int) -> None:
    phase = Phase(name=f"at each write: {which}", wanted=1, shots=shots)
    if not run.in_time():
        run.phases.append(phase)
        return
    loop = run.loop(shots)
    loop.prepare(["one lane"])
    run.play(phase, lambda: loop.play_writes(which, terms="one lane", most=_MOST_WRITES))


def _report(run: Soak, loop: Loop, options: argparse.Namespace, began: float) -> dict[str, Any]:
    killed_once = [phase for phase in run.phases if phase.name.startswith("one kill")]
    results = [result for phase in run.phases for result in phase.results]
    failures = [result for result in results if result.faults]
    whole = len(run.phases) > 1 and all(phase.is_whole for phase in run.phases)
    faults = Counter(fault.kind for result in results for fault in result.faults)
    return {
        "proof": "kill loop",
        "passed": whole and not failures,
        "complete": whole,
        "seed": options.seed,
        "workers": options.workers,
        "seconds": round(time.monotonic() - began, 1),
        "machine": machine(),
        "film_sha256": loop.film_sha256,
        "killed_once": {
            "points": sum(len(phase.results) for phase in killed_once),
            "wanted": options.points,
            "failed": sum(phase.figures()["failed"] for phase in killed_once),
        },
        "runs": len(results),
        "kills": sum(result.kills for result in results),
        "faults": {kind.value: faults[kind] for kind in FaultKind},
        "hung_and_played_again": loop.hung_once,
        "drawn_again": loop.redrawn,
        "phases": [phase.figures() for phase in run.phases],
        "failures": [
            {
                "point": str(result.point),
                "faults": [str(fault) for fault in result.faults],
                "kept": str(result.kept),
            }
            for result in failures[:_FAILURES_SHOWN]
        ],
    }


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
    options.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if not report["failures"]:
        shutil.rmtree(folder)
    _say(f"{report['killed_once']}, {report['faults']}")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
