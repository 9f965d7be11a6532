"""Whole runs over a scripted provider: what ends how, what stops what, and what dies where."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import NARROW, FakeProvider, World, completed, failed, hang, processing, then
from support import MODEL, events_to, make_shot, make_storyboard

from pipeline.account import Allowance
from pipeline.errors import (
    ConfigurationError,
    ExitCode,
    KeyRefused,
    MediaError,
    Rejected,
    StorageError,
    SubmissionInDoubt,
    Unavailable,
)
from pipeline.fingerprint import fingerprint
from pipeline.journal import Journal
from pipeline.ledger import AttemptState, Event, EventKind
from pipeline.model import Shot, Storyboard
from pipeline.providers.base import TakeRequest
from pipeline.settling import SubmitGate

# Sums of seconds are not exact.
EPSILON = 1e-6
IMAGE = "https://images.example/bottle.png"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def shot(name: str, **changes: Any) -> Shot:
    return make_shot(name, images=[IMAGE], prompt=f"@image1 as {name}", **changes)


def board(names: str, name: str = "aurora") -> Storyboard:
    """A storyboard with a shot for every letter."""
    return make_storyboard(*(shot(letter) for letter in names), name=name)


def answering(**by_shot: Any) -> Callable[[TakeRequest], Any]:
    """A submission step that goes by the shot's name; shots not named are accepted."""

    def step(provider: FakeProvider) -> Callable[[TakeRequest], Any]:
        def answer(request: TakeRequest) -> Any:
            outcome = by_shot.get(request.prompt.removeprefix("@image1 as "))
            if callable(outcome):
                return outcome(request)
            return outcome or provider.make_task(request)

        return answer

    return step  # type: ignore[return-value]


def script(world: World, **by_shot: Any) -> None:
    """Answer every submission by the name of its shot."""
    step: Any = answering(**by_shot)
    world.provider.submits = [step(world.provider)] * 50


def earlier(world: World, storyboard: Storyboard, **states: AttemptState) -> None:
    """What earlier runs left of a storyboard, by shot."""
    events: list[Event] = []
    for one in storyboard.shots:
        if one.id in states:
            request = {
                "images": [IMAGE],
                "prompt": one.prompt,
                "duration": 6,
                "resolution": "720p",
            }
            events += events_to(
                states[one.id],
                f"old-{one.id}",
                shot=one.id,
                fingerprint=fingerprint(one, MODEL),
                request=request,
            )
    world.write_journal(storyboard, events)


def request_for(one: Shot) -> TakeRequest:
    return TakeRequest(
        model=MODEL,
        prompt=one.prompt,
        image_urls=(IMAGE,),
        duration_s=one.duration_s,
        resolution=one.resolution,
    )


# ---------------------------------------------------------------- one storyboard


@pytest.mark.anyio
async def test_a_film_is_made_of_every_shots_clip_in_cut_order(world: World) -> None:
    (outcome,) = await world.run(board("cab"))
    assert outcome.exit_code is ExitCode.DONE
    assert world.conform.films == [("Aurora", ["c_tk01.mp4", "a_tk01.mp4", "b_tk01.mp4"])]
    assert outcome.film is not None
    assert outcome.ledger.spent_usd == Decimal("0.90")
    assert [result.exit_code for result in outcome.takes] == [ExitCode.DONE] * 3


@pytest.mark.anyio
async def test_a_refused_shot_stops_nobody_else(world: World) -> None:
    storyboard = board("abcdef")
    script(world, c=Rejected("400: duration must be one of: 6, 10", code="400"))
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert outcome.film is None
    assert len(world.provider.tasks) == 5
    verified = [a.shot_id for a in world.attempts(storyboard) if a.state is AttemptState.VERIFIED]
    assert sorted(verified) == list("abdef")
    assert [r.shot_id for r in outcome.takes if r.exit_code is ExitCode.SHOT_FAILED] == ["c"]


