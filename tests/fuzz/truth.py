"""What an answer says beyond doubt, decided here and not by the program."""

from __future__ import annotations

import json
import re
from typing import Any

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z\Z")


def read(body: bytes) -> Any:
    """The body as JSON, None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def named_task(body: bytes) -> Any:
    """Whatever stands where the id of a new task belongs; None for nothing."""
    document = read(body)
    data = document.get("data") if isinstance(document, dict) else None
    return data.get("id") if isinstance(data, dict) else None


def is_clear_no(status: int, body: bytes) -> bool:
    """Whether the answer to a submission can only mean that no task was made."""
    if named_task(body) not in (None, ""):
        return False
    if 300 <= status < 500:
        return True
    document = read(body)
    code = document.get("code") if isinstance(document, dict) else None
    is_number = isinstance(code, int) and not isinstance(code, bool)
    return 200 <= status < 300 and is_number and 400 <= code < 500


def hides_a_task(told: bytes, original: bytes) -> bool:
    """Whether a spoilt page of the history can be read, and is a lie about what there is.

    Nobody can tell such a page from a true one, so nothing can be asked of who reads it.
    """
    items = _items(told)
    if items is None:
        return False
    shown = {item["id"]: item for item in items}
    for item in _items(original) or []:
        seen = shown.get(item["id"])
        if seen is None or seen.get("created_at") != item.get("created_at"):
            return True
        inputs = seen.get("inputs") or seen.get("input")
        if isinstance(inputs, dict) and inputs != item.get("inputs"):
            return True
    return len(items) < len(_items(original) or [])


def _items(body: bytes) -> list[dict[str, Any]] | None:
    """The items of a page that is fit to be read; None for any other."""
    document = read(body)
    data = document.get("data") if isinstance(document, dict) else None
    items = data.get("items") if isinstance(data, dict) else None
    if not isinstance(items, list):
        return None
    for item in items:
        if not isinstance(item, dict):
            return None
        task_id, made = item.get("id"), item.get("created_at")
        if not isinstance(task_id, str) or not _ID.match(task_id):
            return None
        if not isinstance(made, str) or not _TIME.match(made):
            return None
    return items
