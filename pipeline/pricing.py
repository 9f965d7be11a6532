"""What a take costs: rate cards as data, estimates as exact Decimal dollars. No I/O.

A card states its source and the day it was read; its worked examples are checked by the tests.
Nothing is rounded before it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from pipeline.capabilities import LONGEST_EDIT_S
from pipeline.model import Resolution, Shot, ShotKind, Storyboard

_MILLIONTH = Decimal("0.000001")
# Less than a hundredth of a cent is no difference between two prices.
_ROUNDING_USD = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkedExample:
    """A price that the provider itself states, to hold the card against.

    ``images`` references or first frames; ``input_s`` seconds of a clip that is edited.
    """

    duration_s: int
    resolution: Resolution
    images: int
    price_usd: Decimal
    input_s: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """A provider's price list for one model.

    ``usd_per_s`` dollars for each second bought, by resolution; ``usd_per_image`` dollars for each
    image that a take is made from; ``usd_per_input_s`` dollars for each second of a clip that is
    edited, on top (None: edits are not sold).
    """

    provider: str
    model: str
    source: str
    read_on: date
    usd_per_s: Mapping[Resolution, Decimal]
    usd_per_image: Decimal
    examples: tuple[WorkedExample, ...]
    usd_per_input_s: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateLine:
    """The price of one shot: one take, and all the takes it asks for.

    ``billed_s`` seconds of a take that are paid for, to the millisecond. ``note`` what the price
    leaves open, empty where it leaves nothing.
    """

    shot_id: str
    billed_s: Decimal
    resolution: Resolution
    references: int
    takes: int
    take_usd: Decimal
    total_usd: Decimal
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The price of a storyboard: N lines in shot order and their total."""

    lines: tuple[EstimateLine, ...]
    total_usd: Decimal
    card: RateCard

    @property
    def notes(self) -> tuple[str, ...]:
        """What prices leave open, each with its shot's name before it."""
        return tuple(f"{line.shot_id}: {line.note}" for line in self.lines if line.note)


def price_take(card: RateCard, shot: Shot, *, more: bool = False) -> Decimal:
    """Dollars for one take of a shot, exact.

    Args:
        more: it comes out of the same task as another, which has paid for what goes in.
    Raises:
        KeyError: the card has no price for the shot's resolution; nothing may be bought then.
    """
    per_s = card.usd_per_s[shot.resolution]
    images = 0 if more else len(shot.images) + (shot.frame is not None)
    if shot.kind is not ShotKind.EDIT:
        seconds_usd = per_s * shot.duration_s
        # Nothing is added where there is nothing, or $0.05 would be written as $0.050.
        return seconds_usd + card.usd_per_image * images if images else seconds_usd
    if card.usd_per_input_s is None:
        raise KeyError(ShotKind.EDIT)
    return billed_s(shot) * (per_s if more else per_s + card.usd_per_input_s)


