"""Fetch a clip from an address that a server gave us, trusting neither.

The client here has no key and no cookies; every hop of a redirect is checked before a
connection is made; the answer is streamed to a file, counted, held against every checksum that
the server states, and synced. Nothing under a final name is ever touched.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import SplitResult, urljoin, urlsplit

import anyio
import httpx

from pipeline.checksums import Ruler
from pipeline.errors import ClipRejected, StorageError, Unavailable, UrlExpired, UrlRefused
from pipeline.text import shown
from pipeline.tls import client_context

_MAX_HOPS = 3
# A 10 s clip is about 6 MB; what passes this is not a clip.
MAX_CLIP_BYTES = 512_000_000
_READ_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 10.0
# Longest whole download: slower than this and a later run tries again.
_TOTAL_TIMEOUT_S = 600.0
_MAX_AT_ONCE = 20
_GONE = frozenset({403, 404, 410})
# IPv6 addresses that end in an IPv4 one, which a gateway or the system itself may go to: the
# translated (RFC 6052) and the long gone "compatible" ones; is_global calls both global.
_CARRY_IPV4 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Downloader:
    """Downloads clips. Use as an async context manager.

    Args:
        local: the provider runs on this machine, so plain http to loopback is what we expect,
            and nothing else is.
        api_url: the provider's base URL; no clip comes from where the key is good.
        extra_hosts: further host names that may be asked, whatever address and port they have.
        at_once: the most downloads at a time; never more than 20.
    """

    def __init__(
        self,
        *,
        local: bool,
        api_url: str,
        extra_hosts: tuple[str, ...] = (),
        max_bytes: int = MAX_CLIP_BYTES,
        at_once: int = _MAX_AT_ONCE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._local = local
        self._api = _origin(urlsplit(api_url))
        self._extra_hosts = frozenset(extra_hosts)
        self._max_bytes = max_bytes
        # Hosts whose ETags have been seen to be, or not to be, the MD5 of what they send; and
        # the MD5s of what came under an ETag that says otherwise.
        self._etag_is_md5: dict[str, bool] = {}
        self._odd: set[bytes] = set()
        # Waiting for a turn must not count against the download's own limits.
        self._turns = anyio.Semaphore(min(at_once, _MAX_AT_ONCE))
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity", "User-Agent": "storyboard-download"},
            timeout=httpx.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=_MAX_AT_ONCE, max_keepalive_connections=10),
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

    async def fetch(self, url: str, destination: Path) -> int:
        """Stream ``url`` into ``destination`` and sync it; return its bytes.

        Raises:
            UrlRefused: an address that a clip may not come from, at the first or a later hop.
            UrlExpired: 403, 404 or 410: a fresh URL is needed.
            ClipRejected: whole, but not the bytes that the server says it sent.
            Unavailable: anything passing: cut short, a server fault, too slow, too large.
            StorageError: the disk would not take it.
        """
        async with self._turns:
            return await self._follow(url, destination)

    async def _follow(self, url: str, destination: Path) -> int:
        """The download with its redirects, within the time limit."""
        try:
            with anyio.fail_after(_TOTAL_TIMEOUT_S):
                for _ in range(_MAX_HOPS + 1):
                    await self._check(url)
                    found = await self._hop(url, destination)
                    if isinstance(found, int):
                        return found
                    url = _join(url, found)
        except TimeoutError as exc:
            raise Unavailable(f"the download took longer than {_TOTAL_TIMEOUT_S:g} s") from exc
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise UrlRefused("the clip's address is not a URL") from exc
        except (httpx.HTTPError, OSError) as exc:
            raise Unavailable(f"the download broke off ({type(exc).__name__})") from exc
        raise UrlRefused(f"the clip's address redirects more than {_MAX_HOPS} times")

    async def _hop(self, url: str, destination: Path) -> int | str:
        """One request: the bytes written, or where it redirects to."""
        async with self._client.stream("GET", url) as response:
            if response.status_code in _REDIRECTS:
                return str(response.headers.get("location", ""))
            if response.status_code in _GONE:
                raise UrlExpired(f"the clip's address answers {response.status_code}")
            if response.status_code != 200:
                raise Unavailable(f"the clip's address answers {response.status_code}")
            ruler = Ruler(response.headers)
            written = await self._stream(response, destination, ruler)
            declared = response.headers.get("content-length", "")
            if declared.isdecimal() and int(declared) != written:
                raise Unavailable(f"the download ended after {written} of {declared} bytes")
            self._compare(ruler, host=response.url.host, name=destination.name)
            return written

    def _compare(self, ruler: Ruler, *, host: str, name: str) -> None:
        """Refuse bytes that are not those the server speaks of.

        An ETag may be anything. It is taken for an MD5 until the same bytes come twice, each time
        under an ETag that is not theirs: damage on the way is not the same twice.
        """
        if any(not agreed.is_promise for agreed in ruler.agreeing()):
            self._etag_is_md5[host] = True
        for stated in ruler.contradicted():
            came = ruler.found(stated)
            if not stated.is_promise and self._is_no_md5(host, came):
                continue
            raise ClipRejected(
                f"{name} arrived damaged: its {stated.algorithm} is {came.hex()}, the server's "
                f"{stated.header} says {stated.digest.hex()}"
            )

    def _is_no_md5(self, host: str, came: bytes) -> bool:
        """Whether an ETag that contradicts these bytes must be something else than their MD5."""
        if came in self._odd:
            self._etag_is_md5.setdefault(host, False)
            return True
        self._odd.add(came)
        return self._etag_is_md5.get(host) is False

    async def _stream(self, response: httpx.Response, destination: Path, ruler: Ruler) -> int:
        written = 0
        with _storage_errors(destination), destination.open("wb") as file:
            pieces = response.aiter_raw()
            while (piece := await _next(pieces)) is not None:
                written += len(piece)
                if written > self._max_bytes:
                    raise Unavailable(f"the clip is larger than {self._max_bytes} bytes")
                ruler.update(piece)
                file.write(piece)
            await anyio.to_thread.run_sync(_sync, file)
        return written

    async def _check(self, url: str) -> None:
        """Refuse an address before any connection to it."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
            is_api = _origin(parts) == self._api
        except ValueError as exc:
            raise UrlRefused("the clip's address is not a URL") from exc
        if parts.username is not None or parts.password is not None:
            raise UrlRefused("the clip's address holds a user name")
        if is_api:
            raise UrlRefused(f"the clip's address is the provider's API, {shown(host)}")
        if host in self._extra_hosts and parts.scheme == "https":
            if _is_loopback(host) and not self._local:
                raise UrlRefused(f"a provider elsewhere names a clip on {shown(host)}")
            return
        if self._local:
            if parts.scheme == "http" and _is_loopback(host):
                return
            raise UrlRefused(f"a local provider names a clip on {shown(host or url)}")
        if parts.scheme != "https" or not host or port not in {None, 443}:
            raise UrlRefused(f"the clip's address is not plain https: {shown(parts.scheme)}")
        await require_public(host)


