"""Webhook and upload endpoint of Runware's dialect: called on this machine, and nowhere else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

from runware_support import Client, runware
from sandbox_support import clip_bytes

from pipeline.sandbox.faults import parse_faults
from pipeline.sandbox.options import Quirk


class Ear(ThreadingHTTPServer):
    """Takes what is sent to it; the first ``refusals`` requests are answered with 500."""

    def __init__(self, refusals: int) -> None:
        super().__init__(("127.0.0.1", 0), Mouth)
        self.refusals = refusals
        self.heard: Queue[tuple[str, str, str, bytes]] = Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?secret=s"

    def next(self) -> tuple[str, str, str, bytes]:
        return self.heard.get(timeout=5)


class Mouth(BaseHTTPRequestHandler):
    server: Ear

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        self.server.heard.put((self.command, self.path, kind, body))
        self.server.refusals -= 1
        self.send_response(500 if self.server.refusals >= 0 else 204)
        self.end_headers()

    do_PUT = do_POST

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


def _counters(client: Client) -> dict[str, int]:
    return dict(client.record()["counters"])


def test_every_result_is_told_and_delivered() -> None:
    with listening() as hook, listening() as storage, runware() as client:
        task = client.buy(
            webhookURL=hook.url, uploadEndpoint=storage.url, numberResults=2, duration=1
        )
        told = [hook.next() for _ in range(2)]
        put = [storage.next() for _ in range(2)]
        results = client.results(task)
        (record,) = client.record()["tasks"]
    assert [json.loads(body) for *_, body in told] == results
    assert {(method, path, kind) for method, path, kind, _ in told} == {
        ("POST", "/hook?secret=s", "application/json")
    }
    assert put == [("PUT", "/hook?secret=s", "video/mp4", clip_bytes())] * 2
    assert record["webhook"] == hook.url


def test_notice_can_be_wrapped() -> None:
    quirks = frozenset({Quirk.WRAPPED_WEBHOOKS})
    with listening() as hook, runware(quirks=quirks) as client:
        client.buy(webhookURL=hook.url)
        (item,) = json.loads(hook.next()[3])["data"]
    assert item["status"] == "success"


def test_notice_that_was_not_taken_is_sent_again() -> None:
    with listening(refusals=1) as hook, runware() as client:
        client.buy(webhookURL=hook.url)
        assert hook.next() == hook.next()


def test_failure_is_told() -> None:
    faults = parse_faults([{"on": "result", "fault": "nsfw"}])
    with listening() as hook, runware(faults=faults, latency_s=(60.0, 60.0)) as client:
        client.poll(client.buy(webhookURL=hook.url))
        (error,) = json.loads(hook.next()[3])["errors"]
    assert error["code"] == "providerContentPolicyViolation"


def test_nothing_is_sent_to_other_machines() -> None:
    with listening() as hook, runware() as client:
        client.buy(uploadEndpoint="https://storage.example.com/x?sig=1", webhookURL=hook.url)
        hook.next()
        assert _counters(client)["upload_endpoint.elsewhere"] == 1
