"""What the tests of fault scripts share: a bare socket, and a server that misbehaves."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sandbox_support import MODEL, Customer, sandbox

from pipeline.sandbox.faults import FaultScript, parse_faults


@dataclass(frozen=True)
class Heard:
    """What came over a connection, and how it ended: ``fin``, ``rst`` or ``open``."""

    data: bytes
    end: str

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1]) if self.data else 0

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0].lower()

    @property
    def length(self) -> int:
        """As the head tells it."""
        return int(self.head.split(b"content-length: ")[1].split(b"\r\n")[0])

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]


def ask(url: str, *, method: str = "GET", body: object = None, wait_s: float = 5.0) -> Heard:
    """One request over a bare socket; everything that comes until the connection ends."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    content = b"" if body is None else json.dumps(body).encode()
    query = f"?{parts.query}" if parts.query else ""
    key = "Authorization: Bearer any-key\r\n" if parts.path.startswith("/api/") else ""
    head = (
        f"{method} {parts.path}{query} HTTP/1.1\r\nHost: {parts.netloc}\r\n{key}"
        f"Connection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    data = b""
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=wait_s) as wire:
        wire.sendall(head.encode() + content)
        try:
            while piece := wire.recv(65536):
                data += piece
        except ConnectionResetError:
            return Heard(data, "rst")
        except TimeoutError:
            return Heard(data, "open")
    return Heard(data, "fin")


def script(*rules: dict[str, object], **settings: object) -> FaultScript:
    return parse_faults({"faults": list(rules), **settings})


@contextmanager
def faulty(
    *rules: dict[str, object], settings: dict[str, object] | None = None, **changes: Any
) -> Iterator[Customer]:
    """A running server that plays these rules, with a customer."""
    with sandbox(faults=script(*rules, **settings or {}), **changes) as customer:
        yield customer


def submit_raw(customer: Customer, **changes: Any) -> Heard:
    url = f"{customer.server.base_url}/api/v3/{MODEL}"
    return ask(url, method="POST", body=customer.order(**changes))


def billed(customer: Customer) -> tuple[int, str]:
    """Number of tasks, and what they cost."""
    record = customer.record()
    return len(record["tasks"]), record["bill"]["total_usd"]


def fired(customer: Customer) -> dict[str, int]:
    return {f"{each['on']} {each['fault']}": each["count"] for each in customer.record()["faults"]}


def history(customer: Customer, **filters: object) -> Any:
    return customer.post("/predictions", {"page": 1, "page_size": 100} | filters)
