"""``make soak``: every proof in full, one after the other, and one report of what came out.

A proof is a program ``tests/<name>/soak.py`` that takes ``--workers N --report FILE.json``, writes
its figures there and ends with 0 only if all that it asked for held. Proofs that fail, or do not
come to their end, stand in the report as failed, and the exit code is 1. Where only some are
named, the others stay in the report as they were, each with the commit that it was run on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# How much of each proof is the full one; others are run as they come.
_FULL = {
    "film": {"--clips": 50, "--cases": 30, "--checked": 200},
    "fuzz": {"--answers": 20_000, "--runs": 500, "--manifests": 2_000},
    "kill": {"--points": 1000, "--repeated": 200, "--incidents": 50},
    "money": {"--runs": 200},
    "power": {"--prefixes": 200, "--twice": 40},
    "simulation": {"--seeds": 10_000},
    "verify": {"--clips": 500},
}
_LAST_LINES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one proof went; ``figures`` as the proof wrote them, None where it wrote none."""

    name: str
    command: str
    exit_code: int
    seconds: float
    figures: Mapping[str, Any] | None
    last_words: str

    @property
    def passed(self) -> bool:
        """Whether it ran to its end and found nothing."""
        return self.exit_code == 0 and self.figures is not None


def find_proofs(names: Sequence[str]) -> list[Path]:
    """The programs to run: those named, or all."""
    found = {path.parent.name: path for path in sorted((ROOT / "tests").glob("*/soak.py"))}
    missing = [name for name in names if name not in found]
    if missing:
        raise SystemExit(f"no proof {missing[0]}; there are {', '.join(found)}")
    return [path for name, path in found.items() if not names or name in names]


def run_proof(program: Path, *, workers: int, share: float, folder: Path) -> Outcome:
    """Run one proof, its words passed on as they come."""
    name = program.parent.name
    report = folder / f"{name}.json"
    words = [str(program.relative_to(ROOT))]
    for option, amount in _FULL.get(name, {}).items():
        words += [option, str(max(1, round(amount * share)))]
    words += ["--workers", str(workers), "--report"]
    sys.stderr.write(f"\n{name}: {' '.join(words)} FILE\n")
    began = time.monotonic()
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, *words, str(report)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stderr or ():
            sys.stderr.write(line)
            lines = [*lines, line.rstrip()][-_LAST_LINES:]
    return Outcome(
        name=name,
        command=" ".join(["python", *words, "FILE"]),
        exit_code=process.returncode,
        seconds=time.monotonic() - began,
        figures=_read(report),
        last_words="\n".join(lines),
    )


