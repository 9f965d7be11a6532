"""Input media in Runware's dialect: every form of image, uploads, films to edit."""

from __future__ import annotations

import base64
import functools
import os
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from runware_support import DATA_URI, Client, runware
from sandbox_support import PNG, CopyingRenderer, FakeClock

from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.sandbox.options import Quirk

_EDIT = {"width": None, "height": None, "duration": None}


@functools.cache
def film(width_px: int, height_px: int, seconds: float) -> str:
    """A film in base64; ``seconds`` in twentieths."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        source = f"color=gray:size={width_px}x{height_px}:rate=20:duration={seconds}"
        command = [str(find_ffmpeg(os.environ)), "-nostdin", "-v", "error", "-f", "lavfi"]
        command += ["-i", source, "-preset", "ultrafast", str(path)]
        subprocess.run(command, check=True, timeout=60)
        return base64.b64encode(path.read_bytes()).decode()


def store(client: Client, media: str) -> Any:
    return client.item(client.task("mediaStorage", operation="upload", media=media))


def test_uploaded_image_is_a_reference_by_uuid_and_by_address() -> None:
    with runware() as client:
        image = client.item(client.task("imageUpload", image=DATA_URI))
        media = store(client, base64.b64encode(PNG).decode())
        copy = client.item(client.task("imageUpload", image=image["imageURL"]))
        references = [image["imageUUID"], image["imageURL"], media["mediaUUID"], copy["imageUUID"]]
        task = client.buy(inputs={"referenceImages": references})
        (item,) = client.results(task)
        content = client.cdn.get(image["imageURL"]).content
        (record,) = client.record()["tasks"]
    assert item["status"] == "success"
    assert content == PNG
    assert record["inputs"]["inputs"]["referenceImages"] == references
    assert record["price_usd"] == "0.308"


def test_inline_images_are_the_same_content_in_every_form() -> None:
    with runware() as client:
        first = client.buy()
        uploaded = client.item(client.task("imageUpload", image=DATA_URI))["imageUUID"]
        bare = client.buy(inputs={"referenceImages": [base64.b64encode(PNG).decode()]})
        named = client.buy(inputs={"referenceImages": [uploaded]})
        record = client.record()
    assert record["duplicates"] == [{"task_id": t, "dup_of": first} for t in (bare, named)]
    assert DATA_URI not in str(record)


def test_upload_is_good_for_thirty_days_after_its_last_use() -> None:
    clock, day_s = FakeClock(), 86_400
    with runware(clock=clock) as client:
        image = client.item(client.task("imageUpload", image=DATA_URI))["imageUUID"]
        shot = {"inputs": {"referenceImages": [image]}}
        for _ in range(2):
            clock.forward(29 * day_s)
            client.buy(**shot)
        clock.forward(30 * day_s)
        assert client.error(client.post(client.shot(**shot)))["code"] == "invalidValueUploadFailed"


def test_deleted_media_are_gone() -> None:
    with runware() as client:
        media = store(client, DATA_URI)["mediaUUID"]
        remove = {"operation": "delete", "mediaUUID": media}
        assert client.item(client.task("mediaStorage", **remove))["mediaUUID"] == media
        assert client.error(client.task("mediaStorage", **remove))["parameter"] == "mediaUUID"
        lost = client.post(client.shot(inputs={"referenceImages": [media]}))
        assert client.error(lost)["code"] == "invalidValueUploadFailed"


_UNREADABLE = [
    "https://cdn.example.com/a.png",
    str(uuid.UUID(int=7, version=4)),
    "data:image/png;base64,AAAA",
    "not base64 at all!",
    "aGVsbG8=",
]


@pytest.mark.parametrize("image", _UNREADABLE)
def test_unreadable_image_is_refused_at_submission_and_costs_nothing(image: str) -> None:
    with runware() as client:
        shot = client.shot(inputs={"referenceImages": [DATA_URI, image]})
        error = client.error(client.post(shot))
        upload = client.error(client.task("imageUpload", image=image))
        assert client.bill() == (0, "0.00")
    assert (error["code"], error["parameter"]) == (
        "invalidValueUploadFailed",
        "inputs.referenceImages",
    )
    assert "Input 2" in error["message"]
    assert (upload["code"], upload["parameter"]) == ("invalidValueUploadFailed", "image")


def test_unreadable_image_can_fail_the_task_later() -> None:
    with runware(quirks=frozenset({Quirk.LATE_INPUT_CHECK})) as client:
        task = client.buy(inputs={"referenceImages": [_UNREADABLE[0]]})
        error = client.error(client.poll(task), 200)
        assert client.bill() == (1, "0.302")
    assert (error["code"], error["parameter"]) == (
        "invalidValueUploadFailed",
        "inputs.referenceImages",
    )


@pytest.mark.parametrize(
    ("size", "seconds", "duration", "price"),
    [
        ((1280, 720), 5.05, None, "0.404"),
        ((848, 480), 6, None, "0.36"),
        ((720, 1280), 6, None, "0.48"),
        ((848, 480), 6, 4, "0.36"),
        ((848, 480), 6, 8, "0.36"),
    ],
)
def test_edit_is_priced_by_the_length_and_the_tier_of_its_source(
    size: tuple[int, int], seconds: float, duration: int | None, price: str
) -> None:
    renderer = CopyingRenderer()
    with runware(render=renderer) as client:
        source = store(client, film(*size, seconds))["mediaUUID"]
        client.buy(**_EDIT | {"inputs": {"video": source}, "duration": duration})
        assert client.bill() == (1, price)
    (spec,) = renderer.specs
    assert (spec.video is not None, spec.images) == (True, ())
    assert float(spec.duration_s) == seconds


@pytest.mark.parametrize(
    ("seconds", "duration", "price", "lasts"),
    [(6, 4, "0.24", 4), (6, 8, "0.36", 6), (12, 10, "0.60", 10)],
)
def test_edit_can_be_shortened_by_the_quirk_alone(
    seconds: float, duration: int, price: str, lasts: float
) -> None:
    renderer = CopyingRenderer()
    with runware(render=renderer, quirks=frozenset({Quirk.SHORT_EDITS})) as client:
        source = store(client, film(848, 480, seconds))["mediaUUID"]
        client.buy(**_EDIT | {"inputs": {"video": source}, "duration": duration})
        assert client.bill() == (1, price)
    assert float(renderer.specs[0].duration_s) == lasts


def test_film_that_is_too_long_or_no_film_is_refused() -> None:
    with runware() as client:
        long = store(client, film(848, 480, 12))["mediaUUID"]
        error = client.error(client.post(client.shot(**_EDIT, inputs={"video": long})))
        cut = _EDIT | {"inputs": {"video": long}, "duration": 10}
        assert client.error(client.post(client.shot(**cut)))["code"] == error["code"]
        picture = store(client, DATA_URI)["mediaUUID"]
        wrong = client.error(client.post(client.shot(**_EDIT, inputs={"video": picture})))
        broken = store(client, base64.b64encode(b"\0\0\0\x18ftypmp42junk").decode())["mediaUUID"]
        junk = client.error(client.post(client.shot(**_EDIT, inputs={"video": broken})))
        assert client.bill() == (0, "0.00")
    assert (error["code"], error["parameter"]) == ("unsupportedDuration", "inputs.video")
    assert wrong["code"] == junk["code"] == "invalidValueUploadFailed"


def test_clip_that_was_made_here_can_be_edited() -> None:
    class Filming(CopyingRenderer):
        def __call__(self, spec: Any, destination: Path) -> None:
            self.specs.append(spec)
            destination.write_bytes(base64.b64decode(film(848, 480, 6)))

    with runware(render=Filming()) as client:
        (made,) = client.results(client.buy(inputs=None))
        client.buy(**_EDIT, inputs={"video": made["videoUUID"]})
        client.buy(**_EDIT, inputs={"referenceVideos": [made["videoURL"]]}, positivePrompt="snow")
        prices = [task["price_usd"] for task in client.record()["tasks"]]
    assert prices == ["0.30", "0.36", "0.36"]
