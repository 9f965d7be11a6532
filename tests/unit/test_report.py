"""What people read: tables that line up, money as it is, progress that stays out of the way."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import MODEL, make_attempt, make_shot, make_storyboard

from pipeline.errors import ExitCode
from pipeline.ledger import Attempt, Ledger
from pipeline.ledger import AttemptState as State
from pipeline.model import Shot, Storyboard
from pipeline.planning import Plan, make_plan
from pipeline.pricing import RATE_CARDS, Estimate, estimate
from pipeline.report import (
    Messages,
    Progress,
    duration_text,
    estimate_text,
    heading,
    outcome_text,
    plan_text,
    screen_width,
    start_times_note,
    status_text,
    table,
)
from pipeline.summary import FilmRecord, Outcome, TakeResult

OPENING = make_shot("opening")
FILM = FilmRecord(
    key="k" * 64,
    sha256="f" * 64,
    duration_s=65.04,
    frames=1561,
    frame_rate="24",
    width_px=1280,
    height_px=720,
    copied=True,
)


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A screen 100 columns wide, or as a test wants it."""

    def set_width(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))

    set_width(100)
    return set_width


def planned(
    *attempts: Attempt,
    shots: tuple[Shot, ...] = (OPENING,),
    storyboard: Storyboard | None = None,
) -> Plan:
    return make_plan(
        storyboard or make_storyboard(*shots),
        Ledger(attempts=attempts),
        provider="wavespeed",
        model=MODEL,
        card=RATE_CARDS["wavespeed"],
    )


def priced(plan: Plan) -> Estimate:
    return estimate(plan.storyboard, RATE_CARDS["wavespeed"])


def outcome(*attempts: Attempt, exit_code: ExitCode = ExitCode.DONE, **more: Any) -> Outcome:
    return Outcome(
        plan=planned(*attempts),
        ledger=Ledger(attempts=attempts),
        folder=Path("/out/aurora"),
        exit_code=exit_code,
        **more,
    )


# Tables.


def test_columns_line_up_and_numbers_are_flush_right() -> None:
    text = table(("shot", "price"), [("a", "$0.30"), ("opening", "$10.00")], numeric=(1,))
    assert text.splitlines() == [
        "  shot      price",
        "  a         $0.30",
        "  opening  $10.00",
    ]


def test_last_column_is_cut_to_the_screen(screen: Callable[[int], None]) -> None:
    rows = [("opening", "because " * 40), ("closing", "short")]
    for columns in (60, 80, 200):
        screen(columns)
        lines = table(("shot", "why"), rows, numeric=()).splitlines()
        assert max(map(len, lines)) <= columns
        assert lines[1].endswith("…")
        assert lines[2].endswith("short")


def test_screen_too_narrow_for_a_table_does_not_break_it(screen: Callable[[int], None]) -> None:
    screen(20)
    assert screen_width() == 40
    assert "because" in table(("shot", "why"), [("x" * 64, "because " * 9)], numeric=())


def test_table_without_rows_is_its_headers() -> None:
    assert table(("shot", "why"), [], numeric=()) == "  shot  why"


# Results.


def test_estimate_shows_every_shot_and_the_total() -> None:
    storyboard = make_storyboard(
        make_shot("opening", duration_s=10, images=["a", "b"]), make_shot("closing", takes=3)
    )
    text = estimate_text(storyboard, estimate(storyboard, RATE_CARDS["wavespeed"]), "wavespeed")
    rows = [line.split() for line in text.splitlines()]
    assert ["opening", "10", "s", "720p", "2", "1", "$0.50"] in rows
    assert ["closing", "6", "s", "720p", "1", "3", "$0.90"] in rows
    assert ["total", "28", "s", "4", "$1.40"] in rows
    assert "wavespeed's price list of" in text


