"""A paragraph set into a box: lines broken by words, sizes made to fit, drawn with soft edges.

Text is only ever drawn as it is written: nothing in it is an instruction. Pictures are made of the
fonts' outlines at any size, so the same words give the same pixels on every machine.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import uharfbuzz as hb
from PIL import Image, ImageFilter

from pipeline.errors import PlateRefused
from pipeline.finishing.bidi import base_level, levels
from pipeline.finishing.shaping import Line, shape_line
from pipeline.text import shown
from pipeline.typefaces.clusters import clusters, pieces, stripped
from pipeline.typefaces.faces import Face, Weight, family

Rgb = tuple[int, int, int]
# From one size tried to the next smaller one.
_STEP = 0.96
# How exactly balanced lines are, as a share of the box's width.
_BALANCE_STEPS = 10


class Align(StrEnum):
    """Where lines stand in their box; ``start`` is where the paragraph's script begins."""

    START = "start"
    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a paragraph looks; ``font`` a file of the user's own; ``pitch`` stretches the distance
    from line to line that its fonts ask for."""

    weight: Weight = Weight.REGULAR
    align: Align = Align.START
    font: Path | None = None
    tracking_em: float = 0.0
    pitch: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The room a paragraph has. ``least_px`` the smallest size of letters that can be read in it,
    ``lines`` the most lines, ``characters`` the most of them on one; ``may_tear`` whether a word
    that is wider than the box may go over several lines."""

    width_px: int
    height_px: int | None = None
    least_px: float
    lines: int | None = None
    characters: int | None = None
    may_tear: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph that was set: what is drawn, and the room it takes.

    ``mask``: coverage, mode L; its top left stands at ``left_px``, ``top_px`` of the text's own
    rectangle of ``width_px`` x ``height_px``, whose lines are ``text``.
    """

    mask: Image.Image
    left_px: int
    top_px: int
    width_px: int
    height_px: int
    size_px: float
    text: tuple[str, ...]


def reading_px(size: tuple[int, int]) -> float:
    """What letters are measured by in a picture of this size: its short side, and more than that
    in tall pictures, which are watched on small screens and have the height."""
    return min(size) * float(max(size[1] / size[0], 1.0) ** 0.4)


def typeset(text: str, style: Style, box: Box, *, size_px: float, balanced: bool = False) -> Block:
    """``text`` as large as ``size_px``, or as much smaller as its box demands.

    Args:
        text: line ends are kept; tabs are blanks.
        size_px: one em, the height of letters with all that reaches above and below them.
        balanced: lines of about the same length rather than full ones.
    Raises:
        PlateRefused: it is too long for the box even at ``least_px``.
        FileMissing: the style's font cannot be read.
    """
    setting = _Setting(text=text, style=style, faces=family(style.weight, style.font))
    rows, fitted_px = setting.fit(box, size_px, balanced=balanced)
    return setting.draw(rows, box, fitted_px)


def ellipsized(text: str, style: Style, box: Box, *, size_px: float) -> Block:
    """``text`` on one line, cut off with ``…`` where it is too long even at ``least_px``."""
    whole = clusters(" ".join(text.split()))

    def is_too_wide(kept: int) -> bool:
        return _width_px(_cut(whole, kept), style, box.least_px) > box.width_px

    kept = len(whole)
    if is_too_wide(kept):
        kept = max(bisect_left(range(kept), True, key=is_too_wide) - 1, 0)
    return typeset(_cut(whole, kept), style, replace(box, lines=1), size_px=size_px)


def draw(
    canvas: Image.Image,
    block: Block,
    at: tuple[int, int],
    color: Rgb,
    *,
    opacity: float = 1.0,
    shadow_px: float = 0.0,
) -> None:
    """Lay a block over an RGBA ``canvas``, its rectangle's top left at ``at``.

    Args:
        shadow_px: how soft a dark glow behind the letters is; 0 for none.
    """
    left, top = at[0] + block.left_px, at[1] + block.top_px
    if shadow_px:
        reach = round(3 * shadow_px)
        size = (block.mask.width + 2 * reach, block.mask.height + 2 * reach)
        glow = Image.new("L", size)
        glow.paste(block.mask, (reach, reach))
        glow = glow.filter(ImageFilter.GaussianBlur(shadow_px))
        _lay(canvas, glow, (left - reach, top - reach), (0, 0, 0), 0.55 * opacity)
    _lay(canvas, block.mask, (left, top), color, opacity)


def _lay(
    canvas: Image.Image, mask: Image.Image, at: tuple[int, int], color: Rgb, opacity: float
) -> None:
    """Colour, seen through ``mask``, over the part of the canvas that it meets."""
    box = (
        max(0, -at[0]),
        max(0, -at[1]),
        min(mask.width, canvas.width - at[0]),
        min(mask.height, canvas.height - at[1]),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    seen = mask.crop(box)
    if opacity < 1:
        seen = seen.point([round(level * opacity) for level in range(256)])
    layer = Image.new("RGBA", seen.size, color)
    layer.putalpha(seen)
    canvas.alpha_composite(layer, (at[0] + box[0], at[1] + box[1]))


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """Text up to a line end, and which way it and each of its characters run."""

    text: str
    base: int
    directions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """The part of a paragraph that stands on one line, as places in its text."""

    paragraph: _Paragraph
    first: int
    end: int

    @property
    def text(self) -> str:
        return self.paragraph.text[self.first : self.end]

    @property
    def directions(self) -> tuple[int, ...]:
        return self.paragraph.directions[self.first : self.end]

    @property
    def stripped(self) -> _Row:
        return _Row(self.paragraph, self.first, self.first + len(stripped(self.text)))


def _width_px(line: str, style: Style, size_px: float) -> float:
    setting = _Setting(text=line, style=style, faces=family(style.weight, style.font))
    return setting.width(_Row(_paragraph(line), 0, len(line))) * size_px


def _paragraph(text: str) -> _Paragraph:
    plain = text.replace("\t", " ")
    base = base_level(plain)
    return _Paragraph(plain, base, tuple(levels(plain, base)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """What one row may hold."""

    width_em: float
    characters: int | None
    may_tear: bool

    def holds(self, width_em: float, characters: int) -> bool:
        return width_em <= self.width_em and (
            self.characters is None or characters <= self.characters
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """A text on its way into a box: all lengths in ems, so that no size is shaped twice."""

    text: str
    style: Style
    faces: tuple[Face, ...]

    def fit(self, box: Box, size_px: float, *, balanced: bool) -> tuple[list[_Row], float]:
        """The rows and the size of letters; words are only broken where nothing else fits."""
        paragraphs = [_paragraph(line) for line in self.text.splitlines() or [""]]
        for may_tear in (False, True) if box.may_tear else (False,):
            size = size_px
            while size >= box.least_px:
                room = _Room(
                    width_em=box.width_px / size, characters=box.characters, may_tear=may_tear
                )
                rows = self._break(paragraphs, room)
                if rows is not None and self._holds(rows, box, size):
                    return self._balance(paragraphs, rows, room) if balanced else rows, size
                size = max(size * _STEP, box.least_px) if size > box.least_px else 0
        raise PlateRefused(
            f'"{shown(self.text)}" does not fit: {len(self.text)} characters, even in the smallest '
            "letters that can still be read",
            hint="shorten it, or share it out",
        )

    def draw(self, rows: Sequence[_Row], box: Box, size_px: float) -> Block:
        lines = [self._line(row) for row in rows]
        pitch_px = self._pitch(lines) * size_px
        canvas = hb.RasterDraw()
        for number, (row, line) in enumerate(zip(rows, lines, strict=True)):
            left_px = (box.width_px - line.width_em * size_px) * self._share(row)
            # Capitals stand in the middle of their line, so that boxes look even around them.
            baseline_px = pitch_px * (number + 0.5) + self.faces[0].cap_em * size_px / 2
            _ink(canvas, line, left_px, baseline_px, size_px)
        image = canvas.render()
        extents = image.extents
        size = (extents.width, extents.height)
        mask = Image.new("L", (1, 1))
        if all(size):
            mask = Image.frombytes("L", size, bytes(image.buffer), "raw", "L", extents.stride)
        return Block(
            mask=mask,
            left_px=extents.x_origin,
            top_px=extents.y_origin,
            width_px=box.width_px,
            height_px=round(pitch_px * len(rows)),
            size_px=size_px,
            text=tuple(row.text for row in rows),
        )

    def width(self, row: _Row) -> float:
        """In ems."""
        return self._line(row).width_em

    def _line(self, row: _Row) -> Line:
        return shape_line(row.text, row.directions, self.faces, self.style.tracking_em)

    def _share(self, row: _Row) -> float:
        """Of the room beside a row, how much is on its left."""
        match self.style.align:
            case Align.START:
                return float(row.paragraph.base)
            case Align.LEFT:
                return 0.0
            case Align.CENTER:
                return 0.5
            case Align.RIGHT:
                return 1.0

    def _pitch(self, lines: Sequence[Line]) -> float:
        return max(line.pitch_em for line in lines) * self.style.pitch

    def _holds(self, rows: Sequence[_Row], box: Box, size_px: float) -> bool:
        if box.lines is not None and len(rows) > box.lines:
            return False
        height_px = self._pitch([self._line(row) for row in rows]) * size_px * len(rows)
        return box.height_px is None or height_px <= box.height_px

    def _break(self, paragraphs: Sequence[_Paragraph], room: _Room) -> list[_Row] | None:
        """All rows, each within the room; None: a word is wider."""
        found: list[_Row] = []
        for paragraph in paragraphs:
            rows = self._fill(paragraph, room)
            if rows is None:
                return None
            found += rows
        return found

    def _fill(self, paragraph: _Paragraph, room: _Room) -> list[_Row] | None:
        """One paragraph in rows, each as full as it gets."""
        rows: list[_Row] = []
        first = at = 0
        line_em = 0.0
        for piece in self._pieces(paragraph, room):
            word = _Row(paragraph, at, at + len(piece))
            seen = word.stripped
            wide_em = self.width(seen)
            if not room.may_tear and not room.holds(wide_em, seen.end - at):
                return None
            if at > first and not room.holds(line_em + wide_em, seen.end - first):
                rows.append(_Row(paragraph, first, at).stripped)
                first, line_em = at, 0.0
            line_em += self.width(word)
            at = word.end
        return [*rows, _Row(paragraph, first, at).stripped]

    def _pieces(self, paragraph: _Paragraph, room: _Room) -> Iterator[str]:
        at = 0
        for piece in pieces(paragraph.text):
            word = _Row(paragraph, at, at + len(piece)).stripped
            if room.may_tear and not room.holds(self.width(word), word.end - at):
                # Between any two characters a line may end here.
                yield from clusters(piece)
            else:
                yield piece
            at += len(piece)

    def _balance(
        self, paragraphs: Sequence[_Paragraph], rows: list[_Row], room: _Room
    ) -> list[_Row]:
        """The same number of rows in the narrowest room that holds them."""
        low, high = 0.0, room.width_em
        for _ in range(_BALANCE_STEPS):
            middle = (low + high) / 2
            tried = self._break(paragraphs, replace(room, width_em=middle))
            if tried is not None and len(tried) <= len(rows):
                rows, high = tried, middle
            else:
                low = middle
        return rows


def _cut(whole: Sequence[str], kept: int) -> str:
    start = "".join(whole[:kept])
    return start if kept == len(whole) else f"{start.rstrip()}…"


def _ink(
    canvas: hb.RasterDraw, line: Line, left_px: float, baseline_px: float, size_px: float
) -> None:
    for glyph in line.glyphs:
        scale = size_px / glyph.face.em
        x_px = left_px + glyph.x_em * size_px
        y_px = baseline_px - glyph.y_em * size_px
        canvas.transform = (scale, 0.0, 0.0, -scale, x_px, y_px)
        canvas.draw_glyph(glyph.face.font, glyph.number)
