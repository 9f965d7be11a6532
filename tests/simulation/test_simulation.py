"""The short version of the proof: some hundred seeds, and that broken programs are caught.

The full one is ``make soak``. A failing seed replays exactly:
``python tests/simulation/soak.py --replay SEED --shots N``.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import pytest
from simulation.broken import BROKEN, BROKEN_RUNWARE, CARES
from simulation.figures import (
    DOUBT_FAULTS,
    ambiguous,
    blackout,
    killed_at,
    measure_polls,
    measure_rate,
)
from simulation.judge import judge
from simulation.lives import Fate
from simulation.run import run_scenario
from simulation.scenario import TENDER_POINTS, Faults, Scenario, plain_board, random_scenario

from pipeline.errors import ExitCode

SEEDS = 60
SHOTS = 6
# Each broken program must be caught within this many seeds.
CAUGHT_WITHIN = 30


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_no_promise_is_broken_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, first + 20):
        result = run_scenario(random_scenario(seed, shots=SHOTS), judge=judge)
        replay = f"python tests/simulation/soak.py --replay {seed} --shots {SHOTS}"
        assert not result.breaches, f"seed {seed}; {replay}"


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_program_is_caught_within_a_few_seeds(name: str) -> None:
    parts, verdict = BROKEN[name]
    for seed in range(CAUGHT_WITHIN):
        result = run_scenario(random_scenario(seed, shots=SHOTS), parts=parts, judge=judge)
        if any(breach.startswith(verdict) for breach in result.breaches):
            return
    pytest.fail(f"{name} went through {CAUGHT_WITHIN} seeds")


def test_no_promise_is_broken_where_the_ids_are_ours() -> None:
    for seed in range(20):
        scenario = random_scenario(seed, shots=SHOTS, provider="runware")
        assert not run_scenario(scenario, judge=judge).breaches, f"--runware --replay {seed}"


@pytest.mark.parametrize("name", BROKEN_RUNWARE)
def test_a_program_that_is_wrong_about_ids_is_caught(name: str) -> None:
    parts, verdict = BROKEN_RUNWARE[name]
    for seed in range(CAUGHT_WITHIN):
        scenario = random_scenario(seed, shots=SHOTS, provider="runware")
        found = run_scenario(scenario, parts=parts, judge=judge).breaches
        if any(breach.startswith(verdict) for breach in found):
            return
    pytest.fail(f"{name} went through {CAUGHT_WITHIN} seeds")


@pytest.mark.parametrize("name", CARES)
def test_each_care_about_ids_is_needed_and_enough(name: str) -> None:
    care = CARES[name]
    worlds = [replace(care.scenario, seed=seed) for seed in range(10)]
    for world in worlds:
        assert not run_scenario(world, judge=judge).breaches
    with ExitStack() as stack:
        for place, other in care.without:
            stack.enter_context(patch(place, other))
        results = [run_scenario(world, parts=care.parts, judge=judge) for world in worlds]
    assert any(breach.startswith(care.verdict) for one in results for breach in one.breaches)


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_replays_to_the_last_event(seed: int) -> None:
    scenario = random_scenario(seed, shots=SHOTS)
    digests = {run_scenario(scenario, judge=judge).digest for _ in range(2)}
    assert len(digests) == 1


def test_another_seed_is_another_story() -> None:
    digests = {
        run_scenario(random_scenario(seed, shots=2), judge=judge).digest for seed in range(4)
    }
    assert len(digests) == 4


@pytest.mark.parametrize("point", TENDER_POINTS)
def test_a_death_at_a_tender_point_costs_nothing(point: str) -> None:
    scenario = Scenario(
        seed=7,
        boards=(plain_board(3),),
        faults=Faults(submit={"500_after": 0.3, "500_before": 0.3}),
        fates=(Fate(what="kill", label=point, count=1), Fate(what="kill", label=point, count=2)),
        pauses_s=(1.0, 1.0),
    )
    result = run_scenario(scenario, judge=judge)
    assert not result.breaches
    assert len(result.world.ours) == 3


@pytest.mark.parametrize("tick", range(1, 320, 29))
def test_a_death_at_an_exact_point_costs_nothing(tick: int) -> None:
    result = killed_at(tick)
    assert not result.breaches
    assert len(result.world.ours) == 3
    assert result.ended[-1].code is ExitCode.DONE


@pytest.mark.parametrize("fault", ["lost_after", "lost_before", "half_json_before", "503_after"])
def test_an_unclear_answer_on_runware_is_asked_for_by_our_own_id(fault: str) -> None:
    result = ambiguous(fault, 0.3, seed=1, shots=10, provider="runware")
    assert not result.breaches
    assert result.world.faults_played
    assert result.ended[-1].code is ExitCode.DONE
    assert len(result.world.ours) == 10


def test_every_answer_lost_after_acceptance_ends_with_one_task_a_shot() -> None:
    result = ambiguous("lost_after", 1.0, seed=1)
    assert not result.breaches
    assert result.ended[0].code is ExitCode.DONE
    assert len(result.world.ours) == len(result.world.arrivals_s) == 20


@pytest.mark.parametrize("fault", DOUBT_FAULTS)
def test_an_ambiguous_answer_is_settled_without_a_person(fault: str) -> None:
    result = ambiguous(fault, 0.3, seed=5, shots=6)
    assert not result.breaches
    assert result.world.faults_played
    # What makes no task twice in a row is left to the next run.
    assert result.ended[0].code in {ExitCode.DONE, ExitCode.UNAVAILABLE}
    assert result.ended[-1].code is ExitCode.DONE
    assert len(result.world.ours) == 6


@pytest.mark.parametrize("fault", ["lost_after", "500_before", "half_json_after"])
def test_without_a_history_nothing_is_sent_twice_and_a_person_is_asked(fault: str) -> None:
    result = ambiguous(fault, 0.3, seed=5, shots=6, history=False)
    assert not result.breaches
    assert result.ended[0].code is result.ended[-1].code is ExitCode.IN_DOUBT
    assert max(Counter(result.world.asked_for).values()) == 1


def test_tasks_that_never_end_do_not_hold_up_the_run() -> None:
    scenario = Scenario(
        seed=1, boards=(plain_board(8),), max_tasks=2, faults=Faults(task={"stuck": 1.0})
    )
    result = run_scenario(scenario, judge=judge)
    assert not result.breaches
    first = result.ended[0]
    assert first.code is ExitCode.TRY_LATER
    assert first.ended_s <= scenario.task_limit_s + 2 * scenario.poll_interval_s


def test_a_blackout_of_three_minutes_costs_only_time() -> None:
    result = blackout()
    assert not result.breaches
    assert result.ended[0].code is ExitCode.DONE
    assert len(result.world.ours) == len(result.world.arrivals_s) == 20


def test_the_allowed_rate_is_used() -> None:
    rate = measure_rate()
    assert rate.span_s <= 1.05 * rate.ideal_s
    assert rate.used_share >= 0.95


def test_tasks_are_not_asked_about_too_often() -> None:
    polls = measure_polls()
    assert polls.polls <= 1.3 * polls.fair_polls


def test_a_strangers_task_is_not_taken_over_where_the_history_shows_no_inputs() -> None:
    for seed in range(6, 15):
        scenario = Scenario(
            seed=seed,
            boards=(plain_board(4),),
            echo="none",
            strangers=1,
            starts=2,
            window_s=6.0,
            faults=Faults(submit={"500_before": 0.3}),
        )
        assert not run_scenario(scenario, judge=judge).breaches
