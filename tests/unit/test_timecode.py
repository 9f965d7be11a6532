from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import pytest

from pipeline.timecode import (
    decimal_seconds,
    nearest_frame,
    samples_of_frames,
    timecode,
    track_timescale_hz,
)

FILM = Fraction(24)
NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("duration_s", "rate", "frames"),
    [
        (Fraction(6), FILM, 144),
        (Fraction("4.5"), FILM, 108),
        (Fraction("6.041667"), FILM, 145),
        (Fraction(1, 48), FILM, 1),
        (Fraction(1, 49), FILM, 0),
        (Fraction(10), NTSC, 300),
    ],
)
def test_a_length_is_the_nearest_whole_number_of_frames(
    duration_s: Fraction, rate: Fraction, frames: int
) -> None:
    assert nearest_frame(duration_s, rate) == frames


def test_a_frame_at_24_a_second_has_2000_samples() -> None:
    assert samples_of_frames(17, 144, FILM) == 288_000


@pytest.mark.parametrize("rate", [FILM, NTSC, Fraction(24000, 1001), Fraction(7), Fraction(60)])
def test_spans_end_to_end_have_all_samples_of_the_whole(rate: Fraction) -> None:
    lengths = [1, 37, 2, 145, 5, 1, 1, 99] * 20
    starts = accumulate(lengths[:-1], initial=0)

    pieces = sum(
        samples_of_frames(start, length, rate)
        for start, length in zip(starts, lengths, strict=True)
    )

    assert pieces == samples_of_frames(0, sum(lengths), rate) == round(sum(lengths) * 48_000 / rate)


@pytest.mark.parametrize(
    ("duration_s", "places", "text"),
    [
        (Fraction(6), 6, "6.000000"),
        (Fraction(145, 24), 6, "6.041667"),
        (Fraction(1, 8), 2, "0.13"),
        (Fraction(10**9) + Fraction(1, 3), 6, "1000000000.333333"),
    ],
)
def test_seconds_are_written_plainly_and_rounded(
    duration_s: Fraction, places: int, text: str
) -> None:
    assert decimal_seconds(duration_s, places) == text


@pytest.mark.parametrize("rate", [FILM, NTSC, Fraction(25), Fraction(24000, 1001), Fraction(60)])
def test_a_frame_is_a_whole_number_of_ticks(rate: Fraction) -> None:
    assert (track_timescale_hz(rate) / rate).denominator == 1


def test_the_timescale_of_24_is_the_one_ffmpeg_chooses() -> None:
    assert track_timescale_hz(FILM) == 12_288


@pytest.mark.parametrize(
    ("frame", "rate", "text"),
    [
        (0, FILM, "00:00:00:00"),
        (23, FILM, "00:00:00:23"),
        (24, FILM, "00:00:01:00"),
        (86_400 + 24 * 61, FILM, "01:01:01:00"),
        (1800, NTSC, "00:01:00:00"),
        (24 * 86_400 - 1, FILM, "23:59:59:23"),
    ],
)
def test_timecode_counts_frames(frame: int, rate: Fraction, text: str) -> None:
    assert timecode(frame, rate) == text


@pytest.mark.parametrize("frame", [-1, 24 * 86_400])
def test_timecode_ends_with_the_day(frame: int) -> None:
    with pytest.raises(ValueError, match="24 hours"):
        timecode(frame, FILM)
