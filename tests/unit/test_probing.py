"""What lies behind an address is found out by its first bytes, safely, before money is spent."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import anyio
import httpx
import pytest
from wire import Script, Wire, answer, breaking, serving

from pipeline import probing
from pipeline.errors import ExitCode, FileMissing, StoryboardError, Unavailable
from pipeline.probing import Expectation, Prober

URL = "https://cdn.example/pack.png?signature=secret"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(5000)
IMAGE = Expectation(kinds=("JPEG", "PNG", "WebP"), max_bytes=8_000_000)
CLIP = Expectation(kinds=("video",))
ADDRESSES = {
    "cdn.example": ["93.184.216.34"],
    "other.example": ["2606:2800:220:1:248:1893:25c8:1946"],
    "inside.example": ["10.1.2.3"],
    "half.example": ["93.184.216.34", "192.168.1.1"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:127.0.0.1"],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(host: str, port: int, **_: Any) -> Sequence[tuple[Any, ...]]:
        if host in ADDRESSES:
            return [(0, 0, 0, "", (address, port)) for address in ADDRESSES[host]]
        try:
            return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            raise socket.gaierror(-2, "Name or service not known") from None

    monkeypatch.setattr("pipeline.download.anyio.getaddrinfo", look_up)


async def no_sleep(_: float) -> None:
    await anyio.lowlevel.checkpoint()


async def probe(
    script: Script | Wire, url: str = URL, expected: Expectation = IMAGE, *, local: bool = False
) -> Wire:
    wire = script if isinstance(script, Wire) else Wire(script)
    async with Prober(local=local, transport=wire, sleep=no_sleep) as prober:
        await prober.probe(url, expected)
    return wire


async def fault(
    script: Script | Wire, url: str = URL, expected: Expectation = IMAGE, *, local: bool = False
) -> StoryboardError:
    with pytest.raises((FileMissing, Unavailable)) as caught:
        await probe(script, url, expected, local=local)
    assert caught.value.hint
    assert "secret" not in str(caught.value)
    return caught.value


def part(body: bytes, total: int | str) -> httpx.Response:
    return answer(206, body, headers={"Content-Range": f"bytes 0-{len(body) - 1}/{total}"})


@pytest.mark.anyio
@pytest.mark.parametrize(
    "reply",
    [
        lambda _: part(PNG[:4096], 5008),
        lambda _: part(PNG[:4096], "*"),
        lambda _: answer(200, PNG, headers={"Content-Length": str(len(PNG))}),
        lambda _: answer(200, PNG),
        lambda _: answer(200, b"\xff\xd8\xff\xe0small"),
    ],
    ids=["range", "range of unknown length", "whole", "whole of unknown length", "small"],
)
async def test_image_is_known_by_its_first_bytes_with_one_small_request(reply: Any) -> None:
    wire = await probe(reply)
    (request,) = wire.requests
    assert (request.method, request.headers["range"]) == ("GET", "bytes=0-4095")
    assert "authorization" not in request.headers
    assert "cookie" not in request.headers


@pytest.mark.anyio
async def test_no_more_is_read_than_is_needed() -> None:
    pieces: list[bytes | Exception] = [PNG[:4096], RuntimeError("too much was read")]
    length = {"Content-Length": "7000000"}
    await probe(lambda _: answer(200, headers=length, pieces=pieces))
    await probe(lambda _: answer(206, pieces=pieces))


@pytest.mark.anyio
async def test_clip_is_known_by_its_first_bytes() -> None:
    await probe(lambda _: part(b"\0\0\0\x20ftypisom", 20), expected=CLIP)
    assert (
        "not a video (found: PNG)" in (await fault(lambda _: part(PNG, 9), expected=CLIP)).message
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "web page"),
        (b"II*\0....", "TIFF"),
        (b"", "an empty file"),
        (b"\0\1\2\3", "unknown data"),
    ],
)
async def test_what_is_no_image_is_named_whatever_the_header_says(body: bytes, found: str) -> None:
    exc = await fault(lambda _: answer(200, body, headers={"Content-Type": "image/png"}))
    assert exc.message == f"is not a JPEG, PNG or WebP (found: {found})"
    assert exc.exit_code is ExitCode.FILE_MISSING


@pytest.mark.anyio
@pytest.mark.parametrize(
    "reply",
    [
        lambda _: part(PNG[:4096], 8_000_001),
        lambda _: answer(200, PNG, headers={"Content-Length": "8000001"}),
        lambda _: answer(200, pieces=[PNG, *[bytes(1_000_000)] * 8]),
    ],
    ids=["range", "stated", "not stated"],
)
async def test_image_over_the_limit_is_refused_however_its_size_is_told(reply: Any) -> None:
    exc = await fault(reply)
    assert "over the provider's limit of 8 MB" in exc.message
    assert exc.exit_code is ExitCode.FILE_MISSING


@pytest.mark.anyio
async def test_image_of_exactly_the_limit_is_fine() -> None:
    await probe(lambda _: part(PNG[:4096], 8_000_000))
    await probe(lambda _: answer(200, pieces=[PNG, bytes(8_000_000 - len(PNG))]))


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 416, 204])
async def test_no_is_believed_at_once(status: int) -> None:
    wire = Wire(lambda _: answer(status))
    exc = await fault(wire)
    assert exc.exit_code is ExitCode.FILE_MISSING
    assert len(wire.requests) == 1
    assert "--no-probe" in exc.hint


@pytest.mark.anyio
@pytest.mark.parametrize(
    "script",
    [
        lambda _: answer(500),
        lambda _: answer(503),
        lambda _: answer(429),
        breaking(httpx.ConnectError("")),
        breaking(httpx.ReadTimeout("")),
        breaking(OSError("")),
        lambda _: answer(200, pieces=[PNG[:100], httpx.ReadError("")]),
    ],
)
async def test_trouble_in_passing_is_asked_again_once(script: Script) -> None:
    wire = Wire(script)
    exc = await fault(wire)
    assert exc.exit_code is ExitCode.UNAVAILABLE
    assert len(wire.requests) == 2


@pytest.mark.anyio
async def test_second_look_may_be_good() -> None:
    replies = [answer(503), part(PNG[:4096], 5008)]
    await probe(lambda _: replies.pop(0))


@pytest.mark.anyio
async def test_host_without_an_address_is_out_of_reach() -> None:
    wire = Wire(lambda _: part(PNG, 9))
    exc = await fault(wire, "https://nowhere.example/a.png")
    assert (exc.exit_code, wire.requests) == (ExitCode.UNAVAILABLE, [])


@pytest.mark.anyio
async def test_drip_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_LOOK_LIMIT_S", 0.02)
    exc = await fault(lambda _: answer(200, pieces=[b"\x89"] * 100, every_s=0.005))
    assert (exc.exit_code, "no answer within" in exc.message) == (ExitCode.UNAVAILABLE, True)


HOSTILE = [
    "https://inside.example/a.png",
    "https://half.example/a.png",
    "https://metadata.example/latest/meta-data",
    "https://mapped.example/a.png",
    "https://127.0.0.1/a.png",
    "https://[::1]/a.png",
    "https://2130706433/a.png",
    "http://cdn.example/a.png",
    "https://user:word@cdn.example/a.png",
    "ftp://cdn.example/a.png",
    "file:///etc/passwd",
    "https:///a.png",
]


@pytest.mark.anyio
@pytest.mark.parametrize("url", HOSTILE)
async def test_hostile_address_is_refused_without_a_connection(url: str) -> None:
    wire = Wire(lambda _: part(PNG, 9))
    await fault(wire, url)
    assert wire.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize("url", HOSTILE)
async def test_redirect_to_a_hostile_address_is_refused_at_that_hop(url: str) -> None:
    wire = Wire(lambda _: answer(302, headers={"Location": url}))
    await fault(wire)
    assert {request.url.host for request in wire.requests} == {"cdn.example"}


@pytest.mark.anyio
async def test_redirects_are_followed_a_few_times_and_carry_no_cookie_along() -> None:
    replies = [
        answer(302, headers={"Location": "https://other.example/b", "Set-Cookie": "a=b"}),
        answer(307, headers={"Location": "/c", "Set-Cookie": "a=b; Domain=other.example"}),
        part(PNG[:4096], 5008),
    ]
    wire = await probe(lambda _: replies.pop(0))
    assert [str(request.url) for request in wire.requests[1:]] == [
        "https://other.example/b",
        "https://other.example/c",
    ]
    assert all("cookie" not in request.headers for request in wire.requests)


@pytest.mark.anyio
@pytest.mark.parametrize("location", ["", "/a.png", "https://[/a"])
async def test_redirects_without_end_or_sense_are_refused(location: str) -> None:
    wire = Wire(lambda _: answer(302, headers={"Location": location}))
    exc = await fault(wire)
    assert "redirects" in exc.message
    assert len(wire.requests) <= 6


@pytest.mark.anyio
async def test_local_provider_asks_this_machine_only() -> None:
    wire = Wire(lambda _: part(PNG[:4096], 5008))
    await probe(wire, "http://127.0.0.1:8080/a.png", local=True)
    await fault(wire, "https://cdn.example/a.png", local=True)
    assert len(wire.requests) == 1


@pytest.mark.anyio
async def test_proxy_and_netrc_of_the_machine_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(PNG) as (base, heads), Prober(local=True) as prober:
        await prober.probe(f"{base}/a.png", IMAGE)
    assert b"authorization" not in heads[0]
    assert b"proxy" not in heads[0]


@pytest.mark.anyio
async def test_only_a_few_are_asked_at_once() -> None:
    at_work, most = 0, 0

    async def script(_: httpx.Request) -> httpx.Response:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await anyio.sleep(0.001)
        at_work -= 1
        return part(PNG[:4096], 5008)

    async with (
        Prober(local=False, transport=Wire(script), sleep=no_sleep) as prober,
        anyio.create_task_group() as group,
    ):
        for number in range(40):
            group.start_soon(prober.probe, f"https://cdn.example/{number}.png", IMAGE)
    assert 2 <= most <= 8
