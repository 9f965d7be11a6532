"""The arithmetic of mixing: gains that add up, music that steps back, peaks that stay under."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.finishing.ducking import (
    WINDOW_SAMPLES,
    ducking_gains,
    speech,
    stepping_back,
    window_levels,
)
from pipeline.finishing.limiter import (
    CELL_SAMPLES,
    MARGIN_SAMPLES,
    cell_peaks,
    limiting_gains,
    reductions,
)
from pipeline.finishing.mix import (
    SLOPE_SAMPLES,
    Curve,
    Sound,
    edge_gains,
    fade_gains,
    gain_of,
    levelling,
    seam_gains,
)

RATE_HZ = 48_000


def sine(frequency_hz: float, samples: int, level: float, phase: float = 0.0) -> Sound:
    wave = level * np.sin(2 * np.pi * frequency_hz * np.arange(samples) / RATE_HZ + phase)
    return np.repeat(wave[:, None], 2, axis=1).astype(np.float32)


@pytest.mark.parametrize("shared", [1, 2, 2002, 12_000])
def test_powers_of_two_sounds_that_cross_add_up_to_one(shared: int) -> None:
    going = edge_gains(30_000 - shared, shared, total=30_000, lead=0, tail=shared)
    coming = edge_gains(0, shared, total=30_000, lead=shared, tail=0)

    assert np.allclose(going**2 + coming**2, 1)
    assert np.all(np.diff(coming) >= 0) and np.all(np.diff(going) <= 0)


def test_sound_beside_a_hard_cut_has_a_slope_of_five_milliseconds() -> None:
    gains = edge_gains(0, 1000, total=1000, lead=0, tail=0)

    assert (gains[0], gains[SLOPE_SAMPLES // 2], gains[-1]) == (0, 0.5, 1 / SLOPE_SAMPLES)
    assert np.all(gains[SLOPE_SAMPLES : 1000 - SLOPE_SAMPLES + 1] == 1)


@given(
    total=st.integers(min_value=1, max_value=3000),
    lead=st.integers(min_value=0, max_value=1000),
    tail=st.integers(min_value=0, max_value=1000),
    at=st.integers(min_value=0, max_value=3000),
)
def test_gains_are_the_same_in_one_piece_and_in_blocks(
    total: int, lead: int, tail: int, at: int
) -> None:
    at = min(at, total)
    shares = {"total": total, "lead": min(lead, total // 2), "tail": min(tail, total // 2)}
    whole = edge_gains(0, total, **shares)
    parts = np.append(edge_gains(0, at, **shares), edge_gains(at, total - at, **shares))

    assert np.array_equal(whole, parts)
    assert np.all((whole >= 0) & (whole <= 1))


def test_fade_ends_with_the_last_sample_and_nothing_is_heard_outside() -> None:
    gains = fade_gains(0, 1000, begin=100, end=900, rise=200, fall=400)

    assert not gains[:101].any() and not gains[900:].any()
    assert np.all(gains[300:500] == 1)
    assert gains[200] == pytest.approx(0.5) and gains[700] == pytest.approx(0.5)
    assert 0 < gains[899] < 1e-4


def test_recording_that_starts_over_is_silent_at_the_seam_only() -> None:
    gains = seam_gains(0, 3000, length=1000)

    assert np.flatnonzero(gains == 0).tolist() == [0, 1000, 2000]
    assert np.all(gains[SLOPE_SAMPLES : 1000 - SLOPE_SAMPLES] == 1)


def test_uneven_clips_go_towards_the_middle_one_by_six_decibels_at_most() -> None:
    assert levelling([-20, -23, -40, None, -17]) == [-1.5, 1.5, 6.0, 0.0, -4.5]


def test_hiss_is_never_lifted_and_does_not_count() -> None:
    assert levelling([-50.1, -24, -20]) == [0.0, 2.0, -2.0]
    assert levelling([-60, None]) == [0.0, 0.0]


def heard_levels(speech_level: float, duck_db: float) -> tuple[Curve, Curve]:
    """Music's gains in decibels at every sample, for speech from second 2 to 4 of 8."""
    track = np.zeros((8 * RATE_HZ, 2), dtype=np.float32)
    track[2 * RATE_HZ : 4 * RATE_HZ] = sine(300, 2 * RATE_HZ, speech_level)
    back_db = stepping_back(speech(window_levels(track)), Fraction(duck_db))
    gains = ducking_gains(0, len(track), back_db)
    blocks = [ducking_gains(first, 96_000, back_db) for first in range(0, len(track), 96_000)]
    assert np.allclose(gains, np.concatenate(blocks), atol=1e-12)
    return 20 * np.log10(gains), back_db


