"""Follow light through a scene: paths from the camera, bounced, lit, gathered tile by tile.

A path tracer in numpy: all paths of a tile advance together as one wave. Every surface asks one
lamp for its light, and sends one ray on. Random numbers come from a low-discrepancy sequence, so
some twenty paths a pixel do once ``finish.denoise`` has smoothed what is matte. Knows no file and
no process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drawing.scene import F32, FAR, Mask, Scene, column, dot, length, march, unit

Index: TypeAlias = NDArray[np.intp]
# A sample brighter than this is a rare path that would leave a white speck.
FIREFLY = 6.0
# A tile whose pixels are this sure of their brightness, on average, needs no more paths.
QUIET = 0.008
# Surfaces smoother than this show lamps as mirrors do.
POLISHED = 0.16
SKY_LIMIT = 2.5
# Fractional parts of the square roots of primes: a sequence that fills each dimension evenly.
_PRIMES = (
    *(2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79),
    *(83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173),
)
ALPHAS = np.sqrt(np.array(_PRIMES, dtype=np.float64)) % 1.0
PER_BOUNCE = 6
# So many samples tell whether a tile needs the others; they follow in one go, as numpy likes it.
PROBE = 8
DIFFUSE, GLOSS, SHARP = 0, 1, 2


def frame(n: F32) -> tuple[F32, F32]:
    """Two unit vectors that complete each normal to a right-handed basis."""
    sign = np.where(n[2] >= 0, np.float32(1), np.float32(-1))
    a = -1 / (sign + n[2])
    b = n[0] * n[1] * a
    tangent = np.stack([1 + sign * n[0] * n[0] * a, sign * b, -sign * n[0]])
    return tangent, np.stack([b, sign + n[1] * n[1] * a, -n[1]])


def _value(source: Any, p: F32) -> F32:
    if callable(source):
        out: F32 = source(p)
        return out
    return np.broadcast_to(column(source), p.shape).astype(np.float32)


@dataclass(slots=True)
class _Surface:
    """Material values gathered for n hit points."""

    albedo: F32
    rough: F32
    f0: F32
    metal: Mask
    emit: F32
    wrap: F32
    normal: F32
    brush: F32
    ior: F32
    absorb: F32


def _surface(scene: Scene, p: F32, n: F32, who: NDArray[np.intp]) -> _Surface:
    count = p.shape[1]
    zero = np.zeros(count, dtype=np.float32)
    out = _Surface(
        albedo=np.zeros_like(p),
        rough=zero.copy(),
        f0=np.zeros_like(p),
        metal=np.zeros(count, dtype=np.bool_),
        emit=np.zeros_like(p),
        wrap=zero.copy(),
        normal=n.copy(),
        brush=np.zeros((4, count), dtype=np.float32),
        ior=zero.copy(),
        absorb=np.zeros_like(p),
    )
    for number in np.unique(who).tolist():
        index = np.flatnonzero(who == number)
        material, q = scene.material(int(number)), p[:, index]
        albedo = _value(material.albedo, q)
        out.albedo[:, index] = albedo
        out.rough[index] = material.rough(q) if callable(material.rough) else material.rough
        out.f0[:, index] = albedo if material.metal else np.float32(material.f0)
        out.metal[index] = material.metal
        out.wrap[index] = material.wrap
        out.ior[index] = material.ior
        out.absorb[:, index] = column(material.absorb)
        if material.emit is not None:
            out.emit[:, index] = _value(material.emit, q)
        if material.bump is not None:
            out.normal[:, index] = unit(n[:, index] + material.bump(q))
        if material.brush is not None:
            out.brush[:3, index] = column(material.brush)
            out.brush[3, index] = material.brush_rough
    return out


def _sample_light(scene: Scene, p: F32, u: F32) -> tuple[F32, F32, F32]:
    """Pick one light a point: direction, distance, irradiance over pi and probability."""
    weights = np.array([light.weight for light in scene.lights], dtype=np.float64)
    edges = np.cumsum(weights / weights.sum())
    pick = np.minimum(np.searchsorted(edges, u[0].astype(np.float64)), len(edges) - 1)
    direction, power = np.zeros_like(p), np.zeros_like(p)
    reach = np.full(p.shape[1], FAR, dtype=np.float32)
    for number, light in enumerate(scene.lights):
        index = np.flatnonzero(pick == number)
        if not index.size:
            continue
        share = np.float32(weights[number] / weights.sum())
        if light.sun:
            to = unit(column(light.position))
            tangent, other = frame(to)
            radius = np.sqrt(u[1, index]) * np.float32(light.spread)
            angle = u[2, index] * np.float32(2 * np.pi)
            ray = unit(to + tangent * (radius * np.cos(angle)) + other * (radius * np.sin(angle)))
            direction[:, index] = ray
            power[:, index] = column(light.color) / share
            continue
        du, dv = column(light.u), column(light.v)
        spot = column(light.position) + du * (2 * u[1, index] - 1) + dv * (2 * u[2, index] - 1)
        offset = spot - p[:, index]
        far = length(offset)
        ray = offset / far
        cross = np.cross(du, dv, axis=0).astype(np.float32)
        area = np.float32(4) * length(cross)[0]
        facing = np.abs(dot(ray, unit(cross)))
        solid = facing * area / np.maximum(far * far, np.float32(0.05)) / np.float32(np.pi)
        direction[:, index], reach[index] = ray, far - np.float32(light.clearance)
        power[:, index] = column(light.color) * solid / share
    return direction, reach, power


def _highlight(n: F32, to: F32, d: F32, ring: F32) -> F32:
    """Microfacet answer times pi, without Fresnel: GGX with Kelemen's shadowing."""
    half = unit(to - d)
    a2 = np.maximum(ring * ring, np.float32(4e-4))
    cos_h = dot(n, half).clip(0, 1)
    spread = cos_h * cos_h * (a2 - 1) + 1
    out: F32 = a2 / (spread * spread) / (4 * np.maximum(dot(to, half), np.float32(0.15)) ** 2)
    return out


