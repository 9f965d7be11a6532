"""From checked clips to the film and its deliverables, or the finding that they are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from pipeline.edl import EdlEvent, build_edl
from pipeline.errors import ClipRejected
from pipeline.files import file_sha256, write_whole
from pipeline.film.profiles import ENCODINGS
from pipeline.film.spec import UNEDITED, FilmSpec
from pipeline.film.timeline import PartKind, Timeline
from pipeline.finishing.disclosure import disclose
from pipeline.finishing.leavings import clear_former_master
from pipeline.finishing.origin import plain_disclosure_of, plain_provenance_of, used_of
from pipeline.finishing.provenance import write_provenance
from pipeline.ledger import Attempt
from pipeline.media.conform import CutClip, Film, conform
from pipeline.model import Container, Shot, Storyboard
from pipeline.planning import film_key
from pipeline.summary import (
    CLIPS_FOLDER,
    FILM_NAME,
    FilmRecord,
    film_is_current,
    kept,
    read_film_record,
)
from pipeline.timecode import nearest_frame

if TYPE_CHECKING:
    from pipeline.finishing.delivery import Delivered
    from pipeline.finishing.film_report import Made
    from pipeline.finishing.material import Clip

CACHE_FOLDER = ".cache"
EDL_NAME = "film.edl"
FILM_STEM = "film"


class Conform(Protocol):
    """Join clips into one film; ``media.conform.conform`` with its ffmpeg bound."""

    async def __call__(
        self,
        clips: Sequence[CutClip],
        destination: Path,
        *,
        cache_dir: Path,
        title: str,
        comment: str,
        mark: Callable[[Path], None],
        on_progress: Callable[[float], None],
    ) -> Film: ...


class Deliver(Protocol):
    """Make a master and its deliverables; ``finishing.delivery.deliver`` with its ffmpeg bound."""

    async def __call__(
        self,
        storyboard: Storyboard,
        clips: Mapping[str, Clip],
        master: Path,
        *,
        cache_dir: Path,
        on_progress: Callable[[float], None],
    ) -> Delivered: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """The two ways from clips to a film: joined as they are, or cut, mixed and delivered."""

    conform: Conform
    deliver: Deliver


async def changed_clips(cut: Sequence[Attempt], folder: Path) -> list[Attempt]:
    """Those whose file is gone or is, by its hash, no longer the clip that was checked."""

    def has_changed(attempt: Attempt) -> bool:
        try:
            return file_sha256(folder / CLIPS_FOLDER / (attempt.clip or "")) != attempt.clip_sha256
        except OSError:
            return True

    return [a for a in cut if await anyio.to_thread.run_sync(has_changed, a)]


def open_studio(ffmpeg: Path) -> Studio:
    """A studio on this machine, as large as it has processors."""
    workers = max(1, os.cpu_count() or 1)
    return Studio(
        conform=partial(conform, ffmpeg=ffmpeg, workers=workers),
        deliver=partial(_deliver_with, ffmpeg, workers),
    )


async def _deliver_with(
    ffmpeg: Path,
    workers: int,
    storyboard: Storyboard,
    clips: Mapping[str, Clip],
    master: Path,
    *,
    cache_dir: Path,
    on_progress: Callable[[float], None],
) -> Delivered:
    # It brings numpy and Pillow along, which take memory that a plain film does without.
    from pipeline.finishing.delivery import deliver  # noqa: PLC0415

    return await deliver(
        storyboard,
        clips,
        master,
        ffmpeg=ffmpeg,
        cache_dir=cache_dir,
        on_progress=on_progress,
        workers=workers,
    )


def is_plain(storyboard: Storyboard) -> bool:
    """Whether the film is the clips one after the other, and nothing else."""
    return storyboard.film is None and all(shot.edit == UNEDITED for shot in storyboard.shots)


async def make_film(
    storyboard: Storyboard,
    cut: Sequence[Attempt],
    folder: Path,
    *,
    recorded: FilmRecord | None,
    studio: Studio,
    on_progress: Callable[[float], None],
) -> FilmRecord:
    """Make the film of the chosen clips, unless what is on disk is made of exactly these.

    Args:
        cut: N verified attempts, one a shot, in cut order.
    Raises:
        ClipRejected: a clip on disk is not the one that was checked.
        FilmRefused: a clip, or what was made of the clips, did not pass its checks.
        MediaError, StorageError: the film cannot be made; the clips are untouched.
    """
    key = film_key(storyboard, cut)
    if recorded is not None and film_is_current(folder, key, recorded):
        return kept(recorded)
    if changed := await changed_clips(cut, folder):
        names = ", ".join(str(folder / CLIPS_FOLDER / (each.clip or "")) for each in changed)
        is_one = len(changed) == 1
        raise ClipRejected(
            f"{names} {'is not the clip that was' if is_one else 'are not the clips that were'}"
            " checked",
            hint="`storyboard run` fetches what is changed again; it is not bought again",
        )
    make = _join if is_plain(storyboard) else _deliver
    return await make(storyboard, cut, folder, key=key, studio=studio, on_progress=on_progress)


async def _join(
    storyboard: Storyboard,
    cut: Sequence[Attempt],
    folder: Path,
    *,
    key: str,
    studio: Studio,
    on_progress: Callable[[float], None],
) -> FilmRecord:
    clips = [
        CutClip(
            path=folder / CLIPS_FOLDER / (attempt.clip or ""),
            slate=attempt.slate,
            cut_s=shot.cut_s,
            container=attempt.container,
        )
        for shot, attempt in zip(storyboard.shots, cut, strict=True)
    ]
    used = [used_of(shot, attempt) for shot, attempt in zip(storyboard.shots, cut, strict=True)]
    disclosure = plain_disclosure_of(storyboard, used)
    film = await studio.conform(
        clips,
        folder / FILM_NAME,
        cache_dir=folder / CACHE_FOLDER,
        title=storyboard.title,
        comment=disclosure.statement,
        mark=partial(disclose, disclosure=disclosure, container=Container.MP4),
        on_progress=on_progress,
    )
    former = read_film_record(folder)
    clear_former_master(film.path, {} if former is None else former.files, folder / CACHE_FOLDER)
    record = write_provenance(film.path, plain_provenance_of(film, disclosure, used))
    events = [
        EdlEvent(slate=clip.slate, file_name=clip.path.name, frames=span[2])
        for clip, span in zip(clips, film.spans, strict=True)
    ]
    edl_sha256 = _write_edl(storyboard.title, events, Fraction(film.frame_rate), folder)
    return FilmRecord(
        key=key,
        sha256=film.sha256,
        duration_s=float(film.duration_s),
        frames=film.frames,
        frame_rate=str(film.frame_rate),
        width_px=film.width_px,
        height_px=film.height_px,
        copied=film.copied,
        files={EDL_NAME: edl_sha256, record.name: file_sha256(record)},
    )


async def _deliver(
    storyboard: Storyboard,
    cut: Sequence[Attempt],
    folder: Path,
    *,
    key: str,
    studio: Studio,
    on_progress: Callable[[float], None],
) -> FilmRecord:
    clips = {
        shot.id: _clip(shot, attempt, folder)
        for shot, attempt in zip(storyboard.shots, cut, strict=True)
    }
    spec = storyboard.film or FilmSpec()
    film = folder / f"{FILM_STEM}{ENCODINGS[spec.master.profile].suffix}"
    delivered = await studio.deliver(
        storyboard,
        clips,
        film,
        cache_dir=folder / CACHE_FOLDER,
        on_progress=on_progress,
    )
    edl_sha256 = _write_edl(
        storyboard.title,
        _events(delivered.timeline, clips),
        delivered.timeline.frame_rate,
        folder,
    )
    master, *others = delivered.report.deliverables
    measured = master.measured
    return FilmRecord(
        key=key,
        sha256=master.sha256,
        duration_s=float(measured.duration_s),
        frames=measured.frames,
        frame_rate=str(master.wanted.frame_rate),
        width_px=measured.width_px,
        height_px=measured.height_px,
        copied=delivered.is_master_copied,
        path=film.name,
        files=dict(master.files) | {EDL_NAME: edl_sha256},
        deliverables=tuple(_deliverable(each) for each in others),
    )


def _clip(shot: Shot, attempt: Attempt, folder: Path) -> Clip:
    from pipeline.finishing.material import Clip  # noqa: PLC0415 - as above

    return Clip(
        path=folder / CLIPS_FOLDER / (attempt.clip or ""),
        container=attempt.container,
        sha256=attempt.clip_sha256 or "",
        slate=attempt.slate,
        used=used_of(shot, attempt),
    )


def _events(timeline: Timeline, clips: Mapping[str, Clip]) -> list[EdlEvent]:
    return [
        EdlEvent(
            slate=clips[span.part.name].slate,
            file_name=clips[span.part.name].path.name,
            frames=span.frames,
            in_frame=nearest_frame(span.part.in_s, timeline.frame_rate),
            lead=span.lead,
        )
        if span.part.kind is PartKind.SHOT
        else EdlEvent(
            slate=span.part.name,
            file_name=f"{span.part.name} card",
            frames=span.frames,
            lead=span.lead,
            has_audio=False,
        )
        for span in timeline.spans
    ]


def _deliverable(made: Made) -> Mapping[str, Any]:
    measured = made.measured
    return {
        "name": made.name,
        "file": made.file,
        "duration_s": float(measured.duration_s),
        "frames": measured.frames,
        "frame_rate": str(made.wanted.frame_rate),
        "width_px": measured.width_px,
        "height_px": measured.height_px,
        "integrated_lufs": measured.sound.integrated_lufs if measured.sound else None,
        "true_peak_dbtp": measured.sound.true_peak_dbtp if measured.sound else None,
        "reused": made.is_reused,
        "files": dict(made.files),
    }


def _write_edl(title: str, events: Sequence[EdlEvent], frame_rate: Fraction, folder: Path) -> str:
    """Write the cut beside the film; returns the file's hash."""
    write_whole(folder / EDL_NAME, build_edl(title, events, frame_rate))
    return file_sha256(folder / EDL_NAME)
