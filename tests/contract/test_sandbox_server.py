"""The server as a process and as a guest: ports, state folder, record, command line."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sandbox_support import CopyingRenderer, FakeClock, clip_bytes, sandbox

from pipeline.commands.sandbox import add_arguments
from pipeline.errors import CannotWrite, ConfigurationError, StorageError, UsageError
from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.options import Quirk, SandboxOptions
from pipeline.sandbox.server import SandboxServer, running_sandbox


def test_restarted_server_knows_its_tasks_uploads_and_bill(tmp_path: Path) -> None:
    clock = FakeClock()
    settings: dict[str, Any] = {"state": tmp_path, "clock": clock, "balance_usd": Decimal(1)}
    with sandbox(**settings) as customer:
        order = customer.order()
        task_id = customer.buy(**order)
        before = customer.record()
    with sandbox(**settings) as customer:
        assert customer.record() == before
        (url,) = customer.result(task_id)["outputs"]
        assert customer.cdn.get(url).content == clip_bytes()
        again = customer.buy(**order)
        assert customer.result(again)["status"] == "completed"
        assert customer.data(customer.get("/balance"))["balance"] == 0.4


def _leave_a_task_undrawn(state: Path) -> str:
    """Id of a task whose server ended before its clip was drawn."""
    stopped = threading.Event()

    def late(_spec: AnimaticSpec, _destination: Path) -> None:
        stopped.wait(10)

    with sandbox(state=state, render=late) as customer:
        task_id: str = customer.data(customer.submit(customer.order()))["id"]
    stopped.set()
    for thread in threading.enumerate():
        if thread.name == "sandbox-render":
            thread.join(10)
    return task_id


def test_restarted_server_draws_what_was_left_undrawn(tmp_path: Path) -> None:
    task_id = _leave_a_task_undrawn(tmp_path)
    with sandbox(state=tmp_path) as customer:
        customer.server.wait_for_renders()
        assert customer.result(task_id)["status"] == "completed"


def test_clip_left_undrawn_by_another_server_is_drawn_when_asked_for(tmp_path: Path) -> None:
    renderer = CopyingRenderer()
    with sandbox(state=tmp_path, render=renderer) as customer:
        task_id = _leave_a_task_undrawn(tmp_path)
        customer.server.wait_for_renders()
        assert renderer.specs == []
        assert customer.result(task_id)["outputs"] == []
        customer.server.wait_for_renders()
        assert customer.result(task_id)["status"] == "completed"
    assert len(renderer.specs) == 1


def test_clip_of_another_renderer_version_is_not_reused(tmp_path: Path) -> None:
    renderer = CopyingRenderer()
    for version in ("1", "1", "2"):
        with sandbox(state=tmp_path, render=renderer, render_version=version) as customer:
            customer.buy()
    assert len(renderer.specs) == 2


def test_equal_tasks_share_one_file_on_disk(tmp_path: Path) -> None:
    with sandbox(state=tmp_path) as customer:
        clips = [tmp_path / "outputs" / customer.buy() / "clip.mp4" for _ in range(2)]
        assert clips[0].samefile(clips[1])


def test_temporary_state_is_gone_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with sandbox() as customer:
        customer.buy()
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_record_is_served_without_a_key_and_written_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "made" / "record.json"
    with sandbox(record=path, min_poll_s=2.0) as customer:
        customer.buy()
        live = httpx.get(f"{customer.server.base_url}/_sandbox/record", trust_env=False).json()
        assert live == customer.record()
        assert not path.exists()
    assert json.loads(path.read_text()) == live == customer.record()
    assert list(path.parent.iterdir()) == [path]
    assert live["limits"] == {
        "starts_per_window": 5000,
        "rate_window_s": 60.0,
        "max_tasks": 10000,
        "min_poll_s": 2.0,
    }
    assert live["counters"] == {"submit": 1, "upload_put": 1, "upload_ticket": 1}


def test_record_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    options = SandboxOptions(render=CopyingRenderer(), record=tmp_path / "file" / "record.json")
    with pytest.raises(CannotWrite), running_sandbox(options):
        pass


def test_state_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    options = SandboxOptions(render=CopyingRenderer(), state=tmp_path / "file")
    with pytest.raises(CannotWrite), running_sandbox(options):
        pass


@pytest.mark.parametrize("damage", [b"not a database, not by a long way", None])
def test_state_of_something_else_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    with sandbox(state=tmp_path):
        pass
    database = tmp_path / "sandbox.sqlite3"
    if damage is None:
        import sqlite3  # noqa: PLC0415

        connection = sqlite3.connect(database)
        connection.execute("PRAGMA user_version = 999")
        connection.close()
    else:
        database.write_bytes(damage)
    with pytest.raises(StorageError), sandbox(state=tmp_path):
        pass


def test_taken_port_is_named_and_the_other_one_let_go() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            SandboxServer(SandboxOptions(render=CopyingRenderer(), files_port=port))


def test_both_ports_are_on_loopback_only() -> None:
    with sandbox() as customer:
        for url in (customer.server.base_url, customer.server.files_url):
            assert url.startswith("http://127.0.0.1:")
            with socket.socket(socket.AF_INET6) as outside:
                port = int(url.rpartition(":")[2])
                assert outside.connect_ex(("::1", port)) != 0


def _parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="storyboard sandbox")
    add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    "words",
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--files-port", "http"),
        ("--key", ""),
        ("--key", "kéy"),
        ("--key", "a\n"),
        ("--level", "tin"),
        ("--rpm", "0"),
        ("--rpm", "٣"),
        ("--max-tasks", "1.5"),
        ("--rate-window", "0"),
        ("--rate-window", "nan"),
        ("--over-limit", "drop"),
        ("--retry-after", "soon"),
        ("--latency", "3:1"),
        ("--latency", ":"),
        ("--latency", "inf"),
        ("--seed", "x"),
        ("--min-poll", "-1"),
        ("--sync-limit", "1e400"),
        ("--balance", "-1"),
        ("--balance", "NaN"),
        ("--balance", "5,00"),
        ("--insufficient-credit-status", "500"),
        ("--quirk", "other-way-round"),
        ("--socket-idle", "0"),
    ],
)
def test_option_that_makes_no_sense_is_a_usage_error_naming_it(words: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=words[0]):
        _parse(f"{words[0]}={words[1]}")


def test_options_have_the_documented_defaults() -> None:
    args = _parse()
    assert (args.port, args.key, args.level, args.rate_window) == (0, None, "ultra", 60.0)
    assert (args.latency, args.min_poll, args.balance) == ((0.0, 0.0), 1.0, Decimal(1000))
    assert (args.quirk, args.socket_idle) == ([], 120.0)
    assert _parse("--latency", "2").latency == (2.0, 2.0)
    assert _parse("--latency", "1:3.5").latency == (1.0, 3.5)


def test_every_quirk_can_be_asked_for_and_is_documented() -> None:
    names = [quirk.value for quirk in Quirk]
    assert _parse(*(f"--quirk={name}" for name in names)).quirk == names
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert [name for name in names if f"| `{name}` |" not in page] == []


_PROGRAM = """
import argparse, sys
from pipeline.commands.sandbox import add_arguments, main
parser = argparse.ArgumentParser()
add_arguments(parser)
sys.exit(main(parser.parse_args()))
"""


@contextmanager
def _process(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The command in a process of its own, listening; told to end, and killed if it does not."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _PROGRAM, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, None])
def test_command_serves_until_told_to_stop_and_writes_its_record(
    tmp_path: Path, ending: signal.Signals | None
) -> None:
    record = tmp_path / "record.json"
    words = ["--record", str(record), "--state", str(tmp_path / "state"), "--level", "bronze"]
    if ending is None:
        words.append("--exit-on-stdin-close")
    with _process(*words) as (process, line):
        answer = httpx.get(
            f"{line['base_url']}/api/v3/balance",
            headers={"Authorization": f"Bearer {line['key']}"},
            trust_env=False,
        )
        if ending is None:
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(ending)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert answer.json()["data"] == {"balance": 1000.0}
    assert set(line) == {"base_url", "files_url", "key"}
    kept = json.loads(record.read_text())
    assert kept["counters"] == {"balance": 1}
    assert kept["limits"]["starts_per_window"] == 2


def test_command_given_a_key_announces_and_demands_it() -> None:
    with _process("--key", "only-this") as (_, line):
        statuses = [
            httpx.get(
                f"{line['base_url']}/api/v3/balance",
                headers={"Authorization": f"Bearer {key}"},
                trust_env=False,
            ).status_code
            for key in ("only-this", "other")
        ]
    assert line["key"] == "only-this"
    assert statuses == [200, 401]


def test_helper_passes_the_servers_own_error_on() -> None:
    def broken() -> int:
        raise RuntimeError("no clock")

    options = SandboxOptions(render=CopyingRenderer(), clock=broken)
    with pytest.raises(RuntimeError, match="no clock"), running_sandbox(options):
        pass


def test_fault_of_the_sandbox_itself_is_a_flat_500_and_it_goes_on() -> None:
    clock, broken = FakeClock(), threading.Event()

    def sometimes() -> int:
        if broken.is_set():
            raise RuntimeError("no clock")
        return clock()

    with sandbox(clock=sometimes) as customer:
        broken.set()
        fault = customer.get("/balance")
        broken.clear()
        assert customer.get("/balance").status_code == 200
    assert fault.status_code == 500
    assert set(fault.json()) == {"code", "message"}
