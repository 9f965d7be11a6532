"""The rules of an account: money, the two limits, the life of a task, polite polling.

Every rule is a transaction over the store at one given moment; nothing waits and nothing ticks.
Several servers that share a state folder therefore share one account.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import uuid

from pipeline.sandbox.answers import NS_PER_S, Refusal
from pipeline.sandbox.bill import REFUNDED_CODES, micro_usd, usd_text
from pipeline.sandbox.options import OverLimit, SandboxOptions
from pipeline.sandbox.purchases import Purchase
from pipeline.sandbox.store import Store, Task, ViolationKind

MEDIA_NOT_FETCHED = 1402
EXECUTION_FAILED = 1403
NO_CREDIT = 1407

# An unfinished task holds its slot from acceptance to its end.
_UNFINISHED = "(ends_ns IS NULL OR ends_ns > :now)"


class TaskExists(Exception):
    """A task of this id was accepted before."""


class Account:
    """One customer's account with the fake provider."""

    def __init__(self, store: Store, options: SandboxOptions) -> None:
        self._store = store
        self._options = options
        self._window_ns = round(options.rate_window_s * NS_PER_S)

    def accept(self, purchase: Purchase, *, now_ns: int) -> Task:
        """Make and bill a task.

        Raises:
            TaskExists: there was a task of this id before.
            Refusal: no credit (as configured), or 429 above a limit. Nothing was made.
        """
        price, content_key = purchase.price_micro_usd, purchase.content_key
        task_id = purchase.task_id or secrets.token_hex(16)
        with self._store.transaction() as db:
            self._check_new(purchase, now_ns)
            self._check_credit(price, now_ns)
            self._start_queued(db, now_ns)
            refusal = self._over_limit(now_ns)
            if refusal is None or self._options.over_limit is OverLimit.QUEUE:
                _put_aside(db, task_id)
                db.execute(
                    "INSERT INTO tasks (id, model, inputs, image_files, content_key,"
                    " access_key_id, webhook, price_micro_usd, created_ns, starts_ns, latency_ns,"
                    " outcome, error_code, error, dup_of, results, request_key)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        task_id,
                        purchase.model,
                        json.dumps(purchase.inputs),
                        json.dumps(purchase.files),
                        content_key,
                        purchase.access_key_id,
                        purchase.webhook,
                        price,
                        now_ns,
                        now_ns if refusal is None else None,
                        self._latency_ns(db, content_key),
                        "failed" if purchase.lost else None,
                        MEDIA_NOT_FETCHED if purchase.lost else 0,
                        purchase.lost,
                        self._earlier_twin(content_key, now_ns),
                        purchase.results,
                        purchase.request_key,
                    ),
                )
                _bill(db, task_id, "deduct", price, now_ns)
                _settle(db, task_id)
                refusal = None
        if refusal is not None:
            raise refusal
        task = self._store.task(task_id, now_ns=now_ns)
        if task is None:
            raise LookupError(task_id)
        return task

    def poll(self, task_id: str, *, now_ns: int, may_be_unknown: bool = False) -> Task | None:
        """The task as a client sees it now; None if unknown. Impatience is noted.

        ``may_be_unknown``: the client chose the id, so asking whether there is one is fair.
        """
        with self._store.transaction() as db:
            self._start_queued(db, now_ns)
            task = self._store.task(task_id, now_ns=now_ns)
            if task is None:
                if not may_be_unknown:
                    self._store.note_violation(
                        ViolationKind.UNKNOWN_TASK, at_ns=now_ns, task_id=task_id[:64]
                    )
                return None
            if task.last_poll_ns is not None:
                gap_s = (now_ns - task.last_poll_ns) / NS_PER_S
                if gap_s < self._options.min_poll_s:
                    self._store.note_violation(
                        ViolationKind.POLL_TOO_CLOSE, at_ns=now_ns, task_id=task_id, gap_s=gap_s
                    )
            # One look after the end is fair: a resumed client needs a fresh address once.
            if task.is_final and task.final_answers >= 2:
                self._store.note_violation(
                    ViolationKind.POLL_AFTER_END, at_ns=now_ns, task_id=task_id, status=task.status
                )
            db.execute(
                "UPDATE tasks SET polls = polls + 1, last_poll_ns = ?,"
                " final_answers = final_answers + ? WHERE id = ?",
                (now_ns, int(task.is_final), task_id),
            )
        return task

    def finish(self, task_id: str, *, now_ns: int, error: str | None = None) -> None:
        """The clip is drawn, or cannot be (``error``); the first word on a task stands."""
        with self._store.transaction() as db:
            outcome = "completed" if error is None else "failed"
            db.execute(
                "UPDATE tasks SET rendered_ns = ?, outcome = ?, error_code = ?, error = ?"
                " WHERE id = ? AND outcome IS NULL AND deleted_ns IS NULL",
                (now_ns, outcome, 0 if error is None else EXECUTION_FAILED, error or "", task_id),
            )
            _settle(db, task_id)

    def delete(self, task_ids: list[str], *, now_ns: int) -> list[str]:
        """Forget tasks for good; unknown ids are skipped. The ids that were deleted."""
        with self._store.transaction() as db:
            return [
                task_id
                for task_id in dict.fromkeys(task_ids)
                if db.execute(
                    "UPDATE tasks SET deleted_ns = :now, starts_ns = coalesce(starts_ns, :now),"
                    " ends_ns = min(coalesce(ends_ns, :now), :now)"
                    " WHERE id = :id AND deleted_ns IS NULL",
                    {"now": now_ns, "id": task_id},
                ).rowcount
            ]

    def balance_micro_usd(self, *, now_ns: int) -> int:
        """What is left: the opening balance less charges, plus refunds up to now."""
        (row,) = self._store.query(
            "SELECT coalesce(sum(CASE kind WHEN 'refund' THEN amount_micro_usd"
            " ELSE -amount_micro_usd END), 0) AS change FROM bill WHERE at_ns <= :now",
            {"now": now_ns},
        )
        return micro_usd(self._options.balance_usd) + int(row["change"])

    def waiting_for_clips(self, *, now_ns: int) -> list[Task]:
        """Unfinished tasks whose clip is not drawn yet."""
        return self._store.tasks(
            "outcome IS NULL AND deleted_ns IS NULL", {}, now_ns=now_ns, tail="ORDER BY seq"
        )

    def _check_new(self, purchase: Purchase, now_ns: int) -> None:
        """Inside the transaction: two servers of one folder must not both take an id."""
        task_id = purchase.task_id
        if task_id is None or not self._store.is_known(task_id):
            return
        earlier = self._store.task(task_id, now_ns=now_ns)
        if not purchase.may_replace or (earlier is not None and not earlier.is_final):
            raise TaskExists(task_id)

    def _check_credit(self, price: int, now_ns: int) -> None:
        balance = self.balance_micro_usd(now_ns=now_ns)
        if balance < price:
            status = self._options.insufficient_credit_status
            raise Refusal(
                status,
                f"insufficient credits: balance ${usd_text(balance)}, needed ${usd_text(price)}",
                # An official client's fixture shows code 1407 under HTTP 400.
                code=NO_CREDIT if status == 400 else status,
            )

    def _over_limit(self, now_ns: int) -> Refusal | None:
        """Note every limit that a submission arriving now breaks; the refusal for the first."""
        limits = self._options.limits
        (row,) = self._store.query(
            f"SELECT (SELECT count(*) FROM tasks WHERE created_ns > :since) AS recent,"  # noqa: S608 - own words only
            f" (SELECT count(*) FROM tasks WHERE {_UNFINISHED}) AS unfinished",
            {"since": now_ns - self._window_ns, "now": now_ns},
        )
        wait = self._options.retry_after_s
        headers = None if wait is None else {"Retry-After": str(wait)}
        refusals = []
        if row["recent"] >= limits.starts_per_window:
            self._store.note_violation(
                ViolationKind.RATE_LIMIT,
                at_ns=now_ns,
                starts_in_window=row["recent"] + 1,
                limit=limits.starts_per_window,
            )
            message = (
                f"rate limit reached: at most {limits.starts_per_window} tasks"
                f" in {self._options.rate_window_s:g} seconds"
            )
            refusals.append(Refusal(429, message, headers=headers))
        if row["unfinished"] >= limits.max_tasks:
            self._store.note_violation(
                ViolationKind.CONCURRENCY,
                at_ns=now_ns,
                unfinished=row["unfinished"] + 1,
                limit=limits.max_tasks,
            )
            message = f"concurrency limit reached: at most {limits.max_tasks} tasks at once"
            refusals.append(Refusal(429, message, headers=headers))
        return refusals[0] if refusals else None

    def _start_queued(self, db: sqlite3.Connection, now_ns: int) -> None:
        """Give queued tasks the start they had, at the moment both limits allowed it."""
        limits = self._options.limits
        while True:
            head = db.execute(
                "SELECT id, created_ns FROM tasks WHERE starts_ns IS NULL ORDER BY seq LIMIT 1"
            ).fetchone()
            if head is None:
                return
            start = db.execute(
                "SELECT starts_ns FROM tasks WHERE starts_ns IS NOT NULL"
                " ORDER BY starts_ns DESC LIMIT 1 OFFSET ?",
                (limits.starts_per_window - 1,),
            ).fetchone()
            slot = db.execute(
                "SELECT ends_ns FROM tasks WHERE starts_ns IS NOT NULL"
                " ORDER BY ends_ns DESC NULLS FIRST LIMIT 1 OFFSET ?",
                (limits.max_tasks - 1,),
            ).fetchone()
            if slot is not None and slot["ends_ns"] is None:
                return
            starts_ns = max(
                head["created_ns"],
                0 if start is None else start["starts_ns"] + self._window_ns,
                0 if slot is None else slot["ends_ns"],
            )
            if starts_ns > now_ns:
                return
            db.execute("UPDATE tasks SET starts_ns = ? WHERE id = ?", (starts_ns, head["id"]))
            _settle(db, head["id"])

    def _latency_ns(self, db: sqlite3.Connection, content_key: str) -> int:
        """The same for the nth task of the same content under the same seed."""
        shortest_s, longest_s = self._options.latency_s
        (nth,) = db.execute(
            "SELECT count(*) FROM tasks WHERE content_key = ?", (content_key,)
        ).fetchone()
        seed = f"{self._options.seed}:{content_key}:{nth}".encode()
        fraction = int.from_bytes(hashlib.sha256(seed).digest()[:8]) / 2**64
        return round((shortest_s + (longest_s - shortest_s) * fraction) * NS_PER_S)

    def _earlier_twin(self, content_key: str, now_ns: int) -> str | None:
        twins = self._store.tasks(
            "content_key = :key AND status NOT IN ('failed', 'deleted')",
            {"key": content_key},
            now_ns=now_ns,
            tail="ORDER BY seq LIMIT 1",
        )
        return twins[0].id if twins else None


