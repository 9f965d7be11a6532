"""The record beside a finished file of where every shot in it comes from (docs/provenance.md).

Only what is known is written, in one fixed order and without the time of writing: the same film
gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from pipeline.files import write_whole
from pipeline.finishing.disclosure import Disclosure
from pipeline.timecode import timecode

FORMAT = 1
_SUFFIX = ".provenance.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUsed:
    """A file by its name as the manifest or the film's folder has it, and its SHA-256."""

    name: str
    sha256: str


class MaterialKind(StrEnum):
    """What a file that is no clip is for."""

    TITLE_CARD = "title-card"
    END_CARD = "end-card"
    FONT = "font"
    LOGO = "logo"
    MUSIC = "music"
    VOICE_OVER = "voice-over"
    CAPTIONS = "captions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A file other than a clip that is seen or heard in the film."""

    kind: MaterialKind
    file: FileUsed


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotUsed:
    """One shot as the finished file has it.

    ``first_frame`` and ``frames`` of that file, overlaps included; ``created`` when the task was
    accepted, UTC, ISO 8601; ``references`` in the order of the prompt's ``@image1``; ``seed``
    None: not known; ``is_paid`` whether real money was spent on it.
    """

    shot_id: str
    first_frame: int
    frames: int
    clip: FileUsed
    provider: str
    model: str
    task_id: str
    prompt: str
    created: str
    is_paid: bool
    references: tuple[FileUsed, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """All that one finished file is made of; ``shots`` in the order that they are seen."""

    file: FileUsed
    frame_rate: Fraction
    frames: int
    disclosure: Disclosure
    shots: tuple[ShotUsed, ...]
    materials: tuple[Material, ...] = ()


def provenance_path(file: Path) -> Path:
    """Where the record of a finished file lies: ``film.mp4.provenance.json`` beside it."""
    return file.with_name(f"{file.name}{_SUFFIX}")


def write_provenance(file: Path, provenance: Provenance) -> Path:
    """Write the record beside the file that it is of, whole or not at all; returns its path.

    Raises:
        StorageError: the disk would not take it.
    """
    path = provenance_path(file)
    write_whole(path, build_provenance(provenance))
    return path


def build_provenance(provenance: Provenance) -> str:
    """The record as JSON text."""
    rate, disclosure = provenance.frame_rate, provenance.disclosure
    record = {
        "format": FORMAT,
        "file": _file(provenance.file),
        "title": disclosure.title,
        "statement": disclosure.statement,
        "digital_source_type": disclosure.source_type.uri,
        "frame_rate": str(rate),
        "frames": provenance.frames,
        "shots": [_shot(shot, rate) for shot in provenance.shots],
        "materials": [
            {"kind": material.kind.value, **_file(material.file)}
            for material in provenance.materials
        ],
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _shot(shot: ShotUsed, rate: Fraction) -> dict[str, object]:
    return {
        "shot": shot.shot_id,
        "in": timecode(shot.first_frame, rate),
        "out": timecode(shot.first_frame + shot.frames, rate),
        "first_frame": shot.first_frame,
        "frames": shot.frames,
        "clip": _file(shot.clip),
        "provider": shot.provider,
        "model": shot.model,
        "task_id": shot.task_id,
        "created": shot.created,
        "paid": shot.is_paid,
        "seed": shot.seed,
        "prompt": shot.prompt,
        "references": _files(shot.references),
    }


def _file(file: FileUsed) -> dict[str, str]:
    return {"name": file.name, "sha256": file.sha256}


def _files(files: Iterable[FileUsed]) -> list[dict[str, str]]:
    return [_file(file) for file in files]
