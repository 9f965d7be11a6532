"""From manifests to plans: the folder of each storyboard, what it holds, what is to be done."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.capabilities import CAPABILITIES, is_free
from pipeline.commands.inputs import provider_of
from pipeline.journal import JOURNAL_NAME, check_first_run, read_events
from pipeline.ledger import Ledger, fold
from pipeline.model import Storyboard
from pipeline.planning import Action, Plan, bought_prices, film_cut, film_key, make_plan
from pipeline.pricing import RATE_CARDS, Estimate, estimate, usd_text
from pipeline.summary import FilmRecord, film_is_current, missing_clips, read_film_record
from pipeline.workspace import find_folder, holds_paid_work


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One storyboard with its folder and its plan."""

    storyboard: Storyboard
    provider: str
    folder: Path
    ledger: Ledger
    plan: Plan
    estimate: Estimate
    recorded_film: FilmRecord | None

    @property
    def is_finished(self) -> bool:
        """Nothing to buy, fetch or settle, and the film on disk is made of these clips."""
        idle = {Action.KEEP, Action.BLOCKED}
        if self.plan.orphans or any(take.action not in idle for take in self.plan.takes):
            return False
        cut = film_cut(self.plan, self.ledger)
        if cut is None:
            return False
        return film_is_current(self.folder, film_key(self.storyboard, cut), self.recorded_film)


def plan_job(
    args: argparse.Namespace,
    storyboard: Storyboard,
    folder: Path,
    ledger: Ledger,
    *,
    retake: frozenset[str] = frozenset(),
    only: frozenset[str] | None = None,
) -> Job:
    """Plan one storyboard over what its journal says."""
    provider = provider_of(args, storyboard)
    capabilities, card = CAPABILITIES[provider], RATE_CARDS[provider]
    plan = make_plan(
        storyboard,
        ledger,
        provider=provider,
        model=capabilities.model,
        card=card,
        missing_clips=missing_clips(folder, ledger),
        retake=retake,
        only=only,
    )
    return Job(
        storyboard=storyboard,
        provider=provider,
        folder=folder,
        ledger=ledger,
        plan=plan,
        estimate=estimate(storyboard, card, bought=bought_prices(plan, ledger)),
        recorded_film=read_film_record(folder),
    )


def read_job(
    args: argparse.Namespace,
    storyboard: Storyboard,
    *,
    retake: frozenset[str] = frozenset(),
    only: frozenset[str] | None = None,
) -> Job:
    """Plan one storyboard without locking or writing anything."""
    provider = provider_of(args, storyboard)
    folder = find_folder(args.out, storyboard.name, provider)
    if not (folder / JOURNAL_NAME).exists():
        check_first_run(folder)
    ledger = fold(read_events(folder))
    if not is_free(provider) and not holds_paid_work(folder):
        # An animatic lies there; it makes room when paid work begins.
        ledger = Ledger()
    return plan_job(args, storyboard, folder, ledger, retake=retake, only=only)


def plan_json(job: Job) -> dict[str, Any]:
    """A plan as data."""
    plan = job.plan
    return {
        "storyboard": job.storyboard.name,
        "provider": job.provider,
        "folder": str(job.folder),
        "finished": job.is_finished,
        "estimate_usd": usd_text(job.estimate.total_usd),
        "notes": list(job.estimate.notes),
        "spent_usd": usd_text(plan.spent_usd),
        "reserved_usd": usd_text(plan.reserved_usd),
        "buy_usd": usd_text(plan.buy_usd),
        "takes": [
            {
                "slate": take.slate,
                "shot": take.shot.id,
                "take": take.take,
                "action": take.action.value,
                "price_usd": usd_text(take.price_usd),
                "reason": take.reason,
                "task_id": take.attempt.task_id if take.attempt else None,
            }
            for take in plan.takes
        ],
        "orphans": [orphan.slate for orphan in plan.orphans],
    }
