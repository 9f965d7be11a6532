"""From a task that exists to a checked clip on disk. Costs nothing and may be repeated.

The order on disk: the bytes are synced as ``.part`` and decoded; the journal records their hash;
the file gets its name; the journal records that it is good. A run that dies between any two
of these is taken up from there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import anyio

from pipeline.errors import (
    ClipRejected,
    ExitCode,
    KeyRefused,
    MediaError,
    NoCredit,
    RateLimited,
    Rejected,
    StillRunning,
    StorageError,
    Unavailable,
    UnknownTask,
    UrlExpired,
    UrlRefused,
)
from pipeline.files import make_folder, sync_folder
from pipeline.ledger import Attempt, AttemptState, EventKind
from pipeline.model import ClipFacts, Expected
from pipeline.pricing import differs, dollars, split_usd
from pipeline.production import Halt, Production, Services
from pipeline.providers.base import TaskPhase, TaskStatus
from pipeline.waking import Sleep

_DOWNLOAD_TRIES = 5
# A whole clip that shows nothing was paid for, and may be meant: it is kept, and told.
_BLACK = "black from end to end"
_VERIFY_TRIES = 3
_EMPTY_ANSWERS = 5
# The provider asks for at least 5 s between looks at a video, and for longer ones on long
# tasks: https://wavespeed.ai/docs/get-result
_LONGEST_POLL_S = 15.0
# How long the provider keeps a clip: https://wavespeed.ai/docs/how-wavespeedai-works
_KEPT = timedelta(days=7)
# "No such task" must be said for this many settle times before it is believed.
_UNKNOWN_SETTLES = 6
_FLAGGED = "flagged by the provider's content check"
# A loss is looked at again by each run for as long as this: what said "no such task" may have been
# an outage. Longer than the provider keeps a clip would be of no use.
_LOOKED_AT_AGAIN = _KEPT
# What a task that a journal knows to be done counts as until somebody asks for it again.
_RECALLED = "done in an earlier run"


class Fetcher:
    """Follows tasks for every storyboard of a run."""

    def __init__(self, services: Services, halt: Halt) -> None:
        self._services = services
        self._halt = halt
        self._random = services.random
        # What is written down of several takes of one task is written down once.
        self._ending = anyio.Lock()

    async def follow(self, production: Production, attempt: Attempt) -> None:
        """Wait for a task that has an id, then download, check and file its clip.

        Raises:
            StillRunning: the task limit has passed; a later run takes it up.
            Rejected: the task failed, or its clip is gone; the journal says so.
            ClipRejected: the clip is damaged, three times over.
            UrlRefused, UrlExpired, Unavailable, KeyRefused: this run cannot fetch it; a later
                one may.
        """
        if attempt.task_id is None:
            raise AssertionError("only a task with an id can be followed")
        if attempt.state is AttemptState.DOWNLOADED and await self._finish(production, attempt):
            return
        limiter = self._services.limiter
        self._recall(production, attempt)
        if attempt.state is AttemptState.SUBMITTED:
            limiter.resumed(attempt.attempt_id, attempt.task_id)
        try:
            status = await self._await_outputs(production, attempt)
        except StillRunning:
            limiter.left(attempt.attempt_id)
            raise
        except (Rejected, UnknownTask) as exc:
            if not isinstance(exc, KeyRefused):
                limiter.ended(attempt.attempt_id)
            raise
        limiter.ended(attempt.attempt_id)
        await self._bring_home(production, attempt, status)

    async def follow_lost(self, production: Production, attempt: Attempt, reason: str) -> None:
        """Look once, free, whether a clip that was given up is there after all; then as ``follow``.

        It may have come back to its folder, as when a disk was not mounted.

        Args:
            reason: what is said where nothing has changed.
        Raises:
            Rejected: it is still lost, or was for so long that nobody asks any more.
            Unavailable: nobody could be asked; a later run asks again.
        """
        if attempt.clip_sha256 is not None and await self._finish(production, attempt):
            self._services.reporter.note(
                production.storyboard.name, f"{attempt.slate} was given up; its clip is back"
            )
            return
        lost = Rejected(reason)
        age = self._services.clock.utc() - attempt.changed_at
        if attempt.task_id is None or age > _LOOKED_AT_AGAIN:
            raise lost
        try:
            status = await self._ask(attempt, anew=True)
        except UnknownTask:
            raise lost from None
        if status is None:
            raise Unavailable(
                f"{attempt.slate} was given up, and cannot be asked for now",
                hint="run again later: it is looked for again, and not bought",
            )
        if status.phase is TaskPhase.FAILED:
            await self._task_failed(production, attempt, status)
        self._services.reporter.note(
            production.storyboard.name, f"{attempt.slate} was given up; its task is there after all"
        )
        await self.follow(production, attempt)

    def _recall(self, production: Production, attempt: Attempt) -> None:
        """Take the end of a task from the journal, where it is, in place of one more look."""
        ends, task_id = self._services.ends, attempt.task_id or ""
        known = production.attempt(attempt.attempt_id)
        if task_id not in ends and attempt.result < len(known.outputs):
            ends[task_id] = TaskStatus(
                phase=TaskPhase.DONE,
                word=_RECALLED,
                outputs=known.outputs,
                flagged=known.reason == _FLAGGED,
            )

    async def _await_outputs(self, production: Production, attempt: Attempt) -> TaskStatus:
        """Poll until the task has given its clip's URL; a notice about it brings a look nearer."""
        sleep, bell = self._services.clock.sleep, self._services.bell
        if bell is None:
            return await self._poll(production, attempt, sleep)
        with bell.heard_in(sleep, attempt.task_id or "") as nap:
            return await self._poll(production, attempt, nap)

    async def _poll(self, production: Production, attempt: Attempt, nap: Sleep) -> TaskStatus:
        services, clock = self._services, self._services.clock
        shot_class = f"{attempt.model} {attempt.duration_s}s {attempt.resolution.value}"
        began = clock.monotonic()
        age_s = max(0.0, (clock.utc() - attempt.changed_at).total_seconds())
        await self._first_look(attempt, shot_class, age_s, nap)
        empty = 0
        unknown_since: float | None = None
        while True:
            word = "no answer"
            try:
                # One that has ended without this take's clip is looked at again.
                status = await self._ask(attempt, anew=empty > 0)
            except UnknownTask:
                now = clock.monotonic()
                unknown_since = now if unknown_since is None else unknown_since
                if now - unknown_since >= self._believed_after_s(attempt):
                    await self._lost(production, attempt, "the provider no longer knows the task")
                status, word = None, "not known yet"
            else:
                unknown_since = None if status is not None else unknown_since
            waited_s = clock.monotonic() - began
            if status is not None:
                word = status.word
                lacks = status.phase is TaskPhase.DONE and len(status.outputs) <= attempt.result
                empty += lacks
                # Of several results, some may have failed; then the answer says why.
                is_told = lacks and bool(status.outputs) and bool(status.message)
                if status.phase is TaskPhase.FAILED or is_told or empty > _EMPTY_ANSWERS:
                    await self._task_failed(production, attempt, status)
                if status.phase is TaskPhase.DONE and not lacks:
                    await self._task_completed(production, attempt, status)
                    if attempt.state is AttemptState.SUBMITTED and age_s < 1:
                        services.account.record_latency(shot_class, waited_s)
                    return status
            if waited_s >= services.settings.task_limit_s:
                raise StillRunning(
                    f"{attempt.slate} is still running after {waited_s:.0f} s",
                    hint="run again later: it is fetched, not bought again",
                )
            services.say(production, attempt.slate, "running", f"{word}, {waited_s:.0f} s")
            left_s = services.settings.task_limit_s - waited_s
            await nap(min(self._poll_wait_s(age_s + waited_s), left_s))

    async def _first_look(
        self, attempt: Attempt, shot_class: str, age_s: float, nap: Sleep
    ) -> None:
        """Sleep until a task of this class may be done; a task of an earlier run, not at all."""
        if attempt.state is not AttemptState.SUBMITTED:
            return
        interval_s = self._services.settings.poll_interval_s
        learned_s = self._services.account.early_latency(shot_class)
        first_s = max(learned_s or 0.0, interval_s) - age_s
        if first_s > 0:
            # Tasks that started together must not be asked about together for ever after.
            spread_s = self._random.uniform(0, interval_s / 2)
            await nap(first_s + spread_s)

    def _poll_wait_s(self, age_s: float) -> float:
        """Time to the next look: the interval, growing to 15 s for long tasks, with jitter."""
        interval_s = self._services.settings.poll_interval_s
        longest_s = max(_LONGEST_POLL_S, interval_s)
        return min(max(interval_s, age_s / 20), longest_s) * self._random.uniform(1.0, 1.2)

    def _believed_after_s(self, attempt: Attempt) -> float:
        """How long "no such task" is doubted; several looks long, however short the settings.

        A provider whose ids we choose says the same of a task that is not to be seen yet, so it
        is believed only once the task's clip cannot be there any more.
        """
        if self._services.provider.capabilities.client_task_ids:
            age = self._services.clock.utc() - attempt.intended_at
            return 0.0 if age > _KEPT else math.inf
        settings = self._services.settings
        return max(_UNKNOWN_SETTLES * settings.settle_s, 3 * settings.poll_interval_s)

    async def _ask(self, attempt: Attempt, *, anew: bool = False) -> TaskStatus | None:
        """One look at the task; see ``Services.look``.

        Returns:
            None where the question failed in passing.
        """
        clock, task_id = self._services.clock, attempt.task_id or ""
        try:
            return await self._services.look(task_id, attempt.results, anew=anew)
        except RateLimited as exc:
            await clock.sleep(min(exc.retry_after_s or 0.0, 60.0))
        except Unavailable:
            return None
        except NoCredit as exc:
            # What is paid already comes home all the same.
            self._halt.set(str(exc), exc.exit_code)
        except KeyRefused as exc:
            self._halt.set(str(exc), exc.exit_code)
            raise
        return None

    async def _task_completed(
        self, production: Production, attempt: Attempt, status: TaskStatus
    ) -> None:
        note, name = self._services.reporter.note, production.storyboard.name
        async with self._ending:
            await self._record_end(production, attempt, status)
        if status.flagged:
            note(name, f"{attempt.slate}: the provider flags this clip as unsafe; look at it first")
        if status.cost_usd is not None and attempt.result == 0:
            self._compare_cost(production, attempt, status)
        if len(status.outputs) > attempt.results:
            note(name, f"{attempt.slate}: {len(status.outputs)} clips came; the first is used")

    async def _record_end(
        self, production: Production, attempt: Attempt, status: TaskStatus
    ) -> None:
        """Write down that a task is done, for all of its takes that have a clip, at once."""
        costs_usd = _costs_usd(production, attempt, status)
        facts: dict[str, Any] = {
            "outputs": list(status.outputs),
            "reason": _FLAGGED if status.flagged else "",
        }
        rows = []
        for take in _takes_of_task(production, attempt)[: len(status.outputs)]:
            if take.state in {AttemptState.SUBMITTED, AttemptState.LOST}:
                cost_usd = costs_usd.get(take.attempt_id)
                told = {} if cost_usd is None else {"cost_usd": str(cost_usd)}
                rows.append((take.attempt_id, EventKind.COMPLETED, facts | told))
        if rows:
            await production.record_all(rows)
            self._services.account.settle(costs_usd)

    def _compare_cost(self, production: Production, attempt: Attempt, status: TaskStatus) -> None:
        """Say where a task cost another sum than the price list has for it.

        Of a clip of unknown length that was the most it could cost: less is no surprise.
        """
        cost_usd = status.cost_usd or Decimal(0)
        same = _takes_of_task(production, attempt)[: len(status.outputs)]
        listed_usd = sum((each.price_usd for each in same), Decimal(0))
        is_less = attempt.expected_s is None and cost_usd < listed_usd
        if differs(cost_usd, listed_usd) and not is_less:
            self._services.reporter.note(
                production.storyboard.name,
                f"{attempt.slate}: the provider says that task {attempt.task_id} cost "
                f"{dollars(cost_usd)}, the price list says {dollars(listed_usd)}",
            )

    async def _task_failed(
        self, production: Production, attempt: Attempt, status: TaskStatus
    ) -> NoReturn:
        reason = status.message or "the task ended without a clip"
        if status.code:
            reason = f"{reason} (code {status.code})"
        cost_usd = _costs_usd(production, attempt, status).get(attempt.attempt_id)
        if cost_usd is None and not self._services.provider.capabilities.bill:
            # Where no bill can tell, costs come with results, and a failure that names none has
            # none. docs/money.md says that this is an assumption.
            cost_usd = Decimal(0)
        told = {} if cost_usd is None else {"cost_usd": str(cost_usd)}
        await production.record(attempt.attempt_id, EventKind.FAILED, reason=reason, **told)
        if cost_usd is not None:
            self._services.account.settle({attempt.attempt_id: cost_usd})
        if status.no_credit:
            self._halt.set(f"{reason} (top up the account)", ExitCode.KEY_REFUSED)
        if status.reference_lost:
            # The next take uploads them again. What this one cost is for the bill to say.
            self._services.account.forget_uploads(_addresses(attempt))
        raise Rejected(
            f"task {attempt.task_id} {status.word}: {reason}",
            hint=f"change the shot, or buy another with --retake {attempt.shot_id}",
            code=status.code,
        )

    async def _bring_home(
        self, production: Production, attempt: Attempt, status: TaskStatus
    ) -> None:
        """Download to ``.part``, check, and give the clip its name."""
        services = self._services
        part = production.clips / f"{attempt.clip_name}.part"
        _make_folder(part.parent)
        damaged = 0
        for attempt_number in range(1, _DOWNLOAD_TRIES + 1):
            last = attempt_number == _DOWNLOAD_TRIES
            services.say(production, attempt.slate, "downloading")
            try:
                await services.downloader.fetch(status.outputs[attempt.result], part)
                services.say(production, attempt.slate, "checking")
                facts = await services.verify(part, expected_of(attempt))
            except UrlExpired as exc:
                if last:
                    await self._give_up(production, attempt, exc)
                status = await self._fresh(production, attempt, status)
            except (Unavailable, UrlRefused) as exc:
                is_old = status.word == _RECALLED
                if last or (isinstance(exc, UrlRefused) and not is_old):
                    raise
                if is_old:
                    # The address of an earlier run may lead nowhere by now.
                    status = await self._fresh(production, attempt, status)
                    continue
                await services.clock.sleep(self._random.uniform(0, 2.0**attempt_number))
            except ClipRejected as exc:
                damaged += 1
                if damaged >= _VERIFY_TRIES:
                    await self._damaged(production, attempt, part, exc)
                if last:
                    # Most tries failed for other reasons: the clip itself may well be whole.
                    raise Unavailable(
                        f"{attempt.slate} is paid but arrives damaged: {exc.message}",
                        hint="run again later: it is fetched, not bought again",
                    ) from exc
            else:
                await self._file(production, attempt, part, facts)
                return

    async def _fresh(
        self, production: Production, attempt: Attempt, stale: TaskStatus
    ) -> TaskStatus:
        """The result asked for again, for a URL that works; the old one if none is to be had."""
        try:
            status = await self._ask(attempt, anew=True)
        except UnknownTask:
            # Said once of a task that has just been done: asked with the usual patience.
            return await self._await_outputs(production, production.attempt(attempt.attempt_id))
        is_there = status is not None and len(status.outputs) > attempt.result
        return status if status is not None and is_there else stale

    async def _give_up(self, production: Production, attempt: Attempt, exc: UrlExpired) -> NoReturn:
        """No URL works: for this run, or for good once the provider has deleted the clip."""
        if self._services.clock.utc() - attempt.intended_at > _KEPT:
            await self._lost(production, attempt, exc.message)
        raise UrlExpired(
            f"{attempt.slate} is paid but cannot be downloaded now: {exc.message}",
            hint="run again later: it is fetched, not bought again",
        ) from exc

    async def _file(
        self, production: Production, attempt: Attempt, part: Path, facts: ClipFacts
    ) -> None:
        """Record what the file is, then name it, then record that it is good."""
        clip = attempt.clip_name
        await production.record(
            attempt.attempt_id,
            EventKind.DOWNLOADED,
            clip=clip,
            bytes=facts.size_bytes,
            sha256=facts.sha256,
        )
        await anyio.to_thread.run_sync(_rename, part, production.clips / clip)
        await self._record_verified(production, attempt, facts)

    async def _finish(self, production: Production, attempt: Attempt) -> bool:
        """Take up a clip that was recorded but perhaps not yet named or marked as good."""
        clip = production.clips / (attempt.clip or "")
        for path in (clip, clip.with_name(f"{clip.name}.part")):
            if not path.is_file():
                continue
            try:
                facts = await self._services.verify(path, expected_of(attempt))
            except MediaError:
                continue
            if facts.sha256 == attempt.clip_sha256:
                if path != clip:
                    await anyio.to_thread.run_sync(_rename, path, clip)
                await self._record_verified(production, attempt, facts)
                return True
        return False

    async def _record_verified(
        self, production: Production, attempt: Attempt, facts: ClipFacts
    ) -> None:
        await production.record(
            attempt.attempt_id,
            EventKind.VERIFIED,
            width_px=facts.width_px,
            height_px=facts.height_px,
            frames=facts.frames,
            frame_rate=str(facts.frame_rate),
            video_codec=facts.video_codec,
            has_audio=facts.has_audio,
            **({"reason": _BLACK} if facts.is_black else {}),
        )
        if facts.is_black:
            self._services.reporter.note(
                production.storyboard.name,
                f"{attempt.slate} is {_BLACK}: look at it; "
                f"`storyboard run --retake {attempt.shot_id}` buys another",
            )
        self._services.say(production, attempt.slate, "ready")

    async def _lost(self, production: Production, attempt: Attempt, reason: str) -> NoReturn:
        await production.record(attempt.attempt_id, EventKind.LOST, reason=reason)
        raise Rejected(
            f"the clip of {attempt.slate} is paid but cannot be had any more: {reason}",
            hint=f"later runs look for it again, free; --retake {attempt.shot_id} buys another",
        )

    async def _damaged(
        self, production: Production, attempt: Attempt, part: Path, exc: ClipRejected
    ) -> NoReturn:
        kept = part.with_name(f"{attempt.clip_name}.bad")
        await anyio.to_thread.run_sync(_rename, part, kept)
        await production.record(attempt.attempt_id, EventKind.DAMAGED, reason=exc.message)
        raise ClipRejected(
            f"{attempt.slate} is paid but fails its checks: {exc.message}",
            hint=f"it is kept as {kept.name}; --retake {attempt.shot_id} buys another",
        ) from exc


