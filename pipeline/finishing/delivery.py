"""From the checked clips of a storyboard to its master and every other deliverable.

Clips are looked at before anything is made of them: one that is black or frozen is refused by name.
What is unchanged since the last time, a clip's measurements, a piece of picture or a whole file,
is taken as it is, and the report says so.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from pipeline.errors import CannotWrite, ClipRejected, FilmRefused, MediaError, StorageError
from pipeline.files import write_whole
from pipeline.film.spec import Checks, FilmSpec
from pipeline.film.timeline import Timeline
from pipeline.finishing import memory
from pipeline.finishing.checks import judge_clip
from pipeline.finishing.deliverable import Finished, Job, have
from pipeline.finishing.film_report import (
    DELIVERABLES_FOLDER,
    REPORT_NAME,
    TABLE_NAME,
    FilmReport,
    build_report,
    build_table,
)
from pipeline.finishing.inspection import inspect
from pipeline.finishing.join import JOIN_WEIGHT
from pipeline.finishing.leavings import refused_path
from pipeline.finishing.material import Clip, OpenClip
from pipeline.finishing.measurements import Measurements
from pipeline.finishing.piece_cache import sweep
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.pieces import PICTURE_WEIGHT, SOUND_WEIGHT, Progress, Workshop, for_each
from pipeline.media.probe import probe, require_video
from pipeline.model import Storyboard

# While one is joined and measured, which is work for one processor, another renders.
_AT_ONCE = 2
_VERSION_LIMIT_S = 60.0
_WORK = "work-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """All deliverables of a storyboard: the report, the master's first; and of the master its
    cut, and whether its pictures are the clips' own."""

    report: FilmReport
    timeline: Timeline
    is_master_copied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What the work is done with: ``workers`` processes at a time for each deliverable."""

    cache_dir: Path
    ffmpeg: Path
    workers: int


async def deliver(
    storyboard: Storyboard,
    clips: Mapping[str, Clip],
    master: Path,
    *,
    ffmpeg: Path,
    cache_dir: Path,
    on_progress: Callable[[float], None],
    workers: int = 2,
) -> Delivered:
    """Make whatever is not there yet, measure all, write the report.

    Args:
        clips: of every shot, by its id, each verified before.
        master: where the master goes; other deliverables go to a folder beside it.
        cache_dir: keeps pieces and measurements between runs; may be emptied at any time.
        on_progress: called with the share done, from 0 to 1, never falling.
        workers: ffmpeg processes at a time for each deliverable, of which two are in work.
    Raises:
        FilmRefused: a clip or a deliverable did not pass; every one that did is in its place.
        MediaError: something cannot be made. StorageError, CannotWrite: the disk or its folders.
    """
    film = storyboard.film or FilmSpec()
    bench = _Bench(cache_dir=cache_dir.absolute(), ffmpeg=ffmpeg, workers=workers)
    _make_folders(master.parent, bench.cache_dir)
    await anyio.to_thread.run_sync(_sweep_work, bench.cache_dir)
    version = await run_ffmpeg(["-version"], ffmpeg=bench.ffmpeg, time_limit_s=_VERSION_LIMIT_S)
    opened = await _open(clips, film.checks, version.stdout, bench)
    jobs = [
        Job(
            storyboard=storyboard,
            deliverable=each,
            clips=opened,
            target=target,
            file=str(target.relative_to(master.parent)),
            program=version.stdout,
        )
        for each, target in (
            (film.master, master),
            *((each, _place(master, each.file_name)) for each in film.deliverables),
        )
    ]
    folder = master.parent / DELIVERABLES_FOLDER
    _make_folders(folder)
    finished, not_made = await _have_all(jobs, bench, on_progress)
    report = FilmReport(
        title=storyboard.title,
        checks=film.checks,
        deliverables=tuple(each.made for each in finished.values()),
        not_made=tuple((jobs[index].file, str(why)) for index, why in not_made.items()),
    )
    if not not_made:
        used = {bench.cache_dir / name for each in finished.values() for name in each.pieces}
        await anyio.to_thread.run_sync(sweep, bench.cache_dir, used)
    write_whole(folder / REPORT_NAME, build_report(report))
    write_whole(folder / TABLE_NAME, build_table(report))
    if not report.has_passed:
        raise _refusal(jobs, finished, not_made)
    on_progress(1.0)
    return Delivered(
        report=report, timeline=jobs[0].timeline, is_master_copied=finished[0].is_copied
    )


async def _open(
    clips: Mapping[str, Clip], checks: Checks, program: bytes, bench: _Bench
) -> dict[str, OpenClip]:
    """Look into every clip; refuse those that are damaged, black or frozen, all of them at once."""
    found: dict[str, OpenClip] = {}
    refused: dict[str, str] = {}

    async def open_one(shot_id: str) -> None:
        clip = clips[shot_id]
        try:
            info = await anyio.to_thread.run_sync(probe, clip.path, clip.container)
            video = require_video(info, clip.path)
            faults = judge_clip(await _measure(clip, checks, program, bench), checks)
        except ClipRejected as exc:
            refused[shot_id] = str(exc)
            return
        if faults:
            refused[shot_id] = "; ".join(str(fault) for fault in faults)
        found[shot_id] = OpenClip(clip=clip, info=info, video=video)

    await for_each(clips, open_one, bench.workers)
    if refused:
        words = "\n".join(
            f"  {shot_id} ({clips[shot_id].path.name}): {refused[shot_id]}"
            for shot_id in clips
            if shot_id in refused
        )
        raise FilmRefused(f"not every clip can be cut into the film:\n{words}")
    return {shot_id: found[shot_id] for shot_id in clips}


async def _measure(clip: Clip, checks: Checks, program: bytes, bench: _Bench) -> Measurements:
    key = memory.key_of(clip.sha256, checks.black_level, program.hex())
    path = memory.record_path(bench.cache_dir, key)
    if (known := memory.recall(path)) is not None:
        return known
    measured = await inspect(
        clip.path, clip.container, ffmpeg=bench.ffmpeg, black_level=checks.black_level
    )
    memory.remember(path, measured)
    return measured


async def _have_all(
    jobs: Sequence[Job], bench: _Bench, on_progress: Callable[[float], None]
) -> tuple[dict[int, Finished], dict[int, MediaError]]:
    """Those that there are now, and why there are no others, both in order.

    One that its clips or its sound do not allow keeps none of the others back.
    """
    lengths_s = [float(job.timeline.duration_s) for job in jobs]
    each_second = PICTURE_WEIGHT + SOUND_WEIGHT + JOIN_WEIGHT
    progress = Progress(report=on_progress, total=each_second * sum(lengths_s))
    found: dict[int, Finished] = {}
    failed: dict[int, MediaError] = {}

    async def have_one(item: tuple[int, Job]) -> None:
        index, job = item
        with _workspace(job, bench) as folder:
            workshop = Workshop(
                folder=folder,
                cache_dir=bench.cache_dir,
                ffmpeg=bench.ffmpeg,
                workers=bench.workers,
                progress=progress,
            )
            try:
                found[index] = await have(job, workshop)
            except (ClipRejected, FilmRefused) as exc:
                failed[index] = exc
                return
            except OSError as exc:
                raise _storage_error(job.target, exc) from exc
        if found[index].made.is_reused:
            progress.part(each_second * lengths_s[index])(1.0)

    await for_each(enumerate(jobs), have_one, _AT_ONCE)
    return dict(sorted(found.items())), dict(sorted(failed.items()))


def _place(master: Path, name: str) -> Path:
    return master.parent / DELIVERABLES_FOLDER / name


def _refusal(
    jobs: Sequence[Job], finished: Mapping[int, Finished], not_made: Mapping[int, MediaError]
) -> FilmRefused:
    lines, kept, former = [], [], []
    for index, job in enumerate(jobs):
        faults: Sequence[object] = (not_made[index],) if index in not_made else ()
        if index in finished and finished[index].made.faults:
            faults = finished[index].made.faults
            kept.append(refused_path(job.target).name)
        lines += [f"  {job.file}: {fault}" for fault in faults]
        if faults and job.target.exists():
            former.append(job.file)
    hints = [f"to look at: {', '.join(kept)}"] if kept else []
    if former:
        hints.append(f"from an earlier run, and not what is asked for now: {', '.join(former)}")
    words = "\n".join(lines)
    return FilmRefused(f"not every deliverable passed:\n{words}", hint="; ".join(hints))


def _make_folders(*folders: Path) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise CannotWrite(f"cannot make the folder {folder}: {exc.strerror}") from exc


def _sweep_work(cache_dir: Path) -> None:
    """Remove what runs that were killed left of their work, also on what is wanted no longer."""
    for folder in cache_dir.glob(f"{_WORK}*"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _workspace(job: Job, bench: _Bench) -> Iterator[Path]:
    """An empty folder for one deliverable."""
    place = hashlib.sha256(os.fsencode(job.target.absolute())).hexdigest()[:16]
    folder = bench.cache_dir / f"{_WORK}{place}"
    _make_folders(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _storage_error(target: Path, exc: OSError) -> StorageError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(target.parent).free
        return StorageError(
            f"no room for {target}: {free} bytes free",
            hint="free some space, then run again; no clip is bought twice",
        )
    return StorageError(f"cannot make {target}: {exc.strerror or exc}")
