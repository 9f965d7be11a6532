"""Which parts a deliverable is made of, and where its captions come to stand. No I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate

from pipeline.film.spec import HARD_CUT, Captions, Card, Cue, CutShot, Deliverable, FilmSpec
from pipeline.film.timeline import Part, PartKind, duration_of
from pipeline.model import Shot, Storyboard

# What is left of a caption that a shorter cut trims is not worth a flash.
_LEAST_CUE_S = Fraction(1, 5)


def cut_parts(
    storyboard: Storyboard,
    deliverable: Deliverable,
    *,
    lengths_s: Mapping[str, Fraction] | None = None,
) -> tuple[Part, ...]:
    """The parts of one deliverable in order: slate, title, shots, end card.

    A shot is seen for the seconds that its cut names. Where none are named it is seen to its end:
    the bought one where the film or the deliverable wants an exact length, else the clip's own.
    No part gives way to the next for a transition of no length but by a hard cut.

    Args:
        lengths_s: seconds of the clip of each shot by its id, as far as they are known; None
            before there are clips.
    """
    film = storyboard.film or FilmSpec()
    is_exact = deliverable.length_s is not None or film.master.length_s is not None
    known = {} if is_exact else lengths_s or {}
    by_id = {shot.id: shot for shot in storyboard.shots}
    wanted = deliverable.cut or tuple(CutShot(shot_id=shot.id) for shot in storyboard.shots)
    parts = [_shot_part(by_id[each.shot_id], each, film, known) for each in wanted]
    if film.title_card is not None and deliverable.has_title:
        parts.insert(0, _card_part(PartKind.TITLE, film.title_card))
    if film.end_card is not None and deliverable.has_end:
        parts[-1] = replace(parts[-1], transition=film.end_card.transition)
        parts.append(_card_part(PartKind.END, film.end_card))
    parts[-1] = replace(parts[-1], transition=HARD_CUT)
    if film.slate_s and deliverable.has_slate:
        slate = Part(kind=PartKind.SLATE, name=PartKind.SLATE.value, duration_s=film.slate_s)
        parts.insert(0, slate)
    return tuple(parts)


def film_parts(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts that count towards a film's length: all but the slate before it."""
    return tuple(part for part in parts if part.kind is not PartKind.SLATE)


def _card_part(kind: PartKind, card: Card) -> Part:
    # An end card's transition is the one that it comes in by; its own way out is the film's end.
    transition = card.transition if kind is PartKind.TITLE else HARD_CUT
    return Part(kind=kind, name=kind.value, duration_s=card.duration_s, transition=transition)


def _shot_part(
    shot: Shot, wanted: CutShot, film: FilmSpec, lengths_s: Mapping[str, Fraction]
) -> Part:
    in_s = shot.edit.in_s if wanted.in_s is None else wanted.in_s
    cut_s = shot.cut_s if wanted.cut_s is None else wanted.cut_s
    if cut_s is None:
        cut_s = lengths_s.get(shot.id, Fraction(shot.duration_s)) - in_s
    own = shot.edit.transition
    return Part(
        kind=PartKind.SHOT,
        name=shot.id,
        duration_s=cut_s,
        in_s=in_s,
        transition=film.transition if own is None else own,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tied:
    """A caption tied to a part: ``start_s`` and ``end_s`` on the clock of its clip or card, not of
    the film."""

    kind: PartKind
    name: str
    start_s: Fraction
    end_s: Fraction
    text: str


def cues_of(captions: Captions, parts: Sequence[Part], master: Sequence[Part]) -> tuple[Cue, ...]:
    """The captions of one cut, in order of time, in seconds from its first frame (of the slate,
    where it has one).

    In the master a caption stands where it was written. In another cut it goes with the shot or
    card that it is seen over in the master: it is left out where that is, trimmed where less of
    it is seen, and repeated where it comes twice.

    Args:
        parts: of the cut; ``master``: of the master, equal to ``parts`` for the master itself.
    """
    if film_parts(parts) == film_parts(master):
        cues = list(_as_written(captions, master))
    else:
        cues = list(_moved(captions, parts, master))
    shift_s = _slate_s(parts)
    cues.sort(key=lambda cue: (cue.start_s, cue.end_s))
    return tuple(
        replace(cue, start_s=cue.start_s + shift_s, end_s=cue.end_s + shift_s) for cue in cues
    )


def _slate_s(parts: Sequence[Part]) -> Fraction:
    return sum((p.duration_s for p in parts if p.kind is PartKind.SLATE), Fraction(0))


def starts_s(parts: Sequence[Part]) -> tuple[Fraction, ...]:
    """Where each part begins, in seconds from the first frame of the first."""
    lengths = (part.duration_s - part.transition.duration_s for part in parts[:-1])
    return tuple(accumulate(lengths, initial=Fraction(0)))


def _as_written(captions: Captions, master: Sequence[Part]) -> Iterator[Cue]:
    starts = _starts_by_name(film_parts(master))
    for shot_id, cue in captions.cues:
        offset_s = Fraction(0) if shot_id is None else starts[shot_id]
        yield replace(cue, start_s=cue.start_s + offset_s, end_s=cue.end_s + offset_s)


def _starts_by_name(parts: Sequence[Part]) -> dict[str, Fraction]:
    return {
        part.name: start_s
        for part, start_s in zip(parts, starts_s(parts), strict=True)
        if part.kind is PartKind.SHOT
    }


def _moved(captions: Captions, parts: Sequence[Part], master: Sequence[Part]) -> Iterator[Cue]:
    tied: dict[tuple[PartKind, str], list[_Tied]] = {}
    for each in _tie(captions, film_parts(master)):
        tied.setdefault((each.kind, each.name), []).append(each)
    cut = film_parts(parts)
    for part, start_s in zip(cut, starts_s(cut), strict=True):
        for each in tied.get((part.kind, part.name), ()):
            first = max(each.start_s - part.in_s, Fraction(0))
            last = min(each.end_s - part.in_s, part.duration_s)
            if last - first >= min(_LEAST_CUE_S, each.end_s - each.start_s):
                yield Cue(start_s=start_s + first, end_s=start_s + last, text=each.text)


def _tie(captions: Captions, master: Sequence[Part]) -> Iterator[_Tied]:
    starts = starts_s(master)
    by_shot = {part.name: part for part in master if part.kind is PartKind.SHOT}
    for shot_id, cue in captions.cues:
        part, start_s = _seen_over(master, starts, cue)
        if shot_id is not None:
            part, start_s = by_shot[shot_id], Fraction(0)
        yield _Tied(
            kind=part.kind,
            name=part.name,
            start_s=cue.start_s - start_s + part.in_s,
            end_s=cue.end_s - start_s + part.in_s,
            text=cue.text,
        )


def _seen_over(
    parts: Sequence[Part], starts: Sequence[Fraction], cue: Cue
) -> tuple[Part, Fraction]:
    """The part that most of a caption is seen over, and where it begins in the film."""
    middle_s = (cue.start_s + cue.end_s) / 2
    index = max(bisect_right(starts, middle_s) - 1, 0)
    return parts[index], starts[index]


def length_s(storyboard: Storyboard, deliverable: Deliverable) -> Fraction:
    """What a deliverable is to last, without its slate: as wanted, else what its parts come to."""
    if deliverable.length_s is not None:
        return deliverable.length_s
    return duration_of(film_parts(cut_parts(storyboard, deliverable)))
