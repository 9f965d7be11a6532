"""How a Runware task is: one answer over all of its results. No I/O.

A poll lists one entry per result and keeps the finished ones in every later answer; an error that
names the task ends it, any other concerns the question alone. Source:
https://runware.ai/docs/platform/task-polling.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipeline.errors import UnknownTask
from pipeline.providers.answers import is_text, read_usd
from pipeline.providers.base import HttpReply, TaskPhase, TaskStatus
from pipeline.providers.runware_answers import Envelope, failed_question
from pipeline.providers.runware_faults import Fault, FaultKind, read_item_fault
from pipeline.text import clean

# Words of documents and clients of various ages for a result that is not there yet.
_WAITING_WORDS = frozenset({"processing", "queued", "pending", "scheduled", "waiting"})
# Codes that a poll may be refused with as well; of the task only where the error says so itself.
_OF_EITHER = frozenset({FaultKind.KEY, FaultKind.RATE, FaultKind.SERVICE})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Results:
    """The entries of a task, by how far each is; ``missing`` are done without an address."""

    good: tuple[dict[str, Any], ...]
    missing: tuple[dict[str, Any], ...]
    running: tuple[dict[str, Any], ...]


def read_task(reply: HttpReply, task_id: str, results: int) -> TaskStatus:
    """How a task is that was to make ``results`` results.

    Raises:
        UnknownTask: the service knows no such task, or does not show it yet.
        KeyRefused, RateLimited, Unavailable: the question failed; the task is untouched.
        ConfigurationError: a redirect.
    """
    envelope = Envelope(reply, task_id)
    # A failed task may come with any 4xx but these two, which are about the one who asks.
    if not (200 <= reply.status < 300 or 400 <= reply.status < 500) or reply.status in {401, 429}:
        raise failed_question(reply, envelope)
    of_task = [fault for fault in envelope.faults if _ends_task(fault)]
    if of_task or envelope.failed or (envelope.items and reply.status < 300):
        return _status(envelope, of_task, results)
    refused = envelope.faults or envelope.unaddressed or envelope.strange
    if envelope.empty and not refused and reply.status < 300:
        raise UnknownTask("the provider does not know it (any more)")
    raise failed_question(reply, envelope)


def _ends_task(fault: Fault) -> bool:
    """Whether an addressed error is a verdict on the task.

    A conflict is the answer to a second sending and says that the task is there.
    """
    if fault.kind in {FaultKind.GONE, FaultKind.CONFLICT}:
        return False
    return fault.kind not in _OF_EITHER or fault.is_verdict


def _status(envelope: Envelope, of_task: Sequence[Fault], results: int) -> TaskStatus:
    found = _sort(envelope.items)
    faults = [*map(read_item_fault, envelope.failed), *of_task]
    outputs = tuple(item["videoURL"] for item in found.good)
    ended = len(found.good) + len(found.missing) + len(envelope.failed)
    # An error beside the list is about all results that are not in it.
    if found.running or (ended < results and not of_task):
        word = _running_word(found.running)
        if results > 1:
            word = f"{word}, {len(outputs)} of {results} ready"
        return TaskStatus(phase=TaskPhase.RUNNING, word=word, outputs=outputs)
    told = "; ".join(dict.fromkeys(fault.text for fault in faults[:3]))
    code = next((fault.code for fault in faults if fault.code), "")
    cost_usd = _cost_usd((*found.good, *found.missing), envelope.failed)
    if not found.good and not found.missing:
        return TaskStatus(
            phase=TaskPhase.FAILED,
            word="error",
            code=code,
            message=told,
            cost_usd=cost_usd,
            reference_lost=any(fault.kind is FaultKind.REFERENCE for fault in faults),
            no_credit=any(fault.kind is FaultKind.MONEY for fault in faults),
        )
    wanted = max(results, ended)
    if told and wanted > 1:
        told = f"{wanted - len(outputs)} of {wanted} results failed: {told}"
    return TaskStatus(
        phase=TaskPhase.DONE,
        word="success",
        outputs=outputs,
        flagged=any(item.get("NSFWContent") is True for item in found.good),
        code=code,
        message=told,
        cost_usd=cost_usd,
    )


def _sort(items: Sequence[dict[str, Any]]) -> _Results:
    """Sort the entries by state; the good ones by ``videoUUID``, each once."""
    good: dict[str, dict[str, Any]] = {}
    rest: list[dict[str, Any]] = []
    for item in items:
        url = item.get("videoURL")
        # Results pushed over a socket, and the page's examples, have an address and no status.
        if is_text(url) and url and _word(item) not in _WAITING_WORDS:
            good[_result_id(item) or url] = item
        else:
            rest.append(item)
    # A result that was listed twice counts as it was in its last state.
    rest = [item for item in rest if _result_id(item) not in good]
    return _Results(
        good=tuple(good[key] for key in sorted(good)),
        missing=tuple(item for item in rest if _word(item) == "success"),
        running=tuple(item for item in rest if _word(item) != "success"),
    )


def _word(item: dict[str, Any]) -> str:
    word = item.get("status")
    return word.lower() if isinstance(word, str) else ""


def _result_id(item: dict[str, Any]) -> str:
    result_id = item.get("videoUUID")
    return result_id if isinstance(result_id, str) else ""


def _running_word(running: Sequence[dict[str, Any]]) -> str:
    """The status of the first result under way, with its progress where that is told."""
    item = running[0] if running else {}
    word = clean(_word(item), limit=40) or "processing"
    progress = item.get("progress")
    if isinstance(progress, int | Decimal) and not isinstance(progress, bool):
        word += f" {int(progress)} %" if 0 <= progress <= 100 else ""
    return word


def _cost_usd(
    finished: Sequence[dict[str, Any]], failed: Sequence[dict[str, Any]]
) -> Decimal | None:
    """What all results cost together; None unless every finished one tells its part."""
    parts = [read_usd(item.get("cost")) for item in finished]
    total = sum((part for part in parts if part is not None), Decimal(0))
    total += sum((read_usd(item.get("cost")) or Decimal(0) for item in failed), Decimal(0))
    return total if total and None not in parts else None
