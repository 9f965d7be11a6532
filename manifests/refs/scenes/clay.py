"""Modelling clay: colours, skin, and how figures are posed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from drawing.scene import F32, Color, Material, Paint
from drawing.shapes import f, grain_bump, move, turn

ORANGE = (0.66, 0.20, 0.045)
CREAM = (0.80, 0.66, 0.48)
UMBER = (0.075, 0.035, 0.022)
TEAL = (0.035, 0.22, 0.24)
NAVY = (0.030, 0.055, 0.13)
GOLD = (0.95, 0.70, 0.36)
BROWN = (0.27, 0.14, 0.075)
BURGUNDY = (0.34, 0.025, 0.04)


def clay(color: Color | Callable[[F32], F32], wrap: float = 0.35) -> Material:
    """Modelling clay: soft edges of light, a satin skin, the marks of fingers."""
    return Material(
        albedo=color, rough=0.52, f0=0.035, wrap=wrap, bump=grain_bump(401, 7.0, 0.09, 4)
    )


SHINY_BLACK = Material(albedo=(0.006, 0.005, 0.005), rough=0.06, f0=0.06)
WOOL = Material(albedo=TEAL, rough=0.95, f0=0.02, wrap=0.35, bump=grain_bump(411, 26.0, 0.32, 5))


def mirrored(p: F32) -> F32:
    """Right half folded onto the left."""
    return np.stack([np.abs(p[0]), p[1], p[2]])


Pose = Callable[[F32], F32]


def posed(at: Color, spin: float, size: float = 1.0) -> Pose:
    """Map from the scene into the frame of a figure that stands at ``at``, turned by ``spin``."""
    return lambda p: turn(move(p, at), "y", spin) / f(size)


def posed_paint(paint: Paint, at: Color, spin: float, size: float) -> Paint:
    """Colours given in a figure's frame, for points of the scene."""
    pose = posed(at, spin, size)
    return lambda p: paint(pose(p))


def moved(paint: Paint, at: Color) -> Paint:
    """Colours of a shape that stands at ``at``."""
    return lambda p: paint(move(p, at))


SNOW = Material(
    albedo=(0.78, 0.82, 0.90), rough=0.7, f0=0.03, wrap=0.4, bump=grain_bump(511, 10, 0.05)
)
