"""The lane: clay houses, lit windows, falling snow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drawing.scene import F32, Camera, Color, Fog, Light, Material, Part, Scene, Sky
from drawing.shapes import (
    box,
    cone,
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
    ramp,
    smooth_min,
    smoothstep,
)

from scenes.clay import SNOW, posed
from scenes.fox import fox


def _house(p: F32, half: tuple[float, float, float], pitch: float) -> F32:
    walls = box(move(p, (0, half[1], 0)), half, 0.05)
    gable = (np.abs(p[2]) * f(pitch) + (p[1] - f(2 * half[1]))) / f(np.hypot(1, pitch))
    loft = np.maximum(gable - f(half[2] * pitch / np.hypot(1, pitch)), np.abs(p[0]) - f(half[0]))
    loft = np.maximum(loft, f(2 * half[1] - 0.1) - p[1])
    return smooth_min(walls, loft, 0.04)


def _roof(p: F32, half: tuple[float, float, float], pitch: float) -> F32:
    """Snow on the roof: a thick soft quilt over both slopes."""
    slope = (np.abs(p[2]) * f(pitch) + (p[1] - f(2 * half[1]))) / f(np.hypot(1, pitch))
    lift = slope - f(half[2] * pitch / np.hypot(1, pitch))
    quilt = np.abs(lift - f(0.09)) - f(0.085)
    rim = np.maximum(np.abs(p[0]) - f(half[0] + 0.14), np.abs(p[2]) - f(half[2] + 0.2))
    return corner2(rim, quilt, 0.08)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A gabled house at (x, z); ``half`` half its sides, ``pitch`` the slope of its roof."""

    x: float
    z: float
    half: Color
    pitch: float
    spin: float
    color: Color


HOUSES = (
    House(x=-3.15, z=1.2, half=(1.15, 1.25, 1.0), pitch=1.1, spin=90, color=(0.30, 0.13, 0.10)),
    House(x=-3.0, z=-1.7, half=(1.25, 1.6, 0.95), pitch=1.25, spin=90, color=(0.16, 0.20, 0.25)),
    House(x=-2.75, z=-4.8, half=(1.3, 1.2, 1.0), pitch=1.15, spin=90, color=(0.33, 0.22, 0.12)),
    House(x=3.2, z=0.9, half=(1.2, 1.5, 1.0), pitch=1.2, spin=-90, color=(0.34, 0.22, 0.13)),
    House(x=3.05, z=-2.1, half=(1.25, 1.2, 1.0), pitch=1.05, spin=-90, color=(0.19, 0.13, 0.18)),
    House(x=2.8, z=-5.1, half=(1.3, 1.7, 1.0), pitch=1.25, spin=-90, color=(0.14, 0.19, 0.22)),
    House(x=0.1, z=-8.6, half=(2.0, 1.7, 1.2), pitch=1.2, spin=0, color=(0.28, 0.15, 0.10)),
)


def _panes(p: F32, half: tuple[float, float, float], seed: int) -> tuple[F32, F32]:
    """On the front (+z) of a house: 0..1 for lit glass, 0..1 for the frames round it."""
    u = (p[0] + f(half[0])) / f(0.78)
    v = (p[1] - f(0.35)) / f(0.98)
    i, j = np.floor(u), np.floor(v)
    a, b = (u - i - f(0.5)) * f(0.78), (v - j - f(0.5)) * f(0.98)
    inside = (np.abs(p[0]) < f(half[0] - 0.12)) & (p[1] < f(half[1] * 2 - 0.1)) & (p[1] > f(0.35))
    pane = (np.abs(a) < f(0.20)) & (np.abs(b) < f(0.29)) & inside
    frame = (np.abs(a) < f(0.25)) & (np.abs(b) < f(0.34)) & inside & ~pane
    bars = (np.abs(a) < f(0.016)) | (np.abs(b - f(0.05)) < f(0.016))
    rng = np.random.default_rng(seed).random((16, 16)).astype(np.float32)
    awake = rng[i.astype(np.int64) % 16, j.astype(np.int64) % 16]
    front = (p[2] > f(half[2] - 0.06)).astype(np.float32)
    lit = np.where(awake > f(0.34), f(0.55) + awake * f(0.6), f(0.03))
    return pane * ~bars * front * lit, (frame | (pane & bars)) * front


def _house_part(house: House, seed: int) -> Part:
    half, pitch = house.half, house.pitch
    pose = posed((house.x, 0, house.z), house.spin)

    def tone(p: F32) -> F32:
        q = pose(p)
        _, frame = _panes(q, half, seed)
        cloud = noise3(q, 491, 1.5) * f(0.14) + f(1)
        return mix(np.array(house.color)[:, None] * cloud, np.array((0.55, 0.48, 0.40)), frame)

    def shine(p: F32) -> F32:
        glass, _ = _panes(pose(p), half, seed)
        return np.array([[2.6], [1.30], [0.42]], np.float32) * glass

    plaster = Material(albedo=tone, rough=0.8, emit=shine, bump=grain_bump(501, 4, 0.06))
    shapes = [
        (lambda p: _house(p, half, pitch), plaster),
        (lambda p: _roof(p, half, pitch), SNOW),
    ]
    size = float(np.sqrt(half[0] ** 2 + (half[1] + 0.8) ** 2 + half[2] ** 2)) + 0.3
    return joined(shapes, pose, (house.x, half[1] + 0.55, house.z), size)


def _house_parts() -> tuple[Part, ...]:
    return tuple(_house_part(house, seed) for seed, house in enumerate(HOUSES))


