"""Reads a fault script from plain values, strictly: what shall go wrong, where, and which time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import UsageError
from pipeline.sandbox.fault_catalogue import (
    FAULT_NAMES,
    HAVE_PROMPT,
    HAVE_TASK,
    Endpoint,
    Option,
    find_fault,
    number,
    one_of,
    text,
    whole,
)
from pipeline.sandbox.fault_rules import FaultScript, Per, Rule, Selector

__all__ = ["FaultScript", "Place", "parse_faults"]

Place: TypeAlias = tuple[str | int, ...]


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
