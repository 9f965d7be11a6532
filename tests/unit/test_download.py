"""A clip's address is a stranger's word: checked at every hop, fetched whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import itertools
import logging
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from wire import Script, Wire, answer, breaking, serving

from pipeline import download
from pipeline.download import Downloader
from pipeline.errors import ClipRejected, StorageError, Unavailable, UrlExpired, UrlRefused

CLIP = b"\x00\x00\x00 ftypisom" + bytes(range(256)) * 8
URL = "https://cdn.example/outputs/clip.mp4"
API = "https://api.wavespeed.example"
ADDRESSES = {
    "cdn.example": ["93.184.216.34"],
    "other.example": ["2606:2800:220:1:248:1893:25c8:1946", "93.184.216.34"],
    "inside.example": ["10.1.2.3"],
    "half.example": ["93.184.216.34", "192.168.1.1"],
    "metadata.example": ["169.254.169.254"],
    "shared.example": ["100.64.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "linklocal.example": ["fe80::1%2"],
    "api.wavespeed.example": ["93.184.216.34"],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name look-ups without a network; numbers stand for themselves, as in the real one."""

    async def look_up(host: str, port: int, **_: Any) -> Sequence[tuple[Any, ...]]:
        if "\x00" in host:
            raise ValueError("embedded null character")
        if host in ADDRESSES:
            return [(0, 0, 0, "", (address, port)) for address in ADDRESSES[host]]
        try:
            return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            raise socket.gaierror(-2, "Name or service not known") from None

    monkeypatch.setattr("pipeline.download.anyio.getaddrinfo", look_up)


def downloader(script: Script | Wire, **settings: Any) -> Downloader:
    wire = script if isinstance(script, Wire) else Wire(script)
    usual: dict[str, Any] = {"local": False, "api_url": API}
    return Downloader(transport=wire, **(usual | settings))


async def fetch(script: Script | Wire, path: Path, url: str = URL, **settings: Any) -> int:
    async with downloader(script, **settings) as clips:
        return await clips.fetch(url, path)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "opening_tk01.mp4.part"


# ---------------------------------------------------------------- the bytes


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [{}, {"Content-Length": str(len(CLIP))}])
async def test_a_clip_arrives_whole_under_the_name_given_and_no_other(
    part: Path, headers: dict[str, str]
) -> None:
    wire = Wire(lambda _: answer(200, headers=headers, pieces=[CLIP[:100], CLIP[100:]]))
    assert await fetch(wire, part) == len(CLIP)
    assert part.read_bytes() == CLIP
    assert list(part.parent.iterdir()) == [part]
    (request,) = wire.requests
    assert "authorization" not in request.headers
    assert "cookie" not in request.headers
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.anyio
async def test_a_clip_is_synced_before_it_counts_as_fetched(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(
        "pipeline.download.os.fsync", lambda number: synced.append(os.fstat(number).st_size)
    )
    await fetch(lambda _: answer(200, CLIP), part)
    assert synced == [len(CLIP)]


@pytest.mark.anyio
@pytest.mark.parametrize("length", [len(CLIP) + 1, len(CLIP) - 1, 0, 10**12])
async def test_a_length_that_does_not_agree_is_no_clip(part: Path, length: int) -> None:
    with pytest.raises(Unavailable, match="bytes"):
        await fetch(lambda _: answer(200, CLIP, headers={"Content-Length": str(length)}), part)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadError(""),
        httpx.ReadTimeout(""),
        httpx.RemoteProtocolError("peer closed connection"),
        ssl.SSLError("[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC]"),
    ],
    ids=repr,
)
async def test_a_download_that_breaks_off_may_be_tried_again(part: Path, error: Exception) -> None:
    with pytest.raises(Unavailable):
        await fetch(lambda _: answer(200, pieces=[CLIP[:50], error]), part)
    with pytest.raises(Unavailable):
        await fetch(breaking(error), part)


@pytest.mark.anyio
async def test_an_endless_body_stops_at_the_cap(part: Path) -> None:
    with pytest.raises(Unavailable, match="larger than 5000"):
        await fetch(lambda _: answer(200, pieces=[b"x" * 1000] * 10**6), part, max_bytes=5000)
    assert part.stat().st_size <= 5000


