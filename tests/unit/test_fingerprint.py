"""A fingerprint is what a shot asks for, and nothing else; its definition is for ever."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from support import MODEL, make_reference, make_shot

from pipeline.fingerprint import fingerprint
from pipeline.model import Position, Resolution, Shot

BASE = make_shot(images=["bottle", "cap"])


def test_definition_never_changes() -> None:
    """These values are in journals on people's disks. A failure here means paying twice."""
    by_file = make_shot("opening", images=["bottle"], prompt="@image1 turns slowly")
    by_url = make_shot(
        "anything",
        images=["https://example.com/ä.png", "cap"],
        prompt='Café "@image1"\n meets @image2 – 光',
        duration_s=10,
        resolution=Resolution.P480,
    )
    model = "x-ai/grok-imagine-video/reference-to-video"
    assert (
        fingerprint(by_file, model)
        == "e1fd9415b257a0043a9a0072f9dc0e842051cbc52537f18ae188deec02e32803"
    )
    assert (
        fingerprint(by_url, model)
        == "8093a6297905b5088db88719a615bc84ec4f36ee09cf94555485a8b4058a3adf"
    )


CHANGES_THAT_ARE_BOUGHT = {
    "prompt": replace(BASE, prompt=BASE.prompt + "."),
    "length": replace(BASE, duration_s=10),
    "size": replace(BASE, resolution=Resolution.P480),
    "picture": make_shot(images=["bottle", "lid"]),
    "order of pictures": make_shot(images=["cap", "bottle"]),
    "fewer pictures": make_shot(images=["bottle"]),
    "a picture twice": make_shot(images=["bottle", "cap", "cap"]),
    "address for file": make_shot(images=["https://example.com/bottle.png", "cap"]),
}
CHANGES_THAT_COST_NOTHING = {
    "name": replace(BASE, id="closing"),
    "place in the manifest": replace(BASE, position=Position(line=99, column=1)),
    "cut": replace(BASE, cut_s=Fraction(9, 2)),
    "number of takes": replace(BASE, takes=3),
    "chosen take": replace(BASE, takes=3, select=2),
    "file name of a picture": replace(
        BASE,
        images=(
            replace(make_reference("bottle"), source="b.png", path=Path("/elsewhere/b.png")),
            make_reference("cap"),
        ),
    ),
}


@pytest.mark.parametrize("what", CHANGES_THAT_ARE_BOUGHT)
def test_change_that_reaches_the_model_is_another_shot(what: str) -> None:
    assert fingerprint(CHANGES_THAT_ARE_BOUGHT[what], MODEL) != fingerprint(BASE, MODEL)


@pytest.mark.parametrize("what", CHANGES_THAT_COST_NOTHING)
def test_change_that_does_not_reach_the_model_costs_nothing(what: str) -> None:
    assert fingerprint(CHANGES_THAT_COST_NOTHING[what], MODEL) == fingerprint(BASE, MODEL)


def test_other_model_is_another_purchase() -> None:
    assert fingerprint(BASE, MODEL) != fingerprint(BASE, "another/model")


def test_words_cannot_slip_from_one_part_into_another() -> None:
    def made(prompt: str, *urls: str) -> Shot:
        return make_shot(prompt=prompt, images=urls)

    first = made("a", "https://e.com/x", "https://e.com/y")
    second = made("a", 'https://e.com/x","url:https://e.com/y')
    assert fingerprint(first, MODEL) != fingerprint(second, MODEL)
