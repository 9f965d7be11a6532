"""Which picture or clip every entry of a shot is: from the manifest's library, a file or a URL.

Pure: the files were opened by the edge, and their outcomes are handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ExitCode
from pipeline.findings import KeyPath, closest
from pipeline.model import FileReference, Reference, UrlReference, VideoReference
from pipeline.references import NAME, foreign_form, is_address, is_url, url_mistake
from pipeline.text import shown
from pipeline.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRefused:
    """Why a file cannot be a reference, and the cure.

    ``can_convert``: it is a picture, and a converted copy of it could be one.
    """

    message: str
    hint: str
    exit_code: ExitCode = ExitCode.BAD_MANIFEST
    is_absent: bool = False
    can_convert: bool = False


def _entries(view: View) -> dict[str, str]:
    """The manifest's library: name to file or URL, empty for what is no text."""
    value = view.get(("references",))
    if not isinstance(value, dict):
        return {}
    return {name: each if isinstance(each, str) else "" for name, each in value.items()}


def files_named(view: View) -> tuple[str, ...]:
    """Every distinct picture of the library and of the shots that is here to be opened: local
    files and ``data:`` URIs, as written, in file order."""
    entries = _entries(view)
    names = dict.fromkeys(source for source in entries.values() if not is_address(source))
    for index in range(len(view.list_at(("shots",)))):
        for source in (
            *view.list_at(("shots", index, "images")),
            view.get(("shots", index, "frame")),
        ):
            if isinstance(source, str) and source not in entries and not is_address(source):
                names[source] = None
    names.pop("", None)
    return tuple(names)


def videos_named(view: View) -> tuple[str, ...]:
    """Every distinct local clip of the shots, as written, in file order."""
    names: dict[str, None] = {}
    for index in range(len(view.list_at(("shots",)))):
        source = view.text(("shots", index, "video"))
        if source and not is_url(source):
            names[source] = None
    return tuple(names)


def _absent_hint(source: str, names: Mapping[str, str]) -> str:
    """The cure for an entry of ``images`` that names nothing."""
    guess = closest(source, names)
    if guess:
        return f"did you mean {guess}, from references?"
    if "\\" in source:
        return "write / between folders, not \\"
    if source.startswith("~"):
        return "~ is not your home folder here; name a file relative to the manifest"
    if names and NAME.match(source):
        known = ", ".join(list(names)[:8])
        return f"references has {shown(known, 100)}; files are named with their ending"
    return "file names are relative to the manifest's folder"


class Library:
    """The pictures of one manifest."""

    def __init__(
        self,
        view: View,
        opened: Mapping[str, FileReference | ImageRefused],
        videos: Mapping[str, VideoReference | ImageRefused],
    ) -> None:
        """``opened`` has the outcome of every file of ``files_named``, ``videos`` of every file of
        ``videos_named``.

        Both are empty where no file was opened because a syntax error cut the document short.
        """
        self._view = view
        self._opened = opened
        self._videos = videos
        self._entries = _entries(view)
        self._used: set[str] = set()
        # A library that cannot be read as one may hold any name that the shots use.
        value = view.document.value(("references",))
        is_flagged = ("references",) in view.findings.flagged
        self._is_readable = (value is None or isinstance(value, dict)) and not is_flagged

    def check_entries(self) -> None:
        """Look at every entry of the library, once, where it stands."""
        for name, source in self._entries.items():
            self._reference(("references", name), source)

    def images_of(self, path: KeyPath) -> list[Reference | None] | None:
        """The references of one shot, None for each that is wrong; None for no list."""
        sources = self._view.get(path)
        if not isinstance(sources, list):
            return None
        images: list[Reference | None] = []
        seen: dict[str, int] = {}
        for number, source in enumerate(sources, start=1):
            place = (*path, number - 1)
            image = self._image(place, source)
            images.append(image)
            key = image.content_key if image is not None else ""
            if image is not None and key in seen:
                self._view.warn(
                    place,
                    f"image {number} is the same picture as image {seen[key]}",
                    "name one of them, or choose another picture",
                )
            seen.setdefault(key, number)
        return images

    def frame_of(self, path: KeyPath) -> Reference | None:
        """The first frame that a shot names; None where it is wrong, or there is none."""
        return self._image(path, self._view.get(path))

    def video_of(self, path: KeyPath) -> VideoReference | None:
        """The clip that a shot edits; None where it is wrong, or there is none."""
        source = self._view.text(path)
        if not source:
            return None
        if is_url(source):
            mistake = url_mistake(source)
            if mistake is not None:
                self._view.add(path, *mistake)
                return None
            return VideoReference(media=UrlReference(source=source, url=source))
        found = self._videos.get(source)
        if self._is_foreign(path, source, found):
            return None
        if isinstance(found, ImageRefused):
            self._view.findings.add(
                self._view.document.position(path),
                path,
                found.message,
                found.hint,
                exit_code=found.exit_code,
            )
            return None
        return found

    def _image(self, path: KeyPath, source: Any) -> Reference | None:
        if not isinstance(source, str) or path in self._view.findings.flagged:
            return None
        if source not in self._entries:
            return self._reference(path, source)
        self._used.add(source)
        entry = ("references", source)
        # A wrong entry of the library was reported once, where it stands.
        if entry in self._view.findings.flagged:
            return None
        target = self._entries[source]
        if is_address(target):
            return UrlReference(source=target, url=target)
        found = self._opened.get(target)
        return found if isinstance(found, FileReference) else None

    def _reference(self, path: KeyPath, source: str) -> Reference | None:
        """The file or URL of one entry; whatever is wrong with it is reported at ``path``."""
        if path in self._view.findings.flagged:
            return None
        if is_address(source):
            mistake = url_mistake(source)
            if mistake is not None:
                self._view.add(path, *mistake)
                return None
            return UrlReference(source=source, url=source)
        found = self._opened.get(source)
        if not isinstance(found, ImageRefused) or self._is_foreign(path, source, found):
            return found if isinstance(found, FileReference) else None
        message, hint, exit_code = found.message, found.hint, found.exit_code
        if found.is_absent and not self._is_readable and NAME.match(source):
            return None
        if found.is_absent:
            names = self._entries if path[0] == "shots" else {}
            hint = _absent_hint(source, names)
            if names and NAME.match(source):
                message = f'"{shown(source)}" is no name of references and no file'
                exit_code = ExitCode.BAD_MANIFEST
        self._view.findings.add(
            self._view.document.position(path), path, message, hint, exit_code=exit_code
        )
        return None

    def _is_foreign(self, path: KeyPath, source: str, found: object) -> bool:
        """Report what is no file and was never meant as one, by what it is."""
        form = foreign_form(source) if isinstance(found, ImageRefused) else None
        if form is not None:
            self._view.add(path, *form)
        return form is not None

    def warn_unused(self) -> None:
        """Name the entries that no shot used; call it after every shot."""
        findings = self._view.findings
        if not self._view.document.whole or findings.is_full or ("shots",) in findings.flagged:
            return
        for name in self._entries:
            path: KeyPath = ("references", name)
            if name not in self._used and path not in findings.flagged:
                self._view.warn(
                    path,
                    "no shot uses this reference",
                    f"add {name} to a shot's images, or delete it",
                    at_key=True,
                )
