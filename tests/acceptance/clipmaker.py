"""Small clips with known content, and rulers to measure films with.

A clip here is black; at chosen frames it flashes white for one frame, and at that very moment its
sound beeps. Where a film's flashes and beeps lie tells whether picture and sound agree.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import FfmpegMissing
from pipeline.media.ffmpeg import find_ffmpeg

RATE_HZ = 48_000
BEEP_LEVEL = 0.5
BEEP_S = 1 / 24


def _ffmpegs() -> dict[str, Path]:
    found: dict[str, Path] = {}
    with suppress(FfmpegMissing):
        found["path"] = find_ffmpeg({"PATH": os.environ.get("PATH", "")})
    if find_spec("imageio_ffmpeg") is not None:
        import imageio_ffmpeg  # noqa: PLC0415 - optional

        found["carried"] = Path(imageio_ffmpeg.get_ffmpeg_exe())
    return found


FFMPEGS = _ffmpegs()
# For all that need not be shown with each: the carried one starts faster.
FFMPEG = list(FFMPEGS.values())[-1]
each_ffmpeg = pytest.mark.parametrize("ffmpeg", list(FFMPEGS.values()), ids=list(FFMPEGS))


def run(*arguments: str | Path, ffmpeg: Path = FFMPEG, feed: bytes | None = None) -> bytes:
    """Run ffmpeg by hand, without any of the code under test."""
    command = [str(ffmpeg), "-hide_banner", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, input=feed or b"", capture_output=True, check=True).stdout


def make_clip(
    path: Path,
    *,
    frames: int = 36,
    rate: Fraction = Fraction(24),
    size: tuple[int, int] = (128, 96),
    flashes: Sequence[int] = (6, 30),
    lumas: Sequence[int] | None = None,
    channels: int = 2,
    sound_rate_hz: int = RATE_HZ,
    sound_from_s: float = 0.0,
    options: Sequence[str] = (),
) -> Path:
    """Write a clip; ``channels`` 0: silent film. ``lumas``: the grey of each frame instead."""
    width, height = size
    levels = lumas or [235 if frame in flashes else 16 for frame in range(frames)]
    grey = bytes([128]) * (width * height // 2)
    pictures = b"".join(bytes([luma]) * (width * height) + grey for luma in levels)
    command: list[str | Path] = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s"]
    command += [f"{width}x{height}", "-r", str(rate), "-i", "pipe:0"]
    sound_path = path.with_suffix(".f32")
    if channels:
        beeps_s = [float(frame / rate) - sound_from_s for frame in flashes]
        sound = _beeps(float(len(levels) / rate) - sound_from_s, beeps_s, channels, sound_rate_hz)
        sound_path.write_bytes(sound)
        command += ["-f", "f32le", "-ar", str(sound_rate_hz), "-ac", str(channels)]
        command += ["-i", sound_path, "-c:a", "aac", "-b:a", "128k"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p"]
    run(*command, *options, "-movflags", "+faststart", "-f", "mp4", path, feed=pictures)
    sound_path.unlink(missing_ok=True)
    if sound_from_s:
        early = path.replace(path.with_suffix(".early.mp4"))
        streams = ("-i", early, "-itsoffset", str(sound_from_s), "-i", early)
        run(*streams, "-map", "0:v", "-map", "1:a", "-c", "copy", path)
        early.unlink()
    return path


def _beeps(length_s: float, beeps_s: Sequence[float], channels: int, rate_hz: int) -> bytes:
    samples = np.zeros((round(length_s * rate_hz), channels), dtype="<f4")
    steps = np.arange(round(BEEP_S * rate_hz))
    beep = BEEP_LEVEL * np.cos(2 * np.pi * 1000 * steps / rate_hz)
    for beep_s in beeps_s:
        start = round(beep_s * rate_hz)
        samples[start : start + len(beep)] = beep[: len(samples) - start, None]
    return samples.tobytes()


def lumas_of(film: Path) -> list[int]:
    """Mean brightness of every frame shown, in order, 0 to 255."""
    scaled = ("-vf", "scale=1:1:flags=area:out_range=full,format=gray")
    return list(run("-i", film, "-map", "0:v", *scaled, "-f", "rawvideo", "-"))


def flashes_of(film: Path, rate: Fraction) -> list[float]:
    """Seconds at which a white frame begins, after a black one."""
    lumas = [0, *lumas_of(film)]
    return [
        float(frame / rate)
        for frame, (before, luma) in enumerate(pairwise(lumas))
        if luma > 128 >= before
    ]


def sound_of(film: Path) -> NDArray[np.float32]:
    """The samples of the sound, left channel, at 48 kHz; up to 1,023 more than are heard."""
    raw = run("-i", film, "-map", "0:a", "-af", "pan=mono|c0=c0", "-f", "f32le", "-")
    return np.frombuffer(raw, dtype="<f4")


def beeps_of(film: Path) -> list[float]:
    """Seconds at which a beep sets in: loud after at least 0.1 s of quiet."""
    loud = np.flatnonzero(np.abs(sound_of(film)) > BEEP_LEVEL / 2)
    onsets = loud[np.diff(loud, prepend=-RATE_HZ) > RATE_HZ // 10]
    return [float(onset) / RATE_HZ for onset in onsets]


def picture_packets(path: Path) -> list[bytes]:
    """The encoded pictures of a file, as they are stored."""
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0) if packet.size]


def write_script(path: Path, body: str) -> Path:
    """An executable that stands in for ffmpeg."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path
