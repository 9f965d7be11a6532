"""Opens a clip that a shot edits: a plain MP4, MOV or WEBM, whole, measured. Writes nothing."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pipeline.errors import ExitCode, FileMissing, MediaError
from pipeline.library import ImageRefused
from pipeline.media.files import file_sha256
from pipeline.media.heads import HEAD_BYTES, container_of
from pipeline.media.probe import probe, require_video
from pipeline.model import Container, FileReference, Size, VideoReference
from pipeline.text import shown

# A clip of ten seconds is a few megabytes; the request carries it whole.
MAX_CLIP_BYTES = 50_000_000
# Source: the IANA registry of media types.
_MEDIA_TYPES: Mapping[Container, str] = MappingProxyType(
    {
        Container.MP4: "video/mp4",
        Container.MOV: "video/quicktime",
        Container.WEBM: "video/webm",
    }
)


def open_clip(path: Path, source: str) -> VideoReference | ImageRefused:
    """Measure one clip, whose format is told by its bytes and not by its name.

    Args:
        path: as found by ``images.locate``.
        source: as written in the manifest; goes into messages and the result.
    """
    quoted = f'"{shown(source)}"'
    try:
        # Looked at before it is opened, as a FIFO would hang until someone writes to it.
        facts = path.stat()
    except FileNotFoundError:
        return ImageRefused(
            message=f"{quoted} does not exist (looked for {shown(str(path), 200)})",
            hint="file names are relative to the manifest's folder",
            exit_code=ExitCode.FILE_MISSING,
            is_absent=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable file name"
        return _unreadable(quoted, reason)
    if not stat.S_ISREG(facts.st_mode):
        return ImageRefused(
            message=f"{quoted} is not a plain file", hint="name an MP4, MOV or WEBM file"
        )
    if facts.st_size > MAX_CLIP_BYTES:
        return ImageRefused(
            message=f"{quoted} has {facts.st_size / 1e6:.0f} MB; at most "
            f"{MAX_CLIP_BYTES / 1e6:.0f} MB can be uploaded",
            hint="save it smaller",
        )
    return _measure(path, source, facts.st_size)


def _measure(path: Path, source: str, size_bytes: int) -> VideoReference | ImageRefused:
    quoted = f'"{shown(source)}"'
    try:
        with path.open("rb") as file:
            container = container_of(file.read(HEAD_BYTES)) or Container.MP4
        video = require_video(probe(path, container), path)
        digest = file_sha256(path)
    except (FileMissing, OSError) as error:
        return _unreadable(quoted, getattr(error, "strerror", None) or str(error))
    except MediaError as error:
        return ImageRefused(
            message=f"{quoted} is not a clip that can be edited: {error.message}",
            hint="export it again, as MP4, MOV or WEBM",
        )
    return VideoReference(
        media=FileReference(
            source=source,
            path=path,
            sha256=digest,
            size_bytes=size_bytes,
            media_type=_MEDIA_TYPES[container],
            width_px=video.width_px,
            height_px=video.height_px,
        ),
        duration_s=video.duration_s,
        size=Size(width_px=video.width_px, height_px=video.height_px),
    )


def _unreadable(quoted: str, reason: str) -> ImageRefused:
    return ImageRefused(
        message=f"{quoted} cannot be read: {shown(reason.lower())}",
        hint="check its permissions",
        exit_code=ExitCode.FILE_MISSING,
    )
