"""Reads and writes caption files: SubRip (SRT) and WebVTT. No I/O.

Reading forgives what editors and converters leave behind (marks of byte order, foreign line ends,
missing numbers, headers, notes, styling) and refuses what has no one meaning, with its line.
Sources: https://www.w3.org/TR/webvtt1/ ; SubRip has no standard, only usage.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipeline.film.spec import Cue
from pipeline.text import shown

# A feature film has about 1,500.
MAX_CUES = 2000

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})(?:[.,](\d{1,3}))?"
# What follows the second time are WebVTT's settings, or coordinates in old SubRip files.
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?\Z")
_ARROW = "-->"
_SKIPPED = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|\Z)")
_NUMBER = re.compile(r"\s*\d+\s*\Z")
_TAG = re.compile(
    r"</?(?:i|b|u|s|c|v|lang|ruby|rt|font)(?:[.\s][^<>]*)?>|<\d[\d:.]*>|\{\\[A-Za-z]+\d*[^{}]*\}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedCue:
    """A caption and the line, from 1, on which its times stand."""

    line: int
    cue: Cue


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What is wrong on one line of a caption file, and the cure."""

    line: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The captions of a file in order of time, and everything that is wrong with it."""

    cues: tuple[NumberedCue, ...]
    mistakes: tuple[Mistake, ...]


def parse_captions(text: str) -> Parsed:
    """Read an SRT or WebVTT file, whichever it is by its first line.

    Tags and WebVTT's escapes are undone; a text is otherwise kept as it is. Cues without text are
    left out. Never raises.
    """
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
    is_vtt = re.match(r"WEBVTT(?:\s|\Z)", lines[0]) is not None
    reader = _Reader(lines, is_vtt=is_vtt)
    reader.read(1 if is_vtt else 0)
    cues = sorted(reader.cues, key=lambda each: (each.cue.start_s, each.line))
    mistakes = [*reader.mistakes, *_overlaps(cues)]
    if not cues and not mistakes:
        mistakes.append(
            Mistake(line=1, message="no caption in it", hint="save it as SRT or WebVTT")
        )
    if len(cues) > MAX_CUES:
        mistakes.append(
            Mistake(
                line=cues[MAX_CUES].line,
                message=f"{len(cues):,} captions; at most {MAX_CUES:,}",
                hint="check that this is the right file",
            )
        )
    mistakes.sort(key=lambda each: each.line)
    return Parsed(cues=tuple(cues), mistakes=tuple(mistakes))


class _Reader:
    """One pass over the lines of a file."""

    def __init__(self, lines: Sequence[str], *, is_vtt: bool) -> None:
        self._lines = lines
        self._is_vtt = is_vtt
        self.cues: list[NumberedCue] = []
        self.mistakes: list[Mistake] = []

    def read(self, at: int) -> None:
        """Take every block, from the line at index ``at`` on."""
        while at < len(self._lines):
            line = self._lines[at]
            if not line.strip():
                at += 1
            elif _ARROW in line:
                at = self._cue(at)
            elif self._is_vtt and _SKIPPED.match(line):
                at = self._block_end(at)
            elif self._is_vtt or _NUMBER.match(line) or self._is_before_timing(at):
                at += 1  # a number or a name of the cue that follows, or WebVTT's header
            else:
                self._refuse(at, f'"{shown(line.strip(), 40)}" belongs to no caption', _TIMES_HINT)
                at = self._block_end(at)

    def _is_before_timing(self, at: int) -> bool:
        return at + 1 < len(self._lines) and _ARROW in self._lines[at + 1]

    def _block_end(self, at: int) -> int:
        """The next blank line, or line of times."""
        at += 1
        while at < len(self._lines) and self._lines[at].strip() and _ARROW not in self._lines[at]:
            at += 1
        return at

    def _cue(self, at: int) -> int:
        end = self._block_end(at)
        text = list(self._lines[at + 1 : end])
        is_next_timing = end < len(self._lines) and bool(self._lines[end].strip())
        # Without a blank line in between, the number before the next times is not spoken.
        if is_next_timing and text and _NUMBER.match(text[-1]):
            text.pop()
        times = _TIMING.match(self._lines[at])
        if times is None:
            self._refuse(at, f'"{shown(self._lines[at].strip(), 50)}" is no time', _TIMES_HINT)
            return end
        start_s, end_s = _seconds(*times.groups()[:4]), _seconds(*times.groups()[4:])
        if start_s is None or end_s is None:
            self._refuse(at, "minutes and seconds go up to 59", _TIMES_HINT)
        elif end_s <= start_s:
            self._refuse(at, "it ends before it begins", "write the earlier time first")
        elif spoken := self._spoken(text):
            cue = Cue(start_s=start_s, end_s=end_s, text=spoken)
            self.cues.append(NumberedCue(line=at + 1, cue=cue))
        return end

    def _spoken(self, lines: Iterable[str]) -> str:
        plain = (_TAG.sub("", line).strip() for line in lines)
        text = "\n".join(line for line in plain if line)
        return html.unescape(text) if self._is_vtt else text

    def _refuse(self, at: int, message: str, hint: str) -> None:
        self.mistakes.append(Mistake(line=at + 1, message=message, hint=hint))


_TIMES_HINT = "times are written 00:00:01,000 --> 00:00:03,500, the text below them"


def _seconds(
    hours: str | None, minutes: str, seconds: str, fraction: str | None
) -> Fraction | None:
    """Exact seconds of a time as captions write it; None where it is none."""
    if int(minutes) > 59 or int(seconds) > 59:
        return None
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + Fraction(int((fraction or "0").ljust(3, "0")), 1000)


def _overlaps(cues: Sequence[NumberedCue]) -> Iterable[Mistake]:
    last: NumberedCue | None = None
    for each in cues:
        if last is not None and each.cue.start_s < last.cue.end_s:
            yield Mistake(
                line=each.line,
                message=f"begins before the caption of line {last.line} ends",
                hint="captions come one after another: end one before the next begins",
            )
        if last is None or each.cue.end_s > last.cue.end_s:
            last = each


def write_srt(cues: Iterable[Cue]) -> str:
    """The captions as a SubRip file; times to the millisecond, blank lines of a text left out."""
    blocks = (
        f"{number}\n{_stamp(cue.start_s, ',')} --> {_stamp(cue.end_s, ',')}\n"
        f"{_lines_of(cue.text)}\n"
        for number, cue in enumerate(cues, start=1)
    )
    return "\n".join(blocks)


def write_vtt(cues: Iterable[Cue]) -> str:
    """The captions as a WebVTT file; as :func:`write_srt`, and with its three signs escaped."""
    blocks = (
        f"{_stamp(cue.start_s, '.')} --> {_stamp(cue.end_s, '.')}\n"
        f"{html.escape(_lines_of(cue.text), quote=False)}\n"
        for cue in cues
    )
    return "\n".join(("WEBVTT\n", *blocks))


def _lines_of(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if line.strip())


def _stamp(time_s: Fraction, point: str) -> str:
    total_ms = (time_s * 1000 + Fraction(1, 2)).__floor__()
    seconds, ms = divmod(total_ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{ms:03}"
