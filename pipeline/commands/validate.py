"""``storyboard validate``: say everything that is wrong with manifests, and spend nothing."""

from __future__ import annotations

import argparse
import json
import sys

from pipeline.commands.options import add_manifests, add_output_style
from pipeline.errors import ExitCode, gravest

HELP = "check manifests and name every problem by line"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Check manifests: every problem of all of them, with line and cure."
    parser.epilog = "example:\n  storyboard validate manifests/*.yaml"
    add_manifests(parser)
    add_output_style(parser)


def main(args: argparse.Namespace) -> int:
    """Report problems to stderr and a line for each good manifest to stdout."""
    from pipeline.commands.inputs import load, problem_json  # noqa: PLC0415 - slow to import
    from pipeline.report import Messages  # noqa: PLC0415

    loaded = load(args, Messages(sys.stderr, quiet=args.quiet))
    if args.json:
        result = [
            {
                "file": one.file,
                "ok": one.storyboard is not None,
                "problems": [problem_json(problem) for problem in one.problems],
            }
            for one in loaded.checked
        ]
        sys.stdout.write(json.dumps({"manifests": result}, indent=2, ensure_ascii=False) + "\n")
    elif not args.quiet:
        for one in loaded.checked:
            if one.storyboard is not None:
                shots = one.storyboard.shots
                seconds = sum(shot.duration_s for shot in shots)
                plural = "shot" if len(shots) == 1 else "shots"
                sys.stdout.write(f"{one.file}: good, {len(shots)} {plural}, {seconds} s\n")
    return gravest([*loaded.codes, ExitCode.DONE])
