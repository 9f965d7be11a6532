"""Tells a customer's own server that a result is there: webhook and upload endpoint.

Only addresses of this machine are ever called; what should go elsewhere is counted and dropped.

Source: https://runware.ai/docs/platform/webhooks
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from pipeline.sandbox.options import Quirk, SandboxOptions
from pipeline.sandbox.outputs import media_type, output_names
from pipeline.sandbox.renders import RenderQueue
from pipeline.sandbox.runware_orders import MODEL
from pipeline.sandbox.runware_results import Item, Results
from pipeline.sandbox.store import Store, Task

_LOG = logging.getLogger(__name__)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_FIRST_LOOK_S, _SELDOM_S = 0.02, 0.5
_ANSWER_LIMIT_S = 5.0
# Attempts start this far apart, doubling up to the last. Their number is not published.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _ATTEMPTS = 0.25, 8.0, 6

Address = Callable[[str], str]


class Notices:
    """Watches the tasks that want notices; everything runs in the event loop."""

    def __init__(
        self, *, store: Store, renders: RenderQueue, results: Results, options: SandboxOptions
    ) -> None:
        self._store = store
        self._renders = renders
        self._results = results
        self._options = options
        self._watching: set[asyncio.Task[None]] = set()

    def watch(self, task: Task, address: Address) -> None:
        """Send what is wanted as soon as it is due; a task that wants nothing is left alone."""
        wanted = task.webhook is not None or task.inputs.get("uploadEndpoint") is not None
        if task.model != MODEL or not wanted:
            return
        watching = asyncio.get_running_loop().create_task(self._follow(task.id, address))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    def stop(self) -> None:
        """Send nothing more."""
        for watching in self._watching:
            watching.cancel()

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
            await self._deliver("upload_endpoint", "PUT", endpoint, content, media_type(name))
        wrapped = Quirk.WRAPPED_WEBHOOKS in self._options.quirks
        await self._post(task, {"data": [item]} if wrapped else item)

    async def _post(self, task: Task, body: Item) -> None:
        if task.webhook is not None:
            content = json.dumps(body).encode()
            await self._deliver("webhook", "POST", task.webhook, content, "application/json")

    async def _deliver(
        self, name: str, method: str, url: str, content: bytes, content_type: str
    ) -> None:
        parts = urlsplit(url)
        if parts.hostname not in _LOOPBACK:
            self._store.count(f"{name}.elsewhere")
            return
        pause_s = _FIRST_PAUSE_S
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._store.count(name)
            if await asyncio.to_thread(_send, method, parts, content, content_type):
                return
            self._store.count(f"{name}.failed")


def _send(method: str, parts: SplitResult, content: bytes, content_type: str) -> bool:
    """Whether the other side took it. One request, no redirect, nothing from the environment."""
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=_ANSWER_LIMIT_S
        )
        try:
            connection.request(method, path, content, {"Content-Type": content_type})
            return 200 <= connection.getresponse().status < 300
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as exc:
        _LOG.warning("%s to port %s failed: %s", method, parts.netloc.rpartition(":")[2], exc)
        return False
