"""A file is uploaded once for as long as the provider keeps it, and again once it is gone there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import World
from support import make_shot, make_storyboard

from pipeline.capabilities import RUNWARE, WAVESPEED
from pipeline.errors import ExitCode, KeyRefused, ReferenceRefused, Rejected
from pipeline.ledger import AttemptState
from pipeline.model import Shot
from pipeline.planning import Action
from pipeline.providers.base import TaskPhase, TaskStatus

DAY_S = 24 * 3600.0
# Under the name and at the price that the played provider has.
KEPT_BY_USE = replace(
    WAVESPEED, upload_keep_s=RUNWARE.upload_keep_s, kept_by_use=RUNWARE.kept_by_use
)
GONE = ReferenceRefused("the upload is gone", code="invalidValueUploadFailed")
LOST = TaskStatus(phase=TaskPhase.FAILED, word="error", code="1402", reference_lost=True)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def shot(name: str) -> Shot:
    return make_shot(name, images=["bottle"], prompt=f"@image1 as {name}")


async def buy(world: World, name: str) -> ExitCode:
    """A run that needs one more take of the same picture."""
    (outcome,) = await world.run(make_storyboard(shot(name), name=name))
    return outcome.exit_code


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("keeps_s", "by_use"), [(DAY_S, False), (28 * DAY_S, True)], ids=["wavespeed", "runware"]
)
async def test_upload_is_used_for_as_long_as_the_provider_keeps_it(
    world: World, keeps_s: float, by_use: bool
) -> None:
    world.provider.capabilities = KEPT_BY_USE if by_use else WAVESPEED
    await buy(world, "a")
    world.clock.now_s += keeps_s - 3600
    await buy(world, "b")
    assert len(world.provider.uploaded) == 1
    world.clock.now_s += 7200
    await buy(world, "c")
    # Where use counts, the second one renewed it.
    assert len(world.provider.uploaded) == (1 if by_use else 2)
    world.clock.now_s += keeps_s + 7200
    await buy(world, "d")
    assert len(world.provider.uploaded) == (2 if by_use else 3)


@pytest.mark.anyio
async def test_submission_that_made_no_task_is_no_use(world: World) -> None:
    world.provider.capabilities = KEPT_BY_USE
    await buy(world, "a")
    world.clock.now_s += 20 * DAY_S
    world.provider.submits = [Rejected("no")]
    await buy(world, "b")
    world.clock.now_s += 20 * DAY_S
    await buy(world, "c")
    assert len(world.provider.uploaded) == 2


@pytest.mark.anyio
async def test_upload_that_a_submission_finds_gone_is_made_again_by_the_next_run(
    world: World,
) -> None:
    world.provider.submits = [GONE]
    board = make_storyboard(shot("a"))
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    plan = world.plan(board, outcome.ledger)
    assert [take.action for take in plan.takes] == [Action.BUY]
    assert plan.spent_usd == 0
    (outcome,) = await world.run(board)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.uploaded) == 2


@pytest.mark.anyio
async def test_other_refusals_keep_the_upload(world: World) -> None:
    world.provider.submits = [Rejected("no", code="400")]
    await buy(world, "a")
    await buy(world, "b")
    assert len(world.provider.uploaded) == 1


@pytest.mark.anyio
async def test_task_that_failed_for_its_upload_counts_as_paid_and_its_retake_uploads_again(
    world: World,
) -> None:
    """What a failed task costs, only the provider can say: nothing is bought again by itself."""
    world.provider.statuses["task-1"] = [LOST]
    board = make_storyboard(shot("a"))
    (outcome,) = await world.run(board)
    assert world.states(board) == {"a_tk01": AttemptState.FAILED}
    (again,) = world.plan(board, outcome.ledger).takes
    assert (again.action, "--retake a" in again.reason) == (Action.BLOCKED, True)
    (outcome,) = await world.run(board, retake=frozenset({"a"}))
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.uploaded) == 2


@pytest.mark.anyio
async def test_one_providers_upload_is_not_named_to_another(world: World) -> None:
    """The sandbox stands in for both, with one account."""
    await buy(world, "a")
    world.provider.capabilities = replace(WAVESPEED, provider="sandbox-runware")
    await buy(world, "b")
    assert len(world.provider.uploaded) == 2


@pytest.mark.anyio
async def test_an_upload_that_is_not_made_is_not_announced(world: World) -> None:
    world.provider.uploads = [KeyRefused("401")]
    await world.run(make_storyboard(shot("a"), shot("b"), name="a"))
    said = [phase for _, _, phase, _ in world.reporter.takes]
    assert said.count("uploading") == len(world.provider.uploaded)
