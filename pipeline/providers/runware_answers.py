"""What an answer of Runware's means: the tables that prevent paying twice. No I/O.

One URL answers everything with ``data`` beside ``errors``, and the HTTP status alone proves
nothing: a 200 may hold only errors. So what counts is what names our own task, the id that we
chose. Sources: https://runware.ai/docs/platform/errors,
https://runware.ai/docs/platform/task-polling.md and the official SDKs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.errors import (
    ConfigurationError,
    KeyRefused,
    NoCredit,
    ProviderError,
    RateLimited,
    ReferenceRefused,
    Rejected,
    SubmissionInDoubt,
    Unavailable,
    UnknownTask,
)
from pipeline.providers.answers import read_object, read_retry_after, redirected
from pipeline.providers.base import HttpReply
from pipeline.providers.runware_faults import (
    Fault,
    FaultKind,
    is_failed,
    read_faults,
    read_item_fault,
)

# Statuses that speak for themselves where the error's code does not. The others of the 4xx
# range that a gateway may send after it passed the request on are left out: no proof of a no.
_KIND_BY_STATUS = {
    400: FaultKind.REQUEST,
    401: FaultKind.KEY,
    402: FaultKind.MONEY,
    403: FaultKind.KEY,
    404: FaultKind.REQUEST,
    405: FaultKind.REQUEST,
    413: FaultKind.REQUEST,
    415: FaultKind.REQUEST,
    422: FaultKind.REQUEST,
    429: FaultKind.RATE,
}
_HINTS = {
    FaultKind.KEY: "check the key and the account",
    FaultKind.MONEY: "top up the account",
    FaultKind.SAFETY: "change the prompt or the pictures, then run again",
    FaultKind.REFERENCE: "see that the provider can fetch it, then run again",
    FaultKind.REQUEST: "change the shot, then run again",
}
# Of several refusals the one that decides what may be done next: first what stops the run, last
# what only asks for patience.
_REFUSALS = (
    FaultKind.KEY,
    FaultKind.MONEY,
    FaultKind.SAFETY,
    FaultKind.REFERENCE,
    FaultKind.REQUEST,
    FaultKind.RATE,
)


class Envelope:
    """An answer, sorted by whether it names one task of ours.

    ``readable`` whether it is an answer of the service's at all, ``empty`` whether it has a list
    of results and nothing in it. ``items`` the entries of ``data`` that name the task, ``failed``
    those of them that are errors; ``faults`` the entries of ``errors`` that name it,
    ``unaddressed`` those that name no task; ``strange`` whether anything is somebody else's.
    """

    def __init__(self, reply: HttpReply, task_id: str) -> None:
        self.items: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self.unaddressed: list[Fault] = []
        self.strange = False
        self.readable = True
        try:
            envelope = read_object(reply.body)
        except ValueError:
            self.readable, envelope = False, {}
        data = envelope.get("data")
        self.empty = data == []
        for item in data if isinstance(data, list) else []:
            if not isinstance(item, dict) or not _same_id(item.get("taskUUID"), task_id):
                self.strange = True
            elif is_failed(item):
                self.failed.append(item)
            else:
                self.items.append(item)
        for fault in read_faults(envelope):
            if not fault.task_id:
                self.unaddressed.append(fault)
            elif _same_id(fault.task_id, task_id):
                self.faults.append(fault)
            else:
                self.strange = True

    @property
    def addressed(self) -> list[Fault]:
        """Every error that names the task, wherever it stands."""
        return [*self.faults, *map(read_item_fault, self.failed)]


def read_acceptance(reply: HttpReply, task_id: str) -> str:
    """Our own id, where the answer proves that the task was taken.

    ``conflictTaskUUID`` proves it too: the id follows from this one take and was written down
    before it was first sent, so what it collides with is an earlier sending of the same take.

    Raises:
        Rejected, KeyRefused, RateLimited: a verdict on this task, or a 4xx without one: none was
            made.
        SubmissionInDoubt: anything that leaves it open.
        ConfigurationError: a redirect, or no API at this address; nothing was made.
    """
    status = reply.status
    if 300 <= status < 400 and not _is_named(task_id, reply.body):
        raise redirected(reply)
    envelope = Envelope(reply, task_id)
    said: Sequence[Fault] = envelope.addressed
    if any(fault.kind is FaultKind.CONFLICT for fault in said):
        return task_id
    if 200 <= status < 300 and envelope.items:
        return task_id
    text = f"the provider answered {describe(reply, envelope)}"
    doubt = SubmissionInDoubt(text)
    # Who answers a redirect and names our task has looked at it.
    if not 200 <= status < 500 or 300 <= status < 400 or envelope.items:
        raise doubt
    if not said and status >= 400 and not envelope.strange:
        # A body that breaks off and yet names our task may have been a yes.
        if not envelope.readable and _is_named(task_id, reply.body):
            raise doubt
        said = envelope.unaddressed or [Fault()]
    raise _refusal(reply, said, text) or doubt


def _is_named(task_id: str, body: bytes) -> bool:
    """Whether a body holds the id anywhere, readable or not, in any encoding of plain letters."""
    return task_id.encode() in body.lower().replace(b"\0", b"")


def _refusal(
    reply: HttpReply, said: Sequence[Fault], text: str
) -> ProviderError | ConfigurationError | None:
    """The error that a plain no stands for; None where it is not plain."""
    kinds = [_kind(fault, reply.status) for fault in said]
    if not said or any(kind not in _REFUSALS for kind in kinds):
        return None
    kind = min(kinds, key=_REFUSALS.index)
    first = said[kinds.index(kind)]
    if reply.status in {404, 405} and not any(fault.code for fault in said):
        return ConfigurationError(f"no API there: {text}", hint="check the base URL")
    if kind is FaultKind.RATE:
        return RateLimited(text, retry_after_s=read_retry_after(reply))
    code = first.code or str(reply.status)
    made = Rejected
    if kind is FaultKind.KEY:
        made = KeyRefused
    elif kind is FaultKind.MONEY:
        made = NoCredit
    elif kind is FaultKind.REFERENCE:
        made = ReferenceRefused
    return made(text, hint=_HINTS[kind], code=code)


def _kind(fault: Fault, status: int) -> FaultKind:
    kind = fault.kind
    return _KIND_BY_STATUS.get(status, kind) if kind is FaultKind.UNKNOWN else kind


def failed_question(reply: HttpReply, envelope: Envelope) -> ProviderError | ConfigurationError:
    """The error of a poll that says nothing about its task; the task is untouched."""
    text = f"the provider answered {describe(reply, envelope)}"
    if 300 <= reply.status < 400:
        return redirected(reply)
    said = envelope.unaddressed or envelope.addressed or [Fault()]
    kinds = {_kind(fault, reply.status) for fault in said}
    if reply.status == 429 or FaultKind.RATE in kinds:
        return RateLimited(text, retry_after_s=read_retry_after(reply))
    if reply.status < 500 and (reply.status == 401 or FaultKind.KEY in kinds):
        return KeyRefused(text, hint=_HINTS[FaultKind.KEY], code=str(reply.status))
    if reply.status < 500 and FaultKind.MONEY in kinds:
        return NoCredit(text, hint=_HINTS[FaultKind.MONEY], code=str(reply.status))
    if FaultKind.GONE in kinds and reply.status < 500 and not envelope.strange:
        return UnknownTask("the provider does not know it (any more)")
    return Unavailable(text)


def read_item(reply: HttpReply, *task_types: str) -> dict[str, Any]:
    """The one item of an answer to a call that costs nothing and names no task.

    Raises:
        Rejected, KeyRefused, RateLimited, Unavailable: by what may be done next.
        ConfigurationError: a redirect, or no API at this address.
    """
    if 300 <= reply.status < 400:
        raise redirected(reply)
    try:
        envelope = read_object(reply.body)
    except ValueError:
        envelope = {}
    data = envelope.get("data")
    items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    said = [*read_faults(envelope), *map(read_item_fault, filter(is_failed, items))]
    if 200 <= reply.status < 300 and not said:
        for item in items:
            if item.get("taskType") in task_types:
                return item
    text = f"the provider answered {_words(reply.status, said)}"
    if reply.status >= 500 or (reply.status < 400 and not said):
        raise Unavailable(text)
    raise _refusal(reply, said or [Fault()], text) or Unavailable(text)


def describe(reply: HttpReply, envelope: Envelope) -> str:
    """Status and the service's own words, those about our task first."""
    return _words(reply.status, [*envelope.addressed, *envelope.unaddressed])


def _words(status: int, faults: Sequence[Fault]) -> str:
    told = "; ".join(dict.fromkeys(fault.text for fault in faults[:3]))
    return f"{status}: {told}" if told else str(status)


def _same_id(stated: object, task_id: str) -> bool:
    return isinstance(stated, str) and bool(task_id) and stated.lower() == task_id.lower()
