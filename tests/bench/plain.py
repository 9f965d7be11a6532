"""A contestant: what a person who knows ffmpeg well would type for the same film.

Clips end to end that agree: one command that copies the pictures and builds the sound to the
sample. Otherwise one filter graph for all; a film with a loudness takes ``loudnorm``'s two passes.

    python plain.py JOB.json FOLDER [--copy-both]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from job import (
    CRF,
    FILM_NAME,
    LOGO_MARGIN,
    LOGO_WIDTH,
    LOUDNESS_LUFS,
    MUSIC_DB,
    PEAK_DBTP,
    PRESET,
    SAMPLE_RATE_HZ,
    SOUND_BITS,
    Extras,
    Job,
    read_job,
)

_LIST_NAME = "plain.ffconcat"
_PICTURE = ("-c:v", "libx264", "-preset", PRESET, "-crf", str(CRF), "-profile:v", "high")
_SOUND = ("-c:a", "aac", "-b:a", SOUND_BITS)
_QUIET = ("-hide_banner", "-nostdin", "-nostats", "-y", "-v")
_STEREO = "aformat=sample_fmts=fltp:channel_layouts=stereo"
# The compressor that comes to about the same depth with these clips; its depth is theirs to decide.
_DUCKING = "sidechaincompress=threshold=0.1:ratio=4:attack=20:release=250"


def main() -> None:
    """Make the film of a job; the last ffmpeg takes this process's place."""
    job, folder = read_job(Path(sys.argv[1])), Path(sys.argv[2])
    target = str(folder / FILM_NAME)
    if "--copy-both" in sys.argv:
        command = [*_list_input(job, folder), "-c", "copy", "-movflags", "+faststart", target]
    elif job.extras is not None:
        command = _delivery(job, job.extras, target)
    elif job.is_uniform:
        command = _copy(job, folder, target)
    else:
        command = _conform(job, target)
    os.execv(job.ffmpeg, [job.ffmpeg, *_QUIET, "error", *command])  # noqa: S606 - no shell is meant


