"""The identity of what a shot asks for: equal fingerprints are never paid twice by accident.

The definition is part of every journal ever written. It must not change; a new one needs a new
name beside it.
"""

from __future__ import annotations

import hashlib
import json

from pipeline.model import Shot


def fingerprint(shot: Shot, model: str) -> str:
    """SHA-256 (hex) over the model and all that reaches it: prompt, length, size, images.

    The shot's id, its cut and its place in the film are left out: renaming or moving a shot
    buys nothing. Images count by content, or by address where the provider fetches them.
    """
    content = {
        "duration_s": shot.duration_s,
        "images": [reference.content_key for reference in shot.images],
        "model": model,
        "prompt": shot.prompt,
        "resolution": shot.resolution.value,
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
