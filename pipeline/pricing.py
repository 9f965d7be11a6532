"""What a take costs: rate cards as data, estimates as exact Decimal dollars. No I/O.

A card states its source and the day it was read; its worked examples are checked by the tests.
Nothing is rounded before it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from pipeline.model import Resolution, Shot, Storyboard


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkedExample:
    """A price that the provider itself states, to hold the card against."""

    duration_s: int
    resolution: Resolution
    references: int
    price_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """A provider's price list for one model.

    ``usd_per_s`` dollars for each second bought, by resolution; ``usd_per_reference`` dollars for
    each reference image of a take.
    """

    provider: str
    model: str
    source: str
    read_on: date
    usd_per_s: Mapping[Resolution, Decimal]
    usd_per_reference: Decimal
    examples: tuple[WorkedExample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateLine:
    """The price of one shot: one take, and all the takes it asks for."""

    shot_id: str
    duration_s: int
    resolution: Resolution
    references: int
    takes: int
    take_usd: Decimal
    total_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The price of a storyboard bought from nothing: N lines in shot order and their total."""

    lines: tuple[EstimateLine, ...]
    total_usd: Decimal
    card: RateCard


def price_take(card: RateCard, shot: Shot) -> Decimal:
    """Dollars for one take of a shot, exact.

    Raises:
        KeyError: the card has no price for the shot's resolution; nothing may be bought then.
    """
    seconds_usd = card.usd_per_s[shot.resolution] * shot.duration_s
    return seconds_usd + card.usd_per_reference * len(shot.images)


def estimate(storyboard: Storyboard, card: RateCard) -> Estimate:
    """Price every take of every shot, as if nothing had been bought yet."""
    lines = []
    for shot in storyboard.shots:
        take_usd = price_take(card, shot)
        lines.append(
            EstimateLine(
                shot_id=shot.id,
                duration_s=shot.duration_s,
                resolution=shot.resolution,
                references=len(shot.images),
                takes=shot.takes,
                take_usd=take_usd,
                total_usd=take_usd * shot.takes,
            )
        )
    total_usd = sum((line.total_usd for line in lines), Decimal(0))
    return Estimate(lines=tuple(lines), total_usd=total_usd, card=card)


def dollars(amount_usd: Decimal) -> str:
    """An amount as people write it: two decimals, more only where they carry value.

    >>> dollars(Decimal("0.3")), dollars(Decimal("0.404"))
    ('$0.30', '$0.404')
    """
    exact = amount_usd.normalize()
    exponent = exact.as_tuple().exponent
    decimals = max(2, -exponent) if isinstance(exponent, int) else 2
    sign = "-" if amount_usd < 0 else ""
    return f"{sign}${abs(amount_usd):.{decimals}f}"


_WAVESPEED = RateCard(
    provider="wavespeed",
    model="x-ai/grok-imagine-video/reference-to-video",
    source="https://wavespeed.ai/docs/docs-api/x-ai/x-ai-grok-imagine-video-reference-to-video",
    read_on=date(2026, 11, 21),
    usd_per_s=MappingProxyType(
        {Resolution.P480: Decimal("0.05"), Resolution.P720: Decimal("0.05")}
    ),
    usd_per_reference=Decimal(0),
    examples=(
        WorkedExample(
            duration_s=6, resolution=Resolution.P720, references=1, price_usd=Decimal("0.30")
        ),
        WorkedExample(
            duration_s=10, resolution=Resolution.P720, references=7, price_usd=Decimal("0.50")
        ),
    ),
)

# The sandbox takes no money; its bill says what WaveSpeed would have charged.
RATE_CARDS: Mapping[str, RateCard] = MappingProxyType(
    {"wavespeed": _WAVESPEED, "sandbox": _WAVESPEED}
)
