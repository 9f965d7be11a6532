"""The full proof: many seeds on every core, the figures into a report.

python tests/simulation/soak.py --seeds 10000 --workers 2 --report FILE.json
python tests/simulation/soak.py --replay 4711
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulation.broken import BROKEN
from simulation.clocks import faults_of_jumps
from simulation.figures import (
    DOUBT_FAULTS,
    ambiguous,
    blackout,
    killed_at,
    measure_polls,
    measure_rate,
)
from simulation.judge import judge
from simulation.run import Result, run_scenario
from simulation.scenario import random_scenario

from pipeline.errors import ExitCode

_CHUNK = 20
# Deaths at exact points stop where the life survives, and here at the latest.
_MOST_POINTS = 2000


def main() -> int:
    """Run, report, and say by the exit code whether every promise was kept."""
    args = _arguments()
    if args.replay is not None:
        return _replay(args.replay, args.shots, "runware" if args.runware else "wavespeed")
    began_s = time.monotonic()
    report: dict[str, Any] = {"goals": []}
    parts = (_deaths, _broken, _figures, _ambiguous, _ambiguous_on_runware, _seeds, _runware)
    for part in parts:
        report[part.__name__.strip("_")] = part(args)
        report["goals"] = _goals(report)
        report["wall_s"] = round(time.monotonic() - began_s, 1)
        if args.report is not None:
            args.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    failed = any(report[part.__name__.strip("_")].get("failures") for part in parts)
    return 1 if failed or not all(goal["reached"] for goal in report["goals"]) else 0


def _goals(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The goals that this proof shows, by their names, as far as they have been played."""
    goals = []
    if "figures" in report:
        rate = report["figures"]["rate_120_shots_at_60_a_minute"]
        polls = report["figures"]["polls"]
        goals += [
            {
                "goal": "G15",
                "asks_for": "120 shots at 60 a minute within 1.05 of the ideal time",
                "figure": f"{rate['span_s'] / rate['ideal_s']:.3f} of it, "
                f"{rate['used_share']:.1%} of the allowance used",
                "reached": rate["span_s"] <= 1.05 * rate["ideal_s"],
            },
            {
                "goal": "G18",
                "asks_for": "looks at a task never closer than the interval, one after its end",
                "figure": f"{polls['violations']} violations, {polls['polls']} looks where "
                f"{polls['fair_polls']:.0f} are fair",
                "reached": not polls["violations"] and polls["polls"] <= 1.3 * polls["fair_polls"],
            },
        ]
    if "ambiguous" in report:
        unclear = report["ambiguous"]
        goals.append(
            {
                "goal": "G3",
                "asks_for": "unclear answers of every kind at 30 %, 20 seeds of 20 shots each: one "
                "task a shot; none sent again without a history",
                "figure": f"{unclear['failures']} of {unclear['run']} runs failed, "
                f"{unclear['shots']} tasks for {20 * unclear['run']} shots",
                "reached": not unclear["failures"],
            }
        )
    if "seeds" in report:
        seeds = report["seeds"]
        rates = seeds["over_a_limit"]
        goals += [
            {
                "goal": "G5",
                "asks_for": "10,000 seeds without a broken promise",
                "figure": f"{seeds['failures']} of {seeds['run']} seeds failed",
                "reached": not seeds["failures"],
            },
            {
                "goal": "G6",
                "asks_for": "no submission over the limit, under deaths and with two processes",
                "figure": f"{rates} of {seeds['run']} seeds over a limit",
                "reached": not rates,
            },
        ]
    return goals


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--shots", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", type=Path, metavar="FILE.json")
    parser.add_argument("--replay", type=int, metavar="SEED", help="one seed, every event shown")
    parser.add_argument("--runware", action="store_true", help="replay it on runware")
    return parser.parse_args()


def _replay(seed: int, shots: int, provider: str) -> int:
    scenario = random_scenario(seed, shots=shots, provider=provider)
    result = run_scenario(scenario, judge=judge, keep_lines=True)
    for line in result.lines or []:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{result.scenario}\n")
    for ended in result.ended:
        sys.stdout.write(f"{ended}\n")
    for breach in result.breaches:
        sys.stdout.write(f"BREACH {breach}\n")
    return 1 if result.breaches else 0


