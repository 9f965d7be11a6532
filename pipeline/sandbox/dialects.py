"""How faults look in each dialect: WaveSpeed's envelope, Runware's lists, the files port's text."""

from __future__ import annotations

import json
from collections.abc import Callable

from pipeline.sandbox.fault_catalogue import Endpoint
from pipeline.sandbox.fault_rules import Rule
from pipeline.sandbox.options import Quirk
from pipeline.sandbox.runware_errors import TaskError, status_code
from pipeline.sandbox.spoiling import Answer, Data, error

_Fill = Callable[[str], str]


class WaveSpeedFaults:
    """``{code, message, data}`` with one task in it."""

    def refusal(self, status: int, message: str) -> Answer:
        """A flat error."""
        return error(status, json.dumps({"code": status, "message": message}))

    def inner_refusal(self, code: int) -> Answer:
        """An envelope whose code says no."""
        return error(200, json.dumps({"code": code, "message": "the envelope says no"}))

    def unknown_task(self, _endpoint: Endpoint) -> Answer:
        """404."""
        return self.refusal(404, "Prediction not found")

    def is_final(self, answer: Answer) -> bool:
        """Any status but the two of a running task."""
        status = self._data(answer).get("status")
        return status is not None and status not in {"created", "processing"}

    def is_completed(self, answer: Answer) -> bool:
        """By its status."""
        return self._data(answer).get("status") == "completed"

    def spoil(self, rule: Rule, answer: Answer, fill: _Fill) -> Answer | None:
        """Other data, for the faults that only change what a task is said to be."""
        data = self._data(answer)
        changed = self._spoiled(rule, data, fill) if data else None
        return None if changed is None else answer.with_data(changed)

    def readdress(self, answer: Answer, change: _Fill) -> Answer:
        """Other addresses, in a task or in each item of a list."""
        data = self._data(answer)
        if not data:
            return answer

        def moved(task: Data) -> Data:
            outputs = task.get("outputs")
            if not isinstance(outputs, list):
                return task
            return task | {"outputs": [change(str(url)) for url in outputs]}

        if isinstance(data.get("items"), list):
            return answer.with_data(data | {"items": [moved(item) for item in data["items"]]})
        return answer.with_data(moved(data))

    def _data(self, answer: Answer) -> Data:
        data = answer.envelope().get("data")
        return data if isinstance(data, dict) else {}

    def _spoiled(  # noqa: PLR0911 - a table: one return for each fault
        self, rule: Rule, data: Data, fill: _Fill
    ) -> Data | None:
        outputs = data.get("outputs") or []
        match rule.fault:
            case "no_id":
                return {key: value for key, value in data.items() if key not in {"id", "urls"}}
            case "unknown_status":
                return data | {"status": rule.text("status"), "outputs": []}
            case "regress":
                return data | {"status": "created", "outputs": []}
            case "nsfw_flag":
                return data | {"has_nsfw_contents": [True]}
            case "two_outputs":
                return data | {"outputs": [*outputs, *(f"{url}?copy=2" for url in outputs)]}
            case "object_outputs":
                return data | {"outputs": [{"url": url} for url in outputs]}
            case "outputs_url":
                return data | {"outputs": [fill(rule.text("url"))]}
            case "no_outputs":
                if rule.text("form") == "missing":
                    return {key: value for key, value in data.items() if key != "outputs"}
                return data | {"outputs": None if rule.text("form") == "null" else []}
            case "wrong_price":
                price = float(str(rule.settings["usd"]))
                return data | {"price": price, "discounted_price": price}
            case _:
                return None


