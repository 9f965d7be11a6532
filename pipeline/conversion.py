"""Makes a PNG or JPEG that a provider takes out of a picture that it does not.

Only on request, and only of what would be refused: a picture that the provider takes as it is
stays as it is. The same picture always gives the same bytes, and those are kept beside the output,
so that another version of the imaging library never makes a paid shot look changed.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import signatures
from pipeline.errors import CannotWrite
from pipeline.files import make_folder, sync_folder
from pipeline.images import judge
from pipeline.library import ImageRefused
from pipeline.model import FileReference, Size
from pipeline.text import shown

if TYPE_CHECKING:
    from PIL.Image import Image

# A camera of 100 megapixels, as an uncompressed file.
MAX_SOURCE_BYTES = 350_000_000
MAX_SOURCE_PIXELS = 110_000_000
# Where a provider states none. Clips are 720 lines high.
_USUAL_MAX_SIDE_PX = 4096
_SHRINK = 0.75
_JPEG_QUALITY = 92
# Part of every kept file's name: raise it where the same picture shall give other bytes.
_RULES = 1
_DECODERS = {
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
}
_LOSSLESS = frozenset({"PNG", "GIF", "BMP", "TIFF"})
_SIXTEEN_BITS = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What pictures are made into: for whom, at most so many bytes, sides of at most so many
    pixels (None: the provider states none), kept in which folder (None: not kept)."""

    provider: str
    max_bytes: int
    max_side_px: int | None
    folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A converted picture, and the line that says so."""

    reference: FileReference
    note: str


class _Unfit(Exception):
    """The picture cannot be converted; says why."""


def convert(data: bytes, source: str, path: Path, wanted: Conversion) -> Converted | ImageRefused:
    """A copy of a picture that the provider takes: upright, in sRGB, without metadata.

    What is see-through, or came without loss and is small enough, becomes a PNG, all else a JPEG.

    Args:
        data: the picture's bytes, as ``images.read_bytes`` gave them.
        source: as written in the manifest; goes into messages and the result.
        path: where the bytes came from; the result's own path where it is not kept.
    Raises:
        CannotWrite: it cannot be kept.
    """
    rule = f"{_RULES} {wanted.max_bytes} {wanted.max_side_px}"
    name = hashlib.sha256(rule.encode() + hashlib.sha256(data).digest()).hexdigest()
    reference = _kept(name, source, wanted)
    pictures = 1
    if reference is None:
        try:
            content, pictures = _make(data, wanted)
        except _Unfit as unfit:
            return ImageRefused(
                message=f'"{shown(source)}" cannot be converted: {unfit}',
                hint="save it as PNG, JPEG or WebP",
            )
        if wanted.folder is not None:
            path = _keep(wanted.folder, f"{name}.{signatures.kind(content).lower()}", content)
        judged = judge(content, path, source)
        if isinstance(judged, ImageRefused):
            return judged
        reference = judged
    size = Size(width_px=reference.width_px, height_px=reference.height_px)
    kind = "PNG" if reference.media_type == "image/png" else "JPEG"
    first = f", the first of its {pictures} pictures" if pictures > 1 else ""
    note = f"{shown(source)} converted to {kind} {size} for {wanted.provider}{first}"
    return Converted(reference=reference, note=note)


def _kept(name: str, source: str, wanted: Conversion) -> FileReference | None:
    """What an earlier run made of the same picture, still whole."""
    if wanted.folder is None:
        return None
    for suffix in ("png", "jpeg"):
        path = wanted.folder / f"{name}.{suffix}"
        try:
            found = judge(path.read_bytes(), path, source)
        except OSError:
            continue
        if isinstance(found, FileReference) and found.size_bytes <= wanted.max_bytes:
            return found
    return None


def _keep(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        make_folder(folder)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(folder)
    except OSError as exc:
        with suppress(OSError):
            part.unlink()
        raise CannotWrite(
            f"cannot keep a converted picture in {folder}: {exc.strerror or exc}",
            hint="free some disk space, or choose another --out",
        ) from exc
    return path


def _make(data: bytes, wanted: Conversion) -> tuple[bytes, int]:
    """The converted picture, and how many the source holds."""
    kind = signatures.kind(data)
    try:
        # Decoders warn of odd metadata; what counts is whether there is a picture.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _remake(data, kind, wanted)
    except _Unfit:
        raise
    except MemoryError as error:
        raise _Unfit("there is not enough memory to decode it") from error
    # Decoders fail in many ways on hostile bytes; each means that there is no picture.
    except Exception as error:
        raise _Unfit(f"it is damaged ({shown(str(error), 100) or type(error).__name__})") from error


def _remake(data: bytes, kind: str, wanted: Conversion) -> tuple[bytes, int]:
    module, name = _DECODERS[kind]
    with getattr(import_module(module), name)(BytesIO(data)) as opened:
        width_px, height_px = opened.size
        if width_px * height_px > MAX_SOURCE_PIXELS:
            raise _Unfit(
                f"it has {width_px * height_px / 1e6:.0f} megapixels; "
                f"at most {MAX_SOURCE_PIXELS // 1_000_000}"
            )
        pictures = int(getattr(opened, "n_frames", 1))
        opened.load()
        picture = _upright_srgb(opened)
    is_lossless = kind in _LOSSLESS
    for smaller in _sizes(picture, wanted.max_side_px or _USUAL_MAX_SIDE_PX):
        for content in _encodings(smaller, is_lossless=is_lossless):
            if len(content) <= wanted.max_bytes:
                return content, pictures
    raise _Unfit(f"it does not come below {wanted.max_bytes} bytes")


def _upright_srgb(image: Image) -> Image:
    """The same picture as RGB, or RGBA where anything is see-through; no metadata left."""
    from PIL import ImageOps  # noqa: PLC0415 - only where there is something to convert

    if image.mode == "F":
        raise _Unfit("its values are no colours but numbers")
    profile = image.info.get("icc_profile")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        is_opaque = alpha.getextrema()[0] == 255
        alpha = None if is_opaque else alpha
    if image.mode in _SIXTEEN_BITS:
        image = _eight_bits(image)
    exif = image.getexif()
    picture = _srgb(image, profile)
    if alpha is not None:
        picture.putalpha(alpha)
    # Told by the original; its other metadata are not taken over.
    picture.info.clear()
    picture.getexif()[_ORIENTATION] = exif.get(_ORIENTATION, 1)
    upright = ImageOps.exif_transpose(picture)
    upright.info.clear()
    return upright


_ORIENTATION = 0x0112


def _srgb(image: Image, profile: object) -> Image:
    from PIL import ImageCms  # noqa: PLC0415

    if image.mode not in {"RGB", "CMYK", "L"}:
        image = image.convert("RGB")
    if isinstance(profile, bytes) and profile:
        try:
            own = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, own, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            # A profile that is damaged, or of another kind of picture, is as good as none.
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _eight_bits(image: Image) -> Image:
    """Grey of 16 bits, which Pillow would cut off at 255."""
    import numpy as np  # noqa: PLC0415
    from PIL import Image as images  # noqa: PLC0415

    values = np.clip(np.asarray(image).astype(np.int64), 0, 65_535) >> 8
    return images.fromarray(values.astype(np.uint8))


def _sizes(picture: Image, max_side_px: int) -> Iterator[Image]:
    """The picture within the side allowed, then smaller and smaller."""
    from PIL.Image import Resampling  # noqa: PLC0415

    long_side_px = min(max(picture.size), max_side_px)
    while long_side_px >= 1:
        share = long_side_px / max(picture.size)
        width_px, height_px = (max(1, round(side * share)) for side in picture.size)
        if (width_px, height_px) == picture.size:
            yield picture
        else:
            yield picture.resize((width_px, height_px), Resampling.LANCZOS)
        long_side_px = int(long_side_px * _SHRINK)


def _encodings(picture: Image, *, is_lossless: bool) -> Iterator[bytes]:
    """The picture as files, the best first."""
    has_alpha = picture.mode == "RGBA"
    if has_alpha or is_lossless:
        yield _save(picture, "PNG", compress_level=6)
    if not has_alpha:
        # Without subsampling: packs have fine lettering.
        yield _save(picture, "JPEG", quality=_JPEG_QUALITY, subsampling=0)


def _save(picture: Image, kind: str, **options: int) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
