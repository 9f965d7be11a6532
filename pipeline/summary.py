"""What is written beside a film for machines to read (``run.json``), and read back by a later run.

The file is written whole or not at all. Amounts are text, so that no reader makes floats of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.capabilities import is_free
from pipeline.errors import ExitCode
from pipeline.files import file_sha256, write_whole
from pipeline.film.profiles import ENCODINGS
from pipeline.ledger import FREE, Attempt, Ledger
from pipeline.planning import Plan, choose_clip, current_takes
from pipeline.pricing import Estimate, usd_text

CLIPS_FOLDER = "clips"
FILM_NAME = "film.mp4"
SUMMARY_NAME = "run.json"
_STATES = {
    ExitCode.DONE: "done",
    ExitCode.SHOT_FAILED: "failed",
    ExitCode.IN_DOUBT: "in doubt",
    ExitCode.OVER_BUDGET: "over budget",
    ExitCode.TRY_LATER: "try later",
    ExitCode.SIGINT: "interrupted",
    ExitCode.SIGTERM: "interrupted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmRecord:
    """The finished film as ``run.json`` keeps it.

    ``path`` from the storyboard's folder; ``key`` identifies what went into it; ``copied`` whether
    its picture is the clips' own, never re-encoded; ``frame_rate`` exact, as text. ``files`` what
    lies beside it, each path with its sha256. ``deliverables``
    every other file that was made of the cut, as data: what it is, and under ``files`` its path
    and those of what lies beside it, each with its sha256.
    """

    key: str
    sha256: str
    duration_s: float
    frames: int
    frame_rate: str
    width_px: int
    height_px: int
    copied: bool
    path: str = FILM_NAME
    files: Mapping[str, str] = field(default_factory=dict)
    deliverables: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeResult:
    """How the work on one take ended in this run; DONE means that nothing is left to do."""

    slate: str
    shot_id: str
    exit_code: ExitCode
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended for one storyboard; ``film`` None where there is none.

    ``is_film_refused``: every take came home, and only the film of them did not pass.
    """

    plan: Plan
    ledger: Ledger
    folder: Path
    exit_code: ExitCode
    takes: tuple[TakeResult, ...] = ()
    film: FilmRecord | None = None
    message: str = ""
    is_film_refused: bool = False


def summarise(outcome: Outcome, estimate: Estimate, provider: str) -> dict[str, Any]:
    """``run.json`` as data; ``docs/run-json.md`` explains every key."""
    plan, ledger = outcome.plan, outcome.ledger
    storyboard = plan.storyboard
    wanted = {take.shot.id: take.fingerprint for take in plan.takes}
    messages = {result.slate: result.message for result in outcome.takes if result.message}
    own = [a for a in ledger.attempts if a.provider == plan.provider]
    shots = []
    current_ids = set()
    for shot in storyboard.shots:
        takes = current_takes(shot.id, wanted[shot.id], own)
        current_ids |= {take.attempt_id for take in takes}
        chosen = choose_clip(shot, takes)
        failures = [
            result.message
            for result in outcome.takes
            if result.shot_id == shot.id and result.message
        ]
        shots.append(
            {
                "id": shot.id,
                "kind": shot.kind.value,
                "clip": _clip_path(chosen),
                "message": "; ".join(dict.fromkeys(failures)),
                "takes": [_take(take, messages) for take in takes],
            }
        )
    # One in doubt has no task id, yet its price is reserved: all that binds money is named.
    others = [a for a in ledger.attempts if a.attempt_id not in current_ids and a.state not in FREE]
    return {
        "storyboard": storyboard.name,
        "title": storyboard.title,
        "program": f"storyboard {__version__}",
        "provider": provider,
        "model": estimate.card.model,
        "state": _STATES.get(outcome.exit_code, "failed"),
        "exit_code": int(outcome.exit_code),
        "message": outcome.message,
        "money": {
            "estimate_usd": usd_text(estimate.total_usd),
            "spent_usd": usd_text(ledger.spent_usd),
            "reserved_usd": usd_text(ledger.reserved_usd),
            "refunded_usd": usd_text(ledger.refunded_usd),
            "budget_usd": _usd(storyboard.budget_usd),
            "real": not is_free(provider),
        },
        "shots": shots,
        "other_takes": [_take(take, messages) for take in others],
        "film": None if outcome.film is None else _film(outcome.film),
    }


def _film(film: FilmRecord) -> dict[str, Any]:
    return asdict(film) | {"deliverables": list(film.deliverables)}


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write ``run.json``; see ``files.write_whole``."""
    write_whole(folder / SUMMARY_NAME, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def read_film_record(folder: Path) -> FilmRecord | None:
    """The film that the last run recorded, None where there is none that can be read."""
    try:
        film = json.loads((folder / SUMMARY_NAME).read_text(encoding="utf-8"))["film"]
        known = {field.name: film[field.name] for field in fields(FilmRecord) if field.name in film}
        return FilmRecord(**known | {"deliverables": tuple(film.get("deliverables", ()))})
    except (OSError, ValueError, LookupError, TypeError):
        return None


def kept(film: FilmRecord) -> FilmRecord:
    """The same film in a run that had nothing to make."""
    return replace(film, deliverables=tuple({**each, "reused": True} for each in film.deliverables))


def film_is_current(folder: Path, key: str, record: FilmRecord | None) -> bool:
    """Whether all that was made is on disk, whole, and of exactly what ``key`` stands for."""
    if record is None or record.key != key:
        return False
    wanted = {record.path: record.sha256}
    try:
        wanted |= record.files
        for each in record.deliverables:
            wanted |= each["files"]
        return all(file_sha256(folder / path) == digest for path, digest in wanted.items())
    except (OSError, LookupError, TypeError):
        return False


def former_film(folder: Path) -> Path | None:
    """The film of an earlier run that lies in a storyboard's folder, None where there is none.

    What a run records of its film is gone once another run made none; the file stays.
    """
    suffixes = dict.fromkeys(encoding.suffix for encoding in ENCODINGS.values())
    films = (folder / Path(FILM_NAME).with_suffix(suffix) for suffix in suffixes)
    return next((film for film in films if film.is_file()), None)


def missing_clips(folder: Path, ledger: Ledger) -> frozenset[str]:
    """Attempts whose recorded clip is not on disk in its recorded size."""
    return frozenset(a.attempt_id for a in ledger.attempts if a.clip and not _is_there(folder, a))


def _is_there(folder: Path, attempt: Attempt) -> bool:
    try:
        stat = (folder / CLIPS_FOLDER / (attempt.clip or "")).stat()
    except OSError:
        return False
    return stat.st_size == attempt.clip_bytes


def _clip_path(attempt: Attempt | None) -> str | None:
    return f"{CLIPS_FOLDER}/{attempt.clip}" if attempt is not None and attempt.clip else None


def _usd(amount_usd: Decimal | None) -> str | None:
    return None if amount_usd is None else usd_text(amount_usd)


def _take(attempt: Attempt, messages: Mapping[str, str]) -> dict[str, Any]:
    return {
        "slate": attempt.slate,
        "take": attempt.take,
        "state": attempt.state.value,
        "task_id": attempt.task_id,
        "price_usd": usd_text(attempt.price_usd),
        "settled_usd": _usd(attempt.settled_usd),
        "clip": _clip_path(attempt),
        "sha256": attempt.clip_sha256,
        "reason": attempt.reason,
        "message": messages.get(attempt.slate, ""),
    }
