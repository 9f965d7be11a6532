"""Carry out the plans of one or many storyboards: one task group, nothing hidden.

A shot that fails never stops its siblings, a storyboard that fails never stops the others, and
each film is made as soon as its own clips are in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import anyio

from pipeline.account import AccountStore
from pipeline.errors import (
    ClipRejected,
    ExitCode,
    FilmRefused,
    StorageError,
    StoryboardError,
    gravest,
)
from pipeline.files import set_aside
from pipeline.filming import changed_clips, make_film
from pipeline.ledger import DOUBTFUL, FREE, Attempt, AttemptState
from pipeline.planning import Action, Plan, PlannedTake, film_cut, film_key
from pipeline.production import Halt, Production, Services
from pipeline.quoting import check_quote
from pipeline.summary import Outcome, TakeResult, film_is_current
from pipeline.taking import TakeMaker

# Its task runs, or may do: it has a place among those that the account may run at once.
_UNDER_WAY = DOUBTFUL | {AttemptState.SUBMITTED}


def heed_journals(account: AccountStore, productions: Sequence[Production]) -> None:
    """Free what runs of these storyboards that died have left taken in the account.

    Comes before anything that asks what the account still allows.

    Raises:
        StorageError: the account's state cannot be written.
    """
    for production in productions:
        attempts = production.ledger().attempts
        account.heed_journal(
            production.attempt_prefix,
            known={a.attempt_id for a in attempts},
            running={a.attempt_id for a in attempts if a.state in _UNDER_WAY},
            charged={a.attempt_id: a.bound_usd for a in attempts if a.state not in FREE},
            folder=str(production.folder.absolute()),
        )


class Runner:
    """One run over any number of storyboards that share a provider account."""

    def __init__(self, services: Services, halt: Halt) -> None:
        self._services = services
        self._halt = halt
        self._taker = TakeMaker(services, halt)
        self._doubts_settled = anyio.Event()
        self._doubts = 0

    async def run(
        self,
        productions: Sequence[Production],
        finished: Callable[[Outcome], None],
    ) -> list[Outcome]:
        """Work on all of them at once; outcomes in the order given.

        Args:
            finished: called as each storyboard ends, for its report.
        """
        outcomes: dict[int, Outcome] = {}

        async def one(index: int, production: Production) -> None:
            outcomes[index] = await self._produce(production)
            finished(outcomes[index])

        self._taker.work_on(productions)
        # Doubts of earlier runs are settled before anything new is submitted.
        self._doubts = sum(_count_doubts(production.plan) for production in productions)
        if not self._doubts:
            self._doubts_settled.set()
        async with anyio.create_task_group() as group:
            for index, production in enumerate(productions):
                group.start_soon(one, index, production)
        return [outcomes[index] for index in sorted(outcomes)]

    async def _produce(self, production: Production) -> Outcome:
        results: list[TakeResult] = []
        async with anyio.create_task_group() as group:
            for takes in _by_task(production.plan.takes):
                doubt = _doubt_of(takes[0])
                if takes[0].action is Action.BUY:
                    group.start_soon(self._buy, production, takes, results)
                elif doubt is not None and takes[0].action is Action.SKIP:
                    group.start_soon(self._bring_home, production, doubt, results)
                elif doubt is not None:
                    group.start_soon(self._settle_takes, production, takes, results)
                else:
                    group.start_soon(self._take, production, takes[0], results)
            for orphan in production.plan.orphans:
                group.start_soon(self._orphan, production, orphan, results)
        cut = await self._sound_cut(production, results)
        results.sort(key=lambda result: result.slate)
        code = gravest([result.exit_code for result in results])
        film, message, is_refused = None, self._halt.reason, False
        if cut is not None:
            try:
                film = await make_film(
                    production.storyboard,
                    cut,
                    production.folder,
                    recorded=production.recorded_film,
                    studio=self._services.studio,
                    on_progress=partial(self._services.reporter.film, production.storyboard.name),
                )
            except StoryboardError as exc:
                is_refused = code is ExitCode.DONE and isinstance(exc, ClipRejected | FilmRefused)
                code, message = exc.exit_code, str(exc)
            else:
                # A spare take may have failed; every shot has its clip and the film is whole.
                code = ExitCode.DONE if code is ExitCode.SHOT_FAILED else code
        elif self._halt.is_set:
            code = gravest([code, self._halt.exit_code])
        return Outcome(
            plan=production.plan,
            ledger=production.ledger(),
            folder=production.folder,
            exit_code=code,
            takes=tuple(results),
            film=film,
            message=message,
            is_film_refused=is_refused,
        )

    async def _sound_cut(
        self, production: Production, results: list[TakeResult]
    ) -> list[Attempt] | None:
        """The clips for the film; one that changed on disk since its check is fetched again.

        A flipped bit keeps the size by which a plan knows a clip, and may decode cleanly.
        """
        cut = film_cut(production.plan, production.ledger())
        if cut is None or film_is_current(
            production.folder, film_key(production.storyboard, cut), production.recorded_film
        ):
            return cut
        changed = await changed_clips(cut, production.folder)
        if not changed:
            return cut
        renewed: list[TakeResult] = []
        async with anyio.create_task_group() as group:
            for attempt in changed:
                group.start_soon(self._renew, production, attempt, renewed)
        slates = {result.slate for result in renewed}
        results[:] = [result for result in results if result.slate not in slates] + renewed
        if any(result.exit_code is not ExitCode.DONE for result in renewed):
            return None
        return film_cut(production.plan, production.ledger())

    async def _renew(
        self, production: Production, attempt: Attempt, results: list[TakeResult]
    ) -> None:
        clip = production.clips / (attempt.clip or "")
        aside = clip.with_name(f"{clip.name}.bad")

        async def work() -> None:
            kept = await anyio.to_thread.run_sync(set_aside, clip, aside)
            self._services.reporter.note(
                production.storyboard.name,
                f"{clip.name} is not the clip that was checked; it is fetched again, not bought "
                f"again{f', and the file is kept as {aside.name}' if kept else ''}",
            )
            await self._taker.follow(production, attempt)

        results.append(await self._result(attempt.slate, attempt.shot_id, work))

    async def _take(
        self, production: Production, planned: PlannedTake, results: list[TakeResult]
    ) -> None:
        work = partial(self._carry_out, production, planned)
        results.append(await self._result(planned.slate, planned.shot.id, work))

    async def _orphan(
        self, production: Production, attempt: Attempt, results: list[TakeResult]
    ) -> None:
        """Bring home what is paid for although no shot asks for it any more; of what is in doubt,
        see whether it is."""
        fact, then = "paid", "it is kept in clips/"
        if attempt.state in DOUBTFUL:
            fact, then = "in doubt", "it is looked for, and not bought"
        note = f"{attempt.slate} is {fact} but no shot asks for it any more; {then}"
        self._services.reporter.note(production.storyboard.name, note)
        await self._bring_home(production, attempt, results)

    async def _bring_home(
        self, production: Production, attempt: Attempt, results: list[TakeResult]
    ) -> None:
        """Fetch what a task made, or may have; buy nothing."""

        async def work() -> None:
            found: Attempt | None = attempt
            if attempt.state in DOUBTFUL:
                found = await self._settle(production, attempt)
            if found is not None:
                await self._taker.follow(production, found)

        results.append(await self._result(attempt.slate, attempt.shot_id, work))

    async def _carry_out(self, production: Production, planned: PlannedTake) -> None:
        attempt = planned.attempt
        match planned.action:
            case Action.KEEP | Action.SKIP:
                return
            case Action.BLOCKED if attempt is not None and attempt.state is AttemptState.LOST:
                await self._taker.follow_lost(production, attempt, planned.reason)
            case Action.BLOCKED:
                raise StoryboardError(planned.reason)
            case Action.FETCH if attempt is not None:
                await self._taker.follow(production, attempt)
            case Action.ADOPT if attempt is not None:
                # A doubt has been settled by now; its task may well be this shot's own.
                known = production.attempt(attempt.attempt_id)
                if attempt.state in DOUBTFUL and known.shot_id == planned.shot.id:
                    await self._taker.follow(production, known)
                else:
                    await self._taker.adopt(production, planned, known)
            case _:
                raise AssertionError(f"{planned.action} without an attempt")

    async def _buy(
        self,
        production: Production,
        takes: Sequence[PlannedTake],
        results: list[TakeResult],
        *,
        absent: int = 0,
    ) -> None:
        """Buy the takes of one task; each ends as it ends.

        Args:
            absent: how many submissions of them this run has settled as absent.
        """
        attempts: list[Attempt] = []

        async def submit() -> None:
            await self._doubts_settled.wait()
            if absent:
                # The price may have changed since the submission that made nothing.
                await check_quote(self._services, production, takes[0])
            attempts.extend(await self._taker.buy(production, takes, absent=absent))

        bought = await self._result(takes[0].slate, takes[0].shot.id, submit)
        if not attempts:
            results += [replace(bought, slate=take.slate) for take in takes]
            return
        async with anyio.create_task_group() as group:
            for attempt in attempts:
                group.start_soon(self._follow, production, attempt, results)

    async def _follow(
        self, production: Production, attempt: Attempt, results: list[TakeResult]
    ) -> None:
        work = partial(self._taker.follow, production, attempt)
        results.append(await self._result(attempt.slate, attempt.shot_id, work))

    async def _settle_takes(
        self, production: Production, takes: Sequence[PlannedTake], results: list[TakeResult]
    ) -> None:
        """Settle a submission in doubt, then bring home the takes that it made, or buy them."""
        doubt = _doubt_of(takes[0])
        if doubt is None:
            raise AssertionError("only a doubt is settled")
        found: list[Attempt | None] = []

        async def settle() -> None:
            found.append(await self._settle(production, doubt))

        settled = await self._result(takes[0].slate, takes[0].shot.id, settle)
        if not found:
            results += [replace(settled, slate=take.slate) for take in takes]
        elif found[0] is None:
            # What was reserved for them is spent now.
            await self._buy(production, [_again(take) for take in takes], results, absent=1)
        else:
            async with anyio.create_task_group() as group:
                for take in takes:
                    group.start_soon(self._take, production, take, results)

    async def _settle(self, production: Production, attempt: Attempt) -> Attempt | None:
        try:
            return await self._taker.settle(production, attempt)
        finally:
            self._doubts -= 1
            if not self._doubts:
                self._doubts_settled.set()

    async def _result(
        self, slate: str, shot_id: str, work: Callable[[], Awaitable[None]]
    ) -> TakeResult:
        try:
            await work()
        except StoryboardError as exc:
            if isinstance(exc, StorageError):
                self._halt.set(str(exc), exc.exit_code)
            return TakeResult(
                slate=slate, shot_id=shot_id, exit_code=exc.exit_code, message=str(exc)
            )
        return TakeResult(slate=slate, shot_id=shot_id, exit_code=ExitCode.DONE)


def _by_task(takes: Iterable[PlannedTake]) -> list[list[PlannedTake]]:
    """The lines of a plan, those together that one task makes, or that one task in doubt did."""
    found: list[list[PlannedTake]] = []
    in_doubt: dict[str, list[PlannedTake]] = {}
    for take in takes:
        doubt = _doubt_of(take)
        chosen_id = doubt.chosen_id if doubt is not None else None
        if take.of_last_task:
            found[-1].append(take)
        elif chosen_id in in_doubt:
            in_doubt[chosen_id].append(take)
        else:
            found.append([take])
            if chosen_id is not None:
                in_doubt[chosen_id] = found[-1]
    return found


def _count_doubts(plan: Plan) -> int:
    """How many times this plan will settle something."""
    in_takes = sum(_doubt_of(takes[0]) is not None for takes in _by_task(plan.takes))
    return in_takes + sum(orphan.state in DOUBTFUL for orphan in plan.orphans)


def _doubt_of(take: PlannedTake) -> Attempt | None:
    """The submission in doubt that a line settles, if it does."""
    attempt = take.attempt if take.action in {Action.ADOPT, Action.SKIP} else None
    return attempt if attempt is not None and attempt.state in DOUBTFUL else None


def _again(take: PlannedTake) -> PlannedTake:
    """The line that buys what a doubt is proved not to have bought."""
    doubt = take.attempt
    if doubt is None:
        raise AssertionError("only a doubt is bought again")
    return PlannedTake(
        shot=take.shot,
        take=take.take,
        fingerprint=take.fingerprint,
        action=Action.BUY,
        price_usd=doubt.price_usd,
        reason="proved not to be made",
        is_retake=doubt.is_retake,
    )