def _lamps_seen(scene: Scene, o: F32, d: F32, t: F32) -> F32:
    """Light of the rectangles that mirror rays meet before their surface, ``(3, n)``."""
    total = np.zeros_like(o)
    for light in scene.lights:
        if light.sun or not light.mirrored:
            continue
        du, dv = column(light.u), column(light.v)
        normal = unit(np.cross(du, dv, axis=0).astype(np.float32))
        slope = dot(d, normal)
        along = dot(column(light.position) - o, normal) / np.where(slope == 0, 1e-6, slope)
        spot = o + d * along - column(light.position)
        a = np.abs(dot(spot, du)) / dot(du, du)
        b = np.abs(dot(spot, dv)) / dot(dv, dv)
        # Softboxes fade towards their rim, so highlights have soft ends.
        rim = np.clip((1 - np.maximum(a, b)) * np.float32(5), 0, 1)
        seen = (along > 0) & (along < t)
        total += column(light.color) * np.where(seen, rim, 0)
    return total


@dataclass(slots=True)
class Tile:
    """Sums over the samples of one tile: ``(channels, pixels)`` float64, not yet averaged.

    Light comes in three layers by what its path met first: ``diffuse``, to be divided by albedo
    before it is smoothed; ``gloss``, highlights of dull surfaces; ``sharp``, all the rest. What a
    dull metal reflects counts as diffuse: it too is its colour times a smooth light.
    """

    diffuse: NDArray[np.float64]
    gloss: NDArray[np.float64]
    sharp: NDArray[np.float64]
    albedo: NDArray[np.float64]
    normal: NDArray[np.float64]
    depth: NDArray[np.float64]
    samples: int = 0


@dataclass(slots=True)
class _Wave:
    """The paths still under way, one column each.

    ``index`` which camera ray a path belongs to; ``through`` what share of light it still
    carries; ``route`` the layer its light goes to; ``mirror`` whether the last bounce was sharp;
    ``side`` -1 inside a clear body; ``u`` this bounce's random numbers, six rows.
    """

    index: Index
    o: F32
    d: F32
    through: F32
    route: Index
    mirror: Mask
    side: F32
    u: F32

    def only(self, keep: Mask) -> None:
        """Drop the other paths."""
        self.index, self.route = self.index[keep], self.route[keep]
        self.mirror, self.side = self.mirror[keep], self.side[keep]
        self.o, self.d, self.through = self.o[:, keep], self.d[:, keep], self.through[:, keep]


@dataclass(slots=True)
class _Hit:
    """Where the paths of a wave have met a surface, and how it will answer."""

    surface: _Surface
    start: F32
    lift: F32
    outward: F32
    normal: F32
    combed: F32
    fresnel: F32
    odds: F32
    matte: F32
    spec: Mask
    glass: Mask
    polished: Mask

    @property
    def soft(self) -> Mask:
        """Paths that go on as scattered light."""
        return ~self.spec & ~self.glass

    @property
    def dull_metal(self) -> Mask:
        """Metals whose reflections are too blurred to show a lamp."""
        return self.surface.metal & ~self.polished


