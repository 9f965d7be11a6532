"""``storyboard plan``: what ``run`` would do with every take and what it would cost. Free."""

from __future__ import annotations

import argparse
import json
import sys

from pipeline.commands.options import add_manifests, add_out, add_output_style
from pipeline.errors import ExitCode, gravest

HELP = "show what a run would keep, fetch and buy, and for how much"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Show what `run` would do: keep what is paid and good, adopt what may be paid already,\n"
        "fetch what is under way, buy what is missing; blocked needs a person. Sends nothing."
    )
    parser.epilog = "example:\n  storyboard plan manifests/aurora-bottle.yaml"
    add_manifests(parser)
    add_out(parser)
    add_output_style(parser)


def main(args: argparse.Namespace) -> int:
    """Print one table for each storyboard."""
    from pipeline.commands.inputs import load  # noqa: PLC0415 - slow to import
    from pipeline.commands.jobs import plan_json, read_job  # noqa: PLC0415
    from pipeline.report import Messages, plan_text  # noqa: PLC0415

    loaded = load(args, Messages(sys.stderr, quiet=args.quiet))
    jobs = [read_job(args, storyboard) for storyboard in loaded.storyboards]
    if args.json:
        result = {"plans": [plan_json(job) for job in jobs]}
        sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    elif jobs:
        texts = []
        for job in jobs:
            text = plan_text(job.plan, job.estimate, job.provider)
            texts.append(f"{text}\n  nothing to do: the film is made" if job.is_finished else text)
        sys.stdout.write("\n\n".join(texts) + "\n")
    return gravest([*loaded.codes, ExitCode.DONE])
