"""A clip that changes on disk after its check never gets into a film; it is fetched again, free."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import World, clip_of, then
from support import make_shot, make_storyboard

from pipeline.errors import ClipRejected, ExitCode, Unavailable
from pipeline.filming import make_film
from pipeline.ledger import AttemptState, fold
from pipeline.planning import film_cut

IMAGES = ["https://images.example/bottle.png"]
BOARD = make_storyboard(make_shot("opening", images=IMAGES))
LONGER = make_storyboard(
    make_shot("opening", images=IMAGES), make_shot("closing", images=IMAGES, prompt="@image1 ends")
)
CLIP = clip_of("https://cdn.example/task-1.mp4")
FLIPPED = CLIP[:-1] + bytes([CLIP[-1] ^ 1])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """Where ``BOARD`` is finished, and a bit of its clip has flipped since."""
    world = World(tmp_path)
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    world.clip(BOARD, "opening_tk01.mp4").write_bytes(FLIPPED)
    return world


@pytest.mark.anyio
async def test_a_flipped_clip_is_fetched_again_before_it_gets_into_a_film(world: World) -> None:
    (outcome,) = await world.run(LONGER)

    assert outcome.exit_code is ExitCode.DONE
    film = (world.folder / LONGER.name / "film.mp4").read_bytes()
    assert CLIP in film
    assert FLIPPED not in film
    assert world.clip(BOARD, "opening_tk01.mp4").read_bytes() == CLIP
    assert [request.prompt for request in world.provider.submitted] == [
        "@image1 turns slowly",
        "@image1 ends",
    ]


@pytest.mark.anyio
async def test_what_was_found_in_its_place_is_kept_and_said(world: World) -> None:
    await world.run(LONGER)

    assert world.clip(BOARD, "opening_tk01.mp4.bad").read_bytes() == FLIPPED
    (note,) = (note for note in world.reporter.notes if "not the clip that was checked" in note)
    assert "opening_tk01.mp4.bad" in note
    assert "not bought again" in note


@pytest.mark.anyio
async def test_a_clip_that_goes_while_the_run_is_at_work_is_fetched_again(world: World) -> None:
    clip = world.clip(BOARD, "opening_tk01.mp4")
    world.downloader.script = [then(clip.unlink, clip_of("https://cdn.example/task-2.mp4"))]
    (outcome,) = await world.run(LONGER)

    assert outcome.exit_code is ExitCode.DONE
    assert clip.read_bytes() == CLIP
    assert len(world.provider.submitted) == 2


@pytest.mark.anyio
async def test_without_the_provider_there_is_no_film_of_it_and_a_later_run_mends_it(
    world: World,
) -> None:
    world.downloader.script = [
        clip_of("https://cdn.example/task-2.mp4"),
        *[Unavailable("the download broke off")] * 5,
    ]
    (outcome,) = await world.run(LONGER)

    assert outcome.exit_code is ExitCode.UNAVAILABLE
    assert outcome.film is None
    assert world.attempts(BOARD)[0].state is AttemptState.VERIFIED

    (outcome,) = await world.run(LONGER)
    assert outcome.exit_code is ExitCode.DONE
    assert CLIP in (world.folder / LONGER.name / "film.mp4").read_bytes()
    assert len(world.provider.submitted) == 2


@pytest.mark.anyio
async def test_a_join_without_a_provider_refuses_the_clip_and_says_the_cure(world: World) -> None:
    with pytest.raises(ClipRejected, match="not the clip that was checked") as caught:
        await join(world)

    assert "storyboard run" in caught.value.hint
    world.clip(BOARD, "opening_tk01.mp4").unlink()
    with pytest.raises(ClipRejected):
        await join(world)


async def join(world: World) -> None:
    """What ``storyboard conform`` does."""
    ledger = fold(world.events(BOARD))
    cut = film_cut(world.plan(BOARD, ledger), ledger)
    assert cut is not None
    await make_film(
        BOARD,
        cut,
        world.folder / BOARD.name,
        recorded=None,
        studio=world.studio,
        on_progress=lambda _: None,
    )


@pytest.mark.anyio
async def test_a_finished_film_asks_for_nothing_though_a_clip_has_changed(world: World) -> None:
    looks = len(world.provider.looks)
    (outcome,) = await world.run(BOARD)

    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.looks) == looks
