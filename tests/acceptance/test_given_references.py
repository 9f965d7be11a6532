"""References before money: addresses looked at, pictures converted, by the command line itself."""

from __future__ import annotations

import os
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from PIL import Image
from studio import Studio, draw_picture, paid_sandbox

from pipeline.journal import read_events
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.sandbox.renders import animatic_renderer
from pipeline.sandbox.server import SandboxOptions, SandboxServer, running_sandbox


@contextmanager
def pictures(files: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A web server on this machine; yields its base URL and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def board(path: Path, image: str) -> Path:
    path.write_text(
        "storyboard: look\ndefaults: {duration: 6, resolution: 480p}\nshots:\n"
        f'  - {{id: one, images: ["{image}"], prompt: "@image1 turns"}}\n'
    )
    return path


def test_address_without_an_image_stops_the_run_before_anything_is_sent(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only this machine can be asked in a test, and no manifest may name it.
    monkeypatch.setattr("pipeline.library.url_mistake", lambda _: None)
    run = ("run", "--provider", "wavespeed", "--max-cost", "5")
    with (
        paid_sandbox(monkeypatch) as server,
        pictures({"/page": b"<html>no picture</html>"}) as (base, asked),
    ):
        path = board(studio.folder / "look.yaml", f"{base}/page")
        assert studio.run(*run, path) == 66
        assert f"shot one, image 1 ({base}/page) is not a JPEG" in studio.stderr
        assert "found: web page" in studio.stderr
        assert studio.summary("look")["exit_code"] == 66
        assert studio.run(*run, board(path, f"{base}/gone.png")) == 66
        assert "answers 404" in studio.stderr
        assert asked == ["/page", "/gone.png"]
        assert server.record()["bill"]["total_usd"] == "0.00"
        assert not server.record()["tasks"]
        assert studio.run(*run, "--no-probe", path) != 66
        assert len(asked) == 2
        assert server.record()["tasks"]


def test_picture_of_another_format_is_bought_from_once_it_is_converted(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (320, 180), (90, 20, 20)).save(studio.folder / "pack.tif")
    path = board(studio.folder / "look.yaml", "pack.tif")
    run = ("run", "--provider", "wavespeed", "--max-cost", "5")
    with paid_sandbox(monkeypatch):
        assert studio.run(*run, path) == 65
        assert "--convert-images" in studio.stderr
        assert studio.run(*run, "--convert-images", path) == 0
        assert "pack.tif converted to PNG 320x180 for wavespeed" in studio.stderr
        # The same bytes again: nothing is bought a second time.
        assert studio.run(*run, "--convert-images", path) == 0
        assert "to buy $0.00" in studio.stdout


def data_uri(color: tuple[int, int, int]) -> str:
    buffer = BytesIO()
    image = Image.effect_noise((48, 48), 80).convert("RGB")
    image.paste(color, (0, 0, 24, 48))
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


@contextmanager
def runware(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """A sandbox that the ``runware`` provider believes to be the real one."""
    render, version = animatic_renderer(find_ffmpeg(os.environ))
    options = SandboxOptions(render=render, render_version=version, min_poll_s=0.2)
    with running_sandbox(options) as server:
        monkeypatch.setenv("RUNWARE_BASE_URL", server.base_url)
        monkeypatch.setenv("RUNWARE_API_KEY", "test-key-of-runware")
        yield server


SMALL = "runware: {width: 480, height: 480}"
RUNWARE = ("--provider", "runware", "--max-cost", "5")


def runware_board(path: Path, image: str, prompt: str = "@image1 turns") -> Path:
    path.write_text(
        f"storyboard: {path.stem}\nshots:\n"
        f'  - {{id: one, images: ["{image}"], prompt: "{prompt}", duration: 1, {SMALL}}}\n'
    )
    return path


def test_picture_inside_the_manifest_is_uploaded_and_never_shown(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = data_uri((10, 90, 20))
    path = runware_board(studio.folder / "inline.yaml", uri)
    with runware(monkeypatch):
        assert studio.run("run", *RUNWARE, path) == 0, studio.stderr
        assert uri[60:100] not in studio.stdout + studio.stderr
    out = studio.folder / "out" / "inline"
    (intent, *_) = read_events(out)
    (address,) = intent.data["request"]["images"]
    assert re.fullmatch(r"[0-9a-f-]{36}", address)
    for file in out.rglob("*"):
        if file.is_file():
            assert uri[60:100].encode() not in file.read_bytes(), file
    assert studio.run("validate", "--provider", "wavespeed", path) == 65
    assert "wavespeed takes files and https URLs only" in studio.stderr
    assert uri[60:100] not in studio.stderr


def test_upload_that_is_gone_is_made_again_by_the_next_run(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_picture(studio.folder / "a.png", "a")
    with runware(monkeypatch) as server:
        first = runware_board(studio.folder / "first.yaml", "a.png")
        assert studio.run("run", *RUNWARE, first) == 0, studio.stderr
        (intent, *_) = read_events(studio.folder / "out" / "first")
        (upload,) = intent.data["request"]["images"]
        delete = {"taskType": "mediaStorage", "taskUUID": str(uuid4()), "operation": "delete"}
        key = {"Authorization": "Bearer test-key-of-runware"}
        body = [{**delete, "mediaUUID": upload}]
        httpx.post(f"{server.base_url}/v1", json=body, headers=key).raise_for_status()
        second = runware_board(studio.folder / "second.yaml", "a.png", "@image1 falls")
        assert studio.run("run", *RUNWARE, second) == 1
        assert "a reference could not be fetched or read" in studio.stderr
        assert studio.run("run", *RUNWARE, second) == 0, studio.stderr
        assert len(server.record()["tasks"]) == 2
