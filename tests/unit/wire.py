"""A scripted other side for httpx: answers, breaks, drips, and remembers what it was sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
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


def breaking(error: Exception) -> Script:
    """A script that always fails the same way."""

    def script(request: httpx.Request) -> httpx.Response:
        raise error

    return script
