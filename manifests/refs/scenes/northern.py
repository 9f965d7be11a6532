"""Aurora, last shot: the bottle in still water under northern lights."""

from __future__ import annotations

import numpy as np
from drawing.scene import F32, Camera, Light, Material, Part, Scene, column, unit
from drawing.shapes import f, lookup, mix, noise_map, ramp, smoothstep

from scenes.bottle import bottle
from scenes.coast import ROCK, Basalt, ripples


def northern_lights(d: F32) -> F32:
    """Night sky with curtains of green and violet light."""
    up, across = d[1], np.arctan2(d[0], -d[2])
    sky = ramp(
        [
            (-0.05, (0.030, 0.075, 0.095)),
            (0.12, (0.016, 0.042, 0.075)),
            (0.6, (0.006, 0.012, 0.034)),
        ],
        up,
    )
    grid = noise_map(141, 512, 8, 6)
    for row, lift, strength, tint in (
        (0.13, 0.075, 1.0, (0.10, 1.0, 0.55)),
        (0.47, 0.155, 0.7, (0.08, 0.85, 0.62)),
        (0.81, 0.03, 0.55, (0.20, 1.0, 0.45)),
    ):
        zero = np.zeros_like(across)
        fold = lookup(grid, across * f(0.11) + f(row), zero + f(row))
        foot = f(lift) + fold * f(0.10)
        ray = lookup(grid, across * f(0.9) + fold * f(0.5), zero + f(row + 0.3))
        height = up - foot
        tall = f(0.085) + ray * f(0.06)
        band = smoothstep(-0.012, 0.014, height) * np.exp(-np.maximum(height, 0) / tall)
        gain = np.clip(f(0.22) + lookup(grid, across * f(0.23), zero + f(row + 0.6)), 0.02, 1.0)
        band = band * gain * (f(0.75) + ray * f(0.6))
        color = mix(tint, (0.42, 0.16, 0.85), smoothstep(0.01, 0.20, height))
        sky = sky + color * band * f(strength)
    return sky


def _starry(d: F32) -> F32:
    scale = f(95)
    u, v = np.arctan2(d[0], -d[2]) * scale, d[1] * scale
    i, j = np.floor(u), np.floor(v)
    table = np.random.default_rng(151).random((4, 211, 211)).astype(np.float32)
    at = table[:, i.astype(np.int64) % 211, j.astype(np.int64) % 211]
    r2 = (u - i - f(0.2) - at[0] * f(0.6)) ** 2 + (v - j - f(0.2) - at[1] * f(0.6)) ** 2
    star = np.exp(-r2 * f(70)) * (at[2] > f(0.86)) * at[3] ** 3 * f(1.6) * smoothstep(0, 0.15, d[1])
    return northern_lights(d) + star


def _plinth(cx: F32, cz: F32, rise: F32) -> F32:
    away = np.sqrt(cx * cx + cz * cz)
    low = np.where(away < f(1.1), f(-0.34) + rise * f(0.10), f(-1.0) + rise * f(0.35))
    far = smoothstep(3.5, 9.0, np.abs(cx)) * smoothstep(1.5, -3.0, cz) * (f(0.9) + rise * f(0.5))
    return low + far


def pack() -> Scene:
    """Closing frame: the bottle on a column in still water below northern lights."""
    return Scene(
        parts=(Part(sdf=Basalt(_plinth, seed=12), material=ROCK), *bottle(spin=-6)),
        floor=(
            -0.62,
            Material(albedo=(0.004, 0.007, 0.01), rough=0.05, f0=0.04, bump=ripples(0.8, 0.012)),
        ),
        bounds=((-22.1, -0.7, -22.1), (22.1, 3.2, 8.0)),
        lights=(
            Light(
                position=(-2.6, 2.4, 1.9),
                color=(7.5, 8.0, 8.4),
                u=(0.30, 0, 0.4),
                v=(0, 2.0, 0),
                weight=1.2,
            ),
            Light(position=(0.9, 2.6, 7.5), color=(1.5, 1.7, 1.8), u=(1.3, 0, 0.1), v=(0, 2.4, 0)),
            Light(
                position=(2.5, 2.0, -1.6), color=(1.6, 5.2, 3.4), u=(0.4, 0, 0.25), v=(0, 1.9, 0)
            ),
            Light(
                position=(-2.4, 2.0, -2.2), color=(2.4, 1.4, 5.0), u=(0.4, 0, -0.3), v=(0, 1.9, 0)
            ),
        ),
        sky=northern_lights,
        backdrop=_starry,
        fog=_night_mist,
        camera=Camera(
            eye=(0, 1.42, 8.8), target=(0, 1.36, 0), fov_deg=25.5, aperture=0.02, focus=8.6
        ),
        reach=60.0,
        relax=0.9,
        steps=150,
        bounces=2,
    )


def _night_mist(_o: F32, d: F32, t: F32) -> tuple[F32, F32]:
    clear = np.where(t < f(59), np.exp(-np.maximum(t - f(9), f(0)) * f(0.05)), f(1))
    flat = unit(np.stack([d[0], np.full_like(d[1], f(0.06)), d[2]]))
    return clear, (northern_lights(flat) * f(0.35) + column((0.01, 0.025, 0.035))) * (1 - clear)
