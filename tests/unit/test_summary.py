"""run.json says how every take stands and what it cost, and tells a later run about the film."""

from __future__ import annotations

import hashlib
import json
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
from pipeline.planning import make_plan
from pipeline.pricing import RATE_CARDS, estimate
from pipeline.summary import (
    CLIPS_FOLDER,
    FILM_NAME,
    SUMMARY_NAME,
    FilmRecord,
    Outcome,
    TakeResult,
    film_is_current,
    missing_clips,
    read_film_record,
    summarise,
    write_summary,
)

OPENING = make_shot("opening")
CLOSING = make_shot("closing", prompt="the end")
FILM = FilmRecord(
    key="k" * 64,
    sha256="f" * 64,
    duration_s=12.0,
    frames=288,
    frame_rate="24",
    width_px=1280,
    height_px=720,
    copied=True,
)


def outcome(
    *attempts: Attempt,
    shots: tuple[Shot, ...] = (OPENING,),
    provider: str = "wavespeed",
    exit_code: ExitCode = ExitCode.DONE,
    storyboard: Storyboard | None = None,
    **more: Any,
) -> Outcome:
    ledger = Ledger(attempts=attempts)
    plan = make_plan(
        storyboard or make_storyboard(*shots),
        ledger,
        provider=provider,
        model=MODEL,
        card=RATE_CARDS[provider],
    )
    return Outcome(
        plan=plan, ledger=ledger, folder=Path("/out/aurora"), exit_code=exit_code, **more
    )


def summary(one: Outcome, provider: str = "wavespeed") -> dict[str, Any]:
    return summarise(one, estimate(one.plan.storyboard, RATE_CARDS[provider]), provider)


def test_shots_are_in_cut_order_with_the_clip_that_is_in_the_film() -> None:
    shots = (replace(OPENING, takes=2, select=1), CLOSING)
    attempts = (
        make_attempt(CLOSING),
        make_attempt(OPENING, take=1),
        make_attempt(OPENING, take=2),
    )
    made = summary(outcome(*attempts, shots=shots))
    assert [(shot["id"], shot["clip"]) for shot in made["shots"]] == [
        ("opening", "clips/opening_tk01.mp4"),
        ("closing", "clips/closing_tk01.mp4"),
    ]
    assert [take["slate"] for take in made["shots"][0]["takes"]] == ["opening_tk01", "opening_tk02"]


def test_take_is_told_with_task_price_clip_and_hash() -> None:
    (take,) = summary(outcome(make_attempt(OPENING)))["shots"][0]["takes"]
    assert take["task_id"] == "task-opening_tk01"
    assert take["state"] == "verified"
    assert take["price_usd"] == "0.30"
    assert take["clip"] == "clips/opening_tk01.mp4"
    assert take["sha256"] == hashlib.sha256(b"opening_tk01").hexdigest()


def test_money_is_exact_text_of_every_take_that_binds_any() -> None:
    old = make_shot("opening", prompt="before it was edited")
    attempts = (
        make_attempt(OPENING),
        make_attempt(old, take=2, state=State.FAILED, price_usd="0.404"),
        make_attempt(make_shot("gone"), state=State.IN_DOUBT, price_usd="0.50"),
        make_attempt(OPENING, take=3, state=State.REFUSED),
    )
    storyboard = make_storyboard(OPENING, CLOSING, budget_usd=Decimal("5.00"))
    money = summary(outcome(*attempts, storyboard=storyboard))["money"]
    assert money["estimate_usd"] == "0.60"
    assert money["spent_usd"] == "0.704"
    assert money["reserved_usd"] == "0.50"
    assert money["budget_usd"] == "5.00"
    assert money["real"] is True


def test_every_take_that_binds_money_is_named_somewhere() -> None:
    old = make_shot("opening", prompt="before it was edited")
    attempts = [
        make_attempt(shot, state=state, attempt_id=f"{shot.prompt} {state}", take=number)
        for shot in (OPENING, old, make_shot("gone", prompt="gone"))
        for number, state in enumerate(State, start=1)
    ]
    made = summary(outcome(*attempts))
    takes = [take for shot in made["shots"] for take in shot["takes"]] + made["other_takes"]
    named = sum((Decimal(take["price_usd"]) for take in takes), Decimal(0))
    assert named == Decimal(made["money"]["spent_usd"]) + Decimal(made["money"]["reserved_usd"])


def test_takes_of_earlier_versions_and_of_shots_that_are_gone_are_kept_apart() -> None:
    old = make_attempt(make_shot("opening", prompt="before"))
    gone = make_attempt(make_shot("gone"), state=State.IN_DOUBT)
    made = summary(outcome(old, gone, make_attempt(OPENING, take=2)))
    assert [take["slate"] for take in made["shots"][0]["takes"]] == ["opening_tk02"]
    assert [take["slate"] for take in made["other_takes"]] == ["opening_tk01", "gone_tk01"]