def build_report(
    outcomes: Sequence[Outcome],
    *,
    wanted: Sequence[str],
    began: datetime,
    share: float,
    earlier: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything as data.

    Args:
        wanted: names of the proofs that there should be.
        earlier: the entries of a former report; those of proofs that were run again are dropped.
    """
    entries = {entry["name"]: dict(entry) for entry in earlier if entry["name"] in wanted}
    commit, machine = _commit(), _machine()
    for outcome in outcomes:
        entries[outcome.name] = {
            "name": outcome.name,
            "passed": outcome.passed,
            "commit": commit,
            "began": began.isoformat(timespec="seconds"),
            "share_of_the_full_proof": share,
            "seconds": round(outcome.seconds, 1),
            "command": outcome.command,
            "exit_code": outcome.exit_code,
            "machine": machine,
            "figures": outcome.figures,
            "last_words": "" if outcome.passed else outcome.last_words,
        }
    missing = [name for name in wanted if name not in entries]
    proofs = [entries[name] for name in sorted(entries)]
    is_full = all(entry["share_of_the_full_proof"] >= 1 for entry in proofs)
    return {
        "passed": not missing and is_full and all(entry["passed"] for entry in proofs),
        "not_run": missing,
        "proofs": proofs,
    }


def build_text(report: Mapping[str, Any]) -> str:
    """The same for people, as Markdown."""
    lines = [
        "# Soak report",
        "",
        "Made by `make soak`; the same figures as data are in `soak-report.json`.",
        "",
        f"**{_verdict(report['passed'])}**",
    ]
    if report["not_run"]:
        lines += ["", f"Not run: {', '.join(report['not_run'])}."]
    lines += ["", "| proof | verdict | of the full proof | commit | began | time |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [
        f"| {p['name']} | {_verdict(p['passed'])} | {p['share_of_the_full_proof']:.0%} "
        f"| {p['commit']} | {p['began']} | {_minutes(p)} |"
        for p in report["proofs"]
    ]
    for text in dict.fromkeys(_machine_text(p["machine"]) for p in report["proofs"]):
        lines += ["", text]
    for proof in report["proofs"]:
        lines += ["", f"## {proof['name']}: {_verdict(proof['passed'])}", ""]
        lines += [f"`{proof['command']}`", ""]
        if proof["figures"] is None:
            lines += ["It wrote no figures."]
        else:
            lines += _figures(proof["figures"])
        if proof["last_words"]:
            lines += ["", "Its last words:", "", "```text", proof["last_words"], "```"]
    return "\n".join(lines) + "\n"


def _figures(figures: Mapping[str, Any]) -> list[str]:
    """Plain values first, then each group or list of groups as a table of its own."""
    plain = dict(_plain(figures))
    lines = _table(["figure", "value"], [[name, value] for name, value in plain.items()])
    for name, value in figures.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            columns = [key for key in value[0] if not isinstance(value[0][key], dict | list)]
            rows = [[row.get(column) for column in columns] for row in value]
            lines += ["", f"### {_title(name)}", "", *_table(columns, rows)]
        elif isinstance(value, dict):
            rows = [[key, inner] for key, inner in _plain(value)]
            lines += ["", f"### {_title(name)}", "", *_table(["figure", "value"], rows)]
    return lines


def _plain(group: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in group.items():
        if not isinstance(value, dict | list):
            yield name, value


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    if not rows:
        return []
    head = [_title(column) for column in columns]
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(_cell(value) for value in row)} |" for row in rows),
    ]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return str(value).replace("|", "/").replace("\n", " ")


def _title(name: str) -> str:
    return name.replace("_", " ")


def _verdict(passed: bool) -> str:
    return "passed" if passed else "FAILED"


def _minutes(timed: Mapping[str, Any]) -> str:
    return f"{timed['seconds'] / 60:.1f} min"


def _machine_text(machine: Mapping[str, Any]) -> str:
    return (
        f"{machine['cpus']} processors ({machine['processor']}), {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}."
    )


def _machine() -> dict[str, Any]:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(memory_bytes / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def _commit() -> str:
    words = ["git", "describe", "--always", "--dirty"]
    try:
        told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return figures if isinstance(figures, dict) else None


def main() -> int:
    """Run the proofs and write both reports."""
    parser = argparse.ArgumentParser(description="run every proof in full and write the report")
    parser.add_argument("proofs", nargs="*", help="names of proofs; all where none is named")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--share", type=float, default=1.0, help="of the full amount, like 0.1")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the two reports")
    options = parser.parse_args()
    began = datetime.now(UTC)
    outcomes: list[Outcome] = []
    programs = find_proofs(options.proofs)
    wanted = [program.parent.name for program in find_proofs([])]
    file = options.docs / "soak-report.json"
    with tempfile.TemporaryDirectory(prefix="storyboard-soak-") as folder:
        for program in programs:
            outcomes.append(
                run_proof(
                    program, workers=options.workers, share=options.share, folder=Path(folder)
                )
            )
            # After each, so that a soak that is stopped leaves what is known.
            report = build_report(
                outcomes,
                wanted=wanted,
                began=began,
                share=options.share,
                earlier=(_read(file) or {}).get("proofs", []),
            )
            text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
            file.write_text(text, encoding="utf-8")
            (options.docs / "soak-report.md").write_text(build_text(report), encoding="utf-8")
    passed = all(outcome.passed for outcome in outcomes)
    sys.stdout.write(f"{_verdict(passed)}; see {options.docs / 'soak-report.md'}\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
