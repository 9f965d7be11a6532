"""The adapter sends each paid request once, knows what a failure means, and keeps its key."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import ssl
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpcore
import httpx
import pytest
from support import MODEL, NOON
from wire import Script, Wire, answer, breaking, data, serving

from pipeline.capabilities import RUNWARE, WAVESPEED
from pipeline.errors import (
    ConfigurationError,
    KeyRefused,
    NotOffered,
    RateLimited,
    Rejected,
    StoryboardError,
    SubmissionInDoubt,
    Unavailable,
    UnknownTask,
)
from pipeline.model import FileReference, Resolution, Size
from pipeline.providers import http
from pipeline.providers.base import TakeRequest
from pipeline.providers.http import HttpProvider, upload_name
from pipeline.providers.runware import Runware
from pipeline.providers.wavespeed import WaveSpeed

KEY = "wsk_canary_5f1c9a3e77b24d"
BASE = "https://api.wavespeed.example"
SUBMIT = f"POST /api/v3/{MODEL}"
TASK = json.dumps({"code": 200, "data": {"id": "t1", "status": "processing"}}).encode()
PNG = b"\x89PNG\r\n\x1a\nnot really, but nobody looks"
REQUEST = TakeRequest(
    model=MODEL,
    prompt="@image1 turns slowly",
    image_urls=("https://static.example.net/u/a.png",),
    duration_s=6,
    resolution=Resolution.P720,
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def provider(wire: httpx.AsyncBaseTransport, **settings: Any) -> HttpProvider:
    usual: dict[str, Any] = {"base_url": BASE, "key": KEY, "submit_timeout_s": 5.0}
    return HttpProvider(WaveSpeed(WAVESPEED), transport=wire, **(usual | settings))


def runware(wire: httpx.AsyncBaseTransport) -> HttpProvider:
    base_url = "https://api.runware.example"
    return HttpProvider(Runware(RUNWARE), transport=wire, base_url=base_url, key=KEY)


def reference(folder: Path, content: bytes = PNG) -> FileReference:
    path = folder / "bottle front.png"
    path.write_bytes(content)
    return FileReference(
        source="refs/bottle front.png",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        media_type="image/png",
        width_px=16,
        height_px=9,
    )


def everything_about(exc: BaseException) -> str:
    """All that could be printed of an exception and of those behind it, hidden ones too."""
    told = "".join(traceback.format_exception(exc))
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exc]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        told += f"{one!s} {one!r} {one.args!r} {vars(one)!r}"
        waiting += [one.__cause__, one.__context__]
    return told


# ---------------------------------------------------------------- the paid POST


@pytest.mark.anyio
async def test_submission_is_one_post_with_the_key_and_the_contracts_body() -> None:
    wire = Wire(lambda _: data(id="t1"))
    async with provider(wire) as api:
        assert await api.submit(REQUEST) == "t1"
    (request,) = wire.requests
    assert str(request.url) == f"{BASE}/api/v3/{MODEL}"
    assert request.method == "POST"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert set(json.loads(request.content)) == {"images", "prompt", "duration", "resolution"}


NOTHING_SENT = (
    httpx.ConnectError("[Errno -2] Name or service not known"),
    httpx.ConnectError("[Errno 111] Connection refused"),
    httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
    httpx.ConnectTimeout(""),
    httpx.PoolTimeout(""),
)
ANSWER_LOST = (
    httpx.ReadTimeout(""),
    httpx.ReadError(""),
    httpx.WriteError(""),
    httpx.WriteTimeout(""),
    httpx.CloseError(""),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
    ssl.SSLError("[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC]"),
    ConnectionResetError(104, "Connection reset by peer"),
)


@pytest.mark.anyio
@pytest.mark.parametrize("error", NOTHING_SENT, ids=repr)
async def test_a_connection_that_was_never_made_sent_nothing(error: Exception) -> None:
    wire = Wire(breaking(error))
    async with provider(wire) as api:
        with pytest.raises(Unavailable, match=r"api\.wavespeed\.example"):
            await api.submit(REQUEST)
    assert wire.paths == [SUBMIT]


@pytest.mark.anyio
@pytest.mark.parametrize("error", ANSWER_LOST, ids=repr)
async def test_a_connection_that_breaks_later_leaves_a_doubt_and_one_post(
    error: Exception,
) -> None:
    wire = Wire(breaking(error))
    async with provider(wire) as api:
        with pytest.raises(SubmissionInDoubt):
            await api.submit(REQUEST)
    assert wire.paths == [SUBMIT]


@pytest.mark.anyio
@pytest.mark.parametrize("error", ANSWER_LOST, ids=repr)
async def test_an_answer_that_breaks_off_leaves_a_doubt_even_after_the_id(
    error: Exception,
) -> None:
    pieces = [b'{"code": 200, "data": {"id": "t1"', error]
    wire = Wire(lambda _: answer(pieces=pieces))
    async with provider(wire) as api:
        with pytest.raises(SubmissionInDoubt):
            await api.submit(REQUEST)
    assert wire.paths == [SUBMIT]


@pytest.mark.anyio
async def test_a_server_that_never_answers_is_left_at_the_deadline() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()

    wire = Wire(hang)
    async with provider(wire, submit_timeout_s=0.05) as api:
        with anyio.fail_after(2), pytest.raises(SubmissionInDoubt, match=r"0\.05 s"):
            await api.submit(REQUEST)
    assert wire.paths == [SUBMIT]


@pytest.mark.anyio
async def test_an_answer_that_drips_is_left_at_the_outer_deadline() -> None:
    wire = Wire(lambda _: answer(pieces=[b" "] * 1000, every_s=0.01))
    async with provider(wire, submit_timeout_s=0.05) as api:
        with anyio.fail_after(2), pytest.raises(SubmissionInDoubt):
            await api.submit(REQUEST)
    assert wire.paths == [SUBMIT]


@pytest.mark.anyio
async def test_an_answer_without_end_is_in_doubt() -> None:
    wire = Wire(lambda _: answer(pieces=[b" " * 1_000_000] * 50))
    async with provider(wire) as api:
        with pytest.raises(SubmissionInDoubt):
            await api.submit(REQUEST)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [500, 502, 503, 504, 201, 204])
async def test_an_ambiguous_answer_is_not_followed_by_another_post(status: int) -> None:
    wire = Wire(lambda _: answer(status))
    async with provider(wire) as api:
        with pytest.raises(SubmissionInDoubt):
            await api.submit(REQUEST)
    assert wire.paths == [SUBMIT]


@pytest.mark.anyio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirected_submission_goes_nowhere(status: int) -> None:
    target = "https://steal.example/here"
    wire = Wire(lambda _: answer(status, headers={"Location": target}))
    async with provider(wire) as api:
        with pytest.raises(ConfigurationError, match=r"steal\.example"):
            await api.submit(REQUEST)
    assert [request.url.host for request in wire.requests] == ["api.wavespeed.example"]


@pytest.mark.anyio
async def test_every_paid_post_has_a_connection_of_its_own() -> None:
    """A kept connection that died unseen would make a doubt of what never left."""
    async with (
        serving(TASK) as (base_url, connections),
        HttpProvider(WaveSpeed(WAVESPEED), base_url=base_url, key=KEY) as api,
    ):
        await api.status("t1")
        await api.status("t1")
        assert len(connections) == 1
        await api.submit(REQUEST)
        await api.submit(REQUEST)
        assert len(connections) == 3


# ---------------------------------------------------------------- the key


def closed_on_arrival() -> httpx.AsyncBaseTransport:
    """Real h11 over a connection that takes everything and never answers."""
    transport = httpx.AsyncHTTPTransport()
    transport._pool = httpcore.AsyncConnectionPool(network_backend=httpcore.AsyncMockBackend([]))
    return transport


@pytest.mark.anyio
@pytest.mark.parametrize("tail", ["\n", "\r\nX-Other: 1", "\x00"])
async def test_a_key_that_no_header_can_hold_is_told_without_the_key(tail: str) -> None:
    async with provider(closed_on_arrival(), key=KEY + tail) as api:
        for call in (lambda: api.submit(REQUEST), api.balance):
            with pytest.raises(ConfigurationError, match="key") as caught:
                await call()
            assert KEY not in everything_about(caught.value)


@pytest.mark.anyio
async def test_the_key_is_not_in_what_the_provider_shows_of_itself() -> None:
    async with provider(Wire(lambda _: data())) as api:
        assert KEY not in repr(api) + str(api)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "script",
    [
        *(breaking(error) for error in (*NOTHING_SENT, *ANSWER_LOST)),
        lambda _: answer(401, {"code": 401, "message": f"no such key: {KEY}"}),
        lambda _: answer(400, {"code": 400, "message": f"Bearer {KEY} may not"}),
        lambda _: answer(503, {"code": 503, "message": KEY}),
        lambda _: answer(429, headers={"Retry-After": KEY}),
        lambda _: answer(307, headers={"Location": f"https://{KEY}.example/"}),
        lambda _: answer(200, f"<p>{KEY}".encode()),
    ],
)
async def test_no_failure_tells_the_key_not_even_if_the_server_does(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with provider(Wire(script)) as api:
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: api.submit(REQUEST),
            lambda: api.status("t1"),
            lambda: api.history(NOON),
            api.balance,
        )
        for call in calls:
            with pytest.raises(StoryboardError) as caught:
                await call()
            assert KEY not in everything_about(caught.value)
    assert KEY not in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("echo", ["token=hook-secret-1234", "hook-secret-1234", "token%3Dhook-"])
async def test_no_refusal_tells_the_secret_of_the_webhook_that_the_server_repeats(
    echo: str,
) -> None:
    url = "https://ads.example.com/x?token=hook-secret-1234"
    body = {"code": 400, "message": f"bad webhook {echo}{'secret-1234' * echo.endswith('-')}"}
    async with provider(Wire(lambda _: answer(400, body)), webhook_url=url) as api:
        with pytest.raises(StoryboardError) as caught:
            await api.submit(REQUEST)
    assert "hook-secret" not in everything_about(caught.value)
    assert "bad webhook ***" in caught.value.message


@pytest.mark.anyio
async def test_a_proxy_of_the_machine_never_sees_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        serving(b"") as (proxy, seen_by_proxy),
        serving(TASK) as (base_url, connections),
    ):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with HttpProvider(WaveSpeed(WAVESPEED), base_url=base_url, key=KEY) as api:
            await api.status("t1")
            await api.submit(REQUEST)
    assert seen_by_proxy == []
    assert len(connections) == 2


# ---------------------------------------------------------------- free calls


@pytest.mark.anyio
@pytest.mark.parametrize("error", [*NOTHING_SENT, *ANSWER_LOST], ids=repr)
async def test_a_question_that_fails_may_be_asked_again(error: Exception) -> None:
    wire = Wire(breaking(error))
    async with provider(wire) as api:
        for call in (lambda: api.status("t1"), api.balance, lambda: api.history(NOON)):
            with pytest.raises(Unavailable):
                await call()


@pytest.mark.anyio
async def test_a_question_whose_answer_drips_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_CALL_LIMIT_S", 0.05)
    wire = Wire(lambda _: answer(pieces=[b" "] * 1000, every_s=0.01))
    async with provider(wire) as api:
        with anyio.fail_after(2), pytest.raises(Unavailable):
            await api.status("t1")


@pytest.mark.anyio
async def test_status_asks_for_the_result_and_passes_refusals_on() -> None:
    script = {
        "ok": data(status="processing"),
        "gone": answer(404, {"code": 404, "message": "Prediction not found"}),
        "fast": answer(429, headers={"Retry-After": "7"}),
        "bad": answer(401),
    }
    wire = Wire(lambda request: script[request.url.path.split("/")[-2]])
    async with provider(wire) as api:
        assert (await api.status("ok")).word == "processing"
        with pytest.raises(UnknownTask):
            await api.status("gone")
        with pytest.raises(RateLimited) as limited:
            await api.status("fast")
        with pytest.raises(KeyRefused):
            await api.status("bad")
    assert limited.value.retry_after_s == 7
    assert wire.paths[0] == "GET /api/v3/predictions/ok/result"


def history_page(first: int, count: int) -> httpx.Response:
    items = [
        {"id": f"t{number}", "created_at": "2026-05-04T12:00:00Z"}
        for number in range(first, first + count)
    ]
    return data(page=1, items=items)


@pytest.mark.anyio
async def test_history_is_read_to_its_last_page_and_every_task_once() -> None:
    """A task that starts between two pages pushes the last of the first onto the second."""
    pages = {1: history_page(0, 100), 2: history_page(99, 100), 3: history_page(199, 3)}
    wire = Wire(lambda request: pages[json.loads(request.content)["page"]])
    async with provider(wire) as api:
        items = await api.history(NOON)
    assert [item.task_id for item in items] == [f"t{number}" for number in range(202)]
    assert json.loads(wire.requests[0].content)["created_after"] == "2026-05-04T12:00:00Z"


@pytest.mark.anyio
async def test_a_page_that_fails_fails_the_whole_history() -> None:
    pages = {1: history_page(0, 100), 2: answer(503)}
    wire = Wire(lambda request: pages[json.loads(request.content)["page"]])
    async with provider(wire) as api:
        with pytest.raises(Unavailable):
            await api.history(NOON)


@pytest.mark.anyio
async def test_a_history_without_end_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_MAX_HISTORY_PAGES", 3)
    wire = Wire(lambda _: history_page(0, 100))
    async with provider(wire) as api:
        with pytest.raises(Unavailable, match="end"):
            await api.history(NOON)
    assert len(wire.requests) == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("date", "ahead_s"),
    [
        ("Mon, 04 May 2026 12:01:30 GMT", 90.0),
        ("Sun, 03 May 2026 12:00:00 GMT", -86400.0),
        ("Mon, 01 Jan 9999 00:00:00 GMT", None),
        ("Mon, 04 May 2026 12:00:00 -0000", None),
        ("yesterday", None),
        ("", None),
    ],
)
async def test_the_servers_clock_is_compared_with_ours(date: str, ahead_s: float | None) -> None:
    wire = Wire(lambda _: answer(503, headers={"Date": date}))
    async with provider(wire, utc=lambda: datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)) as api:
        assert api.server_ahead_s is None
        with pytest.raises(SubmissionInDoubt):
            await api.submit(REQUEST)
        assert api.server_ahead_s == ahead_s


# ---------------------------------------------------------------- upload


def ticket(url: object = "https://bucket.example.net/u/1?sig=2", **upload: Any) -> httpx.Response:
    headers = {"Content-Type": "image/png", "If-None-Match": "*"}
    return data(
        download_url="https://static.example.net/u/1",
        upload={"method": "PUT", "url": url, "headers": headers} | upload,
    )


@pytest.mark.anyio
async def test_a_file_goes_to_its_ticket_as_it_was_checked_and_without_the_key(
    tmp_path: Path,
) -> None:
    image = reference(tmp_path)
    wire = Wire(lambda request: ticket() if request.method == "POST" else answer(204))
    async with provider(wire) as api:
        assert await api.upload(image) == "https://static.example.net/u/1"
    asked, put = wire.requests
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(asked.content) == {
        "filename": upload_name(image),
        "size": len(PNG),
        "content_type": "image/png",
    }
    assert (put.method, str(put.url)) == ("PUT", "https://bucket.example.net/u/1?sig=2")
    assert put.content == PNG
    assert put.headers["content-type"] == "image/png"
    assert put.headers["if-none-match"] == "*"
    assert put.headers["content-length"] == str(len(PNG))
    assert "authorization" not in put.headers
    assert KEY not in f"{put.headers.raw}{put.url}"


def test_an_uploads_name_gives_nothing_away(tmp_path: Path) -> None:
    image = reference(tmp_path)
    assert upload_name(image) == f"{image.sha256[:16]}.png"


@pytest.mark.anyio
@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"other"), Path.unlink])
async def test_a_file_that_is_no_longer_what_was_checked_is_not_sent(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    image = reference(tmp_path)
    change(image.path)
    wire = Wire(lambda _: ticket())
    async with provider(wire) as api:
        with pytest.raises(Rejected, match="bottle front"):
            await api.upload(image)
    assert wire.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "made",
    [
        ticket("http://bucket.example.net/u/1"),
        ticket("file:///etc/passwd"),
        ticket("https://[broken/u/1"),
        ticket("https://bucket.example.net/\x00"),
        ticket("/relative"),
        ticket(""),
        ticket("https://b.example/" + "x" * 70_000),
        ticket(headers={"X-Name": "Flasche-groß-\u2603"}),
    ],
)
async def test_a_ticket_that_cannot_be_used_fails_in_words(
    tmp_path: Path, made: httpx.Response
) -> None:
    wire = Wire(lambda _: made)
    async with provider(wire) as api:
        with pytest.raises(Unavailable):
            await api.upload(reference(tmp_path))
    assert len(wire.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("status", [301, 307, 403, 412, 500])
async def test_a_refused_put_asks_for_a_new_ticket_and_follows_nothing(
    tmp_path: Path, status: int
) -> None:
    moved = answer(status, headers={"Location": "https://steal.example/"})
    wire = Wire(lambda request: ticket() if request.method == "POST" else moved)
    async with provider(wire) as api:
        with pytest.raises(Unavailable, match=str(status)):
            await api.upload(reference(tmp_path))
    assert len(wire.requests) == 2


@pytest.mark.anyio
async def test_a_local_provider_may_hand_out_plain_http_tickets(tmp_path: Path) -> None:
    wire = Wire(
        lambda request: (
            ticket("http://127.0.0.1:9001/u/1") if request.method == "POST" else answer(200)
        )
    )
    async with provider(wire, base_url="http://127.0.0.1:9000") as api:
        await api.upload(reference(tmp_path))
    assert "authorization" not in wire.requests[1].headers


# ---------------------------------------------------------------- a provider of another kind

TASK_ID = "0b8c4f8e-4f0a-4f7d-9d3e-2f6c1a5b7e90"
FILE_ID = "1c9d5a9f-5a1b-4a8e-8e4f-3a7d2b6c8f01"


def entry(**fields: Any) -> httpx.Response:
    """A success in Runware's envelope, about our task."""
    return answer(200, {"data": [{"taskUUID": TASK_ID} | fields]})


