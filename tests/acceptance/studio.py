"""A studio to test in: a manifest with pictures, a sandbox that draws cheaply, the command line."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from pipeline.cli import main
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.server import SandboxOptions, SandboxServer, running_sandbox

_SIZES = {"480p": "848x480", "720p": "1280x720"}


@functools.cache
def clip_bytes(resolution: str, duration_s: int) -> bytes:
    """A real clip of exactly the size and length that a shot asks for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        # One colour and silence: cheap to decode and to encode again and again.
        picture = f"color=teal:size={_SIZES[resolution]}:rate=24:duration={duration_s}"
        sound = f"anullsrc=r=48000:cl=stereo:d={duration_s}"
        command = [str(find_ffmpeg(os.environ)), "-nostdin", "-v", "error"]
        command += ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-ac", "2"]
        command += ["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        subprocess.run([*command, str(path)], check=True, timeout=120)
        return path.read_bytes()


def draw_cheaply(spec: AnimaticSpec, destination: Path) -> None:
    """Stand in for the animatic renderer where the picture does not matter."""
    part = destination.with_suffix(".part")
    part.write_bytes(clip_bytes(spec.resolution, spec.duration_s))
    part.replace(destination)


def draw_picture(path: Path, text: str, size: tuple[int, int] = (640, 360)) -> None:
    """A small reference image that differs from every other text's."""
    image = Image.new("RGB", size, (40, 60, 90))
    ImageDraw.Draw(image).text((20, 20), text, fill=(240, 240, 240))
    image.save(path)


@dataclass
class Studio:
    """A folder with manifests, and the command line run in it."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    stdout: str = ""
    stderr: str = ""

    def write(
        self,
        name: str,
        shots: int,
        *,
        prompts: dict[int, str] | None = None,
        extra: str = "",
        duration_s: int = 6,
    ) -> Path:
        """A manifest of ``shots`` shots, each with a picture of its own and a shared one."""
        draw_picture(self.folder / "shared.png", "shared")
        lines = [f"storyboard: {name}", f"title: {name.title()}", extra]
        lines += [f"defaults: {{duration: {duration_s}, resolution: 480p}}", "shots:"]
        for number in range(1, shots + 1):
            draw_picture(self.folder / f"picture{number}.png", f"picture {number}")
            prompt = (prompts or {}).get(number, f"@image1 meets @image2, shot {number}")
            lines.append(f"  - id: shot{number}")
            lines.append(f"    images: [picture{number}.png, shared.png]")
            lines.append(f"    prompt: {json.dumps(prompt)}")
        path = self.folder / f"{name}.yaml"
        path.write_text("\n".join(line for line in lines if line) + "\n")
        return path

    def run(self, *arguments: str | Path) -> int:
        """The command line; its output is kept."""
        code = main([str(argument) for argument in arguments])
        self.stdout, self.stderr = self.capsys.readouterr()
        return code

    def summary(self, name: str) -> Any:
        """A storyboard's run.json."""
        return json.loads((self.folder / "out" / name / "run.json").read_text())

    def film(self, name: str) -> Path:
        """A storyboard's film."""
        return self.folder / "out" / name / "film.mp4"


@contextmanager
def paid_sandbox(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[SandboxServer]:
    """A sandbox that the ``wavespeed`` provider believes to be the real one."""
    chosen = {"render": draw_cheaply, "min_poll_s": 0.2} | options
    with running_sandbox(SandboxOptions(**chosen)) as server:
        monkeypatch.setenv("WAVESPEED_BASE_URL", server.base_url)
        monkeypatch.setenv("WAVESPEED_API_KEY", "test-key")
        yield server
