"""Music and voices as files come: any common format, decoded once to raw sound and kept.

The demuxer is named from a file's first bytes, as when the manifest was checked: nothing that it
claims can make ffmpeg open another file or an address.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import anyio.to_thread
import ffmpeg as graph

from pipeline.errors import FileMissing, MediaError
from pipeline.film.spec import FilmFile
from pipeline.finishing import raw_sound
from pipeline.media.commands import SOUND_FORMAT, arguments_of
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.files import file_sha256, publish
from pipeline.media.pieces import Workshop
from pipeline.media.recording import demuxer_of
from pipeline.timecode import SAMPLE_RATE_HZ

_PROTOCOLS = "file,pipe"
_HEAD_BYTES = 16
_LIMIT_FLOOR_S = 120.0
_LIMIT_PER_SECOND = 5.0
# Deliverables of one minute and of six seconds then share what is decoded for them.
_WHOLE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A decoded file: raw sound in the cache, ``samples`` long, and what was odd about it."""

    path: Path
    samples: int
    notes: tuple[str, ...] = ()


async def decode(
    file: FilmFile, workshop: Workshop, *, start_s: Fraction = Fraction(0), wanted: int
) -> Recording:
    """The sound of a file from ``start_s`` on, or as much as a film of ``wanted`` samples can use.

    Where it ends before that it is whole: shorter than ``wanted``. A damaged place is heard as
    the decoder makes it and told as a note; clips are bought and checked, this is the user's own.

    Raises:
        FileMissing: it cannot be read.
        MediaError: it changed since the manifest was checked, is no sound, or ends before
            ``start_s``.
    """
    version = await run_ffmpeg(["-version"], ffmpeg=workshop.ffmpeg, time_limit_s=_LIMIT_FLOOR_S)
    skipped = round(start_s * SAMPLE_RATE_HZ)
    whole = _WHOLE_S * SAMPLE_RATE_HZ
    samples = -(-wanted // whole) * whole
    recipe = build_recording("", "", demuxer="", channels=0, skipped=skipped, samples=samples)
    text = json.dumps([file.sha256, recipe, version.stdout.hex()])
    cached = workshop.cache_dir / f"{hashlib.sha256(text.encode()).hexdigest()}.raw"
    if (found := await anyio.to_thread.run_sync(_read_cached, cached)) is not None:
        return found
    if await anyio.to_thread.run_sync(file_sha256, file.path) != file.sha256:
        raise MediaError(
            f"{file.source} has changed since the manifest was checked",
            hint="run the same command again",
        )
    notes = await _decode(file, workshop, cached, skipped=skipped, samples=samples)
    made = Recording(path=cached, samples=raw_sound.samples_in(cached), notes=notes)
    await anyio.to_thread.run_sync(_write_seal, made)
    return made


async def _decode(
    file: FilmFile, workshop: Workshop, cached: Path, *, skipped: int, samples: int
) -> tuple[str, ...]:
    demuxer, channels = await anyio.to_thread.run_sync(_look_into, file)
    link = workshop.folder / f"r{cached.stem[:16]}"
    part = workshop.folder / cached.name
    link.unlink(missing_ok=True)
    link.symlink_to(file.path.absolute())
    try:
        ended = await run_ffmpeg(
            build_recording(
                link.name,
                part.name,
                demuxer=demuxer,
                channels=channels,
                skipped=skipped,
                samples=samples,
            ),
            ffmpeg=workshop.ffmpeg,
            cwd=workshop.folder,
            time_limit_s=_LIMIT_FLOOR_S + _LIMIT_PER_SECOND * (skipped + samples) / SAMPLE_RATE_HZ,
        )
    except MediaError as exc:
        if exc.returncode is None:
            raise
        raise _unusable(file, exc.message) from exc
    if not raw_sound.samples_in(part):
        raise _unusable(file, f"it has no sound {float(skipped / SAMPLE_RATE_HZ):g} s in")
    await anyio.to_thread.run_sync(publish, part, cached)
    if not ended.stderr_tail:
        return ()
    return (f"{file.source} is damaged or incomplete: {ended.stderr_tail.splitlines()[0][:120]}",)


def build_recording(
    source: str, target: str, *, demuxer: str, channels: int, skipped: int, samples: int
) -> list[str]:
    """Decode a file's first sound to raw stereo floats: ``samples`` of them, the first ``skipped``
    left out, or fewer where it ends."""
    opened = graph.input(source, format=demuxer, threads=1, protocol_whitelist=_PROTOCOLS)
    sound = opened["a:0"].filter("aresample", SAMPLE_RATE_HZ)
    if channels == 1:
        # ffmpeg's own way from one channel to two takes 3 dB off each; see media.commands.
        sound = sound.filter("pan", "stereo|c0<c0|c1<c0")
    sound = sound.filter("aformat", sample_fmts="flt", channel_layouts="stereo").filter(
        "atrim", start_sample=skipped, end_sample=skipped + samples
    )
    return arguments_of(graph.output(sound, target, format=SOUND_FORMAT))


def _look_into(file: FilmFile) -> tuple[str, int]:
    """The demuxer that reads a file, and how many channels its sound has."""
    import av  # noqa: PLC0415 - tens of milliseconds that only films with such files should pay

    with file.path.open("rb") as opened:
        demuxer = demuxer_of(opened.read(_HEAD_BYTES))
    if demuxer is None:
        raise _unusable(file, "its format is not known here")
    options = {"protocol_whitelist": _PROTOCOLS}
    try:
        with av.open(str(file.path.absolute()), format=demuxer, options=options) as sound:
            if not sound.streams.audio:
                raise _unusable(file, "it has no sound")
            return demuxer, sound.streams.audio[0].codec_context.channels
    except av.FFmpegError as exc:
        raise _unusable(file, exc.strerror or "it is damaged") from exc


def _unusable(file: FilmFile, reason: str) -> MediaError:
    return MediaError(
        f"cannot use the sound of {file.source}: {reason}",
        hint="export it again, as WAV, FLAC, MP3, M4A or Ogg",
        returncode=0,
    )


def _seal(cached: Path) -> Path:
    """Beside the raw sound: its hash, for raw sound shows no damage, and the notes on it."""
    return cached.with_name(f"{cached.name}.json")


def _write_seal(made: Recording) -> None:
    seal = {"sha256": file_sha256(made.path), "notes": made.notes}
    _seal(made.path).write_text(json.dumps(seal), encoding="utf-8")


def _read_cached(cached: Path) -> Recording | None:
    try:
        seal = json.loads(_seal(cached).read_text(encoding="utf-8"))
        if seal["sha256"] != file_sha256(cached):
            return None
        notes = tuple(str(note) for note in seal["notes"])
    except (OSError, ValueError, KeyError, TypeError, FileMissing):
        return None
    return Recording(path=cached, samples=raw_sound.samples_in(cached), notes=notes)
