"""How the camera moves over a still: which move, and where it looks at any moment. Pure.

A pose is relative (zoom, and -1..1 of the room that is left), so that it can never look past the
edge of a picture, whatever its shape.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from pipeline.sandbox.planes import Box


class Kind(StrEnum):
    """The moves that a camera assistant would name."""

    PUSH_IN = "push in"
    PULL_OUT = "pull out"
    PAN_LEFT = "pan left"
    PAN_RIGHT = "pan right"
    TILT_UP = "tilt up"
    TILT_DOWN = "tilt down"


_ZOOMS = (Kind.PUSH_IN, Kind.PULL_OUT)
_PANS = (Kind.PAN_LEFT, Kind.PAN_RIGHT)
_TILTS = (Kind.TILT_UP, Kind.TILT_DOWN)

# Slow enough to be read as calm: growth of the picture, and frame widths or heights, per second.
_ZOOM_PER_S = 0.022
_PAN_PER_S = 0.028
MAX_ZOOM = 1.13
_LEAST_ZOOM = 1.05
_PAN_ZOOM = 1.10
# A pan starts and ends a little inside the picture, and people's heads are in its upper half.
_PAN_REACH = 0.92
_LOOK_UP = -0.25
# Spare picture, as a share of the frame, from which a move along that side is worth it.
_WORTH_A_PAN = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where the camera looks.

    ``zoom`` 1 shows the largest frame-shaped part of the picture, 2 a quarter of that; ``x`` and
    ``y`` share out the room left over: -1 at the left or top edge, 0 in the middle, 1 at the end.
    """

    zoom: float
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A move from one pose to another that starts and ends at rest."""

    kind: Kind
    start: Pose
    end: Pose

    def at(self, progress: float) -> Pose:
        """The pose at ``progress`` 0..1 of the time; zoom grows by equal factors."""
        share = smoothstep(progress)
        return Pose(
            zoom=self.start.zoom * (self.end.zoom / self.start.zoom) ** share,
            x=self.start.x + (self.end.x - self.start.x) * share,
            y=self.start.y + (self.end.y - self.start.y) * share,
        )


def smoothstep(progress: float) -> float:
    """Ease 0..1 so that speed is zero at both ends."""
    return progress * progress * (3 - 2 * progress)


def view_box(pose: Pose, plate: tuple[int, int], frame: tuple[int, int]) -> Box:
    """The part of a plate (pixels, fractions kept) that a pose shows, in the frame's shape."""
    scale = min(plate[0] / frame[0], plate[1] / frame[1]) / pose.zoom
    width, height = frame[0] * scale, frame[1] * scale
    left = (plate[0] - width) * (1 + pose.x) / 2
    top = (plate[1] - height) * (1 + pose.y) / 2
    # The sums above can pass the edge by a rounding error, which a resampler refuses.
    return (
        max(left, 0.0),
        max(top, 0.0),
        min(left + width, float(plate[0])),
        min(top + height, float(plate[1])),
    )


def choose_moves(
    seed: bytes, seconds_each: float, spare: tuple[tuple[float, float], ...]
) -> tuple[Move, ...]:
    """One move per picture: by content, the same every time, never one kind twice in a row.

    Args:
        seed: what the choice depends on.
        seconds_each: how long each picture is seen.
        spare: per picture, what is left beside the frame, in frame widths and heights (0: none).
    """
    moves: list[Move] = []
    for index, room in enumerate(spare):
        dice = hashlib.sha256(seed + index.to_bytes(2, "big")).digest()
        kinds = [kind for kind in _candidates(room) if not moves or kind is not moves[-1].kind]
        kind = kinds[int.from_bytes(dice[:4], "big") % len(kinds)]
        moves.append(_build(kind, seconds_each, room, sway=dice[4] / 127.5 - 1))
    return tuple(moves)


def _candidates(room: tuple[float, float]) -> tuple[Kind, ...]:
    if room[0] >= _WORTH_A_PAN:
        return (*_PANS, *_PANS, *_ZOOMS)
    if room[1] >= _WORTH_A_PAN:
        return (*_TILTS, *_TILTS, *_ZOOMS)
    return (*_ZOOMS, *_ZOOMS, *_PANS, *_TILTS)


def _build(kind: Kind, seconds: float, room: tuple[float, float], *, sway: float) -> Move:
    rest_y = _LOOK_UP if room[1] >= _WORTH_A_PAN else 0.0
    if kind in _ZOOMS:
        near = min(max(1 + _ZOOM_PER_S * seconds, _LEAST_ZOOM), MAX_ZOOM)
        wide = Pose(zoom=1.0, x=0.0, y=rest_y)
        tight = Pose(zoom=near, x=0.5 * sway, y=rest_y * 1.2)
        ends = (wide, tight) if kind is Kind.PUSH_IN else (tight, wide)
        return Move(kind=kind, start=ends[0], end=ends[1])
    axis = 0 if kind in _PANS else 1
    zoom = 1.02 if room[axis] >= _WORTH_A_PAN else _PAN_ZOOM
    travel = (1 + room[axis]) * zoom - 1
    reach = min(_PAN_REACH, _PAN_PER_S * seconds / travel)
    signed = reach if kind in (Kind.PAN_RIGHT, Kind.TILT_DOWN) else -reach
    if axis == 0:
        start, end = (
            Pose(zoom=zoom, x=-signed, y=rest_y),
            Pose(zoom=zoom, x=signed, y=rest_y),
        )
    else:
        # A tilt that does not use all the room stays in the upper part of it.
        centre = rest_y * (1 - reach)
        start, end = (
            Pose(zoom=zoom, x=0.0, y=centre - signed),
            Pose(zoom=zoom, x=0.0, y=centre + signed),
        )
    return Move(kind=kind, start=start, end=end)
