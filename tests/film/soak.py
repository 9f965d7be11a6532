"""A delivered film in full size: in step, on target, nothing damaged in it, whole after a kill.

    python tests/film/soak.py --clips 50 --cases 30 --checked 200 --workers 2 --report FILE.json

``--clips`` of mixed size, rate and sound in one film, joined and delivered; ``--cases`` of
loudness, each a sound, a target and a profile, measured by a plain run of ffmpeg; ``--checked``
good clips and as many damaged ones; deliveries that are killed; memory of a short film and of a
long one. Exit code 1 if anything did not hold.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from functools import partial
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    TESTS = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(TESTS), str(TESTS / "acceptance")]

import anyio
from film.mixed import check_delivery, check_join, mixed_clip
from film.stage import SOUNDS, Look, Reel, film_clip, measure_alone, output, reel
from verify.soak import figures as damage_figures
from verify.soak import jobs_of, play

from pipeline.errors import StoryboardError
from pipeline.film.spec import LOUDNESS, Card, FilmSpec, Profile, Transition
from pipeline.media.ffmpeg import find_ffmpeg

_SUFFIXES = {Profile.PRORES: ".mov", Profile.WEBM: ".webm"}
_KILLED_AT = (0.1, 0.4, 0.7, 0.9, 0.98)
_FEW_CLIPS, _MANY_CLIPS = 4, 24
# What is kept of each clip is some kilobytes; a film that is held in memory would be sixfold.
_MOST_GROWTH = 1.25


def ffmpeg() -> Path:
    """The one that the program would use."""
    return find_ffmpeg(os.environ)


def mixed(clips: int, folder: Path) -> dict[str, Any]:
    """Clips of 720 lines and around, joined and delivered; how far sound and picture are apart."""
    made = [mixed_clip(number, folder) for number in range(clips)]
    found: dict[str, Any] = {"mixed_clips": clips}
    in_full = partial(check_delivery, size=(1280, 720))
    for word, check in (("joined", check_join), ("delivered", in_full)):
        place = folder / word
        place.mkdir()
        film = check(made, place, ffmpeg())
        found |= {
            f"{word}_frames": film.frames,
            f"{word}_frames_expected": film.expected_frames,
            f"{word}_last_cut_ms": round(film.last_gap_s * 1000, 2),
            f"{word}_worst_ms": round(film.worst_gap_s * 1000, 2),
            f"{word}_fault": film.fault,
            f"{word}_holds": not film.fault and film.worst_gap_s <= 1 / 24,
        }
    return found


def loudness_case(case: tuple[str, str, Profile]) -> dict[str, Any]:
    """One sound brought to one target in one profile, and measured from outside."""
    sound, name, profile = case
    target = LOUDNESS[name]
    row: dict[str, Any] = {"sound": sound, "target": name, "profile": profile.value}
    with tempfile.TemporaryDirectory(prefix="storyboard-film-") as text:
        folder = Path(text)
        looks = (Look(seconds=3, sound=sound), Look(seconds=3, sound="tone", filters="hue=h=90"))
        paths = [
            film_clip(folder / f"{n}.mp4", look, ffmpeg=ffmpeg()) for n, look in enumerate(looks)
        ]
        file = f"film{_SUFFIXES.get(profile, '.mp4')}"
        film = FilmSpec(master=output("film", file, profile=profile, loudness=target))
        try:
            reel(paths, film).deliver(folder / "out", ffmpeg=ffmpeg())
        except StoryboardError as exc:
            return row | {"lufs": None, "dbtp": None, "fault": str(exc), "holds": False}
        loudness, peak = measure_alone(folder / "out" / file, ffmpeg())
    off_lu = abs(loudness - float(target.integrated_lufs))
    holds = round(off_lu, 3) <= 0.5 and peak <= float(target.true_peak_dbtp)
    return row | {"lufs": loudness, "dbtp": peak, "fault": "", "holds": holds}


def loudness_cases(count: int) -> list[tuple[str, str, Profile]]:
    """So many, every profile and target in its turn."""
    profiles = cycle(Profile)
    return [(s, t, next(profiles)) for s, t in islice(cycle(product(SOUNDS, LOUDNESS)), count)]


def _spot(clips: int, folder: Path) -> Reel:
    paths = []
    for number in range(clips):
        look = Look(seconds=2, size=(320, 180), filters=f"hue=h={number * 14}")
        paths.append(film_clip(folder / f"{number}.mp4", look, ffmpeg=ffmpeg()))
    film = FilmSpec(
        master=output("film", "film.mp4", width_px=320, height_px=180),
        deliverables=(output("tall", "tall.mp4", width_px=90, height_px=160),),
        transition=Transition(kind="dissolve", duration_s=Fraction(1, 4)),
        end_card=Card(duration_s=Fraction(1), text="Aurora"),
    )
    return reel(paths, film)


def peak_of(clips: int) -> int:
    """Bytes of memory at most, while so many clips are delivered; for a process of its own."""
    with tempfile.TemporaryDirectory(prefix="storyboard-film-") as folder:
        _spot(clips, Path(folder)).deliver(Path(folder) / "out", ffmpeg=ffmpeg())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory() -> dict[str, Any]:
    """What six times the clips take, against the few."""
    context = multiprocessing.get_context("spawn")
    peaks = []
    for clips in (_FEW_CLIPS, _MANY_CLIPS):
        with ProcessPoolExecutor(1, mp_context=context) as alone:
            peaks.append(alone.submit(peak_of, clips).result())
    growth = peaks[1] / peaks[0]
    return {
        f"memory_mb_of_{_FEW_CLIPS}_clips": round(peaks[0] / 1e6),
        f"memory_mb_of_{_MANY_CLIPS}_clips": round(peaks[1] / 1e6),
        "memory_growth": round(growth, 2),
        "memory_holds": growth <= _MOST_GROWTH,
    }


def _deliver_and_die(wanted: Reel, folder: Path, at: float) -> None:
    def on_progress(share: float) -> None:
        if share >= at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def work() -> None:
        await wanted.deliver_async(folder, ffmpeg=ffmpeg(), on_progress=on_progress)

    anyio.run(work)


def kills(folder: Path) -> dict[str, Any]:
    """A delivery that is killed at several moments, each time with another end; then carried on."""
    wanted = _spot(3, folder)
    wanted.deliver(folder / "whole", ffmpeg=ffmpeg())
    whole = handed_over(folder / "whole")
    context = multiprocessing.get_context("spawn")
    half, unlike, killed = 0, 0, 0
    for at in _KILLED_AT:
        out = folder / f"killed{at}"
        process = context.Process(target=_deliver_and_die, args=(wanted, out, at))
        process.start()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        half += any(whole.get(name) != data for name, data in handed_over(out).items())
        wanted.deliver(out, ffmpeg=ffmpeg())
        unlike += handed_over(out) != whole or any((out / ".cache").glob("work-*"))
    return {
        "kills": killed,
        "half_files_after_a_kill": half,
        "films_unlike_after_a_kill": unlike,
        "kills_hold": killed == len(_KILLED_AT) and not half and not unlike,
    }


def handed_over(folder: Path) -> dict[str, bytes]:
    """What lies under its final name; the report, which tells how it was made, stays out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts and path.stem != "report"
    }