def test_estimate_says_that_the_sandbox_is_free() -> None:
    storyboard = make_storyboard()
    text = estimate_text(storyboard, estimate(storyboard, RATE_CARDS["sandbox"]), "sandbox")
    assert "free" in text.splitlines()[-1]


def test_plan_shows_a_price_only_for_what_is_bought_and_all_the_money() -> None:
    gone = make_attempt(make_shot("gone", prompt="gone"), state=State.IN_DOUBT, price_usd="0.50")
    shots = (OPENING, make_shot("closing", prompt="the end"))
    plan = planned(
        make_attempt(OPENING),
        gone,
        storyboard=make_storyboard(*shots, budget_usd=Decimal(5)),
    )
    text = plan_text(plan, priced(plan), "wavespeed")
    rows = [line.split() for line in text.splitlines()]
    assert any(row[:3] == ["opening_tk01", "keep", "-"] for row in rows)
    assert any(row[:3] == ["closing_tk01", "buy", "$0.30"] for row in rows)
    # What is in doubt is not paid for all that is known, and no shot asks for it: never bought.
    assert any(row[:5] == ["gone_tk01", "look", "-", "in", "doubt,"] for row in rows)
    money = "estimate $0.60 · spent $0.30 · in doubt $0.50 · to buy $0.30 · budget $5.00"
    assert f"  {money}" in text.splitlines()


def test_words_of_a_server_reach_no_terminal_as_they_are() -> None:
    evil = "refused \x1b[2J\r\n\u202e" + "x" * 1000
    attempt = replace(make_attempt(OPENING, state=State.FAILED), reason=evil)
    result = TakeResult(
        slate="opening_tk01", shot_id="opening", exit_code=ExitCode.SHOT_FAILED, message=evil
    )
    one = outcome(attempt, exit_code=ExitCode.SHOT_FAILED, takes=(result,), message=evil)
    stream = io.StringIO()
    Progress(Messages(stream), takes=1, films=1, bar=False).take("a", "s_tk01", "running", evil)
    storyboard = make_storyboard(title=evil)
    texts = [
        plan_text(one.plan, priced(one.plan), "wavespeed"),
        outcome_text(one, "wavespeed"),
        status_text(one, "wavespeed"),
        heading(storyboard),
        stream.getvalue(),
    ]
    for text in texts:
        assert all(character.isprintable() or character == "\n" for character in text)
        assert max(map(len, text.splitlines())) < 500


