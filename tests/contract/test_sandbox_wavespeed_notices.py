"""WaveSpeed's webhook as the sandbox sends it: the bare task, signed, to this machine only."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.parse import quote

import pytest
from sandbox_support import Customer, sandbox

from pipeline.sandbox.faults import parse_faults


class Ear(ThreadingHTTPServer):
    """Takes what is sent to it; the first ``refusals`` requests are answered with 500."""

    def __init__(self, refusals: int) -> None:
        super().__init__(("127.0.0.1", 0), Mouth)
        self.refusals = refusals
        self.heard: Queue[tuple[str, dict[str, str], bytes]] = Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=a&b=c"

    def next(self) -> tuple[str, dict[str, str], bytes]:
        return self.heard.get(timeout=5)


class Mouth(BaseHTTPRequestHandler):
    server: Ear

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.heard.put((self.path, headers, body))
        self.server.refusals -= 1
        self.send_response(500 if self.server.refusals >= 0 else 204)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@contextmanager
def listening(refusals: int = 0) -> Iterator[Ear]:
    with Ear(refusals) as ear:
        thread = threading.Thread(target=ear.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield ear
        finally:
            ear.shutdown()
            thread.join()


def submit(customer: Customer, url: str) -> str:
    answer = customer.submit(customer.order(duration=6), query=f"?webhook={quote(url, safe='')}")
    return str(customer.data(answer)["id"])


def is_signed(customer: Customer, headers: dict[str, str], body: bytes) -> bool:
    """The check of the provider's page, step by step."""
    secret = customer.data(customer.get("/webhook/secret"))["secret"]
    assert secret.startswith("whsec_")
    head = f"{headers['webhook-id']}.{headers['webhook-timestamp']}."
    key = secret[len("whsec_") :].encode()
    digest = hmac.new(key, head.encode() + body, hashlib.sha256).hexdigest()
    return headers["webhook-signature"] == f"v3,{digest}"


def test_the_end_of_a_task_is_told_once_and_signed() -> None:
    with listening() as hook, sandbox() as customer:
        task_id = submit(customer, hook.url)
        path, headers, body = hook.next()
        result = customer.result(task_id)
        assert is_signed(customer, headers, body)
        assert not is_signed(customer, headers, body + b" ")
        counters = customer.record()["counters"]
    told = json.loads(body)
    assert told.pop("input")["prompt"] == "@image1 turns"
    assert told == result
    assert path == "/hook?token=a&b=c"
    assert headers["content-type"] == "application/json"
    assert counters["webhook"] == 1


def test_a_task_that_failed_is_told_as_well() -> None:
    faults = parse_faults([{"on": "result", "fault": "nsfw"}])
    with listening() as hook, sandbox(faults=faults, latency_s=(60.0, 60.0)) as customer:
        customer.result(submit(customer, hook.url))
        told = json.loads(hook.next()[2])
    assert told["status"] == "failed"
    assert told["error"]


def test_a_notice_that_was_not_taken_comes_again_under_the_same_id_signed_anew() -> None:
    with listening(refusals=1) as hook, sandbox() as customer:
        submit(customer, hook.url)
        (_, first, body), (_, again, same) = hook.next(), hook.next()
        assert is_signed(customer, again, same)
    assert body == same
    assert first["webhook-id"] == again["webhook-id"]


@pytest.mark.parametrize("url", ["https://hooks.example.com/x", "https://127.0.0.1/x", "nonsense"])
def test_nothing_is_sent_to_other_machines(url: str) -> None:
    with listening() as hook, sandbox() as customer:
        submit(customer, url)
        submit(customer, hook.url)
        hook.next()
        until = time.monotonic() + 5
        while "webhook.elsewhere" not in (counters := customer.record()["counters"]):
            assert time.monotonic() < until
    assert (counters["webhook.elsewhere"], counters["webhook"]) == (1, 1)