@pytest.mark.anyio
async def test_a_failed_task_stops_nobody_else(world: World) -> None:
    storyboard = board("abc")
    world.provider.statuses["task-2"] = [failed(code="1200", message="moderation")]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert len(world.provider.tasks) == len(world.provider.submitted) == 3
    assert sorted(world.states(storyboard).values()) == [
        AttemptState.FAILED,
        AttemptState.VERIFIED,
        AttemptState.VERIFIED,
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "refusal",
    [
        KeyRefused("401: no such key", code="401"),
        KeyRefused("402: no credit", code="1407"),
        KeyRefused("403: no right", code="403"),
    ],
)
async def test_a_refused_key_stops_submissions_and_brings_home_what_is_paid(
    world: World, refusal: Exception
) -> None:
    storyboard = board("abcdefgh")
    world.limits = NARROW
    accept = world.provider.make_task
    world.provider.submits = [accept, accept, accept, refusal, *[accept] * 9]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.KEY_REFUSED
    assert len(world.provider.submitted) == 4
    states = list(world.states(storyboard).values())
    assert states.count(AttemptState.VERIFIED) == 3
    assert outcome.film is None


@pytest.mark.anyio
async def test_a_redirecting_provider_is_not_asked_for_another_shot(world: World) -> None:
    world.limits = NARROW
    world.provider.submits = [ConfigurationError("the provider redirects to steal.example")] * 9
    (outcome,) = await world.run(board("abcd"))
    assert outcome.exit_code is ExitCode.CONFIGURATION
    assert len(world.provider.submitted) == 1


@pytest.mark.anyio
async def test_an_unreachable_provider_leaves_nothing_in_doubt(world: World) -> None:
    storyboard = board("ab")
    world.provider.submits = [Unavailable("cannot reach api.wavespeed.example")] * 50
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.UNAVAILABLE
    assert set(world.states(storyboard).values()) == {AttemptState.REFUSED}
    assert outcome.ledger.reserved_usd == outcome.ledger.spent_usd == 0


@pytest.mark.anyio
async def test_an_interrupted_run_fetches_what_is_paid_and_submits_no_more(world: World) -> None:
    storyboard = board("abcdef")
    world.limits = NARROW
    accept = world.provider.make_task

    def interrupt() -> None:
        assert world.halt is not None
        world.halt.set("interrupted; nothing more was submitted", ExitCode.SIGINT)

    world.provider.submits = [accept, then(interrupt, accept), *[accept] * 9]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.SIGINT
    assert "interrupted" in outcome.message
    assert len(world.provider.submitted) == 2
    assert list(world.states(storyboard).values()) == [AttemptState.VERIFIED] * 2
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.tasks) == 6


@pytest.mark.anyio
async def test_a_journal_that_fails_stops_all_spending(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.limits = NARROW
    append = Journal.append

    def full(journal: Journal, attempt_id: str, kind: EventKind, data: Any) -> Event:
        if kind is EventKind.ACCEPTED:
            raise StorageError("cannot write to the journal: disk full")
        return append(journal, attempt_id, kind, data)

    monkeypatch.setattr(Journal, "append", full)
    storyboard = board("abcd")
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.IO_ERROR
    assert len(world.provider.submitted) == 1
    monkeypatch.setattr(Journal, "append", append)
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.tasks) == 4


@pytest.mark.anyio
async def test_a_join_that_fails_has_its_own_exit_code_and_keeps_the_clips(world: World) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise MediaError("ffmpeg failed")

    make, world.conform = world.conform, broken  # type: ignore[assignment]
    (outcome,) = await world.run(board("ab"))
    assert outcome.exit_code is ExitCode.IO_ERROR
    assert "ffmpeg failed" in outcome.message
    world.conform = make
    (outcome,) = await world.run(board("ab"))
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == 2


@pytest.mark.anyio
async def test_a_spare_take_that_fails_does_not_spoil_the_film(world: World) -> None:
    storyboard = make_storyboard(shot("a", takes=2))
    world.provider.statuses["task-2"] = [failed()]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert outcome.film is not None


# ---------------------------------------------------------------- what earlier runs left


@pytest.mark.anyio
async def test_doubts_of_earlier_runs_are_settled_before_anything_is_submitted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    storyboard = board("abc")
    earlier(world, storyboard, b=AttemptState.IN_DOUBT)
    sent_before: list[int] = []

    def look() -> list[Any]:
        sent_before.append(len(world.provider.submitted))
        return []

    settling = SubmitGate.settling

    @asynccontextmanager
    async def late(gate: SubmitGate) -> AsyncIterator[None]:
        await anyio.sleep(0.1)
        async with settling(gate):
            yield

    monkeypatch.setattr(SubmitGate, "settling", late)
    world.provider.histories = [look, look]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    assert sent_before == [0, 0]
    assert len(world.provider.submitted) == 3


