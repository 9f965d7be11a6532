"""The film section: every key read, every mistake told at its place with a cure."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from test_validation import SCHEMA, VALIDATOR, stub

from pipeline.capabilities import WAVESPEED
from pipeline.errors import ExitCode
from pipeline.film.presets import PRESETS
from pipeline.film.sources import Opened, Outcome, SourceKind, sources_of
from pipeline.film.spec import (
    HARD_CUT,
    LOUDNESS,
    CaptionFile,
    Checks,
    CutShot,
    FilmFile,
    FilmSpec,
    Fit,
    Focus,
    Level,
    Place,
    Profile,
    ShotEdit,
    Transition,
)
from pipeline.film.transitions import TRANSITIONS
from pipeline.film.words import SHOT_KEYS
from pipeline.findings import Findings
from pipeline.fingerprint import fingerprint
from pipeline.library import ImageRefused, files_named
from pipeline.model import Problem, Severity, Storyboard
from pipeline.validation import Terms, build, check_form
from pipeline.view import View
from pipeline.yaml_document import load

TERMS = Terms(capabilities=WAVESPEED, max_shots=1000, max_prompt_chars=4000)
DISSOLVE = Transition(kind="dissolve", duration_s=Fraction(1, 2))
KEYS = 'images: [a.png], prompt: "@image1"'
SRT = "1\n00:00:01,000 --> 00:00:02,000\nOne\n"


def film_file(source: str) -> FilmFile:
    return FilmFile(source=source, path=Path("/p") / source, sha256=source)


def material(kind: SourceKind, source: str) -> Outcome:
    if "gone" in source:
        return ImageRefused(
            message="is gone", hint="look", exit_code=ExitCode.FILE_MISSING, is_absent=True
        )
    found = Opened(file=film_file(source))
    match kind:
        case SourceKind.SOUND:
            return replace(found, duration_s=Fraction(5))
        case SourceKind.CAPTIONS:
            return replace(
                found, text=SRT.replace("00:00:02", "00:01:00") if "late" in source else SRT
            )
        case _:
            return found


def check(
    film: str, shots: tuple[str, ...] = ("", "", "")
) -> tuple[Storyboard | None, tuple[Problem, ...]]:
    """Three shots a, b and c of six seconds, each with further keys, and a film section."""
    text = "storyboard: ad\nshots:\n"
    for name, more in zip("abc", shots, strict=False):
        text += f'  - {{id: {name}, images: [{name}.png], prompt: "@image1"{more}}}\n'
    lines = "".join(f"  {line}\n" for line in film.strip("\n").split("\n"))
    return checked(text + (f"film:\n{lines}" if film else ""))


def checked(text: str) -> tuple[Storyboard | None, tuple[Problem, ...]]:
    findings = Findings("m")
    document = load(text, findings)
    check_form(document, VALIDATOR, TERMS, findings)
    view = View(document, findings)
    built = build(
        document,
        TERMS,
        findings,
        Path("m"),
        opened={name: stub(name) for name in files_named(view)},
        videos={},
        materials={each: material(*each) for each in sources_of(view)},
    )
    return built.storyboard, findings.sorted()


def good(film: str, *shots: str) -> FilmSpec:
    storyboard, problems = check(film, shots or ("", "", ""))
    assert problems == ()
    assert storyboard is not None
    assert storyboard.film is not None
    return storyboard.film


def bad(film: str, *shots: str) -> dict[str, str]:
    storyboard, problems = check(film, shots or ("", "", ""))
    assert storyboard is None
    assert all(problem.hint for problem in problems)
    return {p.path: f"{p.message} ({p.hint})" for p in problems}


def test_without_a_section_there_is_no_film_and_with_an_empty_one_everything_is_usual() -> None:
    storyboard, problems = check("")
    assert problems == ()
    assert storyboard is not None
    assert storyboard.film is None
    assert {shot.edit for shot in storyboard.shots} == {ShotEdit()}
    usual = good("{}")
    assert usual == FilmSpec(master=replace(FilmSpec().master, file_name="film.mp4"))


def test_what_a_shot_says_of_the_film_is_read_and_is_no_part_of_what_is_bought() -> None:
    more = ", in: 0.5, cut: 4.25, transition: wipeleft, sound: mute, focus: [0.25, 1]"
    edited, _ = check("{}", (more, ", sound: {gain: -6.5}, focus: top-right", ""))
    plain, _ = check("")
    assert edited is not None
    assert plain is not None
    first, second, _ = edited.shots
    assert first.edit == ShotEdit(
        in_s=Fraction(1, 2),
        transition=Transition(kind="wipeleft", duration_s=Fraction(1, 2)),
        sound=Level(is_muted=True),
        focus=Focus(x=Fraction(1, 4), y=Fraction(1)),
    )
    assert first.cut_s == Fraction(17, 4)
    assert second.edit.sound == Level(gain_db=Fraction(-13, 2))
    assert second.edit.focus == Focus(x=Fraction(1), y=Fraction(0))
    for one, other in zip(edited.shots, plain.shots, strict=True):
        assert fingerprint(one, "m") == fingerprint(other, "m")


def test_every_key_of_the_film_is_read() -> None:
    film = good("""
