"""What a manifest's ``film:`` section says, checked and with every default filled in.

Times are exact seconds, levels decibels; a *cut* is a list of shots with the part of each that is
used; a *deliverable* is one finished file made of a cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

CUT = "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmFile:
    """A file that the section names: as written, where it was found, and what it is by content."""

    source: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """How one part of the film gives way to the next.

    ``kind``: ``cut``, ``dissolve``, ``fade-black``, ``fade-white``, or the name of an ffmpeg
    ``xfade``. Both parts are seen for ``duration_s``, which is 0 for a cut and nothing else.
    """

    kind: str = CUT
    duration_s: Fraction = Fraction(0)


HARD_CUT = Transition()


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What becomes of a sound: louder or softer by ``gain_db``, or not heard at all."""

    gain_db: Fraction = Fraction(0)
    is_muted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """The point that a crop keeps in the picture, as shares of width and height from top left."""

    x: Fraction = Fraction(1, 2)
    y: Fraction = Fraction(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotEdit:
    """What the film does with one shot; None: as the film says for all.

    ``in_s`` seconds of the clip left out at its start; ``transition`` into what comes after it.
    How much is used is the shot's own ``cut_s``.
    """

    in_s: Fraction = Fraction(0)
    transition: Transition | None = None
    sound: Level | None = None
    focus: Focus | None = None


UNEDITED = ShotEdit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Music:
    """A bed under the whole film.

    ``start_s`` where in the file it begins; ``loops`` whether it starts over where it ends before
    the film; ``duck_db`` how far it steps back under speech (0: it does not).
    """

    file: FilmFile
    level: Level = Level()
    start_s: Fraction = Fraction(0)
    loops: bool = True
    fade_in_s: Fraction = Fraction(0)
    fade_out_s: Fraction = Fraction(1)
    duck_db: Fraction = Fraction(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceOver:
    """A recording that begins ``at_s`` seconds into the film."""

    file: FilmFile
    at_s: Fraction
    level: Level = Level()


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A still of its own: text on a colour or a picture, or the picture alone.

    ``color`` and ``background`` are ``#rrggbb``; ``transition`` into what comes after it (a title
    card) or out of what comes before (an end card).
    """

    duration_s: Fraction
    text: str = ""
    subtitle: str = ""
    picture: FilmFile | None = None
    color: str = "#ffffff"
    background: str = "#000000"
    font: FilmFile | None = None
    transition: Transition = HARD_CUT


class Place(StrEnum):
    """Where in the picture something stands."""

    TOP_LEFT = "top-left"
    TOP = "top"
    TOP_RIGHT = "top-right"
    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"
    BOTTOM_LEFT = "bottom-left"
    BOTTOM = "bottom"
    BOTTOM_RIGHT = "bottom-right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logo:
    """A picture over the whole film: ``width`` a share of the film's, ``margin`` of its short side,
    ``opacity`` 0 to 1. ``on_cards``: over title and end card as well."""

    file: FilmFile
    place: Place = Place.TOP_RIGHT
    width: Fraction = Fraction(12, 100)
    margin: Fraction = Fraction(5, 100)
    opacity: Fraction = Fraction(1)
    on_cards: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One caption, shown from ``start_s`` up to ``end_s`` of the film; lines end in ``\\n``."""

    start_s: Fraction
    end_s: Fraction
    text: str


class CaptionFile(StrEnum):
    """Formats of a caption file beside a deliverable."""

    SRT = "srt"
    VTT = "vtt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Captions:
    """The spoken or told words of the film.

    ``cues`` in order of time, none over another; ``shots`` their times count from the first frame
    of the shot of this id (None: of the film), so that they move with it from cut to cut.
    """

    cues: tuple[tuple[str | None, Cue], ...]
    is_burned_in: bool = False
    files: tuple[CaptionFile, ...] = (CaptionFile.SRT,)
    language: str = "en"
    font: FilmFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """A target: integrated loudness in LUFS (LKFS is the same), the most true peak in dBTP."""

    name: str
    integrated_lufs: Fraction
    true_peak_dbtp: Fraction


# EBU R 128 (2023), ATSC A/85 (2013), and what the large streaming sites bring sound to.
LOUDNESS = {
    each.name: each
    for each in (
        Loudness(name="ebu-r128", integrated_lufs=Fraction(-23), true_peak_dbtp=Fraction(-1)),
        Loudness(name="atsc-a85", integrated_lufs=Fraction(-24), true_peak_dbtp=Fraction(-2)),
        Loudness(name="social", integrated_lufs=Fraction(-14), true_peak_dbtp=Fraction(-1)),
    )
}


class Fit(StrEnum):
    """How a picture comes into a frame of another shape: its edges cut off around the focus, all of
    it on a colour, or all of it on a blurred copy of itself."""

    CROP = "crop"
    PAD = "pad"
    BLUR = "blur"


class Profile(StrEnum):
    """What a deliverable is encoded as; ``film.profiles`` says how."""

    WEB = "web"
    HEVC = "hevc"
    PRORES = "prores"
    WEBM = "webm"


@dataclass(frozen=True, slots=True, kw_only=True)
class CutShot:
    """One shot of a cut: which, from where, how much; None: as the shot itself says."""

    shot_id: str
    in_s: Fraction | None = None
    cut_s: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What a deliverable, and every clip on its way into one, must keep to.

    A clip or a film is refused that is black for longer than ``black_s`` or frozen for longer than
    ``frozen_s`` at one time (seconds); a film also that is silent for longer than ``silent_s``
    (None: silence is no fault). ``black_level`` is the share of full luma that counts as black.
    """

    black_s: Fraction = Fraction(2)
    frozen_s: Fraction = Fraction(3)
    silent_s: Fraction | None = None
    # A night has 3 to 8 percent; black itself, as encoders leave it, stays under 1.
    black_level: Fraction = Fraction(2, 100)
    loudness_lu: Fraction = Fraction(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverable:
    """One finished file.

    ``width_px`` and ``height_px`` even (None: the clips' own); ``frame_rate`` None: the clips' own;
    ``cut`` None: the master's; ``length_s`` what it must last exactly (None: what it comes to).
    """

    name: str
    width_px: int | None = None
    height_px: int | None = None
    frame_rate: Fraction | None = None
    profile: Profile = Profile.WEB
    fit: Fit = Fit.CROP
    background: str = "#000000"
    focus: Focus = Focus()
    cut: tuple[CutShot, ...] | None = None
    length_s: Fraction | None = None
    has_title: bool = True
    has_end: bool = True
    has_slate: bool = True
    has_captions_burned_in: bool = False
    # Top, right, bottom, left: shares of the picture that a platform lays its own things over.
    safe: tuple[Fraction, Fraction, Fraction, Fraction] = (
        Fraction(5, 100),
        Fraction(5, 100),
        Fraction(5, 100),
        Fraction(5, 100),
    )
    loudness: Loudness | None = None
    file_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmSpec:
    """The whole section. ``master`` is ``film.mp4``; ``deliverables`` go to a folder beside it.

    ``has_burn_in``: every shot carries its name and time, as an animatic does. No manifest says so.
    """

    master: Deliverable = Deliverable(name="film")
    deliverables: tuple[Deliverable, ...] = ()
    transition: Transition = HARD_CUT
    fade_in_s: Fraction = Fraction(0)
    fade_out_s: Fraction = Fraction(0)
    sound: Level = Level()
    music: Music | None = None
    voice_overs: tuple[VoiceOver, ...] = ()
    title_card: Card | None = None
    end_card: Card | None = None
    slate_s: Fraction = Fraction(0)
    logo: Logo | None = None
    captions: Captions | None = None
    checks: Checks = field(default_factory=Checks)
    has_burn_in: bool = False
