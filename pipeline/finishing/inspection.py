"""Measures one clip or finished film in a single strict decode: nothing is judged or changed here.

Picture and sound go through ffmpeg's detectors side by side, which write what they find to two
files of ours: unlike its log, these read the same from version to version and are never cut short.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import anyio.to_thread
import ffmpeg as graph

from pipeline.errors import MediaError
from pipeline.finishing.measurements import ColorTags, Measurements, SoundMeasured, Stretch
from pipeline.media.boxes import walk_boxes
from pipeline.media.commands import BLACK_LEVEL, BLACK_SHARE, arguments_of, picture_input
from pipeline.media.probe import AudioInfo, MediaInfo, VideoInfo, probe, require_video
from pipeline.media.verify import check_index, decode_all
from pipeline.model import Container
from pipeline.timecode import SAMPLE_RATE_HZ

_PICTURE_FILE, _SOUND_FILE, _BLOCKS_FILE = "picture.txt", "sound.txt", "blocks.raw"
# Looking at single pixels of a smaller raster costs next to nothing; averaging them instead would
# take away film grain and the small lights of a night, by which a good clip is told from a bad one.
_LOOKED_AT_PX = 320
# Mean difference to the picture that a stretch began with, a 26th of one of 256 levels. Film
# grain that an encoder left anything of is more, a still that it encoded is less.
_STILL_DIFFERENCE = 0.00015
_STILL_S = 0.5
# A small thing that moves hardly shows in the mean of all pixels: a blinking eye, a flame. So no
# block of 8 x 8 of them may change by more than an encoder lets a still change (measured: 2
# of 256 levels, more only at rates at which nothing else is left to see).
_BLOCK_PX = 8
_STILL_BLOCK_LEVELS = 2
_SILENT = "-60dB"
_SILENT_S = 0.5
# The meter speaks every 0.1 s. So much silence behind the end makes it tell the peaks of the last
# piece, too; loudness is read before it, as blocks that are not full do not count (EBU Tech 3341).
_METER_STEP_S = 0.1
# What the meter starts from: the absolute gate. Source: ITU-R BS.1770-4, annex 1.
_GATE_LUFS = -70.0
_MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the detectors wrote: times in the file's own seconds, runs in frames."""

    pictures: list[tuple[str, float]]
    still: list[tuple[int, int]]
    sounds: list[tuple[str, float]]


async def inspect(
    path: Path,
    container: Container = Container.MP4,
    *,
    ffmpeg: Path,
    black_level: Fraction = BLACK_LEVEL,
) -> Measurements:
    """Decode all of one file and measure it.

    Args:
        path: a file on this machine, with or without sound.
        container: what the file is to be, whatever its name says.
        black_level: up to which share of full luma a pixel is black, 0 to 1.
    Raises:
        ClipRejected: it is damaged, cut off, without a picture, or of another format.
        FileMissing: the file cannot be read.
        MediaError: ffmpeg itself could not do its work; says nothing about the file.
    """
    info = await anyio.to_thread.run_sync(probe, path, container)
    video = require_video(info, path)
    check_index(path, video)
    with tempfile.TemporaryDirectory(prefix="storyboard-") as name:
        folder = Path(name)
        arguments = build_inspection(
            str(path.absolute()),
            video=video,
            has_sound=info.audio is not None,
            black_level=black_level,
        )
        await decode_all(path, arguments, ffmpeg=ffmpeg, video=video, cwd=folder)
        pictures = _read(folder / _PICTURE_FILE)
        still = await anyio.to_thread.run_sync(_still_runs, folder / _BLOCKS_FILE, video)
        sounds = _read(folder / _SOUND_FILE) if info.audio is not None else []
    if [key for key, _ in pictures].count("seen") != video.packets:
        raise _not_whole()
    found = _Found(pictures=pictures, still=still, sounds=sounds)
    return _measurements(path, info, video, found)