length: 20.75
fps: 29.97
ratio: "16:9"
size: 1080
fit: blur
background: "#Abc"
focus: bottom
transition: {type: fade-black, duration: 0.25}
fade_in: 0.5
fade_out: 1
sound: {gain: 3}
music: {file: bed.wav, gain: -8, start: 1.5, loop: false, fade_in: 0.5, fade_out: 2, duck: 10}
voice: [{file: v.wav, at: 2, gain: 1}]
title: {text: Aurora, subtitle: "50% 'off'", image: t.png, color: white, background: "#0b1f2a",
  duration: 1.5, font: f.ttf, transition: cut}
end: The end
slate: true
logo: {file: l.png, position: bottom-left, width: 0.2, margin: 0, opacity: 0.5, on_cards: true}
captions: {cues: [{at: 0, for: 1, text: " Hi "}, {at: 1, until: 2.5, text: Ho, shot: b}],
  burn: true, files: [vtt, srt], language: no}
loudness: {integrated: -16, true_peak: -1.5}
checks: {black: 1, frozen: 5, silent: 4, black_level: 0.05, loudness: 1}
""")
    master = film.master
    assert (master.length_s, master.frame_rate) == (Fraction(83, 4), Fraction(30000, 1001))
    assert (master.width_px, master.height_px, master.fit) == (1920, 1080, Fit.BLUR)
    assert (master.background, master.focus) == ("#aabbcc", Focus(y=Fraction(1)))
    assert master.loudness is not None
    assert master.loudness.integrated_lufs == -16
    assert master.loudness.true_peak_dbtp == Fraction(-3, 2)
    assert master.has_captions_burned_in
    usual = Transition(kind="fade-black", duration_s=Fraction(1, 4))
    assert film.transition == usual
    assert (film.fade_in_s, film.fade_out_s, film.slate_s) == (Fraction(1, 2), 1, 2)
    assert film.sound == Level(gain_db=Fraction(3))
    assert film.music is not None
    assert (film.music.start_s, film.music.loops, film.music.duck_db) == (Fraction(3, 2), False, 10)
    assert (film.music.fade_in_s, film.music.fade_out_s) == (Fraction(1, 2), 2)
    assert [(v.file.source, v.at_s, v.level.gain_db) for v in film.voice_overs] == [("v.wav", 2, 1)]
    title, end = film.title_card, film.end_card
    assert title is not None
    assert (title.text, title.subtitle, title.color) == ("Aurora", "50% 'off'", "#ffffff")
    assert (title.picture, title.font) == (film_file("t.png"), film_file("f.ttf"))
    assert (title.duration_s, title.transition) == (Fraction(3, 2), HARD_CUT)
    assert end is not None
    assert (end.text, end.duration_s, end.transition) == ("The end", 2, usual)
    assert film.logo is not None
    assert (film.logo.place, film.logo.width) == (Place.BOTTOM_LEFT, Fraction(1, 5))
    assert (film.logo.margin, film.logo.opacity, film.logo.on_cards) == (0, Fraction(1, 2), True)
    assert film.captions is not None
    assert [(shot, cue.start_s, cue.end_s, cue.text) for shot, cue in film.captions.cues] == [
        (None, 0, 1, "Hi"),
        ("b", 1, Fraction(5, 2), "Ho"),
    ]
    assert film.captions.files == (CaptionFile.VTT, CaptionFile.SRT)
    assert film.captions.language == "no"
    assert film.checks == Checks(
        black_s=Fraction(1),
        frozen_s=Fraction(5),
        silent_s=Fraction(4),
        black_level=Fraction(1, 20),
        loudness_lu=Fraction(1),
    )


def test_a_file_alone_stands_for_music_logo_and_captions() -> None:
    film = good("music: bed.wav\nlogo: l.png\ncaptions: en.srt")
    assert film.music is not None
    assert film.music.file == film_file("bed.wav")
    assert film.logo is not None
    assert film.captions is not None
    assert [cue.text for _, cue in film.captions.cues] == ["One"]


@pytest.mark.parametrize("ratio", ["9:16", '"9:16"', "'9:16'"])
def test_a_ratio_means_the_same_with_and_without_quotes(ratio: str) -> None:
    [one] = good(f"deliverables: [{{ratio: {ratio}}}]").deliverables
    assert (one.name, one.width_px, one.height_px) == ("9x16", 720, 1280)


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        ("ratio: 1:1", (720, 720)),
        ("ratio: 4:5", (720, 900)),
        ("ratio: 16:9", (1280, 720)),
        ("ratio: 9:16, size: 1080", (1080, 1920)),
        ("ratio: 2.39:1, size: 1080", (2582, 1080)),
        ("size: 640x360", (640, 360)),
        ("size: 1080x1920, ratio: 9:16", (1080, 1920)),
        ("preset: instagram-feed", (1080, 1350)),
        ("preset: instagram-feed, size: 720", (720, 900)),
        ("preset: youtube, ratio: 1:1", (1080, 1080)),
        ("fit: pad", (None, None)),
    ],
)
def test_the_size_of_a_deliverable(keys: str, size: tuple[int | None, int | None]) -> None:
    [one] = good(f"deliverables: [{{{keys}}}]").deliverables
    assert (one.width_px, one.height_px) == size


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        ("25", Fraction(25)),
        ("23.976", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("12.5", Fraction(25, 2)),
        ('"24000/1001"', Fraction(24000, 1001)),
        ('"29.97"', Fraction(30000, 1001)),
    ],
)
def test_frame_rates_are_exact(fps: str, rate: Fraction) -> None:
    assert good(f"fps: {fps}").master.frame_rate == rate


def test_a_deliverable_says_it_itself_or_its_preset_does_or_the_film() -> None:
    film = good("""
