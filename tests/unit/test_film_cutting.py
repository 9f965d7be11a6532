"""Which parts a deliverable has, where its captions stand, and what it is called."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.film.cutting import cues_of, cut_parts, film_parts, length_s
from pipeline.film.naming import (
    USUAL_PATTERN,
    file_name,
    film_line,
    name_mistake,
    pattern_mistake,
    ratio_word,
)
from pipeline.film.presets import PRESETS
from pipeline.film.profiles import ENCODINGS
from pipeline.film.spec import (
    HARD_CUT,
    LOUDNESS,
    Captions,
    Card,
    Cue,
    CutShot,
    Deliverable,
    FilmSpec,
    Profile,
    ShotEdit,
    Transition,
)
from pipeline.film.timeline import Part, duration_of
from pipeline.film.transitions import TRANSITIONS, XFADES, xfade_of
from pipeline.model import Position, Resolution, Shot, Storyboard

DISSOLVE = Transition(kind="dissolve", duration_s=Fraction(1, 2))
WIPE = Transition(kind="wipeleft", duration_s=Fraction(1, 4))
MASTER = Deliverable(name="film")
HALF = Fraction(1, 2)


def shot(name: str, cut_s: str | None = None, **edit: object) -> Shot:
    return Shot(
        id=name,
        images=(),
        prompt="p",
        duration_s=6,
        resolution=Resolution.P720,
        position=Position(line=1, column=1),
        cut_s=None if cut_s is None else Fraction(cut_s),
        edit=ShotEdit(**edit),  # type: ignore[arg-type]
    )


def board(*shots: Shot, film: FilmSpec | None = None) -> Storyboard:
    return Storyboard(name="ad", title="Ad", path=Path("m"), shots=shots, film=film)


def seen(parts: tuple[Part, ...]) -> list[tuple[str, Fraction, Fraction, str]]:
    return [(part.name, part.in_s, part.duration_s, part.transition.kind) for part in parts]


CARDS = FilmSpec(
    transition=DISSOLVE,
    title_card=Card(duration_s=Fraction(2), text="T", transition=WIPE),
    end_card=Card(duration_s=Fraction(3), text="E", transition=HARD_CUT),
    slate_s=Fraction(1),
)


def test_parts_are_slate_title_shots_and_end_each_with_its_transition() -> None:
    made = board(shot("a", "4"), shot("b", transition=WIPE), shot("c", in_s=HALF), film=CARDS)
    parts = cut_parts(made, CARDS.master)
    assert seen(parts) == [
        ("slate", 0, 1, "cut"),
        ("title", 0, 2, "wipeleft"),
        ("a", 0, 4, "dissolve"),
        ("b", 0, 6, "wipeleft"),
        ("c", HALF, 6 - HALF, "cut"),
        ("end", 0, 3, "cut"),
    ]
    assert length_s(made, CARDS.master) == duration_of(film_parts(parts)) == Fraction("19.5")


def test_a_shot_without_a_cut_lasts_as_its_clip_does_unless_the_film_has_an_exact_length() -> None:
    made = board(shot("a", in_s=HALF), shot("b", "2"), film=FilmSpec())
    clips = {"a": Fraction(145, 24), "b": Fraction(145, 24)}
    lengths = [part.duration_s for part in cut_parts(made, MASTER, lengths_s=clips)]
    assert lengths == [Fraction(145, 24) - HALF, 2]
    exact = replace(MASTER, length_s=Fraction(15, 2))
    lengths = [part.duration_s for part in cut_parts(made, exact, lengths_s=clips)]
    assert lengths == [6 - HALF, 2]
    fixed = replace(made, film=FilmSpec(master=exact))
    lengths = [part.duration_s for part in cut_parts(fixed, MASTER, lengths_s=clips)]
    assert lengths == [6 - HALF, 2]


def test_a_cut_of_its_own_takes_what_it_names_and_the_rest_from_the_shot() -> None:
    made = board(shot("a", "4", in_s=HALF), shot("b"), film=CARDS)
    short = Deliverable(
        name="s",
        cut=(CutShot(shot_id="b", in_s=Fraction(2)), CutShot(shot_id="a")),
        has_title=False,
        has_end=False,
    )
    assert seen(film_parts(cut_parts(made, short))) == [
        ("b", 2, 4, "dissolve"),
        ("a", HALF, 4, "cut"),
    ]


def cue(start: str, end: str, text: str) -> Cue:
    return Cue(start_s=Fraction(start), end_s=Fraction(end), text=text)


def shown(cues: tuple[Cue, ...]) -> list[tuple[float, float, str]]:
    return [(float(each.start_s), float(each.end_s), each.text) for each in cues]


WRITTEN = Captions(
    cues=(
        (None, cue("0.5", "1.5", "title")),
        (None, cue("3", "5", "a")),
        ("b", cue("1", "3", "b")),
    )
)


def test_captions_of_the_master_stand_where_they_are_written_after_the_slate() -> None:
    made = board(shot("a", "4"), shot("b"), film=CARDS)
    master = cut_parts(made, CARDS.master)
    assert shown(cues_of(WRITTEN, master, master)) == [
        (1.5, 2.5, "title"),
        (4, 6, "a"),
        (7.25, 9.25, "b"),
    ]


def test_captions_move_with_their_shots_into_another_cut() -> None:
    made = board(shot("a", "4"), shot("b"), film=replace(CARDS, slate_s=Fraction(0)))
    master = cut_parts(made, CARDS.master)
    short = Deliverable(
        name="s",
        cut=(
            CutShot(shot_id="b", cut_s=Fraction(2)),
            CutShot(shot_id="a", in_s=Fraction(2)),
            CutShot(shot_id="b", in_s=Fraction("2.9")),
        ),
        has_title=False,
    )
    parts = cut_parts(made, short)
    # Shot a begins at 1.75 in the master, so its caption is at 1.25 of the clip, 0.75 too early
    # for an in-point of 2; of b's second time only a flash would be left.
    assert shown(cues_of(WRITTEN, parts, master)) == [(1, 2, "b"), (1.5, 2.75, "a")]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (USUAL_PATTERN, "ad_9x16_7.5s.mp4"),
        ("{name}-{width}x{height}-{fps}-{profile}", "v-720x1280-29.97-web.mp4"),
        ("{name}.mp4", "v.mp4"),
    ],
)
def test_file_names_are_made_of_the_pattern(pattern: str, name: str) -> None:
    each = Deliverable(name="v", width_px=720, height_px=1280, frame_rate=Fraction(30000, 1001))
    assert pattern_mistake(pattern) is None
    assert file_name(pattern, "ad", each, Fraction(15, 2)) == name
    assert name_mistake(name, each) is None


def test_what_only_the_clips_can_tell_is_called_native() -> None:
    name = file_name("{ratio}{fps}", "ad", Deliverable(name="x", profile=Profile.WEBM), Fraction(1))
    assert name == "nativenative.webm"


@pytest.mark.parametrize("pattern", ["{}", "{name", "a b", "a/b", "-a", ".a", "é", "{name:>9}"])
def test_a_pattern_that_makes_no_safe_name_is_refused(pattern: str) -> None:
    mistake = pattern_mistake(pattern)
    assert mistake is not None
    assert all(mistake)


def test_a_name_that_is_too_long_is_refused() -> None:
    mistake = name_mistake("x" * 117 + ".mp4", MASTER)
    assert mistake is not None
    assert "at most 120" in mistake[0]


@pytest.mark.parametrize(
    ("size", "word"),
    [((1920, 1080), "16x9"), ((720, 900), "4x5"), ((854, 480), "16x9"), ((1000, 700), "1000x700")],
)
def test_a_shape_goes_by_its_usual_name(size: tuple[int, int], word: str) -> None:
    assert ratio_word(*size) == word


def test_the_film_in_one_line() -> None:
    made = board(shot("a"), shot("b", transition=WIPE), shot("c"), shot("d"))
    assert film_line(made) == "film: 23.75 s, 4 shots, 1 wipeleft"
    others = (
        Deliverable(name="9x16", length_s=Fraction(15)),
        Deliverable(name="1x1", cut=(CutShot(shot_id="a"),)),
    )
    made = replace(made, film=FilmSpec(transition=DISSOLVE, deliverables=others))
    assert film_line(made) == (
        "film: 22.75 s, 4 shots, 2 dissolves, 1 wipeleft; deliverables: 9x16 15 s, 1x1 6 s"
    )


def test_every_transition_but_the_cut_has_an_xfade_and_a_dissolve_is_no_noise() -> None:
    assert all(xfade_of(kind) in XFADES for kind in TRANSITIONS if kind != "cut")
    assert xfade_of("dissolve") == "fade"
    assert xfade_of("fade-black") == "fadeblack"
    assert "dissolve" not in XFADES
    with pytest.raises(KeyError):
        xfade_of("cut")


def test_presets_and_profiles_make_sense() -> None:
    for preset in PRESETS.values():
        width, height = preset.ratio
        assert preset.width_px * height == preset.height_px * width
        assert preset.width_px % 2 == preset.height_px % 2 == 0
        assert preset.loudness in LOUDNESS
        assert preset.target.name == preset.loudness
        assert sum(preset.safe[::2]) < 1
        assert preset.source
    assert set(ENCODINGS) == set(Profile)
    for encoding in ENCODINGS.values():
        assert encoding.video_arguments[1] == encoding.encoders[0]
        assert encoding.audio_arguments[1] == encoding.encoders[1]