def test_heading_gives_title_and_name_once() -> None:
    assert heading(make_storyboard(title="Aurora", name="aurora")) == "Aurora (aurora)"
    assert heading(make_storyboard(title="aurora", name="aurora")) == "aurora"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (30, "30.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00.0"),
        (60, "1:00.0"),
        (65.04, "1:05.0"),
        (119.96, "2:00.0"),
        (3600, "60:00.0"),
    ],
)
def test_length_is_written_as_people_write_it(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_finished_run_ends_with_the_path_of_the_film() -> None:
    text = outcome_text(outcome(make_attempt(OPENING), film=FILM), "wavespeed")
    assert text.splitlines() == [
        "aurora: spent $0.30",
        "aurora: 1:05.0, 1280x720",
        "/out/aurora/film.mp4",
    ]


def test_failed_run_says_which_take_failed_why_and_that_there_is_no_film() -> None:
    failed = make_attempt(OPENING, state=State.FAILED)
    result = TakeResult(
        slate="opening_tk01", shot_id="opening", exit_code=ExitCode.SHOT_FAILED, message="refused"
    )
    text = outcome_text(
        outcome(failed, exit_code=ExitCode.SHOT_FAILED, takes=(result,)), "wavespeed"
    )
    assert text.splitlines()[0] == "opening_tk01: refused"
    assert "no film" in text.splitlines()[-1]
    assert "spent $0.30" in text


def test_run_without_a_film_does_not_deny_the_one_of_an_earlier_run(tmp_path: Path) -> None:
    failed = outcome(make_attempt(OPENING), exit_code=ExitCode.SHOT_FAILED)
    here = replace(failed, folder=tmp_path)
    assert "no film yet" in outcome_text(here, "wavespeed")
    (tmp_path / "film.mov").touch()
    text = outcome_text(here, "wavespeed")
    assert "no new film (film.mov is an earlier one)" in text
    assert "yet" not in text


def test_money_in_doubt_is_told_apart_from_money_spent() -> None:
    doubt = make_attempt(OPENING, state=State.IN_DOUBT)
    text = outcome_text(outcome(doubt, exit_code=ExitCode.IN_DOUBT), "wavespeed")
    assert "spent $0.00, in doubt $0.30" in text


def test_sandbox_run_says_that_nothing_was_paid() -> None:
    text = outcome_text(outcome(make_attempt(OPENING), film=FILM), "sandbox")
    assert "free on the sandbox (would have cost $0.30)" in text
    assert "spent" not in text


def test_status_shows_every_take_ever_submitted() -> None:
    old = make_attempt(make_shot("opening", prompt="before"), take=1)
    text = status_text(outcome(old, make_attempt(OPENING, take=2), film=FILM), "wavespeed")
    rows = [line.split() for line in text.splitlines()]
    assert any(
        row[:4] == ["opening_tk01", "verified", "$0.30", "task-opening_tk01"] for row in rows
    )
    assert any(row[:2] == ["opening_tk02", "verified"] for row in rows)
    assert "up to date" in text


def test_status_shows_what_was_paid_and_nothing_for_what_was_refused() -> None:
    paid = replace(make_attempt(OPENING), settled_usd=Decimal("0.25"))
    text = status_text(outcome(paid, make_attempt(OPENING, take=2, state=State.REFUSED)), "runware")
    rows = [line.split() for line in text.splitlines()]
    assert any(row[:3] == ["opening_tk01", "verified", "$0.25"] for row in rows)
    assert any(row[:3] == ["opening_tk02", "refused", "-"] for row in rows)
    assert "spent $0.25" in text


def test_status_before_anything_was_submitted_says_so() -> None:
    text = status_text(outcome(), "wavespeed")
    assert "nothing has been submitted yet" in text
    assert "takes left to do: 1" in text


@pytest.mark.parametrize(
    ("takes", "note"),
    [(0, ""), (1, ""), (2, ""), (3, "0:01:00"), (20, "0:09:00")],
)
def test_note_says_when_the_last_start_of_a_long_run_can_be(takes: int, note: str) -> None:
    text = start_times_note(takes, submits_per_minute=2, max_tasks=2)
    assert bool(text) is bool(note)
    assert note in text


# Messages and progress.


def lines_of(work: Callable[[Progress], None], *, films: int = 1, quiet: bool = False) -> list[str]:
    """What a log shows of a run."""
    stream = io.StringIO()
    progress = Progress(Messages(stream, quiet=quiet), takes=2, films=films, bar=False)
    work(progress)
    progress.clear()
    progress.close()
    return stream.getvalue().splitlines()


def run(progress: Progress) -> None:
    progress.take("aurora", "opening_tk01", "submitting")
    progress.take("aurora", "opening_tk01", "running", "created, 1 s")
    progress.take("aurora", "opening_tk01", "running", "processing, 2 s")
    progress.take("aurora", "opening_tk01", "ready")
    for percent in range(0, 101, 5):
        progress.film("aurora", percent / 100)
    progress.note("aurora", "look at the clip")


def test_log_has_one_line_for_each_step() -> None:
    assert lines_of(run) == [
        "opening_tk01: submitting",
        "opening_tk01: running created, 1 s",
        "opening_tk01: ready",
        "aurora: film 100 %",
        "aurora: look at the clip",
    ]


def test_log_of_several_storyboards_says_whose_take_it_is() -> None:
    assert lines_of(run, films=2)[0] == "aurora opening_tk01: submitting"


def filmed(*steps: tuple[float, float]) -> list[str]:
    """What a log shows of a film that takes so many seconds to get so far, step by step."""
    stream, now_s = io.StringIO(), [1000.0]
    progress = Progress(Messages(stream), takes=0, films=1, bar=False, clock=lambda: now_s[0])
    for seconds, share in steps:
        now_s[0] += seconds
        progress.film("aurora", share)
    return stream.getvalue().splitlines()


def test_log_of_long_film_work_tells_each_quarter_and_what_is_left() -> None:
    steps = [(0, 0), *((4.0, percent / 100) for percent in range(1, 101))]
    assert filmed(*steps) == [
        "aurora: film 25 %, 5:00 left",
        "aurora: film 50 %, 3:20 left",
        "aurora: film 75 %, 1:40 left",
        "aurora: film 100 %",
    ]


def test_what_is_taken_as_it_was_does_not_count_as_pace() -> None:
    assert filmed((0, 0.5), (0.5, 0.6), (20, 0.76), (40, 1))[0] == "aurora: film 76 %, 30 s left"


def test_nothing_is_foretold_of_the_first_three_percent() -> None:
    assert filmed((0, 0.24), (30, 0.26)) == []


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(1.2, "1 s left"), (59.4, "59 s left"), (60, "1:00 left"), (3661, "1:01:01 left")],
)
def test_time_left_is_written_as_people_write_it(seconds: float, left: str) -> None:
    assert filmed((0, 0), (seconds, 0.5)) == [f"aurora: film 50 %, {left}"]


