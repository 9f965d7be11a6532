"""Fault scripts: each fault plays at its own moment, seen from the wire and from the bill."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sandbox_support import MODEL, PNG, Customer, FakeClock, clip_bytes, sandbox

from pipeline.errors import UsageError
from pipeline.sandbox.faults import FaultScript, parse_faults
from pipeline.sandbox.spoiling import HOSTILE


@dataclass(frozen=True)
class Heard:
    """What came over a connection, and how it ended: ``fin``, ``rst`` or ``open``."""

    data: bytes
    end: str

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1]) if self.data else 0

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0].lower()

    @property
    def length(self) -> int:
        """As the head tells it."""
        return int(self.head.split(b"content-length: ")[1].split(b"\r\n")[0])

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]


def ask(url: str, *, method: str = "GET", body: object = None, wait_s: float = 5.0) -> Heard:
    """One request over a bare socket; everything that comes until the connection ends."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    content = b"" if body is None else json.dumps(body).encode()
    query = f"?{parts.query}" if parts.query else ""
    key = "Authorization: Bearer any-key\r\n" if parts.path.startswith("/api/") else ""
    head = (
        f"{method} {parts.path}{query} HTTP/1.1\r\nHost: {parts.netloc}\r\n{key}"
        f"Connection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    data = b""
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=wait_s) as wire:
        wire.sendall(head.encode() + content)
        try:
            while piece := wire.recv(65536):
                data += piece
        except ConnectionResetError:
            return Heard(data, "rst")
        except TimeoutError:
            return Heard(data, "open")
    return Heard(data, "fin")


def script(*rules: dict[str, object], **settings: object) -> FaultScript:
    return parse_faults({"faults": list(rules), **settings})


@contextmanager
def faulty(
    *rules: dict[str, object], settings: dict[str, object] | None = None, **changes: Any
) -> Iterator[Customer]:
    """A running server that plays these rules, with a customer."""
    with sandbox(faults=script(*rules, **settings or {}), **changes) as customer:
        yield customer


def submit_raw(customer: Customer, **changes: Any) -> Heard:
    url = f"{customer.server.base_url}/api/v3/{MODEL}"
    return ask(url, method="POST", body=customer.order(**changes))


def billed(customer: Customer) -> tuple[int, str]:
    """Number of tasks, and what they cost."""
    record = customer.record()
    return len(record["tasks"]), record["bill"]["total_usd"]


def fired(customer: Customer) -> dict[str, int]:
    return {f"{each['on']} {each['fault']}": each["count"] for each in customer.record()["faults"]}


NOTHING = (0, "0.00")
ONE = (1, "0.30")


@pytest.mark.parametrize(
    ("fault", "end", "bill"),
    [
        ("drop_before_accept", "fin", NOTHING),
        ("drop_after_accept", "fin", ONE),
        ("reset_before_accept", "rst", NOTHING),
        ("reset_after_accept", "rst", ONE),
        ("drop", "fin", NOTHING),
        ("reset", "rst", NOTHING),
    ],
)
def test_connection_ends_without_a_byte(fault: str, end: str, bill: tuple[int, str]) -> None:
    with faulty({"on": "submit", "fault": fault, "nth": 1}) as customer:
        heard = submit_raw(customer)
        assert (heard.data, heard.end) == (b"", end)
        assert billed(customer) == bill
        assert fired(customer) == {f"submit {fault}": 1}
        assert submit_raw(customer).status == 200


@pytest.mark.parametrize(("accept", "bill"), [(False, NOTHING), (True, ONE)])
@pytest.mark.parametrize("code", [400, 429, 500, 502, 503, 504, 529])
def test_error_is_answered_whether_accepted_or_not(
    code: int, accept: bool, bill: tuple[int, str]
) -> None:
    with faulty({"on": "submit", "fault": f"http_{code}", "accept": accept}) as customer:
        answer = customer.submit(customer.order())
        assert (answer.status_code, answer.json()["code"]) == (code, code)
        assert "retry-after" not in answer.headers
        assert billed(customer) == bill


@pytest.mark.parametrize("text", ["2", "-1", "1e9", "Wed, 21 Oct 2065 07:28:00 GMT", "soon"])
def test_retry_after_is_whatever_the_script_says(text: str) -> None:
    with faulty({"on": "submit", "fault": "http_429", "retry_after": text}) as customer:
        assert customer.submit(customer.order()).headers["retry-after"] == text


