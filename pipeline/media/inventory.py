"""What one ffmpeg has of what this program needs: the facts behind ``storyboard doctor``."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from pipeline.errors import FfmpegMissing
from pipeline.film.spec import Profile
from pipeline.media.ffmpeg import INSTALL_HINT, child_environment

_TIME_LIMIT_S = 20.0


class Part(StrEnum):
    """Kinds of parts that an ffmpeg is built with."""

    ENCODER = "encoder"
    DECODER = "decoder"
    FILTER = "filter"
    DEMUXER = "demuxer"
    MUXER = "muxer"


# All that the commands of this program name; builds made by hand sometimes lack one.
REQUIRED: Mapping[Part, frozenset[str]] = MappingProxyType(
    {
        Part.ENCODER: frozenset({"libx264", "aac"}),
        Part.DECODER: frozenset({"h264", "aac"}),
        Part.FILTER: frozenset(
            {
                "aformat",
                "afade",
                "blackdetect",
                "metadata",
                "apad",
                "aresample",
                "asetpts",
                "atrim",
                "format",
                "fps",
                "pad",
                "pan",
                "scale",
                "setparams",
                "setpts",
                "setsar",
                "tpad",
            }
        ),
        Part.DEMUXER: frozenset({"mov", "concat", "f32le"}),
        Part.MUXER: frozenset({"mp4", "f32le", "null"}),
    }
)


class Use(StrEnum):
    """What not every storyboard asks of an ffmpeg, as it is told to people."""

    WEBM_CLIPS = "WEBM clips"
    FILM = "the film section"
    HEVC = "profile hevc"
    PRORES = "profile prores"
    WEBM = "profile webm"


_WEBM_DECODERS = frozenset({"libvpx-vp9", "vp8", "opus", "vorbis"})
# And what these ask for besides. AV1 is left out, as old builds have no decoder for it and no
# provider is known to use it; where there is one, such clips pass.
REQUIRED_FOR: Mapping[Use, Mapping[Part, frozenset[str]]] = MappingProxyType(
    {
        Use.WEBM_CLIPS: {Part.DECODER: _WEBM_DECODERS, Part.DEMUXER: frozenset({"matroska"})},
        Use.FILM: {
            Part.DECODER: frozenset({"png", "rawvideo"}),
            Part.FILTER: frozenset(
                {
                    "ametadata",
                    "color",
                    "concat",
                    "crop",
                    "ebur128",
                    "fade",
                    "freezedetect",
                    "gblur",
                    "lutyuv",
                    "overlay",
                    "settb",
                    "silencedetect",
                    "split",
                    "trim",
                    "xfade",
                }
            ),
            Part.DEMUXER: frozenset({"png_pipe", "lavfi"}),
            Part.MUXER: frozenset({"rawvideo"}),
        },
        Use.HEVC: {Part.ENCODER: frozenset({"libx265"}), Part.DECODER: frozenset({"hevc"})},
        Use.PRORES: {
            Part.ENCODER: frozenset({"prores_ks", "pcm_s24le"}),
            Part.DECODER: frozenset({"prores", "pcm_s24le"}),
            Part.MUXER: frozenset({"mov"}),
        },
        Use.WEBM: {
            Part.ENCODER: frozenset({"libvpx-vp9", "libopus"}),
            Part.DECODER: frozenset({"libvpx-vp9", "opus"}),
            Part.DEMUXER: frozenset({"matroska"}),
            Part.MUXER: frozenset({"webm"}),
        },
    }
)

# ffmpeg's listing for each kind, and the mark that a line's first column must hold. Both kinds
# of formats are in one listing, where a name may be several joined by commas.
_LISTINGS = MappingProxyType(
    {
        Part.ENCODER: ("-encoders", ""),
        Part.DECODER: ("-decoders", ""),
        Part.FILTER: ("-filters", ""),
        Part.DEMUXER: ("-formats", "D"),
        Part.MUXER: ("-formats", "E"),
    }
)
# Flags, the name or names, then a description; legends have "=" where the name stands.
_ROW = re.compile(r"^ (?P<flags>[A-Zd.| ]{2,6}?) +(?P<names>[a-z0-9][\w,.-]*)(?: |$)")


_USES = {Profile.HEVC: Use.HEVC, Profile.PRORES: Use.PRORES, Profile.WEBM: Use.WEBM}


def uses_of(profiles: Collection[Profile]) -> set[Use]:
    """What deliverables of these profiles ask for."""
    return {_USES[profile] for profile in profiles if profile in _USES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One ffmpeg: its version as it says it, and what it lacks, as ``encoder libx264``.

    ``missing_for`` has what some storyboards need besides, only where something is missing.
    """

    path: Path
    version: str
    missing: tuple[str, ...]
    missing_for: Mapping[Use, tuple[str, ...]]

    @property
    def is_complete(self) -> bool:
        """Whether it can do all that a plain film of MP4 and MOV clips asks of an ffmpeg."""
        return not self.missing


