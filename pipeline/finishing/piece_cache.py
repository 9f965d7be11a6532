"""Pieces of deliverables on disk, by what they are made of: found again, proven, swept.

A piece lies under the hash of all that decides its bytes, beside the hash of the bytes themselves:
a probe alone does not see flipped ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ClipRejected, FileMissing
from pipeline.film.spec import Profile
from pipeline.finishing.coding import CODINGS, is_piece
from pipeline.media.files import file_sha256, publish
from pipeline.media.probe import VideoInfo, probe

_PREFIX = "piece-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a piece of ``frames`` lies, or will."""

    path: Path
    frames: int
    profile: Profile


def place_of(
    cache_dir: Path,
    *,
    recipe: Sequence[str],
    inputs_sha256: Sequence[str],
    program: bytes,
    frames: int,
    profile: Profile,
) -> Place:
    """Where a piece belongs.

    Args:
        recipe: the arguments that make it, with file names that do not depend on where or when.
        inputs_sha256: of the files that it is made of, in the order of their names.
        program: what the ffmpeg says of its version.
    """
    text = json.dumps([*inputs_sha256, "", *recipe, program.hex()])
    name = hashlib.sha256(text.encode()).hexdigest()
    suffix = CODINGS[profile].container.suffix
    return Place(path=cache_dir / f"{_PREFIX}{name}{suffix}", frames=frames, profile=profile)


def find(place: Place) -> VideoInfo | None:
    """What the piece in a place is; None where it is missing, damaged, or not what it should be."""
    try:
        if _seal(place.path).read_text(encoding="ascii") != file_sha256(place.path):
            return None
        video = probe(place.path, CODINGS[place.profile].container).video
    except (OSError, UnicodeError, FileMissing, ClipRejected):
        return None
    if video is None or not is_piece(video, place.profile, frames=place.frames):
        return None
    return video


def put(made: Path, place: Place) -> None:
    """Move a finished piece, which lies on the same file system, to its place."""
    # Whole at once: another deliverable may make the same piece, and look for it, at this moment.
    seal = made.with_name(f"{made.name}.sha256")
    seal.write_text(file_sha256(made), encoding="ascii")
    seal.replace(_seal(place.path))
    publish(made, place.path)


def sweep(cache_dir: Path, keep: Collection[Path]) -> int:
    """Remove the pieces that are not in ``keep``; returns how many. Other files stay.

    Call it when no deliverable of this cache is being made, with the pieces of all of them.
    """
    kept = {path.name for path in keep}
    removed = 0
    for path in cache_dir.glob(f"{_PREFIX}*"):
        if path.name.removesuffix(".sha256") not in kept:
            path.unlink(missing_ok=True)
            removed += path.suffix != ".sha256"
    return removed


def _seal(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
