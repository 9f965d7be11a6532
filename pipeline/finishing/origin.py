"""Where everything in a deliverable comes from, as its record and its own metadata say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from fractions import Fraction

from pipeline.capabilities import is_free
from pipeline.film.spec import Deliverable, FilmFile, FilmSpec
from pipeline.film.timeline import PartKind, Timeline
from pipeline.finishing.disclosure import Disclosure, Maker
from pipeline.finishing.provenance import FileUsed, Material, MaterialKind, Provenance, ShotUsed
from pipeline.ledger import Attempt
from pipeline.media.conform import Film
from pipeline.model import FileReference, Shot, ShotKind, Storyboard
from pipeline.summary import CLIPS_FOLDER


def used_of(shot: Shot, attempt: Attempt) -> ShotUsed:
    """A shot as its journal knows it; where it is seen is still open."""
    references = (
        FileUsed(name=each.source, sha256=each.sha256)
        for each in shot.sources
        if isinstance(each, FileReference)
    )
    clip = FileUsed(name=f"{CLIPS_FOLDER}/{attempt.clip}", sha256=attempt.clip_sha256 or "")
    return ShotUsed(
        shot_id=shot.id,
        first_frame=0,
        frames=0,
        clip=clip,
        provider=attempt.provider,
        model=attempt.model,
        task_id=attempt.task_id or "",
        prompt=shot.prompt,
        created=attempt.intended_at.astimezone(UTC).isoformat(timespec="seconds"),
        is_paid=not is_free(attempt.provider),
        references=tuple(references),
    )


def plain_disclosure_of(storyboard: Storyboard, shots: Sequence[ShotUsed]) -> Disclosure:
    """What a film that is nothing but its clips says of itself."""
    return Disclosure(
        title=storyboard.title,
        makers=_makers(shots),
        is_mixed=any(shot.kind is ShotKind.EDIT for shot in storyboard.shots),
    )


def plain_provenance_of(
    film: Film, disclosure: Disclosure, shots: Sequence[ShotUsed]
) -> Provenance:
    """The record of such a film; ``shots`` in cut order."""
    return Provenance(
        file=FileUsed(name=film.path.name, sha256=film.sha256),
        frame_rate=Fraction(film.frame_rate),
        frames=film.frames,
        disclosure=disclosure,
        shots=tuple(
            replace(shot, first_frame=first, frames=frames)
            for shot, (_, first, frames) in zip(shots, film.spans, strict=True)
        ),
    )


def disclosure_of(
    storyboard: Storyboard, deliverable: Deliverable, timeline: Timeline, shots: Sequence[ShotUsed]
) -> Disclosure:
    """What the file says of itself."""
    edited = {shot.id for shot in storyboard.shots if shot.kind is ShotKind.EDIT}
    has_materials = any(materials_of(storyboard.film or FilmSpec(), deliverable))
    has_cards = any(span.part.kind in {PartKind.TITLE, PartKind.END} for span in timeline.spans)
    return Disclosure(
        title=storyboard.title,
        makers=_makers(shots),
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


def _makers(shots: Sequence[ShotUsed]) -> tuple[Maker, ...]:
    makers = (Maker(provider=shot.provider, model=shot.model) for shot in shots)
    return tuple(dict.fromkeys(makers))


def _material(kind: MaterialKind, file: FilmFile) -> Material:
    return Material(kind=kind, file=FileUsed(name=file.source, sha256=file.sha256))
