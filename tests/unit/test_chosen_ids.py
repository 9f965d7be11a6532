"""A provider that lets us choose a task's id: doubts, several takes of one task, a lost journal."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import CHOSEN, World, completed, failed, processing
from support import make_shot, make_storyboard

from pipeline.capabilities import RUNWARE
from pipeline.errors import (
    ConfigurationError,
    ExitCode,
    RateLimited,
    ReferenceRefused,
    Rejected,
    SubmissionInDoubt,
    Unavailable,
    UnknownTask,
)
from pipeline.ledger import AttemptState
from pipeline.model import Output, Shot, Storyboard
from pipeline.providers.base import TakeRequest, TaskStatus
from pipeline.waking import Bell


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.provider.capabilities = CHOSEN
    return world


def shot(name: str, *, takes: int = 1, results: int = 1) -> Shot:
    return replace(
        make_shot(name, prompt=f"@image1 as {name}", takes=takes), output=Output(results=results)
    )


ONE = make_storyboard(shot("a"))
DONE = completed("https://cdn.example/1.mp4")
BOTH = completed("https://cdn.example/1.mp4", "https://cdn.example/2.mp4")


@pytest.mark.anyio
async def test_runware_is_such_a_provider() -> None:
    assert RUNWARE.client_task_ids


@pytest.mark.anyio
async def test_the_id_is_written_down_before_the_request_leaves(world: World) -> None:
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    intent = world.events(ONE)[0]
    (request,) = world.provider.submitted
    assert intent.data["task_id"] == request.task_id
    assert list(world.provider.tasks) == [request.task_id]


@pytest.mark.anyio
async def test_an_answer_that_is_lost_is_found_by_its_id_and_not_sent_again(world: World) -> None:
    world.provider.submits = [world.provider.accept_and_lose]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == 1
    assert world.provider.history_calls == []


@pytest.mark.anyio
async def test_what_never_arrived_is_sent_again_under_the_same_id(world: World) -> None:
    world.provider.submits = [SubmissionInDoubt("the line broke")]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    first, second = world.provider.submitted
    assert first == second
    assert len(world.provider.tasks) == 1
    assert outcome.ledger.spent_usd == Decimal("0.30")


@pytest.mark.anyio
async def test_a_signed_address_is_in_no_journal_and_is_sent_again_as_it_is_now(
    world: World,
) -> None:
    def board(signature: str) -> Storyboard:
        put = Output(put_url=f"https://bucket.example.com/x?signature={signature}")
        return make_storyboard(replace(shot("a"), output=put))

    world.provider.submits = [SubmissionInDoubt("the line broke"), *[Unavailable("down")] * 9]
    (outcome,) = await world.run(board("first-one"))
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert "first-one" not in repr(world.events(board("first-one")))
    (outcome,) = await world.run(board("a-later-one"))
    assert outcome.exit_code is ExitCode.DONE
    sent = [request.output.put_url or "" for request in world.provider.submitted]
    assert sent[0].endswith("first-one")
    assert sent[-1].endswith("a-later-one")
    assert len(world.provider.tasks) == 1


@pytest.mark.anyio
async def test_a_provider_that_stays_dumb_leaves_it_in_doubt(world: World) -> None:
    world.provider.submits = [SubmissionInDoubt("the line broke"), *[Unavailable("down")] * 9]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert outcome.ledger.reserved_usd == Decimal("0.30")
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.tasks) == 1


@pytest.mark.anyio
async def test_a_doubt_that_ends_in_a_refusal_is_bought_under_the_same_id_again(
    world: World,
) -> None:
    """Should the proof be wrong, the id still stands for one task."""
    world.provider.submits = [SubmissionInDoubt("the line broke"), Rejected("400: no")]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    sent = [request.task_id for request in world.provider.submitted]
    assert sent == sent[:1] * 3
    assert outcome.ledger.spent_usd == Decimal("0.30")


@pytest.mark.anyio
async def test_a_lost_acceptance_whose_second_sending_is_refused_is_not_bought_twice(
    world: World,
) -> None:
    def lose(request: TakeRequest) -> Exception:
        lost = world.provider.accept_and_lose(request)
        world.provider.statuses[request.task_id] = [UnknownTask("no"), processing(), DONE]
        return lost

    world.provider.submits = [lose, ReferenceRefused("a reference is gone")]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == 2
    assert len(world.provider.tasks) == 1
    assert outcome.ledger.spent_usd == Decimal("0.30")


@pytest.mark.anyio
async def test_a_second_sending_that_finds_no_api_is_for_a_person(world: World) -> None:
    nowhere = ConfigurationError("no API there: the provider answered 404", hint="check the URL")
    world.provider.submits = [SubmissionInDoubt("the line broke"), *[nowhere] * 9]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert "storyboard resolve" in outcome.takes[0].message
    assert outcome.ledger.reserved_usd == Decimal("0.30")


@pytest.mark.anyio
async def test_it_says_that_the_task_is_asked_for_by_its_id(world: World) -> None:
    world.provider.submits = [world.provider.accept_and_lose]
    await world.run(ONE)
    told = {detail for _, _, phase, detail in world.reporter.takes if phase == "settling"}
    assert told == {"asking wavespeed for the task by its id"}
    assert "history" not in "".join(event.data.get("reason", "") for event in world.events(ONE))


@pytest.mark.anyio
async def test_after_a_day_only_the_archive_is_asked(world: World) -> None:
    world.provider.submits = [SubmissionInDoubt("the line broke"), *[Unavailable("down")] * 9]
    await world.run(ONE)
    sent = len(world.provider.submitted)
    world.clock.now_s += timedelta(hours=25).total_seconds()
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert len(world.provider.submitted) == sent
    assert set(world.provider.details_asked) == {world.provider.submitted[0].task_id}


@pytest.mark.anyio
async def test_equal_shots_that_are_bought_together_are_two_tasks(world: World) -> None:
    twin = replace(shot("a"), id="b")
    (outcome,) = await world.run(make_storyboard(shot("a"), twin))
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.tasks) == 2
    assert len({attempt.task_id for attempt in outcome.ledger.attempts}) == 2


@pytest.mark.anyio
async def test_a_deleted_journal_buys_nothing_twice(world: World) -> None:
    await world.run(ONE)
    shutil.rmtree(world.folder / ONE.name)
    # It knows the id: the second submission of it is a conflict, which is an acceptance.
    world.provider.submits = [lambda request: request.task_id]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.tasks) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("refusal", [RateLimited("slow"), Rejected("no"), Unavailable("down")])
async def test_a_deleted_journal_buys_nothing_twice_though_something_was_refused_before(
    world: World, refusal: Exception
) -> None:
    world.provider.submits = [refusal]
    await world.run(ONE)
    await world.run(ONE)
    shutil.rmtree(world.folder / ONE.name)
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.tasks) == 1
    assert len({request.task_id for request in world.provider.submitted}) == 1


@pytest.mark.anyio
async def test_equal_shots_of_which_one_is_refused_keep_their_ids_without_the_journal(
    world: World,
) -> None:
    board = make_storyboard(*(replace(shot("a"), id=name) for name in "abc"))
    world.provider.submits = [RateLimited("slow")]
    await world.run(board)
    assert len(world.provider.tasks) == 3
    shutil.rmtree(world.folder / board.name)
    await world.run(board)
    assert len(world.provider.tasks) == 3


@pytest.mark.anyio
async def test_takes_in_bundles_of_unlike_size_keep_their_ids_without_the_journal(
    world: World,
) -> None:
    board = make_storyboard(shot("a", takes=3, results=2))
    world.provider.submits = [RateLimited("slow")]
    await world.run(board)
    shutil.rmtree(world.folder / board.name)
    await world.run(board)
    assert len(world.provider.tasks) == 2


@pytest.mark.anyio
async def test_takes_of_one_task_are_one_submission_and_a_clip_each(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=3, results=2))
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert sorted(request.results for request in world.provider.submitted) == [1, 2]
    taken = outcome.ledger.attempts
    assert [attempt.state for attempt in taken] == [AttemptState.VERIFIED] * 3
    assert len({attempt.clip_sha256 for attempt in taken}) == 3
    assert outcome.ledger.spent_usd == Decimal("0.90")


@pytest.mark.anyio
async def test_takes_whose_answer_is_lost_are_settled_together(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=4, results=4))
    world.provider.submits = [world.provider.accept_and_lose]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == len(world.provider.tasks) == 1
    assert {attempt.task_id for attempt in outcome.ledger.attempts} == set(world.provider.tasks)


@pytest.mark.anyio
async def test_two_takes_never_ask_about_their_task_at_the_same_time(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=2, results=2))
    asking = most = 0

    async def slow_look() -> TaskStatus:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        await world.clock.sleep(30)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        asking -= 1
        return processing() if len(world.provider.looks) < 6 else BOTH

    def make(request: TakeRequest) -> str:
        world.provider.statuses[request.task_id] = [slow_look]
        return str(world.provider.make_task(request))

    world.provider.submits = [make]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert most == 1


@pytest.mark.anyio
async def test_the_providers_clock_is_known_before_the_first_intent(world: World) -> None:
    """By it a later run reckons how old an id is; nothing else asks before the submission."""

    def answer() -> TaskStatus:
        world.provider.server_ahead_s = -72_000.0
        raise UnknownTask("no")

    status = world.provider.status

    async def first_look(task_id: str, results: int = 1) -> TaskStatus:
        if world.provider.server_ahead_s is None:
            answer()
        return await status(task_id, results)

    world.provider.status = first_look
    await world.run(make_storyboard(shot("a"), shot("b")))
    told = [e.data for e in world.events(ONE) if e.kind == "intent"]
    assert [data["server_ahead_s"] for data in told] == [-72_000.0] * 2


@pytest.mark.anyio
async def test_a_clock_that_cannot_be_asked_for_stops_nothing(world: World) -> None:
    async def down(task_id: str, results: int = 1) -> TaskStatus:
        del world.provider.status
        raise Unavailable("down")

    world.provider.status = down
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE


async def leave_in_doubt(
    world: World, storyboard: Storyboard, *, made: bool, **options: Any
) -> None:
    """A run that loses the answer and learns nothing more."""
    lose = world.provider.accept_and_lose if made else SubmissionInDoubt("the line broke")

    def dumb(request: TakeRequest) -> object:
        world.provider.statuses[request.task_id] = [Unavailable("down")]
        return lose(request) if callable(lose) else lose

    world.provider.submits = [dumb, *[Unavailable("down")] * 9]
    (outcome,) = await world.run(storyboard, **options)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    world.provider.submits.clear()
    world.provider.statuses.clear()
    world.provider.submitted.clear()
    world.provider.details_asked.clear()


@pytest.mark.anyio
async def test_takes_of_one_submission_are_in_doubt_together(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=2, results=2))
    await leave_in_doubt(world, storyboard, made=True)
    states = [attempt.state for attempt in world.attempts(storyboard)]
    assert states == [AttemptState.IN_DOUBT] * 2


@pytest.mark.anyio
async def test_takes_that_a_crash_left_in_doubt_are_found_together(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=2, results=2))
    await leave_in_doubt(world, storyboard, made=True)
    world.provider.looks.clear()
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.tasks) == 1
    assert world.provider.submitted == []
    assert {attempt.task_id for attempt in outcome.ledger.attempts} == set(world.provider.tasks)
    assert outcome.ledger.spent_usd == Decimal("0.60")


@pytest.mark.anyio
async def test_takes_that_a_crash_left_unmade_are_sent_again_as_one_task(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=2, results=2))
    await leave_in_doubt(world, storyboard, made=False)
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert [request.results for request in world.provider.submitted] == [2]
    assert [attempt.state for attempt in outcome.ledger.attempts] == [AttemptState.VERIFIED] * 2


@pytest.mark.anyio
async def test_takes_that_are_proved_absent_are_bought_as_one_task_of_the_same_id(
    world: World,
) -> None:
    storyboard = make_storyboard(shot("a", takes=2, results=2))
    await leave_in_doubt(world, storyboard, made=False)
    world.provider.submits = [Rejected("400: no")]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert [request.results for request in world.provider.submitted] == [2, 2]
    assert len({request.task_id for request in world.provider.submitted}) == 1
    assert len(world.provider.details_asked) == 2
    verified = [a for a in outcome.ledger.attempts if a.state is AttemptState.VERIFIED]
    assert [attempt.slate for attempt in verified] == ["a_tk01", "a_tk02"]
    assert outcome.ledger.spent_usd == Decimal("0.60")


EDITED = make_storyboard(replace(shot("a"), prompt="@image1 in the rain"))


@pytest.mark.anyio
@pytest.mark.parametrize("takes", [1, 2])
async def test_a_doubt_that_no_shot_asks_for_any_more_is_never_bought(
    world: World, takes: int
) -> None:
    await leave_in_doubt(world, make_storyboard(shot("a", takes=takes, results=takes)), made=False)
    (outcome,) = await world.run(EDITED)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert world.provider.submitted == []
    assert world.provider.tasks == {}
    assert "a_tk01 is in doubt but no shot asks for it" in "".join(world.reporter.notes)
    assert "paid" not in "".join(world.reporter.notes)
    assert any("storyboard resolve" in result.message for result in outcome.takes)


@pytest.mark.anyio
@pytest.mark.parametrize("takes", [1, 2])
async def test_a_doubt_of_a_shot_that_is_left_out_is_looked_for_and_not_sent_again(
    world: World, takes: int
) -> None:
    both = make_storyboard(shot("a", takes=takes, results=takes), shot("b"))
    await leave_in_doubt(world, both, made=False, only=frozenset({"a"}))
    (outcome,) = await world.run(both, only=frozenset({"b"}))
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert world.provider.submitted == []
    assert world.provider.tasks == {}


@pytest.mark.anyio
async def test_a_doubt_that_no_shot_asks_for_any_more_comes_home_if_it_was_made(
    world: World,
) -> None:
    await leave_in_doubt(world, ONE, made=True)
    (outcome,) = await world.run(EDITED)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == 1
    assert [attempt.state for attempt in outcome.ledger.attempts] == [AttemptState.VERIFIED] * 2


@pytest.mark.anyio
async def test_a_task_of_which_a_part_is_still_wanted_is_not_sent_again(world: World) -> None:
    """Sending it again would buy all of it, and only a part was counted."""
    await leave_in_doubt(world, make_storyboard(shot("a", takes=2, results=2)), made=False)
    renamed = make_storyboard(replace(shot("a"), id="b"))
    (outcome,) = await world.run(renamed)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_what_is_sent_again_on_another_day_counts_towards_that_days_cap(
    world: World,
) -> None:
    world.clock.now_s = 11 * 3600.0
    await leave_in_doubt(world, ONE, made=False)
    world.clock.now_s += 2 * 3600.0
    world.env = {"STORYBOARD_DAY_CAP_USD": "0.29"}
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert "cap for today" in outcome.takes[0].message
    assert world.provider.submitted == []
    world.env = {"STORYBOARD_DAY_CAP_USD": "0.30"}
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    with ExitStack() as stack:
        assert world.open(stack).account.spent_today_usd() == Decimal("0.30")


@pytest.mark.anyio
async def test_what_is_sent_again_on_the_same_day_is_not_counted_twice(world: World) -> None:
    await leave_in_doubt(world, ONE, made=False)
    world.env = {"STORYBOARD_DAY_CAP_USD": "0.30"}
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE


@pytest.mark.anyio
@pytest.mark.parametrize("bell", [None, Bell()])
async def test_takes_of_one_task_keep_the_interval_between_their_looks_together(
    world: World, bell: Bell | None
) -> None:
    storyboard = make_storyboard(shot("a", takes=3, results=3))
    world.bell = bell

    def look() -> TaskStatus:
        (task_id,) = world.provider.tasks
        if bell is not None:
            bell.ring(task_id)
        if len(world.provider.looks) < 12:
            return processing()
        return completed(*(f"https://cdn.example/{n}.mp4" for n in range(3)))

    def make(request: object) -> str:
        task_id = str(world.provider.make_task(request))
        world.provider.statuses[task_id] = [look]
        return task_id

    world.provider.submits = [make]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    times = [at_s for _, at_s in world.provider.looks]
    assert all(after - before >= 5 - 1e-6 for before, after in pairwise(times))


@pytest.mark.anyio
async def test_of_several_results_those_that_failed_leave_the_others_alone(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=2, results=2))

    def make(request: object) -> str:
        task_id = str(world.provider.make_task(request))
        world.provider.statuses[task_id] = [completed("https://cdn.example/only.mp4")]
        return task_id

    world.provider.submits = [make]
    (outcome,) = await world.run(storyboard)
    states = [attempt.state for attempt in outcome.ledger.attempts]
    assert states == [AttemptState.VERIFIED, AttemptState.FAILED]
    assert outcome.film is not None


@pytest.mark.anyio
async def test_takes_of_a_task_that_fails_fail_with_it(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=2, results=2))

    def make(request: object) -> str:
        task_id = str(world.provider.make_task(request))
        world.provider.statuses[task_id] = [failed(message="no")]
        return task_id

    world.provider.submits = [make]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert [attempt.state for attempt in outcome.ledger.attempts] == [AttemptState.FAILED] * 2
    assert outcome.film is None


@pytest.mark.anyio
async def test_a_refused_bundle_binds_no_money(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=2, results=2))
    world.provider.submits = [Rejected("400: no")]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert outcome.ledger.spent_usd == outcome.ledger.reserved_usd == 0
    assert [result.slate for result in outcome.takes] == ["a_tk01", "a_tk02"]