def _put_aside(db: sqlite3.Connection, task_id: str) -> None:
    """Make room for a new task of this id: the old one, and its bill, keep an id of their own."""
    row = db.execute("SELECT seq FROM tasks WHERE id = ?", (task_id,)).fetchone()
    if row is not None:
        aside = f"{task_id}#{row['seq']}"
        db.execute("UPDATE tasks SET id = ? WHERE id = ?", (aside, task_id))
        db.execute("UPDATE bill SET task_id = ? WHERE task_id = ?", (aside, task_id))


def _settle(db: sqlite3.Connection, task_id: str) -> None:
    """Fix the end of a task, and its refund, once both start and outcome are known."""
    row = db.execute(
        "SELECT starts_ns, latency_ns, rendered_ns, error_code, price_micro_usd FROM tasks"
        " WHERE id = ? AND starts_ns IS NOT NULL AND outcome IS NOT NULL AND ends_ns IS NULL",
        (task_id,),
    ).fetchone()
    if row is None:
        return
    ends_ns = max(row["starts_ns"] + row["latency_ns"], row["rendered_ns"] or 0)
    db.execute("UPDATE tasks SET ends_ns = ? WHERE id = ?", (ends_ns, task_id))
    if row["error_code"] in REFUNDED_CODES:
        _bill(db, task_id, "refund", row["price_micro_usd"], ends_ns)


def _bill(db: sqlite3.Connection, task_id: str, kind: str, amount: int, at_ns: int) -> None:
    db.execute(
        "INSERT INTO bill (uuid, task_id, kind, amount_micro_usd, at_ns) VALUES (?, ?, ?, ?, ?)",
        (uuid.uuid4().hex, task_id, kind, amount, at_ns),
    )
