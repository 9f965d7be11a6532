"""Picture tracks made by a real ffmpeg from clips in which the grey of a frame tells its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import anyio
import av
import numpy as np
import pytest
from clipmaker import FFMPEG, FFMPEGS, each_ffmpeg, lumas_of, make_clip, picture_packets, run
from PIL import Image

from pipeline.errors import ClipRejected
from pipeline.film.spec import CUT, Fit, Focus, Profile, Transition
from pipeline.film.timeline import Part, PartKind, lay_out
from pipeline.finishing.join import container_of, join
from pipeline.finishing.pictures import Rendered, can_be_copied, render_pictures
from pipeline.finishing.piece_cache import sweep
from pipeline.finishing.sources import Fades, Footage, Frame, Overlay, Source, Still
from pipeline.media.boxes import walk_boxes
from pipeline.media.files import file_sha256
from pipeline.media.pieces import Progress, Workshop
from pipeline.media.probe import probe
from pipeline.model import Container
from pipeline.timecode import samples_of_frames

RATE = Fraction(24)
FRAME = Frame(width_px=96, height_px=54, frame_rate=RATE)
# Ten bits take other ways through ffmpeg's filters; with two ffmpegs each has one of both to show.
eight_and_ten_bits = pytest.mark.parametrize(
    ("profile", "ffmpeg"),
    list(zip((Profile.WEB, Profile.PRORES), cycle(FFMPEGS.values()), strict=False)),
)


@dataclass(frozen=True)
class Made:
    path: Path
    rendered: Rendered
    progress: list[float]


@pytest.fixture(scope="module")
def rising(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """Frame n has the luma 40 + 3 n."""
    return ramp(tmp_path_factory.mktemp("rising") / "rising.mp4", 40, 3)


@pytest.fixture(scope="module")
def falling(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """Frame n has the luma 200 - 3 n."""
    return ramp(tmp_path_factory.mktemp("falling") / "falling.mp4", 200, -3)


def ramp(path: Path, first: int, step: int, **options: object) -> Footage:
    lumas = [first + step * frame for frame in range(48)]
    made = make_clip(path, lumas=lumas, size=(96, 54), flashes=(), channels=0, **options)
    return footage(made)


def footage(path: Path, **options: object) -> Footage:
    video = probe(path).video
    assert video is not None
    return Footage(
        path=path,
        container=Container.MP4,
        video=video,
        sha256=file_sha256(path),
        **options,
    )


def shot(frames: int, kind: str = CUT, overlap: int = 0, rate: Fraction = RATE) -> Part:
    return Part(
        kind=PartKind.SHOT,
        name="a",
        duration_s=frames / rate,
        transition=Transition(kind=kind, duration_s=overlap / rate),
    )


def make(
    folder: Path,
    parts: Sequence[Part],
    sources: Sequence[Source],
    frame: Frame = FRAME,
    *,
    ffmpeg: Path = FFMPEG,
    has_sound: bool = False,
    texts: dict[str, str] | None = None,
    **options: object,
) -> Made:
    """One deliverable in ``folder``, whose cache is kept from one to the next."""
    timeline = lay_out(parts, frame.frame_rate)
    work = folder / "cache" / "work"
    work.mkdir(parents=True)
    seen: list[float] = []
    sound = None
    if has_sound:
        sound = work / "sound.raw"
        samples = samples_of_frames(0, timeline.total_frames, frame.frame_rate)
        wave = 0.3 * np.sin(np.arange(samples) * 2 * np.pi * 440 / 48_000)
        sound.write_bytes(np.repeat(wave.astype("<f4"), 2).tobytes())
    path = folder / f"film{container_of(frame.profile).suffix}"

    async def make_it() -> Rendered:
        progress = Progress(report=seen.append, total=21 * float(timeline.duration_s))
        workshop = Workshop(
            folder=work, cache_dir=folder / "cache", ffmpeg=ffmpeg, workers=2, progress=progress
        )
        rendered = await render_pictures(timeline, sources, frame, workshop=workshop, **options)
        await join(rendered, sound, path, frame, workshop=workshop, texts=texts)
        return rendered

    rendered = anyio.run(make_it)
    for leftover in work.iterdir():
        leftover.unlink()
    work.rmdir()
    return Made(path=path, rendered=rendered, progress=seen)


def lumas(made: Made) -> list[float]:
    """The luma of every frame as it is stored, 16 to 235."""
    return [luma * 219 / 255 + 16 for luma in lumas_of(made.path)]


def picture(made: Made, number: int = 0) -> np.ndarray:
    """One frame in RGB, rows by columns by 3."""
    with av.open(str(made.path)) as file:
        frames = list(file.decode(video=0))
    return frames[number].reformat(format="rgb24", src_colorspace="itu709").to_ndarray()


def plate(path: Path, color: tuple[int, ...], frame: Frame = FRAME) -> Path:
    mode = "RGBA" if len(color) == 4 else "RGB"
    Image.new(mode, (frame.width_px, frame.height_px), color).save(path)
    return path


@pytest.mark.parametrize(
    ("profile", "ffmpeg"),
    [
        *((profile, next(iter(FFMPEGS.values()))) for profile in Profile),
        # Where ffmpegs differ: in the clock of pieces stored out of order, and in Opus's delay.
        *((profile, FFMPEG) for profile in (Profile.WEB, Profile.WEBM) if len(FFMPEGS) > 1),
    ],
)
def test_pieces_of_every_profile_and_length_join_without_a_frame_lost(
    rising: Footage, tmp_path: Path, profile: Profile, ffmpeg: Path
) -> None:
    """Blends and shots of one, two and three frames, between which nothing may be lost."""
    parts = [shot(10, "dissolve", 3), shot(4, "wipeleft", 1), shot(3)]
    frame = replace(FRAME, profile=profile)
    made = make(tmp_path, parts, [rising] * 3, frame, ffmpeg=ffmpeg, has_sound=True)

    assert made.rendered.frames == (7, 3, 1, 2)
    assert len(lumas_of(made.path)) == made.rendered.total_frames == 13
    found = probe(made.path, container_of(profile))
    assert found.video is not None and found.audio is not None
    assert found.video.on_grid and found.video.first_pts == 0
    assert (found.video.width_px, found.video.height_px) == (96, 54)
    assert found.video.colorspace == found.video.color_primaries == found.video.color_range == 1
    assert found.audio.start_s == 0
    assert abs(found.audio.end_s - found.video.duration_s) < 1 / RATE
    strict = ("-xerror", "-err_detect", "explode", "-i", made.path, "-f", "null", "-")
    run(*strict, ffmpeg=ffmpeg)


def test_a_dissolve_goes_from_one_shot_to_the_other_in_even_steps(
    rising: Footage, falling: Footage, tmp_path: Path
) -> None:
    made = make(tmp_path, [shot(48, "dissolve", 12), shot(48)], [rising, falling])

    going = [40.0 + 3 * frame for frame in range(48)]
    coming = [200.0 - 3 * frame for frame in range(48)]
    blended = [going[36 + k] * (12 - k) / 13 + coming[k] * (k + 1) / 13 for k in range(12)]
    assert lumas(made) == pytest.approx(going[:36] + blended + coming[12:], abs=2.6)


@each_ffmpeg
def test_a_fade_through_a_colour_reaches_it_in_the_middle(
    rising: Footage, tmp_path: Path, ffmpeg: Path
) -> None:
    fades = [("fade-black", 16, 1), ("fade-black", 16, 6), ("fade-white", 235, 7)]
    parts = [*(shot(16, kind, overlap) for kind, _, overlap in fades), shot(16)]
    found = lumas(make(tmp_path, parts, [rising] * 4, ffmpeg=ffmpeg))

    start = 0
    for _, color, overlap in fades:
        start += 16 - overlap
        blend = [abs(luma - color) for luma in found[start : start + overlap]]
        middle = overlap // 2
        assert blend[middle] < 2
        assert blend[:middle] == sorted(blend[:middle], reverse=True)
        assert blend[middle:] == sorted(blend[middle:])
        assert found[start - 1] == pytest.approx(40 + 3 * (15 - overlap), abs=2.6)
        assert found[start + overlap] == pytest.approx(40 + 3 * overlap, abs=2.6)


@each_ffmpeg
def test_a_shot_begins_with_the_picture_at_its_in_point(
    rising: Footage, falling: Footage, tmp_path: Path, ffmpeg: Path
) -> None:
    """Also where it gives way to the next, and so is made in more than one piece."""
    late = replace(rising, in_s=Fraction(10, 24))
    parts = [shot(10, "wipeleft", 4), shot(20)]
    found = lumas(make(tmp_path, parts, [late, falling], ffmpeg=ffmpeg))

    assert found[:6] == pytest.approx([40 + 3 * (10 + n) for n in range(6)], abs=2.6)
    assert found[10:] == pytest.approx([200 - 3 * n for n in range(4, 20)], abs=2.6)


def test_clips_of_other_rates_are_shown_at_their_own_speed(tmp_path: Path) -> None:
    rates = [Fraction(8), Fraction(15), Fraction(30000, 1001), Fraction(30)]
    clips = [ramp(tmp_path / f"{n}.mp4", 40, 3, rate=rate) for n, rate in enumerate(rates)]
    found = lumas(make(tmp_path, [shot(30)] * 4, clips))

    assert len(found) == 120
    for frame, luma in enumerate(found):
        place = float(frame % 30 / RATE * rates[frame // 30])
        assert (luma - 40) / 3 == pytest.approx(place, abs=1.5)


def test_a_clip_that_is_a_little_short_holds_its_last_picture(
    rising: Footage, tmp_path: Path
) -> None:
    found = lumas(make(tmp_path, [shot(54)], [rising]))
    assert found[-7:] == pytest.approx([40 + 3 * 47] * 7, abs=2.6)


def test_a_clip_that_is_shorter_than_its_use_is_named(rising: Footage, tmp_path: Path) -> None:
    with pytest.raises(ClipRejected, match=r"rising\.mp4 ends before .* frames are missing"):
        make(tmp_path, [shot(58)], [rising])


def test_a_damaged_clip_is_named(tmp_path: Path) -> None:
    whole, damaged = tmp_path / "whole.mp4", tmp_path / "damaged.mp4"
    run("-f", "lavfi", "-i", "testsrc2=s=96x54:r=24:d=1", "-pix_fmt", "yuv420p", whole)
    media = next(box for box in walk_boxes(whole) if box.kind == "mdat")
    data = bytearray(whole.read_bytes())
    middle = (media.content + media.end) // 2
    data[middle : middle + 300] = bytes(300)
    damaged.write_bytes(data)

    make(tmp_path, [shot(24)], [footage(whole)], copy=False)
    with pytest.raises(ClipRejected, match=r"damaged\.mp4") as caught:
        make(tmp_path / "again", [shot(24)], [footage(damaged)], copy=False)
    assert caught.value.returncode


@pytest.fixture(scope="module")
def thirds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wide clip: its left third red, the middle green, the right one blue."""
    path = tmp_path_factory.mktemp("thirds") / "thirds.mp4"
    colors = np.zeros((54, 96, 3), dtype=np.uint8)
    for third, channel in enumerate((0, 1, 2)):
        colors[:, third * 32 : third * 32 + 32, channel] = 200
    still = path.with_suffix(".png")
    Image.fromarray(colors).save(still)
    matrix = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    tags = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    run("-loop", "1", "-i", still, "-t", "0.25", "-r", "24", "-vf", matrix, *tags, path)
    return path


