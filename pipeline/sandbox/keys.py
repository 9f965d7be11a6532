"""The account's key, as both dialects take it."""

from __future__ import annotations

import hashlib
import hmac

from starlette.requests import Request


def bearer_key(request: Request) -> str:
    """The key in a request's Authorization header; empty where there is none."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else ""


def is_good(key: str, wanted: str | None) -> bool:
    """Whether a key is the one that is ``wanted``; with None, any that is not empty."""
    if not key.strip():
        return False
    return wanted is None or hmac.compare_digest(key.encode(), wanted.encode())


def key_id(key: str) -> str:
    """A name for the key that does not give it away."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]
