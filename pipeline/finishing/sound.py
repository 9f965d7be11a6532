"""The sound track of a deliverable: clips in their places, voices, and music that steps back.

Every span of the timeline gets exactly the samples that its frames last, counted from the film's
first frame, so that sound and picture agree at the last cut as at the first. What is mixed lies on
disk and is worked on in blocks: memory is the same for a film of any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio.to_thread
import numpy as np

from pipeline.errors import MediaError
from pipeline.film.spec import Level, Loudness, Music, VoiceOver
from pipeline.film.timeline import Span, Timeline
from pipeline.finishing import raw_sound
from pipeline.finishing.loudness import measure
from pipeline.finishing.mastering import Reached, Ready, limit, reach
from pipeline.finishing.mix import edge_gains, fade_gains, gain_of, levelling
from pipeline.finishing.music_bed import Bed, bed_block, make_bed
from pipeline.finishing.recordings import decode
from pipeline.finishing.sources import Fades
from pipeline.media.commands import build_sound
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.pieces import SOUND_WEIGHT, Workshop, for_each
from pipeline.media.probe import AudioInfo
from pipeline.model import Container
from pipeline.timecode import SAMPLE_RATE_HZ, samples_of_frames

_LIMIT_FLOOR_S = 120.0
_LIMIT_PER_SECOND = 5.0
# Where no target says otherwise, a sum that is too loud for its format is held here: an encoder
# adds up to half a decibel, and what is above full scale is cut off by every player.
_SAFE_PEAK_DBTP = -1.0
_FULL_SCALE = 1.0
_NO_FADES = Fades()
_AS_IT_IS = Level()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSound:
    """What is heard with one clip: from ``in_s`` seconds after its first picture on.

    ``audio`` None: the clip has no sound. ``picture_start_s`` when its file shows that picture.
    """

    path: Path
    container: Container
    audio: AudioInfo | None
    picture_start_s: Fraction
    in_s: Fraction = Fraction(0)
    level: Level = _AS_IT_IS


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A finished sound track: raw stereo floats at 48 kHz, exactly as long as the film.

    ``path`` is ready to be encoded, ``mix`` the same before gain and limiter. ``notes`` are for
    the report. ``clip_gains_db`` is what levelling did, one a span. ``reached`` None: the mix was
    left at its level, and ``path`` is the mix.
    """

    path: Path
    mix: Path
    samples: int
    notes: tuple[str, ...]
    clip_gains_db: tuple[float, ...]
    reached: Reached | None

    @property
    def gain_db(self) -> float:
        """How much louder the whole was made."""
        return 0.0 if self.reached is None else self.reached.gain_db

    @property
    def ready(self) -> Ready | None:
        """For ``encode_to_target`` to begin with."""
        return None if self.reached is None else Ready(path=self.path, reached=self.reached)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """A sound's length in samples, and how many at its ends it shares with its neighbours."""

    samples: int
    lead: int = 0
    tail: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A span and its sound, in samples of the film; ``part`` holds exactly its own."""

    index: int
    sound: ClipSound
    part: Path
    first: int
    shape: _Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The film in samples, and the first that belongs to it and not to a slate before it."""

    samples: int
    origin: int
    rise: int
    fall: int


