"""One life of the program: from its start to its end, or to the moment it is killed.

Every point where the program waits, asks or writes calls ``tick``; a life that is to end early
ends at one of these. A dead life writes nothing, sends nothing and hears nothing: from then on
every further tick raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import trio


class Killed(BaseException):
    """The process is gone; no code of it may run on, so nothing catches this as a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What happens to a life, and when.

    ``what``: ``kill``, ``interrupt`` (the first Ctrl-C) or ``terminate`` (SIGTERM). ``label``
    names the points that count, by how they begin; empty means all. It happens at the
    ``count``-th of them.
    """

    what: str
    label: str
    count: int


class Life:
    """What the harness, the world and the disk of one process have in common."""

    def __init__(self, number: int, fate: Fate | None, trace: Trace) -> None:
        self.number = number
        self.ticks = 0
        self.dead = False
        self.on_interrupt: Callable[[], None] = lambda: None
        self.on_terminate: Callable[[], None] = lambda: None
        self._fate = fate
        self._seen = 0
        self._trace = trace
        self._death = trio.Event()

    def tick(self, label: str) -> None:
        """Pass a point where the process may come to its end.

        Raises:
            Killed: it is dead, from here or from before.
        """
        if self.dead:
            raise Killed
        self.ticks += 1
        self._trace.add(label)
        fate = self._fate
        if fate is None or not label.startswith(fate.label):
            return
        self._seen += 1
        if self._seen != fate.count:
            return
        self._fate = None
        self._trace.add(fate.what)
        if fate.what == "kill":
            self.dead = True
            self._death.set()
            raise Killed
        if fate.what == "interrupt":
            self.on_interrupt()
        else:
            self.on_terminate()

    async def wait(self, seconds: float, label: str) -> None:
        """Let virtual time pass; a death in between is felt at once, shielded or not."""
        self.tick(label)
        with trio.move_on_after(seconds):
            await self._death.wait()
        if self.dead:
            raise Killed


class Trace:
    """All that happened, in order, as one digest: two runs of a seed must agree on it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.lines: list[str] | None = None

    def add(self, text: str) -> None:
        """One more thing happened, now."""
        line = f"{trio.current_time():.6f} {text}"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """Hex digest of everything so far."""
        return self._hash.hexdigest()
