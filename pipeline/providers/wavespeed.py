"""WaveSpeedAI's wire format for ``x-ai/grok-imagine-video/reference-to-video``. No I/O.

Source of the contract: the model's page,
https://wavespeed.ai/docs/docs-api/x-ai/x-ai-grok-imagine-video-reference-to-video; the other
calls: https://wavespeed.ai/docs/upload-files-api, https://wavespeed.ai/docs-common-api/balance,
https://wavespeed.ai/docs/verify-webhooks and the official Python SDK 2.0.5.
"""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import quote

from pipeline.capabilities import Capabilities
from pipeline.errors import SubmissionInDoubt, Unavailable
from pipeline.model import FileReference
from pipeline.providers.answers import SAFE_TASK_ID, is_text, need_usd, read_object
from pipeline.providers.base import (
    Archive,
    Books,
    HttpReply,
    HttpRequest,
    Signing,
    TakeRequest,
    TaskPhase,
    TaskStatus,
    UploadTicket,
)
from pipeline.providers.wavespeed_answers import NO_CREDIT, describe, read_data, refusal
from pipeline.providers.wavespeed_books import WaveSpeedBooks, inputs_of
from pipeline.text import clean

# Statuses that end a task; any other word means that it is still under way. The list is the
# official SDK's, which also treats the American spelling "canceled" as unknown.
_FAILED_WORDS = frozenset({"failed", "cancelled", "timeout", "deleted"})
_NOT_FETCHED = "1402"
_CODE_WORDS = {
    "1200": "refused by content moderation",
    _NOT_FETCHED: "a reference image could not be fetched",
    NO_CREDIT: "not enough credit",
    "5004": "timed out at the provider",
}


