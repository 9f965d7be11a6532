"""A clip or film measured by real ffmpeg: what is wrong is found, what is meant is left alone."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
import pytest
from clipmaker import FFMPEG, each_ffmpeg, make_clip, run

from pipeline.errors import ClipRejected, MediaError
from pipeline.film.spec import Checks
from pipeline.finishing.checks import FaultCode, judge_clip
from pipeline.finishing.inspection import inspect
from pipeline.finishing.measurements import Measurements, Stretch
from pipeline.model import Container

SIZE = "160x90"
FAST = ("-pix_fmt", "yuv420p", "-preset", "veryfast", "-threads", "1")


def measure(
    path: Path, container: Container = Container.MP4, ffmpeg: Path = FFMPEG
) -> Measurements:
    return anyio.run(partial(inspect, path, container, ffmpeg=ffmpeg))


def draw(path: Path, picture: str, *options: str, seconds: float = 4, sound: str = "") -> Path:
    """Encode a picture of the filters' making, and a sound where one is named."""
    inputs = ("-f", "lavfi", "-i", picture.format(size=SIZE), "-t", str(seconds))
    if sound:
        inputs = (*inputs[:4], "-f", "lavfi", "-i", sound, "-t", str(seconds))
    run(*inputs, *FAST, *options, path)
    return path


def span(start_s: float, end_s: float) -> Stretch:
    return Stretch(start_s=Fraction(start_s), end_s=Fraction(end_s))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of motion, one of black, one still, one of motion; in sound one second's pause."""
    picture = (
        "testsrc2=s={size}:r=24:d=1[a];color=black:s={size}:r=24:d=1[b];"
        "smptehdbars=s={size}:r=24:d=1[c];testsrc2=s={size}:r=24:d=1[d];"
        "[a][b][c][d]concat=n=4"
    )
    sound = "sine=f=997:r=48000,volume='if(between(t,2,3),0,2)':eval=frame,aformat=cl=stereo"
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    return draw(path, picture, "-ac", "2", "-movflags", "+faststart", sound=sound)


@each_ffmpeg
def test_one_decode_finds_all_that_is_to_be_known(film: Path, ffmpeg: Path) -> None:
    found = measure(film, ffmpeg=ffmpeg)

    assert (found.frames, found.frame_rate, found.duration_s) == (96, 24, 4)
    assert (found.width_px, found.height_px, found.ratio) == (160, 90, Fraction(16, 9))
    assert found.is_rate_constant
    assert (found.video_codec, found.pixel_format) == ("h264", "yuv420p")
    assert found.has_index_first is True
    assert found.black == (span(1, 2),)
    assert found.frozen == (span(1, 2), span(2, 3))
    assert found.sound is not None
    assert (found.sound.codec, found.sound.channels) == ("aac", 2)
    assert found.sound.starts_late_s == 0
    assert abs(found.sound.ends_late_s) < Fraction(1, 24)
    (pause,) = found.sound.silent
    assert (float(pause.start_s), float(pause.end_s)) == pytest.approx((2, 3), abs=0.05)


@each_ffmpeg
def test_loudness_and_true_peak_are_what_the_standard_says(tmp_path: Path, ffmpeg: Path) -> None:
    """A tone of 997 Hz at -20 dBFS in both channels is -20 LUFS. Source: EBU Tech 3341, case 1."""
    tone = "0.1*sin(2*PI*997*t)"
    sound = f"aevalsrc={tone}|{tone}:s=48000:c=stereo"
    path = draw(tmp_path / "tone.mov", "testsrc2=s={size}:r=24", "-c:a", "pcm_s16le", sound=sound)

    found = measure(path, Container.MOV, ffmpeg=ffmpeg).sound

    assert found is not None and found.integrated_lufs is not None
    assert found.true_peak_dbtp == pytest.approx(-20, abs=0.2)
    assert found.integrated_lufs == pytest.approx(-20, abs=0.2)


def test_a_peak_in_the_last_moment_is_heard(tmp_path: Path) -> None:
    """The meter speaks ten times a second; what comes after its last word counts as well."""
    sound = "sine=f=997:r=48000,volume='if(gt(t,2.02),4,0.1)':eval=frame"
    path = draw(
        tmp_path / "late.mov", "testsrc2=s={size}:r=25", "-c:a", "pcm_s16le", sound=sound,
        seconds=2.08,
    )  # fmt: skip

    found = measure(path, Container.MOV).sound

    assert found is not None and found.true_peak_dbtp is not None
    assert found.true_peak_dbtp > -10


