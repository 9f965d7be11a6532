"""The meaning of a document, judged without touching a disk."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.capabilities import CAPABILITIES, PROVIDERS, WAVESPEED
from pipeline.errors import ExitCode
from pipeline.findings import Findings
from pipeline.library import ImageRefused, files_named
from pipeline.model import FileReference, Problem, Resolution, Severity, Storyboard, UrlReference
from pipeline.validation import Terms, build, check_form
from pipeline.view import View
from pipeline.yaml_document import load

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "schemas/storyboard.schema.json").read_text("utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)


def stub(source: str) -> FileReference | ImageRefused:
    if "gone" in source:
        return ImageRefused(
            message="is gone", hint="look", exit_code=ExitCode.FILE_MISSING, is_absent=True
        )
    digest = source.strip("./").split("/")[-1]
    return FileReference(
        source=source,
        path=Path("/p") / source,
        sha256=digest,
        size_bytes=1,
        media_type="image/png",
        width_px=1,
        height_px=1,
    )


def check(
    text: str, *, max_shots: int = 1000, max_prompt_chars: int = 4000
) -> tuple[Storyboard | None, tuple[Problem, ...]]:
    findings = Findings("m")
    document = load(text, findings)
    terms = Terms(capabilities=WAVESPEED, max_shots=max_shots, max_prompt_chars=max_prompt_chars)
    check_form(document, VALIDATOR, terms, findings)
    opened = {name: stub(name) for name in files_named(View(document, findings))}
    storyboard = build(document, terms, findings, Path("m"), opened=opened, videos={}).storyboard
    return storyboard, findings.sorted()


def one_shot(**keys: str) -> str:
    values = {"id": "a", "images": "[a.png]", "prompt": '"@image1"', **keys}
    body = "".join(f"    {key}: {value}\n" for key, value in values.items())
    return "storyboard: s\nshots:\n  -\n" + body


def good(text: str, **limits: int) -> Storyboard:
    storyboard, problems = check(text, **limits)
    assert problems == ()
    assert storyboard is not None
    return storyboard


def test_a_full_manifest_becomes_a_storyboard_with_every_default_filled_in() -> None:
    storyboard = good(
        "storyboard: s\n"
        "title: T\n"
        "provider: wavespeed\n"
        "budget: 5.10\n"
        "defaults: {duration: 10, resolution: 480p, takes: 2}\n"
        "references: {cap: c.png, sea: https://example.com/s.jpg}\n"
        "shots:\n"
        "  - id: one\n"
        "    images: [cap, sea]\n"
        '    prompt: "  @image1 by @image2\\n"\n'
        "    cut: 4.1\n"
        "  - {id: two, images: [b.png], prompt: '@image1', duration: 6, resolution: 720p,"
        " takes: 3, select: 2}\n"
    )
    assert (storyboard.name, storyboard.title, storyboard.provider) == ("s", "T", "wavespeed")
    assert storyboard.budget_usd == Decimal("5.10")
    first, second = storyboard.shots
    assert first.images == (
        stub("c.png"),
        UrlReference(source="https://example.com/s.jpg", url="https://example.com/s.jpg"),
    )
    assert first.prompt == "@image1 by @image2"
    assert (first.duration_s, first.resolution, first.takes) == (10, Resolution.P480, 2)
    assert (first.cut_s, first.select) == (Fraction(41, 10), None)
    assert (first.position.line, first.position.column) == (8, 5)
    assert (second.duration_s, second.resolution, second.takes, second.select) == (
        6,
        Resolution.P720,
        3,
        2,
    )


def test_without_defaults_a_shot_is_six_seconds_at_720p_and_one_take() -> None:
    storyboard = good(one_shot())
    [shot] = storyboard.shots
    assert (shot.duration_s, shot.resolution, shot.takes) == (6, Resolution.P720, 1)
    assert (storyboard.title, storyboard.provider, storyboard.budget_usd) == ("s", None, None)


@pytest.mark.parametrize(
    ("cut", "exact"),
    [("0.1", Fraction(1, 10)), ("6", Fraction(6)), ("5.005", Fraction(1001, 200)), ("1e-3", None)],
)
def test_cut_is_exact(cut: str, exact: Fraction | None) -> None:
    [shot] = good(one_shot(cut=cut)).shots
    assert shot.cut_s == (exact or Fraction(1, 1000))


@pytest.mark.parametrize("budget", ["0.0001", "1000000", "12.5", "5"])
def test_budget_is_exact(budget: str) -> None:
    assert good(f"budget: {budget}\n" + one_shot()).budget_usd == Decimal(budget)


@pytest.mark.parametrize(
    "budget",
    ["1000000.01", "5.00001", "1e400", "1e-400", "5." + "0" * 27 + "1", "true", "[5]", "~", "5_0"],
)
def test_a_budget_beyond_its_range_is_one_problem(budget: str) -> None:
    _, problems = check(f"budget: {budget}\n" + one_shot())
    assert [(p.path, p.position.line) for p in problems] == [("budget", 1)]


@pytest.mark.parametrize("key", ["id", "images", "prompt", "storyboard", "shots"])
def test_a_missing_key_is_named(key: str) -> None:
    lines = one_shot().splitlines()
    text = "\n".join(line for line in lines if not line.strip().startswith(key))
    if key == "shots":
        text = "storyboard: s\n"
    _, problems = check(text)
    assert (f".{key}" if key in ("id", "images", "prompt") else key) in problems[-1].path
    assert problems[-1].message == "is missing"


@pytest.mark.parametrize(
    "value", ["", "~", "5", "1.5", "true", "no", "[x]", "{x: y}", "2024-01-01"]
)
@pytest.mark.parametrize(
    "key", ["id", "prompt", "images", "duration", "resolution", "takes", "select", "cut"]
)
def test_any_value_of_the_wrong_kind_is_one_problem_at_its_path(key: str, value: str) -> None:
    fits = {"cut": ("5", "1.5"), "takes": ("5",), "images": ("[x]",)}
    _, problems = check(one_shot(**{key: value}))
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    assert [problem.path for problem in errors] == (
        [] if value in fits.get(key, ()) else [f"shots[0].{key}"]
    )
    assert all(problem.hint for problem in problems)


@pytest.mark.parametrize("value", ["", "~", "5", "true", "no", "[x]", "words"])
@pytest.mark.parametrize(
    "key", ["version", "storyboard", "title", "provider", "defaults", "references", "shots"]
)
def test_any_wrong_value_at_the_top_is_one_problem(key: str, value: str) -> None:
    fits = {"storyboard": ("words",), "title": ("words",)}
    text = one_shot().removeprefix("storyboard: s\n")
    top = {"storyboard": "s", key: value}
    if key == "shots":
        text = ""
    if key == "references" and value == "[x]":
        text = text.replace("a.png", "gone")
    _, problems = check("".join(f"{name}: {each}\n" for name, each in top.items()) + text)
    first = [problem.path.split("[")[0] for problem in problems]
    assert first == ([] if value in fits.get(key, ()) else [key])


def test_names_of_a_library_that_cannot_be_read_are_not_called_missing() -> None:
    text = one_shot(images="[gone]") + "references: [gone]\n"
    assert [problem.path for problem in check(text)[1]] == ["references"]
    text = one_shot(images="[cap]") + "references: {cap: 5}\n"
    assert [problem.path for problem in check(text)[1]] == ["references.cap"]


def test_a_missing_library_file_is_reported_once_where_it_stands() -> None:
    text = one_shot(images="[cap]") + "references: {cap: gone.png}\n"
    [problem] = check(text)[1]
    assert (problem.path, problem.exit_code) == ("references.cap", ExitCode.FILE_MISSING)


def test_a_library_name_wins_over_a_file_of_the_same_name() -> None:
    [shot] = good(one_shot(images="[cap]") + "references: {cap: other.png}\n").shots
    assert shot.images == (stub("other.png"),)


def test_a_mistyped_library_name_is_a_manifest_mistake_and_not_a_missing_file() -> None:
    text = one_shot(images="[gonecap, real]") + "references: {gone-cap: a.png, real: b.png}\n"
    _, problems = check(text)
    wrong = [problem for problem in problems if problem.severity is Severity.ERROR]
    assert [(each.path, each.exit_code) for each in wrong] == [
        ("shots[0].images[0]", ExitCode.BAD_MANIFEST)
    ]
    assert "did you mean gone-cap" in wrong[0].hint


def test_the_same_picture_by_two_names_is_a_warning_only() -> None:
    storyboard, problems = check(one_shot(images="[a.png, x/a.png]", prompt='"@image1 @image2"'))
    assert storyboard is not None
    assert [(problem.path, problem.severity) for problem in problems] == [
        ("shots[0].images[1]", Severity.WARNING)
    ]


def test_a_wrong_default_is_reported_once_and_not_for_every_shot() -> None:
    shots = "".join(
        f"  - {{id: s{n}, images: [a.png], prompt: '@image1', cut: 9}}\n" for n in range(3)
    )
    _, problems = check("storyboard: s\ndefaults: {duration: 7, takes: 0}\nshots:\n" + shots)
    assert [problem.path for problem in problems] == ["defaults.duration", "defaults.takes"]


def test_ids_are_unique_without_regard_to_case_and_every_twin_is_named() -> None:
    shots = "".join(f"  - {{id: {n}, images: [a.png], prompt: '@image1'}}\n" for n in "aAba")
    _, problems = check("storyboard: s\nshots:\n" + shots)
    assert [problem.path for problem in problems] == ["shots[1].id", "shots[3].id"]
    assert all("(lines 3 and " in problem.message for problem in problems)


def test_a_mistaken_token_is_not_called_unused_as_well() -> None:
    _, problems = check(one_shot(images="[a.png, b.png]", prompt='"@image1 and @Image2"'))
    assert [problem.path for problem in problems] == ["shots[0].prompt"]


def test_limits_are_settings() -> None:
    assert good(one_shot(prompt='"@image1 1234"'), max_prompt_chars=12)
    _, problems = check(one_shot(prompt='"@image1 12345"'), max_prompt_chars=12)
    assert [problem.message for problem in problems] == ["13 characters; at most 12"]
    two = one_shot() + "  - {id: b, images: [a.png], prompt: '@image1'}\n"
    assert good(two, max_shots=2)
    _, problems = check(two, max_shots=1)
    assert [problem.message for problem in problems] == ["at most 1 shots; 2 given"]


def test_more_references_than_anyone_needs_are_refused_by_number() -> None:
    library = "".join(f"  r{n}: x{n}.png\n" for n in range(1001))
    _, problems = check(one_shot() + "references:\n" + library)
    assert [problem.message for problem in problems] == ["at most 1,000 references; 1,001 given"]


def test_every_key_of_the_schema_explains_itself_to_an_editor() -> None:
    def properties(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        found = list(schema.get("properties", {}).items())
        return found + [inner for _, each in found for inner in properties(each)]

    named = properties(SCHEMA)
    for each in SCHEMA["$defs"].values():
        named += properties(each)
    assert len(named) > 15
    for name, schema in named:
        target = SCHEMA["$defs"].get(schema.get("$ref", "").removeprefix("#/$defs/"), {})
        told = {**target, **schema}
        assert told.get("title"), name
        assert told.get("description"), name
        assert told.get("examples") or told.get("minItems"), name
        for example in told.get("examples", []):
            inner = VALIDATOR.evolve(schema={**schema, "$defs": SCHEMA["$defs"]})
            assert not list(inner.iter_errors(example)), name


def test_the_schema_offers_what_the_program_knows() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    top, definitions = SCHEMA["properties"], SCHEMA["$defs"]
    assert top["provider"]["enum"] == list(PROVIDERS)
    assert set(definitions["resolution"]["enum"]) == {size.value for size in Resolution}
    assert definitions["duration"]["examples"] == [6, 10]
    most = max(row.max_references for row in CAPABILITIES.values())
    assert definitions["shot"]["properties"]["images"]["maxItems"] == most


def test_the_schema_refuses_a_name_with_a_line_end() -> None:
    name = VALIDATOR.evolve(schema=SCHEMA["$defs"]["name"])
    assert name.is_valid("shot")
    assert not name.is_valid("shot\n")
