"""Runs whose caps lie just above, at and below what they need, judged by the provider's bill.

The gates are the program's own: ``--max-cost``, ``budget`` and the day's cap, asked at the start of
every life as the command line asks them. A life's limit is set against what that life still needs.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
from simulation.fittings import PROVIDER, MortalAccount, prompt_of, settings_of
from simulation.run import SOUND, Stage, run_scenario
from simulation.scenario import Scenario, plain_board, random_scenario
from simulation.world import SPOILT_FATES, START, Door, Task

from pipeline.commands.caps import check_budget, check_cap
from pipeline.commands.jobs import Job
from pipeline.commands.making import _Open, _refuse, _Results
from pipeline.errors import ExitCode, OverBudget, StoryboardError
from pipeline.journal import Journal
from pipeline.ledger import DOUBTFUL, Book, EventKind, Ledger, fold
from pipeline.model import Storyboard
from pipeline.pricing import RATE_CARDS, estimate
from pipeline.production import Halt, Production, Services
from pipeline.providers.base import BillingRow
from pipeline.quoting import check_quotes
from pipeline.reconciling import FindingKind, reconcile
from pipeline.report import Messages
from pipeline.session import _check_day_cap
from pipeline.settings import Settings
from pipeline.summary import SUMMARY_NAME

CENT = Decimal("0.01")
_AMOUNTS = ("estimate_usd", "spent_usd", "reserved_usd")
# Against what a life needs: far below, a shot less, a cent less, the same, a cent more, plenty.
STEPS = ("-half", "-0.30", "-0.01", "0", "0.01", "5")


class Cap(StrEnum):
    """Which limit a run is given."""

    MAX_COST = "--max-cost"
    BUDGET = "budget"
    DAY = "day cap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """One life at its gate: what it needs, what it may spend, and whether it was let through."""

    life: int
    limit_usd: Decimal
    needs_usd: Decimal
    may_buy: bool
    refused: bool


@dataclass(slots=True)
class Case:
    """One production with its caps, and what was seen of it."""

    cap: Cap
    steps: tuple[str, ...]
    scenario: Scenario
    gated: list[Gated] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    finished: int = 0
    refunds: int = 0
    tasks: int = 0
    deaths: int = 0
    reports: int = 0
    day_cap_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The program's own gates; a broken program has others."""

    max_cost: Callable[[argparse.Namespace, Mapping[str, Sequence[Job]]], None] = check_cap
    budget: Callable[[Job], None] = check_budget
    day: Callable[[Services, Sequence[Production]], None] = _check_day_cap
    account: type[MortalAccount] = MortalAccount
    production: type[Production] = Production


def make_case(seed: int, *, shots: int = 6) -> Case:
    """The production of a seed: rough worlds with doubts, 429s and deaths, and its caps."""
    rng = random.Random(f"money {seed}")
    cap = Cap([*Cap][seed % len(Cap)])
    scenario = replace(random_scenario(seed, shots=shots), short_budget=False)
    if cap is not Cap.DAY:
        # One process at a time: what a run spends must be told from what the next one does.
        boards = (tuple(shot for board in scenario.boards for shot in board),)
        scenario = replace(scenario, boards=boards, together=False)
    elif rng.random() < 0.5:
        # Two processes that share a day; each of them alone might fit into it.
        half = shots // 2
        boards = (plain_board(half), plain_board(shots - half, first=half))
        scenario = replace(scenario, boards=boards, together=True)
    steps = tuple(rng.choice(STEPS) for _ in range(len(scenario.fates) + 2))
    if rng.random() < 0.5:
        steps = (*steps[:-1], rng.choice(("0", "0.01", "5")))
    return Case(cap=cap, steps=steps, scenario=scenario)


def play(case: Case, gates: Gates | None = None) -> Case:
    """Run a case to its end; its breaches are filled in."""
    gates = gates or Gates()
    parts = replace(
        SOUND,
        door=_door(case),
        gate=_Gate(case, gates),
        opening=_opening(gates),
        settings=_settings(case),
        account=gates.account,
        production=gates.production,
    )
    # Every promise but those about money is the simulation's own proof.
    result = run_scenario(case.scenario, parts=parts, judge=lambda stage: judge(case, stage))
    case.breaches += result.breaches
    case.tasks = len(result.world.ours)
    case.deaths = sum(ended.code is None for ended in result.ended)
    return case


def _total_usd(scenario: Scenario) -> Decimal:
    return sum((5 * CENT * shot.duration_s * shot.takes for shot in scenario.shots), Decimal(0))


def _limit(needs_usd: Decimal, step: str) -> Decimal:
    more_usd = -needs_usd / 2 if step == "-half" else Decimal(step)
    return max(Decimal(0), (needs_usd + more_usd).quantize(CENT))


def _settings(case: Case) -> Callable[[Scenario], Settings]:
    def read(scenario: Scenario) -> Settings:
        if case.cap is Cap.DAY:
            # One for all lives and processes, as it is the account's.
            case.day_cap_usd = _limit(_total_usd(scenario), case.steps[0])
        return replace(settings_of(scenario), day_cap_usd=case.day_cap_usd)

    return read


