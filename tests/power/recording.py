"""Run the real command once and keep all that matters: its calls to the disk, in order, and what
the provider's books said at each moment.

The provider does not lose power. Its books are copied after every change, with the time, so that
a replay can have the provider in the state it had when the power went.
"""

from __future__ import annotations

import copy
import functools
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kill.stage import WIDE, Stage, environment, provider, start
from power.books import Books, watched_books
from power.disk import Call, Disk, Kind

_SOURCE = Path(__file__).with_name("recorder.c")
_LAUNCHER = Path(__file__).with_name("launcher.py")
_MAGIC = 0x52574F50
_HEAD = struct.Struct("=IIQQQQqIIII")
RUN_LIMIT_S = 120.0
# Below those that the kernel hands out by itself, so that nobody takes one while it is not in use.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one worker plays: the disk, the provider's files, the address, what is said.

    All runs of a place use the same paths and the same address: the account is told by it.
    """

    folder: Path
    port: int

    @property
    def disk(self) -> Path:
        """The folder that the command works in; all of it is recorded."""
        return self.folder / "disk"

    @property
    def provider(self) -> Path:
        """The sandbox's folder."""
        return self.folder / "provider"

    @property
    def log(self) -> Path:
        """What the command said last."""
        return self.folder / "run.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One run: the disk before it, its calls, the provider's books, how it ended.

    ``files``: the provider's uploads and clips; they never change once they are there.
    """

    before: Disk
    calls: tuple[Call, ...]
    books: tuple[Books, ...]
    files: Path
    exit_code: int | None

    def disk_after(self, calls: int) -> Disk:
        """The disk when so many calls had returned; to be looked at only."""
        disk = copy.deepcopy(self.before)
        for call in self.calls[:calls]:
            disk.apply(call)
        return disk

    def books_between(self, calls: int) -> tuple[Books, ...]:
        """What the provider's books may say when the power goes after so many calls: they may
        go on changing until the next call."""
        begin_ns = self.calls[calls - 1].at_ns if calls else 0
        late = self.calls[calls].at_ns if calls < len(self.calls) else sys.maxsize
        earlier = [books for books in self.books if books.at_ns <= begin_ns]
        later = [books for books in self.books if begin_ns < books.at_ns <= late]
        return (*earlier[-1:], *later)


@functools.cache
def why_not() -> str:
    """Why nothing can be recorded here; empty where it can."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return "calls to the disk are only recorded on 64-bit Linux"
    return "" if _compiler() else "there is no C compiler, which the recorder is built with"


def build_recorder(folder: Path) -> Path:
    """The library that records, compiled into a folder."""
    library = folder / "recorder.so"
    words = [*_compiler(), "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-lpthread"]
    subprocess.run(words, check=True, timeout=RUN_LIMIT_S)
    return library


def recording_env(recorder: Path, root: Path, log: Path) -> dict[str, str]:
    """What a program's environment needs for its calls below ``root`` to be recorded."""
    return {"LD_PRELOAD": str(recorder), "POWER_ROOT": str(root.resolve()), "POWER_LOG": str(log)}


def find_place(folder: Path) -> Place:
    """A new place with a port that is free."""
    (folder / "disk").mkdir(parents=True)
    # Others look for ports at the same time.
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return Place(folder=folder.resolve(), port=port)
    raise AssertionError("no port is free")


def play(
    stage: Stage, place: Place, *, env: Mapping[str, str] | None = None, broken: str = ""
) -> tuple[int | None, dict[str, Any]]:
    """Run the command in a place as it is; its exit code (None: it hung) and the provider's record.

    Args:
        env: more for the command's environment.
        broken: one of ``launcher.BREAKS``.
    """
    with provider(
        stage, WIDE, state=place.provider, port=place.port, latency_s=(0.05, 0.3)
    ) as server:
        environ = environment(WIDE, server.base_url, place.disk) | {
            "PYTHONDONTWRITEBYTECODE": "1",
            **(env or {}),
        }
        begin = [str(_LAUNCHER), broken, "--"] if broken else ["-m", "pipeline"]
        words = [sys.executable, *begin, "run", "--provider", "wavespeed"]
        words += ["--out", str(place.disk / "out"), "--max-cost", str(stage.price_usd)]
        process = start([*words, str(stage.manifest)], environ, place.log)
        try:
            code: int | None = process.wait(RUN_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        return code, server.record()


def record(
    stage: Stage, place: Place, recorder: Path, keep: Path, *, broken: str = ""
) -> tuple[Recording, dict[str, Any]]:
    """The same, recorded.

    Args:
        keep: new folder for what replays need.
    Returns:
        The recording, and the provider's record at its end.
    """
    keep.mkdir()
    log = keep / "calls.log"
    env = recording_env(recorder, place.disk, log)
    before = Disk(place.disk)
    with watched_books(place.provider) as books:
        code, found = play(stage, place, env=env, broken=broken)
    shutil.copytree(place.provider, keep / "files", ignore=shutil.ignore_patterns("sandbox.*"))
    calls = tuple(read_calls(log))
    assert calls, f"nothing was recorded: {place.log.read_text(errors='replace')[-2000:]}"
    recording = Recording(
        before=before, calls=calls, books=tuple(books), files=keep / "files", exit_code=code
    )
    return recording, found


def restore_provider(recording: Recording, books: Books, place: Place) -> None:
    """Put the provider's folder back to what it was."""
    shutil.rmtree(place.provider, ignore_errors=True)
    shutil.copytree(recording.files, place.provider, copy_function=os.link)
    (place.provider / "sandbox.sqlite3").write_bytes(books.database)


def read_calls(log: Path) -> Iterator[Call]:
    """The records of ``recorder.c``, in order."""
    data = log.read_bytes()
    at = 0
    while at < len(data):
        head = _HEAD.unpack_from(data, at)
        magic, kind, at_ns, inode, folder, folder2, offset, *lengths, _unused = head
        assert magic == _MAGIC, "the log of calls is torn"
        at += _HEAD.size
        parts = []
        for length in lengths:
            parts.append(data[at : at + length])
            at += length
        yield Call(
            kind=Kind(kind),
            at_ns=at_ns,
            inode=inode,
            folder=folder,
            folder2=folder2,
            offset=offset,
            name=os.fsdecode(parts[0]),
            name2=os.fsdecode(parts[1]),
            data=parts[2],
        )


def _compiler() -> Sequence[str]:
    """A C compiler: the system's, else the one that this Python was built with."""
    for words in (["cc"], ["gcc"], ["clang"], (sysconfig.get_config_var("CC") or "").split()):
        if words and shutil.which(words[0]):
            return words
    return []
