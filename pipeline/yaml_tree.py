"""Grows the tree of a manifest's values from the events of a YAML parser.

What is refused here: tags, anchors, aliases, merge keys, keys that are no text or come twice, a
second document, and anything too deep or too large. No event is ever expanded or constructed, so
an alias bomb stays as small as its source.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeAlias

import yaml

from pipeline.findings import MAX_PROBLEMS, KeyPath
from pipeline.model import Position
from pipeline.text import shown

MAX_DEPTH = 50
# A thousand full shots are about 25,000 values.
MAX_VALUES = 100_000
_MAX_NUMBER_CHARACTERS = 32

Readings: TypeAlias = "dict[str, list[tuple[str, re.Pattern[str]]]]"

# What YAML 1.1 takes a plain scalar for, by its first character: (tag, pattern).
_READINGS: Readings = yaml.SafeLoader.yaml_implicit_resolvers
_TAG = "tag:yaml.org,2002:"
_JSON_NUMBER = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?P<part>\.[0-9]+)?(?P<power>[eE][+-]?[0-9]{1,3}(?![0-9]))?\Z"
)
_LONG_POWER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]+\Z")


@dataclass(frozen=True, slots=True)
class Unclear:
    """A plain scalar that YAML reads as something else than the text it looks like."""

    text: str
    tag: str = ""

    @property
    def reads_as(self) -> str:
        """What an ordinary YAML reader makes of it, in words."""
        match self.tag:
            case "bool":
                return "true" if self.text.lower() in ("yes", "on", "true") else "false"
            case "int" | "float" if len(self.text) <= _MAX_NUMBER_CHARACTERS:
                try:
                    return str(yaml.safe_load(self.text))
                except (ValueError, OverflowError, yaml.YAMLError):
                    return "a number"
            case "timestamp":
                return "a date"
            case _:
                # Sexagesimal 1:59:59:… of a million digits would take minutes to work out.
                return "a number too long to use"


class Reported:
    """Stands where a value was refused and the reason is already among the findings."""


REPORTED = Reported()


@dataclass(slots=True, eq=False)
class Node:
    """One value and where it stands, as offsets into the text.

    ``comment`` is where a comment follows a plain text on its line; ``children`` the nodes of a
    list or mapping; ``keys`` where a mapping's keys start; ``whole`` is false for a container
    that a syntax error cut short.
    """

    value: Any
    start: int
    end: int
    comment: int | None = None
    children: Any = None
    keys: dict[str, int] | None = None
    whole: bool = True

    def child(self, step: str | int) -> Node | None:
        """The node of a key or of a list index, or None."""
        if isinstance(self.children, dict):
            return self.children.get(step)
        if isinstance(self.children, list) and isinstance(step, int):
            return self.children[step] if 0 <= step < len(self.children) else None
        return None


class Lines:
    """Turns offsets into lines and columns; CR, LF and CRLF end a line."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self._text))]

    def at(self, offset: int) -> Position:
        """The place of a character, counted from 1."""
        line = bisect_right(self._starts, offset)
        return Position(line=line, column=offset - self._starts[line - 1] + 1)


@dataclass(frozen=True, slots=True)
class Note:
    """One thing refused: where, and the words for it."""

    offset: int
    path: KeyPath
    message: str
    hint: str


@dataclass(slots=True, eq=False)
class _Frame:
    """A container being filled; ``key`` is what the next value of a mapping belongs to.

    ``is_refused``: its tag makes it something else than it looks, so its value is not used.
    """

    node: Node
    wants_key: bool = False
    key: str | None = None
    is_refused: bool = False


class _Stop(Exception):
    """Reading on makes no sense: too deep or too large."""