@pytest.mark.anyio
async def test_an_undecided_doubt_of_an_earlier_run_lets_nothing_be_bought_but_all_be_fetched(
    world: World,
) -> None:
    storyboard = board("abcd")
    earlier(world, storyboard, a=AttemptState.INTENT, b=AttemptState.SUBMITTED)
    world.provider.statuses["task-old-b"] = [completed("https://cdn.example/b.mp4")]
    world.provider.histories = [Unavailable("503")]
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert world.provider.submitted == []
    assert world.states(storyboard) == {
        "a_tk01": AttemptState.IN_DOUBT,
        "b_tk01": AttemptState.VERIFIED,
    }
    assert outcome.ledger.reserved_usd == Decimal("0.30")


@pytest.mark.anyio
async def test_doubts_of_several_storyboards_each_find_their_own(world: World) -> None:
    first, second = board("ab", "first"), board("cd", "second")
    earlier(world, first, a=AttemptState.INTENT)
    earlier(world, second, c=AttemptState.IN_DOUBT)
    world.provider.make_task(request_for(first.shots[0]), "of-a")
    world.provider.make_task(request_for(second.shots[0]), "of-c")
    outcomes = await world.run(first, second)
    assert [outcome.exit_code for outcome in outcomes] == [ExitCode.DONE] * 2
    assert len(world.provider.submitted) == 2
    tasks = {a.shot_id: a.task_id for s in (first, second) for a in world.attempts(s)}
    assert (tasks["a"], tasks["c"]) == ("of-a", "of-c")


@pytest.mark.anyio
async def test_a_task_that_the_account_file_forgot_is_not_taken_for_anothers(
    world: World,
) -> None:
    """The account's state may be lost at no cost: the journal knows its own tasks."""
    storyboard = board("ab")
    earlier(world, storyboard, a=AttemptState.SUBMITTED, b=AttemptState.IN_DOUBT)
    world.provider.echoes_inputs = False
    world.provider.make_task(request_for(storyboard.shots[0]), "task-old-a")
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.DONE
    tasks = [a.task_id for a in world.attempts(storyboard) if a.state is AttemptState.VERIFIED]
    assert sorted(tasks) == ["task-2", "task-old-a"]
    assert len(world.provider.submitted) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("state", [AttemptState.FAILED, AttemptState.LOST, AttemptState.DAMAGED])
async def test_a_spoiled_take_waits_for_a_person(world: World, state: AttemptState) -> None:
    storyboard = board("ab")
    earlier(world, storyboard, a=state)
    (outcome,) = await world.run(storyboard)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert [r.prompt for r in world.provider.submitted] == ["@image1 as b"]
    assert any("--retake a" in result.message for result in outcome.takes)
    (outcome,) = await world.run(storyboard, retake=frozenset({"a"}))
    assert outcome.exit_code is ExitCode.DONE
    assert world.states(storyboard)["a_tk02"] is AttemptState.VERIFIED


@pytest.mark.anyio
async def test_shots_left_out_are_neither_bought_nor_fetched(world: World) -> None:
    storyboard = board("abc")
    earlier(world, storyboard, b=AttemptState.SUBMITTED)
    (outcome,) = await world.run(storyboard, only=frozenset({"a"}))
    assert [r.prompt for r in world.provider.submitted] == ["@image1 as a"]
    assert world.states(storyboard)["b_tk01"] is AttemptState.SUBMITTED
    assert outcome.film is None


@pytest.mark.anyio
async def test_an_undecided_doubt_of_a_shot_left_out_lets_nothing_be_bought(world: World) -> None:
    storyboard = board("ab")
    earlier(world, storyboard, a=AttemptState.INTENT)
    world.provider.histories = [Unavailable("503")]
    (outcome,) = await world.run(storyboard, only=frozenset({"b"}))
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert world.provider.submitted == []


@pytest.mark.anyio
@pytest.mark.parametrize("is_there", [False, True])
async def test_a_doubt_of_a_shot_left_out_is_settled_and_never_bought(
    world: World, is_there: bool
) -> None:
    storyboard = board("ab")
    earlier(world, storyboard, a=AttemptState.INTENT)
    if is_there:
        world.provider.make_task(request_for(storyboard.shots[0]), "task-of-a")
    (outcome,) = await world.run(storyboard, only=frozenset({"b"}))
    assert outcome.exit_code is ExitCode.DONE
    assert [r.prompt for r in world.provider.submitted] == ["@image1 as b"]
    assert world.states(storyboard) == {
        "a_tk01": AttemptState.VERIFIED if is_there else AttemptState.ABSENT,
        "b_tk01": AttemptState.VERIFIED,
    }


