"""Shapes as signed distances, and the noise and lettering that dress them.

Points are ``(3, n)`` float32 arrays; every shape gives ``(n,)`` distances, negative inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from drawing.scene import F32, Color, Material, Part, Sdf, column, length

f = np.float32


def point(vector: Any) -> Color:
    """Three plain numbers of an array."""
    x, y, z = (float(value) for value in vector)
    return x, y, z


def move(p: F32, offset: Any) -> F32:
    """Points as seen from a shape that stands at ``offset``."""
    out: F32 = p - column(offset)
    return out


def turn(p: F32, axis: str, degrees: float) -> F32:
    """Points as seen from a shape turned about an axis by ``degrees`` (right-handed)."""
    c, s = f(np.cos(np.radians(degrees))), f(np.sin(np.radians(degrees)))
    x, y, z = p
    if axis == "x":
        return np.stack([x, c * y + s * z, c * z - s * y])
    if axis == "y":
        return np.stack([c * x - s * z, y, s * x + c * z])
    return np.stack([c * x + s * y, c * y - s * x, z])


def norm2(a: F32, b: F32) -> F32:
    """Length of 2-vectors given by their parts."""
    out: F32 = np.sqrt(a * a + b * b)
    return out


def corner2(a: F32, b: F32, rounding: float) -> F32:
    """Where two half-planes meet: distance to the region a < 0, b < 0, its corner rounded."""
    a, b = a + f(rounding), b + f(rounding)
    out: F32 = (
        np.minimum(np.maximum(a, b), f(0))
        + norm2(np.maximum(a, f(0)), np.maximum(b, f(0)))
        - f(rounding)
    )
    return out


def sphere(p: F32, radius: float) -> F32:
    """Ball at the origin."""
    return length(p) - f(radius)


def ellipsoid(p: F32, radii: tuple[float, float, float]) -> F32:
    """Near distance to an ellipsoid, good close to its surface."""
    r = column(radii)
    k0, k1 = length(p / r), length(p / (r * r))
    out: F32 = np.where(k0 < f(1e-4), -f(min(radii)), k0 * (k0 - 1) / np.maximum(k1, f(1e-6)))
    return out


def box(p: F32, half: tuple[float, float, float], rounding: float = 0.0) -> F32:
    """Box of half sides ``half`` with rounded edges."""
    q = np.abs(p) - column(half) + f(rounding)
    out: F32 = (
        length(np.maximum(q, f(0)))
        + np.minimum(np.maximum(q[0], np.maximum(q[1], q[2])), f(0))
        - f(rounding)
    )
    return out


def cylinder(p: F32, radius: float, low: float, high: float, rounding: float = 0.0) -> F32:
    """Upright cylinder from ``low`` to ``high``."""
    side = norm2(p[0], p[2]) - f(radius)
    ends = np.abs(p[1] - f((low + high) / 2)) - f((high - low) / 2)
    return corner2(side, ends, rounding)


def cone(p: F32, low: tuple[float, float], high: tuple[float, float], rounding: float) -> F32:
    """Upright cone frustum; ``low`` and ``high`` are (height, radius)."""
    (y0, r0), (y1, r1) = low, high
    slope = (r1 - r0) / (y1 - y0)
    side = (norm2(p[0], p[2]) - f(r0) - (p[1] - f(y0)) * f(slope)) / f(np.hypot(1, slope))
    ends = np.abs(p[1] - f((y0 + y1) / 2)) - f((y1 - y0) / 2)
    return corner2(side, ends, rounding)


def capsule(p: F32, a: Any, b: Any, ra: float, rb: float | None = None) -> F32:
    """Thick line from ``a`` to ``b`` whose radius runs from ``ra`` to ``rb``."""
    pa, ba = move(p, a), column(b) - column(a)
    h = np.clip((pa * ba).sum(axis=0) / (ba * ba).sum(), 0, 1)
    rb = ra if rb is None else rb
    out: F32 = length(pa - ba * h) - (f(ra) + f(rb - ra) * h)
    return out


def torus(p: F32, major: float, minor: float) -> F32:
    """Ring about the y axis."""
    return norm2(norm2(p[0], p[2]) - f(major), p[1]) - f(minor)


def smooth_min(a: F32, b: F32, k: float) -> F32:
    """Union of two shapes with a fillet about ``k`` wide."""
    h = np.maximum(f(k) - np.abs(a - b), f(0)) / f(k)
    out: F32 = np.minimum(a, b) - h * h * f(k * 0.25)
    return out


def smooth_max(a: F32, b: F32, k: float) -> F32:
    """Intersection with a fillet; pass ``-b`` to cut b out of a."""
    return -smooth_min(-a, -b, k)


def smoothstep(low: float, high: float, x: F32) -> F32:
    """0 below ``low``, 1 above ``high``, smooth between; either may be the larger."""
    t = np.clip((x - f(low)) / f(high - low), 0, 1)
    out: F32 = t * t * (3 - 2 * t)
    return out


def mix(a: Any, b: Any, t: F32) -> F32:
    """Blend two colours (or rows of colours) by ``t`` in 0..1, ``(3, n)``."""
    first = column(a) if np.ndim(a) == 1 else a
    second = column(b) if np.ndim(b) == 1 else b
    out: F32 = (first + (second - first) * t).astype(np.float32)
    return out


def ramp(stops: list[tuple[float, tuple[float, float, float]]], x: F32) -> F32:
    """Colour along a gradient with smooth joints, ``(3, n)``."""
    out = np.repeat(column(stops[0][1]), x.size, axis=1)
    for (low, _), (high, color) in pairwise(stops):
        out = mix(out, np.repeat(column(color), x.size, axis=1), smoothstep(low, high, x))
    return out


@cache
def noise_map(seed: int, size: int = 512, cells: int = 8, octaves: int = 6) -> F32:
    """Tileable fractal noise in about -1..1, ``(size, size)``; ``cells`` bumps across."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size))
    weight, reach = 1.0, 0.0
    for _ in range(octaves):
        grid = rng.uniform(-1, 1, (cells, cells))
        at = np.arange(size) * cells / size
        base = np.floor(at).astype(int)
        t = at - base
        t = t * t * t * (t * (t * 6 - 15) + 10)
        low, high = base % cells, (base + 1) % cells
        rows = grid[low] * (1 - t)[:, None] + grid[high] * t[:, None]
        total += weight * (rows[:, low] * (1 - t) + rows[:, high] * t)
        reach += weight
        weight, cells = weight * 0.5, cells * 2
        if cells > size:
            break
    out: F32 = (total / reach * 1.6).astype(np.float32)
    return out


