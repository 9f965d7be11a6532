"""Checks a document against the JSON Schema and says each mistake in a producer's words.

jsonschema says where and which rule; the words come from here alone, because its own repeat whole
values and speak of schemas. Pure: the compiled validator is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, Protocol

from pipeline.capabilities import PROVIDERS, Capabilities, Offer
from pipeline.film import words
from pipeline.findings import MAX_PROBLEMS, Findings, KeyPath, closest, either
from pipeline.model import Container, Resolution, SafetyMode, ShotKind
from pipeline.purchase import duration_words, kind_of
from pipeline.references import NAME, NAME_RULE
from pipeline.text import shown
from pipeline.untaken import why_untaken
from pipeline.yaml_document import Document
from pipeline.yaml_tree import REPORTED, Unclear

Words = tuple[str, str]

# One line for each key that must be there, as a cure when it is not.
_MISSING = {
    "storyboard": "name it, for example storyboard: aurora-bottle",
    "shots": "list them, each as - id: …, images: […], prompt: …",
    "id": "name the shot, for example id: opening",
    "images": "list 1 to 7, for example images: [refs/bottle.png]",
    "prompt": 'say what happens, for example prompt: "@image1 turns slowly"',
    **words.MISSING,
}
_SECRET = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)


class Validator(Protocol):
    """The part of a compiled jsonschema validator that is used here."""

    def iter_errors(self, instance: Any) -> Iterable[Any]:
        """Every violation, each with validator, path, instance and schema."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One wrong value: where, what it is, and how it is written."""

    path: KeyPath
    value: Any
    source: str
    capabilities: Capabilities
    kind: ShotKind = ShotKind.REFERENCES

    @property
    def offer(self) -> Offer:
        """What is sold of the shot's kind, or else of the first that the provider makes."""
        offers = self.capabilities.offers
        return offers.get(self.kind) or next(iter(offers.values()))

    @property
    def key(self) -> str:
        """The last named step of the path."""
        return next((str(step) for step in reversed(self.path) if isinstance(step, str)), "")

    @property
    def words(self) -> str:
        """The value as it may be named in a message."""
        match self.value:
            case None:
                return "nothing"
            case str():
                return f'"{shown(self.value)}"'
            case list():
                return "a list"
            case dict():
                return "a mapping"
            case _:
                return shown(self.source, 40)


def check_shape(
    document: Document,
    validator: Validator,
    capabilities: Capabilities,
    findings: Findings,
    *,
    value: Any,
) -> None:
    """Add every violation of the schema to ``findings``, at most one for each path.

    ``value`` is the document's, without the parts that are too large to be looked at.
    """
    if document.root.value is REPORTED:
        return
    if not isinstance(value, dict):
        found = _Found(path=(), value=value, source="", capabilities=capabilities)
        what = "the file is empty" if value is None else f"found {found.words}"
        findings.add(
            document.position(()),
            (),
            f"the manifest must be a mapping with shots; {what}",
            "start with storyboard: a-name, then shots: and the list of shots",
        )
        return
    for error in islice(validator.iter_errors(value), MAX_PROBLEMS):
        path: KeyPath = tuple(error.absolute_path)
        if error.validator == "required":
            _report_missing(document, path, error, findings)
        elif error.validator == "additionalProperties":
            _report_unknown(document, path, error, findings)
        elif "propertyNames" in error.absolute_schema_path:
            path = (*path, error.instance)
            findings.add(
                document.key_position(path),
                path,
                f'"{shown(error.instance)}" cannot be a name: {NAME_RULE}',
                _name_cure(error.instance, "bottle"),
            )
        elif path not in findings.flagged and _is_judged(document, path):
            found = _Found(
                path=path,
                value=error.instance,
                source=document.source(path),
                capabilities=capabilities,
                kind=_kind_at(document, path),
            )
            message, hint = _explain(found)
            findings.add(document.position(path), path, message, hint)


def _is_judged(document: Document, path: KeyPath) -> bool:
    """Whether the value at ``path`` is all there, and was not refused before."""
    node = document.node(path)
    return node is None or (node.whole and node.value is not REPORTED)


def _kind_at(document: Document, path: KeyPath) -> ShotKind:
    shot = document.value(path[:2]) if path[0] == "shots" else None
    return kind_of(shot) if isinstance(shot, dict) else ShotKind.REFERENCES


def _report_missing(document: Document, path: KeyPath, error: Any, findings: Findings) -> None:
    node = document.node(path)
    if node is None or not node.whole:
        return
    for name in error.validator_value:
        missing = (*path, name)
        if name not in error.instance and missing not in findings.flagged:
            findings.add(document.position(path), missing, "is missing", _MISSING[name])


