"""Where somebody speaks, and how far music steps back there. No I/O.

A compressor's depth depends on how loud the speech is. Here speech only says *when*: the music goes
down by exactly what was asked for, is down when a word begins, and stays down between words.
Levels are looked at in windows of 10 ms; a film of an hour has 360,000.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from pipeline.finishing.mix import Curve, Sound
from pipeline.timecode import SAMPLE_RATE_HZ

WINDOW_SAMPLES = SAMPLE_RATE_HZ // 100
# Down in a fifth of a second before the word, up in over half a second after it, and no movement in
# pauses shorter than the hold: what dialogue mixers do by hand.
_ATTACK_WINDOWS = 20
_HOLD_WINDOWS = 30
_RELEASE_WINDOWS = 60
# A speaker's softest sounds lie some 20 dB under the loud ones; what lies lower is the room.
_REACH_DB = 20.0
_LOUD_PERCENTILE = 90
_NEVER_SPEECH_DB = -55.0
_SILENCE_POWER = 1e-12


def window_levels(sound: Sound) -> Curve:
    """Level of every 10 ms in dBFS (a full-scale sine has -3), the last one perhaps shorter."""
    power = np.square(sound.astype(np.float64)).mean(axis=1)
    starts = np.arange(0, len(power), WINDOW_SAMPLES)
    lengths = np.diff(starts, append=len(power))
    sums = np.add.reduceat(power, starts) if len(power) else power
    return np.asarray(10 * np.log10(np.maximum(sums / lengths, _SILENCE_POWER)))


def speech(levels_db: Curve) -> npt.NDArray[np.bool_]:
    """In which windows somebody speaks, judged by the loud windows of the same track.

    So a track that is soft as a whole counts as much as a loud one; under -55 dBFS nothing does.
    """
    heard = levels_db[levels_db > _NEVER_SPEECH_DB]
    if not len(heard):
        return np.zeros(len(levels_db), dtype=np.bool_)
    threshold_db = max(float(np.percentile(heard, _LOUD_PERCENTILE)) - _REACH_DB, _NEVER_SPEECH_DB)
    return np.asarray(levels_db > threshold_db)


def stepping_back(spoken: npt.NDArray[np.bool_], duck_db: float | Fraction) -> Curve:
    """How many decibels lower the music is in each window: 0, ``duck_db``, or on the way."""
    count = len(spoken)
    at = np.arange(count, dtype=np.float64)
    never = float(count + _ATTACK_WINDOWS + _HOLD_WINDOWS + _RELEASE_WINDOWS)
    since = at - np.maximum.accumulate(np.where(spoken, at, -never))
    until = np.minimum.accumulate(np.where(spoken, at, count + never)[::-1])[::-1] - at
    falling = 1 - np.clip(until / _ATTACK_WINDOWS, 0, 1)
    rising = 1 - np.clip((since - _HOLD_WINDOWS) / _RELEASE_WINDOWS, 0, 1)
    return np.asarray(float(duck_db) * np.maximum(falling, rising))


def ducking_gains(first: int, count: int, back_db: Curve) -> Curve:
    """What the music's samples ``first`` up to ``first + count`` are multiplied with."""
    at = np.arange(first, first + count, dtype=np.float64)
    # Only the windows around: a search through those of a whole film costs more than the rest.
    low = max(0, first // WINDOW_SAMPLES - 1)
    near = back_db[low : (first + count) // WINDOW_SAMPLES + 2]
    middles = (np.arange(low, low + len(near)) + 0.5) * WINDOW_SAMPLES
    return np.asarray(10 ** (-np.interp(at, middles, near) / 20))
