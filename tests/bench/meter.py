"""What a command costs: processor seconds, wall seconds, and memory, its children included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_SAMPLE_S = 0.1
_LAST_WORDS = 400


class CommandFailed(Exception):
    """A measured command did not end well; the message holds its last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One run. ``peak_bytes`` of all its processes together; ``was_stopped`` for taking too much
    memory, so that every figure is a least one."""

    cpu_s: float
    wall_s: float
    peak_bytes: int
    was_stopped: bool = False


@dataclass(slots=True)
class _Watch:
    """Looks at a process and its descendants until told to end."""

    root: int
    cap_bytes: int
    peak_bytes: int = 0
    was_stopped: bool = False
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.wait(_SAMPLE_S):
            tree = _tree(self.root)
            self.peak_bytes = max(self.peak_bytes, sum(_memory_bytes(pid) for pid in tree))
            if self.peak_bytes > self.cap_bytes and not self.was_stopped:
                self.was_stopped = True
                for pid in tree:
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL)


def run(command: Sequence[str], *, cap_bytes: int, env: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end, or until it and its children hold more than ``cap_bytes``.

    Processor time is what the kernel charged to all of them. Memory is the largest sum seen, ten
    times a second, each page that several share counted once; at least the largest process's own
    peak. Where there is no ``/proc`` it is that peak alone, and nothing is stopped.

    Raises:
        CommandFailed: it ended with an error.
    """
    with tempfile.TemporaryFile() as words:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words, env=env
        )
        watch = _Watch(process.pid, cap_bytes)
        watcher = threading.Thread(target=watch.run)
        watcher.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        finally:
            watch.over.set()
            watcher.join()
        wall_s = time.perf_counter() - began
        # Popen would wait for a process that is gone.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and not watch.was_stopped:
            words.seek(0)
            tail = words.read().decode(errors="replace")[-_LAST_WORDS:].strip()
            raise CommandFailed(f"{' '.join(command[:3])} ended with {process.returncode}: {tail}")
    # Linux counts in KiB, macOS in bytes.
    largest_bytes = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Cost(
        cpu_s=used.ru_utime + used.ru_stime,
        wall_s=wall_s,
        peak_bytes=max(largest_bytes, watch.peak_bytes),
        was_stopped=watch.was_stopped,
    )


def free_memory_bytes() -> int:
    """What the machine could still give away; without ``/proc``: no limit."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(available.split()[1]) * 1024
    return sys.maxsize


def _tree(root: int) -> list[int]:
    """A process and all that it started, however far down."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                waiting += [int(child) for child in tasks.read_text(encoding="ascii").split()]
    return found


def _memory_bytes(pid: int) -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    return 0
