"""Reads what one finished file is to be: its shape, its cut, its encoding. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction

from pipeline.film.fields import Fields
from pipeline.film.naming import pattern_mistake, plain_number, ratio_word
from pipeline.film.presets import PRESETS, Preset
from pipeline.film.spec import CutShot, Deliverable, Fit, Profile
from pipeline.findings import KeyPath, closest
from pipeline.text import shown

# The short side of what the providers sell as 720p.
_USUAL_SHORT_SIDE_PX = 720
_MOST_PX = 4096
# A size whose shape is nearer than this to a ratio has it.
_SAME_SHAPE = Fraction(1, 100)

MASTER_NAME = "film"


def read_master(fields: Fields) -> Deliverable:
    """The film itself, by the keys of the section that a deliverable has as well."""
    path: KeyPath = ("film",)
    base = Deliverable(name=MASTER_NAME)
    return replace(
        _read(fields, path, base, None),
        loudness=fields.loudness((*path, "loudness")),
        length_s=fields.number((*path, "length")),
    )


def read_deliverables(
    fields: Fields, master: Deliverable, shot_ids: Collection[str]
) -> tuple[Deliverable, ...]:
    """Every further file in order; ``shot_ids`` are what a cut may name."""
    path: KeyPath = ("film", "deliverables")
    read = [
        _read_one(fields, (*path, index), master, shot_ids)
        for index in range(len(fields.view.list_at(path)))
    ]
    for index in range(len(fields.view.list_at(path))):
        check_pattern(fields, (*path, index, "file"))
    return _with_names(fields, read)


def check_pattern(fields: Fields, path: KeyPath) -> None:
    """Report a pattern of file names that makes none."""
    pattern = fields.view.text(path)
    mistake = pattern_mistake(pattern) if pattern else None
    if mistake is not None:
        fields.view.add(path, *mistake)


def _read_one(
    fields: Fields, path: KeyPath, master: Deliverable, shot_ids: Collection[str]
) -> Deliverable:
    named = fields.view.text((*path, "preset"))
    preset = PRESETS.get(named) if named else None
    read = _read(fields, path, master, preset)
    place = (*path, "loudness")
    loudness = fields.loudness(place)
    if preset is not None and not fields.has(place):
        read = replace(read, loudness=preset.target)
    elif fields.has(place):
        read = replace(read, loudness=loudness)
    return replace(
        read,
        name=fields.view.text((*path, "name")) or named or "",
        cut=_cut(fields, (*path, "shots"), shot_ids),
        length_s=fields.number((*path, "length")),
        has_title=_card(fields, path, "title"),
        has_end=_card(fields, path, "end"),
        has_slate=_card(fields, path, "slate"),
        has_captions_burned_in=_burned(fields, path, master),
    )


def _read(fields: Fields, path: KeyPath, base: Deliverable, preset: Preset | None) -> Deliverable:
    """What the film and a deliverable say in the same words."""
    width_px, height_px = _frame(fields, path, base, preset)
    fit, profile = fields.view.text((*path, "fit")), fields.view.text((*path, "profile"))
    if profile is None and preset is not None:
        profile = Profile.WEB.value
    return replace(
        base,
        width_px=width_px,
        height_px=height_px,
        frame_rate=_frame_rate(fields, path, base, preset),
        profile=base.profile if profile is None else Profile(profile),
        fit=base.fit if fit is None else Fit(fit),
        background=fields.color((*path, "background")) or base.background,
        focus=fields.focus((*path, "focus")) or base.focus,
        safe=base.safe if preset is None else preset.safe,
    )


def _frame(
    fields: Fields, path: KeyPath, base: Deliverable, preset: Preset | None
) -> tuple[int | None, int | None]:
    """Width and height: as said, else the preset's, else those of the film."""
    usual = (base.width_px, base.height_px)
    if preset is not None:
        usual = (preset.width_px, preset.height_px)
    ratio, size = fields.ratio((*path, "ratio")), fields.size((*path, "size"))
    if isinstance(size, tuple):
        if ratio is not None and abs(Fraction(*size) / ratio - 1) > _SAME_SHAPE:
            said = fields.text((*path, "ratio"))
            message = f"{size[0]}x{size[1]} has not the shape {said}"
            fields.view.add((*path, "size"), message, "leave one of the two out")
        return size
    if size is None and ratio is None:
        return usual
    width_px, height_px = usual
    shape = Fraction(width_px, height_px) if width_px and height_px else None
    if ratio is None and shape is None:
        cure = "add ratio, or write both sides, for example size: 1280x720"
        fields.view.add((*path, "size"), "the short side alone is not a size", cure)
        return usual
    known = min(width_px, height_px) if width_px and height_px else _USUAL_SHORT_SIDE_PX
    made = _of_shape(known if size is None else size, ratio or shape or Fraction(1))
    if max(made) > _MOST_PX:
        message = f"comes to {made[0]}x{made[1]} pixels; at most {_MOST_PX:,} a side"
        key = "ratio" if size is None else "size"
        fields.view.add((*path, key), message, "choose a smaller size")
    return made


