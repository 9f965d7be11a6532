"""Aurora, an insulated bottle: the pictures of the spot."""

from __future__ import annotations

import numpy as np
from drawing.finish import Look
from drawing.picture import Picture
from drawing.scene import F32, Camera, Fog, Light, Material, Part, Scene, Sky
from drawing.shapes import f, mix, ramp, smoothstep

from scenes.bottle import bottle
from scenes.coast import ROCK, SEA, SUN, Basalt, dawn_sky, sea_mist
from scenes.dew import cap
from scenes.northern import pack
from scenes.pour import pour
from scenes.ridge import ridge


def _shore(cx: F32, cz: F32, rise: F32) -> F32:
    """Steps down to the sea on the right, a broken wall on the left and behind."""
    wall = smoothstep(-1.6, -6.5, cx + cz * f(0.28)) * f(3.4)
    fall = smoothstep(0.5, 4.5, cx - cz * f(0.10)) * f(-1.5)
    back = smoothstep(-2.0, -7.0, cz) * f(-1.1)
    step = np.round((wall + fall + back) * f(3)) / f(3)
    front = smoothstep(0.4, 2.2, cz) * f(-0.35)
    return step + front - f(0.42) + rise * (f(0.24) + wall * f(0.16))


def dawn() -> Scene:
    """Key frame of the opening: the bottle alone on the highest column, sea beyond."""
    at = (0.0, 0.0, 0.0)
    return Scene(
        parts=(
            Part(sdf=Basalt(_shore), material=ROCK),
            *bottle(at, spin=6),
        ),
        lights=(
            Light(position=SUN, color=(5.2, 2.5, 1.15), sun=True, spread=0.03, weight=2),
            Light(
                position=(-5.5, 4.2, 5.5),
                color=(1.7, 2.2, 3.0),
                u=(1.2, 0, 1.2),
                v=(0, 2.2, 0),
                weight=1,
            ),
        ),
        sky=dawn_sky,
        floor=(-2.1, SEA),
        bounds=((-22.1, -2.2, -22.1), (22.1, 3.9, 9.5)),
        fog=sea_mist(0.022, -2.1, 1.7),
        camera=Camera(
            eye=(-1.25, 1.5, 8.6), target=(0.75, 1.32, 0.0), fov_deg=31, aperture=0.035, focus=8.6
        ),
        reach=90.0,
        relax=0.9,
        steps=160,
    )


def _studio_sky(d: F32) -> F32:
    return ramp([(-0.4, (0.10, 0.11, 0.13)), (0.9, (0.42, 0.46, 0.52))], d[1])


def _endless(near: float, far: float, paint: Sky) -> Fog:
    """Let the floor melt into the backdrop between two distances, as in a studio cove."""

    def fog(_o: F32, d: F32, t: F32) -> tuple[F32, F32]:
        share = smoothstep(near, far, t)
        return f(1) - share, paint(d) * share

    return fog


def _paper(d: F32) -> F32:
    centre = np.exp(-(d[0] ** 2) * f(14) - (d[1] + f(0.02)) ** 2 * f(16))
    return mix((0.40, 0.44, 0.49), (0.86, 0.89, 0.92), centre)


def product() -> Scene:
    """Product card: front and label, soft boxes left and right, pale ground."""
    return Scene(
        parts=bottle(spin=-8),
        floor=(0.0, Material(albedo=(0.66, 0.685, 0.71), rough=0.32, f0=0.04)),
        bounds=((-0.5, -0.1, -0.5), (0.5, 3.2, 0.5)),
        lights=(
            Light(
                position=(-3.2, 2.6, 2.4),
                color=(7.5, 7.5, 7.7),
                u=(0.42, 0, 0.5),
                v=(0, 2.4, 0),
                weight=1.4,
            ),
            Light(
                position=(3.2, 2.2, 0.6), color=(5.5, 5.8, 6.2), u=(0.12, 0, -0.6), v=(0, 2.2, 0)
            ),
            Light(position=(0, 6.2, 0.4), color=(2.6, 2.6, 2.6), u=(2.4, 0, 0), v=(0, 0, -1.8)),
        ),
        sky=_studio_sky,
        backdrop=_paper,
        fog=_endless(9.5, 15.0, _paper),
        camera=Camera(eye=(0, 2.15, 9.4), target=(0, 1.52, 0), fov_deg=24.0),
        bounces=2,
    )


WIDE = (1280, 720)


DAWN_LOOK = Look(
    exposure=0.25,
    glow=0.10,
    contrast=1.08,
    saturation=1.12,
    shadows=(0.93, 0.99, 1.10),
    highlights=(1.03, 1.0, 0.96),
    vignette=0.4,
    grain=0.010,
)


PICTURES: tuple[Picture, ...] = (
    Picture(name="aurora/dawn", size=WIDE, build=dawn, look=DAWN_LOOK, samples=12, seed=11),
    Picture(name="aurora/cap", size=WIDE, build=cap, look=DAWN_LOOK, samples=12, seed=13),
    Picture(name="aurora/pour", size=WIDE, build=pour, look=DAWN_LOOK, samples=12, seed=14),
    Picture(name="aurora/ridge", size=WIDE, build=ridge, look=DAWN_LOOK, samples=12, seed=15),
    Picture(
        name="aurora/pack",
        size=WIDE,
        build=pack,
        samples=12,
        seed=16,
        look=Look(exposure=0.35, glow=0.09, contrast=1.06, vignette=0.4, grain=0.010),
    ),
    Picture(
        name="aurora/bottle",
        size=(900, 1200),
        build=product,
        samples=12,
        seed=12,
        look=Look(exposure=0.35, glow=0.03, vignette=0.18, contrast=1.05),
    ),
)
