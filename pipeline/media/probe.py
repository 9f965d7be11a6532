"""What is in a clip's file: every property that decides whether clips can be joined by copy.

Read with PyAV, so that no ffprobe is needed. The walk over the file's structure comes first and
the demuxer is named, so a playlist that calls itself an MP4 is never followed. Nothing is decoded
to pictures here; whether the media data is sound is for ``verify`` to find out.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.errors import ClipRejected
from pipeline.media.boxes import is_upright, walk_boxes
from pipeline.media.ebml import walk_elements
from pipeline.model import Container

if TYPE_CHECKING:
    from av.audio import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.rational import AVRational
    from av.stream import Stream
    from av.video import VideoStream

_MICROSECOND = Fraction(1, 1_000_000)
# What ffmpeg calls the one program part that may open a file of each format.
DEMUXERS: Mapping[Container, str] = MappingProxyType(
    {Container.MP4: "mov", Container.MOV: "mov", Container.WEBM: "matroska"}
)
# The bit of a VP8 picture that says whether it is shown. Source: RFC 6386, section 9.1.
_VP8_SHOWN = 0x10
_DEMUXER_OPTIONS: Mapping[str, str] = MappingProxyType({"protocol_whitelist": "file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """The picture track of a file. Colour properties are the numbers of ISO/IEC 23091-2.

    ``packets`` are the frames that are shown, ``declared_frames`` what the file's structure says
    (0: it does not), ``hidden_packets`` those that an edit list skips or that only help to decode
    others. Times are in ticks of ``time_base``. ``on_grid``: every frame starts within one tick of
    its place at ``frame_rate``, so the rate is constant.
    """

    container: Container
    stream_index: int
    codec: str
    profile: str
    level: int
    width_px: int
    height_px: int
    sample_aspect: Fraction
    pixel_format: str
    field_order: int
    color_range: int
    colorspace: int
    color_primaries: int
    color_transfer: int
    frame_rate: Fraction
    time_base: Fraction
    extradata_sha256: str
    upright: bool
    packets: int
    declared_frames: int
    hidden_packets: int
    starts_with_keyframe: bool
    first_pts: int
    reorder_ticks: int
    length_ticks: int
    on_grid: bool

    @property
    def duration_s(self) -> Fraction:
        """Exact length in seconds: in frames where the rate is constant, else by the clock."""
        return (
            self.packets / self.frame_rate if self.on_grid else self.length_ticks * self.time_base
        )

    @property
    def start_s(self) -> Fraction:
        """When the first picture is shown."""
        return self.first_pts * self.time_base

    @property
    def signature(self) -> tuple[object, ...]:
        """All that must be equal between clips for their pictures to share one copied track."""
        return (
            self.stream_index,
            self.codec,
            self.profile,
            self.level,
            self.width_px,
            self.height_px,
            self.sample_aspect,
            self.pixel_format,
            self.field_order,
            self.color_range,
            self.colorspace,
            self.color_primaries,
            self.color_transfer,
            self.frame_rate,
            self.time_base,
            self.extradata_sha256,
            self.reorder_ticks,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """The first sound track of a file; ``start_s`` to ``end_s`` is what is heard, in seconds."""

    stream_index: int
    codec: str
    sample_rate_hz: int
    channels: int
    packets: int
    start_s: Fraction
    end_s: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """One file: its first picture track and its first sound track, where it has them."""

    size_bytes: int
    video: VideoInfo | None
    audio: AudioInfo | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Structure:
    """What the walk over a file found; ``pictures`` 0: not counted there."""

    container: Container
    size_bytes: int
    pictures: int
    upright: bool


class _Track:
    """What the packets of one track add up to, in ticks of its clock.

    A film has half a million packets: their starts are kept as plain numbers, all else as sums.
    """

    def __init__(self) -> None:
        self.starts = array("q")
        self.hidden = 0
        self.end = 0
        self.begins_with_keyframe = False
        self.reorder = 0

    def add(self, packet: Packet[Stream], pts: int) -> None:
        """Count one packet."""
        if not self.starts and not self.hidden:
            self.begins_with_keyframe = packet.is_keyframe
        if packet.is_discard or _is_never_shown(packet):
            self.hidden += 1
            return
        end = pts + (packet.duration or 0)
        if not self.starts:
            # Matroska does not store when to decode a picture, and not all can be worked out.
            self.reorder = 0 if packet.dts is None else pts - packet.dts
            self.end = end
        self.starts.append(pts)
        self.end = max(self.end, end)


def probe(path: Path, container: Container = Container.MP4) -> MediaInfo:
    """Read the properties of a clip's file and count its packets; some milliseconds.

    Args:
        container: what the file is to be, whatever its name says.
    Raises:
        FileMissing: the file cannot be read.
        ClipRejected: it is of another format, or is damaged where that shows without decoding.
    """
    import av  # noqa: PLC0415 - tens of milliseconds that only commands with media should pay

    structure = _walk(path, container)
    demuxer, options = DEMUXERS[container], dict(_DEMUXER_OPTIONS)
    try:
        # An absolute path: a name like "data:x" or "-i" is then never anything but a file.
        with av.open(str(path.absolute()), format=demuxer, options=options) as file:
            video, audio = _read_tracks(file, structure, name=path.name)
    except av.FFmpegError as exc:
        raise ClipRejected(f"{path.name} cannot be read as {container}: {exc.strerror}") from exc
    return MediaInfo(size_bytes=structure.size_bytes, video=video, audio=audio)


def require_video(info: MediaInfo, path: Path) -> VideoInfo:
    """The picture track of a file that must have one."""
    if info.video is None or info.video.packets == 0:
        raise ClipRejected(f"{path.name} has no picture")
    return info.video


def _walk(path: Path, container: Container) -> _Structure:
    if container is Container.WEBM:
        found = walk_elements(path)
        return _Structure(
            container=container,
            size_bytes=found.size_bytes,
            pictures=found.pictures,
            upright=True,
        )
    size_bytes = walk_boxes(path, container)[-1].end
    upright = is_upright(path, container)
    return _Structure(container=container, size_bytes=size_bytes, pictures=0, upright=upright)


def _read_tracks(
    file: InputContainer, structure: _Structure, *, name: str
) -> tuple[VideoInfo | None, AudioInfo | None]:
    video = file.streams.video[0] if file.streams.video else None
    audio = file.streams.audio[0] if file.streams.audio else None
    tracks = {stream.index: _Track() for stream in (video, audio) if stream}
    if not tracks:
        return None, None
    for packet in file.demux(*(stream for stream in (video, audio) if stream)):
        # The packet that ends each track is empty, and stands nowhere in time.
        if packet.pts is not None:
            tracks[packet.stream_index].add(packet, packet.pts)
    return (
        _video_info(video, tracks[video.index], structure, name=name) if video else None,
        _audio_info(audio, tracks[audio.index]) if audio else None,
    )


def _is_never_shown(packet: Packet[Stream]) -> bool:
    """Whether it is a picture that VP8 keeps a packet for only to predict others from."""
    is_vp8 = packet.stream.codec_context.name == "vp8"
    return is_vp8 and packet.size > 0 and not memoryview(packet)[0] & _VP8_SHOWN


def _video_info(
    stream: VideoStream, track: _Track, structure: _Structure, *, name: str
) -> VideoInfo | None:
    if not track.starts:
        return None
    context = stream.codec_context
    time_base = _fraction(stream.time_base or _MICROSECOND)
    starts = sorted(track.starts)
    rates = [_fraction(rate) for rate in (stream.base_rate, stream.average_rate) if rate]
    if not rates:
        raise ClipRejected(f"{name} has a picture track without a frame rate")
    regular = [rate for rate in rates if _is_on_grid(starts, 1 / (rate * time_base))]
    return VideoInfo(
        container=structure.container,
        stream_index=stream.index,
        codec=context.codec.canonical_name,
        profile=context.profile or "",
        level=context.level,
        width_px=context.width,
        height_px=context.height,
        sample_aspect=_fraction(stream.sample_aspect_ratio or 1),
        pixel_format=context.pix_fmt or "",
        field_order=context.field_order,
        color_range=context.color_range,
        colorspace=context.colorspace,
        color_primaries=context.color_primaries,
        color_transfer=context.color_trc,
        frame_rate=(regular or rates[-1:])[0],
        time_base=time_base,
        extradata_sha256=hashlib.sha256(context.extradata or b"").hexdigest(),
        upright=structure.upright,
        packets=len(starts),
        declared_frames=structure.pictures or stream.frames,
        hidden_packets=track.hidden,
        starts_with_keyframe=track.begins_with_keyframe,
        first_pts=starts[0],
        reorder_ticks=track.reorder,
        length_ticks=track.end - starts[0],
        on_grid=bool(regular),
    )


def _is_on_grid(starts: Sequence[int], frame_ticks: Fraction) -> bool:
    """Whether frame k starts within one tick of k frames after the first, for every k."""
    return all(abs(pts - starts[0] - index * frame_ticks) <= 1 for index, pts in enumerate(starts))


def _audio_info(stream: AudioStream, track: _Track) -> AudioInfo | None:
    if not track.starts:
        return None
    time_base = _fraction(stream.time_base or _MICROSECOND)
    # The track's start excludes the encoder's priming, which the first packets still hold.
    start = track.starts[0] if stream.start_time is None else stream.start_time
    return AudioInfo(
        stream_index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        sample_rate_hz=stream.codec_context.sample_rate,
        channels=stream.codec_context.channels,
        packets=len(track.starts) + track.hidden,
        start_s=start * time_base,
        end_s=track.end * time_base,
    )


def _fraction(value: Fraction | AVRational | int) -> Fraction:
    return Fraction(value.numerator, value.denominator)
