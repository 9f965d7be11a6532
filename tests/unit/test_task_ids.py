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
    "number": 0,
    "results": 1,
}


def test_the_definition_is_fixed() -> None:
    """Every id of this form that was ever used must be found again."""
    assert choose_task_id(**TAKE) == "a0c11d9a-dad3-41bb-a6c1-55a5fb2b5342"


def test_it_is_a_version_4_uuid() -> None:
    chosen = uuid.UUID(choose_task_id(**TAKE))
    assert (chosen.version, chosen.variant) == (4, uuid.RFC_4122)


@pytest.mark.parametrize(
    "change",
    [
        {"account": "runware-2"},
        {"storyboard": "aurora2"},
        {"fingerprint": "e" * 64},
        {"number": 1},
        {"results": 2},
        {"account": "runware-1aurora", "storyboard": ""},
    ],
)
def test_another_take_has_another_id(change: dict[str, Any]) -> None:
    assert choose_task_id(**TAKE | change) != choose_task_id(**TAKE)