def _list_input(job: Job, folder: Path) -> list[str]:
    lines = ["ffconcat version 1.0"]
    for clip in job.clips:
        lines += [f"file '{clip.path}'", f"duration {clip.frames / job.rate:.6f}"]
    (folder / _LIST_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["-f", "concat", "-safe", "0", "-i", str(folder / _LIST_NAME)]


def _copy(job: Job, folder: Path, target: str) -> list[str]:
    """Pictures from a list, sounds from one input a clip, each cut to its picture's length."""
    inputs = [part for clip in job.clips for part in ("-i", clip.path)]
    graph = [_exact_sound(job, index, first_input=1) for index in range(len(job.clips))]
    labels = "".join(f"[a{index}]" for index in range(len(job.clips)))
    graph.append(f"{labels}concat=n={len(job.clips)}:v=0:a=1[a]")
    maps = ["-map", "0:v", "-map", "[a]", "-c:v", "copy", *_SOUND, "-movflags", "+faststart"]
    return ["-copyts", *_list_input(job, folder), *inputs, *_graph(graph), *maps, target]


def _conform(job: Job, target: str) -> list[str]:
    inputs = [part for clip in job.clips for part in ("-i", clip.path)]
    graph = [_exact_picture(job, index) for index in range(len(job.clips))]
    graph += [_exact_sound(job, index) for index in range(len(job.clips))]
    labels = "".join(f"[v{index}][a{index}]" for index in range(len(job.clips)))
    graph.append(f"{labels}concat=n={len(job.clips)}:v=1:a=1[v][a]")
    return [*inputs, *_graph(graph), *_outputs(target)]


def _delivery(job: Job, extras: Extras, target: str) -> list[str]:
    """Both passes of ``loudnorm``; the first is run here, for the second needs what it found."""
    inputs = [part for clip in job.clips for part in ("-i", clip.path)]
    inputs += ["-stream_loop", "-1", "-i", extras.music]
    sound = _mix(job, extras)
    loudnorm = f"loudnorm=I={LOUDNESS_LUFS}:TP={PEAK_DBTP}:LRA=11"
    first = [*sound, f"[mix]{loudnorm}:print_format=json[a]"]
    command = [job.ffmpeg, *_QUIET, "info", *inputs, *_graph(first), "-map", "[a]", "-f", "null"]
    done = subprocess.run([*command, "-"], check=True, capture_output=True, text=True)
    found = json.loads(done.stderr[done.stderr.rindex("{") :])
    measured = ":".join(
        f"{ours}={found[theirs]}"
        for ours, theirs in (
            ("measured_I", "input_i"),
            ("measured_TP", "input_tp"),
            ("measured_LRA", "input_lra"),
            ("measured_thresh", "input_thresh"),
            ("offset", "target_offset"),
        )
    )
    graph = [
        *_dissolves(job, extras),
        *sound,
        f"[mix]{loudnorm}:{measured}:linear=true,aresample={SAMPLE_RATE_HZ}[a]",
    ]
    stills = ["-i", extras.logo, "-loop", "1", "-framerate", str(job.rate), "-i", extras.card]
    return [*inputs, *stills, *_graph(graph), *_outputs(target)]


def _dissolves(job: Job, extras: Extras) -> list[str]:
    """A chain of ``xfade``, the logo over it, and the card behind it."""
    clips, rate = len(job.clips), job.rate
    graph = [_exact_picture(job, index) for index in range(clips)]
    chain, position = "[v0]", job.clips[0].frames
    for index in range(1, clips):
        offset_s = (position - extras.overlap_frames) / rate
        graph.append(
            f"{chain}[v{index}]xfade=transition=fade:duration={extras.overlap_frames / rate:.6f}"
            f":offset={offset_s:.6f}[x{index}]"
        )
        chain, position = f"[x{index}]", position - extras.overlap_frames + job.clips[index].frames
    width_px, margin_px = round(job.width_px * LOGO_WIDTH), round(job.height_px * LOGO_MARGIN)
    size = f"{job.width_px}:{job.height_px}"
    return [
        *graph,
        f"[{clips + 1}:v]scale={width_px}:-1:flags=lanczos,format=yuva420p[logo]",
        f"{chain}[logo]overlay=W-w-{margin_px}:{margin_px},format=yuv420p,setsar=1[branded]",
        f"[{clips + 2}:v]scale={size}:force_original_aspect_ratio=increase:flags=lanczos"
        f":out_color_matrix=bt709:out_range=tv,crop={size},setsar=1,format=yuv420p,"
        f"trim=end_frame={extras.card_frames},setpts=PTS-STARTPTS,settb=1/{rate * 512}[card]",
        "[branded][card]concat=n=2:v=1:a=0[v]",
    ]


def _mix(job: Job, extras: Extras) -> list[str]:
    """Clips cross-faded, silence under the card, music that steps back under them."""
    graph = [_exact_sound(job, index) for index in range(len(job.clips))]
    chain, overlap_s = "[a0]", extras.overlap_frames / job.rate
    for index in range(1, len(job.clips)):
        graph.append(f"{chain}[a{index}]acrossfade=d={overlap_s:.6f}:c1=qsin:c2=qsin[f{index}]")
        chain = f"[f{index}]"
    samples = job.total_frames * SAMPLE_RATE_HZ // job.rate
    length_s = job.total_frames / job.rate
    return [
        *graph,
        f"{chain}apad=whole_len={samples},asplit[clips][key]",
        f"[{len(job.clips)}:a]aresample={SAMPLE_RATE_HZ},{_STEREO},atrim=end_sample={samples},"
        f"volume={MUSIC_DB}dB,afade=out:st={length_s - 1:.6f}:d=1[music]",
        f"[music][key]{_DUCKING}[bed]",
        f"[clips][bed]amix=inputs=2:normalize=0:duration=first,atrim=end_sample={samples}[mix]",
    ]


def _exact_picture(job: Job, index: int) -> str:
    size, frames = f"{job.width_px}:{job.height_px}", job.clips[index].frames
    scaled = (
        ""
        if job.is_uniform
        else f"scale={size}:force_original_aspect_ratio=decrease:force_divisible_by=2:flags=lanczos"
        f":out_color_matrix=bt709:out_range=tv,pad={size}:(ow-iw)/2:(oh-ih)/2,setsar=1,"
    )
    return (
        f"[{index}:v]{scaled}fps={job.rate},tpad=stop=2:stop_mode=clone,trim=end_frame={frames},"
        f"setpts=PTS-STARTPTS,format=yuv420p,settb=1/{job.rate * 512}[v{index}]"
    )


def _exact_sound(job: Job, index: int, first_input: int = 0) -> str:
    """Exactly the samples of a clip's frames; silence where it has no sound."""
    clip = job.clips[index]
    samples = clip.frames * SAMPLE_RATE_HZ // job.rate
    if not clip.has_sound:
        return f"anullsrc=r={SAMPLE_RATE_HZ}:cl=stereo,atrim=end_sample={samples}[a{index}]"
    return (
        f"[{index + first_input}:a]aresample={SAMPLE_RATE_HZ},{_STEREO},apad=whole_len={samples},"
        f"atrim=end_sample={samples},asetpts=N/SR/TB[a{index}]"
    )


def _graph(parts: list[str]) -> list[str]:
    return ["-filter_complex", ";".join(parts)]


def _outputs(target: str) -> list[str]:
    maps = ["-map", "[v]", "-map", "[a]", *_PICTURE, *_SOUND]
    return [*maps, "-pix_fmt", "yuv420p", "-movflags", "+faststart", target]


if __name__ == "__main__":
    main()
