"""Every fault that a script can name: where it can play, at which moment, with which settings."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Endpoint(StrEnum):
    """What a request asks for."""

    SUBMIT = "submit"
    RESULT = "result"
    HISTORY = "history"
    UPLOAD_TICKET = "upload_ticket"
    UPLOAD_BINARY = "upload_binary"
    UPLOAD_PUT = "upload_put"
    BALANCE = "balance"
    PRICE = "price"
    BILLINGS = "billings"
    MODELS = "models"
    DOWNLOAD = "download"


class Moment(StrEnum):
    """When a fault plays, and what its rule counts.

    ``ARRIVAL``: the request is here, whole; nothing has happened. ``ANSWER``: it was carried out
    with success; the client knows nothing yet. ``COMPLETED``: the same, and the answer would tell
    that a task is completed.
    """

    ARRIVAL = "arrival"
    ANSWER = "answer"
    COMPLETED = "completed"


class When(StrEnum):
    """The exact moment of a client's death."""

    BEFORE_ACCEPT = "before_accept"
    AFTER_ACCEPT = "after_accept"
    AFTER_ANSWER = "after_answer"
    MID_BODY = "mid_body"


_ALL = frozenset(Endpoint)
_FILES = frozenset({Endpoint.UPLOAD_PUT, Endpoint.DOWNLOAD})
_API = _ALL - _FILES
_SUBMIT = frozenset({Endpoint.SUBMIT})
_RESULT = frozenset({Endpoint.RESULT})
_HISTORY = frozenset({Endpoint.HISTORY})
_DOWNLOAD = frozenset({Endpoint.DOWNLOAD})

HAVE_TASK = frozenset({Endpoint.RESULT, Endpoint.DOWNLOAD})
HAVE_PROMPT = HAVE_TASK | _SUBMIT

_Read = Callable[[object], object]
NEEDED: Final = object()


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: ``read`` gives None for a value that is not what ``wants`` says."""

    read: _Read | None
    wants: str
    default: object = NEEDED

    @property
    def is_needed(self) -> bool:
        """Whether it has no default."""
        return self.default is NEEDED

    def accept(self, value: object) -> object:
        """The value as used, or None."""
        return None if self.read is None else self.read(value)


def number(least: float, most: float) -> _Read:
    """Reads a finite number within bounds."""

    def read(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if math.isfinite(value) and least <= value <= most else None

    return read


def whole(least: int, most: int) -> _Read:
    """Reads a whole number within bounds."""

    def read(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return value if least <= value <= most else None

    return read


def one_of(*words: str) -> _Read:
    """Reads one word of several."""
    return lambda value: value if value in words else None


def text(value: object) -> object:
    """Reads any text; a number counts as its digits."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def flag(value: object) -> object:
    """Reads true or false."""
    return value if isinstance(value, bool) else None


def _header(value: object) -> object:
    """Reads a text that can stand in a header; h11 lets nothing else pass."""
    written = text(value)
    if not isinstance(written, str) or "{hostile}" in written:
        return None
    return written if re.fullmatch(r"([!-~]([!-~ ]*[!-~])?)?", written) else None


def _seconds(default: object = NEEDED) -> Option:
    return Option(number(0, 1e6), "a number of seconds", default)


def _accept(default: bool = False) -> Option:
    return Option(flag, "true or false", default)


