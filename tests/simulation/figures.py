"""Figures of a run in a world where nothing, or just one thing, goes wrong."""

from __future__ import annotations

from dataclasses import dataclass

from simulation.judge import judge
from simulation.lives import Fate
from simulation.run import Result, run_scenario
from simulation.scenario import (
    ACCEPTED_FAULTS,
    UNMADE_FAULTS,
    Faults,
    Scenario,
    plain_board,
)

# The faults after which it is not known whether a task was made, and those that say no.
DOUBT_FAULTS = (
    *ACCEPTED_FAULTS,
    "lost_before",
    "reset_before",
    "500_before",
    "502_before",
    "503_before",
    "504_before",
    "hang_before",
    "half_json_before",
    "empty_before",
    "no_id_before",
    "envelope_500_before",
    "429",
    "429_seconds",
    "429_silly",
)
if not set(DOUBT_FAULTS) <= {*ACCEPTED_FAULTS, *UNMADE_FAULTS}:
    raise AssertionError("a fault that nothing plays")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateUse:
    """How well an allowance is used while work waits; times are virtual seconds.

    ``span_s`` from the first submission to the last; ``ideal_s`` the same for a client that
    sends each one at the first moment at which the provider would take it, given how long the
    first burst took; ``used_share`` of the starts that the provider would have taken in that
    time.
    """

    span_s: float
    ideal_s: float
    used_share: float


def measure_rate(*, shots: int = 120, starts: int = 60, window_s: float = 60.0) -> RateUse:
    """Buy many shots at a small rate and look at the door when they come."""
    scenario = Scenario(
        seed=1, boards=(plain_board(shots),), starts=starts, window_s=window_s, max_tasks=1000
    )
    result = run_scenario(scenario, judge=judge)
    _sound(result)
    arrivals_s = sorted(result.world.arrivals_s)
    burst_s = arrivals_s[starts - 1] - arrivals_s[0]
    windows = (shots - 1) // starts
    span_s = arrivals_s[-1] - arrivals_s[0]
    # How long after the provider would have taken it each submission came, on average.
    late_s = sum(
        later_s - (earlier_s + window_s)
        for earlier_s, later_s in zip(arrivals_s, arrivals_s[starts:], strict=False)
    ) / (shots - starts)
    return RateUse(
        span_s=span_s,
        ideal_s=windows * window_s + burst_s,
        used_share=window_s / (window_s + late_s),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PollUse:
    """Looks at tasks against the time that they took over the interval."""

    polls: int
    fair_polls: float
    violations: int


def measure_polls(*, shots: int = 60, task_s: tuple[float, float] = (40.0, 120.0)) -> PollUse:
    """Count looks at tasks of a usual length; looks too close together are violations."""
    scenario = Scenario(seed=2, boards=(plain_board(shots),), task_s=task_s)
    result = run_scenario(scenario, judge=judge)
    _sound(result)
    lived_s = [task.ends_s - task.created_s for task in result.world.ours]
    fair = sum(seconds / scenario.poll_interval_s + 1 for seconds in lived_s)
    # Looks closer together than the interval, and looks after the end was told.
    return PollUse(
        polls=result.world.polls, fair_polls=fair, violations=len(result.world.violations)
    )


def blackout(*, shots: int = 20) -> Result:
    """Looks at tasks are answered 503 for three minutes, while all of them run."""
    scenario = Scenario(
        seed=3,
        boards=(plain_board(shots),),
        poll_off_s=(2.0, 182.0),
        task_limit_s=1800.0,
    )
    return run_scenario(scenario, judge=judge)


def ambiguous(
    fault: str,
    chance: float,
    seed: int,
    *,
    shots: int = 20,
    history: bool = True,
    provider: str = "wavespeed",
) -> Result:
    """One kind of bad answer to that share of the submissions."""
    scenario = Scenario(
        seed=seed,
        provider=provider,
        boards=(plain_board(shots),),
        starts=60,
        faults=Faults(submit={fault: chance}),
        history_off_s=0.0 if history else float("inf"),
    )
    return run_scenario(scenario, judge=judge)


def killed_at(tick: int, *, shots: int = 3) -> Result:
    """One death at exactly that point of a production in a world without faults."""
    scenario = Scenario(
        seed=4,
        boards=(plain_board(shots),),
        uploads=True,
        fates=(Fate(what="kill", label="", count=tick),),
        pauses_s=(1.0,),
        submit_timeout_s=5.0,
        settle_s=1.0,
    )
    return run_scenario(scenario, judge=judge)


def _sound(result: Result) -> None:
    if result.breaches:
        raise AssertionError("; ".join(result.breaches))
