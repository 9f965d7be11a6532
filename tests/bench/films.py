"""The films that are made three times: by ffmpeg alone, by us, and by MoviePy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
import meter
from footage import CARDS, LOGO, MIXED, MUSIC, Look, make_clip
from job import FILM_NAME, Extras, Input, Job
from table import Group, Row

from pipeline.finishing.loudness import measure
from pipeline.media.probe import probe
from pipeline.model import Container

KEYS = ("join", "mixed", "delivery", "chain")
MOVIEPY_FOLDER = Path(sys.prefix) / "sdk" / "moviepy"

_HERE = Path(__file__).resolve().parent
# What takes longer is steady enough to be measured once.
_ENOUGH_S = 15.0
# The rest of the machine keeps something.
_MEMORY_SHARE = 0.7

Contestant = Callable[[Path, Path], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is made: ``scale`` of 1280 x 720, numbers of clips and their seconds. ``joins`` are
    two, of which MoviePy makes the first. What is quick is made up to ``runs`` times."""

    scale: Fraction = Fraction(1)
    runs: int = 3
    joins: tuple[int, int] = (10, 50)
    join_s: int = 6
    mixed: int = 8
    mixed_s: int = 4
    film: int = 5
    film_s: int = 6
    chain: int = 20
    chain_s: int = 3


QUICK = Extent(
    scale=Fraction(1, 2),
    runs=1,
    joins=(3, 6),
    join_s=2,
    mixed=4,
    mixed_s=2,
    film=3,
    film_s=3,
    chain=6,
    chain_s=2,
)


def _script(name: str, *options: str) -> Contestant:
    return lambda job, folder: [
        sys.executable,
        str(_HERE / name),
        str(job),
        str(folder),
        *options,
    ]


_OURS, _PLAIN, _MOVIEPY = _script("ours.py"), _script("plain.py"), _script("by_moviepy.py")
_COPY_BOTH = _script("plain.py", "--copy-both")


