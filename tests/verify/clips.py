"""Good clips of many makers, and ways of spoiling them; the number of a clip decides all of it."""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from PIL import Image

from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.model import Resolution
from pipeline.sandbox.animatic import AnimaticSpec, render

_SIZES = {
    Resolution.P480: ("854x480", "848x480", "480x854", "640x480", "480x480", "856x484"),
    Resolution.P720: ("1280x720", "720x1280", "960x720", "1280x716"),
}
_RATES = ("24", "25", "30", "24000/1001", "30000/1001", "12", "50")
_PICTURES = (
    "testsrc2=s={size}:r={rate}",
    "color=c=#{seed:06x}:s={size}:r={rate},hue=b=3*sin(2*PI*t)",
    "gradients=s={size}:r={rate}:seed={seed}",
    # No rate that is used here brings a colour back to where it was in one picture.
    "smptehdbars=s={size}:r={rate},hue=h=53*t",
    "testsrc2=s={size}:r={rate},noise=alls=20:allf=t:all_seed={seed}",
)
_CODINGS = (
    ("-movflags", "+faststart"),
    ("-bf", "0", "-movflags", "+faststart"),
    ("-profile:v", "baseline", "-movflags", "+faststart"),
    ("-g", "12", "-bf", "3", "-refs", "4"),
    ("-movflags", "+frag_keyframe+empty_moov"),
    ("-crf", "35", "-tune", "film"),
)
_SOUNDS = (
    ("sine=frequency=330:sample_rate=48000", "-ac", "2"),
    ("sine=frequency=440:sample_rate=44100", "-ac", "1"),
    ("anoisesrc=sample_rate=48000:amplitude=0.2:seed=5", "-ac", "2", "-b:a", "192k"),
    ("anullsrc=sample_rate=48000:channel_layout=stereo",),
    (),
)
# One clip in so many is drawn by the sandbox's own renderer.
_OURS_EVERY = 10


class Kind(StrEnum):
    """What is wrong with a clip; one that is black or frozen is as whole as any."""

    CUT = "cut"
    FLIPPED = "flipped"
    SWAPPED = "swapped"
    WRONG_LENGTH = "wrong length"
    WRONG_HEIGHT = "wrong height"
    BLACK = "black"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for: whole seconds, and a size."""

    duration_s: int
    resolution: Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A clip that was ordered, what came instead, and in which way it is wrong."""

    order: Order
    good: bytes
    bad: bytes
    kind: Kind


def order_of(number: int) -> Order:
    """What the clip of this number was asked to be."""
    chance = random.Random(f"order {number}")
    resolution = chance.choice((Resolution.P480, Resolution.P480, Resolution.P720))
    # Short ones, as there are many; now and then one as long as those that are sold.
    duration_s = chance.choices((1, 2, 6), (85, 12, 3))[0]
    return Order(duration_s=duration_s, resolution=resolution)


def make_good(number: int, folder: Path, order: Order | None = None) -> bytes:
    """A whole clip as ordered: by one of many encoders' settings, or by the sandbox."""
    order = order or order_of(number)
    path = folder / "made.mp4"
    if number % _OURS_EVERY == 0:
        _draw(number, order, folder, path)
    else:
        _encode(number, order, path)
    try:
        return path.read_bytes()
    finally:
        path.unlink()


def spoil(number: int, kind: Kind, folder: Path) -> Delivery:
    """The clip of this number, and the damaged or wrong one in its place."""
    order, chance = order_of(number), random.Random(f"spoil {number} {kind}")
    good = make_good(number, folder)
    match kind:
        case Kind.CUT:
            bad = good[: max(1, round(len(good) * chance.uniform(0.01, 0.999)))]
        case Kind.FLIPPED:
            bad = _flip(good, chance)
        case Kind.SWAPPED:
            # Not drawn by the sandbox: two of its clips could be alike.
            bad = make_good(number * 10 + 10_001, folder, order)
        case Kind.WRONG_LENGTH:
            seconds = order.duration_s + chance.choice((-1, 1) if order.duration_s > 1 else (1,))
            other = Order(duration_s=seconds, resolution=order.resolution)
            bad = make_good(number, folder, other)
        case Kind.WRONG_HEIGHT:
            sizes = {Resolution.P480: Resolution.P720, Resolution.P720: Resolution.P480}
            other = Order(duration_s=order.duration_s, resolution=sizes[order.resolution])
            bad = make_good(number, folder, other)
        case Kind.BLACK | Kind.FROZEN:
            bad = _still(good, order, kind, chance, folder)
    return Delivery(order=order, good=good, bad=bad, kind=kind)


def _still(good: bytes, order: Order, kind: Kind, chance: random.Random, folder: Path) -> bytes:
    """The clip with nothing to see, or with nothing but its first picture."""
    source, path = folder / "moving.mp4", folder / "still.mp4"
    source.write_bytes(good)
    pictures = {
        Kind.BLACK: "drawbox=c=black:t=fill",
        Kind.FROZEN: "trim=end_frame=1,tpad=stop=-1:stop_mode=clone",
    }
    coding = ("-crf", chance.choice(("18", "23", "28")), "-preset", "veryfast", "-threads", "1")
    words = ["-i", str(source), "-map", "0:v", "-vf", pictures[kind], "-t", str(order.duration_s)]
    _run([*words, *coding, str(path)])
    try:
        return path.read_bytes()
    finally:
        source.unlink()
        path.unlink()


def _flip(good: bytes, chance: random.Random) -> bytes:
    """One bit of it, or a run of up to 64 bytes, anywhere."""
    bad = bytearray(good)
    width = chance.choice((0, 1, 8, 64))
    place = chance.randrange(len(bad) - width)
    if not width:
        bad[place] ^= 1 << chance.randrange(8)
    for index in range(place, place + width):
        bad[index] ^= chance.randrange(1, 256)
    return bytes(bad)


def _encode(number: int, order: Order, path: Path) -> None:
    chance = random.Random(f"clip {number}")
    picture = chance.choice(_PICTURES).format(
        size=chance.choice(_SIZES[order.resolution]), rate=chance.choice(_RATES), seed=number + 1
    )
    sound = chance.choice(_SOUNDS)
    # A provider's clip may differ from the order by some frames.
    seconds = str(order.duration_s + chance.choice((0.0, 0.0, -0.1, 0.1)))
    words = ["-f", "lavfi", "-i", picture]
    if sound:
        words += ["-f", "lavfi", "-i", sound[0], *sound[1:]]
    words += ["-t", seconds, "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-threads", "1"]
    words += [*chance.choice(_CODINGS), str(path)]
    _run(words)


def _run(words: list[str]) -> None:
    command = [str(find_ffmpeg(os.environ)), "-nostdin", "-v", "error", "-y", *words]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)


def _draw(number: int, order: Order, folder: Path, path: Path) -> None:
    image = folder / "reference.png"
    colour = tuple(random.Random(number).randbytes(3))
    Image.radial_gradient("L").convert("RGB").resize((640, 360)).save(image)
    with Image.open(image) as drawn:
        Image.blend(drawn.convert("RGB"), Image.new("RGB", drawn.size, colour), 0.5).save(image)
    spec = AnimaticSpec(
        images=(image,),
        prompt=f"@image1 turns, clip {number}",
        duration_s=order.duration_s,
        resolution=order.resolution.value,
        title="",
        price_usd=Decimal("0.30"),
    )
    render(spec, path, ffmpeg=find_ffmpeg(os.environ))
