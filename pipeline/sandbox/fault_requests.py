"""What fault scripts need to know of a request, and the one thing they change in it."""

from __future__ import annotations

import json
import re

from starlette.types import Scope

from pipeline.sandbox.answers import read_time, write_time
from pipeline.sandbox.fault_catalogue import Endpoint
from pipeline.sandbox.orders import MODELS

_ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", r"/predictions/(?P<id>[^/]+)(/result)?", Endpoint.RESULT),
    ("POST", r"/predictions", Endpoint.HISTORY),
    ("POST", r"/media/uploads", Endpoint.UPLOAD_TICKET),
    ("POST", r"/media/upload/binary", Endpoint.UPLOAD_BINARY),
    ("GET", r"/balance", Endpoint.BALANCE),
    ("POST", r"/model/pric(e|ing)", Endpoint.PRICE),
    ("POST", r"/billings/search", Endpoint.BILLINGS),
    ("GET", r"/models", Endpoint.MODELS),
    *(("POST", f"/{re.escape(name)}", Endpoint.SUBMIT) for name in MODELS),
)
_API = [(method, re.compile(f"/api/v3{path}"), endpoint) for method, path, endpoint in _ROUTES]
_FILES = [
    ("PUT", re.compile(r"/uploads/[^/]+/[^/]+"), Endpoint.UPLOAD_PUT),
    ("GET", re.compile(r"/outputs/(?P<id>[^/]+)/[^/]+"), Endpoint.DOWNLOAD),
]


_TASK_TYPES = {
    "videoInference": Endpoint.SUBMIT,
    "getResponse": Endpoint.RESULT,
    "getTaskDetails": Endpoint.HISTORY,
    "imageUpload": Endpoint.UPLOAD_BINARY,
    "mediaStorage": Endpoint.UPLOAD_BINARY,
    "accountManagement": Endpoint.BALANCE,
    "modelSearch": Endpoint.MODELS,
}


def find_endpoint(scope: Scope, *, of_files: bool) -> tuple[Endpoint, str] | None:
    """What a request asks for, and of which task (or empty); None: nothing that faults play on."""
    for method, pattern, endpoint in _FILES if of_files else _API:
        if scope["method"] == method and (match := pattern.fullmatch(scope["path"])):
            return endpoint, match.groupdict().get("id") or ""
    return None


def is_runware(scope: Scope) -> bool:
    """Whether a request is in the dialect where only the body says what it asks for."""
    return scope["method"] == "POST" and f"{scope['path']}/".startswith("/v1/")


def find_runware_endpoint(body: bytes) -> tuple[Endpoint, str] | None:
    """As ``find_endpoint``; of several tasks in one body the first that faults play on counts."""
    tasks = _parsed(body)
    for task in tasks if isinstance(tasks, list) else []:
        kind = task.get("taskType") if isinstance(task, dict) else None
        endpoint = _TASK_TYPES.get(kind) if isinstance(kind, str) else None
        if endpoint is not None:
            is_about_task = endpoint in {Endpoint.RESULT, Endpoint.HISTORY}
            return endpoint, str(task.get("taskUUID")).lower() if is_about_task else ""
    return None


def key_in(body: bytes) -> bytes:
    """The key that a body's leading task carries; empty where there is none."""
    tasks = _parsed(body)
    first = tasks[0] if isinstance(tasks, list) and tasks else None
    key = first.get("apiKey") if isinstance(first, dict) else None
    return key.encode() if isinstance(key, str) else b""


def prompt_in(body: bytes) -> str:
    """The prompt of a submission's body, in either dialect; empty where there is none."""
    order = _parsed(body)
    for task in order if isinstance(order, list) else [order]:
        for name in ("prompt", "positivePrompt"):
            prompt = task.get(name) if isinstance(task, dict) else None
            if isinstance(prompt, str):
                return prompt
    return ""


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def narrow_history(body: bytes, *, after_ns: int | None, before_ns: int | None) -> bytes:
    """A history request that sees only what was created in ``[after_ns, before_ns)``.

    The request is narrowed rather than the answer thinned out, so that pages and totals stay right.
    """
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(wanted, dict):
        return body
    for field, bound_ns, choose in (
        ("created_after", after_ns, max),
        ("created_before", before_ns, min),
    ):
        if bound_ns is None:
            continue
        given = wanted.get(field)
        given_ns = _moment(given) if isinstance(given, str) and given else bound_ns
        if given_ns is None:
            return body
        wanted[field] = write_time(choose(given_ns, bound_ns))
    return json.dumps(wanted).encode()


def _moment(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text) * 1_000_000
    return read_time(text)
