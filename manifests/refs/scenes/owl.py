"""The librarian: a clay owl with round glasses."""

from __future__ import annotations

import numpy as np
from drawing.scene import F32, Color, Material, Part
from drawing.shapes import (
    capsule,
    ellipsoid,
    f,
    joined,
    mix,
    move,
    noise3,
    norm2,
    smooth_min,
    smoothstep,
    sphere,
    turn,
)

from scenes.clay import BROWN, BURGUNDY, CREAM, GOLD, clay, mirrored, posed, posed_paint


def _owl_body(p: F32) -> F32:
    q = mirrored(p)
    trunk = ellipsoid(move(p, (0, 0.66, 0.0)), (0.47, 0.60, 0.43))
    head = ellipsoid(move(p, (0, 1.30, 0.0)), (0.45, 0.375, 0.39))
    tuft = capsule(q, (0.26, 1.56, 0.02), (0.40, 1.83, 0.0), 0.105, 0.018)
    return smooth_min(smooth_min(trunk, head, 0.16), tuft, 0.08)


def _owl_wings(p: F32) -> F32:
    q = turn(move(mirrored(p), (0.46, 0.74, 0.02)), "z", 14)
    wing = ellipsoid(q, (0.115, 0.44, 0.27))
    rows = np.sin(q[1] * f(26) + np.abs(np.sin(q[2] * f(14))) * f(2.4)) * f(0.006)
    return wing + rows


def _owl_discs(p: F32) -> F32:
    q = mirrored(p)
    disc = ellipsoid(move(q, (0.185, 1.315, 0.30)), (0.215, 0.235, 0.105))
    flutes = np.cos(np.arctan2(q[1] - f(1.315), q[0] - f(0.185)) * f(20)) * f(0.003)
    return disc + flutes


def _owl_eyes(p: F32) -> F32:
    return sphere(move(mirrored(p), (0.185, 1.325, 0.345)), 0.112)


def _owl_eye_color(p: F32) -> F32:
    q = move(mirrored(p), (0.178, 1.322, 0.345))
    r = norm2(q[0], q[1])
    iris = mix((0.80, 0.36, 0.03), (0.42, 0.13, 0.01), smoothstep(0.045, 0.085, r))
    iris = mix(iris, np.array((0.004, 0.004, 0.004)), smoothstep(0.057, 0.053, r))
    return mix(iris, np.array((0.03, 0.015, 0.01)), smoothstep(0.084, 0.09, r))


def _glasses(p: F32) -> F32:
    q = mirrored(p)
    lens = turn(move(q, (0.19, 1.32, 0.455)), "y", 10)
    ring = norm2(norm2(lens[0], lens[1]) - f(0.168), lens[2]) - f(0.017)
    bridge = capsule(q, (0.0, 1.365, 0.478), (0.035, 1.35, 0.478), 0.016)
    temple = capsule(q, (0.355, 1.34, 0.43), (0.45, 1.37, 0.05), 0.014)
    return np.minimum(np.minimum(ring, bridge), temple)


def _beak(p: F32) -> F32:
    return capsule(p, (0, 1.24, 0.40), (0, 1.115, 0.475), 0.058, 0.018)


def _bow(p: F32) -> F32:
    q = turn(move(p, (0, 0.965, 0.41)), "x", -10)
    wing = turn(move(mirrored(q), (0.105, 0, 0)), "z", 12)
    loop = ellipsoid(wing, (0.11, 0.075, 0.05))
    return smooth_min(loop, ellipsoid(q, (0.042, 0.05, 0.06)), 0.015)


def _owl_feet(p: F32) -> F32:
    q = mirrored(p)
    toe = capsule(q, (0.17, 0.06, 0.20), (0.12, 0.045, 0.40), 0.06, 0.045)
    toe = np.minimum(toe, capsule(q, (0.19, 0.06, 0.20), (0.19, 0.045, 0.43), 0.06, 0.045))
    return np.minimum(toe, capsule(q, (0.21, 0.06, 0.20), (0.27, 0.045, 0.40), 0.06, 0.045))


def _owl_color(p: F32) -> F32:
    belly = smoothstep(0.345, 0.315, norm2(p[0], (p[1] - f(0.58)) * f(0.72)))
    belly = belly * smoothstep(0.05, 0.15, p[2]) * smoothstep(1.0, 0.96, p[1])
    row = p[1] * f(10.5)
    shift = np.where(np.floor(row) % 2 == 0, f(0), f(0.5))
    u = (p[0] * f(8.0) + shift) % 1 - f(0.5)
    v = row % 1
    feather = smoothstep(0.10, 0.03, np.abs(v - f(0.35) - np.abs(u) * f(0.9)))
    feather = feather * smoothstep(0.36, 0.28, np.abs(u))
    pale = mix(CREAM, np.array((0.36, 0.20, 0.11)), feather * f(0.8))
    speck = smoothstep(0.45, 0.75, noise3(p, 461, 5.0))
    coat = mix(BROWN, np.array((0.44, 0.27, 0.15)), speck * f(0.6))
    return mix(coat, pale, belly)


def owl(at: Color, spin: float = 0.0, size: float = 1.0) -> Part:
    """The librarian, 1.85 units tall, facing the camera when ``spin`` is 0."""
    paint = posed_paint(_owl_color, at, spin, size)
    eyes = Material(albedo=posed_paint(_owl_eye_color, at, spin, size), rough=0.05, f0=0.05)
    brass = Material(albedo=GOLD, metal=True, rough=0.2)
    horn = clay((0.78, 0.36, 0.06))
    shapes = [
        (_owl_body, clay(paint)),
        (_owl_wings, clay((0.20, 0.10, 0.055))),
        (_owl_discs, clay((0.74, 0.58, 0.40))),
        (_owl_eyes, eyes),
        (_glasses, brass),
        (_beak, horn),
        (_bow, clay(BURGUNDY)),
        (_owl_feet, horn),
    ]
    middle = (at[0], at[1] + 0.92 * size, at[2])
    return joined(shapes, posed(at, spin, size), middle, 1.08 * size, size)
