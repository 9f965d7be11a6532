"""Every kind of shot that Runware sells comes out as a film: size, length, rate, container."""

from __future__ import annotations

import base64
import io
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image
from runware_support import runware
from sandbox_support import CopyingRenderer
from test_sandbox_runware_media import film

from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.sandbox import stills
from pipeline.sandbox.animatic import render
from pipeline.sandbox.renders import animatic_renderer


def _picture(width_px: int, height_px: int) -> str:
    with io.BytesIO() as buffer:
        Image.new("RGB", (width_px, height_px), (180, 60, 40)).save(buffer, "JPEG")
        return base64.b64encode(buffer.getvalue()).decode()


_FRAME = {"inputs": {"frameImages": [_picture(300, 400)]}, "width": None, "height": None}
_EDIT: dict[str, Any] = {"width": None, "height": None, "duration": None, "outputFormat": "MOV"}


@pytest.mark.parametrize(
    ("changes", "demuxer", "codecs", "shape"),
    [
        (
            {"inputs": {"referenceImages": [_picture(320, 180)] * 2}, "width": 720, "height": 480},
            "mp4",
            ("h264", "aac"),
            (720, 480, 24),
        ),
        (
            {"inputs": None, "width": 480, "height": 480, "outputQuality": 20},
            "mp4",
            ("h264", "aac"),
            (480, 480, 24),
        ),
        (_FRAME | {"outputFormat": "WEBM"}, "matroska", ("vp9", "opus"), (480, 640, 24)),
        (_EDIT, "mov", ("h264", "aac"), (320, 180, 50)),
    ],
    ids=["references", "text", "frame", "edit"],
)
def test_clip_has_the_size_length_and_container_that_were_bought(
    changes: dict[str, Any], demuxer: str, codecs: tuple[str, str], shape: tuple[int, int, int]
) -> None:
    draw, version = animatic_renderer(find_ffmpeg(os.environ))
    with runware(render=draw, render_version=version) as client:
        shot = {"duration": 1, "positivePrompt": "a kite over the sea"} | changes
        if changes is _EDIT:
            media = film(320, 180, 2.1)
            stored = client.item(client.task("mediaStorage", operation="upload", media=media))
            shot["inputs"] = {"video": stored["mediaUUID"]}
        (item,) = client.results(client.buy(**shot))
        assert item["status"] == "success", item
        clip = io.BytesIO(client.cdn.get(item["videoURL"]).content)
    with av.open(clip, format=demuxer) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name.removeprefix("lib"), sound.codec_context.name) == codecs
        assert picture.average_rate == Fraction(24)
        assert sound.sample_rate == 48_000
        frames = sum(1 for packet in container.demux(picture) if packet.size)
        assert (picture.width, picture.height, frames) == shape


@pytest.mark.parametrize("form", ["GIF", "BMP"])
def test_every_format_that_may_be_sent_can_be_drawn(form: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    Image.new("RGB", (64, 48), (180, 60, 40)).save(path, form)
    still = stills.load(path, "@image1", (480, 480), ((0, 0, 480, 480),))
    assert stills.read_size(path, "@image1") == (64, 48)
    assert still.plate.y.size > (0, 0)


def test_results_of_one_task_are_takes_that_differ(tmp_path: Path) -> None:
    renderer = CopyingRenderer()
    with runware(render=renderer) as client:
        client.buy(inputs=None, width=480, height=480, duration=1, numberResults=2)
    first, second = sorted(renderer.specs, key=lambda spec: spec.take)
    assert (first.take, second.take) == (1, 2)
    for take in (1, 2):
        clip = tmp_path / f"{take}.mp4"
        render(replace(first, take=take), clip, ffmpeg=find_ffmpeg(os.environ))
    assert (tmp_path / "1.mp4").read_bytes() != (tmp_path / "2.mp4").read_bytes()
