"""What HTTP has no words for: a connection that is cut, reset, or written to byte by byte.

A thin layer over uvicorn's pure Python protocol. It hands every application the connection that
its request came in on, in the scope's extensions, and changes nothing else.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

_EXTENSION = "storyboard.wire"
_STEP_S = 0.001
# A client that stops reading must not keep the server from ending.
_CLOSE_LIMIT_S = 5.0


class Wire:
    """One connection, for as long as it lasts."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._over = asyncio.Event()
        self._lost = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether either side has ended it, or the server is about to stop."""
        return self._over.is_set()

    def note_stop(self) -> None:
        """The server is about to stop; for the protocol to tell."""
        self._over.set()
        self._stopping.set()

    def note_lost(self) -> None:
        """The connection is gone; for the protocol to tell."""
        self._over.set()
        self._lost.set()

    async def wait(self, seconds: float) -> None:
        """Let time pass, but no longer than the connection lasts."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    async def pause(self, seconds: float) -> bool:
        """Let time pass whether or not the client is still there; False: the server stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return not self._stopping.is_set()

    async def drained(self) -> None:
        """Return when everything written so far is in the hands of the kernel."""
        while self._transport.get_write_buffer_size() and not self._over.is_set():
            await asyncio.sleep(_STEP_S)

    async def write(self, data: bytes) -> None:
        """Put bytes on the connection as they are; it must then be closed or reset."""
        self._transport.write(data)
        await self.drained()

    async def close(self) -> None:
        """End it in order (FIN), after what was written."""
        self._transport.close()
        await self._gone()

    async def reset(self) -> None:
        """End it with a reset (RST); what the client has not read yet may be lost."""
        sock: socket.socket = self._transport.get_extra_info("socket")
        # Source: socket(7); closing with a linger time of zero sends a reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        await self._gone()

    async def _gone(self) -> None:
        # Until then uvicorn would take an unfinished answer for a broken application.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._lost.wait(), _CLOSE_LIMIT_S)


class WireProtocol(H11Protocol):
    """uvicorn's protocol, whose applications find their connection with ``wire_of``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the application of this connection its wire."""
        super().connection_made(transport)
        self.wire = Wire(transport)
        self.app = cast("Any", _wired(cast("Any", self.app), self.wire))

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for the end."""
        super().connection_lost(exc)
        self.wire.note_lost()

    def leave_if_idle(self, port: int) -> None:
        """Close a connection of this port of ours that no request is on."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.server is not None and self.server[1] == port:
            self.shutdown()

    def shutdown(self) -> None:
        """End pauses, so that the server can stop at once."""
        super().shutdown()
        self.wire.note_stop()


class SocketProtocol(WSProtocol):
    """The same for a connection that has become a WebSocket."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the application of this connection its wire."""
        super().connection_made(transport)
        self.wire = Wire(transport)
        self.app = cast("Any", _wired(cast("Any", self.app), self.wire))

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for the end."""
        super().connection_lost(exc)
        self.wire.note_lost()

    def shutdown(self) -> None:
        """End pauses, so that the server can stop at once."""
        super().shutdown()
        self.wire.note_stop()


def _wired(app: ASGIApp, wire: Wire) -> ASGIApp:
    async def wired(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {**scope.get("extensions", {}), _EXTENSION: wire}
        await app({**scope, "extensions": extensions}, receive, send)

    return wired


def wire_of(scope: Scope) -> Wire:
    """The connection of a request."""
    wire: Wire = scope["extensions"][_EXTENSION]
    return wire
