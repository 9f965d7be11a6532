"""What ffmpeg is asked to do for one piece of a deliverable's picture, as argument lists.

Pure text, built with ffmpeg-python. Names of files are ours, and so are all numbers in a filter: no
word of a user's comes near one. Every picture is brought to BT.709, limited range, square pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import ffmpeg

from pipeline.film.spec import CUT
from pipeline.film.transitions import xfade_of
from pipeline.finishing.coding import piece_options, pixels_of
from pipeline.finishing.pictures_fit import (
    lay_over,
    part_stream,
    plain_stream,
    png_input,
    ratio,
    to_pixels,
)
from pipeline.finishing.sources import Frame, Source
from pipeline.media.commands import arguments_of

# The two that go through a plain colour on their way. ffmpeg's ``fadeblack`` never gets there: half
# way a third of the next picture is seen already.
_DIPS = {"fade-black": "black", "fade-white": "white"}

Stream: TypeAlias = ffmpeg.nodes.FilterableStream


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One of the parts that a piece shows: its file by our name, and the part's frame that the
    piece begins with."""

    name: str
    source: Source
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A picture over a piece, its file by our name; from ``first`` to ``last`` of the piece's
    frames, both included."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """A fade of the film's as one piece meets it: ``first`` is the frame of the piece that it
    begins with, negative where that lies before; out of black, or into it."""

    first: int
    frames: int
    is_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceOrder:
    """One piece to make: ``frames`` of one branch, or of two that blend as ``kind`` says."""

    branches: tuple[Branch, ...]
    frames: int
    kind: str = CUT
    layers: tuple[Layer, ...] = ()
    ramps: tuple[Ramp, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A blend's ``frames`` on a way of ``steps``, of which ``done`` lie behind the first."""

    steps: int
    done: int
    frames: int


def build_piece(target: str, order: PieceOrder, frame: Frame) -> list[str]:
    """Make one piece, exactly ``order.frames`` long.

    Equal arguments and equal files give equal bytes; one thread, because the bits that encoders
    write depend on how many there are.
    """
    pixels = pixels_of(frame.profile)
    pictures = [
        part_stream(branch.name, branch.source, branch.offset, order.frames, frame)
        for branch in order.branches
    ]
    if order.kind == CUT:
        (picture,) = pictures
    else:
        before, after = (each.filter("format", pixels.blend) for each in pictures)
        blend = _dip if order.kind in _DIPS else _xfade
        picture = blend(before, after, order, frame).filter("format", pixels.canvas)
    for layer in order.layers:
        picture = _lay_over(picture, layer, frame)
    for ramp in order.ramps:
        picture = _ramp(picture, ramp, frame.frame_rate)
    picture = (
        picture.filter("setsar", 1)
        .filter(
            "setparams",
            range="tv",
            color_primaries="bt709",
            color_trc="bt709",
            colorspace="bt709",
        )
        # After some filters ffmpeg 5.1 ends a stream with the time of its last picture, which
        # ``fps`` then leaves out: there is one more, and the count below cuts it off.
        .filter("tpad", stop=1, stop_mode="clone")
        .filter("fps", ratio(frame.frame_rate))
    )
    options = {
        "filter_complex_threads": 1,
        "xerror": None,
        "frames:v": order.frames,
        **piece_options(frame.profile, frame.frame_rate),
    }
    return arguments_of(ffmpeg.output(picture, target, **options))


def _xfade(before: Stream, after: Stream, order: PieceOrder, frame: Frame) -> Stream:
    """Blend two streams of equal length.

    The frames before and after count as the two ends of the way, so that each blended one is a
    step on it and none repeats its neighbour: of n the k-th (from 0) shows (k+1)/(n+1) of what
    comes.
    """
    way = _Way(steps=order.frames + 1, done=1, frames=order.frames)
    return _blend(before, after, way, frame.frame_rate, kind=xfade_of(order.kind))


def _dip(before: Stream, after: Stream, order: PieceOrder, frame: Frame) -> Stream:
    """Half of the frames into a plain colour, half out of it; in the middle it is all there is."""
    rate = frame.frame_rate
    half = -(-order.frames // 2)
    rest = order.frames - half
    plain = plain_stream(_DIPS[order.kind], frame, pixels_of(frame.profile).blend, half)
    if rest == 0:
        return _blend(before, plain, _Way(steps=half, done=1, frames=half), rate)
    plains = plain.filter_multi_output("split")
    dipped = _blend(before, plains[0], _Way(steps=half, done=1, frames=half), rate)
    coming = (
        after.filter("trim", start_frame=half)
        .filter("setpts", "PTS-STARTPTS")
        .filter("fps", ratio(rate))
    )
    # Of an odd number the one in the middle belongs to both halves, and was shown with the first.
    risen = _blend(plains[1], coming, _Way(steps=half, done=half - rest, frames=rest), rate)
    return ffmpeg.concat(dipped, risen, v=1, a=0)


def _blend(
    before: Stream, after: Stream, way: _Way, rate: Fraction, *, kind: str = "fade"
) -> Stream:
    """Go some way from one stream to the other."""
    # ffmpeg 5.1 blends nothing of streams of one frame: both get one more, cut off again.
    longer = [each.filter("tpad", stop=1, stop_mode="clone") for each in (before, after)]
    return ffmpeg.filter(
        longer,
        "xfade",
        transition=kind,
        duration=_microseconds(way.steps / rate),
        offset=_microseconds(-way.done / rate),
    ).filter("trim", end_frame=way.frames)


def _lay_over(picture: Stream, layer: Layer, frame: Frame) -> Stream:
    above = to_pixels(png_input(layer.name, frame), pixels_of(frame.profile).alpha)
    return lay_over(picture, above, frame, enable=f"between(n,{layer.first},{layer.last})")


def _ramp(picture: Stream, ramp: Ramp, rate: Fraction) -> Stream:
    """Out of black, or into it: the first, or the last, of its frames is black altogether.

    ``fade`` counts from a time that is not negative, so a piece within a ramp is moved there.
    """
    moved = max(0, -ramp.first)
    start = ramp.first + moved
    return (
        picture.filter("settb", ratio(1 / rate))
        .filter("setpts", f"PTS+{moved}")
        .filter(
            "fade",
            type="out" if ramp.is_out else "in",
            start_time=_microseconds(start / rate),
            duration=_microseconds(ramp.frames / rate),
        )
        .filter("setpts", f"PTS-{moved}")
    )


def _microseconds(duration_s: Fraction) -> str:
    return f"{round(duration_s * 1_000_000)}us"
