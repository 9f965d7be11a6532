"""The values that the whole program speaks in: frozen, typed, free of any I/O.

Words: a *storyboard* is a list of *shots* in cut order; a shot may have 1 to 7 *references*
(``@image1`` is the first); a *take* is one attempt to make a shot; a *clip* is the checked media
file of a take.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import ExitCode
from pipeline.film.spec import UNEDITED, FilmSpec, ShotEdit


class Resolution(StrEnum):
    """Output sizes by the length of the short side, in the providers' own words."""

    P480 = "480p"
    P720 = "720p"

    @property
    def short_side_px(self) -> int:
        """Pixels of the shorter edge of the picture."""
        return int(self.value.removesuffix("p"))


class ShotKind(StrEnum):
    """What a shot is made from, in the words of the manifest.

    ``references``: 1 to 7 images that the prompt names. ``text``: the prompt alone. ``frame``: an
    image that is the first frame. ``edit``: a clip that the prompt changes.
    """

    REFERENCES = "references"
    TEXT = "text"
    FRAME = "frame"
    EDIT = "edit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A picture's width and height in pixels."""

    width_px: int
    height_px: int

    @property
    def tier(self) -> Resolution:
        """The resolution that a picture of this size is sold as, by its short side."""
        is_small = self.short_side_px <= Resolution.P480.short_side_px
        return Resolution.P480 if is_small else Resolution.P720

    @property
    def short_side_px(self) -> int:
        """The shorter edge."""
        return min(self.width_px, self.height_px)

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}"


class Container(StrEnum):
    """The file format of a clip, in the providers' own words."""

    MP4 = "MP4"
    WEBM = "WEBM"
    MOV = "MOV"

    @property
    def suffix(self) -> str:
        """The ending of a file's name."""
        return f".{self.value.lower()}"


class SafetyMode(StrEnum):
    """How closely the provider looks at its own output: not at all, key frames, every frame."""

    NONE = "none"
    FAST = "fast"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What else may be said about a clip, where the provider takes it.

    ``quality`` 20 to 99 (None: the provider's own choice); ``results`` the most takes that one
    task makes, 1 to 4; ``keep_s`` how long the provider keeps the file, in seconds (None: as long
    as it likes); ``put_url`` an https address that it uploads the file to as well.
    """

    container: Container = Container.MP4
    quality: int | None = None
    safety: SafetyMode = SafetyMode.NONE
    results: int = 1
    keep_s: int | None = None
    put_url: str | None = None


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
    ``inline`` its bytes where the manifest itself holds them; ``path`` is the manifest's then.
    """

    source: str
    path: Path
    sha256: str
    size_bytes: int
    media_type: str
    width_px: int
    height_px: int
    inline: bytes | None = field(default=None, repr=False)

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
class VideoReference:
    """A clip to be edited: a checked file, or an address that the provider fetches.

    ``duration_s`` and ``size`` are exact for a file, None behind an address.
    """

    media: Reference
    duration_s: Fraction | None = None
    size: Size | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One entry of the manifest, checked and with every default filled in.

    ``images`` are references in ``@image`` order, empty for the other kinds; ``frame`` the first
    frame; ``video`` the clip to edit. ``resolution`` is what is paid for; ``size`` the exact
    picture where that is what the provider is asked for. ``duration_s`` whole seconds bought, of
    an edit what its clip lasts, rounded up (behind an address: what the manifest says);
    ``cut_s`` seconds used in the film (None: all of them);
    ``takes`` how many attempts are wanted, 1 or more; ``select`` which of them the film uses,
    from 1 (None: the newest that is good); ``edit`` what the film does with it, which buys nothing.
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
    size: Size | None = None
    frame: Reference | None = None
    video: VideoReference | None = None
    output: Output = Output()
    edit: ShotEdit = UNEDITED

    @property
    def kind(self) -> ShotKind:
        """What the shot is made from."""
        if self.video is not None:
            return ShotKind.EDIT
        if self.frame is not None:
            return ShotKind.FRAME
        return ShotKind.REFERENCES if self.images else ShotKind.TEXT

    @property
    def sources(self) -> tuple[Reference, ...]:
        """Every picture and clip that it is made from."""
        frame = (self.frame,) if self.frame is not None else ()
        return (*self.images, *frame, *((self.video.media,) if self.video is not None else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Storyboard:
    """A whole manifest, valid: N shots in cut order, ids unique without regard to case.

    ``provider`` is what the manifest names (None: it names none); ``budget_usd`` None: no limit;
    ``film`` None: hard cuts, the clips' own sound, one master.
    """

    name: str
    title: str
    path: Path
    shots: tuple[Shot, ...]
    provider: str | None = None
    budget_usd: Decimal | None = None
    film: FilmSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a clip should be like: its length in seconds, its short side (of both, None: whatever
    it is), its file format."""

    duration_s: Fraction | None
    short_side_px: int | None
    container: Container = Container.MP4


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What a full decode of one clip found.

    ``frames`` decoded pictures; ``frame_rate`` exact; ``duration_s`` frames over rate;
    ``has_audio`` whether there is a sound track at all; ``is_black`` whether there is nothing to
    be seen, from end to end.
    """

    size_bytes: int
    sha256: str
    width_px: int
    height_px: int
    frames: int
    frame_rate: Fraction
    video_codec: str
    has_audio: bool
    is_black: bool = False

    @property
    def duration_s(self) -> Fraction:
        """Exact length in seconds, counted in frames."""
        return self.frames / self.frame_rate
