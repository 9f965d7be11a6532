"""What the pictures of a deliverable are made of, and the frame that they come into: values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pipeline.film.spec import Fit, Focus, Profile
from pipeline.media.probe import VideoInfo
from pipeline.model import Container


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A part that does not move: a PNG of the deliverable's own width and height, no alpha."""

    path: Path


_CENTER = Focus()


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """A part that is a clip: shown from ``in_s`` seconds on, ``focus`` kept where it is cropped.

    ``sha256`` of the file's bytes, in hexadecimal.
    """

    path: Path
    container: Container
    video: VideoInfo
    sha256: str
    in_s: Fraction = Fraction(0)
    focus: Focus = _CENTER


Source = Still | Footage


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A picture over the film from ``first_frame`` up to ``end_frame``: a PNG of the deliverable's
    own width and height whose alpha lets the rest through. Frames count from the film's first."""

    path: Path
    first_frame: int
    end_frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The one raster, rate and coding of a deliverable; even pixels, ``background`` ``#rrggbb``."""

    width_px: int
    height_px: int
    frame_rate: Fraction
    fit: Fit = Fit.CROP
    background: str = "#000000"
    profile: Profile = Profile.WEB


@dataclass(frozen=True, slots=True, kw_only=True)
class Fades:
    """Frames of black that the film comes out of, and goes into, at its two ends; ``first_frame``
    is the one that it begins with, after a slate."""

    in_frames: int = 0
    first_frame: int = 0
    out_frames: int = 0
