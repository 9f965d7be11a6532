"""Hush, the headphones, in three colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from drawing.scene import F32, Color, Material, Part, Sdf, length
from drawing.shapes import (
    capsule,
    corner2,
    f,
    grain_bump,
    lettering,
    mix,
    move,
    norm2,
    point,
    smooth_max,
    smooth_min,
    smoothstep,
    stamp,
    turn,
)

BAND = 1.0
HINGE = 1.02
REACH = 0.93


def _side(p: F32) -> F32:
    """Fold left onto right, into the frame of one ear cup: x points outwards."""
    q = np.stack([np.abs(p[0]) - f(REACH), p[1], p[2]])
    return turn(q, "z", 5)


def _oval(q: F32) -> F32:
    return norm2(q[1] * f(0.86), q[2])


def _shell(q: F32, oval: F32) -> F32:
    dome = corner2(oval - f(0.56), np.abs(q[0] - f(0.11)) - f(0.17), 0.13)
    seam = norm2(oval - f(0.565), q[0] - f(0.02)) - f(0.013)
    well = corner2(oval - f(0.40), np.abs(q[0] - f(0.33)) - f(0.075), 0.012)
    return smooth_max(smooth_max(dome, -seam, 0.012), -well, 0.012)


def _mesh(q: F32, oval: F32) -> F32:
    return corner2(oval - f(0.405), np.abs(q[0] - f(0.2)) - f(0.065), 0.01)


def _ring(q: F32, oval: F32) -> F32:
    return corner2(np.abs(oval - f(0.415)) - f(0.026), np.abs(q[0] - f(0.268)) - f(0.034), 0.016)


def _pad(q: F32, oval: F32) -> F32:
    ring = corner2(np.abs(oval - f(0.385)) - f(0.175), np.abs(q[0] + f(0.165)) - f(0.125), 0.115)
    crease = np.sin(q[1] / np.maximum(oval, f(0.1)) * f(40)) * f(0.002)
    return ring + crease * smoothstep(0.46, 0.56, oval)


CUP_LAYERS = (_shell, _mesh, _ring, _pad)


def _cups(p: F32) -> F32:
    """All of both ear cups; from afar the ball round the nearer one."""
    q = _side(p)
    out = length(q) - f(0.76)
    near = np.flatnonzero(out < f(0.1))
    if near.size:
        q = q[:, near]
        oval = _oval(q)
        out[near] = np.min([shape(q, oval) for shape in CUP_LAYERS], axis=0)
    return out


def _frame(p: F32) -> F32:
    """Band, cushion and stems; from afar the slab around them."""
    out = np.maximum(_arc(p, BAND - 0.04), np.abs(p[2])) - f(0.75)
    near = np.flatnonzero(out < f(0.1))
    if near.size:
        q = p[:, near]
        out[near] = np.minimum(np.minimum(_band(q), _cushion(q)), _stem(q))
    return out


def _arc(p: F32, radius: float) -> F32:
    """Distance in the plane to a half circle on two legs."""
    over = np.abs(norm2(p[0], p[1] - f(HINGE)) - f(radius))
    return np.where(p[1] > f(HINGE), over, np.abs(np.abs(p[0]) - f(radius)))


def _band(p: F32) -> F32:
    taper = smoothstep(0.7, 1.9, p[1]) * f(0.05)
    strip = corner2(_arc(p, BAND) - f(0.036), np.abs(p[2]) - f(0.12) - taper, 0.032)
    return smooth_max(strip, f(0.80) - p[1], 0.05)


def _cushion(p: F32) -> F32:
    stitch = np.cos(np.arctan2(p[0], p[1] - f(HINGE)) * f(22)) * f(0.006)
    strip = corner2(_arc(p, BAND - 0.085) - f(0.062) - stitch, np.abs(p[2]) - f(0.145), 0.055)
    return smooth_max(strip, f(1.42) - p[1], 0.08)


def _stem(p: F32) -> F32:
    q = np.stack([np.abs(p[0]), p[1], p[2]])
    bar = corner2(
        np.abs(q[0] - f(BAND)) - f(0.02),
        np.maximum(np.abs(q[2]) - f(0.055), np.abs(q[1] - f(0.7)) - f(0.24)),
        0.016,
    )
    fork = norm2(norm2(q[1] * f(0.86), q[2]) - f(0.60), q[0] - f(BAND - 0.005)) - f(0.028)
    fork = smooth_max(fork, -q[1] - f(0.02), 0.02)
    pivot = capsule(
        np.stack([q[0], q[1], np.abs(q[2])]), (BAND, -0.02, 0.55), (BAND, -0.02, 0.61), 0.045
    )
    return smooth_min(smooth_min(bar, fork, 0.06), pivot, 0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The colours of one version of the product."""

    body: Color
    leather: Color
    cloth: Color
    metal: Color = (0.93, 0.70, 0.48)


