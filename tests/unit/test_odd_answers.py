"""What the fuzz has found, each by itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from support import MODEL
from wire import Wire, answer

from pipeline.capabilities import WAVESPEED
from pipeline.errors import SubmissionInDoubt, Unavailable
from pipeline.model import Resolution
from pipeline.providers.answers import read_retry_after
from pipeline.providers.base import HttpReply, TakeRequest
from pipeline.providers.http import HttpProvider
from pipeline.providers.wavespeed import WaveSpeed

_DIALECT = WaveSpeed(WAVESPEED)
_TAKE = TakeRequest(
    model=WAVESPEED.model,
    prompt="@image1 turns",
    image_urls=("https://refs.test/a.png",),
    duration_s=6,
    resolution=Resolution.P480,
)
_REQUEST = TakeRequest(
    model=MODEL,
    prompt="@image1 turns",
    image_urls=("https://refs.test/a.png",),
    duration_s=6,
    resolution=Resolution.P480,
)
_BOUNDLESS = b'{"code": 200, "data": {"id": "a", "n": 1e99999999999999999999}}'


def reply(body: object, status: int = 200, **headers: str) -> HttpReply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status=status, headers=headers, body=content)


def data(**fields: Any) -> HttpReply:
    return reply({"code": 200, "message": "success", "data": fields})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("status", [302, 400, 401, 402, 404, 408, 409, 422, 429, 499])
def test_a_no_beside_what_may_be_a_tasks_id_leaves_the_submission_in_doubt(status: int) -> None:
    with pytest.raises(SubmissionInDoubt):
        _DIALECT.read_submit(reply({"code": status, "data": {"id": "abc"}}, status), _TAKE)
    with pytest.raises(SubmissionInDoubt):
        _DIALECT.read_submit(reply({"code": 422, "data": {"id": 7}}), _TAKE)


def test_a_number_beyond_all_bounds_makes_an_answer_unreadable_and_no_more() -> None:
    with pytest.raises(SubmissionInDoubt):
        _DIALECT.read_submit(reply(_BOUNDLESS), _TAKE)
    with pytest.raises(Unavailable):
        _DIALECT.read_status(reply(_BOUNDLESS), "a")


@pytest.mark.parametrize("price", [10**9, 10**400])
def test_an_amount_beyond_all_bounds_is_no_amount(price: int) -> None:
    with pytest.raises(Unavailable):
        _DIALECT.read_balance(data(balance=price))


def test_an_id_of_the_history_that_is_no_text_is_something_unknown() -> None:
    with pytest.raises(Unavailable):
        _DIALECT.books.read_history(data(items=[{"id": 7, "created_at": "2026-05-04T12:00:00Z"}]))


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_outside_of_the_calendar_is_no_time(moment: str) -> None:
    with pytest.raises(Unavailable):
        _DIALECT.books.read_history(data(items=[{"id": "a", "created_at": moment}]))


def test_times_of_other_zones_are_told_in_utc() -> None:
    row = {"id": "a", "created_at": "2026-05-04T14:00:00.5+02:00"}
    ((item,), _) = _DIALECT.books.read_history(data(items=[row]))
    assert item.created_at == datetime(2026, 5, 4, 12, 0, 0, 500_000, tzinfo=UTC)


def test_an_address_with_half_a_character_is_none() -> None:
    status = _DIALECT.read_status(data(status="completed", outputs=["https://x.test/\ud800"]), "a")
    assert status.outputs == ()
    upload = {"method": "PUT", "url": "https://x.test/a", "headers": {}}
    with pytest.raises(Unavailable):
        _DIALECT.read_upload(data(upload=upload, download_url="https://x.test/\ud800"))


def test_the_code_of_a_failed_task_is_shown_as_plain_words_only() -> None:
    told = _DIALECT.read_status(
        data(status="failed", code="\x1b[31m", error={"message": "no cats"}), "a"
    )
    assert (told.code, told.message) == ("\\x1b[31m", "no cats")
    assert _DIALECT.read_status(data(status="failed", code=[["1"]]), "a").code == ""


def test_a_date_whose_zone_is_out_of_range_says_nothing() -> None:
    silly = "Mon, 04 May 2026 12:00:00 +9999999999999"
    assert read_retry_after(reply(b"", 429, **{"retry-after": silly, "date": silly})) is None


@pytest.mark.anyio
async def test_a_date_header_that_is_no_date_does_not_stop_a_call() -> None:
    silly = {"Date": "Mon, 04 May 2026 12:00:00 +9999999999999"}
    body = {"code": 200, "data": {"balance": 3}}
    async with provider(Wire(lambda _: answer(200, body, headers=silly))) as http:
        assert await http.balance() == 3
        assert http.server_ahead_s is None


@pytest.mark.anyio
@pytest.mark.parametrize("location", ["https:x", "http://[::1", "http://x:y/"])
async def test_a_redirect_to_what_is_no_address_is_an_answer_like_another(location: str) -> None:
    wire = Wire(lambda _: answer(302, headers={"Location": location}))
    async with provider(wire) as http:
        with pytest.raises(SubmissionInDoubt):
            await http.submit(_REQUEST)
        assert len(wire.requests) == 1
        with pytest.raises(Unavailable):
            await http.balance()


def provider(transport: httpx.AsyncBaseTransport) -> HttpProvider:
    return HttpProvider(_DIALECT, base_url="https://api.test", key="k" * 20, transport=transport)
