"""Poor surroundings: a plain locale, no terminal, no home, no folder for temporary files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from studio import Studio

ROOT = Path(__file__).resolve().parents[2]
POOR = {"LC_ALL": "C", "TERM": "dumb", "COLUMNS": "20", "TMPDIR": "/nonexistent"}


def command(
    folder: Path, *words: str | Path, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, its standard input closed, its umask strict."""
    closed = ["sh", "-c", 'umask 077; exec "$@" <&-', "sh", sys.executable, "-m", "pipeline"]
    usual = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*closed, *map(str, words)],
        env=usual | env,
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
        check=False,
    )


def test_plain_surroundings_show_the_plan_without_an_escape_code(studio: Studio) -> None:
    manifest = studio.write("ad", 2, prompts={1: "@image1 glüht im Süden, @image2"})

    done = command(studio.folder, "plan", manifest, env=POOR)

    assert done.returncode == 0, done.stderr
    assert "to buy $0.60" in done.stdout
    assert not set("\x1b\r") & set(done.stdout + done.stderr)
    assert "Traceback" not in done.stderr


def test_without_a_home_a_paid_run_says_what_to_set(studio: Studio) -> None:
    manifest = studio.write("ad", 1)
    env = {"WAVESPEED_API_KEY": "test-key", "WAVESPEED_BASE_URL": "http://127.0.0.1:9"}

    done = command(
        studio.folder, "run", "--provider", "wavespeed", "--max-cost", "9", manifest, env=env
    )

    assert done.returncode == 78
    assert "STORYBOARD_STATE_DIR" in done.stderr


@pytest.mark.parametrize("word", ["--api-key", "--api-key=canary-key"])
def test_a_key_on_the_command_line_is_refused_with_where_it_belongs(
    studio: Studio, word: str
) -> None:
    words = ["run", word, *([] if "=" in word else ["canary-key"]), str(studio.write("ad", 1))]

    assert studio.run(*words) == 64
    assert "keys come from the environment or a file" in studio.stderr
    assert "canary-key" not in studio.stderr


def test_only_with_a_mistyped_name_tells_the_close_ones(studio: Studio) -> None:
    assert studio.run("run", "--only", "shoot1", studio.write("ad", 2)) == 64
    assert "shot1" in studio.stderr
