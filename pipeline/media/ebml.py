"""The element structure of a WEBM file, read without any decoder.

As strict as the box walk of an MP4: every size must end where its parent does, and the last where
the file does. Demuxers skip what they do not know and look for the next thing that they do, so
that a damaged header loses pictures without a word. Layout: RFC 8794 (EBML), RFC 9559 (Matroska);
https://www.webmproject.org/docs/container/ for what WEBM has of it.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import ClipRejected, FileMissing
from pipeline.media.heads import HEAD_BYTES, refuse_impostor
from pipeline.model import Container

# Some hundred a second of an ordinary clip; a file of only tiny elements is an attack.
_MOST_ELEMENTS = 200_000
# Identifier, size, and of a block its track, time and flags: 4 + 8 + 8 + 3 bytes at most.
_HEADER_BYTES = 23
_BLOCK_TAIL_BYTES = 3
_CHUNK_BYTES = 1 << 20

_HEADER, _DOC_TYPE, _SEGMENT = 0x1A45DFA3, 0x4282, 0x18538067
_TRACKS, _TRACK, _TRACK_NUMBER, _TRACK_TYPE = 0x1654AE6B, 0xAE, 0xD7, 0x83
_CLUSTER, _BLOCK_GROUP, _BLOCK, _SIMPLE_BLOCK = 0x1F43B675, 0xA0, 0xA1, 0xA3
_CRC, _VOID = 0xBF, 0xEC
_PICTURE = 1
_ANYWHERE = frozenset({_CRC, _VOID})
# Seek head, info, tracks, cluster, cues, attachments, chapters, tags.
_OF_SEGMENT = frozenset(
    {0x114D9B74, 0x1549A966, _TRACKS, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
)
# Time, silent tracks, position, previous size, block group, simple and encrypted block.
_OF_CLUSTER = frozenset({0xE7, 0x5854, 0xA7, 0xAB, _BLOCK_GROUP, _SIMPLE_BLOCK, 0xAF})
# Only these may leave their size open, in a file that was written as a stream.
_MAY_BE_OPEN = frozenset({_SEGMENT, _CLUSTER})
# WEBM is Matroska with fewer codecs; writers that say the wider name make files that play.
_DOC_TYPES = frozenset({b"webm", b"matroska"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """A whole WEBM file: its size, and how many blocks its first picture track has."""

    size_bytes: int
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    """One element: where it begins, its content with the first bytes of that, and its end."""

    ident: int
    start: int
    content: int
    end: int
    head: bytes
    is_open: bool


def walk_elements(path: Path) -> Elements:
    """Walk all elements of a WEBM file down to its blocks, and compare checksums where it has any.

    Raises:
        FileMissing: the file cannot be read.
        ClipRejected: it is empty, cut off, damaged, or no WEBM at all; the message says which.
    """
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes == 0:
                raise ClipRejected(f"{path.name} is empty")
            refuse_impostor(file.read(HEAD_BYTES), Container.WEBM, path.name)
            walk = _Walk(file=file, name=path.name, size_bytes=size_bytes)
            walk.document()
    except OSError as exc:
        raise FileMissing(f"cannot read {path}: {exc.strerror}") from exc
    return Elements(size_bytes=size_bytes, pictures=walk.pictures())


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One pass over a file; counts the blocks of each track."""

    file: BinaryIO
    name: str
    size_bytes: int
    _left: int = _MOST_ELEMENTS
    _types: dict[int, int] = field(default_factory=dict)
    _blocks: Counter[int] = field(default_factory=Counter)

    def document(self) -> None:
        header, *rest = self._elements(0, self.size_bytes)
        self._check_header(header)
        segments = [element for element in rest if element.ident == _SEGMENT]
        if not segments:
            raise ClipRejected(f"{self.name} is cut off: it ends with its header")
        strangers = len(rest) - sum(element.ident in {_SEGMENT, _VOID} for element in rest)
        if len(segments) > 1 or strangers:
            raise self._damaged(f"more than one film after byte {header.end}")
        self._walk_segment(segments[0])

    def pictures(self) -> int:
        """Blocks of the first picture track; every block must belong to some track."""
        for part, found in (("index", self._types), ("media data", self._blocks)):
            if not found:
                raise ClipRejected(f"{self.name} has no {part}: it is cut off")
        if strangers := self._blocks.keys() - self._types.keys():
            raise self._damaged(f"it has pictures or sound of no track ({min(strangers)})")
        first = next((track for track, kind in self._types.items() if kind == _PICTURE), 0)
        return self._blocks[first]

    def _check_header(self, header: _Element) -> None:
        doc_type = b"matroska"  # what it means where it is not said
        for element in self._elements(header.content, header.end):
            if element.ident == _DOC_TYPE:
                doc_type = self._content(element).rstrip(b"\0")
        if doc_type not in _DOC_TYPES:
            raise ClipRejected(f"{self.name} is not a WEBM video: it is another kind of EBML file")

    def _walk_segment(self, segment: _Element) -> None:
        at = segment.content
        while at < segment.end:
            element = self._read(at, segment.end)
            self._check_place(element, _OF_SEGMENT)
            at = element.end
            if element.ident == _CLUSTER:
                at = self._walk_cluster(element)
            elif element.ident == _TRACKS:
                self._walk_tracks(element)
            if not element.is_open and element.ident in _OF_SEGMENT:
                self._check_crc(element)

    def _walk_tracks(self, tracks: _Element) -> None:
        for track in self._elements(tracks.content, tracks.end):
            if track.ident == _TRACK:
                numbers = {
                    element.ident: int.from_bytes(self._content(element))
                    for element in self._elements(track.content, track.end)
                    if element.ident in {_TRACK_NUMBER, _TRACK_TYPE}
                }
                self._types[numbers.get(_TRACK_NUMBER, 0)] = numbers.get(_TRACK_TYPE, 0)

    def _walk_cluster(self, cluster: _Element) -> int:
        """Count the blocks of a cluster; returns where it ends."""
        at = cluster.content
        while at < cluster.end:
            element = self._read(at, cluster.end)
            if cluster.is_open and element.ident in _OF_SEGMENT:
                break
            self._check_place(element, _OF_CLUSTER)
            if element.ident == _SIMPLE_BLOCK:
                self._count(element)
            elif element.ident == _BLOCK_GROUP:
                blocks = self._elements(element.content, element.end)
                for block in (each for each in blocks if each.ident == _BLOCK):
                    self._count(block)
            at = element.end
        return at

    def _count(self, block: _Element) -> None:
        track, length = _number(block.head)
        if not length or block.end - block.content < length + _BLOCK_TAIL_BYTES:
            raise self._damaged(f"half a block at byte {block.start}")
        self._blocks[track] += 1

    def _check_place(self, element: _Element, known: frozenset[int]) -> None:
        if element.ident not in known and element.ident not in _ANYWHERE:
            raise self._damaged(
                f"element {element.ident:X} at byte {element.start} is out of place"
            )

    def _check_crc(self, master: _Element) -> None:
        """A checksum stands first and covers the rest of its parent (RFC 8794, section 11.3.1)."""
        if master.content == master.end:
            return
        first = self._read(master.content, master.end)
        if first.ident != _CRC:
            return
        found, left = 0, master.end - first.end
        self.file.seek(first.end)
        while left and (chunk := self.file.read(min(_CHUNK_BYTES, left))):
            found, left = zlib.crc32(chunk, found), left - len(chunk)
        if found != int.from_bytes(first.head[: first.end - first.content], "little"):
            raise self._damaged(f"the checksum at byte {first.start} does not match")

    def _content(self, element: _Element) -> bytes:
        """The value of a short element."""
        return element.head[: element.end - element.content]

    def _elements(self, start: int, end: int) -> Iterator[_Element]:
        while start < end:
            element = self._read(start, end)
            yield element
            start = element.end

    def _read(self, at: int, end: int) -> _Element:
        self._left -= 1
        if self._left < 0:
            raise self._damaged(f"more than {_MOST_ELEMENTS} elements")
        self.file.seek(at)
        header = self.file.read(min(_HEADER_BYTES, end - at))
        id_length = _length(header)
        if not id_length or id_length > 4:
            raise self._damaged(f"no element begins at byte {at}")
        size, size_length = _number(header[id_length:])
        if not size_length:
            raise ClipRejected(f"{self.name} is cut off: half an element header at byte {at}")
        ident = int.from_bytes(header[:id_length])
        content = at + id_length + size_length
        is_open = size == (1 << 7 * size_length) - 1
        if is_open and ident not in _MAY_BE_OPEN:
            raise self._damaged(f"impossible element size at byte {at}")
        if not is_open and content + size > end:
            if end < self.size_bytes:
                raise self._damaged(f"impossible element size at byte {at}")
            missing = content + size - end
            raise ClipRejected(
                f"{self.name} is cut off: {missing} bytes of its element {ident:X} are missing"
            )
        return _Element(
            ident=ident,
            start=at,
            content=content,
            end=end if is_open else content + size,
            head=header[id_length + size_length :],
            is_open=is_open,
        )

    def _damaged(self, reason: str) -> ClipRejected:
        return ClipRejected(f"{self.name} is damaged: {reason}")


def _length(data: bytes) -> int:
    """Bytes of the variable-length number that begins here, 1 to 8; 0: none does."""
    return 9 - data[0].bit_length() if data and data[0] else 0


def _number(data: bytes) -> tuple[int, int]:
    """The variable-length number that begins here, and its bytes; 0 bytes: it is not whole."""
    length = _length(data)
    if not length or len(data) < length:
        return 0, 0
    return int.from_bytes(data[:length]) & ((1 << 7 * length) - 1), length
