"""Films made by a real ffmpeg from small clips, and measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import anyio
import av
import pytest
from clipmaker import (
    FFMPEG,
    beeps_of,
    each_ffmpeg,
    flashes_of,
    lumas_of,
    make_clip,
    picture_packets,
    run,
    sound_of,
    write_script,
)

from pipeline.errors import CannotWrite, ClipRejected, FileMissing, MediaError
from pipeline.media.boxes import walk_boxes
from pipeline.media.conform import CutClip, Film, conform
from pipeline.media.probe import probe
from pipeline.model import Container

NTSC = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=37, flashes=(6, 34))


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip in which the grey of a frame tells its number: 40 + 5 for each."""
    folder = tmp_path_factory.mktemp("shades")
    greys = [40 + 5 * frame for frame in range(30)]
    return make_clip(folder / "shades.mp4", lumas=greys, flashes=(6, 20))


def make_film(
    clips: Sequence[Path | CutClip], folder: Path, ffmpeg: Path = FFMPEG, **options: object
) -> Film:
    cut = [
        each if isinstance(each, CutClip) else CutClip(path=each, slate=f"sh{index:03}_tk01")
        for index, each in enumerate(clips)
    ]
    cache_dir = folder / "cache"
    film = anyio.run(
        partial(conform, cut, folder / "film.mp4", ffmpeg=ffmpeg, cache_dir=cache_dir, **options)
    )
    assert list(folder.glob("*.part")) == []
    assert list(cache_dir.glob("work-*")) == []
    return film


def worst_gap_s(film: Path, rate: Fraction, expected: int) -> float:
    """Largest distance between a flash and its beep."""
    flashes, beeps = flashes_of(film, rate), beeps_of(film)
    assert len(flashes) == len(beeps) == expected
    return max(abs(flash - beep) for flash, beep in zip(flashes, beeps, strict=True))


def sound_length_s(film: Film) -> Fraction:
    audio = probe(film.path).audio
    assert audio is not None
    return audio.end_s - audio.start_s


@each_ffmpeg
def test_sound_and_picture_agree_at_every_cut_of_a_copied_film(
    clip: Path, tmp_path: Path, ffmpeg: Path
) -> None:
    film = make_film([clip] * 12, tmp_path, ffmpeg)

    assert film.copied
    assert worst_gap_s(film.path, film.frame_rate, 24) < 0.003
    assert film.frames == len(lumas_of(film.path)) == 12 * 37
    assert sound_length_s(film) == film.duration_s == Fraction(12 * 37, 24)
    assert film.spans == tuple((f"sh{n:03}_tk01", n * 37, 37) for n in range(12))


@each_ffmpeg
def test_sound_and_picture_agree_at_every_cut_of_an_encoded_film(
    clip: Path, tmp_path: Path, ffmpeg: Path
) -> None:
    ntsc = make_clip(tmp_path / "ntsc.mp4", frames=45, rate=NTSC, flashes=(8, 40))
    film = make_film([ntsc, ntsc, clip, ntsc] * 2, tmp_path, ffmpeg)

    assert not film.copied
    assert film.frame_rate == NTSC
    # A clip of 24 frames a second meets the grid of another rate within half a frame.
    assert worst_gap_s(film.path, NTSC, 16) < 0.003 + float(1 / NTSC) / 2


def test_the_ruler_sees_the_drift_of_a_plain_copy(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"file '{clip}'\n" * 12)
    film = tmp_path / "film.mp4"
    run("-f", "concat", "-safe", "0", "-i", tmp_path / "list.txt", "-c", "copy", film)

    assert worst_gap_s(film, Fraction(24), 24) > 0.2


@each_ffmpeg
def test_clips_that_agree_are_copied_packet_by_packet(
    clip: Path, tmp_path: Path, ffmpeg: Path
) -> None:
    other = make_clip(tmp_path / "other.mp4", frames=29, flashes=(3,))
    film = make_film([clip, other, clip], tmp_path, ffmpeg)

    assert film.copied
    packets = picture_packets(clip) + picture_packets(other) + picture_packets(clip)
    assert picture_packets(film.path) == packets


