"""What a value of the film section must be, in a producer's words, where the schema refused it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from pipeline.film.presets import PRESETS
from pipeline.film.spec import LOUDNESS, CaptionFile, Fit, Place, Profile
from pipeline.film.transitions import TRANSITIONS
from pipeline.findings import KeyPath, closest, either
from pipeline.yaml_tree import Unclear

Words: TypeAlias = tuple[str, str]

SHOT_KEYS = frozenset({"in", "transition", "sound", "focus"})
# Keys whose plain YAML reading is never what is meant: 9:16 is a number of base 60, no is false.
_TEXTS = frozenset({"ratio", "language"})

_PLACES = tuple(place.value for place in Place)
_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "transition": TRANSITIONS,
        "type": TRANSITIONS,
        "sound": ("keep", "mute"),
        "focus": _PLACES,
        "position": _PLACES,
        "loudness": (*LOUDNESS, "none"),
        "fit": tuple(each.value for each in Fit),
        "profile": tuple(each.value for each in Profile),
        "preset": tuple(PRESETS),
        "files": tuple(each.value for each in CaptionFile),
    }
)
_TRANSITION = ("cut, dissolve, fade-black, fade-white or the name of an ffmpeg xfade", "dissolve")
_COLOR = ("a colour like #101820 in quotes, black or white", '"#101820"')
_FADE = ("a number of seconds from 0 to 60", "0.5")
_YES = ("true or false", "true")

# Rule and example by key, or by the key and the one above it where a key means several things.
_RULES: Mapping[str, Words] = MappingProxyType(
    {
        "film": ("a mapping", "{transition: dissolve}"),
        "in": ("a number of seconds from 0 to 15", "0.5"),
        "cut": ("a number of seconds above 0, at most the duration", "4.5"),
        "transition": (f"{_TRANSITION[0]}, or {{type, duration}}", "dissolve"),
        "type": _TRANSITION,
        "transition.duration": ("a number of seconds above 0, at most 10", "0.5"),
        "sound": ("keep, mute or {gain: decibels}", "mute"),
        "gain": ("a number of decibels from -60 to 20", "-6"),
        "focus": ("[x, y], each 0 to 1, or a place like top", "[0.5, 0.3]"),
        "length": ("a number of seconds above 0, at most 3,600", "30"),
        "fps": ("8 to 60 frames a second", "25"),
        "ratio": ("width to height", '"9:16"'),
        "size": ("width x height, or the short side, each 64 to 4,096", "1080x1920"),
        "fit": ("crop, pad or blur", "crop"),
        "background": _COLOR,
        "color": _COLOR,
        "profile": ("web, hevc, prores or webm", "web"),
        "fade_in": _FADE,
        "fade_out": _FADE,
        "slate": ("true, or a number of seconds above 0, at most 30", "true"),
        "loudness": (f"{either((*LOUDNESS, 'none'))}, or {{integrated, true_peak}}", "social"),
        "integrated": ("a number of LUFS from -40 to -5", "-16"),
        "true_peak": ("a number of dBTP from -20 to 0", "-1"),
        "file": ("the name of a file beside the manifest", "media/name.ext"),
        "deliverables.file": ("the name of a file", "{storyboard}_{ratio}.mp4"),
        "music": ("a file, or a mapping with file", "music/bed.wav"),
        "start": ("a number of seconds from 0 to 3,600", "12.5"),
        "loop": _YES,
        "duck": ("a number of decibels from 0 to 40", "8"),
        "voice": ("a list of recordings, at most 100", "[{file: voice/line.wav, at: 1.5}]"),
        "at": ("a number of seconds from 0 to 3,600", "1.5"),
        "title": ("a text, or a mapping with text or image", "{text: Aurora, duration: 2}"),
        "end": ("a text, or a mapping with text or image", "{text: Aurora, duration: 2}"),
        "deliverables.title": _YES,
        "deliverables.end": _YES,
        "deliverables.captions": _YES,
        "text": ("a text of 1 to 500 characters", '"Still hot."'),
        "subtitle": ("a text of at most 500 characters", '"From $39"'),
        "image": ("the name of a picture beside the manifest", "refs/pack.jpg"),
        "font": ("the name of a font file beside the manifest", "fonts/Brand.ttf"),
        "duration": ("a number of seconds from 0.2 to 60", "2.5"),
        "logo": ("a picture, or a mapping with file", "refs/logo.png"),
        "position": ("a corner, a side or center", "top-right"),
        "width": ("a share of the film's width, 0.01 to 1", "0.12"),
        "margin": ("a share of the short side, 0 to 0.5", "0.05"),
        "opacity": ("a number from 0 to 1", "0.8"),
        "on_cards": _YES,
        "captions": ("a caption file, or a mapping with file or cues", "captions/en.srt"),
        "cues": (
            "a list of 1 to 2,000 captions",
            '[{at: 1, for: 2, text: "Still hot."}]',
        ),
        "until": ("a number of seconds from 0 to 3,600", "5"),
        "for": ("a number of seconds above 0, at most 3,600", "2"),
        "burn": _YES,
        "files": ("a list of srt and vtt", "[srt, vtt]"),
        "language": ("the code of a language", "en"),
        "checks": ("a mapping", "{frozen: 5}"),
        "black": ("a number of seconds above 0", "2"),
        "frozen": ("a number of seconds above 0", "3"),
        "silent": ("a number of seconds above 0", "5"),
        "black_level": ("a share of full brightness above 0, at most 1", "0.02"),
        "checks.loudness": ("a number of LU above 0, at most 10", "0.5"),
        "names": ("a pattern of 1 to 200 characters", '"{storyboard}_{name}"'),
        "deliverables": ("a list of at most 50 deliverables", '[{ratio: "9:16"}]'),
        "name": ("1 to 64 letters, digits, _ and -, starting with a letter or digit", "vertical"),
        "preset": (either(tuple(PRESETS)), "youtube"),
        "shots": ("a list of 1 to 1,000 shots", "[opening, {shot: pour, cut: 2.5}]"),
        "shot": ("the id of a shot", "opening"),
    }
)
# What one entry of a list must be.
_ITEMS: Mapping[str, Words] = MappingProxyType(
    {
        "focus": ("a share from 0 to 1", "[0.5, 0.3]"),
        "voice": ("a mapping with file and at", "- {file: voice/line.wav, at: 1.5}"),
        "cues": ("a mapping with at and text", '- {at: 1, for: 2, text: "Still hot."}'),
        "files": ("srt or vtt", "[srt, vtt]"),
        "deliverables": ("a mapping", '- {ratio: "9:16"}'),
        "shots": ("the id of a shot, or a mapping with shot", "- opening"),
    }
)
# A cure for each key that must be there.
MISSING: Mapping[str, str] = MappingProxyType(
    {
        "file": "name it, for example file: media/name.ext",
        "at": "say when, in seconds, for example at: 1.5",
        "text": 'write it, for example text: "Still hot."',
        "shot": "name it by its id, for example shot: opening",
        "type": "name it, for example type: dissolve",
        "gain": "say how much, in decibels, for example gain: -6",
        "integrated": "say how loud, in LUFS, for example integrated: -16",
    }
)


def is_film(path: KeyPath) -> bool:
    """Whether a value belongs to the film section, or to what a shot says of the film."""
    if path[:1] == ("film",):
        return True
    return path[:1] == ("shots",) and len(path) > 2 and path[2] in SHOT_KEYS


def explain(path: KeyPath, value: Any, found: str, source: str) -> Words:
    """What is wrong with a value, and the cure.

    Args:
        found: the value as a message names it; ``source`` as it is written.
    """
    names = [step for step in path if isinstance(step, str)]
    key = names[-1]
    is_item = isinstance(path[-1], int)
    rule, example = _rule(names, is_item=is_item)
    message = f"must be {rule}; found {found}"
    if value is None and key in {"color", "background"}:
        return "is empty: YAML takes an unquoted # for a comment", f'quote it: {key}: "#101820"'
    if isinstance(value, str) and (guess := closest(value, _CHOICES.get(key, ()))):
        return message, f"did you mean {guess}?"
    if isinstance(value, Unclear) and example.startswith(('"', "opening", "vertical")):
        return message, f'quote it: {key}: "{source}"'
    if is_item:
        return message, f"write {example}"
    return message, f"for example {key}: {example}"


def _rule(names: Sequence[str], *, is_item: bool) -> Words:
    rules = _ITEMS if is_item else _RULES
    return rules.get(".".join(names[-2:])) or rules[names[-1]]


def with_texts(value: Any) -> Any:
    """A film section in which unquoted texts that YAML takes for something else are texts again:
    ``ratio: 9:16`` and ``language: no``."""
    if isinstance(value, dict):
        return {
            key: each.text if key in _TEXTS and isinstance(each, Unclear) else with_texts(each)
            for key, each in value.items()
        }
    return [with_texts(each) for each in value] if isinstance(value, list) else value
