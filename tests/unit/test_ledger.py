"""What the journal means: states, money and take numbers, folded from events."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from support import WAY_TO, event, events_to, make_attempt, make_shot

from pipeline.errors import ExitCode, StorageError
from pipeline.ledger import (
    DOUBTFUL,
    FREE,
    PENDING,
    SPOILED,
    Book,
    Event,
    Ledger,
    fold,
    slate,
)
from pipeline.ledger import AttemptState as State
from pipeline.ledger import EventKind as Kind

BINDS_NOTHING = {State.REFUSED, State.ABSENT}
RESERVES = {State.INTENT, State.IN_DOUBT}


@pytest.mark.parametrize("state", State)
def test_events_lead_to_the_state_of_their_last_word(state: State) -> None:
    (attempt,) = fold(events_to(state)).attempts
    assert attempt.state is state


def test_intent_holds_what_was_asked_for() -> None:
    (attempt,) = fold([event(Kind.INTENT, price_usd="0.404", take=3)]).attempts
    assert attempt.price_usd == Decimal("0.404")
    assert attempt.slate == "opening_tk03"
    assert (attempt.provider, attempt.duration_s, attempt.task_id) == ("wavespeed", 6, None)
    assert attempt.request == {"prompt": "@image1 turns slowly"}


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        ({}, Fraction(6)),
        ({"length_s": "101/20"}, Fraction(101, 20)),
        ({"length_s": None}, None),
        # As it was written before: an edit of some seconds, which the provider may not heed.
        ({"request": {"prompt": "in blue", "video": "https://x.example.com/c.mp4"}}, None),
        ({"request": None}, Fraction(6)),
    ],
)
def test_the_length_of_a_clip_is_expected_where_it_can_be_known(
    intent: dict[str, Any], expected: Fraction | None
) -> None:
    (attempt,) = fold([event(Kind.INTENT, **intent)]).attempts
    assert attempt.expected_s == expected


def test_facts_of_earlier_events_stay_known() -> None:
    (attempt,) = fold(events_to(State.VERIFIED)).attempts
    assert attempt.task_id == "task-a1"
    assert attempt.clip == "opening_tk01.mp4"
    assert attempt.clip_bytes == 1000
    assert attempt.clip_sha256 is not None


def test_reason_is_that_of_the_last_event() -> None:
    events = [*events_to(State.IN_DOUBT), event(Kind.ACCEPTED, reason="found")]
    assert fold(events).attempts[0].reason == "found"


def test_adopted_attempt_keeps_its_state_under_its_new_name() -> None:
    events = [*events_to(State.VERIFIED), event(Kind.ADOPTED, shot="closing", take=2, clip="c.mp4")]
    (attempt,) = fold(events).attempts
    assert (attempt.slate, attempt.clip, attempt.state) == ("closing_tk02", "c.mp4", State.VERIFIED)


def test_attempts_stay_apart_and_in_the_order_of_their_intents() -> None:
    events = [
        event(Kind.INTENT, "b", take=1),
        event(Kind.INTENT, "a", take=2),
        event(Kind.REFUSED, "a"),
        event(Kind.ACCEPTED, "b"),
    ]
    assert [(a.attempt_id, a.state) for a in fold(events).attempts] == [
        ("b", State.SUBMITTED),
        ("a", State.REFUSED),
    ]


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.INTENT])
def test_event_without_intent_is_refused(kind: Kind) -> None:
    with pytest.raises(StorageError, match="no intent") as caught:
        fold([event(Kind.INTENT, "other"), event(kind, "a1", seq=7)])
    assert caught.value.exit_code is ExitCode.IO_ERROR
    assert "event 7" in caught.value.message


def test_second_intent_of_an_attempt_is_refused() -> None:
    with pytest.raises(StorageError):
        fold([event(Kind.INTENT), event(Kind.INTENT)])


@pytest.mark.parametrize("state", sorted(set(State) - BINDS_NOTHING - RESERVES))
@pytest.mark.parametrize(
    "kind", [Kind.REFUSED, Kind.ABSENT, Kind.DOUBT, Kind.ABANDONED, Kind.ACCEPTED]
)
def test_what_is_known_of_a_task_cannot_be_taken_back(state: State, kind: Kind) -> None:
    with pytest.raises(StorageError):
        fold([*events_to(state), event(kind, task_id="another task")])


def test_a_lost_task_that_a_person_names_again_is_under_way_and_costs_no_more() -> None:
    lost = fold(events_to(State.LOST))
    (attempt,) = lost.attempts
    named = fold([*events_to(State.LOST), event(Kind.ACCEPTED, task_id=attempt.task_id)])
    assert named.attempts[0].state is State.SUBMITTED
    assert named.spent_usd == lost.spent_usd == attempt.price_usd


@pytest.mark.parametrize("state", sorted(BINDS_NOTHING))
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.INTENT])
def test_nothing_follows_a_submission_that_made_no_task(state: State, kind: Kind) -> None:
    with pytest.raises(StorageError):
        fold([*events_to(state), event(kind)])


@pytest.mark.parametrize("state", State)
def test_refused_event_leaves_the_book_as_it_was(state: State) -> None:
    book = Book(events_to(state))
    before = book.ledger()
    with pytest.raises(StorageError):
        book.apply(event(Kind.INTENT))
    assert book.ledger() == before


@pytest.mark.parametrize("state", State)
def test_price_is_spent_reserved_or_free_by_state(state: State) -> None:
    ledger = Ledger(attempts=(make_attempt(state=state, price_usd="0.50"),))
    price, nothing = Decimal("0.50"), Decimal(0)
    if state in BINDS_NOTHING:
        expected = (nothing, nothing)
    elif state in RESERVES:
        expected = (nothing, price)
    else:
        expected = (price, nothing)
    assert (ledger.spent_usd, ledger.reserved_usd) == expected


def test_every_state_belongs_to_one_class_or_is_done() -> None:
    classes = [FREE, DOUBTFUL, PENDING, SPOILED, {State.VERIFIED}]
    assert sorted(state for group in classes for state in group) == sorted(State)
    assert set(WAY_TO) == set(State)


@pytest.mark.parametrize("kind", [Kind.COMPLETED, Kind.FAILED])
def test_what_the_provider_says_replaces_the_price(kind: Kind) -> None:
    start = events_to(State.SUBMITTED, price_usd="0.50")
    ledger = fold([*start, event(kind, cost_usd="0.42")])
    assert ledger.spent_usd == Decimal("0.42")
    assert fold([*start, event(kind)]).spent_usd == Decimal("0.50")


def test_addresses_of_a_task_stay_known_to_the_end() -> None:
    done = event(Kind.COMPLETED, outputs=["https://cdn.example/1.mp4"])
    (attempt,) = fold([*events_to(State.SUBMITTED), done, event(Kind.DOWNLOADED)]).attempts
    assert attempt.outputs == ("https://cdn.example/1.mp4",)


def test_refund_is_told_beside_what_was_spent_and_changes_nothing_else() -> None:
    events = [*events_to(State.FAILED, price_usd="0.50"), event(Kind.REFUNDED, usd="0.404")]
    before, after = fold(events[:-1]), fold(events)
    assert (after.spent_usd, after.refunded_usd) == (Decimal("0.50"), Decimal("0.404"))
    assert before.refunded_usd == 0
    (attempt,) = after.attempts
    assert (attempt.state, attempt.reason) == (State.FAILED, before.attempts[0].reason)


def test_refund_that_is_written_down_twice_counts_once() -> None:
    refund = event(Kind.REFUNDED, usd="0.30")
    assert fold([*events_to(State.FAILED), refund, refund]).refunded_usd == Decimal("0.30")


def test_sums_over_many_attempts_are_exact() -> None:
    attempts = [
        make_attempt(state=state, attempt_id=f"{state}{n}", price_usd="0.1")
        for state in State
        for n in range(10)
    ]
    ledger = Ledger(attempts=tuple(attempts))
    assert ledger.spent_usd == Decimal(len(State) - 4)
    assert ledger.reserved_usd == Decimal(2)


@pytest.mark.parametrize("state", State)
def test_number_of_a_take_is_used_up_unless_it_made_no_task(state: State) -> None:
    ledger = fold([*events_to(State.VERIFIED, "a1", take=1), *events_to(state, "a2", take=2)])
    assert ledger.next_take("opening") == (2 if state in BINDS_NOTHING else 3)


def test_take_numbers_are_counted_for_each_shot() -> None:
    shot = make_shot("closing")
    ledger = Ledger(attempts=(make_attempt(take=4), make_attempt(shot, take=2)))
    assert [ledger.next_take(s) for s in ("opening", "closing", "new")] == [5, 3, 1]


def test_take_number_given_away_by_adoption_may_be_used_again() -> None:
    events = [*events_to(State.VERIFIED), event(Kind.ADOPTED, shot="closing", take=1)]
    ledger = fold(events)
    assert (ledger.next_take("opening"), ledger.next_take("closing")) == (1, 2)


def test_slate_names_shot_and_take() -> None:
    assert [slate("sh010", take) for take in (2, 100)] == ["sh010_tk02", "sh010_tk100"]


def test_book_and_fold_agree_after_every_event() -> None:
    events: list[Event] = []
    for number, state in enumerate(State):
        events += events_to(state, f"a{number}", take=number + 1)
    book = Book()
    for count, one in enumerate(events, start=1):
        book.apply(one)
        assert book.ledger() == fold(events[:count])
    assert book.attempt("a0").take == 1


def test_a_retake_is_open_until_it_is_used() -> None:
    rows = events_to(State.VERIFIED, retake=True)
    (attempt,) = fold(rows).attempts
    assert attempt.is_open_retake
    (used,) = fold([*rows, event(Kind.USED, seq=99)]).attempts
    assert not used.is_open_retake
    assert used == replace(attempt, is_used=True)
    (plain,) = fold(events_to(State.VERIFIED)).attempts
    assert not plain.is_open_retake
