"""A wall clock that jumps by a day in mid-run costs neither money nor the film."""

from __future__ import annotations

import pytest
from simulation.clocks import DAYS, jump

from pipeline.errors import ExitCode

SHOTS = 7


@pytest.mark.parametrize("days", DAYS)
@pytest.mark.parametrize(("at_s", "killed"), [(5.0, False), (45.0, True), (61.0, False)])
def test_doubts_are_settled_rightly_on_both_sides_of_a_jump(
    days: int, at_s: float, killed: bool
) -> None:
    result = jump(at_s, days, shots=SHOTS, killed=killed)

    assert not result.breaches
    assert result.world.faults_played
    assert result.ended[-1].code is ExitCode.DONE
    assert len(result.world.ours) == SHOTS
