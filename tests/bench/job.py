"""One film to be made by each contestant, as a file: what goes in and what must come out.

Standard library only, for every contestant reads it, also the one with other packages.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILM_NAME = "film.mp4"
SAMPLE_RATE_HZ = 48_000
# The same encoder settings for all: those of the profile ``web``.
CRF = 18
PRESET = "veryfast"
SOUND_BITS = "192k"
TITLE = "Bench"
# How the finished film sounds and where its logo stands, in the manifest's words.
MUSIC_DB = -8
DUCK_DB = 8
LOUDNESS_LUFS = -14
PEAK_DBTP = -1
LOGO_WIDTH = 0.12
LOGO_MARGIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A clip: ``frames`` at the job's rate that it fills; whether its file has sound."""

    path: str
    frames: int
    has_sound: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What makes a delivered film of a join: dissolves, music, logo, loudness, a card at the end
    after a hard cut. Lengths in frames; names are paths."""

    overlap_frames: int
    music: str
    logo: str
    card: str
    card_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A film of N clips, in order, at ``rate`` frames a second (whole) and one raster.

    ``is_uniform``: all clips have that raster and rate already. ``extras`` None: clips end to end.
    """

    ffmpeg: str
    clips: tuple[Input, ...]
    width_px: int
    height_px: int
    rate: int
    is_uniform: bool
    extras: Extras | None = None

    @property
    def total_frames(self) -> int:
        """Length of the film; overlaps count once."""
        frames = sum(clip.frames for clip in self.clips)
        if self.extras is None:
            return frames
        shared = self.extras.overlap_frames * (len(self.clips) - 1)
        return frames - shared + self.extras.card_frames

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_job(path: Path) -> Job:
    """What ``Job.write`` wrote."""
    data = json.loads(path.read_text(encoding="utf-8"))
    clips = tuple(Input(**clip) for clip in data.pop("clips"))
    extras = data.pop("extras")
    return Job(clips=clips, extras=Extras(**extras) if extras else None, **data)
