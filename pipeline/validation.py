"""From a parsed document to a Storyboard, or to every problem at once.

Pure: images were opened by the edge, which hands in what it found. Each value is judged by
itself, so that a mistake in one shot hides none in another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.capabilities import CAPABILITIES, PROVIDERS, Capabilities, choose_provider
from pipeline.film.judging import beyond_clip, judge_film
from pipeline.film.reading import read_edit, read_film
from pipeline.film.sources import Outcomes
from pipeline.film.words import with_texts
from pipeline.findings import Findings, KeyPath
from pipeline.library import ImageRefused, Library
from pipeline.model import (
    FileReference,
    Reference,
    Severity,
    Shot,
    ShotKind,
    Storyboard,
    VideoReference,
)
from pipeline.output import read_output, warn_shared_endpoints
from pipeline.prompt import bind
from pipeline.purchase import Purchases, kind_of
from pipeline.references import RESERVED_NAMES
from pipeline.shape import Validator, check_shape, image_count_words
from pipeline.text import shown
from pipeline.view import View
from pipeline.yaml_document import Document

MAX_REFERENCES = 1000
# Many more than any provider takes; a longer list is refused by its length alone.
_MAX_LISTED_IMAGES = 100
_SLATE = re.compile(r"(?P<shot>.+)_tk[0-9]+\Z", re.IGNORECASE)
# What a text may not hold: controls (line ends and tabs are fine) and halves of characters.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a manifest is held to: the provider's capabilities, and our own limits."""

    capabilities: Capabilities
    max_shots: int
    max_prompt_chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What could be made of a document: the storyboard when nothing at all is wrong, and each of
    its shots, None for one that is not good; ``names`` their ids, empty for one without."""

    storyboard: Storyboard | None = None
    shots: tuple[Shot | None, ...] = ()
    names: tuple[str, ...] = ()


def provider_named(document: Document) -> str | None:
    """The provider that the manifest names, where it is one we know."""
    name = document.value(("provider",))
    return name if isinstance(name, str) and name in PROVIDERS else None


def capabilities_of(document: Document, override: str | None) -> Capabilities:
    """What to check against; ``override`` is one of ``PROVIDERS`` or None."""
    return CAPABILITIES[choose_provider(override, provider_named(document))]


def check_form(document: Document, validator: Validator, terms: Terms, findings: Findings) -> None:
    """Everything that the schema can see, with sizes first so that no check takes long."""
    value = document.root.value
    if isinstance(value, dict):
        value = dict(value)
        if "film" in value:
            value["film"] = with_texts(value["film"])
        _limit_sizes(document, value, terms, findings)
    check_shape(document, validator, terms.capabilities, findings, value=value)


def _limit_sizes(
    document: Document, value: dict[str, Any], terms: Terms, findings: Findings
) -> None:
    """Report what is too long, and leave it out of ``value``."""
    shots, library = value.get("shots"), value.get("references")
    if isinstance(shots, list) and len(shots) > terms.max_shots:
        findings.add(
            document.position(("shots",)),
            ("shots",),
            f"at most {terms.max_shots:,} shots; {len(shots):,} given",
            "split the storyboard into several manifests",
        )
        value["shots"] = []
    elif isinstance(shots, list):
        value["shots"] = [
            _without_long_images(document, index, shot, terms, findings)
            for index, shot in enumerate(shots)
        ]
    if isinstance(library, dict) and len(library) > MAX_REFERENCES:
        findings.add(
            document.position(("references",)),
            ("references",),
            f"at most {MAX_REFERENCES:,} references; {len(library):,} given",
            "leave out those that no shot uses",
        )
        value["references"] = {}


def _without_long_images(
    document: Document, index: int, shot: Any, terms: Terms, findings: Findings
) -> Any:
    images = shot.get("images") if isinstance(shot, dict) else None
    if not isinstance(images, list) or len(images) <= _MAX_LISTED_IMAGES:
        return shot
    path: KeyPath = ("shots", index, "images")
    words = image_count_words(len(images), terms.capabilities)
    findings.add(document.position(path), path, *words)
    return {**shot, "images": ["-"]}


def build(
    document: Document,
    terms: Terms,
    findings: Findings,
    path: Path,
    *,
    opened: Mapping[str, FileReference | ImageRefused],
    videos: Mapping[str, VideoReference | ImageRefused],
    materials: Outcomes | None = None,
) -> Built:
    """Check the meaning of every value.

    ``opened`` has the outcome of every file of ``files_named``, ``videos`` of ``videos_named``,
    ``materials`` of ``film.sources.sources_of``; none is asked where the document was cut short
    by a syntax error.
    """
    if not isinstance(document.root.value, dict):
        return Built()
    view = View(document, findings)
    check = _Check(view, Library(view, opened, videos), terms, materials or {})
    storyboard = check.run(path)
    names = (view.text(("shots", index, "id")) or "" for index in range(len(check.shots)))
    return Built(storyboard=storyboard, shots=check.shots, names=tuple(names))


class _Check:
    """One pass over one document."""

    def __init__(self, view: View, library: Library, terms: Terms, materials: Outcomes) -> None:
        self.view = view
        self.materials = materials
        self.terms = terms
        self.library = library
        self.purchases = Purchases(view, terms.capabilities)
        self.shots: tuple[Shot | None, ...] = ()

    def run(self, path: Path) -> Storyboard | None:
        """Look at every part, in file order where that matters."""
        name = self.view.text(("storyboard",))
        if name is not None:
            self._check_reserved(("storyboard",), name)
        title = self._title()
        budget = self._budget()
        self.library.check_entries()
        self.purchases.check_defaults()
        count = len(self.view.list_at(("shots",)))
        shots = [self._shot(index) for index in range(count) if not self.view.findings.is_full]
        self._check_ids(count)
        self.library.warn_unused()
        if self.terms.capabilities.puts_clips:
            warn_shared_endpoints(self.view, shots)
        self.shots = tuple(shots)
        whole = tuple(shot for shot in shots if shot is not None)
        storyboard = Storyboard(
            name=name or "",
            title=title or name or "",
            path=path,
            shots=whole,
            provider=provider_named(self.view.document),
            budget_usd=budget,
        )
        storyboard = self._with_film(storyboard, has_all=0 < count == len(whole))
        return None if self.view.findings.has_errors or name is None else storyboard

    def _with_film(self, storyboard: Storyboard, *, has_all: bool) -> Storyboard:
        """The film section, judged against the shots where all of them are good."""
        ids = [self.view.text(("shots", n, "id")) for n in range(len(self.shots))]
        reading = read_film(self.view, self.materials, [name for name in ids if name])
        if reading is None:
            return storyboard
        storyboard = replace(storyboard, film=reading.spec)
        names = {shot.id for shot in storyboard.shots}
        if not has_all or len(names) != len(storyboard.shots):
            return storyboard
        return replace(storyboard, film=judge_film(self.view, reading, storyboard))

    # The document's own keys

    def _check_reserved(self, path: KeyPath, name: str) -> None:
        if name.lower() in RESERVED_NAMES:
            self.view.add(
                path,
                f'"{name}" cannot be a name: Windows keeps it for a device',
                f"for example {name}-1",
            )

    def _title(self) -> str | None:
        path: KeyPath = ("title",)
        title = self.view.text(path)
        if title is None:
            return None
        node = self.view.document.node(path)
        comment = node.comment if node is not None else None
        # '# a remark' is meant as one; '#1' hardly is.
        if comment is not None and self.view.document.text[comment + 1 : comment + 2].strip():
            self.view.findings.add(
                self.view.document.lines.at(comment),
                path,
                "everything after ' #' is a comment and no part of the title",
                "quote the title, whether the comment is meant or not",
                severity=Severity.WARNING,
            )
        if not title.strip():
            self.view.add(path, "is blank", "write a title, or leave the key out")
        elif control := _CONTROL.search(title.replace("\n", "\x00").replace("\t", "\x00")):
            code = ord(title[control.start()])
            what = "a line end" if code == 10 else f"the control character U+{code:04X}"
            self.view.add(path, f"{what} in the title", "write it on one line, of plain characters")
        return title

    def _budget(self) -> Decimal | None:
        path: KeyPath = ("budget",)
        value = self.view.get(path)
        if value is None or isinstance(value, bool) or not isinstance(value, int | Decimal):
            return None
        amount = Decimal(value)
        if amount != amount.quantize(Decimal("0.0001")):
            source = shown(self.view.source(path), 40)
            self.view.add(path, f"{source} has more than 4 decimals", "round it, for example 5.00")
        return amount

    # Shots

    def _shot(self, index: int) -> Shot | None:
        path: KeyPath = ("shots", index)
        errors = self.view.findings.errors
        if not isinstance(self.view.get(path), dict):
            return None
        name = self.view.text((*path, "id"))
        if name is not None:
            self._check_reserved((*path, "id"), name)
        images = self.library.images_of((*path, "images"))
        frame = self.library.frame_of((*path, "frame"))
        video = self.library.video_of((*path, "video"))
        prompt = self._prompt(path, images)
        offer = self.purchases.offer(path)
        if offer is None:
            return None
        place = self._own_or_default(path, "duration")
        duration = self.purchases.duration(path, place, offer, video)
        picture = self.purchases.picture(path, offer, images or (), video)
        edit = read_edit(self.view, path)
        cut = self._cut(path, duration, edit.in_s)
        takes, select = self._takes(path)
        output = read_output(self.view, path)
        references = [each for each in images or () if each is not None]
        if self.view.findings.errors > errors or name is None or prompt is None:
            return None
        if self._is_flagged(index) or len(references) != len(images or ()):
            return None
        if duration is None or picture is None or output is None:
            return None
        resolution, size = picture
        return Shot(
            id=name,
            images=tuple(references),
            prompt=prompt.strip(),
            duration_s=duration,
            resolution=resolution,
            position=self.view.document.position(path),
            cut_s=cut,
            takes=takes,
            select=select,
            size=size,
            frame=frame,
            video=video,
            output=output,
            edit=edit,
        )

    def _is_flagged(self, index: int) -> bool:
        """Whether the schema found anything wrong with a shot."""
        return any(path[:2] == ("shots", index) for path in self.view.findings.flagged)

    def _own_or_default(self, path: KeyPath, key: str) -> KeyPath:
        shot = self.view.document.value(path)
        return (*path, key) if isinstance(shot, dict) and key in shot else ("defaults", key)

    def _cut(self, shot: KeyPath, duration_s: int | None, in_s: Fraction) -> Fraction | None:
        path: KeyPath = (*shot, "cut")
        value = self.view.get(path)
        is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
        cut_s = Fraction(value) if is_number else None
        if duration_s is None:
            return cut_s
        if cut_s is not None and cut_s > duration_s:
            source = shown(self.view.source(path), 40)
            self.view.add(
                path,
                f"{source} seconds are used but only {duration_s} are bought",
                f"at most {duration_s}, or buy a longer shot",
            )
            return None
        if in_s >= duration_s or in_s + (cut_s or 0) > duration_s:
            self.view.add((*shot, "in"), *beyond_clip(duration_s, in_s, cut_s))
        return cut_s

    def _takes(self, path: KeyPath) -> tuple[int, int | None]:
        source = self._own_or_default(path, "takes")
        takes = self.view.get(source)
        select = self.view.get((*path, "select"))
        count = takes if type(takes) is int else 1
        if source in self.view.findings.flagged or type(select) is not int:
            return count, None
        if select > count:
            self.view.add(
                (*path, "select"),
                f"take {select} is chosen but there {'is' if count == 1 else 'are'} only {count}",
                f"write takes: {select}, or select: {count}",
            )
        return count, select

    # Prompts

    def _prompt(self, shot: KeyPath, images: list[Reference | None] | None) -> str | None:
        path: KeyPath = (*shot, "prompt")
        prompt = self.view.text(path)
        if prompt is None:
            return None
        node = self.view.document.node(path)
        comment = node.comment if node is not None else None
        if comment is not None:
            self.view.findings.add(
                self.view.document.lines.at(comment),
                path,
                "the prompt is cut here: everything after ' #' is a comment",
                "quote the prompt",
            )
        limit = self.terms.max_prompt_chars
        if not prompt.strip():
            self.view.add(path, "is blank", 'say what happens, for example "@image1 turns slowly"')
            return None
        if len(prompt) > limit:
            self.view.add(path, f"{len(prompt):,} characters; at most {limit:,}", "shorten it")
            return None
        self._check_controls(path, prompt)
        kind = kind_of(self.view.document.value(shot))
        # Where the images were forgotten, that is what is wrong, and not the prompt.
        has_none = kind is not ShotKind.REFERENCES and kind in self.terms.capabilities.offers
        if images is not None or has_none:
            self._bind(path, prompt, len(images or ()), is_cut=comment is not None)
        return prompt

    def _check_controls(self, path: KeyPath, prompt: str) -> None:
        codes = dict.fromkeys(ord(match.group()) for match in _CONTROL.finditer(prompt))
        for code in list(codes)[:3]:
            is_half = 0xD800 <= code <= 0xDFFF
            what = "half of a character" if is_half else "the control character"
            self.view.add(path, f"{what} U+{code:04X} in the prompt", "delete it")

    def _bind(self, path: KeyPath, prompt: str, count: int, *, is_cut: bool) -> None:
        binding = bind(prompt, count, most=self.terms.capabilities.max_references)
        for mistake in binding.mistakes:
            occurrence = prompt.count(mistake.text, 0, mistake.start)
            self.view.findings.add(
                self.view.document.place(path, mistake.text, occurrence),
                path,
                mistake.message,
                mistake.hint,
            )
        # The words that were cut off may name the rest.
        for number in range(1, 1 if is_cut else count + 1):
            image = (*path[:-1], "images", number - 1)
            if number not in binding.meant and image not in self.view.findings.flagged:
                self.view.warn(
                    image,
                    f"image {number} is paid for but never named in the prompt",
                    f"name it as @image{number}, or leave it out",
                )

    # Across shots

    def _check_ids(self, count: int) -> None:
        first: dict[str, int] = {}
        for index in range(count):
            path: KeyPath = ("shots", index, "id")
            name = self.view.text(path)
            if name is None:
                continue
            twin = first.setdefault(name.lower(), index)
            if twin != index:
                other = self.view.document.value(("shots", twin, "id"))
                lines = [
                    self.view.document.position(("shots", n, "id")).line for n in (twin, index)
                ]
                same = "" if other == name else f' and "{other}" differ only in case: the name'
                self.view.add(
                    path,
                    f'"{name}"{same} is given twice (lines {lines[0]} and {lines[1]})',
                    "give each shot a name of its own",
                )
        self._check_slates(first)

    def _check_slates(self, first: Mapping[str, int]) -> None:
        """Clips are called SHOT_tk01: a shot's name must not read as another shot's take."""
        for name, index in first.items():
            match = _SLATE.match(name)
            twin = first.get(match.group("shot")) if match else None
            if twin is None:
                continue
            path: KeyPath = ("shots", index, "id")
            other = self.view.document.value(("shots", twin, "id"))
            line = self.view.line(("shots", twin, "id"))
            self.view.add(
                path,
                f'"{self.view.text(path)}" is what a take of shot "{other}" (line {line}) '
                "is called: their output names collide",
                "choose a name that does not end in _tk and digits",
            )
