"""A model of a disk that may lose what was not synced: fed with recorded calls, asked what is left.

POSIX promises little: the bytes of a file survive only once the file was synced, a name only once
its folder was. File systems in use promise more; what gets by here gets by on all of them.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TypeAlias

# What a disk writes at once, or not at all.
SECTOR_BYTES = 512


class Kind(IntEnum):
    """What was called, numbered as in ``recorder.c``."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    RENAME = 5
    LINK = 6
    UNLINK = 7
    MKDIR = 8
    SYMLINK = 9
    CONTENT = 10


class Loss(StrEnum):
    """What a power cut does to that which was not synced."""

    NOTHING = "nothing is lost"
    ALL = "all that was not synced is lost"
    SOME = "sectors and names that were not synced are lost by chance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One recorded call that worked.

    ``folder`` and ``folder2``: inodes of the folders of ``name`` and ``name2``. ``offset``: where
    in the file, or its new length. ``at_ns``: on the monotonic clock, when it had returned.
    """

    kind: Kind
    at_ns: int
    inode: int
    folder: int
    folder2: int
    offset: int
    name: str
    name2: str
    data: bytes


@dataclass(slots=True)
class File:
    """Its bytes as programs see them, as they are safe, and the sectors that differ."""

    content: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    unsafe_sectors: set[int] = field(default_factory=set)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes somewhere; a gap before them is zeros."""
        if offset > len(self.content):
            self.resize(offset)
        self.content[offset : offset + len(data)] = data
        self._touch(offset, offset + len(data))

    def resize(self, length: int) -> None:
        """Cut it off, or fill it up with zeros."""
        before = len(self.content)
        del self.content[length:]
        self.content.extend(bytes(length - len(self.content)))
        self._touch(min(before, length), max(before, length))

    def replace(self, data: bytes) -> None:
        """Hold these bytes; where they are held already, nothing has happened."""
        if self.content != data:
            self.resize(len(data))
            self.write(0, data)

    def sync(self) -> None:
        """All of it is safe from now on."""
        self.safe = bytes(self.content)
        self.unsafe_sectors.clear()

    def left(self, loss: Loss, chance: random.Random, share: float) -> bytes:
        """What a power cut leaves; each unsafe sector survives by ``share``, the length does."""
        if loss is Loss.NOTHING:
            return bytes(self.content)
        if loss is Loss.ALL:
            return self.safe
        length = len(self.content)
        found = bytearray(self.safe[:length].ljust(length, b"\0"))
        for sector in sorted(self.unsafe_sectors):
            if chance.random() < share:
                span = slice(sector * SECTOR_BYTES, min((sector + 1) * SECTOR_BYTES, length))
                found[span] = self.content[span]
        return bytes(found[:length])

    def _touch(self, begin: int, end: int) -> None:
        self.unsafe_sectors.update(range(begin // SECTOR_BYTES, -(-end // SECTOR_BYTES)))


@dataclass(frozen=True, slots=True)
class Symlink:
    """A name that stands for another; as safe as its own name."""

    target: str


@dataclass(slots=True)
class Folder:
    """Its names as programs see them, and those that are safe."""

    names: dict[str, Node] = field(default_factory=dict)
    safe: dict[str, Node] = field(default_factory=dict)


Node: TypeAlias = File | Folder | Symlink
# Path below the root: bytes of a file, target of a link, None for a folder. Folders come first.
Tree: TypeAlias = dict[str, bytes | Symlink | None]


@dataclass(frozen=True, slots=True)
class _Change:
    """Names set (or taken, with None) by one call; a rename sets and takes at once."""

    sets: tuple[tuple[Folder, str, Node | None], ...]


class Disk:
    """Everything below one folder. What is there when it is loaded is safe."""

    def __init__(self, root: Path) -> None:
        """Load what lies there."""
        self._nodes: dict[int, Node] = {}
        self._gone: set[int] = set()
        self._pending: list[_Change] = []
        self._root = Folder()
        self._load(root, self._root)

    def apply(self, call: Call) -> None:
        """Do what was recorded.

        Raises:
            AssertionError: the record cannot be of this disk.
        """
        match call.kind:
            case Kind.CREATE | Kind.MKDIR | Kind.SYMLINK:
                self._make(call)
            case Kind.WRITE | Kind.TRUNCATE | Kind.CONTENT | Kind.SYNC:
                self._fill(call)
            case Kind.LINK:
                self._change((self._folder(call.folder), call.name, self._nodes[call.inode]))
            case Kind.UNLINK:
                self._change((self._folder(call.folder), call.name, None))
                self._let_go(call.inode)
            case Kind.RENAME:
                self._rename(call)

    def left(self, loss: Loss, *, seed: int = 0) -> Tree:
        """What is found when the power is back."""
        # Replays, nothing secret.
        chance = random.Random(seed)
        share = chance.choice((0.1, 0.5, 0.9))
        names = {id(folder): dict(folder.safe) for folder in self._folders()}
        if loss is Loss.NOTHING:
            names = {id(folder): folder.names for folder in self._folders()}
        elif loss is Loss.SOME:
            for change in self._pending:
                if chance.random() < share:
                    for folder, name, node in change.sets:
                        _set(names[id(folder)], name, node)
        tree: Tree = {}

        def walk(folder: Folder, path: str) -> None:
            for name, node in sorted(names[id(folder)].items()):
                below = f"{path}{name}"
                if isinstance(node, Folder):
                    tree[below] = None
                    walk(node, f"{below}/")
                else:
                    tree[below] = node.left(loss, chance, share) if isinstance(node, File) else node

        walk(self._root, "")
        return tree

    def _load(self, path: Path, folder: Folder) -> None:
        self._nodes[path.stat().st_ino] = folder
        for entry in path.iterdir():
            node: Node
            if entry.is_symlink():
                node = Symlink(str(entry.readlink()))
            elif entry.is_dir():
                node = Folder()
                self._load(entry, node)
            else:
                node = File(bytearray(entry.read_bytes()))
                node.sync()
            self._nodes[entry.lstat().st_ino] = node
            folder.names[entry.name] = folder.safe[entry.name] = node

    def _make(self, call: Call) -> None:
        node: Node
        if call.kind is Kind.CREATE:
            node = File()
        elif call.kind is Kind.MKDIR:
            node = Folder()
        else:
            node = Symlink(os.fsdecode(call.data))
        self._nodes[call.inode] = node
        self._gone.discard(call.inode)
        self._change((self._folder(call.folder), call.name, node))

    def _fill(self, call: Call) -> None:
        node = self._nodes.get(call.inode)
        if node is None and call.kind is Kind.CONTENT:
            # Another program's file, seen for the first time.
            self._gone.discard(call.inode)
            node = self._nodes[call.inode] = File()
        if node is None:
            assert call.inode in self._gone, f"{call.kind.name} of a file that was never seen"
            return
        if isinstance(node, Folder):
            assert call.kind is Kind.SYNC
            self._sync_names(node)
            return
        assert isinstance(node, File)
        match call.kind:
            case Kind.SYNC:
                node.sync()
            case Kind.TRUNCATE:
                node.resize(call.offset)
            case Kind.WRITE:
                node.write(call.offset, call.data)
            case _:
                node.replace(call.data)

    def _rename(self, call: Call) -> None:
        node = self._nodes[call.inode]
        old, new = self._folder(call.folder), self._folder(call.folder2)
        replaced = new.names.get(call.name2)
        self._change((old, call.name, None), (new, call.name2, node))
        for inode, known in list(self._nodes.items()):
            if known is replaced:
                self._let_go(inode)

    def _change(self, *sets: tuple[Folder, str, Node | None]) -> None:
        for folder, name, node in sets:
            _set(folder.names, name, node)
        self._pending.append(_Change(sets))

    def _sync_names(self, synced: Folder) -> None:
        """Make the names of one folder safe; a rename out of it or into it, at both ends."""
        waiting = []
        for change in self._pending:
            if all(folder is not synced for folder, _, _ in change.sets):
                waiting.append(change)
                continue
            for folder, name, node in change.sets:
                _set(folder.safe, name, node)
        synced.safe = dict(synced.names)
        self._pending = waiting

    def _let_go(self, inode: int) -> None:
        """Forget an inode that has no name any more: the next file may get its number."""
        node = self._nodes.get(inode)
        if all(node is not named for each in self._folders() for named in each.names.values()):
            self._nodes.pop(inode, None)
            self._gone.add(inode)

    def _folder(self, inode: int) -> Folder:
        folder = self._nodes[inode]
        assert isinstance(folder, Folder)
        return folder

    def _folders(self) -> Iterator[Folder]:
        """Every folder that has a name, or had a safe one."""
        seen: dict[int, Folder] = {}
        waiting = [self._root]
        while waiting:
            folder = waiting.pop()
            if id(folder) not in seen:
                seen[id(folder)] = folder
                both = (*folder.names.values(), *folder.safe.values())
                waiting += [node for node in both if isinstance(node, Folder)]
        for change in self._pending:
            seen |= {id(folder): folder for folder, _, _ in change.sets}
        return iter(seen.values())


def write_tree(tree: Tree, root: Path) -> None:
    """Put a tree on the real disk, in place of whatever is there."""
    for entry in root.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for name, left in tree.items():
        path = root / name
        if left is None:
            path.mkdir()
        elif isinstance(left, Symlink):
            path.symlink_to(left.target)
        else:
            path.write_bytes(left)


def _set(names: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node
