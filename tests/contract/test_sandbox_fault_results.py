"""Fault scripts: what the result of a task can say, and how long things live."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest
from fault_support import faulty, fired, history
from sandbox_support import Customer, FakeClock, clip_bytes

from pipeline.sandbox.spoiling import HOSTILE


def poll(customer: Customer, task_id: str) -> httpx.Response:
    return customer.get(f"/predictions/{task_id}/result")


def poll_fault(fault: str, **settings: object) -> dict[str, object]:
    return {"on": "result", "fault": fault, **settings}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (poll_fault("unknown_status"), {"status": "queued", "outputs": []}),
        (poll_fault("unknown_status", status="on hold"), {"status": "on hold", "outputs": []}),
        (poll_fault("regress"), {"status": "created", "outputs": []}),
        (poll_fault("nsfw_flag"), {"status": "completed", "has_nsfw_contents": [True]}),
        (poll_fault("no_outputs"), {"status": "completed", "outputs": []}),
        (poll_fault("no_outputs", form="null"), {"status": "completed", "outputs": None}),
        (poll_fault("outputs_url", url="file:///etc/passwd"), {"outputs": ["file:///etc/passwd"]}),
    ],
)
def test_result_says_something_else_and_then_the_truth(
    rule: dict[str, object], expected: dict[str, object]
) -> None:
    with faulty(rule | {"nth": 1}) as customer:
        task_id = customer.buy()
        said = customer.result(task_id)
        assert {key: said[key] for key in expected} == expected
        truth = customer.result(task_id)
        assert (truth["status"], truth["has_nsfw_contents"]) == ("completed", [False])
        assert len(truth["outputs"]) == 1
        assert list(fired(customer).values()) == [1]


def test_result_has_no_outputs_at_all() -> None:
    with faulty(poll_fault("no_outputs", form="missing")) as customer:
        assert "outputs" not in customer.result(customer.buy())


def test_second_output_can_be_fetched_too() -> None:
    with faulty(poll_fault("two_outputs")) as customer:
        outputs = customer.result(customer.buy())["outputs"]
        assert len(set(outputs)) == 2
        assert [customer.cdn.get(url).content for url in outputs] == [clip_bytes()] * 2


def test_outputs_are_objects_with_an_address() -> None:
    with faulty(poll_fault("object_outputs")) as customer:
        (output,) = customer.result(customer.buy())["outputs"]
        assert customer.cdn.get(output["url"]).content == clip_bytes()


def test_fault_of_a_finished_answer_waits_for_one() -> None:
    clock = FakeClock()
    rule = poll_fault("no_outputs", nth=1)
    with faulty(rule, clock=clock, latency_s=(10.0, 10.0)) as customer:
        task_id = customer.buy()
        clock.forward(5)
        assert customer.result(task_id)["status"] == "processing"
        assert fired(customer) == {}
        clock.forward(6)
        assert customer.result(task_id)["outputs"] == []
        assert len(customer.result(task_id)["outputs"]) == 1


def test_spoiled_answers_do_not_count_as_told() -> None:
    clock = FakeClock()
    with faulty(poll_fault("malformed_json", to=20), clock=clock) as customer:
        task_id = customer.buy()
        for _ in range(12):
            poll(customer, task_id)
            clock.forward(2)
        # The first ten were spoiled; both looks that were answered are fair.
        assert customer.kinds() == []
        poll(customer, task_id)
        assert customer.kinds() == ["poll_after_end"]


@pytest.mark.parametrize(
    ("rule", "status", "code", "bill"),
    [
        (poll_fault("fail_task", code=5003, error="upstream died"), "failed", 5003, "0.00"),
        (poll_fault("fail_task", code=1402), "failed", 1402, "0.30"),
        (poll_fault("nsfw"), "failed", 1200, "0.30"),
        (poll_fault("end_as", status="cancelled"), "cancelled", 0, "0.30"),
        (poll_fault("end_as", status="timeout"), "timeout", 5004, "0.00"),
        (poll_fault("end_as", status="deleted"), "deleted", 0, "0.30"),
        (poll_fault("stuck"), "processing", 0, "0.30"),
    ],
)
def test_task_truly_ends_otherwise(
    rule: dict[str, object], status: str, code: int, bill: str
) -> None:
    clock = FakeClock()
    with faulty(rule, clock=clock) as customer:
        task_id = customer.buy()
        clock.forward(1)
        answers = [customer.result(task_id) for _ in range(3)]
        listed = customer.data(history(customer))["items"]
        (task,) = customer.record()["tasks"]
        total = customer.record()["bill"]["total_usd"]
        assert list(fired(customer).values()) == [1]
    assert {answer["status"] for answer in answers} == {status}
    assert all(answer["outputs"] == [] for answer in answers)
    assert all(answer.get("code", code) == code for answer in answers)
    assert [item["status"] for item in listed] == ([] if status == "deleted" else [status])
    assert (task["status"], task["error_code"], total) == (status, code, bill)


def test_stuck_task_keeps_its_slot() -> None:
    clock = FakeClock()
    with faulty(poll_fault("stuck"), clock=clock, max_tasks=1) as customer:
        customer.result(customer.buy())
        clock.forward(86_400)
        assert customer.submit(customer.order()).status_code == 429


def test_task_that_was_told_to_be_done_stays_done() -> None:
    with faulty(poll_fault("fail_task", nth=2)) as customer:
        task_id = customer.buy()
        assert [customer.result(task_id)["status"] for _ in range(3)] == ["completed"] * 3
        assert fired(customer) == {}


def test_failing_a_task_carries_hostile_words() -> None:
    with faulty(poll_fault("fail_task", error="no: {hostile}")) as customer:
        assert customer.result(customer.buy())["error"] == f"no: {HOSTILE}"


def test_expired_address_is_refused_and_the_next_answer_has_a_fresh_one() -> None:
    with faulty(poll_fault("expire_url", nth=1, per="task")) as customer:
        for task_id in (customer.buy(), customer.buy(duration=10)):
            stale, fresh = (customer.result(task_id)["outputs"][0] for _ in range(2))
            assert customer.cdn.get(stale).status_code == 403
            assert customer.cdn.get(fresh).content == clip_bytes()
        assert fired(customer) == {"result expire_url": 2}
        assert customer.record()["counters"]["output_get.403"] == 2


def test_every_address_lives_as_long_as_the_script_says() -> None:
    clock = FakeClock()
    with faulty(settings={"url_ttl": 10}, clock=clock) as customer:
        task_id = customer.buy()
        urls = [
            customer.result(task_id)["outputs"][0],
            customer.data(history(customer))["items"][0]["outputs"][0],
        ]
        clock.forward(9.9)
        assert [customer.cdn.get(url).status_code for url in urls] == [200, 200]
        clock.forward(0.1)
        assert [customer.cdn.get(url).status_code for url in urls] == [403, 403]
        assert customer.cdn.get(customer.result(task_id)["outputs"][0]).status_code == 200


def test_asking_for_a_fresh_address_is_never_a_poll_too_many() -> None:
    clock = FakeClock()
    with faulty(settings={"url_ttl": 10}, clock=clock) as customer:
        task_id = customer.buy()
        for _ in range(5):
            url = customer.result(task_id)["outputs"][0]
            clock.forward(10)
            assert customer.cdn.get(url).status_code == 403
        assert customer.kinds() == []


def test_task_and_clip_are_forgotten_after_their_retention() -> None:
    clock = FakeClock()
    with faulty(settings={"retention": 60}, clock=clock) as customer:
        task_id = customer.buy()
        url = customer.result(task_id)["outputs"][0]
        clock.forward(59)
        assert customer.cdn.get(url).status_code == 200
        clock.forward(2)
        young = customer.buy()
        assert poll(customer, task_id).json() == {"code": 404, "message": "Prediction not found"}
        assert customer.cdn.get(url).status_code == 404
        for since, known in (
            ("", [young]),
            ("2000-01-01T00:00:00Z", [young]),
            ("2065-01-01T00:00:00Z", []),
        ):
            page = customer.data(history(customer, created_after=since))
            assert [item["id"] for item in page["items"]] == known
        assert len(customer.record()["bill"]["rows"]) == 2


@pytest.mark.parametrize("skew_s", [86_400, -86_400])
def test_skewed_clock_shows_in_date_header_and_time_stamps(skew_s: int) -> None:
    clock = FakeClock()
    with faulty(settings={"clock_skew": skew_s}, clock=clock) as customer:
        answer = customer.submit(customer.order())
    said = parsedate_to_datetime(answer.headers["date"]).timestamp()
    assert said == clock.now_ns // 1_000_000_000 + skew_s
    created = datetime.fromisoformat(answer.json()["data"]["created_at"][:19] + "+00:00")
    assert created.timestamp() == said
    assert answer.headers.get_list("date") == [answer.headers["date"]]
