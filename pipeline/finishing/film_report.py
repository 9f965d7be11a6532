"""What was made and measured, as ``deliverables/report.json`` and as a table for the terminal.

Pure functions of values. Everything fits into 80 columns, and the same film gives the same bytes:
no time of day and no duration of work stands in it.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipeline.film.spec import Checks
from pipeline.finishing.checks import Fault, Wanted
from pipeline.finishing.measurements import Measurements, Stretch
from pipeline.text import shown

# Where all but the master lie, in the storyboard's folder, and what tells of them there.
DELIVERABLES_FOLDER = "deliverables"
REPORT_NAME = "report.json"
TABLE_NAME = "report.txt"
FORMAT = 1

_COLUMNS = 80
_NAME_COLUMNS = 18
# Shapes that people call by name; others are said as a decimal.
_RATIOS = ((16, 9), (9, 16), (1, 1), (4, 5), (5, 4), (4, 3), (3, 4), (21, 9), (3, 2), (2, 3))
# Even sides do not always hit a ratio: 854 x 480 is 16:9 to everybody.
_RATIO_TOLERANCE = Fraction(1, 100)
_HEAD = ("deliverable", "size", "ratio", "fps", "length", "LUFS", "dBTP", "checks")
_LAYOUT = "{:<18} {:<9} {:>6} {:>6} {:>9} {:>6} {:>6}  {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One deliverable: ``file`` as it is called from the storyboard's folder; ``rendered`` and
    ``reused`` how many of its pieces were made now and taken as they were; ``is_reused`` whether
    the file itself was."""

    name: str
    file: str
    sha256: str
    measured: Measurements
    wanted: Wanted
    faults: tuple[Fault, ...]
    rendered: int = 0
    reused: int = 0
    is_reused: bool = False
    notes: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmReport:
    """All deliverables of a storyboard, in the manifest's order, and what they were held to.

    ``not_made`` those that could not even be made: the file, and why.
    """

    title: str
    checks: Checks
    deliverables: tuple[Made, ...]
    not_made: tuple[tuple[str, str], ...] = ()

    @property
    def has_passed(self) -> bool:
        """Whether nothing is wrong with any of them."""
        return not self.not_made and not any(made.faults for made in self.deliverables)


