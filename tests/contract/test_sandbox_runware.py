"""Runware's dialect over REST: envelope, key, submission, polling, download, money."""

from __future__ import annotations

import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from runware_support import DATA_URI, client_of, runware
from sandbox_support import CopyingRenderer, FakeClock, clip_bytes, customer_of, sandbox

from pipeline.sandbox.account import Account, TaskExists
from pipeline.sandbox.options import Quirk, SandboxOptions
from pipeline.sandbox.purchases import Purchase
from pipeline.sandbox.store import Store


def test_shot_is_acknowledged_polled_and_downloaded() -> None:
    clock = FakeClock()
    with runware(clock=clock, latency_s=(10.0, 10.0)) as client:
        shot = client.shot()
        acknowledged = client.item(client.post(shot))
        client.server.wait_for_renders()
        clock.forward(5)
        (running,) = client.results(shot["taskUUID"])
        clock.forward(5)
        (done,) = client.results(shot["taskUUID"])
        clip = client.cdn.get(done["videoURL"])
        record = client.record()
    head = {"taskType": "videoInference", "taskUUID": shot["taskUUID"]}
    assert acknowledged == head
    assert running == head | {
        "status": "processing",
        "progress": 50,
        "videoUUID": done["videoUUID"],
    }
    assert {name: done[name] for name in ("taskType", "taskUUID", "status", "cost")} == {
        **head,
        "status": "success",
        "cost": 0.302,
    }
    assert uuid.UUID(done["videoUUID"]).version == 4
    assert done["videoURL"].endswith(f"/{done['videoUUID']}.mp4")
    assert (clip.content, clip.headers["content-type"]) == (clip_bytes(), "video/mp4")
    (task,) = record["tasks"]
    assert (task["id"], task["polls"], task["downloads"]) == (shot["taskUUID"], 2, 1)
    assert record["bill"]["total_usd"] == "0.302"
    assert record["violations"] == []


def test_request_must_be_an_array() -> None:
    with runware() as client:
        error = client.error(client.http.post("/v1", json=client.shot()))
        assert error["code"] == "invalidRequest"
        assert client.error(client.http.post("/v1", content=b"[{"))["code"] == "invalidRequest"


def test_every_path_below_v1_is_the_same_place() -> None:
    with runware() as client:
        refused = client.http.get("/v1")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (405, "invalidRequest")
        shot = client.shot()
        assert client.item(client.http.post("/v1/videos", json=[shot]))["taskUUID"]


@pytest.mark.parametrize(("key", "code"), [(None, "missingApiKey"), ("wrong", "invalidApiKey")])
def test_key_that_is_not_good_is_refused(key: str | None, code: str) -> None:
    with runware(key="right") as client, client_of(client.server, key=key) as stranger:
        error = stranger.error(stranger.post(stranger.shot()), 401)
        record = client.record()
    assert (error["code"], error["parameter"], error["taskType"]) == (
        code,
        "apiKey",
        "authentication",
    )
    assert record["counters"] == {"unauthorized": 1}


def test_leading_task_can_carry_the_key() -> None:
    with runware(key="right") as client, client_of(client.server, key=None) as bare:
        key = {"taskType": "authentication", "apiKey": "right"}
        alone = bare.item(bare.post(key))
        again = bare.item(
            bare.post(key | {"connectionSessionUUID": alone["connectionSessionUUID"]})
        )
        acknowledged = bare.item(bare.post(key, bare.shot()))
    assert alone["taskType"] == "authentication"
    assert again == alone
    assert acknowledged["taskType"] == "videoInference"


def test_ping_needs_no_key() -> None:
    with runware(key="right") as client, client_of(client.server, key=None) as bare:
        assert bare.item(bare.post({"taskType": "ping", "ping": True})) == {
            "taskType": "ping",
            "pong": True,
        }


def test_tasks_of_one_array_succeed_and_fail_by_themselves() -> None:
    with runware() as client:
        good, bad = client.shot(), client.shot(duration=16)
        answer = client.post(good, bad)
    body = answer.json()
    assert answer.status_code == 200
    assert [item["taskUUID"] for item in body["data"]] == [good["taskUUID"]]
    assert [error["taskUUID"] for error in body["errors"]] == [bad["taskUUID"]]


