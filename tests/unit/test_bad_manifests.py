"""Every file in tests/manifests/invalid is refused with exactly the words it asks for.

Its first lines say what is expected, one line for each problem in file order::

    # expect: [warning|EXIT CODE] LINE:COLUMN PATH | part of the message or of its cure

``PATH`` is ``-`` for the document as a whole; without a code an error is exit 65.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import ExitCode
from pipeline.manifest import read_manifest
from pipeline.model import Problem, Severity

FOLDER = Path(__file__).parents[1] / "manifests/invalid"
FILES = sorted(FOLDER.glob("*.yaml"))
EXPECT = re.compile(r"# expect: (?:(warning|\d+) )?(\d+):(\d+) (.+?) \| (.+)")

# Rows of the catalogue of bad input whose examples no repository can hold (a FIFO, a file of
# 201 MB, an empty or UTF-16 file, standard input, 10,001 shots, odd file names, a file that
# changes); they are built in test_manifest.py and test_images.py.
BUILT = {21, 24, 26, 28, 31, 34, 37}


def expected(path: Path) -> list[tuple[str, int, int, str, str]]:
    rows = []
    for line in path.read_text("utf-8").split("\n"):
        match = EXPECT.match(line)
        if match is None:
            break
        kind, row, column, place, words = match.groups()
        rows.append((kind or "65", int(row), int(column), place, words))
    return rows


def found(problem: Problem) -> tuple[str, int, int, str]:
    is_warning = problem.severity is Severity.WARNING
    kind = "warning" if is_warning else str(int(problem.exit_code))
    place = problem.position
    return kind, place.line, place.column, problem.path or "-"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_example_is_refused_as_it_says(path: Path) -> None:
    checked = read_manifest(str(path))
    wanted = expected(path)
    assert wanted, "the file says nothing of what is expected"
    assert [found(problem) for problem in checked.problems] == [row[:4] for row in wanted]
    for problem, (*_, words) in zip(checked.problems, wanted, strict=True):
        assert words in f"{problem.message} ({problem.hint})"
        assert problem.hint
    only_warnings = all(row[0] == "warning" for row in wanted)
    assert (checked.storyboard is not None) == only_warnings


def test_every_row_of_the_catalogue_has_an_example() -> None:
    rows = {int(path.stem[1:3]) for path in FILES if re.match(r"b\d\d_", path.stem)}
    assert rows | BUILT == set(range(1, 38))


def test_an_example_fails_where_its_expectation_is_wrong() -> None:
    problem = read_manifest(str(FOLDER / "b11_duration_7.yaml")).problems[0]
    assert found(problem)[0] == str(int(ExitCode.BAD_MANIFEST))
    assert found(problem) != ("65", 1, 1, "-")