class _Film:
    """What camera rays have gathered: three layers of light and the guides of the denoiser."""

    def __init__(self, shape: tuple[int, ...], reach: float) -> None:
        self.layers = np.zeros((3, *shape), dtype=np.float32)
        self.albedo = np.zeros(shape, dtype=np.float32)
        self.normal = np.zeros(shape, dtype=np.float32)
        self.depth = np.full(shape[1], reach, dtype=np.float32)

    def add(self, index: Index, light: F32, layer: Index) -> None:
        """Gather light, rare glaring paths cut short."""
        self.layers[layer, :, index] += np.minimum(light, np.float32(FIREFLY)).T


def _gather_air(scene: Scene, wave: _Wave, film: _Film, t: F32, hit: Mask, *, first: bool) -> None:
    """Add what lies before and beyond surfaces: haze, lamps in mirrors, sky."""
    if scene.fog is not None:
        # Haze counts where it is seen: straight on, in a mirror, through glass.
        clean = np.flatnonzero(wave.mirror & (wave.side > 0))
        clear, glow = scene.fog(wave.o[:, clean], wave.d[:, clean], t[clean])
        film.add(wave.index[clean], wave.through[:, clean] * glow, wave.route[clean])
        wave.through[:, clean] *= clear
    seen = wave.mirror & (wave.side > 0)
    if not first and seen.any():
        lamp = _lamps_seen(scene, wave.o[:, seen], wave.d[:, seen], t[seen])
        film.add(wave.index[seen], wave.through[:, seen] * lamp, wave.route[seen])
    miss = ~hit
    if miss.any():
        sky = scene.backdrop if first and scene.backdrop is not None else scene.sky
        light = sky(wave.d[:, miss])
        # A dull surface has met the sun by itself; what is left is the sky around it.
        light = np.where(wave.mirror[miss], light, np.minimum(light, np.float32(SKY_LIMIT)))
        film.add(wave.index[miss], wave.through[:, miss] * light, wave.route[miss])


def _meet(scene: Scene, wave: _Wave, t: F32) -> _Hit:
    """Read the surfaces that the rays of a wave end on and toss for each path's answer."""
    p = wave.o + wave.d * t
    who = scene.owner(p)
    normal = scene.normal(p, t, who)
    s = _surface(scene, p, normal, who)
    outward, shade = normal * wave.side, s.normal * wave.side
    u = wave.u
    cos_v = np.clip(-dot(wave.d, shade), np.float32(0.02), np.float32(1))
    grazing = np.maximum(s.f0, np.maximum(1 - s.rough, np.float32(0))[None, :])
    fresnel = s.f0 + (grazing - s.f0) * (1 - cos_v) ** 5
    strength = fresnel.max(axis=0)
    glass = s.ior > 0
    odds = np.where(s.metal, np.float32(1), np.clip(strength, 0.15, 0.85).astype(np.float32))
    odds = np.where(glass, np.clip(strength, 0.05, 1).astype(np.float32), odds)
    lift = outward * (np.float32(1.5e-3) + t * np.float32(6e-4))
    return _Hit(
        surface=s,
        start=p + lift,
        lift=lift,
        outward=outward,
        normal=shade,
        # Brushed metal: each path meets another scratch.
        combed=unit(shade + s.brush[:3] * (s.brush[3] * (2 * u[3] - 1))),
        fresnel=fresnel,
        odds=odds,
        matte=np.where(s.metal, np.float32(0), s.albedo * (1 - strength)),
        spec=u[0] < odds,
        glass=glass,
        polished=s.rough < POLISHED,
    )