@pytest.mark.anyio
async def test_a_removed_shots_task_is_brought_home_and_told(world: World) -> None:
    before, after = board("ab"), board("a")
    earlier(world, before, a=AttemptState.SUBMITTED, b=AttemptState.SUBMITTED)
    for name in "ab":
        world.provider.statuses[f"task-old-{name}"] = [completed(f"https://cdn.example/{name}")]
    (outcome,) = await world.run(after)
    assert outcome.exit_code is ExitCode.DONE
    assert world.clip(before, "b_tk01.mp4").is_file()
    assert world.conform.films == [("Aurora", ["a_tk01.mp4"])]
    assert any("no shot asks for it" in note for note in world.reporter.notes)


@pytest.mark.anyio
async def test_a_removed_shots_doubt_is_settled_and_not_bought_again(world: World) -> None:
    before, after = board("ab"), board("a")
    earlier(world, before, a=AttemptState.SUBMITTED, b=AttemptState.INTENT)
    world.provider.statuses["task-old-a"] = [completed("https://cdn.example/a")]
    (outcome,) = await world.run(after)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == []
    assert world.states(before)["b_tk01"] is AttemptState.ABSENT


# ---------------------------------------------------------------- several storyboards


@pytest.mark.anyio
async def test_a_film_is_made_as_soon_as_its_own_clips_are_in(world: World) -> None:
    slow, quick = board("a", "slow"), board("b", "quick")
    made_early = anyio.Event()

    async def wait_for_the_other() -> Any:
        with anyio.fail_after(5):
            await made_early.wait()
        return completed("https://cdn.example/a.mp4")

    end = world._end

    def ended(outcome: Any) -> None:
        end(outcome)
        if outcome.plan.storyboard.name == "quick":
            assert outcome.film is not None
            made_early.set()

    world._end = ended  # type: ignore[method-assign]
    script(world, a=lambda request: world.provider.make_task(request, "task-of-a"))
    world.provider.statuses["task-of-a"] = [wait_for_the_other]
    outcomes = await world.run(slow, quick)
    assert world.ended == ["quick", "slow"]
    assert [outcome.plan.storyboard.name for outcome in outcomes] == ["slow", "quick"]
    assert [outcome.exit_code for outcome in outcomes] == [ExitCode.DONE] * 2


@pytest.mark.anyio
async def test_a_storyboard_that_fails_stops_no_other(world: World) -> None:
    bad, good = board("ab", "bad"), board("cd", "good")
    script(world, a=Rejected("400: no", code="400"))
    outcomes = await world.run(bad, good)
    assert [outcome.exit_code for outcome in outcomes] == [ExitCode.SHOT_FAILED, ExitCode.DONE]
    assert outcomes[1].film is not None


@pytest.mark.anyio
async def test_storyboards_of_one_account_share_its_limits(world: World) -> None:
    world.limits = Allowance(starts=3, window_s=60, max_tasks=2, lanes=1)
    boards = [board("abc", "one"), board("def", "two"), board("gh", "three")]
    sent: list[float] = []
    running: set[str] = set()
    most = 0

    def accept(request: TakeRequest) -> str:
        nonlocal most
        sent.append(world.clock.now_s)
        task_id: str = world.provider.make_task(request)
        running.add(task_id)
        most = max(most, len(running))
        ends = then(lambda: running.discard(task_id), completed(f"https://cdn.example/{task_id}"))
        world.provider.statuses[task_id] = [processing(), processing(), ends]
        return task_id

    world.provider.submits = [accept] * 8
    outcomes = await world.run(*boards)
    assert [outcome.exit_code for outcome in outcomes] == [ExitCode.DONE] * 3
    assert len(sent) == 8
    assert most <= 2
    assert all(later - first >= 60 - EPSILON for first, later in zip(sent, sent[3:], strict=False))


