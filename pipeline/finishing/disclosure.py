"""Says inside a finished file that its footage is made by a generative model.

Tags that every player shows, and in MP4 and MOV an XMP packet with the property that
platforms read. ffmpeg drops that box whenever it writes a file again, so it is appended last. It
stands behind everything that offsets count from: what plays before plays after.

Sources: IPTC, "Digital Source Type" vocabulary; IPTC Photo Metadata 2025.1 (AI properties);
Adobe, "XMP Specification Part 3", section 1.2.7 (the box in MPEG-4 and QuickTime files).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from pipeline.errors import ClipRejected, StorageError
from pipeline.files import cure_of
from pipeline.media.boxes import Box, walk_boxes
from pipeline.media.ebml import walk_elements
from pipeline.model import Container

_XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_MOST_XMP_BYTES = 1_000_000
# What XML 1.0 cannot hold, even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SANDBOX = "sandbox"
# Key of the tag in a WEBM, which has no place for XMP; Matroska's own tags are in capitals.
_SOURCE_TAG = "DIGITAL_SOURCE_TYPE"


class SourceType(StrEnum):
    """How footage came about, in IPTC's words."""

    GENERATED = "trainedAlgorithmicMedia"
    MIXED = "compositeWithTrainedAlgorithmicMedia"
    DRAWN = "algorithmicMedia"
    DRAWN_MIXED = "compositeSynthetic"

    @property
    def uri(self) -> str:
        """Its name in the vocabulary."""
        return f"{_VOCABULARY}{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Who made a clip: the provider and, in its own words, the model."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider} {self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What a finished file says of itself.

    ``makers`` of its clips, each once, in order; ``is_mixed`` whether it also holds what no model
    made: a logo, a card's picture, music, footage that a shot edits.
    """

    title: str
    makers: tuple[Maker, ...]
    is_mixed: bool = False

    @property
    def source_type(self) -> SourceType:
        """Drawn by the sandbox alone, nothing of it comes from a trained model."""
        if all(maker.provider == _SANDBOX for maker in self.makers):
            return SourceType.DRAWN_MIXED if self.is_mixed else SourceType.DRAWN
        return SourceType.MIXED if self.is_mixed else SourceType.GENERATED

    @property
    def statement(self) -> str:
        """One sentence for people; also the ``comment`` tag of every format."""
        if self.source_type in {SourceType.DRAWN, SourceType.DRAWN_MIXED}:
            return "Animatic drawn by the storyboard sandbox; no AI-generated footage"
        named = "; ".join(str(maker) for maker in self.makers if maker.provider != _SANDBOX)
        return f"{'Contains AI-generated' if self.is_mixed else 'AI-generated'} video ({named})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosed:
    """What was found in a file; texts empty where it says nothing of that kind."""

    source_type: str
    title: str
    statement: str
    system: str


def container_tags(disclosure: Disclosure, container: Container) -> Mapping[str, str]:
    """Tags for ffmpeg's ``-metadata``, each to be one argument of its own, ``KEY=VALUE``."""
    tags = {"title": disclosure.title, "comment": disclosure.statement}
    if container is Container.WEBM:
        tags[_SOURCE_TAG] = disclosure.source_type.uri
    return {key: _plain(text) for key, text in tags.items() if text}


def disclose(path: Path, disclosure: Disclosure, container: Container) -> None:
    """Append the XMP box to an MP4 or MOV, in place of one that ends it; a WEBM stays as it is.

    Meant for the ``.part`` of a deliverable, before it is measured and gets its name.

    Raises:
        ClipRejected: it is no such file.
        StorageError: it cannot be written to.
    """
    if container is Container.WEBM:
        return
    packet = build_xmp(disclosure)
    boxes = walk_boxes(path, container)
    try:
        with path.open("r+b") as file:
            if _read_xmp(path, boxes[-1]) is not None:
                file.truncate(boxes[-1].start)
            file.seek(boxes[-1].start)
            if file.read(4) == bytes(4):  # its last box reaches as far as the file does
                raise ClipRejected(f"{path.name} ends in a box of open length")
            file.seek(0, os.SEEK_END)
            length = 8 + len(_XMP_BOX) + len(packet)
            file.write(length.to_bytes(4, "big") + b"uuid" + _XMP_BOX + packet)
    except OSError as exc:
        raise StorageError(
            f"cannot write {path}: {exc.strerror or exc}", hint=cure_of(exc)
        ) from exc


def read_disclosure(path: Path, container: Container) -> Disclosed | None:
    """What a finished file says of itself; None where it does not say.

    Raises:
        ClipRejected: it is of another format, or what it says cannot be read.
        FileMissing: the file cannot be read.
    """
    if container is Container.WEBM:
        return _read_tags(path)
    for box in walk_boxes(path, container):
        if (packet := _read_xmp(path, box)) is not None:
            return _parse_xmp(packet, path.name)
    return None


def build_xmp(disclosure: Disclosure) -> bytes:
    """The XMP packet, without padding, as nothing will edit it in place."""
    system = "; ".join(str(maker) for maker in disclosure.makers)
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="{_RDF}">
  <rdf:Description rdf:about="" xmlns:dc="{_DC}" xmlns:Iptc4xmpExt="{_IPTC}">
   <Iptc4xmpExt:DigitalSourceType>{disclosure.source_type.uri}</Iptc4xmpExt:DigitalSourceType>
   <Iptc4xmpExt:AISystemUsed>{_xml(system)}</Iptc4xmpExt:AISystemUsed>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">{_xml(disclosure.title)}</rdf:li></rdf:Alt></dc:title>
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">{_xml(disclosure.statement)}</rdf:li></rdf:Alt></dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>
""".encode()  # noqa: E501 - a line of XML is one element


def _plain(text: str) -> str:
    return _NOT_XML.sub("", text)


def _xml(text: str) -> str:
    return escape(_plain(text))


def _read_xmp(path: Path, box: Box) -> bytes | None:
    if box.kind != "uuid" or box.end - box.content > _MOST_XMP_BYTES:
        return None
    with path.open("rb") as file:
        file.seek(box.content)
        content = file.read(box.end - box.content)
    return content[len(_XMP_BOX) :] if content.startswith(_XMP_BOX) else None


def _parse_xmp(packet: bytes, name: str) -> Disclosed:
    try:
        # Expat itself refuses entities that grow without end, and opens no files.
        root = ElementTree.fromstring(packet)  # noqa: S314
    except ElementTree.ParseError as exc:
        raise ClipRejected(f"{name} holds an XMP packet that cannot be read: {exc}") from exc
    alternative = f"{{{_RDF}}}Alt/{{{_RDF}}}li"
    found = root.find(f".//{{{_RDF}}}Description")
    if found is None:
        return Disclosed(source_type="", title="", statement="", system="")
    return Disclosed(
        source_type=found.findtext(f"{{{_IPTC}}}DigitalSourceType", ""),
        title=found.findtext(f"{{{_DC}}}title/{alternative}", ""),
        statement=found.findtext(f"{{{_DC}}}description/{alternative}", ""),
        system=found.findtext(f"{{{_IPTC}}}AISystemUsed", ""),
    )


def _read_tags(path: Path) -> Disclosed | None:
    import av  # noqa: PLC0415 - tens of milliseconds that only commands with media should pay

    walk_elements(path)
    options = {"protocol_whitelist": "file"}
    try:
        with av.open(str(path.absolute()), format="matroska", options=options) as file:
            tags = {key.upper(): value for key, value in file.metadata.items()}
    except av.FFmpegError as exc:
        raise ClipRejected(f"{path.name} cannot be read as WEBM: {exc.strerror}") from exc
    if _SOURCE_TAG not in tags:
        return None
    return Disclosed(
        source_type=tags[_SOURCE_TAG],
        title=tags.get("TITLE", ""),
        statement=tags.get("COMMENT", ""),
        system="",
    )
