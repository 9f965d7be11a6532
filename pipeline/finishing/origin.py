"""Where everything in a deliverable comes from, as its record and its own metadata say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from pipeline.film.spec import Deliverable, FilmFile, FilmSpec
from pipeline.film.timeline import PartKind, Timeline
from pipeline.finishing.disclosure import Disclosure, Maker
from pipeline.finishing.provenance import FileUsed, Material, MaterialKind, Provenance, ShotUsed
from pipeline.model import ShotKind, Storyboard


def disclosure_of(
    storyboard: Storyboard, deliverable: Deliverable, timeline: Timeline, shots: Sequence[ShotUsed]
) -> Disclosure:
    """What the file says of itself."""
    edited = {shot.id for shot in storyboard.shots if shot.kind is ShotKind.EDIT}
    has_materials = any(materials_of(storyboard.film or FilmSpec(), deliverable))
    has_cards = any(span.part.kind in {PartKind.TITLE, PartKind.END} for span in timeline.spans)
    makers = (Maker(provider=shot.provider, model=shot.model) for shot in shots)
    return Disclosure(
        title=storyboard.title,
        makers=tuple(dict.fromkeys(makers)),
        is_mixed=has_materials or has_cards or any(shot.shot_id in edited for shot in shots),
    )


def provenance_of(
    file: FileUsed,
    disclosure: Disclosure,
    timeline: Timeline,
    shots: Sequence[ShotUsed],
    materials: Sequence[Material],
) -> Provenance:
    """The record of a finished file."""
    return Provenance(
        file=file,
        frame_rate=Fraction(timeline.frame_rate),
        frames=timeline.total_frames,
        disclosure=disclosure,
        shots=tuple(shots),
        materials=tuple(materials),
    )


def shots_of(timeline: Timeline, used: Mapping[str, ShotUsed]) -> tuple[ShotUsed, ...]:
    """The shots of a cut in order, with the frames that they are seen in."""
    return tuple(
        replace(used[span.part.name], first_frame=span.first_frame, frames=span.frames)
        for span in timeline.spans
        if span.part.kind is PartKind.SHOT
    )


def materials_of(film: FilmSpec, deliverable: Deliverable) -> Iterator[Material]:
    """Every file but the clips that is seen or heard in a deliverable."""
    cards = (
        (MaterialKind.TITLE_CARD, film.title_card if deliverable.has_title else None),
        (MaterialKind.END_CARD, film.end_card if deliverable.has_end else None),
    )
    for kind, card in cards:
        if card is not None and card.picture is not None:
            yield _material(kind, card.picture)
        if card is not None and card.font is not None:
            yield _material(MaterialKind.FONT, card.font)
    if film.logo is not None:
        yield _material(MaterialKind.LOGO, film.logo.file)
    if film.music is not None:
        yield _material(MaterialKind.MUSIC, film.music.file)
    for voice in film.voice_overs:
        yield _material(MaterialKind.VOICE_OVER, voice.file)


def _material(kind: MaterialKind, file: FilmFile) -> Material:
    return Material(kind=kind, file=FileUsed(name=file.source, sha256=file.sha256))
