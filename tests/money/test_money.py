"""The short version of the proof about caps and sums; the full one is ``make soak``.

A failing seed replays: ``python tests/money/soak.py --replay SEED --shots 6``.
"""

from __future__ import annotations

import pytest
from money.broken import BROKEN
from money.run import Cap, make_case, play
from money.soak import Row, figures, run_seed

SEEDS = 9
SHOTS = 6
# The first seed that finds each out; the soak looks for it by itself.
CAUGHT_AT = {
    "a budget that forgets earlier runs": 37,
    "a budget that forgets doubts": 91,
    "a cap that forgets doubts": 0,
    "a cap that is a cent too wide": 30,
    "a day's cap asked at the start alone": 2,
    "a day's cap asked in mid-run alone": 11,
    "prices noted a cent too low": 0,
}


@pytest.mark.parametrize("first", range(0, SEEDS, 3))
def test_no_cap_is_passed_and_every_sum_agrees(first: int) -> None:
    for seed in range(first, first + 3):
        assert not run_seed((seed, SHOTS)).breaches, f"--replay {seed} --shots {SHOTS}"


@pytest.mark.parametrize("name", BROKEN)
def test_a_program_that_is_wrong_about_money_is_caught(name: str) -> None:
    gates, verdict = BROKEN[name]
    seed = CAUGHT_AT[name]

    assert not play(make_case(seed, shots=SHOTS)).breaches
    broken = play(make_case(seed, shots=SHOTS), gates)
    assert any(breach.startswith(verdict) for breach in broken.breaches)


def test_the_proof_fails_on_any_breach_and_on_a_broken_program_that_goes_unseen() -> None:
    rows = [run_seed((seed, 2)) for seed in range(len(Cap))]
    over = Row(seed=9, cap=rows[0].cap, counts=rows[0].counts, breaches=("OVER: too much",))

    assert figures(rows, {"a mistake": 3})["passed"]
    assert not figures(rows, {"a mistake": None})["passed"]
    assert not figures([*rows, over], {"a mistake": 3})["passed"]
    assert not figures(rows[:1], {"a mistake": 3})["passed"]
