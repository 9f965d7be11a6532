"""What ffmpeg is asked to do, as argument lists: pure text, built with ffmpeg-python.

Every input names its demuxer and may open nothing but local files. Names of files are ours
(``c0001.mp4``), never a user's; the only text of a user's is the title, which is one argument of
its own. Nothing here starts a process: that is ``ffmpeg.run_ffmpeg``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import ffmpeg

from pipeline.media.probe import DEMUXERS, AudioInfo, VideoInfo
from pipeline.model import Container
from pipeline.timecode import SAMPLE_RATE_HZ, decimal_seconds, track_timescale_hz

# Float samples keep what a clip's decoder made; the film's encoder is the only one to round.
SOUND_FORMAT = "f32le"
SOUND_CHANNELS = 2
SAMPLE_BYTES = 4 * SOUND_CHANNELS
# Twice 3840 x 2160: no clip on sale is larger, and a damaged header cannot claim the memory.
MAX_PIXELS = 9_000_000

# A picture is black where so many of its pixels have no more than this share of full light. A night
# has 3 to 8 percent; black itself, as encoders leave it, stays under 1.
BLACK_LEVEL = Fraction(2, 100)
BLACK_SHARE = 0.999

# A cut between two sounds is a step in the wave, heard as a click; 5 ms of slope take it away and
# are too short to be heard as a fade.
_FADE_SAMPLES = SAMPLE_RATE_HZ * 5 // 1000
# Code points of ISO/IEC 23091-2: 2 is "unspecified", 3 reserved; 0 of the matrix is RGB.
_COLORSPACE_UNKNOWN = 2
_HD_SHORT_SIDE_PX = 720

_LOCAL_FILES = "file,pipe"
# Strict decoding: stop at the first fault instead of painting over it.
_STRICT = {"err_detect": "explode"}
# libvpx tells when a picture's data ends before the picture does, which damaged data mostly comes
# to: of 54 damaged clips it let 9 pass, ffmpeg's own decoder 37. VP8 has no decoder that tells.
_STRICT_DECODERS = {(Container.WEBM, "vp9"): "libvpx-vp9"}
_REPRODUCIBLE = {"map_metadata": -1, "fflags": "+bitexact"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmFormat:
    """The one raster and rate that clips which differ are brought to; even pixels."""

    width_px: int
    height_px: int
    frame_rate: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingClock:
    """When the pictures of a film are decoded: every ``frame_ticks``, ``ahead_ticks`` early."""

    frame_ticks: int
    ahead_ticks: int

    @property
    def filter(self) -> str:
        """The bitstream filter that sets it, N being the number of the packet."""
        # Left out, the time of showing would follow the time of decoding.
        return f"setts=pts=PTS:dts=N*{self.frame_ticks}-{self.ahead_ticks}"


def build_decode(source: str, *, video: VideoInfo) -> list[str]:
    """Decode every picture and sound of a clip strictly and report on standard output.

    The report is ffmpeg's ``-progress`` text; its last ``frame=`` is the pictures decoded. Between
    its lines stand ``lavfi.black_start=`` and ``lavfi.black_end=`` in seconds, where it is black.
    One thread: decoding several frames at a time, ffmpeg loses most of the faults it meets (of 80
    damaged clips 5.1 let 36 pass and 9.0 13; with one thread each let 1 of 160 pass).
    """
    clip = picture_input(source, video)
    seen = (
        clip["v:0"]
        .filter("blackdetect", d=0, pic_th=BLACK_SHARE, pix_th=float(BLACK_LEVEL))
        .filter("metadata", mode="print", file="-")
    )
    # The null muxer takes frames as they come: none is doubled or dropped to hold a rate.
    output = ffmpeg.output(
        seen,
        clip["a:0?"],
        "-",
        format="null",
        xerror=None,
        filter_complex_threads=1,
        progress="pipe:1",
    )
    return arguments_of(output)


def build_picture(
    source: str, target: str, *, video: VideoInfo, film: FilmFormat, frames: int
) -> list[str]:
    """Bring the picture of one clip to the film's format, exactly ``frames`` long.

    Scaled to fit with black bars where the shape differs. All pieces of one format carry equal
    headers (x264's ``stitchable``), so that they join by copy; one thread, because the bits that
    x264 writes depend on how many there are.
    """
    picture = picture_input(source, video)["v:0"]
    if video.sample_aspect != 1:
        picture = picture.filter("scale", "trunc(iw*sar/2)*2", "ih").filter("setsar", 1)
    picture = (
        picture.filter("setpts", "PTS-STARTPTS")
        .filter("fps", _ratio(film.frame_rate))
        # Rounding between two rates can leave the end a frame short: hold the last picture.
        .filter("tpad", stop=2, stop_mode="clone")
        .filter(
            "scale",
            film.width_px,
            film.height_px,
            force_original_aspect_ratio="decrease",
            force_divisible_by=2,
            flags="lanczos",
            in_color_matrix=color_matrix(video),
            out_color_matrix="bt709",
            out_range="tv",
        )
        .filter("pad", film.width_px, film.height_px, "(ow-iw)/2", "(oh-ih)/2")
        .filter("setsar", 1)
        .filter("format", "yuv420p")
        .filter(
            "setparams",
            range="tv",
            color_primaries="bt709",
            color_trc="bt709",
            colorspace="bt709",
        )
    )
    output = ffmpeg.output(
        picture,
        target,
        **{
            "format": "mp4",
            "filter_complex_threads": 1,
            "xerror": None,
            "frames:v": frames,
            "c:v": "libx264",
            "threads": 1,
            "preset": "veryfast",
            "crf": 18,
            "profile:v": "high",
            "x264-params": "stitchable=1",
            "pix_fmt": "yuv420p",
            "color_range": "tv",
            "color_primaries": "bt709",
            "color_trc": "bt709",
            "colorspace": "bt709",
            "video_track_timescale": track_timescale_hz(film.frame_rate),
            "flags:v": "+bitexact",
            **_REPRODUCIBLE,
        },
    )
    return arguments_of(output)


def build_sound(
    source: str,
    target: str,
    *,
    container: Container,
    audio: AudioInfo,
    picture_start_s: Fraction,
    samples: int,
    skipped: int = 0,
    sloped: bool = True,
) -> list[str]:
    """Decode the sound of one clip to raw stereo floats, exactly ``samples`` long.

    Sample 0 is heard with the first picture: what comes before it is dropped, what is missing
    before, within or after is silence. The first ``skipped`` samples are left out. Both ends fade
    over 5 ms where ``sloped``.
    """
    fade = min(_FADE_SAMPLES, samples // 2)
    sound = _clip_input(source, container)["a:0"].filter(
        "aresample",
        SAMPLE_RATE_HZ,
        # Only fills and trims by the clock (from 0.1 s inside the track); never stretches.
        **{"async": 1, "first_pts": round(picture_start_s * SAMPLE_RATE_HZ)},
    )
    if audio.channels == 1:
        # ffmpeg's own way from one channel to two takes 3 dB off each. "<" instead of "=", with
        # the same meaning here, because ffmpeg-python escapes "=" once too often for pan.
        sound = sound.filter("pan", "stereo|c0<c0|c1<c0")
    sound = (
        sound.filter("aformat", sample_fmts="flt", channel_layouts="stereo")
        .filter("asetpts", "N/SR/TB")
        .filter("apad", whole_len=skipped + samples)
        .filter("atrim", start_sample=skipped, end_sample=skipped + samples)
        .filter("asetpts", "N/SR/TB")
    )
    if sloped:
        sound = sound.filter("afade", type="in", start_sample=0, nb_samples=fade)
        sound = sound.filter("afade", type="out", start_sample=samples - fade, nb_samples=fade)
    output = ffmpeg.output(sound, target, format=SOUND_FORMAT, copyts=None, xerror=None)
    return arguments_of(output)


def build_concat_list(names: Sequence[str], frames: Sequence[int], frame_rate: Fraction) -> str:
    """The text of a concat list: each file with its exact length.

    Lengths are differences of rounded positions in the film, not rounded lengths: the list has
    whole microseconds, and a third of one lost at every join would show after some hundreds.
    """
    lines = ["ffconcat version 1.0"]
    position = 0
    for name, count in zip(names, frames, strict=True):
        start_s, end_s = (
            Fraction(decimal_seconds(at / frame_rate)) for at in (position, position + count)
        )
        lines += [f"file '{name}'", f"duration {decimal_seconds(end_s - start_s)}"]
        position += count
    return "\n".join(lines) + "\n"


def build_join(
    list_name: str,
    sound_name: str,
    target: str,
    *,
    clock: DecodingClock | None = None,
    title: str = "",
    comment: str = "",
) -> list[str]:
    """Copy the listed pictures into one film, and encode its sound once.

    With a ``clock`` every picture's decoding time is counted anew: pieces of one or two frames
    are not reordered as longer ones are, and would run into their neighbours.

    ``copyts`` keeps the first picture at 0: without it the film starts 21 ms late, the priming of
    the first clip's sound. ``auto_convert=0`` leaves every packet as it is, which is right only
    for clips with equal headers.
    """
    pictures = ffmpeg.input(
        list_name,
        format="concat",
        safe=1,
        auto_convert=0,
        protocol_whitelist=_LOCAL_FILES,
        format_whitelist="concat,mov,mp4,m4a,3gp,3g2,mj2",
    )
    sound = ffmpeg.input(sound_name, format=SOUND_FORMAT, ar=SAMPLE_RATE_HZ, ac=SOUND_CHANNELS)
    # Two spellings of one option: ffmpeg-python holds each only once.
    texts = {"metadata": f"title={title}"} if title else {}
    if comment:
        texts["metadata:g"] = f"comment={comment}"
    renewed = {} if clock is None else {"bsf:v": clock.filter}
    output = ffmpeg.output(
        pictures["v:0"],
        sound["a:0"],
        target,
        **{
            "format": "mp4",
            "copyts": None,
            "xerror": None,
            "c:v": "copy",
            "c:a": "aac",
            "b:a": "192k",
            "movflags": "+faststart",
            "flags:a": "+bitexact",
            **_REPRODUCIBLE,
            **renewed,
            **texts,
        },
    )
    return arguments_of(output)


def picture_input(source: str, video: VideoInfo) -> ffmpeg.nodes.FilterableStream:
    """A clip as an input that is decoded strictly, by one thread."""
    strictest = _STRICT_DECODERS.get((video.container, video.codec))
    decoder = {} if strictest is None else {"c:v": strictest}
    return _clip_input(source, video.container, max_pixels=MAX_PIXELS, threads=1, **decoder)


def _clip_input(
    source: str, container: Container, **options: object
) -> ffmpeg.nodes.FilterableStream:
    demuxer = DEMUXERS[container]
    return ffmpeg.input(
        source, format=demuxer, protocol_whitelist=_LOCAL_FILES, **_STRICT, **options
    )


def arguments_of(output: ffmpeg.nodes.OutputStream) -> list[str]:
    """What ``run_ffmpeg`` is given for an output; a file of that name is replaced."""
    return [str(argument) for argument in ffmpeg.get_args(output, overwrite_output=True)]


def color_matrix(video: VideoInfo) -> str:
    """How to read the colours of a clip; where it does not say, as players do: by its height."""
    if video.colorspace != _COLORSPACE_UNKNOWN:
        return "auto"
    is_hd = min(video.width_px, video.height_px) >= _HD_SHORT_SIDE_PX
    return "bt709" if is_hd else "bt601"


def _ratio(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
