"""Fault scripts act at Runware's own moments, with the same names and the same books."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from runware_support import Client, runware
from sandbox_support import FakeClock

from pipeline.sandbox.faults import parse_faults


def faulty(
    *rules: dict[str, object], settings: dict[str, object] | None = None, **changes: Any
) -> AbstractContextManager[Client]:
    script = parse_faults({"faults": list(rules)} | (settings or {}))
    return runware(faults=script, **changes)


def fired(client: Client) -> dict[str, int]:
    return {f"{each['on']} {each['fault']}": each["count"] for each in client.record()["faults"]}


@pytest.mark.parametrize("fault", ["drop_after_accept", "reset_after_accept"])
def test_answer_is_lost_after_the_task_was_billed(fault: str) -> None:
    with faulty({"on": "submit", "fault": fault, "nth": 1}) as client:
        shot = client.shot()
        with pytest.raises(httpx.TransportError):
            client.post(shot)
        bill = client.bill()
        again = client.error(client.post(shot))
        assert fired(client) == {f"submit {fault}": 1}
        assert bill == client.bill() == (1, "0.302")
        assert client.kinds() == []
    assert again["code"] == "conflictTaskUUID"


def test_answer_is_lost_before_anything_was_done() -> None:
    with faulty({"on": "submit", "fault": "drop_before_accept", "nth": 1}) as client:
        shot = client.shot()
        with pytest.raises(httpx.TransportError):
            client.post(shot)
        assert client.bill() == (0, "0.00")
        assert client.results(shot["taskUUID"]) == []
        client.item(client.post(shot))


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "rateLimitExceeded"), (500, "internalServerError"), (503, "serviceUnavailable")],
)
@pytest.mark.parametrize("accept", [True, False])
def test_error_status_has_the_dialects_shape(status: int, code: str, accept: bool) -> None:
    rule = {"on": "submit", "fault": f"http_{status}", "accept": accept, "retry_after": 2}
    with faulty(rule) as client:
        answer = client.post(client.shot())
        assert client.bill()[0] == int(accept)
    error = client.error(answer, status)
    assert error["code"] == code
    assert "taskUUID" not in error
    assert answer.headers["retry-after"] == "2"


def test_error_can_stand_under_status_200() -> None:
    with faulty({"on": "submit", "fault": "wrong_code", "code": 503, "accept": True}) as client:
        error = client.error(client.post(client.shot()), 200)
        assert error["code"] == "serviceUnavailable"
        assert client.bill() == (1, "0.302")


def test_body_is_cut_after_the_task_was_billed() -> None:
    with faulty({"on": "submit", "fault": "malformed_json"}) as client:
        with pytest.raises(json.JSONDecodeError):
            client.post(client.shot()).json()
        assert client.bill() == (1, "0.302")


def test_acknowledgement_can_lack_the_uuid() -> None:
    with faulty({"on": "submit", "fault": "no_id"}) as client:
        assert client.item(client.post(client.shot())) == {"taskType": "videoInference"}


@pytest.mark.parametrize(
    ("fault", "changed"),
    [
        ({"fault": "unknown_status", "status": "queued"}, {"status": "queued", "videoURL": None}),
        ({"fault": "regress"}, {"status": "processing", "videoURL": None}),
        ({"fault": "nsfw_flag"}, {"NSFWContent": True}),
        ({"fault": "no_outputs", "form": "empty"}, {"status": "success", "videoURL": ""}),
        ({"fault": "no_outputs", "form": "missing"}, {"status": "success", "videoURL": None}),
        ({"fault": "outputs_url", "url": "file:///etc/passwd"}, {"videoURL": "file:///etc/passwd"}),
    ],
)
def test_poll_says_what_the_script_wants(
    fault: dict[str, object], changed: dict[str, object]
) -> None:
    with faulty({"on": "result", "nth": 1} | fault, min_poll_s=0.0) as client:
        task = client.buy()
        (first,) = client.results(task)
        (second,) = client.results(task)
    assert {name: first.get(name) for name in changed} == changed
    assert (second["status"], second["videoURL"][:5]) == ("success", "http:")


def test_poll_can_bring_more_results_than_were_bought() -> None:
    with faulty({"on": "result", "fault": "two_outputs"}) as client:
        first, second = client.results(client.buy())
    assert second["videoURL"] == f"{first['videoURL']}?copy=2"


def test_task_is_not_visible_at_first() -> None:
    with faulty({"on": "result", "fault": "unseen", "times": 1}, min_poll_s=0.0) as client:
        task = client.buy()
        answers = [client.poll(task).json()["data"] for _ in range(2)]
    assert answers[0] == []
    assert answers[1][0]["status"] == "success"


@pytest.mark.parametrize(
    ("fault", "code", "total"),
    [
        ({"fault": "fail_task"}, "inferenceError", "0.00"),
        ({"fault": "fail_task", "code": 5004}, "timeoutProvider", "0.00"),
        ({"fault": "fail_task", "code": "providerError", "error": "gone"}, "providerError", "0.00"),
        ({"fault": "fail_task", "code": "noAvailableServer"}, "noAvailableServer", "0.00"),
        ({"fault": "nsfw"}, "providerContentPolicyViolation", "0.302"),
        ({"fault": "end_as", "status": "cancelled"}, "taskCancelled", "0.302"),
    ],
)
def test_task_itself_can_fail(fault: dict[str, object], code: str, total: str) -> None:
    with faulty({"on": "result"} | fault) as client:
        task = client.buy()
        error = client.error(client.poll(task), 200)
        details = client.item(client.post({"taskType": "getTaskDetails", "taskUUID": task}))
        bill = client.bill()
    assert (error["code"], error["taskUUID"], error["status"]) == (code, task, "error")
    assert details["response"]["errors"][0]["code"] == code
    assert bill == (1, total)


def test_stuck_task_runs_for_ever() -> None:
    clock = FakeClock()
    with faulty({"on": "result", "fault": "stuck", "times": 1}, clock=clock) as client:
        task = client.buy()
        client.results(task)
        clock.forward(1e6 / 2)
        assert client.results(task)[0]["status"] == "processing"


def test_archive_lags_behind() -> None:
    clock = FakeClock()
    with faulty({"on": "history", "fault": "lag", "seconds": 5}, clock=clock) as client:
        ask = {"taskType": "getTaskDetails", "taskUUID": client.buy()}
        assert client.error(client.post(ask))["code"] == "taskNotFound"
        clock.forward(5.1)
        assert client.item(client.post(ask))["response"]["data"]


def test_address_expires_and_the_next_poll_has_a_fresh_one() -> None:
    rule = {"on": "result", "fault": "expire_url", "times": 1}
    with faulty(rule, min_poll_s=0.0) as client:
        task = client.buy()
        statuses = []
        for _ in range(2):
            (item,) = client.results(task)
            statuses.append(client.cdn.get(item["videoURL"]).status_code)
        kinds = client.kinds()
    assert statuses == [403, 200]
    assert kinds == []


def test_addresses_and_tasks_live_as_long_as_the_script_says() -> None:
    clock = FakeClock()
    with faulty(settings={"url_ttl": 10, "retention": 60}, clock=clock) as client:
        task = client.buy()
        (item,) = client.results(task)
        clock.forward(10)
        late = client.cdn.get(item["videoURL"]).status_code
        (fresh,) = client.results(task)
        renewed = client.cdn.get(fresh["videoURL"]).status_code
        clock.forward(60)
        forgotten = client.results(task)
    assert (late, renewed, forgotten) == (403, 200, [])


def test_download_faults_know_the_task_and_its_prompt() -> None:
    rule = {"on": "download", "fault": "truncate", "match": "dog", "times": 1}
    with faulty(rule) as client:
        for prompt in ("a cat", "a dog"):
            (item,) = client.results(client.buy(positivePrompt=prompt))
            if prompt == "a cat":
                client.cdn.get(item["videoURL"])
            else:
                with pytest.raises(httpx.RemoteProtocolError):
                    client.cdn.get(item["videoURL"])
        downloads = [task["downloads"] for task in client.record()["tasks"]]
    assert downloads == [1, 0]


@pytest.mark.parametrize(
    ("on", "kind", "fields"),
    [
        ("upload_binary", "imageUpload", {}),
        ("balance", "accountManagement", {"operation": "getDetails"}),
        ("models", "modelSearch", {}),
    ],
)
def test_other_tasks_are_endpoints_too(on: str, kind: str, fields: dict[str, str]) -> None:
    with faulty({"on": on, "fault": "http_503"}) as client:
        assert client.error(client.task(kind, **fields), 503)["code"] == "serviceUnavailable"
        assert fired(client) == {f"{on} http_503": 1}


def test_client_is_killed_after_its_task_was_accepted(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    rule = {"on": "submit", "fault": "kill_client", "when": "after_accept"}
    with faulty(rule, settings={"client_pid_file": str(pid_file)}) as client:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim:
            pid_file.write_text(str(victim.pid))
            with pytest.raises(httpx.TransportError):
                client.post(client.shot())
            assert victim.wait(10) == -9
        assert client.bill() == (1, "0.302")


def test_key_in_a_leading_task_is_watched_as_well() -> None:
    rule = {"on": "submit", "fault": "redirect", "location": "{canary}/steal"}
    with faulty(rule) as client:
        key = {"taskType": "authentication", "apiKey": "secret-in-body"}
        client.http.headers.pop("Authorization")
        answer = client.post(key, client.shot())
        client.cdn.get(answer.headers["location"], headers={"X-Key": "secret-in-body"})
        assert client.kinds() == ["key_leak"]
