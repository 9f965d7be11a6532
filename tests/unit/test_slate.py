"""The slate: what it says, that it fits, and what moves on it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from PIL import Image

from pipeline.sandbox import planes, slate
from pipeline.sandbox.lettering import ELLIPSIS, FINE, Face, legible

NAMES = tuple(f"@image{number}" for number in range(1, 8))
SIZES = ((848, 480), (480, 848), (480, 480), (640, 480), (1280, 720), (720, 1280))


def words(
    prompt: str = "@image1 turns.", title: str = "Opening", price: str = "0.30"
) -> slate.Words:
    return slate.Words(
        title=title, prompt=prompt, duration_s=6, resolution="480p", price_usd=Decimal(price)
    )


def laid(
    text: slate.Words, frame: tuple[int, int], index: int, reference: int = 0
) -> planes.Planes:
    picture = planes.from_rgb(Image.new("RGB", frame, (90, 90, 90)))
    card = slate.build(text, frame, NAMES[:3])
    slate.lay(card, picture, index=index, count=144, fps=24, reference=reference)
    return picture


def changed(first: planes.Planes, second: planes.Planes) -> tuple[np.ndarray, ...]:
    rows, columns = np.nonzero(np.asarray(first.y) != np.asarray(second.y))
    return rows, columns


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a\tb\r\n c\0\u202e", "a b c"),
        ("Café, naïve “quote”", "Café, naïve “quote”"),
        ("e\u0301", "é"),
        ("slow — fast → 3×", "slow - fast -> 3x"),
        ("Größe Łódź", "Grösse Lódź"),
        ("Ｆｕｌｌ ½", "Full 1⁄2"),
        ("日本語テキスト now", "[CJK] now"),
        ("Привет мир", "[Cyrillic]"),
        ("go 🚀!", "go [rocket] !"),
        ("\udc80 ok", "ok"),
    ],
)
def test_text_is_spelled_with_the_glyphs_there_are(written: str, shown: str) -> None:
    assert legible(written) == shown


def test_everything_legible_can_be_drawn_with_ink_for_every_word() -> None:
    face = Face(20)
    for word in legible("Ångström Ñandú šč üö ẽ ȧ “x” 漢字 ✓ ½ ™ ½ ﷽").split():
        mask = Image.new("L", (600 * FINE, 40 * FINE))
        face.draw(mask, 4, 30, word)
        assert mask.getbbox() is not None, word


def test_accent_is_drawn_above_its_letter() -> None:
    face = Face(20)
    plain, accented = (Image.new("L", (30 * FINE, 40 * FINE)) for _ in range(2))
    face.draw(plain, 4, 30, "e")
    face.draw(accented, 4, 30, "é")
    low, high = plain.getbbox(), accented.getbbox()
    assert low is not None
    assert high is not None
    assert high[1] < low[1] - 2
    assert high[3] == low[3]
    assert face.width("é") == face.width("e")


@pytest.mark.parametrize("width", [60.0, 200.0, 500.0])
@pytest.mark.parametrize(
    "text", ["", "one", "a few short words here", "word " * 300, "w" * 900, "@image1 " * 40]
)
def test_lines_fit_the_width_and_the_count(text: str, width: float) -> None:
    face = Face(20)
    lines = face.wrapped(text, width, 3)
    assert len(lines) <= 3
    assert all(face.width(line) <= width for line in lines)


def test_nothing_is_lost_when_it_fits_and_an_ellipsis_shows_when_it_does_not() -> None:
    face = Face(20)
    text = "slow push in on the bottle while mist rolls past the ridge"
    assert " ".join(face.wrapped(text, 260, 3)) == text
    cut = face.wrapped(text * 9, 260, 3)
    assert cut[-1].endswith(ELLIPSIS)
    assert not any(ELLIPSIS in line for line in cut[:-1])


def test_lines_are_of_about_equal_length() -> None:
    face = Face(20)
    lines = face.wrapped("slow push in on the bottle while mist rolls past it", 420, 3)
    assert len(lines) == 2
    assert face.width(lines[1]) > 0.7 * face.width(lines[0])


@pytest.mark.parametrize("frame", SIZES)
@pytest.mark.parametrize("prompt", ["", "short", "many words " * 200])
def test_slate_keeps_to_its_margins(frame: tuple[int, int], prompt: str) -> None:
    text = words(prompt=prompt, title="An uncommonly long title for a shot " * 4)
    luma = np.asarray(laid(text, frame, 5).y)
    bright = luma[: frame[1] - 8] > 150
    margin = round(0.05 * frame[0]) - 2
    assert not bright[:, :margin].any()
    assert not bright[:, frame[0] - margin :].any()
    assert bright.any()


@pytest.mark.parametrize(
    "text",
    [
        "\0\x1b[31m\r\n\t\u202e\ufeff\udc80",
        "Ελλ 👩‍🚀🚀 e\u0301\u0301\u0301",
        "w" * 4000,
        "\U000e0041",
    ],
)
def test_any_text_makes_a_slate(text: str) -> None:
    assert slate.build(words(prompt=text, title=text), (480, 848), NAMES).band.alpha.width == 480


@pytest.mark.parametrize("frame", SIZES)
def test_clear_areas_are_not_covered_by_anything(frame: tuple[int, int]) -> None:
    text = words(prompt="many words " * 200)
    luma = np.asarray(laid(text, frame, 5).y)
    for left, top, right, bottom in slate.build(text, frame, NAMES[:3]).clear:
        assert right - left > 0.3 * frame[0]
        assert bottom - top > 0.35 * frame[1]
        assert luma[top:bottom, left:right].max() <= 94


def test_progress_line_fills_the_width_with_time() -> None:
    last_rows = [np.asarray(laid(words(), (848, 480), n).y)[-1] for n in (0, 71, 143)]
    filled = [int((row > 150).sum()) for row in last_rows]
    assert filled == [6, 424, 848]


def test_clock_and_progress_are_all_that_changes_between_frames() -> None:
    rows, columns = changed(laid(words(), (848, 480), 10), laid(words(), (848, 480), 11))
    in_clock = (rows < 60) & (columns > 600)
    in_line = rows >= 476
    assert (in_clock | in_line).all()
    assert in_clock.any()
    assert in_line.any()


def test_tag_names_the_reference_that_is_seen() -> None:
    rows, columns = changed(
        laid(words(), (848, 480), 10, reference=0), laid(words(), (848, 480), 10, reference=2)
    )
    assert rows.size > 0
    assert rows.max() < 60
    assert columns.max() < 200


@pytest.mark.parametrize("other", [words(price="0.50"), words(title="B"), words(prompt="@image2")])
def test_title_prompt_and_price_are_on_the_slate(other: slate.Words) -> None:
    rows, _ = changed(laid(words(), (848, 480), 10), laid(other, (848, 480), 10))
    assert rows.size > 0


def test_reference_names_stand_out_in_colour() -> None:
    chroma = np.asarray(laid(words(prompt="plain @image1"), (848, 480), 10).cb)
    plain = np.asarray(laid(words(prompt="plain word"), (848, 480), 10).cb)
    assert (chroma[190:236] < 110).sum() > (plain[190:236] < 110).sum() + 20