@each_ffmpeg
def test_film_has_the_promised_format(clip: Path, tmp_path: Path, ffmpeg: Path) -> None:
    small = make_clip(tmp_path / "small.mp4", size=(96, 96))
    film = make_film([clip, small], tmp_path, ffmpeg)

    found = probe(film.path)
    assert found.video is not None and found.audio is not None
    assert (found.video.codec, found.video.profile) == ("h264", "High")
    assert found.video.pixel_format == "yuv420p"
    # 1 is BT.709 in each, and the range is the limited one.
    assert (found.video.colorspace, found.video.color_primaries) == (1, 1)
    assert (found.video.color_transfer, found.video.color_range) == (1, 1)
    assert found.video.on_grid and found.video.first_pts == 0
    assert (found.audio.codec, found.audio.sample_rate_hz, found.audio.channels) == (
        "aac",
        48_000,
        2,
    )
    kinds = [box.kind for box in walk_boxes(film.path)]
    assert kinds.index("moov") < kinds.index("mdat")


def test_same_clips_give_the_same_bytes_whatever_they_are_called(
    clip: Path, shades: Path, tmp_path: Path
) -> None:
    films = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        copies = [folder / f"{name}{n}.mp4" for n in range(2)]
        for copy, source in zip(copies, (clip, shades), strict=True):
            copy.write_bytes(source.read_bytes())
        cut = CutClip(path=copies[0], slate="a", cut_s=Fraction(1))
        films.append(make_film([cut, copies[1]], folder, title="Dawn", comment="made"))

    assert films[0].sha256 == films[1].sha256
    assert films[0].path.read_bytes() == films[1].path.read_bytes()


@each_ffmpeg
def test_clips_of_all_kinds_become_one_film(clip: Path, tmp_path: Path, ffmpeg: Path) -> None:
    kinds = [
        clip,
        make_clip(tmp_path / "tall.mp4", size=(96, 128), frames=20, flashes=(3,)),
        make_clip(tmp_path / "fast.mp4", rate=Fraction(60), frames=61, flashes=(30, 31, 32)),
        make_clip(tmp_path / "silent.mp4", channels=0, frames=24, flashes=()),
        make_clip(tmp_path / "mono.mp4", channels=1, sound_rate_hz=44_100),
        make_clip(tmp_path / "wide.mp4", options=["-vf", "setsar=4/3"]),
        clip,
    ]
    film = make_film(kinds, tmp_path, ffmpeg)

    assert not film.copied
    assert (film.width_px, film.height_px, film.frame_rate) == (128, 96, 24)
    # 61 frames at 60 a second are 24.4 at 24.
    assert [frames for _, _, frames in film.spans] == [37, 20, 24, 24, 36, 36, 37]
    assert len(lumas_of(film.path)) == film.frames == 214
    assert sound_length_s(film) == film.duration_s
    assert worst_gap_s(film.path, film.frame_rate, 10) < 0.003 + 1 / 48


def as_webm(clip: Path, path: Path) -> CutClip:
    coding = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M")
    run("-i", clip, *coding, "-c:a", "libopus", "-f", "webm", path)
    return CutClip(path=path, slate=path.stem, container=Container.WEBM)


def as_mov(clip: Path, path: Path) -> CutClip:
    run("-i", clip, "-c", "copy", "-f", "mov", path)
    return CutClip(path=path, slate=path.stem, container=Container.MOV)


@each_ffmpeg
def test_webm_clips_become_a_film_in_step(clip: Path, tmp_path: Path, ffmpeg: Path) -> None:
    webm = as_webm(clip, tmp_path / "clip.webm")
    film = make_film([webm, clip, webm], tmp_path, ffmpeg)

    assert not film.copied
    assert [frames for _, _, frames in film.spans] == [37, 37, 37]
    assert len(lumas_of(film.path)) == film.frames == 111
    assert sound_length_s(film) == film.duration_s
    # The clip's own sound is 7 ms early: its maker moved the pictures by what Opus begins with.
    assert worst_gap_s(film.path, film.frame_rate, 6) < 0.010


