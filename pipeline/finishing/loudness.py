"""What a sound measures: integrated loudness, loudness range, true peak, by ffmpeg's ``ebur128``.

Sources: EBU R 128 and ITU-R BS.1770 for the measure. ffmpeg tells loudness and peaks in tenths.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import ffmpeg as arguments

from pipeline.errors import MediaError
from pipeline.film.spec import Loudness
from pipeline.media.commands import SOUND_CHANNELS, SOUND_FORMAT
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.probe import DEMUXERS
from pipeline.model import Container
from pipeline.timecode import SAMPLE_RATE_HZ

# The measure's own floor: nothing lies above its gate, as in silence or in under 0.4 s of sound.
_FLOOR_LUFS = -70.0
_LIMIT_S = 600.0
_NUMBER = r":\s+(-?(?:inf|nan|[0-9.]+))\s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a sound measures.

    ``integrated_lufs`` None: silent, or too short to have a loudness; ``true_peak_dbtp`` None:
    there is nothing but zeros.
    """

    integrated_lufs: float | None
    true_peak_dbtp: float | None
    range_lu: float

    def keeps(self, target: Loudness, tolerance_lu: float) -> bool:
        """Whether it is within ``tolerance_lu`` of the target and under its peak."""
        if self.integrated_lufs is None or self.true_peak_dbtp is None:
            return False
        off_lu = abs(self.integrated_lufs - float(target.integrated_lufs))
        # Read from tenths: without the grain of a float, 0.5 would be more than 0.5.
        return round(off_lu, 3) <= tolerance_lu and self.peak_over(target) <= 0

    def peak_over(self, target: Loudness) -> float:
        """Decibels by which the peak is too high; negative where there is room."""
        if self.true_peak_dbtp is None:
            return -math.inf
        return round(self.true_peak_dbtp - float(target.true_peak_dbtp), 3)


async def measure(
    file: Path,
    *,
    ffmpeg: Path,
    container: Container | None = None,
    time_limit_s: float = _LIMIT_S,
) -> Measured:
    """Loudness and true peak of a file's first sound track.

    Args:
        container: what the file is; None: raw floats, as mixes are.
    Raises:
        MediaError: it cannot be decoded, or has no sound.
    """
    if container is None:
        source = {"format": SOUND_FORMAT, "ar": SAMPLE_RATE_HZ, "ac": SOUND_CHANNELS}
    else:
        source = {"format": DEMUXERS[container], "protocol_whitelist": "file"}
    sound = arguments.input(str(file.absolute()), threads=1, **source)["a:0"].filter(
        "ebur128", peak="true", framelog="verbose"
    )
    # The summary is among the words that are only said when asked for; the last "v" counts.
    output = arguments.output(sound, "-", format="null", xerror=None, v="info")
    ended = await run_ffmpeg(arguments.get_args(output), ffmpeg=ffmpeg, time_limit_s=time_limit_s)
    return read_summary(ended.stderr_tail)


def read_summary(words: str) -> Measured:
    """What ``ebur128`` says at the end of its work.

    Raises:
        MediaError: it did not say it.
    """
    # A file's own texts are printed too, but before.
    _, found, summary = words.rpartition("Summary:")
    values = {
        name: float(match[1])
        for name in ("I", "LRA", "Peak")
        if (match := re.search(rf"\b{name}{_NUMBER}", f"{summary}\n"))
    }
    if not found or len(values) != 3:
        raise MediaError(
            "ffmpeg measured no loudness",
            hint="run `storyboard doctor` to check this ffmpeg",
            returncode=0,
            stderr_tail=words,
        )
    integrated, peak = values["I"], values["Peak"]
    return Measured(
        integrated_lufs=integrated if integrated > _FLOOR_LUFS else None,
        true_peak_dbtp=peak if math.isfinite(peak) else None,
        range_lu=values["LRA"],
    )