def build_inspection(
    source: str, *, video: VideoInfo, has_sound: bool, black_level: Fraction
) -> list[str]:
    """The decode with its detectors; they write to two files in ffmpeg's working folder."""
    clip = picture_input(source, video)
    share = min(1.0, _LOOKED_AT_PX / max(video.width_px, video.height_px))
    width_px, height_px = (
        max(2, round(side * share / 2) * 2) for side in (video.width_px, video.height_px)
    )
    columns, rows = _blocks(video)
    looked_at = (
        clip["v:0"]
        .filter("scale", width_px, height_px, flags="neighbor", out_range="tv")
        .filter("format", "yuv420p")
        .split()
    )
    blocks = looked_at[1].filter("scale", columns, rows, flags="area").filter("format", "gray")
    tracks = [
        looked_at[0]
        .filter("blackdetect", d=0, pic_th=BLACK_SHARE, pix_th=float(black_level))
        .filter("freezedetect", n=_STILL_DIFFERENCE, d=_STILL_S)
        # Every picture leaves a line, so that a report that is not whole shows.
        .filter("metadata", mode="add", key="seen", value=1)
        .filter("metadata", mode="print", file=_PICTURE_FILE)
    ]
    if has_sound:
        tracks.append(
            clip["a:0"]
            .filter("aresample", SAMPLE_RATE_HZ)
            .filter("silencedetect", n=_SILENT, d=_SILENT_S)
            .filter("apad", pad_len=round(_METER_STEP_S * SAMPLE_RATE_HZ))
            .filter("ebur128", peak="true", metadata=1, framelog="verbose")
            .filter("ametadata", mode="print", file=_SOUND_FILE)
        )
    # The null muxer takes frames as they come; the first output is the one that is counted.
    options = {"xerror": None, "progress": "pipe:1", "filter_complex_threads": 1}
    counted = graph.output(*tracks, "-", format="null", **options)
    seen = graph.output(blocks, _BLOCKS_FILE, format="rawvideo", fps_mode="passthrough")
    return arguments_of(graph.merge_outputs(counted, seen))


def _blocks(video: VideoInfo) -> tuple[int, int]:
    """Columns and rows of the blocks that a picture is looked at in."""
    share = min(1.0, _LOOKED_AT_PX / max(video.width_px, video.height_px))
    columns, rows = (
        max(1, round(side * share / _BLOCK_PX)) for side in (video.width_px, video.height_px)
    )
    return columns, rows


def _still_runs(report: Path, video: VideoInfo) -> list[tuple[int, int]]:
    """First frame, and first frame after, of each run in which no block changes."""
    import numpy as np  # noqa: PLC0415 - only commands with media should pay for it

    columns, rows = _blocks(video)
    levels = np.fromfile(report, dtype=np.uint8)
    if levels.size != video.packets * columns * rows:
        raise _not_whole()
    pictures = levels.reshape(video.packets, -1).astype(np.int16)
    runs, first = [], 0
    for frame in range(1, video.packets):
        if np.abs(pictures[frame] - pictures[first]).max() > _STILL_BLOCK_LEVELS:
            runs.append((first, frame))
            first = frame
    return [*runs, (first, video.packets)]


def _read(report: Path) -> list[tuple[str, float]]:
    """Every ``key=value`` of a report, in order."""
    try:
        text = report.read_text(encoding="utf-8")
    except OSError as exc:
        raise _not_whole() from exc
    if not text.endswith("\n"):
        raise _not_whole()
    return list(_values(text))


def _not_whole() -> MediaError:
    return MediaError(
        "ffmpeg could not write down all that it measured",
        hint=f"free some space in {tempfile.gettempdir()}, then try again",
        returncode=0,
    )


def _values(report: str) -> Iterator[tuple[str, float]]:
    for line in report.splitlines():
        key, is_value, value = line.removeprefix("lavfi.").partition("=")
        if is_value:
            yield key, float(value)


