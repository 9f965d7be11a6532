"""WaveSpeed's answers and what may be done after each: the table that prevents paying twice."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import MODEL, make_reference

from pipeline.capabilities import WAVESPEED
from pipeline.errors import (
    ConfigurationError,
    ExitCode,
    KeyRefused,
    NoCredit,
    ProviderError,
    RateLimited,
    Rejected,
    SubmissionInDoubt,
    Unavailable,
    UnknownTask,
)
from pipeline.model import Resolution
from pipeline.providers.answers import read_retry_after
from pipeline.providers.base import HttpReply, TakeRequest, TaskPhase, TaskStatus
from pipeline.providers.wavespeed import WaveSpeed

SAMPLES = Path(__file__).parent.parent / "samples" / "wavespeed"
TASK_ID = "4b1d0c7ea2f94f0c9d2e5a6b7c8d9e0f"
REQUEST = TakeRequest(
    model=MODEL,
    prompt="@image1 turns slowly",
    image_urls=("https://static.example.net/u/a.png", "https://static.example.net/u/b.png"),
    duration_s=10,
    resolution=Resolution.P480,
)
dialect = WaveSpeed(WAVESPEED)
books = dialect.books


def reply(status: int = 200, body: object = b"", **headers: str) -> HttpReply:
    """An answer; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status=status, headers=named, body=content)


def sample(name: str, status: int = 200) -> HttpReply:
    """A recorded answer."""
    return reply(status, (SAMPLES / f"{name}.json").read_bytes())


def task(**data: Any) -> HttpReply:
    """A well-formed answer about a task."""
    return reply(200, {"code": 200, "message": "success", "data": {"id": TASK_ID, **data}})


def submitted(answer: HttpReply) -> str:
    """What the dialect makes of an answer to the submission."""
    return dialect.read_submit(answer, REQUEST)


def status_of(answer: HttpReply) -> TaskStatus:
    """What the dialect makes of an answer about the task."""
    return dialect.read_status(answer, TASK_ID)


def test_times_that_the_provider_tells_change_nothing() -> None:
    for told in ({"status": "processing"}, {"status": "completed", "outputs": ["https://x/1.mp4"]}):
        plain = status_of(task(**told))
        assert status_of(task(**told, timings={"inference": 51_877}, executionTime=60_000)) == plain


# ---------------------------------------------------------------- submit


def test_submission_is_exactly_the_contract() -> None:
    request = dialect.build_submit(REQUEST)
    assert (request.method, request.path, request.url) == ("POST", f"/api/v3/{MODEL}", "")
    assert request.json == {
        "images": ["https://static.example.net/u/a.png", "https://static.example.net/u/b.png"],
        "prompt": "@image1 turns slowly",
        "duration": 10,
        "resolution": "480p",
    }
    assert isinstance(request.json, dict)
    assert type(request.json["duration"]) is int
    assert type(request.json["resolution"]) is str


def test_a_webhook_is_asked_for_in_the_query_and_nowhere_else() -> None:
    """The server drops keys of the body that it does not know."""
    told = replace(REQUEST, webhook_url="https://hooks.example.net/w?token=a&b=ä")
    request = dialect.build_submit(told)
    hook = "https%3A%2F%2Fhooks.example.net%2Fw%3Ftoken%3Da%26b%3D%C3%A4"
    assert request.path == f"/api/v3/{MODEL}?webhook={hook}"
    assert request.json == dialect.build_submit(REQUEST).json


@pytest.mark.parametrize("name", ["submit_created", "submit_processing"])
def test_recorded_acceptance_gives_its_task_id(name: str) -> None:
    assert submitted(sample(name)) == TASK_ID


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("code", [200, 400, 500])
def test_an_answer_with_an_id_is_an_acceptance_whatever_else_it_says(
    status: int, code: int
) -> None:
    body = {"code": code, "message": "x", "data": {"id": TASK_ID}}
    assert submitted(reply(status, body)) == TASK_ID