@pytest.mark.anyio
async def test_an_array_of_one_task_goes_to_the_one_url_with_the_key() -> None:
    wire = Wire(lambda _: entry(taskType="videoInference"))
    size = Size(width_px=1280, height_px=720)
    request = replace(REQUEST, model=RUNWARE.model, task_id=TASK_ID, size=size)
    async with runware(wire) as api:
        assert await api.submit(request) == TASK_ID
        assert (await api.status(TASK_ID)).word == "processing"
    assert {str(sent.url) for sent in wire.requests} == {"https://api.runware.example/v1"}
    assert {sent.headers["authorization"] for sent in wire.requests} == {f"Bearer {KEY}"}
    bodies = [json.loads(sent.content) for sent in wire.requests]
    assert [[task["taskUUID"] for task in body] for body in bodies] == [[TASK_ID], [TASK_ID]]


@pytest.mark.anyio
async def test_a_task_is_looked_at_with_the_number_of_its_results() -> None:
    done = {"status": "success", "videoUUID": FILE_ID, "videoURL": "https://vm.example/1.mp4"}
    async with runware(Wire(lambda _: entry(**done))) as api:
        assert (await api.status(TASK_ID, 1)).word == "success"
        assert (await api.status(TASK_ID, 3)).word == "processing, 1 of 3 ready"


