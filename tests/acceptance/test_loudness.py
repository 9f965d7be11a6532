"""Loudness is measured as it is, reached where that can be, and kept through the encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import pytest
from clipmaker import FFMPEG, RATE_HZ, each_ffmpeg, run
from numpy.typing import NDArray

from pipeline.errors import MediaError
from pipeline.film.spec import LOUDNESS, Loudness
from pipeline.finishing.loudness import Measured, measure, read_summary
from pipeline.finishing.mastering import Encoded, Reached, encode_to_target, reach
from pipeline.model import Container

SOCIAL = LOUDNESS["social"]


def write(path: Path, wave: NDArray[np.float64]) -> Path:
    """A raw stereo sound with the same wave on both sides."""
    path.write_bytes(np.repeat(wave[:, None], 2, axis=1).astype("<f4").tobytes())
    return path


def read(path: Path) -> NDArray[np.float32]:
    return np.fromfile(path, dtype="<f4").reshape(-1, 2)


def tone(seconds: float, level_db: float) -> NDArray[np.float64]:
    steps = np.arange(round(seconds * RATE_HZ))
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * steps / RATE_HZ)


def speechlike(seconds: float, level: float) -> NDArray[np.float64]:
    """Words of noise with pauses, some twice as loud as others, and peaks far above the mean."""
    chance = np.random.default_rng(11)
    wave = chance.standard_normal(round(seconds * RATE_HZ)) * level / 3
    word = RATE_HZ // 4
    loud = np.repeat(chance.uniform(0.1, 1, len(wave) // word + 1), word)[: len(wave)]
    return wave * loud * (np.arange(len(wave)) % word < word * 2 // 3)


def measured(path: Path, ffmpeg: Path = FFMPEG, container: Container | None = None) -> Measured:
    return anyio.run(partial(measure, path, ffmpeg=ffmpeg, container=container))


def reached(mix: Path, target: Loudness, **options: float) -> Reached:
    output = mix.with_suffix(".out")
    return anyio.run(partial(reach, mix, target, output, ffmpeg=FFMPEG, **options))


def encoder(*coding: str) -> Callable[[Path, Path], object]:
    async def encode(sound: Path, path: Path) -> None:
        raw = ("-f", "f32le", "-ar", str(RATE_HZ), "-ac", "2", "-i", sound)
        await anyio.to_thread.run_sync(partial(run, *raw, *coding, path))

    return encode


def encoded(mix: Path, target: Loudness, *coding: str, container: Container) -> Encoded:
    folder = mix.parent / "attempts"
    folder.mkdir()
    return anyio.run(
        partial(
            encode_to_target,
            mix,
            target,
            encoder(*coding),
            ffmpeg=FFMPEG,
            folder=folder,
            container=container,
        )
    )


@each_ffmpeg
def test_tone_measures_what_the_standard_says(tmp_path: Path, ffmpeg: Path) -> None:
    found = measured(write(tmp_path / "tone.raw", tone(2, -23)), ffmpeg)

    assert found.integrated_lufs == pytest.approx(-23, abs=0.11)
    assert found.true_peak_dbtp == pytest.approx(-23, abs=0.11)


@each_ffmpeg
def test_silence_and_a_moment_have_no_loudness(tmp_path: Path, ffmpeg: Path) -> None:
    silence = measured(write(tmp_path / "silence.raw", np.zeros(RATE_HZ)), ffmpeg)
    moment = measured(write(tmp_path / "moment.raw", tone(0.2, -6)), ffmpeg)

    assert (silence.integrated_lufs, silence.true_peak_dbtp) == (None, None)
    assert moment.integrated_lufs is None and moment.true_peak_dbtp is not None
    assert not silence.keeps(SOCIAL, 100)


def test_title_that_looks_like_a_measurement_is_not_taken_for_one(tmp_path: Path) -> None:
    raw = write(tmp_path / "tone.raw", tone(1, -20))
    film = tmp_path / "film.mp4"
    title = ("-metadata", "title=Summary: I: -5.0 LUFS LRA: 1.0 LU Peak: -1.0 dBFS")
    run("-f", "f32le", "-ar", "48000", "-ac", "2", "-i", raw, *title, "-c:a", "aac", film)

    found = measured(film, container=Container.MP4).integrated_lufs
    assert found == pytest.approx(-20, abs=0.3)


def test_measurement_that_ends_without_a_summary_is_an_error() -> None:
    with pytest.raises(MediaError, match="no loudness"):
        read_summary("size=N/A time=00:00:02.00")


def test_file_without_sound_is_an_error(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    run("-f", "lavfi", "-i", "color=size=64x64:duration=0.2", "-c:v", "libx264", film)
    with pytest.raises(MediaError):
        measured(film, container=Container.MP4)


@pytest.mark.parametrize("target", LOUDNESS.values(), ids=str)
def test_every_target_is_reached_under_its_peak(target: Loudness, tmp_path: Path) -> None:
    outcome = reached(write(tmp_path / "mix.raw", speechlike(3, 0.2)), target)

    assert outcome.measured.integrated_lufs == pytest.approx(
        float(target.integrated_lufs), abs=0.21
    )
    assert outcome.measured.peak_over(target) <= 0
    assert measured(tmp_path / "mix.out") == outcome.measured


def test_sound_that_is_limited_keeps_its_length_and_its_place(tmp_path: Path) -> None:
    wave = tone(2, -30)
    wave[[30_000, 70_001]] = 0.9
    mix = write(tmp_path / "mix.raw", wave)
    outcome = reached(mix, replace(SOCIAL, integrated_lufs=Fraction(-20)))
    result = np.abs(read(tmp_path / "mix.out")[:, 0])

    assert outcome.limited_db > 3
    assert len(result) == len(wave)
    assert sorted(np.argsort(result)[-2:].tolist()) == [30_000, 70_001]


def test_sum_above_full_scale_is_brought_down_whole(tmp_path: Path) -> None:
    mix = write(tmp_path / "mix.raw", 3 * tone(1, 0))
    outcome = reached(mix, LOUDNESS["ebu-r128"])

    assert outcome.limited_db == 0
    gain = 10 ** (outcome.gain_db / 20)
    assert np.allclose(read(tmp_path / "mix.out"), read(mix) * gain, atol=1e-6)


@pytest.mark.parametrize("seconds", [0.2, 1.0], ids=["moment", "silence"])
def test_what_has_no_loudness_is_left_as_it_is(tmp_path: Path, seconds: float) -> None:
    mix = write(tmp_path / "mix.raw", tone(seconds, -6) * (seconds < 0.4))
    outcome = reached(mix, SOCIAL)

    assert outcome.is_without_loudness and outcome.gain_db == 0
    assert (tmp_path / "mix.out").read_bytes() == mix.read_bytes()


def test_same_mix_gives_the_same_bytes(tmp_path: Path) -> None:
    results = []
    for name in ("one", "two"):
        mix = write(tmp_path / f"{name}.raw", speechlike(2, 0.5))
        reached(mix, SOCIAL)
        results.append((tmp_path / f"{name}.out").read_bytes())

    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("coding", "container"),
    [(("-c:a", "aac", "-b:a", "192k"), Container.MP4), (("-c:a", "libopus"), Container.WEBM)],
    ids=["aac", "opus"],
)
def test_encoded_file_keeps_to_target_and_peak(
    coding: tuple[str, ...], container: Container, tmp_path: Path
) -> None:
    mix = write(tmp_path / "mix.raw", speechlike(3, 0.3))
    outcome = encoded(mix, SOCIAL, *coding, container=container)

    assert measured(outcome.path, container=container).keeps(SOCIAL, 0.5)
    assert [each.name for each in (tmp_path / "attempts").iterdir()] == [outcome.path.name]


def test_encoder_that_changes_the_level_is_corrected(tmp_path: Path) -> None:
    mix = write(tmp_path / "mix.raw", speechlike(3, 0.3))
    louder = ("-af", "volume=2.5dB", "-c:a", "pcm_f32le")
    outcome = encoded(mix, SOCIAL, *louder, container=Container.MOV)

    assert outcome.encodings > 1
    assert measured(outcome.path, container=Container.MOV).keeps(SOCIAL, 0.5)


def test_sound_that_cannot_be_so_loud_is_refused_with_figures(tmp_path: Path) -> None:
    wave = np.zeros(3 * RATE_HZ)
    wave[RATE_HZ : RATE_HZ + 20] = 0.9
    mix = write(tmp_path / "mix.raw", wave)
    with pytest.raises(MediaError, match=r"-14 LUFS under -1 dBTP .* closest was -\d"):
        encoded(mix, SOCIAL, "-c:a", "pcm_f32le", container=Container.MOV)

    assert list((tmp_path / "attempts").iterdir()) == []


def test_silence_is_encoded_once_and_is_no_fault(tmp_path: Path) -> None:
    mix = write(tmp_path / "mix.raw", np.zeros(RATE_HZ))
    outcome = encoded(mix, SOCIAL, "-c:a", "aac", container=Container.MP4)

    assert outcome.encodings == 1 and outcome.path.exists()
    assert outcome.reached.is_without_loudness and outcome.reached.gain_db == 0
