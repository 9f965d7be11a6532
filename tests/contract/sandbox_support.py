"""What the sandbox's tests share: a clock that stands still, a cheap renderer, a plain client."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.server import SandboxOptions, SandboxServer, running_sandbox

MODEL = "x-ai/grok-imagine-video/reference-to-video"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


class FakeClock:
    """Unix time in nanoseconds that moves only when told to."""

    def __init__(self) -> None:
        self.now_ns = 1_775_808_930_123_456_789

    def __call__(self) -> int:
        return self.now_ns

    def forward(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1_000_000_000)


@functools.cache
def clip_bytes() -> bytes:
    """A real clip, a quarter of a second long."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        source = ["-f", "lavfi", "-i", "testsrc2=size=64x36:rate=24:duration=0.25"]
        command = [str(find_ffmpeg(os.environ)), "-nostdin", "-v", "error", *source, str(path)]
        subprocess.run(command, check=True, timeout=60)
        return path.read_bytes()


class CopyingRenderer:
    """Draws every clip as the same small one, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.specs: list[AnimaticSpec] = []

    def __call__(self, spec: AnimaticSpec, destination: Path) -> None:
        self.specs.append(spec)
        part = destination.with_suffix(".part")
        part.write_bytes(clip_bytes())
        part.replace(destination)


class Customer:
    """A client of the API that knows nothing but paths and JSON."""

    def __init__(self, server: SandboxServer, *, key: str | None = "any-key") -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.server = server
        # No certificates: loading them takes longer than most of these tests.
        plain: dict[str, Any] = {"trust_env": False, "verify": False}
        self.http = httpx.Client(base_url=server.base_url, headers=headers, **plain)
        self.cdn = httpx.Client(**plain)

    def post(self, path: str, body: object) -> httpx.Response:
        return self.http.post(f"/api/v3{path}", json=body)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"/api/v3{path}")

    def data(self, response: httpx.Response) -> Any:
        assert response.status_code == 200, response.text
        envelope = response.json()
        assert (envelope["code"], envelope["message"]) == (200, "success")
        return envelope["data"]

    def ticket(self, data: bytes = PNG, filename: str = "hero.png") -> Any:
        return self.data(self.post("/media/uploads", {"filename": filename, "size": len(data)}))

    def upload(self, data: bytes = PNG, filename: str = "hero.png") -> str:
        ticket = self.ticket(data, filename)
        put = self.cdn.put(
            ticket["upload"]["url"], content=data, headers=ticket["upload"]["headers"]
        )
        assert put.status_code == 200, put.text
        return str(ticket["download_url"])

    def order(self, **changes: object) -> dict[str, object]:
        body: dict[str, object] = {"images": [self.upload()], "prompt": "@image1 turns"}
        return body | changes

    def submit(self, body: object, *, query: str = "") -> httpx.Response:
        return self.post(f"/{MODEL}{query}", body)

    def buy(self, **changes: object) -> str:
        """Submit a shot, wait for its clip to be drawn, give back the task id."""
        task_id: str = self.data(self.submit(self.order(**changes)))["id"]
        self.server.wait_for_renders()
        return task_id

    def result(self, task_id: str) -> Any:
        return self.data(self.get(f"/predictions/{task_id}/result"))

    def kinds(self) -> list[str]:
        """Kinds of the violations so far, in order."""
        return [violation["kind"] for violation in self.record()["violations"]]

    def record(self) -> Any:
        return self.server.record()


@contextmanager
def customer_of(server: SandboxServer, *, key: str | None = "any-key") -> Iterator[Customer]:
    """A client of a running server."""
    customer = Customer(server, key=key)
    with customer.http, customer.cdn:
        yield customer


@contextmanager
def sandbox(**changes: Any) -> Iterator[Customer]:
    """A running server with a customer; every option may be changed."""
    settings: dict[str, Any] = {"render": CopyingRenderer(), "clock": FakeClock()} | changes
    with (
        running_sandbox(SandboxOptions(**settings)) as server,
        customer_of(server, key=settings.get("key", "any-key")) as customer,
    ):
        yield customer
