"""Reads the text of a fault script: YAML, of which JSON is a part, without YAML's surprises.

Only true, false, null and plain decimal numbers are anything but text, so that ``on``, ``off`` and
``1e9`` stay the words that they are; what stands in quotes is always text.
"""

from __future__ import annotations

import re

import yaml

from pipeline.errors import UsageError
from pipeline.sandbox.faults import FaultScript, Place, parse_faults

_MAX_DEPTH = 8
_WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "~": None, "": None}
_NUMBER = re.compile(r"-?\d{1,19}(\.\d{1,19})?")


def read_faults(text: str, *, source: str) -> FaultScript:
    """The script in a text; ``source`` names it in messages.

    Raises:
        UsageError: it is no YAML, or something in it is not understood; says where.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        line = "" if exc.problem_mark is None else f":{exc.problem_mark.line + 1}"
        raise UsageError(f"{source}{line}: {exc.problem or exc}", hint="this is not YAML") from exc
    except yaml.YAMLError as exc:
        raise UsageError(f"{source}: {exc}", hint="this is not YAML") from exc
    lines: dict[Place, int] = {}
    document = {} if node is None else _Plain(source, lines).value(node, ())
    return parse_faults(document, source=source, lines=lines)


class _Plain:
    """Nodes of YAML as plain values; remembers where each stands."""

    def __init__(self, source: str, lines: dict[Place, int]) -> None:
        self._source = source
        self._lines = lines
        self._met: set[int] = set()

    def value(self, node: yaml.Node, place: Place) -> object:
        self._lines[place] = node.start_mark.line + 1
        if id(node) in self._met or len(place) > _MAX_DEPTH:
            raise self._wrong(node, "aliases and deep nesting are not for fault scripts")
        self._met.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, n)) for n, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            if not isinstance(key, str) or not key or key in found:
                raise self._wrong(key_node, f"{key!r} is no key, or stands here twice")
            found[key] = self.value(value_node, (*place, key))
        return found

    def _wrong(self, node: yaml.Node, message: str) -> UsageError:
        return UsageError(f"{self._source}:{node.start_mark.line + 1}: {message}")


def _scalar(node: yaml.ScalarNode) -> object:
    written: str = node.value
    if node.style is not None:
        return written
    if written in _WORDS:
        return _WORDS[written]
    if _NUMBER.fullmatch(written):
        return float(written) if "." in written else int(written)
    return written
