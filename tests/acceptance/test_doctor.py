"""``storyboard doctor --provider``: what holds for the account, without spending."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from studio import Studio, draw_cheaply

from pipeline.commands import account_check
from pipeline.model import Resolution
from pipeline.sandbox.server import SandboxOptions, running_sandbox

KEY = "a-key-of-thirty-characters-9876"
each_provider = pytest.mark.parametrize("provider", ["wavespeed", "runware"])


def examine(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, provider: str, **options: Any
) -> tuple[int, Any, Any]:
    """Exit code, report, and what the provider saw."""
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", KEY)
    with running_sandbox(SandboxOptions(render=draw_cheaply, **options)) as server:
        monkeypatch.setenv(f"{provider.upper()}_BASE_URL", server.base_url)
        code = studio.run("doctor", "--provider", provider, "--json")
        record: Any = server.record()
    assert record["tasks"] == []
    assert record["bill"]["total_usd"] == "0.00"
    assert KEY not in studio.stdout + studio.stderr
    return code, json.loads(studio.stdout), record


def test_the_sandbox_is_always_there_and_needs_nothing(studio: Studio) -> None:
    assert studio.run("doctor", "--provider", "sandbox") == 0
    assert "always there" in studio.stdout
    assert studio.run("doctor", "--provider", "sandbox", "--json") == 0
    assert json.loads(studio.stdout)["provider"] == "sandbox"


@pytest.mark.parametrize(
    ("provider", "prices", "starts"),
    [("wavespeed", ("0.30", "0.30"), 500), ("runware", ("0.422", None), 120)],
)
def test_an_account_that_is_well_is_exit_0(
    studio: Studio,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    prices: tuple[str, str | None],
    starts: int,
) -> None:
    monkeypatch.setenv("STORYBOARD_ACCOUNT_LEVEL", "silver")
    monkeypatch.setenv("STORYBOARD_MAX_TASKS", "7")
    code, report, _ = examine(studio, monkeypatch, provider, balance_usd=Decimal("12.5"))
    assert code == 0
    assert report["problems"] == []
    assert report["key"] == f"***9876 ({provider.upper()}_API_KEY)"
    assert report["base_url"].startswith("http://127.0.0.1:")
    assert (report["account"], report["balance_usd"]) == ("reached", "12.50")
    limits = (report["level"], report["submits_per_minute"], report["max_tasks"])
    assert limits == ("silver", starts, 7)
    assert (report["listed_usd"], report["quoted_usd"]) == prices


@each_provider
def test_a_key_that_is_refused_is_exit_77(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    code, report, _ = examine(studio, monkeypatch, provider, key="another")
    assert code == 77
    assert report["account"] == "refuses the key"
    assert "check the key" in report["problems"][0]


@each_provider
def test_credit_that_pays_for_no_shot_is_exit_77(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    code, report, _ = examine(studio, monkeypatch, provider, balance_usd=Decimal("0.29"))
    assert code == 77
    assert "top up" in report["problems"][0]


def test_a_quote_that_is_not_the_listed_price_is_exit_78(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = account_check.RATE_CARDS["wavespeed"]
    cheap = replace(card, usd_per_s={Resolution.P720: Decimal("0.04")})
    monkeypatch.setattr(account_check, "RATE_CARDS", MappingProxyType({"wavespeed": cheap}))
    code, report, _ = examine(studio, monkeypatch, "wavespeed")
    assert code == 78
    assert "$0.30" in report["problems"][0]
    assert "$0.24" in report["problems"][0]


def test_a_clock_that_is_far_off_is_exit_78(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(*_: object) -> bool:
        return False

    monkeypatch.setattr(account_check, "_ask_balance", ask)
    monkeypatch.setattr(account_check.HttpProvider, "server_ahead_s", 400.0)
    code, report, _ = examine(studio, monkeypatch, "wavespeed")
    assert code == 78
    assert "400 s apart" in report["problems"][0]


@pytest.mark.parametrize(
    ("date_minus_ours_s", "told"), [(-0.999, 0), (0.0, 0), (-1.3, 0), (-3.2, -2), (4.0, 4)]
)
def test_what_a_date_leaves_out_of_a_second_is_no_difference_of_clocks(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, date_minus_ours_s: float, told: int
) -> None:
    async def ask(*_: object) -> bool:
        return False

    monkeypatch.setattr(account_check, "_ask_balance", ask)
    monkeypatch.setattr(account_check.HttpProvider, "server_ahead_s", date_minus_ours_s)
    _, report, _ = examine(studio, monkeypatch, "wavespeed")
    assert report["clock_ahead_s"] == told


@each_provider
def test_a_provider_out_of_reach_is_exit_69(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", KEY)
    monkeypatch.setenv(f"{provider.upper()}_BASE_URL", "http://127.0.0.1:1")
    assert studio.run("doctor", "--provider", provider) == 69
    assert "not reached" in studio.stdout
    assert "cannot reach 127.0.0.1:1" in studio.stderr
    assert KEY not in studio.stdout + studio.stderr


@each_provider
def test_without_a_key_it_is_exit_78_and_says_which_variable(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    for name in ("", "_FILE"):
        monkeypatch.delenv(f"{provider.upper()}_API_KEY{name}", raising=False)
    assert studio.run("doctor", "--provider", provider) == 78
    assert f"{provider.upper()}_API_KEY" in studio.stderr


def test_the_keys_of_both_providers_are_listed(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WAVESPEED", "RUNWARE"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
        monkeypatch.delenv(f"{name}_API_KEY_FILE", raising=False)
    assert studio.run("doctor", "--json") == 0
    report = json.loads(studio.stdout)
    assert (report["wavespeed_key"], report["runware_key"]) == ("not set", "not set")
    file = studio.folder / "runware.key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o644)
    monkeypatch.setenv("WAVESPEED_API_KEY", KEY)
    monkeypatch.setenv("RUNWARE_API_KEY_FILE", str(file))
    assert studio.run("doctor", "--json") == 0
    report = json.loads(studio.stdout)
    assert report["wavespeed_key"] == "set (WAVESPEED_API_KEY)"
    assert report["runware_key"].startswith("set (RUNWARE_API_KEY_FILE); ")
    assert "chmod 600" in report["runware_key"]


def test_a_key_file_that_cannot_be_read_is_said_and_is_exit_78(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNWARE_API_KEY", raising=False)
    monkeypatch.setenv("RUNWARE_API_KEY_FILE", str(Path("nowhere.key")))
    assert studio.run("doctor", "--json") == 78
    words = json.loads(studio.stdout)["runware_key"]
    assert words.startswith("cannot be used: ")
    assert "nowhere.key" in words