def test_error_body_is_whatever_the_script_says() -> None:
    rule = {"on": "submit", "fault": "http_500", "body": "<p>{hostile} {cdn}</p>"}
    with faulty(rule) as customer:
        answer = customer.submit(customer.order())
        assert answer.text == f"<p>{HOSTILE} {customer.server.files_url}</p>"
        assert answer.headers["content-type"] == "text/html"


def test_refused_submission_is_no_occurrence_of_what_follows_acceptance() -> None:
    with faulty({"on": "submit", "fault": "drop_after_accept", "nth": 2}, rpm=1) as customer:
        order = customer.order()
        statuses = [customer.submit(order).status_code for _ in range(3)]
        assert statuses == [200, 429, 429]
        assert fired(customer) == {}


@pytest.mark.parametrize(
    ("fault", "body"), [("no_id", None), ("malformed_json", None), ("empty_body", b"")]
)
def test_good_answer_is_unreadable_though_the_task_is_billed(
    fault: str, body: bytes | None
) -> None:
    with faulty({"on": "submit", "fault": fault}) as customer:
        answer = customer.submit(customer.order())
        task_id = customer.record()["tasks"][0]["id"]
        assert answer.status_code == 200
        assert billed(customer) == ONE
    if fault == "no_id":
        assert answer.json()["data"]["status"] == "created"
        assert task_id not in answer.text
    else:
        with pytest.raises(ValueError):
            answer.json()
        assert body is None or answer.content == body


def test_half_response_ends_in_the_middle_of_its_announced_length() -> None:
    with faulty({"on": "submit", "fault": "half_response"}) as customer:
        heard = submit_raw(customer)
        assert (heard.status, heard.end) == (200, "fin")
        assert len(heard.body) == heard.length // 2
        assert billed(customer) == ONE


@pytest.mark.parametrize(("accept", "bill"), [(False, NOTHING), (True, ONE)])
@pytest.mark.parametrize("code", [500, 401])
def test_envelope_says_no_under_http_200(code: int, accept: bool, bill: tuple[int, str]) -> None:
    rule = {"on": "submit", "fault": "wrong_code", "code": code, "accept": accept}
    with faulty(rule) as customer:
        answer = customer.submit(customer.order())
        assert (answer.status_code, answer.json()["code"]) == (200, code)
        assert "data" not in answer.json()
        assert billed(customer) == bill


@pytest.mark.parametrize(("accept", "bill"), [(False, NOTHING), (True, ONE)])
def test_hang_says_nothing_and_ends(accept: bool, bill: tuple[int, str]) -> None:
    rule = {"on": "submit", "fault": "hang", "seconds": 0.2, "accept": accept}
    with faulty(rule) as customer:
        order = customer.order()
        url = f"{customer.server.base_url}/api/v3/{MODEL}"
        start = time.monotonic()
        heard = ask(url, method="POST", body=order)
        assert (heard.data, heard.end) == (b"", "fin")
        assert time.monotonic() - start >= 0.2
        assert billed(customer) == bill


def test_server_stops_at_once_although_a_request_hangs() -> None:
    with faulty({"on": "balance", "fault": "hang", "seconds": 600}) as customer:
        start = time.monotonic()
        threading.Timer(0.1, customer.server.stop).start()
        heard = ask(f"{customer.server.base_url}/api/v3/balance")
        assert (heard.data, heard.end) == (b"", "fin")
    assert time.monotonic() - start < 0.8


@contextmanager
def victim(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, object]]]:
    """A process that stands for the client, and the settings that name it."""
    process = subprocess.Popen(["sleep", "60"])
    pid_file = folder / "client.pid"
    pid_file.write_text(f"{process.pid}\n")
    try:
        yield process, {"client_pid_file": str(pid_file)}
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("when", "part", "bill"),
    [
        ("before_accept", None, NOTHING),
        ("after_accept", None, ONE),
        ("after_answer", 1, ONE),
        ("mid_body", 2, ONE),
    ],
)
def test_client_is_killed_at_the_exact_moment(
    tmp_path: Path, when: str, part: int | None, bill: tuple[int, str]
) -> None:
    with victim(tmp_path) as (process, settings):
        rule = {"on": "submit", "fault": "kill_client", "when": when}
        with faulty(rule, settings=settings) as customer:
            order = customer.order()
            customer.get("/balance")
            assert process.poll() is None
            heard = submit_raw(customer, **order)
            assert process.wait(timeout=5) == -9
            if part is None:
                assert heard.data == b""
            else:
                assert len(heard.body) == heard.length // part
            assert billed(customer) == bill
            assert fired(customer) == {"submit kill_client": 1}


