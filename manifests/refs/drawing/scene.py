"""What a picture is made of, and how a ray finds it: materials, parts, lights, camera, scene.

Points and directions are ``(3, n)`` float32 arrays, one column each; colours are linear light.
Surfaces are signed distances, met by sphere tracing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Arrays of float32. Not spelled out for the type checker: arithmetic with plain numbers, which is
# all that happens here, loses the element type in numpy's own annotations.
F32: TypeAlias = Any
Mask: TypeAlias = NDArray[np.bool_]
Color: TypeAlias = tuple[float, float, float]
Sdf: TypeAlias = Callable[[F32], F32]
Paint: TypeAlias = Callable[[F32], F32]

FAR = 1.0e3


def column(value: Any) -> F32:
    """A 3-vector as a ``(3, 1)`` array, to meet ``(3, n)`` ones."""
    return np.asarray(value, dtype=np.float32).reshape(3, 1)


def length(p: F32) -> F32:
    """Length of each column, ``(n,)``."""
    out: F32 = np.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
    return out


def unit(p: F32) -> F32:
    """Each column scaled to length 1."""
    out: F32 = p / np.maximum(length(p), np.float32(1e-9))
    return out


def dot(a: F32, b: F32) -> F32:
    """Column-wise scalar product, ``(n,)``."""
    out: F32 = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """How a surface answers light.

    ``albedo`` colour or function of the point; ``rough`` 0 mirror to 1 chalk, or a function;
    ``f0`` reflectance seen straight on (a metal takes it from its albedo); ``brush`` axis along
    which highlights of brushed metal stretch; ``wrap`` lets light creep round an edge, as in clay
    or wax; ``bump`` gives a vector to add to the normal; ``ior`` above 0 makes clear glass or
    water that takes ``absorb`` from the light for each unit of length.
    """

    albedo: Color | Paint = (0.8, 0.8, 0.8)
    rough: float | Callable[[F32], F32] = 0.5
    f0: float = 0.04
    metal: bool = False
    brush: Color | None = None
    brush_rough: float = 0.0
    emit: Color | Paint | None = None
    wrap: float = 0.0
    bump: Paint | None = None
    ior: float = 0.0
    absorb: Color = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A shape with one material; ``radius`` bounds it around ``centre`` (None: unbounded).

    ``layers`` are the shapes that ``sdf`` joins, when a quicker way to reckon them together is
    known: rays march by ``sdf``, and the layer they end on gives normal and material.
    """

    sdf: Sdf
    material: Material = field(default_factory=Material)
    layers: tuple[Part, ...] = ()
    centre: Color = (0.0, 0.0, 0.0)
    radius: float | None = None


