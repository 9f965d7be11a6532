"""Opens the files that a film section names: recordings, pictures, fonts, captions. Writes nothing.

As reference images they are looked at before they are opened and stay inside the project's folder;
as they are never sent anywhere, no provider's limits apply.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import FileMissing, PlateRefused
from pipeline.film.sources import Opened, Outcome, SourceKind
from pipeline.film.spec import FilmFile
from pipeline.images import locate, open_image, read_bytes
from pipeline.library import ImageRefused
from pipeline.media.recording import open_recording
from pipeline.text import shown

MAX_PICTURE_BYTES = 200_000_000
MAX_CAPTION_BYTES = 2_000_000


def open_materials(
    sources: Sequence[tuple[SourceKind, str]], folder: Path, *, allow_outside: bool
) -> Mapping[tuple[SourceKind, str], Outcome]:
    """Open every file of ``sources_of`` once.

    Args:
        folder: of the manifest, which names are relative to.
        allow_outside: permit files outside of it.
    """
    return {
        (kind, source): _open(kind, source, folder, allow_outside=allow_outside)
        for kind, source in sources
    }


def _open(kind: SourceKind, source: str, folder: Path, *, allow_outside: bool) -> Outcome:
    path = locate(source, folder, allow_outside=allow_outside)
    if isinstance(path, ImageRefused):
        return path
    match kind:
        case SourceKind.SOUND:
            return open_recording(path, source)
        case SourceKind.PICTURE:
            return _open_picture(path, source)
        case SourceKind.FONT:
            return _open_font(path, source)
        case SourceKind.CAPTIONS:
            return _open_captions(path, source)


def _open_picture(path: Path, source: str) -> Outcome:
    found = open_image(path, source, MAX_PICTURE_BYTES)
    if isinstance(found, ImageRefused):
        # Nothing here is converted, whatever the command line says of reference images.
        cure = "save it as PNG, JPEG or WebP of at most 50 megapixels"
        return replace(found, hint=cure) if found.can_convert else found
    return Opened(file=FilmFile(source=source, path=path, sha256=found.sha256))


def _open_font(path: Path, source: str) -> Outcome:
    from pipeline.typefaces import faces  # noqa: PLC0415 - only films with a font of their own need it

    data = _read(path, source, faces.MAX_FONT_BYTES, "name a TTF or OTF file")
    if isinstance(data, ImageRefused):
        return data
    try:
        faces.family(faces.Weight.REGULAR, path)
    except (FileMissing, PlateRefused) as error:
        return ImageRefused(message=error.message, hint=error.hint)
    return _opened(path, source, data)


def _open_captions(path: Path, source: str) -> Outcome:
    data = _read(path, source, MAX_CAPTION_BYTES, "name an SRT or WebVTT file")
    if isinstance(data, ImageRefused):
        return data
    is_wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        return ImageRefused(
            message=f'"{shown(source)}" is not UTF-8 (at byte {error.start})',
            hint="save it as UTF-8",
        )
    return replace(_opened(path, source, data), text=text)


def _read(path: Path, source: str, max_bytes: int, cure: str) -> bytes | ImageRefused:
    data = read_bytes(path, source, max_bytes)
    if isinstance(data, ImageRefused) and not data.is_absent and data.can_convert:
        most = f"at most {max_bytes / 1e6:.0f} MB"
        return ImageRefused(message=f'"{shown(source)}" is too large; {most}', hint=cure)
    return data


def _opened(path: Path, source: str, data: bytes) -> Opened:
    digest = hashlib.sha256(data).hexdigest()
    return Opened(file=FilmFile(source=source, path=path, sha256=digest))
