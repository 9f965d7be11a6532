"""Tells a customer's own server that a result is there: webhook and upload endpoint.

Source: https://runware.ai/docs/platform/webhooks
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from pipeline.sandbox.courier import Courier
from pipeline.sandbox.options import Quirk, SandboxOptions
from pipeline.sandbox.outputs import media_type, output_names
from pipeline.sandbox.renders import RenderQueue
from pipeline.sandbox.runware_orders import MODEL
from pipeline.sandbox.runware_results import Item, Results
from pipeline.sandbox.store import Store, Task

_FIRST_LOOK_S, _SELDOM_S = 0.02, 0.5
# Their number is not published.
_ATTEMPTS = 6

Address = Callable[[str], str]


class Notices:
    """Watches the tasks that want notices; everything runs in the event loop."""

    def __init__(
        self,
        *,
        store: Store,
        renders: RenderQueue,
        results: Results,
        courier: Courier,
        options: SandboxOptions,
    ) -> None:
        self._store = store
        self._renders = renders
        self._results = results
        self._options = options
        self._courier = courier

    def watch(self, task: Task, address: Address) -> None:
        """Send what is wanted as soon as it is due; a task that wants nothing is left alone."""
        wanted = task.webhook is not None or task.inputs.get("uploadEndpoint") is not None
        if task.model != MODEL or not wanted:
            return
        self._courier.begin(self._follow(task.id, address))

    async def _follow(self, task_id: str, address: Address) -> None:
        told: set[int] = set()
        look_s = _FIRST_LOOK_S
        while (task := self._store.task(task_id, now_ns=self._options.clock())) is not None:
            for index in range(task.results):
                item = self._results.item(task, index, task.id, address)
                if item is not None and index not in told:
                    told.add(index)
                    await self._send_result(task, index, item)
            if task.is_final:
                if task.status != "completed":
                    error = self._results.failure(task)
                    item = error.item(taskUUID=task.id, taskType=task.inputs["taskType"])
                    await self._post(task, {"errors": [item | {"status": "error"}]})
                return
            await asyncio.sleep(look_s)
            look_s = min(2 * look_s, _SELDOM_S)

    async def _send_result(self, task: Task, index: int, item: Item) -> None:
        endpoint = task.inputs.get("uploadEndpoint")
        if isinstance(endpoint, str):
            name = output_names(task)[index]
            content = await asyncio.to_thread(self._renders.output(task.id, name).read_bytes)
            await self._send("upload_endpoint", "PUT", endpoint, content, media_type(name))
        wrapped = Quirk.WRAPPED_WEBHOOKS in self._options.quirks
        await self._post(task, {"data": [item]} if wrapped else item)

    async def _post(self, task: Task, body: Item) -> None:
        if task.webhook is not None:
            content = json.dumps(body).encode()
            await self._send("webhook", "POST", task.webhook, content, "application/json")

    async def _send(self, name: str, method: str, url: str, content: bytes, kind: str) -> None:
        await self._courier.deliver(
            name, method, url, content, lambda: {"Content-Type": kind}, attempts=_ATTEMPTS
        )
