"""The journal: one durable, append-only table of events beside the film it pays for.

SQLite in WAL mode with ``synchronous=FULL``: an event that ``append`` has returned from survives
a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous). One writer at a time, held
by ``flock`` on a file of its own and on the folder, which the kernel drops when the process dies;
files of ours that were deleted or replaced meanwhile stop the spending. This module writes and
reads rows; what they mean is ``ledger``'s.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeAlias

from pipeline.errors import CannotWrite, Displaced, Locked, StorageError
from pipeline.files import make_folder, sync_folder
from pipeline.ledger import Event, EventKind
from pipeline.model import Container

JOURNAL_NAME = "journal.sqlite3"
LOCK_NAME = "run.lock"
# As in ``summary``; edges do not import each other.
_CLIPS_FOLDER = "clips"
# Marks the file as ours for `file` and for a newer or older program.
_APPLICATION_ID = 0x53544244  # "STBD"
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      TEXT NOT NULL,
    attempt TEXT NOT NULL,
    kind    TEXT NOT NULL,
    data    TEXT NOT NULL
) STRICT
"""


class Journal:
    """A storyboard's events, open for one writer. Use as a context manager.

    Safe to call from worker threads; each ``append`` is one synced transaction.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder = folder
        self._now = now
        self._guard = threading.Lock()
        self._lock: _Lock | None = None
        self._journal_id: _FileId | None = None
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Take the lock and open the journal, making both on first use.

        Raises:
            CannotWrite: the folder cannot be made or written.
            Locked: another process holds this storyboard.
            StorageError: the file is damaged, of a newer program, or gone from beside its clips.
        """
        try:
            make_folder(self._folder)
            self._lock = _Lock(self._folder)
        except OSError as exc:
            raise _cannot_write(self._folder, exc) from exc
        try:
            path = self._folder / JOURNAL_NAME
            if not path.exists():
                check_first_run(self._folder)
                _make(path)
            self._db = _open(path, "mode=rw")
            self._journal_id = _file_id(path)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def append(self, attempt_id: str, kind: EventKind, data: Mapping[str, Any]) -> Event:
        """Write one event and return it when it is on the disk.

        Raises:
            StorageError: the write failed; the caller must not go on spending.
        """
        return self.append_all([(attempt_id, kind, data)])[0]

    def append_all(self, rows: Sequence[tuple[str, EventKind, Mapping[str, Any]]]) -> list[Event]:
        """Write several events, all of them or none; see ``append``.

        Raises:
            Displaced: an intent among them must not be followed by its request, as another run may
                be at work in the folder by now. Nothing was written, or the refusal as well.
        """
        intents = [attempt_id for attempt_id, kind, _ in rows if kind is EventKind.INTENT]
        if not intents:
            return self._write(rows)
        self._check_place()
        written = self._write(rows)
        try:
            # Asked again: who took the lock before the row was there has not seen it.
            self._check_place()
        except Displaced as exc:
            told = {"reason": f"not sent: {exc.message}"}
            self._write([(attempt_id, EventKind.REFUSED, told) for attempt_id in intents])
            raise
        return written

    def _check_place(self) -> None:
        """Whether lock and journal are still the files that everybody else finds by their names."""
        if self._lock is None:
            raise StorageError("the journal is closed")
        for path, ours in (
            (self._lock.held, self._lock.held_id),
            (self._folder / JOURNAL_NAME, self._journal_id),
        ):
            if _file_id(path) != ours:
                raise Displaced(
                    f"{path} was deleted or replaced while this run was at work; nothing more is "
                    "submitted",
                    hint="leave the folder of a run alone; run again when this one has ended",
                )

    def _write(self, rows: Sequence[tuple[str, EventKind, Mapping[str, Any]]]) -> list[Event]:
        at_text = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        with self._guard:
            if self._db is None:
                raise StorageError("the journal is closed")
            written = []
            try:
                with self._db:
                    for attempt_id, kind, data in rows:
                        text = json.dumps(data, sort_keys=True, ensure_ascii=True)
                        seq = self._db.execute(
                            "INSERT INTO events (at, attempt, kind, data) VALUES (?, ?, ?, ?)",
                            (at_text, attempt_id, kind.value, text),
                        ).lastrowid
                        written.append(_event(seq or 0, at_text, attempt_id, kind, text))
            except sqlite3.Error as exc:
                raise StorageError(
                    f"cannot write to the journal in {self._folder}: {exc}",
                    hint="free some disk space, then run again; nothing paid is lost",
                ) from exc
        return written

    def events(self) -> list[Event]:
        """Every event, oldest first."""
        with self._guard:
            if self._db is None:
                raise StorageError("the journal is closed")
            return _read(self._db, self._folder)


