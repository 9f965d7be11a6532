"""Opens reference images that a stranger may have named: safely, once, and whole.

A file is looked at before it is opened (a FIFO would hang), stays inside the project's folder,
is measured by its header before anything is decoded, and is decoded in full so that damage is
found here and not by a paid provider. Writes nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pipeline.errors import ExitCode, FileMissing
from pipeline.library import ImageRefused
from pipeline.model import FileReference
from pipeline.text import shown

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 50_000_000

Size: TypeAlias = tuple[int, int]

_NOT_AN_IMAGE_HINT = "save it as PNG, JPEG or WebP"
_DAMAGED_HINT = "export or copy the image again"
# The first bytes of what people take for pictures: (offset, bytes, name).
_SIGNATURES = (
    (0, b"%PDF", "PDF"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"8BPS", "Photoshop document"),
    (0, b"PK\x03\x04", "ZIP archive"),
    (0, b"\0\0\1\0", "icon"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftyp", "video"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"version https://git-lfs", "Git LFS pointer, not the file itself"),
)


@dataclass(frozen=True, slots=True)
class _Damaged(Exception):
    """The bytes do not make a whole picture."""

    reason: str


def locate(source: str, folder: Path, *, allow_outside: bool = False) -> Path | ImageRefused:
    """The real path of ``source``, which must lie inside ``folder`` after every symlink.

    ``source`` is relative to ``folder``. Nothing is opened, and outside nothing is even looked
    for: its existence is nobody's business.
    """
    try:
        base = Path(os.path.realpath(folder))
        path = Path(os.path.realpath(base / source))
    except (OSError, ValueError):
        return ImageRefused(
            message=f'"{shown(source)}" cannot be a file name',
            hint="name a file relative to the manifest's folder",
        )
    if allow_outside or path.is_relative_to(base):
        return path
    lexical = Path(os.path.normpath(base / source))
    is_link = lexical.is_relative_to(base)
    return ImageRefused(
        message=f'"{shown(source)}" {"leads by a link" if is_link else "is"} '
        "outside the project folder",
        hint="copy it beside the manifest, or give --allow-outside to permit it",
    )


def open_image(path: Path, source: str, max_bytes: int) -> FileReference | ImageRefused:
    """Read one image file whole and say what it is.

    Args:
        path: as found by :func:`locate`.
        source: as written in the manifest; goes into messages and the result.
        max_bytes: the provider's upload limit.
    """
    quoted = f'"{shown(source)}"'
    try:
        data = _read(path, quoted, max_bytes)
    except FileNotFoundError:
        return ImageRefused(
            message=f"{quoted} does not exist (looked for {shown(str(path), 200)})",
            hint="file names are relative to the manifest's folder",
            exit_code=ExitCode.FILE_MISSING,
            is_absent=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable file name"
        return ImageRefused(
            message=f"{quoted} cannot be read: {shown(reason.lower())}",
            hint=f"check {shown(str(path), 200)} and its permissions",
            exit_code=ExitCode.FILE_MISSING,
        )
    return data if isinstance(data, ImageRefused) else _judge(data, path, source)


def read_unchanged(reference: FileReference) -> bytes:
    """The bytes of a reference, which must still be those that were checked.

    Raises:
        FileMissing: the file is gone, cannot be read, or has other content by now.
    """
    quoted = f'"{shown(reference.source)}"'
    try:
        data = _read(reference.path, quoted, reference.size_bytes)
    except OSError as error:
        raise FileMissing(
            f"reference {quoted} can no longer be read: {error.strerror}",
            hint="put the file back, then run again",
        ) from error
    if isinstance(data, ImageRefused) or hashlib.sha256(data).hexdigest() != reference.sha256:
        raise FileMissing(
            f"reference {quoted} has changed since it was checked",
            hint="run again, so that the new picture is checked and priced",
        )
    return data


def _read(path: Path, quoted: str, max_bytes: int) -> bytes | ImageRefused:
    """The bytes of a plain file of at most ``max_bytes``."""
    refused = _refuse_kind(path.stat(), quoted, max_bytes)
    if refused is not None:
        return refused
    # The file may have been exchanged since: O_NONBLOCK keeps even a FIFO from hanging us.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as file:
        refused = _refuse_kind(os.fstat(file.fileno()), quoted, max_bytes)
        if refused is not None:
            return refused
        data = file.read(max_bytes + 1)
    return _too_large(len(data), quoted, max_bytes) if len(data) > max_bytes else data


def _refuse_kind(facts: os.stat_result, quoted: str, max_bytes: int) -> ImageRefused | None:
    kinds: tuple[tuple[Callable[[int], bool], str], ...] = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    if not stat.S_ISREG(facts.st_mode):
        what = next((name for test, name in kinds if test(facts.st_mode)), "something else")
        return ImageRefused(
            message=f"{quoted} is {what}, not a plain file", hint="name one image file"
        )
    return _too_large(facts.st_size, quoted, max_bytes) if facts.st_size > max_bytes else None


def _too_large(size_bytes: int, quoted: str, max_bytes: int) -> ImageRefused:
    return ImageRefused(
        message=f"{quoted} has {size_bytes / 1e6:.1f} MB; over the upload limit of "
        f"{max_bytes / 1e6:.0f} MB",
        hint="save it smaller, for example as JPEG",
    )


def _judge(data: bytes, path: Path, source: str) -> FileReference | ImageRefused:
    quoted = f'"{shown(source)}"'
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        media_type, measure = "image/png", _measure_png
    elif data.startswith(b"\xff\xd8\xff"):
        media_type, measure = "image/jpeg", _measure_jpeg
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        media_type, measure = "image/webp", _measure_webp
    else:
        return ImageRefused(
            message=f"{quoted} is not a PNG, JPEG or WebP (found: {_kind(data)})",
            hint=_NOT_AN_IMAGE_HINT,
        )
    try:
        width_px, height_px = measure(data)
        if width_px * height_px > MAX_PIXELS:
            return ImageRefused(
                message=f"{quoted} has {width_px * height_px / 1e6:.0f} megapixels; "
                f"at most {MAX_PIXELS // 1_000_000}",
                hint="scale it down; clips are 720 lines high",
            )
        _decode(data, media_type, (width_px, height_px))
    except _Damaged as damage:
        return ImageRefused(
            message=f"{quoted} is damaged: {shown(damage.reason, 100)}", hint=_DAMAGED_HINT
        )
    return FileReference(
        source=source,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        media_type=media_type,
        width_px=width_px,
        height_px=height_px,
    )


def _kind(data: bytes) -> str:
    """What bytes that are none of our formats most likely are."""
    if not data:
        return "an empty file"
    for offset, signature, name in _SIGNATURES:
        if data.startswith(signature, offset):
            return name
    head = data[:2048]
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # A character cut in two by the end of ``head`` is still text.
        text = head[: error.start].decode() if error.start > len(head) - 4 > 0 else ""
    text = text.lstrip("\ufeff \t\r\n").lower()
    if "<svg" in text:
        return "SVG"
    if text.startswith(("<!doctype html", "<html")):
        return "web page"
    return "text" if text and "\0" not in text else "unknown data"


def _measure_png(data: bytes) -> Size:
    """Width and height, after every chunk was found whole.

    Source: https://www.w3.org/TR/png-3/#5DataRep (length, type, data, CRC of type and data).
    """
    size: Size | None = None
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        checksum = zlib.crc32(memoryview(data)[at + 4 : end - 4])
        if checksum != struct.unpack_from(">I", data, end - 4)[0]:
            raise _Damaged(f"wrong checksum at byte {at}")
        if size is None:
            if kind != b"IHDR" or length != 13:
                raise _Damaged("no header")
            size = struct.unpack_from(">II", data, at + 8)
        if kind == b"IEND":
            return size
        at = end
    raise _Damaged("the file ends too early") if size or len(data) < 45 else _Damaged("no header")


# Markers that start a JPEG frame, which has the size; C4, C8 and CC are something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _measure_jpeg(data: bytes) -> Size:
    """Width and height, after the end marker was found behind the picture.

    Source: ITU-T T.81, annex B (marker segments).
    """
    size: Size | None = None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise _Damaged(f"no marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA:
            # Thumbnails have ends of their own, but they are in segments before this one.
            if data.find(b"\xff\xd9", at) < 0:
                break
            if size is None:
                raise _Damaged("no size")
            return size
        if marker in _JPEG_FRAMES and at + 9 <= len(data):
            height_px, width_px = struct.unpack_from(">HH", data, at + 5)
            size = (width_px, height_px)
        has_no_length = marker == 0x01 or 0xD0 <= marker <= 0xD8
        at += 2 if has_no_length else 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise _Damaged("the file ends too early")


def _measure_webp(data: bytes) -> Size:
    """Width and height of the canvas, after the container was found whole.

    Source: https://developers.google.com/speed/webp/docs/riff_container
    """
    if len(data) < 30 or struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise _Damaged("the file ends too early")
    match data[12:16]:
        case b"VP8X":
            width_px = 1 + int.from_bytes(data[24:27], "little")
            height_px = 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            width_px, height_px = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width_px, height_px = (value & 0x3FFF for value in struct.unpack_from("<HH", data, 26))
        case _:
            raise _Damaged("no picture in it")
    return width_px, height_px


def _decode(data: bytes, media_type: str, size: Size) -> None:
    """Decode every pixel.

    Raises:
        _Damaged: the decoder refuses, or finds another size than the header's.
    """
    plug_in = _plug_in(media_type)
    try:
        with plug_in(BytesIO(data)) as image:
            # A second header could ask for any amount of memory.
            has_one_size = image.size == size
            if has_one_size:
                image.load()
    except MemoryError as error:
        raise _Damaged("there is not enough memory to decode it") from error
    # Decoders fail in many ways on hostile bytes: OSError, SyntaxError, ValueError, struct.error,
    # IndexError and more; each of them means that this file is no picture.
    except Exception as error:
        raise _Damaged(re.sub(r"\s+", " ", str(error)) or type(error).__name__) from error
    if not has_one_size:
        raise _Damaged("it has two sizes")


def _plug_in(media_type: str) -> Callable[[BytesIO], Image]:
    """The decoder of one format.

    The plug-in's class opens the bytes without the size warnings of ``Image.open``, which would
    go to the user's screen; the size was checked before. Pillow is only loaded when there is
    something to decode.
    """
    match media_type:
        case "image/png":
            from PIL.PngImagePlugin import PngImageFile  # noqa: PLC0415

            return PngImageFile
        case "image/jpeg":
            from PIL.JpegImagePlugin import JpegImageFile  # noqa: PLC0415

            return JpegImageFile
        case _:
            from PIL.WebPImagePlugin import WebPImageFile  # noqa: PLC0415

            return WebPImageFile
