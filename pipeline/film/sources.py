"""Which files a film section names, and what was found of each. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias

from pipeline.film.spec import FilmFile
from pipeline.findings import KeyPath
from pipeline.library import ImageRefused
from pipeline.view import View


class SourceKind(StrEnum):
    """What a file is to be."""

    SOUND = "sound"
    PICTURE = "picture"
    FONT = "font"
    CAPTIONS = "captions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A file that is what it is to be. ``duration_s`` of a recording, as its header says (None: it
    does not); ``text`` of a caption file."""

    file: FilmFile
    duration_s: Fraction | None = None
    text: str | None = None


Outcome: TypeAlias = Opened | ImageRefused
Outcomes: TypeAlias = Mapping[tuple[SourceKind, str], Outcome]

_FILM: KeyPath = ("film",)
_PLACES: tuple[tuple[KeyPath, SourceKind], ...] = (
    (("film", "music"), SourceKind.SOUND),
    (("film", "music", "file"), SourceKind.SOUND),
    (("film", "title", "image"), SourceKind.PICTURE),
    (("film", "end", "image"), SourceKind.PICTURE),
    (("film", "title", "font"), SourceKind.FONT),
    (("film", "end", "font"), SourceKind.FONT),
    (("film", "captions", "font"), SourceKind.FONT),
    (("film", "logo"), SourceKind.PICTURE),
    (("film", "logo", "file"), SourceKind.PICTURE),
    (("film", "captions"), SourceKind.CAPTIONS),
    (("film", "captions", "file"), SourceKind.CAPTIONS),
)


def sources_of(view: View) -> tuple[tuple[SourceKind, str], ...]:
    """Every distinct file that the section names, as written, with what it is to be."""
    return tuple(dict.fromkeys(_named(view)))


def _named(view: View) -> Iterator[tuple[SourceKind, str]]:
    for path, kind in _PLACES:
        if source := view.text(path):
            yield kind, source
    for index in range(len(view.list_at((*_FILM, "voice")))):
        if source := view.text((*_FILM, "voice", index, "file")):
            yield SourceKind.SOUND, source
