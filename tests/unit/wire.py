"""A scripted other side for httpx: answers, breaks, drips, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from inspect import isawaitable
from typing import Any, TypeAlias

import anyio
import httpx

Script: TypeAlias = Callable[[httpx.Request], "httpx.Response | Awaitable[httpx.Response]"]


class Body(httpx.AsyncByteStream):
    """An answer's body, piece by piece; an exception among the pieces breaks it off there."""

    def __init__(self, pieces: Sequence[bytes | Exception], *, every_s: float = 0.0) -> None:
        self._pieces = pieces
        self._every_s = every_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            await anyio.sleep(self._every_s)
            yield piece


def answer(
    status: int = 200,
    body: object = b"",
    *,
    headers: dict[str, str] | None = None,
    pieces: Sequence[bytes | Exception] | None = None,
    every_s: float = 0.0,
) -> httpx.Response:
    """An answer; a body that is not bytes is sent as JSON, ``pieces`` one by one."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    stream = Body([content] if pieces is None else pieces, every_s=every_s)
    return httpx.Response(status, headers=headers, stream=stream)


def data(**fields: Any) -> httpx.Response:
    """A success in WaveSpeed's envelope."""
    return answer(200, {"code": 200, "message": "success", "data": fields})


class Wire(httpx.AsyncBaseTransport):
    """Plays ``script`` for every request and keeps the requests, bodies read."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        result = self.script(request)
        return await result if isawaitable(result) else result

    @property
    def paths(self) -> list[str]:
        """Method and path of every request, in order."""
        return [f"{request.method} {request.url.path}" for request in self.requests]


@asynccontextmanager
async def serving(body: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A real server on loopback that answers everything with ``body``.

    Yields its URL and a list that grows by one for each connection.
    """
    connections: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(b"")
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length: ")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                connections[-1] += head
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
        await asyncio.sleep(0)  # lets the server see the ends of its connections


def breaking(error: Exception) -> Script:
    """A script that always fails the same way."""

    def script(request: httpx.Request) -> httpx.Response:
        raise error

    return script
