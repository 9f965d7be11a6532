"""The soak's report says of each proof what happened to it, and passes only if all of them did."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def load() -> ModuleType:
    """By its path, as each proof has a module of the same name."""
    path = Path(__file__).resolve().parents[1] / "soak.py"
    spec = importlib.util.spec_from_file_location("whole_soak", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


soak: Any = load()
BEGAN = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


def outcome(name: str = "kill", **values: Any) -> Any:
    chosen: dict[str, Any] = {
        "name": name,
        "command": f"python tests/{name}/soak.py",
        "exit_code": 0,
        "seconds": 120.0,
        "figures": {"points": 3, "phases": [{"name": "exact", "failed": 0}]},
        "last_words": "done",
    }
    return soak.Outcome(**chosen | values)


def report(*outcomes: Any, wanted: tuple[str, ...] = ("kill",)) -> dict[str, Any]:
    return soak.build_report(outcomes, wanted=wanted, began=BEGAN, share=1.0)


def test_report_passes_when_every_proof_does() -> None:
    made = report(outcome())
    assert made["passed"]
    assert "FAILED" not in soak.build_text(made)


def test_proof_that_ends_badly_fails_the_report_and_says_its_last_words() -> None:
    made = report(outcome(exit_code=1, last_words="point 7 paid twice"))
    assert not made["passed"]
    assert "FAILED" in soak.build_text(made)
    assert "point 7 paid twice" in soak.build_text(made)


def test_proof_without_figures_fails_whatever_its_exit_code() -> None:
    made = report(outcome(figures=None))
    assert not made["passed"]
    assert "wrote no figures" in soak.build_text(made)


def test_proof_that_was_not_reached_fails_the_report_and_is_named() -> None:
    made = report(outcome(), wanted=("kill", "simulation"))
    assert not made["passed"]
    assert "Not run: simulation" in soak.build_text(made)


def test_a_proof_that_is_run_again_takes_the_place_of_its_former_entry_and_of_no_other() -> None:
    wanted = ("kill", "simulation")
    first = report(outcome(exit_code=1), outcome("simulation"), wanted=wanted)
    again = soak.build_report(
        [outcome()], wanted=wanted, began=BEGAN, share=1.0, earlier=first["proofs"]
    )
    assert not first["passed"]
    assert again["passed"]
    assert [entry["name"] for entry in again["proofs"]] == ["kill", "simulation"]


def test_an_entry_of_a_proof_that_is_no_more_is_dropped() -> None:
    made = soak.build_report(
        [outcome()],
        wanted=["kill"],
        began=BEGAN,
        share=1.0,
        earlier=report(outcome("gone"))["proofs"],
    )
    assert [entry["name"] for entry in made["proofs"]] == ["kill"]


def test_part_of_a_proof_is_not_the_proof() -> None:
    made = soak.build_report([outcome()], wanted=["kill"], began=BEGAN, share=0.5)
    assert not made["passed"]
    assert "50%" in soak.build_text(made)


def test_figures_and_their_tables_are_shown() -> None:
    text = soak.build_text(report(outcome()))
    assert "| points | 3 |" in text
    assert "| exact | 0 |" in text


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A proof in a project of its own, still to be written."""
    monkeypatch.setattr(soak, "ROOT", tmp_path)
    path = tmp_path / "tests" / "tiny" / "soak.py"
    path.parent.mkdir(parents=True)
    return path


def test_proof_that_dies_before_it_reports_is_an_outcome(program: Path, tmp_path: Path) -> None:
    program.write_text("raise SystemExit('no such luck')\n")
    assert soak.find_proofs([]) == [program]
    ended = soak.run_proof(program, workers=2, share=1.0, folder=tmp_path)
    assert (ended.passed, ended.exit_code, ended.figures) == (False, 1, None)
    assert ended.last_words == "no such luck"


def test_proof_that_reports_is_read(program: Path, tmp_path: Path) -> None:
    program.write_text("import sys\nopen(sys.argv[-1], 'w').write('{\"points\": 3}')\n")
    ended = soak.run_proof(program, workers=2, share=1.0, folder=tmp_path)
    assert ended.passed
    assert ended.figures == {"points": 3}


def test_proof_that_is_not_there_is_refused() -> None:
    with pytest.raises(SystemExit, match="no proof nonsense"):
        soak.find_proofs(["nonsense"])
