"""A quiet sound bed for an animatic: one soft chord and a breath of room tone.

All chords come from the white keys around one tonal centre, so that any two shots may follow each
other in a film.
"""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 48_000
# MIDI notes, open voicings, low to high: Cmaj9, Am11, Fmaj9, G6sus2, Em7 add 11, Dm9.
_CHORDS = (
    (48, 55, 64, 71, 74),
    (45, 57, 64, 67, 74),
    (53, 60, 64, 69, 79),
    (43, 55, 62, 69, 76),
    (52, 59, 67, 69, 74),
    (50, 57, 65, 72, 76),
)
_PARTIALS = (1.0, 0.28, 0.10, 0.04)
# Root mean square per channel for about -30 LUFS (ITU-R BS.1770: -0.691 + 10 log10 of the sum).
_RMS = 0.0255
_ROOM_SHARE = 0.06
_FADE_IN_S, _FADE_OUT_S = 0.5, 0.8

_Samples = npt.NDArray[np.float64]


def build_wav(duration_s: float, seed: bytes) -> bytes:
    """A 16-bit stereo 48 kHz WAV of ``duration_s`` seconds; same seed, same bytes.

    ``seed`` holds at least 8 bytes; its first one picks the chord.
    """
    count = round(duration_s * SAMPLE_RATE)
    time_s = np.arange(count) / SAMPLE_RATE
    dice = np.random.default_rng(list(seed))
    chord = _CHORDS[seed[0] % len(_CHORDS)]
    stereo = np.zeros((2, count))
    for index, note in enumerate(chord):
        frequency_hz = 440 * 2 ** ((note - 69) / 12)
        # Higher voices softer, each leaning to its own side and breathing at its own pace.
        loudness = 0.8**index
        lean = 0.5 + 0.3 * (-1) ** index * (index / len(chord))
        for channel, share in enumerate((1 - lean, lean)):
            detune = 1 + 0.0007 * dice.uniform(-1, 1)
            breath = 1 + 0.25 * np.sin(
                2 * np.pi * (dice.uniform(0.08, 0.16) * time_s + dice.uniform())
            )
            tone = _tone(frequency_hz * detune, time_s, phase=dice.uniform())
            stereo[channel] += loudness * np.sqrt(share) * breath * tone
    stereo /= np.sqrt(np.mean(stereo**2))
    room = np.stack([_room_tone(count, dice) for _ in range(2)])
    mixed = (stereo + _ROOM_SHARE * room) * _RMS * _fades(count)
    pcm = np.round(np.clip(mixed, -1, 1) * 32767).astype("<i2")
    with io.BytesIO() as buffer:
        with wave.open(buffer, "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(pcm.T.tobytes())
        return buffer.getvalue()


def _tone(frequency_hz: float, time_s: _Samples, *, phase: float) -> _Samples:
    angle = 2 * np.pi * (frequency_hz * time_s + phase)
    tone = np.zeros_like(time_s)
    for number, level in enumerate(_PARTIALS, start=1):
        tone += level * np.sin(number * angle)
    return tone


def _room_tone(count: int, dice: np.random.Generator) -> _Samples:
    """Noise that falls off with frequency like a quiet room, at unit power."""
    spectrum = np.fft.rfft(dice.standard_normal(count))
    frequency_hz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    spectrum *= (frequency_hz / (frequency_hz + 60)) / (1 + (frequency_hz / 500) ** 2)
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def _fades(count: int) -> _Samples:
    envelope = np.ones(count)
    for length_s, part in ((_FADE_IN_S, slice(None)), (_FADE_OUT_S, slice(None, None, -1))):
        length = min(int(length_s * SAMPLE_RATE), count // 2)
        ramp = np.sin(np.linspace(0, np.pi / 2, length)) ** 2
        envelope[part][:length] *= ramp
    return envelope
