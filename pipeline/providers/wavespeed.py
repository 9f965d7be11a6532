"""WaveSpeedAI's wire format for ``x-ai/grok-imagine-video/reference-to-video``. No I/O.

Source of the contract: the model's page,
https://wavespeed.ai/docs/docs-api/x-ai/x-ai-grok-imagine-video-reference-to-video; the upload,
history and balance calls: https://wavespeed.ai/docs/upload-files-api,
https://wavespeed.ai/docs/docs-common-api/predictions, https://wavespeed.ai/docs-common-api/balance
and the official Python SDK 2.0.5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard
from urllib.parse import quote, urlsplit

from pipeline.capabilities import Capabilities
from pipeline.errors import (
    ConfigurationError,
    KeyRefused,
    ProviderError,
    RateLimited,
    Rejected,
    SubmissionInDoubt,
    Unavailable,
    UnknownTask,
)
from pipeline.model import FileReference
from pipeline.providers.base import (
    BillingRow,
    HistoryItem,
    HttpReply,
    HttpRequest,
    TakeRequest,
    TaskPhase,
    TaskStatus,
    UploadTicket,
)
from pipeline.text import clean

# Statuses that end a task; any other word means that it is still under way. The list is the
# official SDK's, which also treats the American spelling "canceled" as unknown.
_FAILED_WORDS = frozenset({"failed", "cancelled", "timeout", "deleted"})
# Result codes whose cure is credit, not another prompt.
_NO_CREDIT = "1407"
_HISTORY_PAGE_SIZE = 100
# No price, credit or charge of an account is anywhere near this.
_NO_AMOUNT_USD = 10**9
# An id becomes part of a URL path, so it may hold nothing that could lead elsewhere.
_SAFE_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_CODE_WORDS = {
    "1200": "refused by content moderation",
    "1402": "a reference image could not be fetched",
    "1407": "not enough credit",
    "5004": "timed out at the provider",
}


class WaveSpeed:
    """The dialect; holds nothing but the capability row it speaks for."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Capabilities:
        """What can be bought through this dialect."""
        return self._capabilities

    def build_submit(self, request: TakeRequest) -> HttpRequest:
        """The paid POST: the model in the path, exactly the contract's four keys in the body.

        The server drops unknown keys without a word and bills the default instead, so no key
        beyond the contract is ever sent.
        """
        return HttpRequest(
            method="POST",
            path=f"/api/v3/{request.model}",
            json={
                "images": list(request.image_urls),
                "prompt": request.prompt,
                "duration": request.duration_s,
                "resolution": request.resolution.value,
            },
        )

    def read_submit(self, reply: HttpReply) -> str:
        """The new task's id.

        Raises:
            Rejected, KeyRefused, RateLimited: no task was made.
            SubmissionInDoubt: a task may exist: a server fault, or an answer without an id.
            ConfigurationError: the server redirects; following would send the paid POST twice.
        """
        code, task_id, is_readable = _read_new_task(reply)
        # Words that say no beside something that may be a task's id are no clear no.
        names_none = task_id in (None, "")
        if 300 <= reply.status < 500 and names_none:
            raise _refusal(reply)
        # The contract answers 200; another kind of yes is still one, and never a no.
        if not 200 <= reply.status < 300:
            raise SubmissionInDoubt(f"the provider answered {_describe(reply)}")
        if not is_readable:
            raise SubmissionInDoubt("the provider's answer could not be read")
        if isinstance(task_id, str) and _SAFE_TASK_ID.match(task_id):
            return task_id
        if names_none and isinstance(code, int) and 400 <= code < 500:
            raise _refusal(reply, status=code)
        raise SubmissionInDoubt("the provider's answer names no task")

    def build_status(self, task_id: str) -> HttpRequest:
        """Ask for a task by its id on our own base URL, never by the URL that the server gave."""
        return HttpRequest(
            method="GET", path=f"/api/v3/predictions/{quote(task_id, safe='')}/result"
        )

    def read_status(self, reply: HttpReply) -> TaskStatus:
        """How a task is.

        Raises:
            UnknownTask: the provider has no such task (any more).
            KeyRefused, RateLimited, Unavailable: the question failed; the task is untouched.
        """
        data = _data(reply)
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
            return TaskStatus(phase=TaskPhase.FAILED, word=word, code=code, message=text)
        return TaskStatus(phase=TaskPhase.RUNNING, word=clean(word, limit=40))

    def build_ticket(self, reference: FileReference, name: str) -> HttpRequest:
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

    def read_ticket(self, reply: HttpReply) -> UploadTicket:
        """Where to PUT the bytes, with exactly the headers the ticket asks for, and no key."""
        data = _data(reply)
        upload = data.get("upload")
        download_url = data.get("download_url")
        if not isinstance(upload, dict) or not _is_text(download_url):
            raise Unavailable("the provider's upload ticket could not be read")
        url, headers = upload.get("url"), upload.get("headers") or {}
        is_put = str(upload.get("method", "")).upper() == "PUT"
        if not is_put or not _is_text(url) or not isinstance(headers, dict):
            raise Unavailable("the provider's upload ticket asks for something unknown")
        put = HttpRequest(
            method="PUT", url=url, headers={str(k): str(v) for k, v in headers.items()}
        )
        return UploadTicket(put=put, download_url=download_url)

    def build_history(self, created_after: datetime, page: int) -> HttpRequest:
        """A page of the account's tasks of this model; pages count from 1, newest task first."""
        after = created_after.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return HttpRequest(
            method="POST",
            path="/api/v3/predictions",
            json={
                "page": page,
                "page_size": _HISTORY_PAGE_SIZE,
                "model": self._capabilities.model,
                "created_after": after,
            },
        )

    def read_history(self, reply: HttpReply) -> tuple[tuple[HistoryItem, ...], bool]:
        """The items of a page, and whether another page may follow."""
        items = _data(reply).get("items")
        if not isinstance(items, list):
            raise Unavailable("the provider's history could not be read")
        found = []
        for item in items:
            task_id = item.get("id") if isinstance(item, dict) else None
            if not isinstance(task_id, str) or not _SAFE_TASK_ID.match(task_id):
                raise Unavailable("the provider's history holds something unknown")
            inputs = item.get("inputs") or item.get("input")
            found.append(
                HistoryItem(
                    task_id=task_id,
                    created_at=_read_time(str(item.get("created_at", ""))),
                    inputs=inputs if isinstance(inputs, dict) else None,
                )
            )
        return tuple(found), len(items) >= _HISTORY_PAGE_SIZE

    def same_request(self, inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        """Whether echoed inputs agree with a body that we sent, on all four keys."""
        keys = ("images", "prompt", "duration", "resolution")
        return all(inputs.get(key) == request.get(key) for key in keys)

    def build_balance(self) -> HttpRequest:
        """Ask for the account's credit: free, and it proves the key."""
        return HttpRequest(method="GET", path="/api/v3/balance")

    def read_balance(self, reply: HttpReply) -> Decimal:
        """Credit in dollars."""
        return _amount(_data(reply).get("balance"), "balance")

    def build_quote(self, request: TakeRequest) -> HttpRequest:
        """Ask for the price of a take. The whole body goes along: for an incomplete one the
        endpoint answers with the catalogue's lowest price, which is no quote."""
        body = self.build_submit(request).json
        return HttpRequest(
            method="POST",
            path="/api/v3/model/price",
            json={"model_id": request.model, "inputs": body},
        )

    def read_quote(self, reply: HttpReply) -> Decimal:
        """What would be charged, in dollars: the discounted price where there is one."""
        data = _data(reply)
        price = data.get("discounted_price", data.get("price"))
        return _amount(price, "quote")

    def build_billings(self, since: datetime, page: int) -> HttpRequest:
        """A page of the account's charges and refunds; times are epoch milliseconds as text."""
        return HttpRequest(
            method="POST",
            path="/api/v3/billings/search",
            json={
                "page": page,
                "page_size": _HISTORY_PAGE_SIZE,
                "model_uuid": self._capabilities.model,
                "start_time": str(round(since.timestamp() * 1000)),
                "sort": "created_at DESC",
            },
        )

    def build_charges(self, task_ids: Sequence[str]) -> HttpRequest:
        """The rows of a few tasks, whenever they were made."""
        return HttpRequest(
            method="POST",
            path="/api/v3/billings/search",
            json={
                "page": 1,
                "page_size": _HISTORY_PAGE_SIZE,
                "prediction_uuids": list(task_ids),
                "sort": "created_at DESC",
            },
        )

    def read_billings(self, reply: HttpReply) -> tuple[tuple[BillingRow, ...], bool]:
        """The rows of a page, and whether another page may follow."""
        items = _data(reply).get("items")
        if not isinstance(items, list):
            raise Unavailable("the provider's bill could not be read")
        rows = []
        for item in items:
            task = item.get("prediction") if isinstance(item, dict) else None
            if not isinstance(task, dict):
                raise Unavailable("the provider's bill holds something unknown")
            rows.append(
                BillingRow(
                    row_id=clean(str(item.get("uuid", "")), limit=100),
                    task_id=clean(str(task.get("uuid", "")), limit=128),
                    is_refund=item.get("billing_type") == "refund",
                    amount_usd=_amount(item.get("price"), "bill"),
                    created_at=_read_time(str(item.get("created_at", ""))),
                    key_id=clean(str(item.get("access_key_id") or ""), limit=128),
                )
            )
        return tuple(rows), len(items) >= _HISTORY_PAGE_SIZE


def _amount(value: object, where: str) -> Decimal:
    """Dollars from an answer.

    Raises:
        Unavailable: it is no amount of money.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unavailable(f"the provider's {where} could not be read")
    if not 0 <= value < _NO_AMOUNT_USD:
        raise Unavailable(f"the provider's {where} is no amount of money")
    return Decimal(value)


def _envelope(reply: HttpReply) -> dict[str, Any]:
    """The answer's outer object.

    Raises:
        ValueError: not JSON, or not an object.
    """
    try:
        value = json.loads(reply.body, parse_float=Decimal)
    # Decimal refuses exponents that no machine can hold, in a way of its own.
    except (RecursionError, ArithmeticError) as exc:
        raise ValueError("nested too deeply, or a number out of all bounds") from exc
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - bad data from outside, not a bug
    return value


def _read_new_task(reply: HttpReply) -> tuple[object, object, bool]:
    """The envelope's code, whatever stands where the new task's id belongs, and whether the
    answer could be read at all."""
    try:
        envelope = _envelope(reply)
    except ValueError:
        return None, None, False
    data = envelope.get("data")
    return envelope.get("code", 200), data.get("id") if isinstance(data, dict) else None, True


def _data(reply: HttpReply) -> dict[str, Any]:
    """The inner object of an answer to a call that costs nothing and may be repeated."""
    if reply.status == 404:
        raise UnknownTask("the provider does not know it (any more)")
    if reply.status != 200:
        raise _refusal(reply)
    try:
        envelope = _envelope(reply)
    except ValueError as exc:
        raise Unavailable("the provider's answer could not be read") from exc
    code = envelope.get("code", 200)
    if code == 404:
        raise UnknownTask("the provider does not know it (any more)")
    if isinstance(code, int) and code != 200:
        raise _refusal(reply, status=code)
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise Unavailable("the provider's answer holds no data")
    return data


def _refusal(reply: HttpReply, *, status: int | None = None) -> ProviderError | ConfigurationError:
    """The error that an answer other than success stands for, by what may be done next."""
    status = reply.status if status is None else status
    text = f"the provider answered {_describe(reply, status)}"
    if 300 <= status < 400:
        target = _host(reply.headers.get("location", ""))
        return ConfigurationError(
            f"the provider redirects to {target or 'another address'}; not followed",
            hint="check the base URL",
        )
    if status == 429:
        return RateLimited(text, retry_after_s=read_retry_after(reply))
    if status in {401, 403}:
        return KeyRefused(text, hint="check the key and the account", code=str(status))
    if status == 402 or _error_code(reply) == _NO_CREDIT:
        return KeyRefused(text, hint="top up the account", code=_NO_CREDIT)
    if status >= 500 or status < 300:
        return Unavailable(text)
    return Rejected(text, hint="change the shot, then run again", code=str(status))


def _host(url: str) -> str:
    """Host and port of a URL of the server's, safe to show; empty where it is no URL."""
    try:
        return clean(urlsplit(url).netloc.rpartition("@")[2], limit=100)
    except ValueError:
        return ""


def read_retry_after(reply: HttpReply) -> float | None:
    """Seconds that a 429 asks us to wait: a number or an HTTP date; None where it says nothing
    that can be used."""
    text = reply.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            then, now = (
                parsedate_to_datetime(value) for value in (text, reply.headers.get("date", ""))
            )
            seconds = (then - now).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return None
    return seconds if 0 <= seconds < float("inf") else None


def _describe(reply: HttpReply, status: int | None = None) -> str:
    """Status and the server's own words, made safe to print."""
    status = reply.status if status is None else status
    try:
        message = _envelope(reply).get("message")
    except ValueError:
        message = None
    words = clean(message, limit=300) if isinstance(message, str) and message else ""
    return f"{status}: {words}" if words else str(status)


def _error_code(reply: HttpReply) -> str:
    try:
        return str(_envelope(reply).get("code", ""))
    except ValueError:
        return ""


def _outputs(value: object) -> tuple[str, ...]:
    """Clip URLs: normally a list of text, but null and objects with a ``url`` have been seen."""
    urls = []
    for item in value if isinstance(value, list) else [value]:
        url = item.get("url") if isinstance(item, dict) else item
        if url and _is_text(url):
            urls.append(url)
    return tuple(urls)


def _is_text(value: object) -> TypeGuard[str]:
    """Whether it is text that can be written down: JSON can name half a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_time(text: str) -> datetime:
    """An RFC 3339 time with any number of fraction digits.

    Raises:
        Unavailable: it is not a time.
    """
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)\Z", text)
    if match is None:
        raise Unavailable("the provider's history holds a time that cannot be read")
    whole, fraction, zone = match.groups()
    micros = (fraction or "0")[:6].ljust(6, "0")
    try:
        told = datetime.fromisoformat(f"{whole}.{micros}{'+00:00' if zone == 'Z' else zone}")
        return told.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise Unavailable("the provider's history holds a time that does not exist") from exc
