"""What the journal keeps of a submission is enough to send the very same one again."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from pipeline.model import Container, Output, Resolution, SafetyMode, ShotKind, Size
from pipeline.providers.base import TakeRequest
from pipeline.providers.records import read_request, write_request

PLAIN: dict[str, Any] = {
    "model": "m",
    "prompt": "@image1 turns",
    "image_urls": ("https://x.example/a.png",),
    "duration_s": 6,
    "resolution": Resolution.P720,
}
FULL = Output(
    container=Container.WEBM,
    quality=50,
    safety=SafetyMode.FULL,
    results=3,
    keep_s=600,
    put_url="https://put.example/x",
)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"kind": ShotKind.TEXT, "image_urls": (), "size": Size(width_px=1280, height_px=720)},
        {"kind": ShotKind.FRAME, "image_urls": (), "frame_url": "id-1"},
        {"kind": ShotKind.EDIT, "image_urls": (), "video_url": "id-2", "duration_s": None},
        {"output": FULL, "results": 3, "task_id": "u"},
    ],
)
def test_a_submission_comes_back_as_it_was(parts: dict[str, Any]) -> None:
    request = TakeRequest(**PLAIN | parts)
    record = json.loads(json.dumps(write_request(request)))
    put_url = request.output.put_url
    again = read_request(record, model="m", task_id=request.task_id, put_url=put_url)
    assert again == request


def test_the_webhook_is_not_recorded_and_is_the_present_runs_when_sent_again() -> None:
    request = TakeRequest(**PLAIN, webhook_url="https://hook.example/?token=secret")
    record = write_request(request)
    assert "hook.example" not in json.dumps(record)
    assert read_request(record, model="m", task_id="", webhook_url=request.webhook_url) == request


def test_the_address_of_an_upload_is_recorded_as_its_hash_and_is_the_present_manifests() -> None:
    request = TakeRequest(**PLAIN, output=Output(put_url="https://put.example/x?signature=s3cret"))
    record = write_request(request)
    assert "put.example" not in json.dumps(record)
    assert record["put_url_sha256"] == sha256(b"https://put.example/x?signature=s3cret").hexdigest()
    again = read_request(record, model="m", task_id="", put_url="https://put.example/x?renewed")
    assert again.output.put_url == "https://put.example/x?renewed"
    assert read_request(record, model="m", task_id="").output.put_url is None
    # As it was written before.
    old = write_request(TakeRequest(**PLAIN)) | {"put_url": "https://put.example/old"}
    assert read_request(old, model="m", task_id="").output.put_url == "https://put.example/old"


def test_a_shot_of_images_is_written_as_it_always_was() -> None:
    assert write_request(TakeRequest(**PLAIN)) == {
        "images": ["https://x.example/a.png"],
        "prompt": "@image1 turns",
        "duration": 6,
        "resolution": "720p",
    }
