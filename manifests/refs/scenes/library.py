"""The library: shelves to the ceiling, an oak desk, a green lamp."""

from __future__ import annotations

import numpy as np
from drawing.scene import F32, FAR, Camera, Color, Light, Material, Paint, Part, Scene
from drawing.shapes import (
    box,
    capsule,
    cone,
    corner2,
    cylinder,
    f,
    joined,
    lookup,
    mix,
    move,
    noise_map,
    ramp,
    smooth_max,
    sphere,
    turn,
)

from scenes.clay import BURGUNDY, GOLD, moved, posed
from scenes.fox import fox, parcel
from scenes.owl import owl

BOOK = 0.115
SHELF = 0.62


BOOK_INKS = np.array(
    [
        BURGUNDY,
        (0.04, 0.12, 0.11),
        (0.05, 0.07, 0.17),
        (0.36, 0.20, 0.06),
        (0.42, 0.30, 0.17),
        (0.20, 0.06, 0.035),
        (0.10, 0.14, 0.05),
        (0.52, 0.42, 0.28),
    ],
    np.float32,
)


_BOOKS = np.random.default_rng(471).random((4, 97, 31)).astype(np.float32)


def _book_cell(p: F32) -> tuple[F32, F32, F32, F32, F32]:
    i, j = np.floor(p[0] / f(BOOK)), np.floor(p[1] / f(SHELF))
    hashes = _BOOKS[:, i.astype(np.int64) % 97, j.astype(np.int64) % 31]
    return p[0] - (i + f(0.5)) * f(BOOK), p[1] - j * f(SHELF), *hashes[:3]


def _books(p: F32) -> F32:
    """Rows of books, their backs on the plane z = 0, one in each cell."""
    out = np.abs(p[2] + f(0.12)) - f(0.16)
    near = np.flatnonzero(out < f(0.06))
    if not near.size:
        return out
    q = p[:, near]
    dx, dy, tall, deep, lean = _book_cell(q)
    high = f(0.34) + tall * f(0.15)
    gap = f(0.94) < lean
    half_w = f(BOOK * 0.5) - f(0.004) - deep * f(0.010)
    back = np.abs(q[2] + f(0.14) + deep * f(0.05)) - f(0.13)
    round_back = (dx / half_w) ** 2 * f(0.018)
    book = corner2(
        np.maximum(np.abs(dx) - half_w, np.abs(dy - high * f(0.5)) - high * f(0.5)),
        back + round_back,
        0.010,
    )
    wall = f(BOOK / 2) - np.abs(dx) + f(0.012)
    lid = np.maximum(f(SHELF) - dy, f(0)) + f(0.012)
    out[near] = np.minimum(np.where(gap, FAR, book * f(0.8)), np.minimum(wall, lid))
    return out


def _book_color(p: F32) -> F32:
    _, dy, tall, deep, lean = _book_cell(p)
    ink = BOOK_INKS[(lean * 7919 % 8).astype(np.int64)].T
    ink = ink * (f(0.7) + deep * f(0.6))
    high = f(0.34) + tall * f(0.15)
    band = (np.abs(dy - high * f(0.82)) < f(0.012)) | (np.abs(dy - high * f(0.2)) < f(0.008))
    return mix(ink, np.array((0.62, 0.42, 0.16)), (band & (tall > f(0.25))).astype(np.float32))


def _case(p: F32) -> F32:
    """Boards and uprights of the shelves, and the wall behind them."""
    board = np.abs((p[1] + f(SHELF / 2)) % f(SHELF) - f(SHELF / 2)) - f(0.022)
    boards = np.maximum(board, np.abs(p[2] + f(0.12)) - f(0.155))
    post = np.abs((p[0] + f(0.92)) % f(1.84) - f(0.92)) - f(0.04)
    posts = np.maximum(post, np.abs(p[2] + f(0.12)) - f(0.165))
    return np.minimum(np.minimum(boards, posts), p[2] + f(0.26))


