"""Ways to spoil an answer: its bytes, its JSON, its status and headers, the bytes on the wire.

Everything is drawn from a ``random.Random``, so that a number replays what it found.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of a provider; header names in lower case."""

    endpoint: str
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """Text that stands in JSON as it is, valid or not."""

    text: str


# What no honest answer holds, as JSON would spell it.
_HOSTILE = (
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e400",
    "-1e400",
    "9e999999",
    "1e99999999999999999999",
    "0.00000000000000000000000000001",
    "NaN",
    "Infinity",
    "-Infinity",
    "9" * 400,
    "9" * 5000,
    "12345",
    "404",
    "422",
    "500",
    "[]",
    "{}",
    '""',
    '"NaN"',
    '"422"',
    '"\\ud800"',
    '"http://127.0.0.1:8002/\\ud800/x"',
    '"\\u0000"',
    '"\\u001b[31m\\u0007\\u202e"',
    '"../../etc/passwd"',
    '"id with blanks"',
    '"https://[::1"',
    '"https://\\u0000.test/x"',
    '"file:///etc/passwd"',
    '"0001-01-01T00:00:00+14:00"',
    '"9999-12-31T23:59:59-14:00"',
    '"2026-13-45T99:99:99Z"',
    '"completed"',
    '"failed"',
    '"undefined"',
    "undefined",
    '[{"url": null}, 7, [], "x"]',
    '{"url": {"url": "x"}}',
    "[null]",
    '{"id": 7}',
    "'single'",
)
_BYTES = (
    b"\x00",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\r\n",
    b"\x1b[2J",
    b"<html>",
    b"{",
    b"}",
    b'"',
    b"\\",
    b"\\u",
    b",",
    b"]]]",
    b"1e9",
    b"null",
)
_NUMBERS = ("-1", "1e400", "nan", "soon", "99999999999999999999", "9" * 5000, "", "٣", "0x10", "2")
_DATES = (
    "Mon, 04 May 2026 12:00:00 +9999999999999",
    "Mon, 04 May 99999 12:00:00 GMT",
    "Mon, 31 Feb 2026 25:61:61 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 04 May 2026 12:00:00 -0000",
    "yesterday",
    "\xff\xfe",
    "",
)
_STATUSES = (
    *(100, 101, 201, 202, 204, 206, 301, 302, 304, 307, 308),
    *(400, 401, 402, 403, 404, 405, 408, 409, 410, 418, 422, 425, 429, 451, 499),
    *(500, 501, 502, 503, 504, 520, 529, 599, 600, 999),
)
_LOCATIONS = (
    *("", "/", "//", "?", "x", "\\\\x", "http://", "http:///x", "http:x", "https:\\\\x"),
    *("http://[::1", "http://x:99999/", "http://x:y/", "javascript:1", "http://\xe9\x1b/x"),
    *("http://xn--/", "http://\u2028/", "/" + "a" * 70_000, "http://a\tb/"),
)
_TYPES = ("text/html", "application/octet-stream", "", "application/json; charset=utf-16", "\xe9")
_HUGE_CHARACTERS = 200_000
_LARGEST_BYTES = 100_000
_MOST_BRACKETS = 150


