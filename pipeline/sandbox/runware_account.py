"""What Runware tells of the account and of its models.

Source: https://runware.ai/docs/platform/account-management
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from pipeline.sandbox.answers import NS_PER_S, is_integer, read_time
from pipeline.sandbox.bill import REFUNDED_CODES, usd
from pipeline.sandbox.runware_errors import FAILURE_NAMES, TaskError, invalid, missing
from pipeline.sandbox.runware_orders import MODEL
from pipeline.sandbox.runware_results import seconds_taken
from pipeline.sandbox.store import Store, Task

Body = Mapping[str, object]

_DAY_NS = 86_400 * NS_PER_S
_MAX_SPAN_NS = 31 * _DAY_NS
_ORGANISATION = "Sandbox"
_NAMES = (MODEL, "Grok Imagine Video", "xai", "video")


def manage(store: Store, body: Body, *, balance_micro_usd: int, now_ns: int) -> dict[str, object]:
    """Answer one ``accountManagement`` task.

    Raises:
        TaskError: there is no such operation, or its span of time makes no sense.
    """
    operation = body.get("operation")
    if operation is None:
        raise missing("operation", f"one of {', '.join(_OPERATIONS)}")
    if operation == "getDetails":
        return _details(store, balance_micro_usd=balance_micro_usd, now_ns=now_ns)
    build = _OPERATIONS.get(str(operation))
    if build is None:
        raise invalid("operation", "one of the allowed values", allowed=_OPERATIONS)
    start_ns, end_ns = (_read_day(body, name) for name in ("startDate", "endDate"))
    if not 0 <= end_ns - start_ns <= _MAX_SPAN_NS:
        raise TaskError(
            "invalidDateRange",
            "Parameter 'endDate' must follow 'startDate' by at most 30 days.",
            parameter=["startDate", "endDate"],
        )
    tasks = store.tasks(
        "created_ns >= :start AND created_ns < :end AND model = :model",
        {"start": start_ns, "end": end_ns + _DAY_NS, "model": MODEL},
        now_ns=now_ns,
        tail="ORDER BY seq",
    )
    return {
        "operation": operation,
        "startDate": body["startDate"],
        "endDate": body["endDate"],
        "usage": {"results": build(tasks)},
    }


def search_models(body: Body) -> dict[str, object]:
    """Answer one ``modelSearch`` task: the sandbox sells a single model."""
    text = body.get("search", "")
    words = text.lower().split() if isinstance(text, str) else []
    found = all(any(word in name.lower() for name in _NAMES) for word in words)
    offset, limit = body.get("offset", 0), body.get("limit", 20)
    shown = found and offset == 0 and (not is_integer(limit) or limit > 0)
    model = {"air": MODEL, "name": "Grok Imagine Video", "category": "video", "private": False}
    return {"totalResults": int(found), "results": [model] if shown else []}


def _details(store: Store, *, balance_micro_usd: int, now_ns: int) -> dict[str, object]:
    def since(days: int | None) -> dict[str, object]:
        oldest_ns = 0 if days is None else now_ns - days * _DAY_NS
        tasks = store.tasks("created_ns > :oldest", {"oldest": oldest_ns}, now_ns=now_ns)
        return {"credits": _dollars(tasks), "requests": len(tasks)}

    return {
        "operation": "getDetails",
        "organizationName": _ORGANISATION,
        "organizationUUID": str(uuid.uuid5(uuid.NAMESPACE_DNS, _ORGANISATION)),
        "balance": {"amount": float(usd(balance_micro_usd)), "freeBalance": 0, "currency": "USD"},
        "team": [],
        "apiKeys": [],
        "usage": {
            "total": since(None),
            "today": since(1),
            "last7Days": since(7),
            "last30Days": since(30),
        },
    }


def _activity(tasks: list[Task]) -> list[dict[str, object]]:
    days: dict[str, list[Task]] = {}
    for task in tasks:
        day = datetime.fromtimestamp(task.created_ns // NS_PER_S, UTC).date().isoformat()
        days.setdefault(day, []).append(task)
    return [
        {"date": day, "model": MODEL, "requests": len(group), "credits": _dollars(group)}
        for day, group in days.items()
    ]


def _performance(tasks: list[Task]) -> list[dict[str, object]]:
    taken = [seconds_taken(task) for task in tasks if task.status == "completed"]
    if not taken:
        return []
    return [
        {"model": MODEL, "requests": len(taken), "averageTime": sum(taken) / len(taken)},
    ]


def _errors(tasks: list[Task]) -> list[dict[str, object]]:
    codes = Counter(
        task.error_name or FAILURE_NAMES.get(task.error_code, "taskFailed")
        for task in tasks
        if task.status == "failed"
    )
    return [{"model": MODEL, "code": code, "requests": n} for code, n in codes.items()]


_OPERATIONS: Mapping[str, Callable[[list[Task]], list[dict[str, object]]] | None] = {
    "getDetails": None,
    "getUsageActivity": _activity,
    "getUsagePerformance": _performance,
    "getUsageErrors": _errors,
}


def _dollars(tasks: list[Task]) -> float:
    kept = (task for task in tasks if not (task.is_final and task.error_code in REFUNDED_CODES))
    return float(sum((usd(task.price_micro_usd) for task in kept), Decimal(0)))


def _read_day(body: Body, name: str) -> int:
    value = body.get(name)
    if value is None:
        raise missing(name, "a date")
    text = value if isinstance(value, str) else ""
    day_ns = read_time(text) or read_time(f"{text}T00:00:00Z")
    if day_ns is None:
        raise invalid(name, "a date such as 2026-05-04")
    return day_ns