def test_client_is_killed_after_half_of_a_clip(tmp_path: Path) -> None:
    with victim(tmp_path) as (process, settings):
        rule = {"on": "download", "fault": "kill_client", "when": "mid_body", "nth": 1}
        with faulty(rule, settings=settings) as customer:
            url = customer.result(customer.buy())["outputs"][0]
            heard = ask(url)
            assert process.wait(timeout=5) == -9
            assert heard.body == clip_bytes()[: len(clip_bytes()) // 2]
            assert customer.record()["tasks"][0]["downloads"] == 0
            assert ask(url).body == clip_bytes()
            assert customer.record()["tasks"][0]["downloads"] == 1


@pytest.mark.parametrize("content", ["", "soon", "0", "-1", "1", str(os.getpid())])
def test_only_a_client_is_ever_killed(tmp_path: Path, content: str) -> None:
    pid_file = tmp_path / "client.pid"
    pid_file.write_text(content)
    rule: dict[str, object] = {"on": "submit", "fault": "kill_client", "when": "after_answer"}
    with faulty(rule, settings={"client_pid_file": str(pid_file)}) as customer:
        assert customer.submit(customer.order()).status_code == 200
        assert customer.record()["counters"]["kill_client.missed"] == 1


def test_script_that_kills_nobody_in_particular_is_refused() -> None:
    rules = script({"on": "submit", "fault": "kill_client", "when": "after_answer"})
    with pytest.raises(UsageError, match="client-pid-file"), sandbox(faults=rules):
        pass


def history(customer: Customer, **filters: object) -> Any:
    return customer.post("/predictions", {"page": 1, "page_size": 100} | filters)


def test_history_hides_what_is_younger_than_its_lag() -> None:
    clock = FakeClock()
    with faulty({"on": "history", "fault": "lag", "seconds": 5}, clock=clock) as customer:
        old = customer.buy()
        clock.forward(4)
        new = customer.buy()
        clock.forward(2)
        page = customer.data(history(customer))
        assert ([item["id"] for item in page["items"]], page["total"]) == ([old], 1)
        clock.forward(4)
        page = customer.data(history(customer, created_before="2065-01-01T00:00:00Z"))
        assert [item["id"] for item in page["items"]] == [new, old]
        assert customer.data(history(customer, created_before="2000-01-01T00:00:00Z"))["total"] == 0


def test_history_is_off_as_often_as_the_script_says() -> None:
    rules = (
        {"on": "history", "fault": "off", "nth": 1},
        {
            "on": "history",
            "fault": "http_503",
            "nth": 2,
        },
    )
    with faulty(*rules) as customer:
        assert [history(customer).status_code for _ in range(3)] == [404, 503, 200]


def test_strangers_stand_on_history_and_bill_beside_the_lost_task() -> None:
    clock = FakeClock()
    rules = (
        {"on": "submit", "fault": "drop_after_accept", "nth": 1},
        {"on": "history", "fault": "strangers", "n": 2, "prompt": "@image1 turns"},
    )
    with faulty(*rules, clock=clock) as customer:
        order = customer.order()
        with pytest.raises(httpx.RemoteProtocolError):
            customer.submit(order)
        clock.forward(30)
        items = customer.data(history(customer))["items"]
        assert customer.data(history(customer))["total"] == len(items) == 3
        rows = customer.data(customer.post("/billings/search", {"page": 1, "page_size": 9}))
        record = customer.record()
    mine = [task["id"] for task in record["tasks"] if not task["stranger"]]
    assert len(mine) == 1
    assert {item["created_at"] for item in items} == {record["tasks"][0]["created_at"]}
    keys = {row["prediction"]["uuid"]: row["access_key_id"] for row in rows["items"]}
    assert sum(keys[task] == keys[mine[0]] for task in keys) == 1
    assert record["bill"]["total_usd"] == "0.90"


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
        assert [item["id"] for item in customer.data(history(customer))["items"]] == [young]
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


def fetch(customer: Customer, **headers: str) -> httpx.Response:
    url = customer.result(customer.buy())["outputs"][0]
    return customer.cdn.get(url, headers=headers)


def clip_heard(customer: Customer) -> Heard:
    return ask(customer.result(customer.buy())["outputs"][0])


CLIP_FAULTS_THAT_CUT = [
    ("truncate", "fin", True),
    ("truncate_nolength", "fin", False),
    ("reset_mid", "rst", True),
    ("half_response", "fin", True),
]


@pytest.mark.parametrize(("fault", "end", "has_length"), CLIP_FAULTS_THAT_CUT)
def test_download_stops_half_way(fault: str, end: str, has_length: bool) -> None:
    rule = {"on": "download", "fault": fault, "nth": 1, "per": "task"}
    with faulty(rule) as customer:
        heard = clip_heard(customer)
        assert (heard.status, heard.end) == (200, end)
        assert heard.body == clip_bytes()[: len(clip_bytes()) // 2]
        assert (b"content-length" in heard.head) == has_length
        assert b"chunked" not in heard.head
        assert not has_length or heard.length == len(clip_bytes())
        assert customer.record()["tasks"][0]["downloads"] == 0


def test_download_without_a_length_is_short_and_nobody_complains() -> None:
    with faulty({"on": "download", "fault": "truncate_nolength"}) as customer:
        assert fetch(customer).content == clip_bytes()[: len(clip_bytes()) // 2]


def test_corrupt_clip_has_the_right_length_and_other_bytes() -> None:
    with faulty({"on": "download", "fault": "corrupt"}) as customer:
        content = fetch(customer).content
    clip = clip_bytes()
    differing = [n for n in range(len(clip)) if clip[n] != content[n]]
    assert len(content) == len(clip)
    assert differing == list(range(len(clip) * 7 // 16, len(clip) * 9 // 16))


@pytest.mark.parametrize(
    ("rule", "content_type", "start"),
    [
        ({"fault": "wrong_type"}, "text/html; charset=utf-8", b"<!doctype html>"),
        ({"fault": "hls_body"}, "video/mp4", b"#EXTM3U\n"),
        ({"fault": "empty"}, "video/mp4", b""),
    ],
)
def test_download_is_something_else_entirely(
    rule: dict[str, object], content_type: str, start: bytes
) -> None:
    with faulty({"on": "download"} | rule) as customer:
        answer = fetch(customer)
        assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
        assert answer.content.startswith(start)
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert start or answer.content == b""


def test_playlist_names_the_segment_of_the_script() -> None:
    rule = {"on": "download", "fault": "hls_body", "url": "{canary}/segment.ts"}
    with faulty(rule) as customer:
        assert f"\n{customer.server.canary_url}/segment.ts\n" in fetch(customer).text


def test_bomb_is_small_on_the_wire_and_huge_unpacked() -> None:
    with faulty({"on": "download", "fault": "gzip_bomb", "mb": 8}) as customer:
        url = customer.result(customer.buy())["outputs"][0]
        with customer.cdn.stream("GET", url) as answer:
            packed = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < 100_000
    assert gzip.decompress(packed) == clip_bytes() + bytes(8 * 2**20)


def test_endless_download_goes_on_until_the_client_has_enough() -> None:
    with faulty({"on": "download", "fault": "endless"}) as customer:
        url = customer.result(customer.buy())["outputs"][0]
        with customer.cdn.stream("GET", url) as answer:
            pieces = answer.iter_raw()
            got = 0
            while got < 20 * 2**20:
                got += len(next(pieces))
        # Nothing is left running: the server is free for others, and stops at once.
        start = time.monotonic()
        assert customer.get("/balance").status_code == 200
    assert time.monotonic() - start < 0.8


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "download", "fault": "slow", "seconds": 0.3},
        {"on": "download", "fault": "slow_body", "seconds": 0.3},
    ],
)
def test_slow_download_comes_in_drops_and_whole(rule: dict[str, object]) -> None:
    with faulty(rule) as customer:
        url = customer.result(customer.buy())["outputs"][0]
        start = time.monotonic()
        with customer.cdn.stream("GET", url) as answer:
            head_s = time.monotonic() - start
            arrivals = [(time.monotonic() - start, piece) for piece in answer.iter_raw()]
        assert head_s < 0.15
        assert 0.3 <= arrivals[-1][0] < 2
        assert len(arrivals) > 10
        assert b"".join(piece for _, piece in arrivals) == clip_bytes()
        assert customer.record()["tasks"][0]["downloads"] == 1


def test_slow_answer_to_a_submission_is_whole_in_the_end() -> None:
    with faulty({"on": "submit", "fault": "slow_body", "seconds": 0.2}) as customer:
        start = time.monotonic()
        assert customer.data(customer.submit(customer.order()))["status"] == "created"
        assert time.monotonic() - start >= 0.2


def test_delay_comes_before_acceptance_and_outlasts_the_client() -> None:
    with faulty({"on": "submit", "fault": "delay", "seconds": 0.3}) as customer:
        order = customer.order()
        with pytest.raises(httpx.ReadTimeout):
            customer.http.post(f"/api/v3/{MODEL}", json=order, timeout=0.05)
        assert billed(customer) == NOTHING
        deadline = time.monotonic() + 5
        while billed(customer) == NOTHING and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert billed(customer) == ONE


def test_redirect_is_recorded_when_a_key_follows_it() -> None:
    rule = {"on": "submit", "fault": "redirect", "location": "{cdn}/steal"}
    with faulty(rule) as customer:
        order = customer.order()
        answer = customer.submit(order)
        target = f"{customer.server.files_url}/steal"
        assert (answer.status_code, answer.headers["location"]) == (307, target)
        assert (billed(customer), customer.kinds()) == (NOTHING, [])
        customer.cdn.post(target, json=order)
        assert customer.kinds() == []
        customer.cdn.post(target, json=order, headers={"Authorization": "Bearer any-key"})
        assert customer.kinds() == ["key_leak"]
        assert customer.record()["counters"]["stray"] == 2


def test_download_redirects_to_where_the_script_says() -> None:
    rule = {"on": "download", "fault": "redirect", "location": "{api}/api/v3/balance"}
    with faulty(rule | {"status": 302}) as customer:
        answer = fetch(customer)
        assert answer.status_code == 302
        assert answer.headers["location"] == f"{customer.server.base_url}/api/v3/balance"


def test_canary_counts_connections_and_knows_a_key_in_any_header() -> None:
    rule = poll_fault("outputs_url", url="{canary}/clip.mp4")
    with faulty(rule) as customer:
        (url,) = customer.result(customer.buy())["outputs"]
        assert "canary" not in customer.record()["counters"]
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)).close()
        assert customer.cdn.get(url).status_code == 404
        assert customer.kinds() == []
        customer.cdn.get(url, headers={"X-Api-Key": "any-key"})
        assert customer.kinds() == ["key_leak"]
        assert customer.record()["counters"]["canary"] == 3


