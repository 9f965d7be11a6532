"""The cut as CMX3600 EDL text, which every editing program reads.

Pure text: what it lists are the clips as they lie in the film. Non-drop timecode, cuts and
dissolves, record time from 01:00:00:00 as in broadcast masters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipeline.timecode import timecode

# An EDL names tapes by eight characters; AX stands for "a file", and the comment names it.
_FILE_REEL = "AX"
_START_HOUR = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EdlEvent:
    """One clip of the cut: its slate, its file's name, and the frames used of it from ``in_frame``
    on; ``lead`` of them share the screen with the event before, which ends where they end."""

    slate: str
    file_name: str
    frames: int
    in_frame: int = 0
    lead: int = 0
    has_audio: bool = True


def build_edl(title: str, events: Sequence[EdlEvent], frame_rate: Fraction) -> str:
    """Write the cut as an edit decision list.

    Events are numbered from 001; past 999, where the old machines ended, the number simply gets
    a fourth digit, which today's readers take. A transition of any kind is written as a dissolve,
    the one that all of them know.

    Args:
        title: one line; line breaks and control characters become blanks.
        events: N clips in cut order.
        frame_rate: of the film; fractional rates are counted in the next whole one.
    Raises:
        ValueError: the film would pass 24:00:00:00.
    """
    lines = [f"TITLE: {_one_line(title)}", "FCM: NON-DROP FRAME", ""]
    record_frame = _START_HOUR * 3600 * _timecode_base(frame_rate)
    for number, event in enumerate(events, start=1):
        # What is shared with the next event is listed there.
        tail = events[number].lead if number < len(events) else 0
        seen = event.frames - tail
        edit = "C       "
        if event.lead:
            before = events[number - 2]
            out = before.in_frame + before.frames - event.lead
            marks = _marks((out, out, record_frame, record_frame), frame_rate)
            lines.append(f"{number:03}  {_FILE_REEL:<8} {_channels(before)} C        {marks}")
            edit = f"D    {event.lead:03}"
        spans = (event.in_frame, event.in_frame + seen, record_frame, record_frame + seen)
        marks = _marks(spans, frame_rate)
        lines.append(f"{number:03}  {_FILE_REEL:<8} {_channels(event)} {edit} {marks}")
        if event.lead:
            lines.append(f"* FROM CLIP NAME: {_one_line(events[number - 2].file_name)}")
        name = "TO CLIP NAME" if event.lead else "FROM CLIP NAME"
        lines += [f"* {name}: {_one_line(event.file_name)}", f"* COMMENT: {_one_line(event.slate)}"]
        record_frame += seen
    return "\n".join(lines) + "\n"


def _marks(frames: Sequence[int], frame_rate: Fraction) -> str:
    return " ".join(timecode(frame, frame_rate) for frame in frames)


def _channels(event: EdlEvent) -> str:
    return f"{'AA/V' if event.has_audio else 'V':<5}"


def _timecode_base(frame_rate: Fraction) -> int:
    return -(-frame_rate.numerator // frame_rate.denominator)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