TALL = replace(FRAME, width_px=32, height_px=56)


@pytest.mark.parametrize(("x", "channel"), [("0", 0), ("1/8", 0), ("1/2", 1), ("1", 2)])
def test_a_crop_keeps_the_focus(thirds: Path, tmp_path: Path, x: str, channel: int) -> None:
    focus = Focus(x=Fraction(x), y=Fraction(1, 2))
    made = make(tmp_path, [shot(2)], [footage(thirds, focus=focus)], TALL)

    middle = picture(made)[28, 8:24].mean(axis=0)
    assert middle.argmax() == channel
    assert middle == pytest.approx([200 if n == channel else 0 for n in range(3)], abs=12)


@eight_and_ten_bits
def test_padding_shows_all_of_the_picture_on_the_very_colour(
    thirds: Path, tmp_path: Path, ffmpeg: Path, profile: Profile
) -> None:
    frame = replace(TALL, fit=Fit.PAD, background="#d02040", profile=profile)
    made = make(tmp_path, [shot(2)], [footage(thirds)], frame, ffmpeg=ffmpeg)

    found = picture(made, 1)
    assert found[2, 16] == pytest.approx([0xD0, 0x20, 0x40], abs=6)
    assert [found[28, column].argmax() for column in (4, 16, 28)] == [0, 1, 2]