@pytest.mark.anyio
async def test_a_compressed_body_is_counted_and_kept_as_it_comes(part: Path) -> None:
    wire = Wire(lambda _: answer(200, CLIP, headers={"Content-Encoding": "gzip"}))
    assert await fetch(wire, part) == len(CLIP)
    assert part.read_bytes() == CLIP


@pytest.mark.anyio
async def test_a_drip_ends_at_the_limit_for_the_whole(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TOTAL_TIMEOUT_S", 0.05)
    with anyio.fail_after(2), pytest.raises(Unavailable, match="longer"):
        await fetch(lambda _: answer(200, pieces=[b"x"] * 1000, every_s=0.01), part)


@pytest.mark.anyio
async def test_waiting_for_a_turn_does_not_count_as_downloading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TOTAL_TIMEOUT_S", 0.2)
    monkeypatch.setattr(download, "_MAX_AT_ONCE", 1)
    wire = Wire(lambda _: answer(200, pieces=[CLIP], every_s=0.05))
    async with downloader(wire) as clips, anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(clips.fetch, URL, tmp_path / f"{number}.part")
    assert len(list(tmp_path.iterdir())) == 8


@pytest.mark.anyio
@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_url_that_is_over_asks_for_a_fresh_one(part: Path, status: int) -> None:
    with pytest.raises(UrlExpired, match=str(status)):
        await fetch(lambda _: answer(status, b"<Error/>"), part)
    assert not part.exists()


@pytest.mark.anyio
@pytest.mark.parametrize("status", [206, 204, 304, 400, 401, 429, 500, 503])
async def test_any_other_answer_is_tried_again_and_never_kept(part: Path, status: int) -> None:
    with pytest.raises(Unavailable, match=str(status)):
        await fetch(lambda _: answer(status, b"<html>"), part)
    assert not part.exists()


@pytest.mark.anyio
async def test_a_disk_that_will_not_take_it_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere.*not bought again"):
        await fetch(lambda _: answer(200, CLIP), tmp_path / "nowhere" / "x.part")


# ---------------------------------------------------------------- where from

HOSTILE = (
    "file:///etc/passwd",
    "data:video/mp4;base64,AAAA",
    "ftp://cdn.example/clip.mp4",
    "http://cdn.example/clip.mp4",
    "https:///clip.mp4",
    "//cdn.example/clip.mp4",
    "clip.mp4",
    "",
    "javascript:alert(1)",
    "https://user@cdn.example/clip.mp4",
    "https://user:password@cdn.example/clip.mp4",
    "https://@cdn.example/clip.mp4",
    "https://cdn.example\\@169.254.169.254/",
    "https://cdn.example:22/clip.mp4",
    "https://cdn.example:8443/clip.mp4",
    "https://cdn.example:99999/clip.mp4",
    "https://cdn.example:x/clip.mp4",
    "https://[::1/clip.mp4",
    "https://169.254.169.254/latest/meta-data",
    "https://127.0.0.1/clip.mp4",
    "https://127.1/clip.mp4",
    "https://2130706433/clip.mp4",
    "https://0x7f000001/clip.mp4",
    "https://0.0.0.0/clip.mp4",
    "https://10.0.0.1/clip.mp4",
    "https://192.168.0.1/clip.mp4",
    "https://172.16.0.1/clip.mp4",
    "https://[::1]/clip.mp4",
    "https://[::ffff:127.0.0.1]/clip.mp4",
    "https://[fd00::1]/clip.mp4",
    "https://[64:ff9b::7f00:1]/clip.mp4",
    "https://[::127.0.0.1]/clip.mp4",
    "https://[2002:7f00:1::]/clip.mp4",
    "https://[ff0e::1]/clip.mp4",
    "https://224.0.0.1/clip.mp4",
    "https://inside.example/clip.mp4",
    "https://half.example/clip.mp4",
    "https://metadata.example/clip.mp4",
    "https://shared.example/clip.mp4",
    "https://mapped.example/clip.mp4",
    "https://linklocal.example/clip.mp4",
    "https://\x00.example/clip.mp4",
    f"{API}/api/v3/balance",
    "https://API.wavespeed.example.:443/api/v3/balance",
)


@pytest.mark.anyio
@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_address_is_refused_without_a_connection(part: Path, url: str) -> None:
    wire = Wire(lambda _: answer(200, CLIP))
    with pytest.raises(UrlRefused):
        await fetch(wire, part, url)
    assert wire.requests == []
    assert not part.exists()


@pytest.mark.anyio
@pytest.mark.parametrize(
    # As a redirect, one without a host means the host that sent it.
    "url",
    [url for url in HOSTILE if "://" in url and "\x00" not in url and "https:///" not in url],
)
@pytest.mark.parametrize("status", [302, 307])
async def test_a_redirect_to_a_hostile_address_is_refused_at_that_hop(
    part: Path, url: str, status: int
) -> None:
    wire = Wire(lambda _: answer(status, headers={"Location": url}))
    # httpx itself stumbles over the few that are no URLs at all.
    with pytest.raises((UrlRefused, Unavailable)) as caught:
        await fetch(wire, part)
    assert isinstance(caught.value, UrlRefused) or "RemoteProtocolError" in str(caught.value)
    assert [request.url.host for request in wire.requests] == ["cdn.example"]


@pytest.mark.anyio
async def test_public_redirects_are_followed_a_few_times(part: Path) -> None:
    hops = {
        "/outputs/clip.mp4": answer(302, headers={"Location": "/second"}),
        "/second": answer(307, headers={"Location": "https://other.example/third"}),
        "/third": answer(200, CLIP),
    }
    assert await fetch(lambda request: hops[request.url.path], part) == len(CLIP)


@pytest.mark.anyio
@pytest.mark.parametrize("location", [URL, "", "/outputs/clip.mp4"])
async def test_redirects_without_end_are_refused(part: Path, location: str) -> None:
    wire = Wire(lambda _: answer(302, headers={"Location": location}))
    with pytest.raises(UrlRefused, match="redirects more than"):
        await fetch(wire, part)
    assert len(wire.requests) == 4


@pytest.mark.anyio
async def test_cookies_of_one_hop_are_not_shown_to_the_next(part: Path) -> None:
    hops = {
        "/outputs/clip.mp4": answer(
            302, headers={"Location": "https://other.example/2", "Set-Cookie": "a=b; Path=/"}
        ),
        "/2": answer(200, CLIP),
    }
    wire = Wire(lambda request: hops[request.url.path])
    await fetch(wire, part)
    assert all("cookie" not in request.headers for request in wire.requests)


@pytest.mark.anyio
async def test_a_host_that_has_no_address_may_have_one_later(part: Path) -> None:
    with pytest.raises(Unavailable, match=r"nohost\.example"):
        await fetch(lambda _: answer(200, CLIP), part, "https://nohost.example/clip.mp4")


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
async def test_a_local_provider_serves_clips_from_this_machine_only(part: Path, host: str) -> None:
    local = {"local": True, "api_url": "http://127.0.0.1:9000"}
    wire = Wire(lambda _: answer(200, CLIP))
    assert await fetch(wire, part, f"http://{host}:9001/clip.mp4", **local) == len(CLIP)
    for url in (URL, "http://cdn.example/x", "http://10.0.0.1/x", f"http://{host}:9000/x"):
        with pytest.raises(UrlRefused):
            await fetch(wire, part, url, **local)
    assert len(wire.requests) == 1


@pytest.mark.anyio
async def test_an_extra_host_may_have_any_address_and_port_but_only_over_https(part: Path) -> None:
    named = {"extra_hosts": ("inside.example", "localhost")}
    wire = Wire(lambda _: answer(200, CLIP))
    assert await fetch(wire, part, "https://INSIDE.example:8443/clip.mp4", **named) == len(CLIP)
    for url in (
        "http://inside.example/clip.mp4",
        "https://user@inside.example/clip.mp4",
        "https://localhost/clip.mp4",
    ):
        with pytest.raises(UrlRefused):
            await fetch(wire, part, url, **named)
    assert len(wire.requests) == 1


@pytest.mark.anyio
async def test_a_proxy_of_the_machine_is_not_used(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(b"") as (proxy, seen_by_proxy), serving(CLIP) as (files, connections):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with Downloader(local=True, api_url="http://127.0.0.1:9") as clips:
            assert await clips.fetch(f"{files}/clip.mp4", part) == len(CLIP)
    assert seen_by_proxy == []
    assert b"authorization" not in connections[0]


@pytest.mark.anyio
async def test_messages_show_a_hostile_host_escaped(part: Path) -> None:
    with pytest.raises((UrlRefused, Unavailable)) as caught:
        await fetch(lambda _: answer(200), part, "https://\x1b]0;gotcha\x07.example/")
    assert not set(str(caught.value)) & set("\x1b\x07")


@pytest.mark.anyio
async def test_a_signed_address_is_not_part_of_our_messages(
    part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="pipeline")
    for status in (403, 500):
        with pytest.raises((UrlExpired, Unavailable)) as caught:
            await fetch(lambda _, status=status: answer(status), part, f"{URL}?sig=5ecret")
        assert "5ecret" not in str(caught.value) + caplog.text


# ---------------------------------------------------------------- what the server says it sent

MD5 = hashlib.md5(CLIP, usedforsecurity=False).hexdigest()
FLIPPED = CLIP[:-1] + bytes([CLIP[-1] ^ 1])
OTHER_FLIPPED = CLIP[:-1] + bytes([CLIP[-1] ^ 2])


def serve_in_turn(*bodies: bytes, headers: dict[str, str]) -> Script:
    """Each answer has the next body, under the same headers."""
    left = iter(bodies)
    return lambda _: answer(200, next(left), headers=headers)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": f'"{MD5}"'},
        {"Content-MD5": base64.b64encode(bytes.fromhex(MD5)).decode()},
    ],
    ids=["etag", "content-md5"],
)
async def test_a_flipped_bit_on_the_way_is_found_by_the_servers_checksum(
    part: Path, headers: dict[str, str]
) -> None:
    wire = Wire(serve_in_turn(FLIPPED, OTHER_FLIPPED, CLIP, headers=headers))
    async with downloader(wire) as clips:
        for _ in range(2):
            with pytest.raises(ClipRejected, match="arrived damaged"):
                await clips.fetch(URL, part)
        assert await clips.fetch(URL, part) == len(CLIP)


