"""The short version of the fuzz, and that it catches readers which are broken on purpose.

The full one is ``make soak``. A number replays what it found: every draw comes from it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import runware
from fuzz.answers import take_samples
from fuzz.broken import BROKEN, BROKEN_RUNWARE
from fuzz.feeding import feed_values, feed_wire
from fuzz.manifests import fuzz_manifests
from fuzz.mutations import Answer
from fuzz.runs import run_fuzzed
from fuzz.truth import hides_a_task, is_clear_no

from pipeline.capabilities import RUNWARE, WAVESPEED

# Where a broken program is looked for among the runs: each is caught well before the last.
_RUNS = range(30, 110)


@pytest.fixture(scope="module")
def samples() -> list[Answer]:
    return take_samples()


def test_spoilt_answers_are_read_as_what_they_are_or_not_at_all(samples: list[Answer]) -> None:
    ended, breaches = feed_values(samples, 0, 1500)
    assert not breaches
    # Enough of both: answers that were still good, and submissions left in doubt.
    assert ended["submit: str"] > 20
    assert ended["submit: SubmissionInDoubt"] > 20
    assert {key.partition(":")[0] for key in ended} >= {"submit", "result", "history", "price"}


def test_spoilt_bytes_on_the_wire_end_in_errors_that_the_runner_knows(
    samples: list[Answer],
) -> None:
    ended, breaches = feed_wire(samples, 0, 500)
    assert not breaches
    assert ended["submit: SubmissionInDoubt"] > 5
    assert ended["download: int"] > 2


@pytest.mark.parametrize("first", [0, 12])
def test_whole_runs_with_spoilt_answers_pay_nothing_twice(first: int) -> None:
    runs = [run_fuzzed(seed) for seed in range(first, first + 12)]
    assert not [(run.seed, run.breaches) for run in runs if run.breaches]
    assert sum(run.tally.spoilt for run in runs) > 20


@pytest.fixture(scope="module")
def runware_samples() -> list[Answer]:
    return runware.take_runware_samples()


def test_spoilt_answers_of_runware_are_read_as_what_they_are_or_not_at_all(
    runware_samples: list[Answer],
) -> None:
    ended, breaches = runware.feed_runware(runware_samples, 0, 2000)
    assert not breaches
    words = ("submit: str", "submit: SubmissionInDoubt", "submit: Rejected", "result: TaskStatus")
    assert all(ended[word] > 20 for word in words)
    assert ended["details: bool"] > 20


def test_whole_runs_on_runware_with_spoilt_answers_pay_nothing_twice() -> None:
    runs = [run_fuzzed(seed, provider="runware") for seed in range(12)]
    assert not [(run.seed, run.breaches) for run in runs if run.breaches]
    assert sum(run.tally.by_endpoint.get("submit", 0) for run in runs) > 5


@pytest.mark.parametrize("name", BROKEN_RUNWARE)
def test_a_broken_reader_of_runwares_is_caught(name: str, runware_samples: list[Answer]) -> None:
    dialect, word = BROKEN_RUNWARE[name]
    _, breaches = runware.feed_runware(runware_samples, 0, 300, dialect(RUNWARE))
    assert [breach for breach in breaches if word in breach]


@pytest.mark.parametrize(
    ("status", "body", "is_no"),
    [
        (400, '{"data": [], "errors": [{"code": "x", "taskUUID": "OURS"}]}', True),
        (400, "", True),
        (307, "", True),
        (200, '{"errors": [{"code": "x", "taskUUID": "OURS"}]}', True),
        (307, '{"data": [{"taskUUID": "OURS"}]}', False),
        (400, '{"data": [{"taskUUID": "OURS', False),
        (400, '{"data": [{"taskUUID": "OURS"}]}', False),
        (400, '{"errors": [{"code": "conflictTaskUUID", "taskUUID": "OURS"}]}', False),
        (200, '{"errors": [{"code": "x"}]}', False),
        (500, '{"errors": [{"code": "x", "taskUUID": "OURS"}]}', False),
    ],
)
def test_only_a_clear_no_of_runwares_counts_as_one(status: int, body: str, is_no: bool) -> None:
    raw = body.replace("OURS", runware.TASK_ID).encode()
    assert runware.is_clear_no(status, raw) is is_no


@pytest.mark.parametrize("name", [name for name, (_, word, _) in BROKEN.items() if word])
def test_a_broken_reader_is_caught_by_single_answers(name: str, samples: list[Answer]) -> None:
    dialect, word, _ = BROKEN[name]
    _, breaches = feed_values(samples, 0, 300, dialect(WAVESPEED))
    assert [breach for breach in breaches if word in breach]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_reader_is_caught_by_whole_runs(name: str) -> None:
    dialect, _, verdict = BROKEN[name]
    for seed in _RUNS:
        found = run_fuzzed(seed, dialect=dialect).breaches
        if any(breach.startswith(verdict) for breach in found):
            return
    pytest.fail(f"{name} went through {len(_RUNS)} runs")


def test_mutated_manifests_end_in_findings_with_place_and_cure_or_are_accepted(
    tmp_path: Path,
) -> None:
    tally = fuzz_manifests(0, 300, tmp_path)
    assert not tally.breaches
    assert 150 < tally.refused < 300


@pytest.mark.parametrize(
    ("status", "body", "is_no"),
    [
        (400, b'{"code": 400, "message": "no"}', True),
        (429, b"", True),
        (307, b"", True),
        (200, b'{"code": 422, "message": "no"}', True),
        (200, b'{"code": 422, "data": {"id": null}}', True),
        (200, b'{"code": 422, "data": {"id": "abc"}}', False),
        (400, b'{"code": 400, "data": {"id": 7}}', False),
        (200, b'{"code": "422"}', False),
        (200, b"{", False),
        (500, b'{"code": 400}', False),
    ],
)
def test_only_a_clear_no_counts_as_one(status: int, body: bytes, is_no: bool) -> None:
    assert is_clear_no(status, body) is is_no


def test_a_page_that_leaves_a_task_out_is_a_lie_and_a_broken_page_is_none() -> None:
    row = '{"id": "a", "created_at": "2026-05-04T12:00:00Z", "inputs": {"prompt": "x"}}'
    page = '{"data": {"items": [%s]}}'
    original = (page % row).encode()
    assert not hides_a_task(original, original)
    assert hides_a_task((page % "").encode(), original)
    assert hides_a_task(original.replace(b'"x"', b'"y"'), original)
    assert not hides_a_task(original.replace(b'"x"', b'"x'), original)
    assert not hides_a_task(original.replace(b'"a"', b"7"), original)