@lru_cache(maxsize=4)
def leaves(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The single shapes of a scene, layers instead of what they make up."""
    return tuple(leaf for part in parts for leaf in (part.layers or (part,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """A lamp: a rectangle that shines both ways or, with ``sun``, a small disc far away.

    A rectangle is spanned by ``u`` and ``v``, half its sides; a sun lies towards ``position``.

    ``color`` is radiance for a rectangle, irradiance on a facing surface for a sun; ``weight``
    the share of the samples it is given; ``clearance`` the reach of the lamp's own body, which
    casts no shadow.
    """

    position: Color
    color: Color
    u: Color = (0.0, 0.0, 0.0)
    v: Color = (0.0, 0.0, 0.0)
    sun: bool = False
    spread: float = 0.02
    weight: float = 1.0
    mirrored: bool = True
    clearance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A thin lens at ``eye``; ``fov_deg`` is the vertical angle, ``aperture`` the lens radius."""

    eye: Color
    target: Color
    fov_deg: float = 35.0
    aperture: float = 0.0
    focus: float | None = None

    def rays(self, x: F32, y: F32, lens_u: F32, lens_v: F32) -> tuple[F32, F32]:
        """Origins and directions for image-plane points; y runs from -1 to 1, upwards."""
        eye, target = column(self.eye), column(self.target)
        forward = unit(target - eye)
        right = unit(np.cross(forward, column((0, 1, 0)), axis=0).astype(np.float32))
        up = np.cross(right, forward, axis=0).astype(np.float32)
        half = np.float32(np.tan(np.radians(self.fov_deg) / 2))
        direction = forward + right * (x * half) + up * (y * half)
        focus = self.focus if self.focus is not None else float(length(target - eye)[0])
        radius, angle = np.sqrt(lens_u) * np.float32(self.aperture), lens_v * np.float32(2 * np.pi)
        shift = right * (radius * np.cos(angle)) + up * (radius * np.sin(angle))
        return eye + shift, unit(direction * np.float32(focus) - shift)


Sky: TypeAlias = Callable[[F32], F32]
Fog: TypeAlias = Callable[[F32, F32, F32], tuple[F32, F32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything a picture is made of.

    ``sky`` gives the light from a direction; ``backdrop`` what the camera sees there instead, if
    it differs; ``fog`` maps origin, direction and distance to (transmittance, added light);
    ``relax`` below 1 is for shapes whose distance is only an estimate. ``floor`` is an endless
    level plane, met exactly; ``bounds`` a box that holds every part, outside which no ray walks.
    """

    parts: tuple[Part, ...]
    lights: tuple[Light, ...]
    sky: Sky
    camera: Camera
    floor: tuple[float, Material] | None = None
    bounds: tuple[Color, Color] | None = None
    backdrop: Sky | None = None
    fog: Fog | None = None
    relax: float = 0.95
    reach: float = 40.0
    bounces: int = 3
    margin: float = 0.08
    steps: int = 110

    def distance(self, p: F32) -> F32:
        """Distance to the nearest surface, or a smaller safe step towards it, ``(n,)``."""
        best = np.full(p.shape[1], FAR, dtype=np.float32)
        for part in self.parts:
            if part.radius is None:
                np.minimum(best, part.sdf(p), out=best)
                continue
            bound = length(p - column(part.centre)) - np.float32(part.radius)
            near = bound < self.margin
            index = np.flatnonzero(near & (bound < best))
            step = np.where(near, np.float32(FAR), bound)
            if index.size == near.size:
                step = part.sdf(p)
            elif index.size:
                step[index] = part.sdf(p[:, index])
            np.minimum(best, step, out=best)
        return best

    def owner(self, p: F32) -> NDArray[np.intp]:
        """Index of the part whose surface each point lies on, ``(n,)``; the floor comes last."""
        best = np.full(p.shape[1], FAR, dtype=np.float32)
        who = np.zeros(p.shape[1], dtype=np.intp)
        for number, part in enumerate(leaves(self.parts)):
            if part.radius is None:
                index = np.arange(best.size)
            else:
                bound = length(p - column(part.centre)) - np.float32(part.radius)
                index = np.flatnonzero(bound < self.margin)
            if index.size:
                value = np.abs(part.sdf(p[:, index]))
                closer = value < best[index]
                best[index[closer]] = value[closer]
                who[index[closer]] = number
        if self.floor is not None:
            who[np.abs(p[1] - np.float32(self.floor[0])) < np.minimum(best, 0.02)] = -1
        return who

    def material(self, number: int) -> Material:
        """Material of the part that ``owner`` named."""
        if number < 0 and self.floor is not None:
            return self.floor[1]
        return leaves(self.parts)[number].material

    def span(self, o: F32, d: F32) -> tuple[F32, F32, F32]:
        """Where each ray enters and leaves the bounds, and where it meets the floor."""
        inverse = 1 / np.where(np.abs(d) < np.float32(1e-7), np.float32(1e-7), d)
        first = np.zeros(o.shape[1], dtype=np.float32)
        last = np.full(o.shape[1], self.reach, dtype=np.float32)
        if self.bounds is not None:
            a = (column(self.bounds[0]) - o) * inverse
            b = (column(self.bounds[1]) - o) * inverse
            first = np.maximum(np.minimum(a, b).max(axis=0), first)
            last = np.minimum(np.maximum(a, b).min(axis=0), last)
        ground = np.full(o.shape[1], self.reach, dtype=np.float32)
        if self.floor is not None:
            along = (np.float32(self.floor[0]) - o[1]) * inverse[1]
            ground = np.where(along > 0, np.minimum(along, ground), ground)
        return first, np.minimum(last, ground), ground

    def normal(self, p: F32, t: F32, who: NDArray[np.intp]) -> F32:
        """Outward normals of the owning parts, from four samples around each point."""
        e = np.maximum(np.float32(4e-4), t * np.float32(3e-4))
        total = np.zeros_like(p)
        for number in np.unique(who).tolist():
            index = np.flatnonzero(who == number)
            if number < 0:
                total[1, index] = 1
                continue
            sdf, q, reach = leaves(self.parts)[int(number)].sdf, p[:, index], e[index]
            for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
                k = column(corner)
                total[:, index] += k * sdf(q + k * reach)
        return unit(total)


def march(
    scene: Scene, o: F32, d: F32, side: F32 | None = None, *, coarse: bool = False
) -> tuple[F32, Mask]:
    """Follow rays to the first surface: distances ``(n,)`` and which of them hit.

    ``side`` is 1 outside and -1 inside a clear body; None means outside everywhere. ``coarse``
    stops a little above the surface: enough for shadows and scattered light.
    """
    t, last, ground = scene.span(o, d)
    t_out, hit_out = ground.copy(), ground < np.float32(scene.reach)
    alive = np.flatnonzero(t < last)
    o, d, t, last = o[:, alive], d[:, alive], t[alive], last[alive]
    side = side if side is None else side[alive]
    for step in range(scene.steps):
        if not alive.size:
            break
        gap = scene.distance(o + d * t)
        if side is not None:
            gap = gap * side
        if coarse:
            near = np.minimum(np.float32(2e-4) + np.float32(0.01) * t, np.float32(6e-3))
            touch = gap < near
        else:
            touch = gap < np.float32(2e-4) + np.float32(3.5e-4) * t
        # The last few rays, mostly along edges, are not worth a walk of their own.
        if step == scene.steps - 1 or (step > 48 and alive.size * 256 < t_out.size):
            touch = gap < np.float32(0.02)
        t = np.where(touch, t, t + np.maximum(gap, np.float32(1e-4)) * np.float32(scene.relax))
        done = touch | (t > last)
        if step > 48 and alive.size * 256 < t_out.size:
            done[:] = True
        if done.any():
            ended = alive[touch]
            t_out[ended], hit_out[ended] = t[touch], True
            keep = ~done
            alive, o, d = alive[keep], o[:, keep], d[:, keep]
            t, last = t[keep], last[keep]
            side = side if side is None else side[keep]
    return t_out, hit_out
