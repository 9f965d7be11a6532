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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from pipeline.providers.answers import SAFE_TASK_ID, read_object
from pipeline.text import clean

# How far a signature's time may be from ours, either way: the provider's own advice.
_TOLERANCE_S = 300
_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
_SCHEME = "v3,"
_SECONDS = re.compile(r"[0-9]{1,12}\Z")
_SIGNATURE = "webhook-signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSecrets:
    """What a notice is judged by; one that is empty lets no notice through.

    ``signing`` WaveSpeed's secret; ``token`` what the ``token`` of our address's query must be, as
    Runware signs nothing.
    """

    signing: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a genuine notice says: the tasks that are worth a look, and the provider's own word
    for how they are, which is not to be relied on."""

    provider: str
    task_ids: tuple[str, ...]
    word: str = ""


def judge(
    headers: Mapping[str, str], token: str, body: bytes, *, secrets: HookSecrets, now: datetime
) -> Notice | None:
    """The notice, if it is genuine; None where whoever sent it has not proved to be a provider.

    Args:
        headers: names in lower case. A signature there makes it WaveSpeed's.
        token: the one that came in the query; counts only where there is no signature.
    """
    if _SIGNATURE in headers:
        if not is_genuine(headers, body, secret=secrets.signing, now=now):
            return None
        return Notice(provider="wavespeed", task_ids=read_wavespeed(body), word=_word(body))
    given, wanted = token.encode("utf-8", "replace"), secrets.token.encode()
    if not wanted or not hmac.compare_digest(given, wanted):
        return None
    return Notice(provider="runware", task_ids=read_runware(body), word=_word(body))


def token_of(webhook_url: str) -> str:
    """The token in the address that a provider is given; empty where it has none."""
    return dict(parse_qsl(urlsplit(webhook_url).query)).get("token", "")


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
    given = headers.get(_SIGNATURE, "")
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
    found = [task_id for entry in _entries(body) for task_id in _safe(entry.get("taskUUID"))]
    return tuple(dict.fromkeys(found))


def _entries(body: bytes) -> Iterator[Mapping[str, object]]:
    """Everything in a notice that may be about a task."""
    try:
        notice = read_object(body)
    except ValueError:
        return
    yield notice
    for key in ("data", "errors"):
        value = notice.get(key)
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict):
                yield entry


def _word(body: bytes) -> str:
    words = (entry.get("status") for entry in _entries(body))
    return clean(next((word for word in words if isinstance(word, str)), ""), limit=40)


def _safe(task_id: object) -> tuple[str, ...]:
    return (task_id,) if isinstance(task_id, str) and SAFE_TASK_ID.match(task_id) else ()
