"""Clips of all sizes and rates, with and without sound, and whether a film of them is in step.

A clip is a grey that changes all the time. One with sound flashes white for a moment and beeps at
that very moment; where a film's flashes and beeps lie tells how far sound and picture are apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import anyio
import av
from clipmaker import beeps_of, make_clip, run
from film.stage import output, reel

from pipeline.film.spec import FilmSpec, Transition
from pipeline.media.conform import CutClip, conform
from pipeline.media.probe import probe, require_video
from pipeline.timecode import nearest_frame

_RATES = ("24", "8", "30", "10", "25", "12", "30000/1001", "15", "24000/1001", "20")
_SIZES = ((1280, 720), (720, 1280), (960, 720), (720, 720), (854, 480), (1280, 704), (640, 480))
_SOUNDS = ((2, 48_000), (0, 48_000), (1, 44_100), (2, 44_100), (1, 22_050))
_SECONDS = Fraction(3, 2)
# In the middle third, clear of every dissolve; a tenth of a second is seen at any rate.
_FLASH_S, _FLASH_LASTS_S = Fraction(3, 5), Fraction(1, 8)
_DISSOLVE_S = Fraction(1, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """One clip, and whether anything is to be seen and heard in it."""

    path: Path
    rate: Fraction
    frames: int
    is_marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InStep:
    """A film: its frames and those that its clips come to, how far the farthest flash is from its
    beep and the last one from its own, and what else is wrong, or nothing."""

    frames: int
    expected_frames: int
    worst_gap_s: float
    last_gap_s: float
    fault: str


def mixed_clip(number: int, folder: Path, *, scale: int = 1) -> Mixed:
    """The clip of this number; its raster is divided by ``scale``."""
    rate = Fraction(_RATES[number % len(_RATES)])
    channels, sound_rate_hz = _SOUNDS[number % len(_SOUNDS)]
    width, height = (side // scale // 2 * 2 for side in _SIZES[number % len(_SIZES)])
    frames = nearest_frame(_SECONDS, rate)
    first = nearest_frame(_FLASH_S, rate)
    lasts = max(1, nearest_frame(_FLASH_LASTS_S, rate))
    lumas = [40 + (number * 7 + frame * 9) % 60 for frame in range(frames)]
    if channels:
        lumas[first : first + lasts] = [235] * lasts
    path = make_clip(
        folder / f"mixed{number:03}.mp4",
        rate=rate,
        size=(width, height),
        lumas=lumas,
        flashes=(first,),
        channels=channels,
        sound_rate_hz=sound_rate_hz,
    )
    return Mixed(path=path, rate=rate, frames=frames, is_marked=bool(channels))


def check_join(clips: Sequence[Mixed], folder: Path, ffmpeg: Path) -> InStep:
    """The clips one after the other, as a film without a section is made."""
    cut = [CutClip(path=each.path, slate=each.path.stem) for each in clips]
    film = anyio.run(
        partial(conform, cut, folder / "film.mp4", ffmpeg=ffmpeg, cache_dir=folder / ".cache")
    )
    expected = sum(nearest_frame(each.frames / each.rate, film.frame_rate) for each in clips)
    return _judge(film.path, clips, expected, film.frame_rate)


def check_delivery(
    clips: Sequence[Mixed], folder: Path, ffmpeg: Path, size: tuple[int, int] = (160, 90)
) -> InStep:
    """The clips with a dissolve between any two, at this size."""
    rate = Fraction(24)
    spec = FilmSpec(
        master=output("film", "film.mp4", frame_rate=rate, width_px=size[0], height_px=size[1]),
        transition=Transition(kind="dissolve", duration_s=_DISSOLVE_S),
    )
    reel([each.path for each in clips], spec).deliver(folder, ffmpeg=ffmpeg)
    # Every clip lasts its whole frames in the film, and each dissolve counts once.
    lengths = [nearest_frame(each.frames / each.rate, rate) for each in clips]
    expected = sum(lengths) - nearest_frame(_DISSOLVE_S, rate) * (len(clips) - 1)
    return _judge(folder / "film.mp4", clips, expected, rate)


def _judge(film: Path, clips: Sequence[Mixed], expected: int, rate: Fraction) -> InStep:
    info = probe(film)
    video = require_video(info, film)
    flashes, beeps = _flashes(film, rate), beeps_of(film)
    marked = sum(each.is_marked for each in clips)
    faults = []
    if video.packets != expected:
        faults.append(f"{video.packets} frames instead of {expected}")
    if not len(flashes) == len(beeps) == marked:
        faults.append(f"{len(flashes)} flashes and {len(beeps)} beeps of {marked}")
    if info.audio is None or abs(info.audio.end_s - video.duration_s) > 1 / rate:
        faults.append("sound and picture are not of one length")
    if (formats := _formats(film)) != 1:
        faults.append(f"{formats} picture formats in one film")
    gaps = [abs(flash - beep) for flash, beep in zip(flashes, beeps, strict=False)]
    return InStep(
        frames=video.packets,
        expected_frames=expected,
        worst_gap_s=max(gaps, default=1.0),
        last_gap_s=gaps[-1] if gaps else 1.0,
        fault="; ".join(faults),
    )


def _flashes(film: Path, rate: Fraction) -> list[float]:
    """Seconds at which the middle of the picture turns white; around it there may be padding."""
    looked_at = "crop=iw/8:ih/8,scale=1:1:flags=area:out_range=full,format=gray"
    lumas = [0, *run("-i", film, "-map", "0:v", "-vf", looked_at, "-f", "rawvideo", "-")]
    pairs = enumerate(pairwise(lumas))
    return [float(frame / rate) for frame, (before, luma) in pairs if luma > 160 >= before]


def _formats(film: Path) -> int:
    """How many rasters, pixel formats and distances between pictures a film has."""
    found, times = set(), []
    with av.open(str(film)) as file:
        for picture in file.decode(video=0):
            found.add((picture.width, picture.height, picture.format.name))
            times.append(picture.pts)
    steps = {after - before for before, after in pairwise(times)}
    return len(found) * len(steps)
