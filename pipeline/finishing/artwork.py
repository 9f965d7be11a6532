"""Pictures of the user's for cards and logos: opened safely, upright, in the screen's colours."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

from pipeline.errors import ExitCode, FileMissing, PlateRefused
from pipeline.images import judge, read_bytes
from pipeline.library import ImageRefused

MAX_BYTES = 200_000_000
_CURE = "save it as PNG, JPEG or WebP of at most 50 megapixels"


def open_artwork(path: Path) -> Image.Image:
    """One picture as RGBA with straight alpha, turned as its EXIF says, in sRGB.

    Raises:
        FileMissing: it is not there or cannot be read.
        PlateRefused: it is damaged, too large, or in a format that is not taken.
    """
    data = read_bytes(path, path.name, MAX_BYTES)
    if isinstance(data, ImageRefused):
        raise _refusal(data)
    found = judge(data, path, path.name)
    if isinstance(found, ImageRefused):
        raise _refusal(found)
    # What was judged is opened again from the same bytes: the file may have changed since.
    with Image.open(BytesIO(data)) as image:
        return _as_rgba(ImageOps.exif_transpose(image))


def cover(
    picture: Image.Image, size: tuple[int, int], focus: tuple[float, float] = (0.5, 0.5)
) -> Image.Image:
    """The picture scaled and cropped to fill ``size``, its ``focus`` (shares of width and height)
    kept as near the middle as its edges allow."""
    scale = max(size[0] / picture.width, size[1] / picture.height)
    wide, high = size[0] / scale, size[1] / scale
    left = min(max(focus[0] * picture.width - wide / 2, 0), picture.width - wide)
    top = min(max(focus[1] * picture.height - high / 2, 0), picture.height - high)
    return picture.resize(
        size, Image.Resampling.LANCZOS, box=(left, top, left + wide, top + high), reducing_gap=3
    )


def _refusal(found: ImageRefused) -> FileMissing | PlateRefused:
    if found.exit_code is ExitCode.FILE_MISSING:
        return FileMissing(found.message, hint=found.hint)
    return PlateRefused(found.message, hint=_CURE if found.can_convert else found.hint)


def _as_rgba(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16 bits a channel: keep the upper eight; Pillow would cut the values off at 255.
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    return _in_srgb(image).convert("RGBA")


def _in_srgb(image: Image.Image) -> Image.Image:
    """Through the profile that the picture carries, if any: print colours would look wrong."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"RGB", "RGBA", "CMYK", "L"}:
        return image
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        plain = image.convert("RGB") if alpha is not None else image
        turned = ImageCms.profileToProfile(
            plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        # A profile that does not belong to the picture is as good as none.
        return image
    if turned is None:
        return image
    if alpha is not None:
        turned.putalpha(alpha)
    return turned
