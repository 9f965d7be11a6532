"""The box structure of an MP4 or MOV file, read without any decoder.

Cheap (microseconds) and strict: it finds every cut-off file and everything that only claims to
be an MP4, before a demuxer that guesses formats by content gets to see it. Box layout: ISO/IEC
14496-12, section 4.2; the same in QuickTime, which it was made from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import ClipRejected, FileMissing
from pipeline.media.heads import HEAD_BYTES, refuse_impostor
from pipeline.model import Container

# A fragmented ten-second clip has some dozens; a file of only tiny boxes is an attack.
_MOST_BOXES = 10_000
_HEADER_BYTES = 8
_LONG_HEADER_BYTES = 16
_MATRIX_BYTES = 36
# Matrix of a track that is shown as it is stored: 1 on the diagonal (16.16), the last 2.30.
_UPRIGHT = b"".join(
    value.to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box of the file: its four letters, and where header and content lie, in bytes."""

    kind: str
    start: int
    content: int
    end: int


def walk_boxes(path: Path, container: Container = Container.MP4) -> tuple[Box, ...]:
    """List the outermost boxes of an MP4 or MOV, whose sizes must end exactly where the file does.

    Raises:
        FileMissing: the file cannot be read.
        ClipRejected: it is empty, cut off, or no such file at all; the message says which.
    """
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes == 0:
                raise ClipRejected(f"{path.name} is empty")
            refuse_impostor(file.read(HEAD_BYTES), container, path.name)
            boxes = tuple(_read_boxes(file, 0, size_bytes, path.name))
    except OSError as exc:
        raise FileMissing(f"cannot read {path}: {exc.strerror}") from exc
    kinds = {box.kind for box in boxes}
    for kind, meaning in (("moov", "index"), ("mdat", "media data")):
        if kind not in kinds:
            raise ClipRejected(f"{path.name} has no {meaning} ({kind} box): it is cut off")
    return boxes


def is_upright(path: Path, container: Container = Container.MP4) -> bool:
    """Whether every track is shown as it is stored: neither turned, mirrored nor scaled."""
    with path.open("rb") as file:
        for moov in _children(file, walk_boxes(path, container), "moov", path.name):
            if moov.kind != "trak":
                continue
            for header in _read_boxes(file, moov.content, moov.end, path.name):
                if header.kind == "tkhd" and _matrix(file, header) not in (b"", _UPRIGHT):
                    return False
    return True


def _children(file: BinaryIO, boxes: tuple[Box, ...], kind: str, name: str) -> Iterator[Box]:
    for box in boxes:
        if box.kind == kind:
            yield from _read_boxes(file, box.content, box.end, name)


def _matrix(file: BinaryIO, header: Box) -> bytes:
    """The matrix of a track header; it stands before width and height, the last 8 bytes."""
    file.seek(max(header.content, header.end - 8 - _MATRIX_BYTES))
    return file.read(_MATRIX_BYTES)


def _read_boxes(file: BinaryIO, start: int, end: int, name: str) -> Iterator[Box]:
    for _ in range(_MOST_BOXES):
        if start == end:
            return
        file.seek(start)
        header = file.read(min(_LONG_HEADER_BYTES, end - start))
        if len(header) < _HEADER_BYTES:
            raise ClipRejected(f"{name} is cut off: half a box header at byte {start}")
        length = int.from_bytes(header[:4], "big")
        content = start + _HEADER_BYTES
        if length == 1 and len(header) == _LONG_HEADER_BYTES:
            length = int.from_bytes(header[8:], "big")
            content = start + _LONG_HEADER_BYTES
        elif length == 0:  # the last box may say "up to the end"
            length = end - start
        kind = header[4:8].decode("latin-1")
        if start + length > end:
            missing = start + length - end
            raise ClipRejected(
                f"{name} is cut off: {missing} bytes of its {kind!r} box are missing"
            )
        if start + length < content:
            raise ClipRejected(f"{name} is damaged: impossible box size at byte {start}")
        yield Box(kind=kind, start=start, content=content, end=start + length)
        start += length
    raise ClipRejected(f"{name} is damaged: more than {_MOST_BOXES} boxes")
