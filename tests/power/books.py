"""The provider's books at every moment of a run: it is elsewhere and does not lose power."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pipeline.sandbox import server
from pipeline.sandbox.store import Store

# Where SQLite's header says that a log belongs to the file; a database in memory has none.
# Source: https://www.sqlite.org/fileformat2.html#file_format_version_numbers
_LOG_FLAGS = slice(18, 20)
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The provider's database as it was from ``at_ns`` on, on the monotonic clock."""

    at_ns: int
    database: bytes

    def tasks(self) -> dict[str, str]:
        """The prompt of each task that was accepted, by its id."""
        data = bytearray(self.database)
        data[_LOG_FLAGS] = b"\1\1"
        with closing(sqlite3.connect(":memory:")) as db:
            db.deserialize(bytes(data))
            rows: list[tuple[str, str]] = db.execute("SELECT id, inputs FROM tasks").fetchall()
        return {task_id: str(json.loads(inputs)["prompt"]) for task_id, inputs in rows}


@contextmanager
def watched_books(folder: Path) -> Iterator[list[Books]]:
    """Copy the books of the sandbox that starts in this folder inside the block, at each change."""
    kept: list[Books] = []

    class WatchedStore(Store):
        """A store that leaves a copy of itself behind each change."""

        def __init__(self, path: Path, *, lasting: bool = True) -> None:
            # Others may start sandboxes of their own at the same time.
            self._watched = path.parent == folder
            super().__init__(path, lasting=lasting)

        @contextmanager
        def transaction(self) -> Iterator[sqlite3.Connection]:
            with super().transaction() as db:
                yield db
            self._keep()

        def count(self, name: str) -> None:
            super().count(name)
            self._keep()

        def note_download(self, task_id: str) -> None:
            super().note_download(task_id)
            self._keep()

        def query(self, sql: str, parameters: Mapping[str, object]) -> list[sqlite3.Row]:
            # Some changes are made outside of a transaction; whatever follows them looks.
            self._keep()
            return super().query(sql, parameters)

        def fill_upload(self, upload_id: str, *, file: str, sha256: str) -> bool:
            filled = super().fill_upload(upload_id, file=file, sha256=sha256)
            self._keep()
            return filled

        def _keep(self) -> None:
            if not self._watched or self._db.in_transaction:
                return
            database = self._db.serialize()
            if not kept or kept[-1].database != database:
                kept.append(Books(at_ns=time.monotonic_ns(), database=database))

    # What the server makes must be the watched kind; it takes no store from outside.
    made: Any = WatchedStore
    with _ONE_AT_A_TIME, patch.object(server, "Store", made):
        yield kept
