"""``storyboard estimate``: what each shot and the whole film cost, bought from nothing."""

from __future__ import annotations

import argparse
import json
import sys
from decimal import Decimal

from pipeline.commands.options import add_manifests, add_output_style
from pipeline.errors import ExitCode, gravest

HELP = "print the price of every shot and the total"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Print the price of every shot and the total, from the provider's list."
    parser.epilog = "example:\n  storyboard estimate --provider wavespeed manifests/*.yaml"
    add_manifests(parser)
    add_output_style(parser)


def main(args: argparse.Namespace) -> int:
    """Print a table for each storyboard, and one total for several."""
    from pipeline.commands.inputs import load, provider_of  # noqa: PLC0415 - slow to import
    from pipeline.pricing import RATE_CARDS, dollars, estimate, usd_text  # noqa: PLC0415
    from pipeline.report import Messages, estimate_text  # noqa: PLC0415

    loaded = load(args, Messages(sys.stderr, quiet=args.quiet))
    total_usd = Decimal(0)
    texts, rows = [], []
    for storyboard in loaded.storyboards:
        provider = provider_of(args, storyboard)
        price = estimate(storyboard, RATE_CARDS[provider])
        total_usd += price.total_usd
        texts.append(estimate_text(storyboard, price, provider))
        rows.append(
            {
                "storyboard": storyboard.name,
                "provider": provider,
                "total_usd": usd_text(price.total_usd),
                "source": price.card.source,
                "read_on": price.card.read_on.isoformat(),
                "shots": [
                    {
                        "id": line.shot_id,
                        "duration_s": _number(line.billed_s),
                        "resolution": line.resolution.value,
                        "images": line.references,
                        "takes": line.takes,
                        "take_usd": usd_text(line.take_usd),
                        "total_usd": usd_text(line.total_usd),
                        "note": line.note,
                    }
                    for line in price.lines
                ],
            }
        )
    if args.json:
        result = {"storyboards": rows, "total_usd": usd_text(total_usd)}
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    elif texts:
        if len(texts) > 1:
            texts.append(f"all {len(texts)} storyboards: {dollars(total_usd)}")
        sys.stdout.write("\n\n".join(texts) + "\n")
    return gravest([*loaded.codes, ExitCode.DONE])


def _number(seconds: Decimal) -> int | float:
    """A length as a JSON number, with a point only where it has a fraction."""
    return int(seconds) if seconds == seconds.to_integral_value() else float(seconds)
