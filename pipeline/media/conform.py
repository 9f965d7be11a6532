"""Make the film: the cut's clips in order, one picture track, one sound track, in step.

Clips that agree in every property have their pictures copied, bit for bit. Otherwise each clip is
brought to one format once, kept in a cache by its content, and the results are joined by copy.
The sound is always rebuilt: every clip gives exactly the samples that its frames last, whatever
its own track holds, and the whole is encoded once. Joining the clips' own sound tracks would put
37 ms of drift into every cut.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import anyio.to_thread

from pipeline.errors import CannotWrite, MediaError, StorageError
from pipeline.media.commands import build_concat_list, build_join
from pipeline.media.cut import Cut, plan_cut
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.files import file_sha256, publish
from pipeline.media.pieces import (
    PICTURE_WEIGHT,
    SOUND_WEIGHT,
    Progress,
    Source,
    Workshop,
    for_each,
    make_pictures,
    make_sound,
)
from pipeline.media.probe import probe, require_video
from pipeline.model import Container

_JOIN_WEIGHT = 1.0
_JOIN_LIMIT_FLOOR_S = 120.0
_JOIN_LIMIT_PER_SECOND = 2.0
_LIST_NAME = "cut.ffconcat"


@dataclass(frozen=True, slots=True, kw_only=True)
class CutClip:
    """One clip of the cut: its file and the format of that, its slate, and the seconds used
    (None: all of it)."""

    path: Path
    slate: str
    cut_s: Fraction | None = None
    container: Container = Container.MP4

    def __post_init__(self) -> None:
        if self.cut_s is not None and self.cut_s <= 0:
            raise ValueError(f"{self.slate}: a cut of {self.cut_s} s shows nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A finished film: what it is, and which frames show which slate.

    ``copied``: the pictures are the clips' own, not encoded again. ``spans`` holds slate, first
    frame and number of frames of each clip, in cut order; they lie end to end.
    """

    path: Path
    sha256: str
    frames: int
    frame_rate: Fraction
    width_px: int
    height_px: int
    copied: bool
    spans: tuple[tuple[str, int, int], ...]

    @property
    def duration_s(self) -> Fraction:
        """Exact length in seconds."""
        return self.frames / self.frame_rate


async def conform(
    clips: Sequence[CutClip],
    destination: Path,
    *,
    ffmpeg: Path,
    cache_dir: Path,
    title: str = "",
    comment: str = "",
    mark: Callable[[Path], None] | None = None,
    on_progress: Callable[[float], None] | None = None,
    workers: int = 2,
) -> Film:
    """Join clips into one film file, which appears whole or not at all.

    The same clips, cuts and texts give the same bytes with the same ffmpeg. Memory and open
    files do not grow with the number of clips; the disk holds the film's raw sound for a while
    (0.4 MB a second) in ``cache_dir``.

    Args:
        clips: in cut order, each verified before; N of them, at least one.
        destination: the film's path; its folder is made. One conform at a time for one of them.
        cache_dir: keeps conformed pictures between runs; may be emptied at any time.
        title, comment: written into the file where not empty.
        mark: called, in a thread, with the whole film before it is hashed and gets its name.
        on_progress: called with the share done, from 0 to 1, never falling.
        workers: ffmpeg processes at a time.
    Raises:
        MediaError: no clips, or ffmpeg failed; ``ClipRejected`` where one clip is at fault.
        FileMissing: a clip cannot be read.
        CannotWrite, StorageError: the folders cannot be made, or the disk is full or failed.
    """
    if not clips:
        raise MediaError("there are no clips to make a film of", hint="run the storyboard first")
    _make_folders(destination.parent, cache_dir)
    place = hashlib.sha256(os.fsencode(destination.absolute())).hexdigest()[:16]
    part = destination.with_name(f"{destination.name}.part")
    try:
        with _workspace(cache_dir.absolute() / f"work-{place}", part) as folder:
            workshop = Workshop(
                folder=folder,
                cache_dir=cache_dir.absolute(),
                ffmpeg=ffmpeg,
                workers=workers,
                progress=Progress(report=on_progress or (lambda _share: None)),
            )
            sources = await _open_sources(clips, workshop)
            texts = (_one_line(title), _one_line(comment))
            cut = await _make_film(sources, [clip.cut_s for clip in clips], part, workshop, texts)
            if mark is not None:
                await anyio.to_thread.run_sync(mark, part)
            digest = await anyio.to_thread.run_sync(file_sha256, part)
            await anyio.to_thread.run_sync(publish, part, destination)
    except OSError as exc:
        raise _storage_error(destination, exc) from exc
    workshop.progress.report(1.0)
    return Film(
        path=destination,
        sha256=digest,
        frames=cut.total_frames,
        frame_rate=cut.film.frame_rate,
        width_px=cut.film.width_px,
        height_px=cut.film.height_px,
        copied=cut.copied,
        spans=tuple(
            (clip.slate, first, count)
            for clip, first, count in zip(clips, cut.first_frames, cut.frames, strict=True)
        ),
    )


