"""Files beside a finished one that a former version of it left, and that would say untrue things.

Only what this program wrote is removed, and only as it wrote it: a file that was edited, or that
somebody put there, is nobody's but theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.files import file_sha256
from pipeline.film.naming import REFUSED
from pipeline.film.profiles import ENCODINGS
from pipeline.film.spec import CaptionFile
from pipeline.finishing import memory
from pipeline.finishing.film_report import DELIVERABLES_FOLDER, REPORT_NAME, TABLE_NAME

_CAPTIONS = frozenset(f".{kind.value}" for kind in CaptionFile)


def refused_path(target: Path) -> Path:
    """Where a file lies that was made and did not pass."""
    return target.with_name(f"{target.stem}{REFUSED}{target.suffix}")


def clear_away(folder: Path, files: Mapping[str, str]) -> None:
    """Remove files that are still what they were: each by its name in the folder, with its hash.

    Raises:
        StorageError: one cannot be removed.
    """
    for name, sha256 in files.items():
        path = folder / name
        try:
            if file_sha256(path) == sha256:
                path.unlink()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise _not_removed(path, exc) from exc


def clear_former_master(film: Path, files: Mapping[str, str], cache_dir: Path) -> None:
    """Remove what tells of a master that a plain film takes the place of: its captions, its report,
    and one that did not pass. Its deliverables stay.

    Args:
        film: the plain film, ``film.mp4`` in the storyboard's folder.
        files: what the last run recorded beside its film, each name with its hash.
    """
    folder, known = film.parent, dict(files)
    for encoding in ENCODINGS.values():
        master = film.with_suffix(encoding.suffix)
        made = memory.read_made(memory.made_path(cache_dir, master.name)).get("files")
        known |= made if isinstance(made, dict) else {}
        _remove(refused_path(master))
    captions = {name: known[name] for name in known if Path(name).suffix in _CAPTIONS}
    clear_away(folder, captions)
    for name in (REPORT_NAME, TABLE_NAME):
        _remove(folder / DELIVERABLES_FOLDER / name)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise _not_removed(path, exc) from exc


def _not_removed(path: Path, exc: OSError) -> StorageError:
    return StorageError(
        f"cannot remove {path}, which tells of an earlier film: {exc.strerror or exc}",
        hint="remove it by hand, then run again",
    )
