"""Slots are handed out in order and never lost; only calls that cost nothing are repeated."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from support import NOON, make_reference
from trio.testing import MockClock

from pipeline.account import AccountStore, Allowance
from pipeline.capabilities import WAVESPEED, AccountLevel, Capabilities
from pipeline.errors import (
    ConfigurationError,
    KeyRefused,
    NotOffered,
    RateLimited,
    Rejected,
    StoryboardError,
    SubmissionInDoubt,
    Unavailable,
    UnknownTask,
)
from pipeline.model import FileReference, Resolution
from pipeline.providers.base import BillingRow, HistoryItem, TakeRequest, TaskPhase, TaskStatus
from pipeline.providers.limits import Limiter, Retrying, allowance

ONE_IN_TEN = Allowance(starts=1, window_s=10.0, max_tasks=100, lanes=100)
REQUEST = TakeRequest(
    model=WAVESPEED.model,
    prompt="@image1",
    image_urls=("https://example.com/1.png",),
    duration_s=6,
    resolution=Resolution.P720,
)


class World:
    """An account in virtual time, which jumps ahead whenever everyone waits."""

    def __init__(self, folder: Path) -> None:
        # The account is asked in a thread; the jump must not come while it thinks.
        self.clock = MockClock(autojump_threshold=0.02)
        self.store = AccountStore(folder / "account.sqlite3", now=self.clock.current_time)

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        anyio.run(work, backend="trio", backend_options={"clock": self.clock})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with made.store:
        yield made


# The limiter.


def test_slots_are_given_in_the_order_asked_for(world: World) -> None:
    given: list[str] = []
    times: list[float] = []

    async def main() -> None:
        limiter = Limiter(world.store, ONE_IN_TEN)

        async def take(name: str) -> None:
            await limiter.acquire(name)
            given.append(name)
            times.append(anyio.current_time())
            limiter.answered(name, f"task-{name}")

        async with anyio.create_task_group() as group:
            for name in "abcd":
                group.start_soon(take, name)
                await anyio.lowlevel.checkpoint()
                await anyio.sleep(0.001)

    world.run(main)
    assert given == list("abcd")
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert waits == pytest.approx([10, 10, 10], abs=0.6)
    assert min(waits) >= 10


@pytest.mark.parametrize("freed", ["ended", "not_sent"])
def test_waiter_goes_on_as_soon_as_a_place_is_free(world: World, freed: str) -> None:
    limits = Allowance(starts=100, window_s=10.0, max_tasks=1, lanes=100)
    went_on_at: list[float] = []

    async def main() -> None:
        limiter = Limiter(world.store, limits)
        await limiter.acquire("a")
        if freed == "ended":
            limiter.answered("a", "task-a")

        async def wait() -> None:
            await limiter.acquire("b")
            went_on_at.append(anyio.current_time())

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            # Between two looks of its own.
            await anyio.sleep(0.6)
            getattr(limiter, freed)("a")
            freed_at = anyio.current_time()
        assert went_on_at[0] - freed_at < 0.1

    world.run(main)


def test_place_freed_by_another_process_is_noticed(world: World, tmp_path: Path) -> None:
    limits = Allowance(starts=100, window_s=10.0, max_tasks=1, lanes=100)

    async def main() -> None:
        limiter = Limiter(world.store, limits)
        await limiter.acquire("a")
        went_on_at: list[float] = []

        async def wait() -> None:
            await limiter.acquire("b")
            went_on_at.append(anyio.current_time())

        with AccountStore(tmp_path / "account.sqlite3", now=world.clock.current_time) as other:
            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await anyio.sleep(5)
                other.not_sent("a")
                freed_at = anyio.current_time()
        assert 0 <= went_on_at[0] - freed_at <= 1

    world.run(main)


def test_cancelled_waiter_leaves_its_turn_to_the_next(world: World) -> None:
    given: list[str] = []

    async def main() -> None:
        limiter = Limiter(world.store, ONE_IN_TEN)
        await limiter.acquire("first")
        limiter.answered("first", "task")

        async def impatient() -> None:
            with anyio.move_on_after(3):
                await limiter.acquire("impatient")
                given.append("impatient")

        async def patient() -> None:
            await limiter.acquire("patient")
            given.append("patient")

        async with anyio.create_task_group() as group:
            group.start_soon(impatient)
            await anyio.sleep(0.001)
            group.start_soon(patient)
        assert anyio.current_time() >= 10

    world.run(main)
    assert given == ["patient"]
    assert world.store.try_start("next", ONE_IN_TEN) > 0


class CancelledInTheAct(AccountStore):
    """Cancels whoever asks just as the slot is taken."""

    scope: anyio.CancelScope | None = None

    def try_start(self, attempt_id: str, allowance: Allowance) -> float:
        wait_s = super().try_start(attempt_id, allowance)
        if self.scope is not None:
            anyio.from_thread.run_sync(self.scope.cancel)
        return wait_s


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("free", [True, False])
def test_slot_is_held_exactly_by_those_who_got_it(tmp_path: Path, backend: str, free: bool) -> None:
    """Cancelled in the act of taking it: either the caller has the slot, or nobody has."""
    one_lane = Allowance(starts=100, window_s=10.0, max_tasks=100, lanes=1)
    got: list[str] = []

    async def main(store: CancelledInTheAct) -> None:
        limiter = Limiter(store, one_lane)
        if not free:
            await limiter.acquire("before")
        with anyio.CancelScope() as store.scope:
            await limiter.acquire("a")
            got.append("a")
        store.scope = None
        if not free:
            limiter.not_sent("before")
        taken = store.try_start("next", one_lane) > 0
        assert taken == bool(got)

    with CancelledInTheAct(tmp_path / "account.sqlite3") as store:
        anyio.run(main, store, backend=backend)


class Recorder(AccountStore):
    """Notes the waits that a 429 leads to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.waits: list[float] = []

    def slow_down(self, retry_after_s: float, allowance: Allowance) -> None:
        self.waits.append(retry_after_s)