def _of_shape(short_px: int, shape: Fraction) -> tuple[int, int]:
    """The size of a short side and a shape, its long side the nearest even number."""
    long_px = 2 * round(short_px * max(shape, 1 / shape) / 2)
    return (long_px, short_px) if shape >= 1 else (short_px, long_px)


def _frame_rate(
    fields: Fields, path: KeyPath, base: Deliverable, preset: Preset | None
) -> Fraction | None:
    place = (*path, "fps")
    own = fields.frame_rate(place)
    usual = base.frame_rate
    if preset is None:
        return usual if own is None else own
    rate = own if own is not None else preset.frame_rate or usual
    if rate is not None and rate > preset.max_frame_rate:
        most = plain_number(preset.max_frame_rate, 3)
        message = f"{plain_number(rate, 3)} frames a second; the platform takes up to {most}"
        fields.view.add(place, message, f"write fps: {most}")
    return rate


def _cut(fields: Fields, path: KeyPath, shot_ids: Collection[str]) -> tuple[CutShot, ...] | None:
    entries = fields.view.list_at(path)
    cut: list[CutShot] = []
    for index in range(len(entries)):
        place: KeyPath = (*path, index)
        shot_id = fields.view.text(place)
        if shot_id is None:
            place = (*place, "shot")
            shot_id = fields.view.text(place)
        if shot_id is None:
            continue
        if shot_id not in shot_ids:
            refuse_shot(fields, place, shot_id, shot_ids)
            continue
        entry: KeyPath = (*path, index)
        in_s, cut_s = fields.number((*entry, "in")), fields.number((*entry, "cut"))
        cut.append(CutShot(shot_id=shot_id, in_s=in_s, cut_s=cut_s))
    return tuple(cut) or None


def refuse_shot(fields: Fields, path: KeyPath, shot_id: str, shot_ids: Collection[str]) -> None:
    """Say that there is no such shot, and which was meant."""
    guess = closest(shot_id, shot_ids)
    some = ", ".join(list(shot_ids)[:8])
    cure = f"did you mean {guess}?" if guess else f"shots here: {shown(some, 100)}"
    fields.view.add(path, f'there is no shot "{shown(shot_id)}"', cure)


def _card(fields: Fields, path: KeyPath, key: str) -> bool:
    has_card = fields.flag((*path, key), default=True)
    if has_card and fields.has((*path, key)) and not fields.view.document.value(("film", key)):
        word = key if key == "slate" else f"{key} card"
        cure = f"write it as film.{key}, or leave {key} out here"
        fields.view.warn((*path, key), f"the film has no {word}", cure)
    return has_card


def _burned(fields: Fields, path: KeyPath, master: Deliverable) -> bool:
    place = (*path, "captions")
    is_burned = fields.flag(place, default=master.has_captions_burned_in)
    if is_burned and fields.has(place) and not fields.view.document.value(("film", "captions")):
        cure = "write them as film.captions, or leave captions out here"
        fields.view.add(place, "the film has no captions to burn in", cure)
    return is_burned


def _with_names(fields: Fields, read: Sequence[Deliverable]) -> tuple[Deliverable, ...]:
    """Give every deliverable a name: its own, else its shape, and its length where two share one.

    Two names that differ only in case are the same, as file names are on some systems.
    """
    shapes = Counter(_shape_name(each) for each in read if not each.name)
    named = [each if each.name else replace(each, name=_made_name(each, shapes)) for each in read]
    first: dict[str, int] = {MASTER_NAME: -1}
    for index, each in enumerate(named):
        twin = first.setdefault(each.name.lower(), index)
        if twin == index or _is_wrong(fields, index):
            continue
        other = "the master is called that" if twin < 0 else f"deliverables[{twin}] is as well"
        fields.view.add(
            ("film", "deliverables", index),
            f'is called "{each.name}"; {other}',
            "give each a name of its own, for example name: vertical-15",
        )
    return tuple(named)


def _is_wrong(fields: Fields, index: int) -> bool:
    """Whether a deliverable has a mistake already, which may be what its name comes from."""
    path: KeyPath = ("film", "deliverables", index)
    return any(flagged[: len(path)] == path for flagged in fields.view.findings.flagged)


def _made_name(each: Deliverable, shapes: Counter[str]) -> str:
    shape = _shape_name(each)
    if shapes[shape] == 1 or each.length_s is None:
        return shape
    return f"{shape}_{plain_number(each.length_s).replace('.', '-')}s"


def _shape_name(each: Deliverable) -> str:
    return ratio_word(each.width_px, each.height_px)
