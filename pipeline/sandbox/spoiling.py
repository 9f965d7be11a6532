"""Answers as values, and how faults spoil them: pure functions over status, headers and body."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

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

    def data(self) -> Data | None:
        """``data`` of an envelope; None where it is none."""
        try:
            envelope = json.loads(self.body)
        except ValueError:
            return None
        data = envelope.get("data") if isinstance(envelope, dict) else None
        return data if isinstance(data, dict) else None

    def with_data(self, data: Mapping[str, object]) -> Answer:
        """The same envelope around other data."""
        return self.with_body(json.dumps(json.loads(self.body) | {"data": data}).encode())


def error(status: int, body: str, *, content_type: bytes = b"application/json") -> Answer:
    """An answer with this text."""
    return Answer(status=status).with_body(body.encode(), content_type=content_type)


def flat_error(status: int, message: str) -> Answer:
    """The API's error body."""
    return error(status, json.dumps({"code": status, "message": message}))


def plain_error(status: int, message: str) -> Answer:
    """The files port's error body."""
    return error(status, message, content_type=b"text/plain; charset=utf-8")


def instead(  # noqa: PLR0911 - a table: one return for each fault
    rule: Rule, fill: Callable[[str], str], *, of_files: bool
) -> Answer | None:
    """The answer that a rule puts in place of any other; None if it is no such rule.

    ``fill`` puts addresses and hostile text in place of their names.
    """
    refuse = plain_error if of_files else flat_error
    status = rule.whole("status")
    match rule.fault:
        case "redirect":
            answer = flat_error(status, "this lives elsewhere")
            return answer.with_header(b"location", fill(rule.text("location")).encode())
        case "html_error":
            return error(status, _HTML.format(status=status), content_type=b"text/html")
        case "ansi_error":
            return refuse(status, HOSTILE)
        case "huge_body":
            return refuse(status, "x" * rule.whole("bytes"))
        case "wrong_code":
            code = rule.whole("code")
            return error(200, json.dumps({"code": code, "message": "the envelope says no"}))
        case "off":
            return flat_error(404, "history is not available")
        case name if name.startswith("http_"):
            answer = refuse(status, f"fault script: {name}")
            if rule.settings["body"] is not None:
                body = fill(rule.text("body"))
                answer = error(status, body, content_type=_guess_type(body))
            if rule.settings["retry_after"] is not None:
                return answer.with_header(b"retry-after", rule.text("retry_after").encode())
            return answer
        case _:
            return None


def spoil(  # noqa: PLR0911 - as above
    rule: Rule, answer: Answer, fill: Callable[[str], str]
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
            data = answer.data()
            changed = None if data is None else _spoil_data(rule, data, fill)
            return None if changed is None else answer.with_data(changed)


def _spoil_data(  # noqa: PLR0911 - as above
    rule: Rule, data: Data, fill: Callable[[str], str]
) -> Data | None:
    outputs = data.get("outputs") or []
    match rule.fault:
        case "no_id":
            return {key: value for key, value in data.items() if key not in {"id", "urls"}}
        case "unknown_status":
            return data | {"status": rule.text("status"), "outputs": []}
        case "regress":
            return data | {"status": "created", "outputs": []}
        case "nsfw_flag":
            return data | {"has_nsfw_contents": [True]}
        case "two_outputs":
            return data | {"outputs": [*outputs, *(f"{url}?copy=2" for url in outputs)]}
        case "object_outputs":
            return data | {"outputs": [{"url": url} for url in outputs]}
        case "outputs_url":
            return data | {"outputs": [fill(rule.text("url"))]}
        case "no_outputs":
            if rule.text("form") == "missing":
                return {key: value for key, value in data.items() if key != "outputs"}
            return data | {"outputs": None if rule.text("form") == "null" else []}
        case "wrong_price":
            price = float(str(rule.settings["usd"]))
            return data | {"price": price, "discounted_price": price}
        case _:
            return None


def _guess_type(body: str) -> bytes:
    if body.lstrip().startswith(("{", "[")):
        return b"application/json"
    return b"text/html" if body.lstrip().startswith("<") else b"text/plain; charset=utf-8"