def lookup(grid: F32, u: F32, v: F32) -> F32:
    """Value of a tileable map at ``u`` (across) and ``v`` (down), 1.0 being a whole tile."""
    rows, columns = grid.shape
    x, y = u * f(columns), v * f(rows)
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = x - x0, y - y0
    ix, iy = x0.astype(np.int64) % columns, y0.astype(np.int64) % rows
    jx, jy = (ix + 1) % columns, (iy + 1) % rows
    top = grid[iy, ix] * (1 - fx) + grid[iy, jx] * fx
    bottom = grid[jy, ix] * (1 - fx) + grid[jy, jx] * fx
    out: F32 = (top * (1 - fy) + bottom * fy).astype(np.float32)
    return out


def noise3(p: F32, seed: int, scale: float, octaves: int = 6) -> F32:
    """Cheap solid noise, about -1..1: two crossed slices of one map."""
    grid = noise_map(seed, 512, 8, octaves)
    q = p * f(scale / 8)
    total = lookup(grid, q[0] + q[2] * f(0.37), q[1] - q[2] * f(0.61))
    total = total + lookup(grid, q[1] + q[0] * f(0.53) + f(0.3), q[2] + q[0] * f(0.29))
    return total * f(0.7)


def grain_bump(seed: int, scale: float, strength: float, octaves: int = 4) -> Any:
    """A bump function: a fine random tilt of the surface, as of cast or coated matter."""

    def bump(p: F32) -> F32:
        a, b = noise3(p, seed, scale, octaves), noise3(p[[1, 2, 0]], seed + 1, scale, octaves)
        c = noise3(p[[2, 0, 1]], seed + 2, scale, octaves)
        return np.stack([a, b, c]) * f(strength)

    return bump


@cache
def lettering(text: str, height_px: int = 160, spacing: float = 0.28) -> F32:
    """Letters as coverage 0..1, ``(height_px, width)``, ``spacing`` in parts of the height."""
    font = ImageFont.load_default(size=height_px * 0.8)
    gap = int(height_px * spacing)
    widths = [int(font.getlength(letter)) for letter in text]
    image = Image.new("L", (sum(widths) + gap * (len(text) + 1), height_px), 0)
    pen, x = ImageDraw.Draw(image), gap
    for letter, width in zip(text, widths, strict=True):
        pen.text((x, height_px / 2), letter, fill=255, font=font, anchor="lm")
        x += width + gap
    out: F32 = np.asarray(image, dtype=np.float32) / f(255)
    return out


def stamp(image: F32, u: F32, v: F32, height: float) -> F32:
    """Coverage of lettering centred on u = v = 0, ``height`` units tall; u runs to the right."""
    rows, columns = image.shape
    scale = rows / height
    x = u * f(scale) + f(columns / 2)
    y = f(rows / 2) - v * f(scale)
    inside = (x > 1) & (x < columns - 2) & (y > 1) & (y < rows - 2)
    out = np.zeros_like(u)
    index: NDArray[np.intp] = np.flatnonzero(inside)
    if index.size:
        out[index] = lookup(image, x[index] / f(columns), y[index] / f(rows))
    return out


def joined(
    shapes: Sequence[tuple[Sdf, Material]],
    local: Callable[[F32], F32],
    centre: Color,
    radius: float,
    size: float = 1.0,
) -> Part:
    """Several shapes in one frame as one part: points are brought to the frame only once.

    ``local`` maps a point of the scene into the frame, whose unit is ``size`` of the scene's.
    """

    def placed(sdf: Sdf) -> Sdf:
        return lambda p: sdf(local(p)) * f(size)

    def whole(p: F32) -> F32:
        q = local(p)
        out = shapes[0][0](q)
        for sdf, _ in shapes[1:]:
            np.minimum(out, sdf(q), out=out)
        return out * f(size)

    layers = tuple(
        Part(sdf=placed(sdf), material=dress, centre=centre, radius=radius) for sdf, dress in shapes
    )
    return Part(sdf=whole, layers=layers, centre=centre, radius=radius)
