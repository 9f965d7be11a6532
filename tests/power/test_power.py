"""Power cuts in short: every moment of one run looked at, a few of them recovered from.

And the proof of the proof: a command that is careless on purpose does not get past it.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from kill.stage import Stage
from kill.verdicts import FaultKind
from power.disk import Loss
from power.launcher import BREAKS
from power.proof import Bench, Cut, Result, cuts_at, make_bench
from power.recording import build_recorder, find_place, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "can be recorded here")
_KINDS = {
    "journal-sync": FaultKind.LOST,
    "download-sync": FaultKind.FILM,
    "folder-sync": FaultKind.LOST,
}


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    made = Stage(folder=tmp_path_factory.mktemp("power") / "stage", shots=2)
    made.build()
    return made


@pytest.fixture(scope="session")
def recorder(stage: Stage) -> Path:
    return build_recorder(stage.folder)


def complaints(results: list[Result]) -> list[str]:
    return [str(result) for result in results if result.faults]


def every_cut(bench: Bench, *, seed: int) -> list[Cut]:
    return cuts_at(range(len(bench.recording.calls) + 1), seed=seed)


def test_power_may_go_at_any_moment_and_nothing_that_was_paid_is_lost(
    stage: Stage, recorder: Path, tmp_path: Path
) -> None:
    bench = make_bench(stage, find_place(tmp_path / "place"), recorder)
    looked_at = [bench.inspect(cut) for cut in every_cut(bench, seed=1)]
    assert complaints(looked_at) == []
    # Without these, nothing was at stake.
    assert {0, stage.shots} <= {result.bought for result in looked_at}
    in_doubt = max(looked_at, key=lambda result: (result.unread, result.cuts[0].loss is Loss.ALL))
    assert in_doubt.unread > 0

    chance, chosen = random.Random(4), [in_doubt]
    for loss in (Loss.NOTHING, Loss.ALL, Loss.SOME, Loss.SOME):
        chosen.append(chance.choice([one for one in looked_at if one.cuts[0].loss is loss]))
    assert complaints([bench.recover(*result.cuts) for result in chosen]) == []


@pytest.mark.parametrize("broken", sorted(BREAKS))
def test_command_that_does_not_wait_for_the_disk_is_found_out(
    stage: Stage, recorder: Path, tmp_path: Path, broken: str
) -> None:
    bench = make_bench(stage, find_place(tmp_path / "place"), recorder, broken=broken)
    results = [bench.inspect(cut) for cut in every_cut(bench, seed=1)[1::9]]
    assert _KINDS[broken] in {fault.kind for result in results for fault in result.faults}
    if broken == "journal-sync":
        worst = max(results, key=lambda result: (bool(result.faults), result.bought))
        after = bench.recover(*worst.cuts)
        assert FaultKind.PAID_TWICE in {fault.kind for fault in after.faults}