@pytest.mark.anyio
async def test_an_etag_that_is_no_md5_costs_one_more_download_of_one_clip(part: Path) -> None:
    numbers = itertools.count()
    wire = Wire(lambda _: answer(200, CLIP, headers={"ETag": f'"{next(numbers):032x}"'}))
    async with downloader(wire) as clips:
        with pytest.raises(ClipRejected):
            await clips.fetch(URL, part)
        assert await clips.fetch(URL, part) == len(CLIP)
        wire.script = lambda _: answer(200, FLIPPED, headers={"ETag": f'"{next(numbers):032x}"'})
        assert await clips.fetch(URL + "?second", part) == len(CLIP)


@pytest.mark.anyio
async def test_one_odd_clip_does_not_cost_the_others_the_check_that_has_proved_itself(
    part: Path,
) -> None:
    bodies = (CLIP, FLIPPED, FLIPPED, OTHER_FLIPPED)
    async with downloader(serve_in_turn(*bodies, headers={"ETag": f'"{MD5}"'})) as clips:
        await clips.fetch(URL, part)
        with pytest.raises(ClipRejected):
            await clips.fetch(URL, part)
        await clips.fetch(URL, part)
        with pytest.raises(ClipRejected):
            await clips.fetch(URL, part)


@pytest.mark.anyio
async def test_a_promised_checksum_is_never_explained_away(part: Path) -> None:
    headers = {"Content-MD5": base64.b64encode(bytes.fromhex(MD5)).decode()}
    async with downloader(lambda _: answer(200, FLIPPED, headers=headers)) as clips:
        for _ in range(3):
            with pytest.raises(ClipRejected, match="content-md5"):
                await clips.fetch(URL, part)
