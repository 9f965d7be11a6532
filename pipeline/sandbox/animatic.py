"""What the sandbox's video models return: what was given in motion, under a slate or without.

That is the references or the first frame under a moving camera, a given film in other colours, or
coloured light where there are only words. A clip is planned from its content alone (which picture
when, which camera move, which chord), then drawn frame by frame and piped to ffmpeg; the same input
gives the same bytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pipeline.errors import FileMissing
from pipeline.sandbox import backdrops, bed, encoder, footage, planes, slate, stills
from pipeline.sandbox.camera import Move, choose_moves, smoothstep
from pipeline.sandbox.encoder import Container
from pipeline.sandbox.planes import Planes
from pipeline.sandbox.slate import Slate
from pipeline.sandbox.stills import Still

FPS = 24
MAX_IMAGES = 7
# Frame shapes by aspect, and their sizes. 848 and not 853: the next multiple of 16 below 16:9.
_SIZES: dict[str, tuple[tuple[int, int], ...]] = {
    "480p": ((848, 480), (480, 848), (480, 480), (640, 480), (480, 640)),
    "720p": ((1280, 720), (720, 1280), (720, 720), (960, 720), (720, 960)),
}
_DISSOLVE_FRAMES = 12
# Measured 0.3 to 0.6 s a second of clip on one core; a machine may be twenty times busier.
_TIME_LIMIT_S, _TIME_LIMIT_PER_S = 30.0, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnimaticSpec:
    """One clip to draw.

    ``images`` up to 7 local image files, ``@image1`` first, or ``video`` a film to be shown in
    other colours, or neither: words alone, which need a ``size_px``. ``prompt`` and ``title`` any
    text; ``duration_s`` 1 or more, rounded to whole frames; ``resolution`` ``480p`` or ``720p``.
    ``size_px`` width and height, even; None: the shape nearest to the first image, or the film's.
    ``take`` tells clips of one order apart; ``quality`` 20 to 99; ``tags`` what the slate calls
    the pictures, empty: by their numbers; ``has_slate`` False: nothing lies over the pictures.
    """

    images: tuple[Path, ...]
    prompt: str
    duration_s: int | Decimal
    resolution: str
    title: str
    price_usd: Decimal
    size_px: tuple[int, int] | None = None
    video: Path | None = None
    take: int = 1
    container: Container = Container.MP4
    quality: int = 95
    tags: tuple[str, ...] = ()
    has_slate: bool = True

    def __post_init__(self) -> None:
        needed = 1 if self.size_px is None and self.video is None else 0
        if not needed <= len(self.images) <= MAX_IMAGES:
            raise ValueError(f"{needed} to {MAX_IMAGES} images; {len(self.images)} given")
        if self.duration_s < 1:
            raise ValueError(f"a clip lasts 1 s or more, not {self.duration_s}")
        if self.resolution not in _SIZES:
            raise ValueError(f"resolution {self.resolution!r} is not one of {', '.join(_SIZES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The frames ``first`` to ``end`` (exclusive) that one reference is seen in.

    Neighbours overlap by the frames of their dissolve.
    """

    first: int
    end: int


def frame_size(spec: AnimaticSpec) -> tuple[int, int]:
    """Width and height in pixels: as asked for, as the film to be edited has it, or of the shapes
    on offer the nearest to the first reference.

    Raises:
        MediaError: the first reference is not a readable image, or the film no film.
        FileMissing: it is not there.
    """
    if spec.size_px is not None:
        return spec.size_px
    if spec.video is not None:
        return footage.probe(spec.video).frame_px
    width_px, height_px = stills.read_size(_present(spec.images[0]), _name(spec, 0))
    aspect = math.log(width_px / height_px)
    return min(_SIZES[spec.resolution], key=lambda size: abs(math.log(size[0] / size[1]) - aspect))


