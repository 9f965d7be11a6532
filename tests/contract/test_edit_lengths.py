"""An edit costs the same at the client, which estimates, and at the sandbox, which charges."""

from __future__ import annotations

import os
import subprocess
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.source import open_clip
from pipeline.model import Position, Resolution, Shot, VideoReference
from pipeline.pricing import RATE_CARDS, price_take
from pipeline.sandbox.bill import usd
from pipeline.sandbox.footage import probe
from pipeline.sandbox.runware_prices import price_micro_usd

VP8 = ("-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "8", "-c:a", "libopus")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-c:a", "aac")
DROPPED = ("-vf", "select='not(between(n,20,25))'", "-fps_mode", "vfr", *H264)


def make_clip(path: Path, rate: str, seconds: str, *options: str) -> VideoReference:
    """A clip whose sound goes on for another half second."""
    picture = f"testsrc=size=64x36:rate={rate}:duration={seconds}"
    sound = f"sine=duration={float(seconds) + 0.5}"
    command = [str(find_ffmpeg(os.environ)), "-nostdin", "-v", "error", "-threads", "1"]
    command += ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *options]
    subprocess.run([*command, str(path)], check=True, timeout=60)
    clip = open_clip(path, path.name)
    assert isinstance(clip, VideoReference), clip
    return clip


@pytest.mark.parametrize(
    ("clip", "lasts", "billed"),
    [
        # 122 frames: no whole number of milliseconds.
        (("a.mp4", "24", "5.0833", *H264), Fraction(122, 24), "5.084"),
        (("a.mov", "30000/1001", "2.5", *H264), Fraction(75 * 1001, 30000), "2.503"),
        (("a.webm", "24", "5.0833", *VP9), Fraction(122, 24), "5.084"),
        # Times of WebM are whole milliseconds, and VP8 keeps pictures that nobody sees.
        (("b.webm", "30000/1001", "2.5", *VP8), Fraction(75 * 1001, 30000), "2.503"),
        (("b.mp4", "25", "3", *DROPPED), Fraction(3), "3"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_both_sides_price_an_edit_by_how_long_its_picture_is_shown(
    tmp_path: Path, clip: tuple[str, ...], lasts: Fraction, billed: str
) -> None:
    name, *how = clip
    path = tmp_path / name
    video = make_clip(path, *how)
    assert video.duration_s == lasts
    facts = probe(path)
    assert facts.duration_s == Decimal(billed)
    shot = Shot(
        id="edit",
        images=(),
        prompt="in blue",
        duration_s=6,
        resolution=Resolution.P480,
        position=Position(line=1, column=1),
        video=video,
    )
    charged = price_micro_usd(
        "480p", facts.duration_s, results=1, images=0, input_video_s=facts.duration_s
    )
    assert price_take(RATE_CARDS["runware"], shot) == usd(charged)