def _drifts(p: F32) -> F32:
    grid = noise_map(521, 512, 8, 4)
    x, z = p[0], p[2]
    bank = smoothstep(1.15, 2.2, np.abs(x + np.sin(z * f(0.5)) * f(0.15))) * f(0.26)
    soft = lookup(grid, x * f(0.08), z * f(0.08)) * f(0.10)
    track = np.exp(-((np.abs(x - f(0.12) - np.sin(z * f(0.6)) * f(0.22)) - f(0.11)) ** 2) * f(160))
    steps = track * (f(0.5) + f(0.5) * np.sin(z * f(13) + np.sign(x) * f(1.6))) * f(0.05)
    steps = steps * smoothstep(0.9, 1.5, z)
    return (p[1] - bank - soft + steps) * f(0.75)


def _post(p: F32) -> F32:
    pole = np.minimum(cylinder(p, 0.045, 0, 2.35, 0.02), cone(p, (0.0, 0.13), (0.4, 0.05), 0.02))
    arm = norm2(norm2(p[0] - f(0.0), p[1] - f(2.38)) - f(0.0), p[2]) - f(0.07)
    cap = cone(p, (2.80, 0.24), (2.98, 0.03), 0.02)
    return np.minimum(np.minimum(pole, arm), cap)


def _lantern(p: F32) -> F32:
    return cone(p, (2.42, 0.10), (2.80, 0.17), 0.02)


def _cap_of_snow(p: F32) -> F32:
    return ellipsoid(move(p, (0, 2.95, 0)), (0.20, 0.10, 0.20))


def street_lamp(at: Color) -> Part:
    """A street lamp with a hat of snow."""
    shapes = [
        (_post, Material(albedo=(0.02, 0.022, 0.025), rough=0.45)),
        (_lantern, Material(albedo=(1, 0.8, 0.5), emit=(6.0, 3.4, 1.3))),
        (_cap_of_snow, SNOW),
    ]
    return joined(shapes, posed(at, 0), (at[0], at[1] + 1.5, at[2]), 1.65)


def _night(d: F32) -> F32:
    sky = ramp(
        [(-0.1, (0.13, 0.17, 0.27)), (0.15, (0.085, 0.13, 0.25)), (0.7, (0.022, 0.042, 0.11))], d[1]
    )
    cloud = lookup(noise_map(531, 512, 8, 5), d[0] * f(0.5) + d[2] * f(0.2), d[1] * f(0.9))
    return sky * (f(1) + cloud * f(0.35))


def _snowfall(base: Sky) -> Fog:
    """Night haze, and flakes at several depths, the near ones out of focus."""

    def fog(_o: F32, d: F32, t: F32) -> tuple[F32, F32]:
        clear = np.where(t < f(39), np.exp(-np.maximum(t - f(5), f(0)) * f(0.055)), f(0.75))
        light = base(np.stack([d[0], np.full_like(d[1], f(0.06)), d[2]])) * (1 - clear) * f(1.25)
        x, y = d[0] / -d[2], d[1] / -d[2]
        for layer, (away, cell, size) in enumerate(
            (
                (1.6, 0.26, 0.036),
                (2.6, 0.17, 0.020),
                (4.2, 0.11, 0.011),
                (7.0, 0.075, 0.0065),
                (10.5, 0.05, 0.0042),
            )
        ):
            table = np.random.default_rng(541 + layer).random((4, 61, 61)).astype(np.float32)
            i, j = np.floor(x / f(cell)), np.floor(y / f(cell))
            at = table[:, i.astype(np.int64) % 61, j.astype(np.int64) % 61]
            dx = x - (i + f(0.2) + at[0] * f(0.6)) * f(cell)
            dy = y - (j + f(0.2) + at[1] * f(0.6)) * f(cell)
            radius = f(size) * (f(0.6) + at[2] * f(0.6))
            flake = (
                smoothstep(1.0, 0.45, norm2(dx, dy) / radius) * (at[3] > f(0.42)) * (t > f(away))
            )
            light = light + np.array([[0.62], [0.66], [0.78]], np.float32) * flake * f(
                0.20 + 0.10 * layer
            )
        return clear, light

    return fog


def lane() -> Scene:
    """Key frame: the courier on the way up the lane, windows lit, snow falling."""
    return Scene(
        parts=(
            Part(sdf=_drifts, material=SNOW),
            *_house_parts(),
            street_lamp((-1.45, 0.1, -0.6)),
            street_lamp((1.5, 0.1, -4.3)),
            fox((0.48, 0.02, 1.75), spin=-22, size=0.78),
        ),
        bounds=((-5.2, -0.5, -10.5), (5.2, 6.3, 6.5)),
        lights=(
            Light(
                position=(-1.45, 2.72, -0.6),
                color=(52.0, 28.0, 10.5),
                u=(0.13, 0, 0.05),
                v=(0, 0.13, 0.03),
                weight=1.4,
                mirrored=False,
                clearance=0.32,
            ),
            Light(
                position=(1.5, 2.72, -4.3),
                color=(40.0, 21.0, 8.0),
                u=(0.13, 0, 0),
                v=(0, 0.13, 0),
                mirrored=False,
                clearance=0.32,
            ),
            Light(
                position=(0.4, 0.9, 0.55),
                color=(0.42, 0.58, 1.0),
                sun=True,
                spread=0.09,
                weight=1.2,
            ),
        ),
        sky=_night,
        fog=_snowfall(_night),
        camera=Camera(
            eye=(0.1, 1.40, 6.2), target=(0.0, 1.22, -1.5), fov_deg=37, aperture=0.015, focus=4.3
        ),
        reach=40,
        relax=0.88,
        bounces=2,
    )
