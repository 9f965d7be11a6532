"""One part of a film as a stream of ffmpeg's: its frames, in the raster of the deliverable. Pure.

Every picture comes out in BT.709, limited range and square pixels, whatever it was.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

import ffmpeg

from pipeline.film.spec import Fit
from pipeline.finishing.coding import pixels_of
from pipeline.finishing.sources import Footage, Frame, Source, Still
from pipeline.media.commands import color_matrix, picture_input

# A clip may fall this short of what is used of it: its last picture is held. Providers round to
# frames of their own, and ``verify`` lets as much pass.
HOLD_S = Fraction(1, 4)

# A side of 854 instead of 853.33 pixels is no other shape: nobody sees half a percent of stretch,
# but a bar of a pixel's width is seen.
_SAME_SHAPE = Fraction(1, 200)
# The copy behind a picture is blurred small, where a wide blur is cheap, and darkened so that the
# picture stands out: shares of full luma and colour.
_BLUR_SHRINK = 8
_BLUR_SHARE = 0.05
_BLUR_LUMA = 0.7
_BLUR_CHROMA = 1.1
_LOCAL_FILES = "file,pipe"
_EXACT = "lanczos+accurate_rnd+full_chroma_int"

Stream: TypeAlias = ffmpeg.nodes.FilterableStream


def part_stream(name: str, source: Source, offset: int, frames: int, frame: Frame) -> Stream:
    """``frames`` of one part from its frame ``offset`` on, the first of them at 0.

    Args:
        name: the file of the source, by a name of ours.
    """
    match source:
        case Still():
            # Read once, then shown again and again: decoding it for every frame would cost more
            # than encoding it.
            picture = to_pixels(png_input(name, frame), pixels_of(frame.profile).canvas)
            return _hold(picture, frames, frame)
        case Footage():
            picture = picture_input(name, source.video)["v:0"]
            return _fitted(_at(picture, source, offset, frames, frame), source, frames, frame)


def _at(picture: Stream, footage: Footage, offset: int, frames: int, frame: Frame) -> Stream:
    """Frames ``offset`` and on of a clip at the film's rate, counted from its in-point.

    All pieces of a part count from the same frame of the same grid, so that none is shown twice or
    left out between them; the in-point is the picture closest to it.
    """
    rate = ratio(frame.frame_rate)
    return (
        picture.filter("setpts", f"PTS-STARTPTS-floor({footage.in_s}/TB+0.5)")
        .filter("fps", rate, start_time=0)
        .filter("tpad", stop=-(-HOLD_S * frame.frame_rate // 1), stop_mode="clone")
        .filter("trim", start_frame=offset, end_frame=offset + frames)
        .filter("setpts", "PTS-STARTPTS")
        # What changes times loses the rate, which blending asks for.
        .filter("fps", rate)
    )


def _fitted(picture: Stream, footage: Footage, frames: int, frame: Frame) -> Stream:
    """Frames of a clip's own shape in the deliverable's."""
    size, pixels = (frame.width_px, frame.height_px), pixels_of(frame.profile)
    if footage.video.sample_aspect != 1:
        picture = picture.filter("scale", "trunc(iw*sar/2)*2", "ih").filter("setsar", 1)
    colors = {
        "in_color_matrix": color_matrix(footage.video),
        "out_color_matrix": "bt709",
        "out_range": "tv",
        "flags": "lanczos",
    }
    if _has_shape(footage, frame):
        fitted = picture.filter("scale", *size, **colors)
        return fitted.filter("setsar", 1).filter("format", pixels.canvas)
    inside = {"force_original_aspect_ratio": "decrease", "force_divisible_by": 2, **colors}
    match frame.fit:
        case Fit.CROP:
            fitted = _cover(picture, size, footage, colors)
            return fitted.filter("setsar", 1).filter("format", pixels.canvas)
        case Fit.PAD:
            # Read as a number: what is none must not come near a filter.
            color = f"0x{int(frame.background.removeprefix('#'), 16):06x}"
            behind = plain_stream(color, frame, pixels.canvas, frames)
        case Fit.BLUR:
            split = picture.filter_multi_output("split")
            picture = split[0]
            behind = _blurred(split[1], footage, frame, colors)
    inner = picture.filter("scale", *size, **inside).filter("setsar", 1)
    return lay_over(behind, inner.filter("format", pixels.alpha), frame)


def _has_shape(footage: Footage, frame: Frame) -> bool:
    """Whether a clip fills the frame as it is; one that is turned is left for ffmpeg to see."""
    video = footage.video
    shape = Fraction(video.width_px, video.height_px) * video.sample_aspect
    wanted = Fraction(frame.width_px, frame.height_px)
    return video.upright and abs(shape / wanted - 1) <= _SAME_SHAPE


def _cover(
    picture: Stream, size: tuple[int, int], footage: Footage, colors: dict[str, str]
) -> Stream:
    """Fill a raster; what stands out is cut off, with the focus as near the middle as can be."""
    x, y = (
        f"clip({whole}*{float(share):.6f}-{part}/2,0,{whole}-{part})"
        for whole, part, share in (
            ("iw", "ow", footage.focus.x),
            ("ih", "oh", footage.focus.y),
        )
    )
    scaled = picture.filter(
        "scale", *size, force_original_aspect_ratio="increase", force_divisible_by=2, **colors
    )
    return scaled.filter("crop", *size, x, y)


def _blurred(picture: Stream, footage: Footage, frame: Frame, colors: dict[str, str]) -> Stream:
    """The same pictures filling the raster, blurred and darkened."""
    small = tuple(
        max(16, side // _BLUR_SHRINK // 2 * 2) for side in (frame.width_px, frame.height_px)
    )
    return (
        _cover(picture, (small[0], small[1]), footage, colors | {"flags": "area"})
        .filter("format", "yuv444p")
        .filter("gblur", sigma=max(2.0, max(small) * _BLUR_SHARE), steps=3)
        .filter(
            "lutyuv",
            y=f"16+(val-16)*{_BLUR_LUMA}",
            u=f"128+(val-128)*{_BLUR_CHROMA}",
            v=f"128+(val-128)*{_BLUR_CHROMA}",
        )
        .filter("scale", frame.width_px, frame.height_px, flags="bicubic")
        .filter("setsar", 1)
        .filter("format", pixels_of(frame.profile).canvas)
    )


def lay_over(behind: Stream, above: Stream, frame: Frame, **options: str) -> Stream:
    """One stream in the middle of another, which may be seen through it; a lone picture stays."""
    return ffmpeg.filter(
        [behind, above],
        "overlay",
        x="trunc((W-w)/4)*2",
        y="trunc((H-h)/4)*2",
        format=pixels_of(frame.profile).overlay,
        eof_action="repeat",
        **options,
    )


def plain_stream(color: str, frame: Frame, pixels: str, frames: int) -> Stream:
    """Frames of one colour."""
    source = f"color=c={color}:s={frame.width_px}x{frame.height_px}:r={ratio(frame.frame_rate)}"
    # Made in RGB: ffmpeg's own way from there to YUV is the one of standard definition.
    plain = ffmpeg.input(f"{source},format=gbrp", format="lavfi").filter("trim", end_frame=1)
    return _hold(to_pixels(plain, pixels), frames, frame)


def to_pixels(picture: Stream, pixels: str) -> Stream:
    """RGB as high definition's YUV, whatever the size."""
    return (
        picture.filter("scale", flags=_EXACT, out_color_matrix="bt709", out_range="tv")
        .filter("setsar", 1)
        .filter("format", pixels)
    )


def _hold(picture: Stream, frames: int, frame: Frame) -> Stream:
    if frames == 1:
        return picture
    held = picture.filter("tpad", stop=frames - 1, stop_mode="clone")
    return held.filter("fps", ratio(frame.frame_rate))


def png_input(name: str, frame: Frame) -> Stream:
    """A PNG as a stream of one frame."""
    picture = ffmpeg.input(
        name,
        format="png_pipe",
        protocol_whitelist=_LOCAL_FILES,
        framerate=ratio(frame.frame_rate),
    )
    return picture["v:0"]


def ratio(rate: Fraction) -> str:
    """A rate as filters read it, exact."""
    return f"{rate.numerator}/{rate.denominator}"
