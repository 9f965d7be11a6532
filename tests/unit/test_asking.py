"""A submission under an id of ours whose answer was lost: what proves what, and what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes import CHOSEN, World, completed
from support import event

from pipeline.asking import ask_by_id
from pipeline.errors import (
    ConfigurationError,
    ExitCode,
    NoCredit,
    RateLimited,
    ReferenceRefused,
    Rejected,
    SubmissionInDoubt,
    Unavailable,
)
from pipeline.ledger import Attempt, EventKind, fold
from pipeline.production import Services

REQUEST = {
    "images": ["https://static.example/a.png"],
    "prompt": "@image1 turns slowly",
    "duration": 6,
    "resolution": "720p",
}
TASK = "11111111-1111-4111-8111-111111111111"
DAY_S = 86_400.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.provider.capabilities = CHOSEN
    return world


@pytest.fixture
def services(world: World) -> Iterator[Services]:
    with ExitStack() as stack:
        yield world.open(stack)


def doubt(**intent: Any) -> Attempt:
    intent = {"request": REQUEST, "task_id": TASK, "shot": "a"} | intent
    return fold([event(EventKind.INTENT, "a1", **intent)]).attempts[0]


async def ask(services: Services, attempt: Attempt | None = None, why_not: str = "") -> str | None:
    return await ask_by_id(services, attempt or doubt(), TASK, permit=lambda: why_not)


# ---------------------------------------------------------------- a second sending and its answer


@pytest.mark.anyio
@pytest.mark.parametrize("refusal", [Rejected("400: no"), ReferenceRefused("gone", hint="look")])
async def test_a_refusal_of_the_second_sending_says_nothing_of_the_first(
    world: World, services: Services, refusal: Exception
) -> None:
    def refuse(_: object) -> Exception:
        # From now on the task that the first sending made is to be seen.
        world.provider.statuses[TASK] = [completed("https://cdn.example/1.mp4")]
        return refusal

    world.provider.submits = [refuse]
    assert await ask(services) == TASK


@pytest.mark.anyio
async def test_after_a_refusal_the_archive_is_asked_as_well(
    world: World, services: Services
) -> None:
    world.provider.submits = [Rejected("400: no")]
    world.provider.archived.add(TASK)
    assert await ask(services) == TASK
    assert len(world.provider.submitted) == 1


@pytest.mark.anyio
async def test_what_was_refused_is_absent_only_if_neither_place_ever_shows_it(
    world: World, services: Services
) -> None:
    world.provider.submits = [Rejected("400: no")]
    assert await ask(services) is None
    assert len(world.provider.submitted) == 1
    assert len(world.provider.details_asked) == 2
    # The first sending has 60 s to be answered and 10 s to settle; then 10 s more.
    assert world.clock.now_s >= 80


@pytest.mark.anyio
async def test_after_a_refusal_a_question_that_fails_proves_nothing(
    world: World, services: Services
) -> None:
    world.provider.submits = [Rejected("400: no")]
    world.provider.archives = [Unavailable("the archive is down")] * 9
    with pytest.raises(SubmissionInDoubt, match=r"archive is down.*storyboard resolve.*a"):
        await ask(services)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [ConfigurationError("no API there: 404"), RateLimited("slow"), SubmissionInDoubt("broke")],
)
async def test_an_answer_that_is_no_verdict_is_asked_for_again_and_left_in_doubt(
    world: World, services: Services, answer: Exception
) -> None:
    world.provider.submits = [answer] * 9
    with pytest.raises(SubmissionInDoubt, match="storyboard resolve") as caught:
        await ask(services)
    assert caught.value.exit_code is ExitCode.IN_DOUBT
    assert len({request.task_id for request in world.provider.submitted}) == 1
    assert len(world.provider.submitted) == 5


@pytest.mark.anyio
async def test_a_second_sending_without_credit_leaves_it_in_doubt(
    world: World, services: Services
) -> None:
    world.provider.submits = [NoCredit("402: top up")]
    with pytest.raises(SubmissionInDoubt, match="top up"):
        await ask(services)


# ---------------------------------------------------------------- what is only looked for


@pytest.mark.anyio
async def test_what_may_not_be_sent_again_is_looked_for_and_found(
    world: World, services: Services
) -> None:
    world.provider.archived.add(TASK)
    assert await ask(services, why_not="nobody wants it") == TASK
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_what_may_not_be_sent_again_and_is_not_shown_stays_in_doubt(
    world: World, services: Services
) -> None:
    with pytest.raises(SubmissionInDoubt, match=r"nobody wants it.*storyboard resolve"):
        await ask(services, why_not="nobody wants it")
    assert world.provider.submitted == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("then_s", "now_s", "clock_s"),
    [
        (None, None, DAY_S + 1),  # nobody knows the provider's clock
        (0.0, 0.0, DAY_S + 1),
        (-20 * 3600.0, 0.0, 10 * 3600.0),  # ours was ahead at the intent: it is 30 h old
        (-2 * DAY_S, 0.0, -3600.0),  # so far ahead that the intent lies in the future
        (None, 0.0, -3600.0),
        (0.0, 20 * 3600.0, 10 * 3600.0),  # ours has been set back by 20 h since
        (None, 20 * 3600.0, 10 * 3600.0),  # or was, for all that is known
    ],
)
async def test_an_id_that_may_be_forgotten_is_never_sent_again(
    world: World,
    services: Services,
    then_s: float | None,
    now_s: float | None,
    clock_s: float,
) -> None:
    world.provider.server_ahead_s = now_s
    world.clock.now_s = clock_s
    with pytest.raises(SubmissionInDoubt, match="not sent again"):
        await ask(services, doubt(server_ahead_s=then_s))
    assert world.provider.submitted == []
    assert set(world.provider.details_asked) == {TASK}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("then_s", "now_s", "clock_s"),
    [
        (None, None, 3600.0),
        (DAY_S, DAY_S, 3600.0),  # ours is a day behind, then as now
        (-DAY_S, -DAY_S, 3600.0),
        (0.0, -2 * DAY_S, 2 * DAY_S + 3600.0),  # ours was set ahead since
        (None, -DAY_S, 3600.0),
        (0.7, -0.3, 0.0),  # a `Date` is rounded
    ],
)
async def test_an_id_that_is_surely_remembered_is_sent_again_whatever_our_clock_says(
    world: World,
    services: Services,
    then_s: float | None,
    now_s: float | None,
    clock_s: float,
) -> None:
    world.provider.server_ahead_s = now_s
    world.clock.now_s = clock_s
    assert await ask(services, doubt(server_ahead_s=then_s)) == TASK
    assert [request.task_id for request in world.provider.submitted] == [TASK]


@pytest.mark.anyio
async def test_an_earlier_submission_is_not_sent_again_before_the_providers_clock_is_known(
    world: World, services: Services
) -> None:
    """A question that nobody answered tells no time, and our own clock may be days off."""
    world.provider.statuses[TASK] = [Unavailable("the line broke")]
    world.provider.server_ahead_s = None
    with pytest.raises(SubmissionInDoubt, match="the line broke"):
        await ask(services, doubt(server_ahead_s=0.0))
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_of_a_submission_of_this_run_the_age_is_known_without_any_clock(
    world: World, services: Services
) -> None:
    services.sent_at[TASK] = 0.0
    world.provider.server_ahead_s = 10 * DAY_S
    assert await ask(services) == TASK
    assert len(world.provider.submitted) == 1


@pytest.mark.anyio
async def test_a_task_of_several_results_is_asked_for_as_such(
    world: World, services: Services
) -> None:
    attempt = doubt(request=REQUEST | {"results": 2}, results=2)
    assert await ask(services, attempt) == TASK
    assert world.provider.submitted[0].results == 2