@pytest.mark.anyio
async def test_an_undecided_doubt_holds_back_every_storyboard_of_the_account(
    world: World,
) -> None:
    world.limits = NARROW
    world.provider.submits = [SubmissionInDoubt("503")]
    world.provider.histories = [Unavailable("down")]
    outcomes = await world.run(board("ab", "first"), board("cd", "second"))
    assert {outcome.exit_code for outcome in outcomes} == {ExitCode.IN_DOUBT}
    assert len(world.provider.submitted) == 1


# ---------------------------------------------------------------- dying anywhere


class Killed(Exception):
    """The process ended here; whatever still runs must change nothing on disk."""


def die_at(monkeypatch: pytest.MonkeyPatch, number: int, *, committed: bool) -> list[int]:
    """End the process at the n-th journal write, before or after it is on the disk."""
    writes: list[int] = []
    append = Journal.append

    def dying(journal: Journal, attempt_id: str, kind: EventKind, data: Any) -> Event:
        writes.append(1)
        if len(writes) < number:
            return append(journal, attempt_id, kind, data)
        if len(writes) == number and committed:
            append(journal, attempt_id, kind, data)
        raise Killed

    monkeypatch.setattr(Journal, "append", dying)
    return writes


@pytest.mark.anyio
@pytest.mark.parametrize("knows_its_key", [True, False])
@pytest.mark.parametrize("echoes_inputs", [True, False])
@pytest.mark.parametrize("committed", [False, True])
async def test_a_run_killed_at_any_journal_write_pays_once_for_every_shot(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    committed: bool,
    echoes_inputs: bool,
    knows_its_key: bool,
) -> None:
    """One submission in flight, as at the lowest account level; killed at the 1st, 2nd, … write
    until a run survives, then run again to the end. Only where neither the history nor an
    earlier task tells what is ours may it end with the doubt instead."""
    for_a_person = 0
    storyboard = board("ab")
    number = 0
    while True:
        number += 1
        world = World(tmp_path / str(number))
        world.limits = NARROW
        world.provider.echoes_inputs = echoes_inputs
        if knows_its_key:
            with ExitStack() as stack:
                world.open(stack).account.answered("long ago", "an-earlier-task")
        with monkeypatch.context() as patch:
            writes = die_at(patch, number, committed=committed)
            try:
                await world.run(storyboard)
            except BaseExceptionGroup as group:
                assert group.split(Killed)[1] is None
        if len(writes) < number:
            break
        before = len(world.provider.tasks)
        (outcome,) = await world.run(storyboard)
        if outcome.exit_code is ExitCode.IN_DOUBT:
            assert before == len(world.provider.tasks) == 1, f"killed at write {number}"
            for_a_person += 1
            continue
        assert outcome.exit_code is ExitCode.DONE, f"killed at write {number}"
        assert before <= len(world.provider.tasks) == 2, f"killed at write {number}"
        assert outcome.ledger.spent_usd == Decimal("0.60")
        assert outcome.film is not None
    assert number > 10
    assert for_a_person == (1 if not (committed or echoes_inputs or knows_its_key) else 0)


@pytest.mark.anyio
async def test_a_run_cancelled_at_any_moment_pays_once_for_every_shot(tmp_path: Path) -> None:
    """The second Ctrl-C, at the first, second, … point where anything waits."""
    storyboard = board("ab")
    for steps in range(1, 60, 3):
        world = World(tmp_path / str(steps))
        world.limits = NARROW
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def cancel_soon(after: int = steps, scope: Any = scope) -> None:
                    for _ in range(after):
                        await anyio.sleep(0.001)
                    scope.cancel()

                group.start_soon(cancel_soon)
                await world.run(storyboard)
                group.cancel_scope.cancel()
        # The answer of a POST on the wire is always written down: nothing is left in doubt.
        if world.folder.joinpath("aurora").exists():
            assert AttemptState.INTENT not in world.states(storyboard).values()
        (outcome,) = await world.run(storyboard)
        assert outcome.exit_code is ExitCode.DONE
        assert len(world.provider.tasks) == len(world.provider.submitted) == 2


@pytest.mark.anyio
async def test_a_shot_that_hangs_keeps_no_other_from_its_end(world: World) -> None:
    storyboard = board("abc")
    world.provider.statuses["task-1"] = [hang]
    with anyio.move_on_after(1):
        await world.run(storyboard)
    states = sorted(world.states(storyboard).values())
    assert states == [AttemptState.SUBMITTED, AttemptState.VERIFIED, AttemptState.VERIFIED]
