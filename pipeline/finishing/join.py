"""The finished file of a deliverable: its pieces copied, its sound encoded once, and both checked.

Nothing here encodes a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import anyio.to_thread
import ffmpeg as graph

from pipeline.errors import MediaError
from pipeline.film.profiles import ENCODINGS, Encoding
from pipeline.film.spec import Profile
from pipeline.finishing.coding import CODINGS, options_of
from pipeline.finishing.pictures import Rendered
from pipeline.finishing.sources import Frame
from pipeline.media.commands import (
    SOUND_CHANNELS,
    SOUND_FORMAT,
    DecodingClock,
    arguments_of,
    build_concat_list,
)
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.pieces import Workshop
from pipeline.media.probe import AudioInfo, VideoInfo, probe
from pipeline.model import Container
from pipeline.timecode import SAMPLE_RATE_HZ

# What a second of film costs to join, against PICTURE_WEIGHT for making its picture.
JOIN_WEIGHT = 1.0
_LIMIT_FLOOR_S = 120.0
_LIMIT_PER_SECOND = 2.0
# The last packet of Opus may last this long, and ffmpeg 5.1 does not say how much of it is heard.
_PACKET_S = Fraction(1, 50)
_LIST_NAME = "film.ffconcat"
_SOUND_NAME = "film.raw"
# Keys that MP4 keeps; it drops any other without a word, and MOV drops the description too.
_TEXT_KEYS = frozenset({"title", "artist", "comment", "description", "copyright"})
# Opus begins with 312 samples that are not heard (RFC 7845, section 4.2), and WEBM's muxer has to
# move the sound by as much. ffmpeg 5.1's forgets to, which makes all pictures late. Where that
# shows it is done for it, in milliseconds, as 5.1 hands them to its bitstream filters, or samples.
_SOUND_SHIFTS: Mapping[Profile, tuple[int, ...]] = MappingProxyType({Profile.WEBM: (0, 7, 312)})


class WrongFilm(MediaError):
    """A joined film is not what its pieces and its sound should have made."""


async def join(
    rendered: Rendered,
    sound: Path | None,
    target: Path,
    frame: Frame,
    *,
    workshop: Workshop,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write one deliverable to ``target``, which is replaced, and check it.

    The same pieces, sound and texts give the same bytes with the same ffmpeg. ``target`` is an
    unfinished name of the caller's: after a failure it may hold half a film.

    Args:
        rendered: what ``render_pictures`` gave for ``frame``.
        sound: raw stereo floats at 48 kHz, as long as the film; None: a film without sound.
        workshop: its folder holds the links; progress grows by ``JOIN_WEIGHT`` a second of film.
        texts: title, artist, comment, description, copyright, of a WEBM any other key as well;
            control characters become spaces.
    Raises:
        WrongFilm: it came out wrong. Of copied clips that is cured by pictures rendered with
            ``copy=False``.
        MediaError: ffmpeg failed otherwise.
    """
    suffix = rendered.files[0].suffix
    names = [f"j{index:05}{suffix}" for index, _ in enumerate(rendered.files, start=1)]
    for name, path in zip(names, rendered.files, strict=True):
        _link(workshop.folder / name, path)
    if sound is not None:
        _link(workshop.folder / _SOUND_NAME, sound)
    (workshop.folder / _LIST_NAME).write_text(
        build_concat_list(names, rendered.frames, frame.frame_rate)
    )
    fault = ""
    for shift in _SOUND_SHIFTS.get(frame.profile, (0,)):
        arguments = build_film(
            _LIST_NAME,
            None if sound is None else _SOUND_NAME,
            str(target.absolute()),
            profile=frame.profile,
            clock=rendered.clock,
            texts=texts or {},
            sound_shift=shift,
        )
        await _run(arguments, rendered.total_frames / frame.frame_rate, workshop)
        fault = await anyio.to_thread.run_sync(
            film_fault, target, rendered.total_frames, frame, sound is not None
        )
        if not fault:
            return
    raise WrongFilm(
        f"the film came out wrong: {fault}",
        hint="run `storyboard doctor` to check this ffmpeg",
        returncode=0,
    )


