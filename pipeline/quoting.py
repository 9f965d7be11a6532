"""Hold our price list against the provider's own quote before the first submission."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import KeyRefused, OverBudget, ProviderError
from pipeline.planning import Action, PlannedTake
from pipeline.pricing import dollars
from pipeline.production import Production, Services
from pipeline.providers.base import TakeRequest


async def check_quotes(services: Services, productions: Iterable[Production]) -> None:
    """Ask for the price of one take of each kind that is to be bought. Free.

    A kind is a length, a size and a number of references: nothing else changes a price. Where
    the provider cannot say, the price list stands, and a note says so.

    Raises:
        OverBudget: a quote differs from the list; nothing has been sent.
        KeyRefused: the key or the account is not good.
    """
    if not services.provider.capabilities.quotes:
        return
    kinds: dict[tuple[int, str, int], tuple[Production, PlannedTake]] = {}
    for production in productions:
        for take in production.plan.takes:
            if take.action is Action.BUY:
                shot = take.shot
                kind = (shot.duration_s, shot.resolution.value, len(shot.images))
                kinds.setdefault(kind, (production, take))
    for production, take in kinds.values():
        if not await check_quote(services, production, take):
            return


async def check_quote(services: Services, production: Production, take: PlannedTake) -> bool:
    """Ask for the price of one take that is to be bought; False where the provider cannot say.

    Raises:
        OverBudget, KeyRefused: see ``check_quotes``; this take was not sent.
    """
    if not services.provider.capabilities.quotes:
        return False
    shot = take.shot
    request = TakeRequest(
        model=services.provider.capabilities.model,
        prompt=shot.prompt,
        # Nothing is uploaded yet, and a price does not depend on which images they are.
        image_urls=tuple(
            f"https://example.com/reference{n}.png" for n in range(1, len(shot.images) + 1)
        ),
        duration_s=shot.duration_s,
        resolution=shot.resolution,
    )
    try:
        quote_usd = await services.provider.quote(request)
    except KeyRefused:
        raise
    except ProviderError as exc:
        services.reporter.note(
            production.storyboard.name,
            f"the provider gives no quote ({exc.message}); its price list stands",
        )
        return False
    if quote_usd != take.price_usd:
        raise OverBudget(
            f"the provider asks {dollars(quote_usd)} for {take.slate}, the price list says "
            f"{dollars(take.price_usd)}; nothing sent",
            hint="look at the provider's price page; update storyboard",
        )
    return True
