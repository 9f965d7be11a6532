"""The example pictures: drawn by code that repeats itself, committed small and sound."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

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
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script as a module; it and its helpers are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(REFS)
    yield importlib.import_module("make_references")
    for name in set(sys.modules) - before:
        if name.split(".")[0] in {"make_references", "drawing", "scenes"}:
            del sys.modules[name]


def test_same_picture_is_the_same_bytes_in_another_process(
    script: ModuleType, tmp_path: Path
) -> None:
    small = ("aurora/bottle", "--scale", "0.12", "--samples", "2")
    assert script.main([*small, "--processes", "1", "--out", str(tmp_path / "here")]) == 0
    run = draw(tmp_path / "there", *small, "--processes", "2")
    assert run.returncode == 0, run.stderr
    here, there = (tmp_path / folder / "aurora" / "bottle.jpg" for folder in ("here", "there"))
    assert here.read_bytes() == there.read_bytes()
    with Image.open(here) as image:
        assert image.size == (108, 144)
        colors = image.convert("RGB").getcolors(108 * 144)
    assert colors is not None
    assert len(colors) > 500, "a drawn product has many tones; a flat field has few"


def test_unknown_name_is_refused_with_the_names_that_are_all_committed(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        script.main(["aurora/kettle", "--out", str(tmp_path)])
    assert refusal.value.code == 2
    known = capsys.readouterr().err.rsplit("there are ", 1)[1].strip().split(", ")
    drawn = [path for path in PICTURES if path.stem != "logo"]
    committed = {path.relative_to(REFS).with_suffix("").as_posix() for path in drawn}
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