def inventory(ffmpeg: Path) -> Inventory:
    """Ask one ffmpeg for its version and its parts; four short runs, some tenths of a second.

    Raises:
        FfmpegMissing: it cannot be run, or does not answer like an ffmpeg.
    """
    first_line = _ask(ffmpeg, "-version").partition("\n")[0]
    if not (match := re.match(r"ffmpeg version (\S+)", first_line)):
        raise FfmpegMissing(
            f"{ffmpeg} does not answer like ffmpeg: {first_line[:100]!r}", hint=INSTALL_HINT
        )
    answers = {
        option: _ask(ffmpeg, option) for option in {option for option, _ in _LISTINGS.values()}
    }
    has = {part: read_names(answers[option], mark) for part, (option, mark) in _LISTINGS.items()}
    return Inventory(
        path=ffmpeg,
        version=match[1],
        missing=_lacks(has, REQUIRED),
        missing_for={
            use: lacks for use, needed in REQUIRED_FOR.items() if (lacks := _lacks(has, needed))
        },
    )


def _lacks(
    has: Mapping[Part, frozenset[str]], required: Mapping[Part, frozenset[str]]
) -> tuple[str, ...]:
    return tuple(
        f"{part} {name}" for part, needed in required.items() for name in sorted(needed - has[part])
    )


def require_complete(ffmpeg: Path, uses: Collection[Use] = ()) -> None:
    """Make sure that clips can be checked and joined, before any of them is paid for.

    Args:
        uses: what the storyboards ask for besides a plain film.
    Raises:
        FfmpegMissing: it cannot be run, or lacks something that is needed.
    """
    stock = inventory(ffmpeg)
    if not stock.is_complete:
        lacks = ", ".join(stock.missing[:5])
        raise FfmpegMissing(f"{ffmpeg} lacks {lacks}", hint=INSTALL_HINT)
    for use in Use:
        if use in uses and use in stock.missing_for:
            lacks = ", ".join(stock.missing_for[use][:5])
            raise FfmpegMissing(
                f"{ffmpeg} lacks {lacks}, needed for {use}",
                hint=f"do without {use}, or {INSTALL_HINT}",
            )


def read_names(listing: str, mark: str = "") -> frozenset[str]:
    """Names in one of ffmpeg's listings, of the rows whose flags hold ``mark``."""
    names: set[str] = set()
    for line in listing.splitlines():
        row = _ROW.match(line)
        if row and mark in row["flags"]:
            names.update(row["names"].split(","))
    return frozenset(names)


def _ask(ffmpeg: Path, option: str) -> str:
    try:
        answer = subprocess.run(
            [str(ffmpeg), "-hide_banner", option],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIME_LIMIT_S,
            env=child_environment(os.environ),
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise FfmpegMissing(f"{ffmpeg} cannot be run: {exc}", hint=INSTALL_HINT) from exc
    return answer.stdout.decode("utf-8", errors="replace")
