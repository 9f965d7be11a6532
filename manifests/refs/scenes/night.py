"""The night post: a fox courier and an owl librarian; the pictures of the film."""

from __future__ import annotations

import numpy as np
from drawing.finish import Look
from drawing.picture import Picture
from drawing.scene import F32, Camera, Color, Fog, Light, Material, Part, Scene, Sky
from drawing.shapes import f, mix, ramp, smoothstep

from scenes.fox import fox
from scenes.lane import lane
from scenes.library import gift, library, meeting
from scenes.owl import owl


def _card_fog(paint: Sky, near: float, far: float) -> Fog:
    def fog(_o: F32, d: F32, t: F32) -> tuple[F32, F32]:
        share = smoothstep(near, far, t)
        return f(1) - share, paint(d) * share

    return fog


def _card(figure: Part, ground: Color, paper: Sky, lift: float) -> Scene:
    return Scene(
        parts=(figure,),
        floor=(0.0, Material(albedo=ground, rough=0.9, f0=0.02)),
        bounds=((-1.3, -0.05, -1.3), (1.3, 2.2, 1.3)),
        lights=(
            Light(
                position=(-3.4, 4.2, 3.6),
                color=(7.0, 6.2, 5.2),
                u=(0.8, 0, 0.8),
                v=(0.3, 1.0, -0.3),
                weight=1.5,
            ),
            Light(position=(3.2, 2.6, -2.2), color=(4.2, 4.8, 6.4), u=(0.7, 0, 0.6), v=(0, 1.4, 0)),
        ),
        sky=lambda d: ramp([(-0.5, (0.26, 0.24, 0.24)), (0.8, (0.62, 0.64, 0.70))], d[1]),
        backdrop=paper,
        fog=_card_fog(paper, 8.0, 13.0),
        camera=Camera(eye=(0, 1.55, 7.6), target=(0, lift, 0), fov_deg=21.5),
        bounces=2,
    )


def _wash(edge: Color, middle: Color) -> Sky:
    def paint(d: F32) -> F32:
        r2 = d[0] ** 2 * f(16) + (d[1] + f(0.03)) ** 2 * f(14)
        return mix(
            edge, np.repeat(np.array(middle, np.float32)[:, None], d.shape[1], 1), np.exp(-r2)
        )

    return paint


def fox_card() -> Scene:
    """Character card of the courier."""
    return _card(
        fox((0.0, 0, 0), spin=-24, carrying=False),
        (0.42, 0.52, 0.54),
        _wash((0.22, 0.31, 0.34), (0.58, 0.70, 0.71)),
        1.0,
    )


def owl_card() -> Scene:
    """Character card of the librarian."""
    return _card(
        owl((0.0, 0, 0), spin=22),
        (0.60, 0.48, 0.36),
        _wash((0.36, 0.25, 0.17), (0.82, 0.66, 0.48)),
        0.95,
    )


WIDE = (1280, 720)
CARD = (900, 1200)


COSY = Look(
    exposure=0.55,
    glow=0.09,
    contrast=1.05,
    saturation=1.06,
    vignette=0.35,
    grain=0.009,
    shadows=(0.96, 0.98, 1.06),
    highlights=(1.03, 1.0, 0.96),
)


PAPER = Look(exposure=0.2, glow=0.03, vignette=0.2, grain=0.007)


PICTURES: tuple[Picture, ...] = (
    Picture(name="night/lane", size=WIDE, build=lane, look=COSY, samples=8, seed=31),
    Picture(name="night/library", size=WIDE, build=library, look=COSY, samples=8, seed=32),
    Picture(name="night/meeting", size=WIDE, build=meeting, look=COSY, samples=8, seed=33),
    Picture(name="night/parcel", size=WIDE, build=gift, look=COSY, samples=8, seed=34),
    Picture(name="night/fox", size=CARD, build=fox_card, look=PAPER, samples=8, seed=35),
    Picture(name="night/owl", size=CARD, build=owl_card, look=PAPER, samples=8, seed=36),
)