@pytest.mark.anyio
async def test_a_file_that_goes_up_inside_the_request_needs_no_put(tmp_path: Path) -> None:
    wire = Wire(lambda _: entry(taskType="imageUpload", imageUUID=FILE_ID))
    async with runware(wire) as api:
        assert await api.upload(reference(tmp_path)) == FILE_ID
    (sent,) = wire.requests
    (task,) = json.loads(sent.content)
    assert task["image"] == "data:image/png;base64," + base64.b64encode(PNG).decode()


@pytest.mark.anyio
async def test_the_archive_answers_where_there_is_one() -> None:
    wire = Wire(lambda _: entry(taskType="getTaskDetails", request=[{"model": "m"}]))
    async with runware(wire) as api:
        assert await api.details(TASK_ID)


@pytest.mark.anyio
async def test_what_a_provider_does_not_offer_is_said_without_asking_it() -> None:
    wire = Wire(lambda _: data())
    async with runware(wire) as api:
        calls: tuple[tuple[Callable[[], Awaitable[object]], str], ...] = (
            (lambda: api.history(NOON), "keeps no history"),
            (lambda: api.quote(REQUEST), "gives no quotes"),
            (lambda: api.billings(NOON), "shows no bill"),
            (lambda: api.charges(["t1"]), "shows no bill"),
            (api.webhook_secret, "signs no webhooks"),
        )
        for call, words in calls:
            with pytest.raises(NotOffered, match=f"runware {words}"):
                await call()
        with pytest.raises(NotOffered):
            api.same_request({}, {})
    async with provider(wire) as api:
        with pytest.raises(NotOffered, match="wavespeed keeps no archive"):
            await api.details("t1")
    assert wire.requests == []


@pytest.mark.anyio
async def test_the_secret_of_webhooks_is_asked_for_with_the_key() -> None:
    wire = Wire(lambda _: data(secret="whsec_1"))
    async with provider(wire) as api:
        assert await api.webhook_secret() == "whsec_1"
    assert wire.paths == ["GET /api/v3/webhook/secret"]
    assert wire.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_clips_upload_is_named_by_its_type_too(tmp_path: Path) -> None:
    clip = replace(reference(tmp_path), media_type="video/mp4")
    assert upload_name(clip) == f"{clip.sha256[:16]}.mp4"
