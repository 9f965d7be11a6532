"""Hush, noise-cancelling headphones: a sunlit set of plaster arches, upright for phones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from drawing.finish import Look
from drawing.picture import Picture
from drawing.scene import F32, Camera, Color, Light, Material, Part, Scene
from drawing.shapes import (
    box,
    cylinder,
    f,
    grain_bump,
    lookup,
    mix,
    move,
    noise_map,
    norm2,
    ramp,
    smooth_max,
    smoothstep,
    sphere,
)

from scenes.headphones import CLAY, PINE, SAND, headphones

PEACH = (0.80, 0.46, 0.31)
TERRACOTTA = (0.58, 0.19, 0.10)
CREAM = (0.80, 0.70, 0.58)
ROSE = (0.66, 0.30, 0.24)


def plaster(color: Color, seed: int = 211) -> Material:
    """Hand-smoothed plaster: a little uneven in tone and surface."""

    def tone(p: F32) -> F32:
        grid = noise_map(seed, 512, 8, 6)
        cloud = lookup(grid, p[0] * f(0.13) + p[2] * f(0.09), p[1] * f(0.13) - p[2] * f(0.05))
        return mix(np.array(color) * 0.88, np.array(color) * 1.1, cloud * f(0.5) + f(0.5))

    return Material(albedo=tone, rough=0.85, f0=0.03, bump=grain_bump(seed + 1, 5.0, 0.035))


def _air(d: F32) -> F32:
    return ramp(
        [(-0.3, (0.72, 0.44, 0.33)), (0.15, (0.95, 0.66, 0.52)), (0.9, (0.50, 0.58, 0.74))], d[1]
    )


def _arch(p: F32, half_width: float, spring: float) -> F32:
    """Upright opening with a round head, endless in z."""
    return norm2(p[0], np.maximum(p[1] - f(spring), f(0))) - f(half_width)


def _wall(p: F32, z: float, depth: float, half_width: float, spring: float) -> F32:
    slab = np.abs(p[2] - f(z)) - f(depth)
    return smooth_max(slab, -_arch(p, half_width, spring), 0.05)


KEY = (-0.72, 0.92, 0.62)


def _sunlight(strength: float = 1.0) -> tuple[Light, ...]:
    return (
        Light(
            position=KEY,
            color=(3.3 * strength, 2.55 * strength, 1.8 * strength),
            sun=True,
            spread=0.045,
            weight=2.0,
        ),
        Light(position=(2.8, 3.4, 3.6), color=(1.5, 1.25, 1.15), u=(0.7, 0, -0.7), v=(0, 1.8, 0)),
    )


def hero() -> Scene:
    """Key frame: the product on stepped drums before an arch."""
    return Scene(
        parts=(
            Part(sdf=lambda p: _wall(p, -2.1, 0.35, 1.45, 3.0), material=plaster(PEACH)),
            Part(sdf=lambda p: p[2] + f(4.4), material=plaster(ROSE, 221)),
            Part(
                sdf=lambda p: cylinder(p, 1.5, 0.0, 0.34, 0.05), material=plaster(TERRACOTTA, 231)
            ),
            Part(sdf=lambda p: cylinder(p, 1.26, 0.3, 0.78, 0.05), material=plaster(CREAM, 241)),
            Part(
                sdf=lambda p: sphere(move(p, (1.13, 0.3, 1.62)), 0.3),
                material=plaster(CREAM, 251),
                centre=(1.13, 0.3, 1.62),
                radius=0.31,
            ),
            Part(
                sdf=lambda p: sphere(move(p, (-1.12, 0.16, 1.75)), 0.16),
                material=plaster(TERRACOTTA, 251),
                centre=(-1.12, 0.16, 1.75),
                radius=0.17,
            ),
            *headphones((0, 0.78, 0.1), PINE, spin=-32),
        ),
        floor=(0.0, plaster(PEACH, 261)),
        bounds=((-6, -0.05, -4.6), (6, 9, 5)),
        lights=_sunlight(),
        sky=_air,
        camera=Camera(eye=(0.35, 1.9, 9.6), target=(0, 1.98, 0), fov_deg=33.5),
        reach=30,
        bounces=3,
    )


def cup() -> Scene:
    """Macro of an ear cup: ring, woven mesh, soft leather."""
    return Scene(
        parts=(
            Part(sdf=lambda p: _wall(p, -3.2, 0.35, 1.2, 2.2), material=plaster(PEACH)),
            Part(sdf=lambda p: p[2] + f(5.4), material=plaster(ROSE, 221)),
            *headphones((0, 0.0, 0.0), PINE, spin=-58),
        ),
        floor=(0.0, plaster(CREAM, 241)),
        bounds=((-6, -0.05, -5.6), (6, 9, 5)),
        lights=(
            *_sunlight(0.9),
            Light(position=(2.6, 2.4, 1.6), color=(3.4, 3.0, 2.7), u=(0.5, 0, -0.8), v=(0, 1.3, 0)),
        ),
        sky=_air,
        camera=Camera(
            eye=(1.25, 1.15, 4.3), target=(0.42, 0.98, 0.5), fov_deg=33, aperture=0.045, focus=3.3
        ),
        reach=30,
        bounces=3,
    )


def _steps(p: F32) -> F32:
    out = np.full(p.shape[1], 1e3, dtype=np.float32)
    for number in range(7):
        q = move(p, (1.05, 0.0, -1.0 - 0.42 * number))
        out = np.minimum(out, box(q, (0.95, 0.24 * (number + 1), 0.23), 0.02))
    return out


def _court(p: F32) -> F32:
    """Left wall with two deep arched bays."""
    q = np.stack([p[2] + f(1.6), p[1], p[0] + f(2.6)])
    bay = np.stack([np.abs(q[0] + f(0.1)) - f(1.35), q[1], q[2]])
    return smooth_max(np.abs(q[2]) - f(0.45), -_arch(bay, 0.95, 2.4), 0.05)


def court() -> Scene:
    """The location, empty: a courtyard of arches and steps, pool of still water."""
    return Scene(
        parts=(
            Part(sdf=_court, material=plaster(PEACH)),
            Part(sdf=_steps, material=plaster(CREAM, 241)),
            Part(
                sdf=lambda p: _wall(move(p, (1.05, 1.6, 0)), -4.6, 0.3, 0.78, 2.1),
                material=plaster(ROSE, 221),
            ),
            Part(
                sdf=lambda p: box(move(p, (3.4, 2.0, -1.5)), (1.1, 4.4, 2.6), 0.04),
                material=plaster(TERRACOTTA, 231),
            ),
            Part(
                sdf=lambda p: sphere(move(p, (-0.95, 0.52, -0.2)), 0.52),
                material=plaster(TERRACOTTA, 251),
                centre=(-0.95, 0.52, -0.2),
                radius=0.53,
            ),
            Part(
                sdf=lambda p: box(move(p, (0.2, 0.0, -2.4)), (2.9, 0.10, 2.35), 0.03),
                material=plaster(CREAM, 271),
            ),
        ),
        floor=(0.0, Material(albedo=(0.10, 0.16, 0.16), rough=0.05, f0=0.05, bump=_still)),
        bounds=((-3.2, -0.05, -5.2), (4.6, 9, 1.2)),
        lights=(Light(position=(-0.35, 0.95, 0.75), color=(3.5, 2.7, 1.9), sun=True, spread=0.03),),
        sky=_air,
        backdrop=_afternoon,
        camera=Camera(eye=(-0.1, 1.75, 8.4), target=(0.12, 2.25, -1.5), fov_deg=40),
        reach=30,
        bounces=3,
    )


def _still(p: F32) -> F32:
    grid = noise_map(281, 512, 8, 4)
    a = lookup(grid, p[0] * f(0.3), p[2] * f(0.22))
    b = lookup(grid, p[2] * f(0.3) + f(0.4), p[0] * f(0.22))
    return np.stack([a * f(0.010), np.zeros_like(a), b * f(0.016)])


def _afternoon(d: F32) -> F32:
    return ramp(
        [(0.0, (1.15, 0.74, 0.55)), (0.25, (0.86, 0.70, 0.66)), (0.6, (0.36, 0.52, 0.72))], d[1]
    )


def _sand(p: F32) -> F32:
    """Raked rings that die away towards the middle: noise outside, calm inside."""
    r = norm2(p[0], p[2])
    grid = noise_map(291, 512, 8, 4)
    rough = lookup(grid, p[0] * f(0.11), p[2] * f(0.11)) * smoothstep(2.6, 7.5, r) * f(0.16)
    wave = np.sin(r * f(9.5)) * f(0.055) * smoothstep(0.85, 1.7, r) * smoothstep(7.5, 3.0, r)
    return (p[1] - wave - rough) * f(0.75)


def quiet() -> Scene:
    """Key frame of the idea: the product hangs over raked sand, calm right below it."""
    return Scene(
        parts=(
            Part(
                sdf=_sand,
                material=Material(
                    albedo=(0.60, 0.32, 0.20), rough=0.95, f0=0.02, bump=grain_bump(301, 22, 0.10)
                ),
            ),
            *headphones((0, 1.35, 0), PINE, spin=28, lean=-8),
        ),
        bounds=((-12, -0.6, -14), (12, 4.2, 6)),
        lights=(
            Light(
                position=(-0.85, 0.46, 0.10),
                color=(3.9, 2.7, 1.7),
                sun=True,
                spread=0.04,
                weight=2,
            ),
            Light(position=(2.8, 3.4, 3.6), color=(1.9, 1.6, 1.5), u=(0.7, 0, -0.7), v=(0, 1.8, 0)),
        ),
        sky=_air,
        backdrop=_sundown,
        fog=_dust,
        camera=Camera(eye=(0, 3.1, 9.2), target=(0, 1.72, 0), fov_deg=35),
        reach=40,
        steps=150,
        bounces=3,
    )


def _sundown(d: F32) -> F32:
    sky = ramp(
        [(-0.16, (0.98, 0.60, 0.42)), (0.05, (0.93, 0.56, 0.43)), (0.35, (0.62, 0.42, 0.44))], d[1]
    )
    x, y = d[0] / -d[2], d[1] / -d[2]
    disc = smoothstep(0.172, 0.168, norm2(x, y - f(0.075)))
    return mix(sky, mix((1.45, 0.86, 0.55), (1.5, 1.02, 0.72), smoothstep(-0.1, 0.25, y)), disc)


def _dust(_o: F32, d: F32, t: F32) -> tuple[F32, F32]:
    clear = smoothstep(21, 11, t)
    return clear, _sundown(d) * (1 - clear)


def colours() -> Scene:
    """Three colours, one above the other, on a stair of drums."""
    return Scene(
        parts=(
            Part(sdf=lambda p: p[2] + f(2.9), material=plaster(PEACH)),
            Part(
                sdf=lambda p: cylinder(move(p, (-0.62, 0, 1.5)), 0.98, 0.0, 0.5, 0.05),
                material=plaster(CREAM, 241),
                centre=(-0.62, 0.25, 1.5),
                radius=1.05,
            ),
            Part(
                sdf=lambda p: cylinder(move(p, (0.72, 0, 0.0)), 1.0, 0.0, 2.2, 0.05),
                material=plaster(TERRACOTTA, 231),
                centre=(0.72, 1.1, 0),
                radius=1.5,
            ),
            Part(
                sdf=lambda p: cylinder(move(p, (-0.62, 0, -1.35)), 1.0, 0.0, 3.95, 0.05),
                material=plaster(ROSE, 221),
                centre=(-0.62, 1.95, -1.35),
                radius=2.25,
            ),
            *headphones((-0.62, 0.5, 1.5), SAND, spin=-30, size=0.74),
            *headphones((0.72, 2.2, 0.0), PINE, spin=30, size=0.74),
            *headphones((-0.62, 3.95, -1.35), CLAY, spin=-30, size=0.74),
        ),
        floor=(0.0, plaster(PEACH, 261)),
        bounds=((-6, -0.05, -3.1), (6, 9, 5)),
        lights=_sunlight(),
        sky=_air,
        camera=Camera(eye=(0, 3.1, 12.5), target=(0, 2.72, 0), fov_deg=30.5),
        reach=30,
        bounces=3,
    )


TALL = (720, 1280)


WARM = Look(
    exposure=-0.05,
    glow=0.05,
    contrast=1.06,
    saturation=1.08,
    vignette=0.2,
    grain=0.008,
    highlights=(1.02, 1.0, 0.98),
)


DUSK = replace(WARM, exposure=-0.42, contrast=1.12, saturation=1.14, vignette=0.3)


PICTURES: tuple[Picture, ...] = (
    Picture(name="hush/hero", size=TALL, build=hero, look=WARM, samples=8, seed=21),
    Picture(name="hush/cup", size=TALL, build=cup, look=WARM, samples=8, seed=22),
    Picture(name="hush/court", size=TALL, build=court, look=WARM, samples=8, seed=23),
    Picture(name="hush/quiet", size=TALL, build=quiet, look=DUSK, samples=8, seed=24),
    Picture(name="hush/colours", size=TALL, build=colours, look=WARM, samples=8, seed=25),
)