async def _open_sources(clips: Sequence[CutClip], workshop: Workshop) -> list[Source]:
    """Probe every clip and link it into the work folder under a name of our own."""
    found: dict[int, Source] = {}

    async def open_one(item: tuple[int, CutClip]) -> None:
        index, clip = item
        info = await anyio.to_thread.run_sync(probe, clip.path, clip.container)
        link = f"c{index:05}{clip.container.suffix}"
        (workshop.folder / link).symlink_to(clip.path.absolute())
        found[index] = Source(
            path=clip.path, info=info, video=require_video(info, clip.path), link=link
        )

    await for_each(enumerate(clips, start=1), open_one, workshop.workers)
    return [found[index] for index in sorted(found)]


async def _make_film(
    sources: Sequence[Source],
    cuts_s: Sequence[Fraction | None],
    part: Path,
    workshop: Workshop,
    texts: tuple[str, str],
) -> Cut:
    """Write the film to ``part``; a copy that does not come out right is made by encoding."""
    videos = [source.video for source in sources]
    cut = plan_cut(videos, cuts_s)
    fault = await _attempt(sources, cut, part, workshop, texts)
    if fault and cut.copied:
        cut = plan_cut(videos, cuts_s, copy=False)
        fault = await _attempt(sources, cut, part, workshop, texts)
    if fault:
        raise MediaError(
            f"the film came out wrong: {fault}",
            hint="run `storyboard doctor` to check this ffmpeg",
            returncode=0,
        )
    return cut


async def _attempt(
    sources: Sequence[Source], cut: Cut, part: Path, workshop: Workshop, texts: tuple[str, str]
) -> str:
    """Make the film one way; returns what is wrong with it, or nothing."""
    length_s = float(cut.duration_s)
    each_second = SOUND_WEIGHT + _JOIN_WEIGHT + (0 if cut.copied else PICTURE_WEIGHT)
    workshop.progress.restart(each_second * length_s)
    names = [source.link for source in sources]
    clock = None
    if not cut.copied:
        pictures, clock = await make_pictures(workshop, sources, cut)
        names = [f"p{index:05}.mp4" for index, _ in enumerate(pictures, start=1)]
        for name, picture in zip(names, pictures, strict=True):
            (workshop.folder / name).symlink_to(picture)
    sound = await make_sound(workshop, sources, cut)
    (workshop.folder / _LIST_NAME).write_text(
        build_concat_list(names, cut.frames, cut.film.frame_rate)
    )
    advance = workshop.progress.part(_JOIN_WEIGHT * length_s)
    try:
        await run_ffmpeg(
            build_join(
                _LIST_NAME,
                sound.name,
                str(part.absolute()),
                clock=clock,
                title=texts[0],
                comment=texts[1],
            ),
            ffmpeg=workshop.ffmpeg,
            cwd=workshop.folder,
            time_limit_s=_JOIN_LIMIT_FLOOR_S + _JOIN_LIMIT_PER_SECOND * length_s,
            on_progress=lambda done_s: advance(done_s / length_s),
        )
    except MediaError as exc:
        if cut.copied and exc.returncode is not None and exc.returncode > 0:
            return exc.message
        raise
    return await anyio.to_thread.run_sync(_film_fault, part, cut)


def _film_fault(part: Path, cut: Cut) -> str:
    """What is wrong with a film: its frames counted, its clock and its sound's length checked."""
    if not part.exists():
        return "ffmpeg ended well but wrote no file"
    info = probe(part)
    video, audio = info.video, info.audio
    if video is None or audio is None:
        return "picture or sound is missing"
    if video.packets != cut.total_frames:
        return f"{video.packets} frames where the clips have {cut.total_frames}"
    if not video.on_grid or video.first_pts != 0 or video.frame_rate != cut.film.frame_rate:
        return f"its frames do not follow {cut.film.frame_rate} a second from 0"
    # Even with a priming that a player may ignore, half a frame would not be seen.
    if audio.start_s != 0 or abs(audio.end_s - cut.duration_s) > 1 / cut.film.frame_rate:
        return "sound and picture are not of one length"
    return ""


def _make_folders(*folders: Path) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise CannotWrite(f"cannot make the folder {folder}: {exc.strerror}") from exc


@contextmanager
def _workspace(folder: Path, part: Path) -> Iterator[Path]:
    """An empty folder of the film's own, and no half film; what a crash left is swept first."""
    shutil.rmtree(folder, ignore_errors=True)
    # An ffmpeg whose run was killed may still be writing into that file; ours is a new one.
    part.unlink(missing_ok=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        part.unlink(missing_ok=True)


def _storage_error(destination: Path, exc: OSError) -> StorageError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(destination.parent).free
        return StorageError(
            f"no room for {destination}: {free} bytes free",
            hint="free some space, then run again; no clip is bought twice",
        )
    return StorageError(f"cannot make {destination}: {exc.strerror or exc}")


def _one_line(text: str) -> str:
    """Text for a file's metadata: no line breaks, no control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
