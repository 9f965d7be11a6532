"""Pictures that a provider does not take become ones that it does: on request, the same each
time, and never in silence."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from pipeline import conversion
from pipeline.cli import main
from pipeline.conversion import Conversion, Converted, convert
from pipeline.errors import CannotWrite
from pipeline.library import ImageRefused
from pipeline.manifest import Checked, read_manifest
from pipeline.model import FileReference

RED, BLUE = (250, 10, 10), (10, 10, 250)


def wanted(folder: Path | None = None, **rules: Any) -> Conversion:
    usual: dict[str, Any] = {"provider": "runware", "max_bytes": 8_000_000, "max_side_px": 2048}
    return Conversion(folder=folder, **(usual | rules))


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def two_colours(size: tuple[int, int] = (64, 32)) -> Image.Image:
    """The left half red, the right half blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, size[0], size[1]))
    return image


def noise(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    count = size[0] * size[1] * len(mode)
    return Image.frombytes(mode, size, random.Random(1).randbytes(count))


def converted(data: bytes, folder: Path, **rules: Any) -> tuple[Image.Image, Converted]:
    made = convert(data, "refs/pack.tif", folder / "pack.tif", wanted(folder / "kept", **rules))
    assert isinstance(made, Converted), made
    content = made.reference.path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == made.reference.sha256
    assert len(content) == made.reference.size_bytes
    image = Image.open(BytesIO(content))
    image.load()
    assert image.size == (made.reference.width_px, made.reference.height_px)
    return image, made


def near(pixel: Any, color: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(pixel, color, strict=True))


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "GIF"])
def test_picture_without_loss_becomes_a_png_of_the_same_pixels(kind: str, tmp_path: Path) -> None:
    image, made = converted(file_of(two_colours(), kind), tmp_path)
    assert (image.format, made.reference.media_type) == ("PNG", "image/png")
    assert image.convert("RGB").tobytes() == two_colours().tobytes()
    assert made.note == "refs/pack.tif converted to PNG 64x32 for runware"


def test_picture_that_has_lost_already_becomes_a_jpeg(tmp_path: Path) -> None:
    image, made = converted(file_of(two_colours(), "AVIF"), tmp_path)
    assert (image.format, made.reference.media_type) == ("JPEG", "image/jpeg")
    assert near(image.getpixel((4, 4)), RED)