def billed_s(shot: Shot) -> Decimal:
    """Seconds of a take that are paid for: of an edit, what its clip lasts, and of one behind an
    address the longest that is sold, as its length is not known.

    To the millisecond, upwards. Runware's own example of an edit, $0.404, is one of 5.05 s. What
    ``duration`` says changes nothing: the model behind it does not heed it
    (https://docs.x.ai/developers/model-capabilities/video/editing).
    """
    if shot.video is None:
        return Decimal(shot.duration_s)
    exact = shot.video.duration_s
    if exact is None:
        return Decimal(LONGEST_EDIT_S)
    return Decimal(-(-exact.numerator * 1000 // exact.denominator)) / 1000


def price_shot(card: RateCard, shot: Shot) -> Decimal:
    """Dollars for all takes of a shot, bought from nothing, exact.

    Raises:
        KeyError: as for ``price_take``.
    """
    tasks = math.ceil(shot.takes / shot.output.results)
    more = shot.takes - tasks
    return price_take(card, shot) * tasks + price_take(card, shot, more=True) * more


def price_note(shot: Shot) -> str:
    """What the price of a shot leaves open, in words; empty where it leaves nothing.

    Whoever edits a clip pays for its size and length, and of an address neither is known.
    """
    if shot.video is None or (shot.video.size is not None and shot.video.duration_s is not None):
        return ""
    return (
        f"size and length of the clip behind its address are not known; counted as "
        f"{billed_s(shot)} s at {shot.resolution.value}, the most that it can cost"
    )


def estimate(
    storyboard: Storyboard, card: RateCard, *, bought: Mapping[str, Decimal] | None = None
) -> Estimate:
    """Price every take of every shot, as if nothing had been bought yet.

    Args:
        bought: dollars that all takes of a shot were bought for, by shot id, of those that are
            finished: nothing that is written in a manifest afterwards changes their price.
    """
    lines = []
    finished = bought or {}
    for shot in storyboard.shots:
        take_usd = price_take(card, shot)
        lines.append(
            EstimateLine(
                shot_id=shot.id,
                billed_s=billed_s(shot),
                resolution=shot.resolution,
                references=len(shot.images) + (shot.frame is not None),
                takes=shot.takes,
                take_usd=take_usd,
                total_usd=finished.get(shot.id, price_shot(card, shot)),
                note="" if shot.id in finished else price_note(shot),
            )
        )
    total_usd = sum((line.total_usd for line in lines), Decimal(0))
    return Estimate(lines=tuple(lines), total_usd=total_usd, card=card)


def split_usd(total_usd: Decimal, listed_usd: Sequence[Decimal]) -> tuple[Decimal, ...]:
    """What each take of a task cost, where only the whole is stated: in proportion to its price.

    Args:
        listed_usd: the prices of N takes, each above zero, 1 or more.
    Returns:
        N amounts to the millionth of a dollar, together the total; the prices themselves where
        those come to the total.
    """
    total_usd = total_usd.quantize(_MILLIONTH)
    whole_usd = sum(listed_usd, Decimal(0))
    shares: list[Decimal] = []
    before_usd = Decimal(0)
    for price_usd in listed_usd[:-1]:
        before_usd += price_usd
        upto_usd = (total_usd * before_usd / whole_usd).quantize(_MILLIONTH)
        shares.append(upto_usd - sum(shares, Decimal(0)))
    return (*shares, total_usd - sum(shares, Decimal(0)))


def differs(told_usd: Decimal, listed_usd: Decimal) -> bool:
    """Whether two amounts are not the same price, one of them rounded.

    Runware states costs as binary fractions, and nowhere how far it rounds them.
    """
    return abs(told_usd - listed_usd) >= _ROUNDING_USD


def usd_text(amount_usd: Decimal) -> str:
    """An amount as data: two decimals, more only where they carry value.

    >>> usd_text(Decimal("0.3")), usd_text(Decimal("0.4040"))
    ('0.30', '0.404')
    """
    exponent = amount_usd.normalize().as_tuple().exponent
    decimals = max(2, -exponent) if isinstance(exponent, int) else 2
    # A sum that comes to nothing may be a negative zero.
    return f"{amount_usd if amount_usd else Decimal(0):.{decimals}f}"


def dollars(amount_usd: Decimal) -> str:
    """An amount as people write it.

    >>> dollars(Decimal("0.3")), dollars(Decimal("-0.404"))
    ('$0.30', '-$0.404')
    """
    sign = "-" if amount_usd < 0 else ""
    return f"{sign}${usd_text(abs(amount_usd))}"


_WAVESPEED = RateCard(
    provider="wavespeed",
    model="x-ai/grok-imagine-video/reference-to-video",
    source="https://wavespeed.ai/docs/docs-api/x-ai/x-ai-grok-imagine-video-reference-to-video",
    read_on=date(2026, 11, 21),
    usd_per_s=MappingProxyType(
        {Resolution.P480: Decimal("0.05"), Resolution.P720: Decimal("0.05")}
    ),
    usd_per_image=Decimal(0),
    examples=(
        WorkedExample(
            duration_s=6, resolution=Resolution.P720, images=1, price_usd=Decimal("0.30")
        ),
        WorkedExample(
            duration_s=10, resolution=Resolution.P720, images=7, price_usd=Decimal("0.50")
        ),
    ),
)

_RUNWARE = RateCard(
    provider="runware",
    model="xai:grok-imagine@video",
    source="https://runware.ai/docs/models/xai-grok-imagine-video",
    read_on=date(2026, 11, 21),
    usd_per_s=MappingProxyType(
        {Resolution.P480: Decimal("0.05"), Resolution.P720: Decimal("0.07")}
    ),
    # Whether each of several references is charged is not said; that is the larger sum.
    usd_per_image=Decimal("0.002"),
    usd_per_input_s=Decimal("0.01"),
    examples=(
        WorkedExample(
            duration_s=8, resolution=Resolution.P720, images=0, price_usd=Decimal("0.56")
        ),
        WorkedExample(
            duration_s=6, resolution=Resolution.P480, images=0, price_usd=Decimal("0.30")
        ),
        WorkedExample(
            duration_s=6, resolution=Resolution.P720, images=0, price_usd=Decimal("0.42")
        ),
        WorkedExample(
            duration_s=6, resolution=Resolution.P480, images=1, price_usd=Decimal("0.302")
        ),
        WorkedExample(
            duration_s=6, resolution=Resolution.P720, images=1, price_usd=Decimal("0.422")
        ),
        WorkedExample(
            duration_s=6,
            resolution=Resolution.P480,
            images=0,
            price_usd=Decimal("0.36"),
            input_s=Fraction(6),
        ),
        WorkedExample(
            duration_s=6,
            resolution=Resolution.P720,
            images=0,
            price_usd=Decimal("0.404"),
            input_s=Fraction(101, 20),
        ),
    ),
)

# The sandbox takes no money; its bill says what the provider it stands in for would charge.
RATE_CARDS: Mapping[str, RateCard] = MappingProxyType(
    {
        "wavespeed": _WAVESPEED,
        "runware": _RUNWARE,
        "sandbox": _WAVESPEED,
        "sandbox-runware": _RUNWARE,
    }
)
