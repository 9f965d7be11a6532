"""``make bench``: how long the everyday commands take, next to something known, in one run.

Every figure is a whole process, started anew: median wall time of several runs and the peak
memory of one. Compare the ratios; absolute times are this machine's on this day.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

_NAIVE = """
import sys, json, yaml, jsonschema
with open(sys.argv[1]) as file:
    document = yaml.safe_load(file)
with open(sys.argv[2]) as file:
    schema = json.load(file)
jsonschema.validate(document, schema)
"""
_LOAD_ONLY = "import sys, yaml\nwith open(sys.argv[1]) as file: yaml.safe_load(file)\n"
_SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "storyboard.schema.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Median wall seconds and peak memory of one command."""

    name: str
    wall_s: float
    spread_s: tuple[float, float]
    peak_mb: float


def measure(name: str, command: list[str], runs: int) -> Figure:
    """Run a command once to warm the caches, then ``runs`` times."""
    times = []
    for number in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)
        if number:
            times.append(time.perf_counter() - began)
    return Figure(
        name=name,
        wall_s=statistics.median(times),
        spread_s=(min(times), max(times)),
        peak_mb=peak_memory_mb(command),
    )


def peak_memory_mb(command: list[str]) -> float:
    """Peak resident memory of the largest process of one run, measured in a process of its own."""
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command], check=True, capture_output=True, timeout=600
    )
    # Linux counts in KiB, macOS in bytes.
    size_bytes = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    return size_bytes / 1e6


def write_manifest(folder: Path, shots: int) -> Path:
    """A manifest of many shots that share 20 pictures, as a campaign's would."""
    for number in range(20):
        image = Image.new("RGB", (1280, 720), (number * 10, 80, 160))
        ImageDraw.Draw(image).text((40, 40), f"picture {number}", fill=(255, 255, 255))
        image.save(folder / f"picture{number}.jpg", quality=88)
    lines = [f"storyboard: bench{shots}", "references:"]
    lines += [f"  picture{number}: picture{number}.jpg" for number in range(20)]
    lines.append("shots:")
    for number in range(shots):
        first, second = number % 20, (number + 7) % 20
        lines += [
            f"  - id: shot{number:04d}",
            f"    images: [picture{first}, picture{second}]",
            f'    prompt: "@image1 passes @image2 at dusk, slow push-in, take number {number}"',
            f"    duration: {6 if number % 3 else 10}",
        ]
    path = folder / f"bench{shots}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def print_group(title: str, figures: list[Figure]) -> None:
    """A group against its first row."""
    sys.stdout.write(f"\n{title}\n")
    for figure in figures:
        low, high = figure.spread_s
        sys.stdout.write(
            f"  {figure.name:<46}{figure.wall_s * 1000:8.0f} ms  {low * 1000:.0f}-{high * 1000:.0f}"
            f"  {figure.wall_s / figures[0].wall_s:6.2f}x  {figure.peak_mb:6.0f} MB\n"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    python, story = [sys.executable], [sys.executable, "-m", "pipeline"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, large = write_manifest(folder, 20), write_manifest(folder, 1000)
        start = [
            measure("python -c pass", [*python, "-c", "pass"], args.runs),
            measure("storyboard --help", [*story, "--help"], args.runs),
            measure(
                "everything imported at once",
                [*python, "-c", "import httpx, jsonschema, ffmpeg, yaml, tqdm, anyio, sqlite3, av"],
                args.runs,
            ),
        ]
        checks = [
            measure(
                "1,000 shots: yaml.safe_load alone",
                [*python, "-c", _LOAD_ONLY, str(large)],
                args.runs,
            ),
            measure(
                "1,000 shots: safe_load + jsonschema.validate",
                [*python, "-c", _NAIVE, str(large), str(_SCHEMA)],
                args.runs,
            ),
            measure(
                "1,000 shots: storyboard validate", [*story, "validate", str(large)], args.runs
            ),
            measure("20 shots: storyboard validate", [*story, "validate", str(small)], args.runs),
        ]
    if args.json:
        rows = [
            {"name": f.name, "wall_s": f.wall_s, "peak_mb": f.peak_mb} for f in (*start, *checks)
        ]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    sys.stdout.write(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {args.runs} runs\n")
    print_group("start-up", start)
    print_group("checking a manifest", checks)


if __name__ == "__main__":
    main()
