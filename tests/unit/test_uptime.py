"""Setting the wall clock neither refills an allowance nor blocks one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline import uptime
from pipeline.account import AccountStore, Allowance
from pipeline.uptime import Uptime, machine_uptime

LIMITS = Allowance(starts=1, window_s=60, max_tasks=10, lanes=10)
DAY_S = 86_400.0


@dataclass
class Machine:
    """A wall clock that can be set, and the time since the start, which cannot."""

    wall_s: float = 1_800_000_000.0
    up_s: float = 1_000.0
    boot: str = "first"

    def open(self, path: Path) -> AccountStore:
        up = Uptime(boot=self.boot, elapsed=lambda: self.up_s)
        return AccountStore(path, now=lambda: self.wall_s, uptime=up)

    def pass_s(self, seconds: float) -> None:
        self.wall_s += seconds
        self.up_s += seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "account.sqlite3"


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
def test_a_window_lasts_as_long_as_it_lasts(path: Path, jump_s: float) -> None:
    machine = Machine()
    with machine.open(path) as store:
        assert store.try_start("a", LIMITS) == 0
        store.answered("a", None)
        machine.wall_s += jump_s
        assert store.try_start("b", LIMITS) == pytest.approx(60)
        machine.pass_s(60)
        assert store.try_start("b", LIMITS) == 0


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
def test_processes_from_before_and_after_a_jump_agree(path: Path, jump_s: float) -> None:
    machine = Machine()
    with machine.open(path) as before:
        assert before.try_start("a", LIMITS) == 0
        before.answered("a", None)
        machine.wall_s += jump_s
        with machine.open(path) as after:
            assert after.try_start("b", LIMITS) == pytest.approx(60)
            machine.pass_s(61)
            assert after.try_start("b", LIMITS) == 0
            after.answered("b", None)
        assert before.try_start("c", LIMITS) == pytest.approx(60)


def test_a_restart_of_the_machine_begins_with_the_wall_clock_and_refills_nothing(
    path: Path,
) -> None:
    machine = Machine()
    with machine.open(path) as store:
        assert store.try_start("a", LIMITS) == 0
        store.answered("a", None)
    machine.wall_s += 20
    machine.boot, machine.up_s = "second", 5.0
    with machine.open(path) as store:
        assert store.try_start("b", LIMITS) == pytest.approx(40)


def test_a_day_of_spending_is_the_wall_clocks(path: Path) -> None:
    machine = Machine()
    with machine.open(path) as store:
        assert store.reserve("a", Decimal("0.30"), Decimal("0.30"))
        machine.wall_s += DAY_S
        assert store.spent_today_usd() == 0


def test_the_machine_has_one_clock_for_all_processes() -> None:
    one, two = machine_uptime(), machine_uptime()
    if one is None or two is None:
        pytest.skip("this system names no start of the machine")
    assert one.boot == two.boot
    assert one.elapsed() <= two.elapsed() < one.elapsed() + 60


def test_without_a_name_for_the_machines_start_the_wall_clock_must_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uptime, "_BOOT_ID", tmp_path / "none")
    assert machine_uptime() is None
