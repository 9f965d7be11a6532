"""The slate before a film: what it is, for whoever opens the file without knowing."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from pipeline.finishing.typeset import (
    Align,
    Block,
    Box,
    Style,
    draw,
    ellipsized,
    reading_px,
    typeset,
)
from pipeline.typefaces.faces import Weight

_GROUND, _INK, _QUIET, _RULE = (17, 19, 23), (255, 255, 255), (150, 157, 169), (58, 63, 72)
# Shares of what ``reading_px`` gives.
_TITLE, _TITLE_LEAST = 0.086, 0.03
_LABEL, _LETTERS, _LEAST, _ROW = 0.027, 0.036, 0.016, 0.072
_STRIPES, _RAMP = 0.07, 0.034
_STRIPE_STEP = 0.09
_RAMP_STEPS = 11
_SMOOTH = 2


def slate(size: tuple[int, int], *, title: str, lines: Sequence[tuple[str, str]]) -> Image.Image:
    """A page with a title and named facts, RGB.

    Args:
        size: width and height in pixels.
        lines: label and value, from the top; the rows grow closer where there are many. What is
            too long for its row is cut off with an ellipsis.
    """
    short = reading_px(size)
    canvas = Image.new("RGBA", size, (*_GROUND, 255))
    _clapper(canvas, round(_STRIPES * short))
    _ramp(canvas, round(_RAMP * short))
    margin = round(0.09 * size[0])
    heading = _heading(title, size[0] - 2 * margin, size[1] // 3, short)
    room_px = size[1] * (0.9 if size[0] >= size[1] else 0.8) - _STRIPES * short
    rows_px = room_px - heading.height_px - 0.1 * short
    row_px = min(_ROW * short, rows_px / max(len(lines), 1))
    height_px = heading.height_px + 0.07 * short + row_px * len(lines)
    top = round((size[1] + (_STRIPES - _RAMP) * short - height_px) / 2)
    draw(canvas, heading, (margin, top), _INK)
    y = top + heading.height_px + 0.07 * short
    for label, value in lines:
        _row(canvas, (margin, y), row_px, label, value)
        y += row_px
    return canvas.convert("RGB")


def _heading(title: str, width_px: int, high_px: int, short: float) -> Block:
    style = Style(weight=Weight.BOLD, tracking_em=-0.01)
    box = Box(width_px=width_px, height_px=high_px, least_px=_TITLE_LEAST * short)
    return typeset(title.strip(), style, box, size_px=_TITLE * short, balanced=True)


def _row(canvas: Image.Image, at: tuple[int, float], row_px: float, label: str, value: str) -> None:
    short = reading_px(canvas.size)
    left, top = at[0], at[1]
    width = canvas.width - 2 * left
    ImageDraw.Draw(canvas).rectangle(
        (left, round(top), left + width - 1, round(top) + max(1, round(short / 540)) - 1),
        fill=_RULE,
    )
    label_px = round(min(0.34 * width, 0.36 * short))
    shrink = min(1.0, row_px / (_ROW * short))
    for text, style, x, room, size, ink in (
        (label.upper(), Style(tracking_em=0.08, align=Align.LEFT), left, label_px, _LABEL, _QUIET),
        (value, Style(align=Align.LEFT), left + label_px, width - label_px, _LETTERS, _INK),
    ):
        box = Box(width_px=room, least_px=min(_LEAST, size * shrink) * short)
        block = ellipsized(text, style, box, size_px=size * shrink * short)
        draw(canvas, block, (x, round(top + (row_px - block.height_px) / 2)), ink)


def _clapper(canvas: Image.Image, high: int) -> None:
    """The striped bar of a clapperboard along the top."""
    short = reading_px(canvas.size)
    step, wide = _STRIPE_STEP * short * _SMOOTH, canvas.width * _SMOOTH
    bar = Image.new("L", (wide, high * _SMOOTH))
    pen = ImageDraw.Draw(bar)
    x = -step
    while x < wide + step:
        slant = high * _SMOOTH * 0.7
        pen.polygon(
            (
                (x + slant, 0),
                (x + slant + step / 2, 0),
                (x + step / 2, bar.height),
                (x, bar.height),
            ),
            fill=255,
        )
        x += step
    layer = Image.new("RGBA", (canvas.width, high), (236, 238, 242))
    layer.putalpha(bar.reduce(_SMOOTH))
    canvas.alpha_composite(layer)


def _ramp(canvas: Image.Image, high: int) -> None:
    """Even steps from black to white along the foot: an eye's check of a screen."""
    pen = ImageDraw.Draw(canvas)
    for step in range(_RAMP_STEPS):
        level = round(255 * step / (_RAMP_STEPS - 1))
        edges = [round(canvas.width * each / _RAMP_STEPS) for each in (step, step + 1)]
        pen.rectangle(
            (edges[0], canvas.height - high, edges[1] - 1, canvas.height), fill=(level,) * 3
        )
