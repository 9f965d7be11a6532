"""The model of a disk: what a power cut leaves of what was written, synced and named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from power.disk import SECTOR_BYTES, Call, Disk, Kind, Loss, Symlink, Tree, write_tree
from power.recording import build_recorder, read_calls, recording_env, why_not

# Every way of changing a folder that Python has, and how much of it is synced.
_CHANGES = """
import os, shutil, sqlite3, sys
os.chdir(sys.argv[1])
open("was there", "wb").write(b"other")
with open("was there", "wb") as file:
    file.write(b"longer than before")
    file.flush()
    os.fsync(file.fileno())
os.makedirs("a/b")
with open("a/one", "wb") as file:
    file.write(b"x" * 3000)
    file.flush()
    os.fsync(file.fileno())
    file.seek(100)
    file.write(b"y" * 10)
with open("a/one", "ab") as file:
    file.write(b"z" * 700)
fd = os.open("a/two", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"far", 5000)
os.ftruncate(fd, 5001)
os.writev(fd, [b"", b"first", b"second"])
os.close(fd)
os.truncate("a/one", 3500)
shutil.copyfile("a/one", "a/b/copy")
os.link("a/one", "a/b/linked")
os.symlink("../one", "a/b/symbolic")
os.replace("a/two", "a/one")
os.rename("a/b/copy", "a/moved")
here = os.open("a", os.O_RDONLY)
os.rename("moved", "moved again", src_dir_fd=here, dst_dir_fd=here)
os.mkdir("below", dir_fd=here)
os.rmdir("below", dir_fd=here)
os.fsync(here)
open("a/gone", "w").close()
os.unlink("a/gone")
open("a/one", "r+b").close()
open("a/b/linked", "wb").close()
with sqlite3.connect("a/base") as db:
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (x)")
db.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 50)
db.commit()
db.close()
"""


def call(kind: Kind, inode: int, folder: int = 0, name: str = "", **more: object) -> Call:
    given = {"at_ns": 0, "folder2": 0, "offset": 0, "name2": "", "data": b""} | more
    return Call(kind=kind, inode=inode, folder=folder, name=name, **given)  # type: ignore[arg-type]


def recorded(script: str, root: Path, folder: Path) -> list[Call]:
    """The calls of a Python program that is given the root."""
    log = folder / "log"
    env = recording_env(build_recorder(folder), root, log)
    command = [sys.executable, "-S", "-c", script, str(root)]
    subprocess.run(command, env=os.environ | env, check=True, timeout=60)
    return list(read_calls(log))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    return made


def after(root: Path, *calls: Call) -> Disk:
    disk = Disk(root)
    for one in calls:
        disk.apply(one)
    return disk


def survivors(disk: Disk) -> list[Tree]:
    return [disk.left(Loss.SOME, seed=seed) for seed in range(40)]


def test_bytes_are_safe_once_the_file_is_synced_and_names_once_the_folder_is(root: Path) -> None:
    top = root.stat().st_ino
    steps = [
        call(Kind.CREATE, 2, top, "f"),
        call(Kind.WRITE, 2, data=b"old"),
        call(Kind.SYNC, 2),
        call(Kind.SYNC, top),
        call(Kind.WRITE, 2, data=b"new"),
    ]
    kept = [after(root, *steps[:n]).left(Loss.ALL) for n in range(len(steps) + 1)]
    assert kept == [{}, {}, {}, {}, {"f": b"old"}, {"f": b"old"}]
    assert after(root, *steps).left(Loss.NOTHING) == {"f": b"new"}
    assert after(root, steps[0], steps[3]).left(Loss.ALL) == {"f": b""}


def test_synced_file_is_lost_with_a_folder_whose_own_name_was_not_safe(root: Path) -> None:
    top = root.stat().st_ino
    steps = [
        call(Kind.MKDIR, 2, top, "d"),
        call(Kind.CREATE, 3, 2, "f"),
        call(Kind.SYNC, 3),
        call(Kind.SYNC, 2),
    ]
    assert after(root, *steps).left(Loss.ALL) == {}
    assert after(root, *steps, call(Kind.SYNC, top)).left(Loss.ALL) == {"d": None, "d/f": b""}


def test_rename_happens_wholly_or_not_at_all(root: Path) -> None:
    (root / "new").write_bytes(b"1")
    (root / "old").write_bytes(b"2")
    top, inode = root.stat().st_ino, (root / "old").stat().st_ino
    disk = after(root, call(Kind.RENAME, inode, top, "old", folder2=top, name2="new"))
    assert disk.left(Loss.ALL) == {"new": b"1", "old": b"2"}
    assert disk.left(Loss.NOTHING) == {"new": b"2"}
    found = survivors(disk)
    assert {"new": b"2"} in found
    assert {"new": b"1", "old": b"2"} in found
    assert len({str(tree) for tree in found}) == 2


def test_each_sector_survives_by_itself_and_the_length_always(root: Path) -> None:
    (root / "f").write_bytes(b"o" * SECTOR_BYTES)
    inode = (root / "f").stat().st_ino
    disk = after(root, call(Kind.WRITE, inode, offset=0, data=b"n" * 3 * SECTOR_BYTES))
    found = {bytes(tree["f"]) for tree in survivors(disk) if isinstance(tree["f"], bytes)}
    assert {len(content) for content in found} == {3 * SECTOR_BYTES}
    sectors = [{content[at] for content in found} for at in (0, SECTOR_BYTES, 2 * SECTOR_BYTES)]
    assert sectors == [set(b"on"), set(b"\0n"), set(b"\0n")]
    synced = after(root, call(Kind.WRITE, inode, data=b"new"), call(Kind.SYNC, inode))
    assert len({str(tree) for tree in survivors(synced)}) == 1


def test_removal_that_was_not_synced_may_come_to_nothing(root: Path) -> None:
    (root / "f").write_bytes(b"x")
    top, inode = root.stat().st_ino, (root / "f").stat().st_ino
    disk = after(root, call(Kind.UNLINK, inode, top, "f"))
    assert (disk.left(Loss.ALL), disk.left(Loss.NOTHING)) == ({"f": b"x"}, {})
    # The number goes to the next file, which is another one.
    disk.apply(call(Kind.CREATE, inode, top, "g"))
    assert disk.left(Loss.NOTHING) == {"g": b""}


def test_tree_is_put_in_place_of_what_is_there(root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "old").write_text("old")
    (root / "away").symlink_to("d")
    tree: Tree = {"d": None, "d/f": b"new", "l": Symlink("d/f")}
    write_tree(tree, root)
    assert Disk(root).left(Loss.ALL) == tree


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "can be recorded here")
def test_recorder_misses_no_way_of_changing_a_folder(root: Path, tmp_path: Path) -> None:
    (root / "was there").write_bytes(b"before")
    disk = Disk(root)
    calls = recorded(_CHANGES, root, tmp_path)
    for one in calls:
        disk.apply(one)
    assert disk.left(Loss.NOTHING) == Disk(root).left(Loss.NOTHING)
    assert disk.left(Loss.ALL)["was there"] == b"longer than before"
    assert {one.kind for one in calls} == set(Kind)


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "can be recorded here")
def test_file_of_another_program_is_unsafe_until_it_is_synced_here(
    root: Path, tmp_path: Path
) -> None:
    script = (
        "import os, subprocess, sys; os.chdir(sys.argv[1])\n"
        "def write(name): subprocess.run(['sh', '-c', f'echo hello > {name}'], env={})\n"
        "write('a'); os.rename('a', 'b')\n"
        "write('c'); fd = os.open('c', os.O_RDWR); os.fsync(fd); os.rename('c', 'd')\n"
        "os.fsync(os.open('.', os.O_RDONLY))\n"
    )
    disk = Disk(root)
    for one in recorded(script, root, tmp_path):
        disk.apply(one)
    assert disk.left(Loss.NOTHING) == {"b": b"hello\n", "d": b"hello\n"}
    assert disk.left(Loss.ALL) == {"b": b"", "d": b"hello\n"}
