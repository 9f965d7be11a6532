"""From checked clips to the film on disk, or the finding that it is already there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import anyio

from pipeline.edl import EdlEvent, build_edl
from pipeline.errors import ClipRejected
from pipeline.files import file_sha256, write_whole
from pipeline.ledger import Attempt
from pipeline.media.conform import CutClip, Film
from pipeline.model import Storyboard
from pipeline.planning import film_key
from pipeline.summary import CLIPS_FOLDER, FILM_NAME, FilmRecord, film_is_current

CACHE_FOLDER = ".cache"
EDL_NAME = "film.edl"


class Conform(Protocol):
    """Join clips into one film; ``media.conform.conform`` with its ffmpeg bound."""

    async def __call__(
        self,
        clips: Sequence[CutClip],
        destination: Path,
        *,
        cache_dir: Path,
        title: str,
        on_progress: Callable[[float], None],
    ) -> Film: ...


async def changed_clips(cut: Sequence[Attempt], folder: Path) -> list[Attempt]:
    """Those whose file is gone or is, by its hash, no longer the clip that was checked."""

    def has_changed(attempt: Attempt) -> bool:
        try:
            return file_sha256(folder / CLIPS_FOLDER / (attempt.clip or "")) != attempt.clip_sha256
        except OSError:
            return True

    return [a for a in cut if await anyio.to_thread.run_sync(has_changed, a)]


async def make_film(
    storyboard: Storyboard,
    cut: Sequence[Attempt],
    folder: Path,
    *,
    recorded: FilmRecord | None,
    conform: Conform,
    on_progress: Callable[[float], None],
) -> FilmRecord:
    """Join the chosen clips, unless the film on disk is made of exactly these.

    Args:
        cut: N verified attempts, one a shot, in cut order.
    Raises:
        ClipRejected: a clip on disk is not the one that was checked.
        MediaError, StorageError: the join failed; the clips are untouched.
    """
    key = film_key(storyboard, cut)
    if recorded is not None and film_is_current(folder, key, recorded):
        return recorded
    for attempt in await changed_clips(cut, folder):
        raise ClipRejected(
            f"{folder / CLIPS_FOLDER / (attempt.clip or '')} is not the clip that was checked",
            hint="`storyboard run` fetches it again; it is not bought again",
        )
    clips = [
        CutClip(
            path=folder / CLIPS_FOLDER / (attempt.clip or ""),
            slate=attempt.slate,
            cut_s=shot.cut_s,
            container=attempt.container,
        )
        for shot, attempt in zip(storyboard.shots, cut, strict=True)
    ]
    film = await conform(
        clips,
        folder / FILM_NAME,
        cache_dir=folder / CACHE_FOLDER,
        title=storyboard.title,
        on_progress=on_progress,
    )
    _write_edl(storyboard.title, clips, film, folder)
    return FilmRecord(
        key=key,
        sha256=film.sha256,
        duration_s=float(film.duration_s),
        frames=film.frames,
        frame_rate=str(film.frame_rate),
        width_px=film.width_px,
        height_px=film.height_px,
        copied=film.copied,
    )


def _write_edl(title: str, clips: Sequence[CutClip], film: Film, folder: Path) -> None:
    events = [
        EdlEvent(slate=clip.slate, file_name=clip.path.name, frames=span[2])
        for clip, span in zip(clips, film.spans, strict=True)
    ]
    write_whole(folder / EDL_NAME, build_edl(title, events, Fraction(film.frame_rate)))