@pytest.mark.parametrize(
    ("size", "expected"), [((3000, 1000), (2048, 683)), ((500, 4096), (250, 2048))]
)
def test_long_side_is_reduced_and_the_shape_kept(
    size: tuple[int, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    image, _ = converted(file_of(two_colours(size), "TIFF"), tmp_path)
    assert image.size == expected


def test_side_is_bounded_where_the_provider_states_none(tmp_path: Path) -> None:
    image, _ = converted(file_of(two_colours((5000, 100)), "BMP"), tmp_path, max_side_px=None)
    assert image.size == (4096, 82)


def test_what_is_see_through_stays_so(tmp_path: Path) -> None:
    source = two_colours().convert("RGBA")
    source.putpixel((0, 0), (1, 2, 3, 0))
    image, _ = converted(file_of(source, "TIFF"), tmp_path)
    assert (image.format, image.mode) == ("PNG", "RGBA")
    assert image.getpixel((0, 0))[3] == 0  # type: ignore[index]
    assert image.getpixel((20, 4)) == (*RED, 255)


def test_see_through_colour_of_a_gif_stays_so(tmp_path: Path) -> None:
    source = two_colours().quantize(4)
    image, _ = converted(file_of(source, "GIF", transparency=source.getpixel((0, 0))), tmp_path)
    assert image.getpixel((0, 0))[3] == 0  # type: ignore[index]
    assert image.getpixel((60, 4))[3] == 255  # type: ignore[index]


def test_alpha_that_hides_nothing_is_left_out(tmp_path: Path) -> None:
    image, _ = converted(file_of(two_colours().convert("RGBA"), "TIFF"), tmp_path)
    assert image.mode == "RGB"


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_picture_lying_on_its_side_is_set_upright_once(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the red left half comes to the top
    image, _ = converted(file_of(two_colours(), kind, exif=exif), tmp_path)
    assert image.size == (32, 64)
    assert near(image.getpixel((16, 4)), RED)
    assert near(image.getpixel((16, 60)), BLUE)
    assert image.getexif().get(0x0112, 1) == 1


def test_colours_are_brought_to_srgb_and_metadata_left_behind(tmp_path: Path) -> None:
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # What calls red blue, and blue red.
    swapped = plain.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    exif = Image.Exif()
    exif[0x010E] = "secret words"
    data = file_of(two_colours(), "TIFF", exif=exif, icc_profile=swapped)
    image, made = converted(data, tmp_path)
    assert near(image.getpixel((4, 4)), BLUE, by=40)
    assert "icc_profile" not in image.info
    assert b"secret" not in made.reference.path.read_bytes()


@pytest.mark.parametrize("profile", [b"no profile at all", b"\0" * 200])
def test_damaged_colour_profile_is_as_good_as_none(profile: bytes, tmp_path: Path) -> None:
    image, _ = converted(file_of(two_colours(), "TIFF", icc_profile=profile), tmp_path)
    assert image.tobytes() == two_colours().tobytes()


def test_print_colours_become_screen_colours(tmp_path: Path) -> None:
    image, _ = converted(file_of(two_colours().convert("CMYK"), "TIFF"), tmp_path)
    assert image.mode == "RGB"
    assert near(image.getpixel((4, 4)), RED)


def test_grey_of_sixteen_bits_keeps_its_shades(tmp_path: Path) -> None:
    source = Image.new("I;16", (4, 2), 0x8000)
    image, _ = converted(file_of(source, "TIFF"), tmp_path)
    assert image.convert("L").getpixel((1, 1)) == 0x80


def test_first_of_several_pictures_is_taken_and_that_is_said(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (8, 8), BLUE) for _ in range(2)]
    data = file_of(two_colours(), "TIFF", save_all=True, append_images=pages)
    image, made = converted(data, tmp_path)
    assert image.size == (64, 32)
    assert made.note.endswith("for runware, the first of its 3 pictures")


def test_png_that_is_too_large_becomes_a_jpeg_before_it_is_reduced(tmp_path: Path) -> None:
    data = file_of(noise((300, 200)), "PNG")
    image, _ = converted(data, tmp_path, max_bytes=150_000)
    assert (image.format, image.size) == ("JPEG", (300, 200))


def test_see_through_picture_is_reduced_until_it_fits(tmp_path: Path) -> None:
    data = file_of(noise((300, 200), "RGBA"), "PNG")
    image, made = converted(data, tmp_path, max_bytes=60_000)
    assert (image.format, image.mode) == ("PNG", "RGBA")
    assert made.reference.size_bytes <= 60_000
    assert image.size[0] >= 100


def test_same_picture_gives_the_same_bytes_wherever_it_is_kept(tmp_path: Path) -> None:
    data = file_of(noise((300, 200)), "TIFF")
    first = converted(data, tmp_path / "a")[1].reference
    second = converted(data, tmp_path / "b")[1].reference
    assert (first.sha256, first.content_key) == (second.sha256, second.content_key)


def test_picture_that_was_kept_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file_of(two_colours(), "TIFF")
    first = converted(data, tmp_path)[1]
    monkeypatch.setattr(conversion, "_JPEG_QUALITY", 1)
    monkeypatch.setattr(conversion, "_make", None)
    assert converted(data, tmp_path)[1] == first


def test_kept_picture_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    data = file_of(two_colours(), "TIFF")
    first = converted(data, tmp_path)[1]
    first.reference.path.write_bytes(b"\x89PNG\r\n\x1a\n junk")
    assert converted(data, tmp_path)[1] == first


def test_folder_holds_whole_pictures_only(tmp_path: Path) -> None:
    made = converted(file_of(two_colours(), "TIFF"), tmp_path)[1]
    assert list((tmp_path / "kept").iterdir()) == [made.reference.path]


def test_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(CannotWrite, match="converted"):
        convert(file_of(two_colours(), "TIFF"), "a.tif", tmp_path, wanted(tmp_path / "kept"))


def refused(data: bytes, tmp_path: Path) -> ImageRefused:
    made = convert(data, "a.tif", tmp_path / "a.tif", wanted(tmp_path / "kept"))
    assert isinstance(made, ImageRefused)
    assert made.hint
    assert not (tmp_path / "kept").exists()
    return made


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "GIF", "AVIF"])
def test_damaged_picture_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    data = file_of(noise((64, 64)), kind)
    assert "cannot be converted" in refused(data[: len(data) // 3], tmp_path).message


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "GIF"])
def test_random_damage_never_raises_or_warns(kind: str, tmp_path: Path) -> None:
    data, chance = file_of(noise((24, 24)), kind), random.Random(3)
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(4):
            broken[chance.randrange(8, len(broken))] = chance.randrange(256)
        made = convert(bytes(broken), "a", tmp_path / "a", wanted())
        assert isinstance(made, ImageRefused | Converted)


