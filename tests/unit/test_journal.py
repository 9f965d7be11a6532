"""The journal: durable events, one writer, and no guessing where it is damaged or gone."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any

import pytest

from pipeline.errors import CannotWrite, Displaced, ExitCode, Locked, StorageError
from pipeline.journal import JOURNAL_NAME, LOCK_NAME, Journal, locked, read_events
from pipeline.ledger import Event, EventKind
from pipeline.model import Container
from pipeline.summary import CLIPS_FOLDER

INTENT = {"shot": "opening", "take": 1, "price_usd": "0.30", "prompt": "Café ☀ 光"}


def write(folder: Path, count: int = 1) -> list[Event]:
    with Journal(folder) as journal:
        return [
            journal.append(f"a{number}", EventKind.INTENT, INTENT | {"take": number})
            for number in range(count)
        ]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Events.


def test_events_survive_reopening(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        written = [
            journal.append("a1", EventKind.INTENT, INTENT),
            journal.append("a1", EventKind.ACCEPTED, {"task_id": "t1"}),
        ]
    with Journal(tmp_path) as journal:
        assert journal.events() == written
        written.append(journal.append("a1", EventKind.COMPLETED, {}))
    with Journal(tmp_path) as journal:
        assert journal.events() == written
    assert [one.seq for one in written] == [1, 2, 3]
    assert written[0].data == INTENT


def test_time_of_an_event_is_utc_whatever_the_clock_says(tmp_path: Path) -> None:
    east = datetime(2026, 5, 4, 14, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
    with Journal(tmp_path, now=lambda: east) as journal:
        written = journal.append("a1", EventKind.INTENT, INTENT)
    assert written.at == datetime(2026, 5, 4, 12, 0, 0, 123_000, tzinfo=UTC)
    assert written.at.utcoffset() == timedelta(0)
    assert read_events(tmp_path)[0].at == written.at


def test_each_event_is_seen_by_others_as_soon_as_append_returns(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for count in range(1, 4):
            journal.append("a1", EventKind.INTENT, INTENT)
            assert len(read_events(tmp_path)) == count


def test_each_event_is_one_transaction_synced_in_full(tmp_path: Path) -> None:
    statements: list[str] = []
    with Journal(tmp_path) as journal:
        assert journal._db is not None
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        journal._db.set_trace_callback(statements.append)
        journal.append("a1", EventKind.INTENT, INTENT)
        journal.append("a1", EventKind.ACCEPTED, {"task_id": "t"})
        journal._db.set_trace_callback(None)
    assert [statement.split()[0] for statement in statements] == ["BEGIN", "INSERT", "COMMIT"] * 2


def test_events_survive_the_death_of_their_process(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from pipeline.journal import Journal; from pipeline.ledger import EventKind\n"
        "journal = Journal(Path(sys.argv[1])).__enter__()\n"
        "for n in range(5): journal.append(f'a{n}', EventKind.INTENT, {'n': n})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    assert [one.data["n"] for one in read_events(tmp_path)] == [0, 1, 2, 3, 4]
    with Journal(tmp_path) as journal:
        assert len(journal.events()) == 5


def test_threads_may_append_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:

        def work(number: int) -> None:
            for _ in range(5):
                journal.append(f"a{number}", EventKind.INTENT, INTENT)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [one.seq for one in journal.events()] == list(range(1, 21))


def test_closed_journal_takes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        pass
    with pytest.raises(StorageError):
        journal.append("a1", EventKind.INTENT, INTENT)
    with pytest.raises(StorageError):
        journal.events()


# Reading from outside.


def test_reading_where_no_journal_is_makes_nothing(tmp_path: Path) -> None:
    assert read_events(tmp_path / "never") == []
    assert read_events(tmp_path) == []
    assert names(tmp_path) == set()


def test_reading_a_closed_journal_makes_no_file(tmp_path: Path) -> None:
    written = write(tmp_path, 3)
    before = names(tmp_path)
    assert read_events(tmp_path) == written
    assert names(tmp_path) == before == {JOURNAL_NAME, LOCK_NAME}


def test_reading_does_not_wait_for_a_run(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("a1", EventKind.INTENT, INTENT)
        began = time.monotonic()
        assert len(read_events(tmp_path)) == 1
    assert time.monotonic() - began < 1


# One writer.


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the journal until it is killed."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from pipeline.journal import Journal\n"
        "with Journal(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            stdout: IO[str] | None = process.stdout
            assert stdout is not None
            assert stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_second_run_is_told_at_once_who_holds_the_storyboard(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        began = time.monotonic()
        with pytest.raises(Locked) as caught, Journal(tmp_path):
            pass
        assert time.monotonic() - began < 1
        assert f"process {process.pid}," in caught.value.message
        assert "started" in caught.value.message
    assert caught.value.exit_code is ExitCode.TRY_LATER
    assert int(caught.value.exit_code) == 75


def test_lock_is_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait(timeout=10)
        with Journal(tmp_path) as journal:
            assert journal.events() == []
        (line,) = (tmp_path / LOCK_NAME).read_text().splitlines()
        assert line.startswith(f"process {os.getpid()},")


def test_one_process_cannot_open_a_journal_twice(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(Locked), Journal(tmp_path):
        pass
    with Journal(tmp_path):
        pass


def test_refused_opener_does_not_disturb_the_holder(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for _ in range(2):
            with pytest.raises(Locked, match=str(os.getpid())), Journal(tmp_path):
                pass
        journal.append("a1", EventKind.INTENT, INTENT)
    assert len(read_events(tmp_path)) == 1


def test_a_deleted_lock_file_lets_no_second_run_in(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        (tmp_path / LOCK_NAME).unlink()
        for _ in range(2):
            with pytest.raises(Locked, match="deleted"), Journal(tmp_path):
                pass
        journal.append("a1", EventKind.INTENT, {})
    with Journal(tmp_path) as journal:
        assert len(journal.events()) == 1


def _cannot_lock_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network file system."""
    flock = fcntl.flock

    def files_only(file: Any, operation: int) -> None:
        if isinstance(file, int):
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(file, operation)

    monkeypatch.setattr("pipeline.journal.fcntl.flock", files_only)


