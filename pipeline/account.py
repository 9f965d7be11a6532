"""What must be shared by every process that uses one provider account, in one SQLite file.

Starts in the rate window, tasks under way, the pace after a 429, uploaded references, the ids
of every task we started, and how long tasks take. All of it survives a restart, so a restart
does not refill an allowance. Times are seconds since the epoch by a clock that all processes
share until the machine restarts and that does not follow the wall clock when that is set, so
that does not refill one either; days are the wall clock's. Losing the file costs no money: it
holds allowances, not payments. What a journal has paid stays counted here when the journal is
deleted.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import CannotWrite, StorageError
from pipeline.uptime import Uptime

_SCHEMA = """
CREATE TABLE IF NOT EXISTS starts (
    attempt TEXT PRIMARY KEY, sent_at REAL NOT NULL, answered_at REAL, running INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS pace (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    not_before REAL NOT NULL, allowed INTEGER NOT NULL, changed_at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS uploads (
    content TEXT PRIMARY KEY, url TEXT NOT NULL, at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS tasks (task TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS holders (task TEXT PRIMARY KEY, attempt TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS spending (
    attempt TEXT PRIMARY KEY, day TEXT NOT NULL, usd TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS intended (attempt TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS journals (prefix TEXT PRIMARY KEY, folder TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS clocks (boot TEXT PRIMARY KEY, began_at REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS latencies (
    class TEXT NOT NULL, seconds REAL NOT NULL, at REAL NOT NULL
) STRICT;
"""
# A run that died leaves its tasks marked as running; providers end a task long before this.
_FORGET_RUNNING_S = 3600.0
# Until then a start without an answer may have made a task that the provider's history shows: it
# keeps one for seven days.
_FORGET_UNANSWERED_S = 8 * 86_400.0
# An unanswered start of a dead process keeps its slot, and its lane, this long past the window:
# more than the longest usual wait for an answer.
_UNANSWERED_GRACE_S = 120.0
# The attempts of one journal, and of each whether it is known to have an answer or an intent.
_OF_JOURNAL = {
    "starts": "SELECT attempt, answered_at IS NOT NULL OR attempt IN (SELECT attempt FROM intended)"
    " FROM starts WHERE substr(attempt, 1, ?) = ?",
    "spending": "SELECT attempt, attempt IN (SELECT attempt FROM intended)"
    " OR attempt IN (SELECT attempt FROM holders) FROM spending WHERE substr(attempt, 1, ?) = ?",
}
# Official clients reuse an upload for a day; the provider deletes it after seven.
UPLOAD_MAX_AGE_S = 24 * 3600.0
# What was spent on a day is kept until it is sure that no clock comes back to that day.
_SPENDING_KEPT = timedelta(days=7)
_LATENCIES_KEPT = 200
_LATENCIES_NEEDED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What the account may do: starts in any window, tasks at once, submissions in flight."""

    starts: int
    window_s: float
    max_tasks: int
    lanes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTask:
    """A task that some run of the account started or followed last at ``at`` (UTC); ``folder``
    where the journal lay that it was written into, empty where that is not known."""

    task_id: str
    at: datetime
    folder: str


class AccountStore:
    """The account's shared state; safe across threads and processes. A context manager.

    Every method raises ``StorageError`` where the disk fails or another process keeps the file
    locked for half a minute.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], float] = time.time, uptime: Uptime | None = None
    ) -> None:
        """Open the file, making it and its folder on first use.

        Args:
            now: the wall clock; all times are its own where there is no ``uptime``.

        Raises:
            CannotWrite: it cannot be made or opened.
        """
        self._wall = now
        self._uptime = uptime
        self._guard = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, check_same_thread=False, timeout=30, isolation_level=None
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._began_at = 0.0 if uptime is None else self._read_clock(uptime)
        except (OSError, sqlite3.Error) as exc:
            raise CannotWrite(
                f"cannot keep account state in {path}: {exc}",
                hint="set STORYBOARD_STATE_DIR to a folder that can be written",
            ) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._db.close()

    def try_start(self, attempt_id: str, allowance: Allowance) -> float:
        """Take a slot for a submission, or say how long to wait before asking again.

        A slot counts from the moment it is taken until ``window_s`` after its *answer*: the
        server saw the request somewhere in between, so no placing of its window holds more
        starts than allowed.

        Returns:
            0.0 when the slot is taken, else seconds, more than 0.
        """
        with self._transaction():
            now = self._now()
            self._heed_clock(now)
            self._forget_old(now, allowance.window_s)
            not_before, allowed = self._pace(now, allowance.starts)
            if now < not_before:
                return float(not_before - now)
            window = self._db.execute(
                "SELECT answered_at FROM starts WHERE answered_at > ?1"
                " OR (answered_at IS NULL AND sent_at > ?2)",
                (now - allowance.window_s, now - allowance.window_s - _UNANSWERED_GRACE_S),
            ).fetchall()
            unanswered = sum(1 for (answered,) in window if answered is None)
            (running,) = self._db.execute(
                "SELECT COUNT(*) FROM starts WHERE running = 1 AND sent_at > ?",
                (now - _FORGET_RUNNING_S,),
            ).fetchone()
            if len(window) >= allowed:
                times = sorted(at for (at,) in window if at is not None)
                # The slot that must come back first, if it is known when it will.
                index = len(window) - allowed
                if index < len(times):
                    return max(float(times[index]) + allowance.window_s - now, 0.01)
                return 0.25
            if unanswered >= allowance.lanes or running >= allowance.max_tasks:
                return 0.25
            self._db.execute(
                "INSERT OR REPLACE INTO starts VALUES (?, ?, NULL, 1)", (attempt_id, now)
            )
            return 0.0

    def answered(self, attempt_id: str, task_id: str | None) -> None:
        """The submission has its answer: with a task id it runs on, without one it is over."""
        with self._transaction():
            now = self._now()
            self._db.execute(
                "UPDATE starts SET answered_at = ?, running = ? WHERE attempt = ?",
                (now, int(task_id is not None), attempt_id),
            )
            if task_id is not None:
                # A start whose answer took so long that it was forgotten counts all the same.
                self._db.execute(
                    "INSERT OR IGNORE INTO starts VALUES (?, ?, ?, 1)", (attempt_id, now, now)
                )
                self._hold(attempt_id, task_id, now)

    def not_sent(self, attempt_id: str) -> None:
        """Nothing left this machine: the slot is free again at once."""
        with self._transaction():
            self._db.execute("DELETE FROM starts WHERE attempt = ?", (attempt_id,))

    def resumed(self, attempt_id: str, task_id: str) -> None:
        """A task of an earlier run is being followed: it occupies a place among the running."""
        with self._transaction():
            now = self._now()
            # Answered long ago: it counts as running, not as a start of this minute.
            self._db.execute(
                "INSERT INTO starts VALUES (?, ?, 0, 1) ON CONFLICT (attempt) DO UPDATE SET"
                " sent_at = excluded.sent_at, answered_at = COALESCE(answered_at, ?), running = 1",
                (attempt_id, now, now),
            )
            self._hold(attempt_id, task_id, now)

    def _hold(self, attempt_id: str, task_id: str, now: float) -> None:
        self._db.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?)", (task_id, now))
        self._db.execute("INSERT OR REPLACE INTO holders VALUES (?, ?)", (task_id, attempt_id))

    def ended(self, attempt_id: str) -> None:
        """The task is over, well or badly: its place among the running is free."""
        with self._transaction():
            self._db.execute("UPDATE starts SET running = 0 WHERE attempt = ?", (attempt_id,))

    def slow_down(self, retry_after_s: float, allowance: Allowance) -> None:
        """After a 429: nothing before that many seconds, and half the rate from then on.

        Several that arrive during one pause answer requests sent before it: the longest wait
        counts, and the rate is halved once.
        """
        with self._transaction():
            now = self._now()
            not_before, allowed = self._pace(now, allowance.starts)
            if now >= not_before:
                allowed = max(1, allowed // 2)
            self._db.execute(
                "INSERT OR REPLACE INTO pace VALUES (1, ?, ?, ?)",
                (max(not_before, now + retry_after_s), allowed, now),
            )

    def spent_today_usd(self) -> Decimal:
        """Dollars reserved or spent by every run of this account since midnight UTC."""
        with self._transaction("BEGIN"):
            return self._spent_usd(self._today())

    def reserve(self, attempt_id: str, price_usd: Decimal, cap_usd: Decimal | None) -> bool:
        """Count a submission's price towards the day, unless that would pass the cap.

        One that is counted already, today or on an earlier day, counts once, and today.
        """
        with self._transaction():
            today = self._today()
            others_usd = self._spent_usd(today, besides=attempt_id)
            if cap_usd is not None and others_usd + price_usd > cap_usd:
                return False
            self._forget_spending(today)
            self._db.execute(
                "INSERT OR REPLACE INTO spending VALUES (?, ?, ?)",
                (attempt_id, self._newest_day(today).isoformat(), str(price_usd)),
            )
            return True

    def intended(self, attempt_ids: Iterable[str]) -> None:
        """Their intents are on the disk: from now on each may have made a task, whatever becomes
        of the journal that says so."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO intended VALUES (?)", [(each,) for each in attempt_ids]
            )

    def settle(self, costs_usd: Mapping[str, Decimal]) -> None:
        """Count what submissions of today did cost, in dollars, in place of what they might."""
        with self._transaction():
            self._settle(costs_usd)

    def _settle(self, costs_usd: Mapping[str, Decimal]) -> None:
        self._db.executemany(
            "UPDATE spending SET usd = ? WHERE attempt = ?",
            [(str(usd), attempt_id) for attempt_id, usd in costs_usd.items()],
        )

    def release(self, attempt_id: str) -> None:
        """A reserved submission bought nothing."""
        with self._transaction():
            self._db.execute("DELETE FROM spending WHERE attempt = ?", (attempt_id,))
            self._db.execute("DELETE FROM intended WHERE attempt = ?", (attempt_id,))

    def heed_journal(
        self,
        prefix: str,
        *,
        known: Collection[str],
        running: Collection[str],
        charged: Mapping[str, Decimal],
        folder: str = "",
    ) -> None:
        """Take from a journal what a process that died could not say here any more.

        The caller holds the journal's lock, so whoever made these entries is dead. An intent
        comes before its request: an attempt that the journal does not know was never sent, unless
        its intent or its answer is known here: then the journal is another than the one that paid,
        and all that was counted stays. One that the journal knows counts as a start, even where it
        was refused: the provider has seen it.

        Args:
            prefix: how the ids of all the journal's attempts begin.
            folder: where the journal lies; empty where nobody needs to find it again.
            known: ids of all its attempts.
            running: ids of those whose task may be under way.
            charged: dollars of those that cost money, or may.
        """
        with self._transaction():
            now = self._now()
            if folder:
                self._db.execute("INSERT OR REPLACE INTO journals VALUES (?, ?)", (prefix, folder))
            for table in ("starts", "spending"):
                rows = self._db.execute(_OF_JOURNAL[table], (len(prefix), prefix)).fetchall()
                for attempt_id, may_be_paid in rows:
                    kept = known if table == "starts" else charged
                    if attempt_id in kept:
                        continue
                    if may_be_paid and attempt_id not in known:
                        # Nobody is left to say when its task ends.
                        self._db.execute(
                            "UPDATE starts SET running = 0 WHERE attempt = ?", (attempt_id,)
                        )
                        continue
                    self._db.execute(
                        f"DELETE FROM {table} WHERE attempt = ?",  # noqa: S608
                        (attempt_id,),
                    )
            self._settle(charged)
            over = [(now, attempt_id) for attempt_id in known if attempt_id not in running]
            self._db.executemany(
                "UPDATE starts SET running = 0, answered_at = COALESCE(answered_at, ?)"
                " WHERE attempt = ?",
                over,
            )

    def unanswered_besides(self, attempt_ids: Collection[str]) -> int:
        """How many submissions of other runs may have made a task that nobody knows yet."""
        with self._transaction():
            rows = self._db.execute(
                "SELECT attempt FROM starts WHERE answered_at IS NULL"
            ).fetchall()
        return sum(attempt_id not in attempt_ids for (attempt_id,) in rows)

    def knows_task(self, task_id: str) -> bool:
        """Whether any run of this account started or follows that task."""
        with self._transaction("BEGIN"):
            row = self._db.execute("SELECT 1 FROM tasks WHERE task = ?", (task_id,)).fetchone()
        return row is not None

    def holder_of(self, task_id: str) -> str | None:
        """The attempt that a task is known to be of: empty where an earlier version noted only the
        task, None where no run of this account started or follows it."""
        with self._transaction("BEGIN"):
            row = self._db.execute(
                "SELECT COALESCE(attempt, '') FROM tasks LEFT JOIN holders USING (task)"
                " WHERE task = ?",
                (task_id,),
            ).fetchone()
        return row[0] if row else None

    def task_of(self, attempt_id: str) -> str | None:
        """The task that an attempt is known to have made, None where none is."""
        with self._transaction("BEGIN"):
            row = self._db.execute(
                "SELECT task FROM holders WHERE attempt = ? ORDER BY rowid DESC", (attempt_id,)
            ).fetchone()
        return row[0] if row else None

    def tasks_since(self, since: datetime) -> tuple[KnownTask, ...]:
        """The tasks that runs of this account started or followed since then, oldest first."""
        with self._transaction("BEGIN"):
            rows = self._db.execute(
                "SELECT task, at, COALESCE(folder, '') FROM tasks LEFT JOIN holders USING (task)"
                " LEFT JOIN journals ON prefix = substr(attempt, 1, length(prefix))"
                " WHERE at > ? ORDER BY at",
                (since.timestamp(),),
            ).fetchall()
        return tuple(
            KnownTask(task_id=task, at=datetime.fromtimestamp(at, UTC), folder=folder)
            for task, at, folder in rows
        )

    def recent_tasks(self, at_most: int) -> tuple[str, ...]:
        """The tasks that runs of this account started or followed last, newest first."""
        with self._transaction("BEGIN"):
            rows = self._db.execute(
                "SELECT task FROM tasks ORDER BY at DESC, rowid DESC LIMIT ?", (at_most,)
            ).fetchall()
        return tuple(task_id for (task_id,) in rows)

    def cached_upload(self, content_key: str, keep_s: float = UPLOAD_MAX_AGE_S) -> str | None:
        """The URL or id of a file that was uploaded, or last used, less than ``keep_s`` ago."""
        with self._transaction("BEGIN"):
            row = self._db.execute(
                "SELECT url FROM uploads WHERE content = ? AND at > ?",
                (content_key, self._wall() - keep_s),
            ).fetchone()
        return row[0] if row else None

    def remember_upload(self, content_key: str, url: str) -> None:
        """Keep an uploaded image's URL for the next run."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?)", (content_key, url, self._wall())
            )

    def renew_uploads(self, urls: Collection[str]) -> None:
        """These were just used, and are kept for as long again."""
        with self._transaction():
            now = self._wall()
            self._db.executemany(
                "UPDATE uploads SET at = ? WHERE url = ?", [(now, url) for url in urls]
            )

    def forget_uploads(self, urls: Collection[str]) -> None:
        """The provider has these no longer."""
        with self._transaction():
            self._db.executemany("DELETE FROM uploads WHERE url = ?", [(url,) for url in urls])

    def record_latency(self, shot_class: str, seconds: float) -> None:
        """Remember how long a task of this class took, keeping the newest few hundred."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO latencies VALUES (?, ?, ?)", (shot_class, seconds, self._now())
            )
            self._db.execute(
                "DELETE FROM latencies WHERE class = ?1 AND rowid NOT IN (SELECT rowid FROM"
                " latencies WHERE class = ?1 ORDER BY at DESC LIMIT ?2)",
                (shot_class, _LATENCIES_KEPT),
            )

    def early_latency(self, shot_class: str) -> float | None:
        """The 5th percentile of how long such tasks took, None while too few are known."""
        with self._transaction("BEGIN"):
            rows = self._db.execute(
                "SELECT seconds FROM latencies WHERE class = ? ORDER BY seconds", (shot_class,)
            ).fetchall()
        if len(rows) < _LATENCIES_NEEDED:
            return None
        return float(rows[math.floor(0.05 * (len(rows) - 1))][0])

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """All that happens inside happens at once for every process; a plain BEGIN only reads."""
        with self._guard:
            try:
                with self._db:
                    self._db.execute(begin)
                    yield
            except sqlite3.Error as exc:
                raise StorageError(
                    f"cannot keep the account's state: {exc}",
                    hint="free some disk space, then run again; nothing paid is lost",
                ) from exc

    def _pace(self, now: float, full: int) -> tuple[float, int]:
        """Earliest next start, and the starts allowed in a window: halved by each 429, then
        growing back by a tenth of the full rate a minute."""
        row = self._db.execute("SELECT not_before, allowed, changed_at FROM pace").fetchone()
        if row is None:
            return 0.0, full
        not_before, allowed, changed_at = row
        regained = math.floor(max(0.0, now - changed_at) / 60.0 * max(1.0, full / 10))
        return float(not_before), min(full, allowed + regained)

    def _heed_clock(self, now: float) -> None:
        """What seems to lie in the future happened before the wall clock was set back: count it
        from now, so that nobody waits until the old time comes round again."""
        self._db.execute(
            "UPDATE starts SET sent_at = min(sent_at, ?1), answered_at = min(answered_at, ?1)"
            " WHERE sent_at > ?1 OR answered_at > ?1",
            (now,),
        )
        self._db.execute(
            "UPDATE pace SET not_before = not_before - (changed_at - ?1), changed_at = ?1"
            " WHERE changed_at > ?1",
            (now,),
        )

    def _read_clock(self, uptime: Uptime) -> float:
        """When the machine started, by what the wall clock said to the first process of all."""
        began_at = self._wall() - uptime.elapsed()
        self._db.execute("INSERT OR IGNORE INTO clocks VALUES (?, ?)", (uptime.boot, began_at))
        row = self._db.execute(
            "SELECT began_at FROM clocks WHERE boot = ?", (uptime.boot,)
        ).fetchone()
        self._db.execute("DELETE FROM clocks WHERE boot <> ?", (uptime.boot,))
        return float(row[0])

    def _now(self) -> float:
        return self._wall() if self._uptime is None else self._began_at + self._uptime.elapsed()

    def _today(self) -> date:
        return datetime.fromtimestamp(self._wall(), UTC).date()

    def _newest_day(self, today: date) -> date:
        """The day to count on: today, or a later one that somebody has counted on already.

        Then the clock was set back since. What it says may be wrong now or have been wrong before,
        so the earlier day is not given a second allowance. A day that is further ahead than a week
        was no day.
        """
        (newest,) = self._db.execute(
            "SELECT max(day) FROM spending WHERE day <= ?",
            ((today + _SPENDING_KEPT).isoformat(),),
        ).fetchone()
        return today if newest is None else max(today, date.fromisoformat(newest))

    def _spent_usd(self, today: date, *, besides: str = "") -> Decimal:
        """Of today, and of any later day: the clock may have been set back since."""
        rows = self._db.execute(
            "SELECT usd FROM spending WHERE day >= ? AND attempt <> ?", (today.isoformat(), besides)
        ).fetchall()
        return sum((Decimal(usd) for (usd,) in rows), Decimal(0))

    def _forget_spending(self, today: date) -> None:
        self._db.execute(
            "DELETE FROM spending WHERE day < ?", ((today - _SPENDING_KEPT).isoformat(),)
        )
        self._db.execute(
            "DELETE FROM intended WHERE attempt NOT IN (SELECT attempt FROM spending)"
            " AND attempt NOT IN (SELECT attempt FROM starts)"
        )

    def _forget_old(self, now: float, window_s: float) -> None:
        self._db.execute(
            "DELETE FROM starts WHERE answered_at IS NULL AND sent_at < ?",
            (now - _FORGET_UNANSWERED_S,),
        )
        self._db.execute(
            "DELETE FROM starts WHERE answered_at < ? AND (running = 0 OR sent_at < ?)",
            (now - window_s, now - _FORGET_RUNNING_S),
        )
