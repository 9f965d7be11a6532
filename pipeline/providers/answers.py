"""Reads what is alike in every provider's answers. No I/O.

Each function takes the answer as it came and either understands it or says so; what follows from
that is the dialect's to decide.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from pipeline.errors import ConfigurationError, Unavailable
from pipeline.providers.base import HttpReply
from pipeline.text import clean

# An id becomes part of a URL path, so it may hold nothing that could lead elsewhere.
SAFE_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
# Beyond these an amount is no money: writing out 1e999999 would take all memory.
_MOST_USD = 1_000_000_000
_SMALLEST_EXPONENT = -30


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is; numbers with a point become ``Decimal``.

    Only UTF-8 is read, as https://www.rfc-editor.org/rfc/rfc8259#section-8.1 asks: the key was
    masked in the bytes, and in another encoding it was not to be seen there.

    Raises:
        ValueError: not JSON, or not an object.
    """
    try:
        text = body.decode("utf-8-sig", "surrogatepass")
        value = json.loads(text, parse_float=Decimal)
    # Decimal refuses exponents that no machine can hold, in a way of its own.
    except (RecursionError, ArithmeticError) as exc:
        raise ValueError("nested too deeply, or a number out of all bounds") from exc
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - bad data from outside, not a bug
    return value


def read_usd(value: object) -> Decimal | None:
    """Dollars, exact; None where it is no amount of money."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < _SMALLEST_EXPONENT:
        return None
    return amount if 0 <= amount < _MOST_USD else None


def need_usd(value: object, where: str) -> Decimal:
    """Dollars, exact.

    Raises:
        Unavailable: it is no amount of money.
    """
    amount = read_usd(value)
    if amount is None:
        raise Unavailable(f"the provider's {where} could not be read")
    return amount


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is text that can be written down: JSON can name half a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def redirected(reply: HttpReply) -> ConfigurationError:
    """The error that a redirect is; only the target's host is told."""
    target = _host(reply.headers.get("location", ""))
    return ConfigurationError(
        f"the provider redirects to {target or 'another address'}; not followed",
        hint="check the base URL",
    )


def _host(url: str) -> str:
    """Host and port of a URL of the server's, safe to show; empty where it is no URL."""
    try:
        return clean(urlsplit(url).netloc.rpartition("@")[2], limit=100)
    except ValueError:
        return ""


def read_retry_after(reply: HttpReply) -> float | None:
    """Seconds that a 429 asks us to wait: a number or an HTTP date; None where it says nothing
    that can be used."""
    text = reply.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            then, now = (
                parsedate_to_datetime(value) for value in (text, reply.headers.get("date", ""))
            )
            seconds = (then - now).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return None
    return seconds if 0 <= seconds < float("inf") else None
