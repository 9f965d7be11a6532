"""Lay the journals beside the provider's bill and name every difference. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from pipeline.ledger import Attempt
from pipeline.providers.base import BillingRow


class FindingKind(StrEnum):
    """``orphan``: a charge that no journal knows. ``gone``: a task of this account whose journal is
    not there any more. ``refund``: money came back. ``difference``: charged otherwise than
    expected. ``unbilled``: a task of ours that the bill does not show."""

    ORPHAN = "orphan"
    GONE = "gone"
    REFUND = "refund"
    DIFFERENCE = "difference"
    UNBILLED = "unbilled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that journals and bill do not say alike; ``slate`` empty for one of no journal."""

    kind: FindingKind
    task_id: str
    slate: str
    billed_usd: Decimal
    expected_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Totals of our tasks by the bill and by the journals, and what differs."""

    billed_usd: Decimal
    refunded_usd: Decimal
    spent_usd: Decimal
    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        """Whether every charge is known and every price as expected; refunds are welcome."""
        return all(finding.kind is FindingKind.REFUND for finding in self.findings)


def reconcile(
    attempts: Iterable[Attempt],
    rows: Iterable[BillingRow],
    *,
    known_elsewhere: Callable[[str], bool],
    gone: Collection[str] = (),
) -> Reconciliation:
    """Compare tasks with charges and refunds.

    Args:
        attempts: every attempt of the journals that have a task id.
        rows: the provider's bill over at least the time of those attempts.
        known_elsewhere: whether another storyboard of this account started a task.
        gone: tasks that this account started, and that stand in no journal.
    """
    ours = {attempt.task_id: attempt for attempt in attempts if attempt.task_id is not None}
    charged: dict[str, Decimal] = {}
    returned: dict[str, Decimal] = {}
    for row in rows:
        side = returned if row.is_refund else charged
        side[row.task_id] = side.get(row.task_id, Decimal(0)) + row.amount_usd
    findings = []
    for task_id, attempt in ours.items():
        billed_usd = charged.get(task_id)
        if billed_usd is None:
            findings.append(_finding(FindingKind.UNBILLED, attempt, Decimal(0)))
        elif billed_usd != attempt.price_usd:
            findings.append(_finding(FindingKind.DIFFERENCE, attempt, billed_usd))
        if returned.get(task_id, Decimal(0)) > attempt.refunded_usd:
            findings.append(_finding(FindingKind.REFUND, attempt, returned[task_id]))
    strangers = [task for task in charged if task not in ours and not known_elsewhere(task)]
    findings += [_of_nobody(FindingKind.GONE, task, charged) for task in gone]
    findings += [_of_nobody(FindingKind.ORPHAN, task, charged) for task in strangers]
    return Reconciliation(
        billed_usd=sum((charged.get(task, Decimal(0)) for task in ours), Decimal(0)),
        refunded_usd=sum((returned.get(task, Decimal(0)) for task in ours), Decimal(0)),
        spent_usd=sum((attempt.price_usd for attempt in ours.values()), Decimal(0)),
        findings=tuple(findings),
    )


def _finding(kind: FindingKind, attempt: Attempt, billed_usd: Decimal) -> Finding:
    return Finding(
        kind=kind,
        task_id=attempt.task_id or "",
        slate=attempt.slate,
        billed_usd=billed_usd,
        expected_usd=attempt.price_usd,
    )


def _of_nobody(kind: FindingKind, task_id: str, charged: Mapping[str, Decimal]) -> Finding:
    """A task that stands in no journal; on the bill or not."""
    return Finding(
        kind=kind,
        task_id=task_id,
        slate="",
        billed_usd=charged.get(task_id, Decimal(0)),
        expected_usd=Decimal(0),
    )
