"""``storyboard spend``: what was spent, by day, storyboard and provider. Offline."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline.capabilities import is_free
from pipeline.commands.options import add_out
from pipeline.errors import ExitCode, FileMissing, UsageError
from pipeline.text import shown

HELP = "add up what was spent, by day, storyboard and provider"
_COLUMNS = (
    "day",
    "storyboard",
    "provider",
    "tasks",
    "spent_usd",
    "wasted_usd",
    "reserved_usd",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Add up the journals of every storyboard in a folder. Asks nobody. Days are UTC.\n"
        "wasted: paid, but no clip came of it; in doubt: the outcome is not known yet."
    )
    parser.epilog = "examples:\n  storyboard spend\n  storyboard spend --since 2026-11-01 --csv"
    add_out(parser)
    parser.add_argument("--since", type=_day, metavar="DAY", help="from this day, 2026-11-01")
    parser.add_argument("--sandbox", action="store_true", help="count the free sandbox as well")
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="print the result as JSON")
    style.add_argument("--csv", action="store_true", help="print the result as CSV")


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as exc:
        raise UsageError(f"--since {shown(text)} is no day", hint="such as 2026-11-01") from exc


def main(args: argparse.Namespace) -> int:
    """Print a line for each day, storyboard and provider, and their total."""
    from pipeline.journal import JOURNAL_NAME, read_events  # noqa: PLC0415 - only here
    from pipeline.ledger import fold  # noqa: PLC0415
    from pipeline.pricing import dollars, usd_text  # noqa: PLC0415
    from pipeline.report import table  # noqa: PLC0415
    from pipeline.spending import spend_lines  # noqa: PLC0415

    if not args.out.is_dir() and args.out != Path("out"):
        raise FileMissing(f"there is no folder {args.out}", hint="name it with --out")
    folders: list[Path] = sorted(path.parent for path in args.out.glob(f"*/{JOURNAL_NAME}"))
    ledgers = [(folder.name, fold(read_events(folder))) for folder in folders]
    lines = [
        line
        for line in spend_lines(ledgers)
        if (args.sandbox or not is_free(line.provider))
        and (args.since is None or line.day >= args.since)
    ]
    rows: list[dict[str, Any]] = [
        {
            column: usd_text(value) if isinstance(value, Decimal) else value
            for column in _COLUMNS
            for value in [getattr(line, column)]
        }
        for line in lines
    ]
    total_usd = sum((line.spent_usd for line in lines), Decimal(0))
    reserved_usd = sum((line.reserved_usd for line in lines), Decimal(0))
    if args.json:
        result = {
            "lines": rows,
            "spent_usd": usd_text(total_usd),
            "reserved_usd": usd_text(reserved_usd),
        }
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    elif args.csv:
        writer = csv.DictWriter(sys.stdout, fieldnames=_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif not rows:
        sys.stdout.write(f"nothing was spent in {args.out}\n")
    else:
        cells = [
            (
                line.day,
                line.storyboard,
                line.provider,
                str(line.tasks),
                dollars(line.spent_usd),
                dollars(line.wasted_usd),
                dollars(line.reserved_usd),
            )
            for line in lines
        ]
        headers = ("day", "storyboard", "provider", "tasks", "spent", "wasted", "in doubt")
        sys.stdout.write(table(headers, cells, numeric=(3, 4, 5, 6)) + "\n")
        sys.stdout.write(f"  total {dollars(total_usd)}\n")
    return ExitCode.DONE
