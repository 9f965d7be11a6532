"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from pipeline.errors import StorageError


def write_whole(path: Path, text: str) -> None:
    """Replace a text file in one step that survives a power cut.

    Raises:
        StorageError: the disk would not take it; the old file, if any, is untouched.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        # A lone surrogate in a server's words must not cost the whole file; as an escape it is
        # still valid JSON.
        with temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as exc:
        with suppress(OSError):
            temporary.unlink()
        raise StorageError(
            f"cannot write {path}: {exc.strerror or exc}", hint=cure_of(exc)
        ) from exc


def cure_of(exc: OSError) -> str:
    """What somebody can do whose file could not be written."""
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "check who may write to its folder"
    return "free some disk space"


def set_aside(path: Path, aside: Path) -> bool:
    """Give a file another name in its folder; False where there is none.

    Raises:
        StorageError: it cannot be renamed.
    """
    try:
        path.replace(aside)
        sync_folder(path.parent)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise StorageError(f"cannot rename {path}: {exc.strerror or exc}") from exc
    return True


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that a power cut does not take them back.

    Raises:
        OSError: it cannot be made.
    """
    made, above = [folder], folder.absolute().parent
    while not above.exists():
        made.append(above)
        above = above.parent
    folder.mkdir(parents=True, exist_ok=True)
    # A synced file is safe only in a folder whose own name is: a run that died before it came
    # here may have left one that is not.
    for each in reversed(made):
        # What may be written to but not read cannot be synced by name.
        with suppress(PermissionError):
            sync_folder(each.absolute().parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