def test_unknown_task_type_is_refused() -> None:
    with runware() as client:
        assert client.error(client.task("imageInference"))["code"] == "invalidTaskType"
        assert client.error(client.post({"taskUUID": "x"}))["code"] == "missingTaskType"


# Duplicates.


def test_second_submission_of_a_uuid_is_refused_and_costs_nothing() -> None:
    with runware() as client:
        shot = client.shot()
        client.item(client.post(shot))
        error = client.error(client.post(shot))
        upper = client.error(client.post(shot | {"taskUUID": shot["taskUUID"].upper()}))
        bill, record = client.bill(), client.record()
    assert (error["code"], error["parameter"]) == ("conflictTaskUUID", "taskUUID")
    assert (error["taskUUID"], error["taskType"]) == (shot["taskUUID"], "videoInference")
    assert upper["code"] == "conflictTaskUUID"
    assert bill == (1, "0.302")
    assert record["counters"]["submit.conflict"] == 2
    assert record["violations"] == []


def test_uuid_used_again_for_another_shot_is_a_violation() -> None:
    with runware() as client:
        shot = client.shot()
        client.item(client.post(shot))
        # Whatever else is wrong with it: the duplicate is looked for first.
        error = client.error(client.post(shot | {"positivePrompt": ""}))
        assert error["code"] == "conflictTaskUUID"
        assert client.kinds() == ["uuid_reused"]


def test_uuid_stays_taken_after_the_end_unless_a_quirk_says_otherwise() -> None:
    quirks = frozenset({Quirk.REUSE_AFTER_END})
    with runware() as strict, runware(quirks=quirks) as lenient:
        done = strict.buy()
        assert strict.error(strict.post(strict.shot(taskUUID=done)))["code"] == "conflictTaskUUID"
        again = lenient.buy()
        lenient.item(lenient.post(lenient.shot(taskUUID=again)))
        assert lenient.bill() == (2, "0.604")


def test_running_uuid_cannot_be_used_again_by_any_quirk() -> None:
    with runware(quirks=frozenset({Quirk.REUSE_AFTER_END}), latency_s=(60.0, 60.0)) as client:
        shot = client.shot()
        client.item(client.post(shot))
        assert client.error(client.post(shot))["code"] == "conflictTaskUUID"


def test_same_content_under_two_uuids_is_on_the_list_of_duplicates() -> None:
    with runware() as client:
        first, second = client.buy(), client.buy()
        other = client.buy(positivePrompt="another")
        duplicates = client.record()["duplicates"]
    assert duplicates == [{"task_id": second, "dup_of": first}]
    assert other not in str(duplicates)


# Polling.


def test_unknown_uuid_answers_nothing_and_is_no_violation() -> None:
    with runware() as client:
        answer = client.poll(str(uuid.uuid4()))
        record = client.record()
    assert (answer.status_code, answer.json()) == (200, {"data": []})
    assert record["violations"] == []
    assert record["counters"]["result.unknown"] == 1


def test_unknown_uuid_can_be_an_error() -> None:
    with runware(quirks=frozenset({Quirk.UNKNOWN_IS_ERROR})) as client:
        name = str(uuid.uuid4())
        error = client.error(client.poll(name))
        assert (error["code"], error["taskUUID"]) == ("taskNotFound", name)


def test_close_polls_and_polls_after_the_end_are_violations() -> None:
    with runware() as client:
        done = client.buy()
        for _ in range(3):
            client.results(done)
        assert client.kinds() == ["poll_too_close"] * 2 + ["poll_after_end"]


def test_results_come_one_after_the_other_and_share_the_cost() -> None:
    clock = FakeClock()
    with runware(clock=clock, latency_s=(9.0, 9.0)) as client:
        task = client.buy(numberResults=3, duration=1)
        clock.forward(3)
        early = client.results(task)
        half = client.cdn.get(early[0]["videoURL"]).status_code
        unready = client.cdn.get(early[0]["videoURL"].replace(*_uuids(early))).status_code
        clock.forward(6)
        late = client.results(task)
        total = client.bill()
    assert [item["status"] for item in early] == ["success", "processing", "processing"]
    assert (half, unready) == (200, 404)
    assert [item["status"] for item in late] == ["success"] * 3
    assert len({item["videoUUID"] for item in late}) == len({item["seed"] for item in late}) == 3
    assert late[0] == early[0]
    # 3 x 0.05 and one image of 0.002.
    assert sum(Decimal(str(item["cost"])) for item in late) == Decimal("0.152")
    assert total == (1, "0.152")


