"""From a task that exists to a checked clip: politely, patiently, and never by paying again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fakes import World, completed, failed, fake_verify, processing, then
from support import MODEL, event, events_to, make_shot, make_storyboard

from pipeline.errors import (
    ClipRejected,
    ExitCode,
    KeyRefused,
    MediaError,
    RateLimited,
    StorageError,
    Unavailable,
    UnknownTask,
    UrlExpired,
    UrlRefused,
)
from pipeline.fingerprint import fingerprint
from pipeline.ledger import AttemptState, EventKind
from pipeline.model import ClipFacts, Expected
from pipeline.providers.base import TakeRequest
from pipeline.summary import Outcome
from pipeline.waking import Bell

SHOT = make_shot("opening", images=["https://images.example/bottle.png"])
BOARD = make_storyboard(SHOT)
URL = "https://cdn.example/task-a1.mp4"
CLIP = f"clip of {URL}".encode()
# Sums of seconds are not exact.
EPSILON = 1e-6
LEAST_S = 5 - EPSILON
UNKNOWN = UnknownTask("the provider does not know it (any more)")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.provider.statuses["task-a1"] = [completed(URL)]
    return world


def left_behind(world: World, state: AttemptState, **clip: Any) -> None:
    """The journal of an earlier run that came this far with the shot as it is now."""
    about = {
        "clip": "opening_tk01.mp4",
        "bytes": len(CLIP),
        "sha256": hashlib.sha256(CLIP).hexdigest(),
    }
    events = events_to(state, "a1", fingerprint=fingerprint(SHOT, MODEL))
    world.write_journal(
        BOARD,
        [
            event(one.kind, "a1", **about | clip) if one.kind is EventKind.DOWNLOADED else one
            for one in events
        ],
    )


async def follow(
    world: World, *steps: Any, state: AttemptState = AttemptState.SUBMITTED
) -> Outcome:
    """Take up task ``a1``, whose next looks find ``steps``."""
    if steps:
        world.provider.statuses["task-a1"] = list(steps)
    left_behind(world, state)
    (outcome,) = await world.run(BOARD)
    assert world.provider.submitted == []
    return outcome


def looks(world: World) -> list[float]:
    return [at_s for _, at_s in world.provider.looks]


def state_of(world: World) -> AttemptState:
    (attempt,) = world.attempts(BOARD)
    return attempt.state


# ---------------------------------------------------------------- looking


@pytest.mark.anyio
async def test_looks_are_never_closer_than_the_interval_and_grow_apart(world: World) -> None:
    world.provider.statuses["task-1"] = [*[processing()] * 60, completed(URL)]
    await world.run(BOARD)
    times = looks(world)
    gaps = [after - before for before, after in pairwise(times)]
    assert 5 <= times[0] <= 7.5
    assert min(gaps) >= LEAST_S
    assert max(gaps) <= 15 * 1.2
    assert sum(gaps[-10:]) > 1.5 * sum(gaps[:10])


@pytest.mark.anyio
async def test_the_interval_is_a_setting(world: World) -> None:
    world.env = {"STORYBOARD_POLL_INTERVAL_S": "20"}
    world.provider.statuses["task-1"] = [*[processing()] * 9, completed(URL)]
    await world.run(BOARD)
    times = looks(world)
    assert times[0] >= 20
    assert all(after - before >= 20 - EPSILON for before, after in pairwise(times))


@pytest.mark.anyio
async def test_a_question_that_takes_long_does_not_bring_the_next_one_nearer(
    world: World,
) -> None:
    async def slow() -> Any:
        await world.clock.sleep(30)
        return processing()

    world.provider.statuses["task-1"] = [slow, slow, completed(URL)]
    await world.run(BOARD)
    first, second, third = looks(world)
    assert second - first >= 35 - EPSILON
    assert third - second >= 35 - EPSILON


@pytest.mark.anyio
async def test_a_task_of_an_earlier_run_is_looked_at_at_once(world: World) -> None:
    left_behind(world, AttemptState.SUBMITTED)
    world.clock.now_s = 600
    await world.run(BOARD)
    assert looks(world) == [600]


@pytest.mark.anyio
async def test_a_notice_brings_the_next_look_as_near_as_the_interval_allows(world: World) -> None:
    bell = world.bell = Bell()
    notice = then(lambda: bell.ring("task-a1"), processing())
    strange = then(lambda: bell.ring("task-a2"), processing())
    left_behind(world, AttemptState.SUBMITTED)
    world.clock.now_s = 600
    world.provider.statuses["task-a1"] = [notice, notice, strange, completed(URL)]
    await world.run(BOARD)
    first, second, third, fourth = looks(world)
    assert second - first == third - second == pytest.approx(5)
    # Of a task of this age, that is how long the wait is otherwise.
    assert fourth - third >= 15
    assert state_of(world) is AttemptState.VERIFIED


@pytest.mark.anyio
async def test_a_notice_that_comes_first_makes_the_first_look_an_early_one(world: World) -> None:
    bell = world.bell = Bell()
    world.provider.submits = [
        lambda request: [bell.ring("task-1"), world.provider.make_task(request)][1]
    ]
    await world.run(BOARD)
    assert looks(world) == [0]


@pytest.mark.anyio
async def test_a_notice_alone_ends_no_task(world: World) -> None:
    bell = world.bell = Bell()
    world.env = {"STORYBOARD_TASK_LIMIT_S": "100"}
    outcome = await follow(world, then(lambda: bell.ring("task-a1"), processing()))
    assert outcome.exit_code is ExitCode.TRY_LATER
    assert state_of(world) is AttemptState.SUBMITTED
    assert all(b - a >= LEAST_S for a, b in pairwise(looks(world)))


@pytest.mark.anyio
async def test_what_such_tasks_usually_take_is_waited_out_before_the_first_look(
    world: World,
) -> None:
    for number in range(6):
        world.provider.statuses[f"task-{number + 1}"] = [*[processing()] * 12, completed(URL)]
        shot = make_shot(f"shot{number}", images=["https://images.example/bottle.png"])
        before_s = world.clock.now_s
        await world.run(make_storyboard(shot, name=f"board{number}"))
    first_look_s = next(at for task, at in world.provider.looks if task == "task-6")
    assert first_look_s - before_s > 40


@pytest.mark.anyio
@pytest.mark.parametrize("word", ["queued", "canceled", "created", "starting up \x1b"])
async def test_an_unknown_word_means_keep_looking(world: World, word: str) -> None:
    outcome = await follow(world, *[processing(word)] * 3, completed(URL))
    assert outcome.exit_code is ExitCode.DONE
    assert len(looks(world)) == 4


@pytest.mark.anyio
@pytest.mark.parametrize(
    "trouble",
    [Unavailable("503"), RateLimited("429"), RateLimited("429", retry_after_s=1e9)],
)
async def test_questions_that_fail_in_passing_are_asked_again(
    world: World, trouble: Exception
) -> None:
    outcome = await follow(world, processing(), *[trouble] * 20, completed(URL))
    assert outcome.exit_code is ExitCode.DONE
    assert all(b - a >= LEAST_S for a, b in pairwise(looks(world)))


@pytest.mark.anyio
async def test_retry_after_of_a_look_is_kept_up_to_a_minute(world: World) -> None:
    await follow(
        world,
        RateLimited("429", retry_after_s=40),
        RateLimited("429", retry_after_s=1e9),
        completed(URL),
    )
    first, second, third = looks(world)
    assert second - first >= 40
    assert 60 <= third - second <= 90


@pytest.mark.anyio
async def test_a_task_beyond_the_limit_is_left_for_a_later_run_on_the_second(
    world: World,
) -> None:
    world.env = {"STORYBOARD_TASK_LIMIT_S": "100"}
    outcome = await follow(world, processing())
    assert outcome.exit_code is ExitCode.TRY_LATER
    assert state_of(world) is AttemptState.SUBMITTED
    assert 100 <= world.clock.now_s <= 105
    world.provider.statuses["task-a1"] = [completed(URL)]
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_a_provider_that_never_answers_leaves_the_task_as_it_is(world: World) -> None:
    world.env = {"STORYBOARD_TASK_LIMIT_S": "60"}
    outcome = await follow(world, Unavailable("503"))
    assert outcome.exit_code is ExitCode.TRY_LATER
    assert state_of(world) is AttemptState.SUBMITTED


@pytest.mark.anyio
async def test_a_key_refused_at_a_look_stops_submissions_and_loses_nothing(world: World) -> None:
    outcome = await follow(world, KeyRefused("401: no such key", code="401"))
    assert outcome.exit_code is ExitCode.KEY_REFUSED
    assert world.halt is not None
    assert world.halt.is_set
    assert state_of(world) is AttemptState.SUBMITTED


# ---------------------------------------------------------------- "no such task"


@pytest.mark.anyio
async def test_no_such_task_is_not_believed_for_a_minute(world: World) -> None:
    outcome = await follow(world, *[UNKNOWN] * 8, completed(URL))
    assert world.clock.now_s < 60
    assert outcome.exit_code is ExitCode.DONE


@pytest.mark.anyio
async def test_no_such_task_for_a_minute_is_a_loss_that_is_not_bought_again(world: World) -> None:
    outcome = await follow(world, UNKNOWN)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert 60 <= world.clock.now_s <= 80
    assert state_of(world) is AttemptState.LOST
    assert "--retake opening" in outcome.takes[0].message
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_a_loss_is_looked_at_again_and_fetched_where_the_task_is_there_after_all(
    world: World,
) -> None:
    await follow(world, UNKNOWN)
    world.provider.statuses["task-a1"] = [completed(URL)]
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert state_of(world) is AttemptState.VERIFIED
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_a_loss_is_looked_at_once_a_run_and_for_a_week(world: World) -> None:
    await follow(world, UNKNOWN)
    lost_at_s, before = world.clock.now_s, len(world.provider.looks)
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert len(world.provider.looks) == before + 1
    world.clock.now_s = lost_at_s + timedelta(days=7, minutes=1).total_seconds()
    world.provider.statuses["task-a1"] = [completed(URL)]
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert len(world.provider.looks) == before + 1


@pytest.mark.anyio
async def test_a_lost_clip_that_is_back_in_its_folder_is_taken_up_without_asking(
    world: World,
) -> None:
    """As of a disk that was not mounted while the provider still had the clip."""
    await follow(world, completed(URL))
    clip = world.clip(BOARD, "opening_tk01.mp4")
    away = clip.rename(clip.with_name("away"))
    world.downloader.script = [UrlExpired("404")] * 9
    world.provider.statuses["task-a1"] = [UNKNOWN]
    await world.run(BOARD)
    assert state_of(world) is AttemptState.LOST
    away.rename(clip)
    before = len(world.provider.looks)
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert state_of(world) is AttemptState.VERIFIED
    assert len(world.provider.looks) == before


@pytest.mark.anyio
async def test_a_loss_that_cannot_be_asked_for_stays_as_it_is(world: World) -> None:
    await follow(world, UNKNOWN)
    world.provider.statuses["task-a1"] = [Unavailable("503")]
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.UNAVAILABLE
    assert state_of(world) is AttemptState.LOST


@pytest.mark.anyio
async def test_an_answer_in_between_starts_the_minute_anew(world: World) -> None:
    outcome = await follow(world, *[*[UNKNOWN] * 8, processing()] * 3, completed(URL))
    assert outcome.exit_code is ExitCode.DONE


@pytest.mark.anyio
async def test_no_such_task_is_doubted_for_several_looks_however_short_the_settings(
    world: World,
) -> None:
    world.env = {"STORYBOARD_SETTLE_S": "0"}
    outcome = await follow(world, UNKNOWN, UNKNOWN, completed(URL))
    assert outcome.exit_code is ExitCode.DONE


# ---------------------------------------------------------------- how a task ends


@pytest.mark.anyio
@pytest.mark.parametrize("word", ["failed", "cancelled", "timeout", "deleted"])
async def test_a_failed_task_is_written_down_and_not_run_again(world: World, word: str) -> None:
    outcome = await follow(world, processing(), failed(word, "1403", "the renderer gave up"))
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    message = outcome.takes[0].message
    for part in ("task-a1", word, "1403", "the renderer gave up", "--retake opening"):
        assert part in message
    assert state_of(world) is AttemptState.FAILED
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_a_flagged_clip_is_kept_and_told(world: World) -> None:
    outcome = await follow(world, completed(URL, flagged=True))
    assert outcome.exit_code is ExitCode.DONE
    assert any("unsafe" in note for note in world.reporter.notes)
    reasons = [one.data.get("reason") for one in world.events(BOARD)]
    assert any(reason and "flagged" in reason for reason in reasons)


@pytest.mark.anyio
async def test_done_without_a_clip_is_asked_five_times_more(world: World) -> None:
    outcome = await follow(world, *[completed()] * 5, completed(URL))
    assert outcome.exit_code is ExitCode.DONE


@pytest.mark.anyio
async def test_done_without_a_clip_for_good_is_a_failure_of_the_task(world: World) -> None:
    outcome = await follow(world, completed())
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert len(looks(world)) == 6
    assert state_of(world) is AttemptState.FAILED
    assert "without a clip" in outcome.takes[0].message


@pytest.mark.anyio
async def test_of_two_clips_the_first_is_taken_and_it_is_told(world: World) -> None:
    await follow(world, completed(URL, "https://cdn.example/second.mp4"))
    assert world.downloader.urls == [URL]
    assert any("2 clips" in note for note in world.reporter.notes)


@pytest.mark.anyio
async def test_a_status_that_goes_back_changes_nothing(world: World) -> None:
    world.downloader.script = [UrlExpired("403"), CLIP]
    outcome = await follow(world, completed(URL), processing())
    assert outcome.exit_code is ExitCode.DONE
    assert world.downloader.urls == [URL, URL]


# ---------------------------------------------------------------- the download


@pytest.mark.anyio
async def test_a_clip_has_its_name_only_once_it_is_whole_checked_and_recorded(
    world: World,
) -> None:
    seen: list[tuple[str, list[str], list[str]]] = []

    def look(moment: str) -> None:
        folder = world.folder / "aurora" / "clips"
        names = sorted(path.name for path in folder.iterdir())
        seen.append((moment, names, world.kinds(BOARD)[2:]))

    async def verify(path: Path, expected: Expected) -> Any:
        look(f"checking {path.name}")
        return await fake_verify(path, expected)

    world.verify = verify
    world.downloader.script = [then(lambda: look("downloading"), CLIP)]
    outcome = await follow(world)
    look("done")
    assert outcome.exit_code is ExitCode.DONE
    assert seen == [
        ("downloading", [], ["completed"]),
        ("checking opening_tk01.mp4.part", ["opening_tk01.mp4.part"], ["completed"]),
        ("done", ["opening_tk01.mp4"], ["completed", "downloaded", "verified"]),
    ]
    (attempt,) = world.attempts(BOARD)
    assert (attempt.clip_bytes, attempt.clip_sha256) == (
        len(CLIP),
        hashlib.sha256(CLIP).hexdigest(),
    )


@pytest.mark.anyio
async def test_an_expired_url_is_replaced_by_a_fresh_one(world: World) -> None:
    fresh = "https://cdn.example/fresh.mp4"
    world.downloader.script = [UrlExpired("403"), CLIP]
    outcome = await follow(world, completed(URL), completed(fresh))
    assert outcome.exit_code is ExitCode.DONE
    assert world.downloader.urls == [URL, fresh]
    assert len(looks(world)) == 2
    # Sums of seconds are not exact.
    assert looks(world)[1] - looks(world)[0] >= LEAST_S - 1e-6


@pytest.mark.anyio
@pytest.mark.parametrize("second", [processing(), completed(), Unavailable("503")])
async def test_without_a_fresh_url_the_old_one_is_tried_again(world: World, second: object) -> None:
    world.downloader.script = [UrlExpired("404"), UrlExpired("404"), CLIP]
    outcome = await follow(world, completed(URL), second)
    assert outcome.exit_code is ExitCode.DONE
    assert world.downloader.urls == [URL] * 3


@pytest.mark.anyio
async def test_one_no_such_task_after_the_task_was_done_loses_nothing(world: World) -> None:
    world.downloader.script = [UrlExpired("404"), CLIP]
    outcome = await follow(world, completed(URL), UNKNOWN, completed(URL))
    assert outcome.exit_code is ExitCode.DONE


@pytest.mark.anyio
async def test_url_and_task_gone_for_good_is_a_loss_and_not_bought_again(world: World) -> None:
    world.downloader.script = [UrlExpired("404")] * 9
    outcome = await follow(world, completed(URL), UNKNOWN)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert state_of(world) is AttemptState.LOST


@pytest.mark.anyio
async def test_a_url_that_is_dead_for_half_a_minute_is_left_for_a_later_run(
    world: World,
) -> None:
    world.downloader.script = [UrlExpired("403")] * 5
    outcome = await follow(world)
    assert outcome.exit_code is ExitCode.UNAVAILABLE
    assert state_of(world) is AttemptState.COMPLETED
    assert len(world.downloader.urls) == 5
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_a_url_that_is_dead_after_the_providers_week_is_a_loss(world: World) -> None:
    left_behind(world, AttemptState.COMPLETED)
    world.clock.now_s = timedelta(days=7, hours=1).total_seconds()
    world.downloader.script = [UrlExpired("403")] * 5
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert state_of(world) is AttemptState.LOST


@pytest.mark.anyio
async def test_a_download_that_breaks_off_is_tried_five_times_then_left(world: World) -> None:
    world.downloader.script = [Unavailable("the download ended after 17 of 99 bytes")] * 5
    outcome = await follow(world)
    assert outcome.exit_code is ExitCode.UNAVAILABLE
    assert state_of(world) is AttemptState.COMPLETED
    assert len(world.downloader.urls) == 5
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_a_refused_address_is_not_tried_again_in_this_run(world: World) -> None:
    world.downloader.script = [UrlRefused("the clip's address is not plain https: file")] * 2
    outcome = await follow(world)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert state_of(world) is AttemptState.COMPLETED
    assert len(world.downloader.urls) == 1


@pytest.mark.anyio
async def test_a_full_disk_stops_the_run_and_keeps_the_task(world: World) -> None:
    world.downloader.script = [StorageError("cannot write x: No space left on device")]
    outcome = await follow(world)
    assert outcome.exit_code is ExitCode.IO_ERROR
    assert world.halt is not None
    assert world.halt.is_set
    assert state_of(world) is AttemptState.COMPLETED


# ---------------------------------------------------------------- the check


@pytest.mark.anyio
async def test_a_damaged_clip_is_downloaded_again(world: World) -> None:
    world.downloader.script = [b"<html>", b"", CLIP]
    outcome = await follow(world)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.downloader.urls) == 3


@pytest.mark.anyio
async def test_a_clip_damaged_three_times_is_kept_aside_and_never_bought_again(
    world: World,
) -> None:
    world.downloader.script = [b"<html>", b"<html>", b"damaged", CLIP]
    outcome = await follow(world)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert outcome.film is None
    assert state_of(world) is AttemptState.DAMAGED
    assert "opening_tk01.mp4.bad" in outcome.takes[0].message
    names = [path.name for path in (world.folder / "aurora" / "clips").iterdir()]
    assert names == ["opening_tk01.mp4.bad"]
    assert world.clip(BOARD, names[0]).read_bytes() == b"damaged"
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.SHOT_FAILED
    assert world.provider.submitted == []


@pytest.mark.anyio
async def test_a_check_that_cannot_be_made_says_nothing_about_the_clip(world: World) -> None:
    async def broken(path: Path, expected: Expected) -> Any:
        raise MediaError("ffmpeg was killed")

    world.verify = broken
    outcome = await follow(world)
    assert outcome.exit_code is ExitCode.IO_ERROR
    assert state_of(world) is AttemptState.COMPLETED
    world.verify = fake_verify
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == []


# ---------------------------------------------------------------- taken up again

NAME = "opening_tk01.mp4"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("state", "files", "downloads"),
    [
        (AttemptState.SUBMITTED, {}, 1),
        (AttemptState.COMPLETED, {}, 1),
        (AttemptState.COMPLETED, {f"{NAME}.part": CLIP[:5]}, 1),
        (AttemptState.DOWNLOADED, {NAME: CLIP}, 0),
        (AttemptState.DOWNLOADED, {f"{NAME}.part": CLIP}, 0),
        (AttemptState.DOWNLOADED, {}, 1),
        (AttemptState.DOWNLOADED, {NAME: b"torn"}, 1),
        (AttemptState.DOWNLOADED, {NAME: b"clip of something else"}, 1),
        (AttemptState.DOWNLOADED, {NAME: b"torn", f"{NAME}.part": CLIP}, 0),
        (AttemptState.DOWNLOADED, {f"{NAME}.part": CLIP[:5]}, 1),
        (AttemptState.VERIFIED, {NAME: CLIP}, 0),
        (AttemptState.VERIFIED, {}, 1),
        (AttemptState.VERIFIED, {NAME: CLIP[:5]}, 1),
    ],
)
async def test_a_run_that_died_is_taken_up_where_it_was(
    world: World, state: AttemptState, files: dict[str, bytes], downloads: int
) -> None:
    left_behind(world, state)
    for name, content in files.items():
        world.clip(BOARD, name).write_bytes(content)
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert outcome.film is not None
    assert world.provider.submitted == []
    assert len(world.downloader.urls) == downloads
    assert len(world.provider.looks) == downloads
    assert world.clip(BOARD, NAME).read_bytes() == CLIP
    assert [path.name for path in world.clip(BOARD, NAME).parent.iterdir()] == [NAME]
    assert state_of(world) is AttemptState.VERIFIED


@pytest.mark.anyio
@pytest.mark.parametrize("state", [AttemptState.INTENT, AttemptState.IN_DOUBT])
async def test_a_run_that_died_before_its_answer_finds_the_task(
    world: World, state: AttemptState
) -> None:
    left_behind(world, state)
    (sent,) = world.attempts(BOARD)
    assert sent.request is not None
    world.provider.make_task(request_of(), "task-a1")
    (task,) = world.provider.tasks.values()
    world.provider.tasks["task-a1"] = replace(task, inputs=sent.request)
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert world.provider.submitted == []


@pytest.mark.anyio
@pytest.mark.parametrize("state", [AttemptState.INTENT, AttemptState.IN_DOUBT])
async def test_a_run_that_died_before_anything_was_made_buys_once(
    world: World, state: AttemptState
) -> None:
    left_behind(world, state)
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert len(world.provider.submitted) == 1
    assert len(world.provider.history_calls) == 2
    # The doubt is settled, on disk, before the new intent is written.
    assert world.kinds(BOARD)[-6:-4] == ["absent", "intent"]


@pytest.mark.anyio
async def test_a_finished_run_asks_nothing(world: World) -> None:
    await world.run(BOARD)
    before = len(world.provider.looks)
    world.downloader.urls.clear()
    (outcome,) = await world.run(BOARD)
    assert outcome.exit_code is ExitCode.DONE
    assert outcome.film is not None
    assert len(world.provider.looks) == before
    assert len(world.provider.submitted) == 1
    assert world.downloader.urls == []
    assert len(world.conform.films) == 1


@pytest.mark.anyio
async def test_a_black_clip_is_kept_and_told_with_the_cure(world: World) -> None:
    async def verify(path: Path, expected: Expected) -> ClipFacts:
        return replace(await fake_verify(path, expected), is_black=True)

    world.verify = verify
    (outcome,) = await world.run(BOARD)

    assert outcome.exit_code is ExitCode.DONE
    (note,) = world.reporter.notes
    assert "opening_tk01 is black from end to end" in note
    assert "--retake opening" in note
    assert outcome.ledger.attempts[0].reason == "black from end to end"


def request_of() -> TakeRequest:
    return TakeRequest(
        model=MODEL,
        prompt=SHOT.prompt,
        image_urls=("https://images.example/bottle.png",),
        duration_s=6,
        resolution=SHOT.resolution,
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    "make_error",
    [lambda: ClipRejected("damaged"), lambda: Unavailable("cut short")],
)
async def test_a_clip_that_was_paid_for_once_is_in_the_bill_once(
    world: World, make_error: Callable[[], Exception]
) -> None:
    world.downloader.script = [make_error()] * 5
    await world.run(BOARD)
    (attempt,) = world.attempts(BOARD)
    assert attempt.task_id == "task-1"
    assert len(world.provider.tasks) == 1
