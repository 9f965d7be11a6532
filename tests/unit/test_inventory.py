from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ExitCode, FfmpegMissing
from pipeline.media.inventory import (
    REQUIRED,
    REQUIRED_FOR,
    Part,
    Use,
    inventory,
    read_names,
    require_complete,
)

# As ffmpeg 5.1 and 9.0 print them: the columns and the rulers differ.
ENCODERS = """Encoders:
 V..... = Video
 .....D = Supports direct rendering method 1
 ------
 V....D libx264              libx264 H.264 / AVC (codec h264)
 A....D aac                  AAC (Advanced Audio Coding)
"""
FILTERS = {
    "5.1": "Filters:\n  T.. = Timeline support\n  | = Source or sink filter\n"
    " ... apad              A->A       Pad audio with silence.\n"
    " TSC scale             V->V       Scale the input video size.\n"
    " ..C asendcmd          A->A       Send commands.\n",
    "9.0": "Filters:\n  T.. = Timeline support\n  ------\n"
    " TS aap               AA->A      Apply Affine Projection.\n"
    " .. scale             V->V       Scale the input video size.\n",
}
FORMATS = {
    "5.1": "File formats:\n D. = Demuxing supported\n .E = Muxing supported\n --\n"
    " D  mov,mp4,m4a     QuickTime / MOV\n  E mp4             MP4\n DE f32le           PCM\n",
    "9.0": "Formats:\n D.. = Demuxing supported\n ..d = Is a device\n ---\n"
    " D   mov,mp4,m4a     QuickTime / MOV\n  E  mp4             MP4\n DE  f32le           PCM\n"
    "  Ed caca            caca (color ASCII art) output device\n",
}


def stub(folder: Path, *, listing: str = "", version: str = "ffmpeg version 7.1 Copyright") -> Path:
    path = folder / "ffmpeg"
    path.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *-version*) echo "{version}";; *) cat <<\'END\'\n{listing}\nEND\n;; esac\n'
    )
    path.chmod(0o755)
    return path


def full_listing(*, without: str = "") -> str:
    special = (names for parts in REQUIRED_FOR.values() for names in parts.values())
    needed = (*REQUIRED.values(), *special)
    names = {name for part in needed for name in part} - {without}
    return "\n".join(f" DE {name}   words" for name in sorted(names))


def test_encoders_are_read_without_their_legend() -> None:
    assert read_names(ENCODERS) == {"libx264", "aac"}


@pytest.mark.parametrize(
    ("version", "names"),
    [("5.1", {"apad", "scale", "asendcmd"}), ("9.0", {"aap", "scale"})],
)
def test_filters_are_read_in_every_layout(version: str, names: set[str]) -> None:
    assert read_names(FILTERS[version]) == names


@pytest.mark.parametrize("version", ["5.1", "9.0"])
def test_formats_are_told_apart_by_what_they_can_do(version: str) -> None:
    assert read_names(FORMATS[version], "D") == {"mov", "mp4", "m4a", "f32le"}
    assert {"mp4", "f32le"} <= read_names(FORMATS[version], "E")
    assert "mov" not in read_names(FORMATS[version], "E")


def test_a_complete_ffmpeg_lacks_nothing(tmp_path: Path) -> None:
    found = inventory(stub(tmp_path, listing=full_listing()))

    assert found.is_complete
    assert found.version == "7.1"


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("libx264", ("encoder libx264",)),
        ("scale", ("filter scale",)),
        ("concat", ("demuxer concat",)),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, name: str, missing: tuple[str, ...]) -> None:
    found = inventory(stub(tmp_path, listing=full_listing(without=name)))

    assert not found.is_complete
    assert found.missing == missing


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (Use.WEBM_CLIPS, "vp8"),
        (Use.WEBM_CLIPS, "vorbis"),
        (Use.FILM, "xfade"),
        (Use.FILM, "png_pipe"),
        (Use.HEVC, "libx265"),
        (Use.PRORES, "prores_ks"),
        (Use.WEBM, "libopus"),
    ],
)
def test_what_only_some_need_stops_only_those(tmp_path: Path, use: Use, name: str) -> None:
    ffmpeg = stub(tmp_path, listing=full_listing(without=name))

    assert inventory(ffmpeg).is_complete
    require_complete(ffmpeg, {each for each in Use if each is not use})
    with pytest.raises(FfmpegMissing, match=f"{name}, needed for {use}") as caught:
        require_complete(ffmpeg, {use})
    assert f"do without {use}" in caught.value.hint


def test_what_every_film_needs_stops_all(tmp_path: Path) -> None:
    with pytest.raises(FfmpegMissing, match="lacks encoder libx264"):
        require_complete(stub(tmp_path, listing=full_listing(without="libx264")))


def test_every_kind_of_part_is_asked_for() -> None:
    assert set(REQUIRED) == set(Part)
    assert all(REQUIRED.values())


def test_a_program_that_is_no_ffmpeg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FfmpegMissing, match="does not answer like ffmpeg"):
        inventory(stub(tmp_path, version="GNU sed 4.9"))


def test_a_program_that_cannot_run_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(FfmpegMissing) as caught:
        inventory(tmp_path / "none")

    assert caught.value.exit_code is ExitCode.UNAVAILABLE
    assert "package manager" in caught.value.hint
