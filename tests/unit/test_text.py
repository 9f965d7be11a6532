"""Outside text is printable and short when it comes out."""

from __future__ import annotations

import pytest

from pipeline.text import clean, shown


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("plain – text ü 日本 🎬", "plain – text ü 日本 🎬"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[31mred\x07\x00", "\\x1b[31mred\\x07\\x00"),
        ("\x9b\x7f", "\\x9b\\x7f"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_shown_escapes_what_a_terminal_could_obey(raw: str, safe: str) -> None:
    assert shown(raw) == safe


def test_shown_keeps_a_text_of_exactly_the_limit() -> None:
    assert shown("x" * 60) == "x" * 60


@pytest.mark.parametrize("raw", ["x" * 61, "\x1b" * 1_000_000, "\u202e" * 61, "ab\x1b" * 40])
@pytest.mark.parametrize("limit", [10, 60])
def test_shown_cuts_to_the_limit_and_never_inside_an_escape(raw: str, limit: int) -> None:
    result = shown(raw, limit)
    assert len(result) <= limit
    assert result.endswith("…")
    body = result.removesuffix("…")
    assert body.replace("\\x1b", "").replace("\\u202e", "").strip("abx") == ""


def test_clean_folds_line_ends_and_escapes_the_rest() -> None:
    assert clean("  HTTP 500\r\n\t<b>\x1b[2J</b>\n") == "HTTP 500 <b>\\x1b[2J</b>"


@pytest.mark.parametrize("raw", ["word " * 400_000, "\x1b" * 2_000_000, "x" * 501])
def test_clean_is_at_most_its_limit(raw: str) -> None:
    assert len(clean(raw)) <= 500
    assert clean(raw).endswith("…")


def test_results_can_always_be_encoded() -> None:
    for code in (*range(0x3000), *range(0xD800, 0xE010), 0x10FFFF):
        shown(chr(code)).encode()
        assert shown(chr(code)).isprintable() or code in range(0xA0, 0x110000)