def read_events(folder: Path) -> list[Event]:
    """The events of a folder's journal without locking or making anything; [] where none is.

    Raises:
        StorageError: the file is damaged, or of a newer program.
    """
    path = folder / JOURNAL_NAME
    before = _trace(path)
    if before is None:
        return []
    # Without a write-ahead log beside it nobody has the file open, and it must be read as
    # immutable: else SQLite makes a log and an index of its own and leaves them there.
    if not before.has_log:
        try:
            events = _read_once(path, "mode=ro&immutable=1")
        except StorageError:
            if _trace(path) == before:
                raise
        else:
            if _trace(path) == before:
                return events
    # A run is, or was, at work; the log it keeps is there, so nothing new is made.
    return _read_once(path, "mode=ro")


@dataclass(frozen=True, slots=True)
class _Trace:
    """What shows from outside that somebody may have written to the file."""

    size_bytes: int
    changed_at_ns: int
    has_log: bool


def _trace(path: Path) -> _Trace | None:
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise StorageError(
            f"the journal {path} cannot be read: {exc.strerror or exc}",
            hint="check its permissions",
        ) from exc
    has_log = path.with_name(f"{path.name}-wal").exists()
    return _Trace(stat.st_size, stat.st_mtime_ns, has_log)


def _read_once(path: Path, options: str) -> list[Event]:
    db = _open(path, options)
    try:
        return _read(db, path.parent)
    finally:
        db.close()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every run out of a storyboard's folder that exists, without opening its journal.

    Raises:
        CannotWrite, Locked: as for ``Journal``.
    """
    try:
        lock = _Lock(folder)
    except OSError as exc:
        raise _cannot_write(folder, exc) from exc
    with closing(lock):
        yield


def _cannot_write(folder: Path, exc: OSError) -> CannotWrite:
    return CannotWrite(
        f"cannot write to {folder}: {exc.strerror or exc}",
        hint="choose another folder with --out",
    )


def check_first_run(folder: Path) -> None:
    """Where no journal is, a first run begins, unless something shows that there has been one.

    Raises:
        StorageError: clips are there without the journal that paid for them.
    """
    log = folder / f"{JOURNAL_NAME}-wal"
    if log.exists() or _holds_clips(folder) or _tells_of_money(folder):
        raise StorageError(
            f"{folder} holds earlier work, but the journal that says what was paid is gone",
            hint=f"put {JOURNAL_NAME} back from a copy, or move the folder away to begin anew",
        )


def _holds_clips(folder: Path) -> bool:
    """Whether a clip of any format lies here; one left half fetched is none."""
    clips = folder / _CLIPS_FOLDER
    return any(any(clips.glob(f"*{container.suffix}")) for container in Container)


def _tells_of_money(folder: Path) -> bool:
    """Whether a summary of an earlier run says that real money was spent here."""
    try:
        money = json.loads((folder / "run.json").read_text(encoding="utf-8"))["money"]
        return bool(money["real"]) and money["spent_usd"] != "0"
    except (OSError, ValueError, LookupError, TypeError):
        return False


_FileId: TypeAlias = tuple[int, int]


def _file_id(path: Path) -> _FileId | None:
    """What a file is, whatever its name; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


