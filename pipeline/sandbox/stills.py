"""Turn a reference image into something a camera can move over.

A reference that nearly has the frame's shape fills it. Any other would lose too much: it becomes a
card over its own blurred, darkened enlargement; a pack shot on plain paper gets more of that paper
around it; a cut-out (an image with transparency) stands before a soft neutral gradient. Only
Pillow ever opens a reference.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, UnidentifiedImageError

from pipeline.errors import MediaError
from pipeline.sandbox import backdrops, planes
from pipeline.sandbox.camera import MAX_ZOOM, Pose, view_box
from pipeline.sandbox.planes import Area, Box, Overlay, Planes

# GIF and BMP because Runware takes them. Source: https://runware.ai/docs/platform/image-upload
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_MAX_PIXELS = 50_000_000
# A crop to the frame may cost this factor of one side (4:3 in 16:9 is 1.34), no more.
_MAX_CROP = 1.36
# Plates are kept a little larger than the frame, so that the closest view is still sharp.
_OVERSIZE = MAX_ZOOM
# The card follows a push more than the backdrop, and a pan less: nearer things do.
_CARD_ZOOM_POWER, _BACKDROP_ZOOM_POWER = 0.75, 0.5
_CARD_PAN = 0.012
_CARD_SCALE = MAX_ZOOM**_CARD_ZOOM_POWER
_SHADOW_OPACITY = 0.5
# How far in from its rim a picture melts into a backdrop that carries on from it.
_FEATHER = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A picture in front: drawn ``scale`` times larger than it rests, around its centre.

    ``centre`` is the resting place in the frame, in pixels.
    """

    layer: Overlay
    centre: tuple[float, float]
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a card goes: its size in pixels when seen closest, and its centre in the frame."""

    size: tuple[int, int]
    centre: tuple[float, float]

    def at_rest(self) -> Box:
        """Left, top, right, bottom in the frame before the camera moves."""
        half = (self.size[0] / _CARD_SCALE / 2, self.size[1] / _CARD_SCALE / 2)
        return (
            self.centre[0] - half[0],
            self.centre[1] - half[1],
            self.centre[0] + half[0],
            self.centre[1] + half[1],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A reference ready to be filmed: a plate larger than the frame, and a card or nothing."""

    plate: Planes
    card: Card | None

    def spare(self, frame: tuple[int, int]) -> tuple[float, float]:
        """Room beside the largest frame-shaped view, in frame widths and heights."""
        scale = min(self.plate.y.width / frame[0], self.plate.y.height / frame[1])
        return (
            self.plate.y.width / scale / frame[0] - 1,
            self.plate.y.height / scale / frame[1] - 1,
        )


