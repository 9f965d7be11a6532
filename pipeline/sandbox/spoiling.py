"""Answers as values, and how faults spoil them: pure functions over status, headers and body."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pipeline.sandbox.fault_catalogue import Endpoint
from pipeline.sandbox.fault_rules import Rule

Headers = tuple[tuple[bytes, bytes], ...]
Data = dict[str, Any]

# What a terminal, a log or a reader must never be shown as it is: colours, a bell, a new window
# title, a carriage return, a C1 control, text that runs backward, line separators.
HOSTILE = "\x1b[2J\x1b[31mred\x07\x1b]0;title\x07\rover \x9b1m \u202egnp.exe\u202c\u2028\u200bend"
_HTML = (
    "<html><head><title>{status} Bad Gateway</title></head>\r\n"
    "<body><center><h1>{status} Bad Gateway</h1></center></body></html>\r\n"
)
_PLAYLIST = (
    "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXTINF:6.0,\n{url}\n#EXT-X-ENDLIST\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole HTTP answer."""

    status: int = 200
    headers: Headers = ()
    body: bytes = b""

    @property
    def is_good(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    def header(self, name: bytes) -> bytes | None:
        """A header's value; ``name`` in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def with_body(self, body: bytes, *, content_type: bytes | None = None) -> Answer:
        """Other content, its length told truly."""
        dropped = {b"content-length"} | ({b"content-type"} if content_type else set())
        kept = [(key, value) for key, value in self.headers if key.lower() not in dropped]
        if content_type:
            kept.append((b"content-type", content_type))
        kept.append((b"content-length", str(len(body)).encode()))
        return replace(self, headers=tuple(kept), body=body)

    def with_header(self, name: bytes, value: bytes) -> Answer:
        """One more header."""
        return replace(self, headers=(*self.headers, (name, value)))

    def envelope(self) -> Data:
        """The body as a JSON object; empty where it is none."""
        try:
            envelope = json.loads(self.body)
        except ValueError:
            return {}
        return envelope if isinstance(envelope, dict) else {}

    def with_data(self, data: object) -> Answer:
        """The same envelope around other data."""
        return self.with_body(json.dumps(self.envelope() | {"data": data}).encode())


def error(status: int, body: str, *, content_type: bytes = b"application/json") -> Answer:
    """An answer with this text."""
    return Answer(status=status).with_body(body.encode(), content_type=content_type)


class Dialect(Protocol):
    """How the answers of one API look: what faults need to know to make and spoil them."""

    def refusal(self, status: int, message: str) -> Answer:
        """An error of the API with this HTTP status."""

    def inner_refusal(self, code: int) -> Answer:
        """HTTP 200 around an error."""

    def unknown_task(self, endpoint: Endpoint) -> Answer:
        """No such task."""

    def is_final(self, answer: Answer) -> bool:
        """Whether an answer tells that a task is over."""

    def is_completed(self, answer: Answer) -> bool:
        """Whether it tells that the task's clips are there."""

    def spoil(self, rule: Rule, answer: Answer, fill: Callable[[str], str]) -> Answer | None:
        """A good answer that says something else, as the rule wants it; None if it spoils none."""

    def readdress(self, answer: Answer, change: Callable[[str], str]) -> Answer:
        """The same answer with other addresses of clips."""


def instead(  # noqa: PLR0911 - a table: one return for each fault
    rule: Rule, fill: Callable[[str], str], dialect: Dialect
) -> Answer | None:
    """The answer that a rule puts in place of any other; None if it is no such rule.

    ``fill`` puts addresses and hostile text in place of their names.
    """
    status = rule.whole("status")
    match rule.fault:
        case "redirect":
            answer = dialect.refusal(status, "this lives elsewhere")
            return answer.with_header(b"location", fill(rule.text("location")).encode())
        case "html_error":
            return error(status, _HTML.format(status=status), content_type=b"text/html")
        case "ansi_error":
            return dialect.refusal(status, HOSTILE)
        case "huge_body":
            return dialect.refusal(status, "x" * rule.whole("bytes"))
        case "wrong_code":
            return dialect.inner_refusal(rule.whole("code"))
        case "off":
            return dialect.refusal(404, "history is not available")
        case name if name.startswith("http_"):
            answer = dialect.refusal(status, f"fault script: {name}")
            if rule.settings["body"] is not None:
                body = fill(rule.text("body"))
                answer = error(status, body, content_type=_guess_type(body))
            if rule.settings["retry_after"] is not None:
                return answer.with_header(b"retry-after", rule.text("retry_after").encode())
            return answer
        case _:
            return None


def spoil(  # noqa: PLR0911 - as above
    rule: Rule, answer: Answer, fill: Callable[[str], str], dialect: Dialect
) -> Answer | None:
    """A good answer, spoiled as the rule says; None if the rule spoils otherwise."""
    body = answer.body
    match rule.fault:
        case "empty_body" | "empty":
            return answer.with_body(b"")
        case "malformed_json":
            return answer.with_body(body[: len(body) * 2 // 3])
        case "corrupt":
            start, end = len(body) * 7 // 16, len(body) * 9 // 16
            flipped = bytes(byte ^ 0xFF for byte in body[start:end])
            return answer.with_body(body[:start] + flipped + body[end:])
        case "flip_bit":
            place = round((len(body) - 1) * float(str(rule.settings["place"])))
            return answer.with_body(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        case "wrong_type":
            page = b"<!doctype html><title>Not a clip</title><p>Please sign in.\n"
            return answer.with_body(page, content_type=b"text/html; charset=utf-8")
        case "hls_body":
            return answer.with_body(_PLAYLIST.format(url=fill(rule.text("url"))).encode())
        case _:
            return dialect.spoil(rule, answer, fill)


def _guess_type(body: str) -> bytes:
    if body.lstrip().startswith(("{", "[")):
        return b"application/json"
    return b"text/html" if body.lstrip().startswith("<") else b"text/plain; charset=utf-8"
