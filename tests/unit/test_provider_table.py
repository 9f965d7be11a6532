"""The table of docs/providers.md names tests that exist, and leaves no cell empty."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in (ROOT / "docs/providers.md").read_text(encoding="utf-8").splitlines()
    if "::test_" in line
]
# What the providers' pages of the model document.
FIELDS = frozenset(
    [
        "images",
        "prompt",
        "duration",
        "resolution",
        "code",
        "message",
        "data.id",
        "data.model",
        "data.outputs",
        "data.urls",
        "data.urls.get",
        "data.has_nsfw_contents",
        "data.status",
        "data.created_at",
        "data.error",
        "data.timings",
        "data.timings.inference",
        "taskType",
        "taskUUID",
        "outputType",
        "outputFormat",
        "outputQuality",
        "webhookURL",
        "deliveryMethod",
        "uploadEndpoint",
        "safety.checkContent",
        "safety.mode",
        "ttl",
        "includeCost",
        "numberResults",
        "inputs.referenceImages",
        "inputs.frameImages",
        "inputs.video",
        "model",
        "positivePrompt",
        "width",
        "height",
        "videoUUID",
        "videoURL",
        "cost",
    ]
)


def test_every_documented_field_has_a_row() -> None:
    named = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row[0])}
    assert FIELDS - named == set()


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_row_is_whole_and_its_test_exists(row: list[str]) -> None:
    assert len(row) == 3
    assert all(row)
    named = re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", row[2])
    assert named
    for file, name in named:
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"def {name}\(", source), f"{file}::{name}"
