"""A loopback port that no honest client ever connects to; fault scripts point clients at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

_HEAD_LIMIT_BYTES = 65536
_HEAD_LIMIT_S = 2.0
_ANSWER = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Canary:
    """Reports every connection, with the first bytes that came over it."""

    def __init__(self, on_connect: Callable[[], None], on_bytes: Callable[[bytes], None]) -> None:
        self._on_connect = on_connect
        self._on_bytes = on_bytes
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen on any free port of loopback; its address."""
        self._server = await asyncio.start_server(
            self._meet, "127.0.0.1", 0, limit=_HEAD_LIMIT_BYTES
        )
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._on_connect()
        head = b""
        with suppress(TimeoutError, asyncio.LimitOverrunError, ConnectionError):
            async with asyncio.timeout(_HEAD_LIMIT_S):
                while b"\r\n\r\n" not in head and len(head) < _HEAD_LIMIT_BYTES:
                    more = await reader.read(_HEAD_LIMIT_BYTES)
                    if not more:
                        break
                    head += more
        self._on_bytes(head)
        with suppress(ConnectionError):
            writer.write(_ANSWER)
            writer.close()
            await writer.wait_closed()
