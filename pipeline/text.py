"""Outside text made safe to print: nothing that a terminal, a log or a reader could take amiss.

Manifests, file names and server answers are other people's words. Whatever of them appears in a
message goes through one of these two functions first.
"""

from __future__ import annotations

import re

# C0 and C1 controls, invisible and bidirectional format characters, line and paragraph
# separators, lone surrogates (a lone one cannot even be encoded) and the tag block.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_BLANKS = re.compile(r"[ \t\n\v\f\r]+")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _fit(text: str, limit: int) -> str:
    """Escape, then cut to ``limit`` characters, never in the middle of an escape."""
    # The cut comes first too: a megabyte of controls is not worth escaping.
    pieces: list[str] = []
    room = limit
    for character in text[: limit + 1]:
        piece = _UNSAFE.sub(_escape, character)
        if len(piece) > room:
            break
        pieces.append(piece)
        room -= len(piece)
    else:
        return "".join(pieces)
    while pieces and room < 1:
        room += len(pieces.pop())
    return "".join(pieces) + "…"


def shown(text: str, limit: int = 60) -> str:
    """A user's text as it may stand inside a message: one line, escaped, ``limit`` characters.

    A longer text ends in ``…``. Escapes are Python's: ``\\n``, ``\\x1b``, ``\\u202e``.
    """
    return _fit(text, limit)


def clean(text: str, limit: int = 500) -> str:
    """A server's or program's text as one printable line of at most ``limit`` characters.

    Runs of blanks and line ends become one blank; controls, bidirectional marks and lone
    surrogates are escaped.
    """
    # Four times the limit leaves room for the blanks that fall away, and bounds the work.
    return _fit(_BLANKS.sub(" ", text[: 4 * limit + 4]).strip(), limit)
