"""The options that most commands share. Quick to import: ``storyboard --help`` needs them all."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from pipeline.capabilities import PROVIDERS
from pipeline.errors import UsageError
from pipeline.text import shown

_MOST_DECIMALS = 4


def add_manifests(parser: argparse.ArgumentParser) -> None:
    """MANIFEST... and how strictly it is read."""
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", help="a YAML file, or - ")
    parser.add_argument(
        "--provider",
        choices=PROVIDERS,
        help="who makes the clips (default: what the manifest names, else sandbox, which is free)",
    )
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        help="permit reference images outside the manifest's folder",
    )
    parser.add_argument(
        "--convert-images",
        action="store_true",
        help="make a PNG or JPEG of pictures that are too large or of another format (GIF, BMP, "
        "TIFF, AVIF), and say so; kept in OUT/.converted/",
    )
    parser.add_argument(
        "--max-shots", type=_whole("--max-shots"), default=1000, metavar="N", help="default 1000"
    )
    parser.add_argument(
        "--max-prompt-chars",
        type=_whole("--max-prompt-chars"),
        default=4000,
        metavar="N",
        help="default 4000",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """--out DIR."""
    parser.add_argument(
        "--out", type=Path, default=Path("out"), metavar="DIR", help="where films go (default out)"
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """--only SHOT and --retake SHOT."""
    parser.add_argument(
        "--only", action="append", metavar="SHOT", help="work on this shot only (repeatable)"
    )
    parser.add_argument(
        "--retake",
        action="append",
        default=[],
        metavar="SHOT",
        help="buy one more take of this shot (repeatable)",
    )


def add_output_style(parser: argparse.ArgumentParser) -> None:
    """--json and --quiet."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors to stderr")


def dollars_option(option: str) -> Callable[[str], Decimal]:
    """An argparse type for an amount of US dollars, zero or more."""

    def read(text: str) -> Decimal:
        try:
            amount = Decimal(text)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or not 0 <= amount <= 1_000_000:
            raise UsageError(f"{option} is {shown(text)}", hint="US dollars, such as 4.50")
        # Trailing zeros change nothing; a hundredth of a cent is the least that a price differs by.
        exponent = amount.normalize().as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -_MOST_DECIMALS:
            raise UsageError(
                f"{option} is {shown(text)}",
                hint=f"US dollars with at most {_MOST_DECIMALS} decimals, such as 4.50",
            )
        return amount

    return read


def _whole(option: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0:
            return int(text)
        raise UsageError(f"{option} is {shown(text)}", hint="a whole number from 1")

    return read
