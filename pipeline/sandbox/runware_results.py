"""What Runware tells of a task that was accepted: one item for each result, or an error.

Sources: https://runware.ai/docs/platform/task-polling ,
https://runware.ai/docs/platform/task-details
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

from pipeline.sandbox.answers import NS_PER_S
from pipeline.sandbox.bill import usd
from pipeline.sandbox.files import Files
from pipeline.sandbox.options import Quirk, SandboxOptions
from pipeline.sandbox.outputs import output_names, video_uuid
from pipeline.sandbox.runware_errors import FAILURE_NAMES, TaskError
from pipeline.sandbox.runware_prices import shares_micro_usd
from pipeline.sandbox.store import Task

Item = dict[str, object]

_ENDINGS = {"cancelled": "taskCancelled", "timeout": "timeoutProvider"}


class Results:
    """Builds items; ``address`` turns a path of the files port into an address."""

    def __init__(self, *, files: Files, options: SandboxOptions) -> None:
        self._files = files
        self._options = options

    def items(self, task: Task, name: object, address: Callable[[str], str]) -> list[Item]:
        """The results of a task that has not failed, in order; ``name`` is its id as asked for."""
        return [
            self.item(task, index, name, address) or self._waiting(task, index, name)
            for index in range(task.results)
        ]

    def item(
        self, task: Task, index: int, name: object, address: Callable[[str], str]
    ) -> Item | None:
        """One finished result; None while there is nothing to fetch."""
        file = output_names(task)[index]
        # A finished one stays told when its file is gone, as an address does that has expired.
        if task.status != "completed" and not self._files.is_there(task, file):
            return None
        item = _head(task, name) | {
            "status": "success",
            "videoUUID": video_uuid(task, index),
            "videoURL": address(f"/outputs/{task.id}/{file}"),
            "seed": zlib.crc32(f"{task.content_key}:{index}".encode()),
        }
        if task.inputs.get("includeCost") is True:
            share = shares_micro_usd(task.price_micro_usd, task.results)[index]
            item["cost"] = float(usd(share))
        safety = task.inputs.get("safety")
        if isinstance(safety, Mapping) and safety.get("checkContent") is True:
            item["NSFWContent"] = False
        return item

    def failure(self, task: Task) -> TaskError:
        """Why a task failed."""
        code = task.error_name or _ENDINGS.get(task.status) or FAILURE_NAMES.get(task.error_code)
        where = None
        if task.error_code == 1402:
            given = task.inputs.get("inputs")
            where = f"inputs.{next(iter(given))}" if isinstance(given, Mapping) and given else None
        return TaskError(
            code or "taskFailed", task.error or f"The task ended as {task.status}.", parameter=where
        )

    def failed_item(self, task: Task, name: object) -> Item:
        """A failed task as an item among results."""
        return _head(task, name) | {"status": "error", "error": self.failure(task).item()}

    def _waiting(self, task: Task, index: int, name: object) -> Item:
        item = _head(task, name) | {"status": "processing"}
        if Quirk.NO_EARLY_UUID not in self._options.quirks:
            item["videoUUID"] = video_uuid(task, index)
        if task.starts_ns is not None and task.latency_ns:
            passed_ns = self._options.clock() - task.starts_ns
            item["progress"] = max(0, min(99, passed_ns * 100 // task.latency_ns))
        return item


def archived_request(task: Task) -> Item:
    """The request of a task as it was understood."""
    return {**task.inputs, "taskUUID": task.id}


def seconds_taken(task: Task) -> float:
    """From acceptance to end; 0 while it runs."""
    return 0.0 if task.ends_ns is None else (task.ends_ns - task.created_ns) / NS_PER_S


def _head(task: Task, name: object) -> Item:
    return {"taskType": str(task.inputs["taskType"]), "taskUUID": name}
