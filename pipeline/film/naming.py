"""File names of deliverables from a pattern, and a film in one line. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import TypeAlias

from pipeline.film.cutting import cut_parts, film_parts, length_s
from pipeline.film.profiles import ENCODINGS
from pipeline.film.spec import Deliverable, FilmSpec
from pipeline.film.timeline import PartKind, duration_of
from pipeline.findings import closest
from pipeline.model import Storyboard
from pipeline.references import RESERVED_NAMES
from pipeline.text import shown

USUAL_PATTERN = "{storyboard}_{ratio}_{length}s"
# What stands where only the clips will tell: their own size or rate.
UNKNOWN = "native"

# What a file that does not pass its checks is called by, before its suffix.
REFUSED = ".refused"

Words: TypeAlias = tuple[str, str]

_FIELDS = ("storyboard", "name", "ratio", "width", "height", "length", "profile", "fps")
_FIELD = re.compile(r"\{([^{}]*)\}")
# What every file system, shell and upload form takes as it is.
_SAFE = re.compile(r"[A-Za-z0-9_.-]+\Z")
_MOST_CHARACTERS = 120
_KNOWN_RATIOS = (
    "16:9",
    "9:16",
    "1:1",
    "4:5",
    "5:4",
    "4:3",
    "3:4",
    "2:1",
    "1:2",
    "21:9",
    "2:3",
    "3:2",
)
_KNOWN_SUFFIXES = frozenset({".mp4", ".mov", ".webm", ".mkv", ".m4v", ".avi"})


def pattern_mistake(pattern: str) -> Words | None:
    """What is wrong with a pattern, and the cure; None where it makes names."""
    for name in _FIELD.findall(pattern):
        if name not in _FIELDS:
            guess = closest(name, _FIELDS)
            known = ", ".join(f"{{{field}}}" for field in _FIELDS)
            hint = f"did you mean {{{guess}}}?" if guess else f"known here: {known}"
            return f"{{{shown(name, 30)}}} means nothing in a file name", hint
    rest = _FIELD.sub("x", pattern)
    if wrong := re.search(r"[^A-Za-z0-9_.-]", rest):
        return (
            f'"{shown(wrong.group())}" cannot be in a file name',
            "use a–z, A–Z, 0–9, _ - and . around the words in braces",
        )
    if rest[0] in ".-":
        return f'a file name cannot begin with "{rest[0]}"', "begin with a letter or digit"
    return None


def file_name(pattern: str, storyboard: str, deliverable: Deliverable, lasts_s: Fraction) -> str:
    """The name of a deliverable's file, with the suffix of its profile.

    Args:
        pattern: without a mistake.
        storyboard: its name.
        lasts_s: seconds, for ``{length}``: at most two decimals are written.
    """
    width, height = deliverable.width_px, deliverable.height_px
    rate = deliverable.frame_rate
    values = {
        "storyboard": storyboard,
        "name": deliverable.name,
        "ratio": ratio_word(width, height),
        "width": str(width or UNKNOWN),
        "height": str(height or UNKNOWN),
        "length": plain_number(lasts_s),
        "profile": deliverable.profile.value,
        "fps": UNKNOWN if rate is None else plain_number(rate, 3),
    }
    name = _FIELD.sub(lambda match: values[match.group(1)], pattern)
    suffix = ENCODINGS[deliverable.profile].suffix
    return (name[: -len(suffix)] if name.lower().endswith(suffix) else name) + suffix


def name_mistake(name: str, deliverable: Deliverable) -> Words | None:
    """What keeps a made name from being a file's, and the cure."""
    suffix = ENCODINGS[deliverable.profile].suffix
    stem = name.removesuffix(suffix)
    other = next((known for known in _KNOWN_SUFFIXES if stem.lower().endswith(known)), None)
    if other is not None:
        cure = f"leave {other} out, or choose the profile that makes it"
        return f"profile {deliverable.profile} makes {suffix} files, not {other}", cure
    if stem.lower().endswith(REFUSED):
        return (
            f'"{shown(name, 60)}" is kept for a file that does not pass its checks',
            f'choose a name that does not end in "{REFUSED}"',
        )
    if not _SAFE.match(name) or len(name) > _MOST_CHARACTERS:
        cure = "use fewer words in the pattern"
        return f"the file name has {len(name)} characters; at most {_MOST_CHARACTERS}", cure
    if stem.split(".")[0].lower() in RESERVED_NAMES:
        return f'"{name}" cannot be a file name: Windows keeps it for a device', "choose another"
    return None


def ratio_word(width_px: int | None, height_px: int | None) -> str:
    """A shape as it stands in names: ``9x16``; the nearest usual one within 1 %."""
    if width_px is None or height_px is None:
        return UNKNOWN
    shape = Fraction(width_px, height_px)
    for known in _KNOWN_RATIOS:
        width, height = known.split(":")
        if abs(shape / Fraction(int(width), int(height)) - 1) <= Fraction(1, 100):
            return f"{width}x{height}"
    return f"{width_px}x{height_px}"


def plain_number(value: Fraction, places: int = 2) -> str:
    """A number as people write it: 30, 7.5, 23.976."""
    return f"{float(value):.{places}f}".rstrip("0").rstrip(".")


def film_line(storyboard: Storyboard) -> str:
    """The film in one line: ``film: 30 s, 5 shots, 4 dissolves; deliverables: 9x16 15 s``."""
    film = storyboard.film or FilmSpec()
    parts = film_parts(cut_parts(storyboard, film.master))
    shots = sum(part.kind is PartKind.SHOT for part in parts)
    kinds = Counter(part.transition.kind for part in parts if part.transition.duration_s)
    said = [f"{plain_number(duration_of(parts))} s", _count(shots, "shot")]
    said += [_count(number, kind) for kind, number in kinds.items()]
    line = f"film: {', '.join(said)}"
    if not film.deliverables:
        return line
    others = (
        f"{each.name} {plain_number(length_s(storyboard, each))} s" for each in film.deliverables
    )
    return f"{line}; deliverables: {', '.join(others)}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 or word.endswith("s") else "s")
