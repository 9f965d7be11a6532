"""How many files may be open is found out, and raised where that is allowed."""

from __future__ import annotations

import resource
from fractions import Fraction
from pathlib import Path

import anyio
import pytest

from pipeline.model import Expected
from pipeline.openfiles import open_file_limit
from pipeline.session import a_few_at_a_time

_NO_LIMIT = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "found", "set_to"),
    [
        (64, 64, 64, None),
        (64, 1024, 1024, 1024),
        (1024, 1_048_576, 4096, 4096),
        (256, _NO_LIMIT, 4096, 4096),
        (8192, 8192, 8192, None),
        (_NO_LIMIT, _NO_LIMIT, 4096, None),
    ],
)
def test_the_limit_is_raised_as_far_as_a_run_may_need(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, found: int, set_to: int | None
) -> None:
    changed: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: changed.append(limits))

    assert open_file_limit() == found
    assert changed == ([] if set_to is None else [(set_to, hard)])


def test_a_limit_that_may_not_be_raised_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 1024))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    assert open_file_limit() == 64


@pytest.mark.anyio
async def test_clips_that_arrive_together_are_not_decoded_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    at_work: list[Path] = []
    most = 0

    async def verify(path: Path, _: Expected) -> object:
        nonlocal most
        at_work.append(path)
        most = max(most, len(at_work))
        await anyio.lowlevel.checkpoint()
        at_work.remove(path)
        return path

    checked = a_few_at_a_time(verify)  # type: ignore[arg-type]

    async def check(number: int) -> None:
        await checked(Path(str(number)), Expected(duration_s=Fraction(6), short_side_px=480))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(check, number)
    assert most == 2


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
