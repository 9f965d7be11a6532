"""Reads strict YAML into plain values that all know their line and column.

Strict means: one document, JSON's types only, no tags, anchors, aliases or merge keys, no key
twice, bounded depth and size. Built from parser events, so nothing that is refused is ever
expanded or constructed. A plain ``no``, ``01`` or ``12:30`` is neither text nor number here: it
becomes ``yaml_tree.Unclear``, for whoever knows what was wanted there to explain. Reads no files.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.findings import Findings, KeyPath
from pipeline.model import Position
from pipeline.yaml_faults import Fault, Repairs, explain
from pipeline.yaml_tree import REPORTED, Lines, Node, Note, Tree

# libyaml is about ten times as quick; PyYAML's wheels carry it, a bare source build may not.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, kw_only=True)
class Document:
    """A parsed manifest. ``whole`` is false where reading had to stop before the end."""

    text: str
    lines: Lines
    root: Node
    whole: bool

    def node(self, path: KeyPath) -> Node | None:
        """The node at ``path``, or None where the document has none."""
        node: Node | None = self.root
        for step in path:
            if node is None:
                return None
            node = node.child(step)
        return node

    def value(self, path: KeyPath) -> Any:
        """The plain value at ``path``, or None."""
        node = self.node(path)
        return node.value if node else None

    def position(self, path: KeyPath) -> Position:
        """Where the value at ``path`` starts; for what is missing, where it should have been."""
        while path:
            if node := self.node(path):
                return self.lines.at(node.start)
            path = path[:-1]
        return self.lines.at(self.root.start)

    def key_position(self, path: KeyPath) -> Position:
        """Where the key that ends ``path`` is written."""
        parent = self.node(path[:-1])
        keys = parent.keys if parent else None
        if keys is not None and path[-1] in keys:
            return self.lines.at(keys[str(path[-1])])
        return self.position(path)

    def source(self, path: KeyPath) -> str:
        """The value at ``path`` as written in the file."""
        node = self.node(path)
        return self.text[node.start : node.end] if node else ""

    def place(self, path: KeyPath, part: str, occurrence: int) -> Position:
        """Where ``part`` stands in the text at ``path`` for the nth time (from 0).

        The start of the text where escapes or folding hide it.
        """
        node = self.node(path)
        if node is None:
            return self.position(path)
        offset = node.start - 1
        for _ in range(occurrence + 1):
            offset = self.text.find(part, offset + 1, node.end)
            if offset < 0:
                return self.lines.at(node.start)
        return self.lines.at(offset)

    def path_at(self, offset: int) -> KeyPath:
        """The path of the innermost value or key around a character of the text."""
        path: KeyPath = ()
        node = self.root
        while True:
            pairs = node.children.items() if isinstance(node.children, dict) else []
            if isinstance(node.children, list):
                pairs = list(enumerate(node.children))
            for step, inner in pairs:
                if inner.start <= offset < max(inner.end, inner.start + 1):
                    path, node = (*path, step), inner
                    break
            else:
                return path


@contextmanager
def _without_gc() -> Iterator[None]:
    """Keep the collector from walking the growing tree again and again: a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def load(text: str, findings: Findings, *, loader: Any = None) -> Document:
    """Parse one manifest; whatever is wrong with its syntax is added to ``findings``.

    A slip with one clear cure (an unquoted ``@``, a ``: `` or `` #`` inside a text, a quote left
    open) is mended in memory, so that everything behind it is still checked. Never raises for any
    text. The loader is PyYAML's, C or pure; the quick one by default.
    """
    repairs, lines = Repairs(text), Lines(text)
    with _without_gc():
        tree = _build(repairs, lines, loader or _LOADER)
        while tree.fault is not None:
            mended = _mend(tree, repairs, lines, loader or _LOADER)
            if mended is None:
                break
            tree = mended
    whole = tree.fault is None and not tree.stopped
    root = Node(REPORTED, 0, 0) if tree.stopped else tree.root
    document = Document(text=text, lines=lines, root=root, whole=whole)
    notes: list[tuple[Fault | Note, KeyPath]] = [
        *((fault, document.path_at(fault.offset)) for fault in repairs.faults),
        *((note, note.path) for note in tree.notes),
    ]
    if tree.fault is not None:
        notes.append((explain(tree.fault, repairs), tree.path))
    for note, path in notes:
        # What was mended is still to be judged: quoting a prompt may bring its next slip to light.
        findings.add(lines.at(note.offset), path, note.message, note.hint, flag=False)
    return document


def _mend(tree: Tree, repairs: Repairs, lines: Lines, loader: Any) -> Tree | None:
    """Try each likely cure of a syntax error; the tree after the first that helps, or None."""
    if tree.fault is None:
        return None
    for cure in repairs.cures(tree.fault):
        if not repairs.may_try():
            return None
        repairs.swap(cure)
        candidate = _build(repairs, lines, loader)
        reached = candidate.fault
        if reached is None or repairs.is_past(reached, cure):
            repairs.faults.append(cure)
            return candidate
        repairs.undo(cure)
    return None


def _build(repairs: Repairs, lines: Lines, loader_class: Any) -> Tree:
    tree = Tree(repairs.restore, repairs.original, lines, repairs.poisoned)
    loader = loader_class(repairs.text)
    try:
        tree.read(loader)
    finally:
        loader.dispose()
    return tree
