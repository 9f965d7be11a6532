"""How long everyday commands take to start and to check a manifest, each as a whole process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import meter
from PIL import Image, ImageDraw
from table import Group, Row

_NAIVE = """
import sys, json, yaml, jsonschema
with open(sys.argv[1]) as file:
    document = yaml.safe_load(file)
with open(sys.argv[2]) as file:
    schema = json.load(file)
jsonschema.validate(document, schema)
"""
_LOAD_ONLY = "import sys, yaml\nwith open(sys.argv[1]) as file: yaml.safe_load(file)\n"
_IMPORT_ALL = "import httpx, jsonschema, ffmpeg, yaml, tqdm, anyio, sqlite3, av"
_SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "storyboard.schema.json"


def groups(folder: Path, *, runs: int) -> Iterator[Group]:
    """Start-up and validation, each command run once to warm the caches and then ``runs`` times."""
    python, story = [sys.executable], [sys.executable, "-m", "pipeline"]
    small, large = write_manifest(folder, 20), write_manifest(folder, 1000)

    def row(name: str, command: list[str]) -> Row:
        costs = [meter.run(command, cap_bytes=sys.maxsize) for _ in range(runs + 1)]
        return Row.of(name, costs[1:])

    yield Group(
        key="start",
        title="start-up",
        rows=(
            row("python -c pass", [*python, "-c", "pass"]),
            row("storyboard --help", [*story, "--help"]),
            row("everything imported at once", [*python, "-c", _IMPORT_ALL]),
        ),
    )
    yield Group(
        key="validate",
        title="checking a manifest of 1,000 shots",
        rows=(
            row("yaml.safe_load alone", [*python, "-c", _LOAD_ONLY, str(large)]),
            row(
                "safe_load + jsonschema.validate",
                [*python, "-c", _NAIVE, str(large), str(_SCHEMA)],
            ),
            row("storyboard validate", [*story, "validate", str(large)]),
            row("storyboard validate, 20 shots", [*story, "validate", str(small)]),
        ),
    )


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
