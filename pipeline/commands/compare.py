"""``storyboard plan --compare``: what each provider would charge, and what it cannot make."""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipeline.capabilities import PROVIDERS, is_free
from pipeline.manifest import Checked, read_manifest
from pipeline.model import Severity
from pipeline.pricing import RATE_CARDS, dollars, price_note, price_shot, usd_text
from pipeline.report import screen_width, table
from pipeline.text import clean

# What is told of a shot that cannot be made fits a page, and each of its lines a terminal.
_MOST_REASON_CHARACTERS = 4000
_COLUMNS = 80
PAID = tuple(provider for provider in PROVIDERS if not is_free(provider))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """One shot at one provider: the price of all its takes, or why it cannot be had.

    ``note`` what the price leaves open.
    """

    price_usd: Decimal | None
    reason: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One manifest at every paid provider: ``rows`` hold a shot's name and its offers."""

    file: str
    rows: tuple[tuple[str, tuple[Offered, ...]], ...]

    def total_usd(self, column: int) -> Decimal | None:
        """The whole storyboard at one provider; None where it cannot make all of it."""
        prices = [offers[column].price_usd for _, offers in self.rows]
        known = [price for price in prices if price is not None]
        return sum(known, Decimal(0)) if prices and len(known) == len(prices) else None


def compare(args: argparse.Namespace, file: str) -> Comparison:
    """Check one manifest against every paid provider, as if it were the one it names."""
    checked = [
        read_manifest(
            file,
            provider=provider,
            allow_outside=args.allow_outside,
            max_shots=args.max_shots,
            max_prompt_chars=args.max_prompt_chars,
            convert_images=args.convert_images,
        )
        for provider in PAID
    ]
    count = max(len(each.shots) for each in checked)
    names = [
        next((each.names[i] for each in checked if each.names[i:] and each.names[i]), f"shots[{i}]")
        for i in range(count)
    ]
    return Comparison(
        file=file,
        rows=tuple(
            (name, tuple(_offer(each, i, p) for each, p in zip(checked, PAID, strict=True)))
            for i, name in enumerate(names)
        ),
    )


def _offer(checked: Checked, index: int, provider: str) -> Offered:
    shot = checked.shots[index] if index < len(checked.shots) else None
    if shot is not None:
        return Offered(price_usd=price_shot(RATE_CARDS[provider], shot), note=price_note(shot))
    errors = [each for each in checked.problems if each.severity is Severity.ERROR]
    place = f"shots[{index}]"
    own = [e for e in errors if e.path == place or e.path.startswith(f"{place}.")]
    shared = [e for e in errors if not e.path.startswith("shots[")]
    found = own or shared or errors
    words = "; ".join(f"{e.path.removeprefix(f'{place}.')}: {e.message} ({e.hint})" for e in found)
    return Offered(price_usd=None, reason=words or "it is not good")


def comparison_text(comparison: Comparison) -> str:
    """A table of prices, and below it what cannot be made and why, in full."""
    rows = [
        (name, *("-" if o.price_usd is None else dollars(o.price_usd) for o in offers))
        for name, offers in comparison.rows
    ]
    totals = [comparison.total_usd(column) for column in range(len(PAID))]
    rows.append(("all shots", *("-" if t is None else dollars(t) for t in totals)))
    columns = range(1, len(PAID) + 1)
    lines = [clean(comparison.file, limit=200), table(("shot", *PAID), rows, numeric=columns)]
    for name, offers in comparison.rows:
        for provider, offered in zip(PAID, offers, strict=True):
            if offered.price_usd is None:
                reason = clean(offered.reason, limit=_MOST_REASON_CHARACTERS)
                lines += _wrapped(f"{provider} cannot make {name}: {reason}")
            elif offered.note:
                lines += _wrapped(f"{provider}, {name}: {offered.note}")
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        min(_COLUMNS, screen_width()),
        initial_indent="  ",
        subsequent_indent="    ",
        break_on_hyphens=False,
    )


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The same as data; a price is null where there is none."""
    totals = [comparison.total_usd(column) for column in range(len(PAID))]
    return {
        "file": comparison.file,
        "totals_usd": {p: _text(t) for p, t in zip(PAID, totals, strict=True)},
        "shots": [
            {
                "shot": name,
                "providers": {
                    provider: {
                        "price_usd": _text(o.price_usd),
                        "reason": o.reason,
                        "note": o.note,
                    }
                    for provider, o in zip(PAID, offers, strict=True)
                },
            }
            for name, offers in comparison.rows
        ],
    }


def _text(amount_usd: Decimal | None) -> str | None:
    return None if amount_usd is None else usd_text(amount_usd)
