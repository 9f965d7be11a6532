"""The arithmetic of one film: its format, each clip's frames, and whether to copy. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from pipeline.media.commands import FilmFormat
from pipeline.media.probe import VideoInfo
from pipeline.model import Container
from pipeline.timecode import nearest_frame

_DEFAULT_RATE = Fraction(24)
_PLAYED_EVERYWHERE = ("h264", "yuv420p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What the film will be, decided before anything is made.

    ``frames`` of each clip in the film, in order. ``copied``: pictures are the clips' own, never
    encoded again.
    """

    film: FilmFormat
    frames: tuple[int, ...]
    copied: bool

    @property
    def first_frames(self) -> tuple[int, ...]:
        """Where each clip begins in the film, counted from 0."""
        return tuple(accumulate(self.frames[:-1], initial=0))

    @property
    def total_frames(self) -> int:
        """Length of the film."""
        return sum(self.frames)

    @property
    def duration_s(self) -> Fraction:
        """Length of the film in seconds."""
        return self.total_frames / self.film.frame_rate


def plan_cut(
    videos: Sequence[VideoInfo], cuts_s: Sequence[Fraction | None], *, copy: bool = True
) -> Cut:
    """Decide the film's format, the frames of each clip, and whether pictures can be copied.

    The raster is the clips' most common size and the rate their most common constant rate, the
    first on ties; 24 a second where none is constant.

    Args:
        videos: picture tracks of N clips in cut order, at least one.
        cuts_s: seconds used of each, in the same order; None: all of it.
        copy: False asks for pictures to be encoded even where they agree.
    """
    sizes = Counter((video.width_px & ~1, video.height_px & ~1) for video in videos)
    rates = Counter(video.frame_rate for video in videos if video.on_grid)
    (width_px, height_px), _ = sizes.most_common(1)[0]
    frame_rate = rates.most_common(1)[0][0] if rates else _DEFAULT_RATE
    frames = tuple(
        _frames_used(video, cut_s, frame_rate) for video, cut_s in zip(videos, cuts_s, strict=True)
    )
    whole = all(count == video.packets for count, video in zip(frames, videos, strict=True))
    agree = len({video.signature for video in videos}) == 1
    return Cut(
        film=FilmFormat(width_px=width_px, height_px=height_px, frame_rate=frame_rate),
        frames=frames,
        copied=copy and whole and agree and all(is_copyable(video) for video in videos),
    )


def is_copyable(video: VideoInfo) -> bool:
    """Whether a track can stand in a film as it is: played everywhere, whole from frame one."""
    return (
        (video.codec, video.pixel_format) == _PLAYED_EVERYWHERE
        and video.container is not Container.WEBM
        and video.width_px % 2 == video.height_px % 2 == 0
        and video.upright
        and video.on_grid
        and video.starts_with_keyframe
        and video.hidden_packets == 0
        and video.first_pts == 0
    )


def _frames_used(video: VideoInfo, cut_s: Fraction | None, frame_rate: Fraction) -> int:
    whole = max(1, nearest_frame(video.duration_s, frame_rate))
    return whole if cut_s is None else max(1, min(whole, nearest_frame(cut_s, frame_rate)))
