"""A manifest changes, the clips stay: what lies in the folder afterwards tells of the new film."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clipmaker import picture_packets
from studio import Studio, paid_sandbox

from pipeline.files import file_sha256
from pipeline.finishing.disclosure import read_disclosure
from pipeline.model import Container

MODEL = "x-ai/grok-imagine-video/reference-to-video"
PAID = ("--provider", "wavespeed", "--yes", "--max-cost", "100")
SECTION = {
    "size": "160x90",
    "captions": {"cues": [{"at": 0, "for": 1, "text": "Hot at dawn"}]},
    "checks": {"black": 60, "frozen": 60},
    "deliverables": [{"name": "square", "ratio": "1:1", "size": 90, "file": "square"}],
}


@pytest.fixture(autouse=True)
def _a_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with paid_sandbox(monkeypatch):
        yield


def cut_short(manifest: Path) -> Path:
    """Of every shot one second is used."""
    text = manifest.read_text().replace("    prompt:", "    cut: 1\n    prompt:")
    manifest.write_text(text)
    return manifest


def with_section(studio: Studio, **changes: object) -> Path:
    return cut_short(studio.write("ad", 1, extra=f"film: {json.dumps(SECTION | changes)}"))


def here(studio: Studio) -> Path:
    return studio.film("ad").parent


def record_of(film: Path) -> Any:
    return json.loads(film.with_name(f"{film.name}.provenance.json").read_text())


def test_a_plain_film_says_that_its_footage_is_generated_and_where_it_comes_from(
    studio: Studio,
) -> None:
    manifest = studio.write("ad", 2)
    assert studio.run("run", *PAID, manifest) == 0, studio.stderr
    film = studio.film("ad")
    told = read_disclosure(film, Container.MP4)
    assert told is not None
    assert told.source_type.endswith("/trainedAlgorithmicMedia")
    assert told.statement == f"AI-generated video (wavespeed {MODEL})"
    assert told.title == "Ad"
    record = record_of(film)
    assert record["file"] == {"name": "film.mp4", "sha256": file_sha256(film)}
    assert [(shot["shot"], shot["in"], shot["out"]) for shot in record["shots"]] == [
        ("shot1", "00:00:00:00", "00:00:06:00"),
        ("shot2", "00:00:06:00", "00:00:12:00"),
    ]
    assert [shot["clip"]["name"] for shot in record["shots"]] == [
        "clips/shot1_tk01.mp4",
        "clips/shot2_tk01.mp4",
    ]
    assert studio.summary("ad")["film"]["copied"]
    packets = [picture_packets(here(studio) / "clips" / f"shot{n}_tk01.mp4") for n in (1, 2)]
    assert picture_packets(film) == packets[0] + packets[1]
    before = (film.read_bytes(), film.stat().st_mtime_ns)
    assert studio.run("run", *PAID, manifest) == 0
    assert (film.read_bytes(), film.stat().st_mtime_ns) == before
    assert studio.run("conform", "--provider", "wavespeed", manifest) == 0
    assert film.read_bytes() == before[0]


def test_a_record_that_is_gone_is_written_again(studio: Studio) -> None:
    manifest = studio.write("ad", 1)
    assert studio.run("run", *PAID, manifest) == 0
    before = record_of(studio.film("ad"))
    (here(studio) / "film.mp4.provenance.json").unlink()
    assert studio.run("run", *PAID, manifest) == 0
    assert record_of(studio.film("ad")) == before


def test_a_renamed_shot_is_named_anew_in_cut_list_and_record(studio: Studio) -> None:
    manifest = studio.write("ad", 2)
    assert studio.run("run", *PAID, manifest) == 0
    before = studio.film("ad").read_bytes()
    manifest.write_text(manifest.read_text().replace("id: shot2", "id: closing"))
    assert studio.run("run", *PAID, manifest) == 0

    assert studio.film("ad").read_bytes() == before
    named = (here(studio) / "film.edl").read_text()
    assert "closing_tk01.mp4" in named and "shot2_tk01" not in named
    clips = {path.name for path in (here(studio) / "clips").iterdir()}
    assert clips == {"shot1_tk01.mp4", "closing_tk01.mp4"}
    assert [shot["shot"] for shot in record_of(studio.film("ad"))["shots"]] == ["shot1", "closing"]


def test_without_its_section_a_film_has_nothing_beside_it_that_tells_of_the_former_one(
    studio: Studio,
) -> None:
    assert studio.run("run", *PAID, with_section(studio)) == 0, studio.stderr
    folder, film = here(studio), studio.film("ad")
    square = folder / "deliverables" / "square.mp4"
    kept = square.read_bytes()
    assert {"film.srt", "film.mp4.provenance.json"} <= {path.name for path in folder.iterdir()}
    assert (
        studio.run(
            "run",
            *PAID,
            with_section(studio, checks={"black": 60, "frozen": 60, "silent": 0.5}, sound="mute"),
        )
        == 1
    )
    assert "no new film" in studio.stderr
    assert (folder / "film.refused.mp4").exists()
    assert studio.run("run", *PAID, cut_short(studio.write("ad", 1))) == 0

    assert not list(folder.glob("film.*.mp4")) and not list(folder.glob("film.srt"))
    assert not list(folder.glob("deliverables/report.*"))
    assert record_of(film)["file"]["sha256"] == file_sha256(film)
    assert record_of(film)["materials"] == []
    assert square.read_bytes() == kept
    assert record_of(square)["file"]["sha256"] == file_sha256(square)


def test_captions_that_somebody_else_put_beside_a_plain_film_stay(studio: Studio) -> None:
    assert studio.run("run", *PAID, with_section(studio)) == 0
    mine = here(studio) / "film.srt"
    mine.write_text("mine")
    assert studio.run("run", *PAID, cut_short(studio.write("ad", 1))) == 0
    assert mine.read_text() == "mine"