async def require_public(host: str) -> None:
    """Look a host up and refuse it unless every address of it is on the public internet.

    Raises:
        UrlRefused: one is not, or it is no name.
        Unavailable: it cannot be found.
    """
    for address in await _resolve(host):
        if not _is_public(address):
            raise UrlRefused(f"the clip's host {shown(host)} is not on the public internet")


@contextmanager
def _storage_errors(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(
            f"cannot write {destination}: {exc.strerror or exc}",
            hint="free some disk space, then run again: the clip is fetched, not bought again",
        ) from exc


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    """The next bytes, None at the end. A TLS fault is the network's: not every OSError is ours."""
    try:
        return await anext(pieces, None)
    except OSError as exc:
        raise Unavailable(f"the download broke off ({type(exc).__name__})") from exc


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as exc:
        raise UrlRefused("the clip's address redirects to what is not a URL") from exc


def _origin(parts: SplitResult) -> tuple[str, int | None]:
    """Host and port, whatever the scheme and the spelling: all lead to the same server."""
    host = (parts.hostname or "").lower().rstrip(".")
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return "localhost" if _is_loopback(host) else host, parts.port or default


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is one machine on the public internet, whatever it is wrapped into."""
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    inner = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _CARRY_IPV4):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return all(_is_public(each) for each in inner if each is not None)


async def _resolve(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        rows = await anyio.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except ValueError as exc:
        raise UrlRefused(f"the clip's host {shown(host)} is not a name") from exc
    except OSError as exc:
        raise Unavailable(f"the clip's host {shown(host)} cannot be found") from exc
    return [ipaddress.ip_address(row[4][0]) for row in rows]


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
