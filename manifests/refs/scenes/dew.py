"""Aurora, second shot: the cap from close by, wet with dew."""

from __future__ import annotations

import numpy as np
from drawing.scene import F32, FAR, Camera, Light, Material, Part, Scene, column
from drawing.shapes import f, norm2, ramp, smoothstep, turn

from scenes.bottle import BODY_RADIUS, body, bottle, coat_tone
from scenes.coast import SUN, dawn_sky


def _dew(p: F32) -> F32:
    """Beads of water on the lacquer, one at most in each cell of a wrapped grid."""
    out = body(p) - f(0.045)
    near = np.flatnonzero(out < f(0.02))
    if not near.size:
        return out
    q = p[:, near]
    angle = np.arctan2(q[0], q[2]) * f(BODY_RADIUS)
    best = np.full(near.size, FAR, dtype=np.float32)
    for layer, cell in ((0, 0.135), (1, 0.062), (2, 0.034)):
        table = np.random.default_rng(70 + layer).random((4, 97, 97)).astype(np.float32)
        i, j = np.floor(angle / f(cell)), np.floor(q[1] / f(cell))
        at = table[:, i.astype(np.int64) % 97, j.astype(np.int64) % 97]
        size = f(cell) * (f(0.10) + f(0.26) * at[2] ** 2)
        present = at[3] < (0.5, 0.6, 0.5)[layer]
        room = f(cell / 2) - size
        du = angle - (i + f(0.5)) * f(cell) - (at[0] * 2 - 1) * room
        dv = q[1] - (j + f(0.5)) * f(cell) - (at[1] * 2 - 1) * room
        height = (out[near] + f(0.045)) * f(1.5)
        bead = np.sqrt(du * du + dv * dv + height * height) - size
        wall = np.minimum(
            f(cell / 2) - np.abs(angle - (i + f(0.5)) * f(cell)),
            f(cell / 2) - np.abs(q[1] - (j + f(0.5)) * f(cell)),
        )
        bead = np.where(present, bead, FAR)
        best = np.minimum(best, np.minimum(bead * f(0.6), wall + f(0.006)))
    out[near] = np.minimum(best, f(0.06))
    return out


def _bead_tone(p: F32) -> F32:
    return coat_tone(turn(p, "y", 16)) * f(0.9) + f(0.015)


DEW = Material(albedo=_bead_tone, rough=0.04, f0=0.06)


def cap() -> Scene:
    """Macro of cap and shoulder with dew, sun low behind."""
    return Scene(
        parts=(
            *bottle(spin=-16),
            Part(sdf=_dew, material=DEW, centre=(0, 1.16, 0), radius=1.3),
        ),
        bounds=((-0.52, -0.1, -0.52), (0.52, 3.2, 0.52)),
        lights=(
            Light(position=SUN, color=(5.0, 2.5, 1.2), sun=True, spread=0.05),
            Light(position=(-2.6, 3.4, 2.6), color=(2.6, 3.4, 4.6), u=(0.5, 0, 0.5), v=(0, 0.9, 0)),
            Light(
                position=(2.4, 2.4, -0.9), color=(9.0, 4.4, 2.1), u=(0.15, 0, 0.4), v=(0, 1.2, 0)
            ),
        ),
        sky=dawn_sky,
        backdrop=_distant_dawn,
        camera=Camera(
            eye=(-1.0, 2.95, 2.75), target=(0.32, 2.42, 0.0), fov_deg=31, aperture=0.05, focus=2.55
        ),
        relax=0.8,
        bounces=2,
    )


def _distant_dawn(d: F32) -> F32:
    """The same dawn far out of focus: soft discs of light where the wet rock glints."""
    sky = ramp(
        [
            (-0.62, (0.018, 0.022, 0.035)),
            (-0.34, (0.045, 0.042, 0.06)),
            (-0.22, (0.20, 0.12, 0.12)),
            (-0.12, (0.95, 0.46, 0.30)),
            (0.05, (0.80, 0.42, 0.44)),
            (0.30, (0.28, 0.30, 0.48)),
        ],
        d[1] - d[0] * f(0.12),
    )
    rng = np.random.default_rng(83)
    right, up = d[0] / -d[2], d[1] / -d[2]
    for _ in range(46):
        x, y = rng.uniform(-0.5, 1.6), rng.normal(-0.30, 0.10)
        radius, shine = rng.uniform(0.018, 0.055), rng.uniform(0.05, 0.42)
        disc = smoothstep(radius, radius * 0.86, norm2(right - f(x), up - f(y)))
        tint = column((1.0, rng.uniform(0.45, 0.62), rng.uniform(0.22, 0.42)))
        sky = sky + tint * disc * f(shine)
    return sky
