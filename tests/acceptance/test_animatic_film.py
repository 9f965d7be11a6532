"""``storyboard animatic`` from the outside: a film to show, of clips that meet no paid ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clipmaker import picture_packets
from numpy.typing import NDArray
from PIL import Image
from studio import Studio, draw_cheaply, paid_sandbox

from pipeline.sandbox.server import SandboxOptions, SandboxServer, running_sandbox
from pipeline.settings import Access

PAID = ("--provider", "wavespeed", "--yes", "--max-cost", "100")
STRIP_PX = 24  # of 480 lines
SHOWN = (
    "film: {logo: {file: logo.png, position: bottom-right}, captions: {burn: true, "
    'cues: [{at: 0, for: 1, text: "Hot at dawn"}]}}'
)


@dataclass
class Embedded:
    """The sandbox that commands start for themselves, here next door and drawing cheaply."""

    server: SandboxServer
    slated: list[bool] = field(default_factory=list)

    @property
    def tasks(self) -> int:
        """How many clips it was asked for."""
        return len(self.server.record()["tasks"])

    @contextmanager
    def open(
        self, state: Path, env: Mapping[str, str], *, has_slate: bool = True
    ) -> Iterator[Access]:
        self.slated.append(has_slate)
        yield Access(base_url=self.server.base_url, key="sandbox", account="sandbox-embedded")


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Embedded]:
    options = SandboxOptions(render=draw_cheaply, min_poll_s=0.2, history_inputs=True)
    with running_sandbox(options) as server:
        one = Embedded(server)
        monkeypatch.setattr("pipeline.embedded.embedded_sandbox", one.open)
        yield one


def frame_of(film: Path, index: int = 0) -> NDArray[np.int16]:
    """Red, green and blue of one frame, height x width x 3."""
    with av.open(str(film)) as file:
        for number, frame in enumerate(file.decode(video=0)):
            if number == index:
                return frame.to_ndarray(format="rgb24").astype(np.int16)
    raise AssertionError(f"{film} has no frame {index}")


def drawn_rows(frame: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which rows of a frame show anything but the clip's one colour, which is at its top left."""
    drawn: NDArray[np.bool_] = (abs(frame - frame[0, 0]).max(axis=2) > 24).any(axis=1)
    return drawn


def animatic(studio: Studio) -> Path:
    return studio.folder / "out" / "ad" / "animatic"


def summary(studio: Studio) -> Any:
    return json.loads((animatic(studio) / "run.json").read_text())


def shortened(manifest: Path) -> Path:
    """The film of one second of each clip, which is quickly made."""
    text = manifest.read_text().replace("    prompt:", "    cut: 1\n    prompt:")
    manifest.write_text(text)
    return manifest


def test_plain_animatic_has_its_strip_drawn_in_and_without_it_is_a_copy_of_its_clip(
    studio: Studio, embedded: Embedded
) -> None:
    manifest = shortened(studio.write("ad", 1))
    film = animatic(studio) / "film.mp4"
    assert studio.run("animatic", manifest) == 0
    assert not summary(studio)["film"]["copied"]
    drawn = drawn_rows(frame_of(film))
    assert drawn[-STRIP_PX:].all()
    assert not drawn[:-STRIP_PX].any()
    assert studio.run("animatic", "--no-slate", studio.write("ad", 1)) == 0
    assert summary(studio)["film"]["copied"]
    clip = animatic(studio) / "clips" / "shot1_tk01.mp4"
    assert picture_packets(film) == picture_packets(clip)
    assert embedded.tasks == 1
    assert embedded.slated == [False, False]


def test_captions_and_logo_stand_above_the_strip_and_come_down_without_it(
    studio: Studio, embedded: Embedded
) -> None:
    Image.new("RGB", (80, 40), (255, 40, 40)).save(studio.folder / "logo.png")
    manifest = shortened(studio.write("ad", 1, extra=SHOWN))
    lowest = {}
    for option in ((), ("--no-slate",)):
        assert studio.run("animatic", *option, manifest) == 0
        frame = frame_of(animatic(studio) / "film.mp4", 20)
        above = frame[:-STRIP_PX] if not option else frame
        middle, right = above[:, 300:548], above[:, 700:]
        lowest[option] = [int(np.flatnonzero(drawn_rows(part))[-1]) for part in (middle, right)]
    with_strip, without = lowest.values()
    for low, lower in zip(with_strip, without, strict=True):
        assert low < 480 - STRIP_PX - 12
        assert lower - low == pytest.approx(STRIP_PX, abs=2)


def test_animatic_beside_paid_work_takes_the_clips_that_the_sandbox_drew_and_no_others(
    studio: Studio, embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = shortened(studio.write("ad", 1))
    paid = studio.folder / "out" / "ad"
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0
        before = {path: path.read_bytes() for path in paid.rglob("*.mp4")}
        assert studio.run("run", "--provider", "sandbox", manifest) == 0
        assert studio.run("animatic", manifest) == 0
        assert studio.run("run", *PAID, manifest) == 0
        assert server.record()["bill"]["total_usd"] == "0.30", "the paid clip is still known"
    assert embedded.slated == [True, False]
    assert embedded.tasks == 1, "a clip that was drawn with a slate is not drawn again"
    assert all(path.read_bytes() == content for path, content in before.items())
    record = json.loads((animatic(studio) / "film.mp4.provenance.json").read_text())
    assert "wavespeed" not in json.dumps(record["shots"])


def test_embedded_sandbox_draws_an_animatic_without_slates(studio: Studio) -> None:
    manifest = studio.write("ad", 1)
    manifest.write_text(manifest.read_text().replace("[picture1.png, shared.png]", "[grey.png]"))
    manifest.write_text(manifest.read_text().replace("@image1 meets @image2", "@image1"))
    Image.new("RGB", (848, 480), (120, 120, 120)).save(studio.folder / "grey.png")
    assert studio.run("animatic", "--no-slate", manifest) == 0
    assert abs(frame_of(animatic(studio) / "film.mp4", 40) - 120).max() < 6
