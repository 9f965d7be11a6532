"""Prove that a downloaded clip is whole and is what was ordered, by decoding all of it.

An exit status or a probe proves nothing: a clip cut off half way probes as whole. Every check
raises ``ClipRejected`` with the reason; nothing here changes the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import anyio.to_thread

from pipeline.errors import ClipRejected, FfmpegMissing, MediaError
from pipeline.media.commands import MAX_PIXELS, build_decode
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.files import file_sha256
from pipeline.media.probe import MediaInfo, VideoInfo, probe, require_video
from pipeline.model import ClipFacts, Expected
from pipeline.timecode import decimal_seconds

# A provider rounds to its own frame; more than this is another length than the one paid for.
_LENGTH_TOLERANCE_S = Fraction(1, 4)
# Encoders round a side to whole blocks of 16 pixels.
_SIDE_TOLERANCE_PX = 16
# A clip decodes at ten times real time on two cores; a loaded machine gets a hundred times that.
_LIMIT_FLOOR_S = 60.0
_LIMIT_PER_SECOND = 10.0
_BLACK = re.compile(r"^lavfi\.black_(start|end)=([0-9.]+)$", re.MULTILINE)
# A picture or two of another kind at either end do not make a clip of a black one.
_WHOLE = Fraction(4, 5)


async def verify_clip(
    path: Path,
    expected: Expected,
    *,
    ffmpeg: Path,
    declared_bytes: int | None = None,
) -> ClipFacts:
    """Check one clip in full: format, structure, length, height, every frame decoded.

    Args:
        path: a file on this machine.
        expected: what was ordered; the file must be of that format, the length may differ by
            0.25 s, the short side by 16 px, where either is known.
        declared_bytes: the size that the server announced, where it did.
    Returns:
        What the decode found, with the file's sha256.
    Raises:
        ClipRejected: damaged, or not what was ordered.
        FileMissing: the file cannot be read.
        MediaError: ffmpeg itself could not do its work; says nothing about the clip.
    """
    info = await anyio.to_thread.run_sync(probe, path, expected.container)
    video = require_video(info, path)
    if declared_bytes is not None and info.size_bytes != declared_bytes:
        raise ClipRejected(
            f"{path.name} has {info.size_bytes} bytes where the server announced {declared_bytes}"
        )
    _check_order(path, video, expected)
    report = await decode_all(
        path, build_decode(str(path.absolute()), video=video), ffmpeg=ffmpeg, video=video
    )
    facts = await _facts(path, info, video)
    return replace(facts, is_black=black_s(report, video) >= _WHOLE * video.duration_s)


def _check_order(path: Path, video: VideoInfo, expected: Expected) -> None:
    if video.width_px * video.height_px > MAX_PIXELS:
        raise ClipRejected(f"{path.name} is {video.width_px}x{video.height_px}: too large")
    wanted_s = expected.duration_s
    if wanted_s is not None and abs(video.duration_s - wanted_s) > _LENGTH_TOLERANCE_S:
        raise ClipRejected(
            f"{path.name} is {decimal_seconds(video.duration_s, 2)} s long, not "
            f"{float(wanted_s):g} s"
        )
    short_side_px, wanted_px = min(video.width_px, video.height_px), expected.short_side_px
    if wanted_px is not None and abs(short_side_px - wanted_px) > _SIDE_TOLERANCE_PX:
        raise ClipRejected(
            f"{path.name} is {video.width_px}x{video.height_px}, which is not {wanted_px}p"
        )
    check_index(path, video)


def check_index(path: Path, video: VideoInfo) -> None:
    """Refuse a file that holds fewer frames than it says.

    Raises:
        ClipRejected: with both figures.
    """
    total = video.packets + video.hidden_packets
    if video.declared_frames not in (0, total):
        raise ClipRejected(
            f"{path.name} is damaged: {total} of the {video.declared_frames} frames in its index"
        )


async def decode_all(
    path: Path,
    arguments: Sequence[str],
    *,
    ffmpeg: Path,
    video: VideoInfo,
    cwd: Path | None = None,
) -> str:
    """Carry out a strict decode that reports its progress on standard output; returns the report.

    Args:
        path: for messages; what is decoded stands in the arguments.
    Raises:
        ClipRejected: it cannot be decoded to its end, or not without errors, or is short of frames.
        MediaError: ffmpeg itself could not do its work; says nothing about the clip.
    """
    try:
        run = await run_ffmpeg(
            arguments,
            ffmpeg=ffmpeg,
            cwd=cwd,
            time_limit_s=_LIMIT_FLOOR_S + _LIMIT_PER_SECOND * float(video.duration_s),
        )
    except FfmpegMissing:
        raise
    except MediaError as exc:
        # Without an exit code of its own ffmpeg was stopped or killed: not the clip's fault.
        if exc.returncode is None or exc.returncode < 0:
            raise
        raise ClipRejected(
            f"{path.name} is damaged: it cannot be decoded to its end",
            returncode=exc.returncode,
            stderr_tail=exc.stderr_tail,
        ) from exc
    if run.stderr_tail:
        raise ClipRejected(
            f"{path.name} is damaged: it decodes with errors",
            returncode=0,
            stderr_tail=run.stderr_tail,
        )
    decoded = _last_frame_count(run.stdout)
    if decoded != video.packets:
        raise ClipRejected(
            f"{path.name} is damaged: {decoded} of its {video.packets} frames can be decoded"
        )
    return run.stdout.decode("utf-8", errors="replace")


def black_s(report: str, video: VideoInfo) -> Fraction:
    """Seconds of a clip in which nothing is to be seen, by what ``build_decode`` reports."""
    total, since = Fraction(0), None
    for key, value in _BLACK.findall(report):
        if key == "start":
            since = Fraction(value)
        elif since is not None:
            total, since = total + Fraction(value) - since, None
    return total if since is None else total + video.duration_s - since


def _last_frame_count(report: bytes) -> int:
    counts = [line[6:] for line in report.splitlines() if line.startswith(b"frame=")]
    return int(counts[-1]) if counts and counts[-1].strip().isdigit() else 0


async def _facts(path: Path, info: MediaInfo, video: VideoInfo) -> ClipFacts:
    return ClipFacts(
        size_bytes=info.size_bytes,
        sha256=await anyio.to_thread.run_sync(file_sha256, path),
        width_px=video.width_px,
        height_px=video.height_px,
        frames=video.packets,
        frame_rate=video.frame_rate,
        video_codec=video.codec,
        has_audio=info.audio is not None,
    )
