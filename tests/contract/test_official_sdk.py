"""The official Python SDK, unchanged but for its base URL, against the sandbox.

The rows follow the acceptance table of what SDK 2.0.5 was seen to do with the real shapes.
"""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wavespeed
import wavespeed.config
from sandbox_support import MODEL, PNG, Customer, FakeClock, clip_bytes, sandbox

_POLL_S = 0.01


@contextmanager
def _sdk(
    *, api_key: str = "any-key", **options: Any
) -> Iterator[tuple[wavespeed.Client, Customer]]:
    """A client that gives up after 20 s, where the SDK's default is to wait for ever."""
    with (
        sandbox(**{"min_poll_s": 0.0} | options) as customer,
        wavespeed.config.patch("api.timeout", 20.0),
    ):
        yield wavespeed.Client(api_key=api_key, base_url=customer.server.base_url), customer


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


def test_sdk_uploads_an_image_and_runs_a_shot(tmp_path: Path) -> None:
    picture = tmp_path / "hero.png"
    picture.write_bytes(PNG)
    with _sdk() as (client, customer):
        url = client.upload(str(picture))
        shot = {"images": [url], "prompt": "@image1 turns", "duration": 10, "resolution": "480p"}
        output = client.run(MODEL, shot, poll_interval=_POLL_S)
        with urllib.request.urlopen(output["outputs"][0]) as answer:  # noqa: S310
            clip = answer.read()
        record = customer.record()
    assert list(output) == ["outputs"]
    assert clip == clip_bytes()
    (task,) = record["tasks"]
    assert task["inputs"] == shot
    assert record["bill"]["total_usd"] == "0.50"
    assert record["counters"]["submit"] == record["counters"]["upload_ticket"] == 1
    assert record["counters"]["result"] == task["polls"] >= 1
    assert record["violations"] == []


def test_sdk_uploads_an_open_file_without_a_name() -> None:
    with _sdk() as (client, customer):
        url = client.upload(io.BytesIO(PNG))
        assert customer.cdn.get(url).content == PNG


def test_sdk_at_its_default_pace_breaks_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    virtual = SimpleNamespace(sleep=clock.forward, time=lambda: clock() / 1e9)
    monkeypatch.setattr("wavespeed.api.client.time", virtual)
    with _sdk(clock=clock, latency_s=(8.0, 8.0), min_poll_s=1.0) as (client, customer):
        client.run(MODEL, customer.order())
        record = customer.record()
    assert record["tasks"][0]["polls"] >= 9
    assert record["violations"] == []


def test_sdk_reads_a_state_by_id() -> None:
    with _sdk() as (client, customer):
        task_id = customer.buy()
        assert client.get_result(task_id)["data"]["status"] == "completed"


def test_sdk_names_id_and_reason_of_a_failed_task() -> None:
    with _sdk() as (client, customer):
        order = customer.order(images=["https://cdn.example.com/a.png"])
        with pytest.raises(RuntimeError, match="reference image 1 could not be fetched"):
            client.run(MODEL, order, poll_interval=_POLL_S, max_retries=2)
        soft = client.run_no_throw(MODEL, order, poll_interval=_POLL_S)
        tasks = [task["id"] for task in customer.record()["tasks"]]
    assert len(tasks) == 2
    assert (soft["status"], soft["task_id"]) == ("failed", tasks[1])


def test_sdk_names_the_status_of_a_deleted_task() -> None:
    with _sdk() as (client, customer):
        task_id = customer.buy()
        customer.data(customer.post("/predictions/delete", {"ids": [task_id]}))
        with pytest.raises(RuntimeError, match=f"deleted.*{task_id}"):
            client._wait(task_id, None, _POLL_S)


@pytest.mark.parametrize(
    ("options", "changes", "status"),
    [
        ({"key": "other"}, {}, 401),
        ({}, {"duration": 7}, 400),
        ({"balance_usd": 0, "insufficient_credit_status": 402}, {}, 402),
        ({"rpm": 1}, {}, 429),
    ],
)
def test_sdk_sends_a_refused_submission_once(
    options: dict[str, Any], changes: dict[str, object], status: int
) -> None:
    with _sdk(**options) as (client, customer):
        if status == 429:
            customer.buy()
        before = customer.record()["counters"]
        with pytest.raises(RuntimeError, match=f"HTTP {status}"):
            client.run(MODEL, customer.order(**changes), max_retries=2)
        after = customer.record()["counters"]
    counter = "unauthorized" if status == 401 else "submit"
    assert after[counter] == before.get(counter, 0) + 1


def test_sdk_gives_up_at_once_on_an_unknown_task() -> None:
    with _sdk() as (client, customer):
        with pytest.raises(RuntimeError, match="HTTP 404"):
            client.get_result("0" * 32)
        assert customer.record()["counters"]["result"] == 1


def test_sdk_gets_a_finished_task_in_synchronous_mode() -> None:
    with _sdk() as (client, customer):
        output = client.run(MODEL, customer.order(), enable_sync_mode=True)
        assert len(output["outputs"]) == 1
        assert customer.record()["counters"].get("result") is None


def test_sdk_learns_the_id_of_a_task_that_outlasts_synchronous_mode() -> None:
    clock = FakeClock()
    with _sdk(clock=clock, sync_limit_s=0.0, latency_s=(60.0, 60.0)) as (client, customer):
        order = customer.order()
        with pytest.raises(RuntimeError, match="Sync mode timed out") as caught:
            client.run(MODEL, order, enable_sync_mode=True)
        soft = client.run_no_throw(MODEL, order, enable_sync_mode=True)
        first, second = (task["id"] for task in customer.record()["tasks"])
    assert first in str(caught.value)
    assert (soft["status"], soft["task_id"]) == ("processing", second)


def test_sdk_gives_up_waiting_when_its_own_time_is_over() -> None:
    # The same seconds bound its submission, which a busy machine answers late.
    with _sdk(latency_s=(60.0, 60.0)) as (client, customer), pytest.raises(TimeoutError):
        client.run(MODEL, customer.order(), poll_interval=_POLL_S, timeout=1.0)
