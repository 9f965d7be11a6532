from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ClipRejected, FileMissing
from pipeline.media.boxes import is_upright, walk_boxes
from pipeline.model import Container

UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
QUARTER_TURN = (0, 1 << 16, 0, (-1 << 16) % (1 << 32), 0, 0, 0, 0, 1 << 30)


def box(kind: str, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind.encode() + content


def track(matrix: tuple[int, ...]) -> bytes:
    header = bytes(40) + b"".join(value.to_bytes(4, "big") for value in matrix) + bytes(8)
    return box("trak", box("tkhd", header))


FTYP = box("ftyp", b"isom\x00\x00\x02\x00")
WHOLE = FTYP + box("moov", box("mvhd", bytes(20)) + track(UPRIGHT)) + box("mdat", bytes(100))


def write(folder: Path, content: bytes) -> Path:
    path = folder / "clip.mp4"
    path.write_bytes(content)
    return path


def test_boxes_are_listed_in_order_with_their_places(tmp_path: Path) -> None:
    boxes = walk_boxes(write(tmp_path, WHOLE))

    assert [each.kind for each in boxes] == ["ftyp", "moov", "mdat"]
    assert (boxes[0].start, boxes[0].content, boxes[0].end) == (0, 8, 16)
    assert boxes[-1].end == len(WHOLE)


def test_a_file_cut_off_at_any_byte_is_rejected(tmp_path: Path) -> None:
    for kept in range(len(WHOLE)):
        with pytest.raises(ClipRejected):
            walk_boxes(write(tmp_path, WHOLE[:kept]))


def test_bytes_after_the_end_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(ClipRejected):
        walk_boxes(write(tmp_path, WHOLE + b"\n"))


def test_long_sizes_and_an_open_end_are_understood(tmp_path: Path) -> None:
    long_box = b"\x00\x00\x00\x01free" + (20).to_bytes(8, "big") + bytes(4)
    open_box = b"\x00\x00\x00\x00mdat" + bytes(50)

    boxes = walk_boxes(write(tmp_path, FTYP + long_box + box("moov") + open_box))

    assert [(each.kind, each.end - each.content) for each in boxes[1:]] == [
        ("free", 4),
        ("moov", 0),
        ("mdat", 50),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        b"\x00\x00\x00\x07free",
        b"\x00\x00\x00\x01free" + (15).to_bytes(8, "big"),
        b"\x00\x00\x00\x01free" + (2**64 - 1).to_bytes(8, "big"),
        b"\xff\xff\xff\xfffree",
    ],
)
def test_impossible_sizes_are_rejected(tmp_path: Path, bad: bytes) -> None:
    with pytest.raises(ClipRejected):
        walk_boxes(write(tmp_path, FTYP + bad + box("moov") + box("mdat")))


def test_a_file_of_endless_tiny_boxes_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ClipRejected, match="more than"):
        walk_boxes(write(tmp_path, FTYP + box("free") * 20_000))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE HTML><p>", "a web page"),
        (b"\xef\xbb\xbf<html>", "a web page"),
        (b"#EXTM3U\n", "playlist"),
        (b"ffconcat version 1.0", "playlist"),
        (b'<?xml version="1.0"?><MPD>', "XML"),
        (b"RIFF\x00\x00\x00\x00AVI ", "RIFF"),
        (b"\x89PNG\r\n", "PNG"),
        (b"hello world, no video here", "file type box"),
    ],
)
def test_what_else_came_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(ClipRejected, match=said):
        walk_boxes(write(tmp_path, content))


def test_a_webm_is_not_taken_for_an_mp4(tmp_path: Path) -> None:
    with pytest.raises(ClipRejected, match="a WEBM file, not an MP4 video"):
        walk_boxes(write(tmp_path, b"\x1a\x45\xdf\xa3" + bytes(100)))


@pytest.mark.parametrize("container", [Container.MP4, Container.MOV])
@pytest.mark.parametrize("brand", [b"isom", b"qt  "])
def test_mp4_and_mov_are_one_format_under_two_names(
    tmp_path: Path, container: Container, brand: bytes
) -> None:
    path = write(tmp_path, WHOLE.replace(b"isom", brand))

    assert walk_boxes(path, container)[-1].end == len(WHOLE)


def test_only_a_mov_may_begin_without_saying_what_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE.removeprefix(FTYP))

    assert [each.kind for each in walk_boxes(path, Container.MOV)] == ["moov", "mdat"]
    assert is_upright(path, Container.MOV)
    with pytest.raises(ClipRejected, match="file type box"):
        walk_boxes(path)


@pytest.mark.parametrize("without", ["moov", "mdat"])
def test_index_and_media_must_both_be_there(tmp_path: Path, without: str) -> None:
    content = FTYP + b"".join(box(kind) for kind in ("moov", "mdat") if kind != without)

    with pytest.raises(ClipRejected, match=without):
        walk_boxes(write(tmp_path, content))


@pytest.mark.parametrize("path", ["gone.mp4", "."])
def test_a_file_that_cannot_be_read_is_no_bad_clip(tmp_path: Path, path: str) -> None:
    with pytest.raises(FileMissing):
        walk_boxes(tmp_path / path)


def test_a_turned_track_is_not_upright(tmp_path: Path) -> None:
    turned = FTYP + box("moov", track(UPRIGHT) + track(QUARTER_TURN)) + box("mdat")

    assert is_upright(write(tmp_path, WHOLE))
    assert not is_upright(write(tmp_path, turned))
