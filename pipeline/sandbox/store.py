"""Durable state of the fake provider: tasks, bill, uploads, violations, counters in SQLite.

One folder may serve several servers at once and outlive them: every change is one immediate
transaction, and nothing that must survive a SIGKILL lives only in memory. The status of a task is
never stored; it follows from its time stamps and the moment of asking, so that no timer has to run.
Used from one thread only, the one of the event loop.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.sandbox.answers import NS_PER_S

# Predictions, outputs and uploads vanish after seven days.
# Source: https://wavespeed.ai/docs/what-are-predictions
RETENTION_NS = 7 * 86_400 * NS_PER_S

_SCHEMA_VERSION = 2
_OTHER_FOLDER = "use another --state folder"
_SCHEMA = """
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, model TEXT NOT NULL,
    inputs TEXT NOT NULL, image_files TEXT NOT NULL, content_key TEXT NOT NULL,
    access_key_id TEXT NOT NULL, webhook TEXT, price_micro_usd INTEGER NOT NULL,
    created_ns INTEGER NOT NULL, starts_ns INTEGER, latency_ns INTEGER NOT NULL,
    rendered_ns INTEGER, ends_ns INTEGER, deleted_ns INTEGER,
    outcome TEXT, error_code INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    dup_of TEXT, polls INTEGER NOT NULL DEFAULT 0, last_poll_ns INTEGER,
    final_answers INTEGER NOT NULL DEFAULT 0, downloads INTEGER NOT NULL DEFAULT 0);
CREATE INDEX tasks_created ON tasks (created_ns);
CREATE INDEX tasks_starts ON tasks (starts_ns);
CREATE INDEX tasks_ends ON tasks (ends_ns);
CREATE INDEX tasks_content ON tasks (content_key);
CREATE TABLE bill (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL, task_id TEXT NOT NULL,
    kind TEXT NOT NULL, amount_micro_usd INTEGER NOT NULL, at_ns INTEGER NOT NULL);
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, filename TEXT NOT NULL, content_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, signature TEXT NOT NULL, created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL, file TEXT, sha256 TEXT);
CREATE TABLE violations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, kind TEXT NOT NULL,
    task_id TEXT, detail TEXT NOT NULL);
CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL);
"""
# From each format to the next one.
_STEPS = {
    0: _SCHEMA,
    1: """
