"""Whole clips: what a render gives, and that a failed one gives nothing."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.errors import FfmpegMissing, FileMissing, MediaError, StorageError
from pipeline.sandbox.animatic import AnimaticSpec, frame_size, render, share_out
from pipeline.sandbox.renders import animatic_renderer


@pytest.fixture(scope="module")
def ffmpeg() -> Path:
    found = shutil.which("ffmpeg")
    if found is None:
        import imageio_ffmpeg  # noqa: PLC0415  (only where no ffmpeg is installed)

        found = imageio_ffmpeg.get_ffmpeg_exe()
    return Path(found)


def picture(path: Path, size: tuple[int, int], colour: str = "teal", mode: str = "RGB") -> Path:
    image = Image.new(mode, size, (0, 0, 0, 0) if mode == "RGBA" else "navy")
    width, height = size
    ImageDraw.Draw(image).ellipse(
        (width // 4, height // 4, 3 * width // 4, 3 * height // 4), fill=colour
    )
    image.save(path)
    return path


def spec_for(*images: Path, **changes: Any) -> AnimaticSpec:
    base = AnimaticSpec(
        images=images,
        prompt="@image1 turns in the light.",
        duration_s=1,
        resolution="480p",
        title="Opening",
        price_usd=Decimal("0.30"),
    )
    return replace(base, **changes)


def fake_ffmpeg(folder: Path, body: str) -> Path:
    script = folder / "bin" / "ffmpeg"
    script.parent.mkdir()
    script.write_text(f"#!/bin/bash\n{body}\n")
    script.chmod(0o755)
    return script


def first_frame(path: Path) -> np.ndarray[Any, Any]:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("shape", "resolution", "expected"),
    [
        ((1920, 1080), "720p", (1280, 720)),
        ((1080, 1920), "720p", (720, 1280)),
        ((900, 900), "720p", (720, 720)),
        ((800, 600), "720p", (960, 720)),
        ((600, 800), "720p", (720, 960)),
        ((1920, 1080), "480p", (848, 480)),
        ((1080, 1920), "480p", (480, 848)),
        ((50, 51), "480p", (480, 480)),
        ((800, 600), "480p", (640, 480)),
        ((600, 800), "480p", (480, 640)),
        ((4000, 20), "480p", (848, 480)),
    ],
)
def test_frame_takes_the_shape_nearest_to_the_first_reference(
    tmp_path: Path, shape: tuple[int, int], resolution: str, expected: tuple[int, int]
) -> None:
    first = picture(tmp_path / "first.png", shape)
    other = picture(tmp_path / "other.png", (300, 300))
    assert frame_size(spec_for(first, other, resolution=resolution)) == expected


def test_frame_shape_obeys_the_camera_rotation_mark(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (640, 360)).save(tmp_path / "phone.jpg", exif=exif)
    assert frame_size(spec_for(tmp_path / "phone.jpg")) == (480, 848)


@pytest.mark.parametrize(
    ("shapes", "duration_s", "size"),
    [
        (((640, 360),), 1, (848, 480)),
        (((360, 640), (400, 400)), 1, (480, 848)),
        (
            ((300, 300), (640, 360), (200, 600), (300, 300), (9, 5), (400, 90), (1, 1)),
            2,
            (480, 480),
        ),
    ],
)
def test_clip_has_exact_length_size_and_tags(
    tmp_path: Path,
    ffmpeg: Path,
    shapes: tuple[tuple[int, int], ...],
    duration_s: int,
    size: tuple[int, int],
) -> None:
    images = [picture(tmp_path / f"{n}.png", shape) for n, shape in enumerate(shapes)]
    clip = tmp_path / "clip.mp4"
    render(spec_for(*images, duration_s=duration_s), clip, ffmpeg=ffmpeg)
    with av.open(str(clip)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert container.metadata["comment"] == "animatic"
        assert (video.codec_context.name, video.codec_context.profile) == ("h264", "High")
        assert (video.width, video.height, video.pix_fmt) == (*size, "yuv420p")
        assert video.time_base == Fraction(1, 12288)
        assert video.average_rate == video.base_rate == 24
        assert video.duration is not None
        assert audio.duration is not None
        assert audio.time_base is not None
        assert video.duration * video.time_base == duration_s
        assert audio.duration * audio.time_base == duration_s
        assert (audio.codec_context.name, audio.rate, audio.layout.name) == ("aac", 48000, "stereo")
        frames = list(container.decode(video=0))
    assert len(frames) == 24 * duration_s
    assert [frame.pts for frame in frames] == [512 * n for n in range(24 * duration_s)]
    marks = {(f.color_range, f.colorspace, f.color_primaries, f.color_trc) for f in frames}
    assert marks == {(1, 1, 1, 1)}  # limited range, BT.709 three times
    assert clip.read_bytes().index(b"moov") < clip.read_bytes().index(b"mdat")


def test_same_input_gives_the_same_bytes_and_another_prompt_does_not(
    tmp_path: Path, ffmpeg: Path
) -> None:
    spec = spec_for(picture(tmp_path / "a.png", (640, 360)), picture(tmp_path / "b.png", (90, 90)))
    moved = replace(spec, images=(tmp_path / "moved.png", spec.images[1]))
    shutil.copy(spec.images[0], moved.images[0])
    variants = (spec, moved, replace(spec, prompt="@image1 waits."))
    clips = []
    for number, variant in enumerate(variants):
        clip = tmp_path / f"{number}.mp4"
        render(variant, clip, ffmpeg=ffmpeg)
        clips.append(sha256(clip))
    assert b"Lavf" not in clip.read_bytes()
    assert clips[0] == clips[1]
    assert clips[0] != clips[2]


def test_clip_without_a_slate_shows_its_picture_and_nothing_else(
    tmp_path: Path, ffmpeg: Path
) -> None:
    Image.new("RGB", (848, 480), (120, 120, 120)).save(tmp_path / "grey.png")
    for has_slate in (True, False):
        spec = spec_for(tmp_path / "grey.png", has_slate=has_slate)
        render(spec, tmp_path / "clip.mp4", ffmpeg=ffmpeg)
        frame = first_frame(tmp_path / "clip.mp4").astype(int)
        assert (abs(frame - 120).max() < 6) is not has_slate


def test_version_of_a_renderer_tells_whether_it_draws_slates(ffmpeg: Path) -> None:
    versions = {animatic_renderer(ffmpeg, has_slate=each)[1] for each in (True, False)}
    assert len(versions) == 2


@pytest.mark.parametrize(
    "text",
    [
        'it\'s 100% \\ : , ; [in] {out} %{pts} $(touch x) `y` "z" -vf null',
        "\0\x1b[31m\r\n\u202e\ufeff\udc80 @image1 日本語 العربية 👩‍🚀 e\u0301\u0301" + "w" * 3900,
    ],
)
def test_any_prompt_and_title_can_be_drawn(tmp_path: Path, ffmpeg: Path, text: str) -> None:
    spec = spec_for(picture(tmp_path / "a.png", (90, 90)), prompt=text, title=text)
    render(spec, tmp_path / "clip.mp4", ffmpeg=ffmpeg)
    assert first_frame(tmp_path / "clip.mp4").shape == (480, 480, 3)


def test_hostile_file_names_never_reach_ffmpeg(tmp_path: Path) -> None:
    image = picture(tmp_path / "-y concat:%d;'\n.png", (90, 90))
    recorder = fake_ffmpeg(tmp_path, 'printf "%s\\n" "$@" > "$0.arguments"; exit 1')
    with pytest.raises(MediaError):
        render(spec_for(image), tmp_path / "-clip%d.mp4", ffmpeg=recorder)
    arguments = recorder.with_name("ffmpeg.arguments").read_text()
    assert "libx264" in arguments
    assert "concat" not in arguments
    assert "%d" not in arguments
    assert str(tmp_path) not in arguments


def test_cut_out_stands_before_a_light_neutral_ground(tmp_path: Path, ffmpeg: Path) -> None:
    image = picture(tmp_path / "cut.png", (400, 300), "red", "RGBA")
    render(spec_for(image), tmp_path / "clip.mp4", ffmpeg=ffmpeg)
    frame = first_frame(tmp_path / "clip.mp4").astype(int)
    ground, subject = frame[240, 20], frame[200, 320]
    assert min(ground) > 130
    assert max(ground) - min(ground) < 14
    assert subject[0] > subject[1] + 120


def test_damaged_reference_is_named_and_leaves_nothing(tmp_path: Path, ffmpeg: Path) -> None:
    good, bad = picture(tmp_path / "good.png", (90, 90)), tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:-40])
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(MediaError, match=r"@image2 \(bad\.png\)"):
        render(spec_for(good, bad), out / "clip.mp4", ffmpeg=ffmpeg)
    assert list(out.iterdir()) == []


def test_missing_reference_is_reported_as_missing(tmp_path: Path, ffmpeg: Path) -> None:
    with pytest.raises(FileMissing, match=r"gone\.png"):
        render(spec_for(tmp_path / "gone.png"), tmp_path / "clip.mp4", ffmpeg=ffmpeg)


def test_ffmpeg_is_started_without_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVESPEED_API_KEY", "secret-key")
    monkeypatch.setenv("FFREPORT", "file=secret.log")
    recorder = fake_ffmpeg(tmp_path, 'env > "$0.environment"; exit 1')
    with pytest.raises(MediaError):
        render(spec_for(picture(tmp_path / "a.png", (90, 90))), tmp_path / "c.mp4", ffmpeg=recorder)
    environment = recorder.with_name("ffmpeg.environment").read_text()
    assert "LC_ALL=C" in environment
    assert "secret" not in environment


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo 'Unknown encoder libx264' >&2; exit 8", "exit code 8.*Unknown encoder"),
        ("cat > /dev/null", "cannot be read back"),
        ("sleep 60", "within 0.3 s"),
        ("sleep 60 & sleep 60", "within 0.3 s"),
        ("head -c 2000000 /dev/zero >&2; cat > /dev/null; exit 3", "exit code 3"),
    ],
)
def test_failing_ffmpeg_is_an_error_and_leaves_the_old_clip(
    tmp_path: Path, body: str, words: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "clip.mp4").write_bytes(b"old")
    spec = spec_for(picture(tmp_path / "a.png", (90, 90)))
    limit_s = 0.3 if body.startswith("sleep") else None
    started_s = time.monotonic()
    with pytest.raises(MediaError, match=words):
        render(spec, out / "clip.mp4", ffmpeg=fake_ffmpeg(tmp_path, body), time_limit_s=limit_s)
    assert [path.name for path in out.iterdir()] == ["clip.mp4"]
    assert (out / "clip.mp4").read_bytes() == b"old"
    # A child that ffmpeg left behind must not keep us waiting for its end.
    assert time.monotonic() - started_s < 20


def test_exit_code_and_message_of_ffmpeg_are_kept(tmp_path: Path) -> None:
    broken = fake_ffmpeg(tmp_path, "echo 'no space' >&2; exit 8")
    with pytest.raises(MediaError) as caught:
        render(spec_for(picture(tmp_path / "a.png", (90, 90))), tmp_path / "c.mp4", ffmpeg=broken)
    assert (caught.value.returncode, caught.value.stderr_tail) == (8, "no space")


def test_clip_with_too_few_frames_is_refused(tmp_path: Path, ffmpeg: Path) -> None:
    short = fake_ffmpeg(tmp_path, f'exec {ffmpeg} "${{@:1:$#-1}}" -frames:v 5 "${{@: -1}}"')
    with pytest.raises(MediaError, match="5 frames of an animatic instead of 24"):
        render(spec_for(picture(tmp_path / "a.png", (90, 90))), tmp_path / "c.mp4", ffmpeg=short)
    assert not (tmp_path / "c.mp4").exists()


def test_absent_ffmpeg_and_absent_folder_are_told_apart(tmp_path: Path, ffmpeg: Path) -> None:
    spec = spec_for(picture(tmp_path / "a.png", (90, 90)))
    with pytest.raises(FfmpegMissing):
        render(spec, tmp_path / "c.mp4", ffmpeg=tmp_path / "nowhere")
    with pytest.raises(StorageError):
        render(spec, tmp_path / "no" / "c.mp4", ffmpeg=ffmpeg)


@pytest.mark.parametrize(
    "changes",
    [{"images": ()}, {"images": (Path("a"),) * 8}, {"duration_s": 0}, {"resolution": "1"}],
)
def test_impossible_clip_is_refused_at_once(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"image|clip|resolution"):
        spec_for(Path("a.png"), **changes)


def test_references_dissolve_into_each_other_without_a_jump(tmp_path: Path, ffmpeg: Path) -> None:
    for name in ("black", "white"):
        Image.new("RGB", (640, 360), name).save(tmp_path / f"{name}.png")
    spec = spec_for(tmp_path / "black.png", tmp_path / "white.png")
    render(spec, tmp_path / "clip.mp4", ffmpeg=ffmpeg)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        levels = [int(f.to_ndarray(format="gray")[150, 424]) for f in container.decode(video=0)]
    assert max(levels[:8]) < 24
    assert min(levels[-8:]) > 228
    between = [level for level in levels if 24 <= level <= 228]
    assert len(between) == 4
    assert between == sorted(between)
    assert between[0] < 70
    assert between[-1] > 180


@pytest.mark.parametrize("frames", [24, 144, 240])
@pytest.mark.parametrize("pictures", range(1, 8))
def test_every_reference_gets_its_fair_share_in_order(frames: int, pictures: int) -> None:
    stretches = share_out(frames, pictures)
    assert stretches[0].first == 0
    assert stretches[-1].end == frames
    lengths = {stretch.end - stretch.first for stretch in stretches}
    assert max(lengths) - min(lengths) <= 1
    for index in range(frames):
        seen = [n for n, s in enumerate(stretches) if s.first <= index < s.end]
        assert len(seen) == 1 or (len(seen) == 2 and seen[1] == seen[0] + 1)


def test_dissolve_of_a_usual_shot_lasts_half_a_second() -> None:
    before, after, _ = share_out(144, 3)
    assert before.end - after.first == 12
