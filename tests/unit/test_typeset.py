"""Words as pictures: every script, every line, nothing lost and nothing obeyed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageChops

import pipeline.typefaces
from pipeline.errors import FileMissing, PlateRefused
from pipeline.finishing.typeset import Align, Block, Box, Style, draw, ellipsized, typeset
from pipeline.typefaces.clusters import clusters, pieces
from pipeline.typefaces.faces import Weight, family, missing_glyphs

FONTS = Path(pipeline.typefaces.__file__).parent / "fonts"
WIDE = Box(width_px=2000, least_px=10)


def block(text: str, box: Box = WIDE, style: Style | None = None, size_px: float = 24) -> Block:
    return typeset(text, style or Style(), box, size_px=size_px)


def ink(text: str, style: Style | None = None) -> bytes:
    return block(text, style=style).mask.tobytes()


def test_fonts_carry_their_licence_and_stay_small() -> None:
    assert "SIL OPEN FONT LICENSE" in (FONTS / "OFL.txt").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in FONTS.iterdir()) < 3_000_000


@pytest.mark.parametrize(
    "text",
    [
        "Ça coûte 39 € — “naïve” ﬁ ŁÅ ẞ ặ",
        "Ελληνικά ἄνθρωπος",
        "Кириллица Ґґ Її",
        "مرحبًا بكم پاکستان ٣٤",
        "שָׁלוֹם ₪",
        "Հայերեն ქართული हिन्दी ภาษาไทย",
        "😀 👨‍👩‍👧 👍🏽 🇩🇪 ❤️ 1️⃣ 🏳️‍🌈 → ✓ ★ ≠ ™",
        "50% off: \"${NAME}\" 'it''s' \\n %03d {x} #@|~",
    ],
)
def test_bundled_fonts_have_every_sign(text: str) -> None:
    assert missing_glyphs(text) == ()


def test_what_no_font_has_is_reported_once_and_drawn_as_a_box() -> None:
    assert missing_glyphs("漢字 漢 ok \x07") == ("漢", "字", "\x07")
    assert ink("漢") == ink("字") != ink("")


def test_font_of_the_user_comes_first_and_the_bundled_ones_behind_it(tmp_path: Path) -> None:
    own = tmp_path / "it's %03d.ttf"
    own.write_bytes((FONTS / "NotoSans-Bold.ttf").read_bytes())
    styled = Style(font=own)
    assert ink("Aurora", styled) == ink("Aurora", Style(weight=Weight.BOLD)) != ink("Aurora")
    assert missing_glyphs("Aurora שלום", own) == ()


def test_file_that_is_no_font_is_refused_by_name(tmp_path: Path) -> None:
    fake = tmp_path / "fake.ttf"
    fake.write_bytes(b"not a font" * 100)
    with pytest.raises(PlateRefused, match=r"fake\.ttf"):
        family(Weight.REGULAR, fake)
    with pytest.raises(FileMissing, match=r"gone\.ttf"):
        family(Weight.REGULAR, tmp_path / "gone.ttf")


@pytest.mark.parametrize(
    "text", ["${HOME}", "%{pts}", "%03d", "\\n", "\\'", "it''s: {x}", "<b>x</b>", "a\\:b"]
)
def test_text_is_drawn_as_it_is_written(text: str) -> None:
    """Every character has a glyph of its own, so leaving one out changes the width."""
    whole = block(text)
    assert whole.text == (text,)
    for at in range(len(text)):
        assert block(text[:at] + text[at + 1 :]).mask.size != whole.mask.size


def test_arabic_letters_are_joined() -> None:
    # Standing alone, this letter is much wider than within a word.
    apart = block("ب\u200cب\u200cب").mask.width
    assert block("ببب").mask.width < 0.75 * apart


def test_text_from_the_right_starts_at_the_right_and_keeps_latin_words_in_order() -> None:
    found = block("שלום abc", Box(width_px=400, least_px=10))
    assert found.left_px + found.mask.width == pytest.approx(400, abs=3)
    last = block("abc").mask
    start = found.mask.crop((0, 0, last.width, found.mask.height))
    # The last word in reading order stands first from the left, and is not turned round.
    assert sum(start.tobytes()) == pytest.approx(sum(last.tobytes()), rel=0.05)


def test_letters_of_a_hebrew_word_and_its_brackets_stand_from_right_to_left() -> None:
    found = block("(אל").mask
    bracket = block(")").mask
    # The bracket that opens is the rightmost, and is turned round.
    end = found.crop((found.width - bracket.width, 0, found.width, found.height))
    assert sum(end.tobytes()) == pytest.approx(sum(bracket.tobytes()), rel=0.1)
    first, last = block("א").mask, block("אל").mask
    end = last.crop((last.width - first.width, 0, last.width, last.height))
    assert sum(end.tobytes()) == pytest.approx(sum(first.tobytes()), rel=0.1)


def test_direction_of_a_line_is_that_of_its_paragraph() -> None:
    box = Box(width_px=120, least_px=24)
    lines = block("abc def שלום ghi", box)
    assert lines.text == ("abc def", "שלום ghi")
    alone = block("שלום ghi", box)
    # By itself the second line would run from the right.
    bottom = lines.mask.crop((0, lines.mask.height // 2, lines.mask.width, lines.mask.height))
    assert lines.left_px < 10 < alone.left_px
    assert bottom.getbbox() is not None


def test_accent_is_set_on_its_letter_however_it_is_written() -> None:
    assert ink("é") == ink("e\u0301")
    assert block("q\u0303").mask.width == block("q").mask.width


def test_emoji_sequence_is_one_picture() -> None:
    assert clusters("a👨‍👩‍👧b👍🏽🇩🇪🇫🇷1️⃣e\u0301") == [
        *("a", "👨‍👩‍👧", "b", "👍🏽", "🇩🇪", "🇫🇷", "1️⃣", "e\u0301"),
    ]
    assert block("👨‍👩‍👧").mask.width < 2 * block("👨").mask.width


def test_lines_end_between_words_and_where_the_text_says() -> None:
    found = block("one two three\n\nfour", Box(width_px=110, least_px=24))
    assert found.text == ("one two", "three", "", "four")
    assert found.height_px == pytest.approx(4 * 1.22 * 24, abs=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("well-known fact", ["well-", "known ", "fact"]),
        ("10\u00a0km far", ["10\u00a0km ", "far"]),
        ("-5 to 2026-11-22", ["-5 ", "to ", "2026-11-22"]),
        ("「漢字」です。", ["「漢", "字」", "で", "す。"]),
        ("what ?", ["what ", "?"]),
    ],
)
def test_line_may_end_only_where_readers_expect_it(text: str, expected: list[str]) -> None:
    assert list(pieces(text)) == expected


def test_text_shrinks_before_a_word_is_torn_and_is_torn_before_it_is_refused() -> None:
    word = "Donaudampfschiff"
    smaller = block(word, Box(width_px=120, least_px=8))
    assert smaller.text == (word,)
    assert 8 <= smaller.size_px < 24
    torn = block(word, Box(width_px=60, least_px=20))
    assert len(torn.text) > 1
    assert "".join(torn.text) == word
    with pytest.raises(PlateRefused, match="does not fit"):
        block(word, Box(width_px=60, height_px=30, least_px=20))


def test_no_row_is_wider_than_its_box_and_balanced_rows_are_alike() -> None:
    text = "one two three four five six seven"
    box = Box(width_px=300, least_px=20)
    plain = typeset(text, Style(), box, size_px=24)
    even = typeset(text, Style(), box, size_px=24, balanced=True)
    assert len(plain.text) == len(even.text)
    assert plain.mask.width <= 300
    assert even.mask.width < plain.mask.width


@pytest.mark.parametrize(
    ("align", "share"), [(Align.LEFT, 0.0), (Align.CENTER, 0.5), (Align.RIGHT, 1.0)]
)
def test_lines_stand_where_they_are_aligned(align: Align, share: float) -> None:
    found = block("Hello", Box(width_px=500, least_px=10), Style(align=align))
    free_px = 500 - found.mask.width
    assert found.left_px == pytest.approx(share * free_px, abs=4)


def test_tracking_spreads_letters_but_never_tears_joined_ones() -> None:
    spread = Style(tracking_em=0.2)
    assert block("Aurora", style=spread).mask.width > block("Aurora").mask.width + 20
    assert ink("محمد", spread) == ink("محمد")


def test_long_name_on_one_line_ends_in_an_ellipsis() -> None:
    found = ellipsized(
        "a-very-long\nname " * 5, Style(), Box(width_px=120, least_px=20), size_px=24
    )
    assert len(found.text) == 1
    assert found.text[0].endswith("…")
    assert found.mask.width <= 120


def test_letters_have_soft_edges_and_straight_alpha() -> None:
    canvas = Image.new("RGBA", (100, 40))
    draw(canvas, block("Sag"), (5, 5), (200, 100, 50))
    seen = [pixel for pixel in canvas.get_flattened_data() if pixel[3]]
    assert {pixel[:3] for pixel in seen} == {(200, 100, 50)}
    assert len({pixel[3] for pixel in seen}) > 20


def test_shadow_is_dark_and_reaches_beyond_the_letters() -> None:
    plain, soft = Image.new("RGBA", (120, 60)), Image.new("RGBA", (120, 60))
    draw(plain, block("Sag"), (20, 10), (255, 255, 255))
    draw(soft, block("Sag"), (20, 10), (255, 255, 255), shadow_px=3)
    assert soft.getbbox() != plain.getbbox()
    outside = ImageChops.subtract(soft.getchannel("A"), plain.getchannel("A"))
    assert outside.getbbox() is not None


def test_block_may_hang_over_the_edge_of_its_canvas() -> None:
    canvas = Image.new("RGBA", (30, 20))
    draw(canvas, block("Overhanging"), (-10, -5), (255, 255, 255), shadow_px=2)
    assert canvas.getbbox() is not None


def test_same_words_give_the_same_pixels() -> None:
    assert ink("Same — שלום 👍🏽") == ink("Same — שלום 👍🏽")
