"""Look for a key, in every form in which it could be written down, in whatever a run has left."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

# Neither a word nor part of one, and with signs that a URL spells otherwise.
CANARY = "wsk/Canary+7f3d9b1e5a/Q4=="
# As much of a key as nobody would print by chance: the ends of it may be shown on purpose.
_MIDDLE = slice(6, 18)


def forms_of(key: str) -> dict[str, bytes]:
    """Each form of the key by its name; base64 also where the key is in the midst of a text."""
    forms = {
        "plain": key.encode(),
        "middle": key[_MIDDLE].encode(),
        "url": quote(key, safe="").encode(),
        "url with slashes": quote(key).encode(),
        "url form": quote_plus(key).encode(),
        "json": key.replace("/", "\\/").encode(),
        "hex": key.encode().hex().encode(),
        "utf-16": key.encode("utf-16-le"),
        "backwards": key[::-1].encode(),
        "repr": json.dumps(key)[1:-1].encode(),
    }
    for shift in range(3):
        packed = base64.b64encode(b"x" * shift + key.encode())
        # The first letters hang on what stands before, the last ones on what comes after.
        inner = packed[4 if shift else 0 : -4]
        forms[f"base64 +{shift}"] = inner
        forms[f"base64url +{shift}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    return forms


def find_key(places: Mapping[str, bytes], key: str = CANARY) -> list[str]:
    """Where it is: ``place: form`` for every find."""
    forms = forms_of(key)
    return [
        f"{place}: {name}"
        for place, content in places.items()
        for name, form in forms.items()
        if form in content
    ]


def read_tree(folders: Iterable[Path]) -> dict[str, bytes]:
    """Every file below the folders as bytes, whatever it is, and the names of all of them."""
    found: dict[str, bytes] = {}
    for folder in folders:
        paths = sorted(folder.rglob("*"))
        found[f"names in {folder.name}"] = "\n".join(map(str, paths)).encode("utf-8", "replace")
        found |= {str(path): path.read_bytes() for path in paths if path.is_file()}
    return found


def control_bytes(stream: bytes) -> list[int]:
    """Bytes that would do something to a terminal, but for the end of a line."""
    text = stream.decode("utf-8", "replace")
    strange = [ord(letter) for letter in text if ord(letter) < 32 and letter != "\n"]
    # C1 controls and bidirectional marks act on terminals, too.
    return strange + [
        ord(letter)
        for letter in text
        if 0x7F <= ord(letter) < 0xA0 or 0x202A <= ord(letter) < 0x202F or letter == "\u200f"
    ]
