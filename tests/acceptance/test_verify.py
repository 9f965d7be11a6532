"""Clips as they come down the wire: good ones pass, damaged or wrong ones are named."""

from __future__ import annotations

import hashlib
import random
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
import av
import pytest
from clipmaker import FFMPEG, each_ffmpeg, make_clip, run, write_script

from pipeline.errors import ClipRejected, FfmpegMissing, FileMissing, MediaError
from pipeline.media.verify import verify_clip
from pipeline.model import ClipFacts, Expected, Resolution

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


def verify(
    path: Path,
    *,
    ffmpeg: Path = FFMPEG,
    duration_s: int = 1,
    resolution: Resolution = Resolution.P480,
    declared_bytes: int | None = None,
) -> ClipFacts:
    return anyio.run(
        partial(
            verify_clip,
            path,
            Expected(duration_s=Fraction(duration_s), short_side_px=resolution.short_side_px),
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
def test_what_is_no_mp4_is_rejected_whatever_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)

    with pytest.raises(ClipRejected):
        verify(path)


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
