"""``storyboard animatic``: the whole film from the free sandbox, beside any paid work."""

from __future__ import annotations

import argparse

from pipeline.commands.options import add_manifests, add_out, add_output_style

HELP = "watch the ad before paying: the film from the free sandbox"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Make the film from the sandbox's animatic clips, free, in OUT/<storyboard>/animatic/,\n"
        "where it never meets a paid clip."
    )
    parser.epilog = "example:\n  storyboard animatic manifests/aurora-bottle.yaml"
    add_manifests(parser)
    add_out(parser)
    add_output_style(parser)
    parser.set_defaults(max_cost=None, yes=True, only=None, retake=[])


def main(args: argparse.Namespace) -> int:
    """A run on the sandbox, whatever the manifest names."""
    from pipeline.commands.making import make  # noqa: PLC0415 - slow to import

    args.provider = "sandbox"
    return make(args, animatic=True)
