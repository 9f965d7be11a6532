"""Balance, prices, catalogue, history, bill, usage, deletion."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from sandbox_support import MODEL, Customer, FakeClock, sandbox

from pipeline.sandbox.answers import read_time


@pytest.fixture(scope="module")
def shared() -> Iterator[Customer]:
    """One server for the tests that leave nothing on it."""
    with sandbox() as customer:
        yield customer


def _history(customer: Customer, **changes: object) -> list[str]:
    """Ids of the first page."""
    page = customer.data(customer.post("/predictions", {"page": 1, "page_size": 100} | changes))
    return [item["id"] for item in page["items"]]


def test_balance_falls_by_the_price_to_the_cent() -> None:
    with sandbox(balance_usd=Decimal("1.05")) as customer:
        customer.buy(duration=6)
        customer.buy(duration=10)
        assert customer.data(customer.get("/balance")) == {"balance": 0.25}


@pytest.mark.parametrize(("status", "code"), [(400, 1407), (402, 402), (403, 403)])
def test_short_balance_is_refused_as_configured(status: int, code: int) -> None:
    with sandbox(balance_usd=Decimal("0.59"), insufficient_credit_status=status) as customer:
        customer.buy()
        answer = customer.submit(customer.order())
        tasks = customer.record()["tasks"]
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "insufficient credits" in answer.json()["message"]
    assert len(tasks) == 1


def test_last_cent_can_be_spent() -> None:
    with sandbox(balance_usd=Decimal("0.30")) as customer:
        customer.buy()
        assert customer.data(customer.get("/balance")) == {"balance": 0}


@pytest.mark.parametrize(
    ("inputs", "price"),
    [
        ({"images": [], "prompt": "x", "duration": 10, "resolution": "480p"}, 0.5),
        ({"duration": 6}, 0.3),
        ({}, 0.3),
        (None, 0.3),
        ({"duration": 7}, 0.3),
        ({"duration": "10"}, 0.3),
    ],
)
def test_price_question_answers_like_both_pages(
    shared: Customer, inputs: object, price: float
) -> None:
    body = {"model_id": MODEL, "inputs": inputs}
    newer = shared.data(shared.post("/model/price", body))
    older = shared.data(shared.post("/model/pricing", body))
    assert newer == {
        "model_id": MODEL,
        "price": price,
        "discounted_price": price,
        "currency": "USD",
    }
    assert older == {"unit_price": price, "currency": "USD"}


def test_price_of_an_unknown_model_is_not_found() -> None:
    with sandbox() as customer:
        assert customer.post("/model/price", {"model_id": "x"}).status_code == 404


def test_catalogue_describes_the_contract_model() -> None:
    with sandbox() as customer:
        (entry,) = customer.data(customer.get("/models"))
    schema = entry["api_schema"]["api_schemas"][0]
    properties = schema["request_schema"]["properties"]
    assert (entry["model_id"], entry["base_price"]) == (MODEL, 0.3)
    assert (schema["method"], schema["api_path"]) == ("POST", f"/api/v3/{MODEL}")
    assert schema["request_schema"]["required"] == ["images", "prompt"]
    assert properties["duration"] == {"type": "integer", "enum": [6, 10], "default": 6}
    assert properties["resolution"]["enum"] == ["720p", "480p"]


def test_history_is_newest_first_and_pages_to_the_end() -> None:
    clock = FakeClock()
    with sandbox(clock=clock) as customer:
        order = customer.order()
        made = []
        for _ in range(5):
            clock.forward(1)
            made.append(customer.data(customer.submit(order))["id"])
        pages = [
            customer.data(customer.post("/predictions", {"page": page, "page_size": 2}))
            for page in (1, 2, 3, 4)
        ]
    assert [page["page"] for page in pages] == [1, 2, 3, 4]
    assert [page["total"] for page in pages] == [5, 5, 5, 5]
    assert [len(page["items"]) for page in pages] == [2, 2, 1, 0]
    assert [item["id"] for page in pages for item in page["items"]] == made[::-1]


def test_history_honours_its_filters() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, latency_s=(10.0, 10.0)) as customer:
        early = customer.buy()
        early_time = customer.result(early)["created_at"]
        clock.forward(8)
        failed = customer.buy(images=["https://cdn.example.com/a.png"])
        late_time = customer.result(failed)["created_at"]
        clock.forward(5)
        assert _history(customer) == [failed, early]
        assert _history(customer, model=MODEL) == [failed, early]
        assert _history(customer, model="other/model") == []
        assert _history(customer, status="completed") == [early]
        assert _history(customer, status="processing") == [failed]
        assert _history(customer, created_after=early_time) == [failed, early]
        assert _history(customer, created_after=late_time) == [failed]
        assert _history(customer, created_before=late_time) == [early]
        assert _history(customer, created_after="2026-04-10T10:15:31+02:00") == [failed]
        clock.forward(10)
        assert _history(customer, status="failed") == [failed]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"page": 1},
        {"page_size": 10},
        {"page": 0, "page_size": 10},
        {"page": 10**30, "page_size": 10},
        {"page": 1, "page_size": 0},
        {"page": 1, "page_size": 101},
        {"page": True, "page_size": 10},
        {"page": "1", "page_size": 10},
        {"page": 1, "page_size": 10, "created_after": "yesterday"},
        {"page": 1, "page_size": 10, "created_after": "2026-13-01T00:00:00Z"},
        {"page": 1, "page_size": 10, "status": 1},
    ],
)
def test_history_refuses_pages_and_times_that_make_no_sense(shared: Customer, body: object) -> None:
    assert shared.post("/predictions", body).status_code == 400


def test_history_items_look_like_results_and_carry_inputs_only_on_request() -> None:
    for with_inputs in (False, True):
        with sandbox(history_inputs=with_inputs) as customer:
            order = customer.order(duration=10, resolution="480p")
            task_id = customer.buy(**order)
            page = customer.data(customer.post("/predictions", {"page": 1, "page_size": 1}))
            (item,) = page["items"]
            assert item.pop("inputs", None) == (order if with_inputs else None)
            assert item == customer.result(task_id)


@pytest.mark.parametrize(
    ("text", "moment_ns"),
    [
        ("2026-04-10T08:15:30Z", 1_775_808_930_000_000_000),
        ("2026-04-10T08:15:30.5Z", 1_775_808_930_500_000_000),
        ("2026-04-10t08:15:30.123456789999z", 1_775_808_930_123_456_789),
        ("2026-04-10 10:15:30+02:00", 1_775_808_930_000_000_000),
        ("1969-12-31T23:59:59.25Z", -750_000_000),
        ("2026-04-10T08:15:30", None),
        ("2026-04-31T08:15:30Z", None),
        ("", None),
    ],
)
def test_time_stamps_are_read_to_the_nanosecond(text: str, moment_ns: int | None) -> None:
    assert read_time(text) == moment_ns


def test_history_can_be_switched_off() -> None:
    with sandbox(history=False) as customer:
        assert customer.post("/predictions", {"page": 1, "page_size": 1}).status_code == 404


def test_everything_vanishes_after_seven_days_but_the_bill() -> None:
    clock = FakeClock()
    with sandbox(clock=clock) as customer:
        task_id = customer.buy()
        (clip,) = customer.result(task_id)["outputs"]
        upload = customer.upload()
        clock.forward(7 * 86_400)
        assert _history(customer) == []
        assert customer.get(f"/predictions/{task_id}/result").status_code == 404
        assert customer.cdn.get(clip).status_code == 404
        assert customer.cdn.get(upload).status_code == 404
        assert customer.record()["bill"]["total_usd"] == "0.30"


def test_deleted_task_says_so_and_leaves_history_and_cdn() -> None:
    with sandbox() as customer:
        task_id, kept = customer.buy(), customer.buy()
        (clip,) = customer.result(task_id)["outputs"]
        answer = customer.post("/predictions/delete", {"ids": [task_id, task_id, "unknown"]})
        again = customer.post("/predictions/delete", {"ids": [task_id]})
        assert customer.data(answer) == {"deleted_count": 1}
        assert customer.data(again) == {"deleted_count": 0}
        assert customer.result(task_id)["status"] == "deleted"
        assert customer.result(task_id)["outputs"] == []
        assert _history(customer) == [kept]
        assert customer.cdn.get(clip).status_code == 404
        assert customer.post("/predictions/delete", {"ids": "x"}).status_code == 400


def test_deleted_task_can_be_forgotten_altogether() -> None:
    with sandbox(forget_deleted=True) as customer:
        task_id = customer.buy()
        customer.data(customer.post("/predictions/delete", {"ids": [task_id]}))
        assert customer.get(f"/predictions/{task_id}/result").status_code == 404


def _bill(customer: Customer, **changes: object) -> list[tuple[str, str, float]]:
    body = {"page": 1, "page_size": 100} | changes
    items = customer.data(customer.post("/billings/search", body))["items"]
    return [(item["billing_type"], item["prediction"]["uuid"], item["price"]) for item in items]


def test_bill_lists_charges_and_refunds_and_honours_its_filters() -> None:
    clock = FakeClock()

    def render(spec: object, _destination: object) -> None:
        raise OSError(spec)

    with sandbox(clock=clock, render=render, latency_s=(10.0, 10.0)) as customer:
        first = customer.buy(duration=10)
        moment = customer.result(first)["created_at"]
        clock.forward(1)
        second = customer.buy(images=["https://cdn.example.com/a.png"])
        charges = [("deduct", second, 0.3), ("deduct", first, 0.5)]
        assert _bill(customer) == charges
        clock.forward(10)
        refund = ("refund", first, 0.5)
        assert sorted(_bill(customer)) == sorted([refund, *charges])
        assert _bill(customer, billing_type="refund") == [refund]
        assert _bill(customer, billing_type="deduct", sort="created_at ASC") == charges[::-1]
        assert _bill(customer, prediction_uuids=[second]) == [("deduct", second, 0.3)]
        assert _bill(customer, prediction_uuids=[]) == []
        assert _bill(customer, end_time=moment) == [("deduct", first, 0.5)]
        after_ms = str(clock.now_ns // 1_000_000 - 5_000)
        assert _bill(customer, start_time=after_ms) == [refund]
        assert _bill(customer, model_uuid="other") == []
        assert _bill(customer, page_size=1, page=2) == _bill(customer)[1:2]
        assert customer.post("/billings/search", {"page": 1, "page_size": 1, "sort": "x"}).is_error


def test_bill_row_names_order_prediction_and_a_key_that_is_not_the_key() -> None:
    with sandbox(latency_s=(10.0, 10.0)) as customer:
        task_id = customer.buy()
        body = {"page": 1, "page_size": 1}
        page = customer.data(customer.post("/billings/search", body))
        (row,) = page["items"]
        mine = customer.post("/billings/search", body | {"access_key_uuid": row["access_key_id"]})
        none = customer.post("/billings/search", body | {"access_key_uuid": "other"})
    assert page["total"] == 1
    assert row["order"]["state"] == "pre"
    assert row["prediction"] == {"uuid": task_id, "model_uuid": MODEL, "status": "created"}
    assert "any-key" not in str(row)
    assert len(customer.data(mine)["items"]) == 1
    assert customer.data(none)["items"] == []


def test_usage_sums_the_span() -> None:
    clock = FakeClock()
    with sandbox(clock=clock) as customer:
        customer.buy(duration=10)
        clock.forward(86_400)
        customer.buy()
        customer.buy(images=["https://cdn.example.com/a.png"])
        span = {"start_time": "2026-04-10T00:00:00Z", "end_time": "2026-04-12T00:00:00Z"}
        usage = customer.data(customer.post("/user/usage_stats", span))
        other = customer.data(customer.post("/user/usage_stats", span | {"model_uuid": "other"}))
        too_long = span | {"end_time": "2026-05-12T00:00:00Z"}
        assert customer.post("/user/usage_stats", too_long).status_code == 400
        assert customer.post("/user/usage_stats", {}).status_code == 400
    assert usage["summary"] == {
        "total_cost": 1.1,
        "total_requests": 3,
        "success_requests": 2,
    }
    assert [day["date"] for day in usage["daily_usage"]] == ["2026-04-10", "2026-04-11"]
    assert [model["total_requests"] for model in usage["per_model_usage"]] == [3]
    assert other["summary"]["total_requests"] == 0


def test_webhook_secret_is_one_per_key() -> None:
    with sandbox() as customer:
        first = customer.data(customer.get("/webhook/secret"))["secret"]
        again = customer.data(customer.get("/webhook/secret"))["secret"]
    assert first == again
    assert first.startswith("whsec_")
