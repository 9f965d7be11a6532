"""The tables of docs/providers.md have a row for every field, and each row's test exists.

What fields there are is read off the code: what the clients send and read, and what the sandbox
takes and answers. Only what neither knows is listed here, from the providers' pages.
"""

from __future__ import annotations

import inspect
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.capabilities import RUNWARE, WAVESPEED
from pipeline.model import Container, Output, Resolution, SafetyMode, ShotKind, Size
from pipeline.providers import runware_status, wavespeed
from pipeline.providers.base import TakeRequest
from pipeline.providers.runware import Runware
from pipeline.providers.wavespeed import WaveSpeed
from pipeline.sandbox import runware_orders, runware_results
from pipeline.sandbox import wavespeed as sandbox_wavespeed
from pipeline.untaken import SECTION_KEYS

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {"wavespeed": "## WaveSpeedAI", "runware": "## Runware"}
_KEY_READ = re.compile(r'\b(?:data|item)(?:\.get\(|\[)"(\w+)"')
_KEY_WRITTEN = re.compile(r'(?:^\s+|\[)"(\w+)"(?::|\] =)', re.MULTILINE)


def rows_of(provider: str) -> list[list[str]]:
    """The cells of every row of a provider's table."""
    text = (ROOT / "docs/providers.md").read_text(encoding="utf-8")
    _, _, section = text.partition(f"\n{SECTIONS[provider]}")
    section = section.partition("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| ") and not line.startswith(("| field ", "| --- "))
    ]


ROWS = [(provider, row) for provider in SECTIONS for row in rows_of(provider)]
REQUEST = TakeRequest(
    model="m",
    prompt="x",
    image_urls=("https://x.example/a.png",),
    duration_s=6,
    resolution=Resolution.P720,
    size=Size(width_px=1280, height_px=720),
    frame_url="https://x.example/a.png",
    video_url="https://x.example/a.mp4",
    output=Output(
        container=Container.MOV, quality=50, safety=SafetyMode.FULL, keep_s=60, put_url="https://p"
    ),
    task_id=str(uuid.uuid4()),
    webhook_url="https://hook.example",
)


def leaves(value: Any, path: str = "") -> set[str]:
    """Every place of a value that is no mapping, in the words of the table."""
    if isinstance(value, dict):
        named = ((f"{path}.{key}" if path else key, each) for key, each in value.items())
        return {leaf for place, each in named for leaf in leaves(each, place)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {path} | leaves(value[0], f"{path}[]")
    return {path}


def sent_to_runware() -> set[str]:
    dialect = Runware(RUNWARE)
    tasks = [dialect.build_submit(replace(REQUEST, kind=kind)).json for kind in ShotKind]
    return {leaf for task in tasks for leaf in leaves(task[0] if isinstance(task, list) else {})}


def taken_by_the_sandboxs_runware() -> set[str]:
    inputs = {f"inputs.{key}" for key in runware_orders._INPUT_KEYS}
    return (runware_orders._KEYS - {"inputs", "safety"}) | inputs


def answered_by_runware() -> set[str]:
    read = set(_KEY_READ.findall(inspect.getsource(runware_status)))
    told = inspect.getsource(runware_results.Results.item)
    return read | set(_KEY_WRITTEN.findall(told))


def sent_to_wavespeed() -> set[str]:
    return leaves(WaveSpeed(WAVESPEED).build_submit(REQUEST).json)


def answered_by_wavespeed() -> set[str]:
    read = inspect.getsource(wavespeed.WaveSpeed.read_status)
    told = inspect.getsource(sandbox_wavespeed.WaveSpeedApi._prediction)
    return {f"data.{key}" for key in {*_KEY_READ.findall(read), *_KEY_WRITTEN.findall(told)}}


# On the pages, and in no place of the code from which it could be read off.
UNREAD = {
    "wavespeed": {
        *("code", "message", "data", "data.urls.get", "data.timings.inference", "id"),
        *("enable_sync_mode", "enable_base64_output"),
    },
    "runware": {"safety.checkContent", "safety.mode", "videoUUID", "videoURL", "cost"},
}
FIELDS = {
    "wavespeed": sent_to_wavespeed() | answered_by_wavespeed() | UNREAD["wavespeed"],
    "runware": sent_to_runware()
    | taken_by_the_sandboxs_runware()
    | answered_by_runware()
    | (set(SECTION_KEYS) - {"safety"})
    | UNREAD["runware"],
}


@pytest.mark.parametrize("provider", SECTIONS)
def test_every_field_has_a_row(provider: str) -> None:
    named = {name for row in rows_of(provider) for name in re.findall(r"`([^`]+)`", row[0])}
    assert FIELDS[provider] - named == set()


def test_fields_are_found_in_the_code() -> None:
    """Or the test above would be content with an empty table."""
    assert {"inputs.frameImages[].frame", "safety.mode", "ttl"} <= sent_to_runware()
    assert "inputs.referenceVideos" in taken_by_the_sandboxs_runware()
    assert {"videoURL", "NSFWContent", "seed", "status", "cost"} <= answered_by_runware()
    assert sent_to_wavespeed() == {"images", "prompt", "duration", "resolution"}
    assert {"data.timings", "data.executionTime", "data.outputs"} <= answered_by_wavespeed()


@pytest.mark.parametrize(
    "row", [row for _, row in ROWS], ids=[f"{name} {row[0]}" for name, row in ROWS]
)
def test_every_row_is_whole_and_its_test_exists(row: list[str]) -> None:
    assert len(row) == 4
    assert all(row)
    named = re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", row[3])
    assert named
    for file, name in named:
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"def {name}\(", source), f"{file}::{name}"