@dataclass(eq=False)
class Tree:
    """One pass over the events of a text."""

    restore: Callable[[str], str]
    text: str
    lines: Lines
    poisoned: frozenset[int]
    root: Node = field(default_factory=lambda: Node(None, 0, 0))
    notes: list[Note] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)
    fault: yaml.YAMLError | None = None
    stopped: bool = False
    path: KeyPath = ()
    values: int = 0
    documents: int = 0
    second: int = 0

    def read(self, loader: Any) -> None:
        """Take every event; on an error keep what was whole before it."""
        try:
            self._take_all(loader)
        except _Stop:
            self.stopped = True
        except yaml.YAMLError as error:
            self.fault = error
        if self.fault is not None or self.stopped:
            # The parser reads ahead: only the list entry that it is in is sure.
            path = self._path()
            depth = max((at for at, step in enumerate(path) if isinstance(step, int)), default=-1)
            self.path = path[: depth + 1]
            while self.stack:
                frame = self.stack.pop()
                frame.node.whole = False
                frame.node.end = len(self.text)
                outer = self.stack[-1] if self.stack else None
                # Half a list entry, or half a key, is nothing that can be judged.
                if outer is None or not (isinstance(outer.node.children, list) or outer.wants_key):
                    self._attach(frame.node)
        if self.documents > 1:
            self.notes.append(
                Note(
                    self.second,
                    (),
                    f"{self.documents} documents in one file; expected 1",
                    "put each storyboard into a file of its own",
                )
            )

    def _take_all(self, loader: Any) -> None:
        while True:
            event = loader.get_event()
            kind = type(event)
            if kind is yaml.StreamEndEvent:
                return
            if kind is yaml.DocumentStartEvent:
                self.documents += 1
                if self.documents == 2:
                    self.second = event.start_mark.index
            elif self.documents > 1:
                continue
            elif kind is yaml.ScalarEvent:
                self._attach(self._scalar(event))
            elif kind in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
                self._open(event)
            elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
                frame = self.stack.pop()
                frame.node.end = event.end_mark.index
                if frame.is_refused:
                    frame.node.value = REPORTED
                self._attach(frame.node)
            elif kind is yaml.AliasEvent:
                self._attach(self._alias(event))

    def _open(self, event: Any) -> None:
        node = self._node(event, None)
        if type(event) is yaml.MappingStartEvent:
            node.value, node.children, node.keys = {}, {}, {}
        else:
            node.value, node.children = [], []
        is_mapping = node.keys is not None
        frame = _Frame(node, wants_key=is_mapping, is_refused=event.tag is not None)
        self._refuse_properties(event, event.tag, node)
        self.stack.append(frame)
        if len(self.stack) > MAX_DEPTH:
            self._note(
                node.start,
                (),
                f"nested too deep (more than {MAX_DEPTH} levels)",
                "a storyboard needs 4 levels; look for brackets that are never closed",
            )
            raise _Stop

    def _scalar(self, event: Any) -> Node:
        node = self._node(event, None)
        # The C parser says '' where the pure one says None: no quotes, no block.
        is_plain = not event.style
        value = _plain(event.value) if is_plain and event.tag is None else event.value
        node.value = self.restore(value) if isinstance(value, str) else value
        if is_plain:
            node.comment = self._comment_after(node.end)
        if node.start in self.poisoned:
            node.value = REPORTED
        self._refuse_properties(event, event.tag, node)
        return node

    def _alias(self, event: Any) -> Node:
        node = self._node(event, REPORTED)
        name = shown(str(event.anchor), 30)
        self._note(
            node.start,
            self._path(),
            f"aliases are not allowed (*{name})",
            "write the value out, or quote the text if it starts with *",
        )
        return node

    def _node(self, event: Any, value: Any) -> Node:
        self.values += 1
        node = Node(value, event.start_mark.index, event.end_mark.index)
        if self.values > MAX_VALUES:
            self._note(
                node.start,
                (),
                f"more than {MAX_VALUES:,} values",
                "split the storyboard into several manifests",
            )
            raise _Stop
        return node

    def _refuse_properties(self, event: Any, tag: str | None, node: Node) -> None:
        if tag is not None:
            self._note(
                node.start,
                self._path(),
                f"tags are not allowed ({shown(self._word_at(node.start), 40)})",
                "leave the tag out, or quote the text if it starts with !",
            )
        elif event.anchor is not None:
            self._note(
                node.start,
                self._path(),
                f"anchors are not allowed (&{shown(str(event.anchor), 30)})",
                "write values out where they are used, or quote the text if it starts with &",
            )
        else:
            return
        if node.children is None:
            node.value = REPORTED

    def _word_at(self, offset: int) -> str:
        match = re.compile(r"\S+").match(self.text, offset)
        return match.group() if match else "!"

    def _comment_after(self, end: int) -> int | None:
        """Where a comment starts on the line that a plain scalar ends on, or None."""
        while end < len(self.text) and self.text[end] in " \t":
            end += 1
        return end if self.text[end : end + 1] == "#" else None

    def _attach(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        parent = frame.node
        if isinstance(parent.children, list):
            parent.children.append(node)
            parent.value.append(node.value)
        elif frame.wants_key:
            frame.key = self._key(node, parent)
            frame.wants_key = False
        else:
            if frame.key is not None:
                parent.children[frame.key] = node
                parent.value[frame.key] = node.value
            frame.wants_key = True

    def _key(self, node: Node, parent: Node) -> str | None:
        """The text of a key, or None (and a note) where it cannot be one."""
        keys = parent.keys
        key = node.value
        if keys is None:
            return None
        if node.children is not None or not isinstance(key, str):
            if not isinstance(key, Reported):
                source = shown(self.text[node.start : node.end], 40)
                self._note(
                    node.start,
                    self._path(),
                    f"keys must be text; {source} is not",
                    f'quote it: "{source}":' if node.children is None else "write a plain name",
                )
            return None
        if key == "<<" and self.text[node.start : node.end] == "<<":
            self._note(
                node.start,
                self._path(),
                "merge keys (<<) are not allowed",
                "write the values out; what all shots share goes into defaults",
            )
            return None
        if key in keys:
            first, second = self.lines.at(keys[key]).line, self.lines.at(node.start).line
            self._note(
                node.start,
                (*self._path(), key),
                f"{shown(key)} given twice (lines {first} and {second})",
                "keep one of the two",
            )
            return None
        keys[key] = node.start
        return key

    def _path(self) -> KeyPath:
        """Where in the document the next value goes."""
        path: list[str | int] = []
        for frame in self.stack:
            if isinstance(frame.node.children, list):
                path.append(len(frame.node.children))
            elif not frame.wants_key and frame.key is not None:
                path.append(frame.key)
        return tuple(path)

    def _note(self, offset: int, path: KeyPath, message: str, hint: str) -> None:
        self.notes.append(Note(offset, path, message, hint))
        if len(self.notes) > MAX_PROBLEMS:
            raise _Stop


def _plain(text: str) -> Any:
    """The value of an unquoted scalar: JSON's types, text, or Unclear."""
    for tag, pattern in _READINGS.get(text[:1], ()):
        if not pattern.match(text):
            continue
        kind = tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool" and text in ("true", "false"):
            return text == "true"
        if kind in ("merge", "value"):
            return text
        number = _number(text)
        return Unclear(text, kind) if number is None else number
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> int | Decimal | Unclear | None:
    """The exact value of a number as JSON writes it; Unclear where it is beyond any use."""
    match = _JSON_NUMBER.match(text)
    if match is None:
        return Unclear(text, "long") if _LONG_POWER.match(text) else None
    if len(text) > _MAX_NUMBER_CHARACTERS:
        return Unclear(text, "long")
    return Decimal(text) if match.group("part") or match.group("power") else int(text)
