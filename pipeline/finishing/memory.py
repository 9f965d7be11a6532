"""What was measured and made before, kept beside the cache so that it is not done again.

Everything is found by content: a file's hash and all that its measurement or making depended on.
A record ends in the hash of itself and of its name: one that cannot be read, was altered, or is of
something else is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.errors import CannotWrite
from pipeline.files import write_whole
from pipeline.finishing.measurements import ColorTags, Measurements, SoundMeasured, Stretch
from pipeline.model import Container

# Counts up whenever what is measured, or how it is kept, changes.
_FORMAT = 2


def key_of(*parts: object) -> str:
    """An identity of values that print alike where they are alike."""
    text = json.dumps([_FORMAT, *parts], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def record_path(cache_dir: Path, key: str) -> Path:
    """Where the record of this key lies."""
    return cache_dir / "measured" / f"{key[:32]}.json"


def remember(path: Path, measured: Measurements) -> None:
    """Keep what a file measures.

    Raises:
        StorageError, CannotWrite: the disk or its folder would not take it.
    """
    _write(path, json.dumps(asdict(measured), default=str))


def recall(path: Path) -> Measurements | None:
    """What was kept; None where there is nothing that can be read."""
    try:
        record = _read(path)
        sound = record.pop("sound")
        return Measurements(
            **record
            | {
                "container": Container(record["container"]),
                "color": ColorTags(**record["color"]),
                "sample_aspect": Fraction(record["sample_aspect"]),
                "frame_rate": Fraction(record["frame_rate"]),
                "duration_s": Fraction(record["duration_s"]),
                "black": _stretches(record["black"]),
                "frozen": _stretches(record["frozen"]),
            },
            sound=None if sound is None else _sound(sound),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError):
        return None


def made_path(cache_dir: Path, file: str) -> Path:
    """Where it is noted how a finished file was made; ``file`` from the storyboard's folder."""
    # A deliverable may be called as the master is; it lies in another folder.
    return cache_dir / "made" / f"{key_of(file)[:32]}.json"


def note_made(path: Path, record: Mapping[str, Any]) -> None:
    """Keep how a file was made.

    Raises:
        StorageError, CannotWrite: the disk or its folder would not take it.
    """
    _write(path, json.dumps(record))


def read_made(path: Path) -> dict[str, Any]:
    """What was noted when a file was made; empty where nothing can be read."""
    try:
        record = _read(path)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise CannotWrite(f"cannot make the folder {path.parent}: {exc.strerror}") from exc
    write_whole(path, f"{text}\n{_seal(path, text)}\n")


def _read(path: Path) -> Any:
    """The data of a record.

    Raises:
        OSError, ValueError: it cannot be read, or was not written under this name as it is.
    """
    text, _, seal = path.read_text(encoding="utf-8").rstrip("\n").rpartition("\n")
    if seal != _seal(path, text):
        raise ValueError(f"{path.name} is not as it was written")
    return json.loads(text)


def _seal(path: Path, text: str) -> str:
    return hashlib.sha256(f"{path.stem}\n{text}".encode()).hexdigest()


def _sound(record: Mapping[str, Any]) -> SoundMeasured:
    return SoundMeasured(
        **dict(record)
        | {
            "starts_late_s": Fraction(record["starts_late_s"]),
            "ends_late_s": Fraction(record["ends_late_s"]),
            "silent": _stretches(record["silent"]),
        }
    )


def _stretches(records: Sequence[Mapping[str, str]]) -> tuple[Stretch, ...]:
    return tuple(
        Stretch(start_s=Fraction(each["start_s"]), end_s=Fraction(each["end_s"]))
        for each in records
    )