@pytest.mark.parametrize(
    ("name", "status", "error", "exit_code"),
    [
        ("refused_parameter", 400, Rejected, ExitCode.SHOT_FAILED),
        ("refused_credit", 400, NoCredit, ExitCode.KEY_REFUSED),
        ("refused_key", 401, KeyRefused, ExitCode.KEY_REFUSED),
        ("refused_credit", 402, NoCredit, ExitCode.KEY_REFUSED),
        ("refused_role", 403, KeyRefused, ExitCode.KEY_REFUSED),
        ("unknown_task", 404, Rejected, ExitCode.SHOT_FAILED),
        ("refused_parameter", 413, Rejected, ExitCode.SHOT_FAILED),
        ("refused_parameter", 422, Rejected, ExitCode.SHOT_FAILED),
        ("refused_rate", 429, RateLimited, ExitCode.TRY_LATER),
    ],
)
def test_a_plain_no_made_no_task(
    name: str, status: int, error: type[ProviderError], exit_code: ExitCode
) -> None:
    with pytest.raises(error) as caught:
        submitted(sample(name, status))
    assert type(caught.value) is error
    assert caught.value.exit_code is exit_code
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_submission_is_a_configuration_error_that_names_the_target(
    status: int,
) -> None:
    answer = reply(status, location="https://elsewhere.example/path?token=secret")
    with pytest.raises(ConfigurationError, match=r"elsewhere\.example") as caught:
        submitted(answer)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520, 599, 204, 206, 201, 202, 600])
@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b'{"code": 503}'])
def test_every_other_status_without_an_id_is_in_doubt(status: int, body: bytes) -> None:
    with pytest.raises(SubmissionInDoubt):
        submitted(reply(status, body))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_fault_is_in_doubt_even_with_a_no_in_its_body(status: int) -> None:
    with pytest.raises(SubmissionInDoubt):
        submitted(reply(status, {"code": 400, "message": "no"}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html></html>",
        (SAMPLES / "submit_created.json").read_bytes()[:80],
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        {},
        {"code": 200, "message": "success"},
        {"code": 200, "data": None},
        {"code": 200, "data": []},
        {"code": 200, "data": "0f3c"},
        {"code": 200, "data": {}},
        {"code": 200, "data": {"id": ""}},
        {"code": 200, "data": {"id": None}},
        {"code": 200, "data": {"id": 17}},
        {"code": 500, "message": "internal error"},
        {"code": 503, "message": "busy", "data": {"id": ""}},
        {"code": "400", "message": "a code that is no number"},
        {"code": 1407, "message": "not documented under a 200"},
    ],
)
def test_a_yes_without_a_usable_id_is_in_doubt(body: object) -> None:
    with pytest.raises(SubmissionInDoubt):
        submitted(reply(200, body))


@pytest.mark.parametrize(
    "task_id", ["a/b", "..", "../../balance", "a?b", "a#b", "a b", "a\n", "x" * 129, "ä", "%2e"]
)
def test_an_id_that_could_lead_elsewhere_is_never_used(task_id: str) -> None:
    with pytest.raises(SubmissionInDoubt):
        submitted(reply(200, {"code": 200, "data": {"id": task_id}}))


@pytest.mark.parametrize(
    ("code", "error"), [(400, Rejected), (401, KeyRefused), (402, KeyRefused), (429, RateLimited)]
)
def test_a_no_in_the_envelope_counts_as_one_in_the_status(
    code: int, error: type[ProviderError]
) -> None:
    with pytest.raises(error):
        submitted(reply(200, {"code": code, "message": "no"}))


def test_the_servers_words_are_shown_but_cannot_act_on_a_terminal() -> None:
    message = "duration \x1b[31mmust\r\n be \u202e6 " + "x" * 5000
    with pytest.raises(Rejected) as caught:
        submitted(reply(400, {"code": 400, "message": message}))
    text = str(caught.value)
    assert "duration" in text
    assert not set(text) & set("\x1b\r\n\u202e")
    assert len(text) < 500


@pytest.mark.parametrize("target", ["", "/here", "https://[half", "https://x:99999999/"])
def test_a_redirect_to_nowhere_is_a_configuration_error_all_the_same(target: str) -> None:
    with pytest.raises(ConfigurationError):
        submitted(reply(307, location=target))


