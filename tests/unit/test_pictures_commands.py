"""What ffmpeg is told for one piece, and where pieces lie; that it obeys is shown by films."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from sample_media import VIDEO

from pipeline.film.spec import Fit, Profile
from pipeline.film.timeline import Piece
from pipeline.film.transitions import TRANSITIONS
from pipeline.finishing.pictures_commands import build_piece
from pipeline.finishing.piece_orders import PieceFiles, order_piece
from pipeline.finishing.sources import Fades, Footage, Frame, Overlay, Still

CLIP = Footage(
    path=Path("/a/it's [0]; %03d.mp4"), container=VIDEO.container, video=VIDEO, sha256="1" * 64
)
CARD = Still(path=Path("/a/card:x.png"))
FRAME = Frame(width_px=720, height_px=1280, frame_rate=Fraction(24))


def order(piece: Piece, *overlays: Overlay, fades: Fades | None = None) -> PieceFiles:
    return order_piece(piece, [CLIP, CARD], overlays, fades or Fades(), total_frames=200)


def alone(first_frame: int = 0, frames: int = 48) -> Piece:
    return Piece(spans=(0,), offsets=(0,), first_frame=first_frame, frames=frames)


def blend(kind: str) -> Piece:
    return Piece(spans=(0, 1), offsets=(4, 0), first_frame=50, frames=12, kind=kind)


def over(first_frame: int, end_frame: int) -> Overlay:
    return Overlay(path=Path("/a/'cap'.png"), first_frame=first_frame, end_frame=end_frame)


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("fit", list(Fit))
def test_no_name_of_a_users_reaches_ffmpeg_and_every_input_names_its_demuxer(
    profile: Profile, fit: Fit
) -> None:
    wanted = order(blend("fade-black"), over(40, 60))
    command = build_piece("piece.mp4", wanted.order, replace(FRAME, profile=profile, fit=fit))

    text = " ".join(command)
    assert not re.search(r"/a/|card|cap|%03d", text)
    assert [name for name, _ in wanted.files] == ["part0.mp4", "part1.png", "over0.png"]
    inputs = text.split(" -i ")[:-1]
    assert len(inputs) >= 4
    assert all("-f " in each for each in inputs)
    assert "-xerror" in command
    assert "-err_detect explode" in text


@pytest.mark.parametrize("kind", [kind for kind in TRANSITIONS if kind != "cut"])
def test_every_transition_that_a_manifest_may_name_can_be_asked_for(kind: str) -> None:
    command = build_piece("piece.mp4", order(blend(kind)).order, FRAME)
    assert "xfade" in command[command.index("-filter_complex") + 1]


def test_a_clip_of_the_right_shape_is_not_cropped() -> None:
    wide = replace(FRAME, width_px=1280, height_px=720)
    assert "crop" not in " ".join(build_piece("piece.mp4", order(alone()).order, wide))
    assert "crop" in " ".join(build_piece("piece.mp4", order(alone()).order, FRAME))


def test_where_a_piece_lies_in_the_film_does_not_change_it() -> None:
    early = order(alone(first_frame=10), over(20, 30))
    late = order(alone(first_frame=110), over(120, 130), over(0, 50))
    assert early.order == late.order


def test_only_what_is_seen_in_a_piece_is_laid_over_it() -> None:
    wanted = order(alone(first_frame=50), over(0, 50), over(40, 51), over(97, 300), over(98, 99))
    assert [(layer.first, layer.last) for layer in wanted.order.layers] == [(0, 0), (47, 47)]


def test_a_fade_reaches_all_pieces_that_it_touches_and_no_other() -> None:
    fades = Fades(in_frames=60, out_frames=24)
    ramps = [
        order(alone(first_frame=first), fades=fades).order.ramps for first in (0, 48, 96, 128, 152)
    ]
    assert [[(ramp.first, ramp.is_out) for ramp in each] for each in ramps] == [
        [(0, False)],
        [(-48, False)],
        [],
        [],
        [(23, True)],
    ]