async def make_track(
    timeline: Timeline,
    sounds: Sequence[ClipSound | None],
    *,
    music: Music | None = None,
    voice_overs: Sequence[VoiceOver] = (),
    fades: Fades = _NO_FADES,
    loudness: Loudness | None = None,
    workshop: Workshop,
    headroom_db: float = 0.5,
) -> Track:
    """Make the sound of a film in the workshop's folder; the same inputs give the same bytes.

    Music, voices and the film's fade-in count from the end of a slate, which is silent.

    Args:
        sounds: one a span of the timeline, in order; None: silence, as under a card.
        fades: frames in which the whole comes out of silence and goes into it.
        loudness: brings clips closer to each other, then the whole to this; None: levels stay as
            they are, and only a sum above full scale is limited.
        headroom_db: how far under the target's peak to stay, for what an encoder adds.
    Raises:
        MediaError: a sound cannot be decoded; says which.
        FileMissing: music or a voice cannot be read.
    """
    place = _measure_out(timeline, fades)
    placed = _place_clips(timeline, sounds, workshop)
    await for_each(placed, lambda each: _decode_clip(each, workshop), workshop.workers)
    gains = await _clip_gains(placed, workshop) if loudness else [0.0 for _ in placed]
    clips = workshop.folder / "clips.raw"
    await anyio.to_thread.run_sync(_lay_clips, placed, gains, clips, place.samples)
    workshop.progress.part(SOUND_WEIGHT * float(timeline.duration_s))(1.0)
    voices, notes = await _lay_voices(voice_overs, place, workshop)
    bed, more = await make_bed(
        music, voices or clips, begin=place.origin, end=place.samples, workshop=workshop
    )
    mix = workshop.folder / "mix.raw"
    heard = [clips] if voices is None else [clips, voices]
    peak = await anyio.to_thread.run_sync(_mix, heard, bed, mix, place)
    notes += more
    reached, path = await _master(mix, loudness, workshop, peak=peak, headroom_db=headroom_db)
    for each in heard:
        each.unlink()
    by_index = {each.index: gain for each, gain in zip(placed, gains, strict=True)}
    return Track(
        path=path,
        mix=mix,
        samples=place.samples,
        notes=(*notes, *_mastering_notes(reached, loudness)),
        clip_gains_db=tuple(by_index.get(index, 0.0) for index in range(len(sounds))),
        reached=reached,
    )


def _measure_out(timeline: Timeline, fades: Fades) -> _Place:
    rate = timeline.frame_rate
    total = timeline.total_frames
    origin = timeline.slate_frames
    return _Place(
        samples=samples_of_frames(0, total, rate),
        origin=samples_of_frames(0, origin, rate),
        rise=samples_of_frames(origin, fades.in_frames, rate),
        fall=samples_of_frames(total - fades.out_frames, fades.out_frames, rate),
    )


def _place_clips(
    timeline: Timeline, sounds: Sequence[ClipSound | None], workshop: Workshop
) -> list[_Placed]:
    """Where the spans that are heard lie."""

    def samples(span: Span, first_frame: int, frames: int) -> int:
        return samples_of_frames(span.first_frame + first_frame, frames, timeline.frame_rate)

    return [
        _Placed(
            index=index,
            sound=sound,
            part=workshop.folder / f"s{index:05}.raw",
            first=samples_of_frames(0, span.first_frame, timeline.frame_rate),
            shape=_Shape(
                samples=samples(span, 0, span.frames),
                lead=samples(span, 0, span.lead),
                tail=samples(span, span.frames - span.tail, span.tail),
            ),
        )
        for index, (span, sound) in enumerate(zip(timeline.spans, sounds, strict=True))
        if sound is not None and sound.audio is not None and not sound.level.is_muted
    ]


async def _decode_clip(placed: _Placed, workshop: Workshop) -> None:
    sound = placed.sound
    if sound.audio is None:
        return
    link = workshop.folder / f"a{placed.index:05}{sound.container.suffix}"
    link.unlink(missing_ok=True)
    link.symlink_to(sound.path.absolute())
    skipped = round(sound.in_s * SAMPLE_RATE_HZ)
    try:
        await run_ffmpeg(
            build_sound(
                link.name,
                placed.part.name,
                container=sound.container,
                audio=sound.audio,
                picture_start_s=sound.picture_start_s,
                samples=placed.shape.samples,
                skipped=skipped,
                sloped=False,
            ),
            ffmpeg=workshop.ffmpeg,
            cwd=workshop.folder,
            time_limit_s=_LIMIT_FLOOR_S
            + _LIMIT_PER_SECOND * (skipped + placed.shape.samples) / SAMPLE_RATE_HZ,
        )
    except MediaError as exc:
        if exc.returncode is None:
            raise
        raise MediaError(
            f"cannot decode the sound of {sound.path.name}: {exc.message}",
            hint="if the file is damaged, remove it and run again: it is fetched anew",
            returncode=exc.returncode,
            stderr_tail=exc.stderr_tail,
        ) from exc
    if (made := raw_sound.samples_in(placed.part)) != placed.shape.samples:
        raise MediaError(
            f"the sound of {sound.path.name} came out {made} samples long where"
            f" {placed.shape.samples} were asked for",
            hint="run `storyboard doctor` to check this ffmpeg",
            returncode=0,
        )


async def _clip_gains(placed: Sequence[_Placed], workshop: Workshop) -> list[float]:
    found: dict[int, float | None] = {}

    async def look(each: _Placed) -> None:
        measured = await measure(each.part, ffmpeg=workshop.ffmpeg)
        found[each.index] = measured.integrated_lufs

    await for_each(placed, look, workshop.workers)
    return levelling([found[each.index] for each in placed])


