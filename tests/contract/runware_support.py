"""A plain client of the sandbox's Runware dialect, and a server that has one."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from sandbox_support import PNG, CopyingRenderer, FakeClock

from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import SandboxServer, running_sandbox

MODEL = "xai:grok-imagine@video"
DATA_URI = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


class Client:
    """Knows one address and JSON."""

    def __init__(self, server: SandboxServer, *, key: str | None = "any-key") -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.server = server
        plain: dict[str, Any] = {"trust_env": False, "verify": False}
        self.http = httpx.Client(base_url=server.base_url, headers=headers, **plain)
        self.cdn = httpx.Client(**plain)

    def post(self, *tasks: object, **options: Any) -> httpx.Response:
        return self.http.post("/v1", json=list(tasks), **options)

    def shot(self, **changes: Any) -> dict[str, Any]:
        """A valid reference shot; a change to None leaves the parameter out."""
        body: dict[str, Any] = {
            "taskType": "videoInference",
            "taskUUID": str(uuid.uuid4()),
            "model": MODEL,
            "positivePrompt": "@image1 turns",
            "width": 848,
            "height": 480,
            "duration": 6,
            "inputs": {"referenceImages": [DATA_URI]},
            "deliveryMethod": "async",
            "includeCost": True,
        } | changes
        return {name: value for name, value in body.items() if value is not None}

    def item(self, response: httpx.Response) -> Any:
        """The only item of a good answer."""
        assert response.status_code == 200, response.text
        assert "errors" not in response.json(), response.text
        (item,) = response.json()["data"]
        return item

    def error(self, response: httpx.Response, status: int = 400) -> Any:
        """The only error of an answer that has nothing else."""
        assert response.status_code == status, response.text
        body = response.json()
        assert body["data"] == []
        (error,) = body["errors"]
        return error

    def buy(self, **changes: Any) -> str:
        """Submit a shot, wait for its clips to be drawn, give back its id."""
        shot = self.shot(**changes)
        self.item(self.post(shot))
        self.server.wait_for_renders()
        return str(shot["taskUUID"])

    def poll(self, task_uuid: str) -> httpx.Response:
        return self.post({"taskType": "getResponse", "taskUUID": task_uuid})

    def results(self, task_uuid: str) -> list[Any]:
        response = self.poll(task_uuid)
        assert response.status_code == 200, response.text
        return list(response.json()["data"])

    def task(self, kind: str, **fields: Any) -> httpx.Response:
        return self.post({"taskType": kind, "taskUUID": str(uuid.uuid4())} | fields)

    def record(self) -> Any:
        return self.server.record()

    def bill(self) -> tuple[int, str]:
        """Number of tasks, and what they cost."""
        record = self.record()
        return len(record["tasks"]), record["bill"]["total_usd"]

    def kinds(self) -> list[str]:
        return [violation["kind"] for violation in self.record()["violations"]]


@contextmanager
def client_of(server: SandboxServer, *, key: str | None = "any-key") -> Iterator[Client]:
    client = Client(server, key=key)
    with client.http, client.cdn:
        yield client


@contextmanager
def runware(**changes: Any) -> Iterator[Client]:
    """A running server with a client; every option may be changed."""
    settings: dict[str, Any] = {"render": CopyingRenderer(), "clock": FakeClock()} | changes
    with (
        running_sandbox(SandboxOptions(**settings)) as server,
        client_of(server, key=settings.get("key", "any-key")) as client,
    ):
        yield client
