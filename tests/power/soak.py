"""Power cuts in full: several recorded runs, every moment looked at, hundreds recovered from.

    tests/power/soak.py --prefixes 200 --workers 2 --report FILE.json

``--prefixes``: moments that are recovered from, each with all three losses. ``--twice``: runs in
which the power goes again while the first cut is being recovered from.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kill.stage import Stage
from kill.verdicts import FaultKind
from power.disk import Loss
from power.launcher import BREAKS
from power.proof import Bench, Cut, Result, cut_points, cuts_at, make_bench
from power.recording import build_recorder, find_place, why_not

SHOTS = 3
# Each recording went another way, as threads and answers fell.
_PREFIXES_EACH = 50
# Draws of what is lost by chance, for each moment that is only looked at.
_DRAWS = 5
_FAILURES_SHOWN = 20
_SAY_EVERY = 50


@dataclass(slots=True, kw_only=True)
class Soak:
    """One run of the program; ``wanted`` recoveries, of both kinds."""

    options: argparse.Namespace
    folder: Path
    stage: Stage
    recorder: Path
    wanted: int
    began_s: float = field(default_factory=time.monotonic)
    recordings: list[dict[str, Any]] = field(default_factory=list)
    inspected: list[Result] = field(default_factory=list)
    recovered: list[Result] = field(default_factory=list)
    twice: list[Result] = field(default_factory=list)
    broken: list[dict[str, Any]] = field(default_factory=list)

    def bench(self, name: str, *, broken: str = "", film_sha256: str | None = None) -> Bench:
        """Record another run."""
        place = find_place(self.folder / name)
        return make_bench(self.stage, place, self.recorder, broken=broken, film_sha256=film_sha256)

    def play(self, number: int, prefixes: int, twice: int, film_sha256: str) -> None:
        """One recording, looked at everywhere and recovered from at its share of the moments."""
        seed = self.options.seed + 10_000 * number
        bench = self.bench(f"recording{number}", film_sha256=film_sha256)
        calls = range(len(bench.recording.calls) + 1)
        self.recordings.append(
            {
                "recording": number,
                "calls": len(bench.recording.calls),
                "books": len(bench.recording.books),
            }
        )
        for draw in range(_DRAWS):
            every = cuts_at(calls, seed=seed + 1000 * draw)
            self.inspected += map(
                bench.inspect, every if draw == 0 else [c for c in every if c.loss is Loss.SOME]
            )
        for cut in cuts_at(cut_points(bench.recording, prefixes, seed=seed), seed=seed):
            self.note(self.recovered, bench.recover(cut))
        chance = random.Random(seed)
        for _ in range(twice):
            first = Cut(calls=chance.choice(calls), loss=_loss(chance), seed=chance.randrange(9999))
            second = Cut(calls=chance.randrange(1001), loss=_loss(chance), seed=first.seed + 1)
            self.note(self.twice, bench.recover(first, second))
        shutil.rmtree(bench.place.folder)

    def note(self, results: list[Result], result: Result) -> None:
        """Keep a result and say how it goes."""
        results.append(result)
        if result.faults:
            _say(f"FAILED {result}")
        done = len(self.recovered) + len(self.twice)
        if done % _SAY_EVERY == 0:
            _say(f"{done} of {self.wanted} recovered from")
            self.save()

    def break_all(self, film_sha256: str) -> None:
        """See that each careless command is found out."""
        for name in sorted(BREAKS):
            bench = self.bench(name, broken=name, film_sha256=film_sha256)
            every = cuts_at(range(len(bench.recording.calls) + 1), seed=self.options.seed)
            faulty = [result for result in map(bench.inspect, every) if result.faults]
            kinds = Counter(fault.kind for result in faulty for fault in result.faults)
            self.broken.append(
                {
                    "broken": name,
                    "cuts": len(every),
                    "found_out": len(faulty),
                    "as": ", ".join(sorted(kinds)),
                }
            )

    def report(self) -> dict[str, Any]:
        """All figures so far."""
        results = [*self.recovered, *self.twice]
        failures = [result for result in (*self.inspected, *results) if result.faults]
        faults = Counter(fault.kind for result in failures for fault in result.faults)
        moments = {(r.cuts[0].calls, r.cuts[0].seed) for r in self.recovered}
        complete = len(results) >= self.wanted and len(self.broken) == len(BREAKS)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "proof": "power loss",
            "passed": complete
            and not failures
            and all(each["found_out"] for each in self.broken)
            and any(result.unread for result in self.recovered),
            "complete": complete,
            "seed": self.options.seed,
            "workers": self.options.workers,
            "seconds": round(time.monotonic() - self.began_s, 1),
            "cpu_s_of_commands": round(usage.ru_utime + usage.ru_stime, 1),
            "prefixes": len(moments),
            "recovered_from": len(self.recovered),
            "cut_twice": len(self.twice),
            "only_looked_at": len(self.inspected),
            "failed": len(failures),
            "most_paid_and_unanswered": max((result.unread for result in results), default=0),
            "faults": {kind.value: faults[kind] for kind in FaultKind},
            "losses": [_by_loss(loss, self.recovered) for loss in Loss],
            "recordings": self.recordings,
            "broken_on_purpose": self.broken,
            "failures": [{"run": str(result)} for result in failures[:_FAILURES_SHOWN]],
        }

    def save(self) -> dict[str, Any]:
        """Write the report, so that a soak that is cut short leaves what it has found."""
        report = self.report()
        target: Path = self.options.report
        part = target.with_name(f"{target.name}.part")
        part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        part.replace(target)
        return report


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Play everything and return the report."""
    stage = Stage(folder=folder / "stage", shots=SHOTS)
    stage.build()
    shares = list(_shares(options.prefixes, _PREFIXES_EACH))
    twice = [len(range(n, options.twice, len(shares))) for n in range(len(shares))]
    run = Soak(
        options=options,
        folder=folder,
        stage=stage,
        recorder=build_recorder(folder),
        wanted=options.prefixes * len(Loss) + options.twice,
    )
    first = run.bench("first")
    assert first.film_sha256 is not None
    play = partial(run.play, film_sha256=first.film_sha256)
    with ThreadPoolExecutor(options.workers, thread_name_prefix="power") as pool:
        list(pool.map(play, range(len(shares)), shares, twice))
    run.break_all(first.film_sha256)
    return run.save()


def _shares(total: int, each: int) -> Iterable[int]:
    for done in range(0, total, each):
        yield min(each, total - done)


def _by_loss(loss: Loss, results: Sequence[Result]) -> dict[str, Any]:
    chosen = [result for result in results if result.cuts[0].loss is loss]
    return {
        "loss": loss.value,
        "cuts": len(chosen),
        "with_paid_tasks": sum(result.bought > 0 for result in chosen),
        "with_unanswered_paid_tasks": sum(result.unread > 0 for result in chosen),
        "failed": sum(bool(result.faults) for result in chosen),
    }


def _loss(chance: random.Random) -> Loss:
    return chance.choice(list(Loss))


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--prefixes", type=int, default=200, help="moments to recover from")
    parser.add_argument("--twice", type=int, default=40, help="runs cut a second time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--keep", type=Path, help="where failed runs are kept")
    options = parser.parse_args()
    if reason := why_not():
        _say(reason)
        return 1
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="storyboard-power-", dir=options.keep))
    report = soak(options, folder)
    if not report["failures"]:
        shutil.rmtree(folder)
    _say(f"{report['prefixes']} prefixes, {report['failed']} failed")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
