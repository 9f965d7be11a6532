"""Pictures as an encoder wants them: BT.709 limited-range Y, Cb and Cr planes, 4:2:0.

Working on three 8-bit planes instead of RGB halves the pixels to resample and needs no colour
conversion per frame. Every size and every paste position is even, so that chroma stays aligned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Rgb: TypeAlias = tuple[int, int, int]
Box: TypeAlias = tuple[float, float, float, float]
Area: TypeAlias = tuple[int, int, int, int]
Floats: TypeAlias = npt.NDArray[np.float32]

# Rows: Y, Cb, Cr of RGB in 0..255, then the offset. ITU-R BT.709-6, items 3.2 to 3.4.
_KR, _KB = 0.2126, 0.0722
_KG = 1 - _KR - _KB
_LUMA, _CHROMA = 219 / 255, 224 / 255
_MATRIX = (
    (_KR * _LUMA, _KG * _LUMA, _KB * _LUMA, 16.0),
    (
        -_KR / (2 - 2 * _KB) * _CHROMA,
        -_KG / (2 - 2 * _KB) * _CHROMA,
        0.5 * _CHROMA,
        128.0,
    ),
    (
        0.5 * _CHROMA,
        -_KG / (2 - 2 * _KR) * _CHROMA,
        -_KB / (2 - 2 * _KR) * _CHROMA,
        128.0,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """One picture: ``y`` W x H and ``cb``, ``cr`` W/2 x H/2, 8-bit; W and H even."""

    y: Image.Image
    cb: Image.Image
    cr: Image.Image

    def tobytes(self) -> tuple[bytes, bytes, bytes]:
        """The raw planes in the order of ``yuv420p``."""
        return self.y.tobytes(), self.cb.tobytes(), self.cr.tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A picture with coverage, to be pasted: ``alpha`` as large as Y, ``alpha_half`` as Cb."""

    planes: Planes
    alpha: Image.Image
    alpha_half: Image.Image


def even(value: float) -> int:
    """The even whole number nearest to ``value``."""
    return 2 * round(value / 2)


def to_ycbcr(colour: Rgb) -> Rgb:
    """One colour as limited-range Y, Cb, Cr."""
    y, cb, cr = (
        round(sum(k * c for k, c in zip(row, (*colour, 1), strict=True))) for row in _MATRIX
    )
    return y, cb, cr


def from_rgb(image: Image.Image) -> Planes:
    """Convert an even-sized RGB picture; chroma is the mean of each 2 x 2 block."""
    y, cb, cr = image.convert("RGB", _MATRIX[0] + _MATRIX[1] + _MATRIX[2]).split()
    return Planes(y=y, cb=cb.reduce(2), cr=cr.reduce(2))


def from_premultiplied(colour: Floats, alpha: Floats) -> Overlay:
    """Convert H x W x 3 colour (0..255, already times alpha) and H x W alpha (0..1)."""
    height, width = alpha.shape
    blocks = (height // 2, 2, width // 2, 2)
    colour_half = colour.reshape(*blocks, 3).mean(axis=(1, 3), dtype=np.float32)
    alpha_half = alpha.reshape(*blocks).mean(axis=(1, 3), dtype=np.float32)
    full, half = _divided(colour, alpha), _divided(colour_half, alpha_half)
    y, cb, cr = (
        _to_image(source @ np.asarray(row[:3], np.float32) + np.float32(row[3]))
        for source, row in zip((full, half, half), _MATRIX, strict=True)
    )
    return Overlay(
        planes=Planes(y=y, cb=cb, cr=cr),
        alpha=_to_image(alpha * 255),
        alpha_half=_to_image(alpha_half * 255),
    )


def resample(picture: Planes, size: tuple[int, int], box: Box) -> Planes:
    """Show the part of ``picture`` inside ``box`` (pixels of Y, fractions kept) at ``size``.

    The fractional box is what makes slow moves smooth: rounding it to whole pixels shakes.
    """
    half_size = (size[0] // 2, size[1] // 2)
    half_box = (box[0] / 2, box[1] / 2, box[2] / 2, box[3] / 2)
    bilinear = Image.Resampling.BILINEAR
    return Planes(
        y=picture.y.resize(size, bilinear, box=box),
        cb=picture.cb.resize(half_size, bilinear, box=half_box),
        cr=picture.cr.resize(half_size, bilinear, box=half_box),
    )


def resample_overlay(overlay: Overlay, size: tuple[int, int], box: Box) -> Overlay:
    """``resample`` for a picture with coverage."""
    half_size = (size[0] // 2, size[1] // 2)
    half_box = (box[0] / 2, box[1] / 2, box[2] / 2, box[3] / 2)
    bilinear = Image.Resampling.BILINEAR
    return Overlay(
        planes=resample(overlay.planes, size, box),
        alpha=overlay.alpha.resize(size, bilinear, box=box),
        alpha_half=overlay.alpha_half.resize(half_size, bilinear, box=half_box),
    )


def blend(first: Planes, second: Planes, weight: float) -> Planes:
    """Mix two pictures of one size; ``weight`` 0 gives the first, 1 the second."""
    return Planes(
        y=Image.blend(first.y, second.y, weight),
        cb=Image.blend(first.cb, second.cb, weight),
        cr=Image.blend(first.cr, second.cr, weight),
    )


def paste(picture: Planes, overlay: Overlay, at: tuple[int, int]) -> None:
    """Lay ``overlay`` over ``picture`` in place, its corner at the even position ``at``."""
    half = (at[0] // 2, at[1] // 2)
    picture.y.paste(overlay.planes.y, at, overlay.alpha)
    picture.cb.paste(overlay.planes.cb, half, overlay.alpha_half)
    picture.cr.paste(overlay.planes.cr, half, overlay.alpha_half)


def fill(picture: Planes, colour: Rgb, box: Area) -> None:
    """Paint the even box with one Y, Cb, Cr colour in place."""
    half = (box[0] // 2, box[1] // 2, box[2] // 2, box[3] // 2)
    for plane, value, area in zip(
        (picture.y, picture.cb, picture.cr), colour, (box, half, half), strict=True
    ):
        plane.paste(value, area)


def dithered(channels: Iterable[Floats], seed: int) -> Image.Image:
    """Round three H x W channels (0..255) to an RGB picture, with noise against banding."""
    noise = np.random.default_rng(seed)
    return Image.merge(
        "RGB",
        [
            Image.fromarray(
                np.clip(channel + noise.random(channel.shape, np.float32), 0, 255).astype(np.uint8)
            )
            for channel in channels
        ],
    )


def _divided(colour: Floats, alpha: Floats) -> Floats:
    return np.asarray(colour / np.maximum(alpha, 1 / 512)[..., None], np.float32)


def _to_image(values: Floats) -> Image.Image:
    return Image.fromarray(np.clip(values + np.float32(0.5), 0, 255).astype(np.uint8))
