"""Clips as they come down the wire: good ones pass, damaged or wrong ones are named."""

from __future__ import annotations

import hashlib
import random
import subprocess
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
import av
import pytest
from clipmaker import FFMPEG, each_ffmpeg, make_clip, run, write_script

from pipeline.errors import ClipRejected, FfmpegMissing, FileMissing, MediaError
from pipeline.media.probe import probe
from pipeline.media.verify import verify_clip
from pipeline.model import ClipFacts, Container, Expected, Resolution

SIZE = (854, 480)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second at 480p with a picture that changes everywhere, so that no byte is idle."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    picture = "testsrc2=s=854x480:r=24,noise=alls=20:allf=t:all_seed=1"
    run(
        *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=r=48000", "-t", "1"),
        *(
            "-ac",
            "2",
            "-pix_fmt",
            "yuv420p",
            "-preset",
            "veryfast",
            "-movflags",
            "+faststart",
            path,
        ),
    )
    return path


@pytest.fixture(scope="module")
def webm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second at 480p as the web has it."""
    return make_webm(tmp_path_factory.mktemp("clips") / "clip.webm", *VP9, *OPUS)


VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "31", "-b:v", "0")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M")
OPUS = ("-c:a", "libopus", "-b:a", "64k")
VORBIS = ("-c:a", "libvorbis")
CHANGING = "testsrc2=s=854x480:r=24"


def make_webm(path: Path, *options: str) -> Path:
    inputs = ("-f", "lavfi", "-i", CHANGING, "-f", "lavfi", "-i", "sine=r=48000", "-t", "1")
    run(*inputs, "-ac", "2", "-pix_fmt", "yuv420p", *options, "-f", "webm", path)
    return path


def verify(
    path: Path,
    *,
    ffmpeg: Path = FFMPEG,
    duration_s: int | None = 1,
    resolution: Resolution | None = Resolution.P480,
    declared_bytes: int | None = None,
    container: Container = Container.MP4,
) -> ClipFacts:
    return anyio.run(
        partial(
            verify_clip,
            path,
            Expected(
                duration_s=None if duration_s is None else Fraction(duration_s),
                short_side_px=None if resolution is None else resolution.short_side_px,
                container=container,
            ),
            ffmpeg=ffmpeg,
            declared_bytes=declared_bytes,
        )
    )


@each_ffmpeg
def test_a_good_clip_is_accepted_with_its_facts(clip: Path, ffmpeg: Path) -> None:
    data = clip.read_bytes()

    assert verify(clip, ffmpeg=ffmpeg, declared_bytes=len(data)) == ClipFacts(
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        width_px=854,
        height_px=480,
        frames=24,
        frame_rate=Fraction(24),
        video_codec="h264",
        has_audio=True,
    )


def test_of_unknown_length_every_frame_is_decoded_and_any_length_is_good(
    clip: Path, tmp_path: Path
) -> None:
    assert verify(clip, duration_s=None).frames == 24
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(clip.read_bytes()[: clip.stat().st_size * 3 // 4])
    with pytest.raises(ClipRejected):
        verify(damaged, duration_s=None)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((480, 854), ()),
        ((848, 464), ()),
        ((856, 496), ()),
        (SIZE, ("-bf", "0", "-movflags", "+frag_keyframe+empty_moov")),
        (SIZE, ("-pix_fmt", "yuv444p", "-r", "30")),
    ],
    ids=["tall", "lower", "higher", "fragmented", "4:4:4"],
)
def test_clips_of_other_makers_are_accepted(
    tmp_path: Path, size: tuple[int, int], options: tuple[str, ...]
) -> None:
    path = make_clip(tmp_path / "c.mp4", frames=24, flashes=(3,), size=size, options=options)

    assert float(verify(path).duration_s) == pytest.approx(1, abs=0.05)


@each_ffmpeg
@pytest.mark.parametrize("container", [Container.MP4, Container.WEBM])
def test_a_clip_in_which_nothing_is_to_be_seen_is_told(
    tmp_path: Path, ffmpeg: Path, container: Container
) -> None:
    coding = {Container.MP4: "libx264", Container.WEBM: "libvpx"}[container]
    path = tmp_path / f"c{container.suffix}"
    picture = "color=black:s=854x480:r=24:d=1"
    command = [str(FFMPEG), "-v", "error", "-f", "lavfi", "-i", picture, "-c:v", coding, str(path)]
    subprocess.run(command, check=True, timeout=60)

    assert verify(path, ffmpeg=ffmpeg, container=container).is_black


def test_a_clip_that_fades_in_is_not_black(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "c.mp4", lumas=[16] * 14 + [120] * 10, size=SIZE)

    assert not verify(path).is_black


@each_ffmpeg
def test_a_good_webm_is_accepted_with_its_facts(webm: Path, ffmpeg: Path) -> None:
    data = webm.read_bytes()

    facts = verify(webm, ffmpeg=ffmpeg, declared_bytes=len(data), container=Container.WEBM)

    assert facts == ClipFacts(
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        width_px=854,
        height_px=480,
        frames=24,
        frame_rate=Fraction(24),
        video_codec="vp9",
        has_audio=True,
    )


@pytest.mark.parametrize(
    "options",
    [(*VP8, *VORBIS), (*VP9, "-an", "-r", "30", "-fps_mode", "cfr"), (*VP9, *OPUS, "-live", "1")],
    ids=["vp8", "silent", "written as a stream"],
)
def test_webm_clips_of_other_makers_are_accepted(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = make_webm(tmp_path / "c.webm", *options)

    facts = verify(path, container=Container.WEBM)

    assert facts.duration_s == 1
    assert facts.has_audio == ("-an" not in options)


def test_pictures_that_are_stored_and_never_shown_are_not_counted(tmp_path: Path) -> None:
    """VP8 keeps a packet of its own for them, and makes them only where it looks twice."""
    source = ("-f", "lavfi", "-i", "testsrc2=s=128x96:r=24", "-t", "2", "-pix_fmt", "yuv420p")
    coding = ("-c:v", "libvpx", "-cpu-used", "5", "-b:v", "100k", "-lag-in-frames", "12")
    twice = (*source, *coding, "-auto-alt-ref", "1", "-passlogfile", str(tmp_path / "log"))
    run(*twice, "-pass", "1", "-f", "null", "-")
    run(*twice, "-pass", "2", tmp_path / "c.webm")

    facts = verify(tmp_path / "c.webm", container=Container.WEBM, duration_s=2, resolution=None)

    video = probe(tmp_path / "c.webm", Container.WEBM).video
    assert facts.frames == 48
    assert video is not None and video.hidden_packets > 0


def test_a_mov_is_accepted_and_so_is_an_mp4_under_its_name(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=24, size=SIZE, flashes=(3,))
    path = tmp_path / "clip.mov"
    run("-i", clip, "-c", "copy", "-f", "mov", path)
    assert path.read_bytes()[8:12] == b"qt  "

    for each in (path, clip):
        assert verify(each, container=Container.MOV).frames == 24


def test_a_clip_without_sound_is_accepted_and_said_to_be_silent(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "c.mp4", frames=24, size=SIZE, channels=0, flashes=())

    assert not verify(path).has_audio


@pytest.mark.parametrize("frames", [18, 30])
def test_a_quarter_of_a_second_is_tolerated(tmp_path: Path, frames: int) -> None:
    path = make_clip(tmp_path / "c.mp4", frames=frames, size=SIZE, flashes=(3,))

    assert verify(path).frames == frames


@pytest.mark.parametrize("frames", [17, 31])
def test_another_length_is_rejected(tmp_path: Path, frames: int) -> None:
    path = make_clip(tmp_path / "c.mp4", frames=frames, size=SIZE, flashes=(3,))

    with pytest.raises(ClipRejected, match="s long, not 1 s"):
        verify(path)


@pytest.mark.parametrize("size", [(512, 462), (512, 498), (462, 820)])
def test_another_size_is_rejected(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make_clip(tmp_path / "c.mp4", frames=24, size=size, flashes=(3,))

    with pytest.raises(ClipRejected, match="which is not 480p"):
        verify(path)


def test_another_resolution_is_rejected(clip: Path) -> None:
    with pytest.raises(ClipRejected, match="which is not 720p"):
        verify(clip, resolution=Resolution.P720)


def test_another_number_of_bytes_than_announced_is_rejected(clip: Path) -> None:
    with pytest.raises(ClipRejected, match="announced 12345"):
        verify(clip, declared_bytes=12_345)


def test_a_file_with_sound_alone_is_rejected(clip: Path, tmp_path: Path) -> None:
    run("-i", clip, "-map", "0:a", "-c", "copy", tmp_path / "sound.mp4")

    with pytest.raises(ClipRejected, match="no picture"):
        verify(tmp_path / "sound.mp4")


def test_a_missing_file_is_no_fault_of_the_clip(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        verify(tmp_path / "gone.mp4")


@pytest.mark.parametrize("kept", [0.02, 0.17, 0.5, 0.9, 0.999])
def test_a_clip_cut_off_anywhere_is_rejected(clip: Path, tmp_path: Path, kept: float) -> None:
    data = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(len(data) * kept)])

    with pytest.raises(ClipRejected, match="cut off"):
        verify(path)


@pytest.mark.parametrize("container", [Container.WEBM, Container.MOV])
@pytest.mark.parametrize("kept", [0.0003, 0.5, 0.999])
def test_a_clip_of_another_format_cut_off_anywhere_is_rejected(
    clip: Path, webm: Path, tmp_path: Path, container: Container, kept: float
) -> None:
    path = tmp_path / "cut"
    run("-i", clip, "-c", "copy", "-f", "mov", path)
    data = webm.read_bytes() if container is Container.WEBM else path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])

    with pytest.raises(ClipRejected, match=r"cut off|not a MOV"):
        verify(path, container=container)


def test_a_clip_of_another_format_than_the_one_ordered_is_rejected(clip: Path, webm: Path) -> None:
    with pytest.raises(ClipRejected, match="an MP4 file, not a WEBM video"):
        verify(clip, container=Container.WEBM)
    for container in (Container.MP4, Container.MOV):
        with pytest.raises(ClipRejected, match="a WEBM file, not"):
            verify(webm, container=container)


@pytest.mark.parametrize("container", list(Container))
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"<!DOCTYPE html><html><body>403 Forbidden</body></html>",
        b"#EXTM3U\n#EXTINF:6,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b'{"code": 500}',
        b"\x1f\x8b\x08\x00" + bytes(100),
        b"\x1a\x45\xdf\xa3" + bytes(100),
        bytes(5000),
        b"\x00\x00\x00\x10ftypisom\x00\x00\x02\x00",
    ],
    ids=["empty", "byte", "html", "hls", "concat", "json", "gzip", "webm", "zeros", "only ftyp"],
)
def test_what_is_no_clip_is_rejected_whatever_its_name(
    tmp_path: Path, content: bytes, container: Container
) -> None:
    path = tmp_path / f"clip{container.suffix}"
    path.write_bytes(content)

    with pytest.raises(ClipRejected):
        verify(path, container=container)


@each_ffmpeg
@pytest.mark.parametrize("width", [1, 32, 400])
def test_flipped_bytes_in_the_picture_are_found(
    clip: Path, tmp_path: Path, ffmpeg: Path, width: int
) -> None:
    """A third into some pictures; damage to the last blocks of one can pass any decoder."""
    with av.open(str(clip)) as file:
        pictures = [(each.pos, each.size) for each in file.demux(video=0) if each.size]
    chance = random.Random(width)
    for start, size in pictures[::5]:
        data = bytearray(clip.read_bytes())
        place = start + size // 3
        for index in range(place, place + width):
            data[index] ^= chance.randrange(1, 256)
        path = tmp_path / "flipped.mp4"
        path.write_bytes(data)

        with pytest.raises(ClipRejected, match="damaged"):
            verify(path, ffmpeg=ffmpeg)


@each_ffmpeg
@pytest.mark.parametrize("width", [1, 400])
def test_flipped_bytes_in_the_picture_of_a_webm_are_found(
    webm: Path, tmp_path: Path, ffmpeg: Path, width: int
) -> None:
    data = webm.read_bytes()
    with av.open(str(webm)) as file:
        pictures = [bytes(each) for each in file.demux(video=0) if each.size]
    chance = random.Random(width)
    for picture in pictures[::12]:
        place = data.index(picture) + len(picture) // 3
        flipped = bytearray(data)
        for index in range(place, place + width):
            flipped[index] ^= chance.randrange(1, 256)
        path = tmp_path / "flipped.webm"
        path.write_bytes(flipped)

        with pytest.raises(ClipRejected, match="damaged"):
            verify(path, ffmpeg=ffmpeg, container=Container.WEBM)


def test_zeros_in_place_of_the_end_of_a_webm_are_found(webm: Path, tmp_path: Path) -> None:
    data = webm.read_bytes()
    path = tmp_path / "holed.webm"
    path.write_bytes(data[: len(data) * 2 // 3] + bytes(len(data) - len(data) * 2 // 3))

    with pytest.raises(ClipRejected, match="damaged"):
        verify(path, container=Container.WEBM)


def test_zeros_in_place_of_the_end_are_found(clip: Path, tmp_path: Path) -> None:
    """A download that was made full length first and never filled."""
    data = clip.read_bytes()
    path = tmp_path / "holed.mp4"
    path.write_bytes(data[: len(data) * 2 // 3] + bytes(len(data) - len(data) * 2 // 3))

    with pytest.raises(ClipRejected, match="damaged"):
        verify(path)


def test_the_reason_keeps_the_last_words_of_ffmpeg(clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    path = tmp_path / "holed.mp4"
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))

    with pytest.raises(ClipRejected) as caught:
        verify(path)

    assert caught.value.stderr_tail
    assert caught.value.returncode is not None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("kill -9 $$", MediaError),
        ("exit 0", ClipRejected),
        ("echo frame=23", ClipRejected),
        ("echo frame=24; echo concealing >&2", ClipRejected),
        ("exit 1", ClipRejected),
    ],
)
def test_a_decode_that_is_not_whole_never_passes(
    clip: Path, tmp_path: Path, body: str, expected: type[MediaError]
) -> None:
    with pytest.raises(expected) as caught:
        verify(clip, ffmpeg=write_script(tmp_path / "ff", body))

    assert type(caught.value) is expected


def test_a_missing_ffmpeg_is_no_fault_of_the_clip(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(FfmpegMissing):
        verify(clip, ffmpeg=tmp_path / "none")


def test_verifying_changes_nothing(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip.read_bytes())
    verify(path)

    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == clip.read_bytes()
