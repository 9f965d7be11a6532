"""``storyboard status``: what the journal and the disk say, without asking anybody."""

from __future__ import annotations

import argparse
import json
import sys

from pipeline.commands.options import add_manifests, add_out, add_output_style
from pipeline.errors import ExitCode, gravest

HELP = "show where every take stands and what has been spent"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Show every take ever submitted, its state, and the money. Offline."
    parser.epilog = "example:\n  storyboard status --json manifests/aurora-bottle.yaml"
    add_manifests(parser)
    add_out(parser)
    add_output_style(parser)


def main(args: argparse.Namespace) -> int:
    """Print one table for each storyboard; exit 0 whatever the states are."""
    from pipeline.commands.inputs import load  # noqa: PLC0415 - slow to import
    from pipeline.commands.jobs import read_job  # noqa: PLC0415
    from pipeline.report import Messages, status_text  # noqa: PLC0415
    from pipeline.summary import Outcome, summarise  # noqa: PLC0415

    loaded = load(args, Messages(sys.stderr, quiet=args.quiet))
    texts, rows = [], []
    for storyboard in loaded.storyboards:
        job = read_job(args, storyboard)
        finished = job.is_finished
        outcome = Outcome(
            plan=job.plan,
            ledger=job.ledger,
            folder=job.folder,
            exit_code=ExitCode.DONE if finished else ExitCode.TRY_LATER,
            film=job.recorded_film if finished else None,
        )
        texts.append(status_text(outcome, job.provider))
        summary = summarise(outcome, job.estimate, job.provider)
        summary["state"] = "done" if finished else "unfinished"
        del summary["exit_code"]
        rows.append(summary)
    if args.json:
        text = json.dumps({"storyboards": rows}, indent=2, ensure_ascii=False)
        sys.stdout.write(text + "\n")
    elif texts:
        sys.stdout.write("\n\n".join(texts) + "\n")
    return gravest([*loaded.codes, ExitCode.DONE])
