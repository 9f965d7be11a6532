"""Hold a sound's true peaks under a ceiling without being heard. No I/O.

Peaks are looked at as a converter will draw them, four times oversampled, in cells of 1 ms. The
gain goes down ahead of a peak and comes back after it, both in straight lines of decibels, which
makes it a running maximum: no state to carry, and no sample out of its place.

Source of the measure: ITU-R BS.1770, annex 2 (true peak by oversampling).
"""

from __future__ import annotations

import numpy as np

from pipeline.finishing.mix import Curve, Sound
from pipeline.timecode import SAMPLE_RATE_HZ

CELL_SAMPLES = SAMPLE_RATE_HZ // 1000
# Neighbours that a block is looked at with: away from its ends, oversampling by transform is exact.
MARGIN_SAMPLES = 24 * CELL_SAMPLES
_OVERSAMPLING = 4
# Decibels a cell: 6 dB down in 4 ms, back in 100 ms. Much faster back, and the gain would follow
# the single waves of a deep voice, which is distortion; much slower, and a click leaves a hole.
_DOWN_DB = 1.5
_UP_DB = 0.06
_SILENCE = 1e-6


def cell_peaks(padded: Sound, cells: int) -> Curve:
    """True peak of every 1 ms, of both channels, in dBTP.

    Args:
        padded: ``cells`` of 48 samples, and ``MARGIN_SAMPLES`` more on each side; zeros beyond
            the film.
    """
    spectrum = np.fft.rfft(padded, axis=0)
    # The one bin that has no mirror image in the longer transform.
    spectrum[-1] *= 0.5
    fine = np.fft.irfft(spectrum, n=len(padded) * _OVERSAMPLING, axis=0) * _OVERSAMPLING
    first = MARGIN_SAMPLES * _OVERSAMPLING
    inner = np.abs(fine[first : first + cells * CELL_SAMPLES * _OVERSAMPLING])
    peaks = inner.reshape(cells, -1).max(axis=1)
    return np.asarray(20 * np.log10(np.maximum(peaks, _SILENCE)))


def reductions(peaks_dbtp: Curve, ceiling_dbtp: float) -> Curve:
    """How many decibels are taken off at the borders of the cells, N + 1 values; 0 where none."""
    wanted = np.maximum(peaks_dbtp - ceiling_dbtp, 0)
    # A border must do for the cells on both of its sides.
    nodes = np.maximum(np.append(wanted, 0.0), np.append(0.0, wanted))
    at = np.arange(len(nodes), dtype=np.float64)
    after = np.maximum.accumulate(nodes + _UP_DB * at) - _UP_DB * at
    ahead = np.maximum.accumulate((nodes - _DOWN_DB * at)[::-1])[::-1] + _DOWN_DB * at
    return np.asarray(np.maximum(after, ahead))


def limiting_gains(first: int, count: int, reduced_db: Curve) -> Curve:
    """What samples ``first`` up to ``first + count`` are multiplied with."""
    low = first // CELL_SAMPLES
    high = (first + count) // CELL_SAMPLES + 2
    nodes = reduced_db[low:high]
    if not nodes.any():
        return np.ones(count)
    at = np.arange(first, first + count, dtype=np.float64)
    places = np.arange(low, low + len(nodes), dtype=np.float64) * CELL_SAMPLES
    return np.asarray(10 ** (-np.interp(at, places, nodes) / 20))