PINE = Finish(body=(0.022, 0.085, 0.068), leather=(0.035, 0.075, 0.06), cloth=(0.03, 0.06, 0.05))
SAND = Finish(body=(0.78, 0.66, 0.52), leather=(0.46, 0.27, 0.16), cloth=(0.55, 0.45, 0.34))
CLAY = Finish(body=(0.52, 0.13, 0.07), leather=(0.32, 0.075, 0.045), cloth=(0.30, 0.09, 0.06))


def headphones(
    at: Color, finish: Finish, *, spin: float = 0.0, lean: float = 0.0, size: float = 1.0
) -> tuple[Part, ...]:
    """The product standing on its cups at ``at``; ``spin`` about the upright, ``lean`` back."""

    def local(p: F32) -> F32:
        q = turn(move(p, at), "y", spin)
        if lean:
            q = turn(q, "x", lean)
        return move(q / f(size), (0, 0.65, 0))

    def placed(sdf: Sdf) -> Sdf:
        return lambda p: sdf(local(p)) * f(size)

    def weave(p: F32) -> F32:
        q = _side(local(p))
        a, b = np.sin(q[1] * f(190)), np.sin(q[2] * f(190))
        hole = smoothstep(-0.1, 0.7, a * b)
        tone = mix(finish.cloth, np.array(finish.cloth) * 0.25, hole)
        word = stamp(lettering("hush", spacing=0.06), q[2] * -np.sign(local(p)[0]), q[1], 0.22)
        return mix(tone, finish.metal, word * f(0.9))

    rise = turn(turn(np.array([[0], [1.3], [0]], np.float32), "x", -lean), "y", -spin)[:, 0]
    middle = point(np.array(at) + rise * (size))
    radius = 1.7 * size
    satin = Material(albedo=finish.body, rough=0.34, f0=0.05)
    leather = Material(
        albedo=finish.leather, rough=0.5, f0=0.04, wrap=0.15, bump=grain_bump(201, 16, 0.10)
    )
    metal = Material(albedo=finish.metal, metal=True, rough=0.24)
    dress = (satin, Material(albedo=weave, rough=0.8), metal, leather)

    def cup_part(shape: Callable[[F32, F32], F32]) -> Sdf:
        def sdf(p: F32) -> F32:
            q = _side(p)
            return shape(q, _oval(q))

        return placed(sdf)

    layers = [
        Part(sdf=cup_part(shape), material=material, centre=middle, radius=radius)
        for shape, material in zip(CUP_LAYERS, dress, strict=True)
    ]
    for shape, material in ((_band, satin), (_cushion, leather), (_stem, metal)):
        layers.append(Part(sdf=placed(shape), material=material, centre=middle, radius=radius))

    def whole(p: F32) -> F32:
        return np.minimum(_cups(p), _frame(p))

    return (Part(sdf=placed(whole), layers=tuple(layers), centre=middle, radius=radius),)
