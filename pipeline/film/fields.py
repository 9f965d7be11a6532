"""Reads single values of the film section. Pure.

What the schema refused was reported by it and reads as absent here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pipeline.film.sources import Opened, Outcomes, SourceKind
from pipeline.film.spec import CUT, LOUDNESS, FilmFile, Focus, Level, Loudness, Place, Transition
from pipeline.findings import KeyPath
from pipeline.library import ImageRefused
from pipeline.view import View
from pipeline.yaml_tree import Unclear

_USUAL_TRANSITION_S = Fraction(1, 2)
_NAMED_COLORS = {"black": "#000000", "white": "#ffffff"}
# Rates that are written short: 29.97 stands for 30000/1001.
_SHORT_RATES = {
    Fraction(text): Fraction(base * 1000, 1001)
    for text, base in (("23.976", 24), ("23.98", 24), ("29.97", 30), ("47.952", 48), ("59.94", 60))
}
_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(?:/(\d{1,4}))?\Z")
_RATIO = re.compile(r"(\d{1,2}(?:\.\d{1,3})?):(\d{1,2}(?:\.\d{1,3})?)\Z")
_SIZE = re.compile(r"(\d{2,4})x(\d{2,4})\Z")
_LEAST_PX, _MOST_PX = 64, 4096
_MOST_RATIO = 4
_THIRDS = {"left": Fraction(0), "right": Fraction(1), "top": Fraction(0), "bottom": Fraction(1)}


@dataclass(frozen=True, slots=True)
class Fields:
    """The values of one document, and what became of the files that it names."""

    view: View
    outcomes: Outcomes

    def has(self, path: KeyPath) -> bool:
        """Whether there is a value that can be used."""
        return self.view.get(path) is not None

    def number(self, path: KeyPath) -> Fraction | None:
        """An exact number."""
        value = self.view.get(path)
        is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
        return Fraction(value) if is_number else None

    def number_or(self, path: KeyPath, default: Fraction | int) -> Fraction:
        """An exact number, or the default where there is none."""
        value = self.number(path)
        return Fraction(default) if value is None else value

    def flag(self, path: KeyPath, *, default: bool) -> bool:
        """True or false."""
        value = self.view.get(path)
        return value if isinstance(value, bool) else default

    def text(self, path: KeyPath) -> str | None:
        """A text, also one that YAML would take for something else, like ``9:16``."""
        value = self.view.get(path)
        return value.text if isinstance(value, Unclear) else self.view.text(path)

    def transition(self, path: KeyPath) -> Transition | None:
        """A name, or a type and a length."""
        kind = self.view.text(path) or self.view.text((*path, "type"))
        if kind is None:
            return None
        place = (*path, "duration")
        duration_s = self.number(place)
        if kind != CUT:
            length_s = _USUAL_TRANSITION_S if duration_s is None else duration_s
            return Transition(kind=kind, duration_s=length_s)
        if duration_s is not None:
            self.view.add(place, "a cut has no length", "leave duration out, or write a dissolve")
        return Transition()

    def level(self, path: KeyPath) -> Level | None:
        """``keep``, ``mute``, or a gain."""
        gain_db = self.number((*path, "gain"))
        match self.view.text(path):
            case "keep":
                return Level()
            case "mute":
                return Level(is_muted=True)
            case _:
                return None if gain_db is None else Level(gain_db=gain_db)

    def color(self, path: KeyPath) -> str | None:
        """A colour as ``#rrggbb``, in small letters."""
        written = self.view.text(path)
        if written is None:
            return None
        color = _NAMED_COLORS.get(written, written).lower()
        return color if len(color) == 7 else "#" + "".join(2 * digit for digit in color[1:])

    def focus(self, path: KeyPath) -> Focus | None:
        """A point, or the name of a place."""
        if name := self.view.text(path):
            words = name.split("-") if name != Place.CENTER else []
            middle = Fraction(1, 2)
            across = next((_THIRDS[word] for word in words if word in ("left", "right")), middle)
            down = next((_THIRDS[word] for word in words if word in ("top", "bottom")), middle)
            return Focus(x=across, y=down)
        x, y = self.number((*path, 0)), self.number((*path, 1))
        return None if x is None or y is None else Focus(x=x, y=y)

    def loudness(self, path: KeyPath) -> Loudness | None:
        """A target by name, or by its figures; None for ``none`` as well."""
        name = self.view.text(path)
        if name is not None:
            return LOUDNESS.get(name)
        integrated = self.number((*path, "integrated"))
        if integrated is None:
            return None
        peak = self.number_or((*path, "true_peak"), -1)
        return Loudness(name="custom", integrated_lufs=integrated, true_peak_dbtp=peak)

    def frame_rate(self, path: KeyPath) -> Fraction | None:
        """Frames a second; 29.97 and its like are the exact rates that they stand for."""
        value = self.number(path)
        written = self.view.text(path)
        if written is not None:
            match = _RATE.match(written)
            divisor = Fraction(match.group(2) or 1) if match else Fraction(0)
            value = Fraction(match.group(1)) / divisor if match and divisor else Fraction(0)
            if not 8 <= value <= 60:
                self.view.add(path, "must be 8 to 60 frames a second", 'for example "30000/1001"')
                return None
        return None if value is None else _SHORT_RATES.get(value, value)

    def ratio(self, path: KeyPath) -> Fraction | None:
        """Width over height, exact."""
        match = _RATIO.match(self.text(path) or "")
        if match is None:
            return None
        width, height = Fraction(match.group(1)), Fraction(match.group(2))
        if not width or not height or not 1 <= _MOST_RATIO * width / height <= _MOST_RATIO**2:
            self.view.add(path, "must be between 1:4 and 4:1", 'for example ratio: "9:16"')
            return None
        return width / height

    def size(self, path: KeyPath) -> tuple[int, int] | int | None:
        """Width and height in pixels, both even; or the short side, even."""
        value = self.view.get(path)
        written = _SIZE.match(value) if isinstance(value, str) else None
        if written is None and type(value) is not int:
            return None
        sides = tuple(int(side) for side in written.groups()) if written else (value, value)
        width, height = sides
        if not all(_LEAST_PX <= side <= _MOST_PX for side in sides):
            cure = "for example size: 1080x1920"
            self.view.add(path, f"each side must be {_LEAST_PX} to {_MOST_PX:,} pixels", cure)
            return None
        if any(side % 2 for side in sides):
            even = (width + width % 2, height + height % 2)
            cure = f"write {even[0]}x{even[1]}" if written else f"write {even[0]}"
            self.view.add(path, "each side must be an even number of pixels", cure)
            return None
        return (width, height) if written else width

    def file(self, path: KeyPath, kind: SourceKind) -> FilmFile | None:
        """The file that is named; what is wrong with it is reported here."""
        found = self.opened(path, kind)
        return None if found is None else found.file

    def opened(self, path: KeyPath, kind: SourceKind) -> Opened | None:
        """As :meth:`file`, with what was found in it."""
        source = self.view.text(path)
        outcome = self.outcomes.get((kind, source)) if source else None
        if not isinstance(outcome, ImageRefused):
            return outcome
        self.view.findings.add(
            self.view.document.position(path),
            path,
            outcome.message,
            outcome.hint,
            exit_code=outcome.exit_code,
        )
        return None
