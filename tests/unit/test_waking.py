"""A notice ends the wait of those who wait for its task, and nothing else."""

from __future__ import annotations

import anyio
import pytest

from pipeline.waking import Bell


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def never(_seconds: float) -> None:
    await anyio.sleep_forever()


@pytest.mark.anyio
async def test_a_notice_wakes_everybody_who_waits_for_its_task() -> None:
    bell, awake = Bell(), []

    async def wait(name: str, task_id: str) -> None:
        with bell.heard_in(never, task_id) as nap:
            await nap(600)
            awake.append(name)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for name, task_id in (("first", "a"), ("second", "a"), ("other", "b")):
                group.start_soon(wait, name, task_id)
            await anyio.wait_all_tasks_blocked()
            assert bell.ring("a")
            await anyio.wait_all_tasks_blocked()
            assert sorted(awake) == ["first", "second"]
            assert bell.ring("b")


@pytest.mark.anyio
async def test_without_a_notice_the_whole_time_passes() -> None:
    bell, slept = Bell(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with bell.heard_in(sleep, "a") as nap:
        bell.ring("b")
        await nap(7)
    assert slept == [7]


@pytest.mark.anyio
async def test_a_notice_between_two_waits_ends_the_next_one_only() -> None:
    bell, slept = Bell(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with bell.heard_in(sleep, "a") as nap:
        bell.ring("a")
        bell.ring("a")
        await nap(1)
        await nap(2)
    assert slept == [2]


@pytest.mark.anyio
async def test_a_notice_that_comes_before_the_tasks_id_is_kept() -> None:
    bell = Bell()
    assert not bell.ring("a")
    with bell.heard_in(never, "a") as nap, anyio.fail_after(5):
        await nap(600)


@pytest.mark.anyio
async def test_only_the_latest_of_many_unknown_tasks_are_kept() -> None:
    bell, slept = Bell(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    for number in range(1000):
        bell.ring(f"task-{number}")
    assert len(bell._early) == 256
    for task_id in ("task-0", "task-999"):
        with bell.heard_in(sleep, task_id) as nap:
            await nap(1)
    assert slept == [1]
    assert bell._waiting == {}