class RunwareFaults:
    """``{data: [...], errors: [...]}`` with an item for each result."""

    def __init__(self, quirks: frozenset[Quirk]) -> None:
        self._quirks = quirks

    def refusal(self, status: int, message: str) -> Answer:
        """An error that belongs to no task."""
        item = TaskError(status_code(status), message).item()
        return error(status, json.dumps({"data": [], "errors": [item]}))

    def inner_refusal(self, code: int) -> Answer:
        """Errors beside no data, under HTTP 200."""
        answer = self.refusal(code if 400 <= code <= 599 else 500, "the envelope says no")
        return error(200, answer.body.decode())

    def unknown_task(self, endpoint: Endpoint) -> Answer:
        """Nothing at all, or an error: a poll answers as it is set to."""
        if endpoint is Endpoint.RESULT and Quirk.UNKNOWN_IS_ERROR not in self._quirks:
            return error(200, json.dumps({"data": []}))
        item = TaskError("taskNotFound", "There is no task with this 'taskUUID'.").item()
        return error(400, json.dumps({"data": [], "errors": [item]}))

    def is_final(self, answer: Answer) -> bool:
        """Every result is there, or the task has failed."""
        items = self._items(answer)
        failed = any(item.get("status") == "error" for item in items)
        return failed or self.is_completed(answer) or "errors" in answer.envelope()

    def is_completed(self, answer: Answer) -> bool:
        """Every result is there."""
        items = self._items(answer)
        return bool(items) and all(item.get("status") == "success" for item in items)

    def spoil(self, rule: Rule, answer: Answer, fill: _Fill) -> Answer | None:
        """Other items, for the faults that only change what a task is said to be."""
        items = self._items(answer)
        if rule.fault == "two_outputs":
            copies = [item | {"videoURL": f"{item.get('videoURL')}?copy=2"} for item in items]
            return answer.with_data([*items, *copies])
        changed = [self._spoiled(rule, item, fill) for item in items]
        told = [item for item in changed if item is not None]
        return answer.with_data(told) if told else None

    def readdress(self, answer: Answer, change: _Fill) -> Answer:
        """Other addresses in each item, also of those in the archive."""

        def moved(item: Data) -> Data:
            url, response = item.get("videoURL"), item.get("response")
            if isinstance(url, str):
                return item | {"videoURL": change(url)}
            if isinstance(response, dict) and isinstance(response.get("data"), list):
                return item | {
                    "response": response | {"data": [moved(i) for i in response["data"]]}
                }
            return item

        items = self._items(answer)
        return answer.with_data([moved(item) for item in items]) if items else answer

    def _items(self, answer: Answer) -> list[Data]:
        data = answer.envelope().get("data")
        return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []

    def _spoiled(  # noqa: PLR0911 - a table: one return for each fault
        self, rule: Rule, item: Data, fill: _Fill
    ) -> Data | None:
        unfinished = {key: v for key, v in item.items() if key not in {"videoURL", "cost", "seed"}}
        match rule.fault:
            case "no_id":
                return {key: value for key, value in item.items() if key != "taskUUID"}
            case "unknown_status":
                return unfinished | {"status": rule.text("status")}
            case "regress":
                return unfinished | {"status": "processing"}
            case "nsfw_flag":
                return item | {"NSFWContent": True}
            case "object_outputs":
                return item | {"videoURL": {"url": item.get("videoURL")}}
            case "outputs_url":
                return item | {"videoURL": fill(rule.text("url"))}
            case "no_outputs":
                if rule.text("form") == "missing":
                    return {key: value for key, value in item.items() if key != "videoURL"}
                return item | {"videoURL": None if rule.text("form") == "null" else ""}
            case _:
                return None


class FilesFaults:
    """Plain text; what tells of tasks does not come from here."""

    def refusal(self, status: int, message: str) -> Answer:
        """A line of text."""
        return error(status, message, content_type=b"text/plain; charset=utf-8")

    def inner_refusal(self, code: int) -> Answer:
        """There is no envelope here."""
        return self.refusal(code, "the envelope says no")

    def unknown_task(self, _endpoint: Endpoint) -> Answer:
        """404."""
        return self.refusal(404, "no such object\n")

    def is_final(self, _answer: Answer) -> bool:
        """Never."""
        return False

    def is_completed(self, _answer: Answer) -> bool:
        """Never."""
        return False

    def spoil(self, _rule: Rule, _answer: Answer, _fill: _Fill) -> Answer | None:
        """Nothing to change."""
        return None

    def readdress(self, answer: Answer, _change: _Fill) -> Answer:
        """Nothing to change."""
        return answer