# ---------------------------------------------------------------- Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0", 0.0),
        (" 1.5 ", 1.5),
        ("1e9", 1e9),
        ("Mon, 04 May 2026 12:00:30 GMT", 30.0),
        ("Mon, 04 May 2026 11:00:00 GMT", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Mon, 99 May 2026 99:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(value: str, seconds: float | None) -> None:
    answer = reply(429, retry_after=value, date="Mon, 04 May 2026 12:00:00 GMT")
    assert read_retry_after(answer) == seconds
    with pytest.raises(RateLimited) as caught:
        submitted(answer)
    assert caught.value.retry_after_s == seconds


def test_a_retry_date_without_the_servers_own_date_says_nothing() -> None:
    assert read_retry_after(reply(429, retry_after="Mon, 04 May 2026 12:00:30 GMT")) is None
    assert read_retry_after(reply(429)) is None


# ---------------------------------------------------------------- status


def test_a_task_is_asked_for_by_its_id_on_our_own_base_url() -> None:
    request = dialect.build_status("../../balance")
    assert (request.method, request.url) == ("GET", "")
    assert request.path == "/api/v3/predictions/..%2F..%2Fbalance/result"


@pytest.mark.parametrize("word", ["created", "processing", "queued", "canceled", "", "COMPLETED"])
def test_every_word_that_ends_nothing_means_running(word: str) -> None:
    status = status_of(task(status=word, outputs=[]))
    assert status.phase is TaskPhase.RUNNING


def test_recorded_completion_gives_the_clip() -> None:
    status = status_of(sample("result_completed"))
    assert status.phase is TaskPhase.DONE
    assert status.outputs == ("https://d0000example.cloudfront.net/outputs/4b1d/clip.mp4",)
    assert not status.flagged
    assert status_of(sample("result_processing")).phase is TaskPhase.RUNNING
    assert status_of(sample("result_flagged")).flagged


@pytest.mark.parametrize(
    ("outputs", "urls"),
    [
        ([], ()),
        (None, ()),
        ("https://a/1.mp4", ("https://a/1.mp4",)),
        ([{"url": "https://a/1.mp4"}], ("https://a/1.mp4",)),
        (["https://a/1.mp4", "https://a/2.mp4"], ("https://a/1.mp4", "https://a/2.mp4")),
        ([None, 7, "", {}, {"url": None}], ()),
        ({"url": "https://a/1.mp4"}, ("https://a/1.mp4",)),
    ],
)
def test_outputs_come_in_many_shapes(outputs: object, urls: tuple[str, ...]) -> None:
    status = status_of(task(status="completed", outputs=outputs))
    assert (status.phase, status.outputs) == (TaskPhase.DONE, urls)


def test_missing_outputs_and_flags_are_none_at_all() -> None:
    status = status_of(task(status="completed", has_nsfw_contents=None))
    assert (status.outputs, status.flagged) == ((), False)


@pytest.mark.parametrize("word", ["failed", "cancelled", "timeout", "deleted"])
def test_a_failed_task_says_why(word: str) -> None:
    status = status_of(task(status=word, error="the renderer gave up", code=1403))
    assert (status.phase, status.word, status.code) == (TaskPhase.FAILED, word, "1403")
    assert status.message == "the renderer gave up"
    silent = status_of(task(status=word, error="", code=0))
    assert silent.code == ""
    assert word in silent.message


def test_codes_stand_in_where_a_failed_task_has_no_words() -> None:
    assert "moderation" in status_of(sample("result_moderated")).message
    failed = status_of(sample("result_failed"))
    assert (failed.code, failed.message) == ("1402", "reference image 2 could not be fetched")
    assert failed.reference_lost


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (sample("unknown_task", 404), UnknownTask),
        (sample("unknown_task", 200), UnknownTask),
        # Said by what stands before the service.
        (reply(404, b"<html>404 no backend</html>"), Unavailable),
        (reply(404, {"message": "Not Found"}), Unavailable),
        (sample("refused_key", 401), KeyRefused),
        (sample("refused_role", 403), KeyRefused),
        (sample("refused_rate", 429), RateLimited),
        (reply(400, {"code": 400, "message": "no"}), Rejected),
        (reply(302, location="https://x.example/"), ConfigurationError),
        (reply(500), Unavailable),
        (reply(502, b"<html>"), Unavailable),
        (reply(503), Unavailable),
        (reply(504), Unavailable),
        (reply(202, {"code": 200, "data": {"status": "failed"}}), Unavailable),
        (reply(200, b""), Unavailable),
        (reply(200, b'{"code": 200, "data": {"sta'), Unavailable),
        (reply(200, {"code": 200, "data": None}), Unavailable),
        (reply(200, {"code": 500, "data": {"status": "failed"}}), Unavailable),
        (reply(200, []), Unavailable),
    ],
)
def test_a_question_that_fails_says_nothing_about_the_task(
    answer: HttpReply, error: type[ProviderError]
) -> None:
    with pytest.raises(error) as caught:
        status_of(answer)
    assert type(caught.value) is error