def build_report(report: FilmReport) -> str:
    """The report as JSON text, for scripts."""
    checks = report.checks
    record = {
        "format": FORMAT,
        "title": report.title,
        "passed": report.has_passed,
        "checks": {
            "black_s": _number(checks.black_s),
            "frozen_s": _number(checks.frozen_s),
            "silent_s": _number(checks.silent_s),
            "black_level": _number(checks.black_level),
            "loudness_lu": _number(checks.loudness_lu),
        },
        "deliverables": [_made(made) for made in report.deliverables],
        "not_made": [{"file": file, "message": why} for file, why in report.not_made],
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def build_table(report: FilmReport) -> str:
    """The report for people: a table, then what each file is, and every fault with its cure."""
    lines = [_LAYOUT.format(*_HEAD), _LAYOUT.format(*_rule())]
    lines += [_row(made) for made in report.deliverables]
    for made in report.deliverables:
        lines += ["", *_details(made)]
    for file, why in report.not_made:
        lines += ["", f"{shown(file, _COLUMNS - 10)}: NOT MADE"]
        lines += textwrap.wrap(why, _COLUMNS, initial_indent="  ", subsequent_indent="  ")
    failed = sum(1 for made in report.deliverables if made.faults) + len(report.not_made)
    total = len(report.deliverables) + len(report.not_made)
    what = "deliverable" if total == 1 else "deliverables"
    lines += ["", f"{failed} of {total} {what} failed" if failed else f"{total} {what} passed"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def ratio_name(ratio: Fraction) -> str:
    """A picture's shape as people say it: ``16:9``, or ``1.91:1`` where it has no name."""
    for width, height in _RATIOS:
        if abs(ratio / Fraction(width, height) - 1) <= _RATIO_TOLERANCE:
            return f"{width}:{height}"
    return f"{float(ratio):.2f}:1"


def _rule() -> Sequence[str]:
    widths = (18, 9, 6, 6, 9, 6, 6, 6)
    return tuple("-" * width for width in widths)


def _row(made: Made) -> str:
    measured, sound = made.measured, made.measured.sound
    lufs = sound.integrated_lufs if sound else None
    peak = sound.true_peak_dbtp if sound else None
    return _LAYOUT.format(
        shown(made.name, _NAME_COLUMNS - 1),
        f"{measured.width_px}x{measured.height_px}",
        ratio_name(measured.ratio),
        f"{float(measured.frame_rate):.6g}"[:6],
        f"{float(measured.duration_s):.3f} s",
        _level(lufs),
        _level(peak),
        "FAILED" if made.faults else "passed",
    )


def _level(level: float | None) -> str:
    return "silent" if level is None else f"{level:.1f}"


def _details(made: Made) -> list[str]:
    measured, wanted = made.measured, made.wanted
    size_mb = measured.size_bytes / 1_000_000
    lines = [f"{made.name}: {shown(made.file, _COLUMNS - 20 - len(made.name))}, {size_mb:.1f} MB"]
    sound = "no sound" if measured.sound is None else measured.sound.codec
    lines.append(f"  {measured.video_codec} {measured.pixel_format}, {sound}; {_work(made)}")
    if wanted.loudness is not None:
        lines.append(
            f"  target {float(wanted.loudness.integrated_lufs):g} LUFS, true peak at most "
            f"{float(wanted.loudness.true_peak_dbtp):g} dBTP ({wanted.loudness.name})"
        )
    for note in made.notes:
        lines += textwrap.wrap(note, _COLUMNS, initial_indent="  ", subsequent_indent="  ")
    for fault in made.faults:
        lines += textwrap.wrap(
            fault.message,
            _COLUMNS,
            initial_indent="  FAILED  ",
            subsequent_indent=" " * 10,
        )
        lines += textwrap.wrap(
            fault.hint, _COLUMNS, initial_indent=" " * 10, subsequent_indent=" " * 10
        )
    return lines


def _work(made: Made) -> str:
    if made.is_reused:
        return "nothing changed, kept as it was"
    total = made.rendered + made.reused
    pieces = f"{total} piece{'' if total == 1 else 's'}"
    if not made.reused:
        return f"{pieces} rendered"
    if not made.rendered:
        return f"{pieces} of picture reused"
    return f"{made.rendered} of {pieces} rendered, {made.reused} reused"


def _made(made: Made) -> dict[str, object]:
    measured, wanted = made.measured, made.wanted
    target = wanted.loudness
    return {
        "name": made.name,
        "file": made.file,
        "sha256": made.sha256,
        "passed": not made.faults,
        "faults": [
            {"code": fault.code.value, "message": fault.message, "hint": fault.hint}
            for fault in made.faults
        ],
        "notes": list(made.notes),
        "reused": made.is_reused,
        "pieces_rendered": made.rendered,
        "pieces_reused": made.reused,
        "wanted": {
            "width_px": wanted.width_px,
            "height_px": wanted.height_px,
            "frame_rate": str(wanted.frame_rate),
            "frames": wanted.frames,
            "profile": wanted.profile,
            "loudness": target.name if target else None,
            "integrated_lufs": _number(target.integrated_lufs if target else None),
            "true_peak_dbtp": _number(target.true_peak_dbtp if target else None),
        },
        "measured": _measured(measured),
    }


def _measured(measured: Measurements) -> dict[str, object]:
    sound, color = measured.sound, measured.color
    return {
        "size_bytes": measured.size_bytes,
        "container": measured.container.value,
        "video_codec": measured.video_codec,
        "video_profile": measured.video_profile,
        "pixel_format": measured.pixel_format,
        "color_primaries": color.primaries,
        "color_transfer": color.transfer,
        "color_matrix": color.matrix,
        "color_range": color.value_range,
        "width_px": measured.width_px,
        "height_px": measured.height_px,
        "sample_aspect": str(measured.sample_aspect),
        "ratio": ratio_name(measured.ratio),
        "frame_rate": str(measured.frame_rate),
        "constant_rate": measured.is_rate_constant,
        "frames": measured.frames,
        "duration_s": _number(measured.duration_s),
        "index_first": measured.has_index_first,
        "black": _stretches(measured.black),
        "frozen": _stretches(measured.frozen),
        "sound": None
        if sound is None
        else {
            "codec": sound.codec,
            "channels": sound.channels,
            "sample_rate_hz": sound.sample_rate_hz,
            "starts_late_ms": _number(sound.starts_late_s * 1000),
            "ends_late_ms": _number(sound.ends_late_s * 1000),
            "integrated_lufs": _number(sound.integrated_lufs),
            "true_peak_dbtp": _number(sound.true_peak_dbtp),
            "silent": _stretches(sound.silent),
        },
    }


def _stretches(stretches: Sequence[Stretch]) -> list[list[float | None]]:
    return [[_number(each.start_s), _number(each.end_s)] for each in stretches]


def _number(value: Fraction | float | None) -> float | None:
    """Rounded to what can be heard or seen, as a reader would type it."""
    return None if value is None else round(float(value), 3)
