"""Spend money once per take: references up, intent on disk, one paid POST, its answer on disk.

The intent is synced before the request leaves and the answer right after it arrives, and
nothing may interrupt in between. A submission is sent once per intent; one whose answer was
lost is looked up in the provider's history, or asked for by the id that we gave it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio

from pipeline.errors import (
    ConfigurationError,
    ExitCode,
    Halted,
    KeyRefused,
    OverBudget,
    ProviderError,
    RateLimited,
    ReferenceRefused,
    StorageError,
    SubmissionInDoubt,
    Unavailable,
)
from pipeline.fetching import Fetcher
from pipeline.files import sync_folder
from pipeline.ledger import Attempt, AttemptState, EventKind
from pipeline.model import Container, Shot
from pipeline.planning import Action, PlannedTake
from pipeline.pricing import dollars
from pipeline.production import Halt, Production, Services
from pipeline.providers.base import TakeRequest
from pipeline.providers.records import write_request
from pipeline.settling import SubmitGate, find_task
from pipeline.summary import missing_clips
from pipeline.task_ids import choose_task_id
from pipeline.uploading import Uploads

T = TypeVar("T")
# Submissions that were never sent, before the take is left to a later run.
_UNSENT_TRIES = 5
# Doubts about one take that a run may settle as absent: were history and bill both late, each
# further submission could be one more task to pay for.
_MOST_ABSENT = 2
# Answers 429 in a row, of all takes together, before the run submits nothing more: each halves
# the pace, so many more would take hours.
_MOST_REFUSALS = 20
# By whether its id is ours: what is said while a doubt is settled, and why it was.
_SETTLING = {
    False: (
        "asking the provider's history",
        "found in the provider's history",
        "neither the provider's history nor its bill shows such a task",
    ),
    True: (
        "asking {provider} for the task by its id",
        "{provider} has it by its id",
        "{provider} refused it when it was sent again and shows no task of its id",
    ),
}


class TakeMaker:
    """Makes takes for every storyboard of a run; holds what they share in memory only."""

    def __init__(self, services: Services, halt: Halt) -> None:
        self._services = services
        self._halt = halt
        self._gate = SubmitGate()
        self._fetcher = Fetcher(services, halt)
        self._uploads = Uploads(services, self._unless_halted)
        self._productions: list[Production] = []
        self._refusals = 0
        self._clock_asked = anyio.Lock()
        # Ids that were just given to submissions, some not in their journals yet.
        self._answers: set[str] = set()
        self._random = services.random

    def work_on(self, productions: Iterable[Production]) -> None:
        """Name the storyboards whose tasks and doubts count when a doubt is settled."""
        self._productions += productions

    async def buy(
        self, production: Production, takes: Sequence[PlannedTake], *, absent: int = 0
    ) -> list[Attempt]:
        """Submit new takes of one shot as one task, whose clips are then to be followed.

        Args:
            absent: how many submissions of these takes this run has settled as absent before.
        Raises:
            ProviderError: none was bought; other shots are not concerned.
            StorageError: the journal or the disk failed; the run must stop spending.
            StoryboardError: nothing of this storyboard may be bought in this run.
        """
        if production.refusal is not None:
            raise production.refusal
        planned = takes[0]
        shot = planned.shot
        address = partial(self._uploads.address, production, planned)
        try:
            request = TakeRequest(
                model=self._services.provider.capabilities.model,
                kind=shot.kind,
                prompt=shot.prompt,
                image_urls=tuple([await address(image) for image in shot.images]),
                frame_url=await address(shot.frame) if shot.frame is not None else "",
                video_url=await address(shot.video.media) if shot.video is not None else "",
                duration_s=None if keeps_length(shot) else shot.duration_s,
                resolution=shot.resolution,
                size=shot.size,
                output=shot.output,
                results=len(takes),
                webhook_url=self._services.webhook_url,
            )
        except (KeyRefused, ConfigurationError) as exc:
            self._halt.set(str(exc), exc.exit_code)
            raise
        return await self._submit(production, takes, request, absent)

    async def follow(self, production: Production, attempt: Attempt) -> None:
        """Bring home the clip of a task that exists; see ``Fetcher.follow``."""
        await self._fetcher.follow(production, attempt)

    async def follow_lost(self, production: Production, attempt: Attempt, reason: str) -> None:
        """Look again for a clip that was given up; see ``Fetcher.follow_lost``."""
        await self._fetcher.follow_lost(production, attempt, reason)

    async def adopt(self, production: Production, planned: PlannedTake, attempt: Attempt) -> None:
        """Take over a paid attempt of the same content under this shot's name."""
        clip, old_name = None, attempt.clip
        if old_name is not None:
            clip = f"{planned.slate}{attempt.container.suffix}"
            old, new = production.clips / old_name, production.clips / clip
            await anyio.to_thread.run_sync(_link, old, new)
        await production.record(
            attempt.attempt_id,
            EventKind.ADOPTED,
            shot=planned.shot.id,
            take=planned.take,
            clip=clip,
        )
        if old_name is not None:
            (production.clips / old_name).unlink(missing_ok=True)
        taken = production.attempt(attempt.attempt_id)
        gone = attempt.attempt_id in missing_clips(production.folder, production.ledger())
        if taken.state is not AttemptState.VERIFIED or gone:
            await self._fetcher.follow(production, taken)

    async def settle(self, production: Production, attempt: Attempt) -> Attempt | None:
        """Settle a doubt: the attempt with its task id, or None where no task was made.

        Takes of one submission are settled together, by whoever comes first.

        Raises:
            SubmissionInDoubt: only a person can say; submissions stop until then.
        """
        provider = self._services.provider.capabilities.provider
        asked, found, missing = _SETTLING[attempt.chosen_id is not None]
        self._services.say(production, attempt.slate, "settling", asked.format(provider=provider))
        async with self._gate.settling():
            doubts = production.ledger().doubts_with(production.attempt(attempt.attempt_id))
            if doubts:
                task_id = await self._find(production, doubts)
                kind, reason = EventKind.ACCEPTED, found.format(provider=provider)
                told = {"task_id": task_id}
                if task_id is None:
                    kind, reason = EventKind.ABSENT, missing.format(provider=provider)
                    self._release(doubt.attempt_id for doubt in doubts)
                    told = {}
                await production.record_all(
                    [(doubt.attempt_id, kind, {"reason": reason} | told) for doubt in doubts]
                )
                self._services.limiter.answered(doubts[0].attempt_id, task_id)
        settled = production.attempt(attempt.attempt_id)
        return None if settled.task_id is None else settled

    async def _find(self, production: Production, doubts: Sequence[Attempt]) -> str | None:
        """The task that a submission made, None where there is none; see ``find_task``."""
        ledgers = [each.ledger() for each in self._productions]
        permit = partial(self._why_not_again, production, doubts)
        shots = {shot.id: shot for shot in production.storyboard.shots}
        shot = shots.get(doubts[0].shot_id)
        put_url = None if shot is None else shot.output.put_url
        look = partial(
            find_task, self._services, doubts[0], ledgers, permit=permit, put_url=put_url
        )
        try:
            return await self._unless_halted(look)
        except SubmissionInDoubt as exc:
            told = {"reason": exc.message}
            await production.record_all(
                [(doubt.attempt_id, EventKind.DOUBT, told) for doubt in doubts]
            )
            # What is not known bounds what may be spent: no more until it is settled.
            self._halt.set("a submission is in doubt", ExitCode.IN_DOUBT)
            raise

    def _why_not_again(self, production: Production, doubts: Sequence[Attempt]) -> str:
        """Why a submission may not be sent once more under its id; empty where it may.

        What the first sending did not buy, the second does: its price must have been counted.
        """
        services, first = self._services, doubts[0]
        lines = [line for line in production.plan.takes if line.action is not Action.SKIP]
        planned = {line.attempt.attempt_id for line in lines if line.attempt is not None}
        is_counted = first.chosen_id in services.sent_at or all(
            doubt.attempt_id in planned for doubt in doubts
        )
        if not is_counted:
            return "no shot of this run asks for it, so that it is not sent again"
        if len(doubts) != first.results:
            return "a part of it is settled already, so that it is not sent again"
        cap_usd = services.settings.day_cap_usd
        if all(services.account.reserve(a.attempt_id, a.price_usd, cap_usd) for a in doubts):
            return ""
        return "to send it again may pass the account's cap for today"

    async def _submit(
        self,
        production: Production,
        takes: Sequence[PlannedTake],
        request: TakeRequest,
        absent: int,
    ) -> list[Attempt]:
        """One accepted submission: each try has an intent of its own, written before it."""
        await self._unless_halted(partial(self._learn_clock, production, takes))
        unsent, slate = 0, takes[0].slate
        while True:
            bundle = {production.new_attempt_id(): take for take in takes}
            # One task, one start, whatever it makes; the first of its takes stands for it.
            first = next(iter(bundle))
            self._services.say(production, slate, "waiting", "for the account's allowance")
            await self._unless_halted(partial(self._services.limiter.acquire, first))
            try:
                return await self._pass_gate(production, bundle, request)
            except SubmissionInDoubt as exc:
                self._services.say(production, slate, "in doubt", exc.message)
                if await self.settle(production, production.attempt(first)) is not None:
                    return [production.attempt(attempt_id) for attempt_id in bundle]
                absent += 1
                if absent >= _MOST_ABSENT:
                    raise self._give_up(exc) from exc
            except RateLimited:
                if self._refusals >= _MOST_REFUSALS:
                    raise
            except Unavailable:
                unsent += 1
                if unsent >= _UNSENT_TRIES:
                    raise
                await self._services.clock.sleep(self._random.uniform(0, min(20.0, 2.0**unsent)))

    def _give_up(self, last: SubmissionInDoubt) -> Unavailable:
        """What is said of a take whose submissions made no task, for all that can be known."""
        if self._services.provider.capabilities.client_task_ids:
            why = "the provider refuses it and shows no such task"
            hint = "run again later; the task keeps its id, so that it cannot be bought twice"
        else:
            why = "neither the provider's history nor its bill shows a task"
            hint = (
                "a charge may still come late: look at `storyboard reconcile` before you run again"
            )
        return Unavailable(
            f"submitted again without a clear answer, and {why}; the last: {last.message}",
            hint=hint,
        )

    async def _pass_gate(
        self, production: Production, bundle: Mapping[str, PlannedTake], request: TakeRequest
    ) -> list[Attempt]:
        """Wait until no doubt is being settled, then submit without interruption."""
        passed = False
        try:
            # The wait itself may be cancelled: a run that is coming down with a doubt open must
            # not submit once the gate is let go.
            async with self._gate.submitting():
                passed = True
                # Neither a signal nor another take's failure may come between the intent and
                # the record of its answer.
                with anyio.CancelScope(shield=True):
                    return await self._send_once(production, bundle, request)
        finally:
            if not passed:
                self._services.limiter.not_sent(next(iter(bundle)))
        raise AssertionError("the shield is never cancelled, so it never swallows")

    async def _send_once(
        self, production: Production, bundle: Mapping[str, PlannedTake], request: TakeRequest
    ) -> list[Attempt]:
        """Intent, POST, answer: the only place where money is spent."""
        limiter = self._services.limiter
        first, planned = next(iter(bundle.items()))

        async def record(kind: EventKind, **data: Any) -> None:
            await production.record_all([(attempt_id, kind, data) for attempt_id in bundle])

        with self._chosen_id(production, planned, request.results) as chosen:
            request = replace(request, task_id=chosen)
            await self._intend(production, bundle, request)
        self._services.say(production, planned.slate, "submitting")
        if chosen:
            self._services.sent_at[chosen] = self._services.clock.monotonic()
        try:
            task_id = await self._services.provider.submit(request)
            self._need_new(task_id)
        except SubmissionInDoubt as exc:
            await record(EventKind.DOUBT, reason=exc.message)
            raise
        except (ProviderError, ConfigurationError) as exc:
            self._release(bundle)
            if isinstance(exc, Unavailable):
                limiter.not_sent(first)
            else:
                limiter.answered(first, None)
            if isinstance(exc, RateLimited):
                self._heed_refusal(exc)
                limiter.refused(exc.retry_after_s)
            if isinstance(exc, ReferenceRefused):
                self._uploads.forget(request)
            if isinstance(exc, KeyRefused | ConfigurationError):
                self._halt.set(str(exc), exc.exit_code)
            await record(EventKind.REFUSED, reason=exc.message)
            raise
        await record(EventKind.ACCEPTED, task_id=task_id)
        self._refusals = 0
        limiter.answered(first, task_id)
        self._uploads.used(request)
        self._services.say(production, planned.slate, "submitted", f"task {task_id}")
        return [production.attempt(attempt_id) for attempt_id in bundle]

    def _need_new(self, task_id: str) -> None:
        """A task is one submission's: an id that another has already says nothing of this one.

        Raises:
            SubmissionInDoubt: another submission was answered with that id before.
        """
        if self._services.provider.capabilities.client_task_ids:
            return
        ledgers = [production.ledger() for production in self._productions]
        known = {attempt.task_id for ledger in ledgers for attempt in ledger.attempts}
        try:
            is_held = self._services.account.holder_of(task_id) is not None
        except StorageError:
            # The answer comes first: what the account cannot say now stops the run after it.
            is_held = False
        if is_held or task_id in known | self._answers:
            raise SubmissionInDoubt(
                f"the provider answered with task {task_id}, which another submission made"
            )
        self._answers.add(task_id)

    async def _intend(
        self, production: Production, bundle: Mapping[str, PlannedTake], request: TakeRequest
    ) -> None:
        """Reserve the price and write the intent down, or leave nothing taken."""
        limiter, first = self._services.limiter, next(iter(bundle))
        if self._halt.is_set:
            limiter.not_sent(first)
            raise Halted(self._halt.reason)
        self._reserve(bundle)
        try:
            await production.record_all(
                [
                    (attempt_id, EventKind.INTENT, self._intent(take, request, number))
                    for number, (attempt_id, take) in enumerate(bundle.items())
                ]
            )
            self._services.account.intended(bundle)
        except StorageError:
            limiter.not_sent(first)
            self._release(bundle)
            raise

    def _heed_refusal(self, exc: RateLimited) -> None:
        self._refusals += 1
        if self._refusals >= _MOST_REFUSALS:
            self._halt.set(
                f"the provider said {self._refusals} times in a row that it is too much; "
                "run again later",
                exc.exit_code,
            )

    def _release(self, bundle: Iterable[str]) -> None:
        for attempt_id in bundle:
            self._services.account.release(attempt_id)

    def _reserve(self, bundle: Mapping[str, PlannedTake]) -> None:
        """Count the price towards the account's day, together with every other process.

        Raises:
            OverBudget: the day's cap would be passed; submissions stop.
        """
        cap_usd, account = self._services.settings.day_cap_usd, self._services.account
        if all(
            account.reserve(attempt_id, take.price_usd, cap_usd)
            for attempt_id, take in bundle.items()
        ):
            return
        self._release(bundle)
        self._services.limiter.not_sent(next(iter(bundle)))
        price_usd = sum((take.price_usd for take in bundle.values()), Decimal(0))
        exc = OverBudget(
            f"{dollars(price_usd)} more would pass the account's cap for today; not sent",
            hint="run again tomorrow (UTC), or raise STORYBOARD_DAY_CAP_USD",
        )
        self._halt.set(str(exc), exc.exit_code)
        raise exc

    def _intent(self, planned: PlannedTake, request: TakeRequest, number: int) -> dict[str, Any]:
        """What is written down of a take before it is asked for; ``number`` of its task's results,
        from 0."""
        capabilities, shot = self._services.provider.capabilities, planned.shot
        extras: dict[str, Any] = {}
        if request.task_id:
            extras["task_id"] = request.task_id
        extras |= expectations(shot)
        if planned.is_retake:
            extras["retake"] = True
        if request.results > 1:
            extras |= {"result": number, "results": request.results}
        return dict(
            shot=shot.id,
            take=planned.take,
            fingerprint=planned.fingerprint,
            provider=capabilities.provider,
            account=self._services.account_name,
            model=capabilities.model,
            price_usd=str(planned.price_usd),
            duration_s=shot.duration_s,
            resolution=request.resolution.value,
            server_ahead_s=self._services.provider.server_ahead_s,
            request=write_request(request),
            **extras,
        )

    async def _learn_clock(self, production: Production, takes: Sequence[PlannedTake]) -> None:
        """Have the provider's clock be known before the first intent of a run, where ids are ours.

        A later run reckons by it whether the id may be forgotten, and our own may be wrong. Any
        answer tells it; the one about the first task of this content costs nothing.
        """
        provider = self._services.provider
        async with self._clock_asked:
            if not provider.capabilities.client_task_ids or provider.server_ahead_s is not None:
                return
            chosen = self._choose(production, takes[0], len(takes))(0)
            # Unasked, it is not waited for: the submission itself comes to the same fault.
            with suppress(ProviderError, ConfigurationError):
                await self._services.look(chosen, len(takes))

    def _choose(
        self, production: Production, planned: PlannedTake, results: int
    ) -> Callable[[int], str]:
        """The ids of a content's tasks, by their numbers."""
        return lambda number: choose_task_id(
            account=self._services.account_name,
            storyboard=production.storyboard.name,
            fingerprint=planned.fingerprint,
            number=number,
            results=results,
        )

    def _chosen_id(
        self, production: Production, planned: PlannedTake, results: int
    ) -> AbstractContextManager[str]:
        """The id of one more task of this content, empty where the provider chooses it."""
        if not self._services.provider.capabilities.client_task_ids:
            return nullcontext("")
        choose = self._choose(production, planned, results)
        return production.fresh_task_id(planned.fingerprint, results, choose)

    async def _unless_halted(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do something that is pointless once submissions have been stopped.

        Raises:
            Halted: submissions were stopped first; the call was cancelled.
        """
        if self._halt.is_set:
            raise Halted(self._halt.reason)
        result: list[T] = []
        failure: list[Exception] = []

        async def watch() -> None:
            await self._halt.wait()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            try:
                result.append(await call())
            except Exception as exc:  # noqa: BLE001 - passed on below, out of the group
                failure.append(exc)
            group.cancel_scope.cancel()
        if failure:
            raise failure[0]
        if not result:
            raise Halted(self._halt.reason)
        return result[0]


def expectations(shot: Shot) -> dict[str, Any]:
    """What an intent says of how the clip should be, where that does not follow from the rest."""
    told: dict[str, Any] = {}
    if shot.video is not None:
        # None: nobody knows it before the clip is there, and a paid clip is not refused for that.
        exact_s, size = shot.video.duration_s, shot.video.size
        told["length_s"] = None if exact_s is None else str(exact_s)
        told["short_side_px"] = None if size is None else size.short_side_px
    if shot.output.container is not Container.MP4:
        told["container"] = shot.output.container.value
    return told


def keeps_length(shot: Shot) -> bool:
    """Whether a shot is an edit that is known to last as long as its clip, to the frame."""
    return shot.video is not None and shot.video.duration_s is not None


def _link(old: Path, new: Path) -> None:
    """Give a clip a second name; where its file is gone, a later step fetches it again."""
    temporary = new.with_name(f".{new.name}.part")
    try:
        if old.exists():
            temporary.unlink(missing_ok=True)
            temporary.hardlink_to(old)
            temporary.replace(new)
            # The old name is taken away soon; a power cut must not leave the clip without any.
            sync_folder(new.parent)
            # Where both names are one file already, replacing leaves the third behind.
            temporary.unlink(missing_ok=True)
    except OSError as exc:
        raise StorageError(f"cannot link {old} to {new.name}: {exc.strerror or exc}") from exc
