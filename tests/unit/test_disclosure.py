"""What a finished file says of itself, and the record beside it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipeline.errors import ClipRejected
from pipeline.finishing.disclosure import (
    Disclosed,
    Disclosure,
    Maker,
    SourceType,
    build_xmp,
    container_tags,
    disclose,
    read_disclosure,
)
from pipeline.finishing.provenance import (
    FileUsed,
    Material,
    MaterialKind,
    Provenance,
    ShotUsed,
    build_provenance,
    write_provenance,
)
from pipeline.media.boxes import walk_boxes
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.model import Container

MAKER = Maker(provider="wavespeed", model="x-ai/grok-imagine-video")
# What breaks XML, players' tags and terminals, and a script that is read from the right.
TITLE = 'Aurora & "Co" <50%> \x00\x1b 🧴 عطر'
SPOKEN = 'Aurora & "Co" <50%>  🧴 عطر'
DISCLOSURE = Disclosure(title=TITLE, makers=(MAKER,), is_mixed=True)


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> dict[Container, bytes]:
    """A tenth of a second in each format, with the tags that it is to carry."""
    folder = tmp_path_factory.mktemp("masters")
    return {
        container: make_film(folder / container, container).read_bytes() for container in Container
    }


@pytest.fixture
def film(tmp_path: Path, masters: dict[Container, bytes]) -> Path:
    """A copy of the MP4, to be changed."""
    return copy_of(masters, Container.MP4, tmp_path)


def copy_of(masters: dict[Container, bytes], container: Container, folder: Path) -> Path:
    path = folder / "film"
    path.write_bytes(masters[container])
    return path


def make_film(path: Path, container: Container, disclosure: Disclosure = DISCLOSURE) -> Path:
    coding = {
        Container.MP4: ("-c:v", "libx264", "-movflags", "+faststart", "-f", "mp4"),
        Container.MOV: ("-c:v", "prores_ks", "-movflags", "+faststart", "-f", "mov"),
        Container.WEBM: ("-c:v", "libvpx", "-f", "webm"),
    }[container]
    tags = [
        word
        for key, text in container_tags(disclosure, container).items()
        for word in ("-metadata", f"{key}={text}")
    ]
    source = ("-f", "lavfi", "-i", "testsrc=s=64x64:r=30:d=0.1")
    command = [str(find_ffmpeg(os.environ)), "-v", "error", "-y", *source, *tags, *coding]
    subprocess.run([*command, str(path)], check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.mark.parametrize("container", list(Container))
def test_a_film_tells_what_was_written_into_it(
    tmp_path: Path, masters: dict[Container, bytes], container: Container
) -> None:
    film = copy_of(masters, container, tmp_path)

    disclose(film, DISCLOSURE, container)

    found = read_disclosure(film, container)
    assert found == Disclosed(
        source_type=SourceType.MIXED.uri,
        title=SPOKEN,
        statement="Contains AI-generated video (wavespeed x-ai/grok-imagine-video)",
        system="" if container is Container.WEBM else str(MAKER),
    )


@pytest.mark.parametrize("container", list(Container))
def test_players_see_the_statement_and_play_every_picture(
    tmp_path: Path, masters: dict[Container, bytes], container: Container
) -> None:
    film = copy_of(masters, container, tmp_path)
    disclose(film, DISCLOSURE, container)

    with av.open(str(film)) as file:
        tags = {key.lower(): value for key, value in file.metadata.items()}
        assert tags["comment"] == DISCLOSURE.statement
        assert tags["title"] == SPOKEN
        assert sum(1 for _ in file.decode(video=0)) == 3


def test_the_box_stands_last_and_the_index_still_first(film: Path) -> None:
    before = film.read_bytes()
    disclose(film, DISCLOSURE, Container.MP4)

    kinds = [box.kind for box in walk_boxes(film)]
    assert kinds[-1] == "uuid"
    assert kinds.index("moov") < kinds.index("mdat")
    assert film.read_bytes().startswith(before)


def test_said_anew_it_replaces_what_was_said(film: Path) -> None:
    disclose(film, DISCLOSURE, Container.MP4)
    once = film.read_bytes()
    disclose(film, replace(DISCLOSURE, title="Other"), Container.MP4)
    disclose(film, DISCLOSURE, Container.MP4)

    assert film.read_bytes() == once


def test_a_film_that_does_not_say_is_told_apart(film: Path, tmp_path: Path) -> None:
    assert read_disclosure(film, Container.MP4) is None
    # A box of another maker's, of the same kind and length.
    film.write_bytes(film.read_bytes() + b"\x00\x00\x00\x1cuuid" + bytes(20))
    assert read_disclosure(film, Container.MOV) is None
    webm = make_webm_without_tags(tmp_path / "film.webm")
    assert read_disclosure(webm, Container.WEBM) is None


def make_webm_without_tags(path: Path) -> Path:
    with av.open(str(path), "w", format="webm") as file:
        stream = file.add_stream("libvpx", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode())
    return path


def test_a_damaged_packet_is_refused(film: Path) -> None:
    disclose(film, DISCLOSURE, Container.MP4)
    film.write_bytes(film.read_bytes().replace(b"</x:xmpmeta>", b"</x:xmpmeto>"))

    with pytest.raises(ClipRejected, match="XMP"):
        read_disclosure(film, Container.MP4)


def test_a_box_of_open_length_is_never_written_behind(film: Path) -> None:
    film.write_bytes(film.read_bytes() + bytes(4) + b"free")

    with pytest.raises(ClipRejected, match="open length"):
        disclose(film, DISCLOSURE, Container.MP4)


@pytest.mark.parametrize(
    ("providers", "is_mixed", "kind", "words"),
    [
        (("wavespeed",), False, SourceType.GENERATED, "AI-generated video (wavespeed m)"),
        (("runware",), True, SourceType.MIXED, "Contains AI-generated video (runware m)"),
        (("sandbox",), False, SourceType.DRAWN, "no AI-generated footage"),
        (("sandbox",), True, SourceType.DRAWN_MIXED, "no AI-generated footage"),
        (
            ("wavespeed", "runware"),
            False,
            SourceType.GENERATED,
            "AI-generated video (wavespeed m; runware m)",
        ),
    ],
)
def test_the_statement_says_how_the_footage_came_about(
    providers: tuple[str, ...], is_mixed: bool, kind: SourceType, words: str
) -> None:
    makers = tuple(Maker(provider=provider, model="m") for provider in providers)
    disclosure = Disclosure(title="", makers=makers, is_mixed=is_mixed)

    assert disclosure.source_type is kind
    assert disclosure.statement.endswith(words)
    assert kind.uri.encode() in build_xmp(disclosure)


SHOT = ShotUsed(
    shot_id="opening",
    first_frame=48,
    frames=108,
    clip=FileUsed(name="clips/opening_tk01.mp4", sha256="c" * 64),
    provider="wavespeed",
    model="x-ai/grok-imagine-video",
    task_id="t-1",
    prompt="@image1 stands on “basalt”",
    created="2026-11-21T10:00:00.000Z",
    is_paid=True,
    references=(FileUsed(name="refs/bottle.png", sha256="d" * 64),),
)
PROVENANCE = Provenance(
    file=FileUsed(name="film.mp4", sha256="f" * 64),
    frame_rate=Fraction(24),
    frames=720,
    disclosure=DISCLOSURE,
    shots=(SHOT,),
    materials=(Material(kind=MaterialKind.MUSIC, file=FileUsed(name="bed.wav", sha256="e" * 64)),),
)


def test_the_record_tells_where_every_shot_comes_from_and_where_it_is_seen() -> None:
    record = json.loads(build_provenance(PROVENANCE))

    (shot,) = record["shots"]
    assert (shot["in"], shot["out"]) == ("00:00:02:00", "00:00:06:12")
    assert shot["references"] == [{"name": "refs/bottle.png", "sha256": "d" * 64}]
    assert (shot["task_id"], shot["paid"], shot["seed"]) == ("t-1", True, None)
    assert record["materials"] == [{"kind": "music", "name": "bed.wav", "sha256": "e" * 64}]
    assert record["digital_source_type"] == SourceType.MIXED.uri


def test_the_record_lies_beside_its_film_and_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    path = write_provenance(tmp_path / "film.mp4", PROVENANCE)
    once = path.read_bytes()
    write_provenance(tmp_path / "film.mp4", PROVENANCE)

    assert path.name == "film.mp4.provenance.json"
    assert path.read_bytes() == once
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
