"""The parts a film is joined from: conformed pictures, clip by clip, and one raw sound track.

One small ffmpeg process per clip and part, a few at a time: memory and open files stay the same
for a film of a thousand clips. Clips are linked into the work folder under names of our own, so
that no name of a user's ever reaches ffmpeg.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from pipeline.errors import ClipRejected, FileMissing, MediaError
from pipeline.media.commands import (
    SAMPLE_BYTES,
    DecodingClock,
    FilmFormat,
    build_picture,
    build_sound,
)
from pipeline.media.cut import Cut, is_copyable
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.files import file_sha256, publish
from pipeline.media.probe import MediaInfo, VideoInfo, probe
from pipeline.timecode import samples_of_frames, track_timescale_hz

# Limits end a process that hangs; they are some twenty times what the work takes on two cores.
_LIMIT_FLOOR_S = 120.0
_PICTURE_LIMIT_PER_SECOND = 60.0
_SOUND_LIMIT_PER_SECOND = 5.0
# What a second of film costs in each step, by measurement: shares of the progress bar.
PICTURE_WEIGHT = 20.0
SOUND_WEIGHT = 1.0

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One clip on its way into a film: its file, what is in it, its name in the work folder."""

    path: Path
    info: MediaInfo
    video: VideoInfo
    link: str


