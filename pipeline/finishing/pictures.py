"""The picture track of one deliverable: made piece by piece, each by a small ffmpeg of its own.

A piece is frames of one part of the film, or of two that blend. Each is cached by all that it is
made of, so that memory does not grow with the film, its frames are counted exactly, and a change of
one card or caption makes only the pieces anew that show it. ``join`` copies them into one file.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread

from pipeline.errors import ClipRejected, MediaError
from pipeline.film.spec import CUT, Profile
from pipeline.film.timeline import Piece, Timeline
from pipeline.finishing.coding import CODINGS
from pipeline.finishing.pictures_commands import build_piece
from pipeline.finishing.piece_cache import Place, find, place_of, put
from pipeline.finishing.piece_orders import PieceFiles, order_piece
from pipeline.finishing.sources import Fades, Footage, Frame, Overlay, Source
from pipeline.media.commands import DecodingClock
from pipeline.media.cut import is_copyable
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.files import file_sha256
from pipeline.media.pieces import PICTURE_WEIGHT, Workshop, for_each
from pipeline.media.probe import VideoInfo, probe
from pipeline.timecode import track_timescale_hz

# Limits end a process that hangs; they are some twenty times what the slowest profile takes.
_LIMIT_FLOOR_S = 120.0
_LIMIT_PER_SECOND = 300.0
_NO_FADES = Fades()


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedPiece:
    """One file of the picture track: what of the timeline it shows, and whether it was made now
    (False: taken from the cache, or a clip's own file)."""

    piece: Piece
    path: Path
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A picture track in files with equal headers, in order.

    ``clock``: how they are to be decoded, where that must be said. ``is_copied``: the files are the
    clips' own, not encoded again.
    """

    pieces: tuple[RenderedPiece, ...]
    is_copied: bool
    clock: DecodingClock | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """One a piece."""
        return tuple(each.path for each in self.pieces)

    @property
    def frames(self) -> tuple[int, ...]:
        """Of each file."""
        return tuple(each.piece.frames for each in self.pieces)

    @property
    def total_frames(self) -> int:
        """Length of the film."""
        return sum(self.frames)

    @property
    def rendered(self) -> int:
        """Pieces that were made now."""
        return sum(each.is_new for each in self.pieces)

    @property
    def reused(self) -> int:
        """Pieces that were there."""
        return len(self.pieces) - self.rendered

    @property
    def cached(self) -> frozenset[Path]:
        """Files in the cache that the track needs: what ``sweep`` must keep."""
        return frozenset() if self.is_copied else frozenset(self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One piece to have, and its place in the cache."""

    wanted: PieceFiles
    place: Place


async def render_pictures(
    timeline: Timeline,
    sources: Sequence[Source],
    frame: Frame,
    *,
    workshop: Workshop,
    overlays: Sequence[Overlay] = (),
    fades: Fades = _NO_FADES,
    copy: bool = True,
) -> Rendered:
    """Make every piece of a film's picture, or take it from the cache.

    Where every piece is the whole of a clip that already has the frame's raster and rate, for the
    profile ``web`` and with nothing over it, the clips themselves are the track.

    Args:
        timeline: N spans at ``frame.frame_rate``.
        sources: N, what each span shows.
        workshop: its folder is the caller's and is used for links and unfinished files; progress
            grows by ``PICTURE_WEIGHT`` for each second of film.
        overlays: from the lowest up.
        copy: False asks for an encoded track even where clips could be copied.
    Raises:
        ClipRejected: a clip cannot be decoded, or is shorter than what is used of it.
        MediaError: ffmpeg failed otherwise. FileMissing: an input cannot be read.
        ValueError: sources or rate do not belong to the timeline.
    """
    if len(sources) != len(timeline.spans) or frame.frame_rate != timeline.frame_rate:
        raise ValueError("the sources or the rate are another timeline's")
    pieces = tuple(timeline.pieces())
    if copy and can_be_copied(pieces, sources, frame, overlays=overlays, fades=fades):
        workshop.progress.part(PICTURE_WEIGHT * float(timeline.duration_s))(1.0)
        return Rendered(
            pieces=tuple(
                RenderedPiece(piece=piece, path=sources[piece.spans[0]].path, is_new=False)
                for piece in pieces
            ),
            is_copied=True,
        )
    orders = [
        order_piece(piece, sources, overlays, fades, total_frames=timeline.total_frames)
        for piece in pieces
    ]
    known = {each.path: each.sha256 for each in sources if isinstance(each, Footage)}
    jobs = await _plan(orders, frame, workshop, known)
    found: dict[Path, tuple[VideoInfo, bool]] = {}

    uses = Counter(job.place.path for job in jobs)

    async def have(job: _Job) -> None:
        length_s = float(uses[job.place.path] * job.place.frames / frame.frame_rate)
        advance = workshop.progress.part(PICTURE_WEIGHT * length_s)
        found[job.place.path] = await _have(job, frame, workshop, advance)
        advance(1.0)

    # What is shown twice is made once.
    await for_each({job.place.path: job for job in jobs}.values(), have, workshop.workers)
    videos = [video for video, _ in found.values()]
    if len({replace(video, reorder_ticks=0).signature for video in videos}) != 1:
        raise MediaError(
            "the pieces of the film differ and cannot be joined",
            hint=f"empty {workshop.cache_dir}, then try again",
        )
    return Rendered(
        pieces=tuple(
            RenderedPiece(piece=piece, path=job.place.path, is_new=found[job.place.path][1])
            for piece, job in zip(pieces, jobs, strict=True)
        ),
        is_copied=False,
        clock=_clock(videos, frame),
    )


def can_be_copied(
    pieces: Sequence[Piece],
    sources: Sequence[Source],
    frame: Frame,
    *,
    overlays: Sequence[Overlay] = (),
    fades: Fades = _NO_FADES,
) -> bool:
    """Whether the clips' own pictures are, one after the other, the very film that is wanted."""
    if frame.profile is not Profile.WEB or overlays or fades != _NO_FADES:
        return False
    shown = [(piece, sources[piece.spans[0]]) for piece in pieces]
    signatures = {each.video.signature for _, each in shown if isinstance(each, Footage)}
    return len(signatures) == 1 and all(
        isinstance(each, Footage) and piece.kind == CUT and _is_whole(piece, each, frame)
        for piece, each in shown
    )


def _is_whole(piece: Piece, footage: Footage, frame: Frame) -> bool:
    video = footage.video
    return (
        is_copyable(video)
        and video.sample_aspect == 1
        and (video.width_px, video.height_px) == (frame.width_px, frame.height_px)
        and video.frame_rate == frame.frame_rate
        and footage.in_s == 0
        and piece.offsets == (0,)
        and piece.frames == video.packets
    )


async def _plan(
    orders: Sequence[PieceFiles], frame: Frame, workshop: Workshop, hashes: dict[Path, str]
) -> list[_Job]:
    """Give every piece its place in the cache."""
    version = await run_ffmpeg(["-version"], ffmpeg=workshop.ffmpeg, time_limit_s=_LIMIT_FLOOR_S)

    async def hash_file(path: Path) -> None:
        hashes[path] = await anyio.to_thread.run_sync(file_sha256, path)

    unknown = {path for each in orders for _, path in each.files} - hashes.keys()
    await for_each(unknown, hash_file, workshop.workers)
    return [
        _Job(
            wanted=each,
            place=place_of(
                workshop.cache_dir,
                recipe=build_piece("", each.order, frame),
                inputs_sha256=[hashes[path] for _, path in each.files],
                program=version.stdout,
                frames=each.order.frames,
                profile=frame.profile,
            ),
        )
        for each in orders
    ]


async def _have(
    job: _Job, frame: Frame, workshop: Workshop, advance: Callable[[float], None]
) -> tuple[VideoInfo, bool]:
    """Make one piece unless a sound one is cached; returns what it is, and whether it was made."""
    length_s = float(job.place.frames / frame.frame_rate)
    if (video := await anyio.to_thread.run_sync(find, job.place)) is not None:
        return video, False
    # A folder of its own: the names in it can then be the same for every piece of every film.
    folder = workshop.folder / job.place.path.stem
    folder.mkdir(exist_ok=True)
    for name, path in job.wanted.files:
        (folder / name).symlink_to(path.absolute())
    part = folder / f"piece{job.place.path.suffix}"
    try:
        await run_ffmpeg(
            build_piece(part.name, job.wanted.order, frame),
            ffmpeg=workshop.ffmpeg,
            cwd=folder,
            time_limit_s=_LIMIT_FLOOR_S + _LIMIT_PER_SECOND * length_s,
            on_progress=lambda done_s: advance(done_s / length_s),
        )
    except MediaError as exc:
        raise _of_piece(exc, job) from exc
    await anyio.to_thread.run_sync(_check_length, part, job)
    await anyio.to_thread.run_sync(put, part, job.place)
    made = await anyio.to_thread.run_sync(find, job.place)
    await anyio.to_thread.run_sync(shutil.rmtree, folder)
    if made is None:
        raise MediaError(
            f"ffmpeg ended well but did not make {job.place.frames} frames of {_names(job)}",
            hint="run `storyboard doctor` to check this ffmpeg",
            returncode=0,
        )
    return made, True


def _check_length(part: Path, job: _Job) -> None:
    """A piece that is short shows that a clip is."""
    frames = 0
    if part.exists() and part.stat().st_size:
        video = probe(part, CODINGS[job.place.profile].container).video
        frames = video.packets if video else 0
    if frames < job.place.frames:
        raise ClipRejected(
            f"{_names(job)} ends before what the film uses of it:"
            f" {job.place.frames - frames} frames are missing",
            hint="use less of the clip: a smaller `cut`, or an earlier `in`",
            returncode=0,
        )


def _names(job: _Job) -> str:
    return " or ".join(path.name for path in job.wanted.shown)


def _of_piece(exc: MediaError, job: _Job) -> MediaError:
    """The same failure, saying of which clips; what is no fault of theirs stays as it is."""
    if exc.returncode is None or exc.returncode < 0:
        return exc
    return ClipRejected(
        f"cannot make a picture of {_names(job)}: {exc.message}",
        hint="if the file is damaged, remove it and run again: it is fetched anew",
        returncode=exc.returncode,
        stderr_tail=exc.stderr_tail,
    )


def _clock(videos: Sequence[VideoInfo], frame: Frame) -> DecodingClock | None:
    """When to decode pieces, of which short ones are stored in the order that they are shown."""
    if not CODINGS[frame.profile].is_reordered:
        return None
    return DecodingClock(
        frame_ticks=round(track_timescale_hz(frame.frame_rate) / frame.frame_rate),
        ahead_ticks=max(video.reorder_ticks for video in videos),
    )
