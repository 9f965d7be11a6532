"""Draw the logos of the example storyboards: white on nothing, to lie over a picture.

python manifests/refs/make_logos.py
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
# Drawn four times larger and reduced: smooth edges at any angle.
FINE = 4
WIDTH, HEIGHT = 900, 200
WHITE = (255, 255, 255, 255)
Point = tuple[float, float]


def main() -> int:
    """Draw all of them."""
    for name, (word, mark) in LOGOS.items():
        target = HERE / name / "logo.png"
        draw(word, mark).save(target, optimize=True)
        sys.stdout.write(f"{target.relative_to(HERE)}  {target.stat().st_size // 1024} kB\n")
    return 0


def draw(word: str, mark: Callable[[ImageDraw.ImageDraw, float, Point], None]) -> Image.Image:
    """A mark and a word beside it, cut to what is drawn."""
    picture = Image.new("RGBA", (WIDTH * FINE, HEIGHT * FINE), (255, 255, 255, 0))
    pen = ImageDraw.Draw(picture)
    mark(pen, 0.72 * HEIGHT * FINE, (0.5 * HEIGHT * FINE, 0.5 * HEIGHT * FINE))
    font = ImageFont.load_default(size=62 * FINE)
    x = 1.06 * HEIGHT * FINE
    for letter in word:
        pen.text((x, 0.5 * HEIGHT * FINE), letter, font=font, fill=WHITE, anchor="lm")
        x += font.getlength(letter) + 9 * FINE
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    return small.crop(small.getbbox())


def aurora(pen: ImageDraw.ImageDraw, size: float, middle: Point) -> None:
    """A horizon with three arcs of light above it."""
    x, y = middle
    for share in (1.0, 0.68, 0.36):
        r = size / 2 * share
        box = (x - r, y - r + 0.18 * size, x + r, y + r + 0.18 * size)
        pen.arc(box, 180, 360, fill=WHITE, width=round(0.07 * size))
    line = (x - size / 2, y + 0.18 * size, x + size / 2, y + 0.25 * size)
    pen.rectangle(line, fill=WHITE)


def hush(pen: ImageDraw.ImageDraw, size: float, middle: Point) -> None:
    """Headphones: a band and two cups."""
    x, y = middle
    r = 0.42 * size
    pen.arc((x - r, y - r, x + r, y + r), 180, 360, fill=WHITE, width=round(0.08 * size))
    for side in (-1, 1):
        cx = x + side * (r - 0.02 * size)
        box = (cx - 0.12 * size, y - 0.06 * size, cx + 0.12 * size, y + 0.36 * size)
        pen.rounded_rectangle(box, 0.11 * size, fill=WHITE)


def night(pen: ImageDraw.ImageDraw, size: float, middle: Point) -> None:
    """A lantern with its light."""
    x, y = middle
    w, h = 0.40 * size, 0.56 * size
    body = (x - w / 2, y - h / 2 + 0.1 * size, x + w / 2, y + h / 2 + 0.1 * size)
    pen.rounded_rectangle(body, 0.08 * size, outline=WHITE, width=round(0.06 * size))
    ring = (x - 0.12 * size, y - 0.42 * size, x + 0.12 * size, y - 0.18 * size)
    pen.arc(ring, 150, 390, fill=WHITE, width=round(0.05 * size))
    flame = [
        (
            x + 0.09 * size * math.sin(a) * (1 - 0.45 * math.cos(a)),
            y + 0.14 * size - 0.15 * size * math.cos(a),
        )
        for a in (2 * math.pi * n / 60 for n in range(60))
    ]
    pen.polygon(flame, fill=WHITE)


LOGOS = {"aurora": ("AURORA", aurora), "hush": ("hush", hush), "night": ("LANTERN BOOKS", night)}


if __name__ == "__main__":
    sys.exit(main())
