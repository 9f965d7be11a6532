"""Spoilt answers of Runware for the program's readers, and what may be made of each.

What an answer says beyond doubt is decided here and not by the program: a submission is taken
only where the answer names our task, and refused only where it cannot have been.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
from fuzz.feeding import LIMIT_CPU_S, judge_told, judge_value, timed
from fuzz.mutations import Answer, spoilt
from fuzz.truth import read

from pipeline.capabilities import RUNWARE
from pipeline.errors import SubmissionInDoubt
from pipeline.model import Resolution, Size
from pipeline.providers.base import HttpReply, TakeRequest, TaskPhase, TaskStatus
from pipeline.providers.runware import Runware
from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.faults import parse_faults
from pipeline.sandbox.server import SandboxOptions, running_sandbox

# One id for all, so that every sample is about the same task.
TASK_ID = "0b8c4f8e-4f0a-4f7d-9d3e-2f6c1a5b7e90"
_FAILING_ID = "11111111-2222-4333-8444-555555555555"
_PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
_DATA_URI = f"data:image/png;base64,{base64.b64encode(_PICTURE).decode()}"
_TAKE = TakeRequest(
    model=RUNWARE.model,
    prompt="@image1 turns",
    image_urls=("https://refs.test/a.png",),
    duration_s=6,
    resolution=Resolution("480p"),
    size=Size(width_px=848, height_px=480),
    results=2,
    task_id=TASK_ID,
)
_CONFLICT = "conflicttaskuuid"


def take_runware_samples() -> list[Answer]:
    """One or more answers to each kind of task, good ones and refusals."""
    failing = {"on": "result", "fault": "fail_task", "match": "fails"}
    options = SandboxOptions(render=_write, faults=parse_faults({"faults": [failing]}))
    with running_sandbox(options) as server, _client(server.base_url) as client:
        return _tour(client, server.wait_for_renders)


def _write(_: AnimaticSpec, path: Any) -> None:
    path.write_bytes(b"a clip")


def _client(base_url: str) -> httpx.Client:
    plain: dict[str, Any] = {"trust_env": False, "verify": False}
    headers = {"Authorization": "Bearer any-key-of-the-fuzz"}
    return httpx.Client(base_url=base_url, headers=headers, **plain)


def _tour(client: httpx.Client, wait: Callable[[], object]) -> list[Answer]:
    def ask(endpoint: str, **task: Any) -> Answer:
        reply = client.post("/v1", json=[task])
        return Answer(
            endpoint=endpoint,
            status=reply.status_code,
            headers={name.lower(): value for name, value in reply.headers.items()},
            # The other task's answers are read as ours.
            body=reply.content.replace(_FAILING_ID.encode(), TASK_ID.encode()),
        )

    order = {
        "taskType": "videoInference",
        "model": RUNWARE.model,
        "positivePrompt": "@image1 turns",
        "width": 848,
        "height": 480,
        "duration": 6,
        "numberResults": 2,
        "includeCost": True,
        "inputs": {"referenceImages": [_DATA_URI]},
    }
    poll, details = ({"taskType": kind} for kind in ("getResponse", "getTaskDetails"))
    ours, theirs = {"taskUUID": TASK_ID}, {"taskUUID": _FAILING_ID}
    found = [
        ask("result", **poll, **ours),
        ask("submit", **order | {"width": 7}, **ours),
        ask("submit", **order, **ours),
        ask("result", **poll, **ours),
        # Sent again: the answer is that the id is in use.
        ask("submit", **order, **ours),
        ask("submit", **order | {"positivePrompt": "@image1 fails"}, **theirs),
    ]
    wait()
    return [
        *found,
        ask("result", **poll, **ours),
        ask("result", **poll, **theirs),
        ask("details", **details, **ours),
        ask("details", **details, **theirs),
        ask("details", **details, taskUUID="99999999-2222-4333-8444-555555555555"),
        ask("upload", taskType="imageUpload", image=_DATA_URI, **ours),
        ask("balance", taskType="accountManagement", operation="getDetails", **ours),
    ]


# ---- what an answer says ------------------------------------------------------------------


def is_yes(status: int, body: bytes, task_id: str = TASK_ID) -> bool:
    """Whether the answer to a submission names our task as taken, now or before."""
    items, errors = _of_task(body, task_id)
    taken = 200 <= status < 300 and any(not _is_error(item) for item in items)
    return taken or any(_code(entry) == _CONFLICT for entry in (*items, *errors))


def is_clear_no(status: int, body: bytes, task_id: str = TASK_ID) -> bool:
    """Whether it can only mean that no task was made."""
    items, errors = _of_task(body, task_id)
    if is_yes(status, body, task_id) or any(not _is_error(item) for item in items):
        return False
    named = task_id.encode() in body.lower()
    if 300 <= status < 400:
        return not named
    if 400 <= status < 500:
        return read(body) is not None or not named
    return 200 <= status < 300 and bool(items or errors)


def ends_task(body: bytes) -> bool:
    """Whether an answer to a poll has anything by which our task can have failed."""
    items, errors = _of_task(body, TASK_ID)
    return bool(errors) or any(map(_is_error, items))


def _of_task(body: bytes, task_id: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The entries of ``data`` that name a task, and those of ``errors`` and ``error``."""
    document = read(body)
    told = document if isinstance(document, dict) else {}
    data = told.get("data")
    errors: list[Any] = []
    for value in (told.get("errors"), told.get("error")):
        errors += value if isinstance(value, list) else [value]
    items, faults = (
        [one for one in some if isinstance(one, dict) and _names(one, task_id)]
        for some in (data if isinstance(data, list) else [], errors)
    )
    return items, faults


