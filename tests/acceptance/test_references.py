"""References before money: addresses looked at, pictures converted, by the command line itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from studio import Studio, paid_sandbox


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
