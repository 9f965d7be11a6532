"""The shapes that every answer of the API shares: envelope, flat error, time stamps.

Source: https://wavespeed.ai/docs/rest-api (envelope, error body) and captured answers (time
stamps with nanosecond digits).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeGuard

from starlette.requests import Request
from starlette.responses import JSONResponse

NS_PER_S = 1_000_000_000
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class Refusal(Exception):
    """A request is answered with an error: HTTP status, words, and what travels with them.

    ``code`` is the number inside the body where it differs from the HTTP status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = status if code is None else code
        self.headers = headers


def success(data: object) -> JSONResponse:
    """Envelope of every good answer; always exactly HTTP 200."""
    return JSONResponse({"code": 200, "message": "success", "data": data})


def refused(refusal: Refusal) -> JSONResponse:
    """Flat error body, without ``data``."""
    return JSONResponse(
        {"code": refusal.code, "message": refusal.message},
        status_code=refusal.status,
        headers=refusal.headers,
    )


async def read_object(request: Request) -> dict[str, object]:
    """Body of a request as a JSON object.

    Raises:
        Refusal: 400, the body is not JSON or not an object.
    """
    body = await read_json(request)
    if not isinstance(body, dict):
        raise Refusal(400, "request body must be a JSON object")
    return body


async def read_json(request: Request) -> object:
    """Body of a request as JSON.

    Raises:
        Refusal: 400, it is none.
    """
    try:
        body = json.loads(await request.body(), parse_constant=_refuse_constant)
        # Half of a surrogate pair is JSON, but no text that could ever be sent back.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise Refusal(400, "request body is not valid JSON") from exc
    return body


def _refuse_constant(word: str) -> object:
    raise ValueError(word)


def is_integer(value: object) -> TypeGuard[int]:
    """True for a JSON integer; JSON's true and 6.0 are not integers here."""
    return isinstance(value, int) and not isinstance(value, bool)


def write_time(at_ns: int) -> str:
    """RFC 3339 in UTC with nine fraction digits, as the real service writes it."""
    seconds, fraction_ns = divmod(at_ns, NS_PER_S)
    whole = datetime.fromtimestamp(seconds, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{fraction_ns:09d}Z"


def read_time(text: str) -> int | None:
    """Unix nanoseconds of an RFC 3339 time with any number of fraction digits; None if not one."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        return None
    fraction_ns = int((fraction or "")[:9].ljust(9, "0"))
    return int(whole.timestamp()) * NS_PER_S + fraction_ns
