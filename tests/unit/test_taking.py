"""Where money is spent: one paid POST per intent, both sides of it on disk, nothing in between."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fakes import NARROW, World, completed, fake_verify, hang, then
from support import MODEL, event, events_to, make_shot, make_storyboard
from wire import Wire, answer, data

from pipeline.capabilities import WAVESPEED
from pipeline.errors import (
    ConfigurationError,
    ExitCode,
    Halted,
    KeyRefused,
    RateLimited,
    Rejected,
    StorageError,
    SubmissionInDoubt,
    Unavailable,
)
from pipeline.fingerprint import fingerprint
from pipeline.ledger import AttemptState, EventKind
from pipeline.model import Expected, FileReference, Shot, Storyboard
from pipeline.production import Halt, Production
from pipeline.providers.http import HttpProvider
from pipeline.providers.wavespeed import WaveSpeed
from pipeline.taking import TakeMaker

KEY = "wsk_canary_5f1c9a3e77b24d"
BASE = "https://api.wavespeed.example"
# Sums of seconds are not exact.
EPSILON = 1e-6
IMAGE = "https://images.example/bottle.png"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def shot(name: str = "opening", **changes: Any) -> Shot:
    """A shot whose image needs no upload; its words are its own."""
    return make_shot(name, images=[IMAGE], prompt=f"@image1 as {name}", **changes)


ONE = make_storyboard(shot())


class Desk:
    """A take maker at work on one storyboard, without the runner around it."""

    def __init__(self, world: World, storyboard: Storyboard = ONE) -> None:
        self._stack = ExitStack()
        self.services = world.open(self._stack)
        self.production: Production = world.open_production(self._stack, storyboard)
        self.halt = Halt()
        self.maker = TakeMaker(self.services, self.halt)
        self.maker.work_on([self.production])

    async def buy(self, number: int = 0) -> None:
        planned = self.production.plan.takes[number]
        for attempt in await self.maker.buy(self.production, [planned]):
            await self.maker.follow(self.production, attempt)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
async def desk(world: World) -> AsyncIterator[Desk]:
    desk = Desk(world)
    yield desk
    desk.close()


# ---------------------------------------------------------------- intent, POST, answer


@pytest.mark.anyio
async def test_the_intent_is_on_disk_when_the_request_reaches_the_wire(
    world: World,
) -> None:
    """Seen from the transport: what the journal file holds at the moment of the POST."""
    on_disk: list[list[str]] = []
    sent: list[dict[str, Any]] = []
    written: list[dict[str, Any]] = []

    def serve(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            on_disk.append(world.kinds(ONE))
            written.append(dict(world.events(ONE)[-1].data["request"]))
            sent.append(json.loads(request.content))
            return data(id="t1")
        on_disk.append(world.kinds(ONE))
        return data(id="t1", status="completed", outputs=["https://cdn.example/1.mp4"])

    wire = Wire(serve)
    async with HttpProvider(
        WaveSpeed(WAVESPEED), base_url=BASE, key=KEY, transport=wire, utc=world.clock.utc
    ) as provider:
        world.provider = provider
        await world.run(ONE)
    assert on_disk == [["intent"], ["intent", "accepted"]]
    assert sent == written
    assert world.kinds(ONE)[2:] == ["completed", "downloaded", "verified"]
    assert world.events(ONE)[1].data["task_id"] == "t1"


@pytest.mark.anyio
async def test_the_answer_is_on_disk_before_anybody_is_told(world: World) -> None:
    told: list[tuple[str, list[str]]] = []

    def take(storyboard: str, slate: str, phase: str, detail: str = "") -> None:
        told.append((phase, world.kinds(ONE)))

    world.reporter.take = take  # type: ignore[method-assign]
    await world.run(ONE)
    phases = dict(told)
    assert phases["submitting"] == ["intent"]
    assert phases["submitted"] == ["intent", "accepted"]


@pytest.mark.anyio
async def test_the_intent_says_all_that_a_later_run_needs(world: World) -> None:
    world.provider.server_ahead_s = -7.5
    await world.run(ONE)
    (attempt,) = world.attempts(ONE)
    assert attempt.fingerprint == fingerprint(ONE.shots[0], MODEL)
    assert str(attempt.price_usd) == "0.30"
    assert (attempt.provider, attempt.model) == ("wavespeed", MODEL)
    assert attempt.server_ahead_s == -7.5
    assert attempt.request == {
        "images": [IMAGE],
        "prompt": "@image1 as opening",
        "duration": 6,
        "resolution": "720p",
    }


def journal_fails_at(desk: Desk, kind: EventKind) -> None:
    """From now on the disk takes every event but this one."""
    append = desk.production._journal.append

    def failing(attempt_id: str, event_kind: EventKind, data: Any) -> Any:
        if event_kind is kind:
            raise StorageError("cannot write to the journal: disk full")
        return append(attempt_id, event_kind, data)

    desk.production._journal.append = failing  # type: ignore[method-assign]


@pytest.mark.anyio
async def test_without_an_intent_on_disk_nothing_is_sent(world: World, desk: Desk) -> None:
    world.limits = NARROW
    journal_fails_at(desk, EventKind.INTENT)
    with pytest.raises(StorageError):
        await desk.buy()
    assert world.provider.submitted == []
    assert desk.services.account.try_start("next", NARROW) == 0.0


@pytest.mark.anyio
async def test_an_answer_that_cannot_be_written_is_found_again_and_not_bought_again(
    world: World,
) -> None:
    desk = Desk(world)
    journal_fails_at(desk, EventKind.ACCEPTED)
    with pytest.raises(StorageError):
        await desk.buy()
    desk.close()
    assert world.kinds(ONE) == ["intent"]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == 1


@pytest.mark.anyio
async def test_a_doubt_that_cannot_be_written_is_still_one_for_the_next_run(
    world: World,
) -> None:
    desk = Desk(world)
    journal_fails_at(desk, EventKind.DOUBT)
    world.provider.submits = [world.provider.accept_and_lose]
    with pytest.raises(StorageError):
        await desk.buy()
    desk.close()
    assert world.kinds(ONE) == ["intent"]
    await world.run(ONE)
    assert len(world.provider.submitted) == 1
    assert world.states(ONE) == {"opening_tk01": AttemptState.VERIFIED}


# ---------------------------------------------------------------- refusals


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (Rejected("400: no", code="400"), False),
        (KeyRefused("401: no", code="401"), True),
        (KeyRefused("402: no credit", code="1407"), True),
        (ConfigurationError("the provider redirects"), True),
    ],
)
async def test_a_plain_no_is_written_down_and_never_repeated(
    world: World, desk: Desk, error: Exception, stops: bool
) -> None:
    world.provider.submits = [error]
    with pytest.raises(type(error)):
        await desk.buy()
    assert world.kinds(ONE) == ["intent", "refused"]
    assert len(world.provider.submitted) == 1
    assert desk.halt.is_set is stops
    assert desk.services.account.try_start("next", NARROW) == 0.0


@pytest.mark.anyio
async def test_what_was_never_sent_is_tried_a_few_times_each_with_its_own_intent(
    world: World, desk: Desk
) -> None:
    world.provider.submits = [Unavailable("cannot reach it")] * 9
    with pytest.raises(Unavailable):
        await desk.buy()
    assert world.kinds(ONE) == ["intent", "refused"] * 5
    assert len({event.attempt_id for event in world.events(ONE)}) == 5
    assert len(world.provider.submitted) == 5
    # Four waits with jitter, none of them long; and no slot of the minute is used up.
    assert len(world.clock.slept) == 4
    assert all(0 <= seconds <= 20 for seconds in world.clock.slept)
    assert desk.services.account.try_start("next", NARROW) == 0.0


@pytest.mark.anyio
async def test_a_connection_that_comes_back_is_used(world: World) -> None:
    world.provider.submits = [Unavailable("refused"), Unavailable("refused")]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert [attempt.state for attempt in world.attempts(ONE)] == [
        AttemptState.REFUSED,
        AttemptState.REFUSED,
        AttemptState.VERIFIED,
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("retry_after_s", "least_s", "most_s"),
    [(2.0, 2, 10), (90.0, 90, 100), (0.0, 0, 10), (None, 5, 60), (1e9, 600, 700)],
)
async def test_a_429_is_waited_out_as_long_as_told_and_no_longer_than_ten_minutes(
    world: World, retry_after_s: float | None, least_s: float, most_s: float
) -> None:
    times: list[float] = []
    again = RateLimited("429: slow down", retry_after_s=retry_after_s)
    world.provider.submits = [
        then(lambda: times.append(world.clock.now_s), again),
        then(lambda: times.append(world.clock.now_s), world.provider.make_task),
    ]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert world.kinds(ONE)[:4] == ["intent", "refused", "intent", "accepted"]
    assert least_s - EPSILON <= times[1] - times[0] <= most_s


@pytest.mark.anyio
async def test_a_429_holds_back_every_other_take_too(world: World) -> None:
    world.limits = NARROW
    times: list[float] = []
    world.provider.submits = [
        then(lambda: times.append(world.clock.now_s), RateLimited("429", retry_after_s=30)),
        *[
            then(lambda: times.append(world.clock.now_s), world.provider.make_task)
            for _ in range(3)
        ],
    ]
    await world.run(make_storyboard(shot("a"), shot("b"), shot("c")))
    assert len(times) == 4
    assert min(times[1:]) >= times[0] + 30 - EPSILON


@pytest.mark.anyio
async def test_a_provider_that_always_says_429_is_left_in_the_end(world: World, desk: Desk) -> None:
    world.provider.submits = [RateLimited("429", retry_after_s=1)] * 100
    with pytest.raises(RateLimited):
        await desk.buy()
    assert len(world.provider.submitted) == 20


@pytest.mark.anyio
async def test_many_takes_do_not_each_wait_for_their_own_twenty_429s(world: World) -> None:
    world.limits = NARROW
    world.provider.submits = [RateLimited("429", retry_after_s=1)] * 100
    (outcome,) = await world.run(make_storyboard(shot("a"), shot("b"), shot("c")))
    assert outcome.exit_code is ExitCode.TRY_LATER
    assert len(world.provider.submitted) == 20


@pytest.mark.anyio
async def test_429s_between_submissions_that_work_do_not_stop_the_run(world: World) -> None:
    world.limits = NARROW
    often = [RateLimited("429", retry_after_s=1)] * 12
    world.provider.submits = [*often, world.provider.make_task, *often, world.provider.make_task]
    (outcome,) = await world.run(make_storyboard(shot("a"), shot("b")))
    assert outcome.exit_code is ExitCode.DONE


# ---------------------------------------------------------------- doubts


@pytest.mark.anyio
async def test_a_lost_answer_is_found_in_the_history_and_not_sent_again(world: World) -> None:
    world.provider.submits = [world.provider.accept_and_lose]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == 1
    assert world.kinds(ONE)[:3] == ["intent", "doubt", "accepted"]


@pytest.mark.anyio
async def test_what_is_proved_absent_is_bought_once_more_under_a_new_intent(
    world: World,
) -> None:
    world.provider.submits = [SubmissionInDoubt("503")]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == len(world.provider.tasks) + 1 == 2
    assert len(world.provider.history_calls) == 2
    assert world.kinds(ONE)[:5] == ["intent", "doubt", "absent", "intent", "accepted"]
    first, second = world.attempts(ONE)
    assert first.attempt_id != second.attempt_id
    assert (first.state, second.state) == (AttemptState.ABSENT, AttemptState.VERIFIED)


@pytest.mark.anyio
async def test_submissions_that_never_make_a_task_come_to_an_end(world: World, desk: Desk) -> None:
    world.provider.submits = [SubmissionInDoubt("503")] * 100
    with pytest.raises(Unavailable, match="neither the provider's history nor its bill"):
        await desk.buy()
    assert len(world.provider.submitted) == 2
    assert world.kinds(ONE) == ["intent", "doubt", "absent"] * 2


@pytest.mark.anyio
async def test_an_undecided_doubt_stops_every_further_submission(world: World) -> None:
    board = make_storyboard(*(shot(name) for name in "abcdef"))
    world.limits = NARROW
    world.provider.echoes_inputs = False

    def lose_between_two_strangers(request: Any) -> Exception:
        world.provider.make_task(request, "stranger")
        return world.provider.accept_and_lose(request)

    world.provider.submits = [world.provider.make_task, lose_between_two_strangers]
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert len(world.provider.submitted) == 2
    states = sorted(world.states(board).values())
    assert states == [AttemptState.IN_DOUBT, AttemptState.VERIFIED]


@pytest.mark.anyio
async def test_a_history_that_is_down_leaves_the_doubt_to_the_next_run(world: World) -> None:
    world.provider.submits = [world.provider.accept_and_lose]
    world.provider.histories = [Unavailable("503")]
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert world.states(ONE) == {"opening_tk01": AttemptState.IN_DOUBT}
    assert str(outcome.ledger.reserved_usd) == "0.30"
    (outcome,) = await world.run(ONE)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == 1


@pytest.mark.anyio
async def test_nothing_is_submitted_while_a_doubt_is_being_settled(world: World) -> None:
    board = make_storyboard(*(shot(name) for name in "abcd"))
    sent_during: list[int] = []

    def look() -> list[Any]:
        sent_during.append(len(world.provider.submitted))
        return list(world.provider.tasks.values())

    world.provider.submits = [world.provider.accept_and_lose]
    world.provider.histories = [then(lambda: None, look)]
    world.limits = NARROW
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.DONE
    assert sent_during == [1]
    assert len(world.provider.submitted) == 4


@pytest.mark.anyio
async def test_of_two_doubts_at_once_each_gets_its_own_task(world: World) -> None:
    board = make_storyboard(shot("a"), shot("b"))
    world.provider.submits = [world.provider.accept_and_lose] * 2
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == 2
    for attempt in world.attempts(board):
        inputs = world.provider.tasks[attempt.task_id].inputs
        assert inputs["prompt"] == f"@image1 as {attempt.shot_id}"


@pytest.mark.anyio
async def test_of_two_blind_doubts_and_one_task_neither_takes_it(world: World) -> None:
    """One of them was not made; the wrong one must not be shown in the other's place."""
    board = make_storyboard(shot("a"), shot("b"))
    world.provider.echoes_inputs = False
    world.provider.submits = [SubmissionInDoubt("lost"), world.provider.accept_and_lose]
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.IN_DOUBT
    assert set(world.states(board).values()) == {AttemptState.IN_DOUBT}
    assert len(world.provider.submitted) == 2


