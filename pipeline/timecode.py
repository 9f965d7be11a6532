"""Frames, samples, seconds and timecode, counted exactly.

Lengths are whole frames at a ``Fraction`` rate and whole samples of sound; seconds are derived
from them and never added up as floats. No I/O.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

SAMPLE_RATE_HZ = 48_000
# The MP4 muxer doubles a small timescale until it passes this one; doing the same by hand keeps
# a track's clock equal whether it was encoded or copied.
_LEAST_TIMESCALE_HZ = 10_000


def nearest_frame(duration_s: Fraction, frame_rate: Fraction) -> int:
    """Whole frames closest to a length in seconds; half a frame counts up."""
    return (duration_s * frame_rate + Fraction(1, 2)).__floor__()


def samples_of_frames(
    first_frame: int,
    frames: int,
    frame_rate: Fraction,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
) -> int:
    """Samples of sound that belong to a span of frames.

    Both ends are rounded from the start of the film, so that spans laid end to end never gain
    or lose a sample, at any rate and over any number of spans.
    """
    samples_per_frame = sample_rate_hz / frame_rate
    return round((first_frame + frames) * samples_per_frame) - round(
        first_frame * samples_per_frame
    )


def decimal_seconds(duration_s: Fraction, places: int = 6) -> str:
    """A length as plain decimal text, rounded to ``places`` digits after the point."""
    exact = Decimal(duration_s.numerator) / Decimal(duration_s.denominator)
    return str(exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))


def track_timescale_hz(frame_rate: Fraction) -> int:
    """Ticks a second of an MP4 video track in which every frame is a whole number of ticks."""
    timescale_hz = frame_rate.numerator
    while timescale_hz < _LEAST_TIMESCALE_HZ:
        timescale_hz *= 2
    return timescale_hz


def timecode(frame: int, frame_rate: Fraction) -> str:
    """``HH:MM:SS:FF`` of a frame counted from 0, without dropped numbers.

    Fractional rates count in the next whole rate (23.976 as 24), as non-drop timecode does.

    Raises:
        ValueError: the frame is negative or lies past 23:59:59.
    """
    base = -(-frame_rate.numerator // frame_rate.denominator)
    seconds, frame_of_second = divmod(frame, base)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    if not 0 <= hour < 24:
        raise ValueError(f"frame {frame} has no timecode: a day has 24 hours")
    return f"{hour:02}:{minute:02}:{second:02}:{frame_of_second:02}"