def _status(default: int) -> Option:
    return Option(whole(400, 599), "an HTTP status from 400 to 599", default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One fault. ``moment`` None: after the request was carried out where ``accept`` is true.

    ``joins``: it leaves the answer to be made, so others may play on the same request.
    ``times``: how often it plays where the script does not say; None: as often as it is its turn.
    """

    on: frozenset[Endpoint]
    moment: Moment | None = None
    joins: bool = False
    times: int | None = None
    takes: Mapping[str, Option] = field(default_factory=dict)
    fixed: Mapping[str, object] = field(default_factory=dict)

    def moment_of(self, settings: Mapping[str, object]) -> Moment:
        """When it plays with these settings."""
        if self.moment is not None:
            return self.moment
        early = settings.get("when") == When.BEFORE_ACCEPT or settings.get("accept") is False
        return Moment.ARRIVAL if early else Moment.ANSWER


def _cut(accept: bool | None = None) -> Kind:
    """The connection ends without an answer; ``accept`` None: as the script says."""
    if accept is None:
        return Kind(on=_ALL, takes={"accept": _accept()})
    return Kind(on=_ALL, fixed={"accept": accept})


def _failure(value: object) -> object:
    """Reads a failure's number, or its name."""
    if isinstance(value, str):
        return value if re.fullmatch(r"[A-Za-z]\w{0,63}", value, re.ASCII) else None
    return whole(0, 10**6)(value)


_CODE = Option(_failure, "a whole number, or a code such as timeoutProvider", 1403)

KINDS: Mapping[str, Kind] = {
    # The connection.
    "drop": _cut(),
    "drop_before_accept": _cut(accept=False),
    "drop_after_accept": _cut(accept=True),
    "reset": _cut(),
    "reset_before_accept": _cut(accept=False),
    "reset_after_accept": _cut(accept=True),
    "hang": Kind(on=_ALL, takes={"seconds": _seconds(600), "accept": _accept()}),
    "delay": Kind(on=_ALL, moment=Moment.ARRIVAL, joins=True, takes={"seconds": _seconds()}),
    "slow_body": Kind(on=_ALL, moment=Moment.ANSWER, takes={"seconds": _seconds()}),
    "half_response": Kind(on=_ALL, moment=Moment.ANSWER),
    "refuse": Kind(on=_API, moment=Moment.ANSWER, takes={"seconds": _seconds()}),
    "kill_client": Kind(
        on=_ALL, takes={"when": Option(one_of(*When), f"one of {', '.join(When)}")}
    ),
    # What any answer can be instead of the right one.
    "redirect": Kind(
        on=_ALL,
        moment=Moment.ARRIVAL,
        takes={
            "location": Option(_header, "an address; {api}, {cdn} and {canary} stand for ours"),
            "status": Option(
                lambda value: value if value in (301, 302, 303, 307, 308) else None,
                "one of 301, 302, 303, 307, 308",
                307,
            ),
        },
    ),
    "html_error": Kind(on=_ALL, takes={"status": _status(502), "accept": _accept()}),
    "ansi_error": Kind(on=_ALL, takes={"status": _status(400), "accept": _accept()}),
    "huge_body": Kind(
        on=_ALL,
        takes={
            "status": _status(500),
            "bytes": Option(whole(1, 2**30), "a number of bytes", 2**20),
            "accept": _accept(),
        },
    ),
    "empty_body": Kind(on=_ALL, moment=Moment.ANSWER),
    "malformed_json": Kind(on=_API, moment=Moment.ANSWER),
    "wrong_code": Kind(
        on=_API,
        takes={
            "code": Option(whole(0, 10**6), "a whole number", 500),
            "accept": _accept(),
        },
    ),
    "no_id": Kind(on=_SUBMIT, moment=Moment.ANSWER),
    # What the result of a task can say.
    "unknown_status": Kind(
        on=_RESULT, moment=Moment.ANSWER, takes={"status": Option(text, "a text", "queued")}
    ),
    "regress": Kind(on=_RESULT, moment=Moment.ANSWER),
    "unseen": Kind(on=_RESULT, moment=Moment.ANSWER),
    "fail_task": Kind(
        on=_RESULT,
        moment=Moment.ARRIVAL,
        joins=True,
        takes={"code": _CODE, "error": Option(text, "a text", "task execution failed")},
    ),
    "nsfw": Kind(
        on=_RESULT,
        moment=Moment.ARRIVAL,
        joins=True,
        takes={"error": Option(text, "a text", "content was flagged by moderation")},
        fixed={"code": 1200},
    ),
    "end_as": Kind(
        on=_RESULT,
        moment=Moment.ARRIVAL,
        joins=True,
        takes={
            "status": Option(
                one_of("cancelled", "timeout", "deleted"), "cancelled, timeout or deleted"
            )
        },
    ),
    "stuck": Kind(on=_RESULT, moment=Moment.ARRIVAL, joins=True),
    "nsfw_flag": Kind(on=_RESULT, moment=Moment.COMPLETED),
    "no_outputs": Kind(
        on=_RESULT,
        moment=Moment.COMPLETED,
        takes={
            "form": Option(one_of("empty", "null", "missing"), "empty, null or missing", "empty")
        },
    ),
    "two_outputs": Kind(on=_RESULT, moment=Moment.COMPLETED),
    "object_outputs": Kind(on=_RESULT, moment=Moment.COMPLETED),
    "outputs_url": Kind(
        on=_RESULT,
        moment=Moment.COMPLETED,
        takes={"url": Option(text, "any text; {api}, {cdn} and {canary} stand for ours")},
    ),
    "expire_url": Kind(on=_RESULT, moment=Moment.COMPLETED),
    # What a download can bring.
    "truncate": Kind(on=_DOWNLOAD, moment=Moment.ANSWER),
    "truncate_nolength": Kind(on=_DOWNLOAD, moment=Moment.ANSWER),
    "reset_mid": Kind(on=_DOWNLOAD, moment=Moment.ANSWER),
    "corrupt": Kind(on=_DOWNLOAD, moment=Moment.ANSWER),
    "flip_bit": Kind(
        on=_DOWNLOAD,
        moment=Moment.ANSWER,
        takes={"place": Option(number(0, 1), "a share of the file, from 0 to 1", 0.5)},
    ),
    "wrong_type": Kind(on=_DOWNLOAD, moment=Moment.ANSWER),
    "hls_body": Kind(
        on=_DOWNLOAD,
        moment=Moment.ANSWER,
        takes={"url": Option(text, "the address of a segment", "file:///etc/hostname")},
    ),
    "empty": Kind(on=_DOWNLOAD, moment=Moment.ANSWER),
    "gzip_bomb": Kind(
        on=_DOWNLOAD,
        moment=Moment.ANSWER,
        takes={"mb": Option(whole(1, 4096), "a number of megabytes", 256)},
    ),
    "endless": Kind(on=_DOWNLOAD, moment=Moment.ANSWER),
    "slow": Kind(on=_DOWNLOAD, moment=Moment.ANSWER, takes={"seconds": _seconds()}),
    # What the history can leave out, or add.
    "lag": Kind(on=_HISTORY, moment=Moment.ARRIVAL, joins=True, takes={"seconds": _seconds()}),
    "off": Kind(on=_HISTORY, moment=Moment.ARRIVAL),
    "strangers": Kind(
        on=_HISTORY,
        moment=Moment.ARRIVAL,
        joins=True,
        times=1,
        takes={
            "n": Option(whole(1, 10_000), "a number of tasks", 1),
            "prompt": Option(text, "a text", "somebody else's shot"),
        },
    ),
    # What a quote can say.
    "wrong_price": Kind(
        on=frozenset({Endpoint.PRICE}),
        moment=Moment.ANSWER,
        takes={"usd": Option(number(0, 1e6), "an amount in dollars")},
    ),
}

_HTTP = re.compile(r"http_([45]\d\d)")
_HTTP_KIND = Kind(
    on=_ALL,
    takes={
        "accept": _accept(),
        "retry_after": Option(_header, "printable ASCII text", None),
        "body": Option(text, "a text", None),
    },
)

FAULT_NAMES: tuple[str, ...] = (*KINDS, "http_400", "http_404", "http_429", "http_500", "http_503")


def find_fault(name: str) -> tuple[Kind, dict[str, object]] | None:
    """The fault of this name and what its name settles; None if there is none."""
    if match := _HTTP.fullmatch(name):
        return _HTTP_KIND, {"status": int(match[1])}
    kind = KINDS.get(name)
    return None if kind is None else (kind, dict(kind.fixed))
