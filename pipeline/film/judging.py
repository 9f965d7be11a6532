"""Whether a film that was read makes sense with its shots: lengths, overlaps, captions, names.

Pure. Each cut is judged by itself, and only where nothing that it is made of is wrong already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from pipeline.film.cutting import cues_of, cut_parts, film_parts, length_s
from pipeline.film.naming import USUAL_PATTERN, file_name, name_mistake
from pipeline.film.reading import Reading
from pipeline.film.spec import Deliverable, FilmSpec, Transition
from pipeline.film.timeline import (
    Part,
    PartKind,
    duration_of,
    explain,
    lay_out,
    overcrowded,
)
from pipeline.findings import KeyPath
from pipeline.model import Storyboard
from pipeline.text import shown
from pipeline.view import View

_FILM: KeyPath = ("film",)
_MASTER_FILE = "film"
_OTHER_NAME = 'give it a file of its own, or write names: "{storyboard}_{name}"'
# What the clips may turn out to have, where nothing names a rate.
_USUAL_RATES = (Fraction(24), Fraction(25), Fraction(30))
# A cure that leaves less of a shot than this is none.
_LEAST_SHOT_S = Fraction(1, 2)
# What every cut is made of, besides what is its own.
_SHARED_KEYS = frozenset({"transition", "title", "end", "slate"})
_SHOT_KEYS = frozenset({"id", "duration", "in", "cut", "transition"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """One cut to be judged: ``path`` of what it is written as, ``parts`` without the slate."""

    path: KeyPath
    deliverable: Deliverable
    parts: tuple[Part, ...]


def judge_film(view: View, reading: Reading, storyboard: Storyboard) -> FilmSpec:
    """Report whatever does not fit together, and give every deliverable its file name.

    Args:
        storyboard: with all of its shots, which are good, and with ``reading.spec`` as its film.
    """
    return _Judge(view, reading, storyboard).run()


class _Judge:
    """One pass over one film."""

    def __init__(self, view: View, reading: Reading, storyboard: Storyboard) -> None:
        self._view = view
        self._reading = reading
        self._storyboard = storyboard
        self._spec = reading.spec
        # Which cuts are: what the master and three ratios share is laid out and told once.
        self._crowded: dict[tuple[tuple[Part, ...], Fraction | None], bool] = {}

    def run(self) -> FilmSpec:
        cuts = [
            _Cut(path=path, deliverable=each, parts=self._parts(each))
            for path, each in self._deliverables()
            if self._is_clean(path) and self._fits_its_clips(path, each)
        ]
        whole = [cut for cut in cuts if not self._is_crowded(cut)]
        for cut in whole:
            self._check_length(cut)
            self._check_fades(cut)
        if whole and whole[0].path == _FILM:
            self._check_voice_overs(whole[0])
            self._check_captions(whole)
        self._warn_of_last_transition(cuts)
        return self._with_file_names()

    def _deliverables(self) -> Iterator[tuple[KeyPath, Deliverable]]:
        yield _FILM, self._spec.master
        for index, each in enumerate(self._spec.deliverables):
            yield (*_FILM, "deliverables", index), each

    def _parts(self, deliverable: Deliverable) -> tuple[Part, ...]:
        return film_parts(cut_parts(self._storyboard, deliverable))

    def _is_clean(self, path: KeyPath) -> bool:
        """Whether nothing was refused that the cut at ``path`` is made of."""
        for flagged in self._view.findings.flagged:
            if flagged[:1] == ("shots",) and (len(flagged) < 3 or flagged[2] in _SHOT_KEYS):
                return False
            if flagged[:1] == _FILM and (len(flagged) < 2 or flagged[1] in _SHARED_KEYS):
                return False
            if path != _FILM and flagged[: len(path)] == path:
                return False
        return True

    # Lengths

    def _fits_its_clips(self, path: KeyPath, deliverable: Deliverable) -> bool:
        """Whether every shot of an own cut lies within what is bought of it."""
        by_id = {shot.id: shot for shot in self._storyboard.shots}
        fits = True
        for index, each in enumerate(deliverable.cut or ()):
            shot = by_id[each.shot_id]
            in_s = shot.edit.in_s if each.in_s is None else each.in_s
            cut_s = shot.cut_s if each.cut_s is None else each.cut_s
            left_s = shot.duration_s - in_s
            if left_s <= 0 or (cut_s or 0) > left_s:
                fits = False
                place: KeyPath = (*path, "shots", index)
                self._view.add(place, *beyond_clip(shot.duration_s, in_s, cut_s))
        return fits

    def _is_crowded(self, cut: _Cut) -> bool:
        rate = cut.deliverable.frame_rate
        key = (cut.parts, rate)
        if key in self._crowded:
            return self._crowded[key]
        self._crowded[key] = False
        for each in _USUAL_RATES if rate is None else (rate,):
            part = overcrowded(cut.parts, each) or _vanishing(cut.parts, each)
            if part is not None:
                self._refuse_crowded(cut, part)
                self._crowded[key] = True
                break
        return self._crowded[key]

    def _refuse_crowded(self, cut: _Cut, part: Part) -> None:
        at = next(index for index, each in enumerate(cut.parts) if each is part)
        before_s = cut.parts[at - 1].transition.duration_s if at else Fraction(0)
        shared_s = before_s + part.transition.duration_s
        message = f"{_name(part)} is seen for {_s(part.duration_s)} s, too short for a film"
        cure = "use more of it"
        if shared_s:
            message = (
                f"{_name(part)} is seen for {_s(part.duration_s)} s, but shares "
                f"{_s(shared_s)} s with what is before and after it"
            )
            cure = "use more of it, or shorten the transitions"
        self._view.add(self._place_of(cut, part), message, cure)

    def _place_of(self, cut: _Cut, part: Part) -> KeyPath:
        if cut.path != _FILM:
            return cut.path
        if part.kind is not PartKind.SHOT:
            return (*_FILM, part.kind.value)
        index = next(i for i, shot in enumerate(self._storyboard.shots) if shot.id == part.name)
        return ("shots", index)

    def _check_length(self, cut: _Cut) -> None:
        wanted_s = cut.deliverable.length_s
        path: KeyPath = (*cut.path, "length")
        if wanted_s is None or path in self._view.findings.flagged:
            return
        missing_s = wanted_s - duration_of(cut.parts)
        if missing_s:
            sums = shown(explain(cut.parts), 300)
            self._view.add(path, f"{sums}, not {_s(wanted_s)} s", self._cure(cut, missing_s))

    def _cure(self, cut: _Cut, missing_s: Fraction) -> str:
        """How the parts could come to the length: one shot changed that allows it."""
        what = f"add {_s(missing_s)} s" if missing_s > 0 else f"take {_s(-missing_s)} s off"
        bought = {shot.id: Fraction(shot.duration_s) for shot in self._storyboard.shots}
        before_s = Fraction(0)
        for part in cut.parts:
            after_s = part.transition.duration_s
            changed_s = part.duration_s + missing_s
            least_s = before_s + after_s + _LEAST_SHOT_S
            before_s = after_s
            if part.kind is PartKind.SHOT and least_s <= changed_s <= bought[part.name] - part.in_s:
                if cut.deliverable.cut is not None:
                    return f"{what}: for example {{shot: {part.name}, cut: {_s(changed_s)}}}"
                return f"{what}: for example cut: {_s(changed_s)} on shot {part.name}"
        if cut.path != _FILM and cut.deliverable.cut is None:
            return (
                f"{what}: give it shots of its own, for example shots: [{_first_shot(cut.parts)}]"
            )
        return f"{what}, or write length: {_s(duration_of(cut.parts))}"

    def _check_fades(self, cut: _Cut) -> None:
        fades_s = self._spec.fade_in_s + self._spec.fade_out_s
        lasts_s = duration_of(cut.parts)
        if fades_s > lasts_s:
            message = f"the fades take {_s(fades_s)} s, but it lasts {_s(lasts_s)} s"
            self._view.add(cut.path, message, "shorten fade_in or fade_out")

    # What is laid over it

    def _check_voice_overs(self, master: _Cut) -> None:
        ends_s = duration_of(master.parts)
        voices = zip(self._spec.voice_overs, self._reading.voice_lengths_s, strict=True)
        for index, (voice, voice_s) in enumerate(voices):
            path: KeyPath = (*_FILM, "voice", index, "at")
            if len(self._view.list_at((*_FILM, "voice"))) != len(self._spec.voice_overs):
                return
            if voice.at_s >= ends_s:
                self._view.add(path, f"the film is over at {_s(ends_s)} s", "let it begin earlier")
            elif voice_s is not None and voice.at_s + voice_s > ends_s:
                over_s = float(voice.at_s + voice_s - ends_s)
                message = f"the recording goes on for {over_s:.1f} s after the film"
                self._view.warn(path, message, "let it begin earlier, or shorten it")

    def _check_captions(self, cuts: Sequence[_Cut]) -> None:
        captions = self._spec.captions
        if captions is None or not captions.cues:
            return
        master = cuts[0]
        if not self._are_inside(master):
            return
        for cut in cuts:
            if cut is not master and cut.parts == master.parts:
                continue
            cues = cues_of(captions, cut.parts, master.parts)
            for before, after in pairwise(cues):
                if after.start_s < before.end_s:
                    path = self._cue_path(after.text) if cut is master else cut.path
                    at = f"at {_s(after.start_s)} s" if cut is master else "there"
                    self._view.add(
                        path,
                        f'the caption "{shown(after.text, 30)}" {at} begins before '
                        f'"{shown(before.text, 30)}" ends',
                        "captions come one after another: shorten the first or move the second",
                    )
                    break

    def _cue_path(self, text: str) -> KeyPath:
        captions = self._spec.captions
        cues = captions.cues if captions is not None else ()
        at = next(index for index, (_, cue) in enumerate(cues) if cue.text == text)
        return self._reading.cue_places[at].path

    def _are_inside(self, master: _Cut) -> bool:
        """Whether every caption is shown while there is a film, or its shot, to show it over."""
        captions = self._spec.captions
        shots_s = {p.name: p.duration_s for p in master.parts if p.kind is PartKind.SHOT}
        ends_s = duration_of(master.parts)
        inside = True
        written = captions.cues if captions is not None else ()
        for (shot_id, cue), place in zip(written, self._reading.cue_places, strict=True):
            last_s = ends_s if shot_id is None else shots_s[shot_id]
            if cue.end_s <= last_s:
                continue
            inside = False
            what = "the film" if shot_id is None else f"shot {shot_id}"
            self._view.add(
                place.path,
                f"{place.prefix}the caption stays until {_s(cue.end_s)} s, but {what} is over "
                f"at {_s(last_s)} s",
                "let it end earlier",
            )
        return inside

    def _warn_of_last_transition(self, cuts: Sequence[_Cut]) -> None:
        shot = self._storyboard.shots[-1]
        own: Transition | None = shot.edit.transition
        is_followed = any(
            part.name == shot.id and after.kind is PartKind.SHOT
            for cut in cuts
            for part, after in pairwise(cut.parts)
        )
        if own is None or is_followed:
            return
        path: KeyPath = ("shots", len(self._storyboard.shots) - 1, "transition")
        has_end = self._spec.end_card is not None
        cure = "write it as film.end.transition" if has_end else "delete it, or write film.fade_out"
        self._view.warn(path, "is not used: no shot comes after this one", cure)

    # Names

    def _with_file_names(self) -> FilmSpec:
        path: KeyPath = (*_FILM, "names")
        pattern = self._view.text(path) or USUAL_PATTERN
        named = [
            self._named(index, each, pattern) for index, each in enumerate(self._spec.deliverables)
        ]
        if path not in self._view.findings.flagged:
            self._check_twins(named)
        master = self._spec.master
        lasts_s = Fraction(0)
        master_name = file_name(_MASTER_FILE, self._storyboard.name, master, lasts_s)
        return replace(
            self._spec,
            master=replace(master, file_name=master_name),
            deliverables=tuple(named),
        )

    def _named(self, index: int, deliverable: Deliverable, pattern: str) -> Deliverable:
        path: KeyPath = (*_FILM, "deliverables", index)
        own = self._view.text((*path, "file"))
        if not self._is_clean(path):
            return deliverable
        lasts_s = length_s(self._storyboard, deliverable)
        name = file_name(own or pattern, self._storyboard.name, deliverable, lasts_s)
        wrong = name_mistake(name, deliverable)
        if wrong is not None:
            self._view.add((*path, "file") if own else path, *wrong)
        return replace(deliverable, file_name=name)

    def _check_twins(self, named: Sequence[Deliverable]) -> None:
        first: dict[str, int] = {}
        for index, each in enumerate(named):
            path: KeyPath = (*_FILM, "deliverables", index)
            twin = first.setdefault(each.file_name.lower(), index) if each.file_name else index
            if twin != index and path not in self._view.findings.flagged:
                self._view.add(
                    path,
                    f"its file would be {each.file_name}, as that of deliverables[{twin}]",
                    _OTHER_NAME,
                )
        self._check_caption_twins(named)

    def _check_caption_twins(self, named: Sequence[Deliverable]) -> None:
        """``spot.mp4`` and ``spot.webm`` would share the one ``spot.srt``."""
        captions = self._spec.captions
        first: dict[str, Deliverable] = {}
        for index, each in enumerate(named if captions is not None and captions.files else ()):
            path: KeyPath = (*_FILM, "deliverables", index)
            stem = each.file_name.rpartition(".")[0].lower()
            twin = first.setdefault(stem, each)
            if stem and twin.file_name != each.file_name and self._is_clean(path):
                self._view.add(
                    path,
                    f"its caption file would be called as that of {twin.file_name}",
                    _OTHER_NAME,
                )


def beyond_clip(bought_s: int, in_s: Fraction, cut_s: Fraction | None) -> tuple[str, str]:
    """Words for a shot that is to be seen beyond the end of its clip."""
    left_s = bought_s - in_s
    if left_s <= 0:
        return (
            f"begins at {_s(in_s)} s, but only {bought_s} s are bought",
            "let it begin earlier, or buy a longer shot",
        )
    used = f"{_s(in_s)} + {_s(cut_s or Fraction(0))} = {_s(in_s + (cut_s or 0))}"
    return (
        f"in + cut is {used} s, but only {bought_s} s are bought",
        f"write cut: {_s(left_s)} or less, or buy a longer shot",
    )


def _vanishing(parts: Sequence[Part], frame_rate: Fraction) -> Part | None:
    """A part of which no frame would be left, or too few once all are rounded."""
    try:
        lay_out(parts, frame_rate)
    except ValueError:
        return min(parts, key=lambda part: part.duration_s - part.transition.duration_s)
    return None


def _first_shot(parts: Sequence[Part]) -> str:
    return next(part.name for part in parts if part.kind is PartKind.SHOT)


def _name(part: Part) -> str:
    return f"shot {part.name}" if part.kind is PartKind.SHOT else f"the {part.kind} card"


def _s(seconds: Fraction) -> str:
    return f"{float(seconds):.6g}"
