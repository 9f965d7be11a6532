"""Readers of answers that are broken on purpose: the fuzz must catch each of them.

These are the mistakes that clients of such an API make; each is the sound dialect with one
thing put wrong.
"""

from __future__ import annotations

from pipeline.errors import Rejected, SubmissionInDoubt, Unavailable
from pipeline.providers.base import (
    BillingRow,
    Books,
    HistoryItem,
    HttpReply,
    TakeRequest,
    TaskPhase,
    TaskStatus,
)
from pipeline.providers.runware import Runware
from pipeline.providers.wavespeed import WaveSpeed
from pipeline.providers.wavespeed_books import WaveSpeedBooks


class GarbageIsARefusal(WaveSpeed):
    """Takes an answer that it cannot read for a no, so that the shot may be bought again."""

    def read_submit(self, reply: HttpReply, request: TakeRequest) -> str:
        try:
            return super().read_submit(reply, request)
        except SubmissionInDoubt as exc:
            raise Rejected("the provider did not take it") from exc


class EmptyWhereUnreadable(WaveSpeedBooks):
    """Books that read garbage as nothing at all, the bill as well as the history: one of them alone
    would be made up for by the other."""

    def read_history(self, reply: HttpReply) -> tuple[tuple[HistoryItem, ...], bool]:
        try:
            return super().read_history(reply)
        except Unavailable:
            return (), False

    def read_billings(self, reply: HttpReply) -> tuple[tuple[BillingRow, ...], bool]:
        try:
            return super().read_billings(reply)
        except Unavailable:
            return (), False


class GarbageIsAnEmptyHistory(WaveSpeed):
    """Takes a page of the history that it cannot read for one without tasks."""

    @property
    def books(self) -> Books:
        return EmptyWhereUnreadable(self.capabilities)


class TrustingReader(WaveSpeed):
    """Reads the id of a task as if it were always where it belongs."""

    def read_submit(self, reply: HttpReply, request: TakeRequest) -> str:
        # The import is here to keep the mistake in one place.
        import json  # noqa: PLC0415

        if reply.status != 200:
            return super().read_submit(reply, request)
        return str(json.loads(reply.body)["data"]["id"])


class AnyAnswerIsAcceptance(Runware):
    """Takes every answer that is no failure of HTTP's for a yes, whatever it holds."""

    def read_submit(self, reply: HttpReply, request: TakeRequest) -> str:
        if 200 <= reply.status < 300:
            return request.task_id
        return super().read_submit(reply, request)


class AnyErrorIsARefusal(Runware):
    """Takes an answer that it cannot read for a no, so that the shot may be bought again."""

    def read_submit(self, reply: HttpReply, request: TakeRequest) -> str:
        try:
            return super().read_submit(reply, request)
        except SubmissionInDoubt as exc:
            raise Rejected("the provider did not take it") from exc


class AFailedLookEndsTheTask(Runware):
    """Takes a question that failed for the failure of what was asked about."""

    def read_status(self, reply: HttpReply, task_id: str, results: int = 1) -> TaskStatus:
        try:
            return super().read_status(reply, task_id, results)
        except Unavailable as exc:
            return TaskStatus(phase=TaskPhase.FAILED, word="error", message=exc.message)


# Each with what the judge of single answers says of it.
BROKEN_RUNWARE: dict[str, tuple[type[Runware], str]] = {
    "any answer taken for a yes": (AnyAnswerIsAcceptance, "TAKEN"),
    "an unclear answer taken for a no": (AnyErrorIsARefusal, "REFUSED"),
    "a failed look taken for a failed task": (AFailedLookEndsTheTask, "FAILED"),
}
# Each with what the judge of single answers says of it, and the judge of whole runs; empty
# where only the other one can know.
BROKEN: dict[str, tuple[type[WaveSpeed], str, str]] = {
    "garbage taken for a refusal": (GarbageIsARefusal, "REFUSED", "PAID TWICE"),
    "garbage taken for an empty history": (GarbageIsAnEmptyHistory, "", "PAID TWICE"),
    "answers trusted": (TrustingReader, "came out", "an exception escaped"),
}