def _wood(dark: Color, light: Color, scale: float) -> Paint:
    def paint(p: F32) -> F32:
        grid = noise_map(481, 512, 8, 6)
        ring = lookup(grid, p[0] * f(0.05 * scale), p[2] * f(0.5 * scale) + p[1] * f(0.5 * scale))
        fine = lookup(grid, p[0] * f(0.4 * scale), p[2] * f(3.1 * scale) + p[1] * f(3.1 * scale))
        return mix(dark, np.array(light), (ring * f(0.35) + fine * f(0.2) + f(0.5)).clip(0, 1))

    return paint


OAK = Material(albedo=_wood((0.11, 0.045, 0.02), (0.24, 0.11, 0.05), 1.0), rough=0.42, f0=0.045)


FLOOR_OAK = Material(
    albedo=_wood((0.10, 0.05, 0.028), (0.20, 0.105, 0.055), 0.6), rough=0.34, f0=0.045
)


def _desk(p: F32) -> F32:
    top = box(move(p, (0, 0.98, 0)), (1.35, 0.05, 0.52), 0.03)
    front = box(move(p, (0, 0.48, -0.08)), (1.22, 0.47, 0.40), 0.02)
    panel = np.abs(np.abs(p[0]) - f(0.61)) - f(0.50)
    cut = corner2(
        np.maximum(panel, np.abs(p[1] - f(0.48)) - f(0.34)), np.abs(p[2] - f(0.33)) - f(0.03), 0.01
    )
    return np.minimum(top, smooth_max(front, -cut, 0.015))


def _lamp_foot(p: F32) -> F32:
    foot = cylinder(p, 0.13, 0.0, 0.035, 0.015)
    return np.minimum(foot, capsule(p, (0, 0, 0), (0, 0.44, 0), 0.018))


def _lamp_shade(p: F32) -> F32:
    shade = cone(p, (0.40, 0.25), (0.62, 0.13), 0.01)
    return smooth_max(shade, -cone(p, (0.36, 0.255), (0.60, 0.115), 0.01), 0.01)


def _bulb(p: F32) -> F32:
    return sphere(move(p, (0, 0.49, 0)), 0.062)


def lamp(at: Color, size: float = 1.0) -> Part:
    """A brass desk lamp with a green shade."""
    glow = Material(albedo=(1, 0.8, 0.5), emit=(5.5, 3.2, 1.3))
    shapes = [
        (_lamp_foot, Material(albedo=GOLD, metal=True, rough=0.22)),
        (
            _lamp_shade,
            Material(albedo=(0.015, 0.13, 0.075), rough=0.2, f0=0.05, emit=(0.012, 0.05, 0.022)),
        ),
        (_bulb, glow),
    ]
    return joined(
        shapes, posed(at, 0, size), (at[0], at[1] + 0.32 * size, at[2]), 0.45 * size, size
    )


def _stack(p: F32) -> F32:
    """Which of four lying books is nearest."""
    out = np.full(p.shape[1], FAR, dtype=np.float32)
    for number, (spin, half) in enumerate(((8, 0.23), (-14, 0.21), (22, 0.19), (-5, 0.17))):
        q = turn(move(p, (0, 0.05 + 0.092 * number, 0)), "y", spin)
        out = np.minimum(out, box(q, (half, 0.043, half * 0.72), 0.012))
    return out


def _stack_color(p: F32) -> F32:
    level = np.clip(np.floor((p[1] - f(1.035)) / f(0.092)), 0, 3).astype(np.int64)
    cover = BOOK_INKS[np.array([0, 1, 4, 2])[level]].T
    within = ((p[1] - f(1.035)) / f(0.092)) % 1
    return mix(
        cover,
        np.array((0.72, 0.60, 0.42)),
        ((within > f(0.22)) & (within < f(0.74))).astype(np.float32) * f(0.65),
    )