ALTER TABLE tasks ADD COLUMN results INTEGER NOT NULL DEFAULT 1;
ALTER TABLE tasks ADD COLUMN error_name TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN request_key TEXT NOT NULL DEFAULT '';
""",
}

# A started task still reads "created" for the first tenth of its latency, and in the answer to its
# submission.
STATUS_SQL = """CASE
    WHEN deleted_ns IS NOT NULL THEN 'deleted'
    WHEN ends_ns <= :now THEN outcome
    WHEN starts_ns IS NULL OR :now <= starts_ns + latency_ns / 10 THEN 'created'
    ELSE 'processing' END"""
_TASKS_SQL = f"SELECT *, {STATUS_SQL} AS status FROM tasks"  # noqa: S608 - own words only


class ViolationKind(StrEnum):
    """What a well-behaved client never does."""

    RATE_LIMIT = "rate_limit"
    CONCURRENCY = "concurrency"
    POLL_TOO_CLOSE = "poll_too_close"
    POLL_AFTER_END = "poll_after_end"
    UNKNOWN_TASK = "unknown_task"
    KEY_LEAK = "key_leak"
    UUID_REUSED = "uuid_reused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One accepted submission, as it stands at the moment of reading.

    ``inputs`` what the model was given, defaults filled in. ``image_files`` names inside the
    uploads folder, empty where an image cannot be fetched. ``content_key`` equal for tasks that
    yield the same clip. Times are Unix nanoseconds, None while not known: ``starts_ns`` while
    queued, ``rendered_ns`` while the clip is being drawn, ``ends_ns`` until both are known.
    ``outcome`` ``completed`` or ``failed`` as soon as it is certain, which may be before the end.
    ``results`` is the number of clips; ``error_name`` the dialect's own word for the failure, empty
    where the number says it; ``request_key`` is equal for equal requests.
    """

    seq: int
    id: str
    model: str
    inputs: Mapping[str, object]
    image_files: tuple[str, ...]
    content_key: str
    access_key_id: str
    webhook: str | None
    price_micro_usd: int
    created_ns: int
    starts_ns: int | None
    latency_ns: int
    rendered_ns: int | None
    ends_ns: int | None
    deleted_ns: int | None
    outcome: str | None
    error_code: int
    error: str
    dup_of: str | None
    polls: int
    last_poll_ns: int | None
    final_answers: int
    downloads: int
    results: int
    error_name: str
    request_key: str
    status: str

    @property
    def is_final(self) -> bool:
        """Whether the status will never change again (but for deletion)."""
        return self.status not in {"created", "processing"}

    @property
    def prompt(self) -> str:
        """What was asked for, in words."""
        return str(self.inputs.get("prompt") or self.inputs.get("positivePrompt") or "")

    @property
    def needs_clip(self) -> bool:
        """Whether the task waits for its clip to be drawn."""
        return self.outcome is None and self.deleted_ns is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload ticket; ``file`` and ``sha256`` are None until the bytes have come."""

    id: str
    filename: str
    content_type: str
    size_bytes: int
    signature: str
    created_ns: int
    expires_ns: int
    file: str | None = None
    sha256: str | None = None


class Store:
    """The database of one state folder."""

    def __init__(self, path: Path, *, lasting: bool = True) -> None:
        """Open or create it; ``lasting`` False spares the disk where nothing is to be kept.

        Raises:
            StorageError: the file is no such database, or of another version.
        """
        self._db = sqlite3.connect(path, isolation_level=None, timeout=20.0)
        self._db.row_factory = sqlite3.Row
        try:
            found = self._prepare(lasting)
        except sqlite3.DatabaseError as exc:
            self._db.close()
            raise StorageError(
                f"sandbox state {path} cannot be used: {exc}", hint=_OTHER_FOLDER
            ) from exc
        if found != _SCHEMA_VERSION:
            self._db.close()
            raise StorageError(
                f"sandbox state {path} has format {found}, this program writes {_SCHEMA_VERSION}",
                hint=_OTHER_FOLDER,
            )

    def _prepare(self, lasting: bool) -> int:
        """Make the tables, or bring older ones up to date; the format that is there now."""
        # NORMAL survives the death of the process; only a power cut could lose the last rows.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {'NORMAL' if lasting else 'OFF'}")
        with self.transaction() as db:
            version: int = db.execute("PRAGMA user_version").fetchone()[0]
            while version in _STEPS:
                for statement in _STEPS[version].split(";"):
                    db.execute(statement)
                version += 1
                db.execute(f"PRAGMA user_version = {version}")
        return version

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, alone among every server of this state folder."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def query(self, sql: str, parameters: Mapping[str, object]) -> list[sqlite3.Row]:
        """Rows of a reading statement."""
        return self._db.execute(sql, parameters).fetchall()

    def tasks(
        self, where: str, parameters: Mapping[str, object], *, now_ns: int, tail: str = ""
    ) -> list[Task]:
        """Tasks that match, with their status now; ``where`` may use ``status``."""
        sql = f"SELECT * FROM ({_TASKS_SQL}) WHERE {where} {tail}"  # noqa: S608 - own words only
        return [_read_task(row) for row in self.query(sql, {**parameters, "now": now_ns})]

    def count_tasks(self, where: str, parameters: Mapping[str, object], *, now_ns: int) -> int:
        """How many tasks match; ``where`` may use ``status``."""
        sql = f"SELECT count(*) FROM ({_TASKS_SQL}) WHERE {where}"  # noqa: S608 - own words only
        count: int = self.query(sql, {**parameters, "now": now_ns})[0][0]
        return count

    def task(self, task_id: str, *, now_ns: int) -> Task | None:
        """One task of the last seven days, or None."""
        found = self.tasks(
            "id = :id AND created_ns > :oldest",
            {"id": task_id, "oldest": now_ns - RETENTION_NS},
            now_ns=now_ns,
        )
        return found[0] if found else None

    def is_known(self, task_id: str) -> bool:
        """Whether there was ever a task of this id, however long ago."""
        return bool(self.query("SELECT 1 FROM tasks WHERE id = :id", {"id": task_id}))

    def count(self, name: str) -> None:
        """Add one to a counter."""
        self._db.execute(
            "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1", (name,)
        )

    def counters(self) -> dict[str, int]:
        """Every counter by name."""
        rows = self.query("SELECT name, n FROM counters ORDER BY name", {})
        return {row["name"]: row["n"] for row in rows}

    def note_violation(
        self, kind: ViolationKind, *, at_ns: int, task_id: str | None = None, **detail: object
    ) -> None:
        """Keep one violation; ``detail`` must be JSON values."""
        self._db.execute(
            "INSERT INTO violations (at_ns, kind, task_id, detail) VALUES (?, ?, ?, ?)",
            (at_ns, kind.value, task_id, json.dumps(detail)),
        )

    def add_upload(self, upload: Upload) -> None:
        """Remember a ticket, or a finished upload."""
        self._db.execute(
            "INSERT INTO uploads VALUES (:id, :filename, :content_type, :size_bytes, :signature,"
            " :created_ns, :expires_ns, :file, :sha256)",
            {name: getattr(upload, name) for name in Upload.__slots__},
        )

    def upload(self, upload_id: str, *, now_ns: int, life_ns: int = RETENTION_NS) -> Upload | None:
        """One upload of the last seven days, or of the last ``life_ns``; else None."""
        rows = self.query(
            "SELECT * FROM uploads WHERE id = :id AND created_ns > :oldest",
            {"id": upload_id, "oldest": now_ns - life_ns},
        )
        return Upload(**dict(rows[0])) if rows else None

    def renew_upload(self, upload_id: str, *, now_ns: int) -> None:
        """The life of an upload begins anew, as it was used."""
        self._db.execute("UPDATE uploads SET created_ns = ? WHERE id = ?", (now_ns, upload_id))

    def remove_upload(self, upload_id: str) -> bool:
        """Forget an upload; False where there is none. Its bytes stay with the tasks they serve."""
        cursor = self._db.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))
        return cursor.rowcount == 1

    def fill_upload(self, upload_id: str, *, file: str, sha256: str) -> bool:
        """Bind the bytes to a ticket; False where another PUT came first."""
        cursor = self._db.execute(
            "UPDATE uploads SET file = ?, sha256 = ? WHERE id = ? AND file IS NULL",
            (file, sha256, upload_id),
        )
        return cursor.rowcount == 1

    def note_download(self, task_id: str) -> None:
        """The clip of this task was fetched once more."""
        self._db.execute("UPDATE tasks SET downloads = downloads + 1 WHERE id = ?", (task_id,))


def _read_task(row: sqlite3.Row) -> Task:
    columns = dict(row)
    columns["inputs"] = json.loads(columns["inputs"])
    columns["image_files"] = tuple(json.loads(columns["image_files"]))
    return Task(**columns)