@dataclass(slots=True, kw_only=True)
class Progress:
    """Adds up the parts of a job, each with its weight, to one share that never falls."""

    report: Callable[[float], None]
    total: float = 1.0
    _done: float = field(default=0.0, init=False)
    _shown: float = field(default=0.0, init=False)

    def restart(self, total: float) -> None:
        """Count from nothing against another total; what is shown waits to be overtaken."""
        self.total, self._done = total, 0.0

    def part(self, weight: float) -> Callable[[float], None]:
        """A function to call with the share of one part, 0 to 1, as it proceeds."""
        share_before = 0.0

        def advance(share: float) -> None:
            nonlocal share_before
            share = min(max(share, share_before), 1.0)
            self._done += (share - share_before) * weight
            share_before = share
            if self._done / self.total > self._shown:
                self._shown = min(self._done / self.total, 1.0)
                self.report(self._shown)

        return advance


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Where parts are made: the folder, the cache of pictures, the ffmpeg, how many at a time."""

    folder: Path
    cache_dir: Path
    ffmpeg: Path
    workers: int
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """One conformed picture to have: of which clip, how long, and its place in the cache."""

    source: Source
    frames: int
    cached: Path


async def make_pictures(
    workshop: Workshop, sources: Sequence[Source], cut: Cut
) -> tuple[tuple[Path, ...], DecodingClock]:
    """Conform every clip's picture, or take it from the cache.

    Returns:
        One file per clip, in order, all with equal headers; and how they are to be decoded.

    Raises:
        MediaError: a clip cannot be decoded to its end, or ffmpeg failed otherwise.
    """
    version = await run_ffmpeg(["-version"], ffmpeg=workshop.ffmpeg, time_limit_s=_LIMIT_FLOOR_S)
    hashes: dict[Path, str] = {}

    async def hash_file(path: Path) -> None:
        hashes[path] = await anyio.to_thread.run_sync(file_sha256, path)

    await for_each({source.path for source in sources}, hash_file, workshop.workers)
    pictures = []
    for source, frames in zip(sources, cut.frames, strict=True):
        # All that decides the bytes: the clip's, every option, and the program that encodes.
        recipe = build_picture("", "", video=source.video, film=cut.film, frames=frames)
        text = json.dumps([hashes[source.path], recipe, version.stdout.hex()])
        name = hashlib.sha256(text.encode()).hexdigest()
        pictures.append(
            _Picture(source=source, frames=frames, cached=workshop.cache_dir / f"{name}.mp4")
        )
    found: list[VideoInfo] = []

    async def have(picture: _Picture) -> None:
        advance = workshop.progress.part(
            PICTURE_WEIGHT * float(picture.frames / cut.film.frame_rate)
        )
        found.append(await _have_picture(workshop, picture, cut.film, advance))
        advance(1.0)

    # A clip that is used twice is conformed once.
    await for_each({each.cached: each for each in pictures}.values(), have, workshop.workers)
    if len({replace(video, reorder_ticks=0).signature for video in found}) != 1:
        raise MediaError(
            "the conformed clips differ and cannot be joined",
            hint=f"empty {workshop.cache_dir}, then try again",
        )
    clock = DecodingClock(
        frame_ticks=round(track_timescale_hz(cut.film.frame_rate) / cut.film.frame_rate),
        ahead_ticks=max(video.reorder_ticks for video in found),
    )
    return tuple(picture.cached for picture in pictures), clock


async def _have_picture(
    workshop: Workshop,
    picture: _Picture,
    film: FilmFormat,
    advance: Callable[[float], None],
) -> VideoInfo:
    """Make one picture unless a sound one is cached; returns what it is."""
    if (found := await anyio.to_thread.run_sync(_probe_cached, picture)) is not None:
        return found
    part = workshop.folder / picture.cached.name
    length_s = float(picture.frames / film.frame_rate)
    try:
        await run_ffmpeg(
            build_picture(
                picture.source.link,
                part.name,
                video=picture.source.video,
                film=film,
                frames=picture.frames,
            ),
            ffmpeg=workshop.ffmpeg,
            cwd=workshop.folder,
            time_limit_s=_LIMIT_FLOOR_S + _PICTURE_LIMIT_PER_SECOND * length_s,
            on_progress=lambda done_s: advance(done_s / length_s),
        )
    except MediaError as exc:
        raise _of_clip(exc, picture.source, "conform") from exc
    digest = await anyio.to_thread.run_sync(file_sha256, part)
    await anyio.to_thread.run_sync(publish, part, picture.cached)
    _seal(picture.cached).write_text(digest, encoding="ascii")
    made = await anyio.to_thread.run_sync(_probe_cached, picture)
    if made is None:
        raise MediaError(
            f"ffmpeg ended well but did not make {picture.frames} frames"
            f" of {picture.source.path.name}",
            hint="run `storyboard doctor` to check this ffmpeg",
            returncode=0,
        )
    return made


def _probe_cached(picture: _Picture) -> VideoInfo | None:
    """What a cached picture is; None where it is missing, damaged or of other length."""
    try:
        if _seal(picture.cached).read_text(encoding="ascii") != file_sha256(picture.cached):
            return None
        video = probe(picture.cached).video
    except (OSError, UnicodeError, FileMissing, ClipRejected):
        return None
    if video is None or video.packets != picture.frames or not is_copyable(video):
        return None
    return video


def _seal(cached: Path) -> Path:
    """Where the hash of a cached picture is kept: a probe alone does not see flipped bytes."""
    return cached.with_name(f"{cached.name}.sha256")


async def make_sound(workshop: Workshop, sources: Sequence[Source], cut: Cut) -> Path:
    """Rebuild the sound of the film: one raw file of exactly the samples that its frames last.

    Each clip is decoded by itself, a few at a time, to its own place in the file; clips without
    sound leave zeros, which take no room on disk.

    Raises:
        MediaError: the sound of a clip cannot be decoded, or not to its length.
    """
    track = workshop.folder / "sound.raw"
    rate = cut.film.frame_rate
    with track.open("wb") as file:
        file.truncate(samples_of_frames(0, cut.total_frames, rate) * SAMPLE_BYTES)

    async def add(item: tuple[int, Source, int, int]) -> None:
        index, source, first, frames = item
        if source.info.audio is not None:
            part = workshop.folder / f"s{index:05}.raw"
            samples = samples_of_frames(first, frames, rate)
            await _decode_sound(workshop, source, part, samples)
            offset = samples_of_frames(0, first, rate) * SAMPLE_BYTES
            await anyio.to_thread.run_sync(_move_into, part, track, offset)
        workshop.progress.part(SOUND_WEIGHT * float(frames / rate))(1.0)

    spans = zip(sources, cut.first_frames, cut.frames, strict=True)
    await for_each(
        ((index, *span) for index, span in enumerate(spans, start=1)), add, workshop.workers
    )
    return track


async def _decode_sound(workshop: Workshop, source: Source, part: Path, samples: int) -> None:
    audio = source.info.audio
    if audio is None:
        return
    length_s = float(source.video.duration_s)
    try:
        await run_ffmpeg(
            build_sound(
                source.link,
                part.name,
                container=source.video.container,
                audio=audio,
                picture_start_s=source.video.start_s,
                samples=samples,
            ),
            ffmpeg=workshop.ffmpeg,
            cwd=workshop.folder,
            time_limit_s=_LIMIT_FLOOR_S + _SOUND_LIMIT_PER_SECOND * length_s,
        )
    except MediaError as exc:
        raise _of_clip(exc, source, "decode the sound of") from exc
    size_bytes = part.stat().st_size if part.exists() else 0
    if size_bytes != samples * SAMPLE_BYTES:
        raise MediaError(
            f"the sound of {source.path.name} came out {size_bytes // SAMPLE_BYTES} samples long"
            f" where {samples} were asked for",
            hint="run `storyboard doctor` to check this ffmpeg",
            returncode=0,
        )


def _move_into(part: Path, track: Path, offset: int) -> None:
    with part.open("rb") as source, track.open("r+b") as target:
        target.seek(offset)
        shutil.copyfileobj(source, target, 1024 * 1024)
    part.unlink()


def _of_clip(exc: MediaError, source: Source, action: str) -> MediaError:
    """The same failure, saying which clip it was; what is no fault of a clip stays as it is."""
    if exc.returncode is None:
        return exc
    return MediaError(
        f"cannot {action} {source.path.name}: {exc.message}",
        hint="if the file is damaged, remove it and run again: it is fetched anew",
        returncode=exc.returncode,
        stderr_tail=exc.stderr_tail,
    )


async def for_each(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], workers: int
) -> None:
    """Do some work for every item, ``workers`` at a time; the first failure stops the rest."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with anyio.create_task_group() as group:
            for _ in range(max(1, workers)):
                group.start_soon(worker)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