def _door(case: Case) -> type[Door]:
    class Marked(Door):
        """Notes which life each paid request is of; the task keeps the body it was made from."""

        async def _submit(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
            sent = self._life.number
            marked = _Body(body)
            marked.life = sent
            return await super()._submit(request, marked)

    return Marked


class _Body(dict[str, Any]):
    life: int


def _opening(gates: Gates) -> Callable[..., Any]:
    async def open_run(services: Services, productions: Sequence[Production], halt: Halt) -> None:
        try:
            gates.day(services, productions)
            await check_quotes(services, productions)
        except StoryboardError as exc:
            halt.set(str(exc), exc.exit_code)

    return open_run


class _Gate:
    """Asks the program's gates at the start of each life, with this life's limits."""

    def __init__(self, case: Case, gates: Gates) -> None:
        self._case, self._gates = case, gates
        self._seen: dict[Path, str] = {}

    def __call__(self, stage: Stage, jobs: Sequence[Job]) -> Mapping[str, ExitCode]:
        case = self._case
        boards = [job.storyboard for job in jobs]
        case.breaches += read_reports(stage, self._seen, boards if case.scenario.together else None)
        step = case.steps[min(len(case.gated), len(case.steps) - 1)]
        plans = [job.plan for job in jobs]
        needs_usd = sum((plan.buy_usd + plan.doubt_usd for plan in plans), Decimal(0))
        before_usd = sum((plan.committed_usd for plan in plans), Decimal(0)) - needs_usd
        limit_usd = _limit(needs_usd, step)
        args = argparse.Namespace(max_cost=Decimal(1000), yes=True)
        budget_usd = Decimal(1000)
        if case.cap is Cap.MAX_COST:
            args.max_cost = limit_usd
        elif case.cap is Cap.BUDGET:
            # A budget is for all that the storyboard ever costs.
            needs_usd += before_usd
            limit_usd = budget_usd = _limit(needs_usd, step)
        asking = [
            replace(job, storyboard=replace(job.storyboard, budget_usd=budget_usd)) for job in jobs
        ]
        working = [job for job in asking if self._is_within_budget(job)]
        try:
            self._gates.max_cost(args, {PROVIDER: working})
        except OverBudget:
            working = []
        stopped = [job for job in asking if job not in working]
        results = _Results(json=True, messages=Messages(io.StringIO(), quiet=True))
        _refuse([_open(job) for job in stopped], OverBudget("over a limit"), results)
        refused = {job.storyboard.name: ExitCode.OVER_BUDGET for job in stopped}
        case.gated.append(
            Gated(
                life=stage.lives,
                limit_usd=limit_usd,
                needs_usd=needs_usd,
                may_buy=any(plan.buy_usd + plan.doubt_usd for plan in plans),
                refused=bool(refused),
            )
        )
        return refused

    def _is_within_budget(self, job: Job) -> bool:
        try:
            self._gates.budget(job)
        except OverBudget:
            return False
        return True


def _open(job: Job) -> _Open:
    """A storyboard as the program has it open; nothing is appended to its journal."""

    class _Read(Book):
        def ledger(self) -> Ledger:
            return job.ledger

    return _Open(job, None, _Read([]))  # type: ignore[arg-type]


def read_reports(
    stage: Stage, seen: dict[Path, str], boards: Sequence[Storyboard] | None = None
) -> list[str]:
    """What new ``run.json`` files say that the provider's bill does not; between two lives."""
    breaches = []
    for index, board in enumerate(stage.storyboards):
        path = stage.board_folder(board) / SUMMARY_NAME
        if (boards is not None and board not in boards) or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        if seen.get(path) == text:
            continue
        seen[path] = text
        report = json.loads(text)
        money = {name: Decimal(report["money"][name]) for name in _AMOUNTS}
        billed_usd = billed(stage, index)
        most_usd = money["spent_usd"] + money["reserved_usd"]
        if not money["spent_usd"] <= billed_usd <= most_usd:
            breaches.append(f"REPORT: says {money}, the bill ${billed_usd}")
        if report["exit_code"] == ExitCode.DONE and not (
            money["estimate_usd"] == money["spent_usd"] == billed_usd == most_usd
        ):
            breaches.append(f"REPORT: done, and says {money}, the bill ${billed_usd}")
    return breaches


def billed(stage: Stage, index: int) -> Decimal:
    """What the provider charged for a storyboard, by the contents that only it has."""
    prompts = {prompt_of(shot.key) for shot in stage.scenario.boards[index]}
    cents = [task.cents for task in stage.world.ours if task.body["prompt"] in prompts]
    return sum(cents) * CENT


def judge(case: Case, stage: Stage) -> list[str]:
    """Every promise about money that was broken."""
    seen: dict[Path, str] = {}
    breaches = [*read_reports(stage, seen), *_caps(case, stage)]
    case.reports = len(seen)
    last = {ended.board: ended for ended in stage.ended}
    case.finished = sum(ended.code is ExitCode.DONE for ended in last.values())
    for index, board in enumerate(stage.storyboards):
        breaches += _refunds(case, stage, index)
        if last[board.name].code is ExitCode.DONE:
            card = RATE_CARDS[PROVIDER]
            estimate_usd = estimate(board, card).total_usd
            spent_usd = stage.ledger(board).spent_usd
            if not estimate_usd == spent_usd == billed(stage, index):
                breaches.append(
                    f"ESTIMATE: ${estimate_usd}, journal ${spent_usd}, bill {billed(stage, index)}"
                )
    return breaches


def _caps(case: Case, stage: Stage) -> list[str]:
    tasks = stage.world.ours
    if case.cap is Cap.DAY:
        return _day_caps(case, stage)
    breaches = []
    for gate in case.gated:
        new_usd = _sum(t for t in tasks if t.body.life == gate.life)
        if case.cap is Cap.BUDGET:
            ever_usd = _sum(t for t in tasks if t.body.life <= gate.life)
            over = bool(new_usd) and ever_usd > gate.limit_usd
        else:
            over = new_usd > gate.limit_usd
        if over or (gate.refused and new_usd):
            breaches.append(f"OVER: life {gate.life} spent ${new_usd}, {gate}")
        if gate.refused != (gate.may_buy and gate.needs_usd > gate.limit_usd):
            breaches.append(f"GATE: {gate}")
    return breaches


def _day_caps(case: Case, stage: Stage) -> list[str]:
    cap_usd, need_usd = case.day_cap_usd or Decimal(0), _total_usd(case.scenario)
    by_day: dict[int, list[Task]] = {}
    for task in stage.world.ours:
        at = START + timedelta(seconds=task.created_s)
        by_day.setdefault(at.toordinal(), []).append(task)
    breaches = [
        f"OVER: ${_sum(day)} in a day whose cap is ${cap_usd}"
        for day in by_day.values()
        if _sum(day) > cap_usd
    ]
    refused = [ended for ended in stage.ended if ended.code is ExitCode.OVER_BUDGET]
    if cap_usd >= need_usd and refused:
        breaches.append(f"GATE: refused with a cap of ${cap_usd} for ${need_usd}")
    if len(by_day) == 1 and len(stage.storyboards) == 1 and cap_usd < need_usd and stage.world.ours:
        breaches.append(f"OVER: ${_sum(stage.world.ours)} of a plan over its day's cap")
    return breaches


def _refunds(case: Case, stage: Stage, index: int) -> list[str]:
    """Bring refunds for spoilt tasks onto the bill and into the journal, as ``reconcile`` does."""
    board, world = stage.storyboards[index], stage.world
    prompts = {prompt_of(shot.key) for shot in stage.scenario.boards[index]}
    tasks = [task for task in world.ours if task.body["prompt"] in prompts]
    returned = [task for task in tasks if task.fate in SPOILT_FATES and int(task.task_id, 16) % 2]
    case.refunds += len(returned)
    rows = [_row(task, is_refund=False) for task in tasks]
    rows += [_row(task, is_refund=True) for task in returned]
    with Journal(stage.board_folder(board)) as journal:
        attempts = [a for a in fold(journal.events()).attempts if a.task_id is not None]
        result = reconcile(attempts, rows, known_elsewhere=lambda _: False)
        ours = {attempt.task_id: attempt for attempt in attempts}
        for finding in result.findings:
            if finding.kind is FindingKind.REFUND:
                attempt = ours[finding.task_id]
                data = {"usd": str(finding.billed_usd)}
                journal.append(attempt.attempt_id, EventKind.REFUNDED, data)
    ledger = stage.ledger(board)
    doubts = any(attempt.state in DOUBTFUL for attempt in ledger.attempts)
    net_usd = billed(stage, index) - _sum(t for t in returned if t.task_id in ours)
    breaches = []
    if not doubts and ledger.spent_usd - ledger.refunded_usd != net_usd:
        breaches.append(
            f"REFUND: ${ledger.spent_usd} - ${ledger.refunded_usd}, the bill ${net_usd}"
        )
    again = reconcile(
        [a for a in ledger.attempts if a.task_id is not None], rows, known_elsewhere=lambda _: False
    )
    if not doubts and again.findings:
        breaches.append(f"REFUND: journal and bill still differ: {again.findings}")
    return breaches


def _row(task: Task, *, is_refund: bool) -> BillingRow:
    return BillingRow(
        row_id=f"{is_refund}-{task.task_id}",
        task_id=task.task_id,
        is_refund=is_refund,
        amount_usd=task.cents * CENT,
        created_at=START + timedelta(seconds=task.created_s),
        key_id="key-1",
    )


def _sum(tasks: Iterable[Task]) -> Decimal:
    return sum(task.cents for task in tasks) * CENT