async def _run(arguments: Sequence[str], duration_s: Fraction, workshop: Workshop) -> None:
    length_s = float(duration_s)
    advance = workshop.progress.part(JOIN_WEIGHT * length_s)
    try:
        await run_ffmpeg(
            arguments,
            ffmpeg=workshop.ffmpeg,
            cwd=workshop.folder,
            time_limit_s=_LIMIT_FLOOR_S + _LIMIT_PER_SECOND * length_s,
            on_progress=lambda done_s: advance(done_s / length_s),
        )
    except MediaError as exc:
        if exc.returncode is None or exc.returncode < 0:
            raise
        raise WrongFilm(
            f"the pieces of the film could not be joined: {exc.message}",
            hint="run `storyboard doctor` to check this ffmpeg",
            returncode=exc.returncode,
            stderr_tail=exc.stderr_tail,
        ) from exc
    advance(1.0)


def build_film(
    list_name: str,
    sound_name: str | None,
    target: str,
    *,
    profile: Profile,
    clock: DecodingClock | None,
    texts: Mapping[str, str],
    sound_shift: int = 0,
) -> list[str]:
    """Copy the listed pieces into one file, and encode its sound once.

    ``copyts`` keeps the first picture at 0, and ``auto_convert=0`` every packet as it is.
    """
    encoding = ENCODINGS[profile]
    pictures = graph.input(
        list_name,
        format="concat",
        safe=1,
        auto_convert=0,
        protocol_whitelist="file,pipe",
        format_whitelist="concat,mov,mp4,m4a,3gp,3g2,mj2",
    )
    streams = [pictures["v:0"]]
    if sound_name is not None:
        sound = graph.input(sound_name, format=SOUND_FORMAT, ar=SAMPLE_RATE_HZ, ac=SOUND_CHANNELS)
        streams.append(sound["a:0"])
    output = graph.output(
        *streams,
        target,
        **{
            "format": encoding.muxer,
            "copyts": None,
            "xerror": None,
            "threads": 1,
            "c:v": "copy",
            **({} if sound_name is None else options_of(encoding.audio_arguments)),
            **({} if clock is None else {"bsf:v": clock.filter}),
            **_tag(encoding),
            **options_of(encoding.muxer_arguments),
            "flags:a": "+bitexact",
            "map_metadata": -1,
            "fflags": "+bitexact",
            **({"bsf:a": f"setts=ts=TS+{sound_shift}"} if sound_shift else {}),
        },
    )
    arguments = arguments_of(output)
    # ffmpeg-python holds an option only once, and every text is one of the same option.
    at = arguments.index(target)
    kept = texts.keys() if profile is Profile.WEBM else _TEXT_KEYS & texts.keys()
    for key in sorted(kept):
        if line := one_line(texts[key]):
            arguments[at:at] = ["-metadata", f"{key}={line}"]
    return arguments


def film_fault(path: Path, frames: int, frame: Frame, has_sound: bool) -> str:
    """What is wrong with a film, or nothing: frames counted, clock, coding and sound's length."""
    if not path.exists():
        return "ffmpeg ended well but wrote no file"
    info = probe(path, container_of(frame.profile))
    if info.video is None or (info.audio is None) is has_sound:
        return "picture or sound is missing"
    return _picture_fault(info.video, frames, frame) or _sound_fault(info.audio, frames, frame)


def _picture_fault(video: VideoInfo, frames: int, frame: Frame) -> str:
    if video.packets != frames:
        return f"{video.packets} frames where its pieces have {frames}"
    if video.codec != CODINGS[frame.profile].codec:
        return f"its picture is {video.codec}"
    # WEBM counts in milliseconds and tells its rate rounded.
    is_rate = abs(video.frame_rate / frame.frame_rate - 1) < Fraction(1, 10_000)
    if not video.on_grid or video.first_pts != 0 or not is_rate:
        return f"its frames do not follow {frame.frame_rate} a second from 0"
    return ""


def _sound_fault(audio: AudioInfo | None, frames: int, frame: Frame) -> str:
    if audio is None:
        return ""
    # Even with a priming that a player may ignore, half a frame would not be seen.
    frame_s = 1 / frame.frame_rate
    is_late = abs(audio.start_s) > frame_s / 2
    if is_late or abs(audio.end_s - frames * frame_s) > max(frame_s, _PACKET_S):
        return "sound and picture are not of one length"
    return ""


def container_of(profile: Profile) -> Container:
    """The format of a finished file."""
    return next(each for each in Container if each.suffix == ENCODINGS[profile].suffix)


def one_line(text: str) -> str:
    """Text for a file's metadata: no line breaks, no control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _tag(encoding: Encoding) -> dict[str, object]:
    """A copied track is named anew, and by another of its names unless told."""
    options = options_of(encoding.video_arguments)
    return {"tag:v": options["tag:v"]} if "tag:v" in options else {}


def _link(link: Path, path: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(path.absolute())
