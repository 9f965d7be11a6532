"""YAML is read strictly, every value knows its place, and slips are explained and mended."""

from __future__ import annotations

import gc
from decimal import Decimal
from typing import Any

import pytest
import yaml

from pipeline.findings import Findings
from pipeline.yaml_document import Document, load
from pipeline.yaml_tree import REPORTED, Unclear

LOADERS = [yaml.SafeLoader]
if yaml.__with_libyaml__:
    LOADERS.append(yaml.CSafeLoader)


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def loader(request: pytest.FixtureRequest) -> Any:
    return request.param


def read(text: str, loader: Any = None) -> tuple[Document, list[str]]:
    findings = Findings("m")
    document = load(text, findings, loader=loader)
    return document, [str(problem) for problem in findings.sorted()]


def at(document: Document, *path: str | int) -> tuple[int, int]:
    position = document.position(path)
    return position.line, position.column


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("text", "text"),
        ('"no"', "no"),
        ("'01'", "01"),
        ("1.2.3", "1.2.3"),
        ("7up", "7up"),
        ("null", None),
        ("~", None),
        ("", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-6", -6),
        ("6.0", Decimal("6.0")),
        ("4.50", Decimal("4.50")),
        ("0.1", Decimal("0.1")),
        ("1e3", Decimal("1e3")),
        ("1e400", Decimal("1e400")),
        ("=", "="),
    ],
)
def test_plain_scalars_are_read_as_json_types(source: str, value: object, loader: Any) -> None:
    document, problems = read(f"key: {source}\n", loader)
    assert problems == []
    found = document.value(("key",))
    assert found == value
    assert type(found) is type(value)
    assert str(found) == str(value)


@pytest.mark.parametrize(
    ("source", "reads_as"),
    [
        ("no", "false"),
        ("On", "true"),
        ("True", "true"),
        ("01", "1"),
        ("12:30", "750"),
        ("0x1F", "31"),
        ("1_000", "1000"),
        ("+5", "5"),
        (".nan", "nan"),
        (".inf", "inf"),
        ("2024-01-01", "a date"),
        ("1" + "0" * 400, "a number too long to use"),
        ("1" * 5000, "a number too long to use"),
        ("1e99999999", "a number too long to use"),
        ("2024-13-45", "a date"),
    ],
)
def test_what_only_looks_like_text_is_unclear(source: str, reads_as: str, loader: Any) -> None:
    document, problems = read(f"key: {source}\n", loader)
    assert problems == []
    value = document.value(("key",))
    assert isinstance(value, Unclear)
    assert value.text == source
    assert value.reads_as == reads_as


def test_every_value_and_key_knows_its_place(loader: Any) -> None:
    text = "a: 1\nb:\n  - {c: two, d: [x, y]}\n  -   e: |\n        z\n"
    document, problems = read(text, loader)
    assert problems == []
    assert at(document, "b", 0, "c") == (3, 9)
    assert at(document, "b", 0, "d", 1) == (3, 21)
    assert at(document, "b", 1) == (4, 7)
    assert at(document, "b", 1, "missing") == (4, 7)
    position = document.key_position(("b", 0, "d"))
    assert (position.line, position.column) == (3, 14)
    assert document.source(("b", 0, "d")) == "[x, y]"


def test_a_part_of_a_text_is_found_where_it_stands(loader: Any) -> None:
    document, _ = read('a: "x y x"\nb: |\n  one\n  two x\n', loader)
    second = document.place(("a",), "x", 1)
    folded = document.place(("b",), "x", 0)
    hidden = document.place(("a",), "zzz", 0)
    assert [(p.line, p.column) for p in (second, folded, hidden)] == [(1, 9), (4, 7), (1, 4)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_count_the_same_with_every_line_end(end: str, loader: Any) -> None:
    document, problems = read(f"a: 1{end}# c{end}{end}b: @x{end}", loader)
    assert problems == ['m:4:4: b: a plain text cannot start with @ (quote it: b: "@x")']
    assert document.value(("b",)) == "@x"


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\ufeff", "😀", "\ue000"])
def test_odd_characters_neither_end_a_line_nor_shift_a_column(character: str, loader: Any) -> None:
    document, problems = read(f"a: x{character}y\nb: [{character}, 'z']\n", loader)
    assert problems == []
    assert document.value(("a",)) == f"x{character}y"
    assert at(document, "b", 1) == (2, 8)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "m:2:1: a: a given twice (lines 1 and 2)"),
        ("a: {b: 1,\n b: 2}\n", "m:2:2: a.b: b given twice (lines 1 and 2)"),
        ("1: x\n", 'm:1:1: keys must be text; 1 is not (quote it: "1":)'),
        ("no: x\n", "m:1:1: keys must be text; no is not"),
        ("? [a]\n: x\n", "m:1:3: keys must be text; [a] is not"),
        ("a: &x 1\n", "m:1:4: a: anchors are not allowed (&x)"),
        ("a: !!int 1\n", "m:1:4: a: tags are not allowed (!!int)"),
        ("a: [!x {b: 1}]\n", "m:1:5: a[0]: tags are not allowed (!x)"),
        ("a: {<<: {b: 1}}\n", "m:1:5: a: merge keys (<<) are not allowed"),
        ("a: 1\n---\nb: 2\n---\nc: 3\n", "m:2:1: 3 documents in one file; expected 1"),
        ("a: " + "[" * 60, "m:1:53: nested too deep (more than 50 levels)"),
        ("a: x\x07y\n", "m:1:5: a: control character U+0007"),
    ],
)
def test_what_strict_yaml_refuses_is_named_at_its_place(
    text: str, problem: str, loader: Any
) -> None:
    _, problems = read(text, loader)
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_document_with_too_many_values_is_refused_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, loader: Any
) -> None:
    monkeypatch.setattr("pipeline.yaml_tree.MAX_VALUES", 1000)
    document, problems = read("- a\n" * 1001, loader)
    assert [problem.split(" (")[0] for problem in problems] == ["m:1000:3: more than 1,000 values"]
    assert document.root.value is REPORTED
    assert read("- a\n" * 999, loader)[1] == []


