"""Camera moves: chosen by content, always inside the picture, smooth to a fraction of a pixel."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.sandbox.camera import MAX_ZOOM, Kind, choose_moves, smoothstep, view_box

FRAME = (1280, 720)
ROOMS = ((0.0, 0.0), (0.3, 0.0), (0.0, 0.34), (0.05, 0.0))


def plate_for(room: tuple[float, float]) -> tuple[int, int]:
    return round(1446 * (1 + room[0])), round(814 * (1 + room[1]))


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("seconds", [0.6, 2.2, 6.0, 10.0, 60.0])
def test_view_stays_inside_the_picture_in_the_shape_of_the_frame(
    room: tuple[float, float], seconds: float
) -> None:
    width, height = plate_for(room)
    for seed in range(12):
        for move in choose_moves(bytes([seed]), seconds, (room, room, room)):
            for step in range(51):
                left, top, right, bottom = view_box(move.at(step / 50), (width, height), FRAME)
                assert 0 <= left < right <= width
                assert 0 <= top < bottom <= height
                assert (right - left) / (bottom - top) == pytest.approx(16 / 9, rel=1e-6)
                assert (right - left) >= 1446 / MAX_ZOOM - 1


def test_same_content_moves_the_same_and_other_content_differently() -> None:
    rooms = (ROOMS[0],) * 5
    assert choose_moves(b"one", 3, rooms) == choose_moves(b"one", 3, rooms)
    assert len({choose_moves(bytes([n]), 3, rooms) for n in range(20)}) > 15


def test_every_kind_of_move_occurs_and_none_twice_in_a_row() -> None:
    kinds = set()
    for seed in range(30):
        moves = choose_moves(bytes([seed]), 3, (ROOMS[0],) * 7)
        assert all(first.kind is not second.kind for first, second in pairwise(moves))
        kinds.update(move.kind for move in moves)
    assert kinds == set(Kind)


def test_spare_picture_is_mostly_panned_over() -> None:
    wide = [choose_moves(bytes([n]), 6, (ROOMS[1],))[0].kind for n in range(60)]
    tall = [choose_moves(bytes([n]), 6, (ROOMS[2],))[0].kind for n in range(60)]
    assert sum(kind in (Kind.PAN_LEFT, Kind.PAN_RIGHT) for kind in wide) > 30
    assert sum(kind in (Kind.TILT_UP, Kind.TILT_DOWN) for kind in tall) > 30


def test_moves_start_and_end_at_rest_and_never_jerk() -> None:
    plate = plate_for(ROOMS[0])
    for seed in range(12):
        move = choose_moves(bytes([seed]), 6, (ROOMS[0],))[0]
        edges = [view_box(move.at(n / 143), plate, FRAME)[:2] for n in range(144)]
        for axis in (0, 1):
            steps = [after[axis] - before[axis] for before, after in pairwise(edges)]
            assert max(abs(steps[0]), abs(steps[-1])) < 0.05
            assert max(abs(b - a) for a, b in pairwise(steps)) < 0.05
            assert max(map(abs, steps)) < 2


def test_easing_is_even_about_its_middle() -> None:
    assert [smoothstep(share) for share in (0, 0.5, 1)] == [0, 0.5, 1]
    assert smoothstep(0.2) + smoothstep(0.8) == pytest.approx(1)
