"""Aurora, the bottle: brushed lacquer in the colours of northern lights, 3 units tall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from drawing.scene import F32, Color, Material, Part, Sdf, column
from drawing.shapes import (
    corner2,
    cylinder,
    f,
    lettering,
    mix,
    move,
    noise3,
    norm2,
    point,
    ramp,
    smooth_max,
    smooth_min,
    smoothstep,
    stamp,
    turn,
)

BODY_RADIUS = 0.46


def body(p: F32) -> F32:
    radius = norm2(p[0], p[2])
    trunk = corner2(radius - f(BODY_RADIUS), p[1] - f(2.17), 0.27)
    trunk = np.maximum(trunk, corner2(radius - f(BODY_RADIUS), -p[1], 0.06))
    neck = cylinder(p, 0.315, 1.6, 2.32, 0.01)
    shape = smooth_min(trunk, neck, 0.13)
    groove = norm2(norm2(p[0], p[2]) - f(BODY_RADIUS + 0.004), p[1] - f(0.17)) - f(0.014)
    bore = cylinder(p, 0.25, 1.2, 2.6, 0.01)
    return smooth_max(smooth_max(shape, -groove, 0.01), -bore, 0.01)


def _collar(p: F32) -> F32:
    return smooth_max(
        cylinder(p, 0.335, 2.315, 2.4, 0.018), -cylinder(p, 0.25, 1.2, 2.6, 0.01), 0.01
    )


def _cap(p: F32) -> F32:
    angle = np.arctan2(p[2], p[0])
    ridges = np.cos(angle * f(44)) * f(0.0075)
    grip = smoothstep(2.44, 2.5, p[1]) * smoothstep(2.82, 2.76, p[1])
    drum = cylinder(p, 0.345, 2.405, 2.86, 0.045) - ridges * grip
    dish = norm2(norm2(p[0], p[2]), (p[1] - f(3.42))) - f(0.6)
    return smooth_max(drum * f(0.8), -dish, 0.02)


def _loop(p: F32) -> F32:
    q = move(p, (0, 2.74, 0))
    ring = norm2(q[0], q[1]) - f(0.335)
    band = corner2(np.abs(ring) - f(0.035), np.abs(q[2]) - f(0.1), 0.03)
    return smooth_max(band, -q[1] - f(0.12), 0.02)


def _pins(p: F32) -> F32:
    q = move(p, (0, 2.7, 0))
    across = norm2(q[1], q[2]) - f(0.05)
    return corner2(across, np.abs(q[0]) - f(0.395), 0.012)


def coat_tone(p: F32) -> F32:
    """Northern lights in lacquer: night blue, teal, a breath of green; letters laid bare."""
    angle = np.arctan2(p[0], p[2])
    drift = np.sin(angle * f(2) + p[1] * f(1.3)) * f(0.16) + noise3(p, 21, 1.1) * f(0.16)
    color = ramp(
        [
            (0.0, (0.030, 0.022, 0.120)),
            (0.75, (0.012, 0.075, 0.210)),
            (1.35, (0.008, 0.270, 0.270)),
            (2.0, (0.080, 0.600, 0.370)),
            (2.5, (0.420, 0.800, 0.480)),
        ],
        p[1] + drift,
    )
    word = stamp(lettering("AURORA"), p[1] - f(1.12), -angle * f(BODY_RADIUS), 0.235)
    steel = np.repeat(column((0.86, 0.87, 0.88)), p.shape[1], axis=1)
    color = mix(color, steel, word)
    return mix(color, steel, smoothstep(0.18, 0.165, p[1]))


LACQUER = Material(
    albedo=coat_tone,
    metal=True,
    rough=0.33,
    brush=(0, 1, 0),
    brush_rough=0.10,
)


STEEL = Material(
    albedo=(0.80, 0.79, 0.77), metal=True, rough=0.22, brush=(0, 1, 0), brush_rough=0.12
)


RUBBER = Material(albedo=(0.016, 0.017, 0.02), rough=0.42, f0=0.045)


def bottle(
    at: Color = (0, 0, 0),
    spin: float = 0.0,
    tilt: float = 0.0,
    *,
    capped: bool = True,
    size: float = 1.0,
) -> tuple[Part, ...]:
    """The product; ``spin`` turns it on its axis, ``tilt`` leans it to the left, in degrees."""

    def local(p: F32) -> F32:
        q = move(p, at) / f(size)
        if tilt:
            q = turn(q, "z", tilt)
        return turn(q, "y", spin)

    def placed(sdf: Sdf) -> Sdf:
        return lambda p: sdf(local(p)) * f(size)

    def whole(q: F32) -> F32:
        out = np.minimum(body(q), _collar(q))
        if capped:
            # The cap is reckoned near it only; below, its height above is a safe step.
            near = np.flatnonzero(q[1] > f(2.1))
            step = np.maximum(f(2.4) - q[1], f(0.25))
            if near.size:
                top = q[:, near]
                step[near] = np.minimum(np.minimum(_cap(top), _loop(top)), _pins(top))
            out = np.minimum(out, step)
        return out

    up = turn(column((0, 1, 0)), "z", -tilt)[:, 0]
    axis = point(up)
    middle = point(np.array(at) + up * (1.55 * size))
    steel = replace(STEEL, brush=axis)
    coat = replace(LACQUER, albedo=lambda p: coat_tone(local(p)), brush=axis)
    shapes = [(body, coat), (_collar, steel)]
    if capped:
        shapes += [(_cap, RUBBER), (_loop, RUBBER), (_pins, steel)]
    radius = 1.66 * size
    layers = tuple(
        Part(sdf=placed(sdf), material=dress, centre=middle, radius=radius) for sdf, dress in shapes
    )
    return (Part(sdf=placed(whole), layers=layers, centre=middle, radius=radius),)
