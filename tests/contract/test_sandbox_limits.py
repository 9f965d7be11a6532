"""Account limits and manners: what is refused, what is queued, what is written down."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sandbox_support import MODEL, CopyingRenderer, Customer, FakeClock, sandbox

from pipeline.sandbox.account import Account
from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.options import OverLimit, SandboxOptions
from pipeline.sandbox.orders import Order, build_purchase
from pipeline.sandbox.purchases import StoredFile
from pipeline.sandbox.store import Store, Upload


def _statuses(customer: Customer, clock: FakeClock, *steps_s: float) -> list[int]:
    """Status of one submission after each step; every clip is drawn before the next."""
    order = customer.order()
    statuses = []
    for step_s in steps_s:
        clock.forward(step_s)
        statuses.append(customer.submit(order).status_code)
        customer.server.wait_for_renders()
    return statuses


@pytest.mark.parametrize(
    ("level", "starts", "tasks"),
    [("bronze", 2, 2), ("silver", 500, 300), ("gold", 3000, 3000), ("ultra", 5000, 10000)],
)
def test_levels_are_those_of_the_account_page(level: str, starts: int, tasks: int) -> None:
    limits = SandboxOptions(render=CopyingRenderer(), level=level).limits
    assert (limits.starts_per_window, limits.max_tasks) == (starts, tasks)


def test_window_slides_exactly() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, rpm=2, rate_window_s=3.0) as customer:
        # Starts at 0 and 1; full until just before 3, then free; at 3.5 starts 1 and 3 count.
        statuses = _statuses(customer, clock, 0, 1, 1, 0.999999999, 0.000000001, 0.5, 0.5)
        record = customer.record()
    assert statuses == [200, 200, 429, 429, 200, 429, 200]
    assert [entry["kind"] for entry in record["violations"]] == ["rate_limit"] * 3
    assert record["counters"]["submit.429"] == 3


def test_refused_submission_makes_and_costs_nothing() -> None:
    with sandbox(rpm=1) as customer:
        order = customer.order()
        customer.data(customer.submit(order))
        answer = customer.submit(order)
        record = customer.record()
    assert answer.status_code == answer.json()["code"] == 429
    assert "retry-after" not in answer.headers
    assert len(record["tasks"]) == len(record["bill"]["rows"]) == 1


def test_retry_after_is_sent_when_asked_for() -> None:
    with sandbox(rpm=1, retry_after_s=7) as customer:
        order = customer.order()
        customer.data(customer.submit(order))
        assert customer.submit(order).headers["retry-after"] == "7"


def test_refused_values_do_not_count_as_starts() -> None:
    with sandbox(rpm=1) as customer:
        assert customer.submit(customer.order(duration=7)).status_code == 400
        assert customer.submit(customer.order()).status_code == 200
        assert customer.kinds() == []


def test_slot_is_free_again_at_the_end_of_a_task() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, max_tasks=2, latency_s=(10.0, 10.0)) as customer:
        # Ends at 10 and 13.
        statuses = _statuses(customer, clock, 0, 3, 6.999999999, 0.000000001, 0, 3)
        kinds = customer.kinds()
    assert statuses == [200, 200, 429, 200, 429, 200]
    assert kinds == ["concurrency"] * 2


def test_deleted_task_gives_its_slot_back() -> None:
    with sandbox(max_tasks=1, latency_s=(10.0, 10.0)) as customer:
        task_id = customer.buy()
        customer.data(customer.post("/predictions/delete", {"ids": [task_id]}))
        assert customer.submit(customer.order()).status_code == 200


def _queue(**changes: Any) -> dict[str, Any]:
    return {"over_limit": OverLimit.QUEUE, "latency_s": (10.0, 10.0)} | changes


def test_queued_task_starts_when_a_slot_comes_free_however_late_one_looks() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, **_queue(max_tasks=1)) as customer:
        tasks = [customer.buy() for _ in range(3)]
        clock.forward(9)
        before = [customer.result(task_id)["status"] for task_id in tasks]
        clock.forward(60)
        after = [customer.result(task_id) for task_id in tasks]
        record = customer.record()
    assert before == ["processing", "created", "created"]
    assert [data["status"] for data in after] == ["completed"] * 3
    assert [data["timings"]["inference"] for data in after] == [10_000] * 3
    assert [data["executionTime"] for data in after] == [10_000, 20_000, 30_000]
    assert [entry["kind"] for entry in record["violations"]] == ["concurrency"] * 2


def test_queued_task_starts_when_the_window_lets_it() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, **_queue(rpm=2, rate_window_s=60.0)) as customer:
        tasks = [customer.buy() for _ in range(3)]
        clock.forward(70)
        execution = [customer.result(task_id)["executionTime"] for task_id in tasks]
        kinds = customer.kinds()
    assert execution == [10_000, 10_000, 70_000]
    assert kinds == ["rate_limit"]


def test_queued_task_that_cannot_be_drawn_is_refunded_at_its_own_end() -> None:
    clock = FakeClock()

    def render(_spec: object, _destination: Path) -> None:
        raise OSError

    with sandbox(clock=clock, render=render, **_queue(max_tasks=1)) as customer:
        tasks = [customer.buy() for _ in range(2)]
        clock.forward(10)
        first = customer.result(tasks[0])["status"], customer.record()["bill"]["refunded_usd"]
        clock.forward(10)
        second = customer.result(tasks[1])["status"], customer.record()["bill"]["refunded_usd"]
    assert (first, second) == (("failed", "0.30"), ("failed", "0.60"))


def test_close_polls_are_violations_and_patient_ones_are_not() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, min_poll_s=2.0, latency_s=(60.0, 60.0)) as customer:
        first, second = customer.buy(), customer.buy()
        for step_s in (0, 2, 1.999):
            clock.forward(step_s)
            customer.result(first)
        customer.result(second)
        violations = customer.record()["violations"]
    assert [(entry["kind"], entry["task_id"]) for entry in violations] == [
        ("poll_too_close", first)
    ]
    assert violations[0]["detail"] == {"gap_s": 1.999}


def test_one_look_after_the_end_is_free() -> None:
    clock = FakeClock()
    with sandbox(clock=clock) as customer:
        task_id = customer.buy()
        kinds = []
        for _ in range(3):
            clock.forward(5)
            customer.result(task_id)
            kinds.append(customer.kinds())
    assert kinds == [[], [], ["poll_after_end"]]


def test_poll_of_a_task_nobody_made_is_a_violation() -> None:
    with sandbox() as customer:
        customer.get("/predictions/feed/result")
        assert customer.kinds() == ["unknown_task"]


def test_servers_of_one_state_folder_share_account_and_tasks(tmp_path: Path) -> None:
    renderer, clock = CopyingRenderer(), FakeClock()
    settings = {"state": tmp_path, "render": renderer, "clock": clock, "rpm": 2}
    with sandbox(**settings) as one, sandbox(**settings) as other:
        order = one.order()
        first = one.buy(**order)
        second = other.buy(**order)
        refused = one.submit(order)
        (url,) = other.result(first)["outputs"]
        assert other.result(second)["status"] == "completed"
        assert refused.status_code == 429
        assert url.startswith(other.server.files_url)
        assert other.cdn.get(url).status_code == 200
        assert one.record() == other.record()
    assert len(renderer.specs) == 1


def test_clip_that_another_server_drew_meanwhile_is_not_drawn_again(tmp_path: Path) -> None:
    busy, copying, clock = threading.Event(), CopyingRenderer(), FakeClock()

    def slow(spec: AnimaticSpec, destination: Path) -> None:
        busy.wait(10)
        copying(spec, destination)

    settings = {"state": tmp_path, "clock": clock}
    with (
        sandbox(render=slow, render_workers=1, **settings) as one,
        sandbox(render=CopyingRenderer(), **settings) as other,
    ):
        order = one.order()
        one.data(one.submit(order | {"prompt": "first in line"}))
        waiting = one.data(one.submit(order))["id"]
        other.buy(**order)
        busy.set()
        one.server.wait_for_renders()
        assert one.result(waiting)["status"] == "completed"
    assert [spec.prompt for spec in copying.specs] == ["first in line"]


def test_first_word_on_a_task_stands(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite3")
    account = Account(store, SandboxOptions(render=CopyingRenderer()))
    order = Order(
        model=MODEL,
        images=("https://cdn.example.com/a.png",),
        prompt="@image1 turns",
        duration_s=6,
        resolution="720p",
        sync=False,
        webhook=None,
    )
    image = StoredFile(file="a.png", sha256="a")
    task = account.accept(build_purchase(order, [image], access_key_id="key"), now_ns=1)
    for error in ("lost", None, "lost again"):
        account.finish(task.id, now_ns=2, error=error)
    final = store.task(task.id, now_ns=3)
    balance = account.balance_micro_usd(now_ns=3)
    store.close()
    assert final is not None
    assert (final.status, final.error) == ("failed", "lost")
    assert balance == 1_000_000_000


def test_bytes_of_a_ticket_are_bound_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite3")
    store.add_upload(
        Upload(
            id="t",
            filename="a.png",
            content_type="image/png",
            size_bytes=1,
            signature="s",
            created_ns=1,
            expires_ns=2,
        )
    )
    bound = [store.fill_upload("t", file=name, sha256=name) for name in ("first", "second")]
    upload = store.upload("t", now_ns=1)
    store.close()
    assert bound == [True, False]
    assert upload is not None
    assert upload.file == "first"
