"""One line of text as glyphs, each in its place: fonts by run, directions, joining, kerning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import uharfbuzz as hb

from pipeline.finishing.bidi import visual_order
from pipeline.typefaces.clusters import clusters
from pipeline.typefaces.faces import Face, face_for, fallback

# Letters of these are joined; space between them would tear words apart.
_JOINED = frozenset({"Arab", "Syrc", "Nkoo", "Mong", "Deva", "Beng"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyph:
    """One picture of a font, its origin in ems from the start of the line, up being positive."""

    face: Face
    number: int
    x_em: float
    y_em: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Glyphs from left to right and how wide they are together, in ems of the text's size."""

    glyphs: tuple[Glyph, ...]
    width_em: float
    pitch_em: float


@dataclass(frozen=True, slots=True)
class _Run:
    """Characters that are shaped together; ``face`` None: no font has them."""

    first: int
    end: int
    level: int
    script: str | None
    face: Face | None


@lru_cache(maxsize=2048)
def shape_line(
    text: str, directions: tuple[int, ...], faces: tuple[Face, ...], tracking_em: float = 0.0
) -> Line:
    """The glyphs of one line.

    Args:
        text: without line ends.
        directions: the level of every character, as :func:`~pipeline.finishing.bidi.levels` finds
            it in the whole paragraph.
        tracking_em: space added after every character, but for joined scripts.
    """
    runs = list(_runs(text, directions, faces))
    glyphs: list[Glyph] = []
    x_em = tracking = 0.0
    for at in visual_order([run.level for run in runs]):
        run = runs[at]
        tracking = 0.0 if run.script in _JOINED else tracking_em
        for glyph, advance_em in _shape(text, run, fallback(faces), is_spaced=tracking != 0):
            glyphs.append(
                Glyph(
                    face=glyph.face,
                    number=glyph.number,
                    x_em=x_em + glyph.x_em,
                    y_em=glyph.y_em,
                )
            )
            # A mark stands on its letter and moves with it.
            x_em += advance_em + (tracking if advance_em else 0.0)
    # No space is added after the last one, or centred lines would stand off their middle.
    x_em -= tracking
    used = [run.face or fallback(faces) for run in runs]
    pitch_em = max((face.pitch_em for face in used), default=fallback(faces).pitch_em)
    return Line(glyphs=tuple(glyphs), width_em=x_em, pitch_em=pitch_em)


def _runs(text: str, directions: tuple[int, ...], faces: tuple[Face, ...]) -> Iterator[_Run]:
    """``text`` in runs of one direction, script and font, in reading order."""
    marked: list[tuple[int, int, tuple[int, str | None, Face | None]]] = []
    at = 0
    script: str | None = None
    for cluster in clusters(text):
        script = _script(cluster[0]) or script
        end = at + len(cluster)
        marked.append((at, end, (directions[at], script, face_for(faces, cluster))))
        at = end
    for (level, kind, face), group in groupby(marked, key=lambda each: each[2]):
        places = list(group)
        yield _Run(places[0][0], places[-1][1], level, kind, face)


@lru_cache(maxsize=4096)
def _script(character: str) -> str | None:
    """The four letters of a character's script; None for what every script has."""
    buffer = hb.Buffer()
    buffer.add_str(character)
    buffer.guess_segment_properties()
    script: str | None = buffer.script
    return script


def _shape(
    text: str, run: _Run, empty_box: Face, *, is_spaced: bool
) -> Iterator[tuple[Glyph, float]]:
    """The glyphs of one run from left to right, each with its advance in ems."""
    if run.face is None:
        # One box for each character that is missing, so that nothing vanishes unseen.
        advance_em = empty_box.font.get_glyph_h_advance(0) / empty_box.em
        for _ in clusters(text[run.first : run.end]):
            yield Glyph(face=empty_box, number=0, x_em=0.0, y_em=0.0), advance_em
        return
    buffer = hb.Buffer()
    # The whole line is context: a letter at a run's end may join what follows.
    codes = [ord(each) for each in text]
    buffer.add_codepoints(codes, run.first, run.end - run.first)
    buffer.direction = "rtl" if run.level % 2 else "ltr"
    if run.script is not None:
        buffer.script = run.script
    buffer.guess_segment_properties()
    hb.shape(run.face.font, buffer, {"liga": False, "clig": False} if is_spaced else {})
    em = run.face.em
    for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        glyph = Glyph(
            face=run.face,
            number=info.codepoint,
            x_em=place.x_offset / em,
            y_em=place.y_offset / em,
        )
        yield glyph, place.x_advance / em
