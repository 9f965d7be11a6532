from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from sample_media import VIDEO

from pipeline.media.cut import is_copyable, plan_cut
from pipeline.media.probe import VideoInfo
from pipeline.model import Container

SMALL = replace(VIDEO, width_px=640, height_px=360)
FAST = replace(VIDEO, frame_rate=Fraction(30), packets=180)


def test_clips_that_agree_are_copied_whole() -> None:
    cut = plan_cut([VIDEO, replace(VIDEO, packets=120)], [None, None])

    assert cut.copied
    assert cut.frames == (144, 120)
    assert cut.first_frames == (0, 144)
    assert (cut.total_frames, cut.duration_s) == (264, 11)


def test_an_mp4_and_a_mov_that_agree_are_copied() -> None:
    assert plan_cut([VIDEO, replace(VIDEO, container=Container.MOV)], [None, None]).copied


@pytest.mark.parametrize(
    "change",
    [
        {"stream_index": 1},
        {"profile": "Main"},
        {"level": 40},
        {"width_px": 848},
        {"height_px": 464},
        {"sample_aspect": Fraction(4, 3)},
        {"field_order": 2},
        {"color_range": 2},
        {"colorspace": 1},
        {"color_primaries": 1},
        {"color_transfer": 1},
        {"frame_rate": Fraction(25), "packets": 150},
        {"time_base": Fraction(1, 90000)},
        {"extradata_sha256": "other"},
        {"reorder_ticks": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_one_property_that_differs_means_encoding(change: dict[str, object]) -> None:
    assert not plan_cut([VIDEO, replace(VIDEO, **change)], [None, None]).copied


@pytest.mark.parametrize(
    "change",
    [
        {"codec": "hevc"},
        {"container": Container.WEBM},
        {"pixel_format": "yuv444p"},
        {"upright": False},
        {"on_grid": False},
        {"starts_with_keyframe": False},
        {"hidden_packets": 2},
        {"first_pts": 1024},
        {"height_px": 479},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_not_every_player_shows_right_is_never_copied(change: dict[str, object]) -> None:
    odd = replace(VIDEO, **change)

    assert is_copyable(VIDEO)
    assert not is_copyable(odd)
    assert not plan_cut([odd, odd], [None, None]).copied


def test_copying_can_be_declined() -> None:
    assert not plan_cut([VIDEO], [None], copy=False).copied


def test_a_cut_means_encoding_and_counts_in_frames() -> None:
    cut = plan_cut([VIDEO, VIDEO], [Fraction("4.5"), None])

    assert not cut.copied
    assert cut.frames == (108, 144)


@pytest.mark.parametrize("cut_s", [Fraction(6), Fraction("6.01"), Fraction(99)])
def test_a_cut_never_exceeds_the_clip(cut_s: Fraction) -> None:
    cut = plan_cut([VIDEO], [cut_s])

    assert cut.copied
    assert cut.frames == (144,)


def test_the_shortest_cut_is_one_frame() -> None:
    assert plan_cut([VIDEO], [Fraction(1, 1000)]).frames == (1,)


@pytest.mark.parametrize(
    ("videos", "size", "rate"),
    [
        ([SMALL, VIDEO, VIDEO], (854, 480), 24),
        ([SMALL, VIDEO], (640, 360), 24),
        ([VIDEO, FAST, FAST], (854, 480), 30),
        ([VIDEO, FAST], (854, 480), 24),
        ([replace(VIDEO, width_px=855, height_px=481)], (854, 480), 24),
        ([replace(FAST, on_grid=False)], (854, 480), 24),
        ([replace(VIDEO, on_grid=False), FAST], (854, 480), 30),
    ],
)
def test_the_format_is_the_commonest_and_the_first_on_ties(
    videos: list[VideoInfo], size: tuple[int, int], rate: int
) -> None:
    film = plan_cut(videos, [None] * len(videos)).film

    assert (film.width_px, film.height_px) == size
    assert film.frame_rate == rate


def test_lengths_are_counted_at_the_rate_of_the_film() -> None:
    irregular = replace(VIDEO, on_grid=False, length_ticks=12288 * 2, packets=31)

    assert plan_cut([VIDEO, VIDEO, FAST, irregular], [None] * 4).frames == (144, 144, 144, 48)
