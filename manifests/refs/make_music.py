"""Make the music of the example storyboards, from arithmetic alone.

python manifests/refs/make_music.py            all three, under a minute
python manifests/refs/make_music.py hush       one

Everything is synthesised here, so nobody's rights lie on it. Needs numpy and an ffmpeg.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
RATE_HZ = 48_000
Sound = NDArray[np.float64]

# Semitones above A2 (110 Hz); a chord is low to high.
AURORA = ((0, 7, 12, 16, 19), (-4, 8, 12, 15, 19), (3, 7, 10, 15, 22), (-2, 5, 10, 14, 17))
HUSH = ((-5, 7, 10, 14), (-9, 3, 7, 10), (-2, 5, 10, 14), (-7, 5, 8, 12))
NIGHT = ((3, 10, 15, 19), (0, 7, 12, 15), (-4, 8, 12, 15), (-2, 5, 10, 14))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the named beds, all without a name."""
    parser = argparse.ArgumentParser(description="Synthesise the example music.")
    parser.add_argument("names", nargs="*", choices=[[], *BEDS], metavar="NAME")
    for name in parser.parse_args(argv).names or BEDS:
        target = HERE / name / "music.m4a"
        write(BEDS[name](), target)
        sys.stdout.write(f"{target.relative_to(HERE)}  {target.stat().st_size // 1024} kB\n")
    return 0


def aurora() -> Sound:
    """32 s: slow warm chords that open like the light, and single high plucks."""
    bar_s = 4.0
    mix = silence(8 * bar_s)
    for bar in range(8):
        chord = AURORA[bar % 4]
        for note in chord:
            add(mix, bar * bar_s, pad(note, bar_s + 1.5, brightness=0.25 + 0.06 * bar), 0.10)
        add(mix, bar * bar_s, pad(chord[0] - 12, bar_s + 0.5, brightness=0.15), 0.16)
        for beat in range(8 if bar > 1 else 4):
            note = chord[2 + (beat * 3 + bar) % (len(chord) - 2)] + 24
            at_s = bar * bar_s + beat * bar_s / (8 if bar > 1 else 4)
            add(mix, at_s, pluck(note), 0.10, pan=0.5 + 0.35 * np.sin(1.7 * beat + bar))
    return finish(mix, room_s=2.6, wet=0.45)


def hush() -> Sound:
    """26 s: a calm pulse with a bass, soft keys, a brushed beat that drops out at the end."""
    beat_s = 0.625
    mix = silence(42 * beat_s)
    random = np.random.default_rng(7)
    for beat in range(40):
        bar, step = divmod(beat, 4)
        chord = HUSH[bar % 4]
        at_s = beat * beat_s
        if step == 0:
            add(mix, at_s, bass(chord[0], 1.6), 0.34)
            for index, note in enumerate(chord[1:]):
                add(mix, at_s + 0.012 * index, keys(note + 12), 0.13, pan=0.35 + 0.15 * index)
        if step == 2:
            add(mix, at_s + beat_s / 2, bass(chord[0], 0.5), 0.22)
            for index, note in enumerate(chord[1:]):
                add(mix, at_s + 0.5 * beat_s, keys(note + 12), 0.08, pan=0.65 - 0.15 * index)
        if 4 <= beat < 36:
            if step in {0, 2}:
                add(mix, at_s, thump(), 0.5)
            add(mix, at_s + beat_s / 2, brush(random), 0.05, pan=0.6)
            if step in {1, 3}:
                add(mix, at_s, brush(random), 0.10, pan=0.45)
    return finish(mix, room_s=1.2, wet=0.22)


