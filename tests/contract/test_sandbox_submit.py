"""Submission and result: what the provider's pages promise about a task."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sandbox_support import (
    MODEL,
    CopyingRenderer,
    Customer,
    FakeClock,
    clip_bytes,
    customer_of,
    sandbox,
)

from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import running_sandbox


@pytest.fixture(scope="module")
def shared() -> Iterator[Customer]:
    """One server for the tests that leave nothing on it."""
    with sandbox() as customer:
        yield customer


def test_accepted_submission_carries_every_contract_field() -> None:
    with sandbox() as customer:
        data = customer.data(customer.submit(customer.order()))
    assert re.fullmatch(r"[0-9a-f]{32}", data["id"])
    assert data == {
        "id": data["id"],
        "model": MODEL,
        "outputs": [],
        "urls": {"get": f"{customer.server.base_url}/api/v3/predictions/{data['id']}/result"},
        "has_nsfw_contents": [],
        "status": "created",
        "created_at": "2026-04-10T08:15:30.123456789Z",
        "error": "",
        "executionTime": 0,
        "timings": {"inference": 0},
    }


def test_addresses_follow_the_host_header() -> None:
    with sandbox() as customer:
        task_id = customer.buy()
        host = customer.server.base_url.replace("http://127.0.0.1", "localhost")
        response = customer.http.get(f"/api/v3/predictions/{task_id}", headers={"Host": host})
    data = customer.data(response)
    assert data["urls"]["get"].startswith(f"http://{host}/")
    assert data["outputs"][0].startswith("http://localhost:")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "sandbox"])
def test_missing_or_malformed_key_is_refused_flatly_and_counted(header: str | None) -> None:
    with (
        running_sandbox(SandboxOptions(render=CopyingRenderer())) as server,
        customer_of(server, key=None) as customer,
    ):
        headers = {} if header is None else {"Authorization": header}
        answer = customer.http.get("/api/v3/balance", headers=headers)
        assert answer.status_code == 401
        assert set(answer.json()) == {"code", "message"}
        assert customer.record()["counters"] == {"unauthorized": 1}


@pytest.mark.parametrize(("key", "status"), [("right", 200), ("wrong", 401), ("righ", 401)])
def test_only_the_configured_key_is_good(key: str, status: int) -> None:
    with sandbox(key="right") as owner, customer_of(owner.server, key=key) as customer:
        assert customer.get("/balance").status_code == status


def test_wrong_turns_are_answered_flatly() -> None:
    with sandbox() as customer:
        answers = {
            "unknown model": customer.post("/x-ai/other/reference-to-video", {}),
            "unknown path": customer.get("/nothing"),
            "trailing slash": customer.post(f"/{MODEL}/", customer.order()),
            "wrong method": customer.get(f"/{MODEL}"),
            "unknown task": customer.get(f"/predictions/{'0' * 32}/result"),
            "not JSON": customer.http.post(f"/api/v3/{MODEL}", content=b"{"),
            "deep JSON": customer.http.post(f"/api/v3/{MODEL}", content=b"[" * 100_000),
            "not a number": customer.http.post(f"/api/v3/{MODEL}", content=b'{"duration": NaN}'),
            "half a character": customer.http.post(
                f"/api/v3/{MODEL}", content=b'{"prompt": "\\ud800"}'
            ),
            "not an object": customer.http.post(f"/api/v3/{MODEL}", content=b"[]"),
        }
        with customer_of(customer.server, key=None) as stranger:
            answers["no key"] = stranger.get("/nothing")
        tasks = customer.record()["tasks"]
    statuses = {name: answer.status_code for name, answer in answers.items()}
    assert statuses == {
        "unknown model": 404,
        "unknown path": 404,
        "trailing slash": 404,
        "wrong method": 405,
        "unknown task": 404,
        "not JSON": 400,
        "deep JSON": 400,
        "not a number": 400,
        "half a character": 400,
        "not an object": 400,
        "no key": 401,
    }
    for answer in answers.values():
        assert set(answer.json()) == {"code", "message"}
        assert answer.json()["code"] == answer.status_code
        assert answer.headers["content-length"] == str(len(answer.content))
    assert tasks == []


_URL = "https://cdn.example.com/a.png"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("images", None),
        ("images", []),
        ("images", [_URL] * 8),
        ("images", _URL),
        ("images", {"0": _URL}),
        ("images", [""]),
        ("images", [1]),
        ("images", ["ftp://cdn.example.com/a.png"]),
        ("images", ["data:image/png;base64,AAAA"]),
        ("images", ["http://"]),
        ("images", ["http://[::1"]),
        ("prompt", None),
        ("prompt", ""),
        ("prompt", "  "),
        ("prompt", 6),
        ("duration", "6"),
        ("duration", 6.0),
        ("duration", True),
        ("duration", 7),
        ("duration", None),
        ("resolution", "1080p"),
        ("resolution", 720),
        ("resolution", ["720p"]),
        ("resolution", None),
    ],
)
def test_wrong_value_is_refused_by_name_and_makes_no_task(
    shared: Customer, field: str, value: object
) -> None:
    answer = shared.submit(shared.order(**{field: value}))
    record = shared.record()
    assert answer.status_code == 400
    assert answer.json()["code"] == 400
    assert field in answer.json()["message"]
    assert record["tasks"] == record["bill"]["rows"] == []


def test_unknown_keys_are_dropped_and_defaults_filled_in() -> None:
    with sandbox() as customer:
        order = customer.order(durations=10, seed=7)
        customer.data(customer.submit(order))
        (task,) = customer.record()["tasks"]
    assert task["inputs"] == {
        "images": order["images"],
        "prompt": "@image1 turns",
        "duration": 6,
        "resolution": "720p",
    }
    assert task["price_usd"] == "0.30"


def test_same_body_twice_makes_two_tasks_two_charges_and_a_note() -> None:
    with sandbox() as customer:
        order = customer.order(duration=10, resolution="480p")
        first = customer.data(customer.submit(order))["id"]
        again = customer.data(customer.submit(order | {"images": [customer.upload()]}))["id"]
        other = customer.data(customer.submit(order | {"duration": 6}))["id"]
        record = customer.record()
    assert len({first, again, other}) == 3
    assert record["bill"]["deducted_usd"] == "1.30"
    assert record["duplicates"] == [{"task_id": again, "dup_of": first}]
    assert record["violations"] == []
    assert record["counters"]["submit"] == 3


def test_repeat_of_a_failed_task_is_no_duplicate() -> None:
    with sandbox() as customer:
        order = customer.order(images=[_URL])
        for _ in range(2):
            customer.data(customer.submit(order))
        assert customer.record()["duplicates"] == []


def test_task_walks_from_created_over_processing_to_completed() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, latency_s=(20.0, 20.0)) as customer:
        task_id = customer.buy()
        seen = []
        for step_s in (1, 2, 16, 1):
            clock.forward(step_s)
            seen.append(customer.result(task_id))
    assert [data["status"] for data in seen] == ["created", "processing", "processing", "completed"]
    assert [len(data["outputs"]) for data in seen] == [0, 0, 0, 1]
    assert [data["timings"]["inference"] for data in seen] == [0, 0, 0, 20_000]
    assert seen[-1]["has_nsfw_contents"] == [False]


def test_task_is_not_completed_before_its_clip_is_drawn() -> None:
    clock, gate, copying = FakeClock(), threading.Event(), CopyingRenderer()

    def render(spec: AnimaticSpec, destination: Path) -> None:
        gate.wait(10)
        copying(spec, destination)

    with sandbox(clock=clock, render=render) as customer:
        task_id = customer.data(customer.submit(customer.order()))["id"]
        clock.forward(3600)
        early = customer.result(task_id)
        gate.set()
        customer.server.wait_for_renders()
        late = customer.result(task_id)
    assert (early["status"], early["outputs"]) == ("processing", [])
    assert (late["status"], late["executionTime"]) == ("completed", 3_600_000)


def test_both_result_paths_answer_alike() -> None:
    with sandbox() as customer:
        task_id = customer.buy()
        assert customer.result(task_id) == customer.data(customer.get(f"/predictions/{task_id}"))


def _inference_ms(seed: int) -> list[int]:
    clock = FakeClock()
    with sandbox(clock=clock, latency_s=(1.0, 3.0), seed=seed) as customer:
        tasks = [customer.buy(), customer.buy(), customer.buy(prompt="@image1 falls")]
        clock.forward(3)
        return [customer.result(task_id)["timings"]["inference"] for task_id in tasks]


def test_latency_is_in_range_and_repeats_with_the_seed() -> None:
    first = _inference_ms(1)
    assert all(1000 <= latency <= 3000 for latency in first)
    assert len(set(first)) == 3
    assert _inference_ms(1) == first
    assert _inference_ms(2) != first


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.com/a.png",
        "http://127.0.0.1/uploads/unknown/a.png",
        "http://127.0.0.1:1/etc/passwd",
    ],
)
def test_image_out_of_reach_fails_the_task_without_refund(url: str) -> None:
    with sandbox() as customer:
        task_id = customer.buy(images=[customer.upload(), url])
        data = customer.result(task_id)
        bill = customer.record()["bill"]
    assert data["status"] == "failed"
    assert data["code"] == 1402
    assert "reference image 2" in data["error"]
    assert data["outputs"] == []
    assert (bill["deducted_usd"], bill["refunded_usd"]) == ("0.30", "0.00")


def test_upload_that_is_no_image_fails_the_task() -> None:
    with sandbox() as customer:
        task_id = customer.buy(images=[customer.upload(b"#EXTM3U\n", "hero.png")])
        assert customer.result(task_id)["code"] == 1402


def test_failed_render_fails_the_task_and_gives_the_money_back() -> None:
    def render(_spec: AnimaticSpec, _destination: Path) -> None:
        raise OSError("secret path")

    with sandbox(render=render) as customer:
        task_id = customer.buy()
        data = customer.result(task_id)
        record = customer.record()
        balance = customer.data(customer.get("/balance"))["balance"]
    assert (data["status"], data["code"]) == ("failed", 1403)
    assert "secret" not in data["error"]
    assert [(row["kind"], row["amount_usd"]) for row in record["bill"]["rows"]] == [
        ("deduct", "0.30"),
        ("refund", "0.30"),
    ]
    assert record["bill"]["total_usd"] == "0.00"
    assert balance == 1000


def test_clip_is_served_whole_and_in_ranges() -> None:
    with sandbox() as customer:
        task_id = customer.buy()
        (url,) = customer.result(task_id)["outputs"]
        whole = customer.cdn.get(url)
        part = customer.cdn.get(url, headers={"Range": "bytes=10-19"})
        record = customer.record()
    assert whole.content == clip_bytes()
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-length"] == str(len(clip_bytes()))
    assert (part.status_code, part.content) == (206, clip_bytes()[10:20])
    assert record["tasks"][0]["downloads"] == 1


def test_clip_is_not_served_before_the_task_has_ended() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, latency_s=(5.0, 5.0)) as customer:
        url = f"{customer.server.files_url}/outputs/{customer.buy()}/clip.mp4"
        early = customer.cdn.get(url)
        clock.forward(5)
        late = customer.cdn.get(url)
    assert (early.status_code, late.status_code) == (404, 200)


def test_renderer_gets_the_shot_and_draws_equal_shots_once() -> None:
    renderer = CopyingRenderer()
    with sandbox(render=renderer) as customer:
        order = customer.order(duration=10, resolution="480p")
        for _ in range(3):
            customer.data(customer.submit(order))
        customer.server.wait_for_renders()
        customer.data(customer.submit(order))
        customer.server.wait_for_renders()
        tasks = customer.record()["tasks"]
    assert [task["status"] for task in tasks] == ["completed"] * 4
    (spec,) = renderer.specs
    assert (spec.prompt, spec.duration_s, spec.resolution) == ("@image1 turns", 10, "480p")
    assert (str(spec.price_usd), spec.title) == ("0.5", "")
    assert [image.suffix for image in spec.images] == [".png"]


def test_asking_again_while_a_clip_is_drawn_does_not_draw_it_again() -> None:
    gate, copying = threading.Event(), CopyingRenderer()

    def render(spec: AnimaticSpec, destination: Path) -> None:
        gate.wait(10)
        copying(spec, destination)

    with sandbox(render=render, min_poll_s=0.0) as customer:
        task_id = customer.data(customer.submit(customer.order()))["id"]
        for _ in range(3):
            customer.result(task_id)
        gate.set()
        customer.server.wait_for_renders()
        assert customer.result(task_id)["status"] == "completed"
    assert len(copying.specs) == 1


def test_webhook_address_is_recorded() -> None:
    with sandbox() as customer:
        query = "?webhook=https%3A%2F%2Fexample.com%2Fhook%3Fshot%3D1"
        customer.data(customer.submit(customer.order(), query=query))
        (task,) = customer.record()["tasks"]
    assert task["webhook"] == "https://example.com/hook?shot=1"


def test_synchronous_submission_is_answered_with_the_finished_task() -> None:
    with sandbox() as customer:
        data = customer.data(customer.submit(customer.order(enable_sync_mode=True)))
    assert data["status"] == "completed"
    assert len(data["outputs"]) == 1


def test_synchronous_submission_past_its_limit_says_so_and_the_task_goes_on() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, latency_s=(60.0, 60.0), sync_limit_s=0.0) as customer:
        data = customer.data(customer.submit(customer.order(enable_sync_mode=True)))
        customer.server.wait_for_renders()
        clock.forward(60)
        later = customer.result(data["id"])
    assert (data["status"], data["code"]) == ("processing", 5004)
    assert later["status"] == "completed"


def test_one_connection_serves_many_requests() -> None:
    with sandbox() as customer:
        streams = []
        for _ in range(3):
            with customer.http.stream("GET", "/api/v3/balance") as answer:
                answer.read()
                streams.append(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(set(streams)) == 1
    assert isinstance(answer, httpx.Response)
