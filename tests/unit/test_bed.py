"""The sound bed: exact, quiet, soft at both ends, and the same for the same content."""

from __future__ import annotations

import hashlib
import io
import wave

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.sandbox.bed import build_wav


def samples(wav: bytes) -> npt.NDArray[np.float64]:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 48000)
        data = file.readframes(file.getnframes())
    return np.frombuffer(data, "<i2").reshape(-1, 2) / 32767


def seeds() -> list[bytes]:
    return [hashlib.sha256(bytes([n])).digest() for n in range(8)]


@pytest.mark.parametrize("duration_s", [1, 6])
def test_bed_is_exactly_as_long_as_the_clip(duration_s: int) -> None:
    assert len(samples(build_wav(duration_s, seeds()[0]))) == 48000 * duration_s


def test_every_bed_is_quiet_and_starts_and_ends_in_silence() -> None:
    for seed in seeds()[:4]:
        sound = samples(build_wav(3, seed))
        middle = sound[36000:-48000]
        power = (middle**2).mean(axis=0).sum()
        assert -33 < -0.691 + 10 * np.log10(power) < -27
        assert np.abs(sound).max() < 0.2
        assert np.abs(sound[:48]).max() < 0.001
        assert np.abs(sound[-48:]).max() < 0.001


def test_same_content_sounds_the_same_and_other_content_does_not() -> None:
    beds = [build_wav(1, seed) for seed in seeds()]
    assert beds[0] == build_wav(1, seeds()[0])
    assert len(set(beds)) == len(beds)


def test_all_chords_keep_to_one_scale() -> None:
    white_keys = {0, 2, 4, 5, 7, 9, 11}
    for first in range(6):
        sound = samples(build_wav(2, bytes([first]) + bytes(8))).mean(axis=1)
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        for _ in range(5):
            peak = int(spectrum.argmax())
            note = round(69 + 12 * np.log2(peak / 2 / 440))
            assert note % 12 in white_keys
            spectrum[max(peak - 8, 0) : peak + 9] = 0