def night() -> Sound:
    """36 s: a music box in three-four time over a low held note, like snow under a lamp."""
    beat_s = 0.5
    mix = silence(72 * beat_s)
    melody = (31, 27, 34, 31, 39, 34, 36, 31, 27, 29, 27, 22)
    for beat in range(69):
        bar, step = divmod(beat, 3)
        chord = NIGHT[(bar // 2) % 4]
        at_s = beat * beat_s
        if step == 0:
            add(mix, at_s, pad(chord[0], 3.2, brightness=0.12), 0.15)
            add(mix, at_s, bell(chord[1] + 12), 0.10, pan=0.4)
        else:
            add(mix, at_s, bell(chord[1 + step] + 12), 0.07, pan=0.35 + 0.2 * step)
        if bar > 1 and (step == 0 or (bar % 2 and step == 2)):
            add(mix, at_s, bell(melody[(bar * 2 + step) % len(melody)]), 0.16, pan=0.6)
    return finish(mix, room_s=2.0, wet=0.35)


BEDS: dict[str, Callable[[], Sound]] = {"aurora": aurora, "hush": hush, "night": night}


def silence(length_s: float) -> Sound:
    """Two channels of nothing: shape (samples, 2)."""
    return np.zeros((round(length_s * RATE_HZ), 2))


def add(mix: Sound, at_s: float, tone: Sound, gain: float, pan: float = 0.5) -> None:
    """Lay one tone into the mix, between left (0) and right (1); what runs over is cut off."""
    first = round(at_s * RATE_HZ)
    tone = tone[: max(0, len(mix) - first)]
    angle = pan * np.pi / 2
    mix[first : first + len(tone), 0] += gain * np.cos(angle) * tone
    mix[first : first + len(tone), 1] += gain * np.sin(angle) * tone


def times(length_s: float) -> Sound:
    """Seconds, one for each sample."""
    return np.arange(round(length_s * RATE_HZ)) / RATE_HZ


def pitch_hz(note: float) -> float:
    """Frequency of a note counted in semitones from A2."""
    return float(110.0 * 2 ** (note / 12))


def pad(note: float, length_s: float, *, brightness: float) -> Sound:
    """Three voices a hair apart; the higher ``brightness``, the more overtones are heard."""
    t = times(length_s)
    tone = np.zeros_like(t)
    for detune in (-0.06, 0.0, 0.05):
        for overtone in range(1, 7):
            phase = 2 * np.pi * overtone * pitch_hz(note + detune) * t + overtone * detune * 20
            tone += brightness ** (overtone - 1) * np.sin(phase)
    swell = np.minimum(1, t / 1.1) * np.minimum(1, (length_s - t) / 1.4)
    return np.asarray(tone * np.sin(swell * np.pi / 2) ** 2 / 3)


def pluck(note: float) -> Sound:
    """A string touched once: overtones die the faster the higher they are."""
    t = times(2.2)
    overtones = (
        np.sin(2 * np.pi * n * pitch_hz(note) * t) * np.exp(-t * (2.2 + 1.6 * n)) / n**1.3
        for n in range(1, 6)
    )
    return np.asarray(sum(overtones) * np.minimum(1, t / 0.004))


def bell(note: float) -> Sound:
    """A tooth of a music box: a clear tone with two that do not fit it."""
    t = times(2.5)
    parts = ((1.0, 1.0, 2.4), (2.76, 0.35, 5.0), (5.4, 0.12, 9.0))
    tone = sum(
        g * np.sin(2 * np.pi * ratio * pitch_hz(note) * t) * np.exp(-t * fall)
        for ratio, g, fall in parts
    )
    return np.asarray(tone * np.minimum(1, t / 0.002))


def keys(note: float) -> Sound:
    """An electric piano: a sine that is bent by another for as long as the key is struck."""
    t = times(2.6)
    bend = 1.6 * np.exp(-t * 5) * np.sin(2 * np.pi * pitch_hz(note) * t)
    tone = np.sin(2 * np.pi * pitch_hz(note) * t + bend)
    return np.asarray(tone * np.exp(-t * 1.5) * np.minimum(1, t / 0.006))


def bass(note: float, length_s: float) -> Sound:
    """A round low note."""
    t = times(length_s)
    tone = np.sin(2 * np.pi * pitch_hz(note - 12) * t) + 0.25 * np.sin(
        4 * np.pi * pitch_hz(note - 12) * t
    )
    return np.asarray(tone * np.exp(-t * 1.1) * np.minimum(1, np.minimum(t, length_s - t) / 0.02))


def thump() -> Sound:
    """A soft drum that falls from 110 to 48 Hz."""
    t = times(0.4)
    return np.asarray(np.sin(2 * np.pi * (48 * t - 4.1 * np.exp(-t * 15))) * np.exp(-t * 9))


def brush(random: np.random.Generator) -> Sound:
    """A brush over a skin: noise without its low part."""
    t = times(0.22)
    noise = np.diff(random.standard_normal(len(t) + 1))
    return np.asarray(noise * np.exp(-t * 26) * np.minimum(1, t / 0.008))


def finish(mix: Sound, *, room_s: float, wet: float) -> Sound:
    """Put it into a room, soften the top, bring its loudest sample to -3 dB."""
    random = np.random.default_rng(11)
    t = times(room_s)
    tail = random.standard_normal((len(t), 2)) * np.exp(-t * 6.9 / room_s)[:, None]
    tail /= np.sqrt((tail**2).sum(axis=0))
    size = 1 << (len(mix) + len(tail)).bit_length()
    spectrum = np.fft.rfft(mix, size, axis=0)
    room = np.fft.irfft(spectrum * np.fft.rfft(tail, size, axis=0), size, axis=0)[: len(mix)]
    frequencies = np.fft.rfftfreq(size, 1 / RATE_HZ)[:, None]
    softened = np.fft.irfft(
        np.fft.rfft(mix + wet * room, size, axis=0) / (1 + (frequencies / 7000) ** 2), size, axis=0
    )[: len(mix)]
    return np.asarray(softened * 10 ** (-3 / 20) / np.abs(softened).max())


def write(mix: Sound, target: Path) -> None:
    """Encode one bed; the same samples give the same bytes with the same ffmpeg."""
    with TemporaryDirectory() as folder:
        raw = Path(folder) / "bed.wav"
        with wave.open(str(raw), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes((mix * 32767).astype("<i2").tobytes())
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(raw), "-c:a", "aac"]
        exact = ["-fflags", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1"]
        subprocess.run([*command, "-b:a", "112k", *exact, str(target)], check=True)


if __name__ == "__main__":
    sys.exit(main())
