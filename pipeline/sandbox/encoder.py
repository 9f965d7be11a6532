"""Feed raw pictures to one ffmpeg and get a clip that appears whole or not at all.

ffmpeg reads pictures from its standard input and the sound from a file with a fixed name in a
private folder beside the destination, so no name or text from outside is ever on its command line.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import av
import av.error

from pipeline.errors import FfmpegMissing, MediaError, StorageError
from pipeline.sandbox.planes import Planes

_SOUND, _CLIP, _LOG = "sound.wav", "clip", "stderr.log"
_USUAL_QUALITY = 95
_TAIL_BYTES = 2000
# Keys and FFREPORT stay out; a library path is what some builds need to start at all.
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")


class Container(StrEnum):
    """The kinds of file; MP4 and MOV hold H.264 and AAC, WebM holds VP9 and Opus."""

    MP4 = "mp4"
    MOV = "mov"
    WEBM = "webm"


_DEMUXERS = {Container.MP4: "mp4", Container.MOV: "mov", Container.WEBM: "matroska"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What is to be written: even sizes in pixels, whole frames a second, exact frame count.

    ``quality`` 20 to 99, as customers know it.
    """

    width_px: int
    height_px: int
    fps: int
    frames: int
    container: Container = Container.MP4
    quality: int = _USUAL_QUALITY


def encode(
    pictures: Iterable[Planes],
    wav: bytes,
    form: Format,
    destination: Path,
    *,
    ffmpeg: Path,
    time_limit_s: float,
) -> None:
    """Write a clip to ``destination``, replacing what is there.

    The same pictures, sound and ffmpeg give the same bytes. On any failure nothing is left.

    Raises:
        FfmpegMissing: ``ffmpeg`` is not a program.
        MediaError: it failed, took longer than ``time_limit_s``, or wrote another frame count.
        StorageError: the folder of ``destination`` cannot be written to.
    """
    program = shutil.which(ffmpeg)
    if program is None:
        raise FfmpegMissing(f"no ffmpeg at {ffmpeg}", hint="run: storyboard doctor")
    target = destination.absolute()
    try:
        with tempfile.TemporaryDirectory(prefix=".animatic-", dir=target.parent) as folder:
            work = Path(folder)
            (work / _SOUND).write_bytes(wav)
            command = build_command(str(Path(program).absolute()), form)
            _run(command, work, pictures, time_limit_s)
            _check(work / _CLIP, form)
            _publish(work / _CLIP, target)
    except OSError as exc:
        raise StorageError(f"cannot write the animatic {destination.name!r}: {exc}") from exc


def build_command(program: str, form: Format) -> list[str]:
    """The arguments of one encode, to be run in the private folder.

    One thread each: several clips are encoded side by side, and x264's bits depend on the count.
    """
    bt709 = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    return [
        *(program, "-nostdin", "-nostats", "-hide_banner", "-v", "error"),
        *("-f", "rawvideo", "-pixel_format", "yuv420p", "-framerate", str(form.fps)),
        *("-video_size", f"{form.width_px}x{form.height_px}", "-i", "pipe:0"),
        *("-f", "wav", "-i", _SOUND),
        *("-map", "0:v:0", "-map", "1:a:0", "-map_metadata", "-1", "-filter_threads", "1"),
        *("-vf", bt709, "-color_range", "tv", "-color_primaries", "bt709"),
        *("-color_trc", "bt709", "-colorspace", "bt709"),
        *(_vp9(form) if form.container is Container.WEBM else _h264(form)),
        *("-g", str(2 * form.fps), "-ar", "48000", "-ac", "2"),
        *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
        *("-metadata", "comment=animatic", "-f", form.container.value, _CLIP),
    ]


def _h264(form: Format) -> tuple[str, ...]:
    # A quarter of a step for each point below the usual quality: 20 is x264's 40, a rough sketch.
    crf = 21 + round((_USUAL_QUALITY - form.quality) / 4)
    return (
        # aq-mode 3 spends bits in dark areas, where soft backdrops would otherwise show bands.
        *("-c:v", "libx264", "-threads:v", "1", "-preset", "veryfast", "-crf", str(crf)),
        *("-profile:v", "high", "-pix_fmt", "yuv420p", "-x264-params", "aq-mode=3"),
        *("-video_track_timescale", "12288", "-c:a", "aac", "-b:a", "128k"),
        *("-movflags", "+faststart"),
    )


def _vp9(form: Format) -> tuple[str, ...]:
    # Realtime at its fastest: VP9's own pace would take longer than the clip lasts.
    crf = 31 + round((_USUAL_QUALITY - form.quality) / 4)
    return (
        *("-c:v", "libvpx-vp9", "-threads:v", "1", "-deadline", "realtime", "-cpu-used", "8"),
        *("-crf", str(crf), "-b:v", "0", "-pix_fmt", "yuv420p"),
        *("-c:a", "libopus", "-b:a", "96k"),
    )


def _run(command: list[str], work: Path, pictures: Iterable[Planes], time_limit_s: float) -> None:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with (work / _LOG).open("wb") as log:
        try:
            process = subprocess.Popen(
                command,
                cwd=work,
                env={**environment, "LC_ALL": "C"},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                # Room for most of a frame, so that drawing and encoding run side by side.
                pipesize=1 << 20,
            )
        except OSError as exc:
            raise FfmpegMissing(
                f"{command[0]} cannot be started: {exc}", hint="run: storyboard doctor"
            ) from exc
    late = threading.Event()

    def give_up() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(time_limit_s, give_up)
    timer.start()
    try:
        _feed(process, pictures)
        returncode = process.wait()
    finally:
        timer.cancel()
        timer.join()
        if process.poll() is None:
            _kill(process)
            process.wait()
    tail = _printable_tail(work / _LOG)
    if late.is_set():
        raise MediaError(
            f"ffmpeg did not finish an animatic within {time_limit_s:g} s and was ended",
            hint="is the machine overloaded? run again",
            stderr_tail=tail,
        )
    if returncode != 0:
        raise MediaError(
            f"ffmpeg failed on an animatic with exit code {returncode}: {tail or 'no message'}",
            hint="run: storyboard doctor",
            returncode=returncode,
            stderr_tail=tail,
        )


def _feed(process: subprocess.Popen[bytes], pictures: Iterable[Planes]) -> None:
    """Write every picture; an ffmpeg that stops reading is judged by its exit code instead."""
    if process.stdin is None:
        raise ValueError("ffmpeg was started without a pipe to write to")
    try:
        with suppress(BrokenPipeError):
            for picture in pictures:
                for plane in picture.tobytes():
                    process.stdin.write(plane)
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _printable_tail(log: Path) -> str:
    text = log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _check(clip: Path, form: Format) -> None:
    """Count the coded pictures: an ffmpeg that lost its input early still exits with 0."""
    try:
        with av.open(str(clip), format=_DEMUXERS[form.container]) as container:
            frames = sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.error.FFmpegError, IndexError) as exc:
        raise MediaError(f"ffmpeg wrote an animatic that cannot be read back: {exc}") from exc
    if frames != form.frames:
        raise MediaError(f"ffmpeg wrote {frames} frames of an animatic instead of {form.frames}")


def _publish(clip: Path, target: Path) -> None:
    with clip.open("rb") as file:
        os.fsync(file.fileno())
    clip.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