def test_wait_after_a_429_is_as_told_else_longer_each_time_and_never_over_ten_minutes(
    tmp_path: Path,
) -> None:
    async def main(store: Recorder) -> None:
        limiter = Limiter(store, ONE_IN_TEN)
        for told in (None, None, 2.0, None, None, None, 1e9):
            limiter.refused(told)
        limiter.answered("a", "task")
        limiter.refused(None)

    with Recorder(tmp_path / "account.sqlite3") as store:
        anyio.run(main, store)
        assert store.waits == [5, 10, 2, 40, 60, 60, 600, 5]


def test_wait_after_thousands_of_429_is_still_a_number(tmp_path: Path) -> None:
    async def main(store: Recorder) -> None:
        limiter = Limiter(store, ONE_IN_TEN)
        for _ in range(3000):
            limiter.refused(None)

    with Recorder(tmp_path / "account.sqlite3") as store:
        anyio.run(main, store)
        assert store.waits[-1] == 60


@pytest.mark.parametrize(
    ("level", "lanes"), list(zip(WAVESPEED.levels, [1, 17, 32, 32], strict=True))
)
def test_lanes_are_as_few_as_the_rate_needs(level: AccountLevel, lanes: int) -> None:
    limits = allowance(level, 60.0)
    assert limits.lanes == lanes
    assert (limits.starts, limits.max_tasks) == (level.submits_per_minute, level.max_tasks)
    assert limits.window_s == 60.0


def test_lanes_are_never_more_than_the_tasks_at_once() -> None:
    level = AccountLevel(name="odd", submits_per_minute=600, max_tasks=3)
    assert allowance(level, 1.0).lanes == 3


# Repeating.


