"""What the proofs of a delivered film need: small clips that move, a storyboard, a way to deliver.

Picture and sound of a clip come from ffmpeg's own generators or frame by frame from a list of
greys; nothing here is the code under test.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
from support import make_shot, make_storyboard

from pipeline.film.spec import UNEDITED, CutShot, Deliverable, FilmFile, FilmSpec, ShotEdit
from pipeline.finishing.delivery import Delivered, deliver
from pipeline.finishing.material import Clip
from pipeline.finishing.provenance import FileUsed, ShotUsed
from pipeline.media.files import file_sha256
from pipeline.model import Container, Storyboard

FPS = Fraction(24)
# Each says one thing: how loud, how even, how high its peaks are.
SOUNDS: Mapping[str, str] = {
    "tone": "aevalsrc=0.3*sin(2*PI*440*t)|0.3*sin(2*PI*440*t)",
    "quiet": "anoisesrc=amplitude=0.004:seed=7",
    "loud": "anoisesrc=amplitude=0.9:seed=8",
    "speech": "aevalsrc=0.5*sin(2*PI*180*t)*gt(sin(2*PI*2.3*t)\\,0)*(0.6+0.4*sin(2*PI*0.7*t))",
    "bursts": "aevalsrc=0.9*sin(2*PI*900*t)*lt(mod(t\\,0.5)\\,0.08)+0.02*sin(2*PI*220*t)",
    "bass": "aevalsrc=0.8*sin(2*PI*55*t)+0.1*sin(2*PI*3000*t)",
    "swell": "aevalsrc=0.4*sin(2*PI*330*t)*min(1\\,t/1.5)",
    "square": "aevalsrc=0.7*sgn(sin(2*PI*200*t))",
    "bright": "aevalsrc=0.2*sin(2*PI*7000*t)+0.2*sin(2*PI*300*t)",
    "pink": "anoisesrc=amplitude=0.3:color=pink:seed=9",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a clip is made: ``sound`` a name of ``SOUNDS``, empty for a clip without a sound track;
    ``picture`` one of ffmpeg's sources, to be completed by size and rate."""

    seconds: float = 1.5
    size: tuple[int, int] = (160, 90)
    rate: str = "24"
    sound: str = "tone"
    picture: str = "testsrc2"
    filters: str = "null"


def film_clip(path: Path, look: Look, *, ffmpeg: Path) -> Path:
    """Write a clip in which something moves all the time."""
    width, height = look.size
    words = ["-f", "lavfi", "-i", f"{look.picture}=s={width}x{height}:r={look.rate}"]
    if look.sound:
        words += ["-f", "lavfi", "-i", SOUNDS[look.sound]]
    words += ["-t", str(look.seconds), "-vf", look.filters, "-pix_fmt", "yuv420p"]
    words += ["-ar", "48000", "-ac", "2", "-preset", "ultrafast", "-threads", "1"]
    shell(ffmpeg, *words, "-movflags", "+faststart", "-f", "mp4", str(path))
    return path


def shell(ffmpeg: Path, *words: str | Path, level: str = "error") -> str:
    """Run ffmpeg by hand; returns what it says."""
    command = [str(ffmpeg), "-nostdin", "-hide_banner", "-v", level, "-y", *map(str, words)]
    ended = subprocess.run(command, check=True, capture_output=True, timeout=600)
    return ended.stderr.decode(errors="replace")


def measure_alone(path: Path, ffmpeg: Path) -> tuple[float, float]:
    """Loudness in LUFS and true peak in dBTP, by a plain run of ``ebur128``."""
    said = shell(
        ffmpeg, "-i", path, "-map", "0:a", "-af", "ebur128=peak=true", "-f", "null", "-",
        level="info",
    )  # fmt: skip
    summary = said.rpartition("Summary:")[2]
    loudness = re.search(r"\bI:\s+(-?[0-9.]+|-inf) LUFS", summary)
    peak = re.search(r"\bPeak:\s+(-?[0-9.]+|-inf) dBFS", summary)
    assert loudness is not None and peak is not None
    return float(loudness[1]), float(peak[1])


def film_file(path: Path) -> FilmFile:
    """A file as the section names it."""
    return FilmFile(source=path.name, path=path, sha256=file_sha256(path))


def checked(path: Path, shot_id: str, *, container: Container = Container.MP4) -> Clip:
    """A clip as the journal would hand it over."""
    sha256 = file_sha256(path)
    return Clip(
        path=path,
        container=container,
        sha256=sha256,
        slate=f"{shot_id}_tk01",
        used=ShotUsed(
            shot_id=shot_id,
            first_frame=0,
            frames=0,
            clip=FileUsed(name=f"clips/{path.name}", sha256=sha256),
            provider="wavespeed",
            model="bytedance/seedance",
            task_id=f"task-{shot_id}",
            prompt="@image1 turns slowly",
            created="2026-05-04T12:00:00+00:00",
            is_paid=True,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reel:
    """Clips by the ids of their shots, in cut order, and what is to become of them."""

    clips: Mapping[str, Clip]
    film: FilmSpec
    edits: Mapping[str, ShotEdit]
    cuts_s: Mapping[str, Fraction]
    title: str = "Proof"

    @property
    def storyboard(self) -> Storyboard:
        """The manifest that asks for it."""
        shots = [
            replace(
                make_shot(shot_id, cut_s=self.cuts_s.get(shot_id)),
                edit=self.edits.get(shot_id, UNEDITED),
            )
            for shot_id in self.clips
        ]
        return replace(make_storyboard(*shots, title=self.title), film=self.film)

    async def deliver_async(
        self,
        folder: Path,
        *,
        ffmpeg: Path,
        on_progress: Callable[[float], None] = lambda _share: None,
        workers: int = 2,
    ) -> Delivered:
        """Make it in a folder, whose cache is kept from one time to the next."""
        folder.mkdir(parents=True, exist_ok=True)
        return await deliver(
            self.storyboard,
            self.clips,
            folder / self.film.master.file_name,
            ffmpeg=ffmpeg,
            cache_dir=folder / ".cache",
            on_progress=on_progress,
            workers=workers,
        )

    def deliver(self, folder: Path, *, ffmpeg: Path, workers: int = 2) -> Delivered:
        """The same, from outside of any event loop."""
        return anyio.run(partial(self.deliver_async, folder, ffmpeg=ffmpeg, workers=workers))


def reel(
    paths: Sequence[Path],
    film: FilmSpec,
    *,
    edits: Mapping[str, ShotEdit] | None = None,
    cuts_s: Mapping[str, Fraction] | None = None,
    title: str = "Proof",
) -> Reel:
    """Clips in this order, as shots ``s01``, ``s02`` …"""
    ids = [f"s{number:02}" for number, _ in enumerate(paths, start=1)]
    return Reel(
        clips={shot_id: checked(path, shot_id) for shot_id, path in zip(ids, paths, strict=True)},
        film=film,
        edits=edits or {},
        cuts_s=cuts_s or {},
        title=title,
    )


def output(name: str, file_name: str, **values: object) -> Deliverable:
    """A deliverable of a tiny raster; ``cut`` may be given as a list of ids."""
    cut = values.pop("cut", None)
    chosen: dict[str, object] = {"width_px": 160, "height_px": 90, "frame_rate": FPS}
    if cut is not None:
        chosen["cut"] = tuple(
            each if isinstance(each, CutShot) else CutShot(shot_id=str(each)) for each in cut
        )
    return Deliverable(name=name, file_name=file_name, **chosen | values)  # type: ignore[arg-type]
