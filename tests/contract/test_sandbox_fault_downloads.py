"""Fault scripts: what a download can bring instead of the clip."""

from __future__ import annotations

import gzip
import hashlib
import time

import httpx
import pytest
from fault_support import Heard, ask, faulty
from sandbox_support import Customer, clip_bytes


def fetch(customer: Customer, **headers: str) -> httpx.Response:
    url = customer.result(customer.buy())["outputs"][0]
    return customer.cdn.get(url, headers=headers)


def clip_heard(customer: Customer) -> Heard:
    return ask(customer.result(customer.buy())["outputs"][0])


CLIP_FAULTS_THAT_CUT = [
    ("truncate", "fin", True),
    ("truncate_nolength", "fin", False),
    ("reset_mid", "rst", True),
    ("half_response", "fin", True),
]


@pytest.mark.parametrize(("fault", "end", "has_length"), CLIP_FAULTS_THAT_CUT)
def test_download_stops_half_way(fault: str, end: str, has_length: bool) -> None:
    rule = {"on": "download", "fault": fault, "nth": 1, "per": "task"}
    with faulty(rule) as customer:
        heard = clip_heard(customer)
        assert (heard.status, heard.end) == (200, end)
        assert heard.body == clip_bytes()[: len(clip_bytes()) // 2]
        assert (b"content-length" in heard.head) == has_length
        assert b"chunked" not in heard.head
        assert not has_length or heard.length == len(clip_bytes())
        assert customer.record()["tasks"][0]["downloads"] == 0


def test_download_without_a_length_is_short_and_nobody_complains() -> None:
    with faulty({"on": "download", "fault": "truncate_nolength"}) as customer:
        assert fetch(customer).content == clip_bytes()[: len(clip_bytes()) // 2]


def test_corrupt_clip_has_the_right_length_and_other_bytes() -> None:
    with faulty({"on": "download", "fault": "corrupt"}) as customer:
        content = fetch(customer).content
    clip = clip_bytes()
    differing = [n for n in range(len(clip)) if clip[n] != content[n]]
    assert len(content) == len(clip)
    assert differing == list(range(len(clip) * 7 // 16, len(clip) * 9 // 16))


@pytest.mark.parametrize(("place", "byte"), [(0, 0), (0.5, None), (1, -1)])
def test_a_flipped_bit_is_told_by_nothing_but_the_etag(place: float, byte: int | None) -> None:
    with faulty({"on": "download", "fault": "flip_bit", "place": place}) as customer:
        answer = fetch(customer)
    clip = clip_bytes()
    (differing,) = [n for n in range(len(clip)) if clip[n] != answer.content[n]]
    assert differing == (round((len(clip) - 1) / 2) if byte is None else byte % len(clip))
    assert answer.headers["content-length"] == str(len(clip))
    assert answer.headers["etag"] == f'"{hashlib.md5(clip, usedforsecurity=False).hexdigest()}"'


@pytest.mark.parametrize(
    ("rule", "content_type", "start"),
    [
        ({"fault": "wrong_type"}, "text/html; charset=utf-8", b"<!doctype html>"),
        ({"fault": "hls_body"}, "video/mp4", b"#EXTM3U\n"),
        ({"fault": "empty"}, "video/mp4", b""),
    ],
)
def test_download_is_something_else_entirely(
    rule: dict[str, object], content_type: str, start: bytes
) -> None:
    with faulty({"on": "download"} | rule) as customer:
        answer = fetch(customer)
        assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
        assert answer.content.startswith(start)
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert start or answer.content == b""


def test_playlist_names_the_segment_of_the_script() -> None:
    rule = {"on": "download", "fault": "hls_body", "url": "{canary}/segment.ts"}
    with faulty(rule) as customer:
        assert f"\n{customer.server.canary_url}/segment.ts\n" in fetch(customer).text


def test_bomb_is_small_on_the_wire_and_huge_unpacked() -> None:
    with faulty({"on": "download", "fault": "gzip_bomb", "mb": 8}) as customer:
        url = customer.result(customer.buy())["outputs"][0]
        with customer.cdn.stream("GET", url) as answer:
            packed = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < 100_000
    assert gzip.decompress(packed) == clip_bytes() + bytes(8 * 2**20)


def test_endless_download_goes_on_until_the_client_has_enough() -> None:
    with faulty({"on": "download", "fault": "endless"}) as customer:
        url = customer.result(customer.buy())["outputs"][0]
        with customer.cdn.stream("GET", url) as answer:
            pieces = answer.iter_raw()
            got = 0
            while got < 20 * 2**20:
                got += len(next(pieces))
        # Nothing is left running: the server is free for others, and stops at once.
        start = time.monotonic()
        assert customer.get("/balance").status_code == 200
    # One that went on would be dropped after a second.
    assert time.monotonic() - start < 0.95


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "download", "fault": "slow", "seconds": 0.3},
        {"on": "download", "fault": "slow_body", "seconds": 0.3},
    ],
)
def test_slow_download_comes_in_drops_and_whole(rule: dict[str, object]) -> None:
    with faulty(rule) as customer:
        url = customer.result(customer.buy())["outputs"][0]
        start = time.monotonic()
        with customer.cdn.stream("GET", url) as answer:
            head_s = time.monotonic() - start
            arrivals = [(time.monotonic() - start, piece) for piece in answer.iter_raw()]
        assert head_s < arrivals[-1][0] - 0.2
        assert 0.3 <= arrivals[-1][0] < 2
        assert len(arrivals) > 10
        assert b"".join(piece for _, piece in arrivals) == clip_bytes()
        assert customer.record()["tasks"][0]["downloads"] == 1


def test_slow_answer_to_a_submission_is_whole_in_the_end() -> None:
    with faulty({"on": "submit", "fault": "slow_body", "seconds": 0.2}) as customer:
        start = time.monotonic()
        assert customer.data(customer.submit(customer.order()))["status"] == "created"
        assert time.monotonic() - start >= 0.2


def test_download_redirects_to_where_the_script_says() -> None:
    rule = {"on": "download", "fault": "redirect", "location": "{api}/api/v3/balance"}
    with faulty(rule | {"status": 302}) as customer:
        answer = fetch(customer)
        assert answer.status_code == 302
        assert answer.headers["location"] == f"{customer.server.base_url}/api/v3/balance"
