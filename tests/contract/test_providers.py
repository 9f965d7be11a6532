"""What every provider promises the runner, each over real HTTP against the sandbox."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

from pipeline.capabilities import CAPABILITIES
from pipeline.errors import (
    KeyRefused,
    NotOffered,
    RateLimited,
    Rejected,
    SubmissionInDoubt,
    Unavailable,
    UnknownTask,
)
from pipeline.model import FileReference, Resolution, ShotKind, Size
from pipeline.providers.base import TakeRequest, TaskPhase, TaskStatus
from pipeline.providers.http import HttpProvider
from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.faults import parse_faults
from pipeline.sandbox.server import SandboxOptions, SandboxServer, running_sandbox
from pipeline.session import dialect_of

KEY = "key-of-the-contract"
PROVIDERS = ("wavespeed", "runware")
every_provider = pytest.mark.parametrize("name", PROVIDERS)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def draw(spec: AnimaticSpec, destination: Path) -> None:
    """No test here looks at the clip."""
    destination.write_bytes(f"clip of {spec.prompt}".encode())


@asynccontextmanager
async def provider(
    name: str, *rules: dict[str, Any], key: str = KEY, **options: Any
) -> AsyncIterator[tuple[HttpProvider, SandboxServer]]:
    """A provider's client and the sandbox that it speaks to."""
    faults = parse_faults({"faults": list(rules)}) if rules else None
    chosen = {"render": draw, "key": KEY, "min_poll_s": 0.0, "faults": faults} | options
    with running_sandbox(SandboxOptions(**chosen)) as server:
        dialect = dialect_of(CAPABILITIES[name])
        client = HttpProvider(dialect, base_url=server.base_url, key=key, submit_timeout_s=2)
        async with client:
            yield client, server


def request(name: str, picture: str, **changes: Any) -> TakeRequest:
    """Six seconds from one reference."""
    size = Size(width_px=848, height_px=480) if name == "runware" else None
    parts: dict[str, Any] = {
        "model": CAPABILITIES[name].model,
        "prompt": "@image1 turns",
        "image_urls": (picture,),
        "duration_s": 6,
        "resolution": Resolution.P480,
        "kind": ShotKind.REFERENCES,
        "size": size,
        "task_id": str(uuid.uuid4()) if CAPABILITIES[name].client_task_ids else "",
    }
    return TakeRequest(**parts | changes)


@pytest.fixture
def picture(tmp_path: Path) -> FileReference:
    path = tmp_path / "picture.png"
    Image.new("RGB", (64, 36), (200, 80, 20)).save(path)
    content = path.read_bytes()
    return FileReference(
        source="picture.png",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        media_type="image/png",
        width_px=64,
        height_px=36,
    )


async def wait_for_end(client: HttpProvider, task_id: str) -> TaskStatus:
    with anyio.fail_after(20):
        while (status := await client.status(task_id)).phase is TaskPhase.RUNNING:
            await anyio.sleep(0.05)
    return status


@every_provider
@pytest.mark.anyio
async def test_a_picture_goes_up_and_a_clip_comes_back(name: str, picture: FileReference) -> None:
    async with provider(name) as (client, server):
        address = await client.upload(picture)
        order = request(name, address)
        task_id = await client.submit(order)
        assert order.task_id in {"", task_id}
        status = await wait_for_end(client, task_id)
        assert status.phase is TaskPhase.DONE
        (url,) = status.outputs
        async with httpx.AsyncClient() as anybody:
            clip = await anybody.get(url)
        # The address of a clip needs no key.
        assert clip.status_code == 200
        assert len(server.record()["tasks"]) == 1
        if status.cost_usd is not None:
            assert status.cost_usd == Decimal(server.record()["bill"]["total_usd"])


@every_provider
@pytest.mark.anyio
async def test_the_credit_is_told_and_a_wrong_key_is_refused(name: str) -> None:
    async with provider(name, balance_usd=Decimal("12.34")) as (client, _):
        assert await client.balance() == Decimal("12.34")
    async with provider(name, key="key-of-somebody-else") as (client, server):
        with pytest.raises(KeyRefused):
            await client.balance()
        with pytest.raises(KeyRefused):
            await client.submit(request(name, "https://refs.example.com/a.png"))
        assert server.record()["tasks"] == []


@every_provider
@pytest.mark.parametrize(
    ("rule", "error", "tasks"),
    [
        ({"fault": "http_400"}, Rejected, 0),
        ({"fault": "http_401"}, KeyRefused, 0),
        ({"fault": "http_429", "retry_after": 3}, RateLimited, 0),
        ({"fault": "http_500"}, SubmissionInDoubt, 0),
        ({"fault": "http_500", "accept": True}, SubmissionInDoubt, 1),
        ({"fault": "drop_before_accept"}, SubmissionInDoubt, 0),
        ({"fault": "drop_after_accept"}, SubmissionInDoubt, 1),
        ({"fault": "malformed_json"}, SubmissionInDoubt, 1),
        ({"fault": "empty_body"}, SubmissionInDoubt, 1),
        ({"fault": "no_id"}, SubmissionInDoubt, 1),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else None,
)
@pytest.mark.anyio
async def test_a_submission_ends_in_a_no_or_in_doubt_and_never_in_between(
    name: str, rule: dict[str, Any], error: type[Exception], tasks: int, picture: FileReference
) -> None:
    async with provider(name, {"on": "submit"} | rule) as (client, server):
        address = await client.upload(picture)
        with pytest.raises(error) as caught:
            await client.submit(request(name, address))
        assert len(server.record()["tasks"]) == tasks
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after_s == 3


@every_provider
@pytest.mark.anyio
async def test_a_task_that_fails_says_why_and_one_that_never_was_is_unknown(
    name: str, picture: FileReference
) -> None:
    async with provider(name, {"on": "result", "fault": "nsfw"}) as (client, _):
        task_id = await client.submit(request(name, await client.upload(picture)))
        status = await wait_for_end(client, task_id)
        assert status.phase is TaskPhase.FAILED
        assert status.code
        with pytest.raises(UnknownTask):
            await client.status("00000000-0000-4000-8000-000000000000")


@every_provider
@pytest.mark.anyio
async def test_a_provider_that_is_not_there_was_sent_nothing(name: str) -> None:
    async with provider(name) as (client, _):
        pass
    dialect = dialect_of(CAPABILITIES[name])
    async with HttpProvider(dialect, base_url="http://127.0.0.1:9", key=KEY) as client:
        with pytest.raises(Unavailable):
            await client.submit(request(name, "https://refs.example.com/a.png"))


@every_provider
@pytest.mark.anyio
async def test_what_is_not_offered_says_so(name: str, picture: FileReference) -> None:
    offered = CAPABILITIES[name]
    async with provider(name) as (client, _):
        order = request(name, await client.upload(picture))
        if offered.quotes:
            assert await client.quote(order) == Decimal("0.3")
        else:
            with pytest.raises(NotOffered):
                await client.quote(order)
        if offered.client_task_ids:
            task_id = await client.submit(order)
            # The same id again buys nothing: it is taken for what it is.
            assert await client.submit(order) == task_id
            assert await client.details(task_id)
        else:
            with pytest.raises(NotOffered):
                await client.details("abc")
