"""Signals, make, a second copy, a full disk, a server that dies: nothing is lost or paid twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from kill.incidents import (
    FULL_DISK_KIB,
    INCIDENTS,
    SMALL_FILES_BYTES,
    Incident,
    Setting,
    full_disk,
    may_mount,
    small_files,
)
from kill.loop import Loop

# A machine that is shared stands still now and then; the figures are the soak's.
STALL_S = 6.0
Play = Callable[[Setting], Incident]


def play_all(plays: Mapping[str, Play], loop: Loop, base: Path) -> dict[str, Incident]:
    """Play them at the same time, as most of it is waiting; each must be without a fault."""

    def play(name: str) -> Incident:
        folder = base / name.replace(" ", "-")
        return plays[name](
            Setting(stage=loop.stage, folder=folder, film_sha256=loop.film_sha256, after_s=0.1)
        )

    with ThreadPoolExecutor(len(plays)) as pool:
        played = dict(zip(plays, pool.map(play, plays), strict=True))
    assert {name: one.faults for name, one in played.items() if one.faults} == {}
    return played


def named(*names: str) -> dict[str, Play]:
    return {name: INCIDENTS[name] for name in names}


def test_signals_leave_no_doubt_and_no_paid_clip_behind(loop: Loop, tmp_path: Path) -> None:
    played = play_all(
        named(
            "first Ctrl-C",
            "second Ctrl-C",
            "Ctrl-C twice through make",
            "SIGTERM, nothing on the wire",
            "SIGTERM, a submission on the wire",
        ),
        loop,
        tmp_path,
    )
    assert played["second Ctrl-C"].seconds < 2.0 + STALL_S
    assert played["SIGTERM, nothing on the wire"].seconds < 5.0 + STALL_S
    # The answer was two seconds away, and was waited for.
    assert 1.0 < played["SIGTERM, a submission on the wire"].seconds < 2.0 + STALL_S


def test_second_copy_and_finished_film_end_at_once_and_ask_nobody(
    loop: Loop, tmp_path: Path
) -> None:
    played = play_all(named("a second copy", "nothing left to do"), loop, tmp_path)
    # Not by the clock on the wall, which measures the machine's other work as well.
    assert max(one.cpu_s for one in played.values()) < 1.5


def test_limits_hold_over_restarts_and_processes(loop: Loop, tmp_path: Path) -> None:
    play_all(named("a storm of restarts", "two storyboards at once"), loop, tmp_path)


def test_server_that_dies_and_comes_back_has_its_tasks_fetched(loop: Loop, tmp_path: Path) -> None:
    play_all(named("a server that dies"), loop, tmp_path)


def test_files_that_cannot_grow_end_the_run_in_words_and_cost_nothing_twice(
    loop: Loop, tmp_path: Path
) -> None:
    plays = {f"{n} bytes": partial(small_files, limit_bytes=n) for n in SMALL_FILES_BYTES}
    play_all(plays, loop, tmp_path)


def test_full_disk_ends_the_run_in_words_and_costs_nothing_twice(
    loop: Loop, tmp_path: Path
) -> None:
    if not may_mount(tmp_path):
        pytest.skip("needs the right to mount")
    plays = {f"{n} KiB": partial(full_disk, size_kib=n) for n in FULL_DISK_KIB}
    play_all(plays, loop, tmp_path)