def test_a_blurred_fill_shows_all_of_the_picture_on_a_darker_copy_without_edges(
    thirds: Path, tmp_path: Path
) -> None:
    frame = replace(FRAME, width_px=144, height_px=256, fit=Fit.BLUR)
    made = make(tmp_path, [shot(3)], [footage(thirds)], frame)

    found = picture(made, 2).astype(int)
    assert [found[128, column].argmax() for column in (24, 72, 120)] == [0, 1, 2]
    assert 20 < found[20, 72].max() < found[128, 72].max() - 30
    assert abs(np.diff(found[20].sum(axis=1))).max() < 30


def test_a_picture_of_the_right_shape_keeps_its_edges(thirds: Path, tmp_path: Path) -> None:
    frame = replace(FRAME, width_px=192, height_px=108)
    made = make(tmp_path, [shot(2)], [footage(thirds)], frame)

    edges = picture(made)[54]
    assert [edges[column].argmax() for column in (0, 61, 67, 124, 131, 191)] == [0, 0, 1, 1, 2, 2]


def test_a_clip_of_oblong_pixels_is_shown_in_its_true_shape(thirds: Path, tmp_path: Path) -> None:
    """Half as wide as it is meant to be seen: it fills the same frame without a crop."""
    narrow = tmp_path / "narrow.mp4"
    run("-i", thirds, "-vf", "scale=48:54,setsar=2", "-color_range", "tv", narrow)
    made = make(tmp_path, [shot(2)], [footage(narrow)])

    assert [picture(made)[27, column].argmax() for column in (2, 48, 93)] == [0, 1, 2]


