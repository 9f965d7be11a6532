"""What a reader sees as one character, and where a line may end.

A short form of the Unicode text segmentation and line breaking algorithms, as far as the words of
an ad need them: https://www.unicode.org/reports/tr29/ and https://www.unicode.org/reports/tr14/.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_JOINER = "\u200d"
_EMOJI_LOOK, _TEXT_LOOK = "\ufe0f", "\ufe0e"
# Blanks at which no line ends: no-break space, figure space, narrow no-break space.
_GLUE = frozenset("\u00a0\u2007\u202f")
_VIRAMA_CLASS = 9
# Nothing of these may begin a line, or end one (JIS X 4051, in short).
_NOT_FIRST = frozenset(
    "、。，．・：；？！ー々」』）】〕〉》”’…‥ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
)
_NOT_LAST = frozenset("「『（【〔〈《“‘")
# Scripts that are written without blanks, by ranges of code points.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0xA4CF),
    (0xF900, 0xFAFF),
    (0xFF00, 0xFF60),
    (0x20000, 0x3FFFF),
)


def clusters(text: str) -> list[str]:
    """``text`` in pieces that stay whole: a letter with its marks, an emoji sequence."""
    found: list[str] = []
    for character in text:
        if found and _goes_on(found[-1], character):
            found[-1] += character
        else:
            found.append(character)
    return found


def is_seen(character: str) -> bool:
    """Whether a font must have a picture for it: controls of layout need none."""
    kind = unicodedata.category(character)
    return kind != "Cf" and not _is_selector(character) and character != "\u034f"


def is_emoji(cluster: str) -> bool:
    """Whether it is to be drawn as an emoji even where a text font has it."""
    if _TEXT_LOOK in cluster:
        return False
    return _EMOJI_LOOK in cluster or ord(cluster[0]) >= 0x1F000


def pieces(line: str) -> Iterator[str]:
    """``line`` in pieces after each of which a new line may begin; blanks stand at their ends."""
    piece = ""
    for cluster in clusters(line):
        if piece and _may_break(piece, cluster):
            yield piece
            piece = ""
        piece += cluster
    if piece:
        yield piece


def stripped(text: str) -> str:
    """Without the blanks at its end at which a line may end."""
    end = len(text)
    while end and text[end - 1].isspace() and text[end - 1] not in _GLUE:
        end -= 1
    return text[:end]


def _goes_on(cluster: str, character: str) -> bool:
    """Whether ``character`` belongs to the cluster before it."""
    last = cluster[-1]
    code = ord(character)
    if unicodedata.category(character) in {"Mn", "Me", "Mc", "Cf"}:
        return not cluster.isspace()
    if 0x1F3FB <= code <= 0x1F3FF or character == "\u0e33":
        return True
    if last == _JOINER:
        return is_emoji(cluster) or unicodedata.combining(cluster[-2:][0]) == _VIRAMA_CLASS
    if _is_flag_half(character):
        return _is_flag_half(last) and sum(map(_is_flag_half, cluster)) % 2 == 1
    # A consonant under a virama is one sign with what stands before it.
    return unicodedata.combining(last) == _VIRAMA_CLASS and character.isalpha()


def _may_break(piece: str, cluster: str) -> bool:
    last, first = piece[-1], cluster[0]
    if first.isspace():
        return False
    if last == "\u200b" or (last.isspace() and last not in _GLUE):
        return True
    if last in _GLUE or first in _NOT_FIRST or last in _NOT_LAST or _is_closing(first):
        return False
    if last in "-\u2010\u2013\u2014":
        # A hyphen joins two words; before a number it is a minus.
        return len(piece) > 1 and piece[-2].isalnum() and first.isalpha()
    return _is_unspaced(first) or _is_unspaced(last)


def _is_closing(character: str) -> bool:
    return unicodedata.category(character) in {"Pe", "Pf"} or character in "!?.,:;%…\"'"


def _is_unspaced(character: str) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in _UNSPACED)


def _is_flag_half(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF


def _is_selector(character: str) -> bool:
    code = ord(character)
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
