"""Draw the reference pictures of the example storyboards.

python manifests/refs/make_references.py                       all of them, some minutes
python manifests/refs/make_references.py aurora/dawn           one
python manifests/refs/make_references.py aurora --scale 0.25   quick look at one ad
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from drawing.picture import Picture, produce  # noqa: E402
from scenes import aurora, hush, night  # noqa: E402

PICTURES: tuple[Picture, ...] = aurora.PICTURES + hush.PICTURES + night.PICTURES


def main(argv: list[str] | None = None) -> int:
    """Draw the named pictures (all without a name) and say what was written."""
    parser = argparse.ArgumentParser(description="Draw the example reference pictures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a picture, or an ad's folder")
    parser.add_argument("--scale", type=float, default=1.0, help="size, 1.0 is final")
    parser.add_argument("--samples", type=int, help="light paths a pixel")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write below")
    args = parser.parse_args(argv)
    wanted = [
        picture
        for picture in PICTURES
        if not args.names
        or any(picture.name == n or picture.name.startswith(f"{n}/") for n in args.names)
    ]
    if not wanted:
        known = ", ".join(picture.name for picture in PICTURES)
        parser.error(f"no picture of that name; there are {known}")
    for picture in wanted:
        began = time.monotonic()
        path, size = produce(
            picture,
            args.out,
            scale=args.scale,
            samples=args.samples,
            processes=args.processes,
        )
        print(f"{path}  {size / 1000:.0f} kB  {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
