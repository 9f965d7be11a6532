"""A provider played in virtual time, with a ledger of its own that judges the runner.

It speaks WaveSpeedAI's public HTTP API as an httpx transport. It shares no code with the
program: what it believes about the wire comes from the provider's pages, so that a
misunderstanding in the client cannot hide in its test.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

import httpx
import trio
from simulation.lives import Life, Trace
from simulation.scenario import ACCEPTED_FAULTS, POLL_MOODS, Faults, Scenario

API = "http://127.0.0.1:8001"
_API_HOST = "127.0.0.1:8001"
_CDN_HOST = "127.0.0.1:8002"
_DROP_HOST = "127.0.0.1:8003"
KEY = "canary-key-of-the-simulation"
MODEL = "x-ai/grok-imagine-video/reference-to-video"
START = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
_CENTS_PER_SECOND = 5
# How long a client may rely on an id that was used being refused.
_IDS_REMEMBERED_S = 86_400.0
# Longer than any limit of the scenarios, and as long as a provider lets a task go on.
_STUCK_S = 2400.0
_FAILED_STATUS = {
    "failed": ("failed", 1500, "the model gave up"),
    "moderated": ("failed", 1200, "content policy"),
    "cancelled": ("cancelled", 0, ""),
    "timeout": ("timeout", 5004, ""),
    "deleted": ("deleted", 0, ""),
}
# Fates after which no clip can come; each is paid all the same.
SPOILT_FATES = frozenset({*_FAILED_STATUS, "barren"})


class Order(dict[str, Any]):
    """A body with the id that its sender chose for the task, where it may, and how many results
    it asks for."""

    task_id = ""
    results = 1


@dataclass(slots=True)
class Task:
    """A task as the provider has it; times are virtual seconds."""

    task_id: str
    body: dict[str, Any]
    ours: bool
    created_s: float
    ends_s: float
    cents: Decimal
    fate: str = ""
    mood: str = ""
    told_done: int = 0
    bad_clips: int = 0
    url_nonce: int = 0
    results: int = 1
    # The archive keeps the last answer only: a refused second sending may hide the task.
    hidden: bool = False


@dataclass(slots=True)
class Watch:
    """What one life has asked about one task."""

    asked_s: float = float("-inf")
    told_the_end: bool = False
    needless: int = 0
    excuses: int = 1


@dataclass(slots=True)
class World:
    """The provider: its tasks and bill, and what it saw that must not be."""

    scenario: Scenario
    trace: Trace
    rng: random.Random
    tasks: dict[str, Task] = field(default_factory=dict)
    arrivals_s: list[float] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    late: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    watches: dict[tuple[int, str], Watch] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    dead_urls: set[str] = field(default_factory=set)
    # Words that no shot asks for any more, and since when.
    retired: dict[str, float] = field(default_factory=dict)
    polls: int = 0
    requests: int = 0
    faults_played: int = 0
    lost_answers: int = 0
    calm: bool = False

    def __post_init__(self) -> None:
        for number in range(self.scenario.strangers):
            at_s = self.rng.uniform(-100.0, 400.0)
            prompt = f"@image1 somebody else's idea {number}"
            body = {"prompt": prompt, "images": ["https://x.test/y.png"], "duration": 6}
            self._make_task(body | {"resolution": "720p"}, at_s, ours=False)

    @property
    def ours(self) -> list[Task]:
        """The tasks that the runner's requests made, oldest first."""
        return sorted((task for task in self.tasks.values() if task.ours), key=_age)

    @property
    def billed_cents(self) -> Decimal:
        """What they cost."""
        return sum((task.cents for task in self.ours), Decimal(0))

    def calm_down(self) -> None:
        """No new trouble from here on, and what was stuck comes to its end."""
        self.calm = True
        for task in self.tasks.values():
            if task.fate == "stuck":
                task.ends_s = min(task.ends_s, trio.current_time() + 1.0)

    def catch_up(self) -> None:
        """Let what was on the wire when its sender died arrive in its time."""
        now_s = trio.current_time()
        due = sorted((one for one in self.late if one[0] <= now_s), key=lambda one: one[0])
        self.late = [one for one in self.late if one[0] > now_s]
        for at_s, body in due:
            self.take_in(body, at_s, accept=True, late=True)

    def remembered(self, task_id: str, at_s: float) -> Task | None:
        """The task of an id, as far as an id that was used is refused."""
        task = self.tasks.get(task_id)
        is_new = task is not None and at_s - task.created_s < _IDS_REMEMBERED_S
        return task if is_new else None

    def take_in(
        self, body: dict[str, Any], at_s: float, *, accept: bool, late: bool = False
    ) -> Task | None:
        """A paid request has come in at the door; ``late``: its sender is gone."""
        chosen, prompt = getattr(body, "task_id", ""), str(body["prompt"])
        if self.remembered(chosen, at_s) is not None:
            # The same id again: refused, and no further start.
            return None
        if accept and not late and prompt in self.retired:
            self.violations.append(f"BOUGHT FOR NOBODY: {prompt!r}")
        if accept and chosen in self.tasks:
            # Forgotten, and made anew: both are paid.
            self.tasks[f"{chosen} before {at_s}"] = self.tasks.pop(chosen)
        if accept or not chosen:
            self.arrivals_s.append(at_s)
        self.asked_for.append(str(body["prompt"]))
        if not accept:
            return None
        task = self._make_task(body, at_s, ours=True)
        self.trace.add(f"task {task.task_id} {body.get('prompt')}")
        return task

    def roll(self, faults: dict[str, float]) -> str:
        """The fault that happens now, or nothing."""
        if self.calm or not faults:
            return ""
        throw = self.rng.random()
        for kind, chance in faults.items():
            throw -= chance
            if throw < 0:
                self.faults_played += 1
                self.trace.add(f"fault {kind}")
                return kind
        return ""

    def latency_s(self) -> float:
        """One way through the network."""
        return self.rng.uniform(*self.scenario.latency_s)

    def watch(self, life: Life, task_id: str) -> Watch:
        """What a life knows of a task."""
        return self.watches.setdefault((life.number, task_id), Watch())

    def _make_task(self, body: dict[str, Any], at_s: float, *, ours: bool) -> Task:
        faults: Faults = self.scenario.faults
        fate = self.roll(faults.task) if ours else ""
        mood, fate = (fate, "") if fate in POLL_MOODS else ("", fate)
        lasts_s = self.rng.uniform(*self.scenario.task_s)
        if fate == "slow":
            lasts_s += 60.0
        task = Task(
            task_id=getattr(body, "task_id", "") or self.rng.randbytes(16).hex(),
            body=body,
            ours=ours,
            created_s=at_s,
            ends_s=at_s + (_STUCK_S if fate == "stuck" else lasts_s),
            cents=_cents(self.scenario.provider, body),
            results=getattr(body, "results", 1),
            fate=fate,
            mood=mood,
        )
        self.tasks[task.task_id] = task
        return task