fps: 25
fit: pad
profile: prores
loudness: ebu-r128
deliverables:
  - {name: plain, ratio: 1:1}
  - {preset: tiktok}
  - {preset: broadcast-us, fps: 50, profile: hevc, loudness: none, fit: blur}
""")
    plain, tiktok, us = film.deliverables
    assert (plain.frame_rate, plain.fit, plain.profile) == (25, Fit.PAD, Profile.PRORES)
    assert plain.loudness == LOUDNESS["ebu-r128"]
    assert plain.file_name == "ad_1x1_18s.mov"
    assert (tiktok.name, tiktok.frame_rate, tiktok.profile) == ("tiktok", 25, Profile.WEB)
    assert (tiktok.loudness, tiktok.safe) == (LOUDNESS["social"], PRESETS["tiktok"].safe)
    assert (us.frame_rate, us.profile, us.fit, us.loudness) == (50, Profile.HEVC, Fit.BLUR, None)
    assert film.master.file_name == "film.mov"


def test_a_cut_of_its_own_names_shots_whole_or_in_part_and_may_repeat_one() -> None:
    [one] = good(
        "deliverables: [{length: 8.5, shots: [c, {shot: a, in: 1, cut: 1.5}, "
        "{shot: c, cut: 1}], title: false}]"
    ).deliverables
    assert one.cut == (
        CutShot(shot_id="c"),
        CutShot(shot_id="a", in_s=Fraction(1), cut_s=Fraction(3, 2)),
        CutShot(shot_id="c", cut_s=Fraction(1)),
    )
    assert not one.has_title
    assert one.file_name == "ad_native_8.5s.mp4"


def test_a_suffix_in_other_letters_is_the_suffix_of_the_profile() -> None:
    [one] = good("deliverables: [{file: Spot.MP4}]").deliverables
    assert one.file_name == "Spot.mp4"


def test_two_of_one_shape_are_told_apart_by_their_length() -> None:
    film = good("deliverables: [{ratio: 1:1, length: 18}, {ratio: 1:1, length: 6, shots: [a]}]")
    assert [each.name for each in film.deliverables] == ["1x1_18s", "1x1_6s"]


@pytest.mark.parametrize(
    ("film", "path", "words"),
    [
        ("musik: x", "film.musik", "did you mean music?"),
        ("transition: disolve", "film.transition", "did you mean dissolve?"),
        ("transition: {type: cut, duration: 1}", "film.transition.duration", "has no length"),
        ("transition: {duration: 1}", "film.transition.type", "is missing"),
        ("sound: off", "film.sound", "keep, mute or {gain: decibels}; found off"),
        ("length: 0:30", "film.length", "number of seconds"),
        ("length: 30s", "film.length", "for example length: 30"),
        ("fps: 7", "film.fps", "8 to 60"),
        ('fps: "1000/3"', "film.fps", "8 to 60"),
        ('fps: "24/0"', "film.fps", "8 to 60"),
        ("ratio: 16x9", "film.ratio", 'ratio: "9:16"'),
        ("ratio: 0:9", "film.ratio", "between 1:4 and 4:1"),
        ("ratio: 16:3", "film.ratio", "between 1:4 and 4:1"),
        ("size: 720", "film.size", "add ratio"),
        ("size: 1081x721", "film.size", "write 1082x722"),
        ("size: 32x32", "film.size", "64 to 4,096"),
        ("size: 1280x720\nratio: 9:16", "film.size", "has not the shape 9:16"),
        ("size: 4000\nratio: 9:16", "film.size", "4000x7112 pixels"),
        ("background: #000000", "film.background", 'quote it: background: "#101820"'),
        ("background: blu", "film.background", "a colour like"),
        ("focus: [0.5]", "film.focus", "each 0 to 1"),
        ("focus: [0.5, 1.5]", "film.focus[1]", "0 to 1"),
        ("fade_in: 10\nfade_out: 9", "film", "the fades take 19 s, but it lasts 18 s"),
        ("slate: 0", "film.slate", "above 0"),
        ("music: {gain: 3}", "film.music.file", "is missing"),
        ("music: gone.wav", "film.music", "is gone"),
        ("music: {file: bed.wav, start: 5}", "film.music.start", "over after 5.0 s"),
        ("voice: [{file: v.wav, at: 18}]", "film.voice[0].at", "the film is over at 18 s"),
        ("voice: [{file: gone.wav, at: 1}]", "film.voice[0].file", "is gone"),
        ("voice: {file: v.wav}", "film.voice", "a list of recordings"),
        ("title: yes", "film.title", "a text, or a mapping"),
        ("title: {subtitle: ' '}", "film.title", "shows nothing"),
        ('title: "a\\x07b"', "film.title", "U+0007"),
        ("end: {text: x, font: gone.ttf}", "film.end.font", "is gone"),
        ("logo: {file: gone.png}", "film.logo.file", "is gone"),
        ("logo: {file: l.png, position: topleft}", "film.logo.position", "top-left?"),
        ("captions: {burn: true}", "film.captions", "neither a file nor cues"),
        ("captions: {file: e.srt, cues: [{at: 0, for: 1, text: x}]}", "film.captions", "only one"),
        ("captions: late.srt", "film.captions", "line 2: the caption stays until 60 s"),
        (
            "captions: {cues: [{at: 1, text: x}]}",
            "film.captions.cues[0]",
            "neither until nor for",
        ),
        (
            "captions: {cues: [{at: 2, until: 2, text: x}]}",
            "film.captions.cues[0].until",
            "is not after at",
        ),
        (
            "captions: {cues: [{at: 2, for: 1, text: x, shot: d}]}",
            "film.captions.cues[0].shot",
            'no shot "d"',
        ),
        (
            "captions: {cues: [{at: 5, for: 2, text: x, shot: b}]}",
            "film.captions.cues[0]",
            "shot b is over at 6 s",
        ),
        (
            "captions: {cues: [{at: 6, for: 2, text: x}, {at: 1, for: 2, text: y, shot: b}]}",
            "film.captions.cues[1]",
            'the caption "y" at 7 s begins before "x" ends',
        ),
        ("captions: {cues: [{at: 2, for: 1, text: ' '}]}", "film.captions.cues[0].text", "blank"),
        ("loudness: ebu128", "film.loudness", "did you mean ebu-r128?"),
        ("checks: {frozen: -1}", "film.checks.frozen", "above 0"),
        ('names: "{storybord}"', "film.names", "did you mean {storyboard}?"),
        ('names: "a/{name}"', "film.names", '"/" cannot be in a file name'),
        ('names: "..{name}"', "film.names", "cannot begin"),
        ("deliverables: {}", "film.deliverables", "a list of at most 50"),
        ("deliverables: [7]", "film.deliverables[0]", "must be a mapping"),
        ("deliverables: [{preset: tictok}]", "film.deliverables[0].preset", "tiktok?"),
        ("deliverables: [{shots: [aa]}]", "film.deliverables[0].shots[0]", 'no shot "aa"'),
        ("deliverables: [{shots: []}]", "film.deliverables[0].shots", "a list of 1 to 1,000"),
        ("deliverables: [{shots: [010]}]", "film.deliverables[0].shots[0]", "the id of a shot"),
        (
            "deliverables: [{shots: [{shot: a, in: 4, cut: 3}]}]",
            "film.deliverables[0].shots[0]",
            "in + cut is 4 + 3 = 7 s, but only 6 s are bought (write cut: 2 or less",
        ),
        (
            "deliverables: [{shots: [{shot: a, in: 6}]}]",
            "film.deliverables[0].shots[0]",
            "begins at 6 s, but only 6 s",
        ),
        ("deliverables: [{name: film}]", "film.deliverables[0]", "the master is called that"),
        (
            "deliverables: [{ratio: 1:1}, {ratio: 1:1}]",
            "film.deliverables[1]",
            'is called "1x1"; deliverables[0] is as well',
        ),
        (
            "deliverables: [{name: x, ratio: 1:1}, {name: y, ratio: 1:1}]",
            "film.deliverables[1]",
            "its file would be ad_1x1_18s.mp4, as that of deliverables[0]",
        ),
        (
            "captions: en.srt\ndeliverables: [{name: x, file: ad.mp4}, {name: y, file: ad.webm, "
            "profile: webm}]",
            "film.deliverables[1]",
            "its caption file would be called as that of ad.mp4",
        ),
        ("deliverables: [{file: x.mov}]", "film.deliverables[0].file", "web makes .mp4 files"),
        ("deliverables: [{file: nul}]", "film.deliverables[0].file", "Windows keeps it"),
        ("deliverables: [{file: ad.refused}]", "film.deliverables[0].file", "does not pass"),
        ("deliverables: [{file: ad.Refused.mp4}]", "film.deliverables[0].file", "does not pass"),
        (
            "names: '{name}.REFUSED'\ndeliverables: [{name: x}]",
            "film.deliverables[0]",
            "does not pass",
        ),
        ("deliverables: [{file: '{nam}'}]", "film.deliverables[0].file", "{name}?"),
        ("deliverables: [{captions: true}]", "film.deliverables[0].captions", "no captions"),
        ("deliverables: [{title: perhaps}]", "film.deliverables[0].title", "true or false"),
    ],
)
def test_a_mistake_is_told_once_at_its_place_with_a_cure(film: str, path: str, words: str) -> None:
    found = bad(film)
    assert list(found) == [path]
    assert words in found[path]


@pytest.mark.parametrize(
    ("film", "shots", "path", "words"),
    [
        (
            "length: 18\ntransition: dissolve",
            (", cut: 5", "", ""),
            "film.length",
            "5 + 6 + 6 - 0.5 (dissolve) - 0.5 (dissolve) = 16 s, not 18 s "
            "(add 2 s, or write length: 16)",
        ),
        (
            "length: 17.5",
            (", cut: 4", ", cut: 5.5", ""),
            "film.length",
            "4 + 5.5 + 6 = 15.5 s, not 17.5 s (add 2 s: for example cut: 6 on shot a)",
        ),
        ("length: 15", (), "film.length", "(take 3 s off: for example cut: 3 on shot a)"),
        (
            "length: 14",
            (", in: 3", ", cut: 1", ", cut: 6"),
            "film.length",
            "add 4 s",
        ),
        (
            "deliverables: [{length: 5, shots: [a]}]",
            (),
            "film.deliverables[0].length",
            "take 1 s off: for example {shot: a, cut: 5}",
        ),
        (
            "deliverables: [{length: 5}]",
            (),
            "film.deliverables[0].length",
            "give it shots of its own",
        ),
        ("transition: dissolve", ("", ", cut: 0.9", ""), "shots[1]", "shares 1 s with"),
        ("{}", ("", ", cut: 0.001", ""), "shots[1]", "too short for a film"),
        ("{}", (", in: 3, cut: 4", "", ""), "shots[0].in", "in + cut is 3 + 4 = 7 s"),
        ("{}", (", in: 6", "", ""), "shots[0].in", "begins at 6 s"),
        ("{}", (", sound: loud", "", ""), "shots[0].sound", "keep, mute"),
    ],
)
def test_lengths_that_do_not_fit_are_told_with_the_arithmetic(
    film: str, shots: tuple[str, ...], path: str, words: str
) -> None:
    found = bad(film, *shots)
    assert list(found) == [path]
    assert words in found[path]


def test_the_arithmetic_counts_cards_and_overlaps_but_not_the_slate() -> None:
    film = good(
        "length: 20\nslate: 3\ntransition: dissolve\ntitle: {text: x, duration: 1}\n"
        "end: {text: y, duration: 3, transition: {type: fade-white, duration: 0.5}}",
    )
    assert film.master.length_s == 20


@pytest.mark.parametrize(
    ("film", "shots", "path"),
    [
        ("{}", ("", "", ", transition: dissolve"), "shots[2].transition"),
        ("voice: [{file: v.wav, at: 14}]", (), "film.voice[0].at"),
        ("deliverables: [{ratio: 1:1, title: true}]", (), "film.deliverables[0].title"),
    ],
)
def test_what_is_only_odd_is_a_warning(film: str, shots: tuple[str, ...], path: str) -> None:
    storyboard, [problem] = check(film, shots or ("", "", ""))
    assert storyboard is not None
    assert (problem.path, problem.severity) == (path, Severity.WARNING)
    assert problem.hint


def test_a_transition_of_the_last_shot_is_used_where_another_cut_goes_on_after_it() -> None:
    good("deliverables: [{shots: [c, a]}]", "", "", ", transition: dissolve")


def test_every_mistake_is_told_in_one_run() -> None:
    found = bad(
        "length: 99\nfps: 1\nlogo: gone.png\ndeliverables: [{ratio: x}, {shots: [q]}]",
        ", in: 9",
        ", focus: nowhere",
        "",
    )
    assert set(found) == {
        "shots[0].in",
        "shots[1].focus",
        "film.fps",
        "film.logo",
        "film.deliverables[0].ratio",
        "film.deliverables[1].shots[0]",
    }


def test_schema_and_reference_offer_what_the_program_knows() -> None:
    told = (Path(__file__).parents[2] / "docs/film.md").read_text("utf-8")
    definitions = SCHEMA["$defs"]
    film = SCHEMA["properties"]["film"]["properties"]
    one = film["deliverables"]["items"]["properties"]
    assert definitions["transition"]["properties"]["type"]["enum"] == list(TRANSITIONS)
    assert one["preset"]["enum"] == list(PRESETS)
    assert definitions["loudness"]["then"]["enum"] == [*LOUDNESS, "none"]
    named = [*TRANSITIONS, *PRESETS, *Profile, *Place, *LOUDNESS, *film, *one, *SHOT_KEYS]
    assert [name for name in named if name not in told] == []


@pytest.mark.parametrize("number", range(3))
def test_examples_of_the_reference_are_good(number: int) -> None:
    told = (Path(__file__).parents[2] / "docs/film.md").read_text("utf-8")
    block = re.findall(r"(?:^    .*\n)*^    film:\n(?:^     .*\n)+", told, re.MULTILINE)[number]
    text = textwrap.dedent(block).replace('images: [...], prompt: "..."', KEYS)
    if "shots:" not in text.split("film:")[0]:
        text = f"shots:\n  - {{id: street, {KEYS}}}\n  - {{id: silence, {KEYS}}}\n{text}"
    storyboard, problems = checked(f"storyboard: ad\n{text}")
    assert problems == ()
    assert storyboard is not None
    assert storyboard.film is not None
