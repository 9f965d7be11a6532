"""The paged answers: history, billing rows, usage.

Sources: https://wavespeed.ai/docs/docs-common-api/predictions ,
https://www.wavespeed.ai/docs/check-billings , https://wavespeed.ai/docs/check-usage
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pipeline.sandbox.answers import NS_PER_S, Refusal, is_integer, read_time, write_time
from pipeline.sandbox.bill import REFUNDED_CODES, usd
from pipeline.sandbox.orders import MODELS
from pipeline.sandbox.store import RETENTION_NS, STATUS_SQL, Store, Task

MAX_PAGE_SIZE = 100
_MAX_PAGE = 1_000_000_000
_MAX_USAGE_NS = 31 * 86_400 * NS_PER_S

# The account may have bought from another provider as well, whose models are named otherwise.
_OURS = f"model IN ({', '.join(repr(name) for name in MODELS)})"

Body = Mapping[str, object]


def history(
    store: Store, body: Body, *, now_ns: int, view: Callable[[Task], dict[str, object]]
) -> dict[str, object]:
    """Tasks of the last seven days, newest first; deleted ones are gone.

    Raises:
        Refusal: 400, a page or filter makes no sense.
    """
    page, size = _read_page(body)
    where = ["status != 'deleted'", "created_ns > :oldest", _OURS]
    values: dict[str, object] = {"oldest": now_ns - RETENTION_NS}
    for field in ("model", "status"):
        if (value := _read_text(body, field)) is not None:
            where.append(f"{field} = :{field}")
            values[field] = value
    if (after_ns := _read_moment(body, "created_after")) is not None:
        where.append("created_ns >= :after")
        values["after"] = after_ns
    if (before_ns := _read_moment(body, "created_before")) is not None:
        where.append("created_ns < :before")
        values["before"] = before_ns
    condition = " AND ".join(where)
    matching = store.tasks(
        condition,
        {**values, "limit": size, "offset": (page - 1) * size},
        now_ns=now_ns,
        tail="ORDER BY seq DESC LIMIT :limit OFFSET :offset",
    )
    total = store.count_tasks(condition, values, now_ns=now_ns)
    return {"page": page, "total": total, "items": [view(task) for task in matching]}


def billings(store: Store, body: Body, *, now_ns: int) -> dict[str, object]:
    """Charges and refunds up to now, newest first unless asked otherwise.

    Raises:
        Refusal: 400, a page or filter makes no sense.
    """
    page, size = _read_page(body)
    where = ["bill.at_ns <= :now", _OURS]
    values: dict[str, object] = {"now": now_ns}
    for field, column in (
        ("billing_type", "bill.kind"),
        ("model_uuid", "tasks.model"),
        ("access_key_uuid", "tasks.access_key_id"),
    ):
        if (value := _read_text(body, field)) is not None:
            where.append(f"{column} = :{field}")
            values[field] = value
    ids = body.get("prediction_uuids")
    if ids is not None:
        chosen = read_ids(ids, "prediction_uuids")
        names = [f"id{n}" for n in range(len(chosen))]
        where.append(f"bill.task_id IN ({', '.join(':' + name for name in names)})")
        values |= dict(zip(names, chosen, strict=True))
    for field, comparison in (("start_time", ">="), ("end_time", "<=")):
        if (moment_ns := _read_moment(body, field)) is not None:
            where.append(f"bill.at_ns {comparison} :{field}")
            values[field] = moment_ns
    order = body.get("sort", "created_at DESC")
    if order not in {"created_at ASC", "created_at DESC"}:
        raise Refusal(400, "sort must be 'created_at ASC' or 'created_at DESC'")
    direction = "ASC" if order == "created_at ASC" else "DESC"
    joined = f"FROM bill JOIN tasks ON tasks.id = bill.task_id WHERE {' AND '.join(where)}"
    (total,) = store.query(f"SELECT count(*) AS n {joined}", values)
    rows = store.query(
        f"SELECT bill.*, model, access_key_id, ends_ns, {STATUS_SQL} AS status {joined}"
        f" ORDER BY bill.seq {direction} LIMIT :limit OFFSET :offset",
        {**values, "limit": size, "offset": (page - 1) * size},
    )
    items = [
        {
            "uuid": row["uuid"],
            "access_key_id": row["access_key_id"],
            "access_key_name": "sandbox",
            "billing_type": row["kind"],
            "price": float(usd(row["amount_micro_usd"])),
            "created_at": write_time(row["at_ns"]),
            "updated_at": write_time(row["at_ns"]),
            "order": {
                "uuid": row["uuid"],
                "state": "pre" if row["ends_ns"] is None or row["ends_ns"] > now_ns else "done",
                "price": float(usd(row["amount_micro_usd"])),
                "origin_price": float(usd(row["amount_micro_usd"])),
                "status": row["status"],
                "ak_id": row["access_key_id"],
            },
            "prediction": {
                "uuid": row["task_id"],
                "model_uuid": row["model"],
                "status": row["status"],
            },
        }
        for row in rows
    ]
    return {"page": page, "total": total["n"], "items": items}


def usage(store: Store, body: Body, *, now_ns: int) -> dict[str, object]:
    """Cost and number of the tasks created in a span, in all, per model and per UTC day.

    Raises:
        Refusal: 400, the span is missing, backward or longer than 31 days.
    """
    start_ns, end_ns = (_read_moment(body, field) for field in ("start_time", "end_time"))
    if start_ns is None or end_ns is None:
        raise Refusal(400, "start_time and end_time are required")
    if not 0 <= end_ns - start_ns <= _MAX_USAGE_NS:
        raise Refusal(400, "end_time must follow start_time by at most 31 days")
    model = _read_text(body, "model_uuid")
    tasks = store.tasks(
        "created_ns >= :start AND created_ns <= :end AND (:model IS NULL OR model = :model)",
        {"start": start_ns, "end": end_ns, "model": model},
        now_ns=now_ns,
        tail="ORDER BY seq",
    )
    models: dict[str, list[Task]] = {}
    days: dict[str, list[Task]] = {}
    for task in tasks:
        models.setdefault(task.model, []).append(task)
        day = datetime.fromtimestamp(task.created_ns // NS_PER_S, UTC).date().isoformat()
        days.setdefault(day, []).append(task)
    return {
        "per_model_usage": [{"model_uuid": name} | _sum(group) for name, group in models.items()],
        "daily_usage": [{"date": name} | _sum(group) for name, group in days.items()],
        "summary": _sum(tasks),
    }


def read_ids(value: object, field: str) -> list[str]:
    """A list of task ids.

    Raises:
        Refusal: 400, it is something else.
    """
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refusal(400, f"{field} must be an array of prediction ids")
    return value


def _sum(tasks: list[Task]) -> dict[str, object]:
    kept = (task for task in tasks if not (task.is_final and task.error_code in REFUNDED_CODES))
    return {
        "total_cost": float(usd(sum(task.price_micro_usd for task in kept))),
        "total_requests": len(tasks),
        "success_requests": sum(task.status == "completed" for task in tasks),
    }


def _read_page(body: Body) -> tuple[int, int]:
    page, size = body.get("page"), body.get("page_size")
    if not is_integer(page) or not 1 <= page <= _MAX_PAGE:
        raise Refusal(400, f"page is required and must be an integer 1 to {_MAX_PAGE}")
    if not is_integer(size) or not 1 <= size <= MAX_PAGE_SIZE:
        raise Refusal(400, f"page_size is required and must be an integer 1 to {MAX_PAGE_SIZE}")
    return page, size


def _read_text(body: Body, field: str) -> str | None:
    value = body.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Refusal(400, f"{field} must be a string")
    return value


def _read_moment(body: Body, field: str) -> int | None:
    """Unix nanoseconds; RFC 3339, or epoch milliseconds as the billing page shows them."""
    value = _read_text(body, field)
    if value is None:
        return None
    moment_ns = int(value) * 1_000_000 if value.isascii() and value.isdigit() else read_time(value)
    if moment_ns is None or abs(moment_ns) >= 2**63:
        raise Refusal(400, f"{field} must be an RFC 3339 time")
    return moment_ns
