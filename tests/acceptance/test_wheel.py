"""A wheel built from the tree, in an environment of its own, run from another folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from studio import draw_picture

ROOT = Path(__file__).resolve().parents[2]


def test_installed_wheel_validates_from_another_folder(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pipeline", "schemas"):
        shutil.copytree(
            ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    subprocess.run(build, cwd=tree, check=True, capture_output=True, timeout=120)
    (wheel,) = (tree / "dist").glob("*.whl")

    home = tmp_path / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    target = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", target, wheel], check=True, timeout=120)
    # The libraries it needs are borrowed from here; the program itself comes from the wheel.
    borrowed = Path(target) / "borrowed.pth"
    borrowed.write_text(sysconfig.get_path("purelib") + "\n")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    draw_picture(elsewhere / "cup.png", "cup")
    (elsewhere / "ad.yaml").write_text(
        'storyboard: ad\nshots:\n  - id: one\n    images: [cup.png]\n    prompt: "@image1 turns"\n'
    )
    script = (
        "import pipeline, sys; from pipeline.cli import main; print(pipeline.__file__);"
        " sys.exit(main(['validate', 'ad.yaml']))"
    )
    done = subprocess.run(
        [python, "-P", "-c", script],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout.startswith(target), done.stderr
    assert "ad.yaml: good, 1 shot, 6 s" in done.stdout
    assert done.returncode == 0
