"""``storyboard resolve``: a person settles a submission whose outcome is not known."""

from __future__ import annotations

import argparse
import re
import sys

from pipeline.commands.options import add_manifests, add_out
from pipeline.errors import ExitCode, UsageError

HELP = "settle a submission in doubt by hand"
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "A submission whose answer was lost may have made a task that is billed. Look at the\n"
        "provider's dashboard, then say which task it is, or that there is none. Sends nothing."
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
        UsageError: nothing is in doubt there, or more than one storyboard was named.
    """
    from pipeline.commands.inputs import load, provider_of, shot_names  # noqa: PLC0415 - slow
    from pipeline.journal import Journal  # noqa: PLC0415
    from pipeline.ledger import DOUBTFUL, EventKind, fold  # noqa: PLC0415
    from pipeline.pricing import dollars  # noqa: PLC0415
    from pipeline.report import Messages  # noqa: PLC0415
    from pipeline.workspace import find_folder  # noqa: PLC0415

    loaded = load(args, Messages(sys.stderr))
    if not loaded.storyboards:
        return loaded.codes[0]
    if len(loaded.storyboards) > 1:
        raise UsageError("resolve works on one storyboard at a time")
    if args.adopt is not None and not _TASK_ID.match(args.adopt):
        raise UsageError("--adopt does not look like a task id", hint="copy it from the dashboard")
    storyboard = loaded.storyboards[0]
    folder = find_folder(args.out, storyboard.name, provider_of(args, storyboard))
    with Journal(folder) as journal:
        ledger = fold(journal.events())
        doubts = [a for a in ledger.attempts if a.shot_id == args.shot and a.state in DOUBTFUL]
        if not doubts:
            shot_names("SHOT", [args.shot], loaded.storyboards)
            raise UsageError(
                f"shot {args.shot} has no submission in doubt", hint="see `storyboard status`"
            )
        attempt = doubts[0]
        price = dollars(attempt.price_usd)
        if args.adopt is not None:
            if any(a.task_id == args.adopt for a in ledger.attempts):
                raise UsageError(f"task {args.adopt} already belongs to a take")
            reason = "adopted by a person"
            data = {"task_id": args.adopt, "reason": reason}
            journal.append(attempt.attempt_id, EventKind.ACCEPTED, data)
            done = f"{attempt.slate} is task {args.adopt}; the next run fetches it"
        elif args.resubmit:
            question = f"{attempt.slate} may have cost {price} already; buy it for {price} again?"
            if not args.yes and not _agrees(question):
                raise UsageError("nothing was changed", hint="add --yes to agree beforehand")
            reason = "a person says that no task was made"
            journal.append(attempt.attempt_id, EventKind.ABSENT, {"reason": reason})
            done = f"{attempt.slate} is free to be bought; the next run does, for {price}"
        else:
            reason = "abandoned by a person"
            journal.append(attempt.attempt_id, EventKind.ABANDONED, {"reason": reason})
            done = f"{attempt.slate} is given up; {price} counts as spent"
    sys.stdout.write(done + "\n")
    return ExitCode.DONE


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
