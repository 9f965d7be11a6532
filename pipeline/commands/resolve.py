"""``storyboard resolve``: a person settles a submission whose outcome is not known, or names the
task of a clip that was given up or whose journal is gone."""

from __future__ import annotations

import argparse
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.commands.options import add_manifests, add_out
from pipeline.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from pipeline.ledger import Attempt, EventKind, Ledger
    from pipeline.model import Storyboard

    Row: TypeAlias = tuple[str, EventKind, Mapping[str, Any]]

HELP = "settle a submission in doubt by hand"
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "A submission whose answer was lost may have made a task that is billed. Look at the\n"
        "provider's dashboard, then say which task it is, or that there is none. --adopt is\n"
        "also for a clip that was given up as lost, and for a shot without a take, whose task was\n"
        "paid by a journal that is gone. Sends nothing."
    )
    parser.epilog = (
        "examples:\n"
        "  storyboard resolve opening manifests/ad.yaml --adopt 0f3c5d7e9a1b4c2d\n"
        "  storyboard resolve opening manifests/ad.yaml --resubmit --yes"
    )
    parser.add_argument("shot", metavar="SHOT", help="the shot in doubt")
    add_manifests(parser)
    add_out(parser)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--adopt", metavar="TASK", help="it is this task; the next run fetches it")
    choice.add_argument(
        "--resubmit", action="store_true", help="no task exists; the next run buys the shot"
    )
    choice.add_argument(
        "--abandon", action="store_true", help="count it as spent for nothing; do not fetch it"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before --resubmit")
    parser.set_defaults(quiet=False)


def main(args: argparse.Namespace) -> int:
    """Write the person's word into the journal.

    Raises:
        UsageError: nothing is in doubt or lost there, or more than one storyboard was named.
    """
    from pipeline.capabilities import is_free  # noqa: PLC0415 - this and the next are slow
    from pipeline.commands.inputs import load, provider_of, shot_names  # noqa: PLC0415
    from pipeline.journal import Journal  # noqa: PLC0415
    from pipeline.ledger import DOUBTFUL, fold  # noqa: PLC0415
    from pipeline.production import attempt_prefix  # noqa: PLC0415
    from pipeline.report import Messages  # noqa: PLC0415
    from pipeline.workspace import find_folder, make_room_for_paid_work  # noqa: PLC0415

    messages = Messages(sys.stderr)
    loaded = load(args, messages)
    if not loaded.storyboards:
        return loaded.codes[0]
    if len(loaded.storyboards) > 1:
        raise UsageError("resolve works on one storyboard at a time")
    if args.adopt is not None and not _TASK_ID.match(args.adopt):
        raise UsageError("--adopt does not look like a task id", hint="copy it from the dashboard")
    storyboard = loaded.storyboards[0]
    provider = provider_of(args, storyboard)
    folder = find_folder(args.out, storyboard.name, provider)
    if args.adopt is not None and not is_free(provider):
        # The task is paid: its take must not lie among the sandbox's, which make way for paid work.
        moved = make_room_for_paid_work(folder)
        if moved is not None:
            messages.say(f"{storyboard.name}: its animatic is now in {moved}")
    with Journal(folder) as journal:
        ledger = fold(journal.events())
        mine = [a for a in ledger.attempts if a.provider == provider]
        doubts = [a for a in mine if a.shot_id == args.shot and a.state in DOUBTFUL]
        if not doubts:
            shot_names("SHOT", [args.shot], loaded.storyboards)
            attempt_id = f"{attempt_prefix(folder)}{uuid.uuid4().hex}"
            rows, done = _take_in(attempt_id, args, storyboard, provider, ledger)
            journal.append_all(rows)
            sys.stdout.write(done + "\n")
            return ExitCode.DONE
        # One submission may have been of several takes: what became of it is the same for all.
        bundle = ledger.doubts_with(doubts[0])
        kind, data, done = _word_on(bundle, args, ledger)
        journal.append_all([(doubt.attempt_id, kind, data) for doubt in bundle])
    sys.stdout.write(done + "\n")
    return ExitCode.DONE


def _word_on(
    bundle: Sequence[Attempt], args: argparse.Namespace, ledger: Ledger
) -> tuple[EventKind, dict[str, str], str]:
    """What to write down of a submission in doubt, and the words for it.

    Raises:
        UsageError: the task is another take's, or the person did not agree.
    """
    from pipeline.ledger import EventKind  # noqa: PLC0415 - slow
    from pipeline.pricing import dollars  # noqa: PLC0415

    slates = " and ".join(doubt.slate for doubt in bundle)
    price = dollars(sum((doubt.price_usd for doubt in bundle), Decimal(0)))
    if args.adopt is not None:
        if any(a.task_id == args.adopt for a in ledger.attempts):
            raise UsageError(f"task {args.adopt} already belongs to a take")
        data = {"task_id": args.adopt, "reason": "adopted by a person"}
        return EventKind.ACCEPTED, data, f"{slates}: task {args.adopt}; the next run fetches it"
    if args.resubmit:
        question = f"{slates} may have cost {price} already; buy for {price} again?"
        if not args.yes and not _agrees(question):
            raise UsageError("nothing was changed", hint="add --yes to agree beforehand")
        data = {"reason": "a person says that no task was made"}
        done = f"{slates}: free to be bought; the next run does, for {price}"
        return EventKind.ABSENT, data, done
    data = {"reason": "abandoned by a person"}
    return EventKind.ABANDONED, data, f"{slates}: given up; {price} counts as spent"


def _take_in(
    new_id: str, args: argparse.Namespace, storyboard: Storyboard, provider: str, ledger: Ledger
) -> tuple[list[Row], str]:
    """What to write down of a task that a person names for a shot without a doubt, and the words
    for it.

    Raises:
        UsageError: no task is named, or the shot has takes that came, or may come, to something.
    """
    from pipeline.ledger import FREE, SPOILED, AttemptState, EventKind, slate  # noqa: PLC0415 - slow
    from pipeline.pricing import dollars  # noqa: PLC0415

    task_id, shot_id = args.adopt, args.shot
    accepted = {"task_id": task_id, "reason": "adopted by a person"}
    mine = [
        a
        for a in ledger.attempts
        if (a.shot_id, a.provider) == (shot_id, provider) and a.state not in FREE
    ]
    for attempt in mine if task_id is not None else ():
        if attempt.state is AttemptState.LOST and attempt.task_id == task_id:
            done = f"{attempt.slate}: task {task_id} again; the next run fetches it"
            return [(attempt.attempt_id, EventKind.ACCEPTED, accepted)], done
    if task_id is None or any(attempt.state not in SPOILED for attempt in mine):
        raise UsageError(
            f"shot {shot_id} has no submission in doubt", hint="see `storyboard status`"
        )
    if any(attempt.task_id == task_id for attempt in ledger.attempts):
        raise UsageError(f"task {task_id} already belongs to a take")
    intent = _intent(task_id, shot_id, storyboard, provider, ledger)
    done = (
        f"{slate(shot_id, intent['take'])}: task {task_id}; the next run fetches it, and "
        f"{dollars(Decimal(intent['price_usd']))} counts as spent"
    )
    return [(new_id, EventKind.INTENT, intent), (new_id, EventKind.ACCEPTED, accepted)], done


def _intent(
    task_id: str, shot_id: str, storyboard: Storyboard, provider: str, ledger: Ledger
) -> dict[str, Any]:
    """A new take of a shot as it is now, made by a task that another journal paid for."""
    from pipeline.capabilities import CAPABILITIES  # noqa: PLC0415 - these are only for here
    from pipeline.fingerprint import fingerprint  # noqa: PLC0415
    from pipeline.pricing import RATE_CARDS, price_take  # noqa: PLC0415
    from pipeline.taking import expectations  # noqa: PLC0415

    capabilities = CAPABILITIES[provider]
    shot = next(shot for shot in storyboard.shots if shot.id == shot_id)
    price_usd = price_take(RATE_CARDS[provider], shot)
    intent: dict[str, Any] = {
        "shot": shot_id,
        "take": ledger.next_take(shot_id),
        "fingerprint": fingerprint(shot, capabilities.model),
        "provider": provider,
        "model": capabilities.model,
        "price_usd": str(price_usd),
        "duration_s": shot.duration_s,
        "resolution": shot.resolution.value,
        **expectations(shot),
    }
    if capabilities.client_task_ids:
        intent["task_id"] = task_id
    return intent


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
