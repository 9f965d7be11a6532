"""From the ``film`` section of a document to a :class:`FilmSpec`. Pure.

Files were opened by the edge, which hands in what it found. What needs the shots as well, like
whether lengths add up, is for ``judging``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from pipeline.film.captions import parse_captions
from pipeline.film.deliverables import (
    check_pattern,
    read_deliverables,
    read_master,
    refuse_shot,
)
from pipeline.film.fields import Fields
from pipeline.film.sources import Outcomes, SourceKind
from pipeline.film.spec import (
    HARD_CUT,
    CaptionFile,
    Captions,
    Card,
    Checks,
    Cue,
    FilmSpec,
    Level,
    Logo,
    Music,
    Place,
    ShotEdit,
    Transition,
    VoiceOver,
)
from pipeline.findings import KeyPath
from pipeline.text import shown
from pipeline.view import View

_FILM: KeyPath = ("film",)
_CARD_S = Fraction(2)
_SLATE_S = Fraction(2)
# A caption file may be wrong on every line; the first few tell why.
_MAX_CAPTION_MISTAKES = 10
# Line ends and tabs are fine; other controls and halves of characters cannot be drawn.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CuePlace:
    """Where a caption is written: in the manifest, or (``line`` above 0) in a caption file."""

    path: KeyPath
    line: int = 0

    @property
    def prefix(self) -> str:
        """What a message begins with, so that the caption can be found."""
        return f"line {self.line}: " if self.line else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A section as it was read. ``cue_places`` one for each caption; ``voice_lengths_s`` one for
    each voice-over, None where its file does not say."""

    spec: FilmSpec
    cue_places: tuple[CuePlace, ...] = ()
    voice_lengths_s: tuple[Fraction | None, ...] = ()


def read_edit(view: View, shot: KeyPath) -> ShotEdit:
    """What the film does with one shot; what is wrong with it reads as absent."""
    fields = Fields(view, {})
    return ShotEdit(
        in_s=fields.number_or((*shot, "in"), 0),
        transition=fields.transition((*shot, "transition")),
        sound=fields.level((*shot, "sound")),
        focus=fields.focus((*shot, "focus")),
    )


def read_film(view: View, outcomes: Outcomes, shot_ids: Collection[str]) -> Reading | None:
    """The whole section; None where there is none, or it is no mapping.

    Args:
        outcomes: of every file of ``sources_of``.
        shot_ids: what captions and cuts may name.
    """
    if not isinstance(view.get(_FILM), dict):
        return None
    return _Section(Fields(view, outcomes), shot_ids).read()