def test_an_alias_is_refused_and_never_expanded(loader: Any) -> None:
    document, problems = read("a: &a [x]\nb: [*a, *a]\n", loader)
    assert document.value(("b",)) == [REPORTED, REPORTED]
    assert len(problems) == 3
    assert "m:2:5: b[0]: aliases are not allowed (*a)" in problems[1]


@pytest.mark.parametrize(
    ("line", "value", "column", "message"),
    [
        ("@image1 walks", "@image1 walks", 4, 'cannot start with @ (quote it: k: "@image1 walks"'),
        ("`x` y", "`x` y", 4, "cannot start with `"),
        ("%x", "%x", 4, "cannot start with %"),
        ("*x* y", "*x* y", 4, "cannot start with *"),
        ("!a! b", "!a! b", 4, "cannot start with !"),
        ("- b", "- b", 4, "cannot start with -"),
        (", b", ", b", 4, "cannot start with ,"),
        ("note: calm: x", "note: calm: x", 8, "': ' inside an unquoted text"),
        ('"hi" she said', '"hi" she said', 4, "text after the closing quote"),
        ("'it's'", "'it's'", 4, "text after the closing quote"),
        ('"open: #1', '"open: #1', 4, 'the quote " opened here is never closed'),
        ("'open", "'open", 4, "the quote ' opened here is never closed"),
        ("> text", "> text", 4, "after > the text starts on the next line"),
        ('"a \\q b"', "a \\q b", 7, "\\q is no YAML escape"),
        ('"a \\xZZ b"', "a \\xZZ b", 7, "is no YAML escape"),
        ("one #2\n  three", "one #2 three", 8, "everything after ' #' is a comment"),
        ("one\n  # two\n  three", "one # two three", 3, "everything after ' #' is a comment"),
    ],
)
def test_a_slip_is_explained_and_what_follows_is_still_read(
    line: str, value: str, column: int, message: str, loader: Any
) -> None:
    document, problems = read(f"k: {line}\nnext: {{a: 1}}\nlast: @z\n", loader)
    assert len(problems) == 2
    assert message in problems[0]
    assert f":{column}: k: " in problems[0]
    assert "last: a plain text cannot start with @" in problems[1]
    assert document.value(("k",)) == value
    assert document.value(("next",)) == {"a": 1}
    assert document.whole


@pytest.mark.parametrize("opened", ["[a, b", "{a: b", "[a] b"])
def test_a_broken_list_is_one_problem_and_has_no_value(opened: str, loader: Any) -> None:
    document, problems = read(f"k: {opened}\nnext: x\n", loader)
    assert len(problems) == 1
    assert problems[0].startswith("m:1:4: k: ")
    assert document.value(("k",)) is REPORTED
    assert document.value(("next",)) == "x"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:\n\tb: 1\n", "m:2:1: tab at column 1 (use spaces"),
        ("a:\n  b: 1\n \tc: 2\n", "m:3:2: tab at column 2 (use spaces"),
        ("- a: 1\n   b: 2\n", "m:2:4: [0]: this line is read as part of the text above"),
        ("- a: [1]\n   b: 2\n", "m:2:4: "),
        ("a: 1\nwords\nb: 2\n", "m:2:1: this line is neither 'key: value' nor '- item'"),
        ("a: 1\nb:2\nc: 3\n", "m:2:2: a blank is missing after 'b:'"),
        ("a: 1\n...\nb\n", "m:3:1: "),
    ],
)
def test_what_cannot_be_mended_is_explained(text: str, problem: str, loader: Any) -> None:
    document, problems = read(text, loader)
    assert len(problems) == 1
    assert problem in problems[0]
    assert not document.whole


def test_a_document_cut_short_keeps_what_was_whole(loader: Any) -> None:
    document, problems = read("shots:\n  - {id: a}\n  - id: b\n\timages: 1\n", loader)
    assert len(problems) == 1
    assert document.value(("shots",)) == [{"id": "a"}]
    node = document.node(("shots",))
    assert node is not None
    assert not node.whole


def test_a_comment_after_a_plain_text_is_remembered(loader: Any) -> None:
    document, _ = read('a: x y  # z\nb: "x"  # z\nc: x#z\n', loader)
    nodes = [document.node((key,)) for key in "abc"]
    assert [node.comment if node else -1 for node in nodes] == [8, None, None]


def test_problems_stop_at_a_bound(loader: Any) -> None:
    _, problems = read("- &a b\n" * 5000, loader)
    assert len(problems) == 501
    assert "there is more than this" in problems[-1]


def test_the_collector_runs_again_after_a_parse(loader: Any) -> None:
    read("a: [", loader)
    assert gc.isenabled()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "a: " * 100_000,
        "{a: b}," * 50_000,
        'a: "' + "x\n" * 100_000,
        "a: b #c\n x\n" * 20_000,
        "'it's'\n" * 30_000,
        "\x1b" * 300_000,
        "- - - - " * 50_000,
        "\\" * 100_000,
        '"\\q' * 50_000,
        "? " * 100_000,
    ],
    ids=range(11),
)
def test_hostile_texts_end_with_a_problem(text: str) -> None:
    _, problems = read(text)
    assert problems or text.startswith("\\")