@eight_and_ten_bits
def test_what_lies_over_the_film_is_there_from_its_first_frame_to_its_last(
    rising: Footage, tmp_path: Path, ffmpeg: Path, profile: Profile
) -> None:
    """Two at once, over the border of two pieces."""
    half = Image.new("RGBA", (96, 54), (0, 0, 0, 0))
    half.paste((255, 255, 255, 255), (0, 0, 48, 54))
    half.save(tmp_path / "half.png")
    white = plate(tmp_path / "white.png", (255, 255, 255, 255))
    overlays = [
        Overlay(path=tmp_path / "half.png", first_frame=8, end_frame=13),
        Overlay(path=white, first_frame=12, end_frame=14),
    ]
    frame = replace(FRAME, profile=profile)
    made = make(
        tmp_path, [shot(10), shot(10)], [rising, rising], frame, overlays=overlays, ffmpeg=ffmpeg
    )

    found = lumas(made)
    bare = [40 + 3 * (n % 10) for n in range(20)]
    halves = [(235 + luma) / 2 for luma in bare]
    expected = [*bare[:8], *halves[8:12], 235, 235, *bare[14:]]
    assert found == pytest.approx(expected, abs=3)


@eight_and_ten_bits
def test_the_film_comes_out_of_black_and_goes_into_it_over_many_pieces(
    tmp_path: Path, ffmpeg: Path, profile: Profile
) -> None:
    card = Still(path=plate(tmp_path / "grey.png", (255, 255, 255)))
    frame = replace(FRAME, profile=profile)
    fades = Fades(in_frames=8, out_frames=10)
    parts = [shot(5), shot(25), shot(3), shot(4)]
    made = make(tmp_path, parts, [card] * 4, frame, fades=fades, ffmpeg=ffmpeg)

    rise = [16 + 219 * n / 8 for n in range(8)]
    fall = [16 + 219 * n / 10 for n in range(9, -1, -1)]
    assert lumas(made) == pytest.approx([*rise, *[235] * 19, *fall], abs=3)


def test_only_what_shows_a_changed_card_is_made_again(
    rising: Footage, falling: Footage, tmp_path: Path
) -> None:
    card = tmp_path / "card.png"
    parts = [shot(20), shot(20, "dissolve", 6), shot(12)]
    sources = [rising, falling, Still(path=plate(card, (200, 0, 0)))]
    first = make(tmp_path, parts, sources)
    plate(card, (0, 0, 200))
    second = make(tmp_path, parts, sources)

    assert (first.rendered.rendered, first.rendered.reused) == (4, 0)
    assert [each.is_new for each in second.rendered.pieces] == [False, False, True, True]
    assert picture(second, -1)[20, 20] == pytest.approx([0, 0, 200], abs=4)


