"""Carries what customers want to be told or given to servers of theirs.

Only addresses of this machine are ever called; what should go elsewhere is counted and dropped.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pipeline.sandbox.store import Store

_LOG = logging.getLogger(__name__)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_ANSWER_LIMIT_S = 5.0
# Attempts start this far apart, doubling up to the last.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0

Headers = Mapping[str, str]


class Courier:
    """Works beside the requests, in the event loop. Each attempt counts in the store as ``name``,
    one that failed as ``name.failed``, what would have left this machine as ``name.elsewhere``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._errands: set[asyncio.Task[None]] = set()

    def begin(self, errand: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else."""
        task = asyncio.get_running_loop().create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def stop(self) -> None:
        """Carry nothing more."""
        for errand in self._errands:
            errand.cancel()

    async def deliver(
        self,
        name: str,
        method: str,
        url: str,
        content: bytes,
        headers: Callable[[], Headers],
        *,
        attempts: int,
    ) -> None:
        """Send until it is taken with 2xx, or has been tried so often.

        Args:
            headers: made anew for each attempt.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
            self._store.count(f"{name}.elsewhere")
            return
        pause_s = _FIRST_PAUSE_S
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._store.count(name)
            if await asyncio.to_thread(_send, method, parts, content, headers()):
                return
            self._store.count(f"{name}.failed")


def _send(method: str, parts: SplitResult, content: bytes, headers: Headers) -> bool:
    """Whether the other side took it. One request, no redirect, nothing from the environment."""
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=_ANSWER_LIMIT_S
        )
        try:
            connection.request(method, path, content, dict(headers))
            return 200 <= connection.getresponse().status < 300
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as exc:
        _LOG.warning("%s to port %s failed: %s", method, parts.netloc.rpartition(":")[2], exc)
        return False
