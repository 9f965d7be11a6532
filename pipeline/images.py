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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pipeline import signatures
from pipeline.errors import ExitCode
from pipeline.library import ImageRefused
from pipeline.model import FileReference
from pipeline.references import inline_bytes, inline_label
from pipeline.text import shown

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 50_000_000

Size: TypeAlias = tuple[int, int]

# What ``conversion`` makes a PNG or JPEG of.
CONVERTIBLE = frozenset({"GIF", "BMP", "TIFF", "AVIF"})
_OR_CONVERT = ", or add --convert-images"
_NOT_AN_IMAGE_HINT = "save it as PNG, JPEG or WebP"
_DAMAGED_HINT = "export or copy the image again"


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
    data = read_bytes(path, source, max_bytes)
    return data if isinstance(data, ImageRefused) else judge(data, path, source)


def read_bytes(path: Path, source: str, max_bytes: int) -> bytes | ImageRefused:
    """All of one plain file, whatever it holds; arguments as of :func:`open_image`."""
    quoted = f'"{shown(source)}"'
    try:
        return _read(path, quoted, max_bytes)
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


def open_inline(uri: str, path: Path, max_bytes: int) -> FileReference | ImageRefused:
    """Say what the picture inside a ``data:`` URI is; the result carries its bytes.

    Args:
        path: of the manifest that holds it.
        max_bytes: the provider's upload limit.
    """
    source = inline_label(uri)
    data = inline_bytes(uri)
    if data is None:
        return ImageRefused(
            message=f'"{source}" is not whole base64',
            hint="write data:image/png;base64, and the picture, or name a file",
        )
    if len(data) > max_bytes:
        return _too_large(len(data), f'"{source}"', max_bytes)
    judged = judge(data, path, source)
    return judged if isinstance(judged, ImageRefused) else replace(judged, inline=data)


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
        hint=f"save it smaller, for example as JPEG{_OR_CONVERT}",
        can_convert=True,
    )


def judge(data: bytes, path: Path, source: str) -> FileReference | ImageRefused:
    """What bytes are as a reference, after every pixel was decoded."""
    quoted = f'"{shown(source)}"'
    media_type = signatures.media_type(data)
    if media_type is None:
        found = signatures.kind(data)
        can_convert = found in CONVERTIBLE
        return ImageRefused(
            message=f"{quoted} is not a PNG, JPEG or WebP (found: {found})",
            hint=f"{_NOT_AN_IMAGE_HINT}{_OR_CONVERT if can_convert else ''}",
            can_convert=can_convert,
        )
    measure = _MEASURES[media_type]
    try:
        width_px, height_px = measure(data)
        if width_px * height_px > MAX_PIXELS:
            return ImageRefused(
                message=f"{quoted} has {width_px * height_px / 1e6:.0f} megapixels; "
                f"at most {MAX_PIXELS // 1_000_000}",
                hint=f"scale it down; clips are 720 lines high{_OR_CONVERT}",
                can_convert=True,
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


_MEASURES: Mapping[str, Callable[[bytes], Size]] = {
    "image/png": _measure_png,
    "image/jpeg": _measure_jpeg,
    "image/webp": _measure_webp,
}


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
