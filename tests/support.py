"""Small builders of the program's values, with defaults that make sense together."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.capabilities import WAVESPEED
from pipeline.fingerprint import fingerprint
from pipeline.ledger import Attempt, AttemptState, Event, EventKind, fold, slate
from pipeline.media.ffmpeg import PATH_VARIABLE, find_ffmpeg
from pipeline.model import (
    FileReference,
    Position,
    Reference,
    Resolution,
    Shot,
    Storyboard,
    UrlReference,
)

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
MODEL = WAVESPEED.model
_KINDS = EventKind
# The shortest way of an attempt to each state.
WAY_TO: dict[AttemptState, tuple[EventKind, ...]] = {
    AttemptState.INTENT: (),
    AttemptState.SUBMITTED: (_KINDS.ACCEPTED,),
    AttemptState.REFUSED: (_KINDS.REFUSED,),
    AttemptState.IN_DOUBT: (_KINDS.DOUBT,),
    AttemptState.ABSENT: (_KINDS.DOUBT, _KINDS.ABSENT),
    AttemptState.ABANDONED: (_KINDS.DOUBT, _KINDS.ABANDONED),
    AttemptState.COMPLETED: (_KINDS.ACCEPTED, _KINDS.COMPLETED),
    AttemptState.FAILED: (_KINDS.ACCEPTED, _KINDS.FAILED),
    AttemptState.LOST: (_KINDS.ACCEPTED, _KINDS.COMPLETED, _KINDS.LOST),
    AttemptState.DOWNLOADED: (_KINDS.ACCEPTED, _KINDS.COMPLETED, _KINDS.DOWNLOADED),
    AttemptState.DAMAGED: (_KINDS.ACCEPTED, _KINDS.COMPLETED, _KINDS.DAMAGED),
    AttemptState.VERIFIED: (
        _KINDS.ACCEPTED,
        _KINDS.COMPLETED,
        _KINDS.DOWNLOADED,
        _KINDS.VERIFIED,
    ),
}


def make_reference(name: str = "bottle") -> FileReference:
    """A picture whose content is known by its name."""
    return FileReference(
        source=f"refs/{name}.png",
        path=Path(f"/project/refs/{name}.png"),
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        size_bytes=1234,
        media_type="image/png",
        width_px=1280,
        height_px=720,
    )


def make_shot(
    shot_id: str = "opening",
    *,
    images: Iterable[str | Reference] = ("bottle",),
    prompt: str = "@image1 turns slowly",
    duration_s: int = 6,
    resolution: Resolution = Resolution.P720,
    cut_s: Fraction | None = None,
    takes: int = 1,
    select: int | None = None,
) -> Shot:
    """A valid shot; images by name, an ``https`` text for one that the provider fetches."""
    references = []
    for image in images:
        if not isinstance(image, str):
            references.append(image)
        elif image.startswith("https:"):
            references.append(UrlReference(source=image, url=image))
        else:
            references.append(make_reference(image))
    return Shot(
        id=shot_id,
        images=tuple(references),
        prompt=prompt,
        duration_s=duration_s,
        resolution=resolution,
        position=Position(line=4, column=5),
        cut_s=cut_s,
        takes=takes,
        select=select,
    )


def make_storyboard(
    *shots: Shot,
    name: str = "aurora",
    title: str = "Aurora",
    provider: str | None = None,
    budget_usd: Decimal | None = None,
) -> Storyboard:
    """A storyboard of these shots; of one by default."""
    return Storyboard(
        name=name,
        title=title,
        path=Path(f"/project/{name}.yaml"),
        shots=shots or (make_shot(),),
        provider=provider,
        budget_usd=budget_usd,
    )


def event(kind: EventKind, attempt_id: str = "a1", *, seq: int = 1, **data: Any) -> Event:
    """One event with everything that its kind needs; ``data`` replaces what is named."""
    usual: dict[str, Any] = {}
    match kind:
        case EventKind.INTENT:
            usual = {
                "shot": "opening",
                "take": 1,
                "fingerprint": fingerprint(make_shot(), MODEL),
                "provider": "wavespeed",
                "model": MODEL,
                "price_usd": "0.30",
                "duration_s": 6,
                "resolution": "720p",
                "request": {"prompt": "@image1 turns slowly"},
            }
        case EventKind.ACCEPTED:
            usual = {"task_id": f"task-{attempt_id}"}
        case EventKind.DOWNLOADED:
            usual = {"clip": "opening_tk01.mp4", "bytes": 1000, "sha256": "c" * 64}
        case EventKind.ADOPTED:
            usual = {"shot": "closing", "take": 1, "clip": "closing_tk01.mp4"}
        case EventKind.COMPLETED | EventKind.VERIFIED:
            pass
        case _:
            usual = {"reason": f"{kind} for a reason", "usd": "0.30"}
    return Event(seq=seq, at=NOON, attempt_id=attempt_id, kind=kind, data=usual | data)


def events_to(state: AttemptState, attempt_id: str = "a1", **intent: Any) -> list[Event]:
    """The events of one attempt on its way to ``state``; ``intent`` changes what it asks for."""
    begin = event(EventKind.INTENT, attempt_id, seq=1, **intent)
    clip = f"{slate(begin.data['shot'], begin.data['take'])}.mp4"
    sha256 = hashlib.sha256(attempt_id.encode()).hexdigest()
    events = [begin]
    for seq, kind in enumerate(WAY_TO[state], start=2):
        about = {"clip": clip, "sha256": sha256} if kind is EventKind.DOWNLOADED else {}
        events.append(event(kind, attempt_id, seq=seq, **about))
    return events


def make_attempt(
    shot: Shot | None = None,
    *,
    state: AttemptState = AttemptState.VERIFIED,
    take: int = 1,
    attempt_id: str | None = None,
    provider: str = "wavespeed",
    price_usd: str = "0.30",
) -> Attempt:
    """An attempt to make ``shot`` as it is now, grown from its events."""
    shot = shot or make_shot()
    events = events_to(
        state,
        attempt_id or slate(shot.id, take),
        shot=shot.id,
        take=take,
        fingerprint=fingerprint(shot, MODEL),
        provider=provider,
        price_usd=price_usd,
        duration_s=shot.duration_s,
        resolution=shot.resolution.value,
    )
    return fold(events).attempts[0]


@functools.cache
def quick_ffmpeg() -> Path:
    """The ffmpeg that starts quickest, for tests in which it does not matter which one it is.

    A program that carries its libraries starts in a quarter of the time of one that does not, and
    a run of 20 shots starts it 25 times.
    """
    if PATH_VARIABLE not in os.environ and find_spec("imageio_ffmpeg") is not None:
        import imageio_ffmpeg  # noqa: PLC0415 - an optional package

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    return find_ffmpeg(os.environ)
