"""A history that is late by hours costs nothing, as long as the bill is not."""

from __future__ import annotations

from collections import Counter

import pytest
from simulation.broken import BlindToTheBill
from simulation.judge import judge
from simulation.lives import Fate
from simulation.run import SOUND, Parts, Result, run_scenario
from simulation.scenario import Faults, Scenario, plain_board

from pipeline.errors import ExitCode

SEEDS = range(4)
SHOTS = 4


def play(seed: int, *, echo: str = "exact", parts: Parts = SOUND, **faults: float) -> Result:
    """Answers are lost, one life is killed, and the history is an hour and more behind."""
    scenario = Scenario(
        seed=seed,
        boards=(plain_board(SHOTS),),
        faults=Faults(submit=faults),
        fates=(Fate(what="kill", label="submit made", count=2),),
        pauses_s=(8.0,),
        history_lag_s=5000.0,
        echo=echo,
    )
    return run_scenario(scenario, parts=parts, judge=judge)


@pytest.mark.parametrize("echo", ["exact", "rewritten", "none"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_late_history_with_a_timely_bill_never_buys_twice(seed: int, echo: str) -> None:
    result = play(seed, echo=echo, lost_after=0.5, lost_before=0.1)

    assert not result.breaches
    assert max(Counter(str(task.body["prompt"]) for task in result.world.ours).values()) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_once_the_history_shows_them_lost_tasks_are_taken_up(seed: int) -> None:
    result = play(seed, lost_after=0.5)

    assert ExitCode.IN_DOUBT in {ended.code for ended in result.ended}
    assert result.ended[-1].code is ExitCode.DONE
    assert len(result.world.ours) == len(result.world.arrivals_s) == SHOTS


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_look_at_the_bill_it_would_buy_twice(seed: int) -> None:
    result = play(seed, parts=Parts(provider=BlindToTheBill), lost_after=0.5)

    assert any(breach.startswith("PAID TWICE") for breach in result.breaches)
