"""Text for the slate: what the built-in typeface can show, where lines break, how wide they are.

The typeface is the one inside Pillow (Aileron Regular, public domain): the same on every machine,
no font file to find. It holds ASCII and a few signs. Common accents are drawn over its letters;
anything else is spelled with what there is (``—`` as ``-``) or named (``[CJK]``, ``[rocket]``),
never dropped unseen.
"""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

# Glyphs are drawn this many times larger and reduced: even weight, spacing finer than a pixel.
FINE = 3
ELLIPSIS = "…"
_NO_CHARACTER = "\uffff"

_SPELLED = {
    "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-", "―": "-",
    "‚": ",", "„": "“", "‟": "“", "′": "'", "″": '"',
    "•": "·", "→": "->", "←": "<-", "×": "x", "÷": "/", "≈": "~", "≤": "<=", "≥": ">=",
    "€": "EUR ", "£": "GBP ", "¥": "JPY ", "®": "(R)", "№": "No. ",
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O",
    "đ": "d", "Đ": "D", "ð": "d", "þ": "th", "ł": "l", "Ł": "L", "ı": "i",
    "¿": "", "¡": "",
}  # fmt: skip
_SCRIPTS = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK", "CJK": "CJK"}

# Accents as strokes, in em, from the middle of the letter (x) and its top (y, upwards).
_ARC = tuple(
    (0.11 * math.cos(a), 0.16 + 0.09 * math.sin(a)) for a in (-2.9, -2.2, -1.57, -0.94, -0.24)
)
_RING = tuple((0.07 * math.cos(a / 2), 0.14 + 0.07 * math.sin(a / 2)) for a in range(14))
_STROKES: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "\u0300": (((-0.10, 0.19), (0.04, 0.07)),),
    "\u0301": (((0.10, 0.19), (-0.04, 0.07)),),
    "\u0302": (((-0.11, 0.07), (0.0, 0.18), (0.11, 0.07)),),
    "\u0303": (((-0.13, 0.09), (-0.07, 0.14), (0.0, 0.115), (0.07, 0.09), (0.13, 0.14)),),
    "\u0304": (((-0.11, 0.12), (0.11, 0.12)),),
    "\u0306": (_ARC,),
    "\u0307": (((0.0, 0.12), (0.0, 0.12)),),
    "\u0308": (((-0.09, 0.12), (-0.09, 0.12)), ((0.09, 0.12), (0.09, 0.12))),
    "\u030a": (_RING,),
    "\u030b": (((-0.02, 0.19), (-0.09, 0.07)), ((0.13, 0.19), (0.06, 0.07))),
    "\u030c": (((-0.11, 0.18), (0.0, 0.07), (0.11, 0.18)),),
}
_STROKE_EM, _DOT_EM = 0.062, 0.085
# These have something on top already; they keep it and lose the accent.
_CROWNED = frozenset("ij")


