"""Judges and reads what providers send to a webhook. No I/O.

A webhook only ever says which tasks are worth a look: it may be forged, late, doubled or lost, so
what became of a task is what the provider answers when it is asked. Sources:
https://wavespeed.ai/docs/verify-webhooks, https://wavespeed.ai/docs/how-to-use-webhooks and
https://runware.ai/docs/platform/webhooks, which knows no signature.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

from pipeline.providers.answers import SAFE_TASK_ID, read_object

# How far a signature's time may be from ours, either way: the provider's own advice.
_TOLERANCE_S = 300
_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
_SCHEME = "v3,"
_SECONDS = re.compile(r"[0-9]{1,12}\Z")


def is_genuine(headers: Mapping[str, str], body: bytes, *, secret: str, now: datetime) -> bool:
    """Whether WaveSpeed sent this body, within five minutes of now.

    Args:
        headers: names in lower case; ``webhook-id``, ``webhook-timestamp`` (Unix seconds) and
            ``webhook-signature`` (``v3,`` and hexadecimal digits) are looked at.
        body: the bytes as they came.
        secret: as ``Signing`` gives it. It is text and not base64, whatever it looks like.
    """
    signed_at = headers.get("webhook-timestamp", "")
    key = secret.removeprefix(_SECRET_PREFIX).encode()
    if not key or not _SECONDS.match(signed_at):
        return False
    if abs(now.timestamp() - int(signed_at)) > _TOLERANCE_S:
        return False
    head = f"{headers.get('webhook-id', '')}.{signed_at}."
    digest = hmac.new(key, head.encode("utf-8", "replace") + body, hashlib.sha256).hexdigest()
    given = headers.get("webhook-signature", "")
    # As bytes: of text, only ASCII may be compared in constant time.
    return hmac.compare_digest(f"{_SCHEME}{digest}".encode(), given.encode("utf-8", "replace"))


def read_wavespeed(body: bytes) -> tuple[str, ...]:
    """The id of the task that a notice is about, which is the task as a poll would show it; none
    where it cannot be read."""
    try:
        return _safe(read_object(body).get("id"))
    except ValueError:
        return ()


def read_runware(body: bytes) -> tuple[str, ...]:
    """The ids of the tasks that a notice is about, each once.

    The provider's pages disagree on its shape: one result by itself, or ``data`` or ``errors``
    around it. All are read.
    """
    try:
        notice = read_object(body)
    except ValueError:
        return ()
    entries: list[object] = [notice]
    for key in ("data", "errors"):
        value = notice.get(key)
        entries += value if isinstance(value, list) else [value]
    found = [
        task_id
        for entry in entries
        if isinstance(entry, dict)
        for task_id in _safe(entry.get("taskUUID"))
    ]
    return tuple(dict.fromkeys(found))


def _safe(task_id: object) -> tuple[str, ...]:
    return (task_id,) if isinstance(task_id, str) and SAFE_TASK_ID.match(task_id) else ()