def _measurements(
    path: Path,
    info: MediaInfo,
    video: VideoInfo,
    found: _Found,
) -> Measurements:
    def on_frame(at_s: float) -> Fraction:
        since_s = Fraction(at_s) - video.start_s
        if video.on_grid:
            return round(since_s * video.frame_rate) / video.frame_rate
        return _whole_ms(since_s)

    def stretches(start: str, end: str) -> tuple[Stretch, ...]:
        times = [(key, on_frame(at_s)) for key, at_s in found.pictures]
        return _stretches(times, start, end, last_s=video.duration_s)

    return Measurements(
        container=video.container,
        size_bytes=info.size_bytes,
        has_index_first=_has_index_first(path, video.container),
        video_codec=video.codec,
        video_profile=video.profile,
        pixel_format=video.pixel_format,
        color=ColorTags(
            primaries=video.color_primaries,
            transfer=video.color_transfer,
            matrix=video.colorspace,
            value_range=video.color_range,
        ),
        width_px=video.width_px,
        height_px=video.height_px,
        sample_aspect=video.sample_aspect,
        frame_rate=video.frame_rate,
        is_rate_constant=video.on_grid,
        frames=video.packets,
        duration_s=video.duration_s,
        black=stretches("black_start", "black_end"),
        frozen=_common(
            stretches("freezedetect.freeze_start", "freezedetect.freeze_end"),
            [_stretch_of(video, first, last) for first, last in found.still],
        ),
        sound=None if info.audio is None else _sound(info.audio, video, found.sounds),
    )


def _has_index_first(path: Path, container: Container) -> bool | None:
    if container is Container.WEBM:
        return None
    kinds = [box.kind for box in walk_boxes(path, container)]
    return kinds.index("moov") < kinds.index("mdat")


def _sound(audio: AudioInfo, video: VideoInfo, values: list[tuple[str, float]]) -> SoundMeasured:
    steps = [value for key, value in values if key == "r128.I"]
    peaks = [value for key, value in values if key == "r128.true_peak"]
    # The last step reaches into the silence that was put behind the end.
    loudness = steps[-2] if len(steps) > 1 else _GATE_LUFS
    peak = max(peaks, default=0.0)
    times = [(key, _whole_ms(Fraction(value) - video.start_s)) for key, value in values
             if key.startswith("silence_")]  # fmt: skip
    last_s = _whole_ms(audio.end_s - video.start_s)
    return SoundMeasured(
        codec=audio.codec,
        channels=audio.channels,
        sample_rate_hz=audio.sample_rate_hz,
        starts_late_s=audio.start_s - video.start_s,
        ends_late_s=audio.end_s - video.start_s - video.duration_s,
        integrated_lufs=loudness if loudness > _GATE_LUFS else None,
        true_peak_dbtp=20 * math.log10(peak) if peak > 0 else None,
        silent=_stretches(times, "silence_start", "silence_end", last_s=last_s),
    )


def _whole_ms(at_s: Fraction) -> Fraction:
    return round(at_s / _MILLISECOND) * _MILLISECOND


def _stretches(
    times: list[tuple[str, Fraction]], start: str, end: str, *, last_s: Fraction
) -> tuple[Stretch, ...]:
    """Pair each start with its end; one that is still open at the end of the file ends there."""
    starts = [at_s for key, at_s in times if key == start]
    ends = [at_s for key, at_s in times if key == end]
    ends += [last_s] * (len(starts) - len(ends))
    pairs = zip(starts, ends, strict=True)
    return tuple(Stretch(start_s=a, end_s=b) for a, b in pairs if b > a)


def _stretch_of(video: VideoInfo, first: int, last: int) -> Stretch:
    frame_s = video.duration_s / video.packets
    return Stretch(start_s=first * frame_s, end_s=last * frame_s)


def _common(found: tuple[Stretch, ...], other: list[Stretch]) -> tuple[Stretch, ...]:
    """What lies in a stretch of both kinds, if it is long enough to be told."""
    pairs = ((max(a.start_s, b.start_s), min(a.end_s, b.end_s)) for a in found for b in other)
    return tuple(Stretch(start_s=a, end_s=b) for a, b in pairs if b - a >= _STILL_S)
