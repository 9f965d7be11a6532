"""``storyboard animatic``: the whole film from the free sandbox, beside any paid work."""

from __future__ import annotations

import argparse

from pipeline.commands.hooks import add_webhooks
from pipeline.commands.options import add_manifests, add_out, add_output_style
from pipeline.errors import UsageError

HELP = "watch the ad before paying: the film from the free sandbox"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Make the film and its deliverables, with cuts, cards and sound, from clips that the\n"
        "sandbox draws of the reference images, free, in OUT/<storyboard>/animatic/, where they\n"
        "never meet a paid clip. A strip names each shot and its time; clips that are there\n"
        "already are used."
    )
    parser.epilog = (
        "examples:\n  storyboard animatic manifests/aurora-bottle.yaml\n"
        "  storyboard animatic --no-slate manifests/aurora-bottle.yaml   to show to a client"
    )
    add_manifests(parser)
    add_out(parser)
    add_output_style(parser)
    parser.add_argument(
        "--no-slate",
        dest="slate",
        action="store_false",
        help="leave out the strip that names each shot and its time",
    )
    add_webhooks(parser)
    parser.set_defaults(
        max_cost=None, yes=True, only=None, retake=[], same_account=False, no_probe=False
    )
    # What names a shot is the strip, which knows its place in the film and can be turned off.
    parser.set_defaults(slated_clips=False)


def main(args: argparse.Namespace) -> int:
    """A run on the sandbox, whatever the manifest names."""
    from pipeline.commands.making import make  # noqa: PLC0415 - slow to import

    if args.provider not in {None, "sandbox"}:
        raise UsageError("an animatic is made by the sandbox", hint="leave --provider out")
    args.provider = "sandbox"
    return make(args, animatic=True)
