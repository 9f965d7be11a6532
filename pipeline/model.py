"""The values that the whole program speaks in: frozen, typed, free of any I/O.

Words: a *storyboard* is a list of *shots* in cut order; a shot has 1 to 7 *references*
(``@image1`` is the first); a *take* is one attempt to make a shot; a *clip* is the checked media
file of a take.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import ExitCode


class Resolution(StrEnum):
    """Output sizes by the length of the short side, in the providers' own words."""

    P480 = "480p"
    P720 = "720p"

    @property
    def short_side_px(self) -> int:
        """Pixels of the shorter edge of the picture."""
        return int(self.value.removesuffix("p"))


class Severity(StrEnum):
    """An error stops the command; a warning is shown and work goes on."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a manifest; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a manifest: where, what, and the cure.

    ``path`` is written as a person would say it: ``shots[3].duration``; shots count from 0, as
    in the document. Empty for the document as a whole.
    """

    file: str
    position: Position
    path: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    exit_code: ExitCode = ExitCode.BAD_MANIFEST

    def __str__(self) -> str:
        place = f"{self.file}:{self.position.line}:{self.position.column}: "
        word = "warning: " if self.severity is Severity.WARNING else ""
        subject = f"{self.path}: " if self.path else ""
        cure = f" ({self.hint})" if self.hint else ""
        return f"{place}{word}{subject}{self.message}{cure}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReference:
    """A reference image on this machine, as it was when the manifest was checked.

    ``source`` is the text of the manifest; ``path`` where it was found; ``media_type`` one of
    ``image/png``, ``image/jpeg``, ``image/webp``, from the bytes and not from the name.
    """

    source: str
    path: Path
    sha256: str
    size_bytes: int
    media_type: str
    width_px: int
    height_px: int

    @property
    def content_key(self) -> str:
        """Identity by content: the same picture under another name is the same reference."""
        return f"sha256:{self.sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlReference:
    """A reference image that the provider fetches by itself."""

    source: str
    url: str

    @property
    def content_key(self) -> str:
        """Identity by address: what lies behind it is the provider's to fetch."""
        return f"url:{self.url}"


Reference: TypeAlias = FileReference | UrlReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One entry of the manifest, checked and with every default filled in.

    ``duration_s`` whole seconds bought; ``cut_s`` seconds used in the film (None: all of them);
    ``takes`` how many attempts are wanted, 1 or more; ``select`` which of them the film uses,
    from 1 (None: the newest that is good).
    """

    id: str
    images: tuple[Reference, ...]
    prompt: str
    duration_s: int
    resolution: Resolution
    position: Position
    cut_s: Fraction | None = None
    takes: int = 1
    select: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storyboard:
    """A whole manifest, valid: N shots in cut order, ids unique without regard to case.

    ``provider`` is what the manifest names (None: it names none); ``budget_usd`` None: no limit.
    """

    name: str
    title: str
    path: Path
    shots: tuple[Shot, ...]
    provider: str | None = None
    budget_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What a full decode of one clip found.

    ``frames`` decoded pictures; ``frame_rate`` exact; ``duration_s`` frames over rate;
    ``has_audio`` whether there is a sound track at all.
    """

    size_bytes: int
    sha256: str
    width_px: int
    height_px: int
    frames: int
    frame_rate: Fraction
    video_codec: str
    has_audio: bool

    @property
    def duration_s(self) -> Fraction:
        """Exact length in seconds, counted in frames."""
        return self.frames / self.frame_rate
