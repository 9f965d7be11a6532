"""Webhooks end to end: a provider tells, a run hears, and what it does stays the same."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import httpx
import pytest
from studio import Studio, draw_cheaply, draw_picture

from pipeline.sandbox.answers import Refusal
from pipeline.sandbox.server import SandboxOptions, SandboxServer, running_sandbox
from pipeline.sandbox.wavespeed import WaveSpeedApi

KEY = "a-key-of-this-test"
TOKEN = "canary-token-4b1d0c7e"
PAID = ("--yes", "--max-cost", "100")


@contextmanager
def both(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[SandboxServer]:
    """A sandbox that both providers are believed to be at, whose tasks take half a second."""
    chosen: dict[str, Any] = {
        "render": draw_cheaply,
        "min_poll_s": 0.2,
        "latency_s": (0.5, 0.5),
    } | options
    with running_sandbox(SandboxOptions(**chosen)) as server:
        for name in ("WAVESPEED", "RUNWARE"):
            monkeypatch.setenv(f"{name}_BASE_URL", server.base_url)
            monkeypatch.setenv(f"{name}_API_KEY", KEY)
        yield server


def manifest_for(studio: Studio, provider: str) -> Path:
    if provider == "wavespeed":
        return studio.write("ad", 2)
    draw_picture(studio.folder / "a.png", "a")
    lines = ["storyboard: ad", "title: Ad", "shots:"]
    for number in (1, 2):
        lines.append(
            f"  - {{id: s{number}, images: [a.png], prompt: 'shot {number} of @image1', "
            "duration: 6, runware: {width: 848, height: 480}}"
        )
    path = studio.folder / "ad.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@pytest.mark.parametrize("provider", ["wavespeed", "runware"])
def test_a_notice_brings_the_clip_long_before_the_next_poll_is_due(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    manifest = manifest_for(studio, provider)
    monkeypatch.setenv("STORYBOARD_POLL_INTERVAL_S", "60")
    port = free_port()
    monkeypatch.setenv("STORYBOARD_WEBHOOK_URL", f"http://127.0.0.1:{port}/hook?token={TOKEN}")
    began = time.monotonic()
    with both(monkeypatch) as server:
        command = ("run", "--provider", provider, *PAID, "--listen", str(port), manifest)
        assert studio.run(*command) == 0, studio.stderr
        record: Any = server.record()
    assert time.monotonic() - began < 50
    assert "2 heard, 0 repeated, 0 refused" in studio.stderr
    assert record["violations"] == []
    assert [task["polls"] for task in record["tasks"]] == [1, 1]
    assert all(TOKEN in task["webhook"] for task in record["tasks"])
    written = [path for path in studio.folder.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
    assert TOKEN not in studio.stdout + studio.stderr
    # Where its notices go is no part of what is bought.
    monkeypatch.delenv("STORYBOARD_WEBHOOK_URL")
    assert studio.run("run", "--provider", provider, manifest) == 0


def test_where_notices_go_astray_polling_brings_the_clips(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = manifest_for(studio, "wavespeed")
    url = f"http://127.0.0.1:{free_port()}/?token={TOKEN}"
    with both(monkeypatch) as server:
        command = ("run", "--provider", "wavespeed", *PAID, "--webhook-url", url, manifest)
        assert studio.run(*command) == 0, studio.stderr
        record: Any = server.record()
    assert record["counters"]["webhook.failed"] >= 1
    assert studio.film("ad").exists()


def test_a_run_that_cannot_learn_the_secret_polls_and_says_so(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = manifest_for(studio, "wavespeed")

    async def refuse(*_: object) -> None:
        raise Refusal(403, "this key may not")

    monkeypatch.setattr(WaveSpeedApi, "_webhook_secret", refuse)
    with both(monkeypatch):
        command = ("run", "--provider", "wavespeed", *PAID, "--listen", "0", manifest)
        assert studio.run(*command) == 0, studio.stderr
    assert "webhooks: not listened to: " in studio.stderr
    assert "this key may not" in studio.stderr
    assert studio.film("ad").exists()


def test_a_run_that_has_nothing_to_know_runwares_notices_by_polls_and_says_so(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, port = manifest_for(studio, "runware"), free_port()
    with both(monkeypatch):
        hook = ("--listen", str(port), "--webhook-url", f"http://127.0.0.1:{port}/")
        assert studio.run("run", "--provider", "runware", *PAID, *hook, manifest) == 0
    assert "has no ?token=; polling goes on" in studio.stderr
    assert studio.film("ad").exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--webhook-url", "http://hooks.example.com/?token=hide"), 64),
        (("--webhook-url", "https://me:hide@hooks.example.com/"), 64),
        (("--listen", "70000"), 64),
        (("--listen", "192.0.2.1:0"), 78),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_before_anything_is_sent(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
) -> None:
    manifest = manifest_for(studio, "wavespeed")
    with both(monkeypatch) as server:
        assert studio.run("run", "--provider", "wavespeed", *PAID, *options, manifest) == code
        record: Any = server.record()
    assert record["counters"] == {}
    assert "hide" not in studio.stdout + studio.stderr


@contextmanager
def listener(tmp_path: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """``storyboard listen`` as a program, and where it listens."""
    url = f"https://ads.example.com/hook?token={TOKEN}"
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", "listen", "--port", "0", "--json", *options],
        env=os.environ | {"STORYBOARD_WEBHOOK_URL": url},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        try:
            yield process, read_line(process.stdout)["listening"]
        finally:
            process.kill()


def read_line(stream: IO[bytes] | None) -> Any:
    assert stream is not None
    ready, _, _ = select.select([stream], [], [], 30)
    assert ready
    return json.loads(stream.readline())


def test_listen_prints_genuine_notices_of_both_providers_and_ends_at_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with (
        both(monkeypatch, latency_s=(0.0, 0.0)) as server,
        listener(tmp_path) as (process, url),
        httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {KEY}"}) as client,
    ):
        assert client.post(f"{url}/?token=wrong", content=b'{"taskUUID": "x"}').status_code == 401
        shot = {"images": ["https://images.example/a.png"], "prompt": "@image1", "duration": 6}
        model = "x-ai/grok-imagine-video/reference-to-video"
        answer = client.post(
            f"{server.base_url}/api/v3/{model}?webhook={quote(f'{url}/', safe='')}", json=shot
        )
        first = read_line(process.stdout)
        body = {"taskUUID": "0b8c4f8e-4f0a-4f7d-9d3e-2f6c1a5b7e90", "status": "success"}
        assert client.post(f"{url}/any?token={TOKEN}", json=body).status_code == 204
        second = read_line(process.stdout)
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=30)
    # It names an image that cannot be reached, so it has failed; told it was all the same.
    assert (first["provider"], first["task_id"], first["word"]) == (
        "wavespeed",
        answer.json()["data"]["id"],
        "failed",
    )
    assert (second["provider"], second["task_id"]) == ("runware", body["taskUUID"])
    assert (process.returncode, rest) == (0, b"")
    assert b"2 heard, 0 repeated, 1 refused" in errors
    assert TOKEN.encode() not in errors


def test_listen_without_anything_to_judge_by_is_exit_78(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WAVESPEED_API_KEY", "WAVESPEED_API_KEY_FILE", "STORYBOARD_WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)
    assert studio.run("listen", "--port", "0") == 78
    assert "WAVESPEED_API_KEY" in studio.stderr


def test_listen_with_a_key_that_is_refused_is_exit_77(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with both(monkeypatch, key="another-key"):
        assert studio.run("listen", "--port", "0") == 77
    assert KEY not in studio.stderr
