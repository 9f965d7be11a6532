"""WaveSpeed's envelope, and what each of its refusals means. No I/O."""

from __future__ import annotations

from typing import Any

from pipeline.errors import (
    ConfigurationError,
    KeyRefused,
    NoCredit,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownTask,
)
from pipeline.providers.answers import read_object, read_retry_after, redirected
from pipeline.providers.base import HttpReply
from pipeline.text import clean

# Result codes whose cure is credit, not another prompt.
NO_CREDIT = "1407"


def read_data(reply: HttpReply) -> dict[str, Any]:
    """The inner object of an answer to a call that costs nothing and may be repeated."""
    envelope = _envelope(reply)
    code = None if envelope is None else envelope.get("code", 200)
    # A page of 404 from whatever stands before the service says nothing of a task; only the
    # service's own words do.
    if reply.status in {200, 404} and code == 404:
        raise UnknownTask("the provider does not know it (any more)")
    if reply.status == 404:
        raise Unavailable(f"the provider answered {describe(reply)}, not in its own words")
    if reply.status != 200:
        raise refusal(reply)
    if envelope is None:
        raise Unavailable("the provider's answer could not be read")
    if isinstance(code, int) and code != 200:
        raise refusal(reply, status=code)
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise Unavailable("the provider's answer holds no data")
    return data


def refusal(reply: HttpReply, *, status: int | None = None) -> ProviderError | ConfigurationError:
    """The error that an answer other than success stands for, by what may be done next."""
    status = reply.status if status is None else status
    text = f"the provider answered {describe(reply, status)}"
    if 300 <= status < 400:
        return redirected(reply)
    if status == 429:
        return RateLimited(text, retry_after_s=read_retry_after(reply))
    if status in {401, 403}:
        return KeyRefused(text, hint="check the key and the account", code=str(status))
    if status == 402 or _error_code(reply) == NO_CREDIT:
        return NoCredit(text, hint="top up the account", code=NO_CREDIT)
    if status >= 500 or status < 300:
        return Unavailable(text)
    return Rejected(text, hint="change the shot, then run again", code=str(status))


def _envelope(reply: HttpReply) -> dict[str, Any] | None:
    """What the answer is as JSON; None where it is none."""
    try:
        return read_object(reply.body)
    except ValueError:
        return None


def describe(reply: HttpReply, status: int | None = None) -> str:
    """Status and the server's own words, made safe to print."""
    status = reply.status if status is None else status
    message = (_envelope(reply) or {}).get("message")
    words = clean(message, limit=300) if isinstance(message, str) and message else ""
    return f"{status}: {words}" if words else str(status)


def _error_code(reply: HttpReply) -> str:
    return str((_envelope(reply) or {}).get("code", ""))
