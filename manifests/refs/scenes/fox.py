"""The courier of the night post: a clay fox, and the parcel."""

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
    lookup,
    mix,
    move,
    noise3,
    noise_map,
    norm2,
    smooth_max,
    smooth_min,
    smoothstep,
    sphere,
    turn,
)

from scenes.clay import (
    CREAM,
    GOLD,
    NAVY,
    ORANGE,
    SHINY_BLACK,
    UMBER,
    WOOL,
    clay,
    mirrored,
    posed,
    posed_paint,
)


def _fox_fur(p: F32) -> F32:
    q = mirrored(p)
    out = capsule(p, (0, 0.38, 0), (0, 0.86, 0.0), 0.34, 0.23)
    head = ellipsoid(move(p, (0, 1.38, 0.0)), (0.40, 0.335, 0.34))
    cheek = capsule(q, (0.18, 1.27, 0.10), (0.43, 1.20, 0.04), 0.19, 0.035)
    muzzle = capsule(p, (0, 1.27, 0.22), (0, 1.215, 0.47), 0.165, 0.075)
    ear = capsule(q, (0.23, 1.58, -0.02), (0.325, 1.97, -0.03), 0.15, 0.025)
    ear = smooth_max(ear, -ellipsoid(move(q, (0.285, 1.78, 0.12)), (0.085, 0.17, 0.09)), 0.03)
    head = smooth_min(smooth_min(head, cheek, 0.12), muzzle, 0.10)
    head = smooth_min(head, ear, 0.07)
    arm = capsule(q, (0.24, 0.88, 0.03), (0.36, 0.62, 0.15), 0.105, 0.085)
    thigh = ellipsoid(move(q, (0.19, 0.26, 0.03)), (0.15, 0.22, 0.18))
    out = smooth_min(smooth_min(out, thigh, 0.08), head, 0.06)
    return smooth_min(out, arm, 0.05)


def _fox_tail(p: F32) -> F32:
    out = capsule(p, (0.05, 0.26, -0.26), (0.42, 0.22, -0.50), 0.09, 0.19)
    out = smooth_min(out, capsule(p, (0.42, 0.22, -0.5), (0.68, 0.62, -0.48), 0.19, 0.23), 0.10)
    return smooth_min(out, capsule(p, (0.68, 0.62, -0.48), (0.62, 1.10, -0.40), 0.23, 0.02), 0.12)


def _fox_socks(p: F32) -> F32:
    q = mirrored(p)
    foot = ellipsoid(move(q, (0.18, 0.075, 0.10)), (0.125, 0.085, 0.19))
    hand = capsule(q, (0.36, 0.62, 0.15), (0.30, 0.54, 0.28), 0.092, 0.085)
    return np.minimum(foot, hand)


def _fox_color(p: F32) -> F32:
    blur = noise3(p, 421, 4.0) * f(0.018)
    face = smoothstep(0.0, 0.03, f(1.285) - p[1] + np.abs(p[0]) * f(0.42) + blur - f(0.05))
    face = face * smoothstep(1.0, 1.06, p[1]) * smoothstep(-0.02, 0.06, p[2])
    bib = smoothstep(0.21, 0.18, np.abs(p[0]) + (p[1] - f(0.7)) ** 2 * f(0.8) + blur)
    bib = bib * smoothstep(0.1, 0.16, p[2]) * smoothstep(1.05, 1.0, p[1])
    q = mirrored(p)
    inner = smoothstep(0.0, -0.015, ellipsoid(move(q, (0.285, 1.78, 0.12)), (0.09, 0.175, 0.10)))
    tip = smoothstep(1.80, 1.88, p[1]) * (f(1) - inner)
    color = mix(ORANGE, CREAM, np.maximum(np.maximum(face, bib), inner * f(0.8)))
    return mix(color, np.array(UMBER), tip)


def _tail_color(p: F32) -> F32:
    edge = p[1] + np.sin(np.arctan2(p[2] + f(0.45), p[0] - f(0.65)) * f(5)) * f(0.03)
    return mix(ORANGE, CREAM, smoothstep(0.80, 0.84, edge))


def _eyes(p: F32) -> F32:
    return ellipsoid(move(mirrored(p), (0.165, 1.415, 0.285)), (0.062, 0.082, 0.055))


def _nose(p: F32) -> F32:
    return ellipsoid(move(p, (0, 1.25, 0.535)), (0.062, 0.048, 0.045))


def _glint(p: F32) -> F32:
    left = sphere(move(p, (-0.185, 1.447, 0.334)), 0.017)
    return np.minimum(left, sphere(move(p, (0.145, 1.447, 0.337)), 0.017))


def _scarf(p: F32) -> F32:
    ring = ellipsoid(move(p, (0, 1.02, 0.02)), (0.34, 0.13, 0.32))
    ring = smooth_max(ring, -cylinder(p, 0.12, 0.5, 1.5), 0.02)
    knot = sphere(move(p, (0.17, 0.97, 0.27)), 0.085)
    q = turn(move(p, (0.20, 0.72, 0.30)), "z", 8)
    tail = box(q, (0.085, 0.24, 0.035), 0.03)
    ribs = np.sin(q[1] * f(60)) * f(0.004)
    return smooth_min(smooth_min(ring, knot, 0.04), tail + ribs, 0.04)


