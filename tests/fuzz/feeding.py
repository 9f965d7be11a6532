"""Give spoilt answers to the program's readers, and judge what they make of them.

Twice: as values to the dialect's ``read_`` functions, and as bytes on a wire to the real HTTP
client and downloader.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import httpcore
import httpx
from fuzz.mutations import Answer, spoilt, spoilt_wire
from fuzz.truth import is_clear_no, named_task

from pipeline.capabilities import WAVESPEED
from pipeline.download import Downloader
from pipeline.errors import (
    ClipRejected,
    ConfigurationError,
    ProviderError,
    Rejected,
    SubmissionInDoubt,
    Unavailable,
)
from pipeline.model import FileReference, Resolution
from pipeline.providers.base import (
    BillingRow,
    Dialect,
    HistoryItem,
    HttpReply,
    TakeRequest,
    TaskStatus,
    UploadTicket,
)
from pipeline.providers.http import HttpProvider
from pipeline.providers.wavespeed import WaveSpeed
from pipeline.text import clean

# No answer is worth more thought than this.
LIMIT_CPU_S = 1.0
_LONGEST_MESSAGE = 700
_API = "http://127.0.0.1:9"
_CLIP_URL = "http://127.0.0.1:10/clip.mp4"
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_TAKE = TakeRequest(
    model="m/n",
    prompt="@image1 turns",
    image_urls=("https://refs.test/a.png",),
    duration_s=6,
    resolution=Resolution("480p"),
)
Outcome = object


# ---- as values ----------------------------------------------------------------------------


def feed_dialect(answer: Answer, dialect: Dialect | None = None) -> tuple[str, str]:
    """What became of one answer, in a word, and what is wrong with that, or nothing."""
    dialect = WaveSpeed(WAVESPEED) if dialect is None else dialect
    books = dialect.books
    assert books is not None
    readers: dict[str, Callable[[HttpReply], Outcome]] = {
        "submit": lambda reply: dialect.read_submit(reply, _TAKE),
        "result": lambda reply: dialect.read_status(reply, "a-task"),
        "history": books.read_history,
        "billings": books.read_billings,
        "balance": dialect.read_balance,
        "price": books.read_quote,
        "upload_ticket": dialect.read_upload,
    }
    reader = readers.get(answer.endpoint)
    if reader is None:
        return "not read", ""
    reply = HttpReply(status=answer.status, headers=answer.headers, body=answer.body)
    outcome, spent_s = timed(reader, reply)
    verdict = _judge(answer, outcome)
    if spent_s > LIMIT_CPU_S:
        verdict = verdict or "took longer than a second"
    return type(outcome).__name__, verdict


def timed(
    reader: Callable[[HttpReply], Outcome], reply: HttpReply
) -> tuple[Outcome | Exception, float]:
    """What a reader gives or raises, and how many seconds of CPU it took."""
    began_s = time.process_time()
    try:
        outcome = reader(reply)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is judged
        outcome = exc
    return outcome, time.process_time() - began_s


def _judge(answer: Answer, outcome: Outcome) -> str:
    if isinstance(outcome, BaseException):
        return _judge_error(answer, outcome)
    if answer.endpoint == "submit" and outcome != named_task(answer.body):
        return f"the id {outcome!r} is not that of the answer"
    return judge_value(outcome)


def judge_told(exc: BaseException) -> str:
    """Whether an error is one that the runner knows, in words that may be shown."""
    if not isinstance(exc, ProviderError | ConfigurationError):
        return f"{type(exc).__name__} came out: {str(exc)[:200]}"
    if clean(str(exc), 10_000) != str(exc) or len(str(exc)) > _LONGEST_MESSAGE:
        return f"a message that is not fit to be shown: {str(exc)[:200]!r}"
    return ""


def _judge_error(answer: Answer, exc: BaseException) -> str:
    if verdict := judge_told(exc):
        return verdict
    if answer.endpoint != "submit" or isinstance(exc, SubmissionInDoubt):
        return ""
    if not is_clear_no(answer.status, answer.body):
        return f"REFUSED: {type(exc).__name__} for {answer.status} {answer.body[:80]!r}"
    return ""


def judge_value(value: Outcome) -> str:  # noqa: PLR0911 - one for each type
    """Whether what was read is what the types say, and fit for the rest of the program."""
    match value:
        case TaskStatus():
            texts: Sequence[object] = (value.word, value.code, value.message)
            if any(not isinstance(text, str) or clean(text, 10**6) != text for text in texts):
                return "a status whose words are not fit to be shown"
            return _judge_urls(value.outputs)
        case UploadTicket():
            urls = [value.put.url if value.put is not None else "", value.address]
            headers = value.put.headers if value.put is not None else None
            wrong = [v for pair in (headers or {}).items() for v in pair if not _is(v)]
            return "headers that are no text" if wrong else _judge_urls(urls)
        case Decimal():
            return "" if value.is_finite() and 0 <= value < 10**9 else f"no amount: {value!r:.60}"
        case str():
            return "" if value.isascii() and value.isprintable() else "a strange id"
        case (tuple() as rows, bool()):
            return next(filter(None, map(_judge_row, rows)), "")
        case _:
            return f"something unknown: {type(value).__name__}"


def _judge_row(row: object) -> str:
    match row:
        case HistoryItem():
            times, ids = [row.created_at], [row.task_id]
        case BillingRow():
            times, ids = [row.created_at], [row.row_id, row.task_id, row.key_id]
            if judge_value(row.amount_usd):
                return judge_value(row.amount_usd)
        case _:
            return f"a row that is a {type(row).__name__}"
    if any(not _is(text) for text in ids):
        return "an id that is no text"
    try:
        if any(moment.astimezone(UTC) + timedelta(0) != moment for moment in times):
            return "a time that is not the same everywhere"
    except (OverflowError, ValueError) as exc:
        return f"a time that cannot be reckoned with ({exc})"
    return ""


def _judge_urls(urls: Sequence[object]) -> str:
    for url in urls:
        if not isinstance(url, str):
            return "an address that is no text"
        try:
            url.encode()
        except UnicodeEncodeError:
            return "an address that cannot be written down"
    return ""


def _is(text: object) -> bool:
    return isinstance(text, str)


# ---- as bytes -----------------------------------------------------------------------------


class _Wire(httpx.AsyncHTTPTransport):
    """httpx's own transport over a network that says what it is told to."""

    def __init__(self) -> None:
        super().__init__(verify=_context())
        self.answers: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raw = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        pieces = [raw[at : at + 60_000] for at in range(0, len(raw), 60_000)]
        # A pool of its own for each: what is left of one answer is no part of the next.
        self._pool = httpcore.AsyncConnectionPool(network_backend=httpcore.AsyncMockBackend(pieces))
        return await super().handle_async_request(request)


