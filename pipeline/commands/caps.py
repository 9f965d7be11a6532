"""The money gate of a run: its caps, and a person's word, before anything is bought."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from pipeline.capabilities import is_free
from pipeline.commands.jobs import Job
from pipeline.errors import OverBudget
from pipeline.ledger import FREE, Ledger
from pipeline.pricing import dollars


def new_usd(jobs: Iterable[Job]) -> Decimal:
    """Dollars that a run may newly spend: a doubt may be proved absent, and is bought then."""
    return sum((job.plan.buy_usd + job.plan.doubt_usd for job in jobs), Decimal(0))


def newly_bound_usd(job: Job, ledger: Ledger) -> Decimal:
    """Dollars that a run has spent on a storyboard, or may have, since it was planned.

    Args:
        ledger: what its journal says now.
    """
    if is_free(job.provider):
        return Decimal(0)
    before = {attempt.attempt_id for attempt in job.ledger.attempts}
    new = (a for a in ledger.attempts if a.attempt_id not in before and a.state not in FREE)
    return sum((attempt.bound_usd for attempt in new), Decimal(0))


def check_budget(job: Job) -> None:
    """Hold a storyboard, with all it has cost already, against its own budget.

    Raises:
        OverBudget: it would pass it.
    """
    plan, budget_usd = job.plan, job.storyboard.budget_usd
    buy_usd = new_usd([job])
    if budget_usd is None or not buy_usd or plan.committed_usd <= budget_usd:
        return
    before_usd = plan.committed_usd - buy_usd
    already = f" on top of {dollars(before_usd)}" if before_usd else ""
    raise OverBudget(
        f"{job.storyboard.name}: estimate {dollars(buy_usd)}{already} is over the "
        f"budget of {dollars(budget_usd)}; nothing sent",
        hint="raise `budget` in the manifest, or make it cheaper",
    )


def check_cap(args: argparse.Namespace, groups: Mapping[str, Sequence[Job]]) -> None:
    """The run's own cap, and a person's word before real money is spent.

    Args:
        groups: what is to be worked on, by provider: free ones only, or none of them.
    Raises:
        OverBudget: more than the cap, or real money with neither a cap nor anybody's yes.
    """
    buying = {p: [job for job in jobs if new_usd([job])] for p, jobs in groups.items()}
    jobs = [job for group in buying.values() for job in group]
    buy_usd = new_usd(jobs)
    if args.max_cost is not None and buy_usd > args.max_cost:
        raise _over_cap(jobs, f"> {dollars(args.max_cost)}")
    providers = [provider for provider, group in buying.items() if group]
    if not providers or is_free(providers[0]):
        return
    where = " and ".join(providers)
    capped = args.max_cost is not None or all(job.storyboard.budget_usd is not None for job in jobs)
    if sys.stdin.isatty():
        if args.yes or _agrees(f"Spend {dollars(buy_usd)} at {where}?"):
            return
        raise OverBudget("nobody agreed to pay; nothing sent", hint="answer y, or add --yes")
    if not capped:
        raise OverBudget(
            f"{dollars(buy_usd)} at {where} and no cap; nothing sent",
            hint="give --max-cost USD, or `budget` in the manifest",
        )


def check_rest(args: argparse.Namespace, jobs: Sequence[Job], spent_usd: Decimal) -> None:
    """Hold a provider's jobs against what is left of the cap: what the run did at other providers
    may have cost more than was planned.

    Args:
        spent_usd: what the run has newly spent so far, or may have.
    Raises:
        OverBudget: they would pass the cap; nothing of them was sent.
    """
    buy_usd = new_usd(job for job in jobs if not is_free(job.provider))
    if args.max_cost is not None and buy_usd and spent_usd + buy_usd > args.max_cost:
        raise _over_cap(
            jobs,
            f"on top of {dollars(spent_usd)} that this run has spent already is over "
            f"{dollars(args.max_cost)}",
        )


def _over_cap(jobs: Sequence[Job], than: str) -> OverBudget:
    doubt_usd = sum((job.plan.doubt_usd for job in jobs), Decimal(0))
    doubts = f" ({dollars(doubt_usd)} of it in doubt)" if doubt_usd else ""
    return OverBudget(
        f"estimate {dollars(new_usd(jobs))}{doubts} {than}; nothing sent", hint="raise --max-cost"
    )


def _agrees(question: str) -> bool:
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
