"""Programs that handle money wrongly on purpose: the proof must catch each of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from money.run import Gates
from simulation.fittings import MortalAccount

from pipeline.commands.jobs import Job
from pipeline.errors import OverBudget
from pipeline.ledger import EventKind
from pipeline.production import Production, Services


def by_the_plan_alone(job: Job) -> None:
    """A budget for each run: what earlier runs spent is forgotten."""
    budget_usd = job.storyboard.budget_usd
    if budget_usd is not None and job.plan.buy_usd > budget_usd:
        raise OverBudget("over")


def doubts_aside(job: Job) -> None:
    """A budget that does not see what a doubt may yet cost."""
    plan, budget_usd = job.plan, job.storyboard.budget_usd
    if budget_usd is not None and plan.buy_usd and plan.committed_usd > budget_usd:
        raise OverBudget("over")


def without_doubts(args: argparse.Namespace, groups: Mapping[str, Sequence[Job]]) -> None:
    """A cap that forgets what will be bought again once a doubt is settled."""
    plans = [job.plan for jobs in groups.values() for job in jobs]
    if sum((plan.buy_usd for plan in plans), Decimal(0)) > args.max_cost:
        raise OverBudget("over")


def a_cent_too_much(args: argparse.Namespace, groups: Mapping[str, Sequence[Job]]) -> None:
    """A cap with the wrong comparison."""
    plans = [job.plan for jobs in groups.values() for job in jobs]
    needs_usd = sum((plan.buy_usd + plan.doubt_usd for plan in plans), Decimal(0))
    if needs_usd > args.max_cost + Decimal("0.01"):
        raise OverBudget("over")


def never(services: Services, productions: Sequence[Production]) -> None:
    """A day's cap that nobody looks at before a run."""


class Forgetful(MortalAccount):
    """An account whose processes do not count each other's money."""

    def reserve(self, attempt_id: str, price_usd: Decimal, cap_usd: Decimal | None) -> bool:
        return super().reserve(attempt_id, price_usd, None)


class Rounding(Production):
    """Notes each price a cent too low."""

    async def record(self, attempt_id: str, kind: EventKind, **data: Any) -> None:
        if kind is EventKind.INTENT:
            data["price_usd"] = str(Decimal(data["price_usd"]) - Decimal("0.01"))
        await super().record(attempt_id, kind, **data)


# Each with how the judge's sentence about it begins.
BROKEN: dict[str, tuple[Gates, str]] = {
    "a budget that forgets earlier runs": (Gates(budget=by_the_plan_alone), "OVER"),
    "a budget that forgets doubts": (Gates(budget=doubts_aside), "GATE"),
    "a cap that forgets doubts": (Gates(max_cost=without_doubts), "GATE"),
    "a cap that is a cent too wide": (Gates(max_cost=a_cent_too_much), "OVER"),
    "a day's cap asked at the start alone": (Gates(account=Forgetful), "OVER"),
    "a day's cap asked in mid-run alone": (Gates(day=never), "OVER"),
    "prices noted a cent too low": (Gates(production=Rounding), "REPORT"),
}
