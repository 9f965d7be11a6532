"""The work behind ``run`` and ``animatic``: plans, the money gate, the session, the reports."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.capabilities import CAPABILITIES, is_free
from pipeline.commands.caps import check_budget, check_cap, check_rest, newly_bound_usd
from pipeline.commands.hooks import open_webhooks, read_webhook_url
from pipeline.commands.inputs import load, provider_of, shot_names
from pipeline.commands.jobs import Job, plan_job
from pipeline.errors import ExitCode, OverBudget, StoryboardError, gravest
from pipeline.film.spec import FilmSpec
from pipeline.journal import Journal
from pipeline.ledger import Book, EventKind
from pipeline.model import Container, Storyboard
from pipeline.planning import Action, film_cut, used_retakes
from pipeline.report import Messages, Progress, outcome_text, plan_text, start_times_note
from pipeline.settings import Settings, account_level, read_access, read_settings
from pipeline.summary import Outcome, kept, summarise, write_summary
from pipeline.workspace import (
    SANDBOX_FOLDER,
    account_file,
    check_place,
    check_room,
    find_folder,
    make_room_for_paid_work,
)

if TYPE_CHECKING:
    from pipeline.media.inventory import Use

# What brings a clip onto this disk, sooner or later.
_DOWNLOADS = (Action.BUY, Action.FETCH)
_NO_LIMIT_S = Fraction(1_000_000)


@dataclass(frozen=True, slots=True)
class _Open:
    """A job whose journal is open and locked."""

    job: Job
    journal: Journal
    book: Book


@dataclass(slots=True)
class _Results:
    """What one command line has come to so far."""

    json: bool
    messages: Messages
    codes: list[ExitCode] = field(default_factory=list)
    summaries: list[dict[str, Any]] = field(default_factory=list)
    refused_films: int = 0

    @property
    def has_come_through(self) -> bool:
        """Whether nothing is left that the same command again could do.

        A film that is refused is no such thing: another take may be what it wants.
        """
        return sum(code is not ExitCode.DONE for code in self.codes) == self.refused_films

    def show(self, text: str) -> None:
        """A result for people; not where data was asked for, or silence."""
        if not self.json and not self.messages.quiet:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def end(self, job: Job, outcome: Outcome) -> None:
        """One storyboard is over: its ``run.json``, its lines, its exit code."""
        summary = summarise(outcome, job.estimate, job.provider)
        try:
            write_summary(job.folder, summary)
        except StoryboardError as exc:
            self.messages.error(str(exc))
            self.codes.append(exc.exit_code)
        self.codes.append(outcome.exit_code)
        self.refused_films += outcome.is_film_refused
        self.summaries.append(summary | {"folder": str(job.folder)})
        text = outcome_text(outcome, job.provider)
        if outcome.exit_code is ExitCode.DONE:
            self.show(text)
        else:
            self.messages.error(text)


def make(args: argparse.Namespace, *, animatic: bool) -> int:
    """Run every manifest of a command line; returns the gravest exit code.

    Raises:
        StoryboardError: nothing at all could be started: a wrong option, no key, no ffmpeg.
    """
    settings = read_settings(os.environ)
    # A wrong one is told before anything is opened.
    read_webhook_url(args.webhook_url, os.environ)
    messages = Messages(sys.stderr, quiet=args.quiet)
    loaded = load(args, messages)
    if args.only is not None:
        shot_names("--only", args.only, loaded.storyboards)
    shot_names("--retake", args.retake, loaded.storyboards)
    results = _Results(json=args.json, messages=messages, codes=list(loaded.codes))
    groups: dict[str, list[Storyboard]] = {}
    for storyboard in loaded.storyboards:
        wanted = _as_animatic(storyboard, has_slate=args.slate) if animatic else storyboard
        groups.setdefault(provider_of(args, storyboard), []).append(wanted)
    with ExitStack() as stack:
        # All is planned before anything is bought: caps and the question are about the whole run.
        opened = {
            provider: _open_all(args, provider, storyboards, stack, results, animatic=animatic)
            for provider, storyboards in groups.items()
        }
        _run_all(args, opened, settings, results)
        if args.json:
            text = json.dumps({"runs": results.summaries}, indent=2, ensure_ascii=False)
            sys.stdout.write(text + "\n")
        if results.has_come_through:
            # The last thing that is written: cut short before, the same command buys nothing anew.
            _close_retakes(args, [one for group in opened.values() for one in group], results)
    return gravest([*results.codes, ExitCode.DONE])


def _close_retakes(args: argparse.Namespace, opened: Sequence[_Open], results: _Results) -> None:
    """Note that what ``--retake`` asked for is there and used, for the whole command or not yet."""
    retake = frozenset(args.retake)
    only = None if args.only is None else frozenset(args.only)
    used = [
        used_retakes(one.job.plan, one.book.ledger(), retake=retake, only=only) for one in opened
    ]
    if None in used:
        return
    try:
        for one, takes in zip(opened, used, strict=True):
            one.journal.append_all([(a.attempt_id, EventKind.USED, {}) for a in takes or ()])
    except StoryboardError as exc:
        results.messages.error(str(exc))
        results.codes.append(exc.exit_code)


def _as_animatic(storyboard: Storyboard, *, has_slate: bool) -> Storyboard:
    """The same film with each shot's name over it; drawings may stand still, and be dark."""
    if storyboard.film is None and not has_slate:
        return storyboard
    film = storyboard.film or FilmSpec()
    checks = replace(film.checks, black_s=_NO_LIMIT_S, frozen_s=_NO_LIMIT_S)
    return replace(storyboard, film=replace(film, has_burn_in=has_slate, checks=checks))


