"""Music under a film: where it begins and ends, how it starts over, how it steps back."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import anyio.to_thread
import numpy as np

from pipeline.film.spec import Music
from pipeline.finishing import raw_sound
from pipeline.finishing.ducking import ducking_gains, speech, stepping_back, window_levels
from pipeline.finishing.mix import (
    SLOPE_SAMPLES,
    Curve,
    Sound,
    fade_gains,
    gain_of,
    seam_gains,
)
from pipeline.finishing.recordings import Recording, decode
from pipeline.media.pieces import Workshop
from pipeline.timecode import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """A recording from sample ``begin`` up to ``end`` of the film, coming in over ``rise`` samples
    and going out over ``fall``; ``back_db`` how far it steps back in every 10 ms of the film."""

    recording: Recording
    gain_db: Fraction
    loops: bool
    begin: int
    end: int
    rise: int
    fall: int
    back_db: Curve


async def make_bed(
    music: Music | None, key: Path, *, begin: int, end: int, workshop: Workshop
) -> tuple[Bed | None, list[str]]:
    """Music as it lies under samples ``begin`` up to ``end`` of the film, and notes for the report.

    A recording that starts over does so where it began, at ``start_s``. One that does not, and is
    over before the film, ends as it was recorded.

    Args:
        key: the raw track that the music steps back for, as long as the film.
    Raises:
        MediaError, FileMissing: the music cannot be decoded.
    """
    if music is None or music.level.is_muted:
        return None, []
    wanted = end - begin
    recording = await decode(music.file, workshop, start_s=music.start_s, wanted=wanted)
    notes = list(recording.notes)
    fall = round(music.fade_out_s * SAMPLE_RATE_HZ)
    if not music.loops and recording.samples < wanted:
        missing_s = (wanted - recording.samples) / SAMPLE_RATE_HZ
        notes.append(f"{music.file.source} ends {missing_s:.1f} s before the film")
        # It has an end of its own, which a fade of ours would only cover.
        end, fall = begin + recording.samples, 0
    back_db = await anyio.to_thread.run_sync(_stepping_back, key, music.duck_db)
    bed = Bed(
        recording=recording,
        gain_db=music.level.gain_db,
        loops=music.loops,
        begin=begin,
        end=end,
        rise=max(round(music.fade_in_s * SAMPLE_RATE_HZ), SLOPE_SAMPLES),
        fall=max(fall, SLOPE_SAMPLES),
        back_db=back_db,
    )
    return bed, notes


def bed_block(bed: Bed, first: int, count: int) -> Sound:
    """What is heard of the music in samples ``first`` up to ``first + count`` of the film."""
    length = bed.recording.samples
    gains = gain_of(bed.gain_db) * fade_gains(
        first, count, begin=bed.begin, end=bed.end, rise=bed.rise, fall=bed.fall
    )
    gains *= ducking_gains(first, count, bed.back_db)
    place = first - bed.begin
    if bed.loops and length < bed.end - bed.begin:
        gains *= seam_gains(place, count, length=length)
        sound = _around(bed.recording.path, place, count, length)
    else:
        with bed.recording.path.open("rb") as file:
            sound = raw_sound.read(file, place, count)
    return np.asarray(sound * gains[:, None])


def _around(path: Path, first: int, count: int, length: int) -> Sound:
    """Samples of a recording that is played over and over."""
    pieces = []
    with path.open("rb") as file:
        while count:
            at = first % length
            taken = min(count, length - at)
            pieces.append(raw_sound.read(file, at, taken))
            first, count = first + taken, count - taken
    return np.concatenate(pieces)


def _stepping_back(key: Path, duck_db: Fraction) -> Curve:
    with key.open("rb") as file:
        levels = [
            window_levels(raw_sound.read(file, first, count))
            for first, count in raw_sound.blocks(raw_sound.samples_in(key))
        ]
    return stepping_back(speech(np.concatenate(levels)), duck_db)
