"""The cut as CMX3600 EDL text, which every editing program reads.

Pure text: what it lists are the clips as they lie in the film. Non-drop timecode, straight cuts,
record time from 01:00:00:00 as in broadcast masters.
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
    """One clip of the cut: its slate, its file's name, and the frames used from its start."""

    slate: str
    file_name: str
    frames: int
    has_audio: bool = True


def build_edl(title: str, events: Sequence[EdlEvent], frame_rate: Fraction) -> str:
    """Write the cut as an edit decision list.

    Events are numbered from 001; past 999, where the old machines ended, the number simply gets
    a fourth digit, which today's readers take.

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
        marks = " ".join(
            timecode(frame, frame_rate)
            for frame in (0, event.frames, record_frame, record_frame + event.frames)
        )
        channels = "AA/V" if event.has_audio else "V"
        lines += [
            f"{number:03}  {_FILE_REEL:<8} {channels:<5} C        {marks}",
            f"* FROM CLIP NAME: {_one_line(event.file_name)}",
            f"* COMMENT: {_one_line(event.slate)}",
        ]
        record_frame += event.frames
    return "\n".join(lines) + "\n"


def _timecode_base(frame_rate: Fraction) -> int:
    return -(-frame_rate.numerator // frame_rate.denominator)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
