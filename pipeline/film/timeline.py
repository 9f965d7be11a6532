"""The arithmetic of a cut with transitions and cards, in whole frames. No I/O.

Parts stand in a row. Where one gives way to the next by anything but a hard cut, both are seen for
the frames of the overlap, which count once: the film lasts the sum of its parts less the overlaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import accumulate

from pipeline.film.spec import CUT, HARD_CUT, Transition
from pipeline.timecode import nearest_frame


class PartKind(StrEnum):
    """What a part of the film shows."""

    SLATE = "slate"
    TITLE = "title"
    SHOT = "shot"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part as it is wanted: ``name`` its shot's id or its kind, ``duration_s`` the seconds that
    it is seen, overlaps included; ``transition`` into the next part, a cut for the last."""

    kind: PartKind
    name: str
    duration_s: Fraction
    in_s: Fraction = Fraction(0)
    transition: Transition = HARD_CUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a part lies: ``first_frame`` of the film, ``frames`` with both overlaps; ``lead`` of
    them shared with the part before, ``tail`` with the one after."""

    part: Part
    first_frame: int
    frames: int
    lead: int = 0
    tail: int = 0

    @property
    def end_frame(self) -> int:
        """The first frame after it."""
        return self.first_frame + self.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Frames that are made in one go: of one part, or of two that blend into each other.

    ``spans`` are one or two indices into the timeline; ``offsets`` the frame of each that the piece
    begins with; ``kind`` how two blend.
    """

    spans: tuple[int, ...]
    offsets: tuple[int, ...]
    first_frame: int
    frames: int
    kind: str = CUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A cut laid out at one frame rate."""

    frame_rate: Fraction
    spans: tuple[Span, ...]

    @property
    def total_frames(self) -> int:
        """Length of the film."""
        return self.spans[-1].end_frame

    @property
    def slate_frames(self) -> int:
        """How many frames a slate stands before the film; 0 without one."""
        shown = (span for span in self.spans if span.part.kind is not PartKind.SLATE)
        return next((span.first_frame for span in shown), 0)

    @property
    def duration_s(self) -> Fraction:
        """Length of the film in seconds."""
        return self.total_frames / self.frame_rate

    def pieces(self) -> Iterator[Piece]:
        """Every frame of the film exactly once, in order."""
        for index, span in enumerate(self.spans):
            if span.lead:
                before = self.spans[index - 1]
                yield Piece(
                    spans=(index - 1, index),
                    offsets=(before.frames - span.lead, 0),
                    first_frame=span.first_frame,
                    frames=span.lead,
                    kind=before.part.transition.kind,
                )
            alone = span.frames - span.lead - span.tail
            if alone:
                yield Piece(
                    spans=(index,),
                    offsets=(span.lead,),
                    first_frame=span.first_frame + span.lead,
                    frames=alone,
                )


def duration_of(parts: Sequence[Part]) -> Fraction:
    """Seconds that parts come to, overlaps counted once."""
    overlaps = sum((part.transition.duration_s for part in parts[:-1]), Fraction(0))
    return sum((part.duration_s for part in parts), Fraction(0)) - overlaps


def explain(parts: Sequence[Part]) -> str:
    """The sum as a person would write it: ``6 + 6 + 4.5 - 0.5 (dissolve) = 16 s``."""
    terms = " + ".join(f"{float(part.duration_s):g}" for part in parts)
    overlaps = "".join(
        f" - {float(part.transition.duration_s):g} ({part.transition.kind})"
        for part in parts[:-1]
        if part.transition.duration_s
    )
    return f"{terms}{overlaps} = {float(duration_of(parts)):g} s"


def overcrowded(parts: Sequence[Part], frame_rate: Fraction = Fraction(24)) -> Part | None:
    """The first part that is shorter than what it shares with its neighbours, if there is one."""
    before = 0
    for part, after in zip(parts, (*parts[1:], None), strict=True):
        shared = nearest_frame(part.transition.duration_s, frame_rate) if after else 0
        if nearest_frame(part.duration_s, frame_rate) < before + shared:
            return part
        before = shared
    return None


def lay_out(parts: Sequence[Part], frame_rate: Fraction) -> Timeline:
    """Give every part its frames.

    The places where parts begin and end are rounded, not their lengths: however many there are,
    the film is within half a frame of ``duration_of``, and exact where that is a whole frame.

    Args:
        parts: at least one, in order.
        frame_rate: frames a second of the film.
    Raises:
        ValueError: a part is shorter than what it shares with its neighbours, or has no frame.
    """
    starts = list(
        accumulate(
            (part.duration_s - part.transition.duration_s for part in parts[:-1]),
            initial=Fraction(0),
        )
    )
    overlaps = [nearest_frame(part.transition.duration_s, frame_rate) for part in parts[:-1]]
    firsts = [nearest_frame(start_s, frame_rate) for start_s in starts]
    # What begins here ends there: an overlap is added to the part that gives way.
    ends = [first + shared for first, shared in zip(firsts[1:], overlaps, strict=True)]
    ends.append(nearest_frame(starts[-1] + parts[-1].duration_s, frame_rate))
    spans = tuple(
        Span(part=part, first_frame=first, frames=end - first, lead=lead, tail=tail)
        for part, first, end, lead, tail in zip(
            parts, firsts, ends, (0, *overlaps), (*overlaps, 0), strict=True
        )
    )
    for span in spans:
        if span.frames < max(1, span.lead + span.tail):
            raise ValueError(f"{span.part.name} is too short for its transitions")
    return Timeline(frame_rate=frame_rate, spans=spans)