def test_a_caption_is_made_anew_only_where_it_is_seen(rising: Footage, tmp_path: Path) -> None:
    white = plate(tmp_path / "white.png", (255, 255, 255, 255))
    parts, sources = [shot(10), shot(11), shot(12)], [rising] * 3
    make(tmp_path, parts, sources)
    overlays = [Overlay(path=white, first_frame=12, end_frame=15)]
    made = make(tmp_path, parts, sources, overlays=overlays)

    assert [each.is_new for each in made.rendered.pieces] == [False, True, False]


def test_sweeping_leaves_what_is_used_and_what_is_not_a_piece(
    rising: Footage, falling: Footage, tmp_path: Path
) -> None:
    make(tmp_path, [shot(10)], [rising])
    kept = make(tmp_path, [shot(10), shot(12)], [falling, rising])
    other = tmp_path / "cache" / "another.mp4"
    other.write_bytes(b"")

    assert sweep(tmp_path / "cache", kept.rendered.cached) == 1
    assert other.exists()
    assert make(tmp_path, [shot(10), shot(12)], [falling, rising]).rendered.rendered == 0


def test_a_damaged_piece_is_made_again(rising: Footage, tmp_path: Path) -> None:
    first = make(tmp_path, [shot(10)], [rising])
    before = first.path.read_bytes()
    (piece,) = first.rendered.cached
    data = bytearray(piece.read_bytes())
    data[len(data) // 2] ^= 0xFF
    piece.write_bytes(data)
    second = make(tmp_path, [shot(10)], [rising])

    assert second.rendered.rendered == 1
    assert second.path.read_bytes() == before


@pytest.mark.parametrize("profile", [Profile.WEB, Profile.HEVC, Profile.WEBM])
def test_the_same_film_has_the_same_bytes_wherever_it_is_made(
    rising: Footage, tmp_path: Path, profile: Profile
) -> None:
    made = []
    for name in ("one", "it's 100%03d"):
        folder = tmp_path / name
        folder.mkdir()
        clip = folder / f"{name}.mp4"
        clip.write_bytes(rising.path.read_bytes())
        frame = replace(FRAME, profile=profile)
        source = replace(rising, path=clip)
        made.append(make(folder, [shot(10)], [source], frame, has_sound=True))

    assert made[0].path.read_bytes() == made[1].path.read_bytes()


def test_progress_never_falls_and_ends_at_one(rising: Footage, tmp_path: Path) -> None:
    made = make(tmp_path, [shot(10), shot(10)], [rising, rising])
    assert made.progress == sorted(made.progress)
    assert made.progress[-1] == pytest.approx(1)


def test_whole_clips_of_the_right_format_are_copied(
    rising: Footage, falling: Footage, tmp_path: Path
) -> None:
    sources = [rising, falling, rising]
    made = make(tmp_path, [shot(48)] * 3, sources, has_sound=True)

    assert made.rendered.is_copied
    assert made.rendered.cached == frozenset()
    packets = [each for source in sources for each in picture_packets(source.path)]
    assert picture_packets(made.path) == packets


def test_all_else_is_encoded(rising: Footage, tmp_path: Path) -> None:
    def is_copied(
        frames: int = 48, frame: Frame = FRAME, in_s: str = "0", **options: object
    ) -> bool:
        timeline = lay_out([shot(frames)], RATE)
        source = replace(rising, in_s=Fraction(in_s))
        return can_be_copied(tuple(timeline.pieces()), [source], frame, **options)

    assert is_copied()
    assert not is_copied(fades=Fades(in_frames=2))
    assert not is_copied(overlays=[Overlay(path=tmp_path, first_frame=0, end_frame=9)])
    assert not is_copied(frame=replace(FRAME, width_px=94))
    assert not is_copied(frame=replace(FRAME, profile=Profile.HEVC))
    assert not is_copied(frames=47)
    assert not is_copied(in_s="1/24")


@pytest.mark.parametrize("profile", [Profile.WEB, Profile.PRORES, Profile.WEBM])
def test_texts_are_in_the_file_as_they_were_written(
    rising: Footage, tmp_path: Path, profile: Profile
) -> None:
    texts = {"title": "50 % = 'half'\n; 🎬", "comment": "AI: yes", "copyright": '${x} "y"'}
    frame = replace(FRAME, profile=profile)
    made = make(tmp_path, [shot(4)], [rising], frame, texts=texts)

    with av.open(str(made.path)) as file:
        found = {key.lower(): value for key, value in file.metadata.items()}
    assert found["title"] == "50 % = 'half' ; 🎬"
    assert found["comment"] == "AI: yes"
    assert found["copyright"] == '${x} "y"'
