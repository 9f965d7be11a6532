"""The identity of what a shot asks for: equal fingerprints are never paid twice by accident.

The definition is part of every journal ever written. It must not change; a new one needs a new
name beside it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pipeline.model import Output, SafetyMode, Shot


def fingerprint(shot: Shot, model: str) -> str:
    """SHA-256 (hex) over the model and all that reaches it: prompt, length, size, images, and what
    a shot has besides them.

    The shot's id, its cut and its place in the film are left out: renaming or moving a shot
    buys nothing. So is what changes no picture, like how long the provider keeps the file. Images
    count by content, or by address where the provider fetches them.
    """
    content: dict[str, Any] = {
        "duration_s": shot.duration_s,
        "images": [reference.content_key for reference in shot.images],
        "model": model,
        "prompt": shot.prompt,
        "resolution": shot.resolution.value,
    }
    # Only where there is one, so that shots of images alone keep the names they always had.
    if shot.size is not None:
        content["size"] = str(shot.size)
    if shot.frame is not None:
        content["frame"] = shot.frame.content_key
    if shot.video is not None:
        content["video"] = shot.video.media.content_key
    if shot.output.container is not Output().container:
        content["container"] = shot.output.container.value
    if shot.output.quality is not None:
        content["quality"] = shot.output.quality
    if shot.output.safety is not SafetyMode.NONE:
        content["safety"] = shot.output.safety.value
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