def _open_all(
    args: argparse.Namespace,
    provider: str,
    storyboards: Sequence[Storyboard],
    stack: ExitStack,
    results: _Results,
    *,
    animatic: bool,
) -> list[_Open]:
    """Lock and plan each storyboard; one that cannot be is reported and left out."""
    opened = []
    for storyboard in storyboards:
        try:
            folder = find_folder(args.out, storyboard.name, provider, animatic=animatic)
            check_place(args.out, folder, storyboard)
            if not is_free(provider):
                moved = make_room_for_paid_work(folder)
                if moved is not None:
                    results.messages.say(f"{storyboard.name}: its animatic is now in {moved}")
            journal = stack.enter_context(Journal(folder))
            book = Book(journal.events())
            job = plan_job(
                args,
                storyboard,
                folder,
                book.ledger(),
                retake=frozenset(args.retake),
                only=None if args.only is None else frozenset(args.only),
            )
            check_room(folder, sum(job.plan.count(action) for action in _DOWNLOADS))
        except StoryboardError as exc:
            results.messages.error(f"{storyboard.name}: {exc}")
            results.codes.append(exc.exit_code)
            continue
        text = plan_text(job.plan, job.estimate, provider) + "\n"
        if not is_free(provider) and job.plan.buy_usd and sys.stdin.isatty() and not args.yes:
            # Who is asked to pay sees what for, however quiet the rest.
            results.messages.error(text)
        else:
            results.show(text)
        opened.append(_Open(job, journal, book))
    return opened


def _run_all(
    args: argparse.Namespace,
    opened: Mapping[str, Sequence[_Open]],
    settings: Settings,
    results: _Results,
) -> None:
    """Carry out the plans, by provider: the finished ones are told, the others are worked."""
    groups: dict[str, list[_Open]] = {}
    for provider, all_of_it in opened.items():
        waiting = []
        for one in all_of_it:
            if one.job.is_finished:
                film = one.job.recorded_film
                outcome = replace(_outcome(one, ExitCode.DONE), film=film and kept(film))
                results.end(one.job, outcome)
            else:
                waiting.append(one)
        groups[provider] = [one for one in waiting if _within_budget(one, results)]
    # What the sandbox draws costs nothing, and takes nothing from what may be paid.
    for free in (True, False):
        world = {p: _jobs(working) for p, working in groups.items() if is_free(p) is free}
        try:
            check_cap(args, world)
        except OverBudget as exc:
            _refuse([one for provider in world for one in groups.pop(provider)], exc, results)
    worked: list[_Open] = []
    for provider, working in groups.items():
        if _is_stopped(results):
            for one in working:
                outcome = _outcome(one, gravest(results.codes))
                results.end(one.job, replace(outcome, message="interrupted; nothing was sent"))
            continue
        spent_usd = sum((newly_bound_usd(w.job, w.book.ledger()) for w in worked), Decimal(0))
        try:
            check_rest(args, _jobs(working), spent_usd)
        except OverBudget as exc:
            _refuse(working, exc, results)
            continue
        if working:
            _work(args, provider, working, settings, results)
            worked += working


def _jobs(opened: Sequence[_Open]) -> list[Job]:
    return [one.job for one in opened]


def _is_stopped(results: _Results) -> bool:
    """Whether a signal ended the work on an earlier provider."""
    return not {ExitCode.SIGINT, ExitCode.SIGTERM}.isdisjoint(results.codes)


def _refuse(working: Sequence[_Open], exc: OverBudget, results: _Results) -> None:
    for one in working:
        _write_refusal(one, exc, results)
    if working:
        results.messages.error(f"storyboard: {exc}")