def _gather_lamps(scene: Scene, wave: _Wave, hit: _Hit, film: _Film, *, first: bool) -> None:
    """Add the light of one lamp a path; polished metals meet lamps by reflection instead."""
    lit_by = np.flatnonzero(~hit.glass & ~(hit.surface.metal & hit.polished))
    if not lit_by.size or not scene.lights:
        return
    to, reach, power = _sample_light(scene, hit.start[:, lit_by], wave.u[1:4][:, lit_by])
    cos_l = dot(to, hit.normal[:, lit_by])
    wrap = hit.surface.wrap[lit_by]
    lit = np.maximum((cos_l + wrap) / (1 + wrap), 0)
    # The band that only wrapping lights takes the surface's own colour, as flesh does.
    edge = np.clip(lit - np.maximum(cos_l, 0), 0, 1)
    own = hit.surface.albedo[:, lit_by]
    answer = hit.matte[:, lit_by] * (1 + edge * (own / own.max(axis=0).clip(0.05) - 1)) * lit
    ring = hit.surface.rough[lit_by] * hit.surface.rough[lit_by]
    shine = _highlight(hit.combed[:, lit_by], to, wave.d[:, lit_by], ring) * cos_l.clip(0)
    shine = hit.fresnel[:, lit_by] * np.where(hit.polished[lit_by], 0, shine)
    shadow = np.zeros(lit.size, dtype=np.float32)
    want = np.flatnonzero((answer + shine).max(axis=0) > np.float32(1e-4))
    if want.size:
        creep = hit.outward[:, lit_by[want]] * (wrap[want] * np.float32(0.02))
        blocked, met = march(scene, hit.start[:, lit_by[want]] + creep, to[:, want], coarse=True)
        shadow[want] = ~met | (blocked > reach[want])
    arriving = wave.through[:, lit_by] * power * shadow
    flat = shiny = wave.route
    if first:
        flat = np.full_like(wave.route, DIFFUSE)
        shiny = np.where(hit.dull_metal, DIFFUSE, GLOSS)
    film.add(wave.index[lit_by], arriving * answer, flat[lit_by])
    film.add(wave.index[lit_by], arriving * shine, shiny[lit_by])


def _reflected(wave: _Wave, hit: _Hit) -> F32:
    """Mirror directions, blurred by roughness (GGX half vectors)."""
    ring = hit.surface.rough * hit.surface.rough
    tangent, other = frame(hit.combed)
    u, v = wave.u[4], wave.u[5] * np.float32(2 * np.pi)
    tan = ring * np.sqrt(u / np.maximum(1 - u, np.float32(1e-3)))
    half = unit(hit.combed + tangent * (tan * np.cos(v)) + other * (tan * np.sin(v)))
    bent = wave.d - half * (2 * dot(wave.d, half))
    under = dot(bent, hit.outward)
    return unit(bent - hit.outward * np.where(under < 0, 2 * under, 0))


def _scattered(wave: _Wave, hit: _Hit) -> F32:
    """Directions of matte surfaces, likelier towards the normal (cosine law)."""
    tangent, other = frame(hit.normal)
    radius, angle = np.sqrt(wave.u[4]), wave.u[5] * np.float32(2 * np.pi)
    up = np.sqrt(np.maximum(1 - wave.u[4], np.float32(0)))
    return unit(
        hit.normal * up + tangent * (radius * np.cos(angle)) + other * (radius * np.sin(angle))
    )


def _bend(wave: _Wave, hit: _Hit, bend: Mask, direction: F32) -> None:
    """Refract paths into or out of clear bodies, or keep them in by total reflection."""
    ior = hit.surface.ior
    eta = np.where(wave.side > 0, 1 / np.maximum(ior, 1e-3), ior)[bend].astype(np.float32)
    d, outward = wave.d[:, bend], hit.outward[:, bend]
    cos_i = np.clip(-dot(d, outward), 0, 1)
    k = 1 - eta * eta * (1 - cos_i * cos_i)
    passed = d * eta + outward * (eta * cos_i - np.sqrt(k.clip(0)))
    total = k < 0
    direction[:, bend] = unit(np.where(total, d + outward * (2 * cos_i), passed))
    crossed = np.flatnonzero(bend)[~total]
    hit.start[:, crossed] -= 2 * hit.lift[:, crossed]
    wave.side[crossed] = -wave.side[crossed]


def _go_on(wave: _Wave, hit: _Hit) -> None:
    """Send each path on its next way and end some of those that carry little."""
    bend = ~hit.spec & hit.glass
    direction = np.where(hit.spec, _reflected(wave, hit), _scattered(wave, hit))
    weight = np.where(
        hit.spec, hit.fresnel / hit.odds, hit.matte / (1 - hit.odds + np.float32(1e-6))
    )
    if bend.any():
        weight[:, bend] = np.float32(1)
        _bend(wave, hit, bend, direction)
    wave.through = wave.through * weight
    wave.mirror = (hit.spec & hit.polished) | bend
    wave.o, wave.d = hit.start, direction
    # Ended by lot; the survivors carry the share of the others.
    odds = np.clip(wave.through.max(axis=0) * 3, np.float32(0.3), np.float32(1))
    odds = np.where(hit.soft, np.float32(0.5), odds.astype(np.float32))
    keep = wave.u[0] * np.float32(7919) % np.float32(1) < odds
    wave.through = wave.through / odds
    wave.only(keep)