class Flaky:
    """A provider that fails as scripted, then answers; every call is counted."""

    capabilities: Capabilities = WAVESPEED
    server_ahead_s: float | None = 1.5

    def __init__(self, *failures: StoryboardError) -> None:
        self.failures = list(failures)
        self.calls: list[str] = []

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        if self.failures:
            raise self.failures.pop(0)

    async def submit(self, request: TakeRequest) -> str:
        self._answer("submit")
        return "task-1"

    async def status(self, task_id: str, results: int = 1) -> TaskStatus:
        self._answer("status")
        return TaskStatus(phase=TaskPhase.RUNNING, word=f"{task_id} {results}")

    async def details(self, task_id: str) -> bool:
        self._answer("details")
        return task_id == "task-1"

    async def upload(self, reference: FileReference) -> str:
        self._answer("upload")
        return f"https://example.com/{reference.sha256}"

    async def history(self, created_after: datetime) -> tuple[HistoryItem, ...]:
        self._answer("history")
        return (HistoryItem(task_id="t", created_at=created_after, inputs=None),)

    def same_request(self, inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        return inputs == request

    async def balance(self) -> Decimal:
        self._answer("balance")
        return Decimal("12.30")

    async def quote(self, request: TakeRequest) -> Decimal:
        self._answer("quote")
        return Decimal("0.05") * (request.duration_s or 0)

    async def billings(self, since: datetime) -> tuple[BillingRow, ...]:
        self._answer("billings")
        return ()

    async def charges(self, task_ids: Sequence[str]) -> tuple[BillingRow, ...]:
        self._answer("charges")
        return ()

    async def webhook_secret(self) -> str:
        self._answer("webhook_secret")
        return "whsec_1"


def call(provider: Retrying, name: str) -> Any:
    """Make one call of that name and return its answer."""
    arguments: dict[str, tuple[Any, ...]] = {
        "submit": (REQUEST,),
        "status": ("task-1", 3),
        "details": ("task-1",),
        "charges": (["task-1"],),
        "webhook_secret": (),
        "upload": (make_reference(),),
        "history": (NOON,),
        "quote": (REQUEST,),
        "billings": (NOON,),
        "balance": (),
    }
    return anyio.run(getattr(provider, name), *arguments[name])


class Naps:
    """Records what was to be slept."""

    def __init__(self) -> None:
        self.lengths: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.lengths.append(seconds)


FREE_CALLS = [
    "upload",
    "history",
    "balance",
    "quote",
    "billings",
    "charges",
    "details",
    "webhook_secret",
]
FAILURES = [
    Unavailable("down"),
    RateLimited("slow down", retry_after_s=1.0),
    RateLimited("slow down"),
    SubmissionInDoubt("no answer"),
    Rejected("no"),
    KeyRefused("no"),
    UnknownTask("who"),
    ConfigurationError("redirect"),
]


@pytest.mark.parametrize("name", ["submit", "status"])
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_paid_call_and_status_are_sent_once_whatever_happens(
    name: str, failure: StoryboardError
) -> None:
    inner, naps = Flaky(failure), Naps()
    with pytest.raises(type(failure)):
        call(Retrying(inner, sleep=naps), name)
    assert inner.calls == [name]
    assert naps.lengths == []


@pytest.mark.parametrize("name", FREE_CALLS)
def test_free_call_is_repeated_until_it_succeeds(name: str) -> None:
    inner, naps = Flaky(*[Unavailable("down")] * 4), Naps()
    call(Retrying(inner, sleep=naps), name)
    assert inner.calls == [name] * 5
    assert len(naps.lengths) == 4
    assert all(0 <= length <= 20 for length in naps.lengths)


@pytest.mark.parametrize("name", FREE_CALLS)
def test_free_call_is_given_up_after_five_tries(name: str) -> None:
    inner, naps = Flaky(*[Unavailable("down")] * 9), Naps()
    with pytest.raises(Unavailable):
        call(Retrying(inner, sleep=naps), name)
    assert inner.calls == [name] * 5


@pytest.mark.parametrize(
    "failure",
    [Rejected("no"), KeyRefused("no"), ConfigurationError("bad"), NotOffered("keeps no history")],
)
@pytest.mark.parametrize("name", FREE_CALLS)
def test_free_call_that_was_refused_is_not_repeated(name: str, failure: StoryboardError) -> None:
    inner = Flaky(failure)
    with pytest.raises(type(failure)):
        call(Retrying(inner, sleep=Naps()), name)
    assert inner.calls == [name]


def test_repeat_waits_as_long_as_a_429_says() -> None:
    naps = Naps()
    failures = [RateLimited("slow", retry_after_s=after) for after in (7.0, None, 500.0)]
    call(Retrying(Flaky(*failures), sleep=naps), "balance")
    assert naps.lengths == [7, 10, 60]


def test_answers_pass_through_unchanged() -> None:
    inner = Flaky()
    provider = Retrying(inner, sleep=Naps())
    assert provider.capabilities is WAVESPEED
    assert provider.server_ahead_s == 1.5
    assert provider.same_request({"a": 1}, {"a": 1})
    assert not provider.same_request({"a": 1}, {"a": 2})
    assert call(provider, "submit") == "task-1"
    assert call(provider, "status").word == "task-1 3"
    assert call(provider, "details") is True
    assert call(provider, "charges") == ()
    assert call(provider, "webhook_secret") == "whsec_1"
    assert call(provider, "balance") == Decimal("12.30")
    assert call(provider, "quote") == Decimal("0.30")
    assert call(provider, "billings") == ()
    assert call(provider, "history")[0].created_at == NOON
    assert call(provider, "upload").startswith("https://example.com/")