def _names(entry: dict[str, Any], task_id: str) -> bool:
    return str(entry.get("taskUUID")).lower() == task_id


def _is_error(item: dict[str, Any]) -> bool:
    stated = item.get("error")
    return item.get("status") == "error" or (isinstance(stated, dict | str) and bool(stated))


def _code(entry: dict[str, Any]) -> str:
    stated = entry.get("error")
    inner = stated.get("code") if isinstance(stated, dict) else None
    return str(inner or entry.get("code")).lower()


# ---- feeding ------------------------------------------------------------------------------


def feed_runware(
    samples: list[Answer], first: int, count: int, dialect: Runware | None = None
) -> tuple[dict[str, int], list[str]]:
    """Feed ``count`` spoilt answers as values; how each ended, and what was wrong."""
    dialect = Runware(RUNWARE) if dialect is None else dialect
    ended: dict[str, int] = {}
    breaches: list[str] = []
    for number in range(first, first + count):
        chance = Random(f"runware value {number}")
        answer = spoilt(chance.choice(samples), chance)
        word, verdict = feed(answer, dialect)
        key = f"{answer.endpoint}: {word}"
        ended[key] = ended.get(key, 0) + 1
        if verdict:
            breaches.append(f"runware value {number} ({answer.endpoint}): {verdict}")
    return ended, breaches


def feed(answer: Answer, dialect: Runware) -> tuple[str, str]:
    """What became of one answer, in a word, and what is wrong with that, or nothing."""
    readers: dict[str, Callable[[HttpReply], object]] = {
        "submit": lambda reply: dialect.read_submit(reply, _TAKE),
        "result": lambda reply: dialect.read_status(reply, TASK_ID, 2),
        "details": lambda reply: dialect.read_details(reply, TASK_ID),
        "upload": dialect.read_upload,
        "balance": dialect.read_balance,
    }
    reply = HttpReply(status=answer.status, headers=answer.headers, body=answer.body)
    outcome, spent_s = timed(readers[answer.endpoint], reply)
    verdict = _judge(answer, outcome)
    if spent_s > LIMIT_CPU_S:
        verdict = verdict or "took longer than a second"
    return type(outcome).__name__, verdict


def _judge(answer: Answer, outcome: object) -> str:
    status, body = answer.status, answer.body
    said = f"for {status} {body[:80]!r}"
    if isinstance(outcome, BaseException):
        is_refusal = answer.endpoint == "submit" and not isinstance(outcome, SubmissionInDoubt)
        if is_refusal and not is_clear_no(status, body):
            return f"REFUSED: {type(outcome).__name__} {said}"
        return judge_told(outcome)
    if answer.endpoint == "submit" and not (outcome == TASK_ID and is_yes(status, body)):
        return f"TAKEN: {outcome!r} {said}"
    if isinstance(outcome, TaskStatus):
        return _judge_status(outcome, body, said)
    return "" if isinstance(outcome, bool) else judge_value(outcome)


def _judge_status(status: TaskStatus, body: bytes, said: str) -> str:
    if status.phase is TaskPhase.FAILED and not ends_task(body):
        return f"FAILED: {status.message!r} {said}"
    if status.cost_usd is not None and (judge_value(status.cost_usd) or not status.cost_usd):
        return f"a cost that is none: {status.cost_usd!r:.60}"
    return judge_value(status)
