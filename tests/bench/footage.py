"""Clips to make films of, with detail and movement like a camera's; made by ffmpeg, not by us."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from job import Input

_REFERENCES = Path(__file__).resolve().parents[2] / "manifests" / "refs"
MUSIC = _REFERENCES / "aurora" / "music.m4a"
LOGO = _REFERENCES / "aurora" / "logo.png"
CARDS = (_REFERENCES / "aurora" / "pack.jpg", _REFERENCES / "night" / "library.jpg")
_PICTURES = sorted(_REFERENCES.glob("*/*.jpg"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one clip is like; ``channels`` 0: without sound."""

    width_px: int
    height_px: int
    rate: int = 24
    channels: int = 2
    sound_rate_hz: int = 48_000


# What a storyboard meets that mixes models and its maker's own footage. The first is what most
# films are made of, and decides the raster and rate of this one.
MIXED = (
    Look(width_px=1280, height_px=720),
    Look(width_px=848, height_px=480, rate=25),
    Look(width_px=720, height_px=1280, rate=30),
    Look(width_px=960, height_px=960, rate=16, channels=0),
    Look(width_px=1280, height_px=720, rate=30, channels=1, sound_rate_hz=44_100),
    Look(width_px=848, height_px=480, rate=12),
    Look(width_px=1024, height_px=576, channels=0),
    Look(width_px=1112, height_px=834, rate=8, channels=1),
)


def make_clip(
    folder: Path, index: int, look: Look, *, length_s: int, film_rate: int, ffmpeg: Path
) -> Input:
    """A camera's way over one of the example pictures, with grain; a tone that comes and goes."""
    path = folder / f"clip{index:03}.mp4"
    size, travel = f"{look.width_px}:{look.height_px}", f"t/{length_s}"
    if index % 2:
        travel = f"(1-{travel})"
    picture = (
        f"scale={look.width_px * 5 // 4}:{look.height_px * 5 // 4}"
        ":force_original_aspect_ratio=increase:flags=bicubic"
        ":out_color_matrix=bt709:out_range=tv,format=yuv420p,"
        # Read and scaled once, then shown again and again.
        f"loop=loop=-1:size=1,setpts=N/{look.rate}/TB,"
        f"crop={size}:(iw-ow)*{travel}:(ih-oh)*{travel},noise=alls=5:allf=t,setsar=1"
    )
    level, pitch_hz = 0.05 * (1 + index % 4), 140 + 35 * (index % 9)
    tone = f"aevalsrc='{level}*sin(2*PI*{pitch_hz}*t)*lt(mod(t,2),1.3)'"
    command: list[str | Path] = [ffmpeg, "-nostdin", "-y", "-v", "error"]
    command += ["-framerate", str(look.rate), "-i", _PICTURES[index % len(_PICTURES)]]
    if look.channels:
        command += ["-f", "lavfi", "-i", f"{tone}:s={look.sound_rate_hz}:d={length_s}"]
        command += ["-ac", str(look.channels), "-c:a", "aac", "-b:a", "128k"]
    command += ["-vf", picture, "-t", str(length_s), "-c:v", "libx264"]
    command += ["-threads", "1", "-preset", "veryfast", "-crf", "23"]
    command += ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    command += ["-movflags", "+faststart", path]
    subprocess.run(command, check=True, timeout=300)
    return Input(path=str(path), frames=length_s * film_rate, has_sound=look.channels > 0)