@pytest.mark.parametrize("gone", ["lock", "journal", "folder"])
def test_no_intent_is_written_once_another_run_may_be_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    _cannot_lock_folders(monkeypatch)
    folder = tmp_path / "ad"
    with Journal(folder) as journal:
        journal.append("a1", EventKind.INTENT, {})
        if gone == "folder":
            folder.rename(tmp_path / "moved")
        else:
            (folder / {"lock": LOCK_NAME, "journal": JOURNAL_NAME}[gone]).unlink()
        with pytest.raises(Displaced, match="deleted or replaced") as caught:
            journal.append("a2", EventKind.INTENT, {})
        assert caught.value.exit_code is ExitCode.TRY_LATER
        # What is paid already is written down all the same.
        journal.append("a1", EventKind.ACCEPTED, {"task_id": "t1"})
        assert [one.attempt_id for one in journal.events()] == ["a1", "a1"]


def test_an_intent_during_which_the_lock_was_lost_is_written_down_as_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cannot_lock_folders(monkeypatch)
    with Journal(tmp_path) as journal:
        write_row = journal._write

        def lose_lock(rows: Any) -> Any:
            (tmp_path / LOCK_NAME).unlink(missing_ok=True)
            return write_row(rows)

        monkeypatch.setattr(journal, "_write", lose_lock)
        with pytest.raises(Displaced):
            journal.append("a1", EventKind.INTENT, {})
        assert [one.kind for one in journal.events()] == [EventKind.INTENT, EventKind.REFUSED]


def test_folder_can_be_locked_without_its_journal(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Locked), Journal(tmp_path):
        pass
    with Journal(tmp_path), pytest.raises(Locked), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


# Places that cannot be written.


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite) as caught, Journal(tmp_path / "file" / "aurora"):
        pass
    assert caught.value.exit_code is ExitCode.CANNOT_WRITE
    with pytest.raises(CannotWrite), locked(tmp_path / "file" / "aurora"):
        pass