def _uuids(items: list[Any]) -> tuple[str, str]:
    return items[0]["videoUUID"], items[1]["videoUUID"]


def test_cost_is_told_only_where_it_was_asked_for() -> None:
    with runware() as client:
        (item,) = client.results(client.buy(includeCost=None))
        assert "cost" not in item


def test_early_video_uuid_can_be_left_out() -> None:
    quirks = frozenset({Quirk.NO_EARLY_UUID})
    with runware(quirks=quirks, latency_s=(9.0, 9.0)) as client:
        (item,) = client.results(client.buy())
        assert "videoUUID" not in item


@pytest.mark.parametrize(
    ("quirks", "status"), [(frozenset(), 200), (frozenset({Quirk.FAILED_POLL_400}), 400)]
)
def test_failed_task_is_an_addressed_error_beside_no_data(
    quirks: frozenset[Quirk], status: int
) -> None:
    def render(_spec: object, _destination: Path) -> None:
        raise OSError

    with runware(render=render, quirks=quirks) as client:
        task = client.buy()
        error = client.error(client.poll(task), status)
        bill = client.record()["bill"]
    assert (error["code"], error["status"], error["taskUUID"]) == ("inferenceError", "error", task)
    assert (bill["deducted_usd"], bill["total_usd"]) == ("0.302", "0.00")


def test_failed_task_can_stand_among_the_data() -> None:
    def render(_spec: object, _destination: Path) -> None:
        raise OSError

    with runware(render=render, quirks=frozenset({Quirk.FAILURE_IN_DATA})) as client:
        (item,) = client.results(client.buy())
        assert (item["status"], item["error"]["code"]) == ("error", "inferenceError")


def test_safety_check_is_reported() -> None:
    with runware() as client:
        (item,) = client.results(client.buy(safety={"checkContent": True}))
        (task,) = client.record()["tasks"]
    assert item["NSFWContent"] is False
    assert task["inputs"]["safety"] == {"checkContent": True, "mode": "fast"}


def test_clip_is_gone_when_its_time_to_live_is_over() -> None:
    clock = FakeClock()
    with runware(clock=clock) as client:
        task = client.buy(ttl=60)
        (item,) = client.results(task)
        clock.forward(59)
        before = client.cdn.get(item["videoURL"]).status_code
        clock.forward(1)
        after = client.cdn.get(item["videoURL"]).status_code
    assert (before, after) == (200, 404)


@pytest.mark.parametrize(
    ("form", "suffix", "kind"),
    [
        ("MP4", "mp4", "video/mp4"),
        ("webm", "webm", "video/webm"),
        ("MOV", "mov", "video/quicktime"),
    ],
)
def test_format_decides_name_and_type_of_the_file(form: str, suffix: str, kind: str) -> None:
    with runware() as client:
        (item,) = client.results(client.buy(outputFormat=form))
        clip = client.cdn.get(item["videoURL"])
    assert item["videoURL"].endswith(f".{suffix}")
    assert clip.headers["content-type"] == kind


def test_task_details_show_request_and_response() -> None:
    with runware() as client:
        task = client.buy()
        (item,) = client.results(task)
        details = client.item(client.post({"taskType": "getTaskDetails", "taskUUID": task}))
        missing = client.error(client.task("getTaskDetails"))
    assert details["taskUUID"] == task
    assert details["response"] == {"data": [item]}
    (request,) = details["request"]
    assert (request["taskUUID"], request["positivePrompt"]) == (task, "@image1 turns")
    assert DATA_URI not in str(request)
    assert missing["code"] == "taskNotFound"


