"""The id of a task follows from what is bought, and never changes its meaning."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from pipeline.task_ids import choose_task_id

TAKE: dict[str, Any] = {
    "account": "runware-1",
    "storyboard": "aurora",
    "fingerprint": "f" * 64,
    "take": 1,
    "tries": 0,
}


def test_the_definition_is_fixed() -> None:
    """Every id of this form that was ever used must be found again."""
    assert choose_task_id(**TAKE) == "4c729164-bd7d-4670-bae8-e37b9929fff5"


def test_it_is_a_version_4_uuid() -> None:
    chosen = uuid.UUID(choose_task_id(**TAKE))
    assert (chosen.version, chosen.variant) == (4, uuid.RFC_4122)


@pytest.mark.parametrize(
    "change",
    [
        {"account": "runware-2"},
        {"storyboard": "aurora2"},
        {"fingerprint": "e" * 64},
        {"take": 2},
        {"tries": 1},
        {"take": 0, "tries": 1},
        {"account": "runware-1aurora", "storyboard": ""},
    ],
)
def test_another_take_has_another_id(change: dict[str, Any]) -> None:
    assert choose_task_id(**TAKE | change) != choose_task_id(**TAKE)