class Door(httpx.AsyncBaseTransport):
    """The world as one process reaches it."""

    api_host = _API_HOST

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        world, url = self._world, request.url
        world.requests += 1
        world.catch_up()
        host, path = url.netloc.decode(), url.path
        if host != _API_HOST:
            self._look_for_key(request)
        elif request.headers.get("authorization") != f"Bearer {KEY}":
            return self._refuse(401, "no key")
        if host == _CDN_HOST:
            return await self._clip(request, path)
        if host == _DROP_HOST:
            return await self._put(request, path)
        if host != _API_HOST:
            raise httpx.ConnectError(f"no such host {host}", request=request)
        if request.method == "GET" and path.endswith("/result"):
            return await self._poll(request, path.split("/")[-2])
        desks = {
            f"/api/v3/{MODEL}": self._submit,
            "/api/v3/predictions": self._history,
            "/api/v3/media/uploads": self._ticket,
            "/api/v3/model/price": self._price,
            "/api/v3/billings/search": self._billings,
        }
        if path not in desks:
            world.violations.append(f"a request to {request.method} {path}")
            return self._refuse(404, "no such path")
        return await desks[path](request, json.loads(request.content))

    # ---- the paid request -----------------------------------------------------------------

    async def _submit(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        world, life = self._world, self._life
        kind = world.roll(world.scenario.faults.submit)
        life.tick("submit sent")
        if kind == "unreachable":
            await life.wait(world.latency_s(), "submit refused")
            raise httpx.ConnectError("connection refused", request=request)
        limit_s = request.extensions["timeout"]["read"]
        way_s = world.rng.uniform(0.3, 0.9) * limit_s if kind == "late_after" else world.latency_s()
        survives = world.rng.random() < 0.5
        arrives_s = trio.current_time() + way_s
        try:
            await life.wait(way_s, "submit on the wire")
        except BaseException:
            # Its sender is gone. What has left the machine may still arrive.
            if survives:
                world.late.append((arrives_s, body))
            raise
        accept = not kind or kind in ACCEPTED_FAULTS
        task = world.take_in(body, trio.current_time(), accept=accept)
        life.tick("submit made")
        world.lost_answers += kind in ACCEPTED_FAULTS
        word = kind.removesuffix("_after").removesuffix("_before")
        if word in {"hang", "late"}:
            await life.wait(limit_s, "submit hangs")
            raise httpx.ReadTimeout("no answer", request=request)
        await life.wait(world.latency_s(), "submit answered")
        if word == "lost":
            raise httpx.RemoteProtocolError("server disconnected", request=request)
        if word == "reset":
            raise httpx.ReadError("connection reset", request=request)
        return self._submit_answer(word, task, limit_s)

    def _submit_answer(self, word: str, task: Task | None, limit_s: float) -> httpx.Response:
        """What the server says in the end, which need not be what it did."""
        answer = json.dumps(self._envelope(self._task_data(task, "created"))).encode()
        drops = [(limit_s / 7, answer[at : at + 8]) for at in range(0, len(answer), 8)]
        answers = {
            "": (answer, None),
            "empty": (b"", None),
            "half_json": (answer[: len(answer) // 2], None),
            "drip": (b"", drops),
            "no_id": (b'{"code": 200, "message": "success", "data": {}}', None),
            "envelope_500": (b'{"code": 500, "message": "internal", "data": null}', None),
            "envelope_422": (b'{"code": 422, "message": "not acceptable"}', None),
        }
        if word in answers:
            content, pieces = answers[word]
            return self._answer(content, pieces=pieces)
        if word.startswith("429"):
            return self._too_many(word)
        elsewhere = {"location": f"http://{_CDN_HOST}/x"} if word == "307" else None
        return self._answer({"message": "no"}, status=int(word), headers=elsewhere)

    # ---- looking at tasks -----------------------------------------------------------------

    async def _poll(self, request: httpx.Request, task_id: str) -> httpx.Response:
        world, life = self._world, self._life
        await life.wait(world.latency_s(), "poll sent")
        now_s = trio.current_time()
        world.polls += 1
        watch = world.watch(life, task_id)
        self._judge_poll(watch, task_id, now_s)
        kind = world.roll(world.scenario.faults.poll)
        task = world.tasks.get(task_id)
        off_from_s, off_to_s = world.scenario.poll_off_s
        if not world.calm and off_from_s <= now_s < off_to_s:
            kind = "503"
        if kind or task is None or self._unknown(task, now_s):
            watch.excuses += 1
        if kind:
            return await self._spoil(request, kind, self._task_data(task, "processing"))
        if task is None or self._unknown(task, now_s):
            life.tick("poll answered")
            return self._refuse(404, "Task not found")
        data = self._look(task, now_s, watch)
        life.tick("poll answered")
        return self._answer(self._envelope(data))

    def _judge_poll(self, watch: Watch, task_id: str, now_s: float) -> None:
        world = self._world
        least_s = world.scenario.poll_interval_s
        if now_s - watch.asked_s < least_s - 1e-6:
            gap_s = now_s - watch.asked_s
            world.violations.append(f"task {task_id} polled again after {gap_s:.3f} s")
        watch.asked_s = now_s
        if watch.told_the_end:
            watch.needless += 1
            if watch.needless > watch.excuses:
                world.violations.append(f"task {task_id} polled though its end was told")

    def _unknown(self, task: Task, now_s: float) -> bool:
        """Whether the provider seems not to know the task at the moment."""
        age_s = now_s - task.created_s
        if task.mood == "404_at_first":
            return age_s < self._world.scenario.poll_interval_s * 1.5
        if task.mood == "404_for_long":
            settle_s = self._world.scenario.settle_s
            patience_s = max(6 * settle_s, 3 * self._world.scenario.poll_interval_s)
            return age_s < 0.9 * patience_s
        return False

    def _look(self, task: Task, now_s: float, watch: Watch) -> dict[str, Any]:
        """The task as it shows itself at this moment."""
        if now_s < task.ends_s:
            word = "created" if now_s - task.created_s < 1.0 else "processing"
            if task.mood == "unknown_word":
                word = "queued for a GPU"
            if task.mood == "regress" and self._world.rng.random() < 0.5:
                word = "created"
            return self._task_data(task, word)
        if task.mood == "regress" and self._world.rng.random() < 0.3:
            watch.excuses += 1
            return self._task_data(task, "processing")
        if task.fate in _FAILED_STATUS:
            watch.told_the_end = True
            word, code, error = _FAILED_STATUS[task.fate]
            return self._task_data(task, word) | {"code": code, "error": error}
        task.told_done += 1
        data = self._task_data(task, "completed")
        if task.fate == "barren" or (task.fate == "late_outputs" and task.told_done <= 3):
            return data | {"outputs": []}
        watch.told_the_end = True
        task.url_nonce += 1
        url = f"http://{_CDN_HOST}/{task.task_id}/{task.url_nonce}/clip.mp4"
        data["outputs"] = [url, *(url.replace("clip", f"clip{n}") for n in range(1, task.results))]
        if task.fate == "two_outputs":
            data["outputs"].append(f"http://{_CDN_HOST}/{task.task_id}/decoy/clip.mp4")
        if task.fate == "object_output":
            data["outputs"] = [{"url": each} for each in data["outputs"]]
        data["has_nsfw_contents"] = [task.fate == "flagged"]
        return data

    async def _history(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        world, life = self._world, self._life
        await life.wait(world.latency_s(), "history sent")
        now_s = trio.current_time()
        is_off = now_s < world.scenario.history_off_s
        if is_off and (not world.calm or world.scenario.history_off_s == float("inf")):
            life.tick("history answered")
            return self._refuse(404, "not available")
        kind = world.roll(world.scenario.faults.history)
        if kind:
            return await self._spoil(request, kind, {"items": []})
        after = datetime.fromisoformat(body["created_after"].replace("Z", "+00:00"))
        after_s = (after - START).total_seconds() - world.scenario.skew_s
        rows = [
            task
            for task in world.tasks.values()
            if after_s <= task.created_s <= now_s - self._history_lag_s()
        ]
        rows.sort(key=_age, reverse=True)
        size = int(body["page_size"])
        first = (int(body["page"]) - 1) * size
        items = [self._history_item(task, now_s) for task in rows[first : first + size]]
        life.tick("history answered")
        return self._answer(self._envelope({"page": body["page"], "items": items}))

    def _history_lag_s(self) -> float:
        """How late the history is: in a calm world no later than a client must bear with."""
        scenario = self._world.scenario
        lag_s = scenario.history_lag_s
        return min(lag_s, scenario.settle_s) if self._world.calm else lag_s

    def _history_item(self, task: Task, now_s: float) -> dict[str, Any]:
        item = self._task_data(task, "completed" if now_s >= task.ends_s else "processing")
        echo = self._world.scenario.echo
        if echo == "exact":
            item["inputs"] = task.body
        elif echo == "rewritten":
            images = [f"https://stored.test/{n}" for n, _ in enumerate(task.body["images"])]
            item["inputs"] = task.body | {"images": images}
        return item

    async def _billings(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        world, life = self._world, self._life
        await life.wait(world.latency_s(), "bill sent")
        kind = world.roll(world.scenario.faults.history)
        if kind:
            return await self._spoil(request, kind, {"items": []})
        if "prediction_uuids" in body:
            rows = [world.tasks[one] for one in body["prediction_uuids"] if one in world.tasks]
        else:
            # The bill is never late: a charge stands there as soon as its task does.
            since_s = int(body["start_time"]) / 1000 - START.timestamp() - world.scenario.skew_s
            now_s = trio.current_time()
            rows = [task for task in world.tasks.values() if since_s <= task.created_s <= now_s]
        rows.sort(key=_age, reverse=True)
        first = (int(body["page"]) - 1) * int(body["page_size"])
        shown = rows[first : first + int(body["page_size"])]
        life.tick("bill answered")
        return self._answer(self._envelope({"items": [self._charge(task) for task in shown]}))

    def _charge(self, task: Task) -> dict[str, Any]:
        return {
            "uuid": f"charge-{task.task_id}",
            "access_key_id": "key-1" if task.ours else "key-2",
            "billing_type": "deduct",
            "price": float(task.cents) / 100,
            "created_at": self._task_data(task, "")["created_at"],
            "prediction": {"uuid": task.task_id, "model_uuid": MODEL},
        }

    # ---- clips ----------------------------------------------------------------------------

    async def _clip(self, request: httpx.Request, path: str) -> httpx.Response:
        world, life = self._world, self._life
        await life.wait(world.latency_s(), "clip sent")
        task = world.tasks.get(path.split("/")[1])
        if task is None:
            world.violations.append(f"a clip that never was: {path}")
            return self._refuse(404, "no such clip")
        kind = world.roll(world.scenario.faults.download)
        if path in world.dead_urls or kind in {"expired", "404_once"}:
            world.dead_urls.add(path)
            world.watch(life, task.task_id).excuses += 1
            life.tick("clip answered")
            return self._refuse(404 if kind == "404_once" else 403, "expired")
        if kind in {"500", "503"}:
            life.tick("clip answered")
            return self._refuse(int(kind), "try again")
        if kind == "drop":
            raise httpx.RemoteProtocolError("server disconnected", request=request)
        if kind == "hang":
            await life.wait(request.extensions["timeout"]["read"], "clip hangs")
            raise httpx.ReadTimeout("no answer", request=request)
        # The second of two outputs is not the one that was asked for.
        content = clip_bytes("decoy" if "decoy" in path else task.task_id, task.body)
        life.tick("clip answered")
        whole = {"content-length": str(len(content))}
        if kind == "flipped":
            task.bad_clips += 1
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        elif kind == "cut_without_length":
            task.bad_clips += 1
            content, whole = content[: len(content) // 3], {}
        elif kind == "cut_with_length":
            content = content[: len(content) // 3]
        elif kind == "reset_mid":
            error = httpx.ReadError("connection reset", request=request)
            half = [(0.0, content[: len(content) // 2])]
            return self._answer(b"", headers=whole, pieces=half, error=error)
        return self._answer(content, headers=whole)

    # ---- what is free ---------------------------------------------------------------------

    async def _price(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        world, life = self._world, self._life
        await life.wait(world.latency_s(), "price sent")
        kind = world.roll(world.scenario.faults.other)
        if kind:
            return await self._spoil(request, kind, {})
        cents = _CENTS_PER_SECOND * int(body["inputs"]["duration"])
        return self._answer(self._envelope({"price": cents / 100}))

    async def _ticket(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        world, life = self._world, self._life
        await life.wait(world.latency_s(), "ticket sent")
        kind = world.roll(world.scenario.faults.upload)
        if kind:
            return await self._spoil(request, kind, {})
        place = f"http://{_DROP_HOST}/{world.rng.randbytes(6).hex()}/{body['filename']}"
        upload = {"method": "PUT", "url": place, "headers": {"x-size": str(body["size"])}}
        return self._answer(self._envelope({"upload": upload, "download_url": place}))

    async def _put(self, request: httpx.Request, path: str) -> httpx.Response:
        world, life = self._world, self._life
        await life.wait(world.latency_s(), "put sent")
        kind = world.roll(world.scenario.faults.upload)
        if kind:
            return await self._spoil(request, kind, {})
        world.uploaded[f"http://{_DROP_HOST}{path}"] = request.content
        return self._answer({})

    # ---- how answers are made -------------------------------------------------------------

    async def _spoil(
        self, request: httpx.Request, kind: str, data: dict[str, Any]
    ) -> httpx.Response:
        """Go wrong in a way that is known of calls which may be repeated."""
        match kind:
            case "drop":
                raise httpx.RemoteProtocolError("server disconnected", request=request)
            case "hang":
                limit_s = request.extensions["timeout"]["read"]
                await self._life.wait(limit_s, "call hangs")
                raise httpx.ReadTimeout("no answer", request=request)
            case "garbage":
                return self._answer(b"<html>\xff\x00 what?")
            case "half_json":
                whole = json.dumps(self._envelope(data)).encode()
                return self._answer(whole[: len(whole) // 2])
            case "429" | "429_seconds":
                return self._too_many(kind)
            case _:
                return self._refuse(int(kind), "try again")

    def _too_many(self, kind: str) -> httpx.Response:
        headers = {}
        if kind == "429_seconds":
            headers["retry-after"] = "2"
        if kind == "429_silly":
            silly = ("-1", "soon", "1e400", "Wed, 21 Oct 2015 07:28:00 GMT", "45")
            headers["retry-after"] = self._world.rng.choice(silly)
        answer = {"code": 429, "message": "too many requests"}
        return self._answer(answer, status=429, headers=headers)

    def _refuse(self, status: int, message: str) -> httpx.Response:
        return self._answer({"code": status, "message": message}, status=status)

    def _envelope(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"code": 200, "message": "success", "data": data}

    def _task_data(self, task: Task | None, word: str) -> dict[str, Any]:
        if task is None:
            return {"status": word}
        made = START + timedelta(seconds=task.created_s + self._world.scenario.skew_s)
        return {
            "id": task.task_id,
            "model": MODEL,
            "status": word,
            "outputs": [],
            "error": "",
            "created_at": made.strftime("%Y-%m-%dT%H:%M:%S.%f") + "789Z",
        }

    def _answer(
        self,
        content: bytes | dict[str, Any],
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        pieces: list[tuple[float, bytes]] | None = None,
        error: Exception | None = None,
    ) -> httpx.Response:
        """An answer; ``pieces`` come after that many seconds each, ``error`` after them."""
        if isinstance(content, dict):
            content = json.dumps(content).encode()
        now = START.timestamp() + trio.current_time() + self._world.scenario.skew_s
        return httpx.Response(
            status,
            headers={"date": formatdate(now, usegmt=True), **(headers or {})},
            stream=Body(self._life, pieces or [(0.0, content)], error),
        )

    def _look_for_key(self, request: httpx.Request) -> None:
        parts = [str(request.url), *request.headers.values()]
        if any(KEY in part for part in parts) or "authorization" in request.headers:
            self._world.violations.append(f"the key went to {urlsplit(str(request.url)).netloc}")


class Body(httpx.AsyncByteStream):
    """An answer's bytes in the time that they take."""

    def __init__(
        self, life: Life, pieces: list[tuple[float, bytes]], error: Exception | None
    ) -> None:
        self._life = life
        self._pieces = iter(pieces)
        self._error = error

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        for delay_s, piece in self._pieces:
            if delay_s:
                await self._life.wait(delay_s, "body")
            return piece
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration


def clip_bytes(task_id: str, body: dict[str, Any]) -> bytes:
    """What a good clip holds: whose it is, some length, and a seal over all of it."""
    head = f"CLIP {task_id} {body['duration']} {body['resolution']} ".encode()
    content = head + bytes(200)
    return content + hashlib.sha256(content).hexdigest().encode()


def read_clip(content: bytes) -> tuple[str, int, str] | None:
    """Task, seconds and size of a whole clip; None for a damaged one."""
    body, seal = content[:-64], content[-64:]
    if hashlib.sha256(body).hexdigest().encode() != seal:
        return None
    word, task_id, duration, resolution, _ = body.split(b" ", 4)
    return (task_id.decode(), int(duration), resolution.decode()) if word == b"CLIP" else None


def _cents(provider: str, body: dict[str, Any]) -> Decimal:
    """The price of a task of one reference."""
    if provider == "wavespeed":
        return Decimal(_CENTS_PER_SECOND * int(body["duration"]))
    per_s = 5 if body["resolution"] == "480p" else 7
    results = getattr(body, "results", 1)
    return Decimal(per_s * int(body["duration"]) * results) + Decimal("0.2")


def _age(task: Task) -> tuple[float, str]:
    return task.created_s, task.task_id
