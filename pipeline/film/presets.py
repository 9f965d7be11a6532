"""What the platforms ask of a video, by name: shape, size, rates, loudness, and what they cover.

Only what a platform or a standard says in public, as of the year beside each row; platforms change
these without notice. Whatever a deliverable says itself comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TypeAlias

from pipeline.film.spec import LOUDNESS, Loudness

Safe: TypeAlias = tuple[Fraction, Fraction, Fraction, Fraction]

_PAL_HZ = Fraction(25)
_NTSC_HZ = Fraction(30000, 1001)


def _percent(top: int, right: int, bottom: int, left: int) -> Safe:
    return Fraction(top, 100), Fraction(right, 100), Fraction(bottom, 100), Fraction(left, 100)


# EBU R 95 (2017) and SMPTE ST 2046-1 (2009) both keep graphics 5 % from every edge.
SAFE = _percent(5, 5, 5, 5)
# Meta's guide to reels ads (2025): nothing that matters in the top 14 %, the bottom 35 % and 6 %
# at either side. It is the widest of the upright platforms, and so holds on the others as well,
# of which TikTok gives its areas as pictures only.
_UPRIGHT = _percent(14, 6, 35, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One platform. ``frame_rate`` None: the film's own, at most ``max_frame_rate``; ``loudness`` a
    name of ``spec.LOUDNESS``; ``safe`` top, right, bottom, left as shares; ``source`` and ``year``
    where it says so, for the documentation."""

    ratio: tuple[int, int]
    width_px: int
    height_px: int
    source: str
    year: int
    loudness: str = "social"
    frame_rate: Fraction | None = None
    max_frame_rate: Fraction = Fraction(60)
    safe: Safe = SAFE

    @property
    def target(self) -> Loudness:
        """What its sound is brought to."""
        return LOUDNESS[self.loudness]


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "youtube": Preset(
            ratio=(16, 9),
            width_px=1920,
            height_px=1080,
            source="support.google.com/youtube/answer/1722171",
            year=2025,
        ),
        "youtube-shorts": Preset(
            ratio=(9, 16),
            width_px=1080,
            height_px=1920,
            safe=_UPRIGHT,
            source="support.google.com/google-ads/answer/16041697",
            year=2025,
        ),
        "instagram-reel": Preset(
            ratio=(9, 16),
            width_px=1080,
            height_px=1920,
            safe=_UPRIGHT,
            source="facebook.com/business/ads-guide, Instagram reels",
            year=2025,
        ),
        "instagram-feed": Preset(
            ratio=(4, 5),
            width_px=1080,
            height_px=1350,
            source="facebook.com/business/ads-guide, Instagram feed",
            year=2025,
        ),
        "facebook-feed": Preset(
            ratio=(4, 5),
            width_px=1080,
            height_px=1350,
            source="facebook.com/business/ads-guide, Facebook feed",
            year=2025,
        ),
        "tiktok": Preset(
            ratio=(9, 16),
            width_px=1080,
            height_px=1920,
            safe=_UPRIGHT,
            source="ads.tiktok.com/help, auction in-feed ads (9:16, at least 540x960)",
            year=2024,
        ),
        "x": Preset(
            ratio=(1, 1),
            width_px=1080,
            height_px=1080,
            source="business.x.com/en/help/campaign-setup/creative-ad-specifications",
            year=2025,
        ),
        # Frame rates and size are those of the 1080p signals of ITU-R BT.709-6; which of the two
        # a channel takes, it says in its own delivery rules.
        "broadcast-eu": Preset(
            ratio=(16, 9),
            width_px=1920,
            height_px=1080,
            loudness="ebu-r128",
            frame_rate=_PAL_HZ,
            source="EBU R 128, EBU R 95, ITU-R BT.709-6",
            year=2023,
        ),
        "broadcast-us": Preset(
            ratio=(16, 9),
            width_px=1920,
            height_px=1080,
            loudness="atsc-a85",
            frame_rate=_NTSC_HZ,
            source="ATSC A/85, SMPTE ST 2046-1, ITU-R BT.709-6",
            year=2013,
        ),
    }
)
