"""An output folder that cannot be meant, or cannot hold the clips, is refused before any spend."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from studio import Studio, paid_sandbox

PAID = ("--provider", "wavespeed", "--yes", "--max-cost", "100")


def test_output_inside_that_of_another_storyboard_is_exit_73(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = studio.write("first", 1)
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, first) == 0
        second = studio.write("second", 1)
        inside = studio.folder / "out" / "first" / "deeper"
        code = studio.run("run", *PAID, "--out", inside, second)
        assert len(server.record()["tasks"]) == 1
    assert code == 73
    assert "inside the output of another storyboard" in studio.stderr
    assert "--out" in studio.stderr
    assert not inside.exists()


def test_output_where_the_images_are_is_exit_73(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    place = studio.folder / "ad"
    place.mkdir()
    for path in studio.folder.glob("*.png"):
        path.rename(place / path.name)
    manifest = manifest.rename(place / manifest.name)
    with paid_sandbox(monkeypatch) as server:
        code = studio.run("run", *PAID, "--out", studio.folder, manifest)
        assert server.record()["tasks"] == []
    assert code == 73
    assert "reference images lie in its output folder" in studio.stderr


def test_a_disk_without_room_for_the_clips_is_exit_73_and_nothing_is_sent(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 3)
    free = SimpleNamespace(free=74_999_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with paid_sandbox(monkeypatch) as server:
        code = studio.run("run", *PAID, manifest)
        assert server.record()["counters"] == {}
        assert code == 73
        assert "74 MB free; 3 clips may need 75 MB" in studio.stderr
        free.free = 75_000_000
        assert studio.run("run", *PAID, manifest) == 0
        # What is finished needs no room.
        free.free = 0
        assert studio.run("run", *PAID, manifest) == 0
