"""Explains YAML syntax errors in a producer's words, and mends the slips with one clear cure.

A cure swaps single characters for private-use stand-ins that mean nothing to YAML, so that a
text with a stray ``@``, ``: `` or ``#`` is read whole and every offset stays what it was. The
stand-ins are turned back in the values. Nothing mended is ever run: each cure is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import yaml

from pipeline.text import shown

# What YAML cannot hold as it is (a control character), or takes for a line end though no editor
# shows one, or counts wrongly (a byte order mark inside the text).
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_SILENT = "\x85\u2028\u2029\ufeff"
_LINE = re.compile(r"[^\r\n]*")
_VALUE_START = re.compile(
    r"""[ \t]*(?:- +)*(?:[^\s:#'"\[{]+[ \t]*:[ \t]+)?(?=([\[{*&!|>"'?,%`-]))"""
)
_LINE_KEY = re.compile(r"[ \t]*(?:- +)*([^\s:#'\"\[{]+)[ \t]*:(?=[ \t])")
_ONE_WORD = re.compile(r"[ \t]*(?:- +)*[^\s:]+\Z")
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#", re.MULTILINE)
_COLON = re.compile(r":(?=[ \t]|$)", re.MULTILINE)
_HASH = re.compile(r"(?<=[ \t])#")
_NO_BLANK = re.compile(r"[ \t]*(?:- +)*([A-Za-z_]+):(?=[^\s/])")
_CONTROLS_NAMED = 20
_LINES_BACK = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One syntax error: where, what, the cure; ``swaps`` are the characters that mend it.

    ``beyond`` is how far reading must get for the cure to be the right one. ``poison``: the value
    that starts there is no text at all, so nothing else may be said of it.
    """

    offset: int
    message: str
    hint: str
    swaps: tuple[int, ...] = ()
    beyond: int = 0
    poison: bool = False


@dataclass(slots=True, eq=False)
class Repairs:
    """The text as it was, and as it is read after the cures so far."""

    original: str
    text: str = ""
    faults: list[Fault] = field(default_factory=list)
    poisoned: frozenset[int] = frozenset()
    _stand_ins: dict[str, str] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    _tries: int = 0

    def __post_init__(self) -> None:
        self.text = self.original
        # Every try reads the text anew: a long one gets fewer, so that it still ends in time.
        self._tries = min(60, max(3, 1_000_000 // (len(self.original) + 1)))
        for character in _SILENT:
            if character in self.text:
                self.text = self.text.replace(character, self._stand_in(character))
        for match in islice(_CONTROL.finditer(self.text), _CONTROLS_NAMED):
            self.faults.append(
                Fault(
                    offset=match.start(),
                    message=f"control character U+{ord(match.group()):04X}",
                    hint="delete it; it is invisible in most editors",
                )
            )
        if self.faults:
            self.text = _CONTROL.sub(self._stand_in("\ufffd"), self.text)

    def restore(self, value: str) -> str:
        """A value with every stand-in turned back."""
        if not self._stand_ins:
            return value
        return value.translate({ord(to): of for of, to in self._stand_ins.items()})

    def may_try(self) -> bool:
        """Whether one more reading is worth its time."""
        self._tries -= 1
        return self._tries >= 0

    def swap(self, cure: Fault) -> None:
        """Put the cure's stand-ins into the text."""
        self._put({at: self._stand_in(self.original[at]) for at in cure.swaps})
        if cure.poison:
            self.poisoned |= {cure.offset}

    def undo(self, cure: Fault) -> None:
        """Take the cure's stand-ins out again."""
        self._put({at: self.original[at] for at in cure.swaps})
        if cure.poison:
            self.poisoned -= {cure.offset}

    def is_past(self, reached: yaml.YAMLError, cure: Fault) -> bool:
        """Whether the next error lies behind what the cure was for."""
        return _offset(reached) > cure.beyond

    def line_at(self, offset: int) -> tuple[int, str]:
        """The start of the line around ``offset``, and the line without its end."""
        start = max(self.original.rfind("\n", 0, offset), self.original.rfind("\r", 0, offset)) + 1
        match = _LINE.match(self.original, start)
        return start, match.group() if match else ""

    def cures(self, error: yaml.YAMLError) -> Iterator[Fault]:
        """The likely cures of an error, the surest first."""
        offset = _offset(error)
        problem = str(getattr(error, "problem", "") or "")
        character = self.original[offset : offset + 1]
        if character == "\t":
            return
        if self.original[offset - 1 : offset] in ("'", '"') and offset > 0:
            # A text that starts here was taken for the end of an earlier one.
            yield from self._earlier_quote(offset)
        if "cannot start any token" in problem and character in ("@", "`", "%"):
            yield self._quote_first(offset, offset)
            yield from self._opening(error, offset)
        elif "mapping values are not allowed" in problem:
            yield from self._colon(offset)
        elif "escape" in problem or "hexa" in problem or "hexdecimal" in problem:
            yield from self._escape(offset)
        else:
            yield from self._comment(offset)
            yield from self._opening(error, offset)
            yield from self._earlier_quote(offset)

    def _earlier_quote(self, offset: int) -> Iterator[Fault]:
        """The nearest line above whose value starts with a quote that it does not close."""
        start, _ = self.line_at(offset)
        for _ in range(_LINES_BACK):
            if start == 0:
                return
            start, line = self.line_at(start - 1)
            match = _VALUE_START.match(line)
            if match is None or match.group(1) not in ("'", '"'):
                continue
            if line.count(match.group(1)) % 2:
                yield replace(self._quote_first(start + match.end(), offset), beyond=offset)
                return

    def _colon(self, offset: int) -> Iterator[Fault]:
        start, line = self.line_at(offset)
        key = _LINE_KEY.match(line)
        inside = key is not None and start + key.end(1) < offset
        if not inside and _ONE_WORD.match(line[: offset - start]):
            return
        marks = [*_COLON.finditer(line, offset - start), *_HASH.finditer(line, offset - start)]
        yield Fault(
            offset=offset,
            message="': ' inside an unquoted text",
            hint=f"quote it: {self._quoted(key.end() if inside and key else 0, line)}",
            swaps=tuple(start + match.start() for match in marks),
            beyond=offset,
        )

    def _escape(self, offset: int) -> Iterator[Fault]:
        slash = self.original.rfind("\\", 0, offset + 1)
        if slash < 0:
            return
        match = re.compile(r"\\(?:u[0-9A-Fa-f]{0,4}|U[0-9A-Fa-f]{0,8}|x..?|.?)").match(
            self.original, slash
        )
        written = shown(match.group() if match else "\\", 12)
        is_half = re.match(r"\\u[dD][89a-fA-F]", written) is not None
        yield Fault(
            offset=slash,
            message=(
                f"{written} is half a character" if is_half else f"{written} is no YAML escape"
            ),
            hint=(
                "write the character itself"
                if is_half
                else "double the backslash, or put the text into single quotes"
            ),
            swaps=(slash,),
            beyond=offset,
        )

    def _comment(self, offset: int) -> Iterator[Fault]:
        start = offset
        for _ in range(6):
            start = max(
                self.original.rfind("\n", 0, max(start - 1, 0)),
                self.original.rfind("\r", 0, max(start - 1, 0)),
            )
            if start < 0:
                break
        found = [m.start() for m in _COMMENT.finditer(self.original, max(start + 1, 0), offset)]
        for place in found[-2:][::-1]:
            yield Fault(
                offset=place,
                message="the text is cut here: everything after ' #' is a comment",
                hint="quote the whole text",
                swaps=(place,),
                beyond=offset,
            )

    def _opening(self, error: yaml.YAMLError, offset: int) -> Iterator[Fault]:
        """The value that the error is about starts with a character that means something."""
        context = getattr(error, "context_mark", None)
        words = str(getattr(error, "context", "") or "")
        if context is not None and re.search(
            r"quoted|flow|alias|anchor|tag|node|block scalar", words
        ):
            start = context.index
        else:
            begin, line = self.line_at(offset)
            match = _VALUE_START.match(line)
            if match is None or begin + match.end() > offset:
                return
            start = begin + match.end()
            first = self.original[start : start + 1]
            if first in ("-", "?") and not line[: match.end()].strip(" -"):
                return
        if self.original[start : start + 1] in tuple("[{*&!|>\"'?,%-"):
            yield self._quote_first(start, offset)

    def _quote_first(self, start: int, offset: int) -> Fault:
        """The cure for a text that starts with a character of YAML's own."""
        character = self.original[start]
        begin, line = self.line_at(start)
        end = begin + len(line)
        inner = line[start - begin :]
        swaps: tuple[int, ...] = (start,)
        if not _is_in_flow(line[: start - begin]):
            # Inside the quotes its colons and number signs are harmless: they are no more slips.
            marks = [*_COLON.finditer(inner), *_HASH.finditer(inner)]
            swaps += tuple(start + match.start() for match in marks)
        poison = False
        message = f"a plain text cannot start with {character}"
        hint = f"quote it: {self._quoted(start - begin, line)}"
        if character in "\"'":
            if offset > end or inner.count(character) < 2:
                message = f"the quote {character} opened here is never closed"
                hint = f"close it with {character} at the end of the text"
            else:
                message = "there is text after the closing quote"
                hint = "put the whole text into one pair of quotes; a ' inside '…' is written ''"
        elif character in "[{":
            poison = True
            closing = "]" if character == "[" else "}"
            if closing not in inner:
                message = f"the {character} opened here is not closed"
                hint = f"close it with {closing}, or quote the text if it is meant to start so"
        elif character in "|>":
            message = f"after {character} the text starts on the next line"
            hint = f"move it there, indented, or quote it: {self._quoted(start - begin, line)}"
        return Fault(
            offset=start,
            message=message,
            hint=hint,
            swaps=swaps,
            beyond=start if character in "@`%" else end - 1,
            poison=poison,
        )

    def _quoted(self, start: int, line: str) -> str:
        """The line's value, quoted as it should be, after its key where it has one."""
        text = line[start:].strip()
        is_item = _is_in_flow(line[:start])
        if is_item:
            text = re.split(r"[,\]}]", text)[0].strip()
        key = _LINE_KEY.match(line)
        prefix = f"{shown(key.group(1), 30)}: " if key and not is_item and start else ""
        mark = "'" if '"' in text and "'" not in text else '"'
        return f"{prefix}{mark}{shown(text, 40)}{mark}"

    def _put(self, characters: dict[int, str]) -> None:
        text = list(self.text)
        for offset, character in characters.items():
            text[offset] = character
        self.text = "".join(text)

    def _stand_in(self, character: str) -> str:
        """A private-use character that the text does not use, one for each original."""
        if character not in self._stand_ins:
            self._used = self._used or set(self.original)
            free = (chr(code) for code in (*range(0xE000, 0xF900), *range(0xF0000, 0xFFFFE)))
            found = next(each for each in free if each not in self._used)
            self._used.add(found)
            self._stand_ins[character] = found
        return self._stand_ins[character]


def _is_in_flow(before: str) -> bool:
    """Whether a line is inside brackets after ``before``."""
    return before.count("[") + before.count("{") > before.count("]") + before.count("}")


def _offset(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return mark.index if mark is not None else 0


# Parts of the two parsers' messages, and what they mean to a producer.
_MEANINGS = (
    ("could not find expected ':'", "this line is neither 'key: value' nor '- item'", ""),
    (
        "mapping values are not allowed",
        "this line is read as part of the text above",
        "line the key up with the keys beside it, or quote the text above",
    ),
    (
        "expected '-' indicator",
        "this key does not line up with the list item above",
        "indent it exactly as far as the first key after the dash",
    ),
    (
        "expected '<document start>'",
        "this line is indented less than the first line of the file",
        "start the top keys at the first column",
    ),
    ("expected <document start>", "this does not belong to the mapping above", "line it up"),
    (
        "expected key",
        "this line does not line up with the lines above",
        "indent the keys of one mapping equally, and quote texts with special characters",
    ),
    (
        "expected <block end>",
        "this line does not line up with the lines above",
        "indent the keys of one mapping equally, and quote texts with special characters",
    ),
    ("sequence entries are not allowed", "a list cannot start here", "move '- ' to the next line"),
    ("',' or ']'", "the list in [ ] is not closed here", "add the comma or the ]"),
    ("',' or '}'", "the mapping in { } is not closed here", "add the comma or the }"),
    ("end of stream", "the quote opened before is never closed", "add the closing quote"),
    (
        "document indicator",
        "--- or ... inside a quoted text",
        "indent the line, or close the quote",
    ),
    (
        "document separator",
        "--- or ... inside a quoted text",
        "indent the line, or close the quote",
    ),
    ("mapping keys are not allowed", "a plain text cannot start with '? '", "quote the text"),
    ("node content", "a plain text cannot start with this character", "quote the text"),
    ("tag handle", "tags are not allowed", "leave the tag out, or quote a text that starts with !"),
    ("directive", "a line cannot start with %", "delete the line"),
    ("incompatible YAML", "only YAML 1.1 and 1.2 are read", "delete the %YAML line"),
)


def explain(error: yaml.YAMLError, repairs: Repairs) -> Fault:
    """Words for an error that could not be mended."""
    for cure in repairs.cures(error):
        # The text stays broken behind this cure, but it is still the best account of the slip.
        if cure.offset == _offset(error):
            return cure
        break
    offset = _offset(error)
    problem = str(getattr(error, "problem", "") or "")
    start, line = repairs.line_at(offset)
    if repairs.original[offset : offset + 1] == "\t" and not line[: offset - start].strip():
        return Fault(
            offset=offset,
            message=f"tab at column {offset - start + 1}",
            hint="use spaces; YAML takes no tabs for indentation",
        )
    if repairs.original[offset : offset + 1] == "\t":
        return Fault(
            offset=offset,
            message=f"tab at column {offset - start + 1}",
            hint="use spaces; YAML takes no tab here",
        )
    previous_start, previous = repairs.line_at(max(start - 1, 0))
    glued = _NO_BLANK.match(previous) or _NO_BLANK.match(line)
    if glued and ("mapping values" in problem or "expected ':'" in problem or "key" in problem):
        begin = previous_start if _NO_BLANK.match(previous) else start
        return Fault(
            offset=begin + glued.end(1),
            message=f"a blank is missing after '{shown(glued.group(1), 30)}:'",
            hint=f"write {shown(glued.group(1), 30)}: and a blank before the value",
        )
    if "could not find expected ':'" in problem:
        context = getattr(error, "context_mark", None)
        offset = context.index if context is not None else offset
    if "mapping values are not allowed" in problem:
        offset = start + len(line) - len(line.lstrip())
    for part, message, hint in _MEANINGS:
        if part in problem:
            return Fault(offset=offset, message=message, hint=hint or _KEY_HINT)
    return Fault(offset=offset, message="YAML cannot be read from here on", hint=_KEY_HINT)


_KEY_HINT = "write 'key: value', with the value in quotes if it has special characters"