def test_write_that_fails_is_a_storage_error_and_leaves_no_half_event(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from pipeline.errors import StorageError\n"
        "from pipeline.journal import Journal; from pipeline.ledger import EventKind\n"
        "with Journal(Path(sys.argv[1])) as journal:\n"
        "    journal.append('a1', EventKind.INTENT, {'shot': 'one'})\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "    try:\n"
        "        journal.append('a2', EventKind.INTENT, {'shot': 'x' * 200_000})\n"
        "    except StorageError as exc:\n"
        "        print(int(exc.exit_code), flush=True)\n"
        "    journal.append('a3', EventKind.INTENT, {'shot': 'three'})\n"
        "    print(len(journal.events()), flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=True,
        timeout=30,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["74", "2"]
    assert [one.attempt_id for one in read_events(tmp_path)] == ["a1", "a3"]


# Damage.


def test_every_truncation_is_refused_and_never_read_as_a_shorter_story(tmp_path: Path) -> None:
    written = write(tmp_path, 60)
    path = tmp_path / JOURNAL_NAME
    whole = path.read_bytes()
    assert len(whole) >= 5 * 4096
    for size in range(1, len(whole), 1024):
        path.write_bytes(whole[:size])
        with pytest.raises(StorageError) as caught:
            read_events(tmp_path)
        assert caught.value.exit_code is ExitCode.IO_ERROR
        with pytest.raises(StorageError), Journal(tmp_path) as journal:
            journal.events()
        path.with_name(f"{JOURNAL_NAME}-wal").unlink(missing_ok=True)
        path.with_name(f"{JOURNAL_NAME}-shm").unlink(missing_ok=True)
    path.write_bytes(whole)
    assert read_events(tmp_path) == written


def test_file_that_is_no_journal_is_refused_and_the_lock_let_go(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_bytes(b"not a database at all" * 500)
    for _ in range(2):
        with pytest.raises(StorageError, match="cannot be read"), Journal(tmp_path):
            pass
    with pytest.raises(StorageError):
        read_events(tmp_path)


def change(folder: Path, statement: str) -> None:
    db = sqlite3.connect(folder / JOURNAL_NAME)
    with db:
        db.execute(statement)
    db.close()


def test_journal_of_a_newer_program_is_refused_untouched(tmp_path: Path) -> None:
    write(tmp_path)
    change(tmp_path, "PRAGMA user_version=2")
    before = (tmp_path / JOURNAL_NAME).read_bytes()
    with pytest.raises(StorageError, match="newer") as caught, Journal(tmp_path):
        pass
    assert caught.value.hint == "update storyboard"
    with pytest.raises(StorageError, match="newer"):
        read_events(tmp_path)
    assert (tmp_path / JOURNAL_NAME).read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET kind = 'unheard of'",
        "UPDATE events SET data = '{'",
        "UPDATE events SET at = 'yesterday'",
    ],
)
def test_row_that_makes_no_sense_is_refused(tmp_path: Path, statement: str) -> None:
    write(tmp_path, 2)
    change(tmp_path, statement)
    with pytest.raises(StorageError):
        read_events(tmp_path)
    with Journal(tmp_path) as journal, pytest.raises(StorageError):
        journal.events()


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"S"])
def test_emptied_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path)
    (tmp_path / JOURNAL_NAME).write_bytes(content)
    with pytest.raises(StorageError), Journal(tmp_path):
        pass
    with pytest.raises(StorageError):
        read_events(tmp_path)
    assert (tmp_path / JOURNAL_NAME).read_bytes() == content


def test_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    change(tmp_path, "CREATE TABLE mine (x)")
    before = (tmp_path / JOURNAL_NAME).read_bytes()
    with pytest.raises(StorageError, match="not a journal"), Journal(tmp_path):
        pass
    assert (tmp_path / JOURNAL_NAME).read_bytes() == before


def test_new_journal_has_nothing_to_undo_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name appears when it is already of the kind that later openings ask for."""
    found: list[tuple[bytes, set[str]]] = []
    replace = Path.replace

    def look(path: Path, target: Path) -> Path:
        found.append((path.read_bytes()[18:20], names(tmp_path)))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", look)
    write(tmp_path)
    assert found == [(b"\2\2", {f"{JOURNAL_NAME}.part", LOCK_NAME})]


@pytest.mark.parametrize("nth", range(1, 4))
def test_run_that_dies_making_its_journal_does_not_bar_the_next(tmp_path: Path, nth: int) -> None:
    """Dies at the nth of: the table, the name, the open file."""
    script = (
        "import os, sys; from pathlib import Path\n"
        "import pipeline.journal as module\n"
        "def die(*_, **__): os.kill(os.getpid(), 9)\n"
        "if sys.argv[2] == '1': module._APPLICATION_ID = type('', (), {'__format__': die})()\n"
        "if sys.argv[2] == '2': Path.replace = die\n"
        "if sys.argv[2] == '3': module._open = die\n"
        "module.Journal(Path(sys.argv[1])).__enter__()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(nth)]
    assert subprocess.run(command, check=False, timeout=30).returncode == -signal.SIGKILL
    assert read_events(tmp_path) == []
    assert len(write(tmp_path)) == len(read_events(tmp_path)) == 1
    assert names(tmp_path) == {JOURNAL_NAME, LOCK_NAME}


@pytest.mark.parametrize(
    "left",
    [
        *(f"{CLIPS_FOLDER}/opening_tk01{container.suffix}" for container in Container),
        f"{JOURNAL_NAME}-wal",
    ],
)
def test_work_whose_journal_is_gone_is_not_bought_again(tmp_path: Path, left: str) -> None:
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).write_bytes(b"paid for")
    for _ in range(2):
        with pytest.raises(StorageError, match="gone") as caught, Journal(tmp_path):
            pass
        assert caught.value.exit_code is ExitCode.IO_ERROR
    (tmp_path / left).unlink()
    with Journal(tmp_path) as journal:
        assert journal.events() == []


def test_journal_beside_its_clips_opens(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / CLIPS_FOLDER).mkdir()
    (tmp_path / CLIPS_FOLDER / "opening_tk01.mp4").write_bytes(b"paid for")
    with Journal(tmp_path) as journal:
        assert len(journal.events()) == 1
