"""Whether the words of a film can be written with the fonts that there are.

Looked at with the manifest: in a finished film a box in place of a letter is found too late.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from pipeline.film.spec import Captions, Card, FilmFile, FilmSpec
from pipeline.findings import KeyPath
from pipeline.typefaces.faces import in_words, missing_glyphs
from pipeline.view import View


def check_words(view: View, film: FilmSpec) -> None:
    """Report every character of cards and burned-in captions that no font has, where it stands."""
    for path, place, text, font in _words(view, film):
        lacks = missing_glyphs(text, None if font is None else font.path)
        if lacks:
            owner = "the fonts that come along" if font is None else f'"{font.source}"'
            view.add(
                path,
                f"{owner} cannot write {in_words(lacks)}",
                f"name a font file that has it, for example {place}.font: fonts/Brand.ttf",
            )


_Words: TypeAlias = tuple[KeyPath, str, str, FilmFile | None]


def _words(view: View, film: FilmSpec) -> Iterator[_Words]:
    """Every text with where it stands, whose it is, and the font that it is written with."""
    for key, card in (("title", film.title_card), ("end", film.end_card)):
        if card is not None:
            yield from _of_card(("film", key), f"film.{key}", card)
    burned = (film.master, *film.deliverables)
    if film.captions is not None and any(each.has_captions_burned_in for each in burned):
        yield from _of_captions(view, film.captions)


def _of_card(path: KeyPath, place: str, card: Card) -> Iterator[_Words]:
    yield path, place, f"{card.text}\n{card.subtitle}", card.font


def _of_captions(view: View, captions: Captions) -> Iterator[_Words]:
    path: KeyPath = ("film", "captions")
    has_cues = bool(view.list_at((*path, "cues")))
    for index, (_, cue) in enumerate(captions.cues):
        at = (*path, "cues", index, "text") if has_cues else path
        yield at, "film.captions", cue.text, captions.font
