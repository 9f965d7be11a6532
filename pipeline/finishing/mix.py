"""How sounds are laid side by side and over each other: gains, slopes, cross-fades. No I/O.

Sound is an array of N samples by 2 channels at 48 kHz. Every function answers for any stretch of a
sound, given where the stretch begins, so that a film of any length is mixed block by block.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.timecode import SAMPLE_RATE_HZ

Sound: TypeAlias = npt.NDArray[np.float32]
Curve: TypeAlias = npt.NDArray[np.float64]

# A cut between two sounds is a step in the wave, heard as a click; as long as at any other cut.
SLOPE_SAMPLES = SAMPLE_RATE_HZ * 5 // 1000
# Levelling makes clips alike, it does not turn one into another: from clip to clip more than 6 dB
# is taken for intention. What is softer than -50 LUFS is hiss, which nobody wants louder.
_MOST_LEVELLING_DB = 6.0
_HISS_LUFS = -50.0


def gain_of(gain_db: float | Fraction) -> float:
    """The factor that a level in decibels stands for."""
    return float(10.0 ** (float(gain_db) / 20.0))


def edge_gains(first: int, count: int, *, total: int, lead: int, tail: int) -> Curve:
    """What a span's samples ``first`` up to ``first + count`` are multiplied with.

    At a hard cut (0) the span's end is a slope of 5 ms. Where it shares ``lead`` samples with the
    span before, or ``tail`` with the one after, it rises as a sine and falls as a cosine: the
    powers of both add up to one throughout.

    Args:
        total: samples of the whole span; at least ``lead + tail``.
    """
    at = np.arange(first, first + count, dtype=np.float64)
    gains = np.ones(count)
    slope = min(SLOPE_SAMPLES, total // 2)
    if lead:
        gains *= np.sin(np.clip((at + 0.5) / lead, 0, 1) * np.pi / 2)
    elif slope:
        gains *= np.clip(at / slope, 0, 1)
    left = total - at
    if tail:
        gains *= np.sin(np.clip((left - 0.5) / tail, 0, 1) * np.pi / 2)
    elif slope:
        gains *= np.clip(left / slope, 0, 1)
    return gains


def fade_gains(first: int, count: int, *, begin: int, end: int, rise: int, fall: int) -> Curve:
    """A sound's slow way in and out, smooth at both ends of each; nothing outside of it.

    Args:
        begin, end: the first sample that may be heard and the first after the last.
        rise, fall: samples that it takes from silence to full, and from full to silence.
    """
    at = np.arange(first, first + count, dtype=np.float64)
    gains = np.where((at >= begin) & (at < end), 1.0, 0.0)
    if rise:
        gains *= _smooth((at - begin) / rise)
    if fall:
        gains *= _smooth((end - at) / fall)
    return gains


def _smooth(share: Curve) -> Curve:
    return np.asarray((1 - np.cos(np.clip(share, 0, 1) * np.pi)) / 2)


def seam_gains(first: int, count: int, *, length: int) -> Curve:
    """What a recording of ``length`` samples that is played over and over is multiplied with: 5 ms
    of slope where it ends and where it begins again."""
    at = np.arange(first, first + count, dtype=np.float64) % length
    return np.asarray(np.clip(np.minimum(at, length - at) / SLOPE_SAMPLES, 0, 1))


def levelling(measured_lufs: Sequence[float | None]) -> list[float]:
    """Gains in decibels, one a clip, that bring clips of uneven level closer together.

    Each goes towards the middle one of them, by 6 dB at most. The middle and not a target: what
    follows brings the whole to its target, and in this way the clips as a whole keep the level
    against music and voices that the producer gave them.

    Args:
        measured_lufs: integrated loudness of each clip; None: silent, or too short to tell.
    """
    heard = [level for level in measured_lufs if level is not None and level >= _HISS_LUFS]
    if not heard:
        return [0.0 for _ in measured_lufs]
    middle = median(heard)
    return [
        0.0
        if level is None or level < _HISS_LUFS
        else min(max(middle - level, -_MOST_LEVELLING_DB), _MOST_LEVELLING_DB)
        for level in measured_lufs
    ]
