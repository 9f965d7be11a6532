"""Words that no font has are told with the manifest, and not found in the film."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.manifest import read_manifest

SHOT = "storyboard: x\nshots:\n  - {id: a, images: [a.png], prompt: '@image1'}\n"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    from PIL import Image  # noqa: PLC0415

    Image.new("RGB", (640, 360), (40, 90, 60)).save(tmp_path / "a.png")
    return tmp_path / "ad.yaml"


def problems(board: Path, film: str) -> list[str]:
    board.write_text(f"{SHOT}film:\n{film}", encoding="utf-8")
    return [str(each) for each in read_manifest(str(board)).problems]


@pytest.mark.parametrize(
    ("film", "place"),
    [
        ("  title: {text: '漢'}\n", "film.title"),
        ("  end: {text: Tea, subtitle: '漢'}\n", "film.end"),
        (
            "  captions: {burn: true, cues: [{at: 0, for: 1, text: Tea},"
            " {at: 2, for: 1, text: '漢'}]}\n",
            "film.captions.cues[1].text",
        ),
    ],
)
def test_a_character_that_no_font_has_is_refused_where_it_stands(
    board: Path, film: str, place: str
) -> None:
    (told,) = problems(board, film)

    assert f"{place}: the fonts that come along cannot write 漢 (U+6F22" in told
    assert "font: fonts/Brand.ttf" in told


def test_words_of_many_scripts_and_captions_that_stay_in_their_files_pass(board: Path) -> None:
    assert not problems(board, "  title: {text: 'Tea 50% ${x} مرحبا שלום Ελλάδα 🎉'}\n")
    assert not problems(board, "  captions: {cues: [{at: 0, for: 1, text: '漢'}]}\n")
