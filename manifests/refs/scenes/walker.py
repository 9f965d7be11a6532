"""The walker of the Aurora spot: seen from behind, in a red jacket, with pack, hat and pole."""

from __future__ import annotations

import numpy as np
from drawing.scene import F32, Color, Material, Part, Sdf
from drawing.shapes import (
    box,
    capsule,
    corner2,
    cylinder,
    ellipsoid,
    f,
    grain_bump,
    joined,
    move,
    norm2,
    smooth_max,
    smooth_min,
    sphere,
    turn,
)


def _trousers(p: F32) -> F32:
    left = smooth_min(
        capsule(p, (-0.10, 0.88, 0.0), (-0.125, 0.48, -0.15), 0.125, 0.092),
        capsule(p, (-0.125, 0.48, -0.15), (-0.13, 0.17, -0.05), 0.088, 0.076),
        0.03,
    )
    right = smooth_min(
        capsule(p, (0.10, 0.88, 0.0), (0.115, 0.47, 0.02), 0.125, 0.092),
        capsule(p, (0.115, 0.47, 0.02), (0.125, 0.22, 0.24), 0.088, 0.072),
        0.03,
    )
    return smooth_min(left, right, 0.05)


def _boots(p: F32) -> F32:
    left = smooth_min(
        capsule(p, (-0.13, 0.18, -0.05), (-0.13, 0.07, -0.06), 0.082, 0.078),
        capsule(p, (-0.13, 0.055, -0.05), (-0.135, 0.05, -0.22), 0.066, 0.058),
        0.04,
    )
    q = turn(move(p, (0.125, 0.20, 0.25)), "x", 28)
    right = smooth_min(
        capsule(q, (0, 0.04, 0.0), (0, -0.09, 0.0), 0.08, 0.076),
        capsule(q, (0, -0.10, 0.0), (0, -0.11, -0.17), 0.064, 0.056),
        0.04,
    )
    return np.minimum(left, right)


def _jacket(p: F32) -> F32:
    trunk = capsule(p, (0, 0.92, 0.0), (0, 1.31, -0.07), 0.185, 0.205)
    hem = cylinder(p, 0.20, 0.80, 0.90, 0.04)
    out = smooth_min(trunk, hem, 0.06)
    left = smooth_min(
        capsule(p, (-0.21, 1.37, -0.06), (-0.36, 1.08, 0.03), 0.095, 0.080),
        capsule(p, (-0.36, 1.08, 0.03), (-0.33, 0.90, -0.16), 0.076, 0.062),
        0.03,
    )
    right = smooth_min(
        capsule(p, (0.21, 1.37, -0.06), (0.37, 1.10, -0.06), 0.095, 0.080),
        capsule(p, (0.37, 1.10, -0.06), (0.37, 1.02, -0.29), 0.076, 0.060),
        0.03,
    )
    collar = cylinder(move(p, (0, 0, -0.08)), 0.115, 1.42, 1.53, 0.04)
    out = smooth_min(smooth_min(out, left, 0.06), right, 0.06)
    folds = np.sin(p[1] * f(38) + np.sin(p[0] * f(17)) * f(1.6)) * f(0.004)
    return smooth_min(out, collar, 0.04) + folds


def _hair(p: F32) -> F32:
    head = ellipsoid(move(p, (0, 1.655, -0.10)), (0.112, 0.14, 0.128))
    tail = capsule(p, (0.0, 1.60, 0.02), (0.02, 1.45, 0.07), 0.060, 0.026)
    return smooth_min(head, tail, 0.03)


def _hat(p: F32) -> F32:
    q = turn(move(p, (0, 1.70, -0.10)), "x", 8)
    dome = ellipsoid(q, (0.130, 0.142, 0.142))
    dome = smooth_max(dome, f(-0.01) - q[1], 0.01)
    angle = np.arctan2(q[2], q[0])
    ribs = np.abs(np.sin(angle * f(16))) * f(0.006)
    brim = corner2(
        np.abs(norm2(q[0], q[2] * f(0.93)) - f(0.124)) - f(0.02), np.abs(q[1]) - f(0.036), 0.018
    )
    bobble = sphere(move(q, (0, 0.165, 0)), 0.048)
    return np.minimum(np.minimum(dome, brim - ribs), bobble)


