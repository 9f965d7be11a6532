"""Reads a manifest from disk or standard input and checks it with everything it names.

The one way in from files to a Storyboard. Every mistake becomes a Problem; no input whatever
makes an exception.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.capabilities import PROVIDERS, Capabilities
from pipeline.errors import ExitCode
from pipeline.film.sources import Outcomes, sources_of
from pipeline.findings import Findings, closest, either
from pipeline.library import ImageRefused, files_named, videos_named
from pipeline.model import FileReference, Position, Problem, Shot, Storyboard, VideoReference
from pipeline.references import inline_bytes, inline_label, is_inline
from pipeline.text import shown
from pipeline.validation import (
    Built,
    Terms,
    build,
    capabilities_of,
    check_form,
)
from pipeline.view import View
from pipeline.yaml_document import Document, load

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

MAX_MANIFEST_BYTES = 1_000_000
STDIN = "-"

_START = Position(line=1, column=1)
_SCHEMA = "storyboard.schema.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The outcome for one manifest.

    ``file`` is as the user named it, ``<stdin>`` for ``-``; ``storyboard`` is None when there is
    any error; ``problems`` are errors and warnings in file order; ``shots`` those of the document
    in its order, None for each that is wrong in itself, ``names`` their ids, empty for one without;
    ``notes`` say what was converted, a line each.
    """

    file: str
    storyboard: Storyboard | None
    problems: tuple[Problem, ...]
    shots: tuple[Shot | None, ...] = ()
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_manifest(
    file: str,
    *,
    provider: str | None = None,
    allow_outside: bool = False,
    max_shots: int = 1000,
    max_prompt_chars: int = 4000,
    convert_images: bool = False,
    converted: Path | None = None,
    stdin: BinaryIO | None = None,
) -> Checked:
    """Read, parse and check one manifest and its reference images.

    Args:
        file: a path, or ``-`` for standard input (its images are beside the current folder).
        provider: overrides the manifest's own for what may be bought.
        allow_outside: permit images outside the manifest's folder.
        max_shots: the most shots of one manifest.
        max_prompt_chars: the longest prompt.
        convert_images: make what the provider takes of pictures that it does not.
        converted: the folder that keeps them; None: they are looked at and thrown away.
        stdin: what ``-`` reads; the process's own by default.
    Raises:
        CannotWrite: a converted picture cannot be kept.
    """
    name = "<stdin>" if file == STDIN else file
    findings = Findings(shown(name, 4096))
    built = Built()
    notes: list[str] = []
    if provider is not None and provider not in PROVIDERS:
        guess = closest(provider, PROVIDERS)
        _refuse(
            findings,
            f'unknown provider "{shown(provider)}"',
            f"did you mean {guess}?" if guess else f"choose {either(PROVIDERS)}",
            ExitCode.USAGE,
        )
    else:
        data = _read(file, stdin, findings)
        text = None if data is None else _decode(data, findings)
        if text is not None:
            document = load(text, findings)
            capabilities = capabilities_of(document, provider)
            terms = Terms(
                capabilities=capabilities, max_shots=max_shots, max_prompt_chars=max_prompt_chars
            )
            opening = _Opening(
                manifest=Path(file),
                capabilities=capabilities,
                allow_outside=allow_outside,
                convert_images=convert_images,
                converted=converted,
                notes=notes,
            )
            built = _check(document, terms, findings, opening)
    return Checked(
        file=name,
        storyboard=None if findings.has_errors else built.storyboard,
        problems=findings.sorted(),
        shots=built.shots,
        names=built.names,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    """How the files of one manifest are opened; ``notes`` collects what was converted."""

    manifest: Path
    capabilities: Capabilities
    allow_outside: bool
    convert_images: bool
    converted: Path | None
    notes: list[str]


def _check(document: Document, terms: Terms, findings: Findings, opening: _Opening) -> Built:
    check_form(document, _validator(), terms, findings)
    opened: dict[str, FileReference | ImageRefused] = {}
    videos: dict[str, VideoReference | ImageRefused] = {}
    materials: Outcomes = {}
    # In a document cut short a name may belong to a library that was never reached.
    if document.whole:
        view, folder = View(document, findings), opening.manifest.parent
        opened = _open_all(files_named(view), opening)
        for source in videos_named(view):
            videos[source] = _open_video(source, folder, allow_outside=opening.allow_outside)
        materials = _open_materials(view, folder, allow_outside=opening.allow_outside)
    built = build(
        document,
        terms,
        findings,
        opening.manifest,
        opened=opened,
        videos=videos,
        materials=materials,
    )
    if built.storyboard is not None and built.storyboard.film is not None:
        from pipeline.wording import check_words  # noqa: PLC0415 - opens fonts

        check_words(View(document, findings), built.storyboard.film)
    return built


def _open_materials(view: View, folder: Path, *, allow_outside: bool) -> Outcomes:
    sources = sources_of(view)
    if not sources:
        return {}
    from pipeline.materials import open_materials  # noqa: PLC0415 - not every film names files

    return open_materials(sources, folder, allow_outside=allow_outside)


def _open_video(source: str, folder: Path, *, allow_outside: bool) -> VideoReference | ImageRefused:
    from pipeline.images import locate  # noqa: PLC0415
    from pipeline.media.source import open_clip  # noqa: PLC0415 - only few manifests edit clips

    path = locate(source, folder, allow_outside=allow_outside)
    return path if isinstance(path, ImageRefused) else open_clip(path, source)


def _open_all(
    sources: tuple[str, ...], opening: _Opening
) -> dict[str, FileReference | ImageRefused]:
    """Open every file once, however many names it goes by."""
    if not sources:
        return {}
    from pipeline.images import locate  # noqa: PLC0415

    opened: dict[str, FileReference | ImageRefused] = {}
    by_path: dict[Path, FileReference] = {}
    for source in sources:
        if is_inline(source):
            opened[source] = _open_inline(source, opening)
            continue
        path = locate(source, opening.manifest.parent, allow_outside=opening.allow_outside)
        if isinstance(path, ImageRefused):
            opened[source] = path
        elif path in by_path:
            opened[source] = replace(by_path[path], source=source)
        else:
            found = _open_image(path, source, opening)
            opened[source] = found
            if isinstance(found, FileReference):
                by_path[path] = found
    return opened


def _open_image(path: Path, source: str, opening: _Opening) -> FileReference | ImageRefused:
    """One file, converted where it is not taken as it is and that is wanted."""
    from pipeline.images import open_image, read_bytes  # noqa: PLC0415

    found = open_image(path, source, opening.capabilities.max_image_bytes)
    if not isinstance(found, ImageRefused) or not (found.can_convert and opening.convert_images):
        return found
    from pipeline.conversion import MAX_SOURCE_BYTES  # noqa: PLC0415 - few manifests need it

    data = read_bytes(path, source, MAX_SOURCE_BYTES)
    return data if isinstance(data, ImageRefused) else _convert(data, source, path, opening)


def _convert(
    data: bytes, source: str, path: Path, opening: _Opening
) -> FileReference | ImageRefused:
    from pipeline.conversion import Conversion, convert  # noqa: PLC0415

    capabilities = opening.capabilities
    wanted = Conversion(
        provider=capabilities.provider,
        max_bytes=capabilities.max_image_bytes,
        max_side_px=capabilities.max_image_side_px,
        folder=opening.converted,
    )
    made = convert(data, source, path, wanted)
    if isinstance(made, ImageRefused):
        return made
    opening.notes.append(made.note)
    return made.reference


def _open_inline(source: str, opening: _Opening) -> FileReference | ImageRefused:
    """The picture that the manifest itself holds, where the provider takes such."""
    capabilities = opening.capabilities
    if not capabilities.inline_images:
        return ImageRefused(
            message=f'"{inline_label(source)}" is a picture inside the manifest; '
            f"{capabilities.provider} takes files and https URLs only",
            hint="save it to a file beside the manifest and name that",
        )
    from pipeline.images import open_inline  # noqa: PLC0415

    found = open_inline(source, opening.manifest, capabilities.max_image_bytes)
    if not isinstance(found, ImageRefused) or not (found.can_convert and opening.convert_images):
        return found
    return _convert(inline_bytes(source) or b"", inline_label(source), opening.manifest, opening)


def _refuse(
    findings: Findings, message: str, hint: str, exit_code: ExitCode = ExitCode.FILE_MISSING
) -> None:
    findings.add(_START, (), message, hint, exit_code=exit_code)


def _read(file: str, stdin: BinaryIO | None, findings: Findings) -> bytes | None:
    """The bytes of the manifest, at most one more than allowed; None after a problem."""
    try:
        if file == STDIN:
            stream = stdin if stdin is not None else getattr(sys.stdin, "buffer", None)
            if stream is None:
                _refuse(findings, "standard input is closed", "name a manifest file instead of -")
                return None
            data = stream.read(MAX_MANIFEST_BYTES + 1)
        else:
            data = _read_file(file, findings)
    except FileNotFoundError:
        near = _near(file)
        _refuse(
            findings,
            "no such file",
            f"did you mean {shown(near)}?" if near else "check the name and the current folder",
        )
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable file name"
        _refuse(findings, f"cannot be read: {shown(reason.lower())}", "check its permissions")
        return None
    if data is not None and len(data) > MAX_MANIFEST_BYTES:
        _refuse(
            findings,
            "over 1 MB, which no manifest is",
            "check that this is the right file, or split the storyboard",
            ExitCode.BAD_MANIFEST,
        )
        return None
    return data


def _read_file(file: str, findings: Findings) -> bytes | None:
    """Up to the limit and one byte of a plain file; None after a problem."""
    # Looked at before it is opened, as a FIFO would hang until someone writes to it.
    if _is_plain(Path(file).stat().st_mode, findings):
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if _is_plain(os.fstat(stream.fileno()).st_mode, findings):
                return stream.read(MAX_MANIFEST_BYTES + 1)
    return None


def _is_plain(mode: int, findings: Findings) -> bool:
    if stat.S_ISREG(mode):
        return True
    is_folder = stat.S_ISDIR(mode)
    _refuse(
        findings,
        "is a folder, not a manifest" if is_folder else "is not a plain file",
        "name the YAML file in it" if is_folder else "name a YAML file, or pipe it in and name -",
    )
    return False


def _near(file: str) -> str | None:
    """A file in the same folder whose name is much like ``file``."""
    path = Path(file)
    try:
        names = [entry.name for entry in path.parent.iterdir()][:1000]
    except (OSError, ValueError):
        return None
    guess = closest(path.name, names)
    return str(path.with_name(guess)) if guess else None


def _decode(data: bytes, findings: Findings) -> str | None:
    """The text of UTF-8 bytes, without a byte order mark; None after a problem."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        _refuse(
            findings,
            "the file is UTF-16 or UTF-32 (at byte 0); a manifest is UTF-8",
            "save it as UTF-8",
            ExitCode.BAD_MANIFEST,
        )
        return None
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode().replace("\r\n", "\n").replace("\r", "\n")
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        findings.add(
            Position(line=line, column=column),
            (),
            f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}",
            "save the file as UTF-8",
        )
        return None


@cache
def _validator() -> Draft202012Validator:
    """The compiled schema: once for a process, as compiling costs more than checking."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    return Draft202012Validator(json.loads(_schema_text()))


def _schema_text() -> str:
    try:
        return resources.files("pipeline.schemas").joinpath(_SCHEMA).read_text("utf-8")
    except ModuleNotFoundError:
        # Run from a source tree that is not installed: there the schemas are its top folder.
        return (Path(__file__).parent.parent / "schemas" / _SCHEMA).read_text("utf-8")
