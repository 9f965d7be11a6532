"""The slate of an animatic: which shot this is, what was asked, what it costs, where we are.

Everything that stays is drawn once, three times larger and reduced; per frame only the clock, the
progress line and the name of the reference change. Type and margins grow with the short side;
sides keep the 5 % that title-safe areas ask for (SMPTE ST 2046-1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pipeline.sandbox import planes
from pipeline.sandbox.lettering import FINE, Face, legible
from pipeline.sandbox.planes import Area, Floats, Overlay, Planes, Rgb

_WHITE, _SOFT, _ACCENT, _INK = (250, 250, 247), (204, 207, 212), (255, 190, 73), (9, 11, 15)
_BAND_OPACITY, _BAND_DEEPER = 0.66, 0.2
_HALO_OPACITY = 0.6
_PILL_OPACITY = 0.72
_MAX_LINES = 3
# Longer lines than this many times the type size are hard to read.
_MEASURE = 36
# No slate shows more; wrapping 4,000 characters to find that out would only cost time.
_MAX_CHARACTERS = 600
_TOKEN = re.compile(r"(@image[1-7])(?!\d)")
_CLOCK = "00:00:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a slate says; all text is as the user wrote it, any characters."""

    title: str
    prompt: str
    duration_s: int | Decimal
    resolution: str
    price_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Slate:
    """A slate ready to be laid over frames of one size.

    ``tags`` one per picture, in order; ``digits`` masks of ``0`` to ``9``; ``digit_at``
    corners of the six digits in the frame; ``clear`` the areas that a card may rest in without
    being covered: all below the two pills, and all between them.
    """

    frame: tuple[int, int]
    clear: tuple[Area, ...]
    band: Overlay
    tags: tuple[Overlay, ...]
    tag_at: tuple[int, int]
    clock: Overlay
    clock_at: tuple[int, int]
    digits: tuple[Image.Image, ...]
    digit_at: tuple[tuple[int, int], ...]
    line_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """Measures for one frame size, in pixels."""

    unit: float
    margin_x: int
    margin_y: int
    line_px: int
    label_px: float
    prompt_px: float
    leading_px: float


def _grid(frame: tuple[int, int]) -> _Grid:
    unit = min(frame) / 720
    prompt_px = max(27 * unit, 18.5)
    return _Grid(
        unit=unit,
        margin_x=planes.even(0.05 * frame[0]),
        margin_y=planes.even(0.05 * frame[1]),
        line_px=max(planes.even(4 * unit), 4),
        label_px=max(17 * unit, 12.5),
        prompt_px=prompt_px,
        leading_px=1.3 * prompt_px,
    )


def build(words: Words, frame: tuple[int, int], names: tuple[str, ...]) -> Slate:
    """Draw the slate of one clip; ``names`` of its pictures, 1 or more."""
    grid = _grid(frame)
    tags = tuple(_pill(name, _ACCENT, grid) for name in names)
    clock, glyphs, offsets = _clock(grid)
    clock_at = (frame[0] - grid.margin_x - clock.alpha.width, grid.margin_y)
    band, text_px = _band(words, frame, grid)
    gap = planes.even(18 * grid.unit)
    bottom = frame[1] - text_px - gap
    side = grid.margin_x + max(clock.alpha.width, tags[0].alpha.width) + gap
    return Slate(
        frame=frame,
        clear=(
            (
                grid.margin_x,
                grid.margin_y + clock.alpha.height + gap,
                frame[0] - grid.margin_x,
                bottom,
            ),
            (side, grid.margin_y, frame[0] - side, bottom),
        ),
        band=band,
        tags=tags,
        tag_at=(grid.margin_x, grid.margin_y),
        clock=clock,
        clock_at=clock_at,
        digits=glyphs,
        digit_at=tuple((clock_at[0] + x, clock_at[1]) for x in offsets),
        line_px=grid.line_px,
    )