def damage(count: int, workers: int) -> dict[str, Any]:
    """Damaged clips that were found, and good ones that were not refused; see ``verify``."""
    with ProcessPoolExecutor(workers) as pool:
        found = damage_figures(list(pool.map(play, jobs_of(count), chunksize=4)))
    return {
        "damaged_clips": found["damaged_clips"],
        "damaged_found_with_checksum": found["G19_found_with_checksum"],
        "damaged_found_at_the_join": found["G19_found_at_the_join"],
        "black_or_frozen_clips": found["black_or_frozen_clips"],
        "black_or_frozen_found": found["found_for_the_film"],
        "good_clips": found["good_clips"],
        "false_alarms": found["G19_false_alarms"],
        "damage_holds": found["passed"],
    }


def soak(clips: int, cases: int, checked: int, workers: int) -> dict[str, Any]:
    """All of it, one after the other."""
    began_s = time.monotonic()

    def say(word: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began_s:6.0f} s  {word}\n")
        sys.stderr.flush()

    report: dict[str, Any] = {}
    in_a_folder: tuple[tuple[str, Callable[[Path], dict[str, Any]]], ...] = (
        ("mixed clips", lambda folder: mixed(clips, folder)),
        ("kills", kills),
    )
    for word, proof in in_a_folder:
        say(word)
        with tempfile.TemporaryDirectory(prefix="storyboard-film-") as text:
            report |= proof(Path(text))
    say("memory")
    report |= memory()
    say("loudness")
    with ProcessPoolExecutor(workers) as pool:
        rows = list(pool.map(loudness_case, loudness_cases(cases)))
    report |= {
        "loudness_cases": len(rows),
        "loudness_on_target": sum(row["holds"] for row in rows),
        "loudness_hold": all(row["holds"] for row in rows),
    }
    say("damage")
    report |= damage(checked, workers)
    held = [value for key, value in report.items() if key.endswith(("_holds", "_hold"))]
    report |= {"passed": all(held), "seconds": round(time.monotonic() - began_s, 1)}
    return report | {"loudness": rows}


def main() -> int:
    """Run, report, and say by the exit code whether all held."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clips", type=int, default=50, help="of mixed kinds in one film")
    parser.add_argument("--cases", type=int, default=30, help="of loudness")
    parser.add_argument("--checked", type=int, default=200, help="good clips, and damaged ones")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, required=True, metavar="FILE.json")
    options = parser.parse_args()
    report = soak(options.clips, options.cases, options.checked, options.workers)
    options.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
