"""Start the real command broken on purpose: ``launcher.py NAME -- run ...``.

A proof that lets one of these pass proves nothing. No code of the program knows of any of this.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import download, fetching, files, journal
from pipeline.cli import entry


def break_journal_sync() -> None:
    """The journal's commits do not wait for the disk."""
    opened = journal._open

    def careless(path: Path, options: str) -> sqlite3.Connection:
        db = opened(path, options)
        db.execute("PRAGMA synchronous=OFF")
        return db

    journal._open = careless


def break_download_sync() -> None:
    """A clip gets its name while its bytes may still be on their way to the disk."""

    def only_flush(file: Any) -> None:
        file.flush()

    download._sync = only_flush


def break_folder_sync() -> None:
    """Names are left to the file system."""

    def nothing(folder: Path) -> None:
        del folder

    for module in (files, journal, fetching):
        module.sync_folder = nothing  # type: ignore[attr-defined]


BREAKS: dict[str, Callable[[], None]] = {
    "journal-sync": break_journal_sync,
    "download-sync": break_download_sync,
    "folder-sync": break_folder_sync,
}


def main() -> None:
    """Break what is asked for, then be the command."""
    broken, dashes, *arguments = sys.argv[1:]
    if dashes != "--":
        raise SystemExit(f"no -- before {arguments}")
    BREAKS[broken]()
    sys.argv = ["storyboard", *arguments]
    entry()


if __name__ == "__main__":
    main()
