"""Cards, slate, captions, strip and logo in every ratio."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from pipeline.errors import FileMissing, PlateRefused
from pipeline.film.spec import Place
from pipeline.finishing import plates

SIZES = {"16:9": (320, 180), "9:16": (180, 320), "1:1": (240, 240), "4:5": (216, 270)}
SAFE = (Fraction(5, 100),) * 4
LINES = [("storyboard", "aurora"), ("length", "15 s"), ("picture", "1080 x 1920, 24 fps")]
EVERY_SIZE = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
ODD = "אב 50% off: \"${NAME}\" 'it''s' \\n %03d 👨‍👩‍👧 مرحبا"


def seen(picture: Image.Image) -> tuple[int, int, int, int]:
    box = picture.getchannel("A").point([0] * 8 + [255] * 248).getbbox()
    assert box is not None
    return box


def picture_file(path: Path, size: tuple[int, int], color: tuple[int, ...], mode: str) -> Path:
    Image.new(mode, size, color).save(path)
    return path


def words_box(picture: Image.Image, ground: tuple[int, int, int]) -> tuple[int, int, int, int]:
    box = ImageChops.difference(picture, Image.new("RGB", picture.size, ground)).getbbox()
    assert box is not None
    return box


@EVERY_SIZE
@pytest.mark.parametrize("text", ["Still hot.", ODD, "A long title that needs several lines " * 3])
def test_card_keeps_its_margins_and_its_middle(size: tuple[int, int], text: str) -> None:
    card = plates.card(size, text=text, subtitle="Aurora, from $39", background="#203040")
    assert (card.mode, card.size) == ("RGB", size)
    left, top, right, bottom = words_box(card, (0x20, 0x30, 0x40))
    assert left >= 0.08 * size[0]
    assert right <= 0.92 * size[0]
    assert top >= 0.04 * size[1]
    assert bottom <= 0.96 * size[1]
    assert abs((left + right) - size[0]) <= 4


def test_card_without_words_is_its_background_alone() -> None:
    card = plates.card((64, 36), text="", background="#102030")
    assert card.getcolors() == [(64 * 36, (0x10, 0x20, 0x30))]


def test_card_that_cannot_hold_its_words_is_refused_with_the_cure() -> None:
    with pytest.raises(PlateRefused, match="does not fit") as refusal:
        plates.card((320, 180), text="far too many words " * 90)
    assert "shorten" in refusal.value.hint


def test_picture_fills_a_card_and_its_focus_stays_in_sight(tmp_path: Path) -> None:
    picture = Image.new("RGB", (400, 100), (200, 0, 0))
    picture.paste((0, 200, 0), (300, 0, 400, 100))
    path = tmp_path / "it's %03d.png"
    picture.save(path)
    left = plates.card((100, 100), text="", background=path, focus=(0, 0.5))
    right = plates.card((100, 100), text="", background=path, focus=(1, 0.5))
    assert left.getcolors() == [(10000, (200, 0, 0))]
    assert right.getcolors() == [(10000, (0, 200, 0))]


def test_words_on_a_bright_picture_can_be_read(tmp_path: Path) -> None:
    path = picture_file(tmp_path / "white.png", (64, 64), (255, 255, 255), "RGB")
    card = plates.card((240, 240), text="Still hot.", background=path).convert("L")
    middle = card.crop((40, 100, 200, 135)).get_flattened_data()
    assert min(middle) < 120
    assert max(middle) > 250


@EVERY_SIZE
def test_slate_holds_all_its_lines(size: tuple[int, int]) -> None:
    few = plates.slate(size, title=ODD, lines=LINES)
    many = plates.slate(size, title="T" * 200, lines=[("a label", "a value " * 30)] * 12)
    assert (few.mode, few.size) == (many.mode, many.size) == ("RGB", size)
    other = plates.slate(size, title=ODD, lines=[*LINES[:2], ("picture", "480 x 270, 8 fps")])
    assert few.tobytes() != other.tobytes()


@EVERY_SIZE
@pytest.mark.parametrize(
    "text", ["Hot.", ODD, "I put coffee in it on Monday, and on Tuesday it was too hot to drink."]
)
def test_caption_stays_inside_the_safe_area(size: tuple[int, int], text: str) -> None:
    safe = (Fraction(14, 100), Fraction(13, 100), Fraction(20, 100), Fraction(6, 100))
    caption = plates.caption(size, text, safe=safe)
    assert (caption.mode, caption.size) == ("RGBA", size)
    left, top, right, bottom = seen(caption)
    assert left >= 0.06 * size[0] - 1
    assert right <= 0.87 * size[0] + 1
    assert top >= 0.14 * size[1]
    assert 0.78 * size[1] <= bottom <= 0.8 * size[1] + 1


def test_caption_never_has_more_than_42_characters_on_a_line() -> None:
    shorter = plates.caption((1280, 720), "i" * 20 + " " + "l" * 20, safe=SAFE)
    longer = plates.caption((1280, 720), "i" * 20 + " " + "l" * 24, safe=SAFE)
    # The second would fit on one line by its width, and has two.
    assert seen(longer)[3] - seen(longer)[1] > 1.5 * (seen(shorter)[3] - seen(shorter)[1])


def test_caption_that_is_too_long_is_refused_with_the_cure() -> None:
    with pytest.raises(PlateRefused, match="three lines") as refusal:
        plates.caption((320, 180), "far too many words " * 20, safe=SAFE)
    assert "two captions" in refusal.value.hint


def test_empty_caption_is_nothing() -> None:
    assert plates.caption((64, 36), " \n ", safe=SAFE).getbbox() is None


@EVERY_SIZE
def test_strip_lies_along_the_bottom(size: tuple[int, int]) -> None:
    strip = plates.burn_in(
        size, left="a-very-long-shot-name" * 5, right="00:00:01:00 – 00:00:02:12"
    )
    left, top, right, bottom = seen(strip)
    assert (left, right) == (0, size[0])
    assert bottom - top < 0.07 * min(size)
    assert bottom == size[1]


def test_strip_keeps_its_timecode_whole_however_long_the_name_is() -> None:
    short = plates.burn_in((320, 180), left="", right="00:00:01:00")
    long = plates.burn_in((320, 180), left="name" * 50, right="00:00:01:00")
    ends = [each.crop((278, 160, 320, 180)).tobytes() for each in (short, long)]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("place", list(Place))
def test_logo_stands_in_its_place(place: Place, tmp_path: Path) -> None:
    path = picture_file(tmp_path / "logo.png", (40, 20), (255, 0, 0, 255), "RGBA")
    layer = plates.logo(
        (320, 180), path, position=place, width=Fraction(1, 10), margin=Fraction(5, 100)
    )
    x = {"left": 9, "right": 320 - 32 - 9}
    y = {"top": 9, "bottom": 180 - 16 - 9}
    words = place.split("-")
    left = next((x[word] for word in words if word in x), 144)
    top = next((y[word] for word in words if word in y), 82)
    assert seen(layer) == (left, top, left + 32, top + 16)


def test_opacity_and_the_alpha_of_the_file_both_count(tmp_path: Path) -> None:
    path = picture_file(tmp_path / "logo.png", (40, 20), (255, 0, 0, 128), "RGBA")
    layer = plates.logo(
        (320, 180), path, position="center", width=0.5, margin=0, opacity=Fraction(1, 2)
    )
    assert layer.getpixel((160, 90)) == (255, 0, 0, 64)
    assert layer.getpixel((0, 0)) == (0, 0, 0, 0)


def test_tall_logo_is_made_to_fit(tmp_path: Path) -> None:
    path = picture_file(tmp_path / "logo.png", (10, 400), (255, 0, 0, 255), "RGBA")
    layer = plates.logo((320, 180), path, position="left", width=1, margin=Fraction(5, 100))
    assert seen(layer)[1::2] == (9, 171)


def test_logo_is_upright_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "logo.jpg"
    Image.new("RGB", (80, 40), (255, 0, 0)).save(path, exif=exif)
    layer = plates.logo((200, 200), path, position="center", width=Fraction(1, 5), margin=0)
    left, top, right, bottom = seen(layer)
    assert (right - left, bottom - top) == (40, 80)


def test_deep_grey_picture_keeps_its_shades(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.new("I;16", (20, 20), 0x8000).save(path)
    card = plates.card((20, 20), text="", background=path)
    assert card.getcolors() == [(400, (128, 128, 128))]


def test_picture_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    broken = picture_file(tmp_path / "broken.png", (20, 20), (255, 0, 0, 255), "RGBA")
    broken.write_bytes(broken.read_bytes()[:60])
    for path, kind in (
        (broken, PlateRefused),
        (tmp_path, FileMissing),
        (tmp_path / "gone.png", FileMissing),
    ):
        with pytest.raises((PlateRefused, FileMissing), match=path.name) as refusal:
            plates.logo((64, 36), path, position="top", width=0.1, margin=0)
        assert path == tmp_path or refusal.type is kind


def test_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (8000, 8000)).save(path)
    with pytest.raises(PlateRefused, match="megapixels") as refusal:
        plates.card((64, 36), text="", background=path)
    assert "50 megapixels" in refusal.value.hint


def test_same_values_give_the_same_bytes() -> None:
    first, second = (
        plates.caption((320, 180), ODD, safe=SAFE).tobytes()
        + plates.card((320, 180), text=ODD).tobytes()
        + plates.slate((320, 180), title=ODD, lines=LINES).tobytes()
        for _ in range(2)
    )
    assert first == second
