"""Start the real command with a death built in, or broken on purpose.

    launcher.py [--kill-at N] [--writes journal|disk|account|all] [--break NAME]
        [--file-limit BYTES] [--open-files N] [--small-disk] -- run ...

``--kill-at N``: SIGKILL to itself at the Nth write, counting twice for each: before and after.
``--break``: ``blind-retry`` sends a submission again whose answer was lost; ``late-intent``
writes an intent down only together with its answer. A proof that lets these pass proves nothing.
``--file-limit``: no file, whoever writes it, grows beyond this, as on a disk that is full.
``--open-files``: no more may be open at a time, as after ``ulimit -n N``.
``--small-disk``: does not ask at the start whether there is room for all the clips.
No code of the program knows of any of this.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from pipeline import workspace
from pipeline.account import AccountStore
from pipeline.cli import entry
from pipeline.journal import Journal
from pipeline.ledger import Attempt, EventKind
from pipeline.production import Production
from pipeline.taking import TakeMaker

_ACCOUNT = ("try_start", "answered", "not_sent", "resumed", "ended", "remember_upload")


class Deathwatch:
    """Counts the moments before and after every watched write, and dies at one of them."""

    def __init__(self, kill_at: int) -> None:
        self._kill_at = kill_at
        # Writes come from several threads; the counter hands each its own number.
        self._count = itertools.count(1)

    def watch(self, owner: Any, name: str) -> None:
        """Count the calls of one function from now on."""
        written = getattr(owner, name)

        @wraps(written)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._moment()
            try:
                return written(*args, **kwargs)
            finally:
                self._moment()

        setattr(owner, name, counted)

    def _moment(self) -> None:
        if next(self._count) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def watch_writes(which: str, kill_at: int) -> None:
    """Put the death in the way of the writes that count."""
    deathwatch = Deathwatch(kill_at)
    if which in {"journal", "all"}:
        deathwatch.watch(Journal, "append")
    if which in {"disk", "all"}:
        for name in ("replace", "fsync"):
            deathwatch.watch(os, name)
    if which in {"account", "all"}:
        for name in _ACCOUNT:
            deathwatch.watch(AccountStore, name)


def break_blind_retry() -> None:
    """Take a lost answer for a refusal, without asking anybody."""

    async def settle(self: TakeMaker, production: Production, attempt: Attempt) -> None:
        await production.record(attempt.attempt_id, EventKind.ABSENT, reason="not looked for")

    TakeMaker.settle = settle  # type: ignore[assignment, method-assign]


def break_late_intent() -> None:
    """Keep every intent in memory until there is something to say about it."""
    record = Production.record
    held: dict[str, dict[str, Any]] = {}

    async def late(self: Production, attempt_id: str, kind: EventKind, **data: Any) -> None:
        if kind is EventKind.INTENT:
            held[attempt_id] = data
            return
        if attempt_id in held:
            await record(self, attempt_id, EventKind.INTENT, **held.pop(attempt_id))
        await record(self, attempt_id, kind, **data)

    Production.record = late  # type: ignore[method-assign]


BREAKS: dict[str, Callable[[], None]] = {
    "blind-retry": break_blind_retry,
    "late-intent": break_late_intent,
}


def main() -> None:
    """Arrange what the options ask for, then be the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument(
        "--writes", choices=["journal", "disk", "account", "all"], default="journal"
    )
    parser.add_argument("--break", dest="broken", choices=sorted(BREAKS))
    parser.add_argument("--file-limit", type=int)
    parser.add_argument("--open-files", type=int)
    parser.add_argument("--small-disk", action="store_true")
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    if options.file_limit is not None:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_limit, most))
    if options.open_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options.open_files, options.open_files))
    if options.small_disk:
        workspace.ROOM_PER_CLIP_BYTES = 0
    if options.kill_at:
        watch_writes(options.writes, options.kill_at)
    if options.broken is not None:
        BREAKS[options.broken]()
    sys.argv = ["storyboard", *options.arguments]
    entry()


if __name__ == "__main__":
    main()