# ---------------------------------------------------------------- nothing interrupts the POST


def slow_submit(world: World, started: anyio.Event, finish: anyio.Event) -> Callable[..., Any]:
    async def step(request: Any) -> str:
        task_id: str = world.provider.make_task(request)
        started.set()
        await finish.wait()
        return task_id

    return step


@pytest.mark.anyio
async def test_cancellation_waits_for_the_answer_and_its_record(world: World, desk: Desk) -> None:
    started, finish = anyio.Event(), anyio.Event()
    world.provider.submits = [slow_submit(world, started, finish)]
    async with anyio.create_task_group() as group:
        group.start_soon(desk.buy)
        await started.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            assert world.kinds(ONE) == ["intent"]
            finish.set()
    assert world.kinds(ONE) == ["intent", "accepted"]
    assert world.provider.looks == []


@pytest.mark.anyio
async def test_a_crash_of_a_sibling_waits_for_the_answer_and_its_record(world: World) -> None:
    board = make_storyboard(shot("a"), shot("b"))
    started, finish = anyio.Event(), anyio.Event()

    async def crash(request: Any) -> str:
        await started.wait()
        finish.set()
        raise RuntimeError("a bug")

    world.provider.submits = [slow_submit(world, started, finish), crash]
    with pytest.raises(BaseExceptionGroup) as caught:
        await world.run(board)
    assert caught.group_contains(RuntimeError, match="a bug")
    states = sorted(world.states(board).values())
    assert states == [AttemptState.INTENT, AttemptState.SUBMITTED]