class _Lock:
    """A storyboard's folder, held: by a file in it that says who holds it, and by the folder
    itself, which stays held where the file is deleted.

    ``held`` and ``held_id`` are what must still be found by its name for the hold to be worth
    anything.
    """

    def __init__(self, folder: Path) -> None:
        """Take both.

        Raises:
            Locked: another process holds one of them.
            OSError: the folder cannot be written.
        """
        self._file = _take_lock(folder / LOCK_NAME)
        self._folder_fd = -1
        try:
            self._folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if _flock_folder(self._folder_fd, folder):
                self.held, stat = folder, os.fstat(self._folder_fd)
            else:
                self.held, stat = folder / LOCK_NAME, os.fstat(self._file.fileno())
            self.held_id = (stat.st_dev, stat.st_ino)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let both go."""
        self._file.close()
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
            self._folder_fd = -1


def _flock_folder(folder_fd: int, folder: Path) -> bool:
    """Hold a folder, where its file system can: over a network some lock files only."""
    try:
        fcntl.flock(folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise _held(folder, f"a run whose {LOCK_NAME} was deleted") from exc
    except OSError:
        return False
    return True


def _held(folder: Path, holder: str) -> Locked:
    return Locked(
        f"{folder} is being worked on by {holder}", hint="wait for it to end, then run again"
    )


def _take_lock(path: Path) -> IO[str]:
    lock_file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock_file.seek(0)
        holder = lock_file.read(200).strip() or "another process"
        lock_file.close()
        raise _held(path.parent, holder) from exc
    lock_file.truncate(0)
    started = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    lock_file.write(f"process {os.getpid()}, started {started}\n")
    lock_file.flush()
    return lock_file


def _make(path: Path) -> None:
    """Begin a journal: whole under its name or not there, so that an empty one is a damaged one."""
    part = path.with_name(f"{path.name}.part")
    with _explained(path):
        for old in (part, part.with_name(f"{part.name}-wal"), part.with_name(f"{part.name}-shm")):
            old.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as db:
            # Nothing beside it: a half-made file is thrown away, not repaired.
            db.execute("PRAGMA journal_mode=MEMORY")
            with db:
                db.execute("BEGIN")
                db.execute(_SCHEMA)
                db.execute(f"PRAGMA application_id={_APPLICATION_ID}")
                db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
            # Done later, it would be a change to undo after a power cut, and who only reads the
            # file could not.
            db.execute("PRAGMA journal_mode=WAL")
        part.replace(path)
        sync_folder(path.parent)


def _open(path: Path, options: str) -> sqlite3.Connection:
    with _explained(path):
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?{options}",
            uri=True,
            check_same_thread=False,
            timeout=10,
        )
        try:
            _prepare(db, path, read_only="mode=ro" in options)
        except BaseException:
            db.close()
            raise
        return db


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Failures to make or open the file, in words of ours."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as exc:
        raise _no_place(path, "opened", exc) from exc
    except sqlite3.DatabaseError as exc:
        raise StorageError(
            f"the journal {path} cannot be read: {exc}",
            hint="nothing was submitted; restore it from a copy before spending again",
        ) from exc


def _no_place(path: Path, done: str, exc: Exception) -> StorageError:
    """Not the file's content but the place it is in: space, permissions, another program."""
    return StorageError(
        f"the journal {path} cannot be {done}: {exc}",
        hint="check the free space and the permissions of its folder, then run again",
    )


def _prepare(db: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION_ID or version < 1:
        raise StorageError(
            f"the journal {path} is empty or not a journal",
            hint="nothing was submitted; restore it from a copy before spending again",
        )
    if version > _SCHEMA_VERSION:
        raise StorageError(
            f"the journal {path} was written by a newer storyboard (format {version})",
            hint="update storyboard",
        )
    # Without this, SQLite reads the missing half of a cut page as rows of nothing.
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    if read_only:
        return
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    if db.execute("PRAGMA synchronous").fetchone()[0] != 2:  # 2 is FULL
        raise StorageError(f"the journal {path} cannot be opened with synchronous=FULL")


def _read(db: sqlite3.Connection, folder: Path) -> list[Event]:
    try:
        rows = db.execute("SELECT seq, at, attempt, kind, data FROM events ORDER BY seq").fetchall()
        return [_event(*row) for row in rows]
    except sqlite3.OperationalError as exc:
        raise _no_place(folder / JOURNAL_NAME, "read", exc) from exc
    except (sqlite3.Error, ValueError) as exc:
        raise StorageError(
            f"the journal in {folder} cannot be read: {exc}",
            hint="nothing was submitted; restore it from a copy before spending again",
        ) from exc


def _event(seq: int, at: str, attempt_id: str, kind: str, data: str) -> Event:
    """A row as the value that it stands for."""
    return Event(
        seq=seq,
        at=datetime.fromisoformat(at),
        attempt_id=attempt_id,
        kind=EventKind(kind),
        data=json.loads(data),
    )
