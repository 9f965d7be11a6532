"""A lost answer is found again in a history of thousands of others' tasks."""

from __future__ import annotations

from simulation.judge import judge
from simulation.run import run_scenario
from simulation.scenario import Faults, Scenario, plain_board

from pipeline.errors import ExitCode


def test_ours_is_found_among_2500_rows_page_by_page() -> None:
    scenario = Scenario(
        seed=1,
        boards=(plain_board(2),),
        strangers=10_000,
        faults=Faults(submit={"lost_after": 1.0}),
    )
    result = run_scenario(scenario, judge=judge)

    assert not result.breaches
    assert result.ended[0].code is ExitCode.DONE
    assert len(result.world.ours) == len(result.world.arrivals_s) == 2
    assert result.world.requests > 25