@pytest.mark.parametrize("speech_level", [0.9, 0.1, 0.01])
@pytest.mark.parametrize("duck_db", [6, 12])
def test_music_steps_back_by_what_was_asked_however_loud_the_speech(
    speech_level: float, duck_db: float
) -> None:
    levels, _ = heard_levels(speech_level, duck_db)

    # Half a window's doubt at either end of the speech.
    spoken = slice(2 * RATE_HZ + WINDOW_SAMPLES, 4 * RATE_HZ - WINDOW_SAMPLES)
    assert np.allclose(levels[spoken], -duck_db, atol=1e-6)
    assert np.all(levels[: RATE_HZ * 7 // 4] == 0) and np.all(levels[5 * RATE_HZ :] == 0)


def test_music_goes_down_and_up_without_a_step() -> None:
    levels, _ = heard_levels(0.5, 12)

    # 12 dB in 0.2 s down, 0.6 s up.
    steps = np.diff(levels)
    assert steps.min() > -12 / (0.19 * RATE_HZ) and steps.max() < 12 / (0.59 * RATE_HZ)


def test_music_stays_down_between_words_and_comes_back_in_a_pause() -> None:
    spoken = np.zeros(1000, dtype=np.bool_)
    spoken[[100, 125, 500]] = True
    back_db = stepping_back(spoken, 8)

    assert np.all(back_db[100:126] == 8)
    assert np.all(back_db[300:480] == 0) and back_db[500] == 8


@pytest.mark.parametrize("level", [0.0, 0.001])
def test_silence_and_noise_floor_leave_music_at_full(level: float) -> None:
    levels, back_db = heard_levels(level, 12)

    assert not back_db.any() and not levels.any()


def limited(sound: Sound, ceiling_dbtp: float) -> tuple[Sound, Curve]:
    cells = len(sound) // CELL_SAMPLES
    peaks = cell_peaks(np.pad(sound, ((MARGIN_SAMPLES, MARGIN_SAMPLES), (0, 0))), cells)
    gains = limiting_gains(0, len(sound), reductions(peaks, ceiling_dbtp))
    return (sound * gains[:, None]).astype(np.float32), gains


def test_peak_between_samples_is_seen() -> None:
    # A quarter of the sample rate, 45 degrees off: every sample lies 3 dB under the wave's top.
    sound = sine(RATE_HZ / 4, 100 * CELL_SAMPLES, 1.0, phase=np.pi / 4)
    padded = np.pad(sound, ((MARGIN_SAMPLES, MARGIN_SAMPLES), (0, 0)))

    assert np.abs(sound).max() < 0.71
    assert cell_peaks(padded, 100)[50] == pytest.approx(0, abs=0.05)


def test_limiter_holds_every_peak_and_leaves_the_rest_alone() -> None:
    sound = sine(440, RATE_HZ, 0.2)
    sound[20_000:20_100] *= 4.5
    result, gains = limited(sound, -6)

    assert np.abs(result).max() <= gain_of(-6)
    assert np.all(gains[:19_500] == 1) and np.all(gains[30_000:] == 1)
    # The peak is turned down before it comes, and without a step.
    assert np.all(gains[20_000:20_100] < 0.6)
    assert np.abs(np.diff(20 * np.log10(gains))).max() <= 1.51 / CELL_SAMPLES


def test_both_ends_of_a_cell_do_for_its_peak() -> None:
    assert reductions(np.array([0.0, 6.0, 0.0]), 0)[1:3].tolist() == [6, 6]


def test_sound_under_the_ceiling_is_not_touched() -> None:
    sound = sine(440, RATE_HZ, 0.2)
    result, _ = limited(sound, -6)

    assert np.array_equal(result, sound)


def test_limiter_works_the_same_in_blocks() -> None:
    noise = np.random.default_rng(7).normal(0, 0.4, (RATE_HZ, 2)).astype(np.float32)
    padded = np.pad(noise, ((MARGIN_SAMPLES, MARGIN_SAMPLES), (0, 0)))
    reduced_db = reductions(cell_peaks(padded, 1000), -3)
    blocks = [limiting_gains(first, 9600, reduced_db) for first in range(0, RATE_HZ, 9600)]

    assert np.allclose(limiting_gains(0, RATE_HZ, reduced_db), np.concatenate(blocks), atol=1e-12)
