"""The certificates that every connection is checked against, read once for a process.

Reading them takes a tenth of a second and several megabytes, and each HTTP client would by itself.
"""

from __future__ import annotations

import ssl
from functools import cache

import certifi


def client_context() -> ssl.SSLContext:
    """A context for clients: certificates and host names are checked, against certifi's list."""
    return _read(certifi.where())


@cache
def _read(authorities: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authorities)
