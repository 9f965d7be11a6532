"""Looks at an address that a provider is going to fetch, before anything is paid for.

As in ``download``: no key, no cookies, no proxy, and every hop is checked before a connection is
made to it. A look is one ranged GET of the first bytes, because a HEAD is refused by many stores
and by every address that is signed for a GET, and because a header proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import anyio
import httpx

from pipeline import signatures
from pipeline.download import require_public
from pipeline.errors import FileMissing, Unavailable, UrlRefused
from pipeline.findings import either
from pipeline.references import is_this_machine
from pipeline.text import shown
from pipeline.tls import client_context

_MAX_HOPS = 5
_HEAD_BYTES = 4096
_TIMEOUT_S = 10.0
# One look with its redirects; a store that needs longer keeps the provider waiting as well.
_LOOK_LIMIT_S = 15.0
_LOOKS = 2
_AT_ONCE = 8
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Asked too often, or too slow: it may be there a moment later.
_PASSING = frozenset({408, 425, 429})
_CONTENT_RANGE = re.compile(r"bytes\s+[0-9]+-[0-9]+/([0-9]{1,18})\Z")
_NO_PROBE = "; --no-probe goes on without looking"
HINT_LATER = f"try again later{_NO_PROBE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What should lie behind an address: one of these kinds (``signatures.kind``), of at most so
    many bytes (None: any number)."""

    kinds: tuple[str, ...]
    max_bytes: int | None = None


class Prober:
    """Looks at addresses, a few at a time. Use as an async context manager.

    Args:
        local: the provider runs on this machine; so do the addresses, over plain http.
    """

    def __init__(
        self,
        *,
        local: bool,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._local = local
        self._sleep = sleep
        self._turns = anyio.Semaphore(_AT_ONCE)
        self._client = httpx.AsyncClient(
            headers={
                "Accept-Encoding": "identity",
                "User-Agent": "storyboard-probe",
                "Range": f"bytes=0-{_HEAD_BYTES - 1}",
            },
            timeout=httpx.Timeout(_TIMEOUT_S),
            limits=httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
            verify=client_context(),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._client.aclose()

    async def probe(self, url: str, expected: Expectation) -> None:
        """Return if what is expected lies behind an address.

        Messages begin with what is wrong and do not hold the address.

        Raises:
            FileMissing: it is not there, or is something else.
            Unavailable: it cannot be reached now, at two looks.
        """
        async with self._turns:
            for look in range(1, _LOOKS + 1):
                try:
                    await self._look(url, expected)
                except Unavailable:
                    if look == _LOOKS:
                        raise
                    await self._sleep(1.0)
                else:
                    return

    async def _look(self, url: str, expected: Expectation) -> None:
        try:
            with anyio.fail_after(_LOOK_LIMIT_S):
                for _ in range(_MAX_HOPS + 1):
                    await self._check(url)
                    location = await self._hop(url, expected)
                    if location is None:
                        return
                    # The client forgets them; what one hop sets is not for the next to see.
                    self._client.cookies.clear()
                    url = urljoin(url, location)
        except TimeoutError as exc:
            raise _unreachable(f"gives no answer within {_LOOK_LIMIT_S:g} s") from exc
        except (httpx.InvalidURL, ValueError) as exc:
            raise _missing("redirects to what is no URL") from exc
        except (httpx.HTTPError, OSError) as exc:
            raise _unreachable(f"cannot be reached ({type(exc).__name__})") from exc
        raise _missing(f"redirects more than {_MAX_HOPS} times")

    async def _hop(self, url: str, expected: Expectation) -> str | None:
        """One request: where it redirects to, None where all is well."""
        async with self._client.stream("GET", url) as response:
            status = response.status_code
            if status in _REDIRECTS:
                return str(response.headers.get("location", ""))
            if status >= 500 or status in _PASSING:
                raise _unreachable(f"answers {status}")
            # Of nothing at all there is no first byte to give.
            if status == 416:
                raise _missing("is an empty file")
            if status not in {200, 206}:
                raise _missing(f"answers {status}")
            await _judge(response, expected)
            return None

    async def _check(self, url: str) -> None:
        """Refuse an address before any connection to it."""
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise _missing("leads to an address with a user name")
        if self._local:
            if is_this_machine(url):
                return
            raise _missing("leads away from this machine, where the provider is")
        if parts.scheme != "https" or not parts.hostname:
            raise _missing(f"leads to {shown(parts.scheme, 12)}, not https")
        try:
            await require_public(parts.hostname)
        except UrlRefused as exc:
            raise _missing("leads to a host that is not on the public internet") from exc
        except Unavailable as exc:
            raise _unreachable("has a host that cannot be found") from exc


async def _judge(response: httpx.Response, expected: Expectation) -> None:
    """Hold an answer's first bytes and its size against what is expected."""
    size_bytes = _stated_size(response)
    most = expected.max_bytes
    head, read_bytes = bytearray(), 0
    async for piece in response.aiter_raw():
        read_bytes += len(piece)
        head += piece[: _HEAD_BYTES - len(head)]
        # Only what says nothing of its size is read on, until that is known to be too much.
        needs_more = size_bytes is None and most is not None and read_bytes <= most
        if len(head) >= _HEAD_BYTES and (response.status_code == 206 or not needs_more):
            break
    kind = signatures.kind(bytes(head))
    if kind not in expected.kinds:
        is_page = kind in {"web page", "text"}
        raise FileMissing(
            f"is not a {either(expected.kinds)} (found: {kind})",
            hint="name the file itself, not a page that shows it"
            if is_page
            else "save it in one of these formats",
        )
    found_bytes = max(size_bytes or 0, read_bytes)
    if most is not None and found_bytes > most:
        stated = f"has {found_bytes / 1e6:.1f} MB; " if size_bytes else "is "
        raise FileMissing(
            f"{stated}over the provider's limit of {most / 1e6:.0f} MB",
            hint="save it smaller, or save it beside the manifest and add --convert-images",
        )


def _stated_size(response: httpx.Response) -> int | None:
    """Bytes of the whole file, where the answer says so."""
    if response.status_code == 206:
        match = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
        return int(match.group(1)) if match else None
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 19 else None


def _missing(message: str) -> FileMissing:
    return FileMissing(
        message,
        hint=f"open it in a private window, or save the file beside the manifest{_NO_PROBE}",
    )


def _unreachable(message: str) -> Unavailable:
    return Unavailable(message, hint=HINT_LATER)
