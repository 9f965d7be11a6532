"""Take a key out of other people's words: some servers repeat the one that they were given.

They do so as it is, as it stands in a URL or in JSON, each letter of it perhaps as an escape, as
hexadecimal digits, or as part of something in base64. Escapes are masked where they stand, before
anybody decodes them: decoded later, they would spell the key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Container
from functools import partial
from urllib.parse import quote

# A shorter one is the sandbox's: no secret, and part of many an honest word.
_SHORTEST_SECRET = 12
_MASK = "***"
# A letter as JSON, a URL or HTML escapes it, also one whose escape was escaped again.
_ESCAPE = re.compile(
    r"\\{1,8}(?:u00|x)([0-9a-f]{2})|%(?:25){0,4}([0-9a-f]{2})|&#x0{0,4}([0-9a-f]{2});"
    r"|&#0{0,4}([0-9]{2,3});",
    re.IGNORECASE,
)
# Escapes in escapes of another kind are followed as deep as this.
_DEPTH = 3


def build_mask(key: str) -> Callable[[str], str]:
    """What puts ``***`` in the place of the key, in each spelling of it that servers use."""
    if len(key) < _SHORTEST_SECRET:
        return str
    spellings = {key, quote(key), quote(key, safe=""), key.replace("/", "\\/"), key.encode().hex()}
    for before in range(3):
        packed = base64.b64encode(b"-" * before + key.encode()).decode()
        # The letters at either end also spell what stands around the key.
        inner = packed[4 if before else 0 : -4]
        spellings |= {inner, inner.replace("+", "-").replace("/", "_"), quote(inner, safe="")}
    ordered = sorted(spellings, key=len, reverse=True)
    lowered = {spelling.lower() for spelling in ordered}
    pattern = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE)
    # Any other escape may be what keeps an answer readable: a quote in JSON.
    letters = set("".join(ordered)) - {'"', "\\"}

    def holds_key(text: str) -> bool:
        # Looking for each alone is a hundred times as fast as the pattern on a large answer.
        text = text.lower()
        return any(spelling in text for spelling in lowered)

    def mask(text: str) -> str:
        resolved = text
        for _ in range(_DEPTH):
            if holds_key(resolved):
                text = pattern.sub(_MASK, resolved)
                resolved = text
            resolved, found = _ESCAPE.subn(partial(_resolve, letters), resolved)
            if not found:
                break
        return pattern.sub(_MASK, resolved) if holds_key(resolved) else text

    return mask


def _resolve(letters: Container[str], escape: re.Match[str]) -> str:
    """The letter that an escape stands for, if it is one of those; else the escape as it is."""
    json_digits, url_digits, html_digits, html_number = escape.groups()
    digits = json_digits or url_digits or html_digits
    letter = chr(int(digits, 16) if digits else int(html_number))
    return letter if letter in letters else escape.group()


def without_query(url: str) -> str:
    """An address as it may be shown: of its query, which often holds a secret, only that there
    is one."""
    address, mark, _ = url.partition("?")
    return f"{address}{mark}{_MASK if mark else ''}"


def last_letters(key: str) -> str:
    """As much of a key as tells its owner which one it is: of a long one, the last four letters."""
    return f"{_MASK}{key[-4:]}" if len(key) >= 2 * _SHORTEST_SECRET else _MASK
