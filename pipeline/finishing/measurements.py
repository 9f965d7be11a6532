"""What a full decode of one clip or finished film found: plain values, nothing judged yet.

Times are exact seconds from the first picture; levels are what ffmpeg's meter says, in decibels.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from pipeline.model import Container


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a film, from ``start_s`` up to ``end_s``."""

    start_s: Fraction
    end_s: Fraction

    @property
    def length_s(self) -> Fraction:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorTags:
    """What a file says of its colours, in the numbers of ISO/IEC 23091-2; 2: it does not say.

    ``value_range`` 1: 16 to 235 (film), 2: 0 to 255, 0: it does not say.
    """

    primaries: int
    transfer: int
    matrix: int
    value_range: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundMeasured:
    """The first sound track.

    ``starts_late_s`` how much later than the picture it begins, ``ends_late_s`` how much later it
    ends (negative: earlier). ``integrated_lufs`` None: nothing that counts was heard (all under
    −70 LUFS, or shorter than 0.4 s); ``true_peak_dbtp`` None: not one sample differs from zero.
    """

    codec: str
    channels: int
    sample_rate_hz: int
    starts_late_s: Fraction
    ends_late_s: Fraction
    integrated_lufs: float | None
    true_peak_dbtp: float | None
    silent: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """One file, decoded whole without an error.

    ``has_index_first`` whether it plays while it still loads (None: a format without that
    question); ``black`` every stretch of black pictures, however short; ``frozen`` every one in
    which nothing moves for half a second or more, black ones included.
    """

    container: Container
    size_bytes: int
    has_index_first: bool | None
    video_codec: str
    video_profile: str
    pixel_format: str
    color: ColorTags
    width_px: int
    height_px: int
    sample_aspect: Fraction
    frame_rate: Fraction
    is_rate_constant: bool
    frames: int
    duration_s: Fraction
    black: tuple[Stretch, ...]
    frozen: tuple[Stretch, ...]
    sound: SoundMeasured | None

    @property
    def ratio(self) -> Fraction:
        """Width to height as shown."""
        return Fraction(self.width_px, self.height_px) * self.sample_aspect
