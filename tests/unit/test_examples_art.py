"""The example pictures: drawn by code that repeats itself, committed small and sound."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

REFS = Path(__file__).resolve().parents[2] / "manifests" / "refs"
SCRIPT = REFS / "make_references.py"
MAX_IMAGE_BYTES = 400_000
MAX_TOTAL_BYTES = 3_500_000
PICTURES = sorted(path for path in REFS.rglob("*") if path.suffix in {".jpg", ".png", ".webp"})


def draw(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a person would, in a process of its own."""
    command = [sys.executable, "-B", str(SCRIPT), "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_same_picture_is_the_same_bytes_whatever_the_number_of_processes(tmp_path: Path) -> None:
    small = ("aurora/bottle", "--scale", "0.12", "--samples", "2")
    for folder, processes in (("one", "1"), ("two", "2")):
        run = draw(tmp_path / folder, *small, "--processes", processes)
        assert run.returncode == 0, run.stderr
    one, two = (tmp_path / folder / "aurora" / "bottle.jpg" for folder in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    with Image.open(one) as image:
        assert image.size == (108, 144)
        colors = image.convert("RGB").getcolors(108 * 144)
    assert colors is not None
    assert len(colors) > 500, "a drawn product has many tones; a flat field has few"


def test_unknown_name_is_refused_with_the_names_that_are_all_committed(tmp_path: Path) -> None:
    run = draw(tmp_path, "aurora/kettle")
    assert run.returncode == 2
    known = run.stderr.rsplit("there are ", 1)[1].strip().split(", ")
    committed = {path.relative_to(REFS).with_suffix("").as_posix() for path in PICTURES}
    assert committed == set(known)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.relative_to(REFS).as_posix())
def test_committed_picture_decodes_and_is_small(path: Path) -> None:
    assert path.stat().st_size <= MAX_IMAGE_BYTES
    with Image.open(path) as image:
        assert image.format in {"JPEG", "PNG", "WEBP"}
        assert f".{image.format.lower()}".replace("jpeg", "jpg") == path.suffix
        image.load()


def test_committed_pictures_together_stay_within_a_clone_of_modest_size() -> None:
    assert 0 < sum(path.stat().st_size for path in PICTURES) <= MAX_TOTAL_BYTES
