"""Decides from measurements whether a clip may enter a film, and a film may leave. No I/O.

What is meant is no fault: cards and slate stand still, fades are black. They are told by the film's
own timeline, and only what is black or frozen outside of them counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from pipeline.film.spec import Checks, Loudness, Profile
from pipeline.film.timeline import PartKind, Timeline
from pipeline.finishing.measurements import Measurements, SoundMeasured, Stretch

# Sound is stored in blocks and can only end with one: 1,024 samples of AAC are 21 ms, a block of
# Opus 20 ms and its run-in 7 ms. No end of sound is wrong that no encoder could have put better.
_SOUND_BLOCK_S = Fraction(3, 100)
# A clip is black or frozen from end to end with so much of it; a picture or two of another kind at
# either end make no clip of it.
_WHOLE = Fraction(4, 5)
# Levels are said to a tenth of a decibel; what reads as the limit keeps to it.
_ROUNDING_DB = 0.05
_CODECS = {
    Profile.WEB: "h264",
    Profile.HEVC: "hevc",
    Profile.PRORES: "prores",
    Profile.WEBM: "vp9",
}


class FaultCode(StrEnum):
    """What can be wrong with a clip or a film."""

    BLACK = "black"
    FROZEN = "frozen"
    SILENT = "silent"
    NO_SOUND = "no-sound"
    LENGTH = "length"
    SIZE = "size"
    RATE = "rate"
    CODEC = "codec"
    SYNC = "sync"
    LOUDNESS = "loudness"
    TRUE_PEAK = "true-peak"
    FASTSTART = "faststart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One reason to refuse a file: in a word, in a sentence with figures, and the cure."""

    code: FaultCode
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a film should be like.

    ``loudness`` None: as it comes; ``may_rest`` the stretches in which it may be black or stand
    still; ``profile`` None: any codec.
    """

    frames: int
    frame_rate: Fraction
    width_px: int
    height_px: int
    loudness: Loudness | None = None
    may_rest: tuple[Stretch, ...] = ()
    profile: Profile | None = Profile.WEB


def resting_places(
    timeline: Timeline, *, fade_in_s: Fraction = Fraction(0), fade_out_s: Fraction = Fraction(0)
) -> tuple[Stretch, ...]:
    """Where a film may be black or stand still: its cards, its slate, and every fade."""
    return tuple(_resting(timeline, fade_in_s, fade_out_s))


def _resting(timeline: Timeline, fade_in_s: Fraction, fade_out_s: Fraction) -> Iterator[Stretch]:
    rate, end_s = timeline.frame_rate, timeline.duration_s
    begin_s = Fraction(timeline.slate_frames) / rate
    for span in timeline.spans:
        if span.part.kind is not PartKind.SHOT:
            yield Stretch(start_s=span.first_frame / rate, end_s=span.end_frame / rate)
        if span.tail and span.part.transition.kind.startswith("fade"):
            first_frame = span.end_frame - span.tail
            yield Stretch(start_s=first_frame / rate, end_s=span.end_frame / rate)
    if fade_in_s:
        yield Stretch(start_s=begin_s, end_s=begin_s + fade_in_s)
    if fade_out_s:
        yield Stretch(start_s=end_s - fade_out_s, end_s=end_s)


def judge_clip(measured: Measurements, checks: Checks) -> tuple[Fault, ...]:
    """Everything that keeps a whole clip from being cut into a film.

    A clip that is black or frozen from end to end is refused even if it is shorter than the
    threshold, unless the manifest raises that: of a shot of one second nothing else would tell.
    """
    usual = Checks()
    black_s, frozen_s = checks.black_s, checks.frozen_s
    if black_s <= usual.black_s:
        black_s = min(black_s, measured.duration_s * _WHOLE)
    if frozen_s <= usual.frozen_s:
        frozen_s = min(frozen_s, measured.duration_s * _WHOLE)
    cure = "look at the clip; `storyboard run --retake SHOT` buys another, or "
    black = _black(measured.black, black_s, cure)
    if black:
        return (black,)
    frozen = _frozen(outside(measured.frozen, measured.black), frozen_s, cure)
    return (frozen,) if frozen else ()


def judge_film(measured: Measurements, wanted: Wanted, checks: Checks) -> tuple[Fault, ...]:
    """Everything that keeps a film from being handed over, the gravest first."""
    cure = "look at the film; cards and fades never count; if it is meant to be so, "
    dark = outside(measured.black, wanted.may_rest)
    still = outside(measured.frozen, (*wanted.may_rest, *measured.black))
    faults = [
        *_format(measured, wanted),
        _black(dark, checks.black_s, cure),
        _frozen(still, checks.frozen_s, cure),
        *_sound(measured, wanted, checks),
    ]
    return tuple(fault for fault in faults if fault)


def outside(stretches: Iterable[Stretch], spared: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """What is left of some stretches without others, in order."""
    left = list(stretches)
    for hole in spared:
        left = [part for stretch in left for part in _without(stretch, hole)]
    return tuple(left)


def _without(stretch: Stretch, hole: Stretch) -> Iterator[Stretch]:
    if hole.end_s <= stretch.start_s or stretch.end_s <= hole.start_s:
        yield stretch
        return
    if stretch.start_s < hole.start_s:
        yield Stretch(start_s=stretch.start_s, end_s=hole.start_s)
    if hole.end_s < stretch.end_s:
        yield Stretch(start_s=hole.end_s, end_s=stretch.end_s)


def _black(stretches: Sequence[Stretch], limit_s: Fraction, cure: str) -> Fault | None:
    found = _longest(stretches, limit_s)
    if found is None:
        return None
    hint = f"{cure}raise `black` of the film's checks, or lower `black_level` for a night scene"
    return Fault(code=FaultCode.BLACK, message=f"black {_told(found)}", hint=hint)


def _frozen(stretches: Sequence[Stretch], limit_s: Fraction, cure: str) -> Fault | None:
    found = _longest(stretches, limit_s)
    if found is None:
        return None
    hint = f"{cure}raise `frozen` of the film's checks"
    return Fault(code=FaultCode.FROZEN, message=f"nothing moves {_told(found)}", hint=hint)


def _longest(stretches: Sequence[Stretch], limit_s: Fraction) -> Stretch | None:
    """The longest of those that are longer than the limit."""
    return max(
        (each for each in stretches if each.length_s > limit_s),
        key=lambda each: each.length_s,
        default=None,
    )


def _told(stretch: Stretch) -> str:
    return (
        f"for {float(stretch.length_s):.2f} s, "
        f"from {float(stretch.start_s):.2f} s to {float(stretch.end_s):.2f} s"
    )


def _format(measured: Measurements, wanted: Wanted) -> Iterator[Fault]:
    again = "delete the file and run again; if it stays so, report it with the report's figures"
    if (measured.width_px, measured.height_px) != (wanted.width_px, wanted.height_px) or (
        measured.sample_aspect != 1
    ):
        shape = "" if measured.sample_aspect == 1 else f" of pixels {measured.sample_aspect} wide"
        message = (
            f"{measured.width_px}x{measured.height_px}{shape} instead of "
            f"{wanted.width_px}x{wanted.height_px}"
        )
        yield Fault(code=FaultCode.SIZE, message=message, hint=again)
    if not measured.is_rate_constant or measured.frame_rate != wanted.frame_rate:
        found = f"{float(measured.frame_rate):g}" if measured.is_rate_constant else "changing"
        message = f"{found} frames a second instead of {float(wanted.frame_rate):g}"
        yield Fault(code=FaultCode.RATE, message=message, hint=again)
    if measured.frames != wanted.frames:
        message = (
            f"{measured.frames} frames instead of {wanted.frames} "
            f"({float(measured.duration_s):.3f} s instead of "
            f"{float(wanted.frames / wanted.frame_rate):.3f} s)"
        )
        yield Fault(code=FaultCode.LENGTH, message=message, hint=again)
    if wanted.profile is not None and measured.video_codec != _CODECS[wanted.profile]:
        message = f"encoded as {measured.video_codec} instead of {_CODECS[wanted.profile]}"
        yield Fault(code=FaultCode.CODEC, message=message, hint=again)
    if wanted.profile is Profile.WEB and measured.has_index_first is False:
        message = "its index stands behind its pictures, so it plays only once it is loaded whole"
        yield Fault(code=FaultCode.FASTSTART, message=message, hint=again)


def _sound(measured: Measurements, wanted: Wanted, checks: Checks) -> Iterator[Fault]:
    sound = measured.sound
    if sound is None:
        message = "no sound track, where even a silent film has one"
        yield Fault(code=FaultCode.NO_SOUND, message=message, hint="delete the file and run again")
        return
    yield from _in_step(sound, max(1 / measured.frame_rate, _SOUND_BLOCK_S))
    silent = _longest(sound.silent, checks.silent_s) if checks.silent_s is not None else None
    if silent is not None:
        hint = "add sound there, or raise `silent` of the film's checks"
        yield Fault(code=FaultCode.SILENT, message=f"silent {_told(silent)}", hint=hint)
    if wanted.loudness is not None:
        yield from _levels(sound, wanted.loudness, float(checks.loudness_lu))


def _in_step(sound: SoundMeasured, limit_s: Fraction) -> Iterator[Fault]:
    for verb, late_s in (("begins", sound.starts_late_s), ("ends", sound.ends_late_s)):
        if abs(late_s) > limit_s:
            side = "after" if late_s > 0 else "before"
            yield Fault(
                code=FaultCode.SYNC,
                message=f"the sound {verb} {abs(float(late_s)) * 1000:.0f} ms {side} the picture "
                f"(at most {float(limit_s) * 1000:.0f} ms)",
                hint="delete the file and run again",
            )


def _levels(sound: SoundMeasured, wanted: Loudness, tolerance_lu: float) -> Iterator[Fault]:
    found, target = sound.integrated_lufs, float(wanted.integrated_lufs)
    # Silence cannot be brought to any loudness; whether it is a fault says `silent`.
    if found is not None and abs(found - target) > tolerance_lu:
        yield Fault(
            code=FaultCode.LOUDNESS,
            message=f"loudness {found:.1f} LUFS, {abs(found - target):.1f} LU "
            f"{'over' if found > target else 'under'} the {target:g} of {wanted.name} "
            f"(at most {tolerance_lu:g} LU)",
            hint="even out the shots' `sound`, or raise `loudness` of the film's checks",
        )
    peak, ceiling = sound.true_peak_dbtp, float(wanted.true_peak_dbtp)
    if peak is not None and peak > ceiling + _ROUNDING_DB:
        yield Fault(
            code=FaultCode.TRUE_PEAK,
            message=f"true peak {peak:.1f} dBTP, over the {ceiling:g} of {wanted.name}",
            hint="turn down the loudest shot or voice-over",
        )