def _into_pack(p: F32) -> F32:
    return turn(move(p, (0, 1.17, 0.235)), "x", -6)


def _pack(p: F32) -> F32:
    q = _into_pack(p)
    bag = box(q, (0.205, 0.30, 0.125), 0.085)
    pocket = box(move(q, (0, -0.10, 0.12)), (0.15, 0.14, 0.05), 0.04)
    sides = box(
        move(np.stack([np.abs(q[0]), q[1], q[2]]), (0.215, -0.17, 0.0)), (0.05, 0.11, 0.08), 0.035
    )
    return smooth_min(smooth_min(bag, pocket, 0.012), sides, 0.015)


def _lid(p: F32) -> F32:
    return box(move(_into_pack(p), (0, 0.295, 0.015)), (0.195, 0.075, 0.145), 0.06)


def _straps(p: F32) -> F32:
    q = _into_pack(p)
    skin = np.abs(box(q, (0.205, 0.30, 0.125), 0.085)) - f(0.012)
    bands = np.minimum(np.abs(np.abs(q[0]) - f(0.115)), np.abs(q[1] - f(0.13))) - f(0.014)
    hips = corner2(
        np.abs(norm2(p[0], p[2]) - f(0.205)) - f(0.012), np.abs(p[1] - f(0.93)) - f(0.03), 0.01
    )
    return np.minimum(np.maximum(skin, bands), hips)


def _mat(p: F32) -> F32:
    q = move(_into_pack(p), (0, -0.375, 0.03))
    roll = corner2(norm2(q[1], q[2]) - f(0.085), np.abs(q[0]) - f(0.27), 0.02)
    spiral = np.sin(norm2(q[1], q[2]) * f(210)) * f(0.004)
    return np.where(np.abs(q[0]) > f(0.26), roll + spiral, roll)


def _gloves(p: F32) -> F32:
    left = sphere(move(p, (-0.33, 0.87, -0.18)), 0.062)
    return np.minimum(left, sphere(move(p, (0.37, 1.01, -0.31)), 0.064))


def _pole(p: F32) -> F32:
    shaft = capsule(p, (0.37, 1.10, -0.32), (0.47, 0.0, -0.42), 0.012, 0.008)
    return np.minimum(shaft, capsule(p, (0.366, 1.12, -0.32), (0.375, 1.0, -0.325), 0.022))


def _cloth(color: Color) -> Material:
    return Material(albedo=color, rough=0.8, f0=0.03, wrap=0.18, bump=grain_bump(611, 20.0, 0.10))


SHAPES: tuple[tuple[Sdf, Material], ...] = (
    (_trousers, _cloth((0.050, 0.058, 0.075))),
    (_boots, _cloth((0.085, 0.042, 0.022))),
    (_jacket, _cloth((0.46, 0.055, 0.035))),
    (_hair, _cloth((0.055, 0.026, 0.015))),
    (_hat, _cloth((0.60, 0.32, 0.06))),
    (_pack, _cloth((0.14, 0.125, 0.075))),
    (_lid, _cloth((0.085, 0.080, 0.058))),
    (_straps, _cloth((0.022, 0.022, 0.024))),
    (_mat, _cloth((0.06, 0.20, 0.22))),
    (_gloves, _cloth((0.03, 0.03, 0.034))),
    (_pole, Material(albedo=(0.55, 0.55, 0.56), metal=True, rough=0.3)),
)


def walker(at: Color) -> Part:
    """The walker, 1.9 units tall, walking away from the camera; ``at`` is below the hips."""
    middle = (at[0], at[1] + 0.95, at[2])
    return joined(SHAPES, lambda p: move(p, at), middle, 1.12)
