"""What has been spent, from the ledgers of many storyboards. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from pipeline.ledger import DOUBTFUL, FREE, SPOILED, Attempt, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLine:
    """The money of one day, storyboard and provider.

    ``spent_usd`` every task that exists, at what it cost; ``wasted_usd`` the part of it whose clip
    never came;
    ``reserved_usd`` submissions whose outcome is not known.
    """

    day: str
    storyboard: str
    provider: str
    tasks: int
    spent_usd: Decimal
    wasted_usd: Decimal
    reserved_usd: Decimal


def spend_lines(ledgers: Iterable[tuple[str, Ledger]]) -> tuple[SpendLine, ...]:
    """Add up attempts by the UTC day of their intent, storyboard and provider; sorted.

    Args:
        ledgers: pairs of a storyboard's name and its ledger.
    """
    groups: dict[tuple[str, str, str], list[Attempt]] = {}
    for storyboard, ledger in ledgers:
        for attempt in ledger.attempts:
            if attempt.state in FREE:
                continue
            day = attempt.intended_at.date().isoformat()
            groups.setdefault((day, storyboard, attempt.provider), []).append(attempt)
    return tuple(
        SpendLine(
            day=day,
            storyboard=storyboard,
            provider=provider,
            tasks=sum(a.state not in DOUBTFUL for a in attempts),
            spent_usd=_sum(a for a in attempts if a.state not in DOUBTFUL),
            wasted_usd=_sum(a for a in attempts if a.state in SPOILED),
            reserved_usd=_sum(a for a in attempts if a.state in DOUBTFUL),
        )
        for (day, storyboard, provider), attempts in sorted(groups.items())
    )


def _sum(attempts: Iterable[Attempt]) -> Decimal:
    return sum((attempt.cost_usd for attempt in attempts), Decimal(0))
