"""A submission as the journal keeps it, and back. Pure.

The first four keys are those of every journal ever written; the others stand there only where a
submission has them. An address that anybody could write to stands there as its sha256 only: to
send a submission again, that of the present manifest is taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pipeline.model import Container, Output, Resolution, SafetyMode, ShotKind, Size
from pipeline.providers.base import TakeRequest


def write_request(request: TakeRequest) -> dict[str, Any]:
    """JSON values that say all of a submission but its model and its task's id."""
    record: dict[str, Any] = {
        "images": list(request.image_urls),
        "prompt": request.prompt,
        "duration": request.duration_s,
        "resolution": request.resolution.value,
    }
    output, plain = request.output, Output()
    extras: dict[str, tuple[Any, bool]] = {
        "kind": (request.kind.value, request.kind is not ShotKind.REFERENCES),
        "size": (str(request.size), request.size is not None),
        "frame": (request.frame_url, bool(request.frame_url)),
        "video": (request.video_url, bool(request.video_url)),
        "container": (output.container.value, output.container is not plain.container),
        "quality": (output.quality, output.quality is not None),
        "safety": (output.safety.value, output.safety is not plain.safety),
        "keep_s": (output.keep_s, output.keep_s is not None),
        "put_url_sha256": (_sha256(output.put_url or ""), output.put_url is not None),
        "results": (request.results, request.results != 1),
    }
    return record | {key: value for key, (value, is_there) in extras.items() if is_there}


def read_request(
    record: Mapping[str, Any],
    *,
    model: str,
    task_id: str,
    webhook_url: str = "",
    put_url: str | None = None,
) -> TakeRequest:
    """The submission that a record is of.

    Args:
        webhook_url: the present run's. It is no part of what is bought, and often holds a secret,
            so that no record has it.
        put_url: where the present manifest has the clip uploaded to, for the same reasons.
    Raises:
        KeyError, ValueError, TypeError: it is no such record.
    """
    width, _, height = str(record.get("size", "")).partition("x")
    results = int(record.get("results", 1))
    return TakeRequest(
        model=model,
        prompt=str(record["prompt"]),
        image_urls=tuple(map(str, record["images"])),
        duration_s=None if record["duration"] is None else int(record["duration"]),
        resolution=Resolution(record["resolution"]),
        kind=ShotKind(record.get("kind", ShotKind.REFERENCES)),
        size=Size(width_px=int(width), height_px=int(height)) if width else None,
        frame_url=str(record.get("frame", "")),
        video_url=str(record.get("video", "")),
        output=Output(
            container=Container(record.get("container", Container.MP4)),
            quality=record.get("quality"),
            safety=SafetyMode(record.get("safety", SafetyMode.NONE)),
            results=results,
            keep_s=record.get("keep_s"),
            # Earlier versions wrote it down as it was.
            put_url=put_url or record.get("put_url"),
        ),
        results=results,
        task_id=task_id,
        webhook_url=webhook_url,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
