"""What keeps a clip out of a film, and a film from being handed over."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from measured import MEASURED, SOUND, WANTED

from pipeline.film.spec import Checks, Profile, Transition
from pipeline.film.timeline import Part, PartKind, lay_out
from pipeline.finishing.checks import (
    FaultCode,
    judge_clip,
    judge_film,
    outside,
    resting_places,
)
from pipeline.finishing.measurements import Measurements, Stretch

CLIP = replace(MEASURED, frames=144, duration_s=Fraction(6))


def span(start_s: float, end_s: float) -> Stretch:
    return Stretch(start_s=Fraction(start_s), end_s=Fraction(end_s))


def codes_of_clip(measured: Measurements, checks: Checks | None = None) -> list[FaultCode]:
    return [fault.code for fault in judge_clip(measured, checks or Checks())]


def codes_of_film(measured: Measurements, checks: Checks | None = None) -> list[FaultCode]:
    return [fault.code for fault in judge_film(measured, WANTED, checks or Checks())]


def test_a_good_clip_and_a_good_film_have_no_fault() -> None:
    assert codes_of_clip(CLIP) == []
    assert codes_of_film(MEASURED) == []


def test_black_counts_as_black_and_not_as_frozen_too() -> None:
    clip = replace(CLIP, black=(span(0, 5),), frozen=(span(0, 5.5),))

    assert codes_of_clip(clip) == [FaultCode.BLACK]


def test_a_fault_tells_how_long_and_where() -> None:
    (fault,) = judge_clip(replace(CLIP, black=(span(1, 1.5), span(2, 4.5))), Checks())

    assert fault.message == "black for 2.50 s, from 2.00 s to 4.50 s"
    assert "--retake" in fault.hint


@pytest.mark.parametrize(("length_s", "faults"), [(3, []), (3.25, [FaultCode.FROZEN])])
def test_a_clip_may_stand_still_as_long_as_the_threshold_says(
    length_s: float, faults: list[FaultCode]
) -> None:
    assert codes_of_clip(replace(CLIP, frozen=(span(0, length_s),))) == faults


def test_a_raised_threshold_lets_a_still_clip_through() -> None:
    still = replace(CLIP, frozen=(span(0, 6),))

    assert codes_of_clip(still, Checks(frozen_s=Fraction(6))) == []


def test_a_short_clip_that_is_black_or_still_from_end_to_end_is_refused() -> None:
    clip = replace(CLIP, frames=24, duration_s=Fraction(1))
    whole, most = (span(0, 1),), (span(0, 0.75),)

    assert codes_of_clip(replace(clip, black=whole)) == [FaultCode.BLACK]
    assert codes_of_clip(replace(clip, frozen=whole)) == [FaultCode.FROZEN]
    assert codes_of_clip(replace(clip, black=most, frozen=most)) == []
    assert codes_of_clip(replace(clip, frozen=whole), Checks(frozen_s=Fraction(4))) == []


def test_cards_slate_and_fades_are_where_a_film_may_rest() -> None:
    fade = Transition(kind="fade-black", duration_s=Fraction(1))
    dissolve = Transition(kind="dissolve", duration_s=Fraction(1))
    parts = [
        Part(kind=PartKind.TITLE, name="title", duration_s=Fraction(3)),
        Part(kind=PartKind.SHOT, name="a", duration_s=Fraction(6), transition=dissolve),
        Part(kind=PartKind.SHOT, name="b", duration_s=Fraction(6), transition=fade),
        Part(kind=PartKind.END, name="end", duration_s=Fraction(4)),
    ]
    timeline = lay_out(parts, Fraction(24))

    assert set(resting_places(timeline, fade_in_s=Fraction(1), fade_out_s=Fraction(2))) == {
        span(0, 3),
        span(13, 14),
        span(13, 17),
        span(0, 1),
        span(15, 17),
    }


def test_a_film_may_rest_where_it_is_meant_to_and_nowhere_else() -> None:
    film = replace(MEASURED, black=(span(0, 4),), frozen=(span(0, 4), span(20, 25)))
    card = replace(WANTED, may_rest=(span(0, 3), span(20, 24)))

    assert judge_film(film, card, Checks()) == ()
    assert codes_of_film(film) == [FaultCode.BLACK, FaultCode.FROZEN]


def test_stretches_without_others_keep_what_is_left_on_both_sides() -> None:
    assert outside((span(0, 10),), (span(2, 4), span(9, 12), span(20, 30))) == (
        span(0, 2),
        span(4, 9),
    )
    assert outside((span(2, 3),), (span(0, 10),)) == ()


@pytest.mark.parametrize(
    ("film", "fault"),
    [
        (replace(MEASURED, frames=719, duration_s=Fraction(719, 24)), FaultCode.LENGTH),
        (replace(MEASURED, width_px=1278), FaultCode.SIZE),
        (replace(MEASURED, sample_aspect=Fraction(4, 3)), FaultCode.SIZE),
        (replace(MEASURED, frame_rate=Fraction(25)), FaultCode.RATE),
        (replace(MEASURED, is_rate_constant=False), FaultCode.RATE),
        (replace(MEASURED, video_codec="hevc"), FaultCode.CODEC),
        (replace(MEASURED, has_index_first=False), FaultCode.FASTSTART),
        (replace(MEASURED, sound=None), FaultCode.NO_SOUND),
        (replace(MEASURED, sound=replace(SOUND, starts_late_s=Fraction(43, 1000))), FaultCode.SYNC),
        (replace(MEASURED, sound=replace(SOUND, ends_late_s=Fraction(-43, 1000))), FaultCode.SYNC),
        (replace(MEASURED, sound=replace(SOUND, integrated_lufs=-14.51)), FaultCode.LOUDNESS),
        (replace(MEASURED, sound=replace(SOUND, integrated_lufs=-13.49)), FaultCode.LOUDNESS),
        (replace(MEASURED, sound=replace(SOUND, true_peak_dbtp=-0.9)), FaultCode.TRUE_PEAK),
    ],
)
def test_each_fault_of_a_film_is_found_and_alone(film: Measurements, fault: FaultCode) -> None:
    assert codes_of_film(film) == [fault]


def test_silence_is_a_fault_only_where_the_manifest_says_so() -> None:
    quiet = replace(SOUND, integrated_lufs=None, true_peak_dbtp=None, silent=(span(0, 30),))
    film = replace(MEASURED, sound=quiet)

    assert codes_of_film(film) == []
    assert codes_of_film(film, Checks(silent_s=Fraction(5))) == [FaultCode.SILENT]


def test_sound_may_end_with_the_block_that_it_is_stored_in() -> None:
    late = replace(SOUND, ends_late_s=Fraction(21, 1000))
    film = replace(MEASURED, frame_rate=Fraction(60), sound=late)
    wanted = replace(WANTED, frame_rate=Fraction(60))

    assert judge_film(film, wanted, Checks()) == ()


def test_only_the_web_asks_for_the_index_first() -> None:
    film = replace(MEASURED, has_index_first=False, video_codec="prores")

    assert judge_film(film, replace(WANTED, profile=Profile.PRORES), Checks()) == ()
