"""A storyboard whose addresses are no good buys nothing and says which they are."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import World, completed
from support import MODEL, events_to, make_shot, make_storyboard

from pipeline import vetting
from pipeline.capabilities import RUNWARE
from pipeline.errors import ExitCode, FileMissing, StoryboardError, Unavailable
from pipeline.fingerprint import fingerprint
from pipeline.ledger import AttemptState
from pipeline.model import Storyboard, UrlReference, VideoReference
from pipeline.planning import make_plan
from pipeline.pricing import RATE_CARDS
from pipeline.probing import Expectation
from pipeline.production import Halt
from pipeline.runner import Runner
from pipeline.summary import Outcome
from pipeline.vetting import check_references

GOOD, GONE, OUT = (f"https://cdn.example/{name}.png" for name in ("good", "gone", "out"))


class FakeProber:
    """Knows which addresses are bad; remembers what it was asked."""

    def __init__(self) -> None:
        self.bad: dict[str, StoryboardError] = {
            GONE: FileMissing("answers 404", hint="save it"),
            OUT: Unavailable("answers 503", hint="try again later"),
        }
        self.asked: list[tuple[str, Expectation]] = []

    async def probe(self, url: str, expected: Expectation) -> None:
        self.asked.append((url, expected))
        if url in self.bad:
            raise self.bad[url]

    @property
    def urls(self) -> list[str]:
        return [url for url, _ in self.asked]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def prober() -> FakeProber:
    return FakeProber()


async def run(
    world: World, prober: Any, *storyboards: Storyboard, local: bool = False
) -> list[Outcome]:
    with ExitStack() as stack:
        services = world.open(stack)
        productions = [world.open_production(stack, each) for each in storyboards]
        halt = Halt()
        await check_references(services, productions, prober, halt, local=local)
        return await Runner(services, halt).run(productions, lambda _: None)


@pytest.mark.anyio
async def test_good_addresses_are_looked_at_once_each_and_bought_from(
    world: World, prober: FakeProber
) -> None:
    board = make_storyboard(make_shot("a", images=[GOOD]), make_shot("b", images=[GOOD, "cap"]))
    (outcome,) = await run(world, prober, board)
    assert outcome.exit_code is ExitCode.DONE
    assert prober.urls == [GOOD]


@pytest.mark.anyio
async def test_bad_address_refuses_its_storyboard_before_anything_is_uploaded(
    world: World, prober: FakeProber
) -> None:
    bad = make_storyboard(
        make_shot("a", images=["bottle"]),
        make_shot("b", images=["cap", GONE + "?signature=secret"]),
        name="bad",
    )
    prober.bad[GONE + "?signature=secret"] = prober.bad[GONE]
    outcomes = await run(world, prober, bad)
    assert outcomes[0].exit_code is ExitCode.FILE_MISSING
    assert world.provider.uploaded == world.provider.submitted == []
    assert world.events(bad) == []
    [note] = world.reporter.notes
    assert note == f"bad: shot b, image 2 ({GONE}) answers 404"
    messages = [take.message for take in outcomes[0].takes]
    assert messages == [f"shot b, image 2 ({GONE}) answers 404; nothing sent (save it)"] * 2


@pytest.mark.anyio
async def test_other_storyboards_of_the_run_are_made(world: World, prober: FakeProber) -> None:
    bad = make_storyboard(make_shot("a", images=[GONE]), name="bad")
    good = make_storyboard(make_shot("a", images=[GOOD]), name="good")
    outcomes = await run(world, prober, bad, good)
    assert [each.exit_code for each in outcomes] == [ExitCode.FILE_MISSING, ExitCode.DONE]


@pytest.mark.anyio
async def test_address_out_of_reach_has_its_own_exit_code_and_no_verdict_outweighs_it(
    world: World, prober: FakeProber
) -> None:
    late = make_storyboard(make_shot("a", images=[OUT]), name="late")
    both = make_storyboard(make_shot("a", images=[OUT, GONE]), name="both")
    outcomes = await run(world, prober, late, both)
    assert [each.exit_code for each in outcomes] == [
        ExitCode.UNAVAILABLE,
        ExitCode.FILE_MISSING,
    ]
    assert "and 1 more" in outcomes[1].takes[0].message


@pytest.mark.anyio
async def test_paid_takes_come_home_and_their_addresses_are_not_looked_at(
    world: World, prober: FakeProber
) -> None:
    done, paid = make_shot("done", images=[GONE]), make_shot("paid", images=[GONE, GOOD])
    board = make_storyboard(done, paid, make_shot("new", images=[OUT]))
    events = [
        event
        for shot, state in ((done, AttemptState.SUBMITTED), (paid, AttemptState.SUBMITTED))
        for event in events_to(state, shot.id, shot=shot.id, fingerprint=fingerprint(shot, MODEL))
    ]
    for task in ("task-done", "task-paid"):
        world.provider.statuses[task] = [completed(f"https://clips.example/{task}.mp4")]
    world.write_journal(board, [replace(e, seq=n) for n, e in enumerate(events, 1)])
    (outcome,) = await run(world, prober, board)
    assert prober.urls == [OUT]
    assert outcome.exit_code is ExitCode.UNAVAILABLE
    assert world.states(board) == {
        "done_tk01": AttemptState.VERIFIED,
        "paid_tk01": AttemptState.VERIFIED,
    }


@pytest.mark.anyio
async def test_sandbox_is_not_asked_about_addresses_elsewhere(
    world: World, prober: FakeProber
) -> None:
    board = make_storyboard(make_shot("a", images=[GONE]))
    (outcome,) = await run(world, prober, board, local=True)
    assert outcome.exit_code is ExitCode.DONE
    assert prober.asked == []


@pytest.mark.anyio
async def test_address_on_this_machine_is_looked_at_for_a_provider_on_it(
    world: World, prober: FakeProber
) -> None:
    here = UrlReference(source="here", url="http://127.0.0.1:9/a.png")
    board = make_storyboard(make_shot("a", images=[here]))
    await run(world, prober, board, local=True)
    assert prober.urls == [here.url]


@pytest.mark.anyio
async def test_frames_and_clips_are_looked_at_as_what_they_are(
    world: World, prober: FakeProber
) -> None:
    world.provider.capabilities = RUNWARE
    frame = replace(make_shot("a", images=[]), frame=UrlReference(source=OUT, url=OUT))
    clip = UrlReference(source=GONE, url=GONE)
    edit = replace(make_shot("b", images=[]), video=VideoReference(media=clip))
    card = RATE_CARDS["runware"]
    world.plan = lambda storyboard, ledger: make_plan(  # type: ignore[method-assign]
        storyboard, ledger, provider="runware", model=RUNWARE.model, card=card
    )
    await run(world, prober, make_storyboard(frame, edit))
    assert {url: expected.kinds for url, expected in prober.asked} == {
        OUT: RUNWARE.fetched_images,
        GONE: ("video",),
    }
    assert [expected.max_bytes for _, expected in prober.asked] == [8_000_000, None]
    assert [note.partition(" (")[0] for note in world.reporter.notes] == [
        "aurora: shot a, frame",
        "aurora: shot b, video",
    ]


@pytest.mark.anyio
async def test_all_looks_together_have_a_limit(
    world: World, prober: FakeProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vetting, "_TIME_LIMIT_S", 0.02)

    async def hang(url: str, expected: Expectation) -> None:
        if url == OUT:
            await anyio.sleep_forever()

    prober.probe = hang  # type: ignore[method-assign]
    board = make_storyboard(make_shot("a", images=[OUT, GOOD]))
    (outcome,) = await run(world, prober, board)
    assert outcome.exit_code is ExitCode.UNAVAILABLE
    assert "image 1" in outcome.takes[0].message
    assert len(world.reporter.notes) == 1


@pytest.mark.anyio
async def test_interrupted_run_does_not_wait_for_looks_and_blames_no_address(world: World) -> None:
    halt = Halt()

    class Hanging(FakeProber):
        async def probe(self, url: str, expected: Expectation) -> None:
            halt.set("interrupted", ExitCode.SIGINT)
            await anyio.sleep_forever()

    with ExitStack() as stack:
        services = world.open(stack)
        production = world.open_production(stack, make_storyboard(make_shot("a", images=[OUT])))
        prober: Any = Hanging()
        with anyio.fail_after(5):
            await check_references(services, [production], prober, halt, local=False)
        assert production.refusal is None
    assert world.reporter.notes == []


@pytest.mark.anyio
async def test_doubt_that_may_have_to_be_bought_again_is_looked_at_and_settled_all_the_same(
    world: World, prober: FakeProber
) -> None:
    shot = make_shot("a", images=[GONE])
    board = make_storyboard(shot)
    doubt = events_to(AttemptState.IN_DOUBT, "old", shot="a", fingerprint=fingerprint(shot, MODEL))
    world.write_journal(board, [replace(e, seq=n) for n, e in enumerate(doubt, 1)])
    (outcome,) = await run(world, prober, board)
    assert prober.urls == [GONE]
    assert outcome.exit_code is ExitCode.FILE_MISSING
    assert world.provider.submitted == []
    assert [attempt.state for attempt in world.attempts(board)] == [AttemptState.ABSENT]
