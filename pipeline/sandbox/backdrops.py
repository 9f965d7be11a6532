"""What lies behind a reference that does not fill the frame: soft pictures without any detail.

They are worked out on a few cells in floating point, enlarged smoothly and dithered, so that slow
gradients show no bands.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from pipeline.sandbox import planes
from pipeline.sandbox.planes import Box, Floats, Planes

_STUDIO_LIGHT, _STUDIO_DARK = (236, 234, 230), (158, 156, 154)
# Cells along the longer side of the frame, or of a picture whose rim is looked at.
_GLOW_CELLS, _CARRIED_CELLS, _RIM_CELLS = 24, 64, 24
# Steps between neighbouring cells of a rim (0..255) that still pass for plain paper.
_PLAIN_STEP, _PLAIN_MEAN = 16.0, 5.0


def studio(frame: tuple[int, int]) -> Planes:
    """A lit paper sweep: brightest a little above the middle."""
    rows, columns = np.mgrid[0:36, 0:36].astype(np.float32) / np.float32(35)
    away = np.hypot((columns - 0.5) * 1.1, (rows - 0.42) * 1.2)
    share = np.clip(away / np.float32(0.85), 0, 1)[..., None]
    share = share * share * (3 - 2 * share)
    light, dark = np.array(_STUDIO_LIGHT, np.float32), np.array(_STUDIO_DARK, np.float32)
    return _finished((light + (dark - light) * share).astype(np.float32), frame)


def lights(frame: tuple[int, int], seed: bytes) -> Planes:
    """Two coloured lights in a dark room, where there is no picture; equal seeds look alike."""
    rows, columns = np.mgrid[0:36, 0:36].astype(np.float32) / np.float32(35)
    colour = np.full((36, 36, 3), 18, np.float32)
    for at in (0, 6):
        x, y, reach = (0.15 + 0.7 * value / 255 for value in seed[at : at + 3])
        away = np.hypot(columns - np.float32(x), rows - np.float32(y)) / np.float32(0.4 + reach / 2)
        hue = np.array([60 + 195 * value / 255 for value in seed[at + 3 : at + 6]], np.float32)
        colour += np.exp(-away * away, dtype=np.float32)[..., None] * hue * np.float32(0.5)
    return _finished(np.clip(colour, 0, 255), frame)


def glow(picture: Image.Image, frame: tuple[int, int]) -> Planes:
    """The picture as a dark, soft glow of its own colours, in the frame's shape."""
    small = ImageOps.fit(picture, _grid(frame, _GLOW_CELLS), Image.Resampling.BOX)
    colour = np.asarray(small, dtype=np.float32)
    for _ in range(5):
        colour = _softened(colour)
    grey = colour.mean(axis=2, keepdims=True)
    colour = grey + (colour - grey) * np.float32(0.85)
    # Dark enough for the card to lead and never black: a bright picture keeps a dim room.
    return _finished(np.float32(14) + colour * np.float32(0.36), frame)


def carried_on(picture: Image.Image, frame: tuple[int, int], place: Box) -> Planes:
    """The rim of a picture lying at ``place`` in the frame, carried on to the frame's edges."""
    columns, rows = _grid(frame, _CARRIED_CELLS)
    left, top = round(place[0] / frame[0] * columns), round(place[1] / frame[1] * rows)
    right, bottom = round(place[2] / frame[0] * columns), round(place[3] / frame[1] * rows)
    inner = (max(right - left, 2), max(bottom - top, 2))
    cells = np.asarray(picture.resize(inner, Image.Resampling.BOX), dtype=np.float32)
    colour = _spanned(cells)
    after = (max(rows - top - inner[1], 0), max(columns - left - inner[0], 0))
    colour = np.pad(colour, ((top, after[0]), (left, after[1]), (0, 0)), mode="edge")
    for _ in range(3):
        colour = _softened(colour)
    return _finished(colour, frame)


def has_plain_rim(picture: Image.Image) -> bool:
    """Whether an RGB picture ends in even paper on all sides, as a pack shot does."""
    small = picture.resize(_grid(picture.size, _RIM_CELLS), Image.Resampling.BOX)
    cells = np.asarray(small, dtype=np.float32)
    if min(cells.shape[:2]) < 4:
        return False
    inward, along = [], []
    for turn in range(4):
        side = np.rot90(cells, turn)
        inward.append(np.abs(side[0] - side[1]).max(axis=1))
        along.append(np.abs(np.diff(side[0], axis=0)).max(axis=1))
    steps = np.concatenate(inward + along)
    return bool(steps.max() < _PLAIN_STEP and steps.mean() < _PLAIN_MEAN)


def _grid(size: tuple[int, int], cells: int) -> tuple[int, int]:
    longer = max(size)
    return max(round(cells * size[0] / longer), 2), max(round(cells * size[1] / longer), 2)


def _spanned(cells: Floats) -> Floats:
    """The rim of ``cells`` stretched over their inside (a Coons patch): the subject is gone."""
    down = np.linspace(0, 1, cells.shape[0], dtype=np.float32)[:, None, None]
    across = np.linspace(0, 1, cells.shape[1], dtype=np.float32)[None, :, None]
    sideways = cells[:, :1] * (1 - across) + cells[:, -1:] * across
    upright = cells[:1] * (1 - down) + cells[-1:] * down
    corners = sideways[:1] * (1 - down) + sideways[-1:] * down
    return np.asarray(np.clip(sideways + upright - corners, 0, 255), np.float32)


def _finished(colour: Floats, frame: tuple[int, int]) -> Planes:
    # Nothing in it is sharp: half the size looks the same and is filmed in half the time.
    size = (planes.even(frame[0] / 2), planes.even(frame[1] / 2))
    bicubic = Image.Resampling.BICUBIC
    channels = (
        np.asarray(Image.fromarray(np.ascontiguousarray(colour[..., i])).resize(size, bicubic))
        for i in range(3)
    )
    return planes.from_rgb(planes.dithered(channels, seed=0))


def _softened(colour: Floats) -> Floats:
    """One pass of a small binomial blur; edges repeat."""
    for axis in (0, 1):
        pads = [(1, 1) if axis == i else (0, 0) for i in range(3)]
        wide = np.pad(colour, pads, mode="edge")
        before, after = (wide[:-2], wide[2:]) if axis == 0 else (wide[:, :-2], wide[:, 2:])
        colour = (before + 2 * colour + after) / np.float32(4)
    return colour
