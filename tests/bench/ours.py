"""A contestant: the film as ``storyboard run`` makes it once the clips are there.

python ours.py JOB.json FOLDER
"""

from __future__ import annotations

import sys
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
from job import (
    DUCK_DB,
    FILM_NAME,
    LOGO_MARGIN,
    LOGO_WIDTH,
    MUSIC_DB,
    TITLE,
    Extras,
    Job,
    read_job,
)

from pipeline.files import file_sha256
from pipeline.film.spec import (
    LOUDNESS,
    Card,
    Deliverable,
    FilmFile,
    FilmSpec,
    Level,
    Logo,
    Music,
    Transition,
)
from pipeline.filming import open_studio
from pipeline.media.conform import CutClip
from pipeline.model import Container, Position, Resolution, Shot, Storyboard


def main() -> None:
    """Make the film of a job; what an earlier job left in the folder's cache is used."""
    job, folder = read_job(Path(sys.argv[1])), Path(sys.argv[2])
    make = partial(_join, job) if job.extras is None else partial(_deliver, job, job.extras)
    anyio.run(make, folder)


async def _join(job: Job, folder: Path) -> None:
    clips = [
        CutClip(path=Path(clip.path), slate=f"sh{index:03}") for index, clip in enumerate(job.clips)
    ]
    await open_studio(Path(job.ffmpeg)).conform(
        clips,
        folder / FILM_NAME,
        cache_dir=folder / "cache",
        title=TITLE,
        comment="",
        mark=lambda _: None,
        on_progress=lambda _: None,
    )


async def _deliver(job: Job, extras: Extras, folder: Path) -> None:
    from pipeline.finishing.material import Clip  # noqa: PLC0415 - only where a film needs it
    from pipeline.finishing.provenance import FileUsed, ShotUsed  # noqa: PLC0415 - as above

    shots, clips = [], {}
    for index, each in enumerate(job.clips):
        shot_id, path = f"sh{index:03}", Path(each.path)
        sha256 = file_sha256(path)
        shots.append(
            Shot(
                id=shot_id,
                images=(),
                prompt="a test",
                duration_s=max(1, each.frames // job.rate),
                resolution=Resolution.P720,
                position=Position(line=1, column=1),
            )
        )
        clips[shot_id] = Clip(
            path=path,
            container=Container.MP4,
            sha256=sha256,
            slate=f"{shot_id}_tk01",
            used=ShotUsed(
                shot_id=shot_id,
                first_frame=0,
                frames=0,
                clip=FileUsed(name=path.name, sha256=sha256),
                provider="sandbox",
                model="none",
                task_id="",
                prompt="a test",
                created="2026-01-01T00:00:00+00:00",
                is_paid=False,
            ),
        )
    storyboard = Storyboard(
        name="bench", title=TITLE, path=folder, shots=tuple(shots), film=_film(job, extras)
    )
    await open_studio(Path(job.ffmpeg)).deliver(
        storyboard,
        clips,
        folder / FILM_NAME,
        cache_dir=folder / "cache",
        on_progress=lambda _: None,
    )


def _film(job: Job, extras: Extras) -> FilmSpec:
    return FilmSpec(
        master=Deliverable(name="film", loudness=LOUDNESS["social"]),
        transition=Transition(
            kind="dissolve", duration_s=Fraction(extras.overlap_frames, job.rate)
        ),
        music=Music(
            file=_file(extras.music),
            level=Level(gain_db=Fraction(MUSIC_DB)),
            duck_db=Fraction(DUCK_DB),
        ),
        end_card=Card(
            duration_s=Fraction(extras.card_frames, job.rate), picture=_file(extras.card)
        ),
        logo=Logo(
            file=_file(extras.logo),
            width=Fraction(str(LOGO_WIDTH)),
            margin=Fraction(str(LOGO_MARGIN)),
        ),
    )


def _file(name: str) -> FilmFile:
    return FilmFile(source=Path(name).name, path=Path(name), sha256=file_sha256(Path(name)))


if __name__ == "__main__":
    main()
