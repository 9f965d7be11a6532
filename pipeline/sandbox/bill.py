"""The sandbox's own price list, and the record of what clients cost and what they did wrong.

Deliberately a second opinion: nothing here comes from the client, so that its estimate and this
bill agree only if both are right. Money is a whole number of millionths of a dollar inside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from pipeline.sandbox.answers import write_time
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.store import Store

MICRO = 1_000_000

# Failures that give the money back; what the customer got wrong (1200, 1400 to 1402) does not.
# Source: https://wavespeed.ai/docs/refund-policy , https://wavespeed.ai/docs/error-codes
REFUNDED_CODES = frozenset({1403, 1405, 5000, 5003, 5004})

# Tasks that a fault script adds to the account were bought with this key.
STRANGERS_KEY_ID = "stranger"
# Name of a counter: this, the endpoint, a dot, the fault.
FAULT_COUNTER = "fault."


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRule:
    """So much for a second of the requested duration; ``base_duration_s`` prices an empty quote."""

    micro_usd_per_s: int
    base_duration_s: int


# Source: https://wavespeed.ai/docs/docs-api/x-ai/x-ai-grok-imagine-video-reference-to-video
PRICES: Mapping[str, PriceRule] = MappingProxyType(
    {
        "x-ai/grok-imagine-video/reference-to-video": PriceRule(
            micro_usd_per_s=50_000, base_duration_s=6
        )
    }
)


def price_micro_usd(model: str, duration_s: int) -> int:
    """Price of one task; charged on acceptance."""
    return PRICES[model].micro_usd_per_s * duration_s


def usd(micro_usd: int) -> Decimal:
    """Dollars, exact."""
    return Decimal(micro_usd) / MICRO


def micro_usd(amount_usd: Decimal) -> int:
    """Millionths of a dollar; anything finer is dropped."""
    return int(amount_usd * MICRO)


def usd_text(micro_usd: int) -> str:
    """Dollars with two decimals, or as many more as are needed."""
    amount = usd(micro_usd)
    cents = amount.quantize(Decimal("0.01"))
    return str(cents if cents == amount else amount.normalize())


def build_record(store: Store, options: SandboxOptions, *, now_ns: int) -> dict[str, object]:
    """Everything a test of a client wants to know, as JSON values; money as decimal text.

    ``bill``: rows and totals up to now. ``tasks``: in order of acceptance. ``violations``: see
    ``ViolationKind``. ``duplicates``: tasks that repeat an earlier one which has not failed; a
    second take is one too, so they are information and no violation. ``counters``: requests per
    endpoint, and per endpoint and status for those refused. ``faults``: how often each fault of
    the script was played.
    """
    counters = store.counters()
    limits = options.limits
    rows = store.query(
        "SELECT uuid, task_id, kind, amount_micro_usd, at_ns FROM bill WHERE at_ns <= :now"
        " ORDER BY seq",
        {"now": now_ns},
    )
    spent = {
        kind: sum(row["amount_micro_usd"] for row in rows if row["kind"] == kind)
        for kind in ("deduct", "refund")
    }
    tasks = store.tasks("1", {}, now_ns=now_ns, tail="ORDER BY seq")
    return {
        "limits": {
            "starts_per_window": limits.starts_per_window,
            "rate_window_s": options.rate_window_s,
            "max_tasks": limits.max_tasks,
            "min_poll_s": options.min_poll_s,
        },
        "bill": {
            "currency": "USD",
            "deducted_usd": usd_text(spent["deduct"]),
            "refunded_usd": usd_text(spent["refund"]),
            "total_usd": usd_text(spent["deduct"] - spent["refund"]),
            "rows": [
                {
                    "task_id": row["task_id"],
                    "kind": row["kind"],
                    "amount_usd": usd_text(row["amount_micro_usd"]),
                    "at": write_time(row["at_ns"]),
                }
                for row in rows
            ],
        },
        "tasks": [
            {
                "id": task.id,
                "model": task.model,
                "inputs": task.inputs,
                "webhook": task.webhook,
                "status": task.status,
                "error_code": task.error_code if task.is_final else 0,
                "price_usd": usd_text(task.price_micro_usd),
                "created_at": write_time(task.created_ns),
                "started_at": None if task.starts_ns is None else write_time(task.starts_ns),
                "ended_at": write_time(task.ends_ns) if task.is_final and task.ends_ns else None,
                "polls": task.polls,
                "downloads": task.downloads,
                "stranger": task.access_key_id == STRANGERS_KEY_ID,
            }
            for task in tasks
        ],
        "violations": [
            {
                "kind": row["kind"],
                "at": write_time(row["at_ns"]),
                "task_id": row["task_id"],
                "detail": json.loads(row["detail"]),
            }
            for row in store.query("SELECT * FROM violations ORDER BY seq", {})
        ],
        "duplicates": [
            {"task_id": task.id, "dup_of": task.dup_of} for task in tasks if task.dup_of
        ],
        "counters": {name: n for name, n in counters.items() if not name.startswith(FAULT_COUNTER)},
        "faults": [
            _fault_count(name, n) for name, n in counters.items() if name.startswith(FAULT_COUNTER)
        ],
    }


def _fault_count(counter: str, n: int) -> dict[str, object]:
    on, _, fault = counter.removeprefix(FAULT_COUNTER).partition(".")
    return {"fault": fault, "on": on, "count": n}


def write_record(record: Mapping[str, object], path: Path) -> None:
    """Put the record at ``path``, whole or not at all; the folder is made.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
