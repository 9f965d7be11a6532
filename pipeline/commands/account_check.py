"""Looks at one provider account without spending: key, reach, credit, limits, one price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import anyio

from pipeline.capabilities import CAPABILITIES
from pipeline.errors import (
    ConfigurationError,
    ExitCode,
    KeyRefused,
    NotOffered,
    ProviderError,
    gravest,
)
from pipeline.masking import last_letters
from pipeline.model import Position, Resolution, Shot, UrlReference
from pipeline.pricing import RATE_CARDS, dollars, price_take, usd_text
from pipeline.providers.base import TakeRequest
from pipeline.providers.http import HttpProvider
from pipeline.session import dialect_of
from pipeline.settings import Access, Settings, account_level, key_origin, read_access

_PATIENCE_S = 30.0
# Further off, signatures of webhooks are refused and lost answers are looked for in vain.
_MOST_SKEW_S = 120.0
_CODES = frozenset({ExitCode.KEY_REFUSED, ExitCode.CONFIGURATION})
# What is priced. No provider looks at the picture to name a price.
_SAMPLE = Shot(
    id="sample",
    images=(
        UrlReference(
            source="https://example.com/reference.png", url="https://example.com/reference.png"
        ),
    ),
    prompt="@image1 turns slowly",
    duration_s=6,
    resolution=Resolution.P720,
    position=Position(line=1, column=1),
)


@dataclass(slots=True)
class Examination:
    """What was found: facts by name, in order, and what is wrong, each with its cure."""

    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    codes: list[ExitCode] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """0, 69, 77 or 78."""
        return gravest([*self.codes, ExitCode.DONE])

    def note(self, text: str, code: ExitCode) -> None:
        """One thing that is wrong."""
        self.problems.append(text)
        self.codes.append(code)

    def note_error(self, what: str, exc: ProviderError | ConfigurationError) -> None:
        """A question that failed."""
        cure = exc.hint or "check the network and the base URL, or try again later"
        self.note(
            f"{what}: {exc.message} ({cure})",
            exc.exit_code if exc.exit_code in _CODES else ExitCode.UNAVAILABLE,
        )


def examine_account(provider: str, settings: Settings, env: Mapping[str, str]) -> Examination:
    """Ask what costs nothing: the balance, and the price of one shot where it is quoted."""
    found = Examination()
    capabilities = CAPABILITIES[provider]
    found.facts |= {"provider": provider, "model": capabilities.model}
    try:
        access = read_access(provider, env)
    except ConfigurationError as exc:
        found.facts["key"] = "not good"
        found.note(str(exc), exc.exit_code)
        return found
    found.facts["key"] = f"{last_letters(access.key)} ({key_origin(provider, env)})"
    found.facts["base_url"] = access.base_url
    if access.warning:
        found.problems.append(access.warning)
    level = account_level(settings, capabilities)
    found.facts |= {
        "level": level.name,
        "submits_per_minute": level.submits_per_minute,
        "max_tasks": level.max_tasks,
    }
    anyio.run(_ask, provider, access, settings, found)
    return found


async def _ask(provider: str, access: Access, settings: Settings, found: Examination) -> None:
    dialect = dialect_of(CAPABILITIES[provider], settings)
    async with HttpProvider(dialect, base_url=access.base_url, key=access.key) as http:
        with anyio.move_on_after(_PATIENCE_S) as limit:
            if await _ask_balance(http, found):
                await _ask_price(provider, http, found)
        if limit.cancelled_caught:
            found.note(
                f"no answer from {access.base_url} within {_PATIENCE_S:g} s (try again later)",
                ExitCode.UNAVAILABLE,
            )
        _compare_clocks(http.server_ahead_s, found)


async def _ask_balance(http: HttpProvider, found: Examination) -> bool:
    """Whether the account answers; its credit, and whether that pays for a shot."""
    found.facts["account"] = "not reached"
    try:
        balance_usd = await http.balance()
    except KeyRefused as exc:
        found.facts["account"] = "refuses the key"
        found.note_error("the account", exc)
        return False
    except (ProviderError, ConfigurationError) as exc:
        found.note_error("the account cannot be asked", exc)
        return False
    found.facts |= {"account": "reached", "balance_usd": usd_text(balance_usd)}
    return True


async def _ask_price(provider: str, http: HttpProvider, found: Examination) -> None:
    card = RATE_CARDS[provider]
    listed_usd = price_take(card, _SAMPLE)
    found.facts |= {
        "price_of": f"{_SAMPLE.duration_s} s at {_SAMPLE.resolution.value} from 1 reference",
        "listed_usd": usd_text(listed_usd),
        "list_read_on": card.read_on.isoformat(),
    }
    price_usd = listed_usd
    try:
        quoted_usd = await http.quote(
            TakeRequest(
                model=card.model,
                prompt=_SAMPLE.prompt,
                image_urls=("https://example.com/reference.png",),
                duration_s=_SAMPLE.duration_s,
                resolution=_SAMPLE.resolution,
            )
        )
    except NotOffered:
        found.facts["quoted_usd"] = None
    except (ProviderError, ConfigurationError) as exc:
        found.note_error("no price is quoted", exc)
    else:
        price_usd = quoted_usd
        found.facts["quoted_usd"] = usd_text(quoted_usd)
        if quoted_usd != listed_usd:
            found.note(
                f"the provider asks {dollars(quoted_usd)} for a shot that the price list has at "
                f"{dollars(listed_usd)}; a run would send nothing (update storyboard)",
                ExitCode.CONFIGURATION,
            )
    balance_usd = Decimal(found.facts["balance_usd"])
    if balance_usd < price_usd:
        found.note(
            f"the balance of {dollars(balance_usd)} does not pay for one shot of "
            f"{dollars(price_usd)} (top up the account)",
            ExitCode.KEY_REFUSED,
        )


def _compare_clocks(ahead_s: float | None, found: Examination) -> None:
    if ahead_s is None:
        return
    # A `Date` header leaves out the part of a second: the clock may be up to one further ahead.
    ahead_s = max(ahead_s, min(ahead_s + 1, 0.0))
    found.facts["clock_ahead_s"] = round(ahead_s)
    if abs(ahead_s) > _MOST_SKEW_S:
        found.note(
            f"the provider's clock and this machine's are {abs(ahead_s):.0f} s apart "
            "(set this machine's clock)",
            ExitCode.CONFIGURATION,
        )
