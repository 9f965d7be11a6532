"""Opens a recording that a film lays under its picture: a plain sound file, by its own bytes.

The demuxer is named from the file's first bytes, so a playlist that calls itself a WAV is never
followed. Writes nothing.
"""

from __future__ import annotations

import stat
from fractions import Fraction
from pathlib import Path

from pipeline.errors import ExitCode, FileMissing
from pipeline.film.sources import Opened
from pipeline.film.spec import FilmFile
from pipeline.library import ImageRefused
from pipeline.media.files import file_sha256
from pipeline.text import shown

# An hour of 24-bit stereo at 96 kHz has 2 GB; a music bed of some minutes far less.
MAX_RECORDING_BYTES = 2_000_000_000
_HEAD_BYTES = 16
_FORMATS = "WAV, FLAC, MP3, AAC, Ogg, AIFF, MP4 or WEBM"


def demuxer_of(head: bytes) -> str | None:
    """What ffmpeg calls the one program part that reads a sound file beginning with ``head`` (12
    bytes or more); None: it is no format that we take."""
    for start, inner, name in _SIGNATURES:
        if head.startswith(start) and head[8 : 8 + len(inner)] == inner:
            return name
    if head[4:8] == b"ftyp":
        return "mov"
    # A frame of MPEG audio begins with eleven set bits; of AAC with twelve, and layer 0.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    return None


# First bytes, bytes from the ninth on, demuxer.
_SIGNATURES = (
    (b"RIFF", b"WAVE", "wav"),
    (b"RF64", b"WAVE", "wav"),
    (b"fLaC", b"", "flac"),
    (b"OggS", b"", "ogg"),
    (b"ID3", b"", "mp3"),
    (b"FORM", b"AIFF", "aiff"),
    (b"FORM", b"AIFC", "aiff"),
    (b"\x1a\x45\xdf\xa3", b"", "matroska"),
)


def open_recording(path: Path, source: str) -> Opened | ImageRefused:
    """Look at one sound file: it is there, is what it seems, and its sound decodes from the start.

    Args:
        path: as found by ``images.locate``.
        source: as written in the manifest; goes into messages and the result.
    """
    quoted = f'"{shown(source)}"'
    try:
        # Looked at before it is opened, as a FIFO would hang until someone writes to it.
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            return ImageRefused(
                message=f"{quoted} is not a plain file", hint=f"name a {_FORMATS} file"
            )
        if facts.st_size > MAX_RECORDING_BYTES:
            return ImageRefused(
                message=f"{quoted} has {facts.st_size / 1e9:.1f} GB; at most "
                f"{MAX_RECORDING_BYTES / 1e9:.0f}",
                hint="name a shorter recording",
            )
        with path.open("rb") as file:
            demuxer = demuxer_of(file.read(_HEAD_BYTES))
        if demuxer is None:
            return ImageRefused(
                message=f"{quoted} is no sound file that is known here",
                hint=f"save it as {_FORMATS}",
            )
        return _listen(path, source, demuxer)
    except FileNotFoundError:
        return ImageRefused(
            message=f"{quoted} does not exist (looked for {shown(str(path), 200)})",
            hint="file names are relative to the manifest's folder",
            exit_code=ExitCode.FILE_MISSING,
            is_absent=True,
        )
    except (OSError, ValueError, FileMissing) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return ImageRefused(
            message=f"{quoted} cannot be read: {shown(reason.lower())}",
            hint="check its permissions",
            exit_code=ExitCode.FILE_MISSING,
        )


def _listen(path: Path, source: str, demuxer: str) -> Opened | ImageRefused:
    import av  # noqa: PLC0415 - tens of milliseconds that only films with sound should pay

    quoted = f'"{shown(source)}"'
    options = {"protocol_whitelist": "file"}
    try:
        # An absolute path: a name like "data:x" or "-i" is then never anything but a file.
        with av.open(str(path.absolute()), format=demuxer, options=options) as file:
            if not file.streams.audio:
                return ImageRefused(message=f"{quoted} has no sound in it", hint="name another")
            stream = file.streams.audio[0]
            decoded = 0
            for frame in file.decode(stream):
                decoded += frame.samples
                if decoded >= stream.codec_context.sample_rate // 2:
                    break
            length = file.duration
    except av.FFmpegError as error:
        return ImageRefused(
            message=f"{quoted} cannot be decoded: {shown((error.strerror or 'damaged').lower())}",
            hint=f"export it again, as {_FORMATS}",
        )
    if not decoded:
        return ImageRefused(message=f"{quoted} holds no sound", hint="export it again")
    return Opened(
        file=FilmFile(source=source, path=path, sha256=file_sha256(path)),
        duration_s=None if length is None else Fraction(length, 1_000_000),
    )
