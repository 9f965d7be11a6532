"""What one deliverable is made of, brought together: clips, stills and layers on its timeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from PIL import Image

from pipeline.film.cutting import cues_of, cut_parts, film_parts
from pipeline.film.spec import Card, Cue, Deliverable, FilmSpec, Logo
from pipeline.film.timeline import PartKind, Span, Timeline, duration_of, lay_out
from pipeline.finishing import plates
from pipeline.finishing.provenance import ShotUsed
from pipeline.finishing.sound import ClipSound
from pipeline.finishing.sources import Fades, Footage, Frame, Overlay, Source, Still
from pipeline.media.cut import plan_cut
from pipeline.media.probe import MediaInfo, VideoInfo
from pipeline.model import Container, Shot, Storyboard
from pipeline.timecode import nearest_frame, timecode

Size = tuple[int, int]

# ``@image1: `` before a prompt's first words tells a model something, and a viewer nothing.
_LABEL = re.compile(r"\A\s*@image\d+:\s*")
# No strip has room for more, and cutting a long prompt to measure costs time.
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """The checked clip of one shot; ``used`` is what its record will say, its frames still open."""

    path: Path
    container: Container
    sha256: str
    slate: str
    used: ShotUsed


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClip:
    """A clip and what is in its file."""

    clip: Clip
    info: MediaInfo
    video: VideoInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One deliverable, ready to be made; ``cues`` count from its first frame."""

    timeline: Timeline
    frame: Frame
    sources: tuple[Source, ...]
    sounds: tuple[ClipSound | None, ...]
    overlays: tuple[Overlay, ...]
    fades: Fades
    cues: tuple[Cue, ...]


def frame_of(deliverable: Deliverable, videos: Sequence[VideoInfo]) -> Frame:
    """The raster and rate of a deliverable: its own, else what most of the clips have."""
    usual = plan_cut(videos, [None for _ in videos]).film
    width_px, height_px = usual.width_px, usual.height_px
    if deliverable.width_px is not None and deliverable.height_px is not None:
        width_px, height_px = deliverable.width_px, deliverable.height_px
    return Frame(
        width_px=width_px,
        height_px=height_px,
        frame_rate=deliverable.frame_rate or usual.frame_rate,
        fit=deliverable.fit,
        background=deliverable.background,
        profile=deliverable.profile,
    )


def timeline_of(
    storyboard: Storyboard,
    deliverable: Deliverable,
    clips: Mapping[str, OpenClip],
    frame_rate: Fraction,
) -> Timeline:
    """Lay out the cut of a deliverable; a clip without a cut lasts its whole frames."""
    lengths_s = {
        shot_id: max(1, nearest_frame(each.video.duration_s, frame_rate)) / frame_rate
        for shot_id, each in clips.items()
    }
    return lay_out(cut_parts(storyboard, deliverable, lengths_s=lengths_s), frame_rate)


def gather(
    storyboard: Storyboard,
    deliverable: Deliverable,
    clips: Mapping[str, OpenClip],
    folder: Path,
) -> Material:
    """Bring together what a deliverable is made of; stills and layers are drawn into ``folder``.

    Args:
        clips: of every shot, by its id.
    Raises:
        StoryboardError: a picture, font or text cannot be drawn.
    """
    film = storyboard.film or FilmSpec()
    frame = frame_of(deliverable, [each.video for each in clips.values()])
    timeline = timeline_of(storyboard, deliverable, clips, frame.frame_rate)
    parts = [span.part for span in timeline.spans]
    master = cut_parts(storyboard, film.master)
    cues = () if film.captions is None else cues_of(film.captions, parts, master)
    shots = {shot.id: shot for shot in storyboard.shots}
    draw = _Desk(
        storyboard=storyboard,
        deliverable=deliverable,
        frame=frame,
        folder=folder,
        # The day of the newest clip, not of today: the same clips make the same film.
        date=max(each.clip.used.created for each in clips.values())[:10],
    )
    return Material(
        timeline=timeline,
        frame=frame,
        sources=tuple(
            _footage(clips[span.part.name], span, shots[span.part.name], deliverable)
            if span.part.kind is PartKind.SHOT
            else draw.still(span, timeline)
            for span in timeline.spans
        ),
        sounds=tuple(
            _sound(clips[span.part.name], span, shots[span.part.name], film)
            if span.part.kind is PartKind.SHOT
            else None
            for span in timeline.spans
        ),
        overlays=(
            *draw.logo(timeline),
            *draw.captions(cues, timeline),
            *(draw.burn_ins(timeline, clips) if film.has_burn_in else ()),
        ),
        # A slate is no part of the film: what fades in is what comes after it.
        fades=Fades(
            in_frames=nearest_frame(film.fade_in_s, frame.frame_rate),
            first_frame=timeline.slate_frames,
            out_frames=nearest_frame(film.fade_out_s, frame.frame_rate),
        ),
        cues=cues,
    )


def _footage(open_clip: OpenClip, span: Span, shot: Shot, deliverable: Deliverable) -> Footage:
    return Footage(
        path=open_clip.clip.path,
        container=open_clip.clip.container,
        video=open_clip.video,
        sha256=open_clip.clip.sha256,
        in_s=span.part.in_s,
        focus=shot.edit.focus or deliverable.focus,
    )


