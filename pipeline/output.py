"""Reads the ``runware`` section of a manifest: what only that provider can be told. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipeline.findings import KeyPath
from pipeline.model import Container, Output, SafetyMode, Shot
from pipeline.references import is_this_machine, url_mistake
from pipeline.view import View

SECTION = "runware"
# What Runware takes where nothing is said; written out it must not make another shot.
_USUAL_QUALITY = 95


def read_output(view: View, shot: KeyPath) -> Output | None:
    """What a shot says, over what the defaults say; None where any of it is wrong."""
    errors = view.findings.errors
    values: dict[str, Any] = {}
    places: dict[str, KeyPath] = {}
    for base in (("defaults", SECTION), (*shot, SECTION)):
        section = view.get(base)
        if not isinstance(section, dict):
            continue
        for key in section:
            if view.get((*base, key)) is not None:
                values[key], places[key] = section[key], (*base, key)
    safety = _safety(view, values, places)
    if "uploadEndpoint" in values:
        _check_endpoint(view, places["uploadEndpoint"], values["uploadEndpoint"])
    if view.findings.errors > errors or safety is None or not _are_whole(values):
        return None
    quality = values.get("outputQuality")
    return Output(
        container=Container(values.get("outputFormat", "MP4")),
        quality=None if quality == _USUAL_QUALITY else quality,
        safety=safety,
        results=values.get("numberResults", 1),
        keep_s=values.get("ttl"),
        put_url=values.get("uploadEndpoint"),
    )


def warn_shared_endpoints(view: View, shots: Sequence[Shot | None]) -> None:
    """Say where several takes are uploaded to one address, at the line that names it first."""
    takes: Counter[str] = Counter()
    places: dict[str, KeyPath] = {}
    for index, shot in enumerate(shots):
        if shot is None or shot.output.put_url is None:
            continue
        own: KeyPath = ("shots", index, SECTION, "uploadEndpoint")
        is_own = view.document.value(own) is not None
        places.setdefault(shot.output.put_url, own if is_own else ("defaults", *own[2:]))
        takes[shot.output.put_url] += shot.takes
    for url, place in places.items():
        if takes[url] > 1:
            view.warn(
                place,
                f"{takes[url]} takes are uploaded to this one address, where each overwrites "
                "the one before",
                "give each shot an address of its own and one take, or leave it out: every clip "
                "comes into the output folder",
            )


def _are_whole(values: dict[str, Any]) -> bool:
    """Whether the schema found the numbers and words good; it has told what is wrong."""
    numbers = [values[k] for k in ("outputQuality", "numberResults", "ttl") if k in values]
    known = values.get("outputFormat", "MP4") in {each.value for each in Container}
    return known and all(type(number) is int for number in numbers)


def _safety(view: View, values: dict[str, Any], places: dict[str, KeyPath]) -> SafetyMode | None:
    section = values.get("safety", {})
    if not isinstance(section, dict):
        return None
    check, mode = section.get("checkContent"), section.get("mode")
    if mode is not None and mode not in {each.value for each in SafetyMode}:
        return None
    if check is False and mode not in {None, SafetyMode.NONE}:
        view.add(
            (*places["safety"], "mode"),
            f"mode is {mode}, but checkContent is false",
            "write checkContent: true, or leave mode out",
        )
        return None
    if check is True and mode == SafetyMode.NONE:
        view.add(
            (*places["safety"], "mode"),
            "checkContent is true, but mode is none",
            "write mode: fast or full, or checkContent: false",
        )
        return None
    if mode is not None:
        return SafetyMode(mode)
    return SafetyMode.FAST if check is True else SafetyMode.NONE


def _check_endpoint(view: View, path: KeyPath, url: object) -> None:
    if not isinstance(url, str) or path in view.findings.flagged:
        return
    if is_this_machine(url):
        view.warn(path, "is on this machine, which only a sandbox can reach", "use an https URL")
        return
    mistake = url_mistake(url)
    if mistake is not None:
        message, _ = mistake
        view.add(path, message, "write an https URL that the provider can reach")
