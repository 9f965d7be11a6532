"""What each profile of a deliverable is: container, encoders and their settings. No I/O.

Thread counts belong to whoever starts ffmpeg: the bits that x264 writes depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.film.spec import Profile

# High definition's colours, which every profile says it has. ISO/IEC 23091-2: all three are 1.
COLOR_ARGUMENTS = (
    *("-color_primaries", "bt709", "-color_trc", "bt709"),
    *("-colorspace", "bt709", "-color_range", "tv"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """One profile, as ffmpeg's arguments for an output.

    ``suffix`` of the file's name, with its dot; ``pixel_format`` in ffmpeg's words; ``encoders``
    the names that ``ffmpeg -encoders`` must list; ``muxer_arguments`` for the finished file only.
    """

    suffix: str
    muxer: str
    pixel_format: str
    encoders: tuple[str, ...]
    video_arguments: tuple[str, ...]
    audio_arguments: tuple[str, ...]
    muxer_arguments: tuple[str, ...] = ()


_FASTSTART = ("-movflags", "+faststart")

ENCODINGS: Mapping[Profile, Encoding] = MappingProxyType(
    {
        # Plays everywhere: browsers, phones, every platform's upload.
        Profile.WEB: Encoding(
            suffix=".mp4",
            muxer="mp4",
            pixel_format="yuv420p",
            encoders=("libx264", "aac"),
            video_arguments=("-c:v", "libx264", "-profile:v", "high", "-crf", "18"),
            audio_arguments=("-c:a", "aac", "-b:a", "192k"),
            muxer_arguments=_FASTSTART,
        ),
        # Apple's players only open HEVC in MP4 under the tag hvc1.
        # Source: HTTP Live Streaming authoring specification, section 1.10.
        Profile.HEVC: Encoding(
            suffix=".mp4",
            muxer="mp4",
            pixel_format="yuv420p",
            encoders=("libx265", "aac"),
            video_arguments=("-c:v", "libx265", "-crf", "20", "-tag:v", "hvc1"),
            audio_arguments=("-c:a", "aac", "-b:a", "192k"),
            muxer_arguments=_FASTSTART,
        ),
        # For an editor to go on with: 10 bit, every frame by itself, sound uncompressed.
        Profile.PRORES: Encoding(
            suffix=".mov",
            muxer="mov",
            pixel_format="yuv422p10le",
            encoders=("prores_ks", "pcm_s24le"),
            video_arguments=("-c:v", "prores_ks", "-profile:v", "hq", "-vendor", "apl0"),
            audio_arguments=("-c:a", "pcm_s24le"),
            muxer_arguments=_FASTSTART,
        ),
        Profile.WEBM: Encoding(
            suffix=".webm",
            muxer="webm",
            pixel_format="yuv420p",
            encoders=("libvpx-vp9", "libopus"),
            video_arguments=("-c:v", "libvpx-vp9", "-crf", "31", "-b:v", "0"),
            audio_arguments=("-c:a", "libopus", "-b:a", "160k"),
        ),
    }
)
