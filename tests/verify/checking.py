"""A clip on its way through the program's own checks: the download, the decode, the join."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from itertools import count
from pathlib import Path

import anyio
import httpx
from support import make_attempt
from verify.clips import Delivery, Kind, Order, make_good, order_of, spoil

from pipeline.download import Downloader
from pipeline.errors import ClipRejected, ProviderError
from pipeline.film.spec import Checks as Thresholds
from pipeline.filming import changed_clips
from pipeline.finishing.checks import Fault, judge_clip
from pipeline.finishing.inspection import inspect
from pipeline.finishing.measurements import Measurements
from pipeline.ledger import Attempt
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.verify import verify_clip
from pipeline.model import ClipFacts, Expected

_API = "http://127.0.0.1:9"
_URL = "http://127.0.0.1:10/outputs/x/clip.mp4"
# Where a clip is looked at, and what is found only there: the provider sent just that.
FOR_THE_FILM = "for the film"
UNSIGHTLY = frozenset({Kind.BLACK, Kind.FROZEN})
# As often as the program downloads a clip whose checks fail.
_TRIES = 3


class Server(StrEnum):
    """What the server of a clip says of it."""

    MD5 = "length and MD5"
    NOTHING = "nothing"
    OTHER_ETAG = "an ETag that is no MD5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The parts of the program that find damage; a broken program has others."""

    downloader: type[Downloader] = Downloader
    verify: Callable[..., Awaitable[ClipFacts]] = verify_clip
    changed: Callable[[list[Attempt], Path], Awaitable[list[Attempt]]] = changed_clips
    judge: Callable[[Measurements, Thresholds], tuple[Fault, ...]] = judge_clip


SOUND = Checks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one clip: whether it was refused in each of the ways it could come."""

    number: int
    kind: str
    refused: dict[str, bool]


class _Sender(httpx.AsyncBaseTransport):
    def __init__(self, body: bytes, headers: Iterator[dict[str, str]]) -> None:
        self._body, self._headers = body, headers

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pieces = [self._body[n : n + 65_536] for n in range(0, len(self._body), 65_536)]

        async def body() -> object:
            for piece in pieces:
                yield piece

        return httpx.Response(200, headers=next(self._headers), content=body())


def headers_of(
    server: Server, good: bytes, length_bytes: int | None = None
) -> Iterator[dict[str, str]]:
    """The headers of one answer after the other for a clip that the server holds whole."""
    md5 = hashlib.md5(good, usedforsecurity=False).hexdigest()
    for number in count():
        match server:
            case Server.MD5:
                yield {"Content-Length": str(length_bytes or len(good)), "ETag": f'"{md5}"'}
            case Server.NOTHING:
                yield {}
            case Server.OTHER_ETAG:
                yield {"ETag": f'"{number:032x}"'}


def expected_of(order: Order) -> Expected:
    """What a clip of this order should be like."""
    return Expected(
        duration_s=Fraction(order.duration_s), short_side_px=order.resolution.short_side_px
    )


async def refused_on_the_way(
    checks: Checks, body: bytes, order: Order, headers: Iterator[dict[str, str]], folder: Path
) -> bool:
    """Whether a body that always comes like this is refused in the end."""
    part = folder / "clip.mp4.part"
    ffmpeg = find_ffmpeg(os.environ)
    transport = _Sender(body, headers)
    async with checks.downloader(local=True, api_url=_API, transport=transport) as downloader:
        for _ in range(_TRIES):
            try:
                await downloader.fetch(_URL, part)
                await checks.verify(part, expected_of(order), ffmpeg=ffmpeg)
            except (ClipRejected, ProviderError):
                continue
            return False
    return True


async def refused_once_on_the_way(
    checks: Checks, delivery: Delivery, server: Server, folder: Path
) -> bool:
    """Whether a body that is damaged on the way is refused when it comes."""
    order, part = delivery.order, folder / "clip.mp4.part"
    # A clip that is wrong at the provider comes with the headers of what it is.
    is_theirs = delivery.kind in {Kind.WRONG_LENGTH, Kind.WRONG_HEIGHT}
    # One that is mistaken for another comes in its own length, or that alone would tell.
    length_bytes = len(delivery.bad) if delivery.kind is Kind.SWAPPED else None
    headers = headers_of(server, delivery.bad if is_theirs else delivery.good, length_bytes)
    transport = _Sender(delivery.bad, headers)
    async with checks.downloader(local=True, api_url=_API, transport=transport) as downloader:
        try:
            await downloader.fetch(_URL, part)
            await checks.verify(part, expected_of(order), ffmpeg=find_ffmpeg(os.environ))
        except (ClipRejected, ProviderError):
            return True
    return False


async def refused_at_the_join(checks: Checks, before: bytes, now: bytes, folder: Path) -> bool:
    """Whether a clip that was checked is taken for another when it is to be joined."""
    attempt = make_attempt()
    clip = folder / "clips" / (attempt.clip or "")
    clip.parent.mkdir(exist_ok=True)
    checked = replace(attempt, clip_sha256=hashlib.sha256(before).hexdigest())
    clip.write_bytes(now)
    return bool(await checks.changed([checked], folder))


async def refused_for_the_film(checks: Checks, body: bytes, folder: Path) -> bool:
    """Whether a clip that is whole is kept out of a film for what it shows."""
    clip = folder / "measured.mp4"
    clip.write_bytes(body)
    return bool(checks.judge(await inspect(clip, ffmpeg=find_ffmpeg(os.environ)), Thresholds()))


def check_good(number: int, folder: Path, checks: Checks = SOUND) -> Row:
    """A good clip by every way that it can come; each refusal is a false alarm."""
    order, good = order_of(number), make_good(number, folder)

    async def all_ways() -> dict[str, bool]:
        refused = {
            server.value: await refused_on_the_way(
                checks, good, order, headers_of(server, good), folder
            )
            for server in Server
        }
        return refused | {
            "at the join": await refused_at_the_join(checks, good, good, folder),
            FOR_THE_FILM: await refused_for_the_film(checks, good, folder),
        }

    return Row(number=number, kind="good", refused=anyio.run(all_ways))


def check_damaged(number: int, kind: Kind, folder: Path, checks: Checks = SOUND) -> Row:
    """A damaged clip by every way that it can come; each refusal is a find."""
    delivery = spoil(number, kind, folder)
    if delivery.bad == delivery.good:
        raise AssertionError(f"clip {number} is not {kind}")

    async def all_ways() -> dict[str, bool]:
        if kind in UNSIGHTLY:
            return {FOR_THE_FILM: await refused_for_the_film(checks, delivery.bad, folder)}
        refused = {
            server.value: await refused_once_on_the_way(checks, delivery, server, folder)
            for server in (Server.MD5, Server.NOTHING)
        }
        at_join = refused_at_the_join(checks, delivery.good, delivery.bad, folder)
        return refused | {"at the join": await at_join}

    return Row(number=number, kind=kind.value, refused=anyio.run(all_ways))
