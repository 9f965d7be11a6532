"""What was measured and made before, kept beside the cache so that it is not done again.

Everything is found by content: a file's hash and all that its measurement or making depended on.
A record that cannot be read is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.files import write_whole
from pipeline.finishing.measurements import ColorTags, Measurements, SoundMeasured, Stretch
from pipeline.model import Container

# Counts up whenever what is measured, or how it is kept, changes.
_FORMAT = 1


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
        StorageError: the disk would not take it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(asdict(measured), default=str) + "\n")


def recall(path: Path) -> Measurements | None:
    """What was kept; None where there is nothing that can be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
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
