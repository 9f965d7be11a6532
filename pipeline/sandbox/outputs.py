"""The finished clips of a task: how many, under which names, from when to when."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import PurePath

from pipeline.sandbox.answers import NS_PER_S
from pipeline.sandbox.store import Task

_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm"}


def output_names(task: Task) -> tuple[str, ...]:
    """File names of the clips, in order; a task whose dialect names no format has one MP4."""
    form = task.inputs.get("outputFormat")
    if not isinstance(form, str):
        return ("clip.mp4",)
    return tuple(f"{video_uuid(task, n)}.{form.lower()}" for n in range(task.results))


def video_uuid(task: Task, index: int) -> str:
    """The id of one clip, a UUID of version 4 in form; the same whenever one asks."""
    seed = hashlib.sha256(f"{task.id}:{task.created_ns}:{index}".encode()).digest()
    return str(uuid.UUID(bytes=seed[:16], version=4))


def is_due(task: Task, index: int, *, now_ns: int) -> bool:
    """Whether one clip may be told and fetched; several come one after the other."""
    if task.is_final or index == task.results - 1:
        return task.status == "completed"
    if task.starts_ns is None:
        return False
    return now_ns >= task.starts_ns + task.latency_ns * (index + 1) // task.results


def files_end_ns(task: Task) -> int | None:
    """When the clips vanish, where the customer has chosen that (``ttl``); else None."""
    life_s = task.inputs.get("ttl")
    if not isinstance(life_s, int) or task.ends_ns is None:
        return None
    return task.ends_ns + life_s * NS_PER_S


def media_type(name: str) -> str:
    """Content type of a clip by its name."""
    return _TYPES[PurePath(name).suffix]
