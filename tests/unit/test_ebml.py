from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from pipeline.errors import ClipRejected, FileMissing
from pipeline.media.ebml import Elements, walk_elements

OPEN = b"\x01" + b"\xff" * 7
VOID = b"\xec\x84" + bytes(4)


def element(ident: int, content: bytes, size: bytes | None = None) -> bytes:
    name = ident.to_bytes((ident.bit_length() + 7) // 8)
    return name + (size or (0x4000 | len(content)).to_bytes(2)) + content


def track(number: int, kind: int) -> bytes:
    return element(0xAE, element(0xD7, bytes([number])) + element(0x83, bytes([kind])))


def block(track_number: int = 1, *, ident: int = 0xA3, content: bytes = b"picture") -> bytes:
    return element(ident, bytes([0x80 | track_number]) + b"\x00\x00\x80" + content)


def with_checksum(content: bytes) -> bytes:
    return b"\xbf\x84" + zlib.crc32(content).to_bytes(4, "little") + content


HEADER = element(0x1A45DFA3, element(0x4282, b"webm"))
TIME = element(0xE7, b"\x00")
INFO = element(0x1549A966, element(0x2AD7B1, b"\x0f\x42\x40"))
TRACKS = element(0x1654AE6B, track(2, 2) + track(1, 1))
GROUP = element(0xA0, block(ident=0xA1) + element(0x9B, b"\x29"))
CLUSTER = element(0x1F43B675, TIME + block() + block(2) + GROUP + VOID)
CUES = element(0x1C53BB6B, b"")
CONTENT = INFO + TRACKS + CLUSTER + CLUSTER + CUES
WHOLE = HEADER + element(0x18538067, CONTENT)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "clip.webm"
    path.write_bytes(content)
    return path


def test_the_blocks_of_the_first_picture_track_are_counted(tmp_path: Path) -> None:
    found = walk_elements(write(tmp_path, WHOLE))

    assert found == Elements(size_bytes=len(WHOLE), pictures=4)


def test_a_file_cut_off_at_any_byte_is_rejected(tmp_path: Path) -> None:
    for kept in range(len(WHOLE)):
        with pytest.raises(ClipRejected):
            walk_elements(write(tmp_path, WHOLE[:kept]))


def test_a_cut_off_file_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ClipRejected, match="cut off: 7 bytes of its element 18538067"):
        walk_elements(write(tmp_path, WHOLE[:-7]))


@pytest.mark.parametrize("tail", [b"\n", bytes(8), HEADER + element(0x18538067, CONTENT), WHOLE])
def test_what_follows_the_end_is_rejected(tmp_path: Path, tail: bytes) -> None:
    with pytest.raises(ClipRejected):
        walk_elements(write(tmp_path, WHOLE + tail))


def test_a_file_written_as_a_stream_is_understood(tmp_path: Path) -> None:
    """Neither the film nor its clusters say how long they are: each ends where the next begins."""
    cluster = element(0x1F43B675, TIME + block() + block(2), OPEN)
    film = HEADER + element(0x18538067, INFO + TRACKS + cluster + cluster + cluster, OPEN)

    assert walk_elements(write(tmp_path, film)).pictures == 3
    with pytest.raises(ClipRejected, match="cut off"):
        walk_elements(write(tmp_path, film[:-3]))


@pytest.mark.parametrize("place", [INFO, TRACKS, CLUSTER])
def test_a_header_with_one_wrong_bit_is_found(tmp_path: Path, place: bytes) -> None:
    """Demuxers look for the next header that they know, and lose all in between."""
    start = WHOLE.index(place)
    for bit in range(8):
        data = bytearray(WHOLE)
        data[start] ^= 1 << bit
        with pytest.raises(ClipRejected):
            walk_elements(write(tmp_path, bytes(data)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (block(), block(ident=0xA4)),
        (block(), block(3)),
        (block(), element(0xA3, b"\x81\x00\x00")),
        (block(), element(0xA3, b"\x00\x00\x00\x00picture")),
        (block(), b"\xa3\x7f\xfe" + block()[3:]),
        (TIME, b"\x00" + TIME[1:]),
        (INFO, element(0x1549A967, INFO[6:])),
        (INFO, element(0x1549A966, b"", OPEN)),
    ],
    ids=["name", "track", "short", "no track", "too long", "no name", "stranger", "open info"],
)
def test_damage_to_the_structure_is_found(tmp_path: Path, old: bytes, new: bytes) -> None:
    content = CONTENT.replace(old, new)
    assert content != CONTENT

    # Mended where the new bytes are of another length, so that only the damage itself shows.
    path = write(tmp_path, HEADER + element(0x18538067, content))

    with pytest.raises(ClipRejected):
        walk_elements(path)


def test_checksums_are_compared_where_there_are_any(tmp_path: Path) -> None:
    cluster = element(0x1F43B675, with_checksum(TIME + block()))
    film = HEADER + element(0x18538067, TRACKS + cluster)
    flipped = film.replace(b"picture", b"pictyre")

    assert walk_elements(write(tmp_path, film)).pictures == 1
    with pytest.raises(ClipRejected, match="checksum"):
        walk_elements(write(tmp_path, flipped))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x00\x00\x00\x10ftypisom" + bytes(4), "an MP4 file, not a WEBM"),
        (b"\x00\x00\x00\x10ftypqt  " + bytes(4), "a MOV file, not a WEBM"),
        (b"#EXTM3U\n", "playlist"),
        (b"<!doctype html>", "a web page"),
        (b"hello world, no video here", "EBML header"),
        (HEADER, "cut off"),
        (HEADER + element(0x18538067, INFO + TRACKS), "no media data"),
        (HEADER + element(0x18538067, INFO + CLUSTER), "no index"),
        (element(0x1A45DFA3, element(0x4282, b"webn")) + WHOLE[len(HEADER) :], "another kind"),
    ],
)
def test_what_else_came_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(ClipRejected, match=said):
        walk_elements(write(tmp_path, content))


def test_a_file_that_says_matroska_is_as_good(tmp_path: Path) -> None:
    header = element(0x1A45DFA3, element(0x4282, b"matroska"))

    assert walk_elements(write(tmp_path, header + WHOLE[len(HEADER) :])).pictures == 4


def test_a_file_of_endless_tiny_elements_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ClipRejected, match="more than"):
        walk_elements(write(tmp_path, HEADER + element(0x18538067, b"\xec\x80" * 200_000, OPEN)))


@pytest.mark.parametrize("path", ["gone.webm", "."])
def test_a_file_that_cannot_be_read_is_no_bad_clip(tmp_path: Path, path: str) -> None:
    with pytest.raises(FileMissing):
        walk_elements(tmp_path / path)