def trace(scene: Scene, o: F32, d: F32, u: F32) -> tuple[F32, ...]:
    """Light along camera rays: the layers of ``Tile``, then albedo, normal and depth.

    ``u`` holds the random numbers of each path, ``(4 + 6 * (bounces + 1), n)`` in 0..1; the
    first four rows are the camera's.
    """
    count = o.shape[1]
    film = _Film(o.shape, scene.reach)
    wave = _Wave(
        index=np.arange(count),
        o=o,
        d=d,
        through=np.ones_like(o),
        route=np.full(count, SHARP),
        mirror=np.ones(count, dtype=np.bool_),
        side=np.ones(count, dtype=np.float32),
        u=u,
    )
    for bounce in range(scene.bounces + 1):
        first = bounce == 0
        inside = wave.side if (wave.side < 0).any() else None
        t, met = march(scene, wave.o, wave.d, inside, coarse=not wave.mirror.any())
        _gather_air(scene, wave, film, t, met, first=first)
        if first:
            film.depth[:] = t
        wave.only(met)
        if not wave.index.size:
            break
        wave.u = u[4 + PER_BOUNCE * bounce : 4 + PER_BOUNCE * (bounce + 1)][:, wave.index]
        hit = _meet(scene, wave, t[met])
        film.add(wave.index, wave.through * hit.surface.emit, wave.route)
        # Glass takes its toll for the way just travelled inside.
        toll = np.where(wave.side < 0, np.exp(-hit.surface.absorb * t[met]), np.float32(1))
        wave.through = wave.through * toll
        if first:
            bare = hit.glass | (hit.surface.metal & hit.polished)
            own = np.where(bare, np.float32(0), hit.surface.albedo)
            film.albedo[:, wave.index] = own * wave.through[0]
            film.normal[:, wave.index] = hit.normal
        _gather_lamps(scene, wave, hit, film, first=first)
        if first:
            wave.route = np.where(~hit.polished & ~hit.glass, GLOSS, wave.route)
            wave.route = np.where(hit.soft | hit.dull_metal, DIFFUSE, wave.route)
        _go_on(wave, hit)
        if not wave.index.size:
            break
    return (*film.layers, film.albedo, film.normal, film.depth)


def render_tile(
    scene: Scene,
    *,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    samples: int,
    seed: int,
) -> Tile:
    """Draw the pixels of ``box`` (left, top, right, bottom) of a picture of ``size`` pixels.

    The random numbers depend on seed and box alone, so tiles may be drawn in any order.
    """
    width, height = size
    left, top, right, bottom = box
    xs, ys = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
    px, py = xs.ravel().astype(np.float32), ys.ravel().astype(np.float32)
    pixels = px.size
    rng = np.random.default_rng([seed, left, top])
    dims = 4 + PER_BOUNCE * (scene.bounces + 1)
    offsets = rng.random((dims, pixels))
    alphas = np.resize(ALPHAS, dims)[:, None]
    tile = Tile(
        diffuse=np.zeros((3, pixels)),
        gloss=np.zeros((3, pixels)),
        sharp=np.zeros((3, pixels)),
        albedo=np.zeros((3, pixels)),
        normal=np.zeros((3, pixels)),
        depth=np.zeros((1, pixels)),
    )
    first = second = np.zeros(pixels)
    for batch in (range(min(PROBE, samples)), range(PROBE, samples)):
        if not batch:
            break
        u = np.concatenate([(offsets + number * alphas) % 1.0 for number in batch], axis=1).astype(
            np.float32
        )
        x = (np.tile(px, len(batch)) + u[0]) * np.float32(2 / height) - np.float32(width / height)
        y = np.float32(1) - (np.tile(py, len(batch)) + u[1]) * np.float32(2 / height)
        o, d = scene.camera.rays(x, y, u[2], u[3])
        o = np.broadcast_to(o, d.shape).astype(np.float32)
        sums = (tile.diffuse, tile.gloss, tile.sharp, tile.albedo, tile.normal, tile.depth)
        layers = trace(scene, o, d, u)
        for total, part in zip(sums, layers, strict=True):
            rows = part if part.ndim == 2 else part[None, :]
            np.add(total, rows.reshape(rows.shape[0], len(batch), pixels).sum(axis=1), out=total)
        level = (layers[0] + layers[1] + layers[2]).mean(axis=0).reshape(len(batch), pixels)
        first, second = first + level.sum(axis=0), second + (level**2).sum(axis=0)
        tile.samples += len(batch)
        mean = first / tile.samples
        spread = np.maximum(second / tile.samples - mean**2, 0) / tile.samples
        if float((np.sqrt(spread) / (mean + 0.05)).mean()) < QUIET:
            break
    return tile