def expected_of(attempt: Attempt) -> Expected:
    """What the clip of a take should be like."""
    return Expected(
        duration_s=attempt.expected_s,
        short_side_px=attempt.short_side_px,
        container=attempt.container,
    )


def _addresses(attempt: Attempt) -> list[str]:
    """Every address or id that the journal says a task was made from."""
    request = attempt.request or {}
    images = request.get("images") or ()
    named = (*images, request.get("frame"), request.get("video"))
    return [each for each in named if isinstance(each, str) and each]


def _takes_of_task(production: Production, attempt: Attempt) -> list[Attempt]:
    """Every take of the attempt's task as the journal has it now, in the order of results."""
    same = [a for a in production.ledger().attempts if a.task_id == attempt.task_id]
    return sorted(same, key=lambda each: each.result)


def _costs_usd(
    production: Production, attempt: Attempt, status: TaskStatus
) -> Mapping[str, Decimal]:
    """What each take of a task cost, by attempt id; empty where the provider does not say.

    The whole is divided as the prices are, among those that have a clip; where none has, all.
    """
    if status.cost_usd is None:
        return {}
    takes = _takes_of_task(production, attempt)
    paid = takes[: len(status.outputs)] or takes
    shares = split_usd(status.cost_usd, [take.price_usd for take in paid])
    return {take.attempt_id: share for take, share in zip(paid, shares, strict=True)}


def _make_folder(folder: Path) -> None:
    try:
        make_folder(folder)
    except OSError as exc:
        raise StorageError(f"cannot make {folder}: {exc.strerror or exc}") from exc


def _rename(old: Path, new: Path) -> None:
    """Rename within a folder and sync the folder, so that the name survives a power cut."""
    try:
        old.replace(new)
        sync_folder(new.parent)
    except OSError as exc:
        raise StorageError(f"cannot rename {old} to {new.name}: {exc.strerror or exc}") from exc