def _report_unknown(document: Document, path: KeyPath, error: Any, findings: Findings) -> None:
    known = error.schema["properties"]
    unknown = [name for name in error.instance if name not in known]
    for name in unknown[:MAX_PROBLEMS]:
        documented = None if words.is_film(path) else why_untaken(path, name)
        if documented is not None:
            findings.add(document.key_position((*path, name)), (*path, name), *documented)
            continue
        guess = closest(name, known)
        hint = f"did you mean {guess}?" if guess else f"known here: {', '.join(known)}"
        if guess is None and _SECRET.search(name):
            hint = "keys come from the environment or a file, never from a manifest"
        findings.add(document.key_position((*path, name)), (*path, name), "unknown key", hint)


def _explain(found: _Found) -> Words:
    """Words for a value that breaks the schema."""
    if words.is_film(found.path):
        source = shown(found.source, 40)
        return words.explain(found.path, found.value, found.words, source)
    match found.path:
        case ("shots",) | ("shots", int()) | ("defaults",) | ("references",):
            return _container(found)
        case (*_, "runware" | "safety"):
            return (
                f"must be a mapping; found {found.words}",
                f"write {_EXAMPLES[found.key]}, or leave it out",
            )
        case ("references", _):
            return _image(found)
        case (*_, "images", int()):
            return _image(found)
        case _:
            return _BY_KEY[found.key](found)


def _container(found: _Found) -> Words:
    is_empty = found.value is None or found.value == []
    match found.path:
        case ("shots",):
            return (
                "no shots" if is_empty else f"shots must be a list; found {found.words}",
                "start each shot with a dash: - id: opening",
            )
        case ("shots", _):
            return (
                f"a shot must be a mapping; found {found.words}",
                "write - id: opening, then images and prompt below it",
            )
        case ("defaults",):
            return (
                f"must be a mapping; found {found.words}",
                "write defaults: {duration: 6, resolution: 720p}, or leave it out",
            )
        case _:
            return (
                f"must be a mapping of names to images; found {found.words}",
                "write references: {bottle: refs/bottle.png}, or leave it out",
            )


def _not_text(found: _Found, example: str) -> Words | None:
    """Words for a value that YAML did not read as text, or None for a text."""
    value = found.value
    if isinstance(value, str):
        return None
    if value is None and not found.source.strip():
        return "is empty", example
    if isinstance(value, list | dict):
        return f"must be text; found {found.words}", example
    if isinstance(value, Unclear):
        reading = value.reads_as
    elif isinstance(value, bool):
        reading = "true" if value else "false"
    else:
        reading = "null" if value is None else _number_words(value)
    source = shown(found.source, 40)
    is_item = isinstance(found.path[-1], int)
    cure = f'"{source}"' if is_item else f'{found.key}: "{source}"'
    return f"YAML reads {source} as {reading}, not as text", f"quote it: {cure}"


def _number_words(value: int | Decimal) -> str:
    if isinstance(value, int):
        return str(value)
    exponent = value.as_tuple().exponent
    is_short = isinstance(exponent, int) and abs(exponent) < 20
    return f"{value.normalize():f}" if is_short else "a number"


def _name_cure(name: str, example: str) -> str:
    guess = re.sub(r"[^A-Za-z0-9_-]+", "-", name.strip()).strip("-_")[:64]
    return f"for example {guess if NAME.match(guess) else example}"


def _name(found: _Found) -> Words:
    example = "opening" if found.key == "id" else "aurora-bottle"
    return _not_text(found, _MISSING[found.key]) or (
        f"{found.words} cannot be a name: {NAME_RULE}",
        _name_cure(found.value, example),
    )


def _prompt(found: _Found) -> Words:
    return _not_text(found, _MISSING["prompt"]) or ("is empty", _MISSING["prompt"])


def _title(found: _Found) -> Words:
    cure = 'write it in quotes, for example title: "Aurora bottle", or leave it out'
    wrong = _not_text(found, cure)
    if wrong is None and found.value:
        return f"{len(found.value):,} characters; at most 200", "shorten it"
    return wrong or ("is empty", cure)


def _version(found: _Found) -> Words:
    cure = 'write version: "1", or leave it out'
    return _not_text(found, cure) or (f"{found.words} is not a known version; only 1 is", cure)


def _choice(found: _Found, known: tuple[str, ...], what: str) -> Words:
    written = found.source if not isinstance(found.value, str) else found.value
    guess = next((name for name in known if name.rstrip("p") == written.strip()), None)
    guess = guess or closest(written, known)
    return (
        f"must be {either(known)}{what}; found {found.words}",
        f"did you mean {guess}?" if guess else f"write {either(known)}",
    )


def _resolution(found: _Found) -> Words:
    sold = [size.value for size in Resolution if size in found.offer.resolutions]
    known = tuple(reversed(sold)) or tuple(each.value for each in reversed(Resolution))
    return _choice(found, known, f" on {found.capabilities.provider}")


def _provider(found: _Found) -> Words:
    return _choice(found, PROVIDERS, "")


