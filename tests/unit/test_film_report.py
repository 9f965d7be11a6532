"""The report of a film: what a script reads, and a table that a person can."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from measured import MEASURED, SOUND, WANTED

from pipeline.film.spec import Checks
from pipeline.finishing.checks import Fault, FaultCode, judge_film
from pipeline.finishing.film_report import (
    FilmReport,
    Made,
    build_report,
    build_table,
    ratio_name,
)

FILM = Made(
    name="film",
    file="film.mp4",
    sha256="a" * 64,
    measured=MEASURED,
    wanted=WANTED,
    faults=(),
    rendered=4,
    reused=15,
)
LOUD = replace(MEASURED, sound=replace(SOUND, integrated_lufs=-9.25, true_peak_dbtp=0.31))
VERTICAL = replace(
    FILM,
    name="vertical-fifteen-seconds-of-everything",
    file="deliverables/" + "a very long name " * 6 + ".mp4",
    measured=replace(LOUD, width_px=1080, height_px=1920, frame_rate=Fraction(24000, 1001)),
    faults=judge_film(LOUD, WANTED, Checks()),
    is_reused=True,
)


def report_of(*deliverables: Made) -> FilmReport:
    return FilmReport(title="Aurora", checks=Checks(), deliverables=deliverables)


def test_a_table_says_of_every_deliverable_whether_it_passed_and_fits_a_terminal() -> None:
    lines = build_table(report_of(FILM, VERTICAL)).splitlines()

    assert lines[2].split() == [
        *("film", "1280x720", "16:9", "24", "30.000", "s", "-14.1", "-1.4", "passed"),
    ]
    assert "23.976" in lines[3] and lines[3].endswith("FAILED")
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "1 of 2 deliverables failed"


def test_a_fault_is_told_with_its_cure() -> None:
    fault = Fault(code=FaultCode.BLACK, message="black for 3.00 s", hint="look at it")

    text = build_table(report_of(replace(FILM, faults=(fault,))))

    assert "  FAILED  black for 3.00 s\n          look at it\n" in text


def test_what_was_reused_is_counted() -> None:
    text = build_table(report_of(FILM, replace(FILM, is_reused=True)))

    assert "4 of 19 pieces rendered, 15 reused" in text
    assert "nothing changed, kept as it was" in text


def test_the_report_for_scripts_carries_what_was_wanted_measured_and_found() -> None:
    made = json.loads(build_report(report_of(VERTICAL)))

    one = made["deliverables"][0]
    assert made["passed"] is False
    assert [fault["code"] for fault in one["faults"]] == ["loudness", "true-peak"]
    assert (one["pieces_rendered"], one["pieces_reused"], one["reused"]) == (4, 15, True)
    assert one["wanted"]["integrated_lufs"] == -14
    assert one["measured"]["sound"]["integrated_lufs"] == -9.25
    assert one["measured"]["frame_rate"] == "24000/1001"


def test_a_film_without_sound_or_target_has_a_report_too() -> None:
    silent = replace(
        FILM, measured=replace(MEASURED, sound=None), wanted=replace(WANTED, loudness=None)
    )

    assert (
        json.loads(build_report(report_of(silent)))["deliverables"][0]["measured"]["sound"] is None
    )
    assert "silent" in build_table(report_of(silent))
    assert "1 deliverable passed" in build_table(report_of(silent))


def test_the_same_values_give_the_same_bytes() -> None:
    assert build_report(report_of(FILM)) == build_report(report_of(FILM))


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ((1280, 720), "16:9"),
        ((854, 480), "16:9"),
        ((1080, 1350), "4:5"),
        ((720, 720), "1:1"),
        ((1200, 628), "1.91:1"),
    ],
)
def test_a_ratio_is_called_what_people_call_it(size: tuple[int, int], name: str) -> None:
    assert ratio_name(Fraction(*size)) == name
