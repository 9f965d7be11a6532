"""Real answers of every endpoint, as the sandbox gives them to a plain client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fuzz.mutations import Answer

from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.faults import parse_faults
from pipeline.sandbox.server import SandboxOptions, running_sandbox

_MODEL = "x-ai/grok-imagine-video/reference-to-video"
_PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
CLIP = b"\x00\x00\x00\x1cftypisom" + bytes(range(256)) * 4


def take_samples() -> list[Answer]:
    """One or more answers of each endpoint, good ones and refusals."""
    failing = {"on": "result", "fault": "fail_task", "match": "fails"}
    script = parse_faults({"faults": [failing]})
    found: list[Answer] = []
    for inputs in (True, False):
        options = SandboxOptions(render=_write, faults=script, history_inputs=inputs)
        with running_sandbox(options) as server, _client(server.base_url) as ask:
            found += _tour(ask, server.wait_for_renders)
    return found


def _write(_: AnimaticSpec, destination: Path) -> None:
    destination.write_bytes(CLIP)


_Ask = Callable[..., Answer]


@contextmanager
def _client(base_url: str) -> Iterator[_Ask]:
    plain: dict[str, Any] = {"trust_env": False, "verify": False}
    with httpx.Client(base_url=base_url, **plain) as client:

        def ask(endpoint: str, method: str, path: str, **words: Any) -> Answer:
            headers = {} if "://" in path else {"Authorization": "Bearer any-key-of-the-fuzz"}
            headers |= words.pop("headers", {})
            reply = client.request(method, path, headers=headers, **words)
            return Answer(
                endpoint=endpoint,
                status=reply.status_code,
                headers={name.lower(): value for name, value in reply.headers.items()},
                body=reply.content,
            )

        yield ask


def _tour(ask: _Ask, wait: Callable[[], object]) -> list[Answer]:
    api = "/api/v3"
    file = {"filename": "a.png", "size": len(_PICTURE), "content_type": "image/png"}
    ticket = ask("upload_ticket", "POST", f"{api}/media/uploads", json=file)
    told = _data(ticket)
    put = ask(
        "upload_put",
        "PUT",
        told["upload"]["url"],
        content=_PICTURE,
        headers=told["upload"]["headers"],
    )
    order = {
        "images": [told["download_url"]],
        "prompt": "@image1 turns",
        "duration": 6,
        "resolution": "480p",
    }
    submit = ask("submit", "POST", f"{api}/{_MODEL}", json=order)
    failing = ask("submit", "POST", f"{api}/{_MODEL}", json=order | {"prompt": "@image1 fails"})
    refused = ask("submit", "POST", f"{api}/{_MODEL}", json=order | {"images": []})
    first = ask("result", "GET", _result(submit))
    wait()
    done = ask("result", "GET", _result(submit))
    page = {"page": 1, "page_size": 100}
    return [
        ticket,
        put,
        submit,
        refused,
        first,
        done,
        ask("result", "GET", _result(failing)),
        ask("result", "GET", f"{api}/predictions/unknown/result"),
        ask("history", "POST", f"{api}/predictions", json=page | {"model": _MODEL}),
        ask("billings", "POST", f"{api}/billings/search", json=page),
        ask("balance", "GET", f"{api}/balance"),
        ask("price", "POST", f"{api}/model/price", json={"model_id": _MODEL, "inputs": order}),
        ask("download", "GET", _data(done)["outputs"][0]),
    ]


def _data(answer: Answer) -> Any:
    return httpx.Response(200, content=answer.body).json()["data"]


def _result(answer: Answer) -> str:
    return f"/api/v3/predictions/{_data(answer)['id']}/result"
