"""Both official Python SDKs of Runware, unchanged but for their base URL, against the sandbox.

They share one import name, so each customer's program runs in a process of its own.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from runware_support import Client, runware
from sandbox_support import PNG, clip_bytes

_PROGRAMS = Path(__file__).with_name("runware_sdks")
# Where `make setup` puts the older one.
_OLD_SDK = Path(sys.prefix) / "sdk" / "runware-0.5"


def _run(program: str, *arguments: str, import_path: Path | None = None) -> Any:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RUNWARE_")}
    env |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    if import_path is not None:
        env["PYTHONPATH"] = str(import_path)
    process = subprocess.run(
        [sys.executable, str(_PROGRAMS / program), *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def _picture(folder: Path) -> str:
    path = folder / "hero.png"
    path.write_bytes(PNG)
    return str(path)


def _addresses(client: Client) -> dict[str, str]:
    base = f"{client.server.base_url}/v1"
    return {"rest": base, "websocket": base.replace("http:", "ws:")}


def test_older_sdk_runs_a_reference_shot_over_its_socket(tmp_path: Path) -> None:
    assert (_OLD_SDK / "runware").is_dir(), f"no older SDK in {_OLD_SDK}: run `make setup`"
    with runware(key="right", clock=time.time_ns, min_poll_s=0.0) as client:
        told = _run(
            "old.py", _addresses(client)["websocket"], _picture(tmp_path), import_path=_OLD_SDK
        )
        clip = client.cdn.get(told["url"]).content
        record = client.record()
    assert clip == clip_bytes()
    (task,) = record["tasks"]
    assert (task["id"], told["cost"], record["bill"]["total_usd"]) == (told["task"], 0.302, "0.302")
    assert told["uuid"] in told["url"]
    assert "unsupportedDuration" in told["refusal"]["text"]
    assert record["violations"] == []


@pytest.mark.parametrize("transport", ["rest", "websocket"])
def test_newer_sdk_runs_a_reference_shot_over_both_transports(
    transport: str, tmp_path: Path
) -> None:
    with runware(key="right", clock=time.time_ns, min_poll_s=0.0) as client:
        told = _run("new.py", transport, _addresses(client)[transport], _picture(tmp_path))
        clips = [client.cdn.get(result["videoURL"]).content for result in told["results"]]
        record = client.record()
    assert clips == [clip_bytes()] * 2
    assert [result["cost"] for result in told["results"]] == [0.302, 0.302]
    assert record["bill"]["total_usd"] == "0.604"
    assert told["account"]["balance"]["amount"] == 999.396
    assert told["details"]["response"]["data"] == told["results"]
    assert told["refusal"]["parameter"] == "duration"
    assert "16" in told["refusal"]["text"]
    assert record["violations"] == []


def test_both_sdks_are_the_ones_that_are_meant() -> None:
    assert int(importlib.metadata.version("runware-sdk").split(".")[0]) >= 1
    found = importlib.metadata.distributions(path=[str(_OLD_SDK)])
    assert [(d.name, d.version[:4]) for d in found] == [("runware", "0.5.")]
