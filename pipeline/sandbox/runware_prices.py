"""Runware's price list for its Grok model, on the same bill as everything else.

Sources: https://runware.ai/docs/models/xai-grok-imagine-video , https://runware.ai/pricing
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from pipeline.sandbox.bill import micro_usd

# Dollars for a second of output, by tier; for an image given; for a second of video given.
RATES_USD_PER_S: Mapping[str, Decimal] = MappingProxyType(
    {"480p": Decimal("0.05"), "720p": Decimal("0.07")}
)
IMAGE_USD = Decimal("0.002")
INPUT_VIDEO_USD_PER_S = Decimal("0.01")


def price_micro_usd(
    tier: str, duration_s: Decimal, *, results: int, images: int, input_video_s: Decimal
) -> int:
    """Price of one task with all its results; images and input video are charged once a task."""
    output = results * duration_s * RATES_USD_PER_S[tier]
    return micro_usd(output + images * IMAGE_USD + input_video_s * INPUT_VIDEO_USD_PER_S)


def shares_micro_usd(total: int, results: int) -> tuple[int, ...]:
    """What each result is said to cost: equal parts, the first ones taking what is left over."""
    each, left = divmod(total, results)
    return tuple(each + (index < left) for index in range(results))
