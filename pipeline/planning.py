"""Storyboard + ledger -> plan: what a run would do with every take, and what it would cost.

Pure. ``run`` carries out exactly what this says; ``plan`` only prints it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, assert_never

from pipeline.capabilities import is_free
from pipeline.film.identity import plain
from pipeline.fingerprint import fingerprint
from pipeline.ledger import (
    DOUBTFUL,
    FREE,
    PENDING,
    SPOILED,
    Attempt,
    AttemptState,
    Ledger,
    slate,
)
from pipeline.model import FileReference, Shot, Storyboard
from pipeline.pricing import RateCard, dollars, price_take

# Part of a film's identity: raise it when the same clips would give other bytes.
_FILM_FORMAT = 2


class Action(StrEnum):
    """What a run does for one take.

    ``keep``: paid, checked, on disk. ``adopt``: something of the same content may be or is paid
    already (a clip under another shot's name, a submission whose answer was lost): take that.
    ``fetch``: the task exists; wait for it and download. ``buy``: submit a new task.
    ``blocked``: only a person can say how to go on. ``skip``: left out by ``--only``; what is in
    doubt is settled and fetched all the same, and not bought.
    """

    KEEP = "keep"
    ADOPT = "adopt"
    FETCH = "fetch"
    BUY = "buy"
    BLOCKED = "blocked"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTake:
    """One line of a plan; ``price_usd`` is what this run would newly spend on it.

    ``of_last_task``: it is another result of the task that the line before it buys;
    ``is_retake``: it is bought because ``--retake`` asks for it.
    """

    shot: Shot
    take: int
    fingerprint: str
    action: Action
    price_usd: Decimal
    reason: str
    attempt: Attempt | None = None
    of_last_task: bool = False
    is_retake: bool = False

    @property
    def slate(self) -> str:
        """The name its clip has or will have."""
        return slate(self.shot.id, self.take)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a run would do: takes in shot order; orphans are paid tasks no shot asks for.

    ``spent_usd`` and ``reserved_usd`` as in ``Ledger``; ``bound_usd`` what caps count of both.
    """

    storyboard: Storyboard
    provider: str
    takes: tuple[PlannedTake, ...]
    orphans: tuple[Attempt, ...]
    spent_usd: Decimal
    reserved_usd: Decimal
    bound_usd: Decimal

    @property
    def buy_usd(self) -> Decimal:
        """Dollars that a run would newly spend."""
        return sum((take.price_usd for take in self.takes), Decimal(0))

    @property
    def doubt_usd(self) -> Decimal:
        """Dollars that a run may newly spend if doubts of its shots are proved absent."""
        doubts = (t.attempt for t in self.takes if t.action is Action.ADOPT)
        return sum((a.price_usd for a in doubts if a and a.state in DOUBTFUL), Decimal(0))

    @property
    def committed_usd(self) -> Decimal:
        """Dollars the storyboard will have cost after the run: spent, reserved and new."""
        return self.bound_usd + self.buy_usd

    def count(self, action: Action) -> int:
        """How many takes are planned with this action."""
        return sum(take.action is action for take in self.takes)


def make_plan(
    storyboard: Storyboard,
    ledger: Ledger,
    *,
    provider: str,
    model: str,
    card: RateCard,
    missing_clips: frozenset[str] = frozenset(),
    retake: frozenset[str] = frozenset(),
    only: frozenset[str] | None = None,
) -> Plan:
    """Decide for every take of every shot.

    Args:
        missing_clips: attempt ids whose recorded clip is not on disk as recorded.
        retake: shot ids that get one more take, whatever they have; the one that an earlier run
            bought for that counts, until a run comes to its film.
        only: shot ids to work on; None means all. Finished takes of the others are kept.
    Returns:
        Takes in shot order, by take number within a shot, plus the orphans.
    Raises:
        KeyError: the rate card has no price for a shot.
    """
    relevant = [a for a in ledger.attempts if a.provider == provider and a.state not in FREE]
    if is_free(provider):
        # What the sandbox lost costs nothing to draw again.
        relevant = [a for a in relevant if a.state is not AttemptState.LOST]
    wanted = {shot.id: fingerprint(shot, model) for shot in storyboard.shots}
    own = {shot.id: current_takes(shot.id, wanted[shot.id], relevant) for shot in storyboard.shots}
    claimed = {attempt.attempt_id for attempts in own.values() for attempt in attempts}
    spare = [a for a in relevant if a.attempt_id not in claimed and a.state not in SPOILED]

    takes: list[PlannedTake] = []
    for shot in storyboard.shots:
        if only is not None and shot.id not in only:
            takes += _left_out(shot, wanted[shot.id], own[shot.id], missing_clips)
            continue
        again = shot.id in retake
        attempts = [a for a in own[shot.id] if not (again and a.state in SPOILED)]
        lines = [_continue(shot, attempt, missing_clips) for attempt in attempts]
        if again:
            lines = [_as_retake(line) for line in lines]
        # A retake that was cut short is taken up, not bought a second time.
        is_had = any(a.state in PENDING | DOUBTFUL or a.is_open_retake for a in attempts)
        lacking = max(shot.takes - len(attempts), 1 if again and not is_had else 0)
        next_take = ledger.next_take(shot.id)
        if not again:
            # Of several, the newest: a renamed shot keeps the take that its film used.
            same = [a for a in spare if a.fingerprint == wanted[shot.id]]
            twins = same[max(0, len(same) - lacking) :]
            spare = [a for a in spare if a not in twins]
            lines += [
                _take_over(shot, attempt, next_take + i, missing_clips)
                for i, attempt in enumerate(twins)
            ]
            lacking -= len(twins)
            next_take += len(twins)
        why = _why_buy(shot, ledger, provider, again=again, first=not attempts)
        lines += [
            PlannedTake(
                shot=shot,
                take=next_take + i,
                fingerprint=wanted[shot.id],
                action=Action.BUY,
                price_usd=price_take(card, shot, more=i % shot.output.results > 0),
                reason=why,
                of_last_task=i % shot.output.results > 0,
                is_retake=again,
            )
            for i in range(lacking)
        ]
        takes += lines
    return Plan(
        storyboard=storyboard,
        provider=provider,
        takes=tuple(takes),
        orphans=tuple(a for a in spare if a.state in PENDING | DOUBTFUL),
        spent_usd=ledger.spent_usd,
        reserved_usd=ledger.reserved_usd,
        bound_usd=ledger.bound_usd,
    )


def bought_prices(plan: Plan, ledger: Ledger) -> Mapping[str, Decimal]:
    """What all takes of each finished shot were bought for, in dollars, by shot id.

    A shot is finished once as many good takes of it are there as it asks for.
    """
    wanted = {take.shot.id: take.fingerprint for take in plan.takes}
    own = [a for a in ledger.attempts if a.provider == plan.provider]
    found = {}
    for shot in plan.storyboard.shots:
        takes = current_takes(shot.id, wanted[shot.id], own)
        good = [a.price_usd for a in takes if a.state is AttemptState.VERIFIED]
        if len(good) >= shot.takes:
            found[shot.id] = sum(good[: shot.takes], Decimal(0))
    return found


def current_takes(shot_id: str, wanted: str, attempts: Iterable[Attempt]) -> list[Attempt]:
    """The shot's takes that show what the manifest asks for now, by take number."""
    mine = [a for a in attempts if a.shot_id == shot_id and a.fingerprint == wanted]
    return sorted((a for a in mine if a.state not in FREE), key=lambda a: a.take)


def used_retakes(
    plan: Plan, ledger: Ledger, *, retake: frozenset[str], only: frozenset[str] | None
) -> list[Attempt] | None:
    """The takes whose order is carried out, now that a run of the plan has come to its film.

    From then on ``--retake`` asks for another take. A film uses those of every shot; without one
    they are of the shots that were worked on.

    Args:
        retake, only: as in ``make_plan``.
    Returns:
        None where a take that was asked for came to nothing: the whole order stays open.
    """
    own = [a for a in ledger.attempts if a.provider == plan.provider]
    wanted = {take.shot.id: take.fingerprint for take in plan.takes}
    worked = {each for each in wanted if only is None or each in only}
    for shot_id in worked & retake:
        takes = current_takes(shot_id, wanted[shot_id], own)
        if not takes or takes[-1].state is not AttemptState.VERIFIED:
            return None
    shots = worked if film_cut(plan, ledger) is None else wanted.keys()
    return [
        a
        for a in own
        if a.is_open_retake and a.state is AttemptState.VERIFIED and a.shot_id in shots
    ]


def choose_clip(shot: Shot, takes: Iterable[Attempt]) -> Attempt | None:
    """The take that goes into the film: the selected one, else the newest good one.

    ``select`` counts from 1 among the takes that came or may still come to something.

    Args:
        takes: the shot's current takes, by take number (``current_takes``).
    """
    current = [a for a in takes if a.state not in SPOILED]
    if shot.select is not None:
        current = current[shot.select - 1 : shot.select]
    good = [a for a in current if a.state is AttemptState.VERIFIED]
    return good[-1] if good else None


def film_cut(plan: Plan, ledger: Ledger) -> list[Attempt] | None:
    """The chosen clip of every shot in cut order; None while one is missing or still to come.

    Only the plan's own provider counts: the sandbox sells the same model, and none of its
    stand-ins may come into a film made from paid clips.
    """
    wanted = {take.shot.id: take.fingerprint for take in plan.takes}
    attempts = [a for a in ledger.attempts if a.provider == plan.provider]
    cut = []
    for shot in plan.storyboard.shots:
        takes = current_takes(shot.id, wanted[shot.id], attempts)
        clip = choose_clip(shot, takes)
        # A take still to come may be the newest good one; one that is named needs no other.
        waiting = shot.select is None and any(t.state in PENDING | DOUBTFUL for t in takes)
        if clip is None or waiting:
            return None
        cut.append(clip)
    return cut


def film_key(storyboard: Storyboard, cut: Iterable[Attempt]) -> str:
    """Identity of a film by all that goes into it, into its cut list and into its records; equal
    keys mean equal files."""
    parts = [
        [attempt.clip_sha256, str(shot.cut_s), plain(shot.edit), *_origin(shot, attempt)]
        for shot, attempt in zip(storyboard.shots, cut, strict=True)
    ]
    # A slate shows the storyboard's name; a plain film has none.
    name = storyboard.name if storyboard.film is not None else ""
    made = [_FILM_FORMAT, name, storyboard.title, plain(storyboard.film), parts]
    text = json.dumps(made, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _origin(shot: Shot, attempt: Attempt) -> list[Any]:
    """What is said of a shot wherever the film names it: names, words, who made it and of what."""
    references = [
        [each.source, each.sha256] for each in shot.sources if isinstance(each, FileReference)
    ]
    task = [attempt.provider, attempt.model, attempt.task_id, attempt.intended_at.isoformat()]
    return [shot.id, attempt.slate, attempt.clip, shot.kind.value, shot.prompt, references, *task]


def _continue(shot: Shot, attempt: Attempt, missing_clips: frozenset[str]) -> PlannedTake:
    """What becomes of a take that the shot already has."""
    action, reason = _judge(attempt, attempt.attempt_id in missing_clips)
    return PlannedTake(
        shot=shot,
        take=attempt.take,
        fingerprint=attempt.fingerprint,
        action=action,
        price_usd=Decimal(0),
        reason=reason,
        attempt=attempt,
    )


def _as_retake(line: PlannedTake) -> PlannedTake:
    """Say of a take that is there why ``--retake`` buys no other."""
    if line.attempt is None or not line.attempt.is_open_retake:
        return line
    told = "this is the take that --retake asked for, until a run comes to its film"
    return replace(line, reason=f"{line.reason}; {told}")


def _judge(attempt: Attempt, clip_missing: bool) -> tuple[Action, str]:
    price = dollars(attempt.cost_usd)
    match attempt.state:
        case AttemptState.VERIFIED if clip_missing:
            return Action.FETCH, f"paid {price}; its clip is gone from disk, download it again"
        case AttemptState.VERIFIED:
            return Action.KEEP, f"paid {price}"
        case AttemptState.SUBMITTED | AttemptState.COMPLETED | AttemptState.DOWNLOADED:
            return Action.FETCH, f"paid {price}; task {attempt.task_id}"
        case AttemptState.INTENT | AttemptState.IN_DOUBT:
            asked = "the provider's history is asked first"
            if attempt.chosen_id is not None:
                asked = f"{attempt.provider} is asked for it by its id first"
            return Action.ADOPT, f"sent, answer lost, {price} reserved; {asked}"
        case AttemptState.LOST:
            return Action.BLOCKED, (
                f"{attempt.state}: {attempt.reason or 'no reason given'}; a run looks for it again "
                f"for a week, free; --retake {attempt.shot_id} buys another"
            )
        case AttemptState.FAILED | AttemptState.DAMAGED | AttemptState.ABANDONED:
            return Action.BLOCKED, (
                f"{attempt.state}: {attempt.reason or 'no reason given'}; "
                f"--retake {attempt.shot_id} buys another"
            )
        case AttemptState.REFUSED | AttemptState.ABSENT:
            raise AssertionError("an attempt that bound no money is never planned")
    assert_never(attempt.state)


def _take_over(
    shot: Shot, attempt: Attempt, take: int, missing_clips: frozenset[str]
) -> PlannedTake:
    """Use a paid attempt of the same content that no shot claims any more."""
    action, reason = _judge(attempt, attempt.attempt_id in missing_clips)
    if action in {Action.KEEP, Action.FETCH}:
        action = Action.ADOPT
        reason = f"same content as {attempt.slate}, paid {dollars(attempt.cost_usd)}"
    return PlannedTake(
        shot=shot,
        take=take,
        fingerprint=attempt.fingerprint,
        action=action,
        price_usd=Decimal(0),
        reason=reason,
        attempt=attempt,
    )


def _left_out(
    shot: Shot, wanted: str, attempts: list[Attempt], missing_clips: frozenset[str]
) -> list[PlannedTake]:
    """Keep what a shot outside ``--only`` has; never fetch, adopt or buy for it.

    What is in doubt is settled all the same, as until then nothing may be bought, and fetched if
    it is there, as its task holds a place.
    """
    lines = [_continue(shot, attempt, missing_clips) for attempt in attempts]
    kept = [line for line in lines if line.action is Action.KEEP]
    kept += [
        replace(
            line,
            action=Action.SKIP,
            reason=f"left out by --only; in doubt, {dollars(line.attempt.cost_usd)} reserved: "
            "looked for, not bought",
        )
        for line in lines
        if line.attempt is not None and line.attempt.state in DOUBTFUL
    ]
    if kept:
        return kept
    return [
        PlannedTake(
            shot=shot,
            take=1,
            fingerprint=wanted,
            action=Action.SKIP,
            price_usd=Decimal(0),
            reason="left out by --only",
        )
    ]


def _why_buy(shot: Shot, ledger: Ledger, provider: str, *, again: bool, first: bool) -> str:
    if again:
        return "another take, as asked"
    past = [a for a in ledger.attempts if a.shot_id == shot.id and a.provider == provider]
    if past and past[-1].state is AttemptState.REFUSED:
        return f"refused last time: {past[-1].reason}"
    if not first:
        return f"{shot.takes} takes asked for"
    if any(a.state not in FREE for a in past):
        return "changed since it was bought"
    return "not bought yet"
