"""Changes behind the customer's back that fault scripts ask for: tasks that fail, hang or appear.

They change the truth, not an answer: history, billing rows and limits agree with them.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import uuid
from dataclasses import dataclass

from pipeline.sandbox.account import Account
from pipeline.sandbox.bill import REFUNDED_CODES, STRANGERS_KEY_ID, price_micro_usd
from pipeline.sandbox.orders import MODELS
from pipeline.sandbox.store import Store

TIMED_OUT = 5004
_NEVER_NS = 2**62

# What a customer was told to be over stays as it is.
_STILL_OPEN = (
    "id = :id AND deleted_ns IS NULL AND final_answers = 0"
    " AND (outcome IS NULL OR outcome = 'completed')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """What fault rules go by."""

    prompt: str
    created_ns: int


class Meddler:
    """Works on the store directly; every call is one transaction."""

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account

    def facts(self, task_id: str, *, now_ns: int) -> TaskFacts | None:
        """A task's prompt and age; None if there is no such task."""
        task = self._store.task(task_id, now_ns=now_ns)
        if task is None:
            return None
        return TaskFacts(prompt=task.prompt, created_ns=task.created_ns)

    def fail(self, task_id: str, *, code: int, error: str, now_ns: int, name: str = "") -> bool:
        """Let a task fail now; refunded where the code is one of those. False: it was over."""
        return self._end(task_id, "failed", code=code, error=error, now_ns=now_ns, name=name)

    def end_as(self, task_id: str, status: str, *, now_ns: int) -> bool:
        """End a task as ``cancelled``, ``timeout`` (refunded), ``deleted``. False: it was over."""
        if status != "deleted":
            code = TIMED_OUT if status == "timeout" else 0
            return self._end(task_id, status, code=code, error="", now_ns=now_ns)
        with self._store.transaction() as db:
            is_open = _is_open(db, task_id)
        return is_open and bool(self._account.delete([task_id], now_ns=now_ns))

    def stick(self, task_id: str, *, now_ns: int) -> bool:
        """Let a task run for ever; it keeps its slot. False: it was over, or stuck already."""
        with self._store.transaction() as db:
            changed = db.execute(
                "UPDATE tasks SET starts_ns = coalesce(starts_ns, :now), outcome = 'completed',"  # noqa: S608 - own words only
                f" ends_ns = :never WHERE {_STILL_OPEN} AND ends_ns IS NOT :never",
                {"id": task_id, "now": now_ns, "never": _NEVER_NS},
            )
        return changed.rowcount == 1

    def add_strangers(self, n: int, *, prompt: str, created_ns: int) -> None:
        """Tasks of another key of the same account: on its history and its bill, long done."""
        model = next(iter(MODELS.values()))
        duration_s, resolution = model.durations_s[0], model.resolutions[0]
        images = ["https://static.example.net/somebody-elses.png"]
        inputs = {
            "images": images,
            "prompt": prompt,
            "duration": duration_s,
            "resolution": resolution,
        }
        price = price_micro_usd(model.id, duration_s)
        with self._store.transaction() as db:
            for _ in range(n):
                task_id = secrets.token_hex(16)
                db.execute(
                    "INSERT INTO tasks (id, model, inputs, image_files, content_key,"
                    " access_key_id, price_micro_usd, created_ns, starts_ns, latency_ns,"
                    " rendered_ns, ends_ns, outcome)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 'completed')",
                    (
                        task_id,
                        model.id,
                        json.dumps(inputs),
                        json.dumps([""]),
                        f"stranger:{task_id}",
                        STRANGERS_KEY_ID,
                        price,
                        *[created_ns] * 4,
                    ),
                )
                _bill(db, task_id, "deduct", price, created_ns)

    def forget_poll(self, task_id: str) -> None:
        """The customer could not read the last answer: it counts neither as told nor as polled."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE tasks SET final_answers = max(0, final_answers - 1), last_poll_ns = NULL"
                " WHERE id = ?",
                (task_id,),
            )

    def forget_download(self, task_id: str) -> None:
        """The last download of this clip did not bring it."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE tasks SET downloads = max(0, downloads - 1) WHERE id = ?", (task_id,)
            )

    def _end(
        self, task_id: str, status: str, *, code: int, error: str, now_ns: int, name: str = ""
    ) -> bool:
        with self._store.transaction() as db:
            changed = db.execute(
                "UPDATE tasks SET starts_ns = coalesce(starts_ns, :now), ends_ns = :now,"  # noqa: S608 - own words only
                " outcome = :status, error_code = :code, error = :error, error_name = :name"
                f" WHERE {_STILL_OPEN}",
                {
                    "id": task_id,
                    "now": now_ns,
                    "status": status,
                    "code": code,
                    "error": error,
                    "name": name,
                },
            )
            if changed.rowcount and code in REFUNDED_CODES:
                (price,) = db.execute(
                    "SELECT price_micro_usd FROM tasks WHERE id = ?", (task_id,)
                ).fetchone()
                _bill(db, task_id, "refund", price, now_ns)
        return changed.rowcount == 1


def _is_open(db: sqlite3.Connection, task_id: str) -> bool:
    row = db.execute(f"SELECT 1 FROM tasks WHERE {_STILL_OPEN}", {"id": task_id}).fetchone()  # noqa: S608 - own words only
    return row is not None


def _bill(db: sqlite3.Connection, task_id: str, kind: str, amount: int, at_ns: int) -> None:
    db.execute(
        "INSERT INTO bill (uuid, task_id, kind, amount_micro_usd, at_ns) VALUES (?, ?, ?, ?, ?)",
        (uuid.uuid4().hex, task_id, kind, amount, at_ns),
    )
