"""Sound on disk as it is mixed: little-endian floats, stereo, 48 kHz, no header.

Read and written block by block, so that memory does not grow with the film; by ordinary reads and
writes and not as mapped memory, where a full disk would end the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.finishing.limiter import CELL_SAMPLES
from pipeline.finishing.mix import Sound
from pipeline.media.commands import SAMPLE_BYTES, SOUND_CHANNELS

# Two seconds: whole cells of the limiter and whole windows of the ducking; and with the limiter's
# margins a length that transforms are fast at.
BLOCK_SAMPLES = 2000 * CELL_SAMPLES


def make_silence(path: Path, samples: int) -> None:
    """A file of zeros, which take no room on disk until they are written over."""
    with path.open("wb") as file:
        file.truncate(samples * SAMPLE_BYTES)


def samples_in(path: Path) -> int:
    """Length of a file; 0 where there is none."""
    return path.stat().st_size // SAMPLE_BYTES if path.exists() else 0


def blocks(samples: int) -> Iterator[tuple[int, int]]:
    """Where each block of a sound begins, and how long it is."""
    for first in range(0, samples, BLOCK_SAMPLES):
        yield first, min(BLOCK_SAMPLES, samples - first)


def read(file: BinaryIO, first: int, count: int) -> Sound:
    """Samples ``first`` up to ``first + count``; zeros where the file has none."""
    begin = max(0, first)
    file.seek(begin * SAMPLE_BYTES)
    data = file.read(max(0, first + count - begin) * SAMPLE_BYTES)
    found = np.frombuffer(data, dtype="<f4").reshape(-1, SOUND_CHANNELS)
    if len(found) == count:
        return found
    sound = np.zeros((count, SOUND_CHANNELS), dtype="<f4")
    sound[begin - first : begin - first + len(found)] = found
    return sound


def write(file: BinaryIO, first: int, sound: Sound) -> None:
    """Put samples in their place; the file grows if need be."""
    file.seek(first * SAMPLE_BYTES)
    file.write(np.ascontiguousarray(sound, dtype="<f4").tobytes())