def _sound(open_clip: OpenClip, span: Span, shot: Shot, film: FilmSpec) -> ClipSound:
    return ClipSound(
        path=open_clip.clip.path,
        container=open_clip.clip.container,
        audio=open_clip.info.audio,
        picture_start_s=open_clip.video.start_s,
        in_s=span.part.in_s,
        level=shot.edit.sound or film.sound,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """Draws the stills and layers of one deliverable."""

    storyboard: Storyboard
    deliverable: Deliverable
    frame: Frame
    folder: Path
    date: str

    @property
    def film(self) -> FilmSpec:
        """The section that says what to draw."""
        return self.storyboard.film or FilmSpec()

    @property
    def size(self) -> Size:
        """Width and height of every picture here."""
        return self.frame.width_px, self.frame.height_px

    @property
    def strip_px(self) -> int:
        """What the strip takes of the picture's height; captions and logo stay above it."""
        return plates.strip_px(self.size) if self.film.has_burn_in else 0

    def still(self, span: Span, timeline: Timeline) -> Still:
        """The slate or a card."""
        if span.part.kind is PartKind.SLATE:
            picture = self._slate(timeline)
        else:
            card = self.film.title_card if span.part.kind is PartKind.TITLE else self.film.end_card
            picture = self._card(card or Card(duration_s=span.part.duration_s))
        return Still(path=self._save(span.part.kind.value, picture.convert("RGB")))

    def logo(self, timeline: Timeline) -> Iterator[Overlay]:
        """The logo over the shots, and over the cards where that is wanted."""
        logo = self.film.logo
        if logo is None:
            return
        kinds = {PartKind.SHOT} | ({PartKind.TITLE, PartKind.END} if logo.on_cards else set())
        path: Path | None = None
        for first, end in _runs(span for span in timeline.spans if span.part.kind in kinds):
            path = path or self._save("logo", self._logo(logo))
            yield Overlay(path=path, first_frame=first, end_frame=end)

    def captions(self, cues: Sequence[Cue], timeline: Timeline) -> Iterator[Overlay]:
        """Every caption, where they are burned in."""
        if not self.deliverable.has_captions_burned_in:
            return
        top, right, bottom, left = self.deliverable.safe
        safe = (top, right, bottom + Fraction(self.strip_px, self.size[1]), left)
        own = self.film.captions.font if self.film.captions is not None else None
        font = None if own is None else own.path
        for number, cue in enumerate(cues, start=1):
            first = nearest_frame(cue.start_s, self.frame.frame_rate)
            end = min(nearest_frame(cue.end_s, self.frame.frame_rate), timeline.total_frames)
            if first < end:
                picture = plates.caption(self.size, cue.text, safe=safe, font=font)
                path = self._save(f"caption{number:04}", picture)
                yield Overlay(path=path, first_frame=first, end_frame=end)

    def burn_ins(self, timeline: Timeline, clips: Mapping[str, OpenClip]) -> Iterator[Overlay]:
        """The name of every shot, what it shows, and where in the film it is seen."""
        prompts = {shot.id: shot.prompt for shot in self.storyboard.shots}
        for number, span in enumerate(timeline.spans, start=1):
            if span.part.kind is not PartKind.SHOT:
                continue
            # Where two shots blend the strip changes in the middle.
            first = span.first_frame + span.lead // 2
            end = span.end_frame - (span.tail - span.tail // 2)
            rate = self.frame.frame_rate
            picture = plates.burn_in(
                self.size,
                left=clips[span.part.name].clip.slate,
                middle=_LABEL.sub("", prompts[span.part.name], count=1)[:_MOST_CHARACTERS],
                right=f"{timecode(first, rate)} – {timecode(end, rate)}",
            )
            path = self._save(f"strip{number:04}", picture)
            yield Overlay(path=path, first_frame=first, end_frame=end)

    def _logo(self, logo: Logo) -> Image.Image:
        width_px, height_px = self.size
        mark = plates.logo(
            (width_px, height_px - self.strip_px),
            logo.file.path,
            position=logo.place,
            width=logo.width,
            margin=logo.margin,
            opacity=logo.opacity,
        )
        layer = Image.new("RGBA", self.size)
        layer.paste(mark)
        return layer

    def _card(self, card: Card) -> Image.Image:
        return plates.card(
            self.size,
            text=card.text,
            subtitle=card.subtitle,
            color=card.color,
            background=card.picture.path if card.picture is not None else card.background,
            font=None if card.font is None else card.font.path,
        )

    def _slate(self, timeline: Timeline) -> Image.Image:
        parts = film_parts([span.part for span in timeline.spans])
        loudness = self.deliverable.loudness
        lines = [
            ("storyboard", self.storyboard.name),
            ("deliverable", self.deliverable.name),
            ("length", f"{float(duration_of(parts)):g} s"),
            ("picture", f"{self.size[0]} x {self.size[1]}, {float(timeline.frame_rate):g} fps"),
        ]
        if loudness is not None:
            level = f"{float(loudness.integrated_lufs):g} LUFS"
            lines.append(("sound", f"{level}, {float(loudness.true_peak_dbtp):g} dBTP"))
        if self.date:
            lines.append(("date", self.date))
        return plates.slate(self.size, title=self.storyboard.title, lines=lines)

    def _save(self, name: str, picture: Image.Image) -> Path:
        path = self.folder / f"{name}.png"
        # Fast to write: pictures live for one deliverable, and are found again by their content.
        picture.save(path, compress_level=1)
        return path


def _runs(spans: Iterator[Span]) -> Iterator[tuple[int, int]]:
    """First and end frames of spans that lie end to end, joined."""
    run: tuple[int, int] | None = None
    for span in spans:
        if run is not None and span.first_frame <= run[1]:
            run = (run[0], span.end_frame)
            continue
        if run is not None:
            yield run
        run = (span.first_frame, span.end_frame)
    if run is not None:
        yield run
