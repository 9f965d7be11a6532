"""Take a key out of other people's words: some servers repeat the one that they were given.

They do so as it is, as it stands in a URL or in JSON, or as part of something in base64.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from urllib.parse import quote

# A shorter one is the sandbox's: no secret, and part of many an honest word.
_SHORTEST_SECRET = 12
_MASK = "***"


def build_mask(key: str) -> Callable[[str], str]:
    """What puts ``***`` in the place of the key, in each spelling of it that servers use."""
    if len(key) < _SHORTEST_SECRET:
        return str
    spellings = {key, quote(key), quote(key, safe=""), key.replace("/", "\\/")}
    for before in range(3):
        packed = base64.b64encode(b"-" * before + key.encode()).decode()
        # The letters at either end also spell what stands around the key.
        inner = packed[4 if before else 0 : -4]
        spellings |= {inner, inner.replace("+", "-").replace("/", "_"), quote(inner, safe="")}
    ordered = sorted(spellings, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE)
    return lambda text: pattern.sub(_MASK, text)


def without_query(url: str) -> str:
    """An address as it may be shown: of its query, which often holds a secret, only that there
    is one."""
    address, mark, _ = url.partition("?")
    return f"{address}{mark}{_MASK if mark else ''}"


def last_letters(key: str) -> str:
    """As much of a key as tells its owner which one it is: of a long one, the last four letters."""
    return f"{_MASK}{key[-4:]}" if len(key) >= 2 * _SHORTEST_SECRET else _MASK
