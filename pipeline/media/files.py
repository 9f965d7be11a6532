"""Media files on disk: their hash, and how a finished one takes its place."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pipeline.errors import FileMissing


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal.

    Raises:
        FileMissing: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise FileMissing(f"cannot read {path}: {exc.strerror}") from exc


def publish(part: Path, destination: Path) -> None:
    """Give a finished file its name, so that after a power loss it is there whole or not at all.

    Both lie on one file system; a file of that name is replaced.
    """
    _sync(part, os.O_RDWR)
    part.replace(destination)
    _sync(destination.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
