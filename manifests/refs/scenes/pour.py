"""Aurora, third shot: tea poured at first light."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from drawing.scene import F32, FAR, Camera, Fog, Light, Material, Part, Scene, column
from drawing.shapes import (
    capsule,
    cone,
    corner2,
    f,
    lookup,
    move,
    noise_map,
    norm2,
    smooth_max,
    smooth_min,
    smoothstep,
    torus,
    turn,
)

from scenes.bottle import STEEL, bottle
from scenes.coast import ROCK, SEA, SUN, Basalt, dawn_sky, sea_mist

TILT = 112.0
POUR_AT = (2.52, 2.12, 0.0)


def _cup(p: F32) -> F32:
    outer = cone(p, (0.0, 0.29), (0.58, 0.36), 0.03)
    inner = cone(p, (0.05, 0.255), (0.9, 0.365), 0.02)
    lip = torus(move(p, (0, 0.575, 0)), 0.352, 0.016)
    shell = np.minimum(smooth_max(outer, -inner, 0.015), lip)
    q = move(turn(p, "y", 35), (-0.40, 0.31, 0))
    ring = norm2(norm2(q[0], q[1] * f(0.85)) - f(0.16), q[2]) - f(0.028)
    return smooth_min(shell, np.maximum(ring, -inner), 0.03)


def _tea(p: F32) -> F32:
    r = norm2(p[0], p[2])
    wave = np.cos(r * f(60)) * np.exp(-r * f(7)) * f(0.006)
    return corner2(r - f(0.315), np.abs(p[1] - f(0.43)) - f(0.03) - wave, 0.005)


def _stream(p: F32) -> F32:
    start, bend, end = np.array((0.40, 1.30)), np.array((0.03, 1.30)), np.array((0.0, 0.47))
    line = [
        start * (1 - t) ** 2 + bend * 2 * t * (1 - t) + end * t**2 for t in np.linspace(0, 1, 11)
    ]
    out = np.full(p.shape[1], FAR, dtype=np.float32)
    for number, (a, b) in enumerate(pairwise(line)):
        wide = 0.078 - 0.0042 * number
        piece = capsule(p, (a[0], a[1], 0), (b[0], b[1], 0), wide, wide - 0.0042)
        out = smooth_min(out, piece, 0.02)
    return out + np.sin(p[1] * f(34)) * f(0.003)


TEA = Material(albedo=(0.20, 0.055, 0.008), rough=0.04, f0=0.03)
RUNNING_TEA = Material(ior=1.33, rough=0.0, f0=0.02, absorb=(1.2, 6.0, 19.0))


def _steam(base: Fog) -> Fog:
    """Add the steam of the cup, lit from behind, to a scene's haze."""

    def fog(o: F32, d: F32, t: F32) -> tuple[F32, F32]:
        clear, light = base(o, d, t)
        grid = noise_map(91, 512, 8, 5)
        density = np.zeros_like(t)
        flat = np.maximum(norm2(d[0], d[2]), f(1e-3))
        middle = -(o[0] * d[0] + o[2] * d[2]) / (flat * flat)
        for offset in np.linspace(-0.5, 0.5, 14):
            s = middle + f(offset)
            x, y, z = o + d * s
            sway = (np.sin(y * f(2.1) + f(0.6)) * f(0.10) - f(0.10)) * np.maximum(y - f(0.5), f(0))
            spread = f(0.16) + np.maximum(y - f(0.4), 0) * f(0.17)
            r2 = ((x - sway) ** 2 + z * z) / (spread * spread)
            curl = lookup(grid, x * f(0.30) + y * f(0.06) + z * f(0.1), y * f(0.13) - z * f(0.2))
            body = np.exp(-r2 * f(1.6)) * smoothstep(0.42, 0.62, y) * smoothstep(2.5, 0.9, y)
            density += body * smoothstep(-0.05, 0.65, curl) * (s < t)
        veil = 1 - np.exp(-density * f(0.16))
        glow = column((1.05, 0.70, 0.52)) * veil
        return clear * (1 - veil * f(0.75)), light * (1 - veil * f(0.75)) + glow

    return fog


def _ledge(cx: F32, cz: F32, rise: F32) -> F32:
    """Near columns all low, so that cup and hand-high bottle stand against the sky."""
    back = smoothstep(-1.2, -4.0, cz) * f(-1.5)
    wall = smoothstep(-3.2, -7.5, cx + cz * f(0.2)) * f(2.4)
    return back + wall - f(0.16) + rise * (f(0.10) + wall * f(0.2))


def pour() -> Scene:
    """Tea runs from the tilted bottle into a steel cup; steam against the sun."""
    return Scene(
        parts=(
            Part(sdf=Basalt(_ledge, seed=8), material=ROCK),
            Part(sdf=_cup, material=STEEL, centre=(0, 0.3, 0), radius=0.66),
            Part(sdf=_tea, material=TEA, centre=(0, 0.2, 0), radius=0.45),
            Part(sdf=_stream, material=RUNNING_TEA, centre=(0.2, 0.8, 0), radius=0.75),
            *bottle(POUR_AT, spin=60, tilt=TILT, capped=False),
        ),
        floor=(-2.1, SEA),
        bounds=((-22.1, -2.2, -22.1), (22.1, 3.6, 6.0)),
        lights=(
            Light(position=SUN, color=(5.4, 2.7, 1.3), sun=True, spread=0.04, weight=1.5),
            Light(position=(-3.4, 3.2, 3.4), color=(2.0, 2.7, 3.8), u=(0.8, 0, 0.8), v=(0, 1.6, 0)),
        ),
        sky=dawn_sky,
        fog=_steam(sea_mist(0.022, -2.1, 1.7)),
        camera=Camera(
            eye=(-0.55, 1.02, 4.9), target=(0.42, 0.86, 0), fov_deg=29, aperture=0.03, focus=4.95
        ),
        relax=0.85,
        steps=150,
        bounces=2,
    )
