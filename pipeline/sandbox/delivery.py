"""How an answer goes out: whole, or cut, slowed down, unending, or over the client's dead body."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import zlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from starlette.types import Message, Receive, Scope, Send

from pipeline.sandbox.fault_catalogue import When
from pipeline.sandbox.fault_rules import Rule
from pipeline.sandbox.spoiling import Answer
from pipeline.sandbox.wire import Wire

_LOG = logging.getLogger(__name__)
_MEGABYTE = bytes(2**20)
_PIECES = 50

App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request.

    Nothing of it is left unread, as closing a connection with unread bytes would reset it.
    """
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if not message.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """The same request once more, for the application."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


async def hold(app: App, scope: Scope, receive: Receive) -> Answer:
    """What the application answers; nothing of it reaches the client."""
    start: Message = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    return Answer(status=start["status"], headers=tuple(start["headers"]), body=bytes(body))


async def send_whole(answer: Answer, send: Send) -> None:
    """The answer as it is."""
    await _send_head(answer, send)
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def send_half(answer: Answer, send: Send, wire: Wire) -> None:
    """Head and half of the body, handed to the kernel; the connection must be ended next."""
    await _send_head(answer, send)
    half = answer.body[: len(answer.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    await wire.drained()


async def send_half_of_unknown(answer: Answer, wire: Wire) -> None:
    """Half of the body as if it were all: its length is untold, its end is the connection's."""
    head = "".join(
        f"{name.decode('latin-1')}: {value.decode('latin-1')}\r\n"
        for name, value in answer.headers
        if name.lower() not in {b"content-length", b"connection", b"accept-ranges"}
    )
    start = f"HTTP/1.1 {answer.status} OK\r\n{head}connection: close\r\n\r\n".encode("latin-1")
    await wire.write(start + answer.body[: len(answer.body) // 2])
    await wire.close()


async def send_slowly(answer: Answer, send: Send, wire: Wire, *, seconds: float) -> None:
    """The head at once, the body in drops over the given time."""
    await _send_head(answer, send)
    size = max(1, -(-len(answer.body) // _PIECES))
    pieces = [answer.body[n : n + size] for n in range(0, len(answer.body), size)]
    for piece in pieces:
        await wire.wait(seconds / len(pieces))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_bomb(answer: Answer, send: Send, wire: Wire, *, megabytes: int) -> None:
    """The body, then zeros, packed to a thousandth of their size."""
    packed = answer.with_header(b"content-encoding", b"gzip")
    await _send_stream(packed, _bomb(answer.body, megabytes), send, wire)


async def send_endlessly(answer: Answer, send: Send, wire: Wire) -> None:
    """The body, then zeros for as long as the client takes them."""

    def zeros() -> Iterator[bytes]:
        yield answer.body
        while True:
            yield _MEGABYTE

    await _send_stream(answer, zeros(), send, wire)


async def kill_client(
    rule: Rule, answer: Answer | None, send: Send, wire: Wire, *, pid_file: Path | None
) -> bool:
    """SIGKILL the client at the rule's moment; False: there was nobody to kill."""
    match rule.text("when"):
        case When.AFTER_ANSWER if answer is not None:
            await send_whole(answer, send)
            await wire.drained()
            return _kill(pid_file)
        case When.MID_BODY if answer is not None:
            await send_half(answer, send, wire)
    killed = _kill(pid_file)
    await wire.close()
    return killed


def _kill(pid_file: Path | None) -> bool:
    try:
        os.kill(_read_pid(pid_file), signal.SIGKILL)
    except (OSError, ValueError) as exc:
        _LOG.warning("the client named in %s could not be killed: %s", pid_file, exc)
        return False
    return True


def _read_pid(pid_file: Path | None) -> int:
    pid = 0 if pid_file is None else int(pid_file.read_text(encoding="ascii"))
    # 0 and negative numbers are whole groups, 1 is everybody's parent.
    if pid <= 1 or pid == os.getpid():
        raise ValueError(f"{pid} is not the process id of a client")
    return pid


def _bomb(body: bytes, megabytes: int) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    yield packer.compress(body)
    for _ in range(megabytes):
        yield packer.compress(_MEGABYTE)
    yield packer.flush()


async def _send_head(answer: Answer, send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": list(answer.headers),
        }
    )


async def _send_stream(answer: Answer, pieces: Iterator[bytes], send: Send, wire: Wire) -> None:
    lengthless = tuple(
        (name, value)
        for name, value in answer.headers
        if name.lower() not in {b"content-length", b"accept-ranges"}
    )
    await _send_head(Answer(status=answer.status, headers=lengthless), send)
    for piece in pieces:
        if wire.is_over:
            await wire.close()
            return
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        # Others are to be served in between.
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
