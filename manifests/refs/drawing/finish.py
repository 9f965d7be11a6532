"""From summed light to a picture: smoothing, glow, tone curve, grain, file.

Works on whole pictures, ``(height, width, channels)`` float32, linear light until ``develop``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from drawing.scene import F32, Color

f = np.float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The grade of a picture.

    ``exposure`` in stops; ``glow`` share of bright light that spills; ``contrast`` about middle
    grey; ``saturation`` 1 as it is; ``shadows`` and ``highlights`` tints; ``vignette`` how much
    darker the corners are; ``grain`` standard deviation in display values 0..1.
    """

    exposure: float = 0.0
    glow: float = 0.06
    contrast: float = 1.0
    saturation: float = 1.05
    shadows: Color = (1.0, 1.0, 1.0)
    highlights: Color = (1.0, 1.0, 1.0)
    vignette: float = 0.25
    grain: float = 0.008
    clean: float = 1.0


def denoise(light: F32, normal: F32, depth: F32, *, passes: int, tolerance: float) -> F32:
    """Smooth light over pixels that share a surface (edge-stopping a-trous wavelet).

    ``tolerance`` is how different two pixels' light may be and still be blended, relative.
    """
    kernel = (1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16)
    out = light
    for step in range(passes):
        stride = 2**step
        total, weights = np.zeros_like(out), np.zeros_like(depth)
        # Judged by neighbourhood, so that single dark or bright specks are not kept as detail.
        level = blur(out.mean(axis=2)[:, :, None], 0.8)[:, :, 0]
        pad = 2 * stride
        edge = ((pad, pad), (pad, pad), (0, 0))
        wide = np.pad(np.concatenate([out, normal, depth, level[:, :, None]], 2), edge, "edge")
        high, across = level.shape
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                top, left = pad + dy * stride, pad + dx * stride
                near = wide[top : top + high, left : left + across]
                tilt = ((near[:, :, 3:6] - normal) ** 2).sum(axis=2)
                gap = np.abs(near[:, :, 6] - depth[:, :, 0]) / (depth[:, :, 0] * f(0.02) + f(0.01))
                contrast = np.abs(near[:, :, 7] - level) / (level + f(0.02))
                weight = np.exp(-tilt * f(24) - gap / f(stride) - contrast / f(tolerance))
                weight = weight * f(kernel[dy + 2] * kernel[dx + 2])
                total += near[:, :, :3] * weight[:, :, None]
                weights += weight[:, :, None]
        out = total / np.maximum(weights, f(1e-6))
        tolerance *= 0.6
    return out


def blur(image: F32, radius: float) -> F32:
    """Gaussian blur by separable convolution; ``radius`` is the standard deviation in pixels."""
    reach = max(1, int(radius * 2.5))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    line = (line / line.sum()).astype(np.float32)
    for axis in (0, 1):
        pads = [(0, 0), (0, 0), (0, 0)]
        pads[axis] = (reach, reach)
        wide = np.pad(image, pads, "edge")
        size = image.shape[axis]
        image = sum(
            (np.take(wide, np.arange(k, k + size), axis=axis) * w for k, w in enumerate(line)),
            start=np.zeros_like(image),
        )
    return image


def glow(image: F32, share: float) -> F32:
    """Let bright light spill over its neighbours, as in a lens: two widths of blur."""
    height = image.shape[0]
    total = np.zeros_like(image)
    for divisor, part in ((90, 0.6), (22, 0.4)):
        factor = max(1, height // (divisor * 3))
        rows, columns = image.shape[0] // factor * factor, image.shape[1] // factor * factor
        small = image[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor, 3)
        soft = blur(small.mean(axis=(1, 3)), max(0.6, height / divisor / factor))
        planes = [
            np.asarray(
                Image.fromarray(soft[:, :, c].astype(np.float32)).resize(
                    (image.shape[1], image.shape[0]), Image.Resampling.BICUBIC
                )
            )
            for c in range(3)
        ]
        total += f(part) * np.stack(planes, axis=2)
    mixed: F32 = (image * f(1 - share) + total * f(share)).clip(0)
    return mixed


def film_curve(x: F32) -> F32:
    """Shoulder and toe of a film print (a rational fit in the manner of the ACES curve)."""
    out: F32 = (x * (f(2.51) * x + f(0.03))) / (x * (f(2.43) * x + f(0.59)) + f(0.14))
    return out.clip(0, 1)


def develop(light: F32, look: Look, seed: int) -> Image.Image:
    """Tone-map, grade and grain a linear picture into 8-bit sRGB."""
    height, width = light.shape[:2]
    image = glow(light, look.glow)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    r2 = ((x / width - f(0.5)) ** 2 + (y / height - f(0.5)) ** 2) * f(2)
    image = image * (1 - f(look.vignette) * r2[:, :, None] ** f(1.2))
    image = film_curve(image * f(0.6 * 2**look.exposure)) ** f(1 / 2.2)
    luma = image @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    image = luma[:, :, None] + (image - luma[:, :, None]) * f(look.saturation)
    tone = luma[:, :, None].clip(0, 1)
    shadows, highlights = np.array(look.shadows, np.float32), np.array(look.highlights, np.float32)
    image = image * (shadows * (1 - tone) + highlights * tone)
    image = (image - f(0.42)) * f(look.contrast) + f(0.42)
    rng = np.random.default_rng(seed)
    # Grain sits in the mid tones and hides the steps of smooth gradients.
    strength = f(look.grain) * (f(0.35) + f(2.6) * tone * (1 - tone))
    image = image + rng.standard_normal((height, width, 1)).astype(np.float32) * strength
    image = image * f(255) + rng.random((height, width, 3)).astype(np.float32) - f(0.5)
    return Image.fromarray((image + f(0.5)).clip(0, 255).astype(np.uint8), "RGB")


def save_jpeg(image: Image.Image, path: Path, limit_bytes: int) -> int:
    """Write the best JPEG that fits the limit and give back its size in bytes."""
    for quality in (90, 88, 86, 84, 82, 79, 76, 72, 68):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        if buffer.tell() <= limit_bytes:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return buffer.tell()
