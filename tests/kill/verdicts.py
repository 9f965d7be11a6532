"""What a run that was killed must look like when it is over, by the provider's own books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """What a report counts."""

    PAID_TWICE = "paid twice"
    LOST = "paid clip lost"
    MONEY = "money said is not money spent"
    VIOLATION = "provider's rules broken"
    FILM = "another film"
    ENDING = "did not end well"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One promise that was not kept."""

    kind: FaultKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is left of one run.

    ``record``: the sandbox's, see ``pipeline.sandbox.bill.build_record``. ``summary``: the last
    ``run.json``. ``exit_code`` None: it had to be ended. ``film_sha256`` of the file itself, None
    where there is none. ``kills``: how often the command was killed. ``wrecks``: what was wrong on
    disk right after a kill.
    """

    record: Mapping[str, Any]
    summary: Mapping[str, Any]
    exit_code: int | None
    film_sha256: str | None
    kills: int = 0
    wrecks: tuple[str, ...] = ()


def judge(
    evidence: Evidence, *, shots: int, price_usd: Decimal, film_sha256: str | None
) -> list[Fault]:
    """Everything that should not be so; [] for a run that kept every promise.

    Args:
        film_sha256: of the film of an undisturbed run; None while that is what is being found.
    """
    found = [Fault(kind=FaultKind.FILM, text=text) for text in evidence.wrecks]
    found += _bill(evidence, shots, price_usd)
    found += _manners(evidence)
    if evidence.exit_code is None:
        return [*found, Fault(kind=FaultKind.ENDING, text="it had to be ended")]
    if evidence.exit_code != 0:
        found.append(Fault(kind=FaultKind.ENDING, text=f"exit code {evidence.exit_code}"))
    found += _summary(evidence)
    if evidence.film_sha256 is None:
        found.append(Fault(kind=FaultKind.FILM, text="there is none"))
    elif film_sha256 is not None and evidence.film_sha256 != film_sha256:
        found.append(Fault(kind=FaultKind.FILM, text="not that of an undisturbed run"))
    return found


def _bill(evidence: Evidence, shots: int, price_usd: Decimal) -> list[Fault]:
    """What the provider took money for."""
    record, found = evidence.record, []
    tasks = record["tasks"]
    if record["duplicates"] or len(tasks) > shots:
        text = f"{len(tasks)} tasks accepted for {shots} shots"
        found.append(Fault(kind=FaultKind.PAID_TWICE, text=text))
    if evidence.exit_code is not None:
        lost = [task["id"] for task in tasks if not task["downloads"]]
        if lost:
            found.append(Fault(kind=FaultKind.LOST, text=f"{len(lost)} never fetched"))
        if len(tasks) < shots:
            text = f"{len(tasks)} tasks accepted for {shots} shots"
            found.append(Fault(kind=FaultKind.ENDING, text=text))
    billed_usd = Decimal(record["bill"]["total_usd"])
    if billed_usd > price_usd:
        text = f"${billed_usd} billed over a budget of ${price_usd}"
        found.append(Fault(kind=FaultKind.MONEY, text=text))
    return found


def _summary(evidence: Evidence) -> list[Fault]:
    """Whether the command's last word agrees with the bill."""
    found = []
    billed_usd = Decimal(evidence.record["bill"]["total_usd"])
    money = evidence.summary.get("money", {})
    said = {name: Decimal(money.get(f"{name}_usd", "NaN")) for name in ("spent", "reserved")}
    if said != {"spent": billed_usd, "reserved": Decimal(0)}:
        text = f"said ${said['spent']} + ${said['reserved']} reserved of ${billed_usd} billed"
        found.append(Fault(kind=FaultKind.MONEY, text=text))
    in_film = {
        take["task_id"]
        for shot in evidence.summary.get("shots", ())
        for take in shot["takes"]
        if shot["clip"] is not None and take["clip"] == shot["clip"]
    }
    accepted = {task["id"] for task in evidence.record["tasks"]}
    if in_film != accepted:
        text = f"{len(accepted - in_film)} accepted tasks are not in the film"
        found.append(Fault(kind=FaultKind.LOST, text=text))
    return found


def _manners(evidence: Evidence) -> list[Fault]:
    """Violations; a task may be asked for a fresh address once more after each death."""
    rows = evidence.record["violations"]
    kinds = Counter(row["kind"] for row in rows)
    late_looks = Counter(row["task_id"] for row in rows if row["kind"] == "poll_after_end")
    # The sandbox counts from the second look too many; each death but the first excuses one more.
    if max(late_looks.values(), default=0) < max(evidence.kills, 1):
        kinds.pop("poll_after_end", None)
    found = [
        Fault(kind=FaultKind.VIOLATION, text=f"{kind}, {count} times")
        for kind, count in sorted(kinds.items())
    ]
    return found + [
        Fault(kind=FaultKind.VIOLATION, text=f"{name}, {count} times")
        for name, count in sorted(evidence.record["counters"].items())
        if name == "unauthorized" or name.endswith(".429")
    ]
