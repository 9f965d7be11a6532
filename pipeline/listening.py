"""Hears the webhooks of providers: one port, POST only, small bodies, few connections.

Whoever can reach the port can talk to it, so nothing that comes may cost much: a body is read up
to a limit, a connection lives for seconds, one above the most is cut, and what is not proved to
come from a provider is refused and forgotten. A notice is handed on once, however often it comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pipeline.errors import ConfigurationError
from pipeline.providers.webhooks import HookSecrets, Notice, judge

# A notice repeats the request: a prompt and a few addresses.
_MAX_BODY_BYTES = 256 * 1024
# Of the files that this process may open, no more go to strangers.
_MOST_CONNECTIONS = 16
_CONNECTION_LIFE_S = 15.0
_LAST_WORDS_S = 1.0
# Providers repeat a notice for minutes; so many are remembered.
_MOST_REMEMBERED = 4096


@dataclass(slots=True)
class Heard:
    """How many notices were handed on, how many came again, and how many were refused."""

    notices: int = 0
    repeats: int = 0
    refused: int = 0

    @property
    def words(self) -> str:
        """All three as people read them."""
        return f"{self.notices} heard, {self.repeats} repeated, {self.refused} refused"


class Receiver:
    """A port that is taken at once and answers while ``serve`` runs. Use as a context manager."""

    def __init__(self, host: str, port: int) -> None:
        """Take the port; 0 is any free one.

        Raises:
            ConfigurationError: it cannot be had.
        """
        self._socket = _bind(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self.heard = Heard()
        self._seen: dict[bytes, None] = {}

    @property
    def url(self) -> str:
        """Where it is reached on this machine, without a token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def serve(
        self,
        secrets: HookSecrets,
        told: Callable[[Notice], None],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Hand every genuine notice on, once, until cancelled. On asyncio only."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            status = await self._hear(Request(scope, receive), secrets, told, now)
            headers = {"Connection": "close"} | ({"Allow": "POST"} if status == 405 else {})
            await Response(status_code=status, headers=headers)(scope, receive, send)

        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            # Nobody who knocks here writes into our log.
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
        )
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(config, state, {}), sock=self._socket.dup()
        )
        try:
            await anyio.sleep_forever()
        finally:
            server.close()
            with anyio.CancelScope(shield=True):
                await _end(state)

    async def _hear(
        self,
        request: Request,
        secrets: HookSecrets,
        told: Callable[[Notice], None],
        now: Callable[[], datetime],
    ) -> int:
        """Listen to one request; returns the status of its answer."""
        if request.method != "POST":
            return 405
        try:
            body = await _read_body(request)
        except ClientDisconnect:
            # What was cut short proves nothing, whatever it looks like.
            self.heard.refused += 1
            return 400
        if body is None:
            self.heard.refused += 1
            return 413
        headers = {name.lower(): value for name, value in request.headers.items()}
        token = request.query_params.get("token", "")
        notice = judge(headers, token, body, secrets=secrets, now=now())
        if notice is None:
            self.heard.refused += 1
            return 401
        if not notice.task_ids:
            self.heard.refused += 1
            return 400
        if self._is_repeat(notice, body):
            self.heard.repeats += 1
        else:
            self.heard.notices += 1
            told(notice)
        return 204

    def _is_repeat(self, notice: Notice, body: bytes) -> bool:
        key = hashlib.sha256(notice.provider.encode() + b"\n" + body).digest()
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > _MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return False


class _Connection(H11Protocol):
    """uvicorn's protocol with an end to its patience."""

    _cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, for a time, unless the house is full."""
        if len(self.connections) >= _MOST_CONNECTIONS:
            transport.abort()
            return
        self._cut = self.loop.call_later(_CONNECTION_LIFE_S, transport.abort)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """One place is free again, if this one had any."""
        if self._cut is not None:
            self._cut.cancel()
            super().connection_lost(exc)


async def _read_body(request: Request) -> bytes | None:
    """The body; None where it is too large, of which no more is read.

    Raises:
        ClientDisconnect: it ended before all that was announced had come.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY_BYTES:
            return None
    return bytes(body)


async def _end(state: ServerState) -> None:
    for connection in list(state.connections):
        connection.transport.abort()
    for task in list(state.tasks):
        task.cancel()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=_LAST_WORDS_S)
    # Connections learn of their end in a turn of their own.
    await asyncio.sleep(0)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as exc:
        raise ConfigurationError(
            f"{host} is no address of this machine: {exc.strerror}", hint="such as 127.0.0.1"
        ) from exc
    try:
        # A restarted one gets its port back although old connections linger.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(64)
    except OSError as exc:
        bound.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {exc.strerror}",
            hint="choose another port, or 0 for any free one",
        ) from exc
    bound.setblocking(False)
    return bound
