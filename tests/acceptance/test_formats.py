"""Clips ordered as WEBM and MOV, from the order to the film; what else comes is set aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from studio import Studio, clip_bytes
from test_on_runware import PAID, runware, write

from pipeline.media.probe import probe
from pipeline.sandbox.animatic import AnimaticSpec


def shot(output_format: str) -> str:
    size = "width: 480, height: 480"
    options = f"runware: {{{size}, outputFormat: {output_format}}}"
    return f'prompt: "a lamp, {output_format}", duration: 1, {options}'


def names(studio: Studio) -> list[str]:
    return sorted(path.name for path in (studio.folder / "out" / "ad" / "clips").iterdir())


def test_clips_of_every_format_make_one_film_and_are_watched_over_alike(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write(studio.folder, *(shot(name) for name in ("WEBM", "MOV", "MP4")))
    clips = ["s1_tk01.webm", "s2_tk01.mov", "s3_tk01.mp4"]
    folder = studio.folder / "out" / "ad"
    with runware(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0, studio.stderr
        assert names(studio) == clips
        video = probe(studio.film("ad")).video
        assert video is not None and video.packets == 3 * 24
        bill = server.record()["bill"]

        webm = folder / "clips" / clips[0]
        webm.write_bytes(webm.read_bytes()[:-1] + b"\xff")
        (folder / "clips" / clips[1]).unlink()
        studio.film("ad").unlink()
        assert studio.run("run", *PAID, manifest) == 0, studio.stderr
        assert names(studio) == [clips[0], f"{clips[0]}.bad", *clips[1:]]

        (folder / "journal.sqlite3").unlink()
        (folder / "run.json").unlink()
        (folder / "clips" / clips[2]).unlink()
        assert studio.run("run", *PAID, manifest) == 74
        assert "earlier work" in studio.stderr
        assert server.record()["bill"] == bill


def test_an_mp4_that_comes_for_a_webm_is_kept_aside_and_makes_no_film(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw_mp4(spec: AnimaticSpec, destination: Path) -> None:
        destination.write_bytes(clip_bytes(spec.resolution, 1))

    manifest = write(studio.folder, shot("WEBM"))
    with runware(monkeypatch, render=draw_mp4) as server:
        assert studio.run("run", *PAID, manifest) == 1
        assert "an MP4 file, not a WEBM video" in studio.stderr
        assert names(studio) == ["s1_tk01.webm.bad"]
        assert server.record()["bill"]["total_usd"] == studio.summary("ad")["money"]["spent_usd"]
    assert not studio.film("ad").exists()