def _within_budget(one: _Open, results: _Results) -> bool:
    """Whether the storyboard stays within its own budget; said, where it does not."""
    try:
        check_budget(one.job)
    except OverBudget as exc:
        _refuse([one], exc, results)
        return False
    return True


def _work(
    args: argparse.Namespace,
    provider: str,
    working: Sequence[_Open],
    settings: Settings,
    results: _Results,
) -> None:
    """Open the provider and run; every storyboard ends in ``results``, whatever happens."""
    import anyio  # noqa: PLC0415 - a finished storyboard never pays for these imports

    from pipeline.embedded import embedded_sandbox  # noqa: PLC0415
    from pipeline.media.ffmpeg import find_ffmpeg  # noqa: PLC0415
    from pipeline.media.inventory import require_complete  # noqa: PLC0415
    from pipeline.production import Production  # noqa: PLC0415
    from pipeline.session import run_session  # noqa: PLC0415

    by_name = {one.job.storyboard.name: one for one in working}
    unfinished = dict(by_name)
    takes = sum(
        take.action not in {Action.KEEP, Action.SKIP, Action.BLOCKED}
        for one in working
        for take in one.job.plan.takes
    )
    level = account_level(settings, CAPABILITIES[provider])
    buys = sum(one.job.plan.count(Action.BUY) for one in working)
    if note := start_times_note(buys, level.submits_per_minute, level.max_tasks):
        results.messages.say(note)
    progress = Progress(results.messages, takes=takes, films=len(working), bar=sys.stderr.isatty())

    def finished(outcome: Outcome) -> None:
        name = outcome.plan.storyboard.name
        del unfinished[name]
        progress.clear()
        results.end(by_name[name].job, outcome)

    productions = [
        Production(
            plan=one.job.plan,
            journal=one.journal,
            folder=one.job.folder,
            book=one.book,
            recorded_film=one.job.recorded_film,
        )
        for one in working
    ]
    code, message = ExitCode.DONE, ""
    try:
        ffmpeg = find_ffmpeg(os.environ)
        require_complete(ffmpeg, _uses(working))
        with ExitStack() as stack:
            if is_free(provider):
                state = args.out / SANDBOX_FOLDER / "server"
                server = embedded_sandbox(state, os.environ, has_slate=args.slated_clips)
                access = stack.enter_context(server)
            else:
                access = read_access(provider, os.environ)
            webhook_url, receiver = open_webhooks(args, access, stack, free=is_free(provider))
            code = anyio.run(
                partial(
                    run_session,
                    productions,
                    provider=provider,
                    access=access,
                    settings=settings,
                    account_file=account_file(settings, args.out, provider, access.account),
                    ffmpeg=ffmpeg,
                    reporter=progress,
                    finished=finished,
                    same_account=args.same_account,
                    probe=not args.no_probe,
                    webhook_url=webhook_url,
                    receiver=receiver,
                )
            )
    except StoryboardError as exc:
        code, message = exc.exit_code, str(exc)
    finally:
        progress.close()
    results.codes.append(code)
    for one in unfinished.values():
        results.end(one.job, replace(_outcome(one, code), message=message))


def _uses(working: Sequence[_Open]) -> set[Use]:
    """What the storyboards ask of an ffmpeg besides a plain film of MP4 clips."""
    from pipeline.filming import is_plain  # noqa: PLC0415 - slow to import, as are the others
    from pipeline.media.inventory import Use, uses_of  # noqa: PLC0415

    wanted = {take.shot.output.container for one in working for take in one.job.plan.takes}
    had = {attempt.container for one in working for attempt in one.book.ledger().attempts}
    uses = {Use.WEBM_CLIPS} if Container.WEBM in wanted | had else set()
    for one in working:
        if not is_plain(one.job.storyboard):
            film = one.job.storyboard.film or FilmSpec()
            profiles = {each.profile for each in (film.master, *film.deliverables)}
            uses |= {Use.FILM} | uses_of(profiles)
    return uses


def _outcome(one: _Open, code: ExitCode) -> Outcome:
    return Outcome(
        plan=one.job.plan, ledger=one.book.ledger(), folder=one.job.folder, exit_code=code
    )


def _write_refusal(one: _Open, exc: OverBudget, results: _Results) -> None:
    """``run.json`` of a storyboard that the money gate stopped; its film, if any, stays."""
    cut = film_cut(one.job.plan, one.book.ledger())
    outcome = replace(
        _outcome(one, exc.exit_code),
        message=str(exc),
        film=one.job.recorded_film if cut is not None else None,
    )
    summary = summarise(outcome, one.job.estimate, one.job.provider)
    write_summary(one.job.folder, summary)
    results.codes.append(exc.exit_code)
    results.summaries.append(summary | {"folder": str(one.job.folder)})