def _duration(found: _Found) -> Words:
    return duration_words(found.value, found.source, found.capabilities.provider, found.offer)


def image_count_words(count: int, capabilities: Capabilities) -> Words:
    """Words for a list of references that is too long, or empty."""
    offer = capabilities.offers[ShotKind.REFERENCES]
    least, most = offer.min_references, offer.max_references
    cure = f"leave out {count - most:,}" if count > most else _MISSING["images"]
    return f"{least} to {most} images; {f'{count:,}' if count else 'none'} given", cure


def _images(found: _Found) -> Words:
    offer = found.capabilities.offers[ShotKind.REFERENCES]
    rule = f"{offer.min_references} to {offer.max_references} images"
    if isinstance(found.value, list):
        return image_count_words(len(found.value), found.capabilities)
    if found.value is None:
        return f"{rule}; none given", _MISSING["images"]
    if isinstance(found.value, str):
        return (
            f"must be a list of {rule}; found {found.words}",
            f"put brackets around it: images: [{shown(found.value, 40)}]",
        )
    return f"must be a list of {rule}; found {found.words}", _MISSING["images"]


def _image(found: _Found) -> Words:
    cure = "write a file name, a name from references, or an https URL"
    if isinstance(found.value, list):
        inside = " inside the list" if isinstance(found.path[-1], int) else ""
        return f"an image must be one text; found a list{inside}", cure
    if isinstance(found.value, dict):
        return "an image must be one text; found a mapping", cure
    return _not_text(found, cure) or ("is empty", cure)


def _amount(found: _Found) -> Words:
    message = f"must be a number of US dollars above 0, at most 1,000,000; found {found.words}"
    if isinstance(found.value, str):
        guess = found.value.strip().lstrip("$€").removesuffix("USD").strip().replace(",", ".")
        if re.fullmatch(r"[0-9]{1,7}(?:\.[0-9]{1,4})?", guess):
            return message, f"write budget: {guess}, without currency or quotes"
    return message, "write budget: 5.00, or leave it out for no limit"


def _cut(found: _Found) -> Words:
    return (
        f"must be a number of seconds above 0, at most the duration; found {found.words}",
        "write cut: 4.5, or leave it out to use the whole clip",
    )


def _takes(found: _Found) -> Words:
    return (
        f"must be a whole number from 1 to 8; found {found.words}",
        "write takes: 2, or leave it out for one",
    )


def _select(found: _Found) -> Words:
    return (
        f"must be the number of a take, from 1 to 8; found {found.words}",
        "write select: 1, or leave it out for the first good one",
    )


def _side(found: _Found) -> Words:
    return (
        f"must be a whole number of pixels, 1 to 10,000; found {found.words}",
        "write width: 1280 and height: 720",
    )


def _range(least: int, most: int, example: str) -> Callable[[_Found], Words]:
    def explain(found: _Found) -> Words:
        message = f"must be a whole number from {least:,} to {most:,}; found {found.words}"
        if type(found.value) is not int:
            return message, f"write {example}, or leave it out"
        nearest = min(max(found.value, least), most)
        return message, f"the nearest is {example.partition(':')[0]}: {nearest}; or leave it out"

    return explain


def _endpoint(found: _Found) -> Words:
    cure = "write an https URL, or leave it out"
    return _not_text(found, cure) or ("is empty", cure)


def _check_content(found: _Found) -> Words:
    return f"must be true or false; found {found.words}", "write checkContent: true"


def _format(found: _Found) -> Words:
    return _choice(found, tuple(each.value for each in Container), "")


def _mode(found: _Found) -> Words:
    return _choice(found, tuple(each.value for each in SafetyMode), "")


def _video(found: _Found) -> Words:
    cure = "write the file name of a clip, or an https URL"
    if isinstance(found.value, list | dict):
        return f"a clip must be one text; found {found.words}", cure
    return _not_text(found, cure) or ("is empty", cure)


_EXAMPLES = {
    "runware": "runware: {outputQuality: 99}",
    "safety": "safety: {checkContent: true}",
}
_BY_KEY: Mapping[str, Callable[[_Found], Words]] = {
    "storyboard": _name,
    "id": _name,
    "title": _title,
    "prompt": _prompt,
    "version": _version,
    "provider": _provider,
    "resolution": _resolution,
    "duration": _duration,
    "images": _images,
    "budget": _amount,
    "cut": _cut,
    "takes": _takes,
    "select": _select,
    "frame": _image,
    "video": _video,
    "width": _side,
    "height": _side,
    "outputFormat": _format,
    "outputQuality": _range(20, 99, "outputQuality: 95"),
    "numberResults": _range(1, 4, "numberResults: 2"),
    "ttl": _range(60, 31_536_000, "ttl: 86400"),
    "uploadEndpoint": _endpoint,
    "checkContent": _check_content,
    "mode": _mode,
}
