"""Cards and layers of a film as pictures: title and end card, logo, caption, strip.

Functions of values to pictures; the slate has a module of its own. Everything is measured by the
picture's short side, so that one design serves wide, square and tall films. The same values give
the same pixels.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw

from pipeline.errors import PlateRefused
from pipeline.finishing.artwork import cover, open_artwork
from pipeline.finishing.slate import slate
from pipeline.finishing.typeset import (
    Align,
    Block,
    Box,
    Rgb,
    Style,
    draw,
    ellipsized,
    reading_px,
    typeset,
)
from pipeline.text import shown
from pipeline.typefaces.faces import Weight

__all__ = ["burn_in", "caption", "card", "logo", "slate"]

Size = tuple[int, int]
Share = Fraction | float
Safe = tuple[Share, Share, Share, Share]

# All of these are shares of what ``reading_px`` gives, the strip's of the short side.
_TITLE, _TITLE_LEAST = 0.112, 0.036
_SUBTITLE, _SUBTITLE_LEAST = 0.05, 0.024
_CARD_MARGIN = 0.1
_CAPTION, _CAPTION_LEAST, _CAPTION_RADIUS = 0.052, 0.028, 0.014
_STRIP, _STRIP_LETTERS, _STRIP_LEAST = 0.052, 0.031, 0.02
# The least room, in letters' heights, that is worth beginning a sentence in.
_STRIP_WORDS = 8
# The most characters that broadcasters put on one line of a wide picture.
_CAPTION_LINE = 42
_CAPTION_INK, _CAPTION_BACK = (255, 255, 255), (10, 11, 14, 172)
# The share of the height above the middle of a card's words: the eye's middle is a little high.
_OPTICAL_MIDDLE = 0.485
_SMOOTH = 4


def card(
    size: Size,
    *,
    text: str,
    subtitle: str = "",
    color: str = "#ffffff",
    background: str | Path = "#000000",
    focus: tuple[Share, Share] = (0.5, 0.5),
    font: Path | None = None,
) -> Image.Image:
    """A title or end card, RGB.

    Args:
        size: width and height in pixels.
        text: the title; empty for the background alone.
        color: of the words, ``#rrggbb``.
        background: ``#rrggbb``, or a picture that fills the card, ``focus`` kept in sight.
        font: a font file of the user's.
    Raises:
        PlateRefused: the words do not fit, or picture or font cannot be used.
        FileMissing: picture or font cannot be read.
    """
    canvas = _ground(size, background, focus)
    blocks = _card_words(size, text, subtitle, font)
    gap_px = round(0.03 * reading_px(size)) if len(blocks) > 1 else 0
    height_px = sum(block.height_px for block in blocks) + gap_px
    top = round(size[1] * _OPTICAL_MIDDLE - height_px / 2)
    if isinstance(background, Path) and blocks:
        _shade(canvas, color, (top + height_px / 2) / size[1], height_px / size[1])
    # Letters over a picture get a soft edge of their own as well, where they are light.
    shadow_px = 0.012 * min(size) if isinstance(background, Path) and _is_light(color) else 0.0
    for number, block in enumerate(blocks):
        left = (size[0] - block.width_px) // 2
        opacity = 1.0 if number == 0 else 0.84
        draw(canvas, block, (left, top), _rgb(color), opacity=opacity, shadow_px=shadow_px)
        top += block.height_px + gap_px
    return canvas.convert("RGB")


def caption(size: Size, text: str, *, safe: Safe, font: Path | None = None) -> Image.Image:
    """One burned-in caption: a transparent layer of the whole picture, RGBA.

    Args:
        text: its line ends are kept where they fit.
        safe: top, right, bottom, left; shares of the picture that nothing of it may touch.
        font: looked in before the fonts that come along.
    Raises:
        PlateRefused: the text does not fit into three lines.
    """
    canvas = Image.new("RGBA", size)
    words = "\n".join(line.strip() for line in text.splitlines() if line.strip())
    if not words:
        return canvas
    _, right, bottom, left = (float(share) for share in safe)
    short = reading_px(size)
    pad_x, pad_y = round(0.022 * short), round(0.01 * short)
    room_px = int(size[0] * (1 - left - right)) - 2 * pad_x
    block = _caption_block(words, room_px, short, font)
    wide_px = block.mask.width + 2 * pad_x
    middle = size[0] * left + (size[0] * (1 - left - right)) / 2
    x, y = middle - wide_px / 2, size[1] * (1 - bottom) - block.height_px - 2 * pad_y
    box = (x, y, x + wide_px, y + block.height_px + 2 * pad_y)
    _rounded(canvas, box, _CAPTION_RADIUS * short)
    at = (round(x) + pad_x - block.left_px, round(y) + pad_y)
    draw(canvas, block, at, _CAPTION_INK)
    return canvas


def strip_px(size: Size) -> int:
    """The height of the strip that ``burn_in`` draws; even, or its edge would be blurred where
    two lines share their colour."""
    return 2 * round(_STRIP * min(size) / 2)


def burn_in(size: Size, *, left: str, right: str, middle: str = "") -> Image.Image:
    """The strip of an animatic: a transparent layer of the whole picture, RGBA.

    Args:
        left: which shot; cut off with an ellipsis where there is no room.
        right: where in the film; kept whole.
        middle: what is seen; as much of it as fits between the two, if that is a few words.
    """
    canvas = Image.new("RGBA", size)
    short = min(size)
    high_px, margin_px = strip_px(size), round(0.03 * short)
    top = size[1] - high_px
    canvas.paste((8, 9, 12, 178), (0, top, size[0], top + high_px))
    room_px = size[0] - 2 * margin_px
    letters_px, least_px = _STRIP_LETTERS * short, _STRIP_LEAST * short
    end = _strip_text(right, Style(align=Align.RIGHT), room_px, letters_px, least_px)
    used_px = end.mask.width + margin_px if right.strip() else 0
    bold = Style(weight=Weight.BOLD, align=Align.LEFT)
    start = _strip_text(left, bold, max(room_px - used_px, 1), letters_px, least_px)
    blocks = [(start, margin_px, (255, 255, 255)), (end, margin_px, (214, 217, 224))]
    x = margin_px + start.left_px + start.mask.width + margin_px
    free_px = size[0] - margin_px - used_px - margin_px - x
    if free_px >= _STRIP_WORDS * letters_px:
        words = _strip_text(middle, Style(align=Align.LEFT), free_px, letters_px, letters_px)
        blocks.append((words, x, (176, 181, 192)))
    for block, x, ink in blocks:
        draw(canvas, block, (x, top + round((high_px - block.height_px) / 2)), ink)
    return canvas


def logo(
    size: Size,
    picture: Path,
    *,
    position: str,
    width: Share,
    margin: Share,
    opacity: Share = 1,
) -> Image.Image:
    """A logo or watermark in its place: a transparent layer of the whole picture, RGBA.

    Args:
        position: ``center``, a side (``top``) or a corner (``top-right``).
        width: a share of the picture's width; a tall logo is made smaller, to fit its height.
        margin: to the picture's edges, a share of its short side.
        opacity: 0 to 1, of what is opaque in the file.
    Raises:
        PlateRefused: the file is damaged, too large or no picture.
        FileMissing: it cannot be read.
    """
    mark = open_artwork(picture)
    margin_px = round(float(margin) * min(size))
    most = (max(size[0] - 2 * margin_px, 1), max(size[1] - 2 * margin_px, 1))
    scale = min(float(width) * size[0] / mark.width, most[0] / mark.width, most[1] / mark.height)
    fitted = (max(round(mark.width * scale), 1), max(round(mark.height * scale), 1))
    mark = mark.resize(fitted, Image.Resampling.LANCZOS, reducing_gap=3)
    if opacity < 1:
        levels = [round(level * float(opacity)) for level in range(256)]
        mark.putalpha(mark.getchannel("A").point(levels))
    words = position.split("-")
    free = (size[0] - mark.width, size[1] - mark.height)
    x = margin_px if "left" in words else free[0] - margin_px if "right" in words else free[0] // 2
    y = margin_px if "top" in words else free[1] - margin_px if "bottom" in words else free[1] // 2
    canvas = Image.new("RGBA", size)
    canvas.alpha_composite(mark, (max(x, 0), max(y, 0)))
    return canvas


def _ground(size: Size, background: str | Path, focus: tuple[Share, Share]) -> Image.Image:
    if isinstance(background, str):
        return Image.new("RGBA", size, (*_rgb(background), 255))
    picture = cover(open_artwork(background), size, (float(focus[0]), float(focus[1])))
    ground = Image.new("RGBA", size, (0, 0, 0, 255))
    ground.alpha_composite(picture)
    return ground


def _card_words(size: Size, text: str, subtitle: str, font: Path | None) -> list[Block]:
    short = reading_px(size)
    width_px = round(min(size[0] - 2 * _CARD_MARGIN * size[0], 1.5 * short))
    high_px = size[1] * (1 - 2 * _CARD_MARGIN)
    blocks: list[Block] = []
    if text.strip():
        title = Style(
            weight=Weight.BOLD, align=Align.CENTER, font=font, tracking_em=-0.012, pitch=0.95
        )
        room = Box(
            width_px=width_px,
            height_px=round(high_px * (0.66 if subtitle.strip() else 1)),
            least_px=_TITLE_LEAST * short,
        )
        blocks.append(typeset(text.strip(), title, room, size_px=_TITLE * short, balanced=True))
    if subtitle.strip():
        style = Style(align=Align.CENTER, font=font, pitch=1.1)
        largest_px = min(_SUBTITLE * short, 0.62 * blocks[0].size_px) if blocks else _TITLE * short
        least_px = min(_SUBTITLE_LEAST * short, largest_px)
        room = Box(width_px=width_px, height_px=round(high_px * 0.3), least_px=least_px)
        blocks.append(typeset(subtitle.strip(), style, room, size_px=largest_px, balanced=True))
    return blocks


def _caption_block(words: str, room_px: int, short: float, font: Path | None) -> Block:
    """Two lines in about the usual size, else three, else smaller letters; line ends as they are
    written where that works, words torn only where nothing else does."""
    size_px, least_px = _CAPTION * short, _CAPTION_LEAST * short
    flowing = " ".join(words.split("\n"))
    room = Box(
        width_px=max(room_px, 1), least_px=least_px, characters=_CAPTION_LINE, may_tear=False
    )
    tries = ((2, 0.9 * size_px), (3, 0.9 * size_px), (3, least_px))
    for text in dict.fromkeys((words, flowing)):
        for lines, smallest_px in tries:
            box = replace(room, lines=lines, least_px=smallest_px)
            block = _caption_lines(text, box, size_px, font)
            if block is not None:
                return block
    box = replace(room, lines=3, least_px=least_px, may_tear=True)
    block = _caption_lines(flowing, box, size_px, font)
    if block is not None:
        return block
    raise PlateRefused(
        f'the caption "{shown(flowing)}" has {len(flowing)} characters; '
        "they do not fit into three lines",
        hint="share it out over two captions",
    )


def _caption_lines(text: str, box: Box, size_px: float, font: Path | None) -> Block | None:
    style = Style(weight=Weight.BOLD, align=Align.CENTER, pitch=1.02, font=font)
    try:
        return typeset(text, style, box, size_px=size_px, balanced=True)
    except PlateRefused:
        return None


def _strip_text(text: str, style: Style, width_px: int, size_px: float, least_px: float) -> Block:
    box = Box(width_px=width_px, least_px=least_px)
    return ellipsized(text, style, box, size_px=size_px)


def _shade(canvas: Image.Image, color: str, middle: float, height: float) -> None:
    """Darken a picture behind light words (lighten it behind dark ones), softly to all sides."""
    ink = (0, 0, 0) if _is_light(color) else (255, 255, 255)
    # A small ramp scaled up is as smooth as a large one, and costs nothing.
    ramp = Image.new("L", (1, 64))
    reach = max(0.9 * height, 0.4)
    for row in range(64):
        distance = ((row + 0.5) / 64 - middle) / reach
        ramp.putpixel((0, row), round(64 + 96 * math.exp(-2 * distance * distance)))
    layer = Image.new("RGBA", canvas.size, ink)
    layer.putalpha(ramp.resize(canvas.size, Image.Resampling.BICUBIC))
    canvas.alpha_composite(layer)


def _rounded(canvas: Image.Image, box: tuple[float, float, float, float], radius: float) -> None:
    """A soft dark box on a transparent canvas."""
    left, top, right, bottom = (round(edge) for edge in box)
    wide, high = right - left, bottom - top
    shape = Image.new("L", (wide * _SMOOTH, high * _SMOOTH))
    corner = round(radius * _SMOOTH)
    ImageDraw.Draw(shape).rounded_rectangle(
        (0, 0, wide * _SMOOTH - 1, high * _SMOOTH - 1), radius=corner, fill=_CAPTION_BACK[3]
    )
    layer = Image.new("RGBA", (wide, high), _CAPTION_BACK[:3])
    layer.putalpha(shape.reduce(_SMOOTH))
    canvas.alpha_composite(layer, (max(left, 0), max(top, 0)))


def _rgb(color: str) -> Rgb:
    try:
        red, green, blue = ImageColor.getrgb(color)[:3]
    except ValueError as error:
        raise PlateRefused(
            f'"{shown(color)}" is not a colour', hint='write it as "#rrggbb"'
        ) from error
    return red, green, blue


def _is_light(color: str) -> bool:
    """By ITU-R BT.709's weights of the three."""
    red, green, blue = _rgb(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 127