def _postcap(p: F32) -> F32:
    q = turn(move(p, (0, 1.70, 0.0)), "x", -6)
    dome = smooth_max(ellipsoid(q, (0.235, 0.15, 0.235)), f(-0.03) - q[1], 0.03)
    peak = smooth_max(
        ellipsoid(move(q, (0, -0.02, 0.17)), (0.19, 0.035, 0.17)), f(-0.02) - q[2], 0.02
    )
    return np.minimum(dome, peak)


def _badge(p: F32) -> F32:
    q = turn(move(p, (0, 1.70, 0.0)), "x", -6)
    return ellipsoid(move(q, (0, 0.055, 0.222)), (0.045, 0.045, 0.02))


def _satchel(p: F32) -> F32:
    q = turn(move(p, (-0.36, 0.46, 0.02)), "y", 80)
    bag = box(q, (0.19, 0.15, 0.075), 0.04)
    flap = box(move(q, (0, 0.05, -0.03)), (0.20, 0.11, 0.065), 0.04)
    strap_plane = turn(move(p, (0, 0.78, 0.0)), "z", 38)
    strap = corner2(
        np.abs(norm2(strap_plane[0] * f(0.72), strap_plane[2]) - f(0.315)) - f(0.014),
        np.abs(strap_plane[1]) - f(0.035),
        0.012,
    )
    return np.minimum(np.minimum(bag, flap), strap)


def _buckle(p: F32) -> F32:
    q = turn(move(p, (-0.36, 0.46, 0.02)), "y", 80)
    return box(move(q, (0, -0.02, -0.10)), (0.03, 0.035, 0.012), 0.008)


PARCEL_HALF = (0.27, 0.17, 0.20)


def _parcel_paper(p: F32) -> F32:
    fold = np.abs(p[0]) + np.abs(p[1])
    return box(p, PARCEL_HALF, 0.022) + np.sin(fold * f(18)) * f(0.0015)


def _twine(p: F32) -> F32:
    shell = np.abs(box(p, PARCEL_HALF, 0.022)) - f(0.010)
    cross = np.minimum(np.abs(p[0] + f(0.06)), np.abs(p[2] - f(0.02))) - f(0.012)
    line = np.maximum(shell, cross)
    q = move(p, (-0.06, 0.205, 0.02))
    bow = np.abs(norm2(np.abs(q[0]) - f(0.075), q[1] * f(1.3)) - f(0.055)) - f(0.004)
    return np.minimum(line, corner2(bow, np.abs(q[2]) - f(0.010), 0.006))


def _seal(p: F32) -> F32:
    q = move(p, (0.13, 0.168, 0.10))
    r = norm2(q[0], q[2])
    wobble = np.sin(np.arctan2(q[2], q[0]) * f(5)) * f(0.006)
    rim = corner2(r - f(0.062) - wobble, np.abs(q[1]) - f(0.018), 0.014)
    return smooth_max(rim, -corner2(r - f(0.038), np.abs(q[1] - f(0.02)) - f(0.008), 0.004), 0.006)


def _kraft(p: F32) -> F32:
    fibre = lookup(noise_map(431), p[0] * f(2.0) + p[2], p[1] * f(2.0) + p[2] * f(0.6))
    return mix((0.40, 0.25, 0.13), (0.52, 0.35, 0.20), fibre * f(0.5) + f(0.5))


PARCEL = (
    (_parcel_paper, Material(albedo=_kraft, rough=0.8, wrap=0.1, bump=grain_bump(441, 12, 0.08))),
    (_twine, Material(albedo=(0.62, 0.08, 0.06), rough=0.85)),
    (_seal, Material(albedo=(0.40, 0.015, 0.02), rough=0.28, f0=0.05)),
)


def parcel(at: Color, spin: float, size: float = 1.0) -> Part:
    """The parcel, its middle at ``at``."""
    return joined(PARCEL, posed(at, spin, size), at, 0.45 * size, size)


def fox(at: Color, spin: float = 0.0, size: float = 1.0, *, carrying: bool = True) -> Part:
    """The courier, 2 units tall, facing the camera when ``spin`` is 0."""
    shapes: list[tuple[Sdf, Material]] = [
        (_fox_fur, clay(posed_paint(_fox_color, at, spin, size))),
        (_fox_tail, clay(posed_paint(_tail_color, at, spin, size))),
        (_fox_socks, clay(UMBER)),
        (_eyes, SHINY_BLACK),
        (_nose, SHINY_BLACK),
        (_glint, Material(albedo=(0.9, 0.9, 0.9), emit=(0.9, 0.92, 0.95))),
        (_scarf, WOOL),
        (_postcap, clay(NAVY)),
        (_badge, Material(albedo=GOLD, metal=True, rough=0.25)),
        (
            _satchel,
            Material(
                albedo=(0.22, 0.085, 0.035),
                rough=0.5,
                f0=0.04,
                wrap=0.1,
                bump=grain_bump(451, 14, 0.10),
            ),
        ),
        (_buckle, Material(albedo=GOLD, metal=True, rough=0.25)),
    ]
    if carrying:

        def held(sdf: Sdf) -> Sdf:
            return lambda p: sdf(move(p, (0.0, 0.60, 0.44)))

        paper, twine, seal = PARCEL
        kraft = Material(albedo=(0.46, 0.30, 0.165), rough=0.8, wrap=0.1)
        shapes += [(held(paper[0]), kraft), (held(twine[0]), twine[1]), (held(seal[0]), seal[1])]
    middle = (at[0], at[1] + 0.98 * size, at[2])
    return joined(shapes, posed(at, spin, size), middle, 1.22 * size, size)
