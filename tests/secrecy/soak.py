"""The full proof: the whole fault catalogue with a canary for a key, and the hostile addresses.

python tests/secrecy/soak.py --workers 2 --report FILE.json
python tests/secrecy/soak.py --only "http_401 on submit"
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from secrecy.broken import BROKEN, broken_play, is_caught
from secrecy.hostile import REMOTE, Listener, local_addresses, visit_all
from secrecy.plays import Play, every_play, hostile_urls_play
from secrecy.scan import forms_of
from secrecy.stage import Evidence, run_play

_SHOWN_BREACHES = 20


def main() -> int:
    """Play, scan, report, and say by the exit code whether the key stayed where it belongs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=int, default=1, help="of the plays, every how many-th")
    parser.add_argument("--only", metavar="TEXT", help="plays whose name holds it")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", type=Path, metavar="FILE.json")
    args = parser.parse_args()
    began_s = time.monotonic()
    report: dict[str, Any] = {}
    plays = [play for play in every_play()[:: args.share] if (args.only or "") in play.name]
    with ThreadPoolExecutor(args.workers) as pool:
        for name, part in (
            ("broken", lambda: _broken(pool)),
            ("hostile_addresses", _hostile_addresses),
            ("catalogue", lambda: _catalogue(pool, plays)),
        ):
            report[name] = part()
            report["wall_s"] = round(time.monotonic() - began_s, 1)
            if args.report is not None:
                args.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if any(isinstance(p, dict) and p["failures"] for p in report.values()) else 0


def _catalogue(pool: ThreadPoolExecutor, plays: Sequence[Play]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    breaches: list[str] = []
    for evidence in pool.map(_told, plays):
        total["runs"] += 1
        total["faults_played"] += evidence.faults_played
        total["places_scanned"] += len(evidence.places)
        total["bytes_scanned"] += sum(map(len, evidence.places.values()))
        total["child_starts_recorded"] += evidence.child_starts
        total["stopped_as_they_waited"] += evidence.was_stopped
        total["looks_into_proc"] += evidence.process_looks
        codes[f"exit_{evidence.exit_code}"] += 1
        breaches += [f"{evidence.play.name}: {breach}" for breach in evidence.breaches]
    forms = {"forms_of_the_key": len(forms_of("x" * 26))}
    return {**total, **forms, **dict(sorted(codes.items())), **_verdict(breaches)}


def _told(play: Play) -> Evidence:
    evidence = run_play(play)
    for breach in evidence.breaches:
        sys.stderr.write(f"{play.name} (exit {evidence.exit_code}): {breach}\n")
    return evidence


def _hostile_addresses() -> dict[str, Any]:
    breaches = [f"{place} {verdict}" for place, verdict in visit_all().items()]
    with Listener() as listener:
        evidence = run_play(hostile_urls_play(listener.port))
        count = len(local_addresses(listener.port))
    if listener.visitors:
        breaches.append(f"{listener.visitors} connections to the canary")
    if evidence.exit_code != 1 or evidence.faults_played < count:
        breaches.append(f"exit {evidence.exit_code}, {evidence.faults_played} of {count} told")
    return {
        "addresses_for_a_provider_elsewhere": len(REMOTE),
        "of_them_by_redirect_too": len(REMOTE),
        "addresses_for_a_local_provider": count,
        "connections_to_the_canary": listener.visitors,
        **_verdict(breaches + evidence.breaches),
    }


def _broken(pool: ThreadPoolExecutor) -> dict[str, Any]:
    evidence = pool.map(run_play, [broken_play(name) for name in BROKEN])
    caught = {name: is_caught(name, each) for name, each in zip(BROKEN, evidence, strict=True)}
    return {**caught, "failures": sum(not found for found in caught.values())}


def _verdict(breaches: list[str]) -> dict[str, Any]:
    return {"failures": len(breaches), "breaches": breaches[:_SHOWN_BREACHES]}


if __name__ == "__main__":
    sys.exit(main())