def read_size(path: Path, name: str) -> tuple[int, int]:
    """Width and height in pixels as seen, that is after the camera's rotation mark.

    Raises:
        MediaError: not a readable PNG, JPEG or WebP; the message holds ``name``.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
            sideways = _orientation(image) >= 5
    except _DAMAGE as exc:
        raise _unusable(name, exc) from exc
    return (height, width) if sideways else (width, height)


def load(path: Path, name: str, frame: tuple[int, int], clear: tuple[Area, ...]) -> Still:
    """Read one reference for a frame of the given size.

    Args:
        path: a local PNG, JPEG or WebP.
        name: how messages call it.
        frame: width and height of the clip, even.
        clear: areas that a card may fill (left, top, right, bottom in frame pixels); it takes the
            one that shows it largest.
    Raises:
        MediaError: damaged, too large, or not an image; the message holds ``name``.
    """
    picture = _read(path, name, enough_px=2 * max(frame))
    place = _place(picture.size, clear)
    if picture.mode == "RGBA":
        card = _card(picture, frame, place, picture.getchannel("A"))
        return Still(plate=backdrops.studio(frame), card=card)
    ratio = (picture.width / picture.height) / (frame[0] / frame[1])
    if max(ratio, 1 / ratio) <= _MAX_CROP:
        return Still(plate=_plate(picture, frame), card=None)
    if backdrops.has_plain_rim(picture):
        card = _card(picture, frame, place, _feathered(picture.size), shadow=0.0)
        return Still(plate=backdrops.carried_on(picture, frame, place.at_rest()), card=card)
    card = _card(picture, frame, place, _rounded(place.size, min(frame) // 120))
    return Still(plate=backdrops.glow(picture, frame), card=card)


def film(still: Still, pose: Pose, frame: tuple[int, int]) -> Planes:
    """What the camera sees from ``pose``, as a new picture of the frame's size."""
    if still.card is None:
        return planes.resample(still.plate, frame, view_box(pose, still.plate.y.size, frame))
    far = Pose(zoom=pose.zoom**_BACKDROP_ZOOM_POWER, x=pose.x, y=pose.y)
    picture = planes.resample(still.plate, frame, view_box(far, still.plate.y.size, frame))
    layer, drawn = still.card.layer, pose.zoom**_CARD_ZOOM_POWER / still.card.scale
    width, height = layer.alpha.width * drawn, layer.alpha.height * drawn
    left = still.card.centre[0] - pose.x * _CARD_PAN * frame[0] - width / 2
    top = still.card.centre[1] - pose.y * _CARD_PAN * frame[1] - height / 2
    # The even pixels inside the layer; its rim is clear, so nothing that shows is cut off.
    inside = (
        max(2 * -int(-left // 2), 0),
        max(2 * -int(-top // 2), 0),
        min(2 * int((left + width) // 2), frame[0]),
        min(2 * int((top + height) // 2), frame[1]),
    )
    seen = planes.resample_overlay(
        layer,
        (inside[2] - inside[0], inside[3] - inside[1]),
        (
            (inside[0] - left) / drawn,
            (inside[1] - top) / drawn,
            min((inside[2] - left) / drawn, float(layer.alpha.width)),
            min((inside[3] - top) / drawn, float(layer.alpha.height)),
        ),
    )
    planes.paste(picture, seen, inside[:2])
    return picture


# What Pillow raises on damaged input, by format: SyntaxError and struct errors (as ValueError or
# OSError) from PNG, OSError from a short JPEG, its own two for absurd sizes.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


# EXIF 2.3, tag 0x0112: how the camera was held, 1 being upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> int:
    # A damaged EXIF block must not cost a picture that is whole.
    with suppress(*_DAMAGE):
        value = image.getexif().get(0x0112, 1)
        return value if value in _TURNS else 1
    return 1


def _unusable(name: str, cause: Exception | str) -> MediaError:
    if isinstance(cause, UnidentifiedImageError):
        # Pillow's own words repeat the path, which may hold anything.
        cause = "it is not a PNG, JPEG or WebP"
    return MediaError(
        f"{name} cannot be drawn: {cause}",
        hint="give a PNG, JPEG or WebP that an image viewer opens",
    )


def _read(path: Path, name: str, *, enough_px: int) -> Image.Image:
    """Decode a reference; one that is far longer than ``enough_px`` comes back reduced."""
    try:
        with Image.open(path, formats=_FORMATS) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                megapixels = opened.width * opened.height // 1_000_000
                raise _unusable(name, f"{megapixels} megapixels; at most {_MAX_PIXELS // 10**6}")
            opened.draft("RGB", (enough_px, enough_px))
            opened.load()
            # Before any copy is made, because large pictures are the ones that cost memory.
            excess = max(opened.size) // enough_px
            image: Image.Image = opened
            if excess > 1 and opened.mode in {"RGB", "RGBA", "L"}:
                image = opened.reduce(excess)
            turn = _TURNS.get(_orientation(opened))
            return _normalised(image if turn is None else image.transpose(turn))
    except _DAMAGE as exc:
        raise _unusable(name, exc) from exc


def _normalised(image: Image.Image) -> Image.Image:
    """RGB, or RGBA cut to what can be seen where something is really transparent."""
    if image.mode.startswith("I"):
        # 16-bit grey: a plain conversion clips everything above 255 to white.
        grey = np.asarray(image, dtype=np.float32) / np.float32(257)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    cutout = image.convert("RGBA")
    alpha = cutout.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return cutout.convert("RGB")
    return cutout.crop(alpha.getbbox())


def _plate(picture: Image.Image, frame: tuple[int, int]) -> Planes:
    scale = max(frame[0] / picture.width, frame[1] / picture.height) * _OVERSIZE
    size = (
        max(planes.even(picture.width * scale), frame[0]),
        max(planes.even(picture.height * scale), frame[1]),
    )
    return planes.from_rgb(picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def _place(size: tuple[int, int], clear: tuple[Area, ...]) -> _Place:
    """The largest place among the clear areas; seen closest, a card fills it."""
    fit, across, down = max(
        (
            min((right - left) / size[0], (bottom - top) / size[1]),
            (left + right) / 2,
            (top + bottom) / 2,
        )
        for left, top, right, bottom in clear
    )
    return _Place(
        size=(max(round(size[0] * fit), 2), max(round(size[1] * fit), 2)), centre=(across, down)
    )


def _card(
    picture: Image.Image,
    frame: tuple[int, int],
    place: _Place,
    coverage: Image.Image,
    *,
    shadow: float = _SHADOW_OPACITY,
) -> Card:
    lanczos = Image.Resampling.LANCZOS
    face = picture.resize(place.size, lanczos, reducing_gap=3.0).convert("RGB")
    if coverage.size != place.size:
        coverage = coverage.resize(place.size, lanczos)
    rim = round(0.07 * min(frame))
    canvas = (planes.even(place.size[0] + 2 * rim), planes.even(place.size[1] + 2 * rim))
    solid, thrown = Image.new("L", canvas), Image.new("L", canvas)
    solid.paste(coverage, (rim, rim))
    thrown.paste(coverage, (rim, rim + rim // 4))
    thrown = thrown.filter(ImageFilter.GaussianBlur(rim / 3))
    colour = Image.new("RGB", canvas)
    colour.paste(face, (rim, rim))
    front = np.asarray(solid, dtype=np.float32) / np.float32(255)
    behind = np.asarray(thrown, dtype=np.float32) * np.float32(shadow / 255)
    return Card(
        layer=planes.from_premultiplied(
            np.asarray(colour, dtype=np.float32) * front[..., None],
            front + behind * (1 - front),
        ),
        centre=place.centre,
        scale=_CARD_SCALE,
    )


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    fine = 4
    mask = Image.new("L", (size[0] * fine, size[1] * fine))
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, size[0] * fine - 1, size[1] * fine - 1), radius * fine, fill=255
    )
    return mask.reduce(fine)


def _feathered(size: tuple[int, int]) -> Image.Image:
    """Full in the middle, clear at the rim, with a soft way between."""
    width = _FEATHER * min(size)
    ramps = []
    for length in size:
        inward = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5) / width
        share = np.clip(inward, 0, 1)
        ramps.append(share * share * (3 - 2 * share))
    return Image.fromarray(np.round(np.outer(ramps[1], ramps[0]) * 255).astype(np.uint8))
