"""What a probe says of an ordinary clip: six seconds of 480p at 24 frames, with mono sound."""

from __future__ import annotations

from fractions import Fraction

from pipeline.media.probe import AudioInfo, VideoInfo
from pipeline.model import Container

VIDEO = VideoInfo(
    container=Container.MP4,
    stream_index=0,
    codec="h264",
    profile="High",
    level=31,
    width_px=854,
    height_px=480,
    sample_aspect=Fraction(1),
    pixel_format="yuv420p",
    field_order=1,
    color_range=0,
    colorspace=2,
    color_primaries=2,
    color_transfer=2,
    frame_rate=Fraction(24),
    time_base=Fraction(1, 12288),
    extradata_sha256="",
    upright=True,
    packets=144,
    declared_frames=144,
    hidden_packets=0,
    starts_with_keyframe=True,
    first_pts=0,
    reorder_ticks=1024,
    length_ticks=73728,
    on_grid=True,
)
AUDIO = AudioInfo(
    stream_index=1,
    codec="aac",
    sample_rate_hz=44_100,
    channels=1,
    packets=260,
    start_s=Fraction(0),
    end_s=Fraction(6),
)