def unlaid(frame: tuple[int, int]) -> tuple[Area, ...]:
    """The areas that a card may rest in where no slate is laid: all but the edges."""
    grid = _grid(frame)
    return ((grid.margin_x, grid.margin_y, frame[0] - grid.margin_x, frame[1] - grid.margin_y),)


def lay(slate: Slate, picture: Planes, *, index: int, count: int, fps: int, reference: int) -> None:
    """Draw the slate of frame ``index`` of ``count`` over ``picture`` in place.

    ``reference`` is the one to name as seen; 0 is ``@image1``.
    """
    width, height = slate.frame
    planes.paste(picture, slate.band, (0, height - slate.band.alpha.height))
    planes.paste(picture, slate.tags[reference], slate.tag_at)
    planes.paste(picture, slate.clock, slate.clock_at)
    seconds, frames = divmod(index, fps)
    reading = f"{seconds // 60:02d}{seconds % 60:02d}{frames:02d}"
    for digit, at in zip(reading, slate.digit_at, strict=True):
        picture.y.paste(planes.to_ycbcr(_WHITE)[0], at, slate.digits[int(digit)])
    done = planes.even(width * (index + 1) / count)
    box = (0, height - slate.line_px, done, height)
    planes.fill(picture, planes.to_ycbcr(_ACCENT), box)


def _band(words: Words, frame: tuple[int, int], grid: _Grid) -> tuple[Overlay, int]:
    """The lower third, and how far up from the bottom edge its text reaches."""
    width = frame[0]
    rule_px = max(3 * grid.unit, 2.0)
    text_x = grid.margin_x + rule_px + 15 * grid.unit
    room = width - grid.margin_x - text_x
    prompt = Face(grid.prompt_px)
    lines = prompt.wrapped(
        legible(words.prompt[:_MAX_CHARACTERS]), min(room, _MEASURE * grid.prompt_px), _MAX_LINES
    )
    block_px = len(lines) * grid.leading_px + 1.15 * grid.label_px
    height = planes.even(block_px + grid.margin_y + 118 * grid.unit)
    white, soft, accent = (_mask((width, height)) for _ in range(3))
    baseline = height - grid.margin_y - (len(lines) - 1) * grid.leading_px
    label_line = baseline - grid.leading_px - 0.12 * grid.label_px
    for line in lines:
        x = text_x
        for part in _TOKEN.split(line):
            x = prompt.draw(accent if _TOKEN.fullmatch(part) else white, x, baseline, part)
        baseline += grid.leading_px
    _label(words, grid, (text_x, label_line), room, (white, soft))
    top = label_line - 0.86 * grid.label_px
    bottom = height - grid.margin_y + 0.22 * grid.prompt_px
    ImageDraw.Draw(accent).rectangle(
        (
            grid.margin_x * FINE,
            round(top * FINE),
            round((grid.margin_x + rule_px) * FINE) - 1,
            round(bottom * FINE),
        ),
        fill=255,
    )
    # Dark enough from the label down to carry over a white picture, and darker to the edge.
    rows = np.arange(height, dtype=np.float32)[:, None]
    rise = _ramp(np.minimum(rows / (label_line - grid.label_px), 1))
    deepen = np.maximum(rows - label_line, 0) / (height - label_line)
    shade = np.broadcast_to(_BAND_OPACITY * rise + _BAND_DEEPER * deepen, (height, width))
    written = ImageChops.lighter(white.reduce(FINE), soft.reduce(FINE))
    halo = written.filter(ImageFilter.GaussianBlur(3 * grid.unit))
    halo_cover = np.asarray(halo, dtype=np.float32) * np.float32(_HALO_OPACITY / 255)
    track = np.zeros((height, width), np.float32)
    track[height - grid.line_px :] = 0.22
    overlay = _stacked(
        (
            (_INK, shade),
            (_INK, halo_cover),
            (_WHITE, track),
            (_SOFT, _reduced(soft)),
            (_WHITE, _reduced(white)),
            (_ACCENT, _reduced(accent)),
        )
    )
    return overlay, height - round(top)