def test_refusing_server_answers_shuts_its_door_and_opens_it_again() -> None:
    rule = {"on": "submit", "fault": "refuse", "seconds": 0.4, "nth": 1}
    with faulty(rule) as customer:
        order = customer.order()
        assert customer.submit(order).status_code == 200
        with pytest.raises(httpx.ConnectError):
            customer.submit(order)
        assert customer.cdn.get(f"{customer.server.files_url}/x").status_code == 404
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                assert customer.submit(order).status_code == 200
                break
            except httpx.ConnectError:
                threading.Event().wait(0.02)
        assert billed(customer)[0] == 2


def test_server_stops_at_once_while_its_door_is_shut() -> None:
    with faulty({"on": "balance", "fault": "refuse", "seconds": 600}) as customer:
        customer.get("/balance")
        start = time.monotonic()
    assert time.monotonic() - start < 0.8


@pytest.mark.parametrize("fault", ["ansi_error", "huge_body", "html_error"])
@pytest.mark.parametrize("on", ["submit", "result", "history", "balance", "upload_ticket"])
def test_error_text_is_hostile_huge_or_a_page(on: str, fault: str) -> None:
    calls = {
        "submit": lambda c: c.submit({"images": ["http://x/y.png"], "prompt": "p"}),
        "result": lambda c: c.get("/predictions/x/result"),
        "history": lambda c: history(c),
        "balance": lambda c: c.get("/balance"),
        "upload_ticket": lambda c: c.post("/media/uploads", {"filename": "a.png", "size": 1}),
    }
    with faulty({"on": on, "fault": fault}) as customer:
        answer = calls[on](customer)
        if fault == "ansi_error":
            assert (answer.status_code, answer.json()["message"]) == (400, HOSTILE)
        elif fault == "huge_body":
            assert answer.status_code == 500
            assert len(answer.content) > 2**20
        else:
            assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
        assert fired(customer) == {f"{on} {fault}": 1}


@pytest.mark.parametrize("control", ["\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2028", "\u200b"])
def test_hostile_text_holds_every_kind_of_control(control: str) -> None:
    assert control in HOSTILE


def test_lost_success_of_an_upload_makes_its_ticket_used_up() -> None:
    with faulty({"on": "upload_put", "fault": "drop_after_accept", "nth": 1}) as customer:
        ticket = customer.ticket()["upload"]
        with pytest.raises(httpx.RemoteProtocolError):
            customer.cdn.put(ticket["url"], content=PNG, headers=ticket["headers"])
        again = customer.cdn.put(ticket["url"], content=PNG, headers=ticket["headers"])
        assert again.status_code == 412


def test_quote_differs_from_the_price_list() -> None:
    with faulty({"on": "price", "fault": "wrong_price", "usd": 0.36}) as customer:
        body = {"model_id": MODEL, "inputs": {"duration": 6}}
        quote = customer.data(customer.post("/model/price", body))
        assert (quote["price"], quote["discounted_price"]) == (0.36, 0.36)