def _seeds(args: argparse.Namespace) -> dict[str, Any]:
    """Random worlds: the figures that the report quotes."""
    return _worlds(args, "wavespeed", args.seeds)


def _runware(args: argparse.Namespace) -> dict[str, Any]:
    """The same where the ids of tasks are ours to choose, and nobody keeps a history."""
    return _worlds(args, "runware", max(1, args.seeds // 5))


def _worlds(args: argparse.Namespace, provider: str, seeds: int) -> dict[str, Any]:
    last = args.first + seeds
    chunks = [
        (first, min(first + _CHUNK, last), args.shots, provider)
        for first in range(args.first, last, _CHUNK)
    ]
    total: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    cpu_s = 0.0
    with ProcessPoolExecutor(args.workers) as pool:
        for done, rows in enumerate(pool.map(_chunk, chunks), start=1):
            for row in rows:
                cpu_s += row["cpu_s"]
                total.update(row["counts"])
                codes.update(row["codes"])
                if row["breaches"]:
                    failures.append({"seed": row["seed"], "breaches": row["breaches"]})
                    words = f"seed {row['seed']}: {row['breaches'][0]}\n"
                    again = f"  again: {sys.argv[0]} --replay {row['seed']} --shots {args.shots}"
                    again += " --runware\n" if provider == "runware" else "\n"
                    sys.stderr.write(words + again)
            if done % 25 == 0:
                sys.stderr.write(f"{min(done * _CHUNK, seeds)} seeds on {provider}\n")
    return {
        "run": seeds,
        "shots": args.shots,
        "failures": len(failures),
        "over_a_limit": sum(
            any(breach.startswith("LIMIT") for breach in failure["breaches"])
            for failure in failures
        ),
        "failed": failures[:50],
        "cpu_s_per_seed": round(cpu_s / max(seeds, 1), 3),
        "totals": dict(total),
        "last_exit_codes": dict(codes),
    }


def _chunk(chunk: tuple[int, int, int, str]) -> list[dict[str, Any]]:
    first, last, shots, provider = chunk
    return [
        _row(seed, run_scenario(random_scenario(seed, shots=shots, provider=provider), judge=judge))
        for seed in range(first, last)
    ]


def _row(seed: int, result: Result) -> dict[str, Any]:
    world, ended = result.world, result.ended
    return {
        "seed": seed,
        "breaches": result.breaches,
        "cpu_s": result.cpu_s,
        "counts": {
            "lives": len({one.life for one in ended}),
            "killed": sum(one.code is None for one in ended),
            "tasks": len(world.ours),
            "submissions": len(world.arrivals_s),
            "answers_lost_after_acceptance": world.lost_answers,
            "faults": world.faults_played,
            "requests": world.requests,
            "virtual_hours": result.virtual_s / 3600,
        },
        "codes": Counter(str(int(one.code)) for one in ended if one.calm and one.code is not None),
    }


def _ambiguous(args: argparse.Namespace) -> dict[str, Any]:
    """Every kind of unclear answer at 30 % of the submissions, 20 shots, 20 seeds."""
    jobs = [(fault, seed) for fault in DOUBT_FAULTS for seed in range(20)]
    failures = []
    shots = 0
    with ProcessPoolExecutor(args.workers) as pool:
        for job, (breaches, tasks) in zip(
            jobs, pool.map(_ambiguous_job, jobs, chunksize=10), strict=True
        ):
            shots += tasks
            if breaches:
                failures.append({"fault": job[0], "seed": job[1], "breaches": breaches})
    return {
        "run": len(jobs),
        "shots": shots,
        "failures": len(failures),
        "failed": failures[:20],
    }


def _ambiguous_job(job: tuple[str, int]) -> tuple[list[str], int]:
    fault, seed = job
    with_history = ambiguous(fault, 0.3, seed)
    breaches = list(with_history.breaches)
    if with_history.ended[-1].code != 0:
        breaches.append("a person is needed")
    if len(with_history.world.ours) != 20:
        breaches.append(f"{len(with_history.world.ours)} tasks for 20 shots")
    blind = ambiguous(fault, 0.3, seed, history=False)
    breaches += blind.breaches
    sent = Counter(blind.world.asked_for)
    if "429" not in fault and max(sent.values()) > 1:
        breaches.append("sent again without a history")
    return breaches, len(with_history.world.ours)


def _ambiguous_on_runware(args: argparse.Namespace) -> dict[str, Any]:
    """The same where a lost answer is asked for by our own id: 20 shots, 20 seeds of each kind.

    An answer that stays unclear five times over is left to a later run, which is no failure.
    """
    jobs = [(fault, seed) for fault in DOUBT_FAULTS for seed in range(20)]
    total: Counter[str] = Counter()
    failures = []
    with ProcessPoolExecutor(args.workers) as pool:
        rows = pool.map(_ambiguous_runware_job, jobs, chunksize=10)
        for job, (breaches, counts) in zip(jobs, rows, strict=True):
            total.update(counts)
            if breaches:
                failures.append({"fault": job[0], "seed": job[1], "breaches": breaches})
    return {"run": len(jobs), **total, "failures": len(failures), "failed": failures[:20]}


def _ambiguous_runware_job(job: tuple[str, int]) -> tuple[list[str], dict[str, int]]:
    fault, seed = job
    result = ambiguous(fault, 0.3, seed, provider="runware")
    world, code = result.world, result.ended[-1].code
    breaches = list(result.breaches)
    if code not in {ExitCode.DONE, ExitCode.IN_DOUBT}:
        breaches.append(f"ends with {code!r}")
    if code is ExitCode.DONE and len(world.ours) != 20:
        breaches.append(f"{len(world.ours)} tasks for 20 shots")
    return breaches, {
        "shots": 20,
        "unclear_answers": world.faults_played,
        "submissions": len(world.arrivals_s),
        "tasks": len(world.ours),
        "left_to_a_later_run": int(code is ExitCode.IN_DOUBT),
    }


def _deaths(args: argparse.Namespace) -> dict[str, Any]:
    """A death at the first point, the second, the third ... until a life survives."""
    failures = []
    points = 0
    with ProcessPoolExecutor(args.workers) as pool:
        ticks: Iterator[int] = iter(range(1, _MOST_POINTS))
        survived = False
        while not survived and (some := list(islice(ticks, 40))):
            for tick, (breaches, died) in zip(some, pool.map(_death_job, some), strict=True):
                survived = survived or not died
                points += died
                if breaches:
                    failures.append({"tick": tick, "breaches": breaches})
    return {"run": points, "failures": len(failures), "failed": failures[:20]}


def _death_job(tick: int) -> tuple[list[str], bool]:
    result = killed_at(tick)
    breaches = list(result.breaches)
    if len(result.world.ours) != 3 or result.ended[-1].code != 0:
        breaches.append(f"{len(result.world.ours)} tasks, exit {result.ended[-1].code!r}")
    return breaches, result.ended[0].code is None


def _broken(args: argparse.Namespace) -> dict[str, Any]:
    """How many seeds each broken program survives; all of these would be a failure."""
    with ProcessPoolExecutor(args.workers) as pool:
        caught = dict(zip(BROKEN, pool.map(_broken_job, BROKEN), strict=True))
    return {"caught_at_seed": caught, "failures": sum(at is None for at in caught.values())}


def _broken_job(name: str) -> int | None:
    parts, verdict = BROKEN[name]
    for seed in range(100):
        result = run_scenario(random_scenario(seed), parts=parts, judge=judge)
        if any(breach.startswith(verdict) for breach in result.breaches):
            return seed
    return None


def _figures(_: argparse.Namespace) -> dict[str, Any]:
    """What a run is like where nothing goes wrong, or one thing."""
    dark = blackout()
    jumps, wrong_after_jumps = faults_of_jumps()
    return {
        "clock_jumps_of_a_day": {"played": jumps, "wrong": len(wrong_after_jumps)},
        "rate_120_shots_at_60_a_minute": asdict(measure_rate()),
        "rate_300_shots_at_60_a_minute": asdict(measure_rate(shots=300)),
        "rate_20_shots_at_2_a_minute": asdict(measure_rate(shots=20, starts=2)),
        "polls": asdict(measure_polls()),
        "blackout": {
            "tasks": len(dark.world.ours),
            "exit": int(dark.ended[0].code or 0),
        },
        "failures": len(dark.breaches) + len(wrong_after_jumps),
    }


if __name__ == "__main__":
    sys.exit(main())
