"""What a file is by its first bytes, whatever it is called and whatever was asked for."""

from __future__ import annotations

from pipeline.errors import ClipRejected
from pipeline.model import Container

HEAD_BYTES = 512

_EBML = b"\x1a\x45\xdf\xa3"
_QUICKTIME_BRAND = b"qt  "
# QuickTime is older than the file type box and may begin with any of these.
# Source: QuickTime File Format Specification, "Overview of the File Format".
_QUICKTIME_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})

# What a server sends in place of a clip, told by how it begins (in lower case, blanks stripped).
_IMPOSTORS = (
    (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"),
    (b"#extm3u", "a playlist (HLS)"),
    (b"ffconcat", "a playlist (ffconcat)"),
    (b"<mpd", "a playlist (DASH)"),
    (b"<?xml", "an XML document"),
    (b"{", "a JSON document"),
    (b"\x1f\x8b", "gzip data"),
    (b"riff", "a RIFF file"),
    (b"\x89png", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
)

_ARTICLES = {Container.MP4: "an", Container.MOV: "a", Container.WEBM: "a"}
_BEGINNINGS = {
    Container.MP4: "a file type box",
    Container.MOV: "a box of QuickTime's",
    Container.WEBM: "an EBML header",
}


def container_of(head: bytes) -> Container | None:
    """The file format that a file's first bytes, twelve or more, belong to; None: none of ours."""
    if head.startswith(_EBML):
        return Container.WEBM
    if head[4:8] == b"ftyp":
        return Container.MOV if head[8:12] == _QUICKTIME_BRAND else Container.MP4
    return Container.MOV if head[4:8] in _QUICKTIME_BOXES else None


def refuse_impostor(head: bytes, wanted: Container, name: str) -> None:
    """Refuse a file whose first bytes are not those of the wanted format.

    MP4 and MOV are one format under two names: either may begin with the other's brand.

    Raises:
        ClipRejected: the message says what ``name`` is instead, where that is known.
    """
    found = container_of(head)
    branded = head[4:8] == b"ftyp"
    if found is wanted or (branded and wanted is not Container.WEBM):
        return
    kind = f"{_ARTICLES[wanted]} {wanted.value} video"
    if found is not None and (branded or found is Container.WEBM):
        raise ClipRejected(f"{name} is {_ARTICLES[found]} {found.value} file, not {kind}")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, meaning in _IMPOSTORS:
        if text.startswith(mark):
            raise ClipRejected(f"{name} is {meaning}, not {kind}")
    raise ClipRejected(f"{name} is not {kind}: it does not begin with {_BEGINNINGS[wanted]}")
