"""One picture from its scene: tiles over worker processes, then the finish."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from drawing.finish import Look, denoise, develop, save_jpeg
from drawing.scene import F32, Scene
from drawing.tracing import Tile, render_tile

TILE_PX = 128
LIMIT_BYTES = 235_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What to draw: ``name`` is the file below ``refs/`` without its ending."""

    name: str
    size: tuple[int, int]
    build: Callable[[], Scene]
    samples: int = 32
    look: Look = field(default_factory=Look)
    seed: int = 1


@lru_cache(maxsize=1)
def _scene(build: Callable[[], Scene]) -> Scene:
    return build()


Job = tuple[Callable[[], Scene], tuple[int, int], tuple[int, int, int, int], int, int]


def _draw(job: Job) -> Tile:
    build, size, box, samples, seed = job
    with np.errstate(all="ignore"):
        return render_tile(_scene(build), size=size, box=box, samples=samples, seed=seed)


def render(
    picture: Picture, *, scale: float = 1.0, samples: int | None = None, processes: int = 1
) -> Image.Image:
    """Draw a picture at ``scale`` times its size; the same arguments give the same pixels."""
    width, height = (max(16, round(side * scale)) for side in picture.size)
    count = samples or picture.samples
    boxes = [
        (left, top, min(left + TILE_PX, width), min(top + TILE_PX, height))
        for top in range(0, height, TILE_PX)
        for left in range(0, width, TILE_PX)
    ]
    jobs = [(picture.build, (width, height), box, count, picture.seed) for box in boxes]
    if processes > 1:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            tiles = pool.map(_draw, jobs, chunksize=2)
    else:
        tiles = [_draw(job) for job in jobs]
    planes = {
        name: _assemble([getattr(t, name) / t.samples for t in tiles], boxes, (width, height))
        for name in ("diffuse", "gloss", "sharp", "albedo", "normal", "depth")
    }
    look = picture.look
    albedo = np.maximum(planes["albedo"], np.float32(0.02))
    guides = (planes["normal"], planes["depth"])
    tolerance = 0.9 * look.clean
    soft = denoise(planes["diffuse"] / albedo, *guides, passes=3, tolerance=tolerance)
    gloss = denoise(planes["gloss"], *guides, passes=3, tolerance=tolerance)
    sharp = denoise(planes["sharp"], *guides, passes=2, tolerance=tolerance / 3)
    return develop(soft * albedo + gloss + sharp, look, picture.seed)


def _assemble(
    parts: Sequence[np.ndarray],
    boxes: Sequence[tuple[int, int, int, int]],
    size: tuple[int, int],
) -> F32:
    width, height = size
    out = np.zeros((height, width, parts[0].shape[0]), dtype=np.float32)
    for part, (left, top, right, bottom) in zip(parts, boxes, strict=True):
        rows = part.reshape(part.shape[0], bottom - top, right - left)
        out[top:bottom, left:right] = np.moveaxis(rows, 0, 2)
    return out


def produce(
    picture: Picture, folder: Path, *, scale: float, samples: int | None, processes: int
) -> tuple[Path, int]:
    """Render and write ``folder/NAME.jpg``; gives the path and its size in bytes."""
    path = folder / f"{picture.name}.jpg"
    image = render(picture, scale=scale, samples=samples, processes=processes)
    return path, save_jpeg(image, path, LIMIT_BYTES)
