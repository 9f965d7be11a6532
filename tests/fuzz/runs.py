"""Whole runs of the real runner in virtual time, with answers spoilt on their way to it.

The world is that of ``tests/simulation``; here each of its answers may be tampered with. What a
spoilt answer says may be a lie that nobody could see through, so only what must hold whatever
the provider says is judged: nothing is paid twice, nothing escapes, the key stays where it
belongs, every run comes to its end and owns up to its doubts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import httpx
from fuzz import runware
from fuzz.mutations import Answer, spoilt
from fuzz.truth import hides_a_task, is_clear_no
from simulation.judge import judge
from simulation.lives import Life
from simulation.run import Parts, Stage, run_scenario
from simulation.runware_world import RunwareDoor
from simulation.scenario import Scenario, random_scenario
from simulation.world import Body, Door, World

from pipeline.providers.wavespeed import WaveSpeed

# How the sentences of the simulation's judge begin that hold with a lying provider, too.
_ALWAYS = ("PAID TWICE", "an exception escaped", "the key went", "life ")
_LIMIT = "submissions within"
_ENDPOINTS = {
    "predictions": "history",
    "uploads": "upload_ticket",
    "price": "price",
    "search": "billings",
    "result": "result",
}
_TASKS = {
    "videoInference": "submit",
    "getResponse": "result",
    "getTaskDetails": "details",
    "imageUpload": "upload",
}


@dataclass(slots=True)
class Tally:
    """What was done to the answers of one run."""

    answers: int = 0
    spoilt: int = 0
    lies_spared: int = 0
    by_endpoint: dict[str, int] = field(default_factory=dict)


class SpoilingDoor(Door):
    """The way to the world, along which answers are spoilt until it calms down."""

    def __init__(
        self, world: World, life: Life, *, chance: Random, share: float, tally: Tally
    ) -> None:
        super().__init__(world, life)
        self._chance = chance
        self._share = share
        self._tally = tally

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.port == 8002 and len(request.url.path.split("/")) < 3:
            # An address that an answer made up; the world knows only its own.
            return self._refuse(404, "no such clip")
        response = await super().handle_async_request(request)
        self._tally.answers += 1
        endpoint = self._endpoint(request)
        # A wrong price ends a run before it begins; too many of them would test little else.
        share = self._share / 10 if endpoint == "price" else self._share
        if self._world.calm or self._chance.random() >= share:
            return response
        original = Answer(
            endpoint=endpoint,
            status=response.status_code,
            headers=dict(response.headers),
            body=b"".join([piece async for piece in response.stream]),  # type: ignore[union-attr]
        )
        told = self._tamper(original, request)
        return httpx.Response(
            told.status,
            headers=[
                (name.encode("latin-1"), value.encode("utf-8"))
                for name, value in told.headers.items()
            ],
            stream=Body(self._life, [(0.0, told.body)], None),
        )

    def _tamper(self, original: Answer, request: httpx.Request) -> Answer:
        told = spoilt(original, self._chance, statuses=original.endpoint != "submit")
        if original.endpoint == "submit" and self._chance.random() < 0.1:
            status = self._chance.choice((201, 202, 204, 206, 500, 502, 599))
            told = Answer(endpoint="submit", status=status, headers=told.headers, body=told.body)
        if self._is_a_lie(original, told, request):
            self._tally.lies_spared += 1
            return original
        self._tally.spoilt += 1
        by_endpoint = self._tally.by_endpoint
        by_endpoint[original.endpoint] = by_endpoint.get(original.endpoint, 0) + 1
        return told

    def _endpoint(self, request: httpx.Request) -> str:
        if request.url.port == 8002:
            return "download"
        if request.url.port == 8003:
            return "upload_put"
        return _ENDPOINTS.get(request.url.path.rpartition("/")[2], "submit")

    def _is_a_lie(self, original: Answer, told: Answer, request: httpx.Request) -> bool:
        """Whether it now says, readably, that there is no task where there may be one."""
        del request
        if original.endpoint == "submit":
            was_no = is_clear_no(original.status, original.body)
            return is_clear_no(told.status, told.body) and not was_no
        if original.endpoint == "history" and original.status == told.status == 200:
            return hides_a_task(told.body, original.body)
        return original.endpoint == "history" and told.status == 200


class SpoilingRunwareDoor(SpoilingDoor, RunwareDoor):
    """The same where everything is asked for at one address, and submissions under our ids."""

    def _endpoint(self, request: httpx.Request) -> str:
        if request.url.port == 8002:
            return "download"
        return _TASKS[json.loads(request.content)[0]["taskType"]]

    def _is_a_lie(self, original: Answer, told: Answer, request: httpx.Request) -> bool:
        if original.endpoint != "submit":
            return False
        task_id = json.loads(request.content)[0]["taskUUID"]
        was_no = runware.is_clear_no(original.status, original.body, task_id)
        return runware.is_clear_no(told.status, told.body, task_id) and not was_no


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzedRun:
    """How one seed went."""

    seed: int
    breaches: list[str]
    tally: Tally
    tasks: int
    code: Any


def run_fuzzed(
    seed: int,
    *,
    shots: int = 5,
    dialect: type[WaveSpeed] = WaveSpeed,
    provider: str = "wavespeed",
) -> FuzzedRun:
    """One production, a random world, and a share of its answers spoilt."""
    chance, tally = Random(f"fuzzed run {seed}"), Tally()
    share = chance.choice((0.02, 0.1, 0.3))
    kind = SpoilingRunwareDoor if provider == "runware" else SpoilingDoor
    door = partial(kind, chance=chance, share=share, tally=tally)
    parts = Parts(dialect=dialect, door=door)
    result = run_scenario(_scenario(seed, shots, provider), parts=parts, judge=_judge_what_holds)
    return FuzzedRun(
        seed=seed,
        breaches=result.breaches,
        tally=tally,
        tasks=len(result.world.ours),
        code=result.ended[-1].code if result.ended else None,
    )


def _scenario(seed: int, shots: int, provider: str) -> Scenario:
    return random_scenario(1_000_000 + seed, shots=shots, provider=provider)


def _judge_what_holds(stage: Stage) -> list[str]:
    return [one for one in judge(stage) if one.startswith(_ALWAYS) or _LIMIT in one]


def sum_up(tallies: Sequence[Tally]) -> dict[str, int]:
    """The counts of many runs."""
    total = {"answers": 0, "spoilt": 0, "lies_spared": 0}
    for tally in tallies:
        total["answers"] += tally.answers
        total["spoilt"] += tally.spoilt
        total["lies_spared"] += tally.lies_spared
        for endpoint, count in tally.by_endpoint.items():
            key = f"spoilt_{endpoint}"
            total[key] = total.get(key, 0) + count
    return dict(sorted(total.items()))
