"""A film as it should be, measured; tests change what they are about."""

from __future__ import annotations

from fractions import Fraction

from pipeline.film.spec import LOUDNESS
from pipeline.finishing.checks import Wanted
from pipeline.finishing.measurements import ColorTags, Measurements, SoundMeasured
from pipeline.model import Container

SOUND = SoundMeasured(
    codec="aac",
    channels=2,
    sample_rate_hz=48_000,
    starts_late_s=Fraction(0),
    ends_late_s=Fraction(1, 96),
    integrated_lufs=-14.123,
    true_peak_dbtp=-1.416,
    silent=(),
)
MEASURED = Measurements(
    container=Container.MP4,
    size_bytes=12_345_678,
    has_index_first=True,
    video_codec="h264",
    video_profile="High",
    pixel_format="yuv420p",
    color=ColorTags(primaries=1, transfer=1, matrix=1, value_range=1),
    width_px=1280,
    height_px=720,
    sample_aspect=Fraction(1),
    frame_rate=Fraction(24),
    is_rate_constant=True,
    frames=720,
    duration_s=Fraction(30),
    black=(),
    frozen=(),
    sound=SOUND,
)
WANTED = Wanted(
    frames=720,
    frame_rate=Fraction(24),
    width_px=1280,
    height_px=720,
    loudness=LOUDNESS["social"],
)
