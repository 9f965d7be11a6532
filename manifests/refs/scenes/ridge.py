"""Aurora, fourth shot: a walker above the clouds."""

from __future__ import annotations

import numpy as np
from drawing.scene import F32, Camera, Color, Light, Material, Part, Scene, Sdf, column, unit
from drawing.shapes import (
    box,
    capsule,
    ellipsoid,
    f,
    grain_bump,
    lookup,
    mix,
    move,
    noise3,
    noise_map,
    norm2,
    smooth_min,
    smoothstep,
    turn,
)

from scenes.bottle import bottle
from scenes.coast import SUN, dawn_sky


def _ridges(d: F32) -> F32:
    """Mountains behind mountains, each paler, with cloud lying between them."""
    sky = dawn_sky(np.stack([d[0], d[1] + f(0.02), d[2]]))
    across = np.arctan2(d[0], -d[2])
    up = d[1] / np.maximum(norm2(d[0], d[2]), f(1e-3))
    toward = np.clip((d * unit(column(SUN))).sum(axis=0), 0, 1)
    grid = noise_map(101, 1024, 8, 8)
    layers = (
        (0.030, 0.050, 0.10, 0.90, (0.78, 0.50, 0.46)),
        (0.000, 0.062, 0.30, 0.75, (0.56, 0.38, 0.43)),
        (-0.045, 0.075, 0.52, 0.55, (0.36, 0.27, 0.37)),
        (-0.105, 0.090, 0.71, 0.40, (0.19, 0.17, 0.27)),
        (-0.190, 0.105, 0.93, 0.30, (0.085, 0.09, 0.165)),
    )
    for level, size, row, scale, tone in layers:
        u = across * f(0.16 / scale**0.7) + f(row * 3.7)
        rough = lookup(grid, u, np.full_like(u, f(row)))
        peak = f(1) - np.abs(lookup(grid, u * f(0.6) + f(0.2), np.full_like(u, f(row + 0.04)))) * 2
        crest = f(level) + (rough * f(0.45) + peak * f(0.55)) * f(size)
        depth = crest - up
        body = smoothstep(0.0, 0.0016, depth)
        lit = mix(tone, np.array(tone) * (1.9, 1.35, 1.05), toward**6)
        haze = mix((0.62, 0.47, 0.50), (1.5, 0.82, 0.52), toward**5) * f(0.5 + 0.5 * scale)
        low = smoothstep(0.0, 0.085 + 0.03 * scale, depth) * f(0.85)
        fold = lookup(grid, u * f(3) + depth, depth * f(1.6) + f(row)) * f(0.10)
        sky = mix(sky, mix(lit * (f(1) + fold), haze, low), body)
    return sky


def _trail(x: F32, z: F32) -> F32:
    grid = noise_map(111, 512, 8, 7)
    path = np.sin(z * f(0.55)) * f(0.35) - f(0.1)
    off = np.abs(x - path)
    ridge = -(np.maximum(off - f(0.25), 0) ** 1.35) * f(0.30)
    rough = lookup(grid, x * f(0.07), z * f(0.07)) * smoothstep(0.15, 1.3, off)
    slope = np.where(z > 0, z * f(-0.05), z * f(0.055)) + smoothstep(-5, -13, z) * f(-1.8)
    return slope + ridge + rough * f(0.55)


def _ground(p: F32) -> F32:
    return (p[1] - _trail(p[0], p[2])) * f(0.6)


def _scree(p: F32) -> F32:
    path = np.sin(p[2] * f(0.55)) * f(0.35) - f(0.1)
    trail = smoothstep(0.42, 0.2, np.abs(p[0] - path) + noise3(p, 121, 3.0) * f(0.1))
    moss = smoothstep(0.0, 0.5, noise3(p, 122, 1.2))
    tone = mix((0.055, 0.05, 0.052), (0.06, 0.058, 0.03), moss)
    return mix(tone, (0.17, 0.13, 0.105), trail)


HIKER = (-0.05, 0.0, -1.2)


