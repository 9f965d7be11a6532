"""Fault scripts as values, and the decision when a rule fires.

A rule names an endpoint, a fault of the catalogue and a selector. It counts what happens at the
fault's own moment: a fault that plays before the request is carried out counts requests, one that
plays afterwards counts those that were carried out, one that spoils a finished task's answer counts
such answers. Everything is decided by counting and by seeded chance, so that a script plays the
same way each time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.sandbox.fault_catalogue import Endpoint, Moment


class Per(StrEnum):
    """What a rule counts by."""

    GLOBAL = "global"
    TASK = "task"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which occurrences a rule fires at; ``nth`` empty, ``every`` and ``p`` None: at each.

    ``from_s`` and ``to_s`` bound the time since the start of the server; ``times`` the firings,
    like every count by ``per``. ``match`` is a piece of the task's prompt.
    """

    nth: tuple[int, ...] = ()
    every: int | None = None
    p: float | None = None
    seed: int = 0
    from_s: float = 0.0
    to_s: float | None = None
    per: Per = Per.GLOBAL
    match: str = ""
    times: int | None = None

    def is_open(self, event: Event) -> bool:
        """Whether this occurrence counts at all."""
        in_time = self.from_s <= event.since_start_s and (
            self.to_s is None or event.since_start_s < self.to_s
        )
        return in_time and self.match in event.prompt

    def key(self, event: Event) -> str:
        """What the occurrence is counted under."""
        match self.per:
            case Per.GLOBAL:
                return ""
            case Per.TASK:
                return event.task_id
            case Per.PROMPT:
                return event.prompt

    def hits(self, n: int, event: Event, *, salt: int) -> bool:
        """Whether occurrence number ``n``, from 1, is one to fire at."""
        if self.nth:
            return n in self.nth
        if self.every is not None:
            return n % self.every == 0
        if self.p is None:
            return True
        # Task ids differ from run to run, prompts do not.
        who = "" if self.per is Per.GLOBAL else event.prompt
        digest = hashlib.sha256(f"{self.seed}:{salt}:{n}:{who}".encode(errors="replace")).digest()
        return int.from_bytes(digest[:8]) / 2**64 < self.p


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of a script. ``settings`` holds every setting of its fault, defaults filled in."""

    index: int
    on: frozenset[Endpoint]
    fault: str
    moment: Moment
    joins: bool
    select: Selector
    settings: Mapping[str, object]

    def flag(self, name: str) -> bool:
        """A yes or no; False where the fault has no such setting."""
        return self.settings.get(name) is True

    def text(self, name: str) -> str:
        """A text; empty where there is none."""
        value = self.settings.get(name)
        return value if isinstance(value, str) else ""

    def whole(self, name: str) -> int:
        """A whole number; 0 where there is none."""
        value = self.settings.get(name)
        return value if isinstance(value, int) else 0

    def seconds(self) -> float:
        """How long it lasts."""
        value = self.settings.get("seconds")
        return float(value) if isinstance(value, int | float) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultScript:
    """A whole script.

    ``clock_skew_s`` is added to the server's clock. ``client_pid_file`` names the process that
    ``kill_client`` kills. ``url_ttl_s`` and ``retention_s``: how long clip addresses and tasks
    live; None: as the provider does.
    """

    rules: tuple[Rule, ...] = ()
    clock_skew_s: float = 0.0
    client_pid_file: Path | None = None
    url_ttl_s: float | None = None
    retention_s: float | None = None

    def check(self) -> None:
        """Refuse what cannot be played.

        Raises:
            UsageError: a client is to be killed, but nothing says which.
        """
        if self.client_pid_file is None and any(r.fault == "kill_client" for r in self.rules):
            raise UsageError(
                "the fault script kills the client, but nothing says which process that is",
                hint="name a file that holds its process id: --client-pid-file FILE",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One occurrence that rules may fire at; ``task_id`` and ``prompt`` empty where unknown."""

    endpoint: Endpoint
    moments: frozenset[Moment]
    since_start_s: float
    task_id: str = ""
    prompt: str = ""


class Tally:
    """What every rule has seen so far, and what it makes of the next occurrence."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._seen: Counter[tuple[int, str]] = Counter()
        self._fired: Counter[tuple[int, str]] = Counter()

    def firing(self, event: Event) -> list[Rule]:
        """The rules that fire, in the script's order: those that join others, and one more."""
        firing: list[Rule] = []
        for rule in self._rules:
            if event.endpoint not in rule.on or rule.moment not in event.moments:
                continue
            if not rule.select.is_open(event):
                continue
            key = rule.index, rule.select.key(event)
            self._seen[key] += 1
            spent = rule.select.times is not None and self._fired[key] >= rule.select.times
            if spent or not rule.select.hits(self._seen[key], event, salt=rule.index):
                continue
            if rule.joins or all(other.joins for other in firing):
                self._fired[key] += 1
                firing.append(rule)
        return firing

    def take_back(self, rule: Rule, event: Event) -> None:
        """A rule fired in vain: there was nothing left to spoil."""
        self._fired[rule.index, rule.select.key(event)] -= 1
