"""The sound track of a film: every sound in its place, to the sample, and at its level."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import pytest
from clipmaker import BEEP_LEVEL, FFMPEG, RATE_HZ, each_ffmpeg, make_clip
from numpy.typing import NDArray

from pipeline.errors import MediaError
from pipeline.film.spec import LOUDNESS, FilmFile, Level, Music, Transition, VoiceOver
from pipeline.film.timeline import HARD_CUT, Part, PartKind, Timeline, lay_out
from pipeline.finishing.sound import ClipSound, Track, make_track
from pipeline.finishing.sources import Fades
from pipeline.media.cut import plan_cut
from pipeline.media.files import file_sha256
from pipeline.media.pieces import Progress, Source, Workshop, make_sound
from pipeline.media.probe import probe, require_video
from pipeline.model import Container
from pipeline.timecode import samples_of_frames

NTSC = Fraction(30000, 1001)
RATE = Fraction(24)
DISSOLVE = Transition(kind="dissolve", duration_s=Fraction(1, 4))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Black, 1.5 s; beeps with frames 6 and 30."""
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", size=(32, 32))


def sound_of_clip(
    path: Path, *, in_s: Fraction = Fraction(0), gain_db: int = 0, muted: bool = False
) -> ClipSound:
    info = probe(path)
    return ClipSound(
        path=path,
        container=Container.MP4,
        audio=info.audio,
        picture_start_s=require_video(info, path).start_s,
        in_s=in_s,
        level=Level(gain_db=Fraction(gain_db), is_muted=muted),
    )


def cut(
    count: int,
    seconds: Fraction = Fraction(3, 2),
    transition: Transition = HARD_CUT,
    rate: Fraction = RATE,
    first: PartKind = PartKind.SHOT,
) -> Timeline:
    kinds = [first, *[PartKind.SHOT] * (count - 1)]
    return lay_out(
        [
            Part(kind=kind, name=f"s{n}", duration_s=seconds, transition=transition)
            for n, kind in enumerate(kinds)
        ],
        rate,
    )


def workshop_in(folder: Path, ffmpeg: Path = FFMPEG) -> Workshop:
    work, cache = folder / "work", folder / "cache"
    work.mkdir(parents=True)
    cache.mkdir(exist_ok=True)
    progress = Progress(report=lambda _share: None)
    return Workshop(folder=work, cache_dir=cache, ffmpeg=ffmpeg, workers=2, progress=progress)


def make(
    timeline: Timeline,
    sounds: Sequence[ClipSound | None],
    folder: Path,
    ffmpeg: Path = FFMPEG,
    **options: object,
) -> tuple[NDArray[np.float32], Track]:
    workshop = workshop_in(folder, ffmpeg)
    track = anyio.run(partial(make_track, timeline, sounds, workshop=workshop, **options))
    samples = np.fromfile(track.path, dtype="<f4").reshape(-1, 2)
    assert len(samples) == track.samples
    assert not list(workshop.folder.glob("s0*.raw"))
    return samples, track