def test_a_webm_is_encoded_even_where_it_holds_what_a_film_does(
    shades: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clip.webm"
    run("-i", shades, "-c:v", "copy", "-c:a", "libopus", "-f", "matroska", path)
    film = make_film([CutClip(path=path, slate="a", container=Container.WEBM)], tmp_path)

    assert not film.copied
    assert len(lumas_of(film.path)) == 30


@each_ffmpeg
def test_mov_clips_are_copied_as_mp4_clips_are(clip: Path, tmp_path: Path, ffmpeg: Path) -> None:
    mov = as_mov(clip, tmp_path / "clip.mov")
    film = make_film([mov, clip, mov], tmp_path, ffmpeg)

    assert film.copied
    assert picture_packets(film.path) == picture_packets(clip) * 3
    assert worst_gap_s(film.path, film.frame_rate, 6) < 0.003


def test_a_clip_of_another_format_than_its_name_stops_the_film(clip: Path, tmp_path: Path) -> None:
    playlist = tmp_path / "list.webm"
    playlist.write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    for path in (clip, playlist):
        cut = [CutClip(path=path, slate="a", container=Container.WEBM)]
        with pytest.raises(ClipRejected, match="not a WEBM video"):
            make_film(cut, tmp_path)


def test_a_mono_clip_is_as_loud_as_a_stereo_one(tmp_path: Path) -> None:
    mono = make_clip(tmp_path / "mono.mp4", channels=1)
    stereo = make_clip(tmp_path / "stereo.mp4", channels=2)

    levels = []
    for name, source in (("m", mono), ("s", stereo)):
        folder = tmp_path / name
        folder.mkdir()
        levels.append(float(sound_of(make_film([source], folder).path).max()))

    assert levels[0] == pytest.approx(levels[1], rel=0.05)


@each_ffmpeg
def test_sound_that_starts_late_stays_late(tmp_path: Path, ffmpeg: Path) -> None:
    late = make_clip(tmp_path / "late.mp4", sound_from_s=0.5, flashes=(18, 30))
    film = make_film([late, late], tmp_path, ffmpeg)

    assert worst_gap_s(film.path, film.frame_rate, 4) < 0.003


@each_ffmpeg
def test_sound_before_the_first_picture_is_left_out(
    clip: Path, tmp_path: Path, ffmpeg: Path
) -> None:
    """A clip whose picture begins a quarter of a second into its sound stays in step with it."""
    late = tmp_path / "late.mp4"
    streams = ("-itsoffset", "0.25", "-i", clip, "-i", clip)
    run(*streams, "-map", "0:v", "-map", "1:a", "-c", "copy", late)
    shift = 0.25

    film = make_film([late, late], tmp_path, ffmpeg)

    flashes, beeps = flashes_of(film.path, film.frame_rate), beeps_of(film.path)
    assert len(flashes) == len(beeps) == 4
    gaps = [flash - beep for flash, beep in zip(flashes, beeps, strict=True)]
    assert gaps == pytest.approx([shift] * 4, abs=0.003)


@each_ffmpeg
@pytest.mark.parametrize("cut_s", [Fraction(1, 24), Fraction(29, 24)])
def test_a_cut_is_exact_to_the_frame(
    shades: Path, tmp_path: Path, ffmpeg: Path, cut_s: Fraction
) -> None:
    frames = int(cut_s * 24)
    cut = CutClip(path=shades, slate="a", cut_s=cut_s)
    film = make_film([cut, CutClip(path=shades, slate="b")], tmp_path, ffmpeg)

    assert film.spans == (("a", 0, frames), ("b", frames, 30))
    greys = [(luma * 219 / 255 + 16 - 40) / 5 for luma in lumas_of(film.path)]
    assert [round(grey) for grey in greys] == [*range(frames), *range(30)]
    assert sound_length_s(film) == film.duration_s


def test_a_cut_as_long_as_the_clip_or_longer_is_all_of_it(shades: Path, tmp_path: Path) -> None:
    cuts = [CutClip(path=shades, slate="a", cut_s=Fraction(length)) for length in ("1.25", "9")]

    film = make_film(cuts, tmp_path)

    assert film.copied
    assert film.frames == 60


def test_a_cut_of_nothing_is_refused(shades: Path) -> None:
    with pytest.raises(ValueError, match="shows nothing"):
        CutClip(path=shades, slate="a", cut_s=Fraction(0))


def test_the_second_time_no_picture_is_encoded(clip: Path, shades: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    logged = write_script(tmp_path / "ff", f'echo "$*" >> {log}\nexec {FFMPEG} "$@"')
    cut = [CutClip(path=clip, slate="a", cut_s=Fraction(1)), shades, shades]

    first = make_film(cut, tmp_path, logged)
    encoded = log.read_text().count("libx264")
    log.unlink()
    second = make_film(cut, tmp_path, logged)

    assert encoded == 2
    assert log.read_text().count("libx264") == 0
    assert first.sha256 == second.sha256


def test_a_damaged_cached_picture_is_made_again(shades: Path, tmp_path: Path) -> None:
    cut = [CutClip(path=shades, slate="a", cut_s=Fraction(1))]
    first = make_film(cut, tmp_path)
    (cached,) = (tmp_path / "cache").glob("*.mp4")
    os.truncate(cached, cached.stat().st_size // 2)

    assert make_film(cut, tmp_path).sha256 == first.sha256


def test_any_file_name_works(shades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [
        "a b.mp4",
        'it\'s "x".mp4',
        "f%03d.mp4",
        "new\nline.mp4",
        "🎬.mp4",
        "-i.mp4",
        "a:b|c.mp4",
    ]
    for name in names:
        Path(name).write_bytes(shades.read_bytes())

    copied = make_film([Path(name) for name in names], tmp_path)
    cuts = [CutClip(path=Path(name), slate=name, cut_s=Fraction(1, 8)) for name in names]
    encoded = make_film(cuts, tmp_path)

    assert (copied.frames, encoded.frames) == (7 * 30, 7 * 3)
    assert (copied.copied, encoded.copied) == (True, False)


def test_title_and_comment_are_in_the_file_on_one_line(shades: Path, tmp_path: Path) -> None:
    film = make_film([shades], tmp_path, title="50 % = 'half'\n; \x1b[31m", comment="AI: yes")

    with av.open(str(film.path)) as file:
        assert file.metadata["title"] == "50 % = 'half' ;  [31m"
        assert file.metadata["comment"] == "AI: yes"
        assert "encoder" not in file.metadata


@each_ffmpeg
def test_joins_do_not_click(tmp_path: Path, ffmpeg: Path) -> None:
    """A clip that is loud at its very end, before one that is silent, slopes down to nothing."""
    loud = make_clip(tmp_path / "loud.mp4", frames=24, flashes=tuple(range(24)))
    silent = make_clip(tmp_path / "silent.mp4", frames=24, channels=0)
    film = make_film([loud, silent], tmp_path, ffmpeg)

    sound = sound_of(film.path)
    assert abs(sound[47_000:47_700]).max() > 0.4
    assert abs(sound[47_990:]).max() < 0.05


@each_ffmpeg
def test_colours_survive_the_change_of_matrix(shades: Path, tmp_path: Path, ffmpeg: Path) -> None:
    """Pure red in the old matrix of small pictures, tagged so, is still red in the film."""
    red = tmp_path / "red.mp4"
    source = "color=red:s=128x96:r=24:d=1,format=gbrp,scale=out_color_matrix=bt601,format=yuv420p"
    tags = ("-colorspace", "smpte170m", "-color_primaries", "smpte170m", "-color_trc", "bt709")
    run("-f", "lavfi", "-i", source, "-c:v", "libx264", *tags, red)
    film = make_film([red, shades], tmp_path, ffmpeg)

    with av.open(str(film.path)) as file:
        (y, u, v) = (int(plane[40, 40]) for plane in _planes(next(iter(file.decode(video=0)))))
    # BT.709 red at limited range is 63, 102, 240.
    assert (y, u, v) == pytest.approx((63, 102, 240), abs=3)


def _planes(frame: av.VideoFrame) -> list:
    return [frame.reformat(format="yuv444p").to_ndarray()[index] for index in range(3)]


def test_progress_never_falls_and_ends_at_one(shades: Path, tmp_path: Path) -> None:
    seen: list[float] = []
    cut = [CutClip(path=shades, slate="a", cut_s=Fraction(1)), shades]

    make_film(cut, tmp_path, on_progress=seen.append)

    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_copy_that_fails_is_made_by_encoding(shades: Path, tmp_path: Path) -> None:
    once = tmp_path / "once"
    failing = write_script(
        tmp_path / "ff",
        f'case "$*" in *concat*) [ -e {once} ] || {{ touch {once}; exit 1; }};; esac\n'
        f'exec {FFMPEG} "$@"',
    )

    film = make_film([shades, shades], tmp_path, failing)

    assert not film.copied
    assert len(lumas_of(film.path)) == 60


def test_no_clips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no clips"):
        make_film([], tmp_path)


def test_a_missing_clip_is_named(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"gone\.mp4"):
        make_film([clip, tmp_path / "gone.mp4"], tmp_path)


def test_a_damaged_clip_is_named_and_the_old_film_stays(shades: Path, tmp_path: Path) -> None:
    old = make_film([shades], tmp_path)
    damaged = tmp_path / "damaged.mp4"
    media = next(box for box in walk_boxes(shades) if box.kind == "mdat")
    data = bytearray(shades.read_bytes())
    data[media.content + 900 : media.content + 1400] = bytes(500)
    damaged.write_bytes(data)

    with pytest.raises(MediaError, match=r"damaged\.mp4") as caught:
        make_film([CutClip(path=damaged, slate="a", cut_s=Fraction(1))], tmp_path)

    assert caught.value.returncode
    assert make_film([shades], tmp_path / "again").sha256 == old.sha256
    assert old.path.exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".part") == []


@pytest.mark.parametrize("body", ["exit 0", 'for last; do :; done; : > "$last"; exit 0'])
def test_an_ffmpeg_that_makes_nothing_but_says_well_is_found_out(
    shades: Path, tmp_path: Path, body: str
) -> None:
    with pytest.raises(MediaError):
        make_film([shades], tmp_path, write_script(tmp_path / "ff", body))

    assert not (tmp_path / "film.mp4").exists()


def test_cancelling_leaves_no_half_film_and_no_process(shades: Path, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    part = tmp_path / "film.mp4.part"
    join = f": > {part}; echo $$ > {pid_file}; exec sleep 60"
    hanging = write_script(
        tmp_path / "ff",
        f'case "$*" in *concat*) {join};; esac\nexec {FFMPEG} "$@"',
    )

    async def cancel_at_the_join() -> None:
        async with anyio.create_task_group() as group:
            clips = [CutClip(path=shades, slate="a")]
            group.start_soon(
                partial(
                    conform,
                    clips,
                    tmp_path / "film.mp4",
                    ffmpeg=hanging,
                    cache_dir=tmp_path / "cache",
                )
            )
            with anyio.fail_after(10):
                while not (pid_file.exists() and pid_file.read_text().strip()):
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()

    anyio.run(cancel_at_the_join)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "ff", "pid"]
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_folder_that_cannot_be_made_is_an_error_of_writing(shades: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(CannotWrite, match="taken"):
        make_film([shades], tmp_path / "taken")
