"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from pipeline.errors import ExitCode, StorageError
from pipeline.files import file_sha256, make_folder, sync_folder, write_whole


def test_text_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for text in ("first, and longer\n", "second: ä 光\n"):
        write_whole(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_old_file_is_untouched_when_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    write_whole(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        write_whole(path, "new")
    assert caught.value.exit_code is ExitCode.IO_ERROR
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "cure"),
    [(errno.ENOSPC, "free some"), (errno.EACCES, "who may write"), (errno.EROFS, "who may write")],
)
def test_the_cure_is_one_for_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, cure: str
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError) as caught:
        write_whole(tmp_path / "run.json", "new")
    assert cure in caught.value.hint


def test_bytes_are_synced_before_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    seen: list[tuple[str, bool]] = []
    really = os.fsync

    def note(descriptor: int) -> None:
        seen.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), path.exists()))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_whole(path, "text")
    assert seen == [(str(tmp_path / ".run.json.part"), False), (str(tmp_path), True)]


def test_lone_surrogate_is_written_as_its_escape(tmp_path: Path) -> None:
    write_whole(tmp_path / "run.json", "a\ud800b")
    assert (tmp_path / "run.json").read_text() == "a\\ud800b"


def test_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(StorageError):
            write_whole(place / "run.json", "text")
    with pytest.raises(OSError, match="No such file"):
        sync_folder(tmp_path / "missing")


def test_digest_is_of_all_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8000
    (tmp_path / "clip").write_bytes(content)
    assert file_sha256(tmp_path / "clip") == hashlib.sha256(content).hexdigest()


def test_folder_and_those_above_it_are_safe_from_a_power_cut_once_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    really = os.fsync

    def note(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.chdir(tmp_path)
    make_folder(Path("out/loop/clips"))
    assert synced == [str(tmp_path), str(tmp_path / "out"), str(tmp_path / "out/loop")]
    # Whoever made it may have died before it was safe.
    make_folder(tmp_path / "out" / "loop")
    assert synced[3:] == [str(tmp_path / "out")]


def test_folder_is_made_below_one_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    make_folder(tmp_path / "out")
    monkeypatch.undo()
    assert (tmp_path / "out").is_dir()
