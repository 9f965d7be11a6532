"""What a manifest says of a clip, in the provider's own record; what the provider says, in ours."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import httpx
import pytest
from studio import Studio, draw_picture, paid_sandbox

from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.sandbox.renders import animatic_renderer
from pipeline.sandbox.server import SandboxOptions, running_sandbox

KEY = "test-key-of-runware"
SECTION = (
    "{width: 480, height: 480, outputFormat: MOV, outputQuality: 30, numberResults: 2, ttl: 600,"
    " safety: {checkContent: true, mode: full},"
    " uploadEndpoint: 'https://bucket.example.com/x.mov?signature=s3cret'}"
)


def board(path: Path, shot: str) -> Path:
    draw_picture(path.with_name("a.png"), "a")
    path.write_text(f"storyboard: ad\nshots:\n  - {{id: one, {shot}}}\n")
    return path


def test_the_whole_runware_section_stands_in_the_request_that_the_provider_has(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    render, version = animatic_renderer(find_ffmpeg(os.environ))
    path = board(
        studio.folder / "ad.yaml", f"prompt: a lamp, duration: 1, takes: 2, runware: {SECTION}"
    )
    options = SandboxOptions(render=render, render_version=version, min_poll_s=0.2)
    with running_sandbox(options) as server:
        monkeypatch.setenv("RUNWARE_BASE_URL", server.base_url)
        monkeypatch.setenv("RUNWARE_API_KEY", KEY)
        run = ("run", "--provider", "runware", "--yes", "--max-cost", "5")
        assert studio.run(*run, path) == 0, studio.stderr
        takes = studio.summary("ad")["shots"][0]["takes"]
        answer = httpx.post(
            f"{server.base_url}/v1",
            json=[{"taskType": "getTaskDetails", "taskUUID": takes[0]["task_id"]}],
            headers={"Authorization": f"Bearer {KEY}"},
        ).json()
        record = server.record()
    ((request,),) = [item["request"] for item in answer["data"]]
    wanted = {
        "positivePrompt": "a lamp",
        "width": 480,
        "height": 480,
        "duration": 1,
        "outputType": "URL",
        "outputFormat": "MOV",
        "outputQuality": 30,
        "numberResults": 2,
        "ttl": 600,
        "safety": {"checkContent": True, "mode": "full"},
        "uploadEndpoint": "https://bucket.example.com/x.mov?signature=s3cret",
        "deliveryMethod": "async",
        "includeCost": True,
    }
    assert {key: request.get(key) for key in wanted} == wanted
    # It would have been uploaded there; the sandbox calls nobody but this machine.
    assert record["counters"]["upload_endpoint.elsewhere"] == 2
    assert "2 takes are uploaded to this one address" in studio.stderr
    assert [Path(take["clip"]).suffix for take in takes] == [".mov", ".mov"]
    journal = b"".join(each.read_bytes() for each in (path.parent / "out/ad").glob("journal*"))
    assert b"s3cret" not in journal


def test_what_wavespeed_says_of_a_task_is_what_run_json_says_of_the_take(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = board(
        studio.folder / "ad.yaml", 'images: [a.png], prompt: "@image1 turns", resolution: 480p'
    )
    with paid_sandbox(monkeypatch) as server:
        run = ("run", "--provider", "wavespeed", "--max-cost", "5")
        assert studio.run(*run, path) == 0, studio.stderr
        (take,) = studio.summary("ad")["shots"][0]["takes"]
        data = httpx.get(
            f"{server.base_url}/api/v3/predictions/{take['task_id']}/result",
            headers={"Authorization": f"Bearer {os.environ['WAVESPEED_API_KEY']}"},
        ).json()["data"]
        (url,) = data["outputs"]
        clip = httpx.get(url).content
    assert (data["status"], take["state"]) == ("completed", "verified")
    assert take["sha256"] == hashlib.sha256(clip).hexdigest()
    assert (path.parent / "out/ad/clips" / Path(take["clip"]).name).read_bytes() == clip
