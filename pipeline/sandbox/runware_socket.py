"""Runware's WebSocket: every frame is a request without an address and an answer without a status.

A frame is handed on as the request that it would be over HTTP, so that both ways, and the fault
scripts, share one application. Only the key is kept here: a socket gives it once.

Source: https://runware.ai/docs/models-api/authentication
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from pipeline.sandbox.runware import DRY_RUN_HEADER

_LOG = logging.getLogger(__name__)
_PATHS = frozenset({"/", "/v1"})
_GOING_AWAY = 1001


def with_sockets(app: ASGIApp, *, port: int, idle_s: float) -> ASGIApp:
    """``app``, and sockets on one port whose frames it answers; a silent one is closed."""

    async def faced(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await app(scope, receive, send)
            return
        await receive()
        if scope["server"][1] != port or scope["path"] not in _PATHS:
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        await _Socket(app, scope, send).serve(receive, idle_s=idle_s)

    return faced


class _Socket:
    """One socket and the key that it was opened with."""

    def __init__(self, app: ASGIApp, scope: Scope, send: Send) -> None:
        self._app = app
        self._scope = scope
        self._send = send
        self._key = ""
        self._at_work: set[asyncio.Task[None]] = set()

    async def serve(self, receive: Receive, *, idle_s: float) -> None:
        """Answer frames until the client leaves or falls silent."""
        while True:
            try:
                message = await asyncio.wait_for(receive(), idle_s)
            except TimeoutError:
                await self._tell({"type": "websocket.close", "code": _GOING_AWAY})
                break
            if message["type"] != "websocket.receive":
                break
            frame = message.get("text") or (message.get("bytes") or b"").decode(errors="replace")
            given = _key_in(frame)
            if given:
                # What follows on this socket counts on the key.
                await self._answer(frame, given)
                continue
            work = asyncio.get_running_loop().create_task(self._answer(frame, ""))
            self._at_work.add(work)
            work.add_done_callback(self._at_work.discard)
        # A request goes on although its client has left, as over HTTP.
        await asyncio.gather(*self._at_work)

    async def _answer(self, frame: str, given: str) -> None:
        status, body = 0, bytearray()

        async def keep(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                text = body.decode(errors="replace")
                await self._tell({"type": "websocket.send", "text": text})

        try:
            await self._app(self._request(), _once(frame.encode()), keep)
        except Exception:  # noqa: BLE001 - a broken answer must not end the other ones
            # The application has answered already, and its cause belongs on standard error.
            _LOG.exception("a frame could not be answered")
        if given and status == 200:
            self._key = given

    def _request(self) -> Scope:
        headers = [header for header in self._scope["headers"] if header[0] == b"host"]
        headers.append((b"content-type", b"application/json"))
        if self._key:
            headers.append((b"authorization", f"Bearer {self._key}".encode()))
        # Source: an official client of this service asks so for a dry run.
        if parse_qs(self._scope["query_string"].decode("latin-1")).get("dryRun") == ["1"]:
            headers.append((DRY_RUN_HEADER.encode(), b"1"))
        shared = ("asgi", "http_version", "server", "client", "root_path", "extensions")
        return {name: self._scope[name] for name in shared} | {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "path": "/v1",
            "raw_path": b"/v1",
            "query_string": b"",
            "headers": headers,
            "state": {},
        }

    async def _tell(self, message: Message) -> None:
        with suppress(ClientDisconnected, RuntimeError):  # nobody is there any more
            await self._send(message)


def _key_in(frame: str) -> str:
    """The key in a frame's leading authentication task; empty where there is none."""
    try:
        tasks = json.loads(frame)
    except (ValueError, RecursionError):
        return ""
    first = tasks[0] if isinstance(tasks, list) and tasks else None
    if not isinstance(first, dict) or first.get("taskType") != "authentication":
        return ""
    key = first.get("apiKey")
    return key if isinstance(key, str) else ""


def _once(body: bytes) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    return receive
