"""The full proof: thousands of spoilt answers, hundreds of runs among them, mutated manifests.

python tests/fuzz/soak.py --answers 20000 --runs 500 --manifests 2000 --workers 2 --report FILE.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz import runware
from fuzz.answers import take_samples
from fuzz.broken import BROKEN, BROKEN_RUNWARE
from fuzz.feeding import feed_values, feed_wire
from fuzz.manifests import fuzz_manifests
from fuzz.mutations import Answer
from fuzz.runs import run_fuzzed, sum_up

from pipeline.capabilities import RUNWARE, WAVESPEED

_CHUNK = 500
_RUNS_CHUNK = 10
# A broken program that survives so many runs would mean that the proof is blind.
_CAUGHT_WITHIN = 150
_SHOWN_BREACHES = 20
Job = tuple[int, int]


def main() -> int:
    """Run, report, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=2000, help="as values; a third as bytes too")
    parser.add_argument("--runs", type=int, default=50, help="whole runs with spoilt answers")
    parser.add_argument("--manifests", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", type=Path, metavar="FILE.json")
    args = parser.parse_args()
    began_s = time.monotonic()
    report: dict[str, Any] = {}
    samples, of_runware = take_samples(), runware.take_runware_samples()
    with ProcessPoolExecutor(args.workers) as pool:
        for name, part in (
            ("broken", lambda: _broken(pool, samples)),
            ("answers_as_values", lambda: _answers(pool, _values, samples, args.answers)),
            ("answers_as_bytes", lambda: _answers(pool, _wire, samples, args.answers // 3)),
            ("answers_of_runware", lambda: _answers(pool, _runware, of_runware, args.answers // 2)),
            ("broken_on_runware", lambda: _broken_on_runware(of_runware)),
            ("whole_runs", lambda: _runs(pool, _some_runs, args.runs)),
            ("whole_runs_on_runware", lambda: _runs(pool, _some_runware_runs, args.runs // 3)),
            ("manifests", lambda: _manifests(pool, args.manifests)),
        ):
            report[name] = part()
            report["wall_s"] = round(time.monotonic() - began_s, 1)
            if args.report is not None:
                args.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            for breach in report[name].get("breaches", []):
                sys.stderr.write(f"{name}: {breach}\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if any(isinstance(p, dict) and p["failures"] for p in report.values()) else 0


def _chunks(count: int, size: int) -> Iterator[Job]:
    for first in range(0, count, size):
        yield first, min(size, count - first)


def _answers(
    pool: ProcessPoolExecutor,
    feed: Callable[[tuple[list[Answer], Job]], tuple[dict[str, int], list[str]]],
    samples: list[Answer],
    count: int,
) -> dict[str, Any]:
    ended: Counter[str] = Counter()
    breaches: list[str] = []
    for counts, found in pool.map(feed, [(samples, job) for job in _chunks(count, _CHUNK)]):
        ended.update(counts)
        breaches += found
    kinds = {f"ended_{kind}": n for kind, n in sorted(_by_outcome(ended).items())}
    return {"answers": sum(ended.values()), **_verdict(breaches), **kinds}


def _by_outcome(ended: Counter[str]) -> Counter[str]:
    total: Counter[str] = Counter()
    for key, count in ended.items():
        total[key.partition(": ")[2]] += count
    return total


def _values(work: tuple[list[Answer], Job]) -> tuple[dict[str, int], list[str]]:
    return feed_values(work[0], *work[1])


def _wire(work: tuple[list[Answer], Job]) -> tuple[dict[str, int], list[str]]:
    return feed_wire(work[0], *work[1])


def _runware(work: tuple[list[Answer], Job]) -> tuple[dict[str, int], list[str]]:
    return runware.feed_runware(work[0], *work[1])


def _broken_on_runware(samples: list[Answer]) -> dict[str, Any]:
    """How often each broken reader is caught by single answers."""
    caught = {}
    for name, (dialect, word) in BROKEN_RUNWARE.items():
        _, breaches = runware.feed_runware(samples, 0, 500, dialect(RUNWARE))
        caught[f"{name}: caught among 500 answers"] = sum(word in breach for breach in breaches)
    return {**caught, "failures": sum(not count for count in caught.values())}


def _runs(
    pool: ProcessPoolExecutor, play: Callable[[Job], list[Any]], count: int
) -> dict[str, Any]:
    codes: Counter[str] = Counter()
    breaches: list[str] = []
    tallies = []
    tasks = 0
    for rows in pool.map(play, _chunks(count, _RUNS_CHUNK)):
        for run in rows:
            codes[f"exit_{None if run.code is None else int(run.code)}"] += 1
            tallies.append(run.tally)
            tasks += run.tasks
            breaches += [f"run {run.seed}: {breach}" for breach in run.breaches]
    figures = {"runs": count, "tasks_billed": tasks, **sum_up(tallies), **_sorted(codes)}
    return figures | _verdict(breaches)


def _some_runs(job: Job) -> list[Any]:
    return [run_fuzzed(seed) for seed in range(job[0], sum(job))]


def _some_runware_runs(job: Job) -> list[Any]:
    return [run_fuzzed(seed, provider="runware") for seed in range(job[0], sum(job))]


def _manifests(pool: ProcessPoolExecutor, count: int) -> dict[str, Any]:
    total: Counter[str] = Counter()
    breaches: list[str] = []
    slowest_s = 0.0
    for tally in pool.map(_some_manifests, _chunks(count, _CHUNK // 2)):
        for name in ("manifests", "refused", "findings", "through_the_command"):
            total[name] += getattr(tally, name)
        slowest_s = max(slowest_s, tally.slowest_cpu_s)
        breaches += tally.breaches
    return {**total, "slowest_cpu_s": round(slowest_s, 3), **_verdict(breaches)}


def _some_manifests(job: Job) -> Any:
    with tempfile.TemporaryDirectory(prefix="story-fuzz-") as folder:
        return fuzz_manifests(*job, Path(folder))


def _broken(pool: ProcessPoolExecutor, samples: list[Answer]) -> dict[str, Any]:
    """In how many runs each broken program is caught, and how often by single answers."""
    jobs = [(name, samples) for name in BROKEN]
    rows = dict(zip(BROKEN, pool.map(_one_broken, jobs), strict=True))
    figures: dict[str, Any] = {}
    for name, (at_run, among_answers) in rows.items():
        figures[f"{name}: caught at run"] = at_run
        figures[f"{name}: caught among 500 answers"] = among_answers
    missed = sum(
        at_run is None or (bool(BROKEN[name][1]) and not among_answers)
        for name, (at_run, among_answers) in rows.items()
    )
    return {**figures, "failures": missed}


def _one_broken(work: tuple[str, list[Answer]]) -> tuple[int | None, int]:
    dialect, word, verdict = BROKEN[work[0]]
    _, breaches = feed_values(work[1], 0, 500, dialect(WAVESPEED))
    caught = sum(word in breach for breach in breaches) if word else 0
    for seed in range(_CAUGHT_WITHIN):
        found = run_fuzzed(seed, dialect=dialect).breaches
        if any(breach.startswith(verdict) for breach in found):
            return seed, caught
    return None, caught


def _sorted(counts: Counter[str]) -> dict[str, int]:
    """The counts in the order of their names."""
    return dict(sorted(counts.items()))


def _verdict(breaches: list[str]) -> dict[str, Any]:
    return {"failures": len(breaches), "breaches": breaches[:_SHOWN_BREACHES]}


if __name__ == "__main__":
    sys.exit(main())
