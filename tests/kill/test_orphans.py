"""What a killed run leaves behind that is still alive: an ffmpeg that goes on writing."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
from kill.stage import Stage
from support import quick_ffmpeg

from pipeline.files import file_sha256
from pipeline.media.conform import CutClip, Film, conform


def test_ffmpeg_of_a_killed_run_cannot_write_into_the_film_of_the_next(tmp_path: Path) -> None:
    stage = Stage(folder=tmp_path / "stage", shots=2)
    stage.build()
    clips = [
        CutClip(path=stage.clip(prompt), slate=f"s{number}_tk01")
        for number, prompt in enumerate(stage.prompts())
    ]
    film = tmp_path / "film.mp4"
    part = tmp_path / "film.mp4.part"

    async def join() -> Film:
        return await conform(clips, film, ffmpeg=quick_ffmpeg(), cache_dir=tmp_path / "cache")

    with part.open("wb") as orphan:
        made = anyio.run(join)
        os.pwrite(orphan.fileno(), b"late" * 1000, 0)
    assert file_sha256(film) == made.sha256
