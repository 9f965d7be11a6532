"""Bring a film's sound to a loudness, and keep it there through the encoder.

One gain and a limiter of our own: gain, limit, measure, correct. ffmpeg's ``loudnorm`` falls
back to changing the level from moment to moment where the peaks leave no room, and then lands
beside the target.

An encoder changes peaks (AAC by up to half a decibel), so the encoded file is what counts: it is
measured, and made again with a lower ceiling or another gain where it misses.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import anyio.to_thread
import numpy as np

from pipeline.errors import FilmRefused
from pipeline.film.spec import Loudness
from pipeline.finishing import raw_sound
from pipeline.finishing.limiter import (
    CELL_SAMPLES,
    MARGIN_SAMPLES,
    cell_peaks,
    limiting_gains,
    reductions,
)
from pipeline.finishing.loudness import Measured, measure
from pipeline.finishing.mix import Curve, gain_of
from pipeline.model import Container

# The measure tells tenths; a ceiling a tenth under the one asked for is kept after rounding, too.
_ROUNDING_DB = 0.1
_CLOSE_LU = 0.15
_RENDERINGS = 6
_ENCODINGS = 4
# Further than this beyond what a plain gain comes to, a limiter leaves nothing of a sound.
_MOST_LIMITING_DB = 20.0
# Of a decibel of gain at least so much is taken to arrive; less, and steps would have no end.
_LEAST_RESPONSE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What was done to a mix: ``gain_db`` on all of it, ``limited_db`` at most on its peaks, which
    were held under ``ceiling_dbtp``; and what the result measures."""

    gain_db: float
    ceiling_dbtp: float
    limited_db: float
    measured: Measured

    @property
    def is_without_loudness(self) -> bool:
        """Whether it is silent, or too short for a loudness."""
        return self.measured.integrated_lufs is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A sound brought to a target, and how."""

    path: Path
    reached: Reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """The encoded file that came closest, what was done to its sound and what the file measures,
    and how often it was made."""

    path: Path
    reached: Reached
    encodings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mix:
    """A mix, what it measures, and its true peaks, one a millisecond: found once for all tries."""

    path: Path
    samples: int
    peaks_dbtp: Curve
    measured: Measured


async def reach(
    mix: Path, target: Loudness, destination: Path, *, ffmpeg: Path, headroom_db: float = 0.0
) -> Reached:
    """Write a mix as loud as the target says, its true peaks limited; no sample leaves its place.

    A mix that has no loudness (silence, or under 0.4 s of sound) is written as it is. Where the
    target cannot be reached the closest attempt is written; ``Reached.measured`` tells.

    Args:
        mix: raw floats at any level; peaks may lie above full scale.
        headroom_db: how far under the target's peak to stay, for what an encoder adds.
    Raises:
        MediaError: ffmpeg cannot measure it.
    """
    found = await _look_at(mix, ffmpeg)
    return await _reach(found, target, destination, ffmpeg=ffmpeg, headroom_db=headroom_db)


async def limit(mix: Path, destination: Path, *, ceiling_dbtp: float, ffmpeg: Path) -> Reached:
    """Write a mix at its own level, its true peaks held under a ceiling."""
    found = await _look_at(mix, ffmpeg)
    return await _attempt(found, destination, 0.0, ceiling_dbtp, ffmpeg)


async def encode_to_target(
    mix: Path,
    target: Loudness,
    encode: Callable[[Path, Path], Awaitable[None]],
    *,
    ffmpeg: Path,
    folder: Path,
    container: Container,
    ready: Ready | None = None,
    headroom_db: float = 0.5,
    tolerance_lu: Fraction = Fraction(1, 2),
) -> Encoded:
    """Make a file whose sound measures what the target says after it was encoded.

    Args:
        mix: raw floats, at any level.
        encode: makes the file: called with a raw sound and the path to write, up to four times.
        folder: where attempts lie; all but the one that is returned are removed.
        ready: the mix as ``reach`` brought it to this target, to begin with.
        headroom_db: what the encoder is expected to add to peaks; 0 for uncompressed sound.
    Returns:
        The attempt that came closest. A silent mix is encoded once, as it is.
    Raises:
        FilmRefused: the target cannot be reached with this sound, and how close it came.
        MediaError: ffmpeg failed.
    """
    tolerance = float(tolerance_lu)
    sound, aim = folder / "loud.raw", target
    found: _Mix | None = None
    tries: list[Encoded] = []
    while True:
        path = folder / f"attempt{len(tries) + 1}{container.suffix}"
        if ready is None or tries:
            found = found or await _look_at(mix, ffmpeg)
            reached = await _reach(found, aim, sound, ffmpeg=ffmpeg, headroom_db=headroom_db)
            await encode(sound, path)
        else:
            reached = ready.reached
            await encode(ready.path, path)
        measured = await measure(path, ffmpeg=ffmpeg, container=container)
        is_on_target = reached.measured.keeps(aim, tolerance)
        tries.append(
            Encoded(
                path=path, reached=replace(reached, measured=measured), encodings=len(tries) + 1
            )
        )
        # With a sound that itself misses, or is silent, no further encoding comes closer.
        is_last = len(tries) == _ENCODINGS or not is_on_target or measured.integrated_lufs is None
        if is_last or measured.keeps(target, tolerance):
            break
        headroom_db += max(0.0, measured.peak_over(target) + _ROUNDING_DB)
        off_lu = Fraction(measured.integrated_lufs or 0) - target.integrated_lufs
        aim = replace(aim, integrated_lufs=aim.integrated_lufs - off_lu)
    sound.unlink(missing_ok=True)
    best = min(tries, key=lambda each: _encoded_miss(each.reached.measured, target))
    for each in tries:
        if each is not best:
            each.path.unlink()
    has_missed = not best.reached.measured.keeps(target, tolerance)
    if has_missed and not reached.is_without_loudness:
        best.path.unlink()
        raise _out_of_reach(best.reached, target)
    return replace(best, encodings=len(tries))


async def _reach(
    mix: _Mix, target: Loudness, destination: Path, *, ffmpeg: Path, headroom_db: float
) -> Reached:
    wanted = float(target.integrated_lufs)
    ceiling = float(target.true_peak_dbtp) - headroom_db - _ROUNDING_DB
    if mix.measured.integrated_lufs is None:
        return await _attempt(mix, destination, 0.0, ceiling, ffmpeg)
    plain_gain = gain = wanted - mix.measured.integrated_lufs
    tries: list[Reached] = []
    while True:
        tries.append(await _attempt(mix, destination, gain, ceiling, ffmpeg))
        over = max(0.0, tries[-1].measured.peak_over(target) + headroom_db)
        is_close = _miss(tries[-1].measured, wanted) <= _CLOSE_LU and not over
        if is_close or len(tries) == _RENDERINGS:
            break
        # What is higher between samples than it was before limiting comes off the ceiling.
        ceiling -= over
        gain = min(_next_gain(tries, wanted), plain_gain + _MOST_LIMITING_DB)
        if gain == tries[-1].gain_db and not over:
            break
    best = min(tries, key=lambda each: _encoded_miss(each.measured, target))
    if best is not tries[-1]:
        await _attempt(mix, destination, best.gain_db, best.ceiling_dbtp, ffmpeg)
    return best


async def _attempt(
    mix: _Mix, destination: Path, gain_db: float, ceiling_dbtp: float, ffmpeg: Path
) -> Reached:
    limited = await anyio.to_thread.run_sync(_render, mix, destination, gain_db, ceiling_dbtp)
    return Reached(
        gain_db=gain_db,
        ceiling_dbtp=ceiling_dbtp,
        limited_db=limited,
        measured=await measure(destination, ffmpeg=ffmpeg),
    )


async def _look_at(path: Path, ffmpeg: Path) -> _Mix:
    return _Mix(
        path=path,
        samples=raw_sound.samples_in(path),
        peaks_dbtp=await anyio.to_thread.run_sync(_find_peaks, path),
        measured=await measure(path, ffmpeg=ffmpeg),
    )


def _find_peaks(path: Path) -> Curve:
    cells = raw_sound.BLOCK_SAMPLES // CELL_SAMPLES
    around = raw_sound.BLOCK_SAMPLES + 2 * MARGIN_SAMPLES
    with path.open("rb") as file:
        peaks = [
            cell_peaks(raw_sound.read(file, first - MARGIN_SAMPLES, around), cells)
            for first, _ in raw_sound.blocks(raw_sound.samples_in(path))
        ]
    return np.concatenate(peaks)


def _render(mix: _Mix, destination: Path, gain_db: float, ceiling_dbtp: float) -> float:
    """Write the mix louder by ``gain_db``, limited; returns the most decibels taken off."""
    reduced_db = reductions(mix.peaks_dbtp + gain_db, ceiling_dbtp)
    factor = gain_of(gain_db)
    with mix.path.open("rb") as source, destination.open("wb") as target:
        for first, count in raw_sound.blocks(mix.samples):
            gains = factor * limiting_gains(first, count, reduced_db)
            sound = raw_sound.read(source, first, count) * gains[:, None]
            raw_sound.write(target, first, sound.astype(np.float32))
    return float(reduced_db.max(initial=0.0))


def _miss(measured: Measured, wanted_lufs: float) -> float:
    loudness = measured.integrated_lufs
    return math.inf if loudness is None else abs(loudness - wanted_lufs)


def _next_gain(tries: list[Reached], wanted_lufs: float) -> float:
    """The gain that should come to the target, by what the last change of gain came to.

    Where the limiter works, a decibel more of gain is less than one of loudness.
    """
    last = tries[-1]
    now = last.measured.integrated_lufs
    before = tries[-2].measured.integrated_lufs if len(tries) > 1 else None
    if now is None:
        return last.gain_db
    response = 1.0
    if before is not None and tries[-2].gain_db != last.gain_db:
        response = (now - before) / (last.gain_db - tries[-2].gain_db)
    return last.gain_db + (wanted_lufs - now) / min(max(response, _LEAST_RESPONSE), 1.0)


def _encoded_miss(measured: Measured, target: Loudness) -> tuple[bool, float]:
    return measured.peak_over(target) > 0, _miss(measured, float(target.integrated_lufs))


def _out_of_reach(reached: Reached, target: Loudness) -> FilmRefused:
    measured = reached.measured
    loudness = (
        "no loudness"
        if measured.integrated_lufs is None
        else (f"{measured.integrated_lufs:g} LUFS")
    )
    peak = "no peak" if measured.true_peak_dbtp is None else f"{measured.true_peak_dbtp:g} dBTP"
    return FilmRefused(
        f"the sound cannot be brought to {float(target.integrated_lufs):g} LUFS under"
        f" {float(target.true_peak_dbtp):g} dBTP ({target.name}): the closest was {loudness},"
        f" {peak}, with {reached.gain_db:+.1f} dB and peaks held back by"
        f" {reached.limited_db:.1f} dB",
        hint="it is mostly short peaks with silence between: add music, raise what is soft with"
        " `gain`, or ask for a lower loudness",
        returncode=0,
    )
