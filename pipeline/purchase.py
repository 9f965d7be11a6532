"""What a shot is bought as: kind, length and picture, held against what the provider sells.

Pure. Nothing is snapped: what is not sold is refused at its place, with the nearest that is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from pipeline.capabilities import CAPABILITIES, Capabilities, Offer, is_free
from pipeline.findings import KeyPath, either
from pipeline.model import (
    FileReference,
    Reference,
    Resolution,
    ShotKind,
    Size,
    VideoReference,
)
from pipeline.output import SECTION
from pipeline.text import shown
from pipeline.timecode import decimal_seconds
from pipeline.view import View

DEFAULT_DURATION_S = 6
DEFAULT_RESOLUTION = Resolution.P720
# The keys that say what a shot is made from.
SOURCES: Mapping[str, ShotKind] = {
    "images": ShotKind.REFERENCES,
    "frame": ShotKind.FRAME,
    "video": ShotKind.EDIT,
}
_MADE_FROM = {
    ShotKind.REFERENCES: "reference images",
    ShotKind.TEXT: "text alone",
    ShotKind.FRAME: "a first frame",
    ShotKind.EDIT: "a clip",
}


def kind_of(shot: Mapping[str, Any]) -> ShotKind:
    """What the keys of a shot say that it is made from."""
    return next((kind for key, kind in SOURCES.items() if key in shot), ShotKind.TEXT)


def lengths(durations_s: tuple[int, ...]) -> str:
    """``6 or 10``, ``1 to 15``."""
    first, last = durations_s[0], durations_s[-1]
    if len(durations_s) > 2 and durations_s == tuple(range(first, last + 1)):
        return f"{first} to {last}"
    return either(durations_s)


def duration_words(value: Any, source: str, provider: str, offer: Offer) -> tuple[str, str]:
    """Words for a length that the provider does not sell, with the nearest one that it does."""
    sold = offer.durations_s
    found = f'"{shown(value)}"' if isinstance(value, str) else shown(source, 40)
    if value is None or isinstance(value, list | dict):
        found = "nothing" if value is None else "something else"
    message = f"must be {lengths(sold)} (whole seconds), which is what {provider} sells"
    message = f"{message}; found {found}"
    because = f"; {offer.why}" if offer.why else ""
    written = value if isinstance(value, str) else source
    match = re.match(r"\s*(-?[0-9]{1,9})(?![0-9])", written)
    if match is None or isinstance(value, bool) or int(match.group(1)) <= 0:
        return message, f"write {either((sold[0], sold[-1]))}"
    wanted = int(match.group(1))
    nearest = min(sold, key=lambda each: (abs(each - wanted), each))
    if wanted in sold and isinstance(value, str) and value.strip() == str(wanted):
        return message, f"write {wanted} without quotes"
    if wanted in sold:
        return message, f"write {wanted}: no unit, no decimals"
    return message, f"the nearest is {nearest}{because}"


class Purchases:
    """Judges every shot of one document against one provider's offers."""

    def __init__(self, view: View, capabilities: Capabilities) -> None:
        self._view = view
        self._capabilities = capabilities
        self._provider = capabilities.provider

    def check_defaults(self) -> None:
        """Look at the defaults also where every shot has its own."""
        offers = list(self._capabilities.offers.values())
        path: KeyPath = ("defaults", "duration")
        value = self._view.get(path)
        if type(value) is int and not any(value in offer.durations_s for offer in offers):
            self._view.add(
                path, *duration_words(value, self._view.source(path), self._provider, offers[0])
            )

    def offer(self, path: KeyPath) -> Offer | None:
        """What is sold of the shot's kind; None where it is not, which is reported."""
        shot = self._view.document.value(path)
        sources = [key for key in SOURCES if key in shot]
        if len(sources) > 1:
            self._view.add(
                (*path, sources[1]),
                f"a shot is made from one of images, frame and video; this has "
                f"{' and '.join(sources)}",
                f"leave out {either(sources[1:])}",
            )
            return None
        kind = kind_of(shot)
        offer = self._capabilities.offers.get(kind)
        if offer is not None:
            return offer
        others = [
            row.provider
            for row in CAPABILITIES.values()
            if kind in row.offers and not is_free(row.provider)
        ]
        cure = f"--provider {either(others)} does" if others else "nobody sells it"
        if kind is ShotKind.TEXT:
            document = self._view.document
            message, cure = "is missing", "list 1 to 7, for example images: [refs/bottle.png]"
            self._view.findings.add(document.position(path), (*path, "images"), message, cure)
            return None
        self._view.add(
            (*path, sources[0]),
            f"{self._provider} makes no shots from {_MADE_FROM[kind]}",
            f"give images instead; {cure}",
        )
        return None

    def duration(
        self, path: KeyPath, own_or_default: KeyPath, offer: Offer, video: VideoReference | None
    ) -> int | None:
        """Whole seconds bought; None where they are wrong."""
        is_own = own_or_default[0] != "defaults"
        if kind_of(self._view.document.value(path)) is ShotKind.EDIT:
            # What the defaults say is meant for shots that can be of any length.
            is_known = video is not None and video.duration_s is not None
            if is_known or not is_own:
                return self._length_of_clip(path, offer, video)
        if own_or_default in self._view.findings.flagged:
            return None
        value = self._view.document.value(own_or_default)
        if value is None:
            return DEFAULT_DURATION_S
        if type(value) is not int:
            return None
        if value not in offer.durations_s:
            source = self._view.source(own_or_default)
            words = duration_words(value, source, self._provider, offer)
            self._view.add(own_or_default, *words)
            return None
        return value

    def _length_of_clip(
        self, path: KeyPath, offer: Offer, video: VideoReference | None
    ) -> int | None:
        place = (*path, "video")
        if video is None or place in self._view.findings.flagged:
            return None
        if video.duration_s is None:
            self._view.add(
                place,
                "the length of a clip behind an address is not known, and with it the price",
                f"add duration: {offer.durations_s[0]} to {offer.durations_s[-1]}, "
                "or save the clip beside the manifest",
            )
            return None
        least, most = offer.durations_s[0], offer.durations_s[-1]
        seconds = decimal_seconds(Fraction(video.duration_s), 2)
        if not least <= video.duration_s <= most:
            self._view.add(
                place,
                f"lasts {seconds} s; {self._provider} edits clips of {least} to {most} s",
                "cut it first, or choose another",
            )
            return None
        self._warn_of_doubt(place, seconds, offer, video.duration_s)
        whole_s = math.ceil(video.duration_s)
        own: KeyPath = (*path, "duration")
        wanted_s = self._view.get(own)
        if type(wanted_s) is int and wanted_s != whole_s:
            self._view.add(
                own,
                f"an edit lasts as long as its clip, {seconds} s, and is paid for as long; "
                f"found {wanted_s}",
                "leave duration out, or cut the clip first",
            )
            return None
        return None if own in self._view.findings.flagged else whole_s

    def _warn_of_doubt(self, place: KeyPath, seconds: str, offer: Offer, clip_s: Fraction) -> None:
        """Say that a clip is longer than what is surely taken."""
        if offer.sure_input_s is not None and clip_s > offer.sure_input_s:
            self._view.warn(
                place,
                f"lasts {seconds} s, which may be refused when it is bought: {offer.why}",
                f"cut it to {decimal_seconds(offer.sure_input_s, 1)} s or less",
            )

    def picture(
        self,
        path: KeyPath,
        offer: Offer,
        images: Sequence[Reference | None],
        video: VideoReference | None,
    ) -> tuple[Resolution, Size | None] | None:
        """What is paid for, and the exact size where that is asked for; None where it is wrong."""
        if offer.resolutions:
            return None if self._refuse_size(path, offer) else self._by_resolution(path, offer)
        if offer.sizes:
            return self._by_size(path, offer, images)
        shot = self._view.document.value(path)
        if self._refuse_size(path, offer):
            return None
        if shot.get("resolution") is not None:
            place = (*path, "resolution")
            self._view.add(place, "an edit keeps the size of its clip", "leave resolution out")
            return None
        known = video.size if video is not None else None
        return (known.tier if known is not None else DEFAULT_RESOLUTION), None

    def _by_resolution(self, path: KeyPath, offer: Offer) -> tuple[Resolution, None] | None:
        shot = self._view.document.value(path)
        place: KeyPath = (*path, "resolution") if "resolution" in shot else _DEFAULT_RESOLUTION
        if place in self._view.findings.flagged:
            return None
        value = self._view.document.value(place)
        if value is None:
            return DEFAULT_RESOLUTION, None
        return (Resolution(value), None) if value in offer.resolutions else None

    def _refuse_size(self, path: KeyPath, offer: Offer) -> bool:
        """Report a size that a shot itself gives where it can have none."""
        if not any(each.sizes for each in self._capabilities.offers.values()):
            # Another provider's section is not looked at.
            return False
        for key in ("width", "height"):
            place = (*path, SECTION, key)
            if self._view.get(place) is not None:
                self._view.add(
                    place,
                    "the picture has the shape of its frame"
                    if offer.resolutions
                    else "an edit keeps the size of its clip",
                    "write resolution: 720p or 480p instead"
                    if offer.resolutions
                    else f"leave {key} out",
                )
                return True
        return False

    def _by_size(
        self, path: KeyPath, offer: Offer, images: Sequence[Reference | None]
    ) -> tuple[Resolution, Size] | None:
        shot = self._view.document.value(path)
        own = shot.get(SECTION)
        is_own = isinstance(own, dict) and ("width" in own or "height" in own)
        base: KeyPath = (*path, SECTION) if is_own else ("defaults", SECTION)
        width, height = (self._side(base, key) for key in ("width", "height"))
        resolution: KeyPath = (*path, "resolution")
        if "resolution" not in shot and width is None and height is None:
            resolution = _DEFAULT_RESOLUTION
        if self._view.document.value(resolution) is not None:
            self._refuse_resolution(resolution, kind_of(shot), offer, images)
            return None
        if any((*base, key) in self._view.findings.flagged for key in ("width", "height")):
            return None
        if width is None and height is None:
            size = _like(images[0] if images else None, offer.sizes)
            return size.tier, size
        if width is None or height is None:
            lacking, there = ("width", "height") if width is None else ("height", "width")
            given = self._view.document.value((*base, there))
            partners = [_side(size, lacking) for size in offer.sizes if _side(size, there) == given]
            cure = f"{lacking}: {either(sorted(set(partners)))}" if partners else "both or neither"
            self._view.findings.add(
                self._view.document.position((*base, there)),
                (*base, lacking),
                f"is missing beside {there}: {shown(str(given), 20)}",
                f"write {cure}",
            )
            return None
        size = Size(width_px=width, height_px=height)
        if size not in offer.sizes:
            near = sorted(offer.sizes, key=lambda each: _distance(each, size))[:2]
            self._view.add(
                (*base, "width"),
                f"{size} is not sold by {self._provider}",
                f"the nearest are {either(near)}",
            )
            return None
        return size.tier, size

    def _side(self, base: KeyPath, key: str) -> int | None:
        value = self._view.get((*base, key))
        return value if type(value) is int else None

    def _refuse_resolution(
        self, path: KeyPath, kind: ShotKind, offer: Offer, images: Sequence[Reference | None]
    ) -> None:
        if path in self._view.findings.flagged:
            return
        value = self._view.document.value(path)
        wanted = [size for size in offer.sizes if size.tier.value == value]
        near = _like(images[0] if images else None, wanted or offer.sizes)
        self._view.add(
            path,
            f"{self._provider} takes no resolution for a shot from {_MADE_FROM[kind]}, "
            "but a size in pixels",
            f"write {SECTION}: {{width: {near.width_px}, height: {near.height_px}}} instead",
        )


_DEFAULT_RESOLUTION: KeyPath = ("defaults", "resolution")


def _like(image: Reference | None, sizes: Sequence[Size]) -> Size:
    """The size of the first one's tier that is nearest in shape to an image."""
    first = sizes[0]
    if not isinstance(image, FileReference):
        return first
    wanted = Size(width_px=image.width_px, height_px=image.height_px)
    same_tier = [size for size in sizes if size.tier is first.tier]
    return min(same_tier, key=lambda size: abs(math.log(_ratio(size) / _ratio(wanted))))


def _ratio(size: Size) -> float:
    return size.width_px / size.height_px


def _side(size: Size, key: str) -> int:
    return size.width_px if key == "width" else size.height_px


def _distance(size: Size, wanted: Size) -> float:
    """How unlike two pictures are: shape first, then area."""
    shape = abs(math.log(_ratio(size) / _ratio(wanted)))
    area = abs(math.log(size.width_px * size.height_px / wanted.width_px / wanted.height_px))
    return 4 * shape + area
