"""How the pieces of a deliverable are encoded so that they join by copy, per profile. No I/O.

Pieces of one profile and raster carry equal headers whatever they show, begin with a picture that
needs no other, and refer to nothing outside themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from pipeline.film.profiles import COLOR_ARGUMENTS, ENCODINGS
from pipeline.film.spec import Profile
from pipeline.media.probe import VideoInfo
from pipeline.model import Container
from pipeline.timecode import track_timescale_hz


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """ffmpeg's names of the pixels that pictures have on their way: ``canvas`` what others are laid
    over, ``alpha`` what is laid over it, ``blend`` where two give way to each other (``xfade``
    knows none with fewer colours than grey); ``overlay`` the first once more, as ``overlay``
    spells it."""

    canvas: str
    alpha: str
    blend: str
    overlay: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """One profile's pieces.

    ``container`` of a piece (WEBM counts in milliseconds, so its pieces are MP4 too), ``codec`` as
    a probe calls it; ``arguments`` what the profile's own lack for a join. ``is_reordered``:
    pictures are stored in another order than shown.
    """

    container: Container
    codec: str
    pixels: Pixels
    arguments: Mapping[str, object]
    is_reordered: bool = False


_EIGHT_BITS = Pixels(canvas="yuv420p", alpha="yuva420p", blend="yuv444p", overlay="yuv420")
_TEN_BITS = Pixels(
    canvas="yuv422p10le", alpha="yuva422p10le", blend="yuv444p10le", overlay="yuv422p10"
)

CODINGS: Mapping[Profile, Coding] = MappingProxyType(
    {
        Profile.WEB: Coding(
            container=Container.MP4,
            codec="h264",
            pixels=_EIGHT_BITS,
            # The fastest preset is also the one with the smallest files here. Where the colours of
            # a clip were sampled is in the headers too, and would differ from clip to clip.
            arguments={"preset": "veryfast", "x264-params": "stitchable=1:chromaloc=0"},
            is_reordered=True,
        ),
        Profile.HEVC: Coding(
            container=Container.MP4,
            codec="hevc",
            pixels=_EIGHT_BITS,
            arguments={
                "preset": "fast",
                # Its threads change the bits that it writes; an open group of pictures would refer
                # to the piece before. ffmpeg's -threads does not reach it.
                "x265-params": "pools=none:frame-threads=1:open-gop=0:info=0:chromaloc=0"
                ":log-level=none",
            },
            is_reordered=True,
        ),
        Profile.PRORES: Coding(
            container=Container.MOV,
            codec="prores",
            pixels=_TEN_BITS,
            arguments={},
        ),
        Profile.WEBM: Coding(
            container=Container.MP4,
            codec="vp9",
            pixels=_EIGHT_BITS,
            arguments={"deadline": "good", "cpu-used": 4, "row-mt": 0},
        ),
    }
)


def pixels_of(profile: Profile) -> Pixels:
    """The pixels of a profile's pictures on their way."""
    return CODINGS[profile].pixels


def options_of(arguments: tuple[str, ...]) -> dict[str, object]:
    """ffmpeg's arguments as ffmpeg-python takes them: each name without its dash, and its value."""
    return {
        name.removeprefix("-"): value
        for name, value in zip(arguments[::2], arguments[1::2], strict=True)
    }


def piece_options(profile: Profile, frame_rate: Fraction) -> dict[str, object]:
    """Everything that an output needs to become a piece of a deliverable."""
    encoding, coding = ENCODINGS[profile], CODINGS[profile]
    return {
        "format": coding.container.value.lower(),
        "threads": 1,
        "pix_fmt": encoding.pixel_format,
        **options_of(encoding.video_arguments),
        **coding.arguments,
        **options_of(COLOR_ARGUMENTS),
        "video_track_timescale": track_timescale_hz(frame_rate),
        "map_metadata": -1,
        "fflags": "+bitexact",
        "flags:v": "+bitexact",
    }


def is_piece(video: VideoInfo, profile: Profile, *, frames: int) -> bool:
    """Whether a picture track is a whole piece of a profile: counted, on its clock, closed."""
    return (
        (video.codec, video.pixel_format)
        == (CODINGS[profile].codec, ENCODINGS[profile].pixel_format)
        and video.packets == frames
        and video.on_grid
        and video.starts_with_keyframe
        and video.hidden_packets == 0
        and video.first_pts == 0
    )
