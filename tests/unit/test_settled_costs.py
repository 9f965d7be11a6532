"""What a task did cost, when it ended, and that its end is asked for once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes import CHOSEN, World, completed, failed, processing
from support import MODEL, event, events_to, make_shot, make_storyboard

from pipeline.account import AccountStore, Allowance
from pipeline.errors import ExitCode, NoCredit, Unavailable, UrlExpired, UrlRefused
from pipeline.fingerprint import fingerprint
from pipeline.ledger import AttemptState, EventKind
from pipeline.model import Output, Shot
from pipeline.providers.base import TaskStatus

URL = "https://cdn.example/one.mp4"
TWO = ("https://cdn.example/one.mp4", "https://cdn.example/two.mp4")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.provider.capabilities = CHOSEN
    return world


def shot(name: str = "a", *, takes: int = 1) -> Shot:
    made = make_shot(name, prompt=f"@image1 as {name}", takes=takes)
    return replace(made, output=Output(results=takes))


BOARD = make_storyboard(shot())
PAIR = make_storyboard(shot(takes=2))


def ends_as(world: World, *statuses: TaskStatus | Exception) -> Callable[[Any], str]:
    """A submission whose task gives these answers, the last one for good."""

    def make(request: Any) -> str:
        task_id = str(world.provider.make_task(request))
        world.provider.statuses[task_id] = list(statuses)
        return task_id

    return make


def spent_today(world: World) -> Decimal:
    with AccountStore(
        world.folder / "state" / "account.sqlite3", now=lambda: world.clock.utc().timestamp()
    ) as account:
        return account.spent_today_usd()


def drifts(world: World) -> list[str]:
    return [note for note in world.reporter.notes if "the price list says" in note]


@pytest.mark.anyio
async def test_spent_is_what_the_provider_says_that_a_task_cost(world: World) -> None:
    done = replace(completed(URL), cost_usd=Decimal("0.25"))
    world.provider.submits = [ends_as(world, done)]
    (outcome,) = await world.run(BOARD)
    assert outcome.ledger.spent_usd == spent_today(world) == Decimal("0.25")
    told = json.loads((outcome.folder / "run.json").read_text())
    assert told["money"]["spent_usd"] == "0.25"
    (take,) = told["shots"][0]["takes"]
    assert (take["price_usd"], take["settled_usd"]) == ("0.30", "0.25")
    assert len(drifts(world)) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("cost", ["0.3", "0.3000", "0.30000000000000004", "0.30006"])
async def test_a_price_that_was_only_rounded_is_no_difference(world: World, cost: str) -> None:
    world.provider.submits = [ends_as(world, replace(completed(URL), cost_usd=Decimal(cost)))]
    await world.run(BOARD)
    assert drifts(world) == []


@pytest.mark.anyio
async def test_takes_share_the_cost_of_their_task_to_the_last_millionth(world: World) -> None:
    done = replace(completed(*TWO), cost_usd=Decimal("0.500001"))
    world.provider.submits = [ends_as(world, done)]
    (outcome,) = await world.run(PAIR)
    shares = [attempt.settled_usd for attempt in outcome.ledger.attempts]
    assert shares == [Decimal("0.250000"), Decimal("0.250001")]
    assert len(drifts(world)) == 1


@pytest.mark.anyio
async def test_of_two_results_one_failed_and_only_the_other_is_paid(world: World) -> None:
    done = replace(completed(URL), cost_usd=Decimal("0.30"), message="1 of 2 results failed")
    world.provider.submits = [ends_as(world, done)]
    (outcome,) = await world.run(PAIR)
    good, bad = outcome.ledger.attempts
    assert (good.settled_usd, bad.settled_usd) == (Decimal("0.30"), Decimal(0))
    assert (bad.state, bad.reason) == (AttemptState.FAILED, "1 of 2 results failed")
    assert drifts(world) == []
    # The answer has said why; nothing is gained by asking again.
    # The first is asked before anything is sent, for the provider's clock.
    assert len(world.provider.looks) == 1 + 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("bill", "cost", "spent"),
    [(False, None, "0"), (False, "0.12", "0.12"), (True, None, "0.30"), (True, "0.12", "0.12")],
)
async def test_a_failure_is_paid_as_it_is_told_and_not_at_all_where_no_bill_could_tell(
    world: World, bill: bool, cost: str | None, spent: str
) -> None:
    world.provider.capabilities = replace(CHOSEN, bill=bill)
    ended = replace(failed(message="no"), cost_usd=None if cost is None else Decimal(cost))
    world.provider.submits = [ends_as(world, ended)]
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert outcome.ledger.spent_usd == spent_today(world) == Decimal(spent)
    assert outcome.ledger.bound_usd == Decimal(spent)


@pytest.mark.anyio
async def test_takes_of_one_task_ask_for_its_end_once(world: World) -> None:
    world.provider.submits = [ends_as(world, processing(), completed(*TWO))]
    (outcome,) = await world.run(PAIR)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.looks) == 1 + 2
    completions = [one for one in world.events(PAIR) if one.kind is EventKind.COMPLETED]
    assert [tuple(one.data["outputs"]) for one in completions] == [TWO, TWO]


def left_done(world: World) -> None:
    """The journal of a run that was killed when its task was done: two takes, no clip."""
    rows = []
    for number in (1, 2):
        intent = {
            "shot": "a",
            "take": number,
            "fingerprint": fingerprint(shot(), MODEL),
            "result": number - 1,
            "results": 2,
        }
        rows += events_to(AttemptState.SUBMITTED, f"a{number}", **intent)[:1]
        rows.append(event(EventKind.ACCEPTED, f"a{number}", task_id="task-1"))
        rows.append(event(EventKind.COMPLETED, f"a{number}", outputs=list(TWO), cost_usd="0.30"))
    world.write_journal(PAIR, rows)
    world.provider.statuses["task-1"] = [completed(*TWO)]


@pytest.mark.anyio
async def test_the_end_that_a_journal_has_is_not_asked_for_again(world: World) -> None:
    left_done(world)
    (outcome,) = await world.run(PAIR)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.looks == []
    assert sorted(world.downloader.urls) == sorted(TWO)
    assert outcome.ledger.spent_usd == Decimal("0.60")


@pytest.mark.anyio
@pytest.mark.parametrize("error", [UrlExpired("404"), UrlRefused("elsewhere"), Unavailable("gone")])
async def test_an_address_of_an_earlier_run_that_leads_nowhere_is_asked_for_anew(
    world: World, error: Exception
) -> None:
    left_done(world)
    world.downloader.script = [error, error]
    (outcome,) = await world.run(PAIR)
    assert outcome.exit_code is ExitCode.DONE
    assert 1 <= len(world.provider.looks) <= 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answers",
    [
        (NoCredit("402: no credit"), completed(URL)),
        (replace(failed(message="no credit"), no_credit=True),),
    ],
)
async def test_no_credit_that_a_look_tells_of_stops_submissions_and_nothing_else(
    world: World, answers: tuple[Any, ...]
) -> None:
    world.limits = Allowance(starts=1000, window_s=60, max_tasks=1, lanes=1)
    world.provider.submits = [ends_as(world, *answers)]
    (outcome,) = await world.run(make_storyboard(shot("a"), shot("b")))
    assert len(world.provider.submitted) == 1
    assert outcome.exit_code is ExitCode.KEY_REFUSED
    (attempt,) = outcome.ledger.attempts
    came = len(answers) == 2
    assert attempt.state is (AttemptState.VERIFIED if came else AttemptState.FAILED)
