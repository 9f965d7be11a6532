"""What each piece of a film's picture asks for, in frames of its own. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.film.timeline import Piece
from pipeline.finishing.pictures_commands import Branch, Layer, PieceOrder, Ramp
from pipeline.finishing.sources import Fades, Overlay, Source, Still


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceFiles:
    """An order and the files that it means: each name in it, and where that file lies; ``shown``
    are those of the parts of the film, without what is laid over them."""

    order: PieceOrder
    files: tuple[tuple[str, Path], ...]
    shown: tuple[Path, ...]


def order_piece(
    piece: Piece,
    sources: Sequence[Source],
    overlays: Sequence[Overlay],
    fades: Fades,
    *,
    total_frames: int,
) -> PieceFiles:
    """Turn a piece into an order.

    Where it lies in the film is not part of that: a film that begins earlier, or has one more
    caption elsewhere, does not make it anew.
    """
    shown = [sources[span] for span in piece.spans]
    branches = tuple(
        Branch(name=_link_name(index, source), source=source, offset=offset)
        for index, (source, offset) in enumerate(zip(shown, piece.offsets, strict=True))
    )
    end = piece.first_frame + piece.frames
    over = [
        each for each in overlays if each.first_frame < end and each.end_frame > piece.first_frame
    ]
    layers = tuple(
        Layer(
            name=f"over{index}.png",
            first=max(0, each.first_frame - piece.first_frame),
            last=min(piece.frames, each.end_frame - piece.first_frame) - 1,
        )
        for index, each in enumerate(over)
    )
    return PieceFiles(
        order=PieceOrder(
            branches=branches,
            frames=piece.frames,
            kind=piece.kind,
            layers=layers,
            ramps=tuple(_ramps(piece, fades, total_frames)),
        ),
        files=(
            *((branch.name, branch.source.path) for branch in branches),
            *((layer.name, each.path) for layer, each in zip(layers, over, strict=True)),
        ),
        shown=tuple(source.path for source in shown),
    )


def _link_name(index: int, source: Source) -> str:
    suffix = ".png" if isinstance(source, Still) else source.container.suffix
    return f"part{index}{suffix}"


def _ramps(piece: Piece, fades: Fades, total_frames: int) -> Iterator[Ramp]:
    since = piece.first_frame - fades.first_frame
    if 0 <= since < fades.in_frames:
        yield Ramp(first=-since, frames=fades.in_frames, is_out=False)
    if piece.first_frame + piece.frames > total_frames - fades.out_frames:
        # The last frame of the film is the black one, so the ramp begins on the frame before it.
        first = total_frames - 1 - fades.out_frames - piece.first_frame
        yield Ramp(first=first, frames=fades.out_frames, is_out=True)
