"""One finished file: its pictures and its sound made, joined, marked, measured, and named.

It gets its name only if its measurements are what was wanted; what fails lies beside it under
another name, so that a person can look at what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import anyio.to_thread

from pipeline.errors import FileMissing
from pipeline.files import write_whole
from pipeline.film.captions import write_srt, write_vtt
from pipeline.film.identity import plain
from pipeline.film.spec import CaptionFile, Deliverable, FilmSpec
from pipeline.film.timeline import Timeline
from pipeline.finishing import memory
from pipeline.finishing.checks import Wanted, judge_film, resting_places
from pipeline.finishing.disclosure import Disclosure, container_tags, disclose
from pipeline.finishing.film_report import Made
from pipeline.finishing.inspection import inspect
from pipeline.finishing.join import WrongFilm, container_of, join
from pipeline.finishing.leavings import clear_away, refused_path
from pipeline.finishing.mastering import encode_to_target
from pipeline.finishing.material import (
    Material,
    OpenClip,
    frame_of,
    gather,
    timeline_of,
)
from pipeline.finishing.origin import disclosure_of, materials_of, provenance_of, shots_of
from pipeline.finishing.pictures import Rendered, render_pictures
from pipeline.finishing.provenance import FileUsed, Provenance, provenance_path, write_provenance
from pipeline.finishing.sound import Track, make_track
from pipeline.media.files import file_sha256, publish
from pipeline.media.pieces import Workshop
from pipeline.model import Storyboard

# What a deliverable's record counts up with whenever it would come out otherwise.
_FORMAT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One deliverable to have: ``target`` its path, ``file`` the same from the storyboard's folder;
    ``program`` what the ffmpeg says of its version."""

    storyboard: Storyboard
    deliverable: Deliverable
    clips: Mapping[str, OpenClip]
    target: Path
    file: str
    program: bytes

    @property
    def film(self) -> FilmSpec:
        """The manifest's section."""
        return self.storyboard.film or FilmSpec()

    @property
    def timeline(self) -> Timeline:
        """Its cut at its own rate."""
        frame = frame_of(self.deliverable, [each.video for each in self.clips.values()])
        return timeline_of(self.storyboard, self.deliverable, self.clips, frame.frame_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A deliverable as it is now: for the report, whether its pictures are the clips' own, and the
    cached pieces that it is made of."""

    made: Made
    is_copied: bool
    pieces: tuple[str, ...]


async def have(job: Job, workshop: Workshop) -> Finished:
    """Make one deliverable, unless the file on disk is made of exactly this.

    The workshop's folder is this deliverable's own and is emptied by the caller.

    Raises:
        MediaError: it cannot be made. StorageError: the disk would not take it.
    """
    key = key_of(job)
    found = await anyio.to_thread.run_sync(_find, job, key, workshop)
    return found or await _make(job, key, workshop)


def key_of(job: Job) -> str:
    """Identity of a deliverable by all that goes into it."""
    shots = [
        (str(shot.cut_s), plain(shot.edit), shot.kind, clip.slate, clip.sha256, plain(clip.used))
        for shot, clip in ((shot, job.clips[shot.id].clip) for shot in job.storyboard.shots)
    ]
    # The other deliverables are nothing to this one; of the master it knows what captions go by.
    film = plain(replace(job.film, deliverables=()))
    names, wanted = (job.storyboard.name, job.storyboard.title), plain(job.deliverable)
    return memory.key_of(_FORMAT, names, job.program.hex(), film, wanted, shots)


def _find(job: Job, key: str, workshop: Workshop) -> Finished | None:
    """What is on disk already, whole and unchanged, and made of this."""
    try:
        record = memory.read_made(_record_path(job, workshop))
        files = _files(job)
        if record["key"] != key or record["files"] != dict(files):
            return None
        pieces = tuple(str(name) for name in record["pieces"])
        notes = tuple(str(note) for note in record["notes"])
        is_copied = bool(record["copied"])
    except (LookupError, TypeError, FileMissing):
        return None
    sha256 = dict(files)[job.file]
    measured = memory.recall(_measured_path(job, workshop, sha256))
    if measured is None:
        return None
    # What did not pass was made of something else, which is wanted no longer.
    refused_path(job.target).unlink(missing_ok=True)
    made = Made(
        name=job.deliverable.name,
        file=job.file,
        sha256=sha256,
        measured=measured,
        wanted=_wanted(job, job.timeline),
        faults=(),
        reused=len(pieces),
        is_reused=True,
        notes=notes,
        files=files,
    )
    return Finished(made=made, is_copied=is_copied, pieces=pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """All that one finished file is put together from."""

    material: Material
    rendered: Rendered
    track: Track
    disclosure: Disclosure


async def _make(job: Job, key: str, workshop: Workshop) -> Finished:
    material = await anyio.to_thread.run_sync(
        gather, job.storyboard, job.deliverable, job.clips, workshop.folder
    )
    track = await make_track(
        material.timeline,
        material.sounds,
        music=job.film.music,
        voice_overs=job.film.voice_overs,
        fades=material.fades,
        loudness=job.deliverable.loudness,
        workshop=workshop,
    )
    shots = shots_of(material.timeline, {i: each.clip.used for i, each in job.clips.items()})
    disclosure = disclosure_of(job.storyboard, job.deliverable, material.timeline, shots)
    rendered = await _render(material, workshop)
    parts = _Parts(material=material, rendered=rendered, track=track, disclosure=disclosure)
    try:
        part = await _encode(job, parts, workshop)
    except WrongFilm:
        if not rendered.is_copied:
            raise
        parts = replace(parts, rendered=await _render(material, workshop, copy=False))
        part = await _encode(job, parts, workshop)
    rendered = parts.rendered
    measured = await inspect(
        part,
        container_of(job.deliverable.profile),
        ffmpeg=workshop.ffmpeg,
        black_level=job.film.checks.black_level,
    )
    wanted = _wanted(job, material.timeline)
    made = Made(
        name=job.deliverable.name,
        file=job.file,
        sha256=await anyio.to_thread.run_sync(file_sha256, part),
        measured=measured,
        wanted=wanted,
        faults=judge_film(measured, wanted, job.film.checks),
        rendered=rendered.rendered,
        reused=rendered.reused,
        notes=track.notes,
    )
    pieces = tuple(sorted(path.name for path in rendered.cached))
    finished = Finished(made=made, is_copied=rendered.is_copied, pieces=pieces)
    if made.faults:
        await anyio.to_thread.run_sync(publish, part, refused_path(job.target))
        return finished
    provenance = provenance_of(
        FileUsed(name=job.target.name, sha256=made.sha256),
        disclosure,
        material.timeline,
        shots,
        tuple(materials_of(job.film, job.deliverable)),
    )
    await anyio.to_thread.run_sync(_hand_over, job, material, part, provenance)
    files = await anyio.to_thread.run_sync(_files, job)
    _clear_former(job, workshop, dict(files))
    memory.remember(_measured_path(job, workshop, made.sha256), measured)
    record = {
        "key": key,
        "files": dict(files),
        "pieces": pieces,
        "copied": rendered.is_copied,
        "notes": made.notes,
    }
    memory.note_made(_record_path(job, workshop), record)
    return replace(finished, made=replace(made, files=files))


async def _render(material: Material, workshop: Workshop, *, copy: bool = True) -> Rendered:
    return await render_pictures(
        material.timeline,
        material.sources,
        material.frame,
        workshop=workshop,
        overlays=material.overlays,
        fades=material.fades,
        copy=copy,
    )


async def _encode(job: Job, parts: _Parts, workshop: Workshop) -> Path:
    """Join pictures and sound into a file of the workshop's, on target where there is one."""
    container = container_of(job.deliverable.profile)
    texts = container_tags(parts.disclosure, container)
    frame = parts.material.frame

    async def encode(sound: Path, path: Path) -> None:
        await join(parts.rendered, sound, path, frame, workshop=workshop, texts=texts)
        await anyio.to_thread.run_sync(disclose, path, parts.disclosure, container)

    loudness = job.deliverable.loudness
    if loudness is None:
        part = workshop.folder / f"film{container.suffix}"
        await encode(parts.track.path, part)
        return part
    encoded = await encode_to_target(
        parts.track.mix,
        loudness,
        encode,
        ffmpeg=workshop.ffmpeg,
        folder=workshop.folder,
        container=container,
        ready=parts.track.ready,
        tolerance_lu=job.film.checks.loudness_lu,
    )
    return encoded.path


def _hand_over(job: Job, material: Material, part: Path, provenance: Provenance) -> None:
    """Give the file its name, and put beside it what belongs to it."""
    refused_path(job.target).unlink(missing_ok=True)
    writers = {CaptionFile.SRT: write_srt, CaptionFile.VTT: write_vtt}
    for kind, path in _caption_files(job).items():
        write_whole(path, writers[kind](material.cues))
    write_provenance(job.target, provenance)
    publish(part, job.target)


def _files(job: Job) -> tuple[tuple[str, str], ...]:
    """The file and all that lies beside it, as they are called from the storyboard's folder, each
    with its hash."""
    paths = (job.target, provenance_path(job.target), *_caption_files(job).values())
    folder = Path(job.file).parent
    return tuple((str(folder / path.name), file_sha256(path)) for path in paths)


def _clear_former(job: Job, workshop: Workshop, kept: Collection[str]) -> None:
    """Remove what was once put beside the file and would now say something untrue of it."""
    files = memory.read_made(_record_path(job, workshop)).get("files", {})
    former = {Path(name).name: files[name] for name in set(files) - set(kept)}
    clear_away(job.target.parent, former)


def _caption_files(job: Job) -> dict[CaptionFile, Path]:
    """The caption files of a deliverable by their format; none where the film has no captions."""
    captions = job.film.captions
    kinds = () if captions is None else captions.files
    return {kind: job.target.with_suffix(f".{kind.value}") for kind in kinds}


def _wanted(job: Job, timeline: Timeline) -> Wanted:
    frame = frame_of(job.deliverable, [each.video for each in job.clips.values()])
    return Wanted(
        frames=timeline.total_frames,
        frame_rate=frame.frame_rate,
        width_px=frame.width_px,
        height_px=frame.height_px,
        loudness=job.deliverable.loudness,
        may_rest=resting_places(
            timeline, fade_in_s=job.film.fade_in_s, fade_out_s=job.film.fade_out_s
        ),
        profile=frame.profile,
    )


def _record_path(job: Job, workshop: Workshop) -> Path:
    return memory.made_path(workshop.cache_dir, job.file)


def _measured_path(job: Job, workshop: Workshop, sha256: str) -> Path:
    checks = job.film.checks
    return memory.record_path(
        workshop.cache_dir, memory.key_of(sha256, checks.black_level, job.program.hex())
    )
