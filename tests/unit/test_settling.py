"""A lost answer is looked up, never repeated: when the history decides, and when a person must."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import WIDE, World, charge
from support import NOON, event

from pipeline.capabilities import WAVESPEED
from pipeline.errors import KeyRefused, RateLimited, SubmissionInDoubt, Unavailable
from pipeline.ledger import Attempt, EventKind, Ledger, fold
from pipeline.production import Services
from pipeline.providers.base import HistoryItem
from pipeline.settling import SubmitGate, find_task

REQUEST = {
    "images": ["https://static.example/a.png"],
    "prompt": "@image1 turns slowly",
    "duration": 6,
    "resolution": "720p",
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def services(world: World) -> Iterator[Services]:
    with ExitStack() as stack:
        yield world.open(stack)


def ledger(*attempt_ids: str, **intent: Any) -> Ledger:
    """Submissions whose outcome is not known."""
    intent = {"request": REQUEST} | intent
    return fold(event(EventKind.INTENT, name, shot=name, **intent) for name in attempt_ids)


DOUBT: Attempt = ledger("a1").attempts[0]


def item(task_id: str, inputs: Any = None, at: datetime = NOON) -> HistoryItem:
    return HistoryItem(task_id=task_id, created_at=at, inputs=inputs)


async def settle(
    services: Services, attempt: Attempt = DOUBT, ledgers: tuple[Ledger, ...] | None = None
) -> str | None:
    return await find_task(services, attempt, ledgers or (ledger("a1"),), permit=lambda: "")


# ---------------------------------------------------------------- what decides


@pytest.mark.anyio
async def test_the_one_task_with_our_inputs_is_ours(world: World, services: Services) -> None:
    other = REQUEST | {"prompt": "@image1 stands still"}
    world.provider.histories = [[item("x", other), item("ours", REQUEST), item("y", other)]]
    assert await settle(services) == "ours"


@pytest.mark.anyio
async def test_a_lone_task_without_inputs_is_ours_where_the_bill_names_our_key(
    world: World, services: Services
) -> None:
    services.account.answered("before", "a-task-of-ours")
    world.provider.histories = [[item("ours")]]
    assert await settle(services) == "ours"
    assert world.provider.charge_calls == [["ours", "a-task-of-ours"]]


@pytest.mark.anyio
async def test_tasks_of_the_journal_teach_which_key_is_ours(
    world: World, services: Services
) -> None:
    account = services.account_name
    known = fold(
        [
            event(EventKind.INTENT, "a9", account=account),
            event(EventKind.ACCEPTED, "a9"),
            event(EventKind.INTENT, "a8", account="elsewhere"),
            event(EventKind.ACCEPTED, "a8"),
        ]
    )
    world.provider.histories = [[item("ours")]]
    assert await settle(services, ledgers=(ledger("a1"), known)) == "ours"
    assert world.provider.charge_calls == [["ours", "task-a9"]]


@pytest.mark.anyio
async def test_nothing_there_twice_proves_that_nothing_was_made(
    world: World, services: Services
) -> None:
    other = REQUEST | {"prompt": "@image1 stands still"}
    world.provider.histories = [[], [item("x", other)]]
    assert await settle(services) is None
    assert len(world.provider.history_calls) == 2


@pytest.mark.anyio
async def test_a_task_that_shows_up_late_is_found_by_the_second_look(
    world: World, services: Services
) -> None:
    world.provider.histories = [[], [item("ours", REQUEST)]]
    assert await settle(services) == "ours"


@pytest.mark.anyio
async def test_tasks_that_somebody_here_started_are_not_candidates(
    world: World, services: Services
) -> None:
    services.account.answered("another", "known-to-account")
    of_the_journal = fold([event(EventKind.INTENT, "a9"), event(EventKind.ACCEPTED, "a9")])
    world.provider.histories = [
        [item("known-to-account"), item("task-a9"), item("ours", REQUEST)],
    ]
    assert await settle(services, ledgers=(ledger("a1"), of_the_journal)) == "ours"


# ---------------------------------------------------------------- what does not


@pytest.mark.anyio
@pytest.mark.parametrize(
    "bill",
    [
        [],  # not on the bill yet
        [charge("lone")],  # nothing tells which key is ours
        [charge("known")],
        [charge("known"), charge("lone", key_id="a colleague's")],
        [charge("known"), charge("lone", usd="0.50")],
        [charge("known"), charge("lone", key_id="")],
        [charge("known", key_id=""), charge("lone", key_id="")],
        [charge("known"), replace(charge("lone"), is_refund=True)],
        [charge("known"), charge("known-2", key_id="an older key"), charge("lone")],
        Unavailable("down"),
    ],
)
async def test_a_lone_task_without_inputs_that_the_bill_does_not_prove_is_for_a_person(
    world: World, services: Services, bill: Any
) -> None:
    services.account.answered("before", "known-2")
    services.account.answered("before", "known")
    world.provider.histories = [[item("lone")]]
    world.provider.bills = [bill]
    with pytest.raises(SubmissionInDoubt, match=r"lone.*no inputs.*bill.*storyboard resolve.*a1"):
        await settle(services)


@pytest.mark.anyio
async def test_a_submission_of_another_process_without_answer_may_have_made_a_lone_task(
    world: World, services: Services
) -> None:
    services.account.answered("before", "a-task-of-ours")
    services.account.try_start("of-another-process", WIDE)
    world.provider.histories = [[item("lone")]]
    with pytest.raises(SubmissionInDoubt, match="another submission is in doubt"):
        await settle(services)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "found",
    [
        [item("one"), item("two")],
        [item("one", REQUEST), item("two", REQUEST)],
        [item("one", REQUEST | {"images": ["https://cdn.example/rewritten.png"]})],
        [item("one", REQUEST | {"duration": "6"})],
        [item("one", {"prompt": REQUEST["prompt"]})],
        [item("one", REQUEST | {"prompt": " @image1  turns slowly\n"})],
        [item("one", {"text": "a shape that nobody has seen"})],
        [item("one", {"prompt": REQUEST["prompt"]}), item("two")],
    ],
)
async def test_a_task_that_may_be_ours_or_not_is_for_a_person(
    world: World, services: Services, found: list[HistoryItem]
) -> None:
    world.provider.histories = [found, found]
    with pytest.raises(SubmissionInDoubt, match=r"one.*storyboard resolve.*a1"):
        await settle(services)


@pytest.mark.anyio
async def test_with_two_doubts_open_a_task_without_inputs_is_nobodys(
    world: World, services: Services
) -> None:
    """Only one of the two made it, and nothing says which."""
    both = ledger("a1", "a2")
    world.provider.histories = [[item("one")]]
    with pytest.raises(SubmissionInDoubt, match="one"):
        await settle(services, ledgers=(both,))
    world.provider.histories = [[item("one")]]
    with pytest.raises(SubmissionInDoubt):
        await settle(services, ledgers=(ledger("a1"), ledger("b1")))


@pytest.mark.anyio
async def test_with_two_doubts_open_echoed_inputs_still_decide(
    world: World, services: Services
) -> None:
    world.provider.histories = [[item("ours", REQUEST)]]
    assert await settle(services, ledgers=(ledger("a1", "a2"),)) == "ours"


@pytest.mark.anyio
async def test_equal_tasks_are_shared_out_among_the_doubts_that_asked_for_them(
    world: World, services: Services
) -> None:
    """Takes of one shot: any of them is as good as another, if there are not more than doubts."""
    three = ledger("a1", "a2", "a3")
    equal = [item(f"t{n}", REQUEST, NOON + timedelta(seconds=5 - n)) for n in (1, 2, 3)]
    world.provider.histories = [equal]
    assert await settle(services, ledgers=(three,)) == "t3"
    world.provider.histories = [equal]
    with pytest.raises(SubmissionInDoubt, match="more than one task could be it: t1, t2, t3"):
        await settle(services, ledgers=(ledger("a1", "a2"),))


@pytest.mark.anyio
async def test_doubts_that_asked_for_something_else_make_no_task_of_ours(
    world: World, services: Services
) -> None:
    other = ledger("b1", request=REQUEST | {"duration": 10})
    elsewhere = ledger("c1", account="another")
    world.provider.histories = [[item("t1", REQUEST), item("t2", REQUEST)]]
    with pytest.raises(SubmissionInDoubt, match="more than one task"):
        await settle(services, ledgers=(ledger("a1"), other, elsewhere))


@pytest.mark.anyio
async def test_a_task_without_inputs_made_long_after_the_submission_is_somebody_elses(
    world: World, services: Services
) -> None:
    """What the history shows of us, it shows before it is trusted; a minute or two is clocks."""
    services.account.answered("before", "a-task-of-ours")
    patience_s = services.settings.submit_timeout_s + services.settings.settle_s
    trusted_at = NOON + timedelta(seconds=patience_s)
    for late_s, found in ((0, "theirs"), (130, None)):
        later = item("theirs", at=trusted_at + timedelta(seconds=late_s))
        world.provider.histories = [[later], [later]]
        assert await settle(services) == found
    soon = item("theirs", at=trusted_at + timedelta(seconds=10))
    world.provider.histories = [[soon]]
    with pytest.raises(SubmissionInDoubt, match="theirs may be it or not"):
        await settle(services)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "failure",
    [Unavailable("down"), RateLimited("slow"), KeyRefused("no"), SubmissionInDoubt("never")],
)
@pytest.mark.parametrize("before", [[], [[]]])
async def test_a_history_that_cannot_be_read_proves_nothing(
    world: World, services: Services, failure: Exception, before: list[Any]
) -> None:
    world.provider.histories = [*before, failure]
    with pytest.raises(SubmissionInDoubt, match="history cannot be read"):
        await settle(services)


@pytest.mark.anyio
async def test_a_provider_without_history_leaves_it_to_a_person(
    world: World, services: Services
) -> None:
    world.provider.capabilities = replace(WAVESPEED, history=False)
    with pytest.raises(SubmissionInDoubt, match="no history"):
        await settle(services)
    assert world.provider.history_calls == []


@pytest.mark.anyio
async def test_a_doubt_older_than_the_history_is_for_a_person(
    world: World, services: Services
) -> None:
    world.clock.now_s = timedelta(days=6, seconds=1).total_seconds()
    with pytest.raises(SubmissionInDoubt, match="too old"):
        await settle(services)
    world.clock.now_s = timedelta(days=6).total_seconds() - 60
    world.provider.histories = [[item("ours", REQUEST)]]
    assert await settle(services) == "ours"


# ---------------------------------------------------------------- when it looks


@pytest.mark.anyio
async def test_the_history_is_asked_only_once_it_must_show_the_task(
    world: World, services: Services
) -> None:
    world.clock.now_s = 3.0
    await settle(services)
    # 60 s for the answer and 10 s to settle, from the intent on; then 10 s more.
    assert world.clock.slept == [67.0, 10.0]


@pytest.mark.anyio
async def test_an_old_doubt_is_looked_up_at_once(world: World, services: Services) -> None:
    world.clock.now_s = 3600
    world.provider.histories = [[item("ours", REQUEST)]]
    await settle(services)
    assert world.clock.slept == []


@pytest.mark.anyio
async def test_a_clock_set_back_does_not_make_it_wait_for_hours(
    world: World, services: Services
) -> None:
    world.clock.now_s = -86_400
    world.provider.histories = [[item("ours", REQUEST)]]
    await settle(services)
    assert world.clock.slept == [70.0]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("then_s", "now_s", "starts"),
    [
        (None, None, -120),  # nobody knows the provider's clock
        (0.0, 0.0, -120),
        (-86_400.0, -86_400.0, -86_520),  # ours is a day ahead
        (-86_400.0, 0.0, -86_520),  # it was, and has been set right
        (0.0, -86_400.0, -86_520),  # it jumped ahead just before the intent
        (None, -86_400.0, -86_520),
        (0.0, 86_400.0, -120),  # it was right and has been set back
        (86_400.0, 86_400.0, -120),  # ours is behind: too long a look does no harm
    ],
)
async def test_the_look_back_reaches_the_task_whatever_our_clock_did(
    world: World,
    services: Services,
    then_s: float | None,
    now_s: float | None,
    starts: float,
) -> None:
    attempt = ledger("a1", server_ahead_s=then_s).attempts[0]
    world.provider.server_ahead_s = now_s
    await settle(services, attempt)
    expected = NOON.astimezone(UTC) + timedelta(seconds=starts)
    assert world.provider.history_calls == [expected, expected]


# ---------------------------------------------------------------- the gate


@pytest.mark.anyio
async def test_settling_waits_for_submissions_on_the_wire_and_holds_back_new_ones() -> None:
    gate = SubmitGate()
    told: list[str] = []
    answered = anyio.Event()
    settled = anyio.Event()

    async def submit(name: str, until: anyio.Event) -> None:
        async with gate.submitting():
            told.append(f"{name} sent")
            await until.wait()
        told.append(f"{name} answered")

    async def settle_one() -> None:
        async with gate.settling():
            told.append("settling")
            await settled.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(submit, "first", answered)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(settle_one)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(submit, "second", settled)
        await anyio.wait_all_tasks_blocked()
        assert told == ["first sent"]
        answered.set()
        await anyio.wait_all_tasks_blocked()
        assert told == ["first sent", "first answered", "settling"]
        settled.set()
    assert told[3:] == ["second sent", "second answered"]


@pytest.mark.anyio
async def test_doubts_are_settled_one_at_a_time_before_anything_is_sent() -> None:
    gate = SubmitGate()
    inside = most = 0
    told: list[str] = []

    async def settle_one() -> None:
        nonlocal inside, most
        async with gate.settling():
            inside += 1
            most = max(most, inside)
            await anyio.lowlevel.checkpoint()
            told.append("settled")
            inside -= 1

    async def submit() -> None:
        async with gate.submitting():
            told.append("sent")

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(settle_one)
        await anyio.lowlevel.checkpoint()
        group.start_soon(submit)
    assert (most, told) == (1, ["settled"] * 3 + ["sent"])


@pytest.mark.anyio
async def test_a_settling_that_is_cancelled_opens_the_gate_again() -> None:
    gate = SubmitGate()
    async with anyio.create_task_group() as group:

        async def settle_for_ever() -> None:
            async with gate.settling():
                await anyio.sleep_forever()

        group.start_soon(settle_for_ever)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    with anyio.fail_after(1):
        async with gate.submitting():
            pass


@pytest.mark.anyio
async def test_a_wait_at_the_gate_can_be_cancelled() -> None:
    gate = SubmitGate()
    async with gate.settling():
        with anyio.move_on_after(0.01) as scope:
            async with gate.submitting():
                raise AssertionError("the gate is shut")
        assert scope.cancelled_caught
    with anyio.fail_after(1):
        async with gate.settling():
            pass