def test_picture_of_too_many_pixels_is_never_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "MAX_SOURCE_PIXELS", 2000)
    assert "megapixels" in refused(file_of(two_colours(), "TIFF"), tmp_path).message


def test_picture_of_measurements_is_no_picture(tmp_path: Path) -> None:
    assert "numbers" in refused(file_of(Image.new("F", (4, 4)), "TIFF"), tmp_path).message


# ------------------------------------------------------------- through a manifest

MANIFEST = (
    'storyboard: s\nprovider: runware\nshots:\n  - {id: one, images: [%s], prompt: "@image1"}\n'
)
Manifest = Callable[..., str]


def only_image(checked: Checked) -> FileReference:
    assert checked.storyboard is not None, checked.problems
    image = checked.storyboard.shots[0].images[0]
    assert isinstance(image, FileReference)
    return image


def test_refusal_of_another_format_names_the_option(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "pack.tif").write_bytes(file_of(two_colours(), "TIFF"))
    [problem] = read_manifest(manifest(MANIFEST % "pack.tif")).problems
    assert "found: TIFF" in problem.message
    assert "--convert-images" in problem.hint


def test_option_is_not_named_where_it_would_not_help(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "pack.pdf").write_bytes(b"%PDF-1.4")
    [problem] = read_manifest(
        manifest(MANIFEST % "pack.pdf"), convert_images=True, converted=tmp_path / "kept"
    ).problems
    assert "PDF" in problem.message
    assert "--convert-images" not in problem.hint


def test_converted_picture_is_what_the_shot_has(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "pack.tif").write_bytes(file_of(two_colours((3000, 2000)), "TIFF"))
    file, kept = manifest(MANIFEST % "pack.tif"), tmp_path / "out" / ".converted"
    checked = read_manifest(file, convert_images=True, converted=kept)
    image = only_image(checked)
    assert (image.width_px, image.height_px, image.source) == (2048, 1365, "pack.tif")
    assert image.path.parent == kept
    assert image.path.read_bytes().startswith(b"\x89PNG")
    assert checked.notes == ("pack.tif converted to PNG 2048x1365 for runware",)


def test_picture_that_is_taken_as_it_is_stays_as_it_is(manifest: Manifest, tmp_path: Path) -> None:
    """A shot that was paid for without the option must not be bought again with it."""
    data = file_of(two_colours((3000, 2000)), "JPEG")
    (tmp_path / "big.jpg").write_bytes(data)
    file = manifest(MANIFEST % "big.jpg")
    checked = read_manifest(file, convert_images=True, converted=tmp_path / "kept")
    assert only_image(checked) == only_image(read_manifest(file))
    assert checked.notes == ()


def test_picture_over_the_limit_of_bytes_is_converted(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "big.bmp").write_bytes(file_of(two_colours((2000, 1500)), "BMP"))
    file = manifest(MANIFEST % "big.bmp")
    [problem] = read_manifest(file).problems
    assert "over the upload limit" in problem.message
    assert "--convert-images" in problem.hint
    checked = read_manifest(file, convert_images=True, converted=tmp_path / "kept")
    assert only_image(checked).media_type == "image/png"


def test_nothing_is_written_where_no_folder_is_named(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "pack.tif").write_bytes(file_of(two_colours(), "TIFF"))
    file = manifest(MANIFEST % "pack.tif")
    before = set(tmp_path.rglob("*"))
    assert only_image(read_manifest(file, convert_images=True)).media_type == "image/png"
    assert set(tmp_path.rglob("*")) == before


def test_command_line_says_each_conversion_in_a_line(
    manifest: Manifest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pack.tif").write_bytes(file_of(two_colours(), "TIFF"))
    file = manifest(MANIFEST % "pack.tif")
    assert main(["plan", file]) == 65
    capsys.readouterr()
    assert main(["plan", "--convert-images", file]) == 0
    _, told = capsys.readouterr()
    assert told.count("pack.tif converted to PNG 64x32 for runware") == 1
    assert len(list((tmp_path / "out" / ".converted").iterdir())) == 1
    assert main(["validate", "--convert-images", file]) == 0
    assert "converted to PNG" in capsys.readouterr().err
