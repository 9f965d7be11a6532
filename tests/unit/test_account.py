"""One account's allowance: never more starts in any window, whoever asks, whenever answers come."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.account import UPLOAD_MAX_AGE_S, AccountStore, Allowance
from pipeline.errors import CannotWrite, ExitCode, StorageError

TWO_IN_TEN = Allowance(starts=2, window_s=10.0, max_tasks=100, lanes=100)
HOUR = 3600.0
DAY_S = 86_400.0


class Clock:
    """Wall-clock seconds that move only when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[AccountStore]:
    with AccountStore(tmp_path / "account.sqlite3", now=clock) as opened:
        yield opened


def start(store: AccountStore, name: str, allowance: Allowance = TWO_IN_TEN) -> float:
    """Start a task and have its answer at once, or the wait."""
    wait_s = store.try_start(name, allowance)
    if wait_s == 0:
        store.answered(name, f"task-{name}")
        store.ended(name)
    return wait_s


# Starts in a window.


def test_starts_beyond_the_allowance_wait_exactly_until_the_window_has_passed(
    store: AccountStore, clock: Clock
) -> None:
    assert start(store, "a") == 0
    clock.forward(4)
    assert start(store, "b") == 0
    assert start(store, "c") == pytest.approx(6)
    clock.forward(5.999)
    assert 0 < start(store, "c") < 0.02
    clock.forward(0.002)
    assert start(store, "c") == 0
    assert start(store, "d") == pytest.approx(4, abs=0.01)


def test_slot_counts_from_the_answer_and_not_from_the_sending(
    store: AccountStore, clock: Clock
) -> None:
    one = replace(TWO_IN_TEN, starts=1)
    assert store.try_start("a", one) == 0
    clock.forward(8)
    store.answered("a", "t")
    clock.forward(9)
    assert store.try_start("b", one) == pytest.approx(1)
    clock.forward(1)
    assert store.try_start("b", one) == 0


def test_unanswered_start_holds_its_slot_for_as_long_as_it_takes(
    store: AccountStore, clock: Clock
) -> None:
    one = replace(TWO_IN_TEN, starts=1)
    assert store.try_start("a", one) == 0
    for _ in range(6):
        clock.forward(10)
        assert store.try_start("b", one) > 0


def test_a_start_of_a_dead_process_gives_its_slot_back_but_may_have_made_a_task(
    store: AccountStore, clock: Clock
) -> None:
    one = replace(TWO_IN_TEN, starts=1)
    assert store.try_start("a", one) == 0
    clock.forward(131)
    assert store.try_start("b", one) == 0
    store.answered("b", "task-b")
    assert store.unanswered_besides(["b"]) == 1
    clock.forward(9 * 86_400)
    assert store.try_start("c", one) == 0
    assert store.unanswered_besides(["c"]) == 0


def test_recent_tasks_come_newest_first(store: AccountStore, clock: Clock) -> None:
    for number in range(4):
        store.answered(f"a{number}", f"task-{number}")
        clock.forward(1)
    store.resumed("a0", "task-0")
    assert store.recent_tasks(3) == ("task-0", "task-3", "task-2")


def test_start_that_was_refused_counts_and_one_that_was_not_sent_does_not(
    store: AccountStore,
) -> None:
    assert store.try_start("refused", TWO_IN_TEN) == 0
    store.answered("refused", None)
    assert store.try_start("unsent", TWO_IN_TEN) == 0
    store.not_sent("unsent")
    assert store.try_start("b", TWO_IN_TEN) == 0
    assert store.try_start("c", TWO_IN_TEN) > 0


@dataclass(frozen=True)
class Sent:
    sent_at: float
    answered_at: float


def most_in_a_window(starts: list[Sent], window_s: float) -> int:
    """The most starts that a server can have seen in any window, wherever between its sending
    and its answer it saw each of them."""
    return max(
        sum(one.sent_at < begin + window_s and one.answered_at >= begin for one in starts)
        for begin in (one.answered_at for one in starts)
    )