def recording(path: Path, samples: NDArray[np.float64], channels: int = 2) -> FilmFile:
    """A WAV file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        frames = np.repeat(samples[:, None], channels, axis=1) * 32767
        file.writeframes(frames.astype("<i2").tobytes())
    return FilmFile(source=path.name, path=path, sha256=file_sha256(path))


def tone(seconds: float, level: float, frequency_hz: float = 500) -> NDArray[np.float64]:
    steps = np.arange(round(seconds * RATE_HZ))
    return level * np.sin(2 * np.pi * frequency_hz * steps / RATE_HZ)


def level_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.square(samples.astype(np.float64)).mean() + 1e-12))


def onsets(samples: NDArray[np.float32], level: float = BEEP_LEVEL / 2) -> list[int]:
    loud = np.flatnonzero(np.abs(samples[:, 0]) > level)
    return [int(at) for at in loud[np.diff(loud, prepend=-RATE_HZ) > RATE_HZ // 10]]


@each_ffmpeg
def test_beeps_lie_with_their_frames_after_many_cuts_and_dissolves(
    clip: Path, tmp_path: Path, ffmpeg: Path
) -> None:
    timeline = cut(7, transition=DISSOLVE, rate=NTSC)
    samples, track = make(timeline, [sound_of_clip(clip)] * 7, tmp_path, ffmpeg)

    assert track.samples == samples_of_frames(0, timeline.total_frames, NTSC)
    last = samples_of_frames(0, timeline.spans[-1].first_frame, NTSC)
    expected = [last + frame * RATE_HZ // 24 for frame in (6, 30)]
    # A beep begins at its loudest, so that its onset is known to the sample, but for the coder's.
    assert np.abs(np.subtract(onsets(samples)[-2:], expected)).max() <= 16


def test_hard_cuts_sound_as_in_a_film_without_a_section(clip: Path, tmp_path: Path) -> None:
    samples, _ = make(cut(3), [sound_of_clip(clip)] * 3, tmp_path / "new")

    workshop = workshop_in(tmp_path / "old")
    (workshop.folder / "c.mp4").symlink_to(clip)
    info = probe(clip)
    video = require_video(info, clip)
    sources = [Source(path=clip, info=info, video=video, link="c.mp4")] * 3
    old = anyio.run(make_sound, workshop, sources, plan_cut([video] * 3, [None] * 3))
    assert np.allclose(samples, np.fromfile(old, dtype="<f4").reshape(-1, 2), atol=1e-6)


def test_sound_begins_at_the_in_point(clip: Path, tmp_path: Path) -> None:
    sounds = [sound_of_clip(clip, in_s=Fraction(3, 4))]
    samples, _ = make(cut(1, seconds=Fraction(3, 4)), sounds, tmp_path)

    # The beep of frame 30, which is 1.25 s into the clip.
    (beep,) = onsets(samples)
    assert abs(beep - RATE_HZ // 2) <= 16


def test_muted_missing_and_silent_parts_are_silence(clip: Path, tmp_path: Path) -> None:
    silent = make_clip(tmp_path / "silent.mp4", channels=0, size=(32, 32))
    sounds = [sound_of_clip(clip, muted=True), sound_of_clip(silent), None, sound_of_clip(clip)]
    samples, _ = make(cut(4), sounds, tmp_path)

    part = len(samples) // 4
    assert not samples[: 3 * part].any()
    assert len(onsets(samples[3 * part :])) == 2


def test_gain_of_a_shot_is_its_own(clip: Path, tmp_path: Path) -> None:
    sounds = [sound_of_clip(clip, gain_db=-12), sound_of_clip(clip)]
    samples, _ = make(cut(2), sounds, tmp_path)

    part = len(samples) // 2
    assert level_db(samples[:part]) - level_db(samples[part:]) == pytest.approx(-12, abs=0.1)


def test_sounds_of_two_shots_cross_where_their_pictures_do(clip: Path, tmp_path: Path) -> None:
    # The beep of frame 30 lies in the middle of a dissolve of frames 24 to 36.
    half = Transition(kind="dissolve", duration_s=Fraction(1, 2))
    timeline = cut(2, transition=half)
    samples, _ = make(timeline, [sound_of_clip(clip), None], tmp_path)

    beep = samples[30 * 2000 : 31 * 2000]
    plain = samples[6 * 2000 : 7 * 2000]
    middle = np.cos(np.pi / 2 * 6.5 / 12)
    assert np.abs(beep).max() / np.abs(plain).max() == pytest.approx(middle, abs=0.06)
    assert not samples[36 * 2000 :].any()


def test_film_fades_in_and_out(tmp_path: Path) -> None:
    music = Music(file=recording(tmp_path / "music.wav", tone(3, 0.3)), fade_out_s=Fraction(0))
    fades = Fades(in_frames=12, out_frames=24)
    samples, _ = make(cut(2), [None, None], tmp_path, music=music, fades=fades)

    assert level_db(samples[:2400]) < level_db(samples[48_000:72_000]) - 20
    assert level_db(samples[-2400:]) < level_db(samples[48_000:72_000]) - 20
    assert np.abs(samples[-1]).max() < 1e-4


def test_music_starts_over_until_the_film_ends(tmp_path: Path) -> None:
    bed = tone(1, 0.3)
    bed[:24_000] = 0
    file = recording(tmp_path / "music.wav", bed)
    music = Music(file=file, start_s=Fraction(1, 4), fade_out_s=Fraction(0), duck_db=Fraction(0))
    samples, track = make(cut(2), [None, None], tmp_path, music=music)

    # 0.75 s of it, the first 0.25 s silent, over and over.
    assert [round(at / RATE_HZ, 2) for at in onsets(samples, 0.15)] == [0.25, 1.0, 1.75, 2.5]
    assert track.notes == ()


def test_music_that_does_not_start_over_ends_by_itself(tmp_path: Path) -> None:
    file = recording(tmp_path / "music.wav", tone(1, 0.3))
    music = Music(file=file, loops=False)
    samples, track = make(cut(2), [None, None], tmp_path, music=music)

    assert level_db(samples[40_000:47_000]) == pytest.approx(level_db(samples[:40_000]), abs=0.5)
    assert not samples[RATE_HZ:].any()
    assert track.notes == ("music.wav ends 2.0 s before the film",)


def test_music_fades_out_with_the_last_sample(tmp_path: Path) -> None:
    music = Music(file=recording(tmp_path / "music.wav", tone(9, 0.3)), fade_out_s=Fraction(2))
    samples, _ = make(cut(2), [None, None], tmp_path, music=music)

    assert np.abs(samples[-240:]).max() < 1e-4
    assert np.abs(samples[-24_000:-20_000]).max() > 0.03
    assert level_db(samples[10_000:40_000]) == pytest.approx(level_db(tone(1, 0.3)), abs=0.2)


@pytest.mark.parametrize("voice_level", [0.5, 0.05])
def test_music_steps_back_under_a_voice_by_what_was_asked(
    tmp_path: Path, voice_level: float
) -> None:
    music = Music(
        file=recording(tmp_path / "music.wav", tone(6, 0.2, 500)),
        duck_db=Fraction(10),
        fade_out_s=Fraction(0),
    )
    voice = recording(tmp_path / "voice.wav", tone(1, voice_level, 4000), channels=1)
    timeline = cut(4)
    voices = [VoiceOver(file=voice, at_s=Fraction(2))]
    samples, _ = make(timeline, [None] * 4, tmp_path, music=music, voice_overs=voices)

    def music_db(second: float) -> float:
        piece = samples[round(second * RATE_HZ) :][: RATE_HZ // 5, 0].astype(np.float64)
        return float(20 * np.log10(np.abs(piece @ tone(0.2, 1) / (piece.size / 2))))

    assert music_db(1) == pytest.approx(-14, abs=0.1)
    assert music_db(2.4) == pytest.approx(-24, abs=0.1)
    assert music_db(4) == pytest.approx(-14, abs=0.1)
    # One channel becomes two of the same level.
    spoken = samples[round(2.4 * RATE_HZ) :][: RATE_HZ // 5, 0].astype(np.float64)
    found = 2 * np.abs(spoken @ tone(0.2, 1, 4000)) / spoken.size
    assert found == pytest.approx(voice_level, rel=0.01)


def test_clips_sound_is_what_music_steps_back_for_where_nobody_speaks(
    clip: Path, tmp_path: Path
) -> None:
    music = Music(
        file=recording(tmp_path / "music.wav", tone(3, 0.02)),
        duck_db=Fraction(10),
        fade_out_s=Fraction(0),
    )
    samples, _ = make(cut(2), [sound_of_clip(clip), None], tmp_path, music=music)

    beep_s = 30 / 24
    behind = samples[round((beep_s + 0.1) * RATE_HZ) :][:4800]
    assert level_db(samples[-20_000:]) - level_db(behind) == pytest.approx(10, abs=0.2)


def test_voice_begins_at_its_time_after_the_slate_and_ends_with_the_film(tmp_path: Path) -> None:
    spoken = recording(tmp_path / "voice.wav", np.full(RATE_HZ, 0.25))
    voices = [
        VoiceOver(file=spoken, at_s=Fraction(1), level=Level(gain_db=Fraction(-6))),
        VoiceOver(file=spoken, at_s=Fraction(9)),
    ]
    timeline = cut(2, first=PartKind.SLATE)
    samples, track = make(timeline, [None, None], tmp_path, voice_overs=voices)

    begin = round(2.5 * RATE_HZ)
    heard = np.flatnonzero(samples[:, 0])
    assert (heard[0], heard[-1]) == (begin + 1, len(samples) - 1)
    assert samples[begin + 4800, 0] == pytest.approx(0.25 * 10 ** (-6 / 20), rel=1e-3)
    assert track.notes == (
        "voice.wav is cut off where the film ends: 0.5 s of it are heard",
        "voice.wav is not heard: the film ends before it begins",
    )


def test_sum_above_full_scale_is_limited_and_told(tmp_path: Path) -> None:
    loud = recording(tmp_path / "loud.wav", tone(3, 0.9))
    voices = [VoiceOver(file=loud, at_s=Fraction(0))]
    music = Music(file=loud, duck_db=Fraction(0), fade_out_s=Fraction(0))
    samples, track = make(cut(2), [None, None], tmp_path, music=music, voice_overs=voices)

    assert np.abs(samples).max() == pytest.approx(10 ** (-1 / 20), abs=0.01)
    assert track.notes[0].startswith("the sum of all sound was above full scale")
    assert track.gain_db == 0


def test_without_a_target_no_level_is_changed(tmp_path: Path) -> None:
    quiet = recording(tmp_path / "quiet.wav", tone(3, 0.01))
    voices = [VoiceOver(file=quiet, at_s=Fraction(0))]
    samples, track = make(cut(2), [None, None], tmp_path, voice_overs=voices)

    assert (track.reached, track.path) == (None, track.mix)
    assert np.abs(samples).max() == pytest.approx(0.01, rel=0.01)


def test_uneven_clips_come_closer_and_the_film_reaches_its_target(tmp_path: Path) -> None:
    def noisy(name: str, level_db: int) -> ClipSound:
        path = make_clip(
            tmp_path / name,
            size=(32, 32),
            flashes=range(0, 36, 2),
            options=["-af", f"volume={level_db}dB"],
        )
        return sound_of_clip(path)

    sounds = [noisy("loud.mp4", 0), noisy("middle.mp4", -4), noisy("soft.mp4", -20)]
    _, track = make(cut(3), sounds, tmp_path, loudness=LOUDNESS["social"])

    assert track.clip_gains_db == pytest.approx((-4, 0, 6), abs=0.2)
    assert track.reached is not None
    assert track.reached.measured.keeps(LOUDNESS["social"], 0.2)


def test_silent_film_is_left_silent_and_told(tmp_path: Path) -> None:
    samples, track = make(cut(2), [None, None], tmp_path, loudness=LOUDNESS["social"])

    assert not samples.any()
    assert track.notes == (
        "the film is silent, or too short for a loudness: its level is left as it is",
    )


def test_recordings_are_decoded_once_and_damage_in_the_cache_is_noticed(tmp_path: Path) -> None:
    music = Music(file=recording(tmp_path / "music.wav", tone(3, 0.3)))
    first, _ = make(cut(2), [None, None], tmp_path / "one", music=music)
    (kept,) = (tmp_path / "one" / "cache").glob("*.raw")
    made_ns = kept.stat().st_mtime_ns
    (tmp_path / "one" / "work").rename(tmp_path / "one" / "before")
    second, _ = make(cut(2), [None, None], tmp_path / "one", music=music)
    assert kept.stat().st_mtime_ns == made_ns

    kept.write_bytes(bytes(kept.stat().st_size))
    (tmp_path / "one" / "work").rename(tmp_path / "one" / "between")
    third, _ = make(cut(2), [None, None], tmp_path / "one", music=music)
    assert first.tobytes() == second.tobytes() == third.tobytes()


def test_recording_that_changed_or_is_too_short_is_named(tmp_path: Path) -> None:
    file = recording(tmp_path / "music.wav", tone(1, 0.3))
    late = Music(file=file, start_s=Fraction(5))
    with pytest.raises(MediaError, match=r"music\.wav: it has no sound 5 s in"):
        make(cut(1), [None], tmp_path / "late", music=late)

    recording(tmp_path / "music.wav", tone(1, 0.1))
    with pytest.raises(MediaError, match=r"music\.wav has changed"):
        make(cut(1), [None], tmp_path / "changed", music=Music(file=file))


def test_clip_whose_sound_is_damaged_is_named(clip: Path, tmp_path: Path) -> None:
    sound = bytearray(clip.read_bytes())
    media = sound.index(b"mdat") + 4
    sound[media:] = bytes(byte ^ 0x55 for byte in sound[media:])
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(sound)
    with pytest.raises(MediaError, match=r"cannot decode the sound of damaged\.mp4"):
        make(cut(1), [sound_of_clip(damaged)], tmp_path)
