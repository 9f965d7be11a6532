"""``storyboard run``: estimate, plan, cap, then make the film. The same command resumes it."""

from __future__ import annotations

import argparse

from pipeline.commands.hooks import add_webhooks
from pipeline.commands.options import (
    add_manifests,
    add_out,
    add_output_style,
    add_selection,
    dollars_option,
)

HELP = "make the film: buy what is missing, fetch, check, join; also resumes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Print estimate and plan, keep within the cap, submit what is missing, bring the clips\n"
        "home and join them. The same command resumes after any crash and does nothing when all\n"
        "is done. Several manifests share one limiter and one cap."
    )
    parser.epilog = (
        "examples:\n"
        "  storyboard run manifests/aurora-bottle.yaml\n"
        "  storyboard run --provider wavespeed --max-cost 1.50 manifests/aurora-bottle.yaml"
    )
    add_manifests(parser)
    add_out(parser)
    add_output_style(parser)
    parser.add_argument(
        "--max-cost",
        type=dollars_option("--max-cost"),
        metavar="USD",
        help="the most that this run may newly spend, over all its storyboards",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before paying")
    parser.add_argument(
        "--no-probe",
        action="store_true",
        help="do not look whether the addresses of references lead to images before paying",
    )
    parser.add_argument(
        "--same-account",
        action="store_true",
        help="another key or base URL than before, but the same account: fetch what it bought",
    )
    add_selection(parser)
    add_webhooks(parser)
    parser.set_defaults(slated_clips=True)


def main(args: argparse.Namespace) -> int:
    """See ``pipeline.commands.making``, which is imported only here because it is slow to."""
    from pipeline.commands.making import make  # noqa: PLC0415

    return make(args, animatic=False)