@pytest.mark.anyio
async def test_the_halt_waits_for_the_answer_and_its_record(world: World, desk: Desk) -> None:
    def interrupt() -> None:
        desk.halt.set("interrupted", ExitCode.SIGINT)

    world.provider.submits = [then(interrupt, world.provider.make_task)]
    await desk.buy()
    assert world.kinds(ONE)[:2] == ["intent", "accepted"]
    assert world.states(ONE) == {"opening_tk01": AttemptState.VERIFIED}


@pytest.mark.anyio
async def test_after_the_halt_nothing_is_sent_and_no_slot_is_kept(world: World, desk: Desk) -> None:
    desk.halt.set("interrupted", ExitCode.SIGINT)
    with pytest.raises(Halted, match="interrupted"):
        await desk.buy()
    assert world.provider.submitted == []
    assert world.kinds(ONE) == []
    assert desk.services.account.try_start("next", NARROW) == 0.0


@pytest.mark.anyio
async def test_a_take_that_waits_for_its_turn_leaves_at_the_halt(world: World, desk: Desk) -> None:
    desk.services.limiter.acquire = hang  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:

        async def buy() -> None:
            with pytest.raises(Halted):
                await desk.buy()

        group.start_soon(buy)
        await anyio.wait_all_tasks_blocked()
        desk.halt.set("interrupted", ExitCode.SIGINT)
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_a_take_at_the_gate_sends_nothing_when_the_run_comes_down(world: World) -> None:
    """The doubt before it is still open; its settling has only been cancelled."""
    board = make_storyboard(shot("a"), shot("b"))
    desk = Desk(world, board)
    looking = anyio.Event()
    world.provider.submits = [world.provider.accept_and_lose]
    world.provider.histories = [then(looking.set, hang)]
    async with anyio.create_task_group() as group:
        group.start_soon(desk.buy, 0)
        await looking.wait()
        group.start_soon(desk.buy, 1)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert len(world.provider.submitted) == 1
    assert world.states(board) == {"a_tk01": AttemptState.IN_DOUBT}
    # The doubt keeps its lane; the one at the gate has given its slot back.
    rows = sqlite3.connect(world.folder / "state" / "account.sqlite3")
    assert rows.execute("SELECT COUNT(*) FROM starts").fetchone() == (1,)
    rows.close()
    desk.close()


