"""The machine's wall clock jumps in the middle of a run, while real time goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from unittest.mock import patch

import trio
from simulation.fittings import utc_now
from simulation.judge import judge
from simulation.lives import Fate
from simulation.run import Result, run_scenario
from simulation.scenario import Faults, Scenario, plain_board

DAYS = (1, -1)
# From the first submission's time to the last clip's.
MOMENTS_S = (0.5, 5.0, 20.0, 45.0, 70.0, 130.0)
# Enough shots at this rate for the jump to come between submissions.
_STARTS = 5


@contextmanager
def jumping(at_s: float, days: int) -> Iterator[None]:
    """The program's wall clock is moved by so many days at a moment of virtual time."""

    def jumped() -> datetime:
        late = trio.current_time() >= at_s
        return utc_now() + timedelta(days=days if late else 0)

    with patch("simulation.run.utc_now", jumped):
        yield


def jump(at_s: float, days: int, *, seed: int = 1, shots: int = 12, killed: bool = False) -> Result:
    """Lost answers on both sides of a jump; ``killed``: and a death soon after it."""
    scenario = Scenario(
        seed=seed,
        boards=(plain_board(shots),),
        starts=_STARTS,
        faults=Faults(submit={"lost_after": 0.25, "500_before": 0.15}),
        fates=(Fate(what="kill", label="submit made", count=shots // 2),) if killed else (),
        pauses_s=(1.0,) if killed else (),
    )
    with jumping(at_s, days):
        return run_scenario(scenario, judge=judge)


def faults_of_jumps(*, shots: int = 12) -> tuple[int, list[str]]:
    """How many jumps were played, and what was wrong after any of them."""
    wrong = []
    played = 0
    for days in DAYS:
        for at_s in MOMENTS_S:
            for killed in (False, True):
                result = jump(at_s, days, shots=shots, killed=killed)
                played += 1
                said = [*result.breaches]
                if result.ended[-1].code != 0:
                    said.append(f"exit {result.ended[-1].code!r}")
                if len(result.world.ours) != shots:
                    said.append(f"{len(result.world.ours)} tasks for {shots} shots")
                wrong += [f"{days:+d} day at {at_s:g} s, killed {killed}: {one}" for one in said]
    return played, wrong