def _label(
    words: Words,
    grid: _Grid,
    at: tuple[float, float],
    room: float,
    masks: tuple[Image.Image, Image.Image],
) -> None:
    """The line above the prompt: title if any, then what kind of clip this is."""
    strong = Face(grid.label_px, weight=0.035 * grid.label_px, tracking=0.09 * grid.label_px)
    plain = Face(grid.label_px, tracking=0.06 * grid.label_px)
    facts = f"ANIMATIC  ·  {words.duration_s} s  ·  {words.resolution}  ·  {_dollars(words)}"
    x, baseline = at
    gap = 1.1 * grid.label_px
    title = strong.fitted(
        legible(words.title[:_MAX_CHARACTERS]).upper(), room - plain.width(facts) - gap
    )
    if title:
        x = strong.draw(masks[0], x, baseline, title) + gap
    plain.draw(masks[1], x, baseline, plain.fitted(facts, room))


def _dollars(words: Words) -> str:
    """At least two decimals, and more only where the price has them."""
    exact = words.price_usd.normalize()
    return f"${exact:.2f}" if exact == round(exact, 2) else f"${exact:f}"


def _pill_size(width: float, grid: _Grid) -> tuple[int, int]:
    return planes.even(width + 1.5 * grid.label_px), planes.even(2.0 * grid.label_px)


def _pill(text: str, colour: Rgb, grid: _Grid) -> Overlay:
    face = Face(grid.label_px, weight=0.02 * grid.label_px, tracking=0.04 * grid.label_px)
    size = _pill_size(face.width(text), grid)
    mask = _mask(size)
    face.draw(mask, 0.77 * grid.label_px, (size[1] + face.cap_height) / 2, text)
    return _stacked(((_INK, _pill_shape(size)), (colour, _reduced(mask))))


def _clock(grid: _Grid) -> tuple[Overlay, tuple[Image.Image, ...], tuple[int, ...]]:
    """The clock's pill with its colons, ten digit masks, and where the six digits go in it."""
    face = Face(grid.label_px)
    cell = round(max(face.width(str(digit)) for digit in range(10)) + 0.04 * grid.label_px)
    colon = round(0.42 * cell)
    size = _pill_size(6 * cell + 2 * colon, grid)
    baseline = (size[1] + face.cap_height) / 2
    colons = _mask(size)
    x = (size[0] - 6 * cell - 2 * colon) // 2
    offsets = []
    for sign in _CLOCK:
        if sign == ":":
            face.draw(colons, x + (colon - face.width(":")) / 2, baseline - 0.06 * cell, ":")
            x += colon
        else:
            offsets.append(x)
            x += cell
    digits = []
    for digit in map(str, range(10)):
        mask = _mask((cell, size[1]))
        face.draw(mask, (cell - face.width(digit)) / 2, baseline, digit)
        digits.append(mask.reduce(FINE))
    pill = _stacked(((_INK, _pill_shape(size)), (_SOFT, _reduced(colons))))
    return pill, tuple(digits), tuple(offsets)


def _pill_shape(size: tuple[int, int]) -> Floats:
    mask = _mask(size)
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, mask.width - 1, mask.height - 1), mask.height / 2, fill=255
    )
    return _reduced(mask) * np.float32(_PILL_OPACITY)


def _mask(size: tuple[int, int]) -> Image.Image:
    return Image.new("L", (size[0] * FINE, size[1] * FINE))


def _reduced(mask: Image.Image) -> Floats:
    return np.asarray(mask.reduce(FINE), dtype=np.float32) / np.float32(255)


def _ramp(share: Floats) -> Floats:
    return share * share * (3 - 2 * share)


def _stacked(layers: tuple[tuple[Rgb, Floats], ...]) -> Overlay:
    """Flat colours with coverage (H x W, 0..1), the first at the bottom, as one overlay."""
    shape = layers[0][1].shape
    colour, alpha = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    for ink, cover in layers:
        colour = colour * (1 - cover[..., None]) + np.asarray(ink, np.float32) * cover[..., None]
        alpha = alpha * (1 - cover) + cover
    return planes.from_premultiplied(colour, alpha)
