"""Where history and bill together decide what became of a submission, and where they do not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import World, charge
from support import NOON, event, make_shot, make_storyboard

from pipeline.errors import ExitCode, SubmissionInDoubt, Unavailable
from pipeline.ledger import AttemptState, EventKind, Ledger, fold
from pipeline.model import Shot
from pipeline.production import Services
from pipeline.providers.base import HistoryItem
from pipeline.settling import find_task

REQUEST = {
    "images": ["https://static.example/a.png"],
    "prompt": "@image1 turns slowly",
    "duration": 6,
    "resolution": "720p",
}
OTHER = REQUEST | {"prompt": "@image1 stands still"}
# Ids of attempts say which journal they are of: ours, or another one.
MINE = "here-1"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.clock.now_s = 3600
    return world


@pytest.fixture
def services(world: World) -> Iterator[Services]:
    with ExitStack() as stack:
        yield world.open(stack)


def doubts(*attempt_ids: str) -> Ledger:
    return fold(event(EventKind.INTENT, one, shot=one, request=REQUEST) for one in attempt_ids)


async def settle(services: Services, *more: Ledger) -> str | None:
    ledger = doubts(MINE)
    attempt = ledger.attempts[0]
    return await find_task(services, attempt, (ledger, *more), permit=lambda: "")


def item(task_id: str, inputs: Any = None) -> HistoryItem:
    return HistoryItem(task_id=task_id, created_at=NOON, inputs=inputs)


# ---------------------------------------------------------------- a history behind the bill


@pytest.mark.anyio
async def test_a_charge_that_the_history_does_not_show_keeps_the_doubt(
    world: World, services: Services
) -> None:
    services.account.answered("here-0", "known")
    world.provider.histories = [[], [], [], [], []]
    world.provider.billing_pages = [[charge("late")]] * 4
    with pytest.raises(SubmissionInDoubt, match=r"late is on the bill for \$0.30.*later.*resolve"):
        await settle(services)


@pytest.mark.anyio
async def test_a_task_that_the_bill_shows_first_is_waited_for(
    world: World, services: Services
) -> None:
    world.provider.histories = [[], [], [], [item("late", REQUEST)]]
    world.provider.billing_pages = [[charge("late")]] * 2
    assert await settle(services) == "late"


@pytest.mark.anyio
async def test_on_a_busy_account_each_bill_is_held_against_the_history_after_it(
    world: World, services: Services
) -> None:
    # No task of ours is known, so no key: whatever is charged at our price may be ours.
    theirs = [item(f"theirs-{number}", OTHER) for number in range(3)]
    world.provider.histories = [theirs[:1], theirs[:1], theirs[:2]]
    world.provider.billing_pages = [[charge("theirs-0"), charge("theirs-1")]]
    assert await settle(services) is None
    assert len(world.provider.billing_calls) == 1


@pytest.mark.anyio
async def test_on_a_busy_account_a_charge_that_stays_unshown_keeps_the_doubt(
    world: World, services: Services
) -> None:
    theirs = [item(f"theirs-{number}", OTHER) for number in range(5)]
    charges = [charge("late"), *(charge(task.task_id) for task in theirs)]
    world.provider.histories = [theirs[:shown] for shown in range(1, 6)]
    world.provider.billing_pages = [charges[: shown + 2] for shown in range(2, 6)]
    with pytest.raises(SubmissionInDoubt, match="late is on the bill"):
        await settle(services)


@pytest.mark.anyio
async def test_the_bill_is_read_from_before_the_intent_on(world: World, services: Services) -> None:
    world.provider.histories = [[], []]
    assert await settle(services) is None
    assert world.provider.billing_calls == [NOON - timedelta(seconds=120)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "row",
    [
        charge("late"),
        charge("late", usd="0.27"),  # a discount that nobody told us of
        charge("late", key_id=""),
    ],
)
async def test_a_charge_to_our_key_or_to_nobodys_keeps_the_doubt(
    world: World, services: Services, row: Any
) -> None:
    services.account.answered("here-0", "known")
    world.provider.histories = [[]] * 5
    world.provider.billing_pages = [[row]] * 4
    with pytest.raises(SubmissionInDoubt):
        await settle(services)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "row",
    [
        charge("theirs", key_id="a colleague's"),
        charge("theirs", key_id="", usd="0.50"),
        replace(charge("back"), is_refund=True),
        charge("shown"),  # the history says what it was: not this
        charge("known"),
        charge("of-another-run"),
        charge("of-the-journal"),
    ],
)
async def test_a_charge_that_is_accounted_for_proves_nothing(
    world: World, services: Services, row: Any
) -> None:
    services.account.answered("here-0", "known")
    services.account.answered("there-1", "of-another-run")
    journal = fold(
        [
            event(EventKind.INTENT, "here-0"),
            event(EventKind.ACCEPTED, "here-0", task_id="known"),
            event(EventKind.INTENT, "here-2"),
            event(EventKind.ACCEPTED, "here-2", task_id="of-the-journal"),
        ]
    )
    world.provider.histories = [[item("shown", OTHER)]] * 2
    world.provider.billing_pages = [[row]]
    assert await settle(services, journal) is None


@pytest.mark.anyio
async def test_a_bill_that_cannot_be_read_proves_nothing(world: World, services: Services) -> None:
    world.provider.histories = [[], []]
    world.provider.billing_pages = [Unavailable("down")]
    with pytest.raises(SubmissionInDoubt, match="bill cannot be read: down"):
        await settle(services)


# ---------------------------------------------------------------- a journal put back


@pytest.mark.anyio
async def test_a_task_that_the_account_has_for_this_very_submission_is_its_task(
    world: World, services: Services
) -> None:
    services.account.answered(MINE, "ours")
    assert await settle(services) == "ours"
    assert world.provider.history_calls == []


@pytest.mark.anyio
async def test_a_task_of_a_take_that_the_journal_has_lost_is_a_candidate(
    world: World, services: Services
) -> None:
    services.account.answered("here-2", "bought-instead")
    world.provider.histories = [[item("bought-instead", REQUEST)]]
    assert await settle(services) == "bought-instead"


@pytest.mark.anyio
async def test_a_task_of_another_journal_is_not(world: World, services: Services) -> None:
    services.account.answered("there-2", "theirs")
    world.provider.histories = [[item("theirs", REQUEST)]] * 2
    world.provider.billing_pages = [[charge("theirs")]]
    assert await settle(services) is None


@pytest.mark.anyio
async def test_a_journal_put_back_to_a_copy_of_mid_doubt_buys_nothing_twice(world: World) -> None:
    board = make_storyboard(shot("a"))
    world.provider.submits = [world.provider.accept_and_lose]
    world.provider.histories = [Unavailable("503")]
    await world.run(board)
    copy = world.events(board)
    await world.run(board)
    shutil.rmtree(world.folder / board.name)
    world.write_journal(board, copy)

    (outcome,) = await world.run(board)

    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.tasks) == 1


# ---------------------------------------------------------------- what a run does with it


def shot(name: str) -> Shot:
    return make_shot(name, images=["https://images.example/x.png"], prompt=f"@image1 as {name}")


@pytest.mark.anyio
async def test_a_late_history_and_a_timely_bill_end_with_one_task_and_a_doubt(
    world: World,
) -> None:
    board = make_storyboard(shot("a"))
    world.provider.submits = [world.provider.accept_and_lose] * 9
    world.provider.histories = [[]] * 50

    (outcome,) = await world.run(board)

    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert len(world.provider.tasks) == 1
    assert world.states(board) == {"a_tk01": AttemptState.IN_DOUBT}


@pytest.mark.anyio
async def test_where_the_bill_is_late_as_well_a_take_is_tried_once_more_and_that_is_said(
    world: World,
) -> None:
    board = make_storyboard(shot("a"))
    world.provider.submits = [world.provider.accept_and_lose] * 9
    world.provider.histories = [[]] * 50
    world.provider.billing_pages = [[]] * 50

    (outcome,) = await world.run(board)

    assert outcome.exit_code is ExitCode.UNAVAILABLE
    assert len(world.provider.tasks) == 2
    said = outcome.takes[0].message
    assert "nothing was paid" not in said
    assert "nor its bill shows a task" in said
    assert "reconcile" in said


@pytest.mark.anyio
async def test_a_doubt_of_an_earlier_run_that_proves_absent_is_tried_once_and_no_more(
    world: World,
) -> None:
    board = make_storyboard(shot("a"))
    world.provider.submits = [SubmissionInDoubt("503")] * 9
    world.provider.histories = [Unavailable("503")]
    await world.run(board)
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.UNAVAILABLE
    assert len(world.provider.submitted) == 2


@pytest.mark.anyio
async def test_before_a_doubt_is_bought_again_the_price_is_asked_again(world: World) -> None:
    board = make_storyboard(shot("a"))
    world.provider.submits = [SubmissionInDoubt("503")]
    world.provider.histories = [Unavailable("503")]
    await world.run(board)
    world.provider.quotes = ["0.36"]

    (outcome,) = await world.run(board)

    assert outcome.exit_code is ExitCode.OVER_BUDGET
    assert len(world.provider.submitted) == 1
    assert "$0.36" in outcome.takes[0].message


@pytest.mark.anyio
async def test_a_price_that_rose_does_not_keep_a_paid_task_from_being_fetched(
    world: World,
) -> None:
    board = make_storyboard(shot("a"))
    world.provider.submits = [world.provider.accept_and_lose]
    world.provider.histories = [Unavailable("503")]
    await world.run(board)
    world.provider.quotes = ["0.36"]
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.DONE


# ---------------------------------------------------------------- one id, two submissions


@pytest.mark.anyio
async def test_an_id_that_another_take_was_given_is_a_doubt_and_its_task_is_looked_for(
    world: World,
) -> None:
    board = make_storyboard(shot("a"), shot("b"))

    def answers_the_first_id_again(request: Any) -> str:
        world.provider.make_task(request)
        return "task-1"

    world.provider.submits = [world.provider.make_task, answers_the_first_id_again]

    (outcome,) = await world.run(board)

    assert outcome.exit_code is ExitCode.DONE
    assert {attempt.task_id for attempt in world.attempts(board)} == {"task-1", "task-2"}
    assert world.kinds(board).count("doubt") == 1
    assert len(world.provider.submitted) == 2


@pytest.mark.anyio
async def test_an_id_that_only_the_account_knows_is_a_doubt_too(world: World) -> None:
    board = make_storyboard(shot("a"))
    with ExitStack() as stack:
        world.open(stack).account.answered("there-1", "task-of-another-run")
    world.provider.submits = ["task-of-another-run"]
    world.provider.histories = [Unavailable("503")]

    (outcome,) = await world.run(board)

    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert world.kinds(board)[:2] == ["intent", "doubt"]
