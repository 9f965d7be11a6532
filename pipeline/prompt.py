"""Finds the ``@imageN`` tokens of a prompt and binds them to a shot's references.

The provider takes ``@image1`` (lower case, no blank, no leading zero) as the first image of the
list and anything else as plain words: a mistyped token is not refused by it but silently loses a
reference that was paid for. So what only looks like a token is a mistake here.
Source: https://wavespeed.ai/docs/docs-api/x-ai/x-ai-grok-imagine-video-reference-to-video
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.capabilities import PromptDialect
from pipeline.text import shown

# A token as written, or something that was clearly meant as one: another case, a blank, a
# plural, a short form, a full-width sign or digit, no number at all.
_LIKE_TOKEN = re.compile(
    r"[@＠][ \t]?(?P<word>images?|imgs?|imgae|iamge|imag|pictures?|pics?|refs?|references?)"
    r"(?P<gap>\s?[ _#:-]?)(?P<number>\d*)(?P<rest>[A-Za-z0-9_]*)",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"@image(?:0|[1-9][0-9]*)\Z")
_VALID = re.compile(r"@image([1-7])(?![A-Za-z0-9_])")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
_ZERO_LED = re.compile(r"@image0[0-9]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A token that binds to nothing: ``text`` as written, at ``start`` in the prompt."""

    text: str
    start: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a prompt names: reference numbers from 1, and every token that names none.

    ``meant`` adds the numbers that mistyped tokens were most likely to name.
    """

    named: frozenset[int]
    meant: frozenset[int]
    mistakes: tuple[Mistake, ...]


def bind(prompt: str, references: int, *, most: int = 7) -> Binding:
    """Bind every token of ``prompt`` to one of ``references`` images.

    ``references`` is how many the shot lists, ``most`` how many any shot may list. A token may be
    followed by anything but a letter, digit or underscore: ``@image1's`` names image 1.
    """
    named: set[int] = set()
    meant: set[int] = set()
    mistakes: list[Mistake] = []
    for match in _LIKE_TOKEN.finditer(prompt):
        digits = match.group("number")
        # More digits than that name no image, whatever they say.
        number = int(digits) if 0 < len(digits) <= 9 else None
        problem = _judge(match, number, references, most)
        if problem is not None:
            message, hint = problem
            mistakes.append(
                Mistake(text=_written(match), start=match.start(), message=message, hint=hint)
            )
        elif number is not None:
            named.add(number)
        if number is not None:
            meant.add(number)
    return Binding(named=frozenset(named), meant=frozenset(named | meant), mistakes=tuple(mistakes))


def rewrite(prompt: str, dialect: PromptDialect) -> str:
    """A valid prompt with its tokens in another notation.

    >>> rewrite("@image1 meets @image2's cat", PromptDialect.UPSTREAM)
    "<IMAGE_1> meets <IMAGE_2>'s cat"
    """
    if dialect is PromptDialect.MANIFEST:
        return prompt

    def replace(match: re.Match[str]) -> str:
        number = int(match.group(1))
        if dialect is PromptDialect.UPSTREAM:
            return f"<IMAGE_{number}>"
        return f"the {_ORDINALS[number - 1]} reference image"

    return _VALID.sub(replace, prompt)


def _written(match: re.Match[str]) -> str:
    """The token itself, without the words after a token that has no number."""
    whole = match.group()
    return whole if match.group("number") else whole[: match.end("word") - match.start()]


def _judge(
    match: re.Match[str], number: int | None, references: int, most: int
) -> tuple[str, str] | None:
    """What is wrong with a token and its cure, or None."""
    written = _written(match)
    quoted = f'"{shown(written, 30)}"'
    known = f"@image1 to @image{references}" if references > 1 else "@image1"
    cure = f"write @image{number}" if number and number <= most else f"write {known}"
    if not match.group("number"):
        # Only a bare @image is surely a slip: @imagery, @pics or @ref may be anyone's name.
        is_word = match.group("word").lower() in ("image", "images")
        is_bare = bool(match.group("gap")) or not match.group("rest")
        return (f"{quoted} has no number", cure) if is_word and is_bare else None
    if not references:
        return f"{quoted}, but the shot has no images", "describe it in words, or list images"
    problem: tuple[str, str] | None = None
    if _ZERO_LED.match(written):
        problem = f"{quoted} names no image", f"{cure}, without a zero in front"
    elif match.group("rest"):
        problem = f"{quoted} names no image", f"{cure}, with a blank or a punctuation mark after it"
    elif not _TOKEN.match(written):
        problem = f"{quoted} is not read as an image", f"{cure}: small letters, no blank"
    elif number is None or number > most:
        problem = f"{quoted}, but a shot has at most {most} images", f"use {known}"
    elif number == 0:
        problem = "@image0, but images count from 1", f"use {known}"
    elif number > references:
        plural = "image" if references == 1 else "images"
        cure = f"add image {number} to images, or use {known}"
        problem = f"{written}, but only {references} {plural}", cure
    return problem
