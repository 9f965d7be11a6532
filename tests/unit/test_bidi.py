"""Directions as Unicode's own test file says them (BidiCharacterTest.txt, 15.0: chosen lines)."""

from __future__ import annotations

import pytest

from pipeline.finishing.bidi import base_level, levels, visual_order


@pytest.mark.parametrize(
    ("codes", "base", "expected"),
    [
        (
            "05D0 05D1 0028 05D2 05D3 005B 0026 0065 0066 005D 002E 0029 0067 0068",
            0,
            "11011000000000",
        ),
        (
            "05D0 05D1 0028 05D2 05D3 005B 0026 0065 0066 005D 002E 0029 0067 0068",
            1,
            "11111112211122",
        ),
        (
            "0061 0062 0063 0020 0028 0064 0065 0066 0020 0627 0628 062C 0029 0020 05D0",
            0,
            "000000000111001",
        ),
        ("0627 0628 062C 0020 0062 006F 006F 006B 0028 0073 0029", 1, "11112222222"),
        # An embedding and what follows it; a level of its own for the number at the end.
        ("05D0 202A 05D1 202C 0020 0031 0020 0032", 0, "1 3 0000"),
        ("202E 0061 202A 0062 202C 2066 0063 2069 202A 0064 202C 0065 202C", 1, " 3 4 343 4 3 "),
    ],
)
def test_levels_are_those_of_the_unicode_test_file(codes: str, base: int, expected: str) -> None:
    found = levels("".join(chr(int(code, 16)) for code in codes.split()), base)
    assert len(found) == len(expected)
    for level, wanted in zip(found, expected, strict=True):
        assert wanted == " " or level == int(wanted)


def test_number_keeps_its_digits_in_order_inside_hebrew() -> None:
    text = "עד 31"
    assert base_level(text) == 1
    assert [text[at] for at in visual_order(levels(text))] == ["3", "1", " ", "ד", "ע"]


def test_base_is_that_of_the_first_letter_and_not_of_what_is_isolated() -> None:
    assert base_level("123 שלום abc") == 1
    assert base_level("\u2067שלום\u2069 abc") == 0
    assert base_level("123") == 0


def test_number_after_arabic_letters_is_an_arabic_number() -> None:
    # 10 - 5 is read from the right in Arabic, from the left in Hebrew.
    arabic, hebrew = "ا 1-2", "א 1-2"
    assert "".join(arabic[at] for at in visual_order(levels(arabic))) == "2-1 ا"
    assert "".join(hebrew[at] for at in visual_order(levels(hebrew))) == "1-2 א"
