"""``make bench``: what our work costs, next to something known doing the same, in one run.

Every figure is whole processes, their children included. Compare the ratios; absolute figures are
this machine's on this day. On a machine that is busy, compare processor time.
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
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import films
import starting
from table import Group, Row, build_data, build_text

from pipeline.media.ffmpeg import find_ffmpeg

KEYS = ("start", *films.KEYS)


def main() -> None:
    """Measure and print."""
    args = _parser().parse_args()
    ffmpeg = find_ffmpeg(os.environ)
    machine = describe_machine(ffmpeg)
    sys.stdout.write("".join(f"{name}: {value}\n" for name, value in machine.items()) + "\n")
    began = time.monotonic()
    measured = []
    with tempfile.TemporaryDirectory(prefix="storyboard-bench-") as name:
        for group in _groups(args, Path(name), ffmpeg):
            measured.append(group)
            sys.stdout.write(build_text(group) + "\n")
            sys.stdout.flush()
    if args.report:
        report = {
            "machine": machine,
            "quick": args.quick,
            "groups": list(map(build_data, measured)),
        }
        args.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"measured in {time.monotonic() - began:.0f} s\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=5, help="of each everyday command (%(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small films, to see that it works; no figures to keep"
    )
    parser.add_argument("--only", action="append", choices=KEYS, help="measure these and no others")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write JSON as well")
    return parser


def _groups(args: argparse.Namespace, folder: Path, ffmpeg: Path) -> Iterator[Group]:
    keys: Sequence[str] = args.only or KEYS
    if "start" in keys:
        yield from starting.groups(folder, runs=1 if args.quick else args.runs)
    extent = films.QUICK if args.quick else films.Extent()
    maker = films.Films(folder=folder, ffmpeg=ffmpeg, extent=extent, on_row=_tell)
    yield from maker.groups(keys)


def _tell(row: Row) -> None:
    sys.stderr.write(f"  ... {row.name}: {row.cost.cpu_s:.2f} s of processor time\n")


def describe_machine(ffmpeg: Path) -> dict[str, Any]:
    """What the figures hold for, and how busy it is."""
    first_line = subprocess.run(
        [ffmpeg, "-version"], check=True, capture_output=True, text=True
    ).stdout.splitlines()[0]
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "ffmpeg": first_line.removeprefix("ffmpeg version ").split(" Copyright")[0],
        "PyAV": version("av"),
        "MoviePy": _moviepy_version(),
    }


def _processor() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name")).split(": ")[1]
    return platform.processor() or platform.machine()


def _moviepy_version() -> str:
    found = distributions(name="moviepy", path=[str(films.MOVIEPY_FOLDER)])
    return next((each.version for each in found), "not installed, left out (`make bench` has it)")


if __name__ == "__main__":
    main()
