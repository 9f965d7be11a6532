"""Addresses that a provider may name and nobody may visit, and a network that tells if one did.

Two ways: the downloader as it is for a provider elsewhere, over a network that counts every
attempt to connect; and the whole command with a provider on this machine, where the canary
listens and can really be reached.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import httpcore
import httpx

from pipeline.download import Downloader
from pipeline.errors import Unavailable, UrlRefused

_API = "https://api.wavespeed.example"
_GOOD = "https://cdn.example/clip.mp4"
# What the names of the tests lead to; numbers stand for themselves.
_ADDRESSES = {
    "cdn.example": ["93.184.216.34"],
    "api.wavespeed.example": ["93.184.216.34"],
    "inside.example": ["10.1.2.3"],
    "half.example": ["93.184.216.34", "192.168.1.1"],
    "six-and-four.example": ["2606:2800:220:1:248:1893:25c8:1946", "127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "shared.example": ["100.64.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "translated.example": ["64:ff9b::7f00:1"],
    "tunnelled.example": ["2002:7f00:1::"],
    "linklocal.example": ["fe80::1%2"],
    "unique-local.example": ["fd12:3456::1"],
    "unspecified.example": ["::"],
    "broadcast.example": ["255.255.255.255"],
    "multicast.example": ["224.0.0.1"],
    "documentation.example": ["192.0.2.1"],
    "localhost": ["127.0.0.1"],
    "localhost.localdomain": ["127.0.0.1"],
}
_HOSTS = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1"),
    *("0.0.0.0", "0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1"),  # noqa: S104
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "255.255.255.255", "224.0.0.1"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[fd00::1]"),
    *("[fe80::1]", "[fe80::1%25lo]", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]", "[ff02::1]"),
    *("localhost", "LOCALHOST", "localhost.localdomain", "127。0。0。1", "①②⑦.0.0.1"),
    *(name for name in _ADDRESSES if name not in {"cdn.example", "localhost"}),
)
# Each leads elsewhere than to plain https on port 443 of a public host.
_REMOTE: tuple[str, ...] = (
    *(f"https://{host}/clip.mp4" for host in _HOSTS if "wavespeed" not in host),
    *(f"https://cdn.example:{port}/clip.mp4" for port in (0, 22, 25, 80, 6379, 8443, 65536, "x")),
    *(f"{scheme}://cdn.example/clip.mp4" for scheme in ("http", "ftp", "gopher", "ws", "dict")),
    *("file:///etc/passwd", "file://localhost/etc/passwd", "data:video/mp4;base64,AAAA"),
    *(
        "javascript:alert(1)",
        "unix:/run/x.sock",
        "//cdn.example/clip.mp4",
        "clip.mp4",
        "/etc/x",
        "",
    ),
    *("https:///clip.mp4", "https:clip.mp4", "https://", "https://[::1/clip.mp4", "https://[x]/"),
    "https://user@cdn.example/clip.mp4",
    "https://user:password@cdn.example/clip.mp4",
    "https://@cdn.example/clip.mp4",
    "https://cdn.example@169.254.169.254/",
    "https://cdn.example\\@169.254.169.254/",
    "https://169.254.169.254\\.cdn.example@10.0.0.1/",
    "https://\x00.example/clip.mp4",
    "https://cdn.example\r\nHost: 10.0.0.1/",
    f"{_API}/api/v3/balance",
    "https://API.wavespeed.example.:443/api/v3/balance",
)
REMOTE = tuple(dict.fromkeys(_REMOTE))


def local_addresses(port: int) -> tuple[str, ...]:
    """Spellings of a port of this machine that a local provider has no business to use.

    Each would reach the listener if it were followed by a client that is less strict.
    """
    numbers = ("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "0", "127.0.1")  # noqa: S104
    six = ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]")
    names = ("localhost.", "localhost.localdomain", "ip6-localhost", "127.0.0.1.", "127。0。0。1")
    return (
        *(f"http://{host}:{port}/clip.mp4" for host in (*numbers, *six, *names)),
        *(f"https://{host}:{port}/clip.mp4" for host in ("127.0.0.1", "localhost", "[::1]")),
        f"http://user@127.0.0.1:{port}/clip.mp4",
        f"http://user:password@127.0.0.1:{port}/clip.mp4",
        f"http://@127.0.0.1:{port}/clip.mp4",
        f"ftp://127.0.0.1:{port}/clip.mp4",
        f"ws://127.0.0.1:{port}/clip.mp4",
        f"//127.0.0.1:{port}/clip.mp4",
        f"127.0.0.1:{port}/clip.mp4",
        f"concat:http://127.0.0.1:{port}/clip.mp4",
        f"hls+http://127.0.0.1:{port}/clip.mp4",
        f"http:127.0.0.1:{port}/clip.mp4",
        f"http:///127.0.0.1:{port}/clip.mp4",
        f"http://[127.0.0.1]:{port}/clip.mp4",
        f"http://cdn.example\\@127.0.0.1:{port}/clip.mp4",
        f"http://cdn.example#@127.0.0.1:{port}/clip.mp4",
        f"http://cdn.example?@127.0.0.1:{port}/clip.mp4",
        f"http://169.254.169.254:{port}/latest/meta-data",
        f"file://127.0.0.1:{port}/clip.mp4",
    )


class _Spy(httpcore.AsyncNetworkBackend):
    """A network where nothing is, that remembers who was called; ``first`` alone is there."""

    def __init__(self, first: bytes = b"") -> None:
        self.called: list[str] = []
        self._first = first

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if self._first and host == "cdn.example":
            return _Tls([self._first])
        self.called.append(f"{host}:{port}")
        raise httpcore.ConnectError("nobody there")

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> Any:
        self.called.append(path)
        raise httpcore.ConnectError("nobody there")

    async def sleep(self, seconds: float) -> None:
        return None


class _Tls(httpcore.AsyncMockStream):
    async def start_tls(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        return self


class _Network(httpx.AsyncHTTPTransport):
    def __init__(self, spy: _Spy) -> None:
        super().__init__(verify=_context())
        self._pool = httpcore.AsyncConnectionPool(ssl_context=_context(), network_backend=spy)


@cache
def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def _look_up(host: str, port: int, **_: Any) -> Sequence[tuple[Any, ...]]:
    name = host.lower().rstrip(".")
    if name in _ADDRESSES:
        return [(0, 0, 0, "", (address, port)) for address in _ADDRESSES[name]]
    # Also the old spellings of numbers, which the system's look-up understands.
    return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)


def visit_all(urls: Sequence[str] = REMOTE) -> dict[str, str]:
    """Ask the downloader for each address, at once and by a redirect.

    Gives what is wrong with any of them, by the address: nothing where none was visited.
    """
    with (
        patch("pipeline.download.anyio.getaddrinfo", _look_up),
        tempfile.TemporaryDirectory(prefix="story-secrecy-") as folder,
    ):
        return asyncio.run(_visit_all(urls, Path(folder)))


async def _visit_all(urls: Sequence[str], folder: Path) -> dict[str, str]:
    breaches = {}
    for url in urls:
        location = url.encode("utf-8", "replace")
        redirect = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
        for how, asked, first in (("at once", url, b""), ("by a redirect", _GOOD, redirect)):
            spy = _Spy(first)
            verdict = await _visit(asked, _Network(spy), folder / "clip.part")
            if spy.called:
                verdict = f"connected to {spy.called[0]}"
            if verdict:
                breaches[f"{url!r} {how}"] = verdict
    return breaches


async def _visit(url: str, network: httpx.AsyncBaseTransport, part: Path) -> str:
    async with Downloader(local=False, api_url=_API, transport=network) as clips:
        try:
            await clips.fetch(url, part)
        except (UrlRefused, Unavailable):
            return "left a file" if part.exists() else ""
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is judged
            return f"{type(exc).__name__} came out: {exc!s:.100}"
    return "was fetched"


class Listener:
    """A port of every address of this machine that counts who comes. A context manager."""

    def __init__(self) -> None:
        self.visitors = 0
        self._closing = False
        self._socket = socket.create_server(("", 0))
        self._thread = threading.Thread(target=self._listen)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        # What wakes a thread that waits for a visitor is a visitor.
        with socket.create_connection(("127.0.0.1", self.port)):
            self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while True:
            visitor, _ = self._socket.accept()
            visitor.close()
            if self._closing:
                return
            self.visitors += 1
