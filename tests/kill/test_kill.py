"""The kill loop in short: every exact moment, some random ones, every write of a small run.

And the proof of the proof: a command that is broken on purpose does not get past it.
"""

from __future__ import annotations

import pytest
from kill.loop import Loop, Result
from kill.points import AtMoment, Point, exact_points, random_points, write_point
from kill.verdicts import FaultKind

_SECOND_ACCEPTED = Point(
    terms="wide", deaths=(AtMoment(on="submit", when="after_accept", nth=2),), kind="exact"
)


def complaints(results: list[Result]) -> list[str]:
    return [f"{r.point}: {fault} ({r.kept})" for r in results for fault in r.faults]


def test_run_killed_at_any_exact_or_random_moment_pays_once_and_makes_its_film(loop: Loop) -> None:
    # The first shot, one between others and the last, each where it has another part to play.
    points = [
        point
        for terms, nth in (("wide", 1), ("one lane", 2), ("runware", 3))
        for point in exact_points(loop.stage.shots, terms=terms)
        if point.deaths[0].nth == nth
    ]
    points += random_points(2, seed=1, kills=1) + random_points(1, seed=2)
    results = list(loop.play_all(points))
    assert complaints(results) == []
    assert [str(result.point) for result in results if not result.all_died] == []
    assert max(result.doubts for result in results) > 0


def test_run_killed_at_its_own_writes_pays_once_and_makes_its_film(loop: Loop) -> None:
    # With one lane, what a dead run has left taken would keep the next one waiting.
    points = [write_point("journal", n, terms="one lane") for n in (1, 2, 4, 9, 30)]
    results = list(loop.play_all(points))
    assert complaints(results) == []
    assert all(result.all_died for result in results)


@pytest.mark.parametrize("broken", ["blind-retry", "late-intent"])
def test_command_that_is_broken_on_purpose_is_caught_paying_twice(
    broken: str, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "launcher", ("--break", broken))
    result = loop.play(_SECOND_ACCEPTED)
    assert FaultKind.PAID_TWICE in {fault.kind for fault in result.faults}
