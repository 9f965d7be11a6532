"""Checks as programs commonly make them: the proof must catch each of them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from verify.checking import SOUND, Checks

from pipeline.checksums import Ruler
from pipeline.download import Downloader
from pipeline.errors import ClipRejected
from pipeline.film.spec import Checks as Thresholds
from pipeline.finishing.checks import Fault
from pipeline.finishing.measurements import Measurements
from pipeline.ledger import Attempt
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.verify import verify_clip
from pipeline.model import ClipFacts, Expected


class Unmeasured(Downloader):
    """Reads no checksum."""

    def _compare(self, ruler: Ruler, *, host: str, name: str) -> None:
        return


class Strict(Downloader):
    """Takes every ETag for an MD5 for ever."""

    def _is_no_md5(self, host: str, came: bytes) -> bool:
        return False


async def exit_status_only(path: Path, expected: Expected, *, ffmpeg: Path) -> ClipFacts:
    """Asks ffmpeg whether it can read the file and believes its exit status."""
    command = [str(find_ffmpeg(os.environ)), "-nostdin", "-v", "quiet", "-i", str(path)]
    if subprocess.run([*command, "-f", "null", "-"], check=False, timeout=300).returncode:
        raise ClipRejected("ffmpeg says no")
    return ClipFacts(
        size_bytes=0,
        sha256="",
        width_px=0,
        height_px=0,
        frames=0,
        frame_rate=Fraction(1),
        video_codec="",
        has_audio=False,
    )


async def too_strict(path: Path, expected: Expected, *, ffmpeg: Path) -> ClipFacts:
    """Wants the length to the frame."""
    facts = await verify_clip(path, expected, ffmpeg=ffmpeg)
    if facts.duration_s != expected.duration_s:
        raise ClipRejected("not the length ordered")
    return facts


async def by_size(cut: list[Attempt], folder: Path) -> list[Attempt]:
    """Takes a clip of any size for the one that was checked."""
    return [a for a in cut if not (folder / "clips" / (a.clip or "")).is_file()]


def unseen(measured: Measurements, thresholds: Thresholds) -> tuple[Fault, ...]:
    """Takes a clip that can be decoded for one that can be shown."""
    return ()


BROKEN: dict[str, Checks] = {
    "no checksum is read": replace(SOUND, downloader=Unmeasured),
    "every ETag is taken for an MD5": replace(SOUND, downloader=Strict),
    "ffmpeg's exit status is believed": replace(SOUND, verify=exit_status_only),
    "a length to the frame is asked for": replace(SOUND, verify=too_strict),
    "clips are joined unread": replace(SOUND, changed=by_size),
    "clips are joined unseen": replace(SOUND, judge=unseen),
}
