"""Before anything is spent: does each address lead to what its shot needs?

A provider that cannot fetch a reference fails the task, and some bill it all the same. So every
address that a shot to be bought names is looked at first, and a storyboard with one that is no
good submits nothing in this run; what it has paid for still comes home.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio

from pipeline.capabilities import Capabilities
from pipeline.errors import FileMissing, StoryboardError, Unavailable
from pipeline.ledger import DOUBTFUL
from pipeline.model import Reference, Shot, UrlReference
from pipeline.planning import Action, PlannedTake
from pipeline.probing import HINT_LATER, Expectation, Prober
from pipeline.production import Halt, Production, Services
from pipeline.references import is_this_machine
from pipeline.text import shown

# All looks of a run together; what has given no answer by then is out of reach.
_TIME_LIMIT_S = 60.0
_CLIPS = ("video",)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a storyboard names an address: ``shot opening, image 2``."""

    production: Production
    words: str


@dataclass(frozen=True, slots=True)
class _Look:
    """An address, and what should lie behind it."""

    url: str
    expected: Expectation


async def check_references(
    services: Services,
    productions: Sequence[Production],
    prober: Prober,
    halt: Halt,
    *,
    local: bool,
) -> None:
    """Look at every address that is to be bought from, each once; refuse storyboards by it.

    A provider on this machine is a sandbox: it fetches nothing from elsewhere, so of such
    addresses nothing is asked, and a machine without a network can preview them.
    """
    places: dict[_Look, list[_Place]] = {}
    for production in productions:
        for shot in _shots_to_buy(production.plan.takes):
            for words, look in _looks(shot, services.provider.capabilities):
                if not local or is_this_machine(look.url):
                    place = _Place(production, f"shot {shot.id}, {words}")
                    places.setdefault(look, []).append(place)
    faults = await _look_at_all(prober, places, halt)
    if halt.is_set:
        # Nothing will be submitted, and nobody waits for looks that were given up.
        return
    found: dict[int, list[StoryboardError]] = {}
    for look, at in places.items():
        fault = faults[look]
        if fault is None:
            continue
        address = shown(look.url.partition("?")[0], 120)
        for place in at:
            text = f"{place.words} ({address}) {fault.message}"
            services.reporter.note(place.production.storyboard.name, text)
            told = type(fault)(text, hint=fault.hint)
            found.setdefault(id(place.production), []).append(told)
    for production in productions:
        if id(production) in found:
            production.refusal = _refusal(found[id(production)])


async def _look_at_all(
    prober: Prober, looks: Iterable[_Look], halt: Halt
) -> dict[_Look, FileMissing | Unavailable | None]:
    """What is wrong with each address, None where nothing is."""
    late = Unavailable(f"gives no answer within {_TIME_LIMIT_S:g} s", hint=HINT_LATER)
    faults: dict[_Look, FileMissing | Unavailable | None] = dict.fromkeys(looks, late)

    async def one(look: _Look) -> None:
        try:
            await prober.probe(look.url, look.expected)
        except (FileMissing, Unavailable) as exc:
            faults[look] = exc
        else:
            faults[look] = None

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for look in list(faults):
                group.start_soon(one, look)
        watch.cancel_scope.cancel()

    with anyio.move_on_after(_TIME_LIMIT_S):
        async with anyio.create_task_group() as watch:
            watch.start_soon(all_of_them)
            await halt.wait()
            watch.cancel_scope.cancel()
    return faults


def _shots_to_buy(takes: Iterable[PlannedTake]) -> list[Shot]:
    """The shots that a run may submit, each once: a doubt may prove to have bought nothing."""
    shots = {
        take.shot.id: take.shot
        for take in takes
        if take.action is Action.BUY
        or (take.attempt is not None and take.attempt.state in DOUBTFUL)
    }
    return list(shots.values())


def _looks(shot: Shot, capabilities: Capabilities) -> list[tuple[str, _Look]]:
    """Every address of a shot, in the words that name its place."""
    image = Expectation(kinds=capabilities.fetched_images, max_bytes=capabilities.max_image_bytes)
    named: list[tuple[str, Reference | None, Expectation]] = [
        (f"image {number}", each, image) for number, each in enumerate(shot.images, start=1)
    ]
    named.append(("frame", shot.frame, image))
    if shot.video is not None:
        named.append(("video", shot.video.media, Expectation(kinds=_CLIPS)))
    return [
        (words, _Look(each.url, expected))
        for words, each, expected in named
        if isinstance(each, UrlReference)
    ]


def _refusal(faults: Sequence[StoryboardError]) -> StoryboardError:
    """One for all: what is wrong for good counts more than what may be there later."""
    first = next((fault for fault in faults if isinstance(fault, FileMissing)), faults[0])
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return type(first)(f"{first.message}{more}; nothing sent", hint=first.hint)
