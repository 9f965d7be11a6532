"""The arithmetic of a cut with transitions: no frame is lost, none is shown twice."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.film.spec import HARD_CUT, Transition
from pipeline.film.timeline import Part, PartKind, duration_of, explain, lay_out, overcrowded

DISSOLVE = Transition(kind="dissolve", duration_s=Fraction(1, 2))
RATES = (Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(8))


def shot(name: str, duration_s: str, transition: Transition = HARD_CUT) -> Part:
    return Part(
        kind=PartKind.SHOT, name=name, duration_s=Fraction(duration_s), transition=transition
    )


def test_an_overlap_counts_once() -> None:
    parts = [shot("a", "6", DISSOLVE), shot("b", "6", DISSOLVE), shot("c", "4.5")]
    assert lay_out(parts, Fraction(24)).total_frames == (6 + 6 + 4.5 - 1) * 24
    assert explain(parts) == "6 + 6 + 4.5 - 0.5 (dissolve) - 0.5 (dissolve) = 15.5 s"


def test_a_blend_takes_the_end_of_one_part_and_the_beginning_of_the_next() -> None:
    parts = [shot("a", "2", DISSOLVE), shot("b", "2")]
    alone, blend, rest = lay_out(parts, Fraction(24)).pieces()
    assert (alone.spans, alone.offsets, alone.frames) == ((0,), (0,), 36)
    assert (blend.spans, blend.offsets, blend.frames, blend.kind) == (
        (0, 1),
        (36, 0),
        12,
        "dissolve",
    )
    assert (rest.spans, rest.offsets, rest.frames) == ((1,), (12,), 36)


@pytest.mark.parametrize("frame_rate", RATES, ids=str)
def test_hundreds_of_uneven_parts_do_not_gather_a_frame_of_error(frame_rate: Fraction) -> None:
    parts = [shot(f"s{n}", "1.37", DISSOLVE) for n in range(300)]
    timeline = lay_out(parts, frame_rate)
    assert abs(timeline.duration_s - duration_of(parts)) <= Fraction(1, 2) / frame_rate


@given(
    lengths=st.lists(st.integers(min_value=60, max_value=800), min_size=1, max_size=12),
    overlaps=st.lists(st.integers(min_value=0, max_value=25), min_size=12, max_size=12),
    frame_rate=st.sampled_from(RATES),
)
def test_pieces_show_every_frame_of_every_part_in_order(
    lengths: list[int], overlaps: list[int], frame_rate: Fraction
) -> None:
    parts = [
        shot(
            f"s{n}",
            str(Fraction(length, 100)),
            Transition(kind="dissolve", duration_s=Fraction(overlap, 100)) if overlap else HARD_CUT,
        )
        for n, (length, overlap) in enumerate(zip(lengths, overlaps, strict=False))
    ]
    try:
        timeline = lay_out(parts, frame_rate)
    except ValueError:
        assert overcrowded(parts, frame_rate) is not None or frame_rate == Fraction(8)
        return
    seen: dict[int, list[int]] = {n: [] for n in range(len(parts))}
    at = 0
    for piece in timeline.pieces():
        assert piece.first_frame == at
        at += piece.frames
        for span, offset in zip(piece.spans, piece.offsets, strict=True):
            seen[span] += range(offset, offset + piece.frames)
    assert at == timeline.total_frames
    for index, span in enumerate(timeline.spans):
        assert seen[index] == list(range(span.frames))


def test_a_part_shorter_than_what_it_shares_is_named() -> None:
    parts = [shot("a", "6", DISSOLVE), shot("b", "0.8", DISSOLVE), shot("c", "6")]
    crowded = overcrowded(parts)
    assert crowded is not None
    assert crowded.name == "b"
    with pytest.raises(ValueError, match="b is too short"):
        lay_out(parts, Fraction(24))