def test_clip_of_another_provider_is_not_the_shots_clip() -> None:
    made = summary(outcome(make_attempt(OPENING, provider="sandbox")))
    assert made["shots"][0]["clip"] is None


def test_messages_stand_with_their_shot_and_take_once() -> None:
    results = (
        TakeResult(
            slate="opening_tk01", shot_id="opening", exit_code=ExitCode.SHOT_FAILED, message="no"
        ),
        TakeResult(
            slate="opening_tk02", shot_id="opening", exit_code=ExitCode.SHOT_FAILED, message="no"
        ),
        TakeResult(slate="closing_tk01", shot_id="closing", exit_code=ExitCode.DONE),
    )
    failed = make_attempt(OPENING, state=State.FAILED)
    made = summary(
        outcome(
            failed,
            shots=(OPENING, CLOSING),
            takes=results,
            exit_code=ExitCode.SHOT_FAILED,
            message="stopped",
        )
    )
    assert [shot["message"] for shot in made["shots"]] == ["no", ""]
    assert made["shots"][0]["takes"][0]["message"] == "no"
    assert made["shots"][0]["takes"][0]["reason"] == "failed for a reason"
    assert (made["state"], made["exit_code"], made["message"]) == ("failed", 1, "stopped")


@pytest.mark.parametrize("code", ExitCode)
def test_exit_code_is_told_exactly_and_only_done_reads_as_done(code: ExitCode) -> None:
    made = summary(outcome(make_attempt(OPENING), exit_code=code))
    assert made["exit_code"] == int(code)
    assert (made["state"] == "done") is (code is ExitCode.DONE)


def test_sandbox_takes_no_real_money() -> None:
    attempt = make_attempt(OPENING, provider="sandbox")
    made = summary(outcome(attempt, provider="sandbox"), "sandbox")
    assert made["money"]["real"] is False
    assert made["shots"][0]["clip"] == "clips/opening_tk01.mp4"


def test_film_is_told_with_its_path_and_read_back_by_the_next_run(tmp_path: Path) -> None:
    made = summary(outcome(make_attempt(OPENING), film=FILM))
    write_summary(tmp_path, made)
    assert made["film"]["path"] == FILM_NAME
    assert json.loads((tmp_path / SUMMARY_NAME).read_text()) == made
    assert read_film_record(tmp_path) == FILM


def test_no_film_is_null(tmp_path: Path) -> None:
    write_summary(tmp_path, summary(outcome()))
    assert json.loads((tmp_path / SUMMARY_NAME).read_text())["film"] is None
    assert read_film_record(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"film": {}}', '{"film": {"key": "k"}}', '{"film": 7}', "\xff"],
)
def test_summary_that_cannot_be_read_means_no_film(tmp_path: Path, text: str) -> None:
    (tmp_path / SUMMARY_NAME).write_text(text, encoding="latin-1")
    assert read_film_record(tmp_path) is None


def test_missing_summary_means_no_film(tmp_path: Path) -> None:
    assert read_film_record(tmp_path) is None


def test_words_of_a_server_never_break_the_summary(tmp_path: Path) -> None:
    words = 'lone \ud800, quote ", line\nend, ä 光'
    result = TakeResult(
        slate="opening_tk01", shot_id="opening", exit_code=ExitCode.SHOT_FAILED, message=words
    )
    write_summary(tmp_path, summary(outcome(takes=(result,), message=words)))
    assert json.loads((tmp_path / SUMMARY_NAME).read_text())["message"] == words


def test_film_is_current_only_while_it_is_whole_and_made_of_the_same(tmp_path: Path) -> None:
    film = tmp_path / FILM_NAME
    film.write_bytes(b"the film")
    record = replace(FILM, key="same", sha256=hashlib.sha256(b"the film").hexdigest())
    assert film_is_current(tmp_path, "same", record)
    assert not film_is_current(tmp_path, "other", record)
    assert not film_is_current(tmp_path, "same", None)
    film.write_bytes(b"the filM")
    assert not film_is_current(tmp_path, "same", record)
    film.unlink()
    assert not film_is_current(tmp_path, "same", record)


def test_clip_is_missing_when_it_is_gone_or_has_another_size(tmp_path: Path) -> None:
    (tmp_path / CLIPS_FOLDER).mkdir()
    shots = [make_shot(name) for name in ("whole", "cut", "gone", "folder", "running")]
    attempts = [make_attempt(shot) for shot in shots[:-1]]
    attempts.append(make_attempt(shots[-1], state=State.SUBMITTED))
    (tmp_path / CLIPS_FOLDER / "whole_tk01.mp4").write_bytes(bytes(1000))
    (tmp_path / CLIPS_FOLDER / "cut_tk01.mp4").write_bytes(bytes(999))
    (tmp_path / CLIPS_FOLDER / "folder_tk01.mp4").mkdir()
    missing = missing_clips(tmp_path, Ledger(attempts=tuple(attempts)))
    assert missing == {"cut_tk01", "gone_tk01", "folder_tk01"}