# ---------------------------------------------------------------- references


def picture(folder: Path, name: str, content: bytes = b"\x89PNG the same picture") -> FileReference:
    path = folder / f"{name}.png"
    path.write_bytes(content)
    return FileReference(
        source=f"refs/{name}.png",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        media_type="image/png",
        width_px=16,
        height_px=9,
    )


@pytest.mark.anyio
async def test_a_picture_is_uploaded_once_for_all_shots_that_show_it(world: World) -> None:
    front, copy = picture(world.folder, "front"), picture(world.folder, "copy")
    cap = picture(world.folder, "cap", b"\x89PNG another picture")
    shots = [
        make_shot(name, images=[front, cap, copy, IMAGE], prompt=f"@image1 as {name}")
        for name in "abcdef"
    ]
    (outcome,) = await world.run(make_storyboard(*shots))
    assert outcome.exit_code is ExitCode.DONE
    assert sorted(one.sha256 for one in world.provider.uploaded) == sorted(
        {front.sha256, cap.sha256}
    )
    urls = world.provider.submitted[0].image_urls
    assert urls[0] == urls[2] != urls[1]
    assert urls[3] == IMAGE
    assert {request.image_urls for request in world.provider.submitted} == {urls}


@pytest.mark.anyio
async def test_an_upload_of_less_than_a_day_ago_is_used_again(world: World) -> None:
    front = picture(world.folder, "front")
    for number, now_s in enumerate((0, 23 * 3600, 25 * 3600)):
        world.clock.now_s = now_s
        one = make_shot("a", images=[front], prompt=f"@image1, version {number}")
        await world.run(make_storyboard(one))
    assert len(world.provider.uploaded) == 2


