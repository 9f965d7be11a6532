"""How much damage the checks of a clip find, and how often they cry wolf.

    python tests/verify/soak.py --clips 500 --workers 2 --report FILE.json

``--clips`` good ones of many makers, and as many damaged ones, as many of each kind. Each comes
from a server that states its length and MD5, from one that states nothing, and at last, after it
was checked, from the disk; those that are whole but black or frozen are looked at as for a film.
Exit code 1 if damage was missed where a checksum is stated or on the
disk, or if a good clip was refused anywhere. What decoding alone finds is measured and reported.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from verify.broken import BROKEN
from verify.checking import (
    FOR_THE_FILM,
    SOUND,
    UNSIGHTLY,
    Checks,
    Row,
    Server,
    check_damaged,
    check_good,
)
from verify.clips import Kind

# Where everything that is wrong must be found: the others can only be decoded.
_SURE = (Server.MD5.value, "at the join")
# So many clips show what a broken program misses.
_BROKEN_CLIPS = 10


def sure_ways(kind: str) -> tuple[str, ...]:
    """Where a kind of damage must be found."""
    return (FOR_THE_FILM,) if kind in UNSIGHTLY else _SURE


def play(job: tuple[int, str, str]) -> Row:
    """One clip: its number, ``good`` or a kind of damage, and the checks by name."""
    number, kind, program = job
    checks: Checks = BROKEN.get(program, SOUND)
    with tempfile.TemporaryDirectory(prefix="storyboard-verify-") as folder:
        if kind == "good":
            return check_good(number, Path(folder), checks)
        return check_damaged(number, Kind(kind), Path(folder), checks)


def jobs_of(clips: int, program: str = "") -> list[tuple[int, str, str]]:
    """So many good clips, and so many damaged ones, each kind in its turn."""
    kinds = [kind.value for kind in Kind]
    damaged = [(number, kinds[number % len(kinds)], program) for number in range(clips)]
    return [(number, "good", program) for number in range(clips)] + damaged


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Found and missed by kind and way; ``passed``: nothing missed where nothing may be."""
    damaged = [row for row in rows if row.kind != "good"]
    good = [row for row in rows if row.kind == "good"]
    table = []
    for kind in Kind:
        of_kind = [row for row in damaged if row.kind == kind.value]
        # None where a kind does not come by a way: an empty cell, where 0 would be a miss.
        found = {
            f"found_{way.replace(' ', '_')}": _refused(of_kind, way)
            if any(way in row.refused for row in of_kind)
            else None
            for way in (*_SURE, Server.NOTHING.value, FOR_THE_FILM)
        }
        table.append({"kind": kind.value, "clips": len(of_kind), **found})
    ways = [*(server.value for server in Server), "at the join", FOR_THE_FILM]
    alarms = {f"false_alarms_{way.replace(' ', '_')}": _refused(good, way) for way in ways}
    missed = sum(not row.refused[way] for row in damaged for way in sure_ways(row.kind))
    unsightly = [row for row in damaged if row.kind in UNSIGHTLY]
    return {
        "damaged_clips": len(damaged) - len(unsightly),
        "G19_found_with_checksum": _refused(damaged, Server.MD5.value),
        "G19_found_at_the_join": _refused(damaged, "at the join"),
        "found_without_checksum": _refused(damaged, Server.NOTHING.value),
        "black_or_frozen_clips": len(unsightly),
        "found_for_the_film": _refused(unsightly, FOR_THE_FILM),
        "good_clips": len(good),
        "G19_false_alarms": sum(alarms.values()),
        **alarms,
        "passed": bool(damaged) and bool(good) and not missed and not sum(alarms.values()),
        "by_kind": table,
        "missed": [
            {"clip": row.number, "kind": row.kind, "way": way}
            for row in damaged
            for way in sure_ways(row.kind)
            if not row.refused[way]
        ][:20],
        "refused_in_error": [
            {"clip": row.number, "way": way}
            for row in good
            for way, refused in row.refused.items()
            if refused
        ][:20],
    }


def _refused(rows: Iterable[Row], way: str) -> int:
    return sum(row.refused.get(way, False) for row in rows)


def soak(clips: int, workers: int) -> dict[str, Any]:
    """Check so many clips of each sort, then show that broken programs do not pass."""
    began_s = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        rows = []
        for row in pool.map(play, jobs_of(clips), chunksize=5):
            rows.append(row)
            if len(rows) % 100 == 0:
                sys.stderr.write(f"{len(rows)} of {2 * clips} clips\n")
                sys.stderr.flush()
        report = figures(rows)
        broken = []
        for program in BROKEN:
            few = min(clips, _BROKEN_CLIPS)
            of_program = figures(list(pool.map(play, jobs_of(few, program), chunksize=5)))
            broken.append({"broken_program": program, "caught": not of_program["passed"]})
    report["broken_programs"] = broken
    report["passed"] = report["passed"] and all(one["caught"] for one in broken)
    report["goals"] = [
        {
            "goal": "G19",
            "asks_for": "all of 500 damaged clips found, 0 false alarms in 500 good ones",
            "figure": (
                f"{report['G19_found_with_checksum']} of {report['damaged_clips']} with the "
                f"server's checksum, {report['found_without_checksum']} without, "
                f"{report['G19_found_at_the_join']} at the join; "
                f"{report['found_for_the_film']} of {report['black_or_frozen_clips']} black or "
                f"frozen ones; {report['G19_false_alarms']} "
                "false alarms"
            ),
            "reached": report["passed"],
        }
    ]
    report["seconds"] = round(time.monotonic() - began_s, 1)
    return report


def main() -> int:
    """Run, report, and say by the exit code whether all held."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clips", type=int, default=500, help="good ones, and damaged ones")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, required=True, metavar="FILE.json")
    options = parser.parse_args()
    report = soak(options.clips, options.workers)
    options.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.stderr.write(f"{report['goals'][0]['figure']}\n")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
