"""From clips to files that are handed over: the whole way, measured from outside."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
import av
import numpy as np
import pytest
from clipmaker import FFMPEG, FFMPEGS, lumas_of
from film.mixed import check_delivery, check_join, mixed_clip
from film.stage import (
    Look,
    Reel,
    film_clip,
    film_file,
    measure_alone,
    output,
    reel,
    shell,
)
from PIL import Image
from studio import Studio, paid_sandbox
from support import make_attempt

from pipeline.errors import ClipRejected, FilmRefused
from pipeline.film.spec import (
    LOUDNESS,
    CaptionFile,
    Captions,
    Card,
    Checks,
    Cue,
    CutShot,
    FilmSpec,
    Fit,
    Focus,
    Level,
    Logo,
    Music,
    Profile,
    ShotEdit,
    Transition,
    VoiceOver,
)
from pipeline.filming import make_film, open_studio
from pipeline.finishing.delivery import Delivered
from pipeline.finishing.disclosure import read_disclosure
from pipeline.model import Container
from pipeline.sandbox.animatic import AnimaticSpec

PLAIN_FFMPEG = next(iter(FFMPEGS.values()))
HALF = Fraction(1, 2)
DISSOLVE = Transition(kind="dissolve", duration_s=Fraction(1, 4))
ODD_TEXT = '50 % of "it\'s": ${HOME} %{n} 🎬 שלום עולם مرحبا\\n [v]; a=b'


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Clips of a second and a half in which something moves; all files of a film beside them."""
    folder = tmp_path_factory.mktemp("footage")
    looks = {
        "tone": Look(),
        "speech": Look(sound="speech", filters="hue=h=90"),
        "mute": Look(sound="", filters="hue=h=180"),
        "black": Look(filters="drawbox=c=black:t=fill"),
        "frozen": Look(seconds=4, filters="trim=end_frame=1,tpad=stop=-1:stop_mode=clone"),
    }
    return {name: film_clip(folder / f"{name}.mp4", look, ffmpeg=FFMPEG)
            for name, look in looks.items()}  # fmt: skip


def made_of(footage: Mapping[str, Path], *names: str, film: FilmSpec, **options: object) -> Reel:
    return reel([footage[name] for name in names], film, **options)


def deliver(wanted: Reel, folder: Path) -> Delivered:
    return wanted.deliver(folder, ffmpeg=FFMPEG)


def pieces_of(delivered: Delivered) -> dict[str, tuple[int, int]]:
    """Rendered and reused, by the name of the deliverable."""
    return {made.name: (made.rendered, made.reused) for made in delivered.report.deliverables}


def files_of(folder: Path) -> dict[str, bytes]:
    """All that is handed over, by its name; the report tells how it was made, and stays out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".cache" not in path.parts and path.stem != "report"
    }


def draw_moving(spec: AnimaticSpec, destination: Path) -> None:
    """Stand in for the animatic renderer: a clip as it was ordered, cheap, and not frozen."""
    part = destination.with_suffix(".part")
    look = Look(seconds=spec.duration_s, size=(848, 480), rate="8", picture="testsrc")
    film_clip(part, look, ffmpeg=FFMPEG).replace(destination)


def frame(path: Path, number: int) -> np.ndarray:
    """One frame in RGB, rows by columns by 3."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    return frames[number].to_ndarray(format="rgb24").astype(int)


# The whole of a film section


