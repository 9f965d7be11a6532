"""Settings as plain data: what changes a film changes it, and where files lie does not."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.film.identity import plain
from pipeline.film.spec import (
    LOUDNESS,
    Captions,
    Card,
    Checks,
    Cue,
    CutShot,
    Deliverable,
    FilmFile,
    FilmSpec,
    Fit,
    Focus,
    Level,
    Logo,
    Music,
    Profile,
    Transition,
    VoiceOver,
)

MUSIC = FilmFile(source="bed.wav", path=Path("/here/bed.wav"), sha256="a" * 64)
CAPTIONS = Captions(cues=((None, Cue(start_s=Fraction(0), end_s=Fraction(1), text="a")),))
FILM = FilmSpec(
    music=Music(file=MUSIC),
    captions=CAPTIONS,
    end_card=Card(duration_s=Fraction(2), text="Aurora"),
    deliverables=(Deliverable(name="tall", width_px=720, height_px=1280),),
)


def test_settings_become_json() -> None:
    assert json.loads(json.dumps(plain(FILM))) == plain(FILM)


def test_the_place_of_a_file_is_no_part_of_a_film() -> None:
    moved = replace(MUSIC, path=Path("/elsewhere/bed.wav"))
    assert plain(replace(FILM, music=Music(file=moved))) == plain(FILM)


CARD = Card(duration_s=Fraction(2), text="Aurora")
TALL = FILM.deliverables[0]


@pytest.mark.parametrize(
    "other",
    [
        replace(FILM, music=None),
        replace(FILM, music=Music(file=replace(MUSIC, sha256="b" * 64))),
        replace(FILM, music=Music(file=MUSIC, level=Level(gain_db=Fraction(-1, 10)))),
        replace(FILM, music=Music(file=MUSIC, loops=False)),
        replace(FILM, end_card=replace(CARD, text="Aurora ")),
        replace(FILM, end_card=None, title_card=CARD),
        replace(FILM, end_card=replace(CARD, duration_s=Fraction(2001, 1000))),
        replace(FILM, end_card=replace(CARD, transition=Transition(kind="dissolve"))),
        replace(FILM, logo=Logo(file=MUSIC)),
        replace(FILM, voice_overs=(VoiceOver(file=MUSIC, at_s=Fraction(0)),)),
        replace(FILM, captions=replace(CAPTIONS, is_burned_in=True)),
        replace(FILM, captions=replace(CAPTIONS, files=())),
        replace(FILM, checks=Checks(silent_s=Fraction(1))),
        replace(FILM, fade_in_s=Fraction(1)),
        replace(FILM, fade_out_s=Fraction(1)),
        replace(FILM, slate_s=Fraction(2)),
        replace(FILM, sound=Level(is_muted=True)),
        replace(FILM, has_burn_in=True),
        replace(FILM, deliverables=()),
        replace(FILM, deliverables=(replace(TALL, fit=Fit.PAD),)),
        replace(FILM, deliverables=(replace(TALL, profile=Profile.HEVC),)),
        replace(FILM, deliverables=(replace(TALL, focus=Focus(x=Fraction(0))),)),
        replace(FILM, deliverables=(replace(TALL, loudness=LOUDNESS["social"]),)),
        replace(FILM, deliverables=(replace(TALL, cut=(CutShot(shot_id="a"),)),)),
        replace(FILM, deliverables=(replace(TALL, cut=(CutShot(shot_id="a", in_s=Fraction(0)),)),)),
    ],
)
def test_whatever_changes_a_film_changes_its_identity(other: FilmSpec) -> None:
    assert plain(other) != plain(FILM)
