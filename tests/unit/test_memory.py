"""What was measured is known again as it was, and only for what it was measured of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from measured import MEASURED, SOUND

from pipeline.errors import CannotWrite
from pipeline.finishing.measurements import Measurements, Stretch
from pipeline.finishing.memory import (
    key_of,
    made_path,
    note_made,
    read_made,
    recall,
    record_path,
    remember,
)

BLACK = Stretch(start_s=Fraction(1, 3), end_s=Fraction(10_010, 24_000))


@pytest.mark.parametrize(
    "measured",
    [
        MEASURED,
        replace(
            MEASURED,
            frame_rate=Fraction(30000, 1001),
            duration_s=Fraction(1001, 30000) * 7,
            sample_aspect=Fraction(4, 3),
            black=(BLACK,),
            frozen=(BLACK, BLACK),
            has_index_first=None,
        ),
        replace(MEASURED, sound=None),
        replace(
            MEASURED,
            sound=replace(SOUND, integrated_lufs=None, true_peak_dbtp=None, silent=(BLACK,)),
        ),
    ],
    ids=["usual", "fractions", "no sound", "silence"],
)
def test_measurements_are_recalled_as_they_were(measured: Measurements, tmp_path: Path) -> None:
    path = record_path(tmp_path, key_of("clip"))
    remember(path, measured)

    assert recall(path) == measured


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"sound": {}}',
        '{"sound": null, "container": "AVI"}',
        "\udcff",
    ],
)
def test_a_record_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert recall(path) is None
    if text.isprintable():
        reseal(path, text)
    assert recall(path) is None
    assert recall(tmp_path / "missing.json") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("frame_rate", "1/0"), ("duration_s", "long"), ("black", [{"start_s": "0"}]), ("color", {})],
)
def test_a_record_with_one_bad_value_is_none(name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    remember(path, MEASURED)
    reseal(path, json.dumps(json.loads(path.read_text().splitlines()[0]) | {name: value}))

    assert recall(path) is None


def test_a_record_that_was_altered_is_none_however_well_it_reads(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    remember(path, replace(MEASURED, black=(BLACK,)))
    text, seal = path.read_text().splitlines()
    white = json.dumps(json.loads(text) | {"black": []})

    path.write_text(f"{white}\n{seal}\n")
    assert recall(path) is None
    path.write_text(f"{white}\n")
    assert recall(path) is None
    reseal(path, white)
    assert recall(path) == MEASURED


def test_a_record_under_the_name_of_another_is_none(tmp_path: Path) -> None:
    path = tmp_path / "bright.json"
    remember(path, MEASURED)
    path.rename(tmp_path / "dark.json")

    assert recall(tmp_path / "dark.json") is None


def test_what_was_noted_of_a_file_is_read_again_and_an_altered_note_is_empty(
    tmp_path: Path,
) -> None:
    path = made_path(tmp_path, "film.mp4")
    assert read_made(path) == {}
    note_made(path, {"key": "k", "files": {"film.mp4": "f"}})
    assert read_made(path) == {"key": "k", "files": {"film.mp4": "f"}}
    path.write_text(path.read_text().replace('"k"', '"q"'))
    assert read_made(path) == {}


def test_a_folder_that_cannot_be_made_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "measured").touch()
    with pytest.raises(CannotWrite, match="measured"):
        remember(record_path(tmp_path, "key"), MEASURED)


def reseal(path: Path, text: str) -> None:
    """Write a record as the program would, from outside."""
    seal = hashlib.sha256(f"{path.stem}\n{text}".encode()).hexdigest()
    path.write_text(f"{text}\n{seal}\n")


def test_keys_differ_with_every_part_and_with_their_order() -> None:
    keys = [
        key_of("a", "b"),
        key_of("b", "a"),
        key_of("ab"),
        key_of("a", Fraction(1, 50)),
        key_of("a", Fraction(1, 51)),
        key_of("a", None),
        key_of("a"),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of("a", {"y": 1, "x": 2}) == key_of("a", {"x": 2, "y": 1})


def test_records_of_different_keys_lie_in_different_files(tmp_path: Path) -> None:
    assert record_path(tmp_path, key_of("a")) != record_path(tmp_path, key_of("b"))