@cache
def _context() -> ssl.SSLContext:
    # Reading certificates is slow, and no connection here is encrypted.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def feed_wire(
    samples: Sequence[Answer], first: int, count: int
) -> tuple[dict[str, int], list[str]]:
    """Feed ``count`` spoilt answers as bytes; how each ended, and what was wrong."""
    return asyncio.run(_feed_wire(samples, first, count))


async def _feed_wire(
    samples: Sequence[Answer], first: int, count: int
) -> tuple[dict[str, int], list[str]]:
    ended: dict[str, int] = {}
    breaches: list[str] = []
    wire = _Wire()
    with tempfile.TemporaryDirectory(prefix="story-fuzz-") as folder:
        picture = _picture(Path(folder))
        tickets = [sample for sample in samples if sample.endpoint == "upload_ticket"]
        ticket = build_wire(tickets[0])
        provider = HttpProvider(
            WaveSpeed(WAVESPEED), base_url=_API, key="key-of-the-fuzz", transport=wire
        )
        clips = Downloader(local=True, api_url=_API, transport=wire, max_bytes=1_000_000)
        part = Path(folder) / "clip.part"
        calls: dict[str, Callable[[], Any]] = {
            "submit": lambda: provider.submit(_TAKE),
            "result": lambda: provider.status("task"),
            "history": lambda: provider.history(_SINCE),
            "billings": lambda: provider.billings(_SINCE),
            "balance": provider.balance,
            "price": lambda: provider.quote(_TAKE),
            "upload_ticket": lambda: provider.upload(picture),
            "upload_put": lambda: provider.upload(picture),
            "download": lambda: clips.fetch(_CLIP_URL, part),
        }
        async with provider, clips:
            for number in range(first, first + count):
                chance = Random(f"wire {number}")
                sample = chance.choice(samples)
                raw = spoilt_wire(sample, chance)
                wire.answers = [ticket, raw] if sample.endpoint == "upload_put" else [raw]
                word, verdict = await _call(calls[sample.endpoint], sample, raw)
                key = f"{sample.endpoint}: {word}"
                ended[key] = ended.get(key, 0) + 1
                if verdict:
                    breaches.append(f"wire {number} ({sample.endpoint}): {verdict}")
    return ended, breaches


