"""The port that hears webhooks: the genuine handed on once, all else refused, at little cost."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import anyio
import httpx
import pytest
from support import NOON

from pipeline import listening
from pipeline.errors import ConfigurationError
from pipeline.listening import Receiver
from pipeline.providers.webhooks import HookSecrets, Notice

SIGNING, TOKEN = "whsec_signing", "a-token-of-ours"
AT = str(int(NOON.timestamp()))
DONE = json.dumps({"id": "task-1", "status": "completed"}).encode()
RUNWARE = json.dumps({"data": [{"taskUUID": "u-1", "status": "success"}]}).encode()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def signed(
    body: bytes = DONE, *, secret: str = SIGNING.removeprefix("whsec_"), name: str = "msg_1"
) -> dict[str, str]:
    text = f"{name}.{AT}.".encode() + body
    digest = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    return {
        "webhook-id": name,
        "webhook-timestamp": AT,
        "webhook-signature": f"v3,{digest}",
    }


class Desk:
    """A receiver at work, a client that talks to it, and what it handed on."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.told: list[Notice] = []

    async def post(self, body: bytes, *, query: str = "", method: str = "POST", **more: Any) -> int:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501
            url = f"{self.receiver.url}/hook{query}"
            return (await client.request(method, url, content=body, **more)).status_code


@asynccontextmanager
async def listening_desk(
    secrets: HookSecrets = HookSecrets(signing=SIGNING, token=TOKEN),  # noqa: B008
) -> AsyncIterator[Desk]:
    def now() -> datetime:
        return NOON

    with Receiver("127.0.0.1", 0) as receiver:
        desk = Desk(receiver)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: receiver.serve(secrets, desk.told.append, now=now))
            with anyio.fail_after(20):
                yield desk
            group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_signed_notice_is_handed_on_and_so_is_one_with_the_token() -> None:
    async with listening_desk() as desk:
        assert await desk.post(DONE, headers=signed()) == 204
        assert await desk.post(RUNWARE, query=f"?token={TOKEN}") == 204
    assert desk.told == [
        Notice(provider="wavespeed", task_ids=("task-1",), word="completed"),
        Notice(provider="runware", task_ids=("u-1",), word="success"),
    ]
    assert desk.receiver.heard.words == "2 heard, 0 repeated, 0 refused"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        ("?token=", {}),
        ("?token=wrong", {}),
        ("?token=a-token-of-our", {}),
        (f"?token={TOKEN}", signed(secret="other")),
        (f"?token={TOKEN}", signed(body=b"another")),
        ("", signed(secret="whsec_signing")),
    ],
)
async def test_what_proves_nothing_is_refused(query: str, headers: dict[str, str]) -> None:
    async with listening_desk() as desk:
        assert await desk.post(DONE, query=query, headers=headers) == 401
    assert desk.told == []
    assert desk.receiver.heard.refused == 1


@pytest.mark.anyio
async def test_where_there_are_no_secrets_nothing_is_genuine() -> None:
    async with listening_desk(HookSecrets()) as desk:
        assert await desk.post(RUNWARE, query="?token=") == 401
        assert await desk.post(DONE, headers=signed(secret="")) == 401
    assert desk.told == []


@pytest.mark.anyio
async def test_a_notice_that_comes_again_is_taken_and_not_handed_on_again() -> None:
    async with listening_desk() as desk:
        codes = [await desk.post(DONE, headers=signed(name=f"msg_{n}")) for n in range(3)]
    assert codes == [204] * 3
    assert len(desk.told) == 1
    assert desk.receiver.heard.repeats == 2


@pytest.mark.anyio
async def test_what_names_no_task_or_is_no_post_is_refused() -> None:
    async with listening_desk() as desk:
        assert await desk.post(b"{}", query=f"?token={TOKEN}") == 400
        assert await desk.post(b"", method="GET") == 405
    assert desk.told == []


@pytest.mark.anyio
async def test_of_a_body_no_more_than_the_limit_is_read() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 1024

    async with listening_desk() as desk:
        assert await desk.post(b"x" * 300_000, query=f"?token={TOKEN}") == 413
        try:
            code = await desk.post(endless(), query=f"?token={TOKEN}")  # type: ignore[arg-type]
        except httpx.TransportError:
            code = 413  # cut in the middle of it
        assert code == 413
        # The next one is heard as if nothing had been.
        assert await desk.post(DONE, headers=signed()) == 204


@pytest.mark.anyio
async def test_a_notice_that_is_cut_short_is_no_notice() -> None:
    async with listening_desk() as desk:
        async with await anyio.connect_tcp("127.0.0.1", desk.receiver.port) as stream:
            head = f"POST /hook?token={TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: "
            await stream.send(f"{head}{len(RUNWARE) + 1}\r\n\r\n".encode() + RUNWARE)
        while not desk.receiver.heard.refused and not desk.told:
            await anyio.sleep(0.01)
    assert desk.told == []
    assert (desk.receiver.heard.refused, desk.receiver.heard.notices) == (1, 0)


@pytest.mark.anyio
async def test_those_who_hold_connections_open_shut_nobody_out_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "_CONNECTION_LIFE_S", 0.2)
    async with listening_desk() as desk:
        address = ("127.0.0.1", desk.receiver.port)
        silent = [await anyio.connect_tcp(*address) for _ in range(40)]
        while True:
            try:
                assert await desk.post(DONE, headers=signed()) == 204
                break
            except httpx.TransportError:
                await anyio.sleep(0.05)
        for stream in silent:
            await stream.aclose()
    assert len(desk.told) == 1


@pytest.mark.anyio
async def test_nothing_that_is_no_http_is_written_anywhere(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with listening_desk() as desk:
        async with await anyio.connect_tcp("127.0.0.1", desk.receiver.port) as stream:
            await stream.send(b"\x16\x03\x01 not http\r\n\r\n")
            answer = await stream.receive()
        assert b" 400 " in answer
    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_a_setting_to_change() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="cannot listen"):
            Receiver("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ConfigurationError):
        Receiver("192.0.2.1", 0)