class WaveSpeed:
    """The dialect; holds nothing but the capability row it speaks for."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._books = WaveSpeedBooks(capabilities)

    @property
    def capabilities(self) -> Capabilities:
        """What can be bought through this dialect."""
        return self._capabilities

    @property
    def books(self) -> Books:
        """History, quotes and the bill."""
        return self._books

    @property
    def archive(self) -> Archive | None:
        """None: the history is all there is."""
        return None

    @property
    def signing(self) -> Signing:
        """Its webhooks are signed."""
        return self

    def build_submit(self, request: TakeRequest) -> HttpRequest:
        """The paid POST: the model in the path, exactly the contract's four keys in the body.

        The server drops unknown keys without a word and bills the default instead, so no key
        beyond the contract is ever sent; a webhook is asked for in the query.
        """
        webhook = f"?webhook={quote(request.webhook_url, safe='')}" if request.webhook_url else ""
        return HttpRequest(
            method="POST", path=f"/api/v3/{request.model}{webhook}", json=inputs_of(request)
        )

    def read_submit(
        self,
        reply: HttpReply,
        request: TakeRequest,  # noqa: ARG002 - the id is the server's to choose
    ) -> str:
        """The new task's id.

        Raises:
            Rejected, KeyRefused, RateLimited: no task was made.
            SubmissionInDoubt: a task may exist: a server fault, or an answer without an id.
            ConfigurationError: the server redirects; following would send the paid POST twice.
        """
        code, task_id, is_readable = _read_new_task(reply)
        # Words that say no beside something that may be a task's id are no clear no.
        names_none = task_id in (None, "") and (is_readable or not _may_name_a_task(reply))
        if 300 <= reply.status < 500 and names_none:
            raise refusal(reply)
        # The contract answers 200; another kind of yes is still one, and never a no.
        if not 200 <= reply.status < 300:
            raise SubmissionInDoubt(f"the provider answered {describe(reply)}")
        if not is_readable:
            raise SubmissionInDoubt("the provider's answer could not be read")
        if isinstance(task_id, str) and SAFE_TASK_ID.match(task_id):
            return task_id
        if names_none and isinstance(code, int) and 400 <= code < 500:
            raise refusal(reply, status=code)
        raise SubmissionInDoubt("the provider's answer names no task")

    def build_status(self, task_id: str) -> HttpRequest:
        """Ask for a task by its id on our own base URL, never by the URL that the server gave."""
        return HttpRequest(
            method="GET", path=f"/api/v3/predictions/{quote(task_id, safe='')}/result"
        )

    def read_status(
        self,
        reply: HttpReply,
        task_id: str,  # noqa: ARG002 - the URL has named the task
        results: int = 1,  # noqa: ARG002 - a task has one
    ) -> TaskStatus:
        """How a task is.

        Raises:
            UnknownTask: the provider has no such task (any more).
            KeyRefused, RateLimited, Unavailable: the question failed; the task is untouched.
        """
        data = read_data(reply)
        told_status = data.get("status")
        word = told_status if isinstance(told_status, str) else ""
        told = data.get("code")
        code = clean(str(told), limit=40) if told and isinstance(told, str | int) else ""
        error = data.get("error")
        error = error.get("message") if isinstance(error, dict) else error
        message = clean(error) if isinstance(error, str) else ""
        if word == "completed":
            flags = data.get("has_nsfw_contents")
            return TaskStatus(
                phase=TaskPhase.DONE,
                word=word,
                outputs=_outputs(data.get("outputs")),
                flagged=isinstance(flags, list) and any(flag is True for flag in flags),
            )
        if word in _FAILED_WORDS:
            text = message or _CODE_WORDS.get(code, f"the provider says only {word!r}")
            return TaskStatus(
                phase=TaskPhase.FAILED,
                word=word,
                code=code,
                message=text,
                reference_lost=code == _NOT_FETCHED,
                no_credit=code == NO_CREDIT,
            )
        return TaskStatus(phase=TaskPhase.RUNNING, word=clean(word, limit=40))

    def build_upload(
        self,
        reference: FileReference,
        name: str,
        content: bytes,  # noqa: ARG002 - goes to the ticket's address, not here
    ) -> HttpRequest:
        """Ask where a file may be put; ``name`` is a cleaned base name."""
        return HttpRequest(
            method="POST",
            path="/api/v3/media/uploads",
            json={
                "filename": name,
                "size": reference.size_bytes,
                "content_type": reference.media_type,
            },
        )

    def read_upload(self, reply: HttpReply) -> UploadTicket:
        """Where to PUT the bytes, with exactly the headers the ticket asks for, and no key."""
        data = read_data(reply)
        upload = data.get("upload")
        download_url = data.get("download_url")
        if not isinstance(upload, dict) or not is_text(download_url):
            raise Unavailable("the provider's upload ticket could not be read")
        url, headers = upload.get("url"), upload.get("headers") or {}
        is_put = str(upload.get("method", "")).upper() == "PUT"
        if not is_put or not is_text(url) or not isinstance(headers, dict):
            raise Unavailable("the provider's upload ticket asks for something unknown")
        put = HttpRequest(
            method="PUT", url=url, headers={str(k): str(v) for k, v in headers.items()}
        )
        return UploadTicket(put=put, address=download_url)

    def build_balance(self) -> HttpRequest:
        """Ask for the account's credit: free, and it proves the key."""
        return HttpRequest(method="GET", path="/api/v3/balance")

    def read_balance(self, reply: HttpReply) -> Decimal:
        """Credit in dollars."""
        return need_usd(read_data(reply).get("balance"), "balance")

    def build_webhook_secret(self) -> HttpRequest:
        """Ask for the secret of this key's webhooks."""
        return HttpRequest(method="GET", path="/api/v3/webhook/secret")

    def read_webhook_secret(self, reply: HttpReply) -> str:
        """The secret as given, ``whsec_`` and all."""
        secret = read_data(reply).get("secret")
        if not isinstance(secret, str) or not secret:
            raise Unavailable("the provider's webhook secret could not be read")
        return secret


def _read_new_task(reply: HttpReply) -> tuple[object, object, bool]:
    """The envelope's code, whatever stands where the new task's id belongs, and whether the
    answer could be read at all."""
    try:
        envelope = read_object(reply.body)
    except ValueError:
        return None, None, False
    data = envelope.get("data")
    return envelope.get("code", 200), data.get("id") if isinstance(data, dict) else None, True


def _may_name_a_task(reply: HttpReply) -> bool:
    """Whether an answer that cannot be read has a place for an id, in any encoding of JSON."""
    return b'"id"' in reply.body.replace(b"\0", b"")


def _outputs(value: object) -> tuple[str, ...]:
    """Clip URLs: normally a list of text, but null and objects with a ``url`` have been seen."""
    urls = []
    for item in value if isinstance(value, list) else [value]:
        url = item.get("url") if isinstance(item, dict) else item
        if url and is_text(url):
            urls.append(url)
    return tuple(urls)
