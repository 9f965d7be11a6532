"""Files that a film names, opened from the disk: what they claim to be and what they are."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import ExitCode
from pipeline.film.sources import Opened, Outcome, SourceKind
from pipeline.library import ImageRefused
from pipeline.manifest import read_manifest
from pipeline.materials import open_materials
from pipeline.typefaces import faces

SRT = "1\n00:00:01,000 --> 00:00:02,000\nGr\u00fc\u00dfe\n"


def wav(seconds: float = 0.5) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\1" * int(8000 * seconds))
    return buffer.getvalue()


def encoded(container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=48000)
        samples = np.zeros((1, 24000), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 48000
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=48000)
        for each in resampler.resample(frame):
            file.mux(stream.encode(each))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def opened(kind: SourceKind, folder: Path, name: str = "x", *, outside: bool = False) -> Outcome:
    return open_materials([(kind, name)], folder, allow_outside=outside)[kind, name]


def refused(kind: SourceKind, folder: Path, name: str = "x") -> ImageRefused:
    found = opened(kind, folder, name)
    assert isinstance(found, ImageRefused)
    assert found.hint
    return found


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("flac", "flac"),
        ("mp3", "libmp3lame"),
        ("adts", "aac"),
        ("mp4", "aac"),
        ("ogg", "libopus"),
        ("aiff", "pcm_s16be"),
        ("webm", "libopus"),
    ],
)
def test_a_recording_is_taken_whatever_it_is_called(
    container: str, codec: str, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(encoded(container, codec))
    found = opened(SourceKind.SOUND, tmp_path)
    assert isinstance(found, Opened)
    assert found.file.path == tmp_path / "x"
    assert len(found.file.sha256) == 64
    assert found.duration_s is not None
    assert abs(float(found.duration_s) - 0.5) < 0.1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no sound file"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "no sound file"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "no sound file"),
        (wav()[:30], "cannot be decoded"),
        (wav(0), "no sound"),
        (b"fLaC" + bytes(100), "cannot be decoded"),
        (b"\xff\xfb" + bytes(200), "cannot be decoded"),
    ],
    ids=range(7),
)
def test_what_is_no_recording_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    assert words in refused(SourceKind.SOUND, tmp_path).message


@pytest.mark.parametrize("kind", SourceKind)
def test_missing_odd_and_foreign_files_are_refused(kind: SourceKind, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    assert refused(kind, folder).exit_code is ExitCode.FILE_MISSING
    os.mkfifo(folder / "pipe")
    assert "not a plain file" in refused(kind, folder, "pipe").message
    (folder / "inner").mkdir()
    assert "not a plain file" in refused(kind, folder, "inner").message
    (tmp_path / "x").write_bytes(SRT.encode())
    assert "outside the project folder" in refused(kind, folder, "../x").message
    (folder / "link").symlink_to(tmp_path / "x")
    assert "by a link outside" in refused(kind, folder, "link").message


def test_files_outside_are_opened_where_that_is_permitted(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "x").write_text(SRT, "utf-8")
    found = opened(SourceKind.CAPTIONS, tmp_path / "inner", "../x", outside=True)
    assert isinstance(found, Opened)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_captions_are_read_as_unicode(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(SRT, encoding)
    found = opened(SourceKind.CAPTIONS, tmp_path)
    assert isinstance(found, Opened)
    assert found.text == SRT


def test_captions_in_an_old_encoding_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(SRT, "latin-1")
    assert "not UTF-8 (at byte 34)" in refused(SourceKind.CAPTIONS, tmp_path).message


def test_captions_of_absurd_size_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(3_000_000)
    found = refused(SourceKind.CAPTIONS, tmp_path)
    assert "at most 2 MB" in found.message
    assert "SRT" in found.hint


def test_a_picture_may_be_larger_than_a_provider_takes_but_not_of_another_kind(
    tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    (tmp_path / "x").write_bytes(picture())
    assert isinstance(opened(SourceKind.PICTURE, tmp_path), Opened)
    (tmp_path / "x").write_bytes(picture("GIF"))
    found = refused(SourceKind.PICTURE, tmp_path)
    assert "found: GIF" in found.message
    assert "--convert-images" not in found.hint


def test_only_a_font_that_can_be_drawn_is_a_font(tmp_path: Path) -> None:
    fonts = Path(faces.__file__).parent / "fonts"
    whole = (fonts / "NotoSansThai-Bold.ttf").read_bytes()
    (tmp_path / "x").write_bytes(whole)
    assert isinstance(opened(SourceKind.FONT, tmp_path), Opened)
    no_outlines = (b"OTTO" + bytes(100), whole.replace(b"glyf", b"glyx"), b"wOFF" + whole)
    for number, data in enumerate(no_outlines):
        (tmp_path / str(number)).write_bytes(data)
        found = refused(SourceKind.FONT, tmp_path, str(number))
        assert "not a font with outlines" in found.message
        assert "TTF or OTF" in found.hint


def test_a_manifest_is_read_with_the_files_that_its_film_names(
    manifest: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "bed.wav").write_bytes(wav())
    (tmp_path / "en.srt").write_text(SRT, "utf-8")
    text = (
        'storyboard: s\nshots:\n  - {id: one, images: [a.png], prompt: "@image1"}\n'
        "film:\n  music: bed.wav\n  logo: a.png\n  captions: en.srt\n  voice: []\n"
    )
    checked = read_manifest(manifest(text))
    assert checked.problems == ()
    assert checked.storyboard is not None
    film = checked.storyboard.film
    assert film is not None
    assert film.music is not None
    assert film.music.file.path == tmp_path / "bed.wav"
    assert film.logo is not None
    assert film.captions is not None
    (tmp_path / "en.srt").unlink()
    [problem] = read_manifest(manifest(text)).problems
    assert (problem.path, problem.exit_code) == ("film.captions", ExitCode.FILE_MISSING)
