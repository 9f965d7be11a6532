"""Clips that a shot edits, opened as they are named in a manifest."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import pytest
from clipmaker import make_clip, run

from pipeline.errors import ExitCode
from pipeline.library import ImageRefused
from pipeline.media.source import open_clip
from pipeline.model import FileReference, Size, VideoReference


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one clip in each format, all named so that the names tell nothing."""
    folder = tmp_path_factory.mktemp("clips")
    clip = make_clip(folder / "mp4", frames=37)
    run("-i", clip, "-c", "copy", "-f", "mov", folder / "mov")
    coding = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus")
    run("-i", clip, *coding, "-f", "webm", folder / "webm")
    return folder


def refused(path: Path) -> ImageRefused:
    found = open_clip(path, path.name)
    assert isinstance(found, ImageRefused)
    return found


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("mp4", "video/mp4"), ("mov", "video/quicktime"), ("webm", "video/webm")],
)
def test_a_clip_is_measured_whatever_its_format(clips: Path, name: str, media_type: str) -> None:
    data = (clips / name).read_bytes()

    found = open_clip(clips / name, "take.mp4")

    assert found == VideoReference(
        media=FileReference(
            source="take.mp4",
            path=clips / name,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            media_type=media_type,
            width_px=128,
            height_px=96,
        ),
        duration_s=Fraction(37, 24),
        size=Size(width_px=128, height_px=96),
    )


@pytest.mark.parametrize("name", ["mp4", "mov", "webm"])
def test_a_clip_that_is_cut_off_is_refused_with_the_cure(
    clips: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes((clips / name).read_bytes()[:-100])

    found = refused(path)

    assert "is not a clip that can be edited" in found.message and "cut off" in found.message
    assert found.hint == "export it again, as MP4, MOV or WEBM"


def test_a_playlist_is_no_clip(clips: Path, tmp_path: Path) -> None:
    path = tmp_path / "list.webm"
    path.write_text(f"ffconcat version 1.0\nfile '{clips / 'mp4'}'\n")

    assert "a playlist" in refused(path).message


def test_what_is_no_file_is_refused_unopened(tmp_path: Path) -> None:
    assert "plain file" in refused(tmp_path).message
    gone = refused(tmp_path / "gone.mp4")
    assert gone.is_absent and gone.exit_code is ExitCode.FILE_MISSING