# ---------------------------------------------------------------- upload


def test_a_ticket_is_asked_for_with_name_size_and_type() -> None:
    request = dialect.build_upload(make_reference(), "5b3f.png", b"the bytes")
    assert (request.method, request.path) == ("POST", "/api/v3/media/uploads")
    assert request.json == {"filename": "5b3f.png", "size": 1234, "content_type": "image/png"}


def test_a_ticket_gives_the_exact_headers_to_put_with() -> None:
    ticket = dialect.read_upload(sample("ticket"))
    assert ticket.put is not None
    assert (ticket.put.method, ticket.put.path) == ("PUT", "")
    assert ticket.put.url == "https://bucket.example.net/u/5b3f2a90c1d84e77.png?sig=9f8e"
    assert ticket.put.headers == {"Content-Type": "image/png", "If-None-Match": "*"}
    assert ticket.address == "https://static.example.net/u/5b3f2a90c1d84e77.png"


@pytest.mark.parametrize(
    ("upload", "usable"),
    [
        ({"method": "put", "url": "https://b/x"}, True),
        ({"method": "PUT", "url": "https://b/x", "headers": None}, True),
        (None, False),
        ({"method": "POST", "url": "https://b/x"}, False),
        ({"method": "PUT"}, False),
        ({"method": "PUT", "url": "https://b/x", "headers": ["a"]}, False),
        ([], False),
    ],
)
def test_a_ticket_that_asks_for_something_else_is_not_followed(
    upload: object, usable: bool
) -> None:
    answer = reply(200, {"code": 200, "data": {"download_url": "https://s/x", "upload": upload}})
    if usable:
        put = dialect.read_upload(answer).put
        assert put is not None
        assert not put.headers
    else:
        with pytest.raises(Unavailable):
            dialect.read_upload(answer)


# ---------------------------------------------------------------- history, balance


def test_history_is_asked_for_in_the_providers_time() -> None:
    after = datetime(2026, 5, 4, 12, 0, 30, tzinfo=UTC)
    request = books.build_history(after, 3)
    assert (request.method, request.path) == ("POST", "/api/v3/predictions")
    assert request.json == {
        "page": 3,
        "page_size": 100,
        "model": MODEL,
        "created_after": "2026-05-04T12:00:30Z",
    }


def test_recorded_history_gives_ids_times_and_inputs_where_they_are_echoed() -> None:
    items, more = books.read_history(sample("history"))
    assert [item.task_id[0] for item in items] == ["1", "2", "3"]
    assert items[0].created_at == datetime(2026, 5, 4, 12, 0, 1, 482913, tzinfo=UTC)
    assert items[0].inputs is None
    assert items[1].inputs is not None
    assert items[1].inputs["duration"] == 6
    assert items[2].inputs == {"prompt": "only the words"}
    assert not more


def test_only_a_full_page_may_be_followed_by_another() -> None:
    item = {"id": TASK_ID, "created_at": "2026-05-04T12:00:00Z"}
    for count, expected in ((99, False), (100, True)):
        _, more = books.read_history(reply(200, {"code": 200, "data": {"items": [item] * count}}))
        assert more is expected


@pytest.mark.parametrize(
    "items",
    [
        None,
        {},
        ["x"],
        [{"created_at": "2026-05-04T12:00:00Z"}],
        [{"id": "../x", "created_at": "2026-05-04T12:00:00Z"}],
        [{"id": TASK_ID, "created_at": "yesterday"}],
        [{"id": TASK_ID, "created_at": "2026-13-44T12:00:00Z"}],
        [{"id": TASK_ID}],
    ],
)
def test_a_history_that_cannot_be_read_proves_nothing(items: object) -> None:
    with pytest.raises(Unavailable):
        books.read_history(reply(200, {"code": 200, "data": {"items": items}}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prompt", "other words"),
        ("images", ["https://static.example.net/u/b.png", "https://static.example.net/u/a.png"]),
        ("duration", 6),
        ("duration", "10"),
        ("resolution", "720p"),
        ("resolution", None),
    ],
)
def test_only_equal_inputs_are_the_same_request(key: str, value: object) -> None:
    body = dialect.build_submit(REQUEST).json
    assert isinstance(body, dict)
    assert books.same_request({**body, "seed": 5}, body)
    assert not books.same_request({**body, key: value}, body)