@dataclass(slots=True, kw_only=True)
class Films:
    """Makes the groups in a folder, which the caller empties; ``on_row`` hears of each row as it is
    there, for a group takes a while."""

    folder: Path
    ffmpeg: Path
    extent: Extent
    on_row: Callable[[Row], None]
    _made: int = field(default=0, init=False)

    def groups(self, keys: Sequence[str]) -> Iterator[Group]:
        """The groups that are asked for, each as it is done."""
        makers = dict(
            zip(KEYS, (self._joins, self._mixed, self._deliveries, self._chain), strict=True)
        )
        for key in KEYS:
            if key in keys:
                yield from makers[key]()

    def _joins(self) -> Iterator[Group]:
        few, many = self.extent.joins
        clips = self._uniform(few, self.extent.join_s)
        for count in (few, many):
            job = self._job(tuple(clips[index % few] for index in range(count)))
            rows = [
                self._row("ffmpeg, one command", _PLAIN, job),
                self._row("storyboard", _OURS, job),
                self._row("ffmpeg, sound copied (drifts)", _COPY_BOTH, job),
            ]
            if count == few:
                rows += self._by_moviepy(job)
            yield self._group(
                f"join-{count}", f"join {count} clips of {self.extent.join_s} s that agree", rows
            )

    def _mixed(self) -> Iterator[Group]:
        looks = MIXED[: self.extent.mixed]
        clips = [self._clip(look, self.extent.mixed_s) for look in looks]
        job = replace(self._job(tuple(clips)), is_uniform=False)
        rows = [
            self._row("ffmpeg, one filter graph", _PLAIN, job),
            self._row("storyboard", _OURS, job),
            *self._by_moviepy(job),
        ]
        title = f"conform {len(clips)} clips of {self.extent.mixed_s} s, mixed in size and rate"
        yield self._group("conform-mixed", title, rows)

    def _deliveries(self) -> Iterator[Group]:
        extent = self.extent
        job = self._with_extras(self._uniform(extent.film, extent.film_s))
        place = self._new_folder()
        ours = self._row("storyboard", _OURS, job, place=place)
        plain = self._row("ffmpeg, one graph, two passes", _PLAIN, job)
        moviepy = self._by_moviepy(job)
        title = (
            f"deliver {extent.film} clips of {extent.film_s} s: dissolves, end card, music under"
            " the clips, logo, -14 LUFS"
        )
        yield self._group("deliver", title, [plain, ours, *moviepy])
        if job.extras is None:
            return
        changed = replace(job, extras=replace(job.extras, card=str(CARDS[1])))
        again = self._row("storyboard", _OURS, changed, place=place)
        title = "the same with another end card (the others make all anew: as above)"
        yield self._group("deliver-changed-card", title, [plain, again, *moviepy])

    def _chain(self) -> Iterator[Group]:
        extent = self.extent
        job = self._with_extras(self._uniform(extent.chain, extent.chain_s))
        rows = [
            self._row("ffmpeg, a chain of xfade", _PLAIN, job),
            self._row("storyboard", _OURS, job),
            *self._by_moviepy(job),
        ]
        title = f"deliver a chain of {extent.chain} clips of {extent.chain_s} s"
        yield self._group("deliver-chain", title, rows)

    def _group(self, key: str, title: str, rows: Sequence[Row]) -> Group:
        return Group(key=key, title=title, rows=tuple(rows))

    def _by_moviepy(self, job: Job) -> list[Row]:
        return [self._row("MoviePy", _MOVIEPY, job)] if MOVIEPY_FOLDER.is_dir() else []

    def _row(
        self, name: str, contestant: Contestant, job: Job, *, place: Path | None = None
    ) -> Row:
        """Measure one contestant, each run in a folder of its own, or once in ``place``."""
        row = self._measured(name, contestant, job, place)
        self.on_row(row)
        return row

    def _measured(self, name: str, contestant: Contestant, job: Job, place: Path | None) -> Row:
        costs: list[meter.Cost] = []
        most = self.extent.runs if place is None else 1
        while len(costs) < most and sum(cost.wall_s for cost in costs) < _ENOUGH_S:
            folder = place or self._new_folder()
            job_file = folder / "job.json"
            job.write(job_file)
            costs.append(
                meter.run(
                    contestant(job_file, folder),
                    cap_bytes=round(meter.free_memory_bytes() * _MEMORY_SHARE),
                    env=self._environment(contestant),
                )
            )
            if costs[-1].was_stopped:
                return Row.of(name, costs, "stopped: too much memory")
        return Row.of(name, costs, outcome(folder / FILM_NAME, job))

    def _environment(self, contestant: Contestant) -> dict[str, str]:
        if contestant is not _MOVIEPY:
            return dict(os.environ)
        program = str(self.ffmpeg)
        own = {"PYTHONPATH": str(MOVIEPY_FOLDER)}
        return os.environ | own | {"IMAGEIO_FFMPEG_EXE": program, "FFMPEG_BINARY": program}

    def _new_folder(self) -> Path:
        self._made += 1
        folder = self.folder / f"f{self._made:03}"
        folder.mkdir()
        return folder

    def _uniform(self, count: int, length_s: int) -> tuple[Input, ...]:
        return tuple(self._clip(MIXED[0], length_s) for _ in range(count))

    def _clip(self, look: Look, length_s: int) -> Input:
        self._made += 1
        width_px, height_px = (self._scaled(side) for side in (look.width_px, look.height_px))
        return make_clip(
            self.folder,
            self._made,
            replace(look, width_px=width_px, height_px=height_px),
            length_s=length_s,
            film_rate=MIXED[0].rate,
            ffmpeg=self.ffmpeg,
        )

    def _job(self, clips: tuple[Input, ...]) -> Job:
        return Job(
            ffmpeg=str(self.ffmpeg),
            clips=clips,
            width_px=self._scaled(MIXED[0].width_px),
            height_px=self._scaled(MIXED[0].height_px),
            rate=MIXED[0].rate,
            is_uniform=True,
        )

    def _scaled(self, side_px: int) -> int:
        return round(side_px * self.extent.scale / 2) * 2

    def _with_extras(self, clips: tuple[Input, ...]) -> Job:
        extras = Extras(
            overlap_frames=MIXED[0].rate // 2,
            music=str(MUSIC),
            logo=str(LOGO),
            card=str(CARDS[0]),
            card_frames=2 * MIXED[0].rate,
        )
        return replace(self._job(clips), extras=extras)


def outcome(film: Path, job: Job) -> str:
    """What a contestant made, against what was asked: frames, length of sound, loudness."""
    info = probe(film)
    if info.video is None or info.audio is None:
        return "picture or sound is missing"
    off = info.video.packets - job.total_frames
    words = ["all frames" if off == 0 else f"{off:+} frames"]
    if (info.video.width_px, info.video.height_px) != (job.width_px, job.height_px):
        words.append(f"{info.video.width_px}x{info.video.height_px}")
    sound_ms = float(info.audio.end_s - info.video.duration_s) * 1000
    # Up to one block of AAC more is what encoders leave.
    if not -1 <= sound_ms <= 1000 * 1024 / 48_000 + 1:
        words.append(f"sound {sound_ms:+.0f} ms")
    if job.extras is not None:
        measured = anyio.run(
            partial(measure, film, ffmpeg=Path(job.ffmpeg), container=Container.MP4)
        )
        words.append(f"{measured.integrated_lufs} LUFS, {measured.true_peak_dbtp} dBTP")
    return ", ".join(words)
