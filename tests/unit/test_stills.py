"""References as the camera sees them: colours, cropping, cards, steadiness, odd files."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.errors import MediaError
from pipeline.sandbox import backdrops, planes, stills
from pipeline.sandbox.camera import Pose, choose_moves

FRAME = (848, 480)
CLEAR = ((42, 70, 806, 360), (130, 24, 718, 360))
REST = Pose(zoom=1.0, x=0.0, y=0.0)


def load(path: Path) -> stills.Still:
    return stills.load(path, "@image1 (x)", FRAME, CLEAR)


def marked(path: Path, size: tuple[int, int]) -> Path:
    """A dark picture with a bright block in each corner."""
    image = Image.new("L", size, 40)
    draw = ImageDraw.Draw(image)
    for x in (0, size[0] - size[0] // 10):
        for y in (0, size[1] - size[1] // 10):
            draw.rectangle((x, y, x + size[0] // 10, y + size[1] // 10), fill=250)
    image.save(path)
    return path


def count_blocks(luma: Image.Image) -> int:
    """How many of the frame's four quarters show a bright block."""
    bright = np.asarray(luma) > 180
    half = (bright.shape[0] // 2, bright.shape[1] // 2)
    quarters = (
        bright[: half[0], : half[1]],
        bright[: half[0], half[1] :],
        bright[half[0] :, : half[1]],
        bright[half[0] :, half[1] :],
    )
    return sum(bool(quarter.any()) for quarter in quarters)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((255, 255, 255), (235, 128, 128)),
        ((0, 0, 0), (16, 128, 128)),
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
    ],
)
def test_colours_become_limited_range_bt709(
    colour: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    assert planes.to_ycbcr(colour) == expected
    picture = planes.from_rgb(Image.new("RGB", (4, 4), colour))
    flat = tuple(plane.getpixel((0, 0)) for plane in (picture.y, picture.cb, picture.cr))
    assert flat == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("shape", [(500, 500), (200, 700), (900, 300)])
def test_reference_of_another_shape_is_shown_whole(tmp_path: Path, shape: tuple[int, int]) -> None:
    still = load(marked(tmp_path / "a.png", shape))
    assert still.card is not None
    assert count_blocks(stills.film(still, REST, FRAME).y) == 4


@pytest.mark.parametrize("shape", [(960, 540), (640, 480), (1000, 430)])
def test_reference_of_about_the_frames_shape_fills_it(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    Image.new("RGB", shape, (200, 200, 200)).save(tmp_path / "a.png")
    still = load(tmp_path / "a.png")
    assert still.card is None
    luma = np.asarray(stills.film(still, REST, FRAME).y)
    assert luma.min() == luma.max()


def pack_shot(path: Path, paper: str) -> Path:
    image = Image.new("RGB", (500, 500), paper)
    ImageDraw.Draw(image).rectangle((150, 60, 350, 440), fill="teal")
    image.save(path)
    return path


def test_plain_paper_of_a_pack_shot_carries_on_without_a_seam(tmp_path: Path) -> None:
    still = load(pack_shot(tmp_path / "a.png", "white"))
    for zoom in (1.0, 1.13):
        luma = np.asarray(stills.film(still, Pose(zoom=zoom, x=0.5, y=0), FRAME).y)
        assert (luma < 120).any()
        around = np.ones(luma.shape, bool)
        around[30:350, 290:560] = False
        assert luma[around].min() >= 230


def test_backdrop_of_a_pack_shot_holds_no_ghost_of_the_subject(tmp_path: Path) -> None:
    with Image.open(pack_shot(tmp_path / "a.png", "white")) as picture:
        behind = backdrops.carried_on(picture, FRAME, (280, 24, 560, 304))
    assert np.asarray(behind.y).min() >= 234


@pytest.mark.parametrize("touching", [(0, 200), (250, 0), (400, 200), (250, 400)])
def test_subject_that_touches_the_rim_is_not_taken_for_plain_paper(
    tmp_path: Path, touching: tuple[int, int]
) -> None:
    image = Image.new("RGB", (500, 500), "white")
    image.paste("teal", (*touching, touching[0] + 100, touching[1] + 100))
    image.save(tmp_path / "a.png")
    luma = np.asarray(stills.film(load(tmp_path / "a.png"), REST, FRAME).y)
    assert luma[200, 10] < 130


def test_card_rests_inside_the_clear_area_however_close_the_camera(tmp_path: Path) -> None:
    still = load(marked(tmp_path / "a.png", (500, 500)))
    luma = np.asarray(stills.film(still, Pose(zoom=1.13, x=0, y=0), FRAME).y)
    rows, columns = np.nonzero(luma > 180)
    left, top, right, bottom = CLEAR[1]
    assert left <= columns.min() < columns.max() <= right
    assert top - 1 <= rows.min() < rows.max() <= bottom + 1


def test_backdrop_is_darker_than_the_picture_it_comes_from(tmp_path: Path) -> None:
    image = Image.new("RGB", (500, 500), "white")
    image.paste("black", (0, 0, 500, 40))
    image.save(tmp_path / "a.png")
    luma = np.asarray(stills.film(load(tmp_path / "a.png"), REST, FRAME).y)
    assert luma[240, 10] < 120


@pytest.mark.parametrize("shape", [(1920, 1080), (800, 800)])
def test_motion_is_steady_to_a_fraction_of_a_pixel(tmp_path: Path, shape: tuple[int, int]) -> None:
    image = Image.new("L", shape, 60)
    ImageDraw.Draw(image).line((shape[0] * 0.35, 0, shape[0] * 0.35, shape[1]), 230, width=6)
    image.save(tmp_path / "line.png")
    still = load(tmp_path / "line.png")
    move = next(
        moves[0]
        for n in range(50)
        if (moves := choose_moves(bytes([n]), 6, ((0, 0),)))[0].end.x != moves[0].start.x
    )
    centres = []
    for index in range(72):
        row = np.asarray(stills.film(still, move.at(index / 71), FRAME).y)[200].astype(float)
        middle = int(row[150:700].argmax()) + 150
        weights = row[middle - 8 : middle + 9]
        weights = np.clip(weights - weights.min() - 6, 0, None)
        centres.append(middle + (weights * np.arange(-8, 9)).sum() / weights.sum())
    time = np.linspace(-1, 1, len(centres))
    smooth = np.polynomial.Polynomial.fit(time, centres, 7)(time)
    assert np.abs(centres[-1] - centres[0]) > 4
    # Whole-pixel cropping gives about 0.3.
    assert np.std(np.asarray(centres) - smooth) < 0.06


@pytest.mark.parametrize(
    ("mode", "size", "options"),
    [
        ("P", (300, 200), {"transparency": 0}),
        ("LA", (200, 100), {}),
        ("1", (99, 101), {}),
        ("I;16", (64, 64), {}),
        ("RGBA", (300, 300), {}),
        ("RGB", (1, 1), {}),
        ("RGB", (1, 3000), {}),
        ("RGBA", (3000, 2), {}),
    ],
)
def test_unusual_images_are_filmed(
    tmp_path: Path, mode: str, size: tuple[int, int], options: dict[str, int]
) -> None:
    Image.new(mode, size).save(tmp_path / "odd.png", **options)
    picture = stills.film(load(tmp_path / "odd.png"), Pose(zoom=1.1, x=-1, y=1), FRAME)
    assert picture.y.size == FRAME
    assert picture.cb.size == picture.cr.size == (424, 240)


def test_sixteen_bit_grey_keeps_its_tones(tmp_path: Path) -> None:
    grey = np.full((48, 84), 0x8000, np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    luma = np.asarray(stills.film(load(tmp_path / "grey.png"), REST, FRAME).y)
    assert abs(int(luma.mean()) - 125) <= 1


def test_phone_picture_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("L", (480, 848), 30)
    image.paste(250, (0, 0, 480, 424))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "phone.jpg", exif=exif)
    still = load(tmp_path / "phone.jpg")
    luma = np.asarray(stills.film(still, REST, FRAME).y)
    assert luma[240, 800] > 200
    assert luma[240, 40] < 60


def test_damage_is_an_error_that_names_the_reference(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(300 * 200 * 3)
    whole = tmp_path / "whole.png"
    Image.frombytes("RGB", (300, 200), noise).save(whole)
    data = whole.read_bytes()
    damaged = (b"", b"hello", b"GIF89a" + bytes(40), data[:9000], data[:5000] + bytes(900))
    for number, content in enumerate(damaged):
        path = tmp_path / f"{number}.png"
        path.write_bytes(content)
        with pytest.raises(MediaError, match=r"@image1 \(x\)"):
            load(path)


def test_absurd_size_is_refused_before_decoding(tmp_path: Path) -> None:
    Image.new("1", (8000, 8000)).save(tmp_path / "huge.png")
    with pytest.raises(MediaError, match="64 megapixels; at most 50"):
        load(tmp_path / "huge.png")