@pytest.fixture(scope="module")
def works(footage: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a master and three further deliverables of everything that a film may have."""
    folder = tmp_path_factory.mktemp("works")
    sides = "drawbox=w=iw/3:c=red:t=fill,drawbox=x=iw*2/3:w=iw/3:c=blue:t=fill"
    sided = film_clip(folder / "- it's 100%03d ü.mp4", Look(filters=sides), ffmpeg=FFMPEG)
    music, voice = folder / '-mu\'sic "50%03d".wav', folder / "voice: a;b [0].wav"
    shell(FFMPEG, "-f", "lavfi", "-i", "aevalsrc=0.2*sin(2*PI*110*t):d=2", "-f", "wav",
          music.absolute())  # fmt: skip
    shell(FFMPEG, "-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*700*t):d=0.5", "-f", "wav",
          voice.absolute())  # fmt: skip
    logo = folder / "lo go%d.png"
    Image.new("RGBA", (40, 20), (0, 255, 0, 255)).save(logo)
    film = FilmSpec(
        master=output(
            "film", "film.mp4", loudness=LOUDNESS["social"], has_captions_burned_in=True
        ),
        deliverables=(
            output("web", "spot.webm", profile=Profile.WEBM, loudness=LOUDNESS["ebu-r128"],
                   width_px=90, height_px=90, fit=Fit.BLUR, cut=["s01"], has_title=False,
                   has_end=False),
            output("edit", "edit.mov", profile=Profile.PRORES, loudness=LOUDNESS["atsc-a85"],
                   cut=["s02"], has_title=False, has_end=False),
            output("brief", "brief.mp4", profile=Profile.HEVC, loudness=LOUDNESS["social"],
                   width_px=50, height_px=90, cut=["s03", "s02"], has_title=False),
        ),
        transition=DISSOLVE,
        fade_in_s=Fraction(1, 4),
        fade_out_s=Fraction(1, 4),
        music=Music(file=film_file(music), level=Level(gain_db=Fraction(-6))),
        voice_overs=(VoiceOver(file=film_file(voice), at_s=Fraction(1)),),
        title_card=Card(duration_s=HALF, text="Aurora", background="#204060", transition=DISSOLVE),
        end_card=Card(duration_s=HALF, text=ODD_TEXT, background="#000040"),
        slate_s=Fraction(1),
        logo=Logo(file=film_file(logo)),
        captions=Captions(
            cues=(
                (None, Cue(start_s=HALF, end_s=Fraction(1), text="one: 50 %")),
                ("s02", Cue(start_s=HALF, end_s=Fraction(1), text="שלום ${b} 🎬")),
            ),
            files=(CaptionFile.SRT, CaptionFile.VTT),
        ),
    )  # fmt: skip
    paths = [footage["tone"], footage["speech"], sided]
    left = ShotEdit(focus=Focus(x=Fraction(0), y=HALF))
    wanted = reel(paths, film, edits={"s03": left}, title=ODD_TEXT)
    wanted.deliver(folder / "out", ffmpeg=FFMPEG)
    return folder / "out"


SHOTS = {
    "film.mp4": ["s01", "s02", "s03"],
    "deliverables/spot.webm": ["s01"],
    "deliverables/edit.mov": ["s02"],
    "deliverables/brief.mp4": ["s03", "s02"],
}
WORKS = {
    "film.mp4": ("social", Container.MP4),
    "deliverables/spot.webm": ("ebu-r128", Container.WEBM),
    "deliverables/edit.mov": ("atsc-a85", Container.MOV),
    "deliverables/brief.mp4": ("social", Container.MP4),
}


@pytest.mark.parametrize("name", WORKS)
def test_a_deliverable_is_on_target_by_an_independent_measurement(works: Path, name: str) -> None:
    target = LOUDNESS[WORKS[name][0]]
    loudness, peak = measure_alone(works / name, PLAIN_FFMPEG)

    assert abs(loudness - float(target.integrated_lufs)) <= 0.5
    assert peak <= float(target.true_peak_dbtp)


@pytest.mark.parametrize("name", WORKS)
def test_a_deliverable_says_what_it_is_made_of(works: Path, name: str) -> None:
    found = read_disclosure(works / name, WORKS[name][1])
    record = json.loads((works / f"{name}.provenance.json").read_text())
    shots = [shot["shot"] for shot in record["shots"]]

    assert found is not None
    assert found.source_type.endswith("/compositeWithTrainedAlgorithmicMedia")
    assert found.title == ODD_TEXT
    assert shots == SHOTS[name]
    assert {each["kind"] for each in record["materials"]} == {"logo", "music", "voice-over"}


def test_captions_lie_beside_every_deliverable_at_its_own_times(works: Path) -> None:
    """One second of slate; in the master s02 is seen after the title and s01, less two overlaps."""
    master = (works / "film.srt").read_text()
    brief = (works / "deliverables" / "brief.srt").read_text()

    assert "00:00:01,500 --> 00:00:02,000\none: 50 %" in master
    assert "00:00:03,000 --> 00:00:03,500\nשלום ${b} 🎬" in master
    assert "one: 50 %" not in brief
    assert "00:00:02,750 --> 00:00:03,250\nשלום ${b} 🎬" in brief
    assert (works / "deliverables" / "spot.vtt").read_text().startswith("WEBVTT")


def test_slate_cards_logo_captions_and_fades_are_in_the_picture(works: Path) -> None:
    lumas = lumas_of(works / "film.mp4")
    # A second of slate, then the film comes out of black, and goes into it at the end.
    assert lumas[12] > 5
    assert lumas[24] < 5 < lumas[32]
    assert lumas[-1] < 3
    seen = frame(works / "film.mp4", 60)
    red, green, blue = seen[8, 140]
    assert green > red + 60 and green > blue + 60
    # The caption's dark box stands over bright colours for exactly its frames.
    boxes = [frame(works / "film.mp4", n)[79:85, 66:94] for n in (71, 72, 83, 84)]
    colourful = [(box.max(axis=2) - box.min(axis=2)).mean() > 130 for box in boxes]
    assert colourful == [True, False, False, True]


def test_a_crop_keeps_the_focus_of_its_shot(works: Path) -> None:
    red, green, blue = frame(works / "deliverables" / "brief.mp4", 40)[20:, 4:30].mean(axis=(0, 1))
    assert red > green + 60 and red > blue + 60


# What is kept and what is made again


def steady(footage: Mapping[str, Path], **changes: object) -> Reel:
    """Two shots, one of them muted, and an end card; a master and an upright cut of one shot."""
    chosen: dict[str, object] = {
        "master": output("film", "film.mp4"),
        "deliverables": (
            output("tall", "tall.mp4", width_px=50, height_px=90, cut=["s01"], has_end=False),
        ),
        "transition": DISSOLVE,
        "end_card": Card(duration_s=HALF, text="Aurora", transition=DISSOLVE),
        "captions": Captions(cues=((None, Cue(start_s=Fraction(0), end_s=HALF, text=ODD_TEXT)),)),
    }
    edits = {"s02": ShotEdit(sound=Level(is_muted=True))}
    return made_of(footage, "speech", "tone", film=FilmSpec(**chosen | changes), edits=edits)


@pytest.fixture(scope="module")
def first(footage: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    delivered = deliver(steady(footage), folder)
    # A shot, what it shares with the next, that one, what it shares with the card, the card.
    assert pieces_of(delivered) == {"film": (5, 0), "tall": (1, 0)}
    return folder


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    """A copy of what was delivered, with its cache."""
    return Path(shutil.copytree(first, tmp_path / "out"))


def test_nothing_is_made_again_where_nothing_changed(
    footage: Mapping[str, Path], folder: Path
) -> None:
    before = (folder / "film.mp4").stat().st_mtime_ns
    delivered = deliver(steady(footage), folder)

    assert [made.is_reused for made in delivered.report.deliverables] == [True, True]
    assert pieces_of(delivered) == {"film": (0, 5), "tall": (0, 1)}
    assert (folder / "film.mp4").stat().st_mtime_ns == before
    assert "kept as it was" in (folder / "deliverables" / "report.txt").read_text()


def test_another_text_of_the_end_card_makes_only_what_shows_it_again(
    footage: Mapping[str, Path], folder: Path
) -> None:
    card = Card(duration_s=HALF, text=ODD_TEXT, transition=DISSOLVE)
    before = frame(folder / "film.mp4", -1)
    report = deliver(steady(footage, end_card=card), folder).report.deliverables

    assert [(made.rendered, made.reused) for made in report] == [(2, 3), (0, 1)]
    assert np.abs(frame(folder / "film.mp4", -1) - before).max() > 100
    told = json.loads((folder / "deliverables" / "report.json").read_text())["deliverables"]
    assert [(each["pieces_rendered"], each["pieces_reused"]) for each in told] == [(2, 3), (0, 1)]


def test_other_music_renders_no_picture(footage: Mapping[str, Path], folder: Path) -> None:
    music = folder / "music.wav"
    shell(FFMPEG, "-f", "lavfi", "-i", "sine=frequency=200:duration=1", music)
    before = (folder / "film.mp4").read_bytes()
    delivered = deliver(steady(footage, music=Music(file=film_file(music))), folder)

    assert pieces_of(delivered) == {"film": (0, 5), "tall": (0, 1)}
    assert (folder / "film.mp4").read_bytes() != before


def test_a_renamed_shot_is_named_anew_everywhere_and_no_picture_is_encoded_for_it(
    footage: Mapping[str, Path], folder: Path
) -> None:
    wanted = steady(footage)
    clips = {
        shot_id: replace(
            clip,
            slate=f"new_{shot_id}",
            used=replace(clip.used, prompt="Other words.", task_id=f"new-{shot_id}"),
        )
        for shot_id, clip in wanted.clips.items()
    }
    delivered = deliver(replace(wanted, clips=clips), folder)

    assert pieces_of(delivered) == {"film": (0, 5), "tall": (0, 1)}
    for path in (folder / "film.mp4", folder / "deliverables" / "tall.mp4"):
        told = json.loads(Path(f"{path}.provenance.json").read_text())
        assert told["file"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert {shot["prompt"] for shot in told["shots"]} == {"Other words."}
        assert all(shot["task_id"].startswith("new-") for shot in told["shots"])


def test_the_strip_shows_the_new_name_of_a_renamed_shot(
    footage: Mapping[str, Path], tmp_path: Path
) -> None:
    wanted = made_of(
        footage, "tone", film=FilmSpec(master=output("film", "film.mp4"), has_burn_in=True)
    )
    deliver(wanted, tmp_path)
    before = frame(tmp_path / "film.mp4", 3)
    clips = {shot_id: replace(clip, slate="XXXXX") for shot_id, clip in wanted.clips.items()}
    deliver(replace(wanted, clips=clips), tmp_path)

    changed = np.abs(frame(tmp_path / "film.mp4", 3) - before).max(axis=(1, 2)) > 100
    assert changed.any() and not changed[:60].any()


@pytest.mark.parametrize(
    "lost",
    ["deliverables/tall.mp4", "film.srt", "deliverables/tall.mp4.provenance.json"],
)
def test_what_is_lost_or_altered_is_made_again_as_it_was(
    footage: Mapping[str, Path], folder: Path, lost: str
) -> None:
    before = files_of(folder)
    if lost == "film.srt":
        (folder / lost).write_text("altered")
    else:
        (folder / lost).unlink()
    deliver(steady(footage), folder)

    assert files_of(folder) == before


def test_captions_that_are_wanted_no_longer_do_not_stay_beside_the_film(
    footage: Mapping[str, Path], folder: Path
) -> None:
    assert (folder / "film.srt").exists()
    others = folder / "deliverables" / "tall.srt"
    others.write_text("by hand")
    deliver(steady(footage, captions=None), folder)

    assert list(folder.rglob("*.srt")) == [others]


def test_a_muted_shot_is_silent_up_to_where_the_next_is_heard(first: Path) -> None:
    """The second shot and the card after it; the first 30 frames are the first one's alone."""
    with av.open(str(first / "film.mp4")) as file:
        sound = np.concatenate([each.to_ndarray()[0] for each in file.decode(audio=0)])
    muted = sound[40 * 2000 : 70 * 2000]

    assert np.abs(muted).max() < 1e-3
    assert np.abs(sound[: 30 * 2000]).max() > 0.1


# What is refused


def test_bad_clips_are_refused_all_at_once_by_name_and_the_former_film_stays(
    footage: Mapping[str, Path], folder: Path
) -> None:
    whole = footage["tone"].read_bytes()
    short = folder / "short.mp4"
    short.write_bytes(whole[: len(whole) * 2 // 3])
    before = files_of(folder)
    paths = [footage["black"], footage["speech"], footage["frozen"], short]
    with pytest.raises(FilmRefused) as refused:
        deliver(reel(paths, FilmSpec(master=output("film", "film.mp4"))), folder)

    lines = refused.value.message.splitlines()[1:]
    assert refused.value.exit_code == 1
    assert [line.split()[0] for line in lines] == ["s01", "s03", "s04"]
    assert "black.mp4" in lines[0] and "black for" in lines[0] and "--retake" in lines[0]
    assert "frozen.mp4" in lines[1] and "nothing moves" in lines[1]
    assert "short.mp4" in lines[2]
    assert files_of(folder) == before


def test_a_clip_that_is_not_the_one_that_was_checked_is_refused_by_name(
    footage: Mapping[str, Path], tmp_path: Path
) -> None:
    """A flipped byte and another clip of the same length: both may decode without an error."""
    (tmp_path / "clips").mkdir()
    names = ("tone", "speech", "mute")
    cut = []
    for name in names:
        data = footage[name].read_bytes()
        (tmp_path / "clips" / f"{name}.mp4").write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        cut.append(replace(make_attempt(), clip=f"{name}.mp4", clip_sha256=sha256))
    flipped = bytearray(footage["tone"].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (tmp_path / "clips" / "tone.mp4").write_bytes(flipped)
    (tmp_path / "clips" / "mute.mp4").write_bytes(footage["speech"].read_bytes())
    wanted = made_of(footage, *names, film=FilmSpec(master=output("film", "film.mp4")))
    make = partial(
        make_film,
        wanted.storyboard,
        cut,
        tmp_path,
        recorded=None,
        studio=open_studio(FFMPEG),
        on_progress=lambda _share: None,
    )
    with pytest.raises(ClipRejected) as refused:
        anyio.run(make)

    assert refused.value.exit_code == 1
    assert "tone.mp4" in refused.value.message and "mute.mp4" in refused.value.message
    assert "speech.mp4" not in refused.value.message
    assert not (tmp_path / "film.mp4").exists()


def test_a_film_that_does_not_pass_lies_aside_until_one_does(
    footage: Mapping[str, Path], folder: Path
) -> None:
    before = (folder / "film.mp4").read_bytes()
    silent = Checks(silent_s=HALF)
    with pytest.raises(FilmRefused, match=r"film\.mp4: silent for") as refused:
        deliver(steady(footage, checks=silent), folder)

    assert refused.value.exit_code == 1
    assert "film.refused.mp4" in refused.value.hint
    assert "earlier run" in refused.value.hint and "film.mp4" in refused.value.hint
    assert (folder / "film.refused.mp4").exists()
    assert (folder / "film.mp4").read_bytes() == before
    assert not json.loads((folder / "deliverables" / "report.json").read_text())["passed"]
    deliver(steady(footage), folder)
    assert not (folder / "film.refused.mp4").exists()
    assert (folder / "film.mp4").read_bytes() == before


def test_one_deliverable_that_cannot_be_made_keeps_none_of_the_others_back(
    footage: Mapping[str, Path], tmp_path: Path
) -> None:
    """A shot of a second and a half, of which one cut wants two."""
    too_long = (CutShot(shot_id="s01", cut_s=Fraction(9, 4)),)
    film = FilmSpec(
        master=output("film", "film.mp4"),
        deliverables=(output("long", "long.mp4", cut=too_long),),
    )
    with pytest.raises(FilmRefused, match=r"long\.mp4: tone\.mp4 ends before") as refused:
        deliver(made_of(footage, "tone", film=film), tmp_path)

    assert refused.value.exit_code == 1
    assert (tmp_path / "film.mp4").exists()
    report = json.loads((tmp_path / "deliverables" / "report.json").read_text())
    assert not report["passed"]
    assert [each["file"] for each in report["not_made"]] == ["deliverables/long.mp4"]


def test_a_run_that_is_stopped_leaves_no_half_file_and_the_next_one_finishes(
    footage: Mapping[str, Path], folder: Path
) -> None:
    """Without its cache, which is also how the same clips make the same bytes a second time."""
    before = files_of(folder)
    shutil.rmtree(folder / ".cache")
    (folder / ".cache" / "work-of-the-killed").mkdir(parents=True)
    (folder / ".cache" / "work-of-the-killed" / "attempt1.mp4").write_bytes(b"half")
    wanted = steady(footage, fade_in_s=HALF)

    async def stop_half_way() -> bool:
        with anyio.CancelScope() as scope:
            await wanted.deliver_async(
                folder,
                ffmpeg=FFMPEG,
                on_progress=lambda share: scope.cancel() if share > 0.3 else None,
            )
        return scope.cancelled_caught

    assert anyio.run(stop_half_way)
    left = files_of(folder)
    assert left["film.mp4"] == before["film.mp4"]
    assert not [name for name in left if name not in before]
    assert not list((folder / ".cache").glob("work-*"))
    deliver(steady(footage), folder)
    assert files_of(folder) == before


# Many clips


def test_clips_of_all_sizes_and_rates_are_in_step_at_the_last_cut(tmp_path: Path) -> None:
    """Joined as they are, and cut with dissolves; every clip with sound flashes and beeps."""
    clips = [mixed_clip(number, tmp_path, scale=8) for number in range(5)]
    for check in (check_join, check_delivery):
        found = check(clips, tmp_path / check.__name__, FFMPEG)
        assert found.fault == ""
        assert found.worst_gap_s <= 1 / 24


# By the command


def shown(film: Mapping[str, object]) -> str:
    """As it stands in a manifest, of which JSON is a part."""
    return json.dumps(film, ensure_ascii=False)


def test_names_of_all_kinds_go_through_the_command(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Manifest, folder, logo, music: quotes, spaces, per cents, a leading dash."""
    music, logo = "-mu'sic %03d.wav", 'lo"go ü {x}.png'
    shell(FFMPEG, "-f", "lavfi", "-i", "sine=frequency=200:duration=1", studio.folder / music)
    Image.new("RGBA", (40, 20), (0, 255, 0, 200)).save(studio.folder / logo)
    end = {"text": ODD_TEXT, "subtitle": "${x} 'y' 100%", "duration": 1, "transition": "dissolve"}
    film = {
        "size": "160x90",
        "fps": 24,
        "music": music,
        "logo": logo,
        "end": end,
        "length": 1.5,
        "deliverables": [{"ratio": "1:1", "size": "90x90"}],
    }
    written = studio.write("odd", 1, extra=f"film: {shown(film)}")
    text = written.read_text().replace("    prompt:", "    cut: 1\n    prompt:")
    manifest = studio.folder / 'it\'s "odd" %03d ü.yaml'
    manifest.write_text(text)
    out = studio.folder / "o'u t %03d"
    with paid_sandbox(monkeypatch, render=draw_moving):
        paid = ("--provider", "wavespeed", "--max-cost", "5", "--out", out)
        assert studio.run("run", *paid, manifest) == 0, studio.stderr
        made = json.loads((out / "odd" / "run.json").read_text())["film"]
        strict = film | {"loudness": {"integrated": -5, "true_peak": -20}, "deliverables": []}
        manifest.write_text(text.replace(shown(film), shown(strict)))
        assert studio.run("run", *paid, manifest) == 1

    assert (made["frames"], made["width_px"]) == (36, 160)
    assert set(made["files"]) == {"film.edl", "film.mp4", "film.mp4.provenance.json"}
    edl = (out / "odd" / "film.edl").read_text()
    assert "AX       V     D    012 00:00:00:00 00:00:01:00 01:00:00:12 01:00:01:12" in edl
    (square,) = made["deliverables"]
    assert (out / "odd" / square["file"]).exists()
    refused = json.loads((out / "odd" / "run.json").read_text())
    assert (refused["exit_code"], refused["state"], refused["film"]) == (1, "failed", None)
    assert "film.mp4: the sound cannot be brought to -5 LUFS" in refused["message"]
    assert (out / "odd" / "film.mp4").exists()
