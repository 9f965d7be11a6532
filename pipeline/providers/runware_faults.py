"""Runware's errors: what stands in ``errors`` and what each code allows next. No I/O.

Source of the shape and of the codes: https://runware.ai/docs/platform/errors and the code tables
of the official SDKs (``runware`` 0.5.24, ``@runware/sdk`` 1.6.8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from pipeline.text import clean


class FaultKind(Enum):
    """What an error is about, by what may be done next."""

    KEY = auto()  # the key or the account; everything stops
    MONEY = auto()  # no credit; everything stops
    RATE = auto()  # slow down
    REQUEST = auto()  # a field of the request
    REFERENCE = auto()  # an image or clip that could not be fetched or read
    SAFETY = auto()  # refused by moderation
    CONFLICT = auto()  # the task's id is in use
    GONE = auto()  # no task of that id
    TASK = auto()  # the task was made, and failed or ended
    SERVICE = auto()  # the service itself is in trouble
    UNKNOWN = auto()


_BY_CODE: Mapping[str, FaultKind] = {
    code.lower(): kind
    for kind, codes in {
        FaultKind.KEY: ("invalidApiKey", "missingApiKey", "unauthorized", "forbidden"),
        FaultKind.MONEY: ("paymentRequired",),
        FaultKind.RATE: ("rateLimitExceeded", "providerRateLimitExceeded"),
        FaultKind.REQUEST: ("conflictParameters", "modelNotFound"),
        FaultKind.REFERENCE: ("invalidValueUploadFailed",),
        FaultKind.SAFETY: (
            "contentPolicyViolation",
            "providerContentPolicyViolation",
            "promptBlocked",
            "imageBlocked",
            "moderationFailed",
            "nsfwContentDetected",
            "sensitiveContentDetected",
            "unsafeContentDetected",
        ),
        FaultKind.CONFLICT: ("conflictTaskUUID",),
        # Not ``taskExpired``: who says that a task is over says that there was one.
        FaultKind.GONE: ("taskNotFound", "taskFailedOrNotFound"),
        FaultKind.TASK: (
            "timeoutProvider",
            "inferenceError",
            "noAvailableServer",
            "modelUnavailable",
            "taskFailed",
            "taskExpired",
            "taskCancelled",
            "downloadFailed",
            "uploadFailed",
        ),
        FaultKind.SERVICE: ("internalServerError", "serviceUnavailable"),
    }.items()
    for code in codes
}
# Families of codes, the first that fits. Whole words of the camel case only: a ``loadBalancer``
# has nothing to do with a balance.
_BY_WORD: tuple[tuple[re.Pattern[str], FaultKind], ...] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"[aA](?:pi|PI)Key(?![a-z])", FaultKind.KEY),
        (r"(?:[aA]ccount|[oO]rgani[sz]ation)Suspended", FaultKind.KEY),
        (r"[rR]ateLimit", FaultKind.RATE),
        (r"(?:[cC]redits?|[qQ]uota|[bB]alance)(?![a-z])", FaultKind.MONEY),
        (r"[pP]olicyViolation", FaultKind.SAFETY),
        (r"(?:invalid|missing|unsupported)(?![a-z])", FaultKind.REQUEST),
        (r"provider(?![a-z])", FaultKind.TASK),
    )
)
_WORDS: Mapping[FaultKind, str] = {
    FaultKind.SAFETY: "refused by content moderation",
    FaultKind.REFERENCE: "a reference could not be fetched or read",
    FaultKind.MONEY: "not enough credit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One error as the service states it; texts made safe to print, ids as they came.

    ``task_id`` empty where the error names no task. ``parameter`` the field that is meant,
    several separated by commas. ``is_verdict`` whether it is marked as the end of a task, as the
    errors of a poll are, and not of the question.
    """

    code: str = ""
    message: str = ""
    parameter: str = ""
    task_id: str = ""
    is_verdict: bool = False

    @property
    def kind(self) -> FaultKind:
        """What the code stands for."""
        known = _BY_CODE.get(self.code.lower())
        if known is not None:
            return known
        # match() for what a code begins with, search() for what it may hold anywhere.
        for pattern, kind in _BY_WORD:
            anywhere = kind not in {FaultKind.REQUEST, FaultKind.TASK}
            if pattern.search(self.code) if anywhere else pattern.match(self.code):
                return kind
        return FaultKind.UNKNOWN

    @property
    def text(self) -> str:
        """The error in words: what it means, what the service says, which field."""
        said = self.message or (
            f"the provider says only {self.code}" if self.code else "no reason is given"
        )
        meaning = _WORDS.get(self.kind, "")
        where = f" ({self.parameter})" if self.parameter not in said else ""
        return f"{meaning}: {said}{where}" if meaning else f"{said}{where}"


def read_faults(envelope: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Every error of an answer: ``errors``, or the single ``error`` of a transport failure."""
    found: list[object] = []
    for key in ("errors", "error"):
        value = envelope.get(key)
        found += value if isinstance(value, list) else [value]
    return tuple(_read_fault(one) for one in found if isinstance(one, dict | str) and one)


def is_failed(item: Mapping[str, Any]) -> bool:
    """Whether an entry of ``data`` is an error: by its status, or by an ``error`` inside it."""
    stated = item.get("error")
    return item.get("status") == "error" or (isinstance(stated, dict | str) and bool(stated))


def read_item_fault(item: Mapping[str, Any]) -> Fault:
    """The error that an entry of ``data`` is; it ends the result that the entry stands for."""
    stated = item.get("error")
    fault = _read_fault(stated if isinstance(stated, dict | str) and stated else dict(item))
    own_id = item.get("taskUUID")
    task_id = own_id if isinstance(own_id, str) else fault.task_id
    return replace(fault, task_id=task_id, is_verdict=True)


def _read_fault(stated: dict[str, Any] | str) -> Fault:
    if isinstance(stated, str):
        return Fault(message=_text(stated))
    message, upstream = _text(stated.get("message")), _text(stated.get("responseContent"))
    if upstream not in message:
        message = f"{message}: {upstream}" if message else upstream
    parameter = stated.get("parameter")
    fields: Iterable[object] = parameter if isinstance(parameter, list) else [parameter]
    task_id = stated.get("taskUUID")
    return Fault(
        code=clean(_text(stated.get("code")), limit=80),
        message=message,
        parameter=clean(", ".join(field for field in fields if isinstance(field, str)), limit=100),
        task_id=task_id if isinstance(task_id, str) else "",
        is_verdict=stated.get("status") == "error" and stated.get("taskType") != "getResponse",
    )


def _text(value: object) -> str:
    return clean(value, limit=250) if isinstance(value, str) else ""
