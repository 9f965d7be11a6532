"""Of several exit codes the one that says most about what to do next stands for all."""

from __future__ import annotations

import itertools

import pytest

from pipeline import errors
from pipeline.errors import ExitCode, StoryboardError, gravest

Code = ExitCode


def test_nothing_that_went_wrong_is_done() -> None:
    assert gravest([]) is Code.DONE
    assert gravest([Code.DONE, Code.DONE]) is Code.DONE


@pytest.mark.parametrize("code", Code)
def test_anything_is_graver_than_done(code: ExitCode) -> None:
    assert gravest([Code.DONE, code, Code.DONE]) is code


def test_any_two_codes_have_an_order_that_does_not_hang_on_theirs() -> None:
    for one, other in itertools.combinations(Code, 2):
        assert gravest([one, other]) is gravest([other, one])


@pytest.mark.parametrize(
    ("graver", "lesser"),
    [
        (Code.SIGINT, Code.SHOT_FAILED),
        (Code.SIGTERM, Code.TRY_LATER),
        (Code.KEY_REFUSED, Code.SHOT_FAILED),
        (Code.IO_ERROR, Code.IN_DOUBT),
        (Code.IN_DOUBT, Code.SHOT_FAILED),
        (Code.IN_DOUBT, Code.TRY_LATER),
        (Code.OVER_BUDGET, Code.SHOT_FAILED),
        (Code.SHOT_FAILED, Code.TRY_LATER),
        (Code.UNAVAILABLE, Code.SHOT_FAILED),
    ],
)
def test_what_needs_a_person_comes_before_what_time_may_cure(
    graver: ExitCode, lesser: ExitCode
) -> None:
    assert gravest([lesser, graver, lesser]) is graver


def test_codes_are_those_that_scripts_rely_on() -> None:
    assert {code.name: int(code) for code in Code} == {
        "DONE": 0,
        "SHOT_FAILED": 1,
        "IN_DOUBT": 3,
        "OVER_BUDGET": 4,
        "USAGE": 64,
        "BAD_MANIFEST": 65,
        "FILE_MISSING": 66,
        "UNAVAILABLE": 69,
        "CANNOT_WRITE": 73,
        "IO_ERROR": 74,
        "TRY_LATER": 75,
        "KEY_REFUSED": 77,
        "CONFIGURATION": 78,
        "SIGINT": 130,
        "SIGTERM": 143,
    }


def test_every_failure_has_an_exit_code_of_the_table() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    failures = [kind for kind in kinds if issubclass(kind, StoryboardError)]
    assert len(failures) > 15
    for kind in failures:
        assert isinstance(kind.exit_code, ExitCode)
        assert kind.exit_code is not Code.DONE


def test_failure_says_what_and_the_cure() -> None:
    error = errors.Rejected("the shot was refused", hint="change it", code="1200")
    assert str(error) == "the shot was refused (change it)"
    assert (error.message, error.hint, error.code) == ("the shot was refused", "change it", "1200")
    assert str(StoryboardError("no cure")) == "no cure"