class _Section:
    """One pass over the section."""

    def __init__(self, fields: Fields, shot_ids: Collection[str]) -> None:
        self._fields = fields
        self._shot_ids = shot_ids

    def read(self) -> Reading:
        fields = self._fields
        transition = fields.transition((*_FILM, "transition")) or HARD_CUT
        captions, places = self._captions()
        voice_overs = self._voice_overs()
        check_pattern(fields, (*_FILM, "names"))
        master = read_master(fields)
        if captions is not None:
            master = replace(master, has_captions_burned_in=captions.is_burned_in)
        spec = FilmSpec(
            master=master,
            deliverables=read_deliverables(fields, master, self._shot_ids),
            transition=transition,
            fade_in_s=fields.number_or((*_FILM, "fade_in"), 0),
            fade_out_s=fields.number_or((*_FILM, "fade_out"), 0),
            sound=fields.level((*_FILM, "sound")) or Level(),
            music=self._music(),
            voice_overs=tuple(voice for voice, _ in voice_overs),
            title_card=self._card((*_FILM, "title"), transition),
            end_card=self._card((*_FILM, "end"), transition),
            slate_s=self._slate_s(),
            logo=self._logo(),
            captions=captions,
            checks=self._checks(),
        )
        lengths_s = tuple(length_s for _, length_s in voice_overs)
        return Reading(spec=spec, cue_places=places, voice_lengths_s=lengths_s)

    # Sound

    def _music(self) -> Music | None:
        fields, path = self._fields, (*_FILM, "music")
        usual = path if fields.view.text(path) is not None else (*path, "file")
        opened = fields.opened(usual, SourceKind.SOUND)
        if opened is None:
            return None
        start_s = fields.number_or((*path, "start"), 0)
        if opened.duration_s is not None and start_s >= opened.duration_s:
            lasts = f"{float(opened.duration_s):.1f}"
            message = f"the recording is over after {lasts} s"
            fields.view.add((*path, "start"), message, f"write less than {lasts}")
        usual_music = Music(file=opened.file)
        return replace(
            usual_music,
            level=self._gain(path),
            start_s=start_s,
            loops=fields.flag((*path, "loop"), default=usual_music.loops),
            fade_in_s=fields.number_or((*path, "fade_in"), usual_music.fade_in_s),
            fade_out_s=fields.number_or((*path, "fade_out"), usual_music.fade_out_s),
            duck_db=fields.number_or((*path, "duck"), usual_music.duck_db),
        )

    def _gain(self, path: KeyPath) -> Level:
        return Level(gain_db=self._fields.number_or((*path, "gain"), 0))

    def _voice_overs(self) -> list[tuple[VoiceOver, Fraction | None]]:
        read: list[tuple[VoiceOver, Fraction | None]] = []
        for index in range(len(self._fields.view.list_at((*_FILM, "voice")))):
            path: KeyPath = (*_FILM, "voice", index)
            opened = self._fields.opened((*path, "file"), SourceKind.SOUND)
            at_s = self._fields.number((*path, "at"))
            if opened is not None and at_s is not None:
                voice = VoiceOver(file=opened.file, at_s=at_s, level=self._gain(path))
                read.append((voice, opened.duration_s))
        return read

    # Cards and graphics

    def _card(self, path: KeyPath, usual: Transition) -> Card | None:
        fields = self._fields
        text = fields.view.text(path)
        if text is not None:
            self._check_drawable(path, text)
            return Card(duration_s=_CARD_S, text=text, transition=usual)
        if not isinstance(fields.view.get(path), dict):
            return None
        texts = {key: fields.view.text((*path, key)) or "" for key in ("text", "subtitle")}
        for key, each in texts.items():
            self._check_drawable((*path, key), each)
        has_image = fields.view.document.value((*path, "image")) is not None
        if not any(each.strip() for each in texts.values()) and not has_image:
            self._fields.view.add(path, "the card shows nothing", "give it a text or an image")
        card = Card(duration_s=fields.number_or((*path, "duration"), _CARD_S))
        return replace(
            card,
            text=texts["text"],
            subtitle=texts["subtitle"],
            picture=fields.file((*path, "image"), SourceKind.PICTURE),
            color=fields.color((*path, "color")) or card.color,
            background=fields.color((*path, "background")) or card.background,
            font=fields.file((*path, "font"), SourceKind.FONT),
            transition=fields.transition((*path, "transition")) or usual,
        )

    def _check_drawable(self, path: KeyPath, text: str) -> None:
        control = _CONTROL.search(text)
        if control is not None:
            what = f"U+{ord(control.group()):04X}"
            self._fields.view.add(path, f"the control character {what} in the text", "delete it")

    def _slate_s(self) -> Fraction:
        path: KeyPath = (*_FILM, "slate")
        if self._fields.flag(path, default=False):
            return _SLATE_S
        return self._fields.number_or(path, 0)

    def _logo(self) -> Logo | None:
        fields, path = self._fields, (*_FILM, "logo")
        place = path if fields.view.text(path) is not None else (*path, "file")
        file = fields.file(place, SourceKind.PICTURE)
        if file is None:
            return None
        logo = Logo(file=file)
        return replace(
            logo,
            place=Place(fields.view.text((*path, "position")) or logo.place),
            width=fields.number_or((*path, "width"), logo.width),
            margin=fields.number_or((*path, "margin"), logo.margin),
            opacity=fields.number_or((*path, "opacity"), logo.opacity),
            on_cards=fields.flag((*path, "on_cards"), default=False),
        )

    # Captions

    def _captions(self) -> tuple[Captions | None, tuple[CuePlace, ...]]:
        fields, path = self._fields, (*_FILM, "captions")
        if not fields.has(path):
            return None, ()
        place: KeyPath = path if fields.view.text(path) is not None else (*path, "file")
        has_file = place == path or fields.view.document.value(place) is not None
        has_cues = fields.view.document.value((*path, "cues")) is not None
        if has_file == has_cues:
            what = "a file and cues: only one of them" if has_file else "neither a file nor cues"
            fields.view.add(path, f"captions has {what}", "write file: captions/en.srt, or cues")
            return None, ()
        placed = self._cues_of_file(place) if has_file else self._cues((*path, "cues"))
        files = [each for each in fields.view.list_at((*path, "files")) if each in ("srt", "vtt")]
        captions = Captions(
            cues=tuple((shot_id, cue) for shot_id, cue, _ in placed),
            is_burned_in=fields.flag((*path, "burn"), default=False),
            language=fields.text((*path, "language")) or "en",
            font=fields.file((*path, "font"), SourceKind.FONT),
        )
        if fields.has((*path, "files")):
            captions = replace(captions, files=tuple(CaptionFile(each) for each in files))
        return captions, tuple(where for _, _, where in placed)

    def _cues_of_file(self, path: KeyPath) -> Sequence[tuple[str | None, Cue, CuePlace]]:
        opened = self._fields.opened(path, SourceKind.CAPTIONS)
        if opened is None or opened.text is None:
            return ()
        parsed = parse_captions(opened.text)
        source = shown(opened.file.source)
        for mistake in parsed.mistakes[:_MAX_CAPTION_MISTAKES]:
            message = f'"{source}" line {mistake.line}: {mistake.message}'
            self._fields.view.add(path, message, mistake.hint)
        return [(None, each.cue, CuePlace(path=path, line=each.line)) for each in parsed.cues]

    def _cues(self, path: KeyPath) -> Sequence[tuple[str | None, Cue, CuePlace]]:
        count = len(self._fields.view.list_at(path))
        read = (self._cue((*path, index)) for index in range(count))
        return [each for each in read if each is not None]

    def _cue(self, path: KeyPath) -> tuple[str | None, Cue, CuePlace] | None:
        fields = self._fields
        text = fields.view.text((*path, "text"))
        shot_id = fields.view.text((*path, "shot"))
        if shot_id is not None and shot_id not in self._shot_ids:
            refuse_shot(fields, (*path, "shot"), shot_id, self._shot_ids)
            return None
        if text is not None:
            self._check_drawable((*path, "text"), text)
            if not text.strip():
                fields.view.add((*path, "text"), "is blank", "write it, or delete the caption")
        at_s, end_s = fields.number((*path, "at")), self._end_s(path)
        if at_s is None or end_s is None or text is None:
            return None
        if end_s <= at_s:
            fields.view.add((*path, "until"), "is not after at", "until counts from where at does")
            return None
        return shot_id, Cue(start_s=at_s, end_s=end_s, text=text.strip()), CuePlace(path=path)

    def _end_s(self, path: KeyPath) -> Fraction | None:
        fields = self._fields
        entry = fields.view.get(path)
        keys = [key for key in ("until", "for") if isinstance(entry, dict) and key in entry]
        if isinstance(entry, dict) and len(keys) != 1:
            what = "both until and for" if keys else "neither until nor for"
            fields.view.add(path, f"the caption has {what}", "write one of them, in seconds")
            return None
        at_s = fields.number((*path, "at"))
        until_s, for_s = fields.number((*path, "until")), fields.number((*path, "for"))
        if until_s is not None:
            return until_s
        return None if for_s is None or at_s is None else at_s + for_s

    def _checks(self) -> Checks:
        fields, path, usual = self._fields, (*_FILM, "checks"), Checks()
        return Checks(
            black_s=fields.number_or((*path, "black"), usual.black_s),
            frozen_s=fields.number_or((*path, "frozen"), usual.frozen_s),
            silent_s=fields.number((*path, "silent")),
            black_level=fields.number_or((*path, "black_level"), usual.black_level),
            loudness_lu=fields.number_or((*path, "loudness"), usual.loudness_lu),
        )