@pytest.mark.anyio
async def test_a_failed_upload_is_not_remembered_and_costs_its_shot_only(world: World) -> None:
    front = picture(world.folder, "front")
    board = make_storyboard(make_shot("a", images=[front]), shot("b"))
    world.provider.uploads = [Rejected("refs/front.png changed while the run was under way")]
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert world.states(board) == {"b_tk01": AttemptState.VERIFIED}
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.DONE


@pytest.mark.anyio
async def test_a_file_that_changed_since_it_was_checked_stops_its_shot_before_any_request(
    world: World,
) -> None:
    front = picture(world.folder, "front")
    front.path.write_bytes(b"\x89PNG edited")
    board = make_storyboard(make_shot("a", images=[front]))
    wire = Wire(lambda _: answer(500))
    async with HttpProvider(
        WaveSpeed(WAVESPEED), base_url=BASE, key=KEY, transport=wire
    ) as provider:
        world.provider = provider
        (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert "changed" in outcome.takes[0].message
    assert wire.requests == []
    assert world.kinds(board) == []


@pytest.mark.anyio
async def test_a_key_that_is_refused_at_an_upload_stops_shots_that_need_none(
    world: World,
) -> None:
    front = picture(world.folder, "front")
    board = make_storyboard(make_shot("a", images=[front]), shot("b"), shot("c"))
    world.limits = NARROW
    world.provider.uploads = [KeyRefused("401: no such key", code="401")]
    world.provider.submits = [hang_until_halt(world)]
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.KEY_REFUSED
    assert len(world.provider.submitted) <= 1


def hang_until_halt(world: World) -> Callable[..., Any]:
    async def step(request: Any) -> str:
        assert world.halt is not None
        await world.halt.wait()
        return str(world.provider.make_task(request))

    return step


# ---------------------------------------------------------------- adopting


def renamed_board(world: World, state: AttemptState) -> tuple[Storyboard, Storyboard, bytes]:
    """A journal in which ``old`` was made, and a manifest that now calls it ``new``."""
    before = make_storyboard(make_shot("old", images=[IMAGE]))
    after = make_storyboard(make_shot("new", images=[IMAGE]))
    content = b"clip of old"
    events = [
        event(one.kind, "a1", **one.data)
        if one.kind is not EventKind.DOWNLOADED
        else event(
            one.kind,
            "a1",
            clip="old_tk01.mp4",
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        for one in events_to(
            state, "a1", shot="old", fingerprint=fingerprint(before.shots[0], MODEL)
        )
    ]
    world.write_journal(before, events)
    world.provider.statuses["task-a1"] = [completed("https://cdn.example/old.mp4")]
    return before, after, content


@pytest.mark.anyio
async def test_a_renamed_shot_takes_its_clip_along_without_a_request(world: World) -> None:
    before, after, content = renamed_board(world, AttemptState.VERIFIED)
    world.clip(before, "old_tk01.mp4").write_bytes(content)
    (outcome,) = await world.run(after)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == world.provider.looks == []
    assert world.downloader.urls == []
    names = sorted(path.name for path in (world.folder / "aurora" / "clips").iterdir())
    assert names == ["new_tk01.mp4"]
    assert world.states(after) == {"new_tk01": AttemptState.VERIFIED}


@pytest.mark.anyio
async def test_new_name_of_a_renamed_shots_clip_is_safe_before_the_old_one_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, content = renamed_board(world, AttemptState.VERIFIED)
    old = world.clip(before, "old_tk01.mp4")
    old.write_bytes(content)
    new = world.clip(after, "new_tk01.mp4")
    both_when_synced: list[bool] = []
    really = os.fsync

    def look(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == new.parent:
            both_when_synced.append(old.exists() and new.exists())
        really(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    (outcome,) = await world.run(after)
    assert outcome.exit_code is ExitCode.DONE
    assert both_when_synced == [True]


@pytest.mark.anyio
async def test_a_renamed_shot_whose_clip_is_gone_is_downloaded_and_not_bought(
    world: World,
) -> None:
    _, after, _ = renamed_board(world, AttemptState.VERIFIED)
    world.clip(after, "x")
    world.downloader.script = [b"clip of old"]
    (outcome,) = await world.run(after)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == []
    assert world.clip(after, "new_tk01.mp4").read_bytes() == b"clip of old"


@pytest.mark.anyio
@pytest.mark.parametrize("state", [AttemptState.SUBMITTED, AttemptState.COMPLETED])
async def test_a_renamed_shot_whose_task_runs_gets_that_tasks_clip(
    world: World, state: AttemptState
) -> None:
    _, after, _ = renamed_board(world, state)
    (outcome,) = await world.run(after)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == []
    assert world.states(after) == {"new_tk01": AttemptState.VERIFIED}


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["old_tk01.mp4", "old_tk01.mp4.part"])
async def test_a_renamed_shot_whose_clip_was_not_yet_checked_is_never_bought(
    world: World, name: str
) -> None:
    before, after, content = renamed_board(world, AttemptState.DOWNLOADED)
    world.clip(before, name).write_bytes(content)
    world.downloader.script = [content]
    (outcome,) = await world.run(after)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == []
    assert world.clip(after, "new_tk01.mp4").read_bytes() == content


@pytest.mark.anyio
async def test_an_adoption_that_was_cut_short_is_taken_up_again(world: World) -> None:
    """The new name was linked and the event written; the old name was still there."""
    before, after, content = renamed_board(world, AttemptState.VERIFIED)
    world.clip(before, "old_tk01.mp4").write_bytes(content)
    world.clip(before, "new_tk01.mp4").hardlink_to(world.clip(before, "old_tk01.mp4"))
    (outcome,) = await world.run(after)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.looks == []
    expected = Expected(duration_s=Fraction(6), short_side_px=720)
    assert await fake_verify(world.clip(after, "new_tk01.mp4"), expected)
