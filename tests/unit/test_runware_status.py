"""What a poll of Runware says of a task, and when it says nothing about it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from test_runware import OTHER_ID, TASK_ID, dialect, fault, reply, sample

from pipeline.errors import (
    ConfigurationError,
    KeyRefused,
    NoCredit,
    RateLimited,
    StoryboardError,
    Unavailable,
    UnknownTask,
)
from pipeline.providers.base import HttpReply, TaskPhase, TaskStatus

FIRST = "1c9d5a9f-5a1b-4a8e-8e4f-3a7d2b6c8f01"
SECOND = "2dae6ba0-6b2c-4b9f-9f50-4b8e3c7d9a12"
THIRD = "3ebf7cb1-7c3d-4ca0-a061-5c9f4d8eab23"
URLS = tuple(f"https://vm.runware.example/video/{each}.mp4" for each in (FIRST, SECOND, THIRD))


def status_of(answer: HttpReply, results: int = 1) -> TaskStatus:
    """What the dialect makes of an answer about the task."""
    return dialect.read_status(answer, TASK_ID, results)


def item(number: int = 0, **fields: Any) -> dict[str, Any]:
    """One finished result of our task; a field that is None is left out."""
    entry = {
        "taskType": "videoInference",
        "taskUUID": TASK_ID,
        "status": "success",
        "videoUUID": (FIRST, SECOND, THIRD)[number],
        "videoURL": URLS[number],
    } | fields
    return {key: value for key, value in entry.items() if value is not None}


def running(**fields: Any) -> dict[str, Any]:
    return {"taskUUID": TASK_ID, "status": "processing"} | fields


def answer(*items: dict[str, Any], errors: list[Any] | None = None, status: int = 200) -> HttpReply:
    return reply(status, {"data": list(items)} | ({"errors": errors} if errors else {}))


def test_a_task_is_asked_for_by_its_id() -> None:
    wire = dialect.build_status(TASK_ID)
    assert (wire.method, wire.path, wire.url) == ("POST", "/v1", "")
    assert wire.json == [{"taskType": "getResponse", "taskUUID": TASK_ID}]


# ---------------------------------------------------------------- one result


@pytest.mark.parametrize("name", ["result_success", "result_page_example"])
def test_recorded_success_gives_the_clip_and_what_it_cost(name: str) -> None:
    status = status_of(sample(name))
    assert (status.phase, status.outputs) == (TaskPhase.DONE, URLS[:1])
    assert status.cost_usd == Decimal("0.562")
    assert (status.flagged, status.code, status.message) == (False, "", "")


def test_a_seed_that_is_told_changes_nothing() -> None:
    assert status_of(answer(item(seed=4711))) == status_of(answer(item()))


def test_recorded_progress_is_told() -> None:
    status = status_of(sample("result_processing"))
    assert (status.phase, status.word, status.outputs) == (TaskPhase.RUNNING, "processing 40 %", ())


@pytest.mark.parametrize(
    "word", ["processing", "queued", "pending", "scheduled", "waiting", "", None, 7, "somethingNew"]
)
def test_every_word_without_an_address_means_running(word: object) -> None:
    assert status_of(answer({"taskUUID": TASK_ID, "status": word})).phase is TaskPhase.RUNNING


@pytest.mark.parametrize("word", ["processing", "queued", "PROCESSING"])
def test_an_address_counts_only_once_the_result_is_no_longer_waited_for(word: str) -> None:
    assert status_of(answer(item(status=word))).phase is TaskPhase.RUNNING


@pytest.mark.parametrize("progress", [-1, 101, True, "40", None, 1e300])
def test_progress_that_is_none_is_not_told(progress: object) -> None:
    assert status_of(answer(running(progress=progress))).word == "processing"


@pytest.mark.parametrize("url", [None, "", 7, ["https://a/1.mp4"]])
def test_success_without_an_address_is_done_without_a_clip(url: object) -> None:
    status = status_of(answer(item(videoURL=url)))
    assert (status.phase, status.outputs) == (TaskPhase.DONE, ())


@pytest.mark.parametrize(
    ("flag", "flagged"), [(True, True), (False, False), (None, False), ("no", False)]
)
def test_content_check_is_passed_on(flag: object, flagged: bool) -> None:
    assert status_of(answer(item(NSFWContent=flag))).flagged is flagged


def test_answer_in_capitals_is_about_our_task() -> None:
    assert status_of(answer(item(taskUUID=TASK_ID.upper()))).phase is TaskPhase.DONE


@pytest.mark.parametrize("cost", [None, 0, 0.0, True, "0.5", -1, 10**12])
def test_cost_that_says_nothing_is_none(cost: object) -> None:
    assert status_of(answer(item(cost=cost))).cost_usd is None


# ---------------------------------------------------------------- several results


def test_recorded_results_come_in_the_same_order_at_every_look() -> None:
    status = status_of(sample("result_three"), 3)
    assert (status.phase, status.outputs) == (TaskPhase.DONE, URLS)
    assert status.cost_usd == Decimal("1.686")
    assert status.flagged


def test_task_runs_until_its_last_result_has_ended() -> None:
    status = status_of(sample("result_partial"), 3)
    assert (status.phase, status.outputs) == (TaskPhase.RUNNING, URLS[1:2])
    assert status.word == "processing, 1 of 3 ready"


def test_results_that_are_not_listed_yet_are_waited_for() -> None:
    assert status_of(answer(item(0), item(1)), 3).phase is TaskPhase.RUNNING
    failed = {"taskUUID": TASK_ID, "status": "error", "error": {"code": "timeoutProvider"}}
    assert status_of(answer(failed), 2).phase is TaskPhase.RUNNING
    assert status_of(answer(item(0), failed), 2).phase is TaskPhase.DONE


def test_result_that_is_listed_twice_is_one() -> None:
    twice = answer(item(0, cost=0.5), item(0, cost=0.5), running(videoUUID=FIRST))
    status = status_of(twice)
    assert (status.phase, status.outputs) == (TaskPhase.DONE, URLS[:1])
    assert status.cost_usd == Decimal("0.5")


def test_cost_of_which_a_part_is_missing_is_none() -> None:
    assert status_of(answer(item(0, cost=0.5), item(1)), 2).cost_usd is None


@pytest.mark.parametrize("inside", [True, False])
def test_failure_beside_good_results_is_told_and_takes_nothing_away(inside: bool) -> None:
    why = fault("timeoutProvider", message="too slow", status="error")
    entry = {"taskUUID": TASK_ID, "status": "error", "error": why}
    told = answer(item(1), item(0), entry) if inside else answer(item(1), item(0), errors=[why])
    status = status_of(told, 3)
    assert (status.phase, status.outputs) == (TaskPhase.DONE, URLS[:2])
    assert status.code == "timeoutProvider"
    assert status.message == "1 of 3 results failed: too slow"


def test_failure_beside_running_results_is_waited_out() -> None:
    why = fault("timeoutProvider", status="error")
    assert status_of(answer(item(0), running(), errors=[why]), 3).phase is TaskPhase.RUNNING


# ---------------------------------------------------------------- failed


@pytest.mark.parametrize(
    ("name", "status", "code", "words"),
    [
        ("result_failed", 200, "timeoutProvider", ("too long", "upstream deadline")),
        ("result_failed", 400, "timeoutProvider", ("too long",)),
        ("result_failed_item", 200, "providerContentPolicyViolation", ("moderation", "blocked")),
        ("refused_reference", 200, "invalidValueUploadFailed", ("inputs.referenceImages",)),
        ("refused_safety", 403, "contentPolicyViolation", ("moderation",)),
        ("refused_credit", 402, "videoInferenceInsufficientCredits", ("credit",)),
    ],
)
def test_error_about_our_task_ends_it(
    name: str, status: int, code: str, words: tuple[str, ...]
) -> None:
    failed = status_of(sample(name, status))
    assert (failed.phase, failed.code, failed.outputs) == (TaskPhase.FAILED, code, ())
    assert all(word in failed.message for word in words)
    assert failed.reference_lost is (code == "invalidValueUploadFailed")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ({"code": "taskFailed"}, "the provider says only taskFailed"),
        ({"code": "taskFailed", "message": "", "responseContent": "boom"}, "boom"),
        ("boom", "boom"),
        ({"message": "a\x1b[0mb\nc"}, "a\\x1b[0mb c"),
        ({"x": 1}, "no reason is given"),
        (None, "no reason is given"),
    ],
)
def test_failed_entry_says_why_in_any_shape(error: object, message: str) -> None:
    failed = status_of(answer({"taskUUID": TASK_ID, "status": "error", "error": error}))
    assert (failed.phase, failed.message) == (TaskPhase.FAILED, message)


def test_all_results_failed_is_a_failed_task() -> None:
    entry = {"taskUUID": TASK_ID, "status": "error", "error": fault("timeoutProvider")}
    assert status_of(answer(entry, entry), 2).phase is TaskPhase.FAILED


def test_task_that_is_over_at_the_service_has_been_there() -> None:
    """It may not be taken for one that was never made: that would be submitted again."""
    for code in ("taskExpired", "taskCancelled"):
        assert status_of(answer(errors=[fault(code)])).phase is TaskPhase.FAILED


@pytest.mark.parametrize("code", ["internalServerError", "rateLimitExceeded", "unauthorized"])
def test_code_of_either_ends_the_task_only_where_the_error_says_so_itself(code: str) -> None:
    of_task = fault(code, status="error", taskType="videoInference")
    assert status_of(answer(errors=[of_task])).phase is TaskPhase.FAILED
    for of_question in (fault(code), fault(code, status="error", taskType="getResponse")):
        with pytest.raises((Unavailable, RateLimited, KeyRefused)):
            status_of(answer(errors=[of_question]))


# ---------------------------------------------------------------- no answer about the task


@pytest.mark.parametrize(
    "unknown",
    [
        sample("result_unknown"),
        answer(errors=[fault("taskNotFound")]),
        answer(errors=[fault("taskFailedOrNotFound")]),
        answer(errors=[fault("taskNotFound")], status=404),
        answer(errors=[{"code": "taskNotFound"}]),
    ],
)
def test_nothing_about_our_id_is_an_unknown_task(unknown: HttpReply) -> None:
    with pytest.raises(UnknownTask):
        status_of(unknown)


@pytest.mark.parametrize(
    ("failed", "error"),
    [
        (sample("refused_key", 401), KeyRefused),
        (sample("refused_key", 200), KeyRefused),
        (reply(401, {"errors": [fault("timeoutProvider", status="error")]}), KeyRefused),
        (reply(403), KeyRefused),
        (sample("refused_rate", 429), RateLimited),
        (sample("refused_rate", 200), RateLimited),
        (reply(429, {"errors": [fault("timeoutProvider", status="error")]}), RateLimited),
        (reply(302, location="https://x.example/"), ConfigurationError),
        # A second sending that was refused may be the last thing the service remembers.
        (sample("submit_conflict", 400), Unavailable),
        (sample("submit_conflict", 200), Unavailable),
        (reply(503, {"errors": [fault("timeoutProvider", status="error")]}), Unavailable),
        (reply(500, {"data": [item()]}), Unavailable),
        (reply(500, {"errors": [fault("taskNotFound")]}), Unavailable),
        (reply(400, {"data": [item()]}), Unavailable),
        (reply(402), NoCredit),
        (reply(404, b"<html>"), Unavailable),
        (reply(404, {"data": []}), Unavailable),
        (reply(200, b""), Unavailable),
        (reply(200, b'{"data": [{"taskUUID": "0b8c'), Unavailable),
        (reply(200, []), Unavailable),
        (reply(200, {}), Unavailable),
        (reply(200, {"data": None}), Unavailable),
        (reply(204), Unavailable),
        (answer(item(taskUUID=OTHER_ID)), Unavailable),
        (answer(item(taskUUID=None)), Unavailable),
        (answer(errors=[fault("timeoutProvider", taskUUID=OTHER_ID)]), Unavailable),
        (answer(errors=[fault("taskNotFound", taskUUID=OTHER_ID)]), Unavailable),
        (answer(errors=[fault("timeoutProvider", taskUUID=None)]), Unavailable),
        (answer(errors=[fault("insufficientCredits", taskUUID=None)], status=402), NoCredit),
        (answer(errors=[fault("insufficientCredits", taskUUID=None)]), NoCredit),
        (answer(errors=["boom"]), Unavailable),
    ],
)
def test_question_that_fails_says_nothing_about_the_task(
    failed: HttpReply, error: type[StoryboardError]
) -> None:
    with pytest.raises(error) as caught:
        status_of(failed)
    assert type(caught.value) is error


def test_wait_that_a_poll_is_told_is_kept() -> None:
    with pytest.raises(RateLimited) as caught:
        status_of(reply(429, b"", retry_after="9"))
    assert caught.value.retry_after_s == 9
