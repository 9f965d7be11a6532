"""Tokens of a prompt bind to references, and what only looks like a token is named."""

from __future__ import annotations

import pytest

from pipeline.prompt import bind


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("@image1 lifts @image2", {1, 2}),
        ("@image2's cap", {2}),
        ("(@image1), '@image2'; end.", {1, 2}),
        ("@image1@image2", {1, 2}),
        ("@image1 again: @image1!", {1}),
        ("near @image1\nand @image2", {1, 2}),
        ("@image1-coloured light", {1}),
        ("no tokens, mail a@b.com @pics @refs @imagery @imagine", set()),
        ("image1 without the sign", set()),
    ],
)
def test_tokens_bind_to_their_references(prompt: str, named: set[int]) -> None:
    binding = bind(prompt, 2)
    assert binding.named == named
    assert binding.mistakes == ()


@pytest.mark.parametrize(
    ("token", "meant", "hint"),
    [
        ("@image0", {0}, "use @image1 to @image3"),
        ("@image01", {1}, "write @image1"),
        ("@image00", {0}, "write @image1 to @image3"),
        ("@Image1", {1}, "write @image1"),
        ("@IMAGE2", {2}, "write @image2"),
        ("@image 1", {1}, "write @image1"),
        ("@ image1", {1}, "write @image1"),
        ("@image-2", {2}, "write @image2"),
        ("@image#2", {2}, "write @image2"),
        ("@image_2", {2}, "write @image2"),
        ("@images1", {1}, "write @image1"),
        ("@img3", {3}, "write @image3"),
        ("@ref2", {2}, "write @image2"),
        ("＠image1", {1}, "write @image1"),
        ("@image１", {1}, "write @image1"),
        ("@image1st", {1}, "write @image1"),
        ("@image4", {4}, "use @image1 to @image3"),
        ("@image8", {8}, "use @image1 to @image3"),
        ("@image10", {10}, "use @image1 to @image3"),
        ("@image99999999999999999999", set(), "use @image1 to @image3"),
        ("@image", set(), "write @image1 to @image3"),
    ],
)
def test_a_token_that_names_nothing_is_a_mistake_with_a_cure(
    token: str, meant: set[int], hint: str
) -> None:
    binding = bind(f"look, {token}.", 3)
    assert binding.named == frozenset()
    assert binding.meant == meant
    [mistake] = binding.mistakes
    assert (mistake.text, mistake.start) == (token, 6)
    assert hint in mistake.hint


def test_every_mistake_is_found_at_its_place() -> None:
    prompt = "@image1 and @image4, @Image2 and @image0"
    places = [mistake.start for mistake in bind(prompt, 2).mistakes]
    assert places == [prompt.index(token) for token in ("@image4", "@Image2", "@image0")]


def test_more_than_the_shot_has_is_told_from_more_than_any_shot_has() -> None:
    few, beyond = bind("@image3 @image9", 2, most=7).mistakes
    assert "only 2 images" in few.message
    assert "at most 7 images" in beyond.message


def test_a_prompt_that_mentions_nothing_else_stays_silent_for_one_image() -> None:
    [mistake] = bind("@image2", 1).mistakes
    assert mistake.message == "@image2, but only 1 image"


def test_hostile_prompts_bind_in_linear_time() -> None:
    assert len(bind("@image " * 20_000, 1).mistakes) == 20_000
