"""Runware's WebSocket: the same tasks as frames, the key given once, faults on the wire."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from runware_support import Client, runware
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pipeline.sandbox.faults import parse_faults


class Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, *tasks: object) -> None:
        self.connection.send(json.dumps(list(tasks)))

    def hear(self) -> Any:
        return json.loads(self.connection.recv(timeout=5))

    def ask(self, *tasks: object) -> Any:
        self.send(*tasks)
        return self.hear()


@contextmanager
def socket_of(
    client: Client, *, key: str | None = "any-key", path: str = "/v1", port: str = "api"
) -> Iterator[Socket]:
    base = client.server.base_url if port == "api" else client.server.files_url
    with connect(f"{base.replace('http', 'ws')}{path}", proxy=None) as connection:
        socket = Socket(connection)
        if key is not None:
            socket.ask({"taskType": "authentication", "apiKey": key})
        yield socket


@pytest.mark.parametrize("path", ["/v1", "/"])
def test_shot_is_bought_and_polled_over_a_socket(path: str) -> None:
    with runware(key="right") as client, socket_of(client, key="right", path=path) as socket:
        shot = client.shot()
        acknowledged = socket.ask(shot)
        client.server.wait_for_renders()
        (item,) = socket.ask({"taskType": "getResponse", "taskUUID": shot["taskUUID"]})["data"]
        assert client.cdn.get(item["videoURL"]).status_code == 200
        (error,) = socket.ask(shot)["errors"]
        bill = client.bill()
    assert acknowledged == {"data": [{"taskType": "videoInference", "taskUUID": shot["taskUUID"]}]}
    assert (item["status"], item["cost"]) == ("success", 0.302)
    assert (error["code"], error["taskUUID"]) == ("conflictTaskUUID", shot["taskUUID"])
    assert bill == (1, "0.302")


def test_socket_without_a_good_key_only_answers_pings() -> None:
    with runware(key="right") as client, socket_of(client, key=None) as socket:
        pong = socket.ask({"taskType": "ping", "ping": True})
        early = socket.ask(client.shot())
        wrong = socket.ask({"taskType": "authentication", "apiKey": "wrong"})
        still = socket.ask(client.shot())
        right = socket.ask({"taskType": "authentication", "apiKey": "right"})
        bought = socket.ask(client.shot())
    assert pong == {"data": [{"taskType": "ping", "pong": True}]}
    codes = [answer["errors"][0]["code"] for answer in (early, wrong, still)]
    assert codes == ["missingApiKey", "invalidApiKey", "missingApiKey"]
    assert isinstance(right["data"][0]["connectionSessionUUID"], str)
    assert bought["data"][0]["taskType"] == "videoInference"


def test_broken_frame_is_answered_and_the_socket_stays() -> None:
    with runware() as client, socket_of(client) as socket:
        socket.connection.send("{")
        assert socket.hear()["errors"][0]["code"] == "invalidRequest"
        assert "data" in socket.ask({"taskType": "ping", "ping": True})


def test_dry_run_of_a_whole_socket_sells_nothing() -> None:
    with runware() as client, socket_of(client, path="/v1?dryRun=1") as socket:
        (item,) = socket.ask(client.shot())["data"]
        assert item["cost"] == 0.302
        assert client.bill() == (0, "0.00")


def test_silent_socket_is_closed() -> None:
    with (
        runware(socket_idle_s=0.05) as client,
        socket_of(client) as socket,
        pytest.raises(ConnectionClosed),
    ):
        socket.connection.recv(timeout=5)


@pytest.mark.parametrize(("path", "port"), [("/v2", "api"), ("/v1", "files")])
def test_there_is_one_place_for_sockets(path: str, port: str) -> None:
    with (
        runware() as client,
        pytest.raises(InvalidStatus),
        socket_of(client, path=path, port=port),
    ):
        pass


def test_accepted_task_whose_answer_is_lost_is_found_on_a_new_socket() -> None:
    faults = parse_faults([{"on": "submit", "fault": "reset_after_accept", "nth": 1}])
    with runware(faults=faults) as client:
        shot = client.shot()
        with socket_of(client) as socket, pytest.raises(ConnectionClosed):
            socket.ask(shot)
        client.server.wait_for_renders()
        with socket_of(client) as socket:
            (error,) = socket.ask(shot)["errors"]
            (item,) = socket.ask({"taskType": "getResponse", "taskUUID": shot["taskUUID"]})["data"]
        bill = client.bill()
    assert error["code"] == "conflictTaskUUID"
    assert item["status"] == "success"
    assert bill == (1, "0.302")


def test_slow_answer_does_not_hold_up_others() -> None:
    faults = parse_faults([{"on": "submit", "fault": "delay", "seconds": 0.5}])
    with runware(faults=faults) as client, socket_of(client) as socket:
        socket.send(client.shot())
        assert socket.ask({"taskType": "ping", "ping": True})["data"][0]["taskType"] == "ping"
        assert socket.hear()["data"][0]["taskType"] == "videoInference"


def test_open_socket_does_not_keep_the_server_from_ending() -> None:
    start_s = time.monotonic()
    with ExitStack() as later:
        with runware() as client:
            later.enter_context(socket_of(client))
        assert time.monotonic() - start_s < 3