def share_out(frames: int, pictures: int) -> tuple[Stretch, ...]:
    """Give every picture the same time, in order, overlapping by up to half a second."""
    overlap = min(_DISSOLVE_FRAMES, frames // (3 * pictures))
    starts = [round(index * (frames - overlap) / pictures) for index in range(pictures)]
    ends = [start + overlap for start in starts[1:]] + [frames]
    return tuple(Stretch(first=s, end=e) for s, e in zip(starts, ends, strict=True))


def render(
    spec: AnimaticSpec, destination: Path, *, ffmpeg: Path, time_limit_s: float | None = None
) -> None:
    """Draw one clip into ``destination``: picture and stereo sound, ``duration_s`` x 24 frames.

    It blocks for about half the clip's length. ``time_limit_s`` is how long ffmpeg may take; by
    default many times what it needs.

    Raises:
        FileMissing: a reference is not there.
        MediaError: a reference is damaged (the message names it), or ffmpeg failed or hung.
        StorageError: the folder of ``destination`` cannot be written to.
    """
    frame = frame_size(spec)
    card = _slate(spec, frame) if spec.has_slate else None
    seed = _seed(spec)
    form = encoder.Format(
        width_px=frame[0],
        height_px=frame[1],
        fps=FPS,
        frames=round(spec.duration_s * FPS),
        container=spec.container,
        quality=spec.quality,
    )
    encoder.encode(
        _film(spec, form, card) if spec.video is not None else _stills(spec, form, card, seed),
        bed.build_wav(float(spec.duration_s), seed),
        form,
        destination,
        ffmpeg=ffmpeg,
        time_limit_s=time_limit_s or _TIME_LIMIT_S + _TIME_LIMIT_PER_S * float(spec.duration_s),
    )


def _slate(spec: AnimaticSpec, frame: tuple[int, int]) -> Slate:
    words = slate.Words(
        title=spec.title,
        prompt=spec.prompt,
        duration_s=spec.duration_s,
        resolution=spec.resolution,
        price_usd=spec.price_usd,
    )
    return slate.build(words, frame, spec.tags or _numbers(spec))


def _film(spec: AnimaticSpec, form: encoder.Format, card: Slate | None) -> Iterator[Planes]:
    """The given film, recoloured, from its beginning."""
    if spec.video is None:
        raise ValueError("there is no film to show")
    frame = (form.width_px, form.height_px)
    pictures = footage.recoloured(spec.video, frame, fps=form.fps, frames=form.frames)
    for index, picture in enumerate(pictures):
        if card is not None:
            slate.lay(card, picture, index=index, count=form.frames, fps=form.fps, reference=0)
        yield picture


def _stills(
    spec: AnimaticSpec, form: encoder.Format, card: Slate | None, seed: bytes
) -> Iterator[Planes]:
    """The pictures one after the other, the camera moving."""
    frame = (form.width_px, form.height_px)
    clear = slate.unlaid(frame) if card is None else card.clear
    pictures = tuple(
        stills.load(_present(path), _name(spec, index), frame, clear)
        for index, path in enumerate(spec.images)
    ) or (Still(plate=backdrops.lights(frame, seed), card=None),)
    stretches = share_out(form.frames, len(pictures))
    moves = choose_moves(
        seed,
        (stretches[0].end - stretches[0].first) / FPS,
        tuple(picture.spare(frame) for picture in pictures),
    )
    return _draw(form, pictures, stretches, moves, card)


def _numbers(spec: AnimaticSpec) -> tuple[str, ...]:
    return tuple(f"@image{number}" for number in range(1, len(spec.images) + 1))


def _draw(
    form: encoder.Format,
    pictures: tuple[Still, ...],
    stretches: tuple[Stretch, ...],
    moves: tuple[Move, ...],
    card: Slate | None,
) -> Iterator[Planes]:
    frame = (form.width_px, form.height_px)
    for index in range(form.frames):
        seen = [n for n, s in enumerate(stretches) if s.first <= index < s.end]
        views = []
        for n in seen:
            progress = (index - stretches[n].first) / (stretches[n].end - stretches[n].first - 1)
            views.append(stills.film(pictures[n], moves[n].at(progress), frame))
        picture, named = views[0], seen[0]
        if len(views) == 2:
            before, after = stretches[seen[0]], stretches[seen[1]]
            share = (index - after.first + 1) / (before.end - after.first + 1)
            picture = planes.blend(views[0], views[1], smoothstep(share))
            named = seen[0] if share < 0.5 else seen[1]
        if card is not None:
            slate.lay(card, picture, index=index, count=form.frames, fps=form.fps, reference=named)
        yield picture


def _seed(spec: AnimaticSpec) -> bytes:
    """What chance is replaced by: a digest of everything that the model would be given."""
    digest = hashlib.sha256()
    for path in (*spec.images, *([] if spec.video is None else [spec.video])):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    # Lone surrogates can arrive in JSON text and have no UTF-8.
    digest.update(spec.prompt.encode("utf-8", "surrogatepass"))
    digest.update(f"\0{spec.duration_s}\0{spec.resolution}".encode())
    if spec.take > 1:
        digest.update(f"\0{spec.take}".encode())
    return digest.digest()


def _name(spec: AnimaticSpec, index: int) -> str:
    safe = "".join(c if c.isprintable() else "?" for c in spec.images[index].name)
    return f"@image{index + 1} ({safe})"


def _present(path: Path) -> Path:
    if not path.is_file():
        safe = "".join(c if c.isprintable() else "?" for c in str(path))
        raise FileMissing(f"no reference image at {safe}")
    return path