@pytest.mark.parametrize(
    ("name", "options", "container", "codec"),
    [
        ("a.mov", ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"), Container.MOV, "prores"),
        ("a.webm", ("-c:v", "libvpx-vp9", "-cpu-used", "8"), Container.WEBM, "vp9"),
        ("a.mp4", ("-c:v", "libx265", "-x265-params", "log-level=error"), Container.MP4, "hevc"),
        ("b.mp4", (), Container.MP4, "h264"),
    ],
)
def test_every_kind_of_deliverable_is_measured(
    tmp_path: Path, name: str, options: tuple[str, ...], container: Container, codec: str
) -> None:
    picture = "testsrc2=s={size}:r=25:d=1[a];color=black:s={size}:r=25:d=1[b];[a][b]concat=n=2"
    path = draw(tmp_path / name, picture, *options, seconds=2, sound="sine=r=48000")

    found = measure(path, container)

    assert (found.video_codec, found.frames) == (codec, 50)
    assert found.black == (span(1, 2),)
    assert found.sound is not None
    assert abs(found.sound.ends_late_s) < Fraction(1, 25)
    assert found.has_index_first is (None if container is Container.WEBM else False)


def test_sound_that_is_late_or_short_is_told(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "late.mp4", frames=48, flashes=(1,), sound_from_s=0.25)
    short = draw(tmp_path / "short.mp4", "testsrc2=s={size}:r=24,trim=duration=2", sound="sine=d=1")

    late, early = measure(path).sound, measure(short).sound

    assert late is not None and float(late.starts_late_s) == pytest.approx(0.25, abs=0.03)
    assert early is not None and float(early.ends_late_s) == pytest.approx(-1, abs=0.03)


def test_a_clip_without_sound_has_none(tmp_path: Path) -> None:
    assert measure(draw(tmp_path / "a.mp4", "testsrc2=s={size}:r=24", seconds=1)).sound is None


def test_total_silence_has_no_loudness_and_no_peak(tmp_path: Path) -> None:
    found = measure(
        draw(tmp_path / "a.mp4", "testsrc2=s={size}:r=24", seconds=1, sound="anullsrc=r=48000")
    )

    assert found.sound is not None
    assert (found.sound.integrated_lufs, found.sound.true_peak_dbtp) == (None, None)
    assert [each.start_s for each in found.sound.silent] == [0]


GRAIN = "noise=alls=6:allf=t:all_seed=3"
PHOTO = "smptehdbars=s={size}:r=24,gblur=8"
GOOD = {
    "test picture": "testsrc2=s={size}:r=24",
    "slow colours": "gradients=s={size}:r=24:seed=4:speed=0.004",
    "a still product under film grain": f"{PHOTO},{GRAIN}",
    "a night with two lights": (
        f"color=c=#05060c:s={{size}}:r=24,{GRAIN},drawbox=x=30:y=20:w=4:h=3:c=#c0b080:t=fill"
    ),
    "a dim room": f"gradients=s={{size}}:r=24:seed=2:c0=#181410:c1=#302820:speed=0.01,{GRAIN}",
    "slow motion": (
        "color=c=#8899aa:s={size}:r=24,drawbox=x=40:y=30:w=40:h=30:c=#dd4433:t=fill,"
        "scroll=h=0.0007,gblur=2"
    ),
    "a still in which only an eye moves": (
        "smptehdbars=s=320x180:r=24[b];color=c=#909090:s=4x6:r=24[d];"
        "[b][d]overlay=x='14+4*sin(5*t)':y=40"
    ),
    "a slow zoom into a still": (
        "testsrc=s=320x180:r=1:d=1,gblur=3,zoompan=z='1+0.0006*on':d=200:s={size}:fps=24"
    ),
}


@pytest.mark.parametrize("picture", list(GOOD.values()), ids=list(GOOD))
def test_what_moves_a_little_or_is_dark_is_no_fault(tmp_path: Path, picture: str) -> None:
    path = draw(tmp_path / "good.mp4", picture, "-crf", "20")

    assert judge_clip(measure(path), Checks()) == ()


@pytest.mark.parametrize("crf", [18, 28])
@pytest.mark.parametrize(
    ("picture", "code"),
    [
        ("color=black:s={size}:r=24", FaultCode.BLACK),
        ("testsrc2=s={size}:r=24,trim=end_frame=1,loop=-1:1", FaultCode.FROZEN),
        (
            "testsrc2=s={size}:r=24,noise=alls=30,trim=end_frame=12,tpad=stop_mode=clone:stop=-1",
            FaultCode.FROZEN,
        ),
    ],
    ids=["black", "frozen", "frozen after half a second"],
)
def test_a_black_or_frozen_clip_is_refused(
    tmp_path: Path, picture: str, code: FaultCode, crf: int
) -> None:
    path = draw(tmp_path / "bad.mp4", picture, "-crf", str(crf))

    assert [fault.code for fault in judge_clip(measure(path), Checks())] == [code]


def test_a_damaged_clip_is_not_measured(film: Path, tmp_path: Path) -> None:
    data = bytearray(film.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 400):
        data[place] ^= 0x55
    flipped, cut = tmp_path / "flipped.mp4", tmp_path / "cut.mp4"
    flipped.write_bytes(data)
    cut.write_bytes(film.read_bytes()[: len(data) // 2])

    for path in (flipped, cut):
        with pytest.raises(ClipRejected, match=path.name):
            measure(path)


def test_a_report_that_the_disk_did_not_take_is_no_fault_of_the_clip(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy = tmp_path / "ffmpeg"
    lazy.write_text("#!/bin/sh\necho frame=96\n: > picture.txt; : > sound.txt; : > blocks.raw\n")
    lazy.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with pytest.raises(MediaError, match="write down") as caught:
        measure(film, ffmpeg=lazy)
    assert not isinstance(caught.value, ClipRejected)
    assert str(tmp_path) in caught.value.hint
    assert [each.name for each in tmp_path.iterdir()] == ["ffmpeg"]