def spoilt(answer: Answer, chance: Random, *, statuses: bool = True) -> Answer:
    """One to three things wrong with it; ``statuses`` says whether the status may change too."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        pick = chance.random()
        if pick < 0.55:
            answer = replace(answer, body=spoilt_json(answer.body, chance))
        elif pick < 0.8:
            answer = replace(answer, body=spoilt_bytes(answer.body, chance))
        elif pick < 0.9 or not statuses:
            answer = replace(answer, headers=spoilt_headers(answer.headers, chance))
        else:
            answer = replace(answer, status=chance.choice(_STATUSES))
    return answer


def spoilt_json(body: bytes, chance: Random) -> bytes:
    """The same JSON with one value, key or item put wrong; other bodies as ``spoilt_bytes``."""
    try:
        # What was spoilt before may be too deep to be walked through.
        tree = json.loads(body) if len(body) < _LARGEST_BYTES else None
    except (ValueError, RecursionError):
        tree = None
    if tree is None or body.count(b"[") + body.count(b"{") > _MOST_BRACKETS:
        return spoilt_bytes(body, chance)
    places = list(_places(tree))
    if not places:
        return chance.choice(_HOSTILE).encode()
    owner, key = chance.choice(places)
    value = owner[key]
    match chance.randrange(9):
        case 0 | 1 | 2:
            owner[key] = Raw(chance.choice(_HOSTILE))
        case 3:
            del owner[key]
        case 4:
            owner[key] = _of_another_type(value, chance)
        case 5:
            depth = chance.choice((2, 20, 200, 330, 480, 700, 950, 990, 1100, 20_000))
            opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
            owner[key] = Raw(opening * depth + _written(value) + closing * depth)
        case 6:
            owner[key] = Raw(json.dumps(chance.choice("x\x1b\u202e ") * _HUGE_CHARACTERS))
        case 7 if isinstance(owner, dict):
            _twice(owner, key, chance)
        case 8 if isinstance(value, str):
            owner[key] = _bent(value, chance)
        case _:
            return _reshaped(tree, chance)
    return _written(tree).encode("utf-8", "surrogatepass")


def spoilt_bytes(body: bytes, chance: Random) -> bytes:  # noqa: PLR0911 - a list of ways
    """Bits flipped, spans cut, doubled or invented, the end missing, another encoding."""
    at = chance.randrange(len(body) + 1)
    end = min(len(body), at + chance.choice((1, 1, 3, 10, 60)))
    match chance.randrange(9):
        case 0 if body:
            at = chance.randrange(len(body))
            return body[:at] + bytes([body[at] ^ (1 << chance.randrange(8))]) + body[at + 1 :]
        case 1:
            return body[:at] + body[end:]
        case 2:
            return body[:at] + body[at:end] * 3 + body[end:]
        case 3 | 4:
            return body[:at] + chance.choice(_BYTES) + body[at:]
        case 5:
            return body[:at]
        case 6:
            return chance.randbytes(chance.choice((0, 1, 7, 300)))
        case 7:
            text = body.decode("utf-8", "replace")
            encoding = chance.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-be", "cp037"))
            return text.encode(encoding, "replace")
        case _:
            packed = gzip.compress(body, mtime=0)
            return packed[: chance.choice((len(packed), len(packed) // 2))]


def spoilt_headers(headers: dict[str, str], chance: Random) -> dict[str, str]:
    """One of the headers that a client looks at, missing or nonsense."""
    name, values = chance.choice(
        (
            ("retry-after", (*_NUMBERS, *_DATES)),
            ("date", _DATES),
            ("content-type", _TYPES),
            ("location", _LOCATIONS),
            ("content-encoding", ("gzip", "br", "identity, gzip", "nonsense")),
        )
    )
    return {**headers, name: chance.choice(values)}


def spoilt_wire(answer: Answer, chance: Random) -> bytes:  # noqa: PLR0912 - a list of ways
    """A whole HTTP answer as bytes, with its framing, headers or body put wrong."""
    body = answer.body if chance.random() < 0.4 else spoilt(answer, chance).body
    lines = [f"{name}: {value}" for name, value in answer.headers.items() if name in _KEPT]
    start = f"HTTP/1.1 {answer.status} OK"
    length: str | None = str(len(body))
    content = body
    match chance.randrange(16):
        case 0:
            length = chance.choice((*_NUMBERS, str(len(body) + 1), str(max(0, len(body) - 1))))
        case 1:
            length = None
        case 2:
            length, content = None, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            lines.append("transfer-encoding: chunked")
        case 3:
            length, content = None, b"%x\r\n%b" % (len(body) + chance.choice((0, 5)), body)
            lines.append("transfer-encoding: chunked")
        case 4:
            lines.append("content-encoding: " + chance.choice(("gzip", "br", "deflate", "zstd")))
        case 5:
            content = gzip.compress(body, mtime=0)[: chance.choice((10, 10_000))]
            length = str(len(content))
            lines.append("content-encoding: gzip")
        case 6:
            lines.append(f"content-length: {len(body) + 7}")
        case 7:
            lines.append(chance.choice(("no colon here", ": no name", "a b: c", "x: \x00", "é: ü")))
        case 8:
            lines.append("x-large: " + "y" * chance.choice((9_000, 90_000)))
        case 9:
            start = chance.choice(("HTTP/0.9 200 OK", "HTTP/1.1 2oo OK", "ICY 200", "", "\xff"))
        case 10:
            start = f"HTTP/1.1 {chance.choice(_STATUSES)} \xe9\x1b[31m"
            lines.append(f"location: {chance.choice(_LOCATIONS)}")
        case 11:
            start = "HTTP/1.1 100 Continue\r\n\r\n" + start
        case 12:
            lines += [f"{name}: {chance.choice(_DATES)}" for name in ("date", "retry-after")]
        case 13:
            lines.append(
                "transfer-encoding: " + chance.choice(("gzip, chunked", "x", "chunked, x"))
            )
        case 14:
            lines += [f"x-{number}: y" for number in range(300)]
        case _:
            pass
    if length is not None:
        lines.append(f"content-length: {length}")
    raw = "\r\n".join([start, *lines, "", ""]).encode("utf-8") + content
    return spoilt_bytes(raw, chance) if chance.random() < 0.15 else raw


_KEPT = frozenset({"date", "content-type", "etag", "accept-ranges"})


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a document, as what holds it and under which key."""
    if isinstance(tree, dict | list):
        keys = list(tree) if isinstance(tree, dict) else range(len(tree))
        for key in keys:
            yield tree, key
            yield from _places(tree[key])


def _of_another_type(value: Any, chance: Random) -> Any:
    others = [[value], {"value": value}, str(value), json.dumps(value), 7, 0.5, True, None]
    return chance.choice(others)


def _twice(owner: dict[str, Any], key: str, chance: Random) -> None:
    """Put a key in once more, with another value, before or after."""
    owner[key] = Raw(
        ", ".join(
            chance.choice(
                (
                    (_written(owner[key]), f"{json.dumps(key)}: {chance.choice(_HOSTILE)}"),
                    (chance.choice(_HOSTILE), f"{json.dumps(key)}: {_written(owner[key])}"),
                )
            )
        )
    )


def _bent(text: str, chance: Random) -> str:
    at = chance.randrange(len(text) + 1)
    piece = chance.choice(("\ud800", "\udfff", "\x00", "\x1b[2J", "\u202e", " ", "/", "%00", "é"))
    return text[:at] + piece + text[at + chance.randrange(2) :]


def _reshaped(tree: Any, chance: Random) -> bytes:
    whole = _written(tree)
    shapes = (f"[{whole}]", f"{whole}{whole}", f"{whole}\n//", f'{{"data": {whole}}}', "[" * 5000)
    return chance.choice(shapes).encode("utf-8", "surrogatepass")


def _written(value: Any) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)}: {_written(inner)}" for key, inner in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value)