def _lay_clips(
    placed: Sequence[_Placed], gains_db: Sequence[float], track: Path, samples: int
) -> None:
    raw_sound.make_silence(track, samples)
    for each, gain_db in zip(placed, gains_db, strict=True):
        factor = gain_of(float(each.sound.level.gain_db) + gain_db)
        _lay(each.part, track, first=each.first, shape=each.shape, factor=factor)
        each.part.unlink()


def _lay(source: Path, track: Path, *, first: int, shape: _Shape, factor: float) -> None:
    """Add a sound to what lies in the track from sample ``first`` on."""
    with source.open("rb") as added, track.open("r+b") as target:
        for at, count in raw_sound.blocks(shape.samples):
            gains = edge_gains(at, count, total=shape.samples, lead=shape.lead, tail=shape.tail)
            sound = raw_sound.read(added, at, count) * (factor * gains)[:, None]
            under = raw_sound.read(target, first + at, count)
            raw_sound.write(target, first + at, (under + sound).astype(np.float32))


async def _lay_voices(
    voice_overs: Sequence[VoiceOver], place: _Place, workshop: Workshop
) -> tuple[Path | None, list[str]]:
    notes: list[str] = []
    track = workshop.folder / "voices.raw"
    heard = [voice for voice in voice_overs if not voice.level.is_muted]
    if not heard:
        return None, notes
    raw_sound.make_silence(track, place.samples)
    for voice in heard:
        first = place.origin + round(voice.at_s * SAMPLE_RATE_HZ)
        room = place.samples - first
        if room <= 0:
            notes.append(f"{voice.file.source} is not heard: the film ends before it begins")
            continue
        recording = await decode(voice.file, workshop, wanted=place.samples)
        notes += recording.notes
        if recording.samples > room:
            notes.append(
                f"{voice.file.source} is cut off where the film ends:"
                f" {room / SAMPLE_RATE_HZ:.1f} s of it are heard"
            )
        await anyio.to_thread.run_sync(
            partial(
                _lay,
                recording.path,
                track,
                first=first,
                shape=_Shape(samples=min(recording.samples, room)),
                factor=gain_of(voice.level.gain_db),
            )
        )
    return track, notes


def _mix(heard: Sequence[Path], bed: Bed | None, mix: Path, place: _Place) -> float:
    """Add everything up, block by block; returns the highest sample."""
    peak = 0.0
    with ExitStack() as files:
        sources = [files.enter_context(path.open("rb")) for path in heard]
        target = files.enter_context(mix.open("wb"))
        for first, count in raw_sound.blocks(place.samples):
            total = sum(
                (raw_sound.read(source, first, count).astype(np.float64) for source in sources),
                np.zeros((count, 2)),
            )
            if bed is not None:
                total += bed_block(bed, first, count)
            total *= fade_gains(
                first,
                count,
                begin=place.origin,
                end=place.samples,
                rise=place.rise,
                fall=place.fall,
            )[:, None]
            sound = total.astype(np.float32)
            peak = max(peak, float(np.abs(sound).max(initial=0.0)))
            raw_sound.write(target, first, sound)
    return peak


async def _master(
    mix: Path,
    loudness: Loudness | None,
    workshop: Workshop,
    *,
    peak: float,
    headroom_db: float,
) -> tuple[Reached | None, Path]:
    """The mix at its target, or under full scale; as it is where it needs neither."""
    path = workshop.folder / "track.raw"
    if loudness is not None:
        reached = await reach(mix, loudness, path, ffmpeg=workshop.ffmpeg, headroom_db=headroom_db)
        return reached, path
    if peak > _FULL_SCALE:
        reached = await limit(mix, path, ceiling_dbtp=_SAFE_PEAK_DBTP, ffmpeg=workshop.ffmpeg)
        return reached, path
    return None, mix


def _mastering_notes(reached: Reached | None, loudness: Loudness | None) -> tuple[str, ...]:
    if reached is None:
        return ()
    if loudness is None:
        return (
            f"the sum of all sound was above full scale: its peaks are held back by up to"
            f" {reached.limited_db:.1f} dB",
        )
    if reached.is_without_loudness:
        return ("the film is silent, or too short for a loudness: its level is left as it is",)
    return ()
