"""A film that a customer sends in: its facts, and its pictures in other colours.

Only PyAV ever opens it, by the name of a demuxer, so that a playlist or a script inside is no use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from PIL import Image, ImageOps

from pipeline.errors import MediaError
from pipeline.sandbox import planes
from pipeline.sandbox.planes import Planes

# What an edit comes back in at most. Source: the provider's two tiers.
_MAX_SHORT_SIDE_PX = 720
_HEADS = ((b"\x1a\x45\xdf\xa3", "matroska"),)
_MP4 = "mp4"
_SHADOW, _MIDDLE, _LIGHT = (8, 22, 46), (96, 132, 148), (255, 236, 206)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """Size in pixels as stored, and how long its picture lasts: seconds, to the millisecond
    upwards. Longer sound is not paid for."""

    width_px: int
    height_px: int
    duration_s: Decimal

    @property
    def frame_px(self) -> tuple[int, int]:
        """What an edit of it measures: the same, even, its short side 720 at most."""
        scale = min(1.0, _MAX_SHORT_SIDE_PX / min(self.width_px, self.height_px))
        return planes.even(self.width_px * scale), planes.even(self.height_px * scale)


def probe(path: Path) -> Footage:
    """The facts of a film.

    Raises:
        MediaError: it is not a readable MP4, MOV or WebM with a picture.
    """
    try:
        with av.open(str(path), format=_demuxer(path)) as container:
            stream = container.streams.video[0]
            length = _shown_s(container)
            size = stream.codec_context.width, stream.codec_context.height
    except (av.error.FFmpegError, IndexError, OSError) as exc:
        raise _unusable(str(exc)) from exc
    if length <= 0 or min(size) < 2:
        raise _unusable("it has no picture")
    duration_s = Decimal(math.ceil(length * 1000)) / 1000
    return Footage(width_px=size[0], height_px=size[1], duration_s=duration_s)


def _shown_s(container: InputContainer) -> Fraction:
    """How long the pictures are shown: as many frames of its rate as there are, where it has one.

    What a file says of its own length is often that of the sound, and WebM's times are rounded to
    the millisecond.
    """
    stream = container.streams.video[0]
    tick_s, shown, end = Fraction(stream.time_base or 1), [], 0
    is_vp8 = stream.codec_context.name == "vp8"
    for packet in container.demux(stream):
        # VP8 keeps pictures that are never shown, which others are predicted from.
        is_hidden = is_vp8 and packet.size > 0 and not bytes(packet)[0] & 0x10
        if packet.pts is not None and not packet.is_discard and not is_hidden:
            shown.append(packet.pts)
            end = max(end, packet.pts + (packet.duration or 0))
    if not shown:
        return Fraction(0)
    shown.sort()
    for rate in filter(None, (stream.base_rate, stream.average_rate)):
        if _is_steady(shown, 1 / (Fraction(rate) * tick_s)):
            return len(shown) / Fraction(rate)
    return (end - shown[0]) * tick_s


def _is_steady(shown: Sequence[int], frame_ticks: Fraction) -> bool:
    """Whether every picture comes within one tick of its turn."""
    return all(abs(at - shown[0] - turn * frame_ticks) <= 1 for turn, at in enumerate(shown))


def recoloured(path: Path, frame: tuple[int, int], *, fps: int, frames: int) -> Iterator[Planes]:
    """``frames`` pictures of the film at ``fps``, from its beginning; the last one stays.

    Raises:
        MediaError: it cannot be read.
    """
    shown: Image.Image | None = None
    made = 0
    try:
        with av.open(str(path), format=_demuxer(path)) as container:
            for picture in container.decode(video=0):
                due = frames if picture.time is None else round(picture.time * fps)
                while shown is not None and made < min(due, frames):
                    made += 1
                    yield planes.from_rgb(shown)
                if made >= frames:
                    return
                shown = _graded(Image.fromarray(picture.to_ndarray(format="rgb24")), frame)
    except (av.error.FFmpegError, IndexError, OSError) as exc:
        raise _unusable(str(exc)) from exc
    if shown is None:
        raise _unusable("it has no picture")
    for _ in range(made, frames):
        yield planes.from_rgb(shown)


def _graded(picture: Image.Image, frame: tuple[int, int]) -> Image.Image:
    """Cold shadows and warm lights, so that an edit is told from its source at a glance."""
    fitted = ImageOps.fit(picture, frame, Image.Resampling.BILINEAR)
    grey = ImageOps.autocontrast(ImageOps.grayscale(fitted), cutoff=1)
    toned = ImageOps.colorize(grey, _SHADOW, _LIGHT, _MIDDLE)
    return Image.blend(fitted, toned, 0.65)


def _demuxer(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    return next((name for magic, name in _HEADS if head == magic), _MP4)


def _unusable(cause: str) -> MediaError:
    return MediaError(
        f"the input video cannot be read: {cause}", hint="give an MP4, MOV or WebM that plays"
    )