MOMENTS = st.lists(
    st.tuples(
        # Time since the moment before, and how long the answer takes if a task is started.
        st.sampled_from([0.0, 0.001, 0.5, 1.0, 2.5, 3.0, 7.0]),
        st.sampled_from([0.0, 0.001, 0.1, 1.0, 2.999, 3.0, 3.001, 9.0]),
        # Which of two processes asks.
        st.sampled_from([0, 1]),
    ),
    min_size=1,
    max_size=40,
)


@given(moments=MOMENTS, allowed=st.integers(1, 4), patient=st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_window_anywhere_between_sending_and_answer_holds_more_starts_than_allowed(
    moments: list[tuple[float, float, int]], allowed: int, patient: bool
) -> None:
    clock, window_s = Clock(), 3.0
    allowance = Allowance(starts=allowed, window_s=window_s, max_tasks=1000, lanes=1000)
    due: list[tuple[float, str]] = []
    starts: list[Sent] = []
    with ExitStack() as stack:
        path = Path(stack.enter_context(TemporaryDirectory())) / "account.sqlite3"
        stores = [stack.enter_context(AccountStore(path, now=clock)) for _ in range(2)]

        def go_to(moment: float) -> None:
            while due and due[0][0] <= moment:
                clock.now, name = due.pop(0)
                stores[0].answered(name, f"task-{name}")
            clock.now = moment

        for number, (pause_s, answer_s, process) in enumerate(moments):
            name = str(number)
            go_to(clock.now + pause_s)
            wait_s = stores[process].try_start(name, allowance)
            if wait_s and patient:
                go_to(clock.now + wait_s)
                wait_s = stores[process].try_start(name, allowance)
            if wait_s == 0:
                starts.append(Sent(clock.now, clock.now + answer_s))
                due.append((clock.now + answer_s, name))
                due.sort()
    assert most_in_a_window(starts, window_s) <= allowed


def test_allowance_is_used_in_full(store: AccountStore, clock: Clock) -> None:
    starts = 0
    for _ in range(1000):
        wait_s = start(store, f"a{starts}")
        starts += wait_s == 0
        clock.forward(wait_s)
        if clock.now >= Clock().now + 95:
            break
    assert starts == 20


# Several processes, and restarts.


def test_two_processes_share_one_allowance(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "account.sqlite3"
    with AccountStore(path, now=clock) as one, AccountStore(path, now=clock) as two:
        assert start(one, "a") == 0
        assert start(two, "b") == 0
        assert start(one, "c") == start(two, "d") == pytest.approx(10)
        one.slow_down(30, TWO_IN_TEN)
        assert two.try_start("e", TWO_IN_TEN) == pytest.approx(30)
        assert two.knows_task("task-a")
        one.remember_upload("sha256:1", "https://example.com/1")
        assert two.cached_upload("sha256:1") == "https://example.com/1"


def test_restart_does_not_refill_the_window(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state" / "account.sqlite3"
    for name in ("a", "b"):
        with AccountStore(path, now=clock) as store:
            assert start(store, name) == 0
    with AccountStore(path, now=clock) as store:
        assert start(store, "c") == pytest.approx(10)


def test_starts_asked_for_at_once_by_many_are_granted_once_each(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite3"
    allowance = Allowance(starts=7, window_s=60.0, max_tasks=100, lanes=100)
    granted: list[str] = []

    def ask(store: AccountStore, who: str) -> None:
        for number in range(5):
            if store.try_start(f"{who}{number}", allowance) == 0:
                granted.append(f"{who}{number}")

    with AccountStore(path) as one, AccountStore(path) as two:
        threads = [
            threading.Thread(target=ask, args=(store, f"{name}{n}-"))
            for n in range(2)
            for name, store in (("one", one), ("two", two))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(granted) == len(set(granted)) == 7


def test_processes_may_open_a_new_account_at_the_same_moment(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pipeline.account import AccountStore\n"
        "sys.stdin.readline()\n"
        "with AccountStore(Path(sys.argv[1])): pass\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "state" / "account.sqlite3")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
    assert [process.wait(timeout=30) for process in processes] == [0] * 4


# Tasks at once, and submissions in flight.


def test_tasks_at_once_are_limited_until_one_ends(store: AccountStore) -> None:
    allowance = Allowance(starts=100, window_s=10.0, max_tasks=2, lanes=100)
    for name in ("a", "b"):
        assert store.try_start(name, allowance) == 0
        store.answered(name, f"task-{name}")
    assert store.try_start("c", allowance) > 0
    store.ended("a")
    assert store.try_start("c", allowance) == 0


def test_task_of_an_earlier_run_occupies_a_place_but_no_start(
    store: AccountStore, clock: Clock
) -> None:
    allowance = Allowance(starts=1, window_s=10.0, max_tasks=2, lanes=100)
    store.resumed("old", "task-old")
    assert store.knows_task("task-old")
    assert store.try_start("a", allowance) == 0
    store.answered("a", "task-a")
    clock.forward(11)
    assert store.try_start("b", allowance) > 0
    store.ended("old")
    assert store.try_start("b", allowance) == 0


def test_resumed_start_without_an_answer_gives_its_lane_back(store: AccountStore) -> None:
    one_lane = Allowance(starts=10, window_s=10.0, max_tasks=10, lanes=1)
    assert store.try_start("a", one_lane) == 0
    assert store.try_start("b", one_lane) > 0
    store.resumed("a", "task-a")
    assert store.try_start("b", one_lane) == 0


def test_submissions_in_flight_are_limited_by_the_lanes(store: AccountStore) -> None:
    allowance = Allowance(starts=100, window_s=10.0, max_tasks=100, lanes=2)
    assert store.try_start("a", allowance) == store.try_start("b", allowance) == 0
    assert store.try_start("c", allowance) > 0
    store.answered("a", None)
    assert store.try_start("c", allowance) == 0


def test_lane_of_a_process_that_died_is_free_again_within_minutes(
    store: AccountStore, clock: Clock
) -> None:
    bronze = Allowance(starts=2, window_s=60.0, max_tasks=2, lanes=1)
    assert store.try_start("dead", bronze) == 0
    clock.forward(100)
    assert store.try_start("a", bronze) > 0
    clock.forward(100)
    assert store.try_start("a", bronze) == 0


def test_answer_that_comes_after_all_still_counts(store: AccountStore, clock: Clock) -> None:
    one = Allowance(starts=1, window_s=60.0, max_tasks=10, lanes=1)
    assert store.try_start("slow", one) == 0
    clock.forward(200)
    assert store.try_start("a", one) == 0
    store.not_sent("a")
    store.answered("slow", "task-slow")
    assert store.try_start("b", one) == pytest.approx(60)


def test_task_of_a_process_that_died_does_not_hold_its_place_for_ever(
    store: AccountStore, clock: Clock
) -> None:
    allowance = Allowance(starts=10, window_s=10.0, max_tasks=1, lanes=1)
    assert store.try_start("dead", allowance) == 0
    store.answered("dead", "task-dead")
    clock.forward(HOUR - 1)
    assert store.try_start("a", allowance) > 0
    clock.forward(2)
    assert store.try_start("a", allowance) == 0


def test_start_that_a_dead_run_never_sent_is_free_at_once(store: AccountStore) -> None:
    bronze = Allowance(starts=2, window_s=60.0, max_tasks=2, lanes=1)
    assert store.try_start("mine-dead", bronze) == 0
    assert store.reserve("mine-dead", Decimal(3), None)
    store.heed_journal("mine-", known=(), running=(), charged={})
    assert store.spent_today_usd() == 0
    assert store.try_start("mine-a", bronze) == 0


def test_day_counts_what_a_task_did_cost_once_that_is_known(store: AccountStore) -> None:
    for attempt_id in ("mine-a", "mine-b", "theirs"):
        assert store.reserve(attempt_id, Decimal(3), Decimal(9))
    store.settle({"mine-a": Decimal("2.5"), "never-reserved": Decimal(7)})
    assert store.spent_today_usd() == Decimal("8.5")
    # What a run that died could not say here any more stands in its journal.
    prices = {"mine-a": Decimal("2.5"), "mine-b": Decimal(0)}
    store.heed_journal("mine-", known=prices, running=(), charged=prices)
    assert store.spent_today_usd() == Decimal("5.5")


def test_start_of_another_storyboard_is_not_touched(store: AccountStore) -> None:
    bronze = Allowance(starts=2, window_s=60.0, max_tasks=2, lanes=1)
    assert store.try_start("theirs-a", bronze) == 0
    assert store.reserve("theirs-a", Decimal(3), None)
    store.heed_journal("mine-", known=(), running=(), charged={})
    assert store.spent_today_usd() == 3
    assert store.try_start("mine-a", bronze) > 0


def test_what_a_deleted_journal_has_paid_stays_counted(store: AccountStore, clock: Clock) -> None:
    one_a_minute = Allowance(starts=1, window_s=60.0, max_tasks=1, lanes=1)
    assert store.try_start("mine-paid", one_a_minute) == 0
    assert store.reserve("mine-paid", Decimal(3), None)
    store.intended(["mine-paid"])
    store.answered("mine-paid", "task-paid")
    store.heed_journal("mine-", known=(), running=(), charged={})
    assert store.spent_today_usd() == 3
    assert not store.reserve("mine-a", Decimal(3), Decimal(5))
    clock.forward(1)
    assert store.try_start("mine-a", one_a_minute) == pytest.approx(59)
    # Nobody follows its task any more; no start waits for its end.
    clock.forward(60)
    assert store.try_start("mine-a", one_a_minute) == 0


def test_what_may_have_been_sent_stays_counted_where_the_journal_is_deleted(
    store: AccountStore,
) -> None:
    assert store.try_start("mine-doubt", TWO_IN_TEN) == 0
    assert store.reserve("mine-doubt", Decimal(3), None)
    store.intended(["mine-doubt"])
    store.heed_journal("mine-", known=(), running=(), charged={})
    assert store.spent_today_usd() == 3
    assert store.unanswered_besides(()) == 1


def test_what_the_journal_says_cost_nothing_is_not_counted(store: AccountStore) -> None:
    assert store.reserve("mine-refused", Decimal(3), None)
    store.intended(["mine-refused"])
    store.heed_journal("mine-", known={"mine-refused"}, running=(), charged={})
    assert store.spent_today_usd() == 0


def test_the_tasks_of_a_time_are_told_with_where_their_journal_lay(
    store: AccountStore, clock: Clock
) -> None:
    store.answered("old-1", "task-old")
    clock.forward(9 * DAY_S)
    since = datetime.fromtimestamp(clock.now, UTC) - timedelta(days=7)
    store.heed_journal("mine-", known=(), running=(), charged={}, folder="/out/ad")
    store.answered("mine-1", "task-1")
    store.resumed("other-1", "task-2")
    told = [(task.task_id, task.folder) for task in store.tasks_since(since)]
    assert told == [("task-1", "/out/ad"), ("task-2", "")]


# The day, by a clock that may be wrong.


def test_a_clock_that_was_a_day_ahead_for_a_while_gives_no_second_allowance(
    store: AccountStore, clock: Clock
) -> None:
    cap = Decimal("0.50")
    assert store.reserve("a", Decimal("0.30"), cap)
    clock.forward(DAY_S)
    assert store.reserve("b", Decimal("0.10"), cap)
    clock.forward(-DAY_S)
    assert store.spent_today_usd() == Decimal("0.40")
    assert not store.reserve("c", Decimal("0.30"), cap)
    assert store.reserve("d", Decimal("0.10"), cap)


def test_a_clock_that_is_a_day_behind_for_a_while_gives_no_second_allowance(
    store: AccountStore, clock: Clock
) -> None:
    cap = Decimal("0.50")
    assert store.reserve("a", Decimal("0.30"), cap)
    clock.forward(-DAY_S)
    assert not store.reserve("b", Decimal("0.30"), cap)
    assert store.reserve("c", Decimal("0.10"), cap)
    clock.forward(DAY_S)
    assert store.spent_today_usd() == Decimal("0.40")


def test_a_year_that_was_no_year_does_not_take_the_days_after_it(
    store: AccountStore, clock: Clock
) -> None:
    clock.forward(400 * DAY_S)
    assert store.reserve("a", Decimal("0.10"), None)
    clock.forward(-400 * DAY_S)
    assert store.reserve("b", Decimal("0.30"), None)
    clock.forward(DAY_S)
    assert store.spent_today_usd() == Decimal("0.10")


def test_the_next_day_begins_with_nothing_spent(store: AccountStore, clock: Clock) -> None:
    for _ in range(9):
        assert store.reserve(f"a{clock.now}", Decimal("0.30"), Decimal("0.30"))
        clock.forward(DAY_S)
        assert store.spent_today_usd() == 0


def test_start_in_doubt_keeps_its_lane(store: AccountStore) -> None:
    bronze, dead = Allowance(starts=2, window_s=60.0, max_tasks=2, lanes=1), {"mine-dead"}
    assert store.try_start("mine-dead", bronze) == 0
    store.heed_journal("mine-", known=dead, running=dead, charged={"mine-dead": Decimal(3)})
    assert store.try_start("mine-a", bronze) > 0


def test_place_of_a_task_that_ended_as_its_run_died_is_free(
    store: AccountStore, clock: Clock
) -> None:
    one_at_once = Allowance(starts=10, window_s=10.0, max_tasks=1, lanes=1)
    assert store.try_start("mine-dead", one_at_once) == 0
    store.answered("mine-dead", "task-dead")
    clock.forward(20)
    assert store.try_start("mine-a", one_at_once) > 0
    store.heed_journal("mine-", known={"mine-dead"}, running=(), charged={"mine-dead": Decimal(3)})
    assert store.try_start("mine-a", one_at_once) == 0


def test_start_that_the_provider_refused_counts_for_the_next_run_too(
    store: AccountStore, clock: Clock
) -> None:
    one_a_minute = Allowance(starts=1, window_s=60.0, max_tasks=2, lanes=1)
    assert store.try_start("mine-refused", one_a_minute) == 0
    store.answered("mine-refused", None)
    clock.forward(1)
    store.heed_journal("mine-", known={"mine-refused"}, running=(), charged={})
    assert store.try_start("mine-a", one_a_minute) == pytest.approx(59)


# After a 429.


def test_429_stops_every_start_for_as_long_as_it_says(store: AccountStore, clock: Clock) -> None:
    store.slow_down(17, TWO_IN_TEN)
    assert store.try_start("a", TWO_IN_TEN) == pytest.approx(17)
    clock.forward(16.9)
    assert store.try_start("a", TWO_IN_TEN) == pytest.approx(0.1)
    clock.forward(0.2)
    assert store.try_start("a", TWO_IN_TEN) == 0


def test_shorter_wait_does_not_shorten_a_longer_one(store: AccountStore) -> None:
    store.slow_down(60, TWO_IN_TEN)
    store.slow_down(5, TWO_IN_TEN)
    assert store.try_start("a", TWO_IN_TEN) == pytest.approx(60)


MANY = Allowance(starts=100, window_s=60.0, max_tasks=1000, lanes=1000)


def free_starts(store: AccountStore, clock: Clock) -> int:
    """How many may start in a window from now; leaves none of them behind."""
    names: list[str] = []
    while store.try_start(name := f"{clock.now}-{len(names)}", MANY) == 0:
        names.append(name)
    for name in names:
        store.not_sent(name)
    return len(names)


def test_429_halves_the_rate_and_a_tenth_of_it_comes_back_each_minute(
    store: AccountStore, clock: Clock
) -> None:
    assert free_starts(store, clock) == 100
    store.slow_down(0, MANY)
    counts = []
    for _ in range(7):
        counts.append(free_starts(store, clock))
        clock.forward(60)
    assert counts == [50, 60, 70, 80, 90, 100, 100]


def test_several_429_in_one_pause_halve_the_rate_once(store: AccountStore, clock: Clock) -> None:
    for _ in range(20):
        store.slow_down(10, MANY)
    clock.forward(10)
    assert free_starts(store, clock) == 51
    store.slow_down(10, MANY)
    clock.forward(10)
    assert 25 <= free_starts(store, clock) <= 27


def test_wait_after_a_429_is_until_the_halved_rate_allows_another(
    store: AccountStore, clock: Clock
) -> None:
    four = replace(TWO_IN_TEN, starts=4)
    for name in "abcd":
        assert start(store, name, four) == 0
        clock.forward(1)
    store.slow_down(0, four)
    # Started at 0, 1, 2 and 3; two may be in the window, so at 12 the third has left it.
    assert start(store, "e", four) == pytest.approx(8)


def test_rate_never_falls_below_one(store: AccountStore, clock: Clock) -> None:
    for _ in range(20):
        store.slow_down(0, TWO_IN_TEN)
    assert start(store, "a") == 0
    assert start(store, "b") == pytest.approx(10)


# A wall clock that jumps.


def test_clock_set_back_a_day_costs_one_window_and_not_a_day(
    store: AccountStore, clock: Clock
) -> None:
    store.slow_down(20, TWO_IN_TEN)
    clock.forward(20)
    assert start(store, "a") == 0
    clock.forward(-24 * HOUR)
    waited_s = 0.0
    while wait_s := start(store, "b"):
        waited_s += wait_s
        clock.forward(wait_s)
    assert waited_s <= 21


def test_clock_set_back_does_not_refill_the_window(store: AccountStore, clock: Clock) -> None:
    assert start(store, "a") == start(store, "b") == 0
    clock.forward(-24 * HOUR)
    assert start(store, "c") == pytest.approx(10)


# Uploads, task ids, answer times.


def test_upload_is_known_for_a_day(store: AccountStore, clock: Clock) -> None:
    store.remember_upload("sha256:1", "https://example.com/1")
    clock.forward(UPLOAD_MAX_AGE_S - 1)
    assert store.cached_upload("sha256:1") == "https://example.com/1"
    assert store.cached_upload("sha256:2") is None
    clock.forward(2)
    assert store.cached_upload("sha256:1") is None
    store.remember_upload("sha256:1", "https://example.com/again")
    assert store.cached_upload("sha256:1") == "https://example.com/again"


def test_use_of_an_upload_may_count_anew(store: AccountStore, clock: Clock) -> None:
    store.remember_upload("one", "https://example.com/1")
    store.remember_upload("two", "https://example.com/2")
    clock.forward(10 * 24 * HOUR)
    store.renew_uploads(["https://example.com/1", "https://elsewhere.example/3"])
    clock.forward(20 * 24 * HOUR)
    assert store.cached_upload("one", 28 * 24 * HOUR) == "https://example.com/1"
    assert store.cached_upload("two", 28 * 24 * HOUR) is None


def test_upload_that_is_gone_is_forgotten_and_no_other(store: AccountStore) -> None:
    store.remember_upload("one", "https://example.com/1")
    store.remember_upload("two", "https://example.com/2")
    store.forget_uploads(["https://example.com/1", "https://elsewhere.example/3"])
    assert store.cached_upload("one") is None
    assert store.cached_upload("two") == "https://example.com/2"


def test_upload_and_task_ids_survive_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "account.sqlite3"
    with AccountStore(path, now=clock) as store:
        store.remember_upload("sha256:1", "https://example.com/1")
        start(store, "a")
    with AccountStore(path, now=clock) as store:
        assert store.cached_upload("sha256:1") == "https://example.com/1"
        assert store.knows_task("task-a")


def test_only_tasks_that_were_started_here_are_known(store: AccountStore) -> None:
    store.try_start("refused", TWO_IN_TEN)
    store.answered("refused", None)
    store.resumed("old", "task-old")
    known = [store.knows_task(task) for task in ("task-old", "task-refused", "stranger", "")]
    assert known == [True, False, False, False]


def test_a_task_is_known_to_be_of_the_submission_that_made_or_took_it_up_last(
    store: AccountStore,
) -> None:
    store.try_start("a", TWO_IN_TEN)
    assert (store.task_of("a"), store.holder_of("task-a")) == (None, None)
    store.answered("a", "task-a")
    assert (store.task_of("a"), store.holder_of("task-a")) == ("task-a", "a")
    store.resumed("b", "task-a")
    assert (store.task_of("a"), store.holder_of("task-a")) == (None, "b")


def test_a_task_of_before_submissions_were_noted_is_known_and_nobodys(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "account.sqlite3"
    with AccountStore(path, now=clock) as store:
        start(store, "a")
    older = sqlite3.connect(path)
    older.execute("DROP TABLE holders")
    older.close()
    with AccountStore(path, now=clock) as store:
        assert store.holder_of("task-a") == ""


def test_task_is_known_long_after_its_start_was_forgotten(
    store: AccountStore, clock: Clock
) -> None:
    start(store, "a")
    clock.forward(24 * HOUR)
    start(store, "b")
    assert store.knows_task("task-a")


def test_early_answer_time_is_known_from_five_tasks_of_the_same_class_on(
    store: AccountStore,
) -> None:
    for seconds in (90, 50, 70, 60):
        store.record_latency("6s", seconds)
        assert store.early_latency("6s") is None
    store.record_latency("10s", 1)
    assert store.early_latency("6s") is None
    store.record_latency("6s", 80)
    assert store.early_latency("6s") == 50


def test_early_answer_time_forgets_what_is_long_past(store: AccountStore, clock: Clock) -> None:
    for seconds in [5.0] * 100 + [40.0] * 200:
        clock.forward(1)
        store.record_latency("6s", seconds)
    assert store.early_latency("6s") == 40


# Places that cannot be written.


def test_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="STORYBOARD_STATE_DIR") as caught:
        AccountStore(tmp_path / "file" / "account.sqlite3")
    assert caught.value.exit_code is ExitCode.CANNOT_WRITE


def test_file_that_is_no_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite3"
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(CannotWrite):
        AccountStore(path)


def test_disk_that_fails_later_is_a_storage_error(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "account.sqlite3"
    with AccountStore(path, now=clock) as store:
        other = sqlite3.connect(path)
        other.execute("DROP TABLE starts")
        other.execute("DROP TABLE tasks")
        other.execute("DROP TABLE spending")
        other.close()
        with pytest.raises(StorageError) as caught:
            store.try_start("a", TWO_IN_TEN)
        with pytest.raises(StorageError):
            store.knows_task("t")
        with pytest.raises(StorageError):
            store.reserve("a", Decimal(1), None)
        with pytest.raises(StorageError):
            store.spent_today_usd()
        with pytest.raises(StorageError):
            store.release("a")
        # What is left still works: no transaction stayed open.
        store.remember_upload("sha256:1", "https://example.com/1")
        assert store.cached_upload("sha256:1") == "https://example.com/1"
    assert caught.value.exit_code is ExitCode.IO_ERROR
