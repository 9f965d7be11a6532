"""Fault scripts: what shall go wrong, where, and which time. Values and decisions; no I/O.

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
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import UsageError
from pipeline.sandbox.fault_catalogue import (
    FAULT_NAMES,
    HAVE_PROMPT,
    HAVE_TASK,
    Endpoint,
    Moment,
    Option,
    find_fault,
    number,
    one_of,
    text,
    whole,
)

Place: TypeAlias = tuple[str | int, ...]


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


def parse_faults(
    document: object, *, source: str = "faults", lines: Mapping[Place, int] | None = None
) -> FaultScript:
    """A script from JSON-like values; ``lines`` gives the line of each place, for messages.

    Raises:
        UsageError: something is not understood; says where, what, and the likely cure.
    """
    return _Reader(source, lines or {}).script(document)


_SCRIPT_OPTIONS: Mapping[str, Option] = {
    "clock_skew": Option(number(-1e9, 1e9), "a number of seconds", 0.0),
    "client_pid_file": Option(text, "the name of a file", None),
    "url_ttl": Option(number(0, 1e9), "a number of seconds", None),
    "retention": Option(number(0, 1e9), "a number of seconds", None),
}
_SELECTORS: Mapping[str, Option] = {
    "nth": Option(None, "a whole number from 1, or a list of them", None),
    "every": Option(whole(1, 10**9), "a whole number from 1", None),
    "p": Option(number(0, 1), "a number from 0 to 1", None),
    "seed": Option(whole(0, 2**63 - 1), "a whole number from 0", 0),
    "from": Option(number(0, 1e9), "a number of seconds since the start", 0.0),
    "to": Option(number(0, 1e9), "a number of seconds since the start", None),
    "per": Option(one_of(*Per), f"one of {', '.join(Per)}", Per.GLOBAL),
    "match": Option(text, "a piece of the prompt", ""),
    "times": Option(whole(1, 10**9), "a whole number from 1", None),
}


@dataclass(frozen=True, slots=True)
class _Reader:
    source: str
    lines: Mapping[Place, int]

    def script(self, document: object) -> FaultScript:
        body = {"faults": document} if isinstance(document, list) else document
        if not isinstance(body, dict):
            raise self._wrong((), "the script must be a mapping with a list of faults")
        self._check_keys((), body, {"faults", *_SCRIPT_OPTIONS})
        entries = body.get("faults", [])
        if not isinstance(entries, list):
            raise self._wrong(("faults",), "must be a list of rules")
        values = self._options((), body, _SCRIPT_OPTIONS)
        pid_file = values["client_pid_file"]
        return FaultScript(
            rules=tuple(self._rule(n, entry) for n, entry in enumerate(entries)),
            clock_skew_s=_float(values["clock_skew"]) or 0.0,
            client_pid_file=Path(pid_file) if isinstance(pid_file, str) else None,
            url_ttl_s=_float(values["url_ttl"]),
            retention_s=_float(values["retention"]),
        )

    def _rule(self, index: int, entry: object) -> Rule:
        place: Place = ("faults", index)
        if not isinstance(entry, dict):
            raise self._wrong(place, "must be a mapping such as {on: submit, fault: http_500}")
        fault = entry.get("fault")
        name = fault if isinstance(fault, str) else ""
        found = find_fault(name)
        if found is None:
            known = FAULT_NAMES
            raise self._wrong((*place, "fault"), f"no fault {fault!r}", hint=_near(name, known))
        kind, settings = found
        self._check_keys(place, entry, {"on", "fault", *_SELECTORS, *kind.takes})
        on = self._endpoints((*place, "on"), entry.get("on"))
        strangers = sorted(on - kind.on)
        if strangers and entry.get("on") != "any":
            where = ", ".join(sorted(kind.on))
            raise self._wrong(
                (*place, "on"), f"{name} cannot play on {strangers[0]}", hint=f"on: {where}"
            )
        settings |= self._options(place, entry, kind.takes)
        return Rule(
            index=index,
            on=on & kind.on,
            fault=name,
            moment=kind.moment_of(settings),
            joins=kind.joins,
            select=self._selector(place, entry, on & kind.on, times=kind.times),
            settings=settings,
        )

    def _endpoints(self, place: Place, value: object) -> frozenset[Endpoint]:
        words = value if isinstance(value, list) else [value]
        if not words:
            raise self._wrong(place, "names no endpoint")
        found: set[Endpoint] = set()
        for word in words:
            if word == "any":
                found.update(Endpoint)
            elif isinstance(word, str) and word in set(Endpoint):
                found.add(Endpoint(word))
            else:
                hint = _near(str(word), [*Endpoint, "any"])
                raise self._wrong(place, f"no endpoint {word!r}", hint=hint)
        return frozenset(found)

    def _selector(
        self,
        place: Place,
        entry: dict[str, object],
        on: frozenset[Endpoint],
        *,
        times: int | None,
    ) -> Selector:
        values = self._options(place, entry, _SELECTORS)
        chosen = [name for name in ("nth", "every", "p") if values[name] is not None]
        if len(chosen) > 1:
            raise self._wrong((*place, chosen[1]), f"{' and '.join(chosen)} exclude each other")
        per = Per(str(values["per"]))
        known = HAVE_TASK if per is Per.TASK else HAVE_PROMPT
        if per is not Per.GLOBAL and not on <= known:
            where = ", ".join(sorted(known))
            raise self._wrong((*place, "per"), f"{per} is known only to {where}")
        if values["match"] and not on & HAVE_PROMPT:
            where = ", ".join(sorted(HAVE_PROMPT))
            raise self._wrong((*place, "match"), f"the prompt is known only to {where}")
        nth = values["nth"] if isinstance(values["nth"], list) else [values["nth"]]
        every, seed, most = values["every"], values["seed"], values["times"]
        return Selector(
            nth=tuple(n for n in nth if isinstance(n, int)),
            every=every if isinstance(every, int) else None,
            p=_float(values["p"]),
            seed=seed if isinstance(seed, int) else 0,
            from_s=_float(values["from"]) or 0.0,
            to_s=_float(values["to"]),
            per=per,
            match=str(values["match"]),
            times=most if isinstance(most, int) else times,
        )

    def _options(
        self, place: Place, entry: Mapping[str, object], options: Mapping[str, Option]
    ) -> dict[str, object]:
        values: dict[str, object] = {}
        for name, option in options.items():
            if name not in entry:
                if option.is_needed:
                    raise self._wrong(place, f"{name} is missing", hint=f"{name}: {option.wants}")
                values[name] = option.default
                continue
            value = _nth(entry[name]) if name == "nth" else option.accept(entry[name])
            if value is None:
                raise self._wrong((*place, name), f"{entry[name]!r} is not {option.wants}")
            values[name] = value
        return values

    def _check_keys(self, place: Place, entry: Mapping[object, object], known: set[str]) -> None:
        for key in entry:
            if key not in known:
                hint = _near(str(key), known)
                raise self._wrong((*place, str(key)), f"unknown key {key!r}", hint=hint)

    def _wrong(self, place: Place, message: str, *, hint: str = "") -> UsageError:
        line = next(
            (self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines),
            None,
        )
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
        parts = [self.source, "" if line is None else str(line), f" {where.lstrip('.')}"]
        return UsageError(
            ":".join(part for part in parts if part.strip()) + f": {message}", hint=hint
        )


def _nth(value: object) -> object:
    each = whole(1, 10**9)
    many = value if isinstance(value, list) else [value]
    return many if many and all(each(n) is not None for n in many) else None


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _near(word: str, known: object) -> str:
    names = sorted(str(name) for name in known) if isinstance(known, list | set | tuple) else []
    match = get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    return f"did you mean {match[0]}?" if match else f"one of {', '.join(names)}"
