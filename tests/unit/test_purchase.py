"""What each provider sells, by kind of shot: what is refused, where, and with which cure."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from test_validation import SCHEMA, stub

from pipeline.capabilities import CAPABILITIES
from pipeline.findings import Findings
from pipeline.library import ImageRefused, files_named, videos_named
from pipeline.model import (
    Container,
    FileReference,
    Output,
    Problem,
    SafetyMode,
    Severity,
    ShotKind,
    Size,
    Storyboard,
    VideoReference,
)
from pipeline.references import foreign_form
from pipeline.untaken import SECTION_KEYS
from pipeline.validation import Terms, build, check_form
from pipeline.view import View
from pipeline.yaml_document import load

VALIDATOR = Draft202012Validator(SCHEMA)
CLIP_S = Fraction(101, 20)
NO_FILE = ImageRefused(message="it does not exist", hint="look", is_absent=True)


def picture(name: str) -> FileReference | ImageRefused:
    """A file that is as large as its name says: ``a-1920x1080.png``."""
    found = stub(name)
    if foreign_form(name) is not None:
        return NO_FILE
    said = re.search(r"-(\d+)x(\d+)", name)
    if said is None or not isinstance(found, FileReference):
        return found
    return replace(found, width_px=int(said[1]), height_px=int(said[2]))


def check(
    shot: str, provider: str = "runware", top: str = "", clip_s: Fraction = CLIP_S
) -> tuple[Storyboard | None, tuple[Problem, ...]]:
    """One shot whose clips all last ``clip_s`` seconds, and its errors."""
    storyboard, problems = found_in(shot, provider, top, clip_s)
    return storyboard, tuple(p for p in problems if p.severity is Severity.ERROR)


def found_in(
    shot: str, provider: str = "runware", top: str = "", clip_s: Fraction = CLIP_S
) -> tuple[Storyboard | None, tuple[Problem, ...]]:
    """The same, with warnings."""
    text = f"storyboard: s\n{top}shots:\n  - {{id: a, prompt: 'the lamp turns', {shot}}}\n"
    findings = Findings("m")
    document = load(text, findings)
    terms = Terms(capabilities=CAPABILITIES[provider], max_shots=1000, max_prompt_chars=4000)
    check_form(document, VALIDATOR, terms, findings)
    view = View(document, findings)
    opened = {name: picture(name) for name in files_named(view)}
    size = Size(width_px=1280, height_px=720)
    media = stub("clip")
    assert isinstance(media, FileReference)
    videos = {
        name: VideoReference(media=media, duration_s=clip_s, size=size)
        if foreign_form(name) is None
        else NO_FILE
        for name in videos_named(view)
    }
    storyboard = build(
        document, terms, findings, Path("m"), opened=opened, videos=videos
    ).storyboard
    return storyboard, tuple(findings.sorted())


def refused(shot: str, provider: str = "runware", top: str = "") -> tuple[str, str, str]:
    """Path, message and hint of the one thing that is wrong."""
    storyboard, problems = check(shot, provider, top)
    assert storyboard is None
    [problem] = problems
    return problem.path, problem.message, problem.hint


def bought(shot: str, top: str = "", clip_s: Fraction = CLIP_S) -> str:
    """Kind, length and picture of a shot that is good."""
    storyboard, problems = check(shot, top=top, clip_s=clip_s)
    assert storyboard is not None, [str(each) for each in problems]
    [one] = storyboard.shots
    return f"{one.kind} {one.duration_s} s {one.size or one.resolution}"


@pytest.mark.parametrize(
    ("shot", "expected"),
    [
        ("images: ['https://x.example.com/a.png']", "references 6 s 1280x720"),
        (
            "images: [a.png], runware: {width: 480, height: 848}, duration: 10",
            "references 10 s 480x848",
        ),
        ("duration: 15", "text 15 s 1280x720"),
        ("duration: 1, runware: {width: 640, height: 480}", "text 1 s 640x480"),
        ("frame: a.png", "frame 6 s 720p"),
        ("frame: a.png, resolution: 480p, duration: 15", "frame 15 s 480p"),
        ("video: c.mp4", "edit 6 s 720p"),
        ("video: c.mp4, duration: 6", "edit 6 s 720p"),
        ("video: 'https://cdn.example.com/c.mp4', duration: 10", "edit 10 s 720p"),
    ],
)
def test_the_keys_of_a_shot_say_what_it_is_made_from(shot: str, expected: str) -> None:
    assert bought(shot) == expected


def test_defaults_hold_where_they_can() -> None:
    top = "defaults: {duration: 8, runware: {width: 720, height: 720}, resolution: 480p}\n"
    assert bought("images: [a.png]", top) == "references 8 s 720x720"
    assert bought("frame: a.png", top) == "frame 8 s 480p"
    assert bought("video: c.mp4", top) == "edit 6 s 720p"


@pytest.mark.parametrize(
    ("shot", "path", "message", "hint"),
    [
        ("images: [a.png], duration: 15", "duration", "1 to 10", "nearest is 10; Runware's page"),
        ("duration: 16", "duration", "1 to 15 (whole seconds)", "the nearest is 15"),
        ("frame: a.png, duration: 0", "duration", "1 to 15", "write 1 or 15"),
        ("video: c.mp4, duration: 11", "duration", "its clip, 5.05 s, and is paid", "leave dur"),
        ("video: c.mp4, duration: 7", "duration", "an edit lasts as long as its clip", "cut the"),
        ("video: c.mp4, duration: 5", "duration", "an edit lasts as long as its clip", "cut the"),
        ("video: c.mp4, duration: 1", "duration", "an edit lasts as long as its clip", "leave dur"),
        (
            "video: 'https://cdn.example.com/c.mp4', duration: 11",
            "duration",
            "2 to 10",
            "at most 8.7 s",
        ),
        (
            "images: [a.png], resolution: 480p",
            "resolution",
            "takes no resolution for a shot from reference images",
            "write runware: {width: 480, height: 480} instead",
        ),
        ("resolution: 720p", "resolution", "shot from text alone", "{width: 1280, height: 720}"),
        (
            "images: [a, b, c, d, e, f, g, h]",
            "images",
            "1 to 7 images; 8 given",
            "leave out 1",
        ),
        (
            "runware: {width: 1920, height: 1080}",
            "runware.width",
            "1920x1080 is not sold",
            "1280x720 or 848x480",
        ),
        (
            "runware: {width: 1080, height: 1920}",
            "runware.width",
            "1080x1920 is not sold",
            "720x1280 or 480x848",
        ),
        (
            "runware: {width: 1280}",
            "runware.height",
            "missing beside width: 1280",
            "write height: 720",
        ),
        (
            "runware: {height: 500}",
            "runware.width",
            "missing beside height: 500",
            "write both or neither",
        ),
        (
            "frame: a.png, runware: {width: 1280}",
            "runware.width",
            "shape of its frame",
            "resolution:",
        ),
        ("video: c.mp4, resolution: 720p", "resolution", "keeps the size", "leave resolution out"),
        ("frame: a.png, images: [a.png]", "frame", "images and frame", "leave out frame"),
        ("frame: a.png, video: c.mp4", "video", "frame and video", "leave out video"),
        ("video: 'https://cdn.example.com/c.mp4'", "video", "length of a clip", "duration: 2 to"),
        ("video: 'http://cdn.example.com/c.mp4'", "video", "https URLs only", "https"),
        (
            "runware: {width: wide, height: 720}",
            "runware.width",
            "whole number of pixels",
            "write width: 1280",
        ),
        (
            "runware: {outputQuality: 10}",
            "runware.outputQuality",
            "from 20 to 99",
            "nearest is outputQuality: 20;",
        ),
        (
            "runware: {numberResults: 5}",
            "runware.numberResults",
            "from 1 to 4",
            "nearest is numberResults: 4;",
        ),
        ("runware: {ttl: 59}", "runware.ttl", "from 60", "the nearest is ttl: 60;"),
        ("frame: [a.png]", "frame", "must be one text; found a list", "write a file name"),
        ("runware: {outputFormat: AVI}", "runware.outputFormat", "MP4, WEBM or MOV", "write"),
        ("runware: [MOV]", "runware", "must be a mapping", "write runware: {outputQuality"),
        ("runware: {safety: {mode: quick}}", "runware.safety.mode", "none, fast or full", "write"),
        (
            "runware: {safety: {checkContent: false, mode: full}}",
            "runware.safety.mode",
            "checkContent is false",
            "leave mode out",
        ),
        (
            "runware: {uploadEndpoint: 'http://bucket.example.com/x'}",
            "runware.uploadEndpoint",
            "https URLs only",
            "https URL",
        ),
        ("runware: {seed: 1}", "runware.seed", "unknown key", "known here"),
    ],
)
def test_runware_refuses_what_it_does_not_sell_and_names_the_nearest(
    shot: str, path: str, message: str, hint: str
) -> None:
    found = refused(shot)
    assert found[0] == f"shots[0].{path}"
    assert message in found[1]
    assert hint in found[2]


@pytest.mark.parametrize(
    ("shot", "path", "message", "hint"),
    [
        ("duration: 6", "images", "is missing", "list 1 to 7"),
        ("frame: a.png", "frame", "wavespeed makes no shots from a first frame", "--provider runw"),
        ("video: c.mp4", "video", "wavespeed makes no shots from a clip", "--provider runware"),
        ("images: [a.png], duration: 7", "duration", "6 or 10", "the nearest is 6"),
    ],
)
def test_wavespeed_says_what_runware_would_make(
    shot: str, path: str, message: str, hint: str
) -> None:
    found = refused(shot, "wavespeed")
    assert found[0] == f"shots[0].{path}"
    assert message in found[1]
    assert hint in found[2]


def test_another_providers_section_is_not_looked_at() -> None:
    storyboard, problems = check(
        "images: [a.png], runware: {width: 1920, height: 1080}", provider="wavespeed"
    )
    assert storyboard is not None, problems
    assert storyboard.shots[0].size is None


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("a-1920x1080.png", "1280x720"),
        ("a-900x1600.png", "720x1280"),
        ("a-500x500.png", "720x720"),
        ("a-800x600.png", "960x720"),
        ("a-1001x1500.png", "720x960"),
    ],
)
def test_without_a_size_the_picture_is_shaped_like_the_first_image(name: str, size: str) -> None:
    assert bought(f"images: [{name}, a-1x9.png]") == f"references 6 s {size}"


def test_a_resolution_among_the_defaults_is_refused_for_shots_that_take_none() -> None:
    path, message, hint = refused("images: [a.png]", top="defaults: {resolution: 480p}\n")
    assert path == "defaults.resolution"
    assert "takes no resolution" in message
    assert "width: 480" in hint


@pytest.mark.parametrize(
    ("resolution", "image", "size"),
    [
        ("480p", "a-480x848.png", "{width: 480, height: 848}"),
        ("720p", "a-900x1600.png", "{width: 720, height: 1280}"),
        ("480p", "a-600x600.png", "{width: 480, height: 480}"),
        ("480p", "a-1500x1001.png", "{width: 720, height: 480}"),
    ],
)
@pytest.mark.parametrize("place", ["shot", "defaults"])
def test_instead_of_a_resolution_the_size_that_is_shaped_like_the_first_image_is_proposed(
    resolution: str, image: str, size: str, place: str
) -> None:
    top = f"defaults: {{resolution: {resolution}}}\n" if place == "defaults" else ""
    own = "" if top else f", resolution: {resolution}"
    _, _, hint = refused(f"images: [{image}, a-1x9.png]{own}", top=top)
    assert hint == f"write runware: {size} instead"


UUID = "aac49721-1964-481a-ae78-8a4e29b91402"
BARE = b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()


@pytest.mark.parametrize(
    ("shot", "top", "path", "message", "hint"),
    [
        (f"images: [{UUID}]", "", "shots[0].images[0]", "id of a file", "its https address"),
        (f"frame: {UUID}", "", "shots[0].frame", "before money is spent", "its https address"),
        (f"video: {UUID}", "", "shots[0].video", "id of a file", "its https address"),
        (
            "images: [it]",
            f"references: {{it: {UUID}}}\n",
            "references.it",
            "id of a file",
            "its https address",
        ),
        (f"images: ['{BARE}']", "", "shots[0].images[0]", "bare base64", "data: URI"),
        (f"frame: '{BARE}'", "", "shots[0].frame", "bare base64", "data: URI"),
        (f"frame: '/9j/{BARE}'", "", "shots[0].frame", "bare base64", "save it to a file"),
    ],
)
def test_a_form_that_only_providers_know_is_refused_by_what_it_is(
    shot: str, top: str, path: str, message: str, hint: str
) -> None:
    found = refused(shot, top=top)
    assert found[0] == path
    assert message in found[1]
    assert hint in found[2]
    assert "does not exist" not in found[1]


def test_a_clip_that_is_too_long_to_be_edited_is_refused() -> None:
    # A length that is written makes it no shorter.
    for shot in ("video: c.mp4", "video: c.mp4, duration: 10", "video: c.mp4, duration: 13"):
        storyboard, [problem] = check(shot, clip_s=Fraction(121, 10))
        assert storyboard is None
        assert problem.path == "shots[0].video"
        assert "12.1" in problem.message
        assert "2 to 10 s" in problem.message


def test_a_clip_that_the_model_behind_may_refuse_is_warned_of() -> None:
    def warnings(clip_s: Fraction) -> list[str]:
        return [
            f"{each.path}: {each.message} ({each.hint})"
            for each in found_in("video: c.mp4", clip_s=clip_s)[1]
            if each.severity is Severity.WARNING
        ]

    [warning] = warnings(Fraction(9))
    assert warning.startswith("shots[0].video: lasts 9.00 s, which may be refused when it is")
    assert warning.endswith("(cut it to 8.7 s or less)")
    assert warnings(Fraction(87, 10)) == []


def test_the_runware_section_says_how_a_clip_is_delivered() -> None:
    top = "defaults: {runware: {outputFormat: MOV, outputQuality: 50, numberResults: 2}}\n"
    section = "{outputQuality: 99, ttl: 86400, safety: {checkContent: true}}"
    storyboard, _ = check(f"runware: {section}", top=top)
    assert storyboard is not None
    output = storyboard.shots[0].output
    assert (output.container, output.quality, output.results) == (Container.MOV, 99, 2)
    assert (output.keep_s, output.safety) == (86_400, SafetyMode.FAST)


def test_a_default_that_is_written_out_is_no_other_shot() -> None:
    storyboard, _ = check("runware: {outputQuality: 95, outputFormat: MP4, numberResults: 1}")
    assert storyboard is not None
    assert storyboard.shots[0].output == Output()


def test_an_upload_address_on_this_machine_is_let_through_with_a_warning() -> None:
    storyboard, problems = check("runware: {uploadEndpoint: 'http://127.0.0.1:9/x'}")
    assert storyboard is not None
    assert not problems


ENDPOINT = "uploadEndpoint: 'https://bucket.example.com/x?sig=1'"


@pytest.mark.parametrize(
    ("shot", "top", "path", "takes"),
    [
        (f"takes: 3, runware: {{{ENDPOINT}}}", "", "shots[0].runware.uploadEndpoint", 3),
        (
            f"runware: {{{ENDPOINT}}}}}\n  - {{id: b, prompt: x, runware: {{{ENDPOINT}}}",
            "",
            "shots[0].runware.uploadEndpoint",
            2,
        ),
        (
            "takes: 2",
            f"defaults: {{runware: {{{ENDPOINT}}}}}\n",
            "defaults.runware.uploadEndpoint",
            2,
        ),
    ],
)
def test_takes_that_overwrite_each_other_at_one_address_are_warned_of(
    shot: str, top: str, path: str, takes: int
) -> None:
    storyboard, [warning] = found_in(shot, top=top)
    assert storyboard is not None
    assert (warning.severity, warning.path) == (Severity.WARNING, path)
    assert warning.message.startswith(f"{takes} takes are uploaded to this one address")
    assert "address of its own" in warning.hint
    # Elsewhere the section does nothing at all.
    if not top:
        _, elsewhere = found_in(f"images: [a.png], {shot}", "wavespeed", top)
        assert not [each for each in elsewhere if "one address" in each.message]


def test_one_take_at_an_address_of_its_own_is_not_warned_of() -> None:
    assert found_in(f"runware: {{{ENDPOINT}}}")[1] == ()


@pytest.mark.parametrize(
    ("shot", "top", "path", "message", "hint"),
    [
        ("runware: {outputType: URL}", "", "shots[0].runware.outputType", "always URL", "leave it"),
        ("runware: {deliveryMethod: sync}", "", "shots[0].runware.deliveryMethod", "async", "leav"),
        ("runware: {includeCost: true}", "", "shots[0].runware.includeCost", "true", "settled_usd"),
        ("runware: {webhookURL: x}", "", "shots[0].runware.webhookURL", "run", "--webhook-url"),
        ("runware: {taskUUID: x}", "", "shots[0].runware.taskUUID", "bought twice", "task_id"),
        ("runware: {model: x}", "", "shots[0].runware.model", "one model", "provider:"),
        ("model: x", "", "shots[0].model", "one model", "provider: wavespeed or runware"),
        ("", "model: x\n", "model", "one model", "provider: wavespeed or runware"),
        ("", "uploadEndpoint: x\n", "uploadEndpoint", "section", "defaults: {runware: {uploadEnd"),
        ("outputQuality: 50", "", "shots[0].outputQuality", "section", "runware: {outputQuality"),
        ("enable_sync_mode: true", "", "shots[0].enable_sync_mode", "open until", "leave it out"),
        ("enable_base64_output: true", "", "shots[0].enable_base64_output", "answer", "leave it"),
        ("webhook: x", "", "shots[0].webhook", "belongs to a run", "--webhook-url"),
        ("", "defaults: {webhook: x}\n", "defaults.webhook", "to a run", "STORYBOARD_WEBHOOK_URL"),
        ("positivePrompt: x", "", "shots[0].positivePrompt", "another name", "write prompt"),
    ],
)
def test_what_a_page_documents_and_a_manifest_does_not_take_is_told_with_its_reason(
    shot: str, top: str, path: str, message: str, hint: str
) -> None:
    found = refused(shot or "duration: 6", top=top)
    assert found[0] == path
    assert message in found[1]
    assert hint in found[2]
    assert "unknown" not in found[1]


def test_the_sections_keys_are_those_of_the_schema() -> None:
    assert set(SCHEMA["$defs"]["runware"]["properties"]) == SECTION_KEYS


def test_the_schema_names_every_size_that_is_sold() -> None:
    told = SCHEMA["$defs"]["runware"]["properties"]["width"]["description"]
    for size in CAPABILITIES["runware"].offers[ShotKind.TEXT].sizes:
        assert str(size) in told
