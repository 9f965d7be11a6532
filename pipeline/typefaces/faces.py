"""Fonts: those that come with the program, one of the user's own before them, and what they lack.

The order of the fonts is the order in which a character is looked for.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import uharfbuzz as hb

from pipeline.errors import FileMissing, PlateRefused
from pipeline.text import shown
from pipeline.typefaces.clusters import clusters, is_emoji, is_seen

_FOLDER = Path(__file__).parent / "fonts"
MAX_FONT_BYTES = 64_000_000
# Families by the height that one of their lines needs, in ems. Noto's own figures, where they leave
# room for stacks of signs that a line of an ad never has, are cut to what words need.
_PITCHES = {"Sans": 1.22, "SansArabic": 1.5, "SansDevanagari": 1.4, "SansThai": 1.45}
_BOTH_WEIGHTS = (
    "Sans",
    "SansArabic",
    "SansHebrew",
    "SansArmenian",
    "SansGeorgian",
    "SansDevanagari",
    "SansThai",
)
_ONE_WEIGHT = ("SansMath", "SansSymbols", "SansSymbols2", "Emoji")
_PLAIN_PITCH = 1.22
# Noto Emoji fills more than an em; this makes an emoji as high as a line's letters with descenders.
_EMOJI_SCALE = 0.86


class Weight(StrEnum):
    """How heavy letters are; a user's own font has the weight it has."""

    REGULAR = "Regular"
    BOLD = "Bold"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """One font. ``em`` font units make one em of text; ``pitch_em`` from line to line;
    ``cap_em`` the height of its capitals."""

    font: Any
    em: float
    pitch_em: float
    cap_em: float
    characters: frozenset[int]
    is_emoji: bool = False


def family(weight: Weight, own: Path | None = None) -> tuple[Face, ...]:
    """The fonts to look in, in this order: the user's ``own``, then those that come along.

    Raises:
        FileMissing: ``own`` cannot be read.
        PlateRefused: it is too large, or no font with outlines.
    """
    bundled = _bundled(weight)
    return bundled if own is None else (_own(own), *bundled)


def missing_glyphs(text: str, font: Path | None = None) -> tuple[str, ...]:
    """What of ``text`` no font has, in order, each once; it is drawn as an empty box.

    The cure is a font of the user's own that has it. Raises as :func:`family`.
    """
    faces = family(Weight.REGULAR, font)
    found = (each for each in clusters(text) if each.strip() and not _has_all(faces, each))
    return tuple(dict.fromkeys(found))


def face_for(faces: tuple[Face, ...], cluster: str) -> Face | None:
    """The first font that has every character of ``cluster`` that can be seen, else the first
    that has its base; None: no font has even that."""
    wanted = [ord(each) for each in cluster if is_seen(each)]
    if not wanted:
        return faces[0]
    order = faces
    if is_emoji(cluster):
        order = (*(face for face in faces if face.is_emoji), *faces)
    whole = (face for face in order if face.characters.issuperset(wanted))
    based = (face for face in order if wanted[0] in face.characters)
    return next(whole, None) or next(based, None)


def fallback(faces: tuple[Face, ...]) -> Face:
    """The font whose empty box stands for what no font has."""
    return faces[-len(_BOTH_WEIGHTS) - len(_ONE_WEIGHT)]


def _has_all(faces: tuple[Face, ...], cluster: str) -> bool:
    face = face_for(faces, cluster)
    return face is not None and face.characters.issuperset(
        ord(each) for each in cluster if is_seen(each)
    )


@cache
def _bundled(weight: Weight) -> tuple[Face, ...]:
    names = [(name, weight) for name in _BOTH_WEIGHTS]
    names += [(name, Weight.REGULAR) for name in _ONE_WEIGHT]
    return tuple(_bundled_face(name, each) for name, each in names)


@cache
def _bundled_face(name: str, weight: Weight) -> Face:
    data = (_FOLDER / f"Noto{name}-{weight}.ttf").read_bytes()
    is_emoji_font = name == "Emoji"
    return _face(
        data,
        pitch_em=_PITCHES.get(name, _PLAIN_PITCH),
        scale=_EMOJI_SCALE if is_emoji_font else 1.0,
        is_emoji_font=is_emoji_font,
    )


def _own(path: Path) -> Face:
    try:
        facts = path.stat()
        if facts.st_size > MAX_FONT_BYTES:
            raise PlateRefused(
                f'the font "{shown(path.name)}" has {facts.st_size / 1e6:.0f} MB; '
                f"at most {MAX_FONT_BYTES // 1_000_000}",
                hint="name a font of one script, or a smaller cut of it",
            )
        return _own_face(path, facts.st_mtime_ns, facts.st_size)
    except OSError as error:
        raise FileMissing(
            f'the font "{shown(path.name)}" cannot be read: {shown(str(error.strerror).lower())}',
            hint=f"check {shown(str(path), 200)}",
        ) from error


@lru_cache(maxsize=4)
def _own_face(path: Path, modified_ns: int, size_bytes: int) -> Face:  # noqa: ARG001 - the key
    face = _face(path.read_bytes(), pitch_em=_PLAIN_PITCH)
    outlines = hb.RasterDraw()
    # A font whose outlines are missing draws every letter without an error, as nothing.
    draws = any(
        outlines.draw_glyph_or_fail(face.font, glyph)
        and (extents := face.font.get_glyph_extents(glyph)) is not None
        and extents.width != 0
        for code in sorted(face.characters)[:200]
        if (glyph := face.font.get_nominal_glyph(code)) is not None
    )
    if not draws:
        raise PlateRefused(
            f'"{shown(path.name)}" is not a font with outlines',
            hint="name a TTF or OTF file; fonts made of pictures cannot be drawn at every size",
        )
    return face


def _face(data: bytes, *, pitch_em: float, scale: float = 1.0, is_emoji_font: bool = False) -> Face:
    source = hb.Face(hb.Blob(data))
    font = hb.Font(source)
    extents = font.get_font_extents("ltr")
    em = source.upem / scale
    cap = font.get_glyph_extents(font.get_nominal_glyph(ord("H")) or 0)
    own_pitch = (extents.ascender - extents.descender) / em
    return Face(
        font=font,
        em=em,
        pitch_em=pitch_em if pitch_em != _PLAIN_PITCH else min(max(own_pitch, 1.15), _PLAIN_PITCH),
        cap_em=cap.y_bearing / em if cap is not None and cap.y_bearing > 0 else 0.71,
        characters=frozenset(source.unicodes),
        is_emoji=is_emoji_font,
    )


def in_words(missing: tuple[str, ...]) -> str:
    """Characters that no font has, as a message names them: each with its number and name."""
    return ", ".join(
        f"{shown(each)} (U+{ord(each[0]):04X} {unicodedata.name(each[0], 'unnamed').lower()})"
        for each in missing[:5]
    ) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
