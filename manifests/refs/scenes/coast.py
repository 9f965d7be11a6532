"""Where the Aurora spot plays: black basalt columns, a calm sea, the sky of a clear dawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from drawing.scene import F32, FAR, Fog, Material, Paint, column, unit
from drawing.shapes import corner2, f, grain_bump, lookup, mix, noise3, noise_map, ramp, smoothstep

SUN = (0.62, 0.075, -1.0)


def dawn_sky(d: F32, *, halo: bool = True) -> F32:
    """Sky before sunrise is over: embers at the horizon, rose, then cold blue."""
    up = d[1]
    toward = np.clip((d * unit(column(SUN))).sum(axis=0), 0, 1)
    sky = ramp(
        [
            (-0.06, (0.42, 0.30, 0.33)),
            (0.02, (1.05, 0.52, 0.34)),
            (0.13, (0.86, 0.44, 0.46)),
            (0.30, (0.34, 0.34, 0.52)),
            (0.75, (0.085, 0.15, 0.30)),
        ],
        up,
    )
    sky = mix(sky * f(0.62), sky * f(1.25), toward**3)
    spread = np.maximum(up, f(0.0)) + f(0.12)
    u, v = d[0] / spread, d[2] / spread
    veil = lookup(noise_map(5, 512, 6), u * f(0.035) + f(0.1), v * f(0.16))
    veil = veil + lookup(noise_map(6, 512, 8), u * f(0.02), v * f(0.3)) * f(0.5)
    cloud = smoothstep(0.05, 0.75, veil) * smoothstep(0.015, 0.12, up)
    lit = mix((0.55, 0.36, 0.46), (2.3, 1.05, 0.55), toward**4)
    sky = mix(sky, lit * (f(1) - smoothstep(0.1, 0.7, up) * f(0.6)), cloud * f(0.55))
    if not halo:
        return sky
    shine = f(0.9) * toward**40 + f(1.6) * toward**300 + f(14) * smoothstep(0.99945, 0.9997, toward)
    return sky + column((1.0, 0.56, 0.26)) * shine


SPACING = 0.92


Profile: TypeAlias = Callable[[F32, F32, F32], F32]


def _cells(x: F32, z: F32) -> tuple[F32, F32, F32, F32]:
    """Hexagon a point is in: offsets from its middle and the middle itself."""
    sx, sz = f(SPACING), f(SPACING * np.sqrt(3))
    ax, az = np.round(x / sx) * sx, np.round(z / sz) * sz
    bx = (np.round(x / sx - f(0.5)) + f(0.5)) * sx
    bz = (np.round(z / sz - f(0.5)) + f(0.5)) * sz
    nearer = (x - ax) ** 2 + (z - az) ** 2 < (x - bx) ** 2 + (z - bz) ** 2
    cx, cz = np.where(nearer, ax, bx), np.where(nearer, az, bz)
    return x - cx, z - cz, cx, cz


class Basalt:
    """Six-sided columns within ``HALF`` of the origin; ``profile`` gives the height at (x, z).

    ``profile(x, z, rise)`` takes a random number in -1..1 for each column. Tables of the highest
    column within some rings of each let rays above the field take long steps.
    """

    HALF = 22.0
    RINGS = (1, 3, 8)

    def __init__(self, profile: Profile, seed: int = 3) -> None:
        self._half_x, self._half_z = SPACING / 2, SPACING * np.sqrt(3) / 2
        rng = np.random.default_rng(seed)
        self._span = int(self.HALF / self._half_x) + 2
        side = np.arange(-self._span, self._span + 1)
        i, j = np.meshgrid(side, side, indexing="ij")
        jitter = rng.uniform(-1, 1, (3, *i.shape)).astype(np.float32)
        x, z = (i * self._half_x).astype(np.float32), (j * self._half_z).astype(np.float32)
        height = profile(x.ravel(), z.ravel(), jitter[0].ravel()).reshape(x.shape)
        hero = (i == 0) & (j == 0)
        height = np.where(hero, f(0), height)
        height[(i + j) % 2 != 0] = -FAR
        self._table = np.stack(
            [height, np.where(hero, f(0), jitter[1]), np.where(hero, f(0), jitter[2])]
            + [self._highest(height, ring) for ring in self.RINGS]
        ).astype(np.float32)
        self._top = f(height.max() + 0.1)

    @staticmethod
    def _highest(height: F32, rings: int) -> F32:
        out = height
        for axis, reach in ((0, 2 * rings), (1, int(np.ceil(rings * 1.16)))):
            wide = np.pad(out, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)], "edge")
            size = out.shape[axis]
            slices = [
                np.take(wide, np.arange(k, k + size), axis=axis) for k in range(2 * reach + 1)
            ]
            out = np.max(slices, axis=0)
        return out + f(0.06)

    def __call__(self, p: F32) -> F32:
        edge = np.maximum(np.abs(p[0]), np.abs(p[2])) - f(self.HALF)
        out = np.maximum(p[1] - self._top, edge) + f(0.05)
        low = np.flatnonzero(out < f(0.15))
        if not low.size:
            return out
        x, y, z = p[:, low]
        dx, dz, cx, cz = _cells(x, z)
        i = np.round(cx / f(self._half_x)).astype(np.int64).clip(-self._span, self._span)
        j = np.round(cz / f(self._half_z)).astype(np.int64).clip(-self._span, self._span)
        height, tilt_x, tilt_z, *rings = self._table[:, i + self._span, j + self._span]
        hexagon = np.maximum(np.abs(dx), np.abs(dx) * f(0.5) + np.abs(dz) * f(0.8660254))
        border = f(SPACING / 2) - hexagon
        crown = y - height - (dx * tilt_x + dz * tilt_z) * f(0.06)
        step = np.maximum(border, f(0)) + f(0.02)
        for reach, highest in zip(self.RINGS, rings, strict=True):
            free = border + f((reach - 0.5) * SPACING * 0.86)
            step = np.maximum(step, np.minimum(free, y - highest))
        out[low] = np.minimum(corner2(f(0.012) - border, crown, 0.045), step)
        return out


def _rock(p: F32) -> F32:
    stain = noise3(p, 9, 2.2) * f(0.5) + f(0.5)
    tone = mix((0.012, 0.013, 0.016), (0.034, 0.032, 0.032), stain)
    lichen = smoothstep(0.55, 0.95, noise3(p, 13, 3.1)) * f(0.5)
    return mix(tone, (0.07, 0.055, 0.03), lichen)


def _wet(p: F32) -> F32:
    return f(0.42) - smoothstep(-0.2, 0.5, noise3(p, 19, 1.3)) * f(0.24)


ROCK = Material(albedo=_rock, rough=_wet, f0=0.05, bump=grain_bump(51, 5.0, 0.10, 4))


def ripples(scale: float, strength: float) -> Paint:
    """A bump function: small waves, longer across the view than along it."""

    def bump(p: F32) -> F32:
        a, b = noise_map(61), noise_map(62)
        x, z = p[0] * f(scale), p[2] * f(scale)
        u = lookup(a, x * f(0.11), z * f(0.19)) + lookup(b, x * f(0.37) + f(0.2), z * f(0.6))
        v = lookup(b, x * f(0.13), z * f(0.23)) + lookup(a, x * f(0.41), z * f(0.7) + f(0.4))
        return np.stack([u * f(strength * 0.5), np.zeros_like(u), v * f(strength)])

    return bump


SEA = Material(albedo=(0.01, 0.018, 0.026), rough=0.08, f0=0.03, bump=ripples(1.0, 0.05))


def sea_mist(density: float, level: float, layer: float) -> Fog:
    """Haze that thickens with distance and lies low over the water."""

    def fog(o: F32, d: F32, t: F32) -> tuple[F32, F32]:
        climb = d[1] * t / f(layer)
        safe = np.where(np.abs(climb) < f(1e-3), f(1e-3), climb)
        column_share = np.exp(-(o[1] - f(level)) / f(layer)) * (1 - np.exp(-safe)) / safe
        clear = np.exp(-f(density) * t * np.minimum(column_share, f(8)))
        flat = unit(np.stack([d[0], np.abs(d[1]) * f(0.15) + f(0.05), d[2]]))
        return clear, dawn_sky(flat, halo=False) * f(0.8) * (1 - clear)

    return fog