def test_bar_shows_the_time_left() -> None:
    now_s = [0.0]
    progress = Progress(Messages(sys.stderr), takes=0, films=1, bar=True, clock=lambda: now_s[0])
    assert progress._bar is not None
    for share in (0, 0.2, 0.4):
        progress.film("aurora", share)
        now_s[0] += 40
    assert progress._bar.postfix == "film 40 %, 2:00 left"
    progress.close()


def test_quiet_leaves_only_errors() -> None:
    assert lines_of(run, quiet=True) == []
    stream = io.StringIO()
    Messages(stream, quiet=True).say("a note")
    Messages(stream, quiet=True).error("a failure")
    assert stream.getvalue() == "a failure\n"


class Gone(io.StringIO):
    """A reader who has gone away, or a log on a full disk."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure = failure

    def write(self, text: str, /) -> int:
        raise self.failure


@pytest.mark.parametrize(
    "failure",
    [BrokenPipeError(), OSError(28, "No space left"), OSError(5, "EIO"), ValueError("closed")],
    ids=repr,
)
def test_reader_who_has_gone_away_stops_nothing(failure: Exception) -> None:
    messages = Messages(Gone(failure))
    messages.say("a note")
    messages.error("a failure")
    run(Progress(messages, takes=1, films=1, bar=False))


def test_bar_counts_takes_and_films_and_is_taken_off_the_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(Messages(sys.stderr), takes=1, films=1, bar=True)
    assert progress._bar is not None
    run(progress)
    assert progress._bar.n == 2
    progress.take("aurora", "opening_tk01", "ready")
    progress.take("aurora", "taken_out_tk01", "ready")
    assert progress._bar.n == 2
    progress.clear()
    progress.close()
    shown = capsys.readouterr().err
    assert "aurora: look at the clip\n" in shown
    assert shown.rpartition("\r")[2].strip() == ""


def test_terminal_that_goes_away_under_the_bar_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Gone(OSError(5, "Input/output error")))
    progress = Progress(Messages(sys.stderr), takes=1, films=1, bar=True)
    run(progress)
    progress.clear()
    progress.close()


def test_quiet_shows_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    run(Progress(Messages(sys.stderr, quiet=True), takes=1, films=1, bar=True))
    assert capsys.readouterr().err == ""
