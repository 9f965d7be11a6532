"""Each thing that can be wrong with a run is seen, and nothing else is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from kill.verdicts import Evidence, FaultKind, judge

FILM = "f" * 64


def good() -> dict[str, Any]:
    """The leavings of a run of two shots that went well."""
    return {
        "record": {
            "tasks": [{"id": "t1", "downloads": 1}, {"id": "t2", "downloads": 2}],
            "duplicates": [],
            "violations": [],
            "counters": {"submit": 2, "result": 5},
            "bill": {"total_usd": "0.60"},
        },
        "summary": {
            "money": {"spent_usd": "0.60", "reserved_usd": "0"},
            "shots": [
                {
                    "clip": f"clips/s{n}.mp4",
                    "takes": [{"task_id": f"t{n}", "clip": f"clips/s{n}.mp4"}],
                }
                for n in (1, 2)
            ],
        },
        "exit_code": 0,
        "film_sha256": FILM,
        "kills": 1,
    }


def kinds(left: dict[str, Any]) -> set[FaultKind]:
    found = judge(Evidence(**left), shots=2, price_usd=Decimal("0.60"), film_sha256=FILM)
    return {fault.kind for fault in found}


def test_good_run_has_no_fault() -> None:
    assert kinds(good()) == set()


def _third_task(left: dict[str, Any]) -> None:
    left["record"]["tasks"].append({"id": "t3", "downloads": 0})


def _twin(left: dict[str, Any]) -> None:
    left["record"]["duplicates"].append({"task_id": "t2", "dup_of": "t1"})


def _unfetched(left: dict[str, Any]) -> None:
    left["record"]["tasks"][1]["downloads"] = 0


def _not_in_film(left: dict[str, Any]) -> None:
    left["summary"]["shots"][1]["takes"][0]["task_id"] = "t9"


def _said_less(left: dict[str, Any]) -> None:
    left["summary"]["money"]["spent_usd"] = "0.30"


def _still_reserved(left: dict[str, Any]) -> None:
    left["summary"]["money"]["reserved_usd"] = "0.30"


def _over_budget(left: dict[str, Any]) -> None:
    left["record"]["bill"]["total_usd"] = "0.90"
    left["summary"]["money"]["spent_usd"] = "0.90"


def _too_fast(left: dict[str, Any]) -> None:
    left["record"]["violations"].append({"kind": "rate_limit", "task_id": None})


def _refused(left: dict[str, Any]) -> None:
    left["record"]["counters"]["submit.429"] = 1


def _too_many_looks(left: dict[str, Any]) -> None:
    left["record"]["violations"].append({"kind": "poll_after_end", "task_id": "t1"})


def _other_film(left: dict[str, Any]) -> None:
    left["film_sha256"] = "0" * 64


def _no_film(left: dict[str, Any]) -> None:
    left["film_sha256"] = None


def _wreck(left: dict[str, Any]) -> None:
    left["wrecks"] = ("s1.mp4 was no whole clip",)


def _other_exit(left: dict[str, Any]) -> None:
    left["exit_code"] = 3


def _hung(left: dict[str, Any]) -> None:
    left["exit_code"] = None


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (_third_task, FaultKind.PAID_TWICE),
        (_twin, FaultKind.PAID_TWICE),
        (_unfetched, FaultKind.LOST),
        (_not_in_film, FaultKind.LOST),
        (_said_less, FaultKind.MONEY),
        (_still_reserved, FaultKind.MONEY),
        (_over_budget, FaultKind.MONEY),
        (_too_fast, FaultKind.VIOLATION),
        (_refused, FaultKind.VIOLATION),
        (_too_many_looks, FaultKind.VIOLATION),
        (_other_film, FaultKind.FILM),
        (_no_film, FaultKind.FILM),
        (_wreck, FaultKind.FILM),
        (_other_exit, FaultKind.ENDING),
        (_hung, FaultKind.ENDING),
    ],
)
def test_every_broken_promise_is_seen(
    spoil: Callable[[dict[str, Any]], None], kind: FaultKind
) -> None:
    left = copy.deepcopy(good())
    spoil(left)
    assert kind in kinds(left)


def test_one_more_look_at_a_finished_task_is_fair_after_a_second_death() -> None:
    left = good() | {"kills": 2}
    _too_many_looks(left)
    assert kinds(left) == set()
    _too_many_looks(left)
    assert kinds(left) == {FaultKind.VIOLATION}
