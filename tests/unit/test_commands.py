"""What ffmpeg is told, read as text; that it obeys is shown by the films in ``acceptance``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from sample_media import AUDIO, VIDEO

from pipeline.media.commands import (
    DecodingClock,
    FilmFormat,
    build_concat_list,
    build_decode,
    build_join,
    build_picture,
    build_sound,
)
from pipeline.media.inventory import REQUIRED, REQUIRED_FOR, Part, Use
from pipeline.model import Container

FILM = FilmFormat(width_px=1280, height_px=720, frame_rate=Fraction(24))
DECODE = build_decode("/clips/a.mp4", video=VIDEO)
PICTURE = build_picture("c1.mp4", "p1.mp4", video=VIDEO, film=FILM, frames=144)
SOUND = build_sound(
    "c1.mp4",
    "s1.raw",
    container=Container.MP4,
    audio=AUDIO,
    picture_start_s=Fraction(1, 12),
    samples=288_000,
)
WEBM = replace(VIDEO, container=Container.WEBM, codec="vp9")
OF_WEBM = [
    build_decode("/clips/a.webm", video=WEBM),
    build_picture("c1.webm", "p1.mp4", video=WEBM, film=FILM, frames=144),
    build_sound(
        "c1.webm",
        "s1.raw",
        container=Container.WEBM,
        audio=AUDIO,
        picture_start_s=Fraction(0),
        samples=288_000,
    ),
]
JOIN = build_join("cut.ffconcat", "sound.raw", "film.part", title="Dawn", comment="AI")
ALL = [DECODE, PICTURE, SOUND, JOIN, *OF_WEBM]
NAMES = ["decode", "picture", "sound", "join", "webm decode", "webm picture", "webm sound"]
each_command = pytest.mark.parametrize("command", ALL, ids=NAMES)


def value(command: Sequence[str], option: str) -> str:
    return command[command.index(option) + 1]


@each_command
def test_every_input_names_its_demuxer_and_reads_local_files_only(command: list[str]) -> None:
    inputs = " ".join(command).split(" -i ")[:-1]

    assert inputs
    assert all("-f " in part for part in inputs)
    protocols = [each for part in inputs for each in re.findall(r"-protocol_whitelist (\S+)", part)]
    assert set(protocols) == {"file,pipe"}


@each_command
def test_damage_stops_it(command: list[str]) -> None:
    assert "-xerror" in command


@pytest.mark.parametrize("command", [DECODE, PICTURE, SOUND, *OF_WEBM])
def test_clips_are_decoded_strictly(command: list[str]) -> None:
    assert value(command, "-err_detect") == "explode"
    assert command.index("-err_detect") < command.index("-i")


@pytest.mark.parametrize("command", [DECODE, PICTURE, *OF_WEBM[:2]])
def test_pictures_are_decoded_by_one_thread_so_that_no_fault_is_lost(command: list[str]) -> None:
    assert command[: command.index("-i")].count("-threads") == 1
    assert value(command, "-threads") == "1"


@each_command
def test_all_that_it_names_is_in_the_inventory(command: list[str]) -> None:
    text = " ".join(command)
    graph = value(command, "-filter_complex") if "-filter_complex" in command else ""
    filters = {re.sub(r"\[[^]]*\]", "", part).partition("=")[0] for part in graph.split(";")}

    assert filters - {""} <= REQUIRED[Part.FILTER]
    source, _, target = text.rpartition(" -i ")
    assert set(re.findall(r"-c:[av] (\S+)", source)) <= REQUIRED_FOR[Use.WEBM_CLIPS][Part.DECODER]
    assert set(re.findall(r"-c:[av] (\S+)", target)) - {"copy"} <= REQUIRED[Part.ENCODER]
    demuxers = REQUIRED[Part.DEMUXER] | REQUIRED_FOR[Use.WEBM_CLIPS][Part.DEMUXER]
    assert set(re.findall(r"-f (\S+)", source)) <= demuxers
    assert set(re.findall(r"-f (\S+)", target)) <= REQUIRED[Part.MUXER]


def test_a_clip_that_is_no_webm_asks_for_nothing_that_only_webm_needs() -> None:
    text = " ".join(part for command in (DECODE, PICTURE, SOUND, JOIN) for part in command)

    assert all(
        f" {name} " not in text for part in REQUIRED_FOR[Use.WEBM_CLIPS].values() for name in part
    )


@pytest.mark.parametrize("command", OF_WEBM)
def test_a_webm_is_opened_as_one(command: list[str]) -> None:
    assert value(command, "-f") == "matroska"


@pytest.mark.parametrize("command", OF_WEBM[:2])
def test_vp9_is_decoded_by_the_decoder_that_tells_of_damage(command: list[str]) -> None:
    assert command.index("libvpx-vp9") < command.index("-i")


def test_what_vp9_is_in_an_mp4_is_decoded_by_what_every_ffmpeg_has() -> None:
    assert "libvpx-vp9" not in build_decode("a", video=replace(VIDEO, codec="vp9"))


def test_a_picture_has_exactly_its_frames() -> None:
    assert value(PICTURE, "-frames:v") == "144"


def test_pieces_have_equal_headers_and_the_same_bits_every_time() -> None:
    assert value(PICTURE, "-x264-params") == "stitchable=1"
    assert value(PICTURE, "-map_metadata") == "-1"
    assert value(PICTURE, "-fflags") == value(JOIN, "-fflags") == "+bitexact"
    assert PICTURE.count("-threads") == 2


@pytest.mark.parametrize(
    ("height_px", "colorspace", "matrix"), [(480, 2, "bt601"), (720, 2, "bt709"), (480, 6, "auto")]
)
def test_colours_that_are_not_said_are_read_as_players_read_them(
    height_px: int, colorspace: int, matrix: str
) -> None:
    video = replace(VIDEO, height_px=height_px, width_px=1280, colorspace=colorspace)
    command = build_picture("a", "b", video=video, film=FILM, frames=1)

    assert f"in_color_matrix={matrix}:" in value(command, "-filter_complex")


def test_sound_is_cut_to_the_sample_and_begins_with_the_picture() -> None:
    graph = value(SOUND, "-filter_complex")

    assert "aresample=48000:async=1:first_pts=4000" in graph
    assert "apad=whole_len=288000" in graph
    assert "atrim=end_sample=288000" in graph


def test_the_fades_of_a_sound_lie_at_its_two_ends() -> None:
    graph = value(SOUND, "-filter_complex")

    assert "afade=nb_samples=240:start_sample=0:type=in" in graph
    assert "afade=nb_samples=240:start_sample=287760:type=out" in graph


def test_the_fades_of_a_very_short_sound_do_not_overlap() -> None:
    command = build_sound(
        "a",
        "b",
        container=Container.MP4,
        audio=AUDIO,
        picture_start_s=Fraction(0),
        samples=100,
    )

    assert "afade=nb_samples=50:start_sample=50:type=out" in value(command, "-filter_complex")


def test_a_join_copies_pictures_untouched_and_starts_at_zero() -> None:
    assert value(JOIN, "-c:v") == "copy"
    assert value(JOIN, "-auto_convert") == "0"
    assert "-copyts" in JOIN
    assert "-bsf:v" not in JOIN


def test_a_join_of_pieces_counts_decoding_times_anew() -> None:
    clock = DecodingClock(frame_ticks=512, ahead_ticks=1024)
    command = build_join("l", "s", "t", clock=clock)

    assert value(command, "-bsf:v") == "setts=pts=PTS:dts=N*512-1024"


def test_list_members_can_only_be_mp4() -> None:
    assert value(JOIN, "-format_whitelist") == "concat,mov,mp4,m4a,3gp,3g2,mj2"


def test_title_and_comment_are_arguments_of_their_own() -> None:
    command = build_join("l", "s", "t", title="-y 'x' = : %d", comment="-i")

    assert "title=-y 'x' = : %d" in command
    assert "comment=-i" in command


def test_empty_texts_are_left_out() -> None:
    assert "-metadata" not in build_join("l", "s", "t")


def test_a_list_gives_each_file_its_length() -> None:
    assert build_concat_list(["c1.mp4", "c2.mp4"], [144, 145], Fraction(24)) == (
        "ffconcat version 1.0\nfile 'c1.mp4'\nduration 6.000000\nfile 'c2.mp4'\nduration 6.041667\n"
    )


def test_lengths_in_a_list_never_drift() -> None:
    names = [f"c{n}.mp4" for n in range(999)]
    text = build_concat_list(names, [145] * 999, Fraction(24))

    total_s = sum(Fraction(each) for each in re.findall(r"duration (\S+)", text))

    assert abs(total_s - Fraction(999 * 145, 24)) < Fraction(1, 1_000_000)
