"""One run at two paid providers: its cap, and its one question, are about all that it buys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from studio import Studio, paid_sandbox

from pipeline.sandbox import runware_results
from pipeline.sandbox.bill import usd
from pipeline.sandbox.server import SandboxServer


@contextmanager
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """A sandbox that either provider believes to be the real one."""
    with paid_sandbox(monkeypatch) as server:
        monkeypatch.setenv("RUNWARE_BASE_URL", server.base_url)
        monkeypatch.setenv("RUNWARE_API_KEY", "test-key-of-runware")
        yield server


def manifests(studio: Studio) -> tuple[Path, Path]:
    """A shot for $0.304 at Runware, and one for $0.30 at WaveSpeed."""
    made = []
    for name, provider in (("one", "runware"), ("two", "wavespeed")):
        path = studio.write(name, 1, extra=f"provider: {provider}")
        made.append(path)
    first, second = made
    first.write_text(
        first.read_text().replace("resolution: 480p", "runware: {width: 848, height: 480}")
    )
    return first, second


def test_the_cap_of_a_run_is_for_all_its_providers_together(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = manifests(studio)
    with both(monkeypatch) as server:
        assert studio.run("run", "--max-cost", "0.60", *files) == 4
        assert server.record()["counters"] == {}
        assert "estimate $0.604 > $0.60; nothing sent" in studio.stderr
        assert studio.stderr.count("nothing sent") == 1
        assert studio.run("run", "--json", "--max-cost", "0.604", *files) == 0
        assert server.record()["bill"]["total_usd"] == "0.604"
    spent = [run["money"]["spent_usd"] for run in json.loads(studio.stdout)["runs"]]
    assert spent == ["0.304", "0.30"]


def test_what_the_first_provider_really_took_is_not_left_for_the_second(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = manifests(studio)
    monkeypatch.setattr(runware_results, "usd", lambda micro_usd: usd(2 * micro_usd))
    with both(monkeypatch) as server:
        assert studio.run("run", "--max-cost", "0.90", *files) == 4
        assert len(server.record()["tasks"]) == 1
        assert "estimate $0.30 on top of $0.608" in studio.stderr
        assert studio.summary("two")["exit_code"] == 4
        assert studio.run("run", "--max-cost", "0.30", *files) == 0


def test_a_person_is_asked_once_for_all_providers(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = manifests(studio)
    answers = iter(["n\n"])
    terminal: Any = SimpleNamespace(isatty=lambda: True, readline=lambda: next(answers))
    monkeypatch.setattr("sys.stdin", terminal)
    with both(monkeypatch) as server:
        assert studio.run("run", *files) == 4
        assert server.record()["counters"] == {}
    assert studio.stderr.count("[y/N]") == 1
    assert "Spend $0.604 at runware and wavespeed?" in studio.stderr


def test_without_a_terminal_a_budget_of_one_is_no_cap_for_the_other(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = manifests(studio)
    second.write_text(f"budget: 5\n{second.read_text()}")
    with both(monkeypatch) as server:
        assert studio.run("run", first, second) == 4
        assert server.record()["counters"] == {}
    assert "$0.604 at runware and wavespeed and no cap" in studio.stderr


def test_what_the_sandbox_draws_takes_nothing_from_the_cap(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = studio.write("free", 1)
    _, paid = manifests(studio)
    monkeypatch.setattr("pipeline.commands.making._work", lambda *_: None)
    assert studio.run("run", "--max-cost", "0.30", free, paid) == 0
