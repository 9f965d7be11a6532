"""The played provider in Runware's words: array envelopes, ids that the client chose, no history.

Sources: https://runware.ai/docs/platform/task-polling.md ,
https://runware.ai/docs/platform/errors , https://runware.ai/docs/platform/image-upload
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import trio
from simulation.world import Door, Order, Task

_WAITING = frozenset({"created", "processing"})
_SUBMIT, _POLL, _UPLOAD, _DETAILS = "videoInference", "getResponse", "imageUpload", "getTaskDetails"


class RunwareDoor(Door):
    """The same world and the same faults, spoken of as Runware does."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Everything of the API goes to one address."""
        is_api = request.url.netloc.decode() == self.api_host and request.url.path == "/v1"
        if not is_api:
            return await super().handle_async_request(request)
        world = self._world
        world.requests += 1
        world.catch_up()
        (task,) = json.loads(request.content)
        match task["taskType"]:
            case "videoInference":
                return await self._take_order(request, task)
            case "getResponse":
                return await self._poll(request, task["taskUUID"])
            case "imageUpload":
                return await self._keep_image(request, task)
            case "getTaskDetails":
                return await self._tell_details(task["taskUUID"])
        world.violations.append(f"a task of type {task['taskType']}")
        return self._refuse(400, "no such task type")

    async def _take_order(self, request: httpx.Request, task: dict[str, Any]) -> httpx.Response:
        order = Order(
            prompt=task["positivePrompt"],
            images=task["inputs"]["referenceImages"],
            duration=task["duration"],
            resolution=f"{min(task['width'], task['height'])}p",
        )
        order.task_id, order.results = task["taskUUID"], task["numberResults"]
        known = self._world.remembered(order.task_id, trio.current_time())
        if known is None:
            return await self._submit(request, order)
        await self._life.wait(self._world.latency_s(), "conflict sent")
        kind = self._world.roll(self._world.scenario.faults.resend)
        self._life.tick("conflict answered")
        return (
            self._error(400, "conflictTaskUUID", known.task_id)
            if not kind
            else (self._answer_otherwise(kind, known))
        )

    def _answer_otherwise(self, kind: str, known: Task) -> httpx.Response:
        """A second sending that is looked at in another order than one might think: its id comes
        last, or not at all."""
        if kind == "429":
            return self._too_many(kind)
        if kind == "bare_404":
            return self._answer(b"<html>nothing here", status=404)
        if kind == "500":
            return self._refuse(500, "try again")
        known.hidden = True
        if kind == "402":
            return self._error(402, "insufficientCredits", known.task_id)
        return self._error(400, "invalidValueUploadFailed", known.task_id)

    async def _keep_image(self, request: httpx.Request, task: dict[str, Any]) -> httpx.Response:
        world = self._world
        await self._life.wait(world.latency_s(), "put sent")
        kind = world.roll(world.scenario.faults.upload)
        if kind:
            return await self._spoil(request, kind, {})
        digits = world.rng.randbytes(16).hex()
        name = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
        world.uploaded[name] = task["image"].encode()
        item = {"taskType": _UPLOAD, "taskUUID": task["taskUUID"], "imageUUID": name}
        return self._answer({"data": [item]})

    async def _tell_details(self, task_id: str) -> httpx.Response:
        await self._life.wait(self._world.latency_s(), "details sent")
        task = self._world.tasks.get(task_id)
        item = {"taskType": _DETAILS, "taskUUID": task_id, "request": [{}]}
        told: dict[str, Any] = {"data": [{"taskUUID": task_id}]}
        if task is not None and task.hidden:
            told = {"errors": [{"code": "invalidValueUploadFailed", "taskUUID": task_id}]}
        # It is a record of what has been executed: what still runs is not in it.
        is_there = task is not None and trio.current_time() >= task.ends_s
        return self._answer({"data": [item | {"response": told}] if is_there else []})

    def _refuse(self, status: int, message: str) -> httpx.Response:
        if message == "Task not found":
            # A task that nobody knows and one that cannot be seen yet read alike.
            return self._answer({"data": []})
        return self._error(status, "serviceUnavailable" if status >= 500 else "invalidValue", "")

    def _error(self, status: int, code: str, task_id: str) -> httpx.Response:
        error = {"code": code, "message": "no", "taskType": _SUBMIT}
        if task_id:
            error["taskUUID"] = task_id
        return self._answer({"data": [], "errors": [error]}, status=status)

    def _envelope(self, data: dict[str, Any]) -> dict[str, Any]:
        task_id, word = data.get("id"), data.get("status")
        if task_id is None:
            return {"data": []}
        item: dict[str, Any] = {"taskType": _SUBMIT, "taskUUID": task_id}
        if word in {"failed", "cancelled", "timeout", "deleted"}:
            code = "contentPolicyViolation" if data.get("code") == 1200 else "taskFailed"
            error = item | {"code": code, "message": data.get("error", ""), "status": "error"}
            return {"data": [], "errors": [error]}
        if word != "completed":
            return {"data": [item | {"status": word if word in _WAITING else str(word)}]}
        outputs = data["outputs"] or [""] * self._world.tasks[task_id].results
        urls = [each["url"] if isinstance(each, dict) else each for each in outputs]
        flagged = bool(data.get("has_nsfw_contents", [False])[0])
        return {
            "data": [
                item
                | {"status": "success", "videoUUID": f"{number}-{task_id}", "NSFWContent": flagged}
                | ({"videoURL": url, "cost": self._cost(task_id) / len(urls)} if url else {})
                for number, url in enumerate(urls)
            ]
        }

    def _cost(self, task_id: str) -> float:
        task: Task = self._world.tasks[task_id]
        return float(task.cents) / 100
