"""A plan decides once and for all what is kept, taken over, fetched, bought or left to a person."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from support import MODEL, event, events_to, make_attempt, make_shot, make_storyboard

from pipeline.fingerprint import fingerprint
from pipeline.ledger import Attempt, EventKind, Ledger, fold
from pipeline.ledger import AttemptState as State
from pipeline.model import Resolution, Shot, Storyboard
from pipeline.planning import (
    Action,
    Plan,
    bought_prices,
    choose_clip,
    current_takes,
    film_cut,
    film_key,
    make_plan,
    used_retakes,
)
from pipeline.pricing import RATE_CARDS

OPENING = make_shot("opening")
OLD_OPENING = make_shot("opening", prompt="@image1 before it was edited")


def plan(
    *shots: Shot,
    attempts: tuple[Attempt, ...] = (),
    missing: tuple[str, ...] = (),
    retake: tuple[str, ...] = (),
    only: tuple[str, ...] | None = None,
    storyboard: Storyboard | None = None,
) -> Plan:
    return make_plan(
        storyboard or make_storyboard(*(shots or (OPENING,))),
        Ledger(attempts=attempts),
        provider="wavespeed",
        model=MODEL,
        card=RATE_CARDS["wavespeed"],
        missing_clips=frozenset(missing),
        retake=frozenset(retake),
        only=None if only is None else frozenset(only),
    )


def retaken(shot: Shot, *, is_used: bool = False, **changes: Any) -> Attempt:
    """A take that ``--retake`` asked for."""
    return replace(make_attempt(shot, **changes), is_retake=True, is_used=is_used)


def lines(made: Plan) -> list[tuple[str, Action, Decimal]]:
    return [(take.slate, take.action, take.price_usd) for take in made.takes]


def actions(made: Plan) -> list[tuple[str, Action]]:
    return [(take.slate, take.action) for take in made.takes]


# Keep, fetch, settle, block: what becomes of a take that the shot has.


def test_shot_never_bought_is_bought() -> None:
    made = plan(OPENING)
    assert lines(made) == [("opening_tk01", Action.BUY, Decimal("0.30"))]
    assert made.takes[0].fingerprint == fingerprint(OPENING, MODEL)
    assert made.takes[0].reason == "not bought yet"


def test_verified_take_is_kept() -> None:
    attempt = make_attempt(OPENING)
    made = plan(OPENING, attempts=(attempt,))
    assert lines(made) == [("opening_tk01", Action.KEEP, Decimal(0))]
    assert made.takes[0].attempt == attempt


@pytest.mark.parametrize("state", [State.SUBMITTED, State.COMPLETED, State.DOWNLOADED])
def test_task_that_exists_is_fetched(state: State) -> None:
    made = plan(OPENING, attempts=(make_attempt(OPENING, state=state),))
    assert lines(made) == [("opening_tk01", Action.FETCH, Decimal(0))]
    assert "task-opening_tk01" in made.takes[0].reason


def test_verified_take_whose_clip_is_gone_is_fetched_again() -> None:
    attempt = make_attempt(OPENING)
    made = plan(OPENING, attempts=(attempt,), missing=(attempt.attempt_id,))
    assert lines(made) == [("opening_tk01", Action.FETCH, Decimal(0))]


@pytest.mark.parametrize("state", [State.INTENT, State.IN_DOUBT])
def test_lost_answer_is_looked_up_and_never_bought_again(state: State) -> None:
    made = plan(OPENING, attempts=(make_attempt(OPENING, state=state),))
    assert lines(made) == [("opening_tk01", Action.ADOPT, Decimal(0))]
    assert made.reserved_usd == Decimal("0.30")
    assert made.orphans == ()


@pytest.mark.parametrize("state", [State.FAILED, State.LOST, State.DAMAGED, State.ABANDONED])
def test_paid_take_without_a_clip_waits_for_a_person(state: State) -> None:
    made = plan(OPENING, attempts=(make_attempt(OPENING, state=state),))
    assert lines(made) == [("opening_tk01", Action.BLOCKED, Decimal(0))]
    assert "--retake opening" in made.takes[0].reason


@pytest.mark.parametrize("state", [State.REFUSED, State.ABSENT])
def test_submission_that_made_no_task_is_bought_under_the_same_number(state: State) -> None:
    made = plan(OPENING, attempts=(make_attempt(OPENING, state=state),))
    assert lines(made) == [("opening_tk01", Action.BUY, Decimal("0.30"))]


def test_plan_says_why_the_last_submission_was_refused() -> None:
    made = plan(OPENING, attempts=(make_attempt(OPENING, state=State.REFUSED),))
    assert made.takes[0].reason == "refused last time: refused for a reason"


# Buying: changes, retakes, several takes.


def test_changed_shot_is_bought_under_the_next_number() -> None:
    made = plan(OPENING, attempts=(make_attempt(OLD_OPENING, take=2),))
    assert lines(made) == [("opening_tk03", Action.BUY, Decimal("0.30"))]
    assert made.takes[0].reason == "changed since it was bought"
    assert made.orphans == ()


def test_change_that_is_taken_back_costs_nothing() -> None:
    attempts = (make_attempt(OPENING, take=1), make_attempt(OLD_OPENING, take=2))
    assert actions(plan(OPENING, attempts=attempts)) == [("opening_tk01", Action.KEEP)]


def test_price_is_that_of_the_shot() -> None:
    shots = (make_shot("a", duration_s=10), make_shot("b", duration_s=6, takes=2))
    made = plan(*shots)
    assert [take.price_usd for take in made.takes] == [
        Decimal("0.50"),
        Decimal("0.30"),
        Decimal("0.30"),
    ]
    assert made.buy_usd == Decimal("1.10")


def test_only_the_takes_that_are_lacking_are_bought() -> None:
    shot = replace(OPENING, takes=3)
    made = plan(shot, attempts=(make_attempt(OPENING),))
    assert actions(made) == [
        ("opening_tk01", Action.KEEP),
        ("opening_tk02", Action.BUY),
        ("opening_tk03", Action.BUY),
    ]
    assert made.takes[1].reason == "3 takes asked for"


def test_fewer_takes_wanted_than_there_are_loses_none() -> None:
    attempts = (make_attempt(OPENING, take=1), make_attempt(OPENING, take=2))
    assert [take.action for take in plan(OPENING, attempts=attempts).takes] == [Action.KEEP] * 2


def test_retake_buys_one_more_and_keeps_what_is_good() -> None:
    made = plan(OPENING, attempts=(make_attempt(OPENING),), retake=("opening",))
    assert lines(made) == [
        ("opening_tk01", Action.KEEP, Decimal(0)),
        ("opening_tk02", Action.BUY, Decimal("0.30")),
    ]
    assert made.takes[1].reason == "another take, as asked"


@pytest.mark.parametrize("state", [State.FAILED, State.LOST, State.DAMAGED, State.ABANDONED])
def test_retake_gets_past_a_take_without_a_clip(state: State) -> None:
    made = plan(OPENING, attempts=(make_attempt(OPENING, state=state),), retake=("opening",))
    assert actions(made) == [("opening_tk02", Action.BUY)]


@pytest.mark.parametrize("takes", [1, 2])
def test_what_retake_buys_is_marked_as_such(takes: int) -> None:
    opening, closing = make_shot("opening", takes=takes), make_shot("closing", prompt="the end")
    made = plan(opening, closing, attempts=(make_attempt(opening),), retake=("opening",))
    marked = [(take.slate, take.is_retake) for take in made.takes if take.action is Action.BUY]
    assert marked == [("opening_tk02", True), ("closing_tk01", False)]


def test_retake_of_a_run_that_did_not_end_well_is_kept_and_said_and_not_bought_again() -> None:
    attempts = (make_attempt(OPENING), retaken(OPENING, take=2))
    made = plan(OPENING, attempts=attempts, retake=("opening",))
    assert [action for _, action in actions(made)] == [Action.KEEP, Action.KEEP]
    assert "--retake" in made.takes[1].reason
    assert "--retake" not in made.takes[0].reason
    assert "--retake" not in plan(OPENING, attempts=attempts).takes[1].reason


@pytest.mark.parametrize("changes", [{"is_used": True}, {"state": State.FAILED}])
def test_retake_asks_for_another_once_the_last_was_used_or_came_to_nothing(
    changes: dict[str, Any],
) -> None:
    last = retaken(OPENING, take=2, **changes)
    made = plan(OPENING, attempts=(make_attempt(OPENING), last), retake=("opening",))
    assert actions(made)[-1] == ("opening_tk03", Action.BUY)


def test_retake_counts_no_take_of_an_earlier_version() -> None:
    old = retaken(OLD_OPENING)
    assert actions(plan(OPENING, attempts=(old,), retake=("opening",))) == [
        ("opening_tk02", Action.BUY)
    ]


CLOSING = make_shot("closing", prompt="the end")
RETAKEN = (
    make_attempt(OPENING),
    retaken(OPENING, take=2),
    retaken(CLOSING, is_used=True),
)


def slates_used(
    attempts: tuple[Attempt, ...], retake: tuple[str, ...] = (), only: tuple[str, ...] | None = None
) -> list[str] | None:
    made = plan(OPENING, CLOSING, attempts=attempts, retake=retake, only=only)
    chosen = None if only is None else frozenset(only)
    used = used_retakes(made, Ledger(attempts=attempts), retake=frozenset(retake), only=chosen)
    return None if used is None else [attempt.slate for attempt in used]


@pytest.mark.parametrize("retake", [(), ("opening",), ("opening", "closing")])
def test_a_film_uses_every_retake_that_is_in_it(retake: tuple[str, ...]) -> None:
    assert slates_used(RETAKEN, retake) == ["opening_tk02"]
    assert slates_used(RETAKEN, retake, only=("closing",)) == ["opening_tk02"]


def test_without_a_film_the_retakes_of_the_shots_that_were_worked_on_are_used() -> None:
    assert slates_used(RETAKEN[:2], ("opening",), only=("opening",)) == ["opening_tk02"]
    assert slates_used(RETAKEN[:2], only=("closing",)) == []


@pytest.mark.parametrize("only", [None, ("opening", "closing")])
def test_an_order_of_which_a_take_came_to_nothing_stays_open(
    only: tuple[str, ...] | None,
) -> None:
    failed = retaken(CLOSING, take=2, state=State.FAILED)
    assert slates_used((*RETAKEN, failed), ("opening", "closing"), only) is None
    assert slates_used((*RETAKEN, failed), ("opening",), only) == ["opening_tk02"]
    assert slates_used((*RETAKEN, failed), (), only) == ["opening_tk02"]


def test_retake_of_one_shot_leaves_the_others_alone() -> None:
    closing = make_shot("closing", prompt="another")
    attempts = (make_attempt(OPENING), make_attempt(closing))
    made = plan(OPENING, closing, attempts=attempts, retake=("closing",))
    assert [take.slate for take in made.takes if take.action is Action.BUY] == ["closing_tk02"]


def test_retake_buys_although_the_same_content_is_paid_elsewhere() -> None:
    made = plan(OPENING, attempts=(make_attempt(make_shot("removed")),), retake=("opening",))
    assert actions(made) == [("opening_tk01", Action.BUY)]


def test_size_without_a_price_cannot_be_planned() -> None:
    card = replace(RATE_CARDS["wavespeed"], usd_per_s={Resolution.P480: Decimal("0.05")})
    with pytest.raises(KeyError):
        make_plan(make_storyboard(), Ledger(), provider="wavespeed", model=MODEL, card=card)


# Taking over what is paid under another name.


@pytest.mark.parametrize(
    "state", [State.VERIFIED, State.SUBMITTED, State.COMPLETED, State.DOWNLOADED]
)
def test_renamed_shot_takes_over_what_was_paid(state: State) -> None:
    attempt = make_attempt(make_shot("intro"), state=state)
    made = plan(OPENING, attempts=(attempt,))
    assert lines(made) == [("opening_tk01", Action.ADOPT, Decimal(0))]
    assert made.takes[0].attempt == attempt
    assert "intro_tk01" in made.takes[0].reason
    assert made.orphans == ()


def test_renamed_shot_takes_over_a_doubt() -> None:
    attempt = make_attempt(make_shot("intro"), state=State.IN_DOUBT)
    made = plan(OPENING, attempts=(attempt,))
    assert actions(made) == [("opening_tk01", Action.ADOPT)]
    assert made.orphans == ()


def test_taken_over_clip_that_is_gone_is_still_taken_over() -> None:
    attempt = make_attempt(make_shot("intro"))
    made = plan(OPENING, attempts=(attempt,), missing=(attempt.attempt_id,))
    assert actions(made) == [("opening_tk01", Action.ADOPT)]


@pytest.mark.parametrize("state", [State.FAILED, State.LOST, State.DAMAGED, State.REFUSED])
def test_take_without_a_clip_is_not_taken_over(state: State) -> None:
    made = plan(OPENING, attempts=(make_attempt(make_shot("intro"), state=state),))
    assert actions(made) == [("opening_tk01", Action.BUY)]


def test_clip_is_not_taken_from_a_shot_that_still_wants_it() -> None:
    twin = replace(OPENING, id="twin")
    made = plan(OPENING, twin, attempts=(make_attempt(OPENING),))
    assert actions(made) == [("opening_tk01", Action.KEEP), ("twin_tk01", Action.BUY)]


def test_one_paid_clip_is_taken_over_once() -> None:
    first, second = replace(OPENING, id="first"), replace(OPENING, id="second")
    made = plan(first, second, attempts=(make_attempt(make_shot("intro")),))
    assert actions(made) == [("first_tk01", Action.ADOPT), ("second_tk01", Action.BUY)]


def test_shots_that_swap_their_content_swap_their_clips() -> None:
    other = make_shot("closing", prompt="the end")
    attempts = (make_attempt(OPENING), make_attempt(other))
    made = plan(replace(other, id="opening"), replace(OPENING, id="closing"), attempts=attempts)
    assert lines(made) == [
        ("opening_tk02", Action.ADOPT, Decimal(0)),
        ("closing_tk02", Action.ADOPT, Decimal(0)),
    ]
    assert [take.attempt for take in made.takes] == [attempts[1], attempts[0]]


def test_only_as_many_are_taken_over_as_are_lacking() -> None:
    intro = make_shot("intro")
    attempts = tuple(make_attempt(intro, take=take) for take in (1, 2, 3))
    made = plan(replace(OPENING, takes=2), attempts=attempts)
    assert actions(made) == [("opening_tk01", Action.ADOPT), ("opening_tk02", Action.ADOPT)]


def test_taken_over_and_bought_takes_have_different_numbers() -> None:
    made = plan(replace(OPENING, takes=2), attempts=(make_attempt(make_shot("intro")),))
    assert actions(made) == [("opening_tk01", Action.ADOPT), ("opening_tk02", Action.BUY)]


def test_nothing_is_taken_over_from_another_provider() -> None:
    attempts = (make_attempt(OPENING, provider="sandbox"),)
    assert actions(plan(OPENING, attempts=attempts)) == [("opening_tk02", Action.BUY)]


# Orphans, --only, sums.


@pytest.mark.parametrize(
    "state",
    [State.SUBMITTED, State.COMPLETED, State.DOWNLOADED, State.INTENT, State.IN_DOUBT],
)
@pytest.mark.parametrize("old", [make_shot("removed", prompt="gone"), OLD_OPENING])
def test_task_of_a_removed_or_edited_shot_is_an_orphan(state: State, old: Shot) -> None:
    attempt = make_attempt(old, state=state)
    assert plan(OPENING, attempts=(attempt,)).orphans == (attempt,)


@pytest.mark.parametrize(
    "state", [State.VERIFIED, State.FAILED, State.LOST, State.DAMAGED, State.REFUSED, State.ABSENT]
)
def test_nothing_is_left_to_do_for_a_take_that_has_ended(state: State) -> None:
    assert plan(OPENING, attempts=(make_attempt(OLD_OPENING, state=state),)).orphans == ()


def test_shot_outside_only_is_skipped_and_costs_nothing() -> None:
    closing = make_shot("closing", prompt="the end")
    made = plan(OPENING, closing, only=("closing",))
    assert lines(made) == [
        ("opening_tk01", Action.SKIP, Decimal(0)),
        ("closing_tk01", Action.BUY, Decimal("0.30")),
    ]


def test_finished_take_outside_only_is_kept() -> None:
    closing = make_shot("closing", prompt="the end")
    made = plan(OPENING, closing, attempts=(make_attempt(OPENING),), only=("closing",))
    assert actions(made)[0] == ("opening_tk01", Action.KEEP)


@pytest.mark.parametrize("state", [State.SUBMITTED, State.INTENT, State.FAILED])
def test_unfinished_take_outside_only_is_left_and_not_taken_by_another_shot(state: State) -> None:
    twin = replace(OPENING, id="twin")
    made = plan(OPENING, twin, attempts=(make_attempt(OPENING, state=state),), only=("twin",))
    assert actions(made) == [("opening_tk01", Action.SKIP), ("twin_tk01", Action.BUY)]
    assert made.orphans == ()


@pytest.mark.parametrize("state", [State.INTENT, State.IN_DOUBT])
def test_doubt_outside_only_is_in_the_plan_beside_what_is_kept(state: State) -> None:
    opening, closing = make_shot("opening", takes=2), make_shot("closing", prompt="the end")
    attempts = (make_attempt(opening), make_attempt(opening, take=2, state=state))
    made = plan(opening, closing, attempts=attempts, only=("closing",))
    assert actions(made) == [
        ("opening_tk01", Action.KEEP),
        ("opening_tk02", Action.SKIP),
        ("closing_tk01", Action.BUY),
    ]
    assert made.takes[1].attempt == attempts[1]
    assert "in doubt, $0.30 reserved" in made.takes[1].reason
    assert made.doubt_usd == 0


def test_sums_are_what_was_spent_what_is_reserved_and_what_is_new() -> None:
    closing, middle = make_shot("closing", prompt="c"), make_shot("middle", prompt="m")
    attempts = (
        make_attempt(OPENING),
        make_attempt(OLD_OPENING, take=2),
        make_attempt(closing, state=State.INTENT, price_usd="0.50"),
    )
    made = plan(OPENING, middle, closing, attempts=attempts)
    assert (made.spent_usd, made.reserved_usd, made.buy_usd) == (
        Decimal("0.60"),
        Decimal("0.50"),
        Decimal("0.30"),
    )
    assert made.committed_usd == Decimal("1.40")
    assert [made.count(action) for action in (Action.KEEP, Action.ADOPT, Action.BUY)] == [1, 1, 1]


def test_takes_are_in_cut_order_and_by_number_within_a_shot() -> None:
    closing = make_shot("closing", prompt="the end", takes=2)
    attempts = (make_attempt(closing, take=2), make_attempt(OPENING), make_attempt(closing, take=1))
    made = plan(OPENING, closing, attempts=attempts)
    assert [take.slate for take in made.takes] == ["opening_tk01", "closing_tk01", "closing_tk02"]


def test_finished_storyboard_plans_to_spend_nothing() -> None:
    shots = tuple(make_shot(f"s{n}", prompt=f"shot {n}") for n in range(20))
    made = plan(*shots, attempts=tuple(make_attempt(shot) for shot in shots))
    assert made.count(Action.KEEP) == 20
    assert made.buy_usd == 0
    assert made.committed_usd == Decimal("6.00")


def test_only_finished_shots_have_a_price_that_they_were_bought_for() -> None:
    half = make_shot("half", prompt="h", takes=2)
    whole = make_shot("whole", prompt="w", takes=2)
    attempts = (
        make_attempt(OPENING, price_usd="0.25"),
        make_attempt(OLD_OPENING, take=2, price_usd="7"),
        make_attempt(half),
        make_attempt(half, take=2, state=State.SUBMITTED),
        make_attempt(whole, price_usd="0.21"),
        make_attempt(whole, take=2, state=State.FAILED),
        make_attempt(whole, take=3, price_usd="0.2"),
        make_attempt(whole, take=4, price_usd="5"),
    )
    made = plan(OPENING, half, whole, attempts=attempts)
    assert bought_prices(made, Ledger(attempts=attempts)) == {
        "opening": Decimal("0.25"),
        "whole": Decimal("0.41"),
    }


def test_caps_count_the_larger_of_price_and_cost_until_a_clip_is_home() -> None:
    waiting = replace(make_attempt(OPENING, state=State.COMPLETED), settled_usd=Decimal("0.25"))
    made = plan(OPENING, attempts=(waiting,))
    assert (made.spent_usd, made.committed_usd) == (Decimal("0.25"), Decimal("0.30"))
    home = replace(waiting, state=State.VERIFIED)
    assert plan(OPENING, attempts=(home,)).committed_usd == Decimal("0.25")
    dear = replace(home, settled_usd=Decimal("0.40"))
    assert plan(OPENING, attempts=(dear,)).committed_usd == Decimal("0.40")


# The cut.


def test_newest_good_take_goes_into_the_film() -> None:
    takes = [
        make_attempt(OPENING, take=1),
        make_attempt(OPENING, take=2),
        make_attempt(OPENING, take=3, state=State.FAILED),
    ]
    assert choose_clip(OPENING, takes) == takes[1]


def test_selected_take_goes_into_the_film() -> None:
    takes = [make_attempt(OPENING, take=take) for take in (3, 4, 5)]
    shot = replace(OPENING, takes=3, select=2)
    assert choose_clip(shot, takes) == takes[1]


def test_select_counts_no_take_that_came_to_nothing() -> None:
    takes = [make_attempt(OPENING, state=State.FAILED), make_attempt(OPENING, take=2)]
    assert choose_clip(replace(OPENING, select=1), takes) is takes[1]


@pytest.mark.parametrize("select", [1, 3])
def test_selected_take_that_is_not_there_yet_is_not_replaced_by_another(select: int) -> None:
    takes = [make_attempt(OPENING, state=State.SUBMITTED), make_attempt(OPENING, take=2)]
    assert choose_clip(replace(OPENING, takes=3, select=select), takes) is None


def test_shot_without_takes_has_no_clip() -> None:
    assert choose_clip(OPENING, []) is None


def test_current_takes_are_the_shots_own_in_the_order_of_their_numbers() -> None:
    second, first = make_attempt(OPENING, take=2), make_attempt(OPENING, take=1)
    others = [
        make_attempt(OLD_OPENING, take=3),
        make_attempt(replace(OPENING, id="twin")),
        make_attempt(OPENING, take=4, state=State.REFUSED),
        make_attempt(OPENING, take=5, state=State.ABSENT),
    ]
    wanted = fingerprint(OPENING, MODEL)
    assert current_takes("opening", wanted, [second, *others, first]) == [first, second]


def cut_of(*attempts: Attempt, shots: tuple[Shot, ...] = (OPENING,)) -> list[Attempt] | None:
    return film_cut(plan(*shots, attempts=attempts), Ledger(attempts=attempts))


def test_cut_holds_one_clip_for_each_shot_in_cut_order() -> None:
    closing = make_shot("closing", prompt="the end")
    last, first = make_attempt(closing), make_attempt(OPENING)
    assert cut_of(last, first, shots=(OPENING, closing)) == [first, last]


@pytest.mark.parametrize("state", [state for state in State if state is not State.VERIFIED])
def test_no_cut_while_a_shot_has_no_clip(state: State) -> None:
    assert cut_of(make_attempt(OPENING, state=state)) is None


@pytest.mark.parametrize(
    "state",
    [State.SUBMITTED, State.COMPLETED, State.DOWNLOADED, State.INTENT, State.IN_DOUBT],
)
def test_no_cut_while_a_further_take_may_still_come(state: State) -> None:
    assert cut_of(make_attempt(OPENING), make_attempt(OPENING, take=2, state=state)) is None


@pytest.mark.parametrize("state", [State.FAILED, State.LOST, State.DAMAGED, State.REFUSED])
def test_further_take_that_came_to_nothing_does_not_hold_up_the_film(state: State) -> None:
    good = make_attempt(OPENING)
    assert cut_of(good, make_attempt(OPENING, take=2, state=state)) == [good]


def test_no_cut_from_takes_of_an_earlier_version() -> None:
    assert cut_of(make_attempt(OLD_OPENING)) is None


def test_no_clip_of_the_sandbox_comes_into_a_paid_film() -> None:
    assert cut_of(make_attempt(OPENING, provider="sandbox")) is None


def test_cut_follows_a_take_that_was_adopted() -> None:
    events = events_to(State.VERIFIED, "a1", shot="intro", fingerprint=fingerprint(OPENING, MODEL))
    events.append(event(EventKind.ADOPTED, "a1", shot="opening", take=1, clip="opening_tk01.mp4"))
    ledger = fold(events)
    made = plan(OPENING, attempts=ledger.attempts)
    assert actions(made) == [("opening_tk01", Action.KEEP)]
    assert film_cut(made, ledger) == list(ledger.attempts)


CLOSING = make_shot("closing", prompt="the end")
TWO = make_storyboard(OPENING, CLOSING)
CUT = [make_attempt(OPENING), make_attempt(CLOSING)]


def test_equal_films_have_equal_keys() -> None:
    again = make_storyboard(OPENING, CLOSING, name="another-name", budget_usd=Decimal(5))
    assert film_key(again, [replace(clip) for clip in CUT]) == film_key(TWO, CUT)


@pytest.mark.parametrize(
    ("storyboard", "cut"),
    [
        (TWO, CUT[::-1]),
        (TWO, [replace(CUT[0], clip_sha256="0" * 64), CUT[1]]),
        (make_storyboard(OPENING, CLOSING, title="Other"), CUT),
        (make_storyboard(replace(OPENING, cut_s=Fraction(9, 2)), CLOSING), CUT),
        (make_storyboard(OPENING), CUT[:1]),
        (make_storyboard(replace(OPENING, id="intro"), CLOSING), CUT),
        (make_storyboard(replace(OPENING, prompt="other"), CLOSING), CUT),
        (TWO, [replace(CUT[0], clip="intro_tk01.mp4"), CUT[1]]),
        (TWO, [replace(CUT[0], take=2), CUT[1]]),
        (TWO, [replace(CUT[0], task_id="another"), CUT[1]]),
        (TWO, [replace(CUT[0], model="another"), CUT[1]]),
    ],
    ids=[
        *("order", "clip", "title", "cut length", "fewer shots"),
        *("shot's name", "prompt", "clip's name", "slate", "task", "model"),
    ],
)
def test_other_film_has_another_key(storyboard: Storyboard, cut: list[Attempt]) -> None:
    assert film_key(storyboard, cut) != film_key(TWO, CUT)


def test_key_needs_a_clip_for_every_shot() -> None:
    with pytest.raises(ValueError, match="zip"):
        film_key(TWO, CUT[:1])