def _room(*figures: Part, lamp_x: float = -0.95, stack_x: float = 0.98) -> tuple[Part, ...]:
    """Shelves and desk, with a lamp and some books at the given places on the desk."""
    pile = (stack_x, 1.03, -0.05)
    return (
        Part(
            sdf=lambda p: _books(move(p, (0, 0.0, -2.3))),
            material=Material(albedo=moved(_book_color, (0, 0, -2.3)), rough=0.6, f0=0.04),
        ),
        Part(sdf=lambda p: _case(move(p, (0, 0.0, -2.3))), material=OAK),
        Part(sdf=_desk, material=OAK, centre=(0, 0.5, 0), radius=1.65),
        lamp((lamp_x, 1.03, -0.05), 1.05),
        Part(
            sdf=lambda p: _stack(move(p, pile)),
            material=Material(albedo=_stack_color, rough=0.6),
            centre=(stack_x, 1.2, -0.05),
            radius=0.4,
        ),
        *figures,
    )


def _lamplight(lamp_x: float = -0.95) -> tuple[Light, ...]:
    """The desk lamp, a chandelier out of frame, night blue from a window on the right."""
    return (
        Light(
            position=(lamp_x, 1.43, -0.05),
            color=(95.0, 52.0, 21.0),
            u=(0.11, 0, 0),
            v=(0, 0, 0.11),
            weight=1.3,
            mirrored=False,
        ),
        Light(
            position=(-1.6, 4.4, 3.0),
            color=(22.0, 13.5, 7.2),
            u=(0.7, 0, 0.3),
            v=(0, 0.4, -0.6),
            weight=1.2,
        ),
        Light(position=(0.0, 4.7, -0.9), color=(9.0, 5.2, 2.6), u=(2.6, 0, 0), v=(0, 0, 0.35)),
        Light(position=(3.9, 2.9, 0.8), color=(3.4, 5.2, 9.0), u=(0.1, 0, 0.9), v=(0, 1.3, 0)),
    )


def _indoors(d: F32) -> F32:
    return ramp([(-0.4, (0.035, 0.020, 0.012)), (0.8, (0.10, 0.075, 0.06))], d[1])


def library() -> Scene:
    """Key frame: the owl behind the desk, shelves from floor to ceiling."""
    return Scene(
        parts=_room(owl((0.05, 0.40, -0.80), spin=-4)),
        floor=(0.0, FLOOR_OAK),
        bounds=((-7, -0.05, -2.6), (7, 5.2, 1.0)),
        lights=_lamplight(),
        sky=_indoors,
        camera=Camera(
            eye=(0.75, 1.85, 5.2), target=(0.02, 1.42, -0.6), fov_deg=26, aperture=0.035, focus=5.75
        ),
        reach=25,
        bounces=2,
    )


def meeting() -> Scene:
    """Key frame of the hand-over: fox left with the parcel, owl right behind the desk."""
    return Scene(
        parts=_room(
            owl((0.66, 0.40, -0.78), spin=-30),
            fox((-0.86, 0.0, 0.72), spin=58, size=0.92),
            lamp_x=-0.02,
            stack_x=1.12,
        ),
        floor=(0.0, FLOOR_OAK),
        bounds=((-7, -0.05, -2.6), (7, 5.2, 2.3)),
        lights=_lamplight(-0.02),
        sky=_indoors,
        camera=Camera(
            eye=(0.30, 1.60, 5.6), target=(-0.08, 1.20, 0.0), fov_deg=28, aperture=0.03, focus=5.3
        ),
        reach=25,
        bounces=2,
    )


def gift() -> Scene:
    """Close on the parcel under the lamp."""
    return Scene(
        parts=_room(parcel((0.02, 1.20, 0.08), 24), lamp_x=-0.72, stack_x=0.86),
        floor=(0.0, FLOOR_OAK),
        bounds=((-7, -0.05, -2.6), (7, 5.2, 1.0)),
        lights=_lamplight(-0.72),
        sky=_indoors,
        camera=Camera(
            eye=(0.45, 1.98, 2.3), target=(-0.08, 1.27, 0.0), fov_deg=30, aperture=0.035, focus=2.3
        ),
        reach=25,
        bounces=2,
    )
