"""What the real program is given in a simulation: its storyboards, and edges that act only.

The journal and the account file are the program's own, on a real disk; here they learn to die
with their process. Checking and joining clips is played: neither decides about money.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import trio
from simulation.lives import Killed, Life
from simulation.scenario import PlannedShot, Scenario
from simulation.world import START, read_clip

from pipeline.account import AccountStore
from pipeline.errors import ClipRejected
from pipeline.journal import Journal
from pipeline.ledger import Event, EventKind
from pipeline.media.conform import CutClip, Film
from pipeline.model import (
    ClipFacts,
    Expected,
    FileReference,
    Output,
    Position,
    Reference,
    Resolution,
    Shot,
    Size,
    Storyboard,
    UrlReference,
)
from pipeline.pricing import RATE_CARDS, price_shot
from pipeline.settings import Settings, read_settings
from pipeline.uptime import Uptime

PROVIDER = "wavespeed"
_SIZES = {
    "480p": Size(width_px=848, height_px=480),
    "720p": Size(width_px=1280, height_px=720),
}


class MortalJournal(Journal):
    """The real journal, whose process may die before and after each event is on the disk."""

    def __init__(self, folder: Path, life: Life, now: Callable[[], datetime]) -> None:
        super().__init__(folder, now=now)
        self._life = life

    def append(self, attempt_id: str, kind: EventKind, data: Mapping[str, Any]) -> Event:
        self._life.tick(f"journal {kind} {attempt_id[-32:]}")
        event = super().append(attempt_id, kind, data)
        self._life.tick(f"journal {kind} done")
        return event

    def append_all(self, rows: Sequence[tuple[str, EventKind, Mapping[str, Any]]]) -> list[Event]:
        attempt_id, kind, _ = rows[0]
        self._life.tick(f"journal {kind} {attempt_id[-32:]}")
        events = super().append_all(rows)
        self._life.tick(f"journal {kind} done")
        return events


class MortalAccount(AccountStore):
    """The real account file, whose process may die before and after each change."""

    def __init__(self, path: Path, life: Life, now: Callable[[], float]) -> None:
        super().__init__(path, now=now, uptime=Uptime(boot="one", elapsed=trio.current_time))
        self._life = life

    def try_start(self, *args: Any) -> float:
        wait_s = super().try_start(*args)
        if wait_s <= 0:
            self._life.tick("account try_start")
        return wait_s

    def answered(self, *args: Any) -> None:
        self._life.tick("account answered")
        super().answered(*args)

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        if self._life.dead:
            raise Killed
        with super()._transaction(begin):
            yield


class Silent:
    """A reporter that nobody reads."""

    def take(self, storyboard: str, slate: str, phase: str, detail: str = "") -> None: ...
    def film(self, storyboard: str, fraction: float) -> None: ...
    def note(self, storyboard: str, text: str) -> None: ...


def utc_now() -> datetime:
    """The wall clock of the simulation."""
    return START + timedelta(seconds=trio.current_time())


def settings_of(scenario: Scenario) -> Settings:
    """The scenario's figures as a user would set them."""
    return read_settings(
        {
            "STORYBOARD_SUBMITS_PER_MINUTE": str(scenario.starts),
            "STORYBOARD_MAX_TASKS": str(scenario.max_tasks),
            "STORYBOARD_RATE_WINDOW_S": str(scenario.window_s),
            "STORYBOARD_POLL_INTERVAL_S": str(scenario.poll_interval_s),
            "STORYBOARD_SUBMIT_TIMEOUT_S": str(scenario.submit_timeout_s),
            "STORYBOARD_SETTLE_S": str(scenario.settle_s),
            "STORYBOARD_TASK_LIMIT_S": str(scenario.task_limit_s),
        }
    )


def make_storyboards(scenario: Scenario, folder: Path) -> list[Storyboard]:
    """The scenario's storyboards as values; the image files too where it uploads."""
    images = folder / "images"
    if scenario.uploads:
        images.mkdir()
    made = []
    for index, board in enumerate(scenario.boards):
        shots = tuple(
            _shot(planned, images if scenario.uploads else None, scenario.provider)
            for planned in board
        )
        card = RATE_CARDS[scenario.provider]
        cost_usd = sum((price_shot(card, shot) for shot in shots), Decimal(0))
        if scenario.edits is not None:
            # Its first content may be paid, and what comes in its place.
            cost_usd += price_shot(card, shots[0])
        made.append(
            Storyboard(
                name=f"board{index}",
                title=f"Board {index}",
                path=folder / f"board{index}.yaml",
                shots=shots,
                budget_usd=cost_usd - Decimal("0.01") if scenario.short_budget else cost_usd,
            )
        )
    return made


def edit_first(storyboard: Storyboard, board: Sequence[PlannedShot]) -> Storyboard:
    """The storyboard with the words that its first shot has now."""
    first, *rest = storyboard.shots
    changed = replace(first, prompt=prompt_of(board[0].key))
    return replace(storyboard, shots=(changed, *rest))


def _shot(planned: PlannedShot, images: Path | None, provider: str) -> Shot:
    source = f"image{planned.key % 5}"
    reference: Reference = UrlReference(source=source, url=f"https://refs.test/{source}.png")
    if images is not None:
        content = f"picture {source}".encode()
        path = images / f"{source}.png"
        path.write_bytes(content)
        reference = FileReference(
            source=source,
            path=path,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            media_type="image/png",
            width_px=640,
            height_px=360,
        )
    return Shot(
        id=planned.shot_id,
        images=(reference,),
        prompt=prompt_of(planned.key),
        duration_s=planned.duration_s,
        resolution=Resolution(planned.resolution),
        position=Position(line=1, column=1),
        takes=planned.takes,
        size=_SIZES[planned.resolution] if provider == "runware" else None,
        output=Output(results=planned.results),
    )


def prompt_of(key: int) -> str:
    """The words that mark a content on its way through the world."""
    return f"@image1 turns, content {key}"


async def verify(path: Path, expected: Expected) -> ClipFacts:
    """A clip is good when its seal holds and it is what was ordered."""
    content = path.read_bytes()
    found = read_clip(content)
    if found is None:
        raise ClipRejected(f"{path.name} is damaged")
    if found[1:] != (expected.duration_s, f"{expected.short_side_px}p"):
        raise ClipRejected(f"{path.name} is not what was asked for")
    return ClipFacts(
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        width_px=1280,
        height_px=expected.short_side_px or 0,
        frames=round(24 * expected.duration_s),
        frame_rate=Fraction(24),
        video_codec="h264",
        has_audio=True,
    )


async def never_delivered(*_: object, **__: object) -> Any:
    """These storyboards have no section on the film."""
    raise AssertionError("a plain film is joined")


async def conform(
    life: Life,
    clips: Sequence[CutClip],
    destination: Path,
    *,
    cache_dir: Path,
    title: str,
    comment: str,
    mark: Callable[[Path], None],
    on_progress: Callable[[float], None],
) -> Film:
    """Lay the clips end to end."""
    life.tick("film begun")
    content = b"".join(clip.path.read_bytes() for clip in clips)
    part = destination.with_suffix(".part")
    part.write_bytes(content)
    life.tick("film written")
    part.replace(destination)
    life.tick("film named")
    return Film(
        path=destination,
        sha256=hashlib.sha256(content).hexdigest(),
        frames=24 * len(clips),
        frame_rate=Fraction(24),
        width_px=1280,
        height_px=720,
        copied=True,
        spans=tuple((clip.slate, 24 * n, 24) for n, clip in enumerate(clips)),
    )