# Money and limits.


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        ({"width": 1280, "height": 720, "duration": 8, "inputs": None}, "0.56"),
        ({"width": 1280, "height": 720, "duration": 8}, "0.562"),
        ({"duration": None, "inputs": None}, "0.30"),
        ({"width": 720, "height": 720, "duration": None, "inputs": None}, "0.42"),
        ({"inputs": {"referenceImages": [DATA_URI] * 7}, "duration": 10}, "0.514"),
        ({"inputs": {"frameImages": [DATA_URI]}, "width": None, "height": None}, "0.302"),
        (
            {
                "inputs": {"frameImages": [DATA_URI]},
                "width": None,
                "height": None,
                "resolution": "720p",
            },
            "0.422",
        ),
        ({"numberResults": 4, "duration": 1, "inputs": None}, "0.20"),
    ],
)
def test_prices_are_those_of_the_price_list(changes: dict[str, Any], price: str) -> None:
    with runware() as client:
        dry = client.item(client.post(client.shot(**changes), headers={"X-Runware-Dry-Run": "1"}))
        nothing = client.bill()
        client.buy(**changes)
        bought = client.bill()
    assert Decimal(str(dry["cost"])) == Decimal(price)
    assert nothing == (0, "0.00")
    assert bought == (1, price)


@pytest.mark.parametrize("status", [400, 402])
def test_empty_account_is_refused(status: int) -> None:
    with runware(balance_usd=Decimal("0.30"), insufficient_credit_status=status) as client:
        error = client.error(client.post(client.shot()), status)
        assert error["code"] == "videoInferenceInsufficientCredits"
        assert client.bill() == (0, "0.00")


def test_full_account_answers_429_and_is_noted() -> None:
    with runware(rpm=1) as client:
        client.buy()
        error = client.error(client.post(client.shot()), 429)
        assert error["code"] == "rateLimitExceeded"
        assert client.kinds() == ["rate_limit"]


def test_account_details_tell_balance_and_usage() -> None:
    with runware(balance_usd=Decimal(10)) as client:
        client.buy()
        details = client.item(client.task("accountManagement", operation="getDetails"))
    assert details["balance"] == {"amount": 9.698, "freeBalance": 0, "currency": "USD"}
    assert details["usage"]["today"] == {"credits": 0.302, "requests": 1}


def test_usage_is_told_by_day() -> None:
    with runware() as client:
        client.buy()
        span = {"startDate": "2026-04-01", "endDate": "2026-04-30"}
        answer = client.item(client.task("accountManagement", operation="getUsageActivity", **span))
        backward = client.task(
            "accountManagement",
            operation="getUsageErrors",
            startDate="2026-04-30",
            endDate="2026-04-01",
        )
    (row,) = answer["usage"]["results"]
    assert (row["date"], row["requests"], row["credits"]) == ("2026-04-10", 1, 0.302)
    assert client.error(backward)["code"] == "invalidDateRange"


@pytest.mark.parametrize(("search", "total"), [("grok", 1), ("", 1), ("veo", 0)])
def test_model_is_found_by_name(search: str, total: int) -> None:
    with runware() as client:
        found = client.item(client.task("modelSearch", search=search))
    assert found["totalResults"] == len(found["results"]) == total


def test_state_folder_keeps_tasks_of_both_dialects(tmp_path: Path) -> None:
    clock = FakeClock()
    settings = {"state": tmp_path, "clock": clock, "render": CopyingRenderer()}
    with runware(**settings) as client:
        task = client.buy()
    with runware(**settings) as client, customer_of(client.server) as customer:
        (item,) = client.results(task)
        assert client.cdn.get(item["videoURL"]).status_code == 200
        assert client.error(client.post(client.shot(taskUUID=task)))["code"] == "conflictTaskUUID"
        page = customer.post("/predictions", {"page": 1, "page_size": 10})
        assert customer.data(page)["total"] == 0


def test_state_folder_of_the_first_format_is_brought_up_to_date(tmp_path: Path) -> None:
    import sqlite3  # noqa: PLC0415

    from pipeline.sandbox import store  # noqa: PLC0415

    with sqlite3.connect(tmp_path / "sandbox.sqlite3") as db:
        db.executescript(f"{store._STEPS[0]}; PRAGMA user_version = 1")
    db.close()
    with sandbox(state=tmp_path) as customer:
        customer.buy()


def test_uuid_is_taken_inside_the_transaction_that_bills_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite3")
    account = Account(store, SandboxOptions(render=CopyingRenderer()))
    purchase = Purchase(
        model="m",
        inputs={},
        files=(),
        content_key="c",
        price_micro_usd=1_000_000,
        access_key_id="k",
        webhook=None,
        task_id="u",
    )
    account.accept(purchase, now_ns=1)
    with pytest.raises(TaskExists):
        account.accept(purchase, now_ns=2)
    balance = account.balance_micro_usd(now_ns=3)
    store.close()
    assert balance == 999_000_000
