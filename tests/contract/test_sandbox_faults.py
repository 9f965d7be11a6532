"""Fault scripts: each fault plays at its own moment, seen from the wire and from the bill."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fault_support import ask, billed, faulty, fired, history, script, submit_raw
from sandbox_support import MODEL, PNG, FakeClock, clip_bytes, sandbox

from pipeline.errors import UsageError
from pipeline.sandbox.spoiling import HOSTILE

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
        threading.Timer(0.1, customer.server.stop).start()
        heard = ask(f"{customer.server.base_url}/api/v3/balance")
        # A request that was cut short would have been answered with a 500.
        assert (heard.data, heard.end) == (b"", "fin")


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


@pytest.mark.parametrize(
    "content",
    ["", "soon", "0", "-1", "1", str(os.getpid())],
    ids=["nothing", "no number", "zero", "everybody", "init", "ourselves"],
)
def test_only_a_client_is_ever_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    killed: list[int] = []
    # Were this test to find a mistake, the real one could end every process of the machine.
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    pid_file = tmp_path / "client.pid"
    pid_file.write_text(content)
    rule: dict[str, object] = {"on": "submit", "fault": "kill_client", "when": "after_answer"}
    with faulty(rule, settings={"client_pid_file": str(pid_file)}) as customer:
        assert customer.submit(customer.order()).status_code == 200
        assert killed == []
        assert customer.record()["counters"]["kill_client.missed"] == 1


def test_script_that_kills_nobody_in_particular_is_refused() -> None:
    rules = script({"on": "submit", "fault": "kill_client", "when": "after_answer"})
    with pytest.raises(UsageError, match="client-pid-file"), sandbox(faults=rules):
        pass


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


def test_canary_counts_connections_and_knows_a_key_in_any_header() -> None:
    rule = {"on": "result", "fault": "outputs_url", "url": "{canary}/clip.mp4"}
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
        # A second connection, kept alive, that must not stay behind as an open door.
        balance = f"{customer.server.base_url}/api/v3/balance"
        assert customer.cdn.get(balance).status_code == 401
        assert customer.submit(order).status_code == 200
        # Refused, or reset where the client still takes its old connection for an open one.
        with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
            customer.cdn.get(balance)
        with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
            customer.submit(order)
        assert customer.cdn.get(f"{customer.server.files_url}/x").status_code == 404
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                assert customer.submit(order).status_code == 200
                break
            except httpx.TransportError:
                threading.Event().wait(0.02)
        assert billed(customer)[0] == 2


def test_server_stops_at_once_while_its_door_is_shut() -> None:
    with faulty({"on": "balance", "fault": "refuse", "seconds": 600}) as customer:
        customer.get("/balance")
        start = time.monotonic()
    assert time.monotonic() - start < 5


def test_stranger_comes_at_the_moment_of_a_submission_that_was_never_accepted() -> None:
    clock = FakeClock()
    rules = (
        {"on": "submit", "fault": "drop_before_accept"},
        {"on": "history", "fault": "strangers"},
    )
    with faulty(*rules, clock=clock) as customer:
        submit_raw(customer)
        clock.forward(30)
        (item,) = customer.data(history(customer))["items"]
    created = datetime.fromisoformat(item["created_at"][:19] + "+00:00").timestamp()
    assert created == clock.now_ns // 1_000_000_000 - 30


@pytest.mark.parametrize("fault", ["ansi_error", "huge_body", "html_error"])
@pytest.mark.parametrize("on", ["submit", "result", "history", "balance", "upload_ticket"])
def test_error_text_is_hostile_huge_or_a_page(on: str, fault: str) -> None:
    calls = {
        "submit": lambda c: c.submit({"images": ["http://x/y.png"], "prompt": "p"}),
        "result": lambda c: c.get("/predictions/x/result"),
        "history": history,
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


def test_command_plays_a_script_in_silence_and_writes_what_it_played(tmp_path: Path) -> None:
    moments: list[dict[str, object]] = [
        {"fault": "drop_after_accept"},
        {"fault": "reset_after_accept"},
        {"fault": "half_response"},
        {"fault": "hang", "accept": True, "seconds": 0.05},
        {"fault": "slow_body", "seconds": 0.05},
        {"fault": "kill_client", "when": "mid_body"},
        {"fault": "refuse", "seconds": 0.05},
    ]
    rules = [{"on": "balance", "nth": n, **moment} for n, moment in enumerate(moments, 1)]
    (tmp_path / "faults.json").write_text(json.dumps({"faults": rules}))
    command = [sys.executable, "-W", "error", "-m", "pipeline", "sandbox"]
    command += ["--faults", "faults.json", "--client-pid-file", "client.pid"]
    command += ["--record", "record.json", "--exit-on-stdin-close"]
    with (
        victim(tmp_path) as (client, _),
        subprocess.Popen(
            command,
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        ) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stderr is not None
        line = json.loads(server.stdout.readline())
        heard = [ask(f"{line['base_url']}/api/v3/balance") for _ in rules]
        assert urlsplit(line["canary_url"]).hostname == "127.0.0.1"
        assert client.wait(timeout=5) == -9
        server.stdin.close()
        assert server.wait(timeout=10) == 0
        assert server.stderr.read() == b""
    record = json.loads((tmp_path / "record.json").read_text())
    assert [one.end for one in heard] == ["fin", "rst", "fin", "fin", "fin", "fin", "fin"]
    assert [one.status for one in heard] == [0, 0, 200, 0, 200, 200, 200]
    played = {each["fault"]: each["count"] for each in record["faults"]}
    assert played == {rule["fault"]: 1 for rule in rules}
