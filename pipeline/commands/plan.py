"""``storyboard plan``: what ``run`` would do with every take and what it would cost. Free."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from pipeline.capabilities import PromptDialect
from pipeline.commands.options import add_manifests, add_out, add_output_style, add_selection
from pipeline.errors import ExitCode, UsageError, gravest

if TYPE_CHECKING:
    from pipeline.commands.jobs import Job

HELP = "show what a run would keep, fetch and buy, and for how much"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Show what `run` would do: keep what is paid and good, adopt what may be paid already,\n"
        "fetch what is under way, buy what is missing; blocked needs a person. Sends nothing."
    )
    parser.epilog = (
        "examples:\n"
        "  storyboard plan manifests/aurora-bottle.yaml\n"
        "  storyboard plan --retake opening manifests/aurora-bottle.yaml\n"
        "  storyboard plan --compare manifests/aurora-bottle.yaml"
    )
    add_manifests(parser)
    add_out(parser)
    add_selection(parser)
    parser.add_argument(
        "--compare",
        action="store_true",
        help="show instead what each paid provider would charge, and what it cannot make",
    )
    parser.add_argument(
        "--prompts", action="store_true", help="show each prompt as the provider will get it"
    )
    add_output_style(parser)


def main(args: argparse.Namespace) -> int:
    """Print one table for each storyboard."""
    if args.compare:
        return _compare(args)
    from pipeline.commands.inputs import load, shot_names  # noqa: PLC0415 - slow to import
    from pipeline.commands.jobs import plan_json, read_job  # noqa: PLC0415
    from pipeline.report import Messages, plan_text  # noqa: PLC0415

    loaded = load(args, Messages(sys.stderr, quiet=args.quiet))
    only, retake = args.only, frozenset(args.retake)
    if only is not None:
        only = frozenset(shot_names("--only", only, loaded.storyboards))
    shot_names("--retake", retake, loaded.storyboards)
    jobs = [read_job(args, each, retake=retake, only=only) for each in loaded.storyboards]
    if args.json:
        result = {"plans": [plan_json(job) for job in jobs]}
        sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    elif jobs:
        texts = []
        for job in jobs:
            text = plan_text(job.plan, job.estimate, job.provider)
            if args.prompts:
                text = f"{text}\n{_prompts(job)}"
            texts.append(f"{text}\n  nothing to do: the film is made" if job.is_finished else text)
        sys.stdout.write("\n\n".join(texts) + "\n")
    return gravest([*loaded.codes, ExitCode.DONE])


def _prompts(job: Job) -> str:
    """Every shot's prompt in the provider's own notation."""
    from pipeline.capabilities import CAPABILITIES  # noqa: PLC0415 - only here
    from pipeline.prompt import rewrite  # noqa: PLC0415
    from pipeline.settings import read_settings  # noqa: PLC0415
    from pipeline.text import clean  # noqa: PLC0415

    capabilities = CAPABILITIES[job.provider]
    dialect = capabilities.prompt_dialect
    if dialect is not PromptDialect.MANIFEST:
        dialect = read_settings(os.environ).runware_prompts or dialect
    return "\n".join(
        f"  {shot.id}: {clean(rewrite(shot.prompt, dialect), limit=5000)}"
        for shot in job.storyboard.shots
    )


def _compare(args: argparse.Namespace) -> int:
    """Exit 0 where some provider can make all of every storyboard, else 65.

    Raises:
        UsageError: beside ``--only`` or ``--retake``, which are about what is bought already.
    """
    if args.only is not None or args.retake:
        raise UsageError("--compare prices whole storyboards", hint="leave --only and --retake out")
    from pipeline.commands.compare import (  # noqa: PLC0415 - slow to import
        PAID,
        compare,
        comparison_json,
        comparison_text,
    )

    found = [compare(args, file) for file in args.manifests]
    if args.json:
        result = {"comparisons": [comparison_json(each) for each in found]}
        sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n\n".join(comparison_text(each) for each in found) + "\n")
    columns = range(len(PAID))
    good = all(any(each.total_usd(c) is not None for c in columns) for each in found)
    return ExitCode.DONE if good else ExitCode.BAD_MANIFEST
