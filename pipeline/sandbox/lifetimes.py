"""How long clip addresses and tasks live, where a fault script says so."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.types import Scope

from pipeline.sandbox.answers import NS_PER_S
from pipeline.sandbox.fault_catalogue import Endpoint
from pipeline.sandbox.fault_rules import FaultScript
from pipeline.sandbox.spoiling import Answer, Dialect

_TELL_ADDRESSES = frozenset({Endpoint.SUBMIT, Endpoint.RESULT, Endpoint.HISTORY})


class Lifetimes:
    """The lifetimes of one script. An address carries its own end: ``?expires=`` nanoseconds."""

    def __init__(self, script: FaultScript, clock: Callable[[], int]) -> None:
        self._script = script
        self._clock = clock

    def concern(self, endpoint: Endpoint) -> bool:
        """Whether requests to this endpoint must be looked at."""
        # An address may have got an end from a rule alone.
        if endpoint is Endpoint.DOWNLOAD:
            return True
        bounded = self._script.url_ttl_s is not None or self._script.retention_s is not None
        return bounded and endpoint in _TELL_ADDRESSES

    def oldest_ns(self) -> int | None:
        """Creation of the oldest task that is still known; None: no bound."""
        life_s = self._script.retention_s
        return None if life_s is None else self._clock() - round(life_s * NS_PER_S) + 1

    def over(
        self, endpoint: Endpoint, created_ns: int, scope: Scope, dialect: Dialect
    ) -> Answer | None:
        """The answer about a task or an address whose life is over; None: it is not."""
        oldest_ns = self.oldest_ns()
        is_download = endpoint is Endpoint.DOWNLOAD
        if oldest_ns is not None and created_ns < oldest_ns:
            return dialect.unknown_task(endpoint)
        ends = parse_qs(scope["query_string"].decode("ascii")).get("expires", [""])[0]
        if is_download and ends.isdigit() and self._clock() >= int(ends):
            return dialect.refusal(403, "the address has expired\n")
        return None

    def dated(self, answer: Answer, dialect: Dialect) -> Answer:
        """An answer whose clip addresses live as long as the script says."""
        life_s = self._script.url_ttl_s
        if life_s is None or not answer.is_good:
            return answer
        return _ending(answer, self._clock() + round(life_s * NS_PER_S), dialect)

    def expired(self, answer: Answer, dialect: Dialect) -> Answer:
        """An answer whose clip addresses are good no more."""
        return _ending(answer, self._clock(), dialect)


def _ending(answer: Answer, ends_ns: int, dialect: Dialect) -> Answer:
    """The same answer with addresses that end then."""
    return dialect.readdress(answer, lambda url: f"{url.partition('?')[0]}?expires={ends_ns}")