class Face:
    """The typeface at one size; ``weight`` is thickness added to strokes, ``tracking`` to gaps.

    All lengths are in pixels of the finished picture. Not for use by two threads at once.
    """

    def __init__(self, size_px: float, *, weight: float = 0.0, tracking: float = 0.0) -> None:
        font = ImageFont.load_default(size=size_px * FINE)
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise TypeError("Pillow was built without FreeType; install an official wheel")
        self._font = font
        self._em = size_px * FINE
        self._stroke = weight * FINE
        self._tracking = tracking
        self.cap_height = -font.getbbox("H", anchor="ls")[1] / FINE

    def width(self, text: str) -> float:
        """How far ``text`` advances."""
        return self._font.getlength(_bare(text)) / FINE + self._tracking * len(text)

    def draw(self, mask: Image.Image, x: float, baseline: float, text: str) -> float:
        """Draw on a mask ``FINE`` times the size of the picture; gives where the text ends."""
        pen = ImageDraw.Draw(mask)
        for piece in text if self._tracking else [text]:
            at = (x * FINE, baseline * FINE)
            pen.text(
                at, _bare(piece), fill=255, font=self._font, anchor="ls", stroke_width=self._stroke
            )
            for index, character in enumerate(piece):
                self._accent(
                    pen, at[0] + self._font.getlength(_bare(piece[:index])), at[1], character
                )
            x += self.width(piece)
        return x

    def fitted(self, text: str, width: float) -> str:
        """``text``, or the words of it that fit with an ellipsis; empty where nothing does."""
        if self.width(text) <= width:
            return text
        text = text[: self._fitting(text, width - self.width(ELLIPSIS))]
        whole = text.rsplit(" ", 1)[0]
        # A very long last word is better cut than left out.
        kept = whole if len(whole) > 0.7 * len(text) else text
        return kept.rstrip(" ,;:.-") + ELLIPSIS if text else ""

    def wrapped(self, text: str, width: float, max_lines: int) -> tuple[str, ...]:
        """Break ``text`` into at most ``max_lines`` lines of about equal length.

        What does not fit is cut off and marked with an ellipsis.
        """
        words = [piece for word in text.split() for piece in self._pieces(word, width)]
        lines = self._filled(words, width)
        if not lines:
            return ()
        if len(lines) > max_lines:
            rest = " ".join(lines[max_lines - 1 :])
            return (*lines[: max_lines - 1], self.fitted(rest, width))
        widest_word = max(map(self.width, words))
        narrower = width
        while narrower * 0.97 > widest_word:
            if len(self._filled(words, narrower * 0.97)) > len(lines):
                break
            narrower *= 0.97
        return tuple(self._filled(words, narrower))

    def _filled(self, words: list[str], width: float) -> list[str]:
        lines: list[str] = []
        for word in words:
            if lines and self.width(f"{lines[-1]} {word}") <= width:
                lines[-1] = f"{lines[-1]} {word}"
            else:
                lines.append(word)
        return lines

    def _fitting(self, text: str, width: float) -> int:
        """How many characters of ``text`` fit; found by halving, as text may be long."""
        return bisect_right(range(1, len(text) + 1), width, key=lambda n: self.width(text[:n]))

    def _pieces(self, word: str, width: float) -> Iterator[str]:
        """A word, cut where it alone is wider than a line."""
        while len(word) > 1 and self.width(word) > width:
            fits = max(self._fitting(word, width), 1)
            yield word[:fits]
            word = word[fits:]
        yield word

    def _accent(self, pen: ImageDraw.ImageDraw, x: float, baseline: float, character: str) -> None:
        letter, mark = _parted(character)
        if not mark or letter in _CROWNED:
            return
        left, top, right, _ = self._font.getbbox(letter, anchor="ls")
        middle = x + (left + right) / 2
        thick = _STROKE_EM * self._em + self._stroke
        for stroke in _STROKES[mark]:
            points = [(middle + dx * self._em, baseline + top - dy * self._em) for dx, dy in stroke]
            is_dot = points[0] == points[-1]
            radius = (_DOT_EM * self._em + self._stroke if is_dot else thick) / 2
            pen.line(points, fill=255, width=round(thick), joint="curve")
            for px, py in points:
                pen.ellipse((px - radius, py - radius, px + radius, py + radius), fill=255)


def legible(text: str) -> str:
    """``text`` in characters that a ``Face`` can draw, on one line.

    Control and direction marks go; runs in another script become its name in brackets.
    """
    shown: list[str] = []
    named = ""
    for character in unicodedata.normalize("NFC", text):
        spelled = _spelled(character)
        if spelled is not None:
            shown.append(spelled)
            if spelled.strip():
                named = ""
            continue
        name = _named(character)
        if name != named:
            shown.append(f" [{name}] ")
            named = name
    return " ".join("".join(shown).split())


@lru_cache(maxsize=4096)
def _spelled(character: str) -> str | None:
    """The character in glyphs that exist, possibly none; None where it can only be named."""
    if character.isspace():
        return " "
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Mc"}:
        return ""
    if _has_glyph(character) or _parted(character)[1]:
        return character
    if character in _SPELLED:
        return _SPELLED[character]
    parts = unicodedata.normalize("NFKD", character)
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    if plain and plain != character and all(_has_glyph(part) for part in plain):
        return plain
    return None


def _named(character: str) -> str:
    """What to call a character that cannot be shown: its script, or itself if it is a sign."""
    name = unicodedata.name(character, "sign")
    if unicodedata.category(character).startswith("L"):
        script = name.split()[0]
        return _SCRIPTS.get(script, script.capitalize())
    if name.startswith(("IDEOGRAPHIC", "FULLWIDTH", "KATAKANA-HIRAGANA")):
        return "CJK"
    return name.lower()


@lru_cache(maxsize=4096)
def _parted(character: str) -> tuple[str, str]:
    """The letter, and the one accent on it that can be drawn or an empty text."""
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[1] in _STROKES and _has_glyph(parts[0]):
        return parts[0], parts[1]
    return character, ""


def _bare(text: str) -> str:
    return "".join(_parted(character)[0] for character in text)


@lru_cache(maxsize=1)
def _probe() -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, bytes]:
    font = ImageFont.load_default(size=24)
    return font, bytes(font.getmask(_NO_CHARACTER))


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    font, missing = _probe()
    return bytes(font.getmask(character)) != missing
