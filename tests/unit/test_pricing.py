"""Prices are the provider's own, exact, and shown as people write them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from support import make_shot, make_storyboard

from pipeline.capabilities import CAPABILITIES
from pipeline.model import Resolution, Shot, ShotKind, Size, UrlReference, VideoReference
from pipeline.pricing import (
    RATE_CARDS,
    RateCard,
    WorkedExample,
    differs,
    dollars,
    estimate,
    price_note,
    price_take,
    split_usd,
    usd_text,
)

EXAMPLES = [(name, example) for name, card in RATE_CARDS.items() for example in card.examples]


@pytest.mark.parametrize(("provider", "example"), EXAMPLES)
def test_card_gives_the_price_that_the_provider_states(
    provider: str, example: WorkedExample
) -> None:
    shot = make_shot(
        images=[f"picture{n}" for n in range(example.images)],
        duration_s=example.duration_s,
        resolution=example.resolution,
    )
    if example.input_s is not None:
        media = UrlReference(source="clip", url="https://example.com/clip.mp4")
        shot = replace(shot, video=VideoReference(media=media, duration_s=example.input_s))
    assert price_take(RATE_CARDS[provider], shot) == example.price_usd


@pytest.mark.parametrize(("duration_s", "price_usd"), [(6, Decimal("0.30")), (10, Decimal("0.50"))])
@pytest.mark.parametrize("resolution", Resolution)
def test_wavespeed_takes_five_cents_a_second_at_every_size(
    duration_s: int, price_usd: Decimal, resolution: Resolution
) -> None:
    shot = make_shot(duration_s=duration_s, resolution=resolution)
    assert price_take(RATE_CARDS["wavespeed"], shot) == price_usd


@pytest.mark.parametrize("provider", CAPABILITIES)
def test_every_card_prices_everything_that_its_provider_sells(provider: str) -> None:
    card, sold = RATE_CARDS[provider], CAPABILITIES[provider]
    assert card.model == sold.model
    assert card.examples
    assert card.source.startswith("https://")
    assert card.read_on > date(2025, 1, 1)
    for kind, offer in sold.offers.items():
        for resolution in offer.resolutions or Resolution:
            for duration_s in offer.durations_s:
                shot = make_shot(duration_s=duration_s, resolution=resolution)
                assert price_take(card, as_kind(shot, kind)) > 0


def as_kind(shot: Shot, kind: ShotKind) -> Shot:
    media = UrlReference(source="x", url="https://example.com/x")
    match kind:
        case ShotKind.REFERENCES:
            return shot
        case ShotKind.TEXT:
            return replace(shot, images=())
        case ShotKind.FRAME:
            return replace(shot, images=(), frame=media)
        case ShotKind.EDIT:
            return replace(shot, images=(), video=VideoReference(media=media))


def test_an_edit_is_paid_for_by_the_length_of_its_clip_to_the_millisecond() -> None:
    media = UrlReference(source="x", url="https://example.com/x")
    clip = VideoReference(media=media, duration_s=Fraction(1001, 200))
    shot = replace(as_kind(make_shot(duration_s=6), ShotKind.EDIT), video=clip)
    assert price_take(RATE_CARDS["runware"], shot) == Decimal("5.005") * Decimal("0.08")
    with pytest.raises(KeyError):
        price_take(RATE_CARDS["wavespeed"], shot)


def test_a_first_frame_costs_as_much_as_one_reference() -> None:
    shot = as_kind(make_shot(duration_s=6), ShotKind.FRAME)
    assert price_take(RATE_CARDS["runware"], shot) == Decimal("0.422")


def test_card_without_a_price_for_a_size_sells_nothing_of_it() -> None:
    card = replace(RATE_CARDS["wavespeed"], usd_per_s={Resolution.P480: Decimal("0.05")})
    with pytest.raises(KeyError):
        price_take(card, make_shot(resolution=Resolution.P720))


def card_with_reference_fee() -> RateCard:
    return replace(
        RATE_CARDS["wavespeed"],
        usd_per_s={Resolution.P480: Decimal("0.05"), Resolution.P720: Decimal("0.07")},
        usd_per_image=Decimal("0.002"),
    )


def test_reference_fee_is_for_each_image_and_not_for_each_second() -> None:
    shot = make_shot(images=["a", "b", "c"], duration_s=10, resolution=Resolution.P480)
    assert price_take(card_with_reference_fee(), shot) == Decimal("0.506")


def test_estimate_counts_every_take_of_every_shot_in_cut_order() -> None:
    storyboard = make_storyboard(
        make_shot("one", duration_s=10),
        make_shot("two", images=["a", "b"], takes=3, resolution=Resolution.P480),
    )
    result = estimate(storyboard, RATE_CARDS["wavespeed"])
    assert [
        (line.shot_id, line.takes, line.references, line.take_usd, line.total_usd)
        for line in result.lines
    ] == [
        ("one", 1, 1, Decimal("0.50"), Decimal("0.50")),
        ("two", 3, 2, Decimal("0.30"), Decimal("0.90")),
    ]
    assert result.total_usd == Decimal("1.40")


def test_total_of_a_thousand_shots_is_exact() -> None:
    shots = [make_shot(f"shot{n}", images=["a"]) for n in range(1000)]
    result = estimate(make_storyboard(*shots), card_with_reference_fee())
    assert result.total_usd == Decimal("422.000")
    assert sum(line.total_usd for line in result.lines) == result.total_usd


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("-0", "$0.00"),
        ("0.3", "$0.30"),
        ("0.300", "$0.30"),
        ("0.404", "$0.404"),
        ("0.0105", "$0.0105"),
        ("10", "$10.00"),
        ("1E+2", "$100.00"),
        ("1234.5", "$1234.50"),
        ("-0.5", "-$0.50"),
    ],
)
def test_dollars_show_two_decimals_and_more_only_where_they_carry_value(
    amount: str, text: str
) -> None:
    assert dollars(Decimal(amount)) == text
    # Data says the same without the sign of the currency.
    assert usd_text(Decimal(amount)) == text.replace("$", "")


@pytest.mark.parametrize(
    ("total", "prices", "shares"),
    [
        # What Runware states of two takes and one picture, and what each was listed at.
        ("0.424", ("0.214", "0.21"), ("0.214", "0.21")),
        ("0.42400000000000004", ("0.214", "0.21"), ("0.214", "0.21")),
        ("0.848", ("0.214", "0.21"), ("0.428", "0.42")),
        ("0.1", ("0.3", "0.3", "0.3"), ("0.033333", "0.033334", "0.033333")),
        ("0", ("0.3", "0.3"), ("0", "0")),
        ("0.5", ("0.3",), ("0.5",)),
    ],
)
def test_takes_share_a_cost_as_their_prices_are(
    total: str, prices: tuple[str, ...], shares: tuple[str, ...]
) -> None:
    found = split_usd(Decimal(total), [Decimal(price) for price in prices])
    assert found == tuple(Decimal(share) for share in shares)
    assert sum(found) == round(Decimal(total), 6)


def test_a_hundredth_of_a_cent_is_a_difference_and_less_is_rounding() -> None:
    assert differs(Decimal("0.3001"), Decimal("0.3"))
    assert not differs(Decimal("0.30009"), Decimal("0.3"))
    assert differs(Decimal("0.2999"), Decimal("0.3"))


def test_only_a_clip_behind_an_address_leaves_a_price_open() -> None:
    media = UrlReference(source="x", url="https://example.com/x")
    unknown = as_kind(make_shot(duration_s=6), ShotKind.EDIT)
    measured = VideoReference(
        media=media, duration_s=Fraction(5), size=Size(width_px=848, height_px=480)
    )
    assert "counted as 10 s at 720p" in price_note(unknown)
    assert price_note(replace(unknown, video=measured)) == price_note(make_shot()) == ""
    result = estimate(make_storyboard(unknown), RATE_CARDS["runware"])
    # The longest edit that is sold at the larger size, whatever length is written.
    assert (result.total_usd, result.lines[0].billed_s) == (Decimal("0.80"), 10)
    assert result.notes == (f"opening: {price_note(unknown)}",)
    bought = {"opening": Decimal("0.36")}
    finished = estimate(make_storyboard(unknown), RATE_CARDS["runware"], bought=bought)
    assert (finished.total_usd, finished.notes) == (Decimal("0.36"), ())