async def _call(call: Callable[[], Any], sample: Answer, raw: bytes) -> tuple[str, str]:
    began_s = time.process_time()
    try:
        outcome = await call()
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is judged
        outcome = exc
    verdict = ""
    if isinstance(outcome, ClipRejected) and sample.endpoint == "download":
        pass  # its checksum is not the one that the server stated
    elif isinstance(outcome, BaseException):
        # The status and body that got through are the client's to say; a refusal of a
        # submission must at least begin with a status that is one.
        status = _status(raw)
        refused = isinstance(outcome, Rejected) and sample.endpoint == "submit"
        if refused and 200 <= status < 300 and not _holds_a_code(raw):
            verdict = f"REFUSED: {outcome} for {raw[:60]!r}"
        if sample.endpoint == "submit" and isinstance(outcome, Unavailable):
            verdict = "said that nothing was sent, though an answer came"
        verdict = verdict or _judge_error(
            Answer(endpoint="", status=0, headers={}, body=b""), outcome
        )
    elif sample.endpoint in {"upload_ticket", "upload_put"}:
        verdict = _judge_urls([outcome])
    elif sample.endpoint == "download":
        verdict = "" if isinstance(outcome, int) else "a download without a length"
    elif sample.endpoint not in {"history", "billings"}:
        verdict = judge_value(outcome)
    else:
        verdict = judge_value((outcome, False))
    if time.process_time() - began_s > LIMIT_CPU_S:
        verdict = verdict or "took longer than a second"
    return type(outcome).__name__, verdict


def _status(raw: bytes) -> int:
    word = raw[:40].split(b" ")[1:2]
    return int(word[0]) if word and word[0].isdigit() else 0


def _holds_a_code(raw: bytes) -> bool:
    return b'"code"' in raw and b'"code": 200' not in raw.replace(b'":', b'": ')


def build_wire(answer: Answer) -> bytes:
    """An honest answer as bytes."""
    head = f"HTTP/1.1 {answer.status} OK\r\ncontent-length: {len(answer.body)}\r\n\r\n"
    return head.encode() + answer.body


def _picture(folder: Path) -> FileReference:
    path = folder / "a.png"
    path.write_bytes(b"picture")
    return FileReference(
        source="a.png",
        path=path,
        sha256=hashlib.sha256(b"picture").hexdigest(),
        size_bytes=7,
        media_type="image/png",
        width_px=640,
        height_px=360,
    )


def feed_values(
    samples: Sequence[Answer], first: int, count: int, dialect: Dialect | None = None
) -> tuple[dict[str, int], list[str]]:
    """Feed ``count`` spoilt answers as values; how each ended, and what was wrong."""
    readable = [one for one in samples if one.endpoint not in {"upload_put", "download"}]
    ended: dict[str, int] = {}
    breaches: list[str] = []
    for number in range(first, first + count):
        chance = Random(f"value {number}")
        answer = spoilt(chance.choice(readable), chance)
        word, verdict = feed_dialect(answer, dialect)
        key = f"{answer.endpoint}: {word}"
        ended[key] = ended.get(key, 0) + 1
        if verdict:
            breaches.append(f"value {number} ({answer.endpoint}): {verdict}")
    return ended, breaches
