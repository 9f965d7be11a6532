"""Caps and sums of money, proved over many runs that are disturbed and restarted.

    python tests/money/soak.py --runs 200 --workers 2 --report FILE.json [--replay SEED]

Each run is a production in the simulation with doubts, 429s and deaths; at the start of each life
``--max-cost``, ``budget`` or the day's cap lies below, at or above what is still needed. Exit code
1 if a cap was passed, a run was refused that fitted, or estimate, journal, report and bill differ.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from money.broken import BROKEN
from money.run import Cap, make_case, play

SHOTS = 20
# A broken program must be caught within so many runs.
MOST_SEEDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run: its limit, how it went, and what was wrong."""

    seed: int
    cap: str
    counts: Counter[str]
    breaches: tuple[str, ...]


def run_seed(job: tuple[int, int]) -> Row:
    """Play one seed with so many shots."""
    seed, shots = job
    case = play(make_case(seed, shots=shots))
    return Row(
        seed=seed,
        cap=case.cap.value,
        counts=Counter(
            tasks=case.tasks,
            deaths=case.deaths,
            finished=case.finished,
            refunds=case.refunds,
            reports=case.reports,
            gates=len(case.gated),
            refused=sum(gate.refused for gate in case.gated),
        ),
        breaches=tuple(case.breaches),
    )


def caught_at(name: str, shots: int = 6) -> int | None:
    """The first seed at which a broken program is found out; None if it never is."""
    gates, verdict = BROKEN[name]
    for seed in range(MOST_SEEDS):
        if any(
            breach.startswith(verdict)
            for breach in play(make_case(seed, shots=shots), gates).breaches
        ):
            return seed
    return None


def figures(rows: Sequence[Row], caught: dict[str, int | None]) -> dict[str, Any]:
    """Totals, and whether the goals were reached."""
    breaches = [breach for row in rows for breach in row.breaches]
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row.counts)
    over = sum(breach.startswith("OVER") for breach in breaches)
    differing = sum(breach.startswith(("ESTIMATE", "REPORT", "REFUND")) for breach in breaches)
    enough = bool(rows) and {row.cap for row in rows} == {cap.value for cap in Cap}
    return {
        "passed": enough and not breaches and None not in caught.values(),
        "runs": len(rows),
        "G8_runs_over_a_cap": over,
        "G7_sums_that_differ": differing,
        "refused_or_let_through_wrongly": sum(b.startswith("GATE") for b in breaches),
        "other_breaches": sum(
            not b.startswith(("OVER", "ESTIMATE", "REPORT", "REFUND", "GATE")) for b in breaches
        ),
        **total,
        "by_cap": [
            {"cap": cap.value, "runs": sum(row.cap == cap.value for row in rows)} for cap in Cap
        ],
        "broken_programs": [
            {"broken_program": name, "caught_at_seed": seed} for name, seed in caught.items()
        ],
        "failures": [
            {"seed": row.seed, "breaches": "; ".join(row.breaches)} for row in rows if row.breaches
        ][:20],
        "goals": [
            {
                "goal": "G7",
                "asks_for": "estimate = bill where finished, report = bill - refunds everywhere",
                "figure": f"{differing} differences in {total['finished']} finished storyboards, "
                f"{total['reports']} reports, {total['refunds']} refunds",
                "reached": enough and not differing,
            },
            {
                "goal": "G8",
                "asks_for": "no cap passed, also over restarts, in 200 runs",
                "figure": f"{over} over in {len(rows)} runs, {total['deaths']} lives killed",
                "reached": enough and not over,
            },
        ],
    }


def soak(runs: int, workers: int, shots: int = SHOTS) -> dict[str, Any]:
    """Play so many runs, and every broken program."""
    began_s = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        rows = list(pool.map(run_seed, [(seed, shots) for seed in range(runs)], chunksize=5))
        caught = dict(zip(BROKEN, pool.map(caught_at, BROKEN), strict=True))
    return figures(rows, caught) | {"seconds": round(time.monotonic() - began_s, 1)}


def main() -> int:
    """Run, report, and say by the exit code whether all held."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--shots", type=int, default=SHOTS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, metavar="FILE.json")
    parser.add_argument("--replay", type=int, metavar="SEED", help="one seed, all that is known")
    options = parser.parse_args()
    if options.replay is not None:
        row = run_seed((options.replay, options.shots))
        sys.stdout.write(f"{row}\n")
        return 1 if row.breaches else 0
    report = soak(options.runs, options.workers, options.shots)
    if options.report is not None:
        options.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for goal in report["goals"]:
        sys.stderr.write(f"{goal['goal']}: {goal['figure']}\n")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