def _limbs(p: F32) -> tuple[F32, F32, F32]:
    """Distances to trousers and boots, to the jacket, to the head."""
    left = np.minimum(
        capsule(p, (-0.09, 0.86, 0.0), (-0.11, 0.47, -0.14), 0.10, 0.075),
        capsule(p, (-0.11, 0.47, -0.14), (-0.11, 0.08, -0.05), 0.07, 0.055),
    )
    right = np.minimum(
        capsule(p, (0.09, 0.86, 0.0), (0.10, 0.46, -0.02), 0.10, 0.075),
        capsule(p, (0.10, 0.46, -0.02), (0.11, 0.13, 0.24), 0.07, 0.055),
    )
    boots = np.minimum(
        capsule(p, (-0.11, 0.06, 0.0), (-0.11, 0.05, -0.17), 0.06, 0.05),
        capsule(p, (0.11, 0.10, 0.27), (0.11, 0.03, 0.14), 0.06, 0.05),
    )
    legs = np.minimum(np.minimum(left, right), boots)
    torso = smooth_min(
        capsule(p, (0, 0.90, 0.0), (0, 1.32, -0.08), 0.155, 0.175),
        np.minimum(
            capsule(p, (-0.2, 1.36, -0.07), (-0.32, 1.08, 0.02), 0.07, 0.06),
            capsule(p, (0.2, 1.36, -0.07), (0.34, 1.10, -0.10), 0.07, 0.06),
        ),
        0.06,
    )
    arms = np.minimum(
        capsule(p, (-0.32, 1.08, 0.02), (-0.30, 0.88, -0.14), 0.055, 0.045),
        capsule(p, (0.34, 1.10, -0.10), (0.30, 0.98, -0.30), 0.055, 0.045),
    )
    head = smooth_min(
        ellipsoid(move(p, (0, 1.66, -0.11)), (0.105, 0.13, 0.12)),
        capsule(p, (0, 1.42, -0.08), (0, 1.56, -0.1), 0.06),
        0.03,
    )
    return legs, smooth_min(torso, arms, 0.04), head


def _pack(p: F32) -> F32:
    q = turn(move(p, (0, 1.16, 0.20)), "x", -6)
    bag = box(q, (0.20, 0.31, 0.12), 0.09)
    lid = box(move(q, (0, 0.31, -0.01)), (0.19, 0.07, 0.13), 0.06)
    roll = capsule(q, (-0.2, -0.36, 0.02), (0.2, -0.36, 0.02), 0.075)
    return smooth_min(smooth_min(bag, lid, 0.02), roll, 0.02)


def ridge() -> Scene:
    """A walker on a mountain ridge at sunrise, the bottle in the side pocket of the pack."""
    x, _, z = HIKER
    y = float(_trail(np.array([x], np.float32), np.array([z], np.float32))[0])
    at = (x, y, z)

    def person(which: int) -> Sdf:
        return lambda p: _limbs(move(p, at))[which]

    body: Color = (x, y + 0.9, z)
    flask = bottle((x + 0.255, y + 0.95, z + 0.21), spin=30, size=0.155)
    return Scene(
        parts=(
            Part(
                sdf=_ground,
                material=Material(
                    albedo=_scree, rough=0.9, f0=0.02, bump=grain_bump(131, 9.0, 0.35, 5)
                ),
            ),
            Part(
                sdf=person(0),
                material=Material(albedo=(0.03, 0.035, 0.045), rough=0.8),
                centre=body,
                radius=1.1,
            ),
            Part(
                sdf=person(1),
                material=Material(albedo=(0.42, 0.055, 0.03), rough=0.7, wrap=0.2),
                centre=body,
                radius=1.1,
            ),
            Part(
                sdf=person(2),
                material=Material(albedo=(0.50, 0.26, 0.05), rough=0.8),
                centre=body,
                radius=1.1,
            ),
            Part(
                sdf=lambda p: _pack(move(p, at)),
                material=Material(albedo=(0.10, 0.095, 0.075), rough=0.75, wrap=0.15),
                centre=(x, y + 1.16, z + 0.2),
                radius=0.6,
            ),
            *flask,
        ),
        bounds=((-9, -6, -16), (9, 4.5, 7)),
        lights=(
            Light(position=SUN, color=(7.5, 3.7, 1.7), sun=True, spread=0.02, weight=2),
            Light(position=(-4.5, 4.0, 4.0), color=(1.7, 2.1, 3.0), u=(1, 0, 1), v=(0, 1.5, 0)),
        ),
        sky=dawn_sky,
        backdrop=_ridges,
        fog=_valley,
        camera=Camera(
            eye=(1.0, 1.75, 4.6), target=(0.85, 1.02, -1.2), fov_deg=31, aperture=0.012, focus=5.9
        ),
        relax=0.8,
        steps=150,
        bounces=2,
    )


def _valley(_o: F32, d: F32, t: F32) -> tuple[F32, F32]:
    clear = np.where(t < f(39), np.exp(-np.maximum(t - f(4), f(0)) * f(0.045)), f(1))
    toward = np.clip((d * unit(column(SUN))).sum(axis=0), 0, 1)
    return clear, mix((0.30, 0.25, 0.32), (1.3, 0.72, 0.45), toward**5) * (1 - clear)