def test_the_balance_is_exact_dollars() -> None:
    assert dialect.read_balance(sample("balance")) == Decimal("12.345")
    with pytest.raises(Unavailable):
        dialect.read_balance(reply(200, {"code": 200, "data": {"balance": True}}))
    with pytest.raises(KeyRefused):
        dialect.read_balance(sample("refused_key", 401))


@pytest.mark.parametrize("amount", ["1e999999", "1e-999999", "-1", "NaN", "Infinity", '"7"'])
def test_an_amount_that_no_account_holds_is_not_read(amount: str) -> None:
    body = f'{{"code": 200, "data": {{"balance": {amount}}}}}'.encode()
    with pytest.raises(Unavailable):
        dialect.read_balance(reply(200, body))


# ---------------------------------------------------------------- quote, bill


def test_a_quote_asks_for_exactly_what_would_be_submitted() -> None:
    """For an incomplete body the endpoint answers with the catalogue's lowest price."""
    request = books.build_quote(REQUEST)
    assert (request.method, request.path) == ("POST", "/api/v3/model/price")
    assert request.json == {"model_id": MODEL, "inputs": dialect.build_submit(REQUEST).json}
    answer = {"code": 200, "data": {"price": 0.5, "discounted_price": 0.45}}
    assert books.read_quote(reply(200, answer)) == Decimal("0.45")


def test_the_bill_is_asked_for_by_time_or_by_task() -> None:
    since = datetime(2026, 5, 4, 12, 0, 30, tzinfo=UTC)
    by_time, by_task = books.build_billings(since, 2).json, books.build_charges(["t1", "t2"]).json
    assert isinstance(by_time, dict)
    assert isinstance(by_task, dict)
    assert (by_time["page"], by_time["start_time"]) == (2, "1777896030000")
    assert by_task["prediction_uuids"] == ["t1", "t2"]


def test_a_line_of_the_bill_names_task_key_and_kind() -> None:
    line = {
        "uuid": "r1",
        "billing_type": "refund",
        "price": 0.3,
        "created_at": "2026-05-04T12:00:00Z",
        "access_key_id": "k1",
        "prediction": {"uuid": TASK_ID},
    }
    rows, more = books.read_billings(reply(200, {"code": 200, "data": {"items": [line]}}))
    (row,) = rows
    assert (row.row_id, row.task_id, row.key_id, row.is_refund) == ("r1", TASK_ID, "k1", True)
    assert row.amount_usd == Decimal("0.3")
    assert not more
    with pytest.raises(Unavailable):
        books.read_billings(reply(200, {"code": 200, "data": {"items": [{"uuid": "r1"}]}}))


@pytest.mark.parametrize("place", ["uuid", "access_key_id", "prediction"])
def test_a_bill_whose_names_are_no_text_is_not_read(place: str) -> None:
    """A key read out of anything else would be a stranger's, and the charge no concern of ours."""
    line = {
        "uuid": "r1",
        "price": 0.3,
        "created_at": "2026-05-04T12:00:00Z",
        "access_key_id": "k1",
        "prediction": {"uuid": TASK_ID},
    }
    line[place] = {"uuid": [TASK_ID]} if place == "prediction" else [line[place]]
    with pytest.raises(Unavailable, match="something unknown"):
        books.read_billings(reply(200, {"code": 200, "data": {"items": [line]}}))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_a_no_that_cannot_be_read_and_may_name_a_task_is_a_doubt(encoding: str) -> None:
    body = json.dumps({"code": 200, "data": {"id": TASK_ID}}).encode(encoding)
    answer = replace(reply(409, {}), body=body)
    with pytest.raises(SubmissionInDoubt):
        dialect.read_submit(answer, REQUEST)
    with pytest.raises(Rejected):
        dialect.read_submit(replace(answer, body=b"<html>no id</html>"), REQUEST)


# ---------------------------------------------------------------- what it has and has not


def test_the_webhook_secret_is_asked_for_with_the_key() -> None:
    request = dialect.signing.build_webhook_secret()
    assert (request.method, request.path, request.url) == ("GET", "/api/v3/webhook/secret", "")
    given = reply(200, {"code": 200, "data": {"secret": "whsec_a1"}})
    assert dialect.signing.read_webhook_secret(given) == "whsec_a1"
    with pytest.raises(Unavailable):
        dialect.signing.read_webhook_secret(reply(200, {"code": 200, "data": {"secret": ""}}))


def test_it_keeps_no_archive_beside_its_history() -> None:
    assert dialect.archive is None
