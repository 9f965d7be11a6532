"""Sends a dialect's requests with httpx and turns what goes wrong into provider errors.

Two clients: one carries the key, speaks to the base URL only and follows no redirect; the other
has no key and is used for every address that an answer gave us. A paid POST goes over a fresh
connection, so that a failure to connect is known to have sent nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import httpx

from pipeline import __version__
from pipeline.capabilities import Capabilities
from pipeline.errors import (
    ConfigurationError,
    NotOffered,
    Rejected,
    SubmissionInDoubt,
    Unavailable,
)
from pipeline.masking import build_mask
from pipeline.model import FileReference
from pipeline.providers.base import (
    BillingRow,
    Books,
    Dialect,
    HistoryItem,
    HttpReply,
    HttpRequest,
    TakeRequest,
    TaskStatus,
)
from pipeline.providers.webhooks import token_of
from pipeline.tls import client_context

_CALL_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 10.0
_UPLOAD_TIMEOUT_S = 120.0
# httpx limits each read, not the whole: an answer that drips would otherwise never end.
_CALL_LIMIT_S = 60.0
_UPLOAD_LIMIT_S = 600.0
# No answer that we read is anywhere near this; a larger one is not an answer.
_MAX_ANSWER_BYTES = 8_000_000
_MAX_HISTORY_PAGES = 200
# A server's clock that is further off than this is no clock.
_CENTURY = timedelta(days=36_500)
# The pool that httpx handles well; more connections make it slower, not faster.
_MAX_CONNECTIONS = 100


class HttpProvider:
    """A provider reached over HTTP. Use as an async context manager."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        base_url: str,
        key: str,
        submit_timeout_s: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_connections: int = _MAX_CONNECTIONS,
        webhook_url: str = "",
    ) -> None:
        self._dialect = dialect
        self._submit_timeout_s = submit_timeout_s
        self._base_url = base_url.rstrip("/")
        self._utc = utc
        self._server_ahead_s: float | None = None
        self._authorization = {"Authorization": f"Bearer {key}"}
        self._without_key = build_mask(key)
        # What comes after the question mark tells a true notice from a false one.
        self._without_query = build_mask(urlsplit(webhook_url).query)
        self._without_token = build_mask(token_of(webhook_url))
        labels = {"User-Agent": f"storyboard/{__version__}", "Accept-Encoding": "identity"}
        timeout = httpx.Timeout(_CALL_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)

        def client(keepalive: int) -> httpx.AsyncClient:
            limits = httpx.Limits(
                max_connections=min(max_connections, _MAX_CONNECTIONS),
                max_keepalive_connections=keepalive,
            )
            # trust_env=False: no proxy and no .netrc may see or replace the key unasked.
            return httpx.AsyncClient(
                headers=labels,
                timeout=timeout,
                limits=limits,
                follow_redirects=False,
                trust_env=False,
                verify=client_context(),
                transport=transport,
            )

        self._calls = client(_MAX_CONNECTIONS)
        self._paid = client(0)
        self._keyless = client(10)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            for client in (self._calls, self._paid, self._keyless):
                await client.aclose()

    @property
    def capabilities(self) -> Capabilities:
        """What this provider sells."""
        return self._dialect.capabilities

    @property
    def server_ahead_s(self) -> float | None:
        """By the ``Date`` of the last answer from the base URL; to about a second."""
        return self._server_ahead_s

    async def submit(self, request: TakeRequest) -> str:
        """Send one paid POST, once, and return the task id; see ``Dialect.read_submit``.

        Raises:
            Unavailable: the connection was never made, so nothing was sent.
            SubmissionInDoubt: it was sent and no usable answer came within the limit.
        """
        wire = self._dialect.build_submit(request)
        reply, unsendable = None, None
        try:
            with anyio.move_on_after(self._submit_timeout_s):
                reply = await self._send(self._paid, wire, read_timeout_s=self._submit_timeout_s)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            raise self._unreachable(exc) from exc
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as exc:
            unsendable = _unsendable(exc)
        # A TLS fault in mid-answer reaches us as a plain ssl.SSLError, which is an OSError; a
        # redirect to what is no address as an error of httpx outside of its own tree.
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as exc:
            raise SubmissionInDoubt(
                f"the connection broke before the answer ({type(exc).__name__})"
            ) from exc
        if unsendable is not None:
            raise unsendable
        if reply is None:
            raise SubmissionInDoubt(f"no answer within {self._submit_timeout_s:g} s")
        return self._dialect.read_submit(reply, request)

    async def status(self, task_id: str, results: int = 1) -> TaskStatus:
        """Ask about a task; see ``Dialect.read_status``."""
        reply = await self._call(self._dialect.build_status(task_id))
        return self._dialect.read_status(reply, task_id, results)

    async def details(self, task_id: str) -> bool:
        """Whether the provider's archive holds a task; see ``Archive``."""
        archive = self._dialect.archive
        if archive is None:
            raise self._not_offered("keeps no archive of tasks")
        reply = await self._call(archive.build_details(task_id))
        return archive.read_details(reply, task_id)

    async def history(self, created_after: datetime) -> tuple[HistoryItem, ...]:
        """Every task since then, all pages."""
        books = self._books("keeps no history")
        # By id: a task that starts between two pages pushes the last of one onto the next.
        found: dict[str, HistoryItem] = {}
        for page in range(1, _MAX_HISTORY_PAGES + 1):
            request = books.build_history(created_after, page)
            items, more = books.read_history(await self._call(request))
            found |= {item.task_id: item for item in items}
            if not more:
                return tuple(found.values())
        raise Unavailable("the provider's history does not end")

    def same_request(self, inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        """See ``Provider``."""
        return self._books("keeps no history").same_request(inputs, request)

    async def balance(self) -> Decimal:
        """The account's credit in dollars."""
        return self._dialect.read_balance(await self._call(self._dialect.build_balance()))

    async def quote(self, request: TakeRequest) -> Decimal:
        """What the provider would charge for a take, in dollars."""
        books = self._books("gives no quotes")
        return books.read_quote(await self._call(books.build_quote(request)))

    async def billings(self, since: datetime) -> tuple[BillingRow, ...]:
        """Every charge and refund since then, all pages."""
        books = self._books("shows no bill")
        found: dict[str, BillingRow] = {}
        for page in range(1, _MAX_HISTORY_PAGES + 1):
            request = books.build_billings(since, page)
            rows, more = books.read_billings(await self._call(request))
            found |= {row.row_id: row for row in rows}
            if not more:
                return tuple(found.values())
        raise Unavailable("the provider's bill does not end")

    async def charges(self, task_ids: Sequence[str]) -> tuple[BillingRow, ...]:
        """The charges and refunds of a few tasks."""
        books = self._books("shows no bill")
        rows, _ = books.read_billings(await self._call(books.build_charges(task_ids)))
        return rows

    async def webhook_secret(self) -> str:
        """The secret that webhooks are signed with; see ``Signing``."""
        signing = self._dialect.signing
        if signing is None:
            raise self._not_offered("signs no webhooks")
        return signing.read_webhook_secret(await self._call(signing.build_webhook_secret()))

    async def upload(self, reference: FileReference) -> str:
        """Put a local file where the provider finds it; return the URL or id for a task.

        Raises:
            Rejected: the file changed since it was checked; nothing was sent.
        """
        content = await anyio.to_thread.run_sync(_read_unchanged, reference)
        name = upload_name(reference)
        # In a thread: a provider that takes the bytes inside JSON has them encoded here.
        wire = await anyio.to_thread.run_sync(self._dialect.build_upload, reference, name, content)
        ticket = self._dialect.read_upload(
            await self._call(wire, limit_s=_UPLOAD_LIMIT_S, read_timeout_s=_UPLOAD_TIMEOUT_S)
        )
        if ticket.put is not None:
            await self._put(ticket.put, name, content)
        return ticket.address

    async def _put(self, request: HttpRequest, name: str, content: bytes) -> None:
        """Send a file to the address of its ticket, without the key."""
        self._check_foreign(request.url)
        put = HttpRequest(
            method=request.method, url=request.url, headers=request.headers, content=content
        )
        try:
            with anyio.fail_after(_UPLOAD_LIMIT_S):
                reply = await self._send(self._keyless, put, read_timeout_s=_UPLOAD_TIMEOUT_S)
        except (httpx.HTTPError, OSError) as exc:
            raise self._unreachable(exc) from exc
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise Unavailable("the provider's upload ticket cannot be used") from exc
        if not 200 <= reply.status < 300:
            raise Unavailable(f"the upload of {name} was answered {reply.status}")

    def _books(self, lack: str) -> Books:
        """The dialect's books, or ``NotOffered`` saying what this provider does not do."""
        books = self._dialect.books
        if books is None:
            raise self._not_offered(lack)
        return books

    def _not_offered(self, lack: str) -> NotOffered:
        return NotOffered(f"{self.capabilities.provider} {lack}")

    async def _call(
        self,
        request: HttpRequest,
        *,
        limit_s: float | None = None,
        read_timeout_s: float = _CALL_TIMEOUT_S,
    ) -> HttpReply:
        """Send a call that costs nothing."""
        try:
            with anyio.fail_after(_CALL_LIMIT_S if limit_s is None else limit_s):
                return await self._send(self._calls, request, read_timeout_s=read_timeout_s)
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as exc:
            unsendable = _unsendable(exc)
        # A TimeoutError is an OSError; a redirect to what is no address gives the other two.
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as exc:
            raise self._unreachable(exc) from exc
        # Not in the block above: the exception there may hold the key, and would come along.
        raise unsendable

    async def _send(
        self, client: httpx.AsyncClient, request: HttpRequest, *, read_timeout_s: float
    ) -> HttpReply:
        headers = dict(request.headers or {})
        if not request.url:
            headers |= self._authorization
        timeout = httpx.Timeout(read_timeout_s, connect=_CONNECT_TIMEOUT_S)
        async with client.stream(
            request.method,
            request.url or self._base_url + request.path,
            json=request.json,
            content=request.content,
            headers=headers,
            timeout=timeout,
        ) as response:
            if not request.url:
                self._compare_clocks(response.headers.get("date", ""))
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > _MAX_ANSWER_BYTES:
                    raise httpx.ReadError("the answer is too large", request=response.request)
            return HttpReply(
                status=response.status_code,
                headers={
                    name.lower(): self._masked(value) for name, value in response.headers.items()
                },
                body=self._masked(bytes(body).decode("latin-1")).encode("latin-1"),
            )

    def _masked(self, text: str) -> str:
        return self._without_token(self._without_query(self._without_key(text)))

    def _compare_clocks(self, date: str) -> None:
        try:
            ahead = parsedate_to_datetime(date) - self._utc()
        except (TypeError, ValueError, OverflowError):
            return
        if abs(ahead) < _CENTURY:
            self._server_ahead_s = ahead.total_seconds()

    def _unreachable(self, exc: Exception) -> Unavailable:
        host = urlsplit(self._base_url).netloc
        return Unavailable(
            f"cannot reach {host} ({type(exc).__name__})",
            hint="check the network and the base URL, then run again",
        )

    def _check_foreign(self, url: str) -> None:
        """An address from an answer may be plain http only where the provider itself is local."""
        try:
            scheme = urlsplit(url).scheme
        except ValueError as exc:
            raise Unavailable("the upload address is not a URL") from exc
        local = urlsplit(self._base_url).scheme == "http"
        if scheme != "https" and not (local and scheme == "http"):
            raise Unavailable("the upload address is not https")


def upload_name(reference: FileReference) -> str:
    """A file name that gives nothing away and breaks nothing: content hash and type."""
    return f"{reference.sha256[:16]}.{reference.media_type.rpartition('/')[2]}"


def _read_unchanged(reference: FileReference) -> bytes:
    """The bytes that were checked and priced, or a refusal."""
    if reference.inline is not None:
        return reference.inline
    try:
        content = Path(reference.path).read_bytes()
    except OSError as exc:
        raise Rejected(
            f"{reference.source} can no longer be read: {exc.strerror}", hint="run again"
        ) from exc
    if hashlib.sha256(content).hexdigest() != reference.sha256:
        raise Rejected(f"{reference.source} changed while the run was under way", hint="run again")
    return content


def _unsendable(exc: httpx.HTTPError) -> ConfigurationError:
    """httpx names the offending header with its value, which may be the key: say less."""
    return ConfigurationError(
        f"the request cannot be sent ({type(exc).__name__})",
        hint="check the key for blanks and line ends, and the base URL",
    )
