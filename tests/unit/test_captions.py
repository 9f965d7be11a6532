"""Caption files as people and programs leave them, and back again."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.film.captions import MAX_CUES, parse_captions, write_srt, write_vtt
from pipeline.film.spec import Cue

GOOD = "1\n00:00:01,000 --> 00:00:02,500\nOne\n\n2\n00:00:03,000 --> 00:00:04,000\nTwo\nlines\n"


def cues(text: str) -> list[tuple[float, float, str]]:
    parsed = parse_captions(text)
    assert parsed.mistakes == ()
    return [(float(c.cue.start_s), float(c.cue.end_s), c.cue.text) for c in parsed.cues]


TWO = [(1.0, 2.5, "One"), (3.0, 4.0, "Two\nlines")]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.replace("1\n00", "00").replace("2\n00", "00"),
        GOOD.replace("\n\n2", "\n2"),
        GOOD.replace(",", "."),
        GOOD.replace("00:00:", "00:").replace(",000", ""),
        GOOD.replace("One", "<i>One</i>").replace("Two", '{\\an8}<font color="red">Two</font>'),
        "\n\n\n" + GOOD + "\n\n  \n",
        "WEBVTT - a title\nKind: captions\n\nNOTE\nfor you --\nonly\n\nSTYLE\n::cue {}\n\n"
        "intro\n00:01.000 --> 00:02.500 align:start position:10%\n<v Ann>One</v>\n\n"
        "00:00:03.000 --> 00:00:04.000\n<c.loud>Two</c>\nlines\n",
    ],
    ids=range(11),
)
def test_two_captions_are_read_however_they_are_written(text: str) -> None:
    assert cues(text) == TWO


def test_signs_that_are_no_tags_are_kept_as_written() -> None:
    words = (
        'if a < b: 50% "off" ${NAME} {x} \\n %03d <3 & &amp; \u05e9\u05dc\u05d5\u05dd \U0001f3ac'
    )
    assert cues(f"1\n00:00:01,000 --> 00:00:02,000\n{words}\n") == [(1.0, 2.0, words)]


def test_webvtt_escapes_are_undone_and_made() -> None:
    [(_, _, text)] = cues("WEBVTT\n\n00:01.000 --> 00:02.000\na &lt;b&gt; &amp; c\n")
    assert text == "a <b> & c"
    cue = Cue(start_s=Fraction(1), end_s=Fraction(2), text=text)
    assert "a &lt;b&gt; &amp; c" in write_vtt([cue])


def test_a_caption_without_words_is_left_out_and_the_rest_is_put_in_order() -> None:
    text = "00:00:05,000 --> 00:00:06,000\nlast\n\n00:00:03,000 --> 00:00:04,000\n\n" + GOOD
    assert [each[2] for each in cues(text)] == ["One", "Two\nlines", "last"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD.replace("03,000", "02,400"), 6, "begins before the caption of line 2 ends"),
        (GOOD.replace("02,500", "00,500"), 2, "ends before it begins"),
        (GOOD.replace("02,500", "02,500x"), 2, "is no time"),
        (GOOD.replace("02,500", "99,500"), 2, "up to 59"),
        (GOOD + "\nand this\n", 10, '"and this" belongs to no caption'),
        ("", 1, "no caption in it"),
        ("WEBVTT\n", 1, "no caption in it"),
        ("{\\rtf1 hello}", 1, "belongs to no caption"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, words: str) -> None:
    mistake = parse_captions(text).mistakes[0]
    assert mistake.line == line
    assert words in mistake.message
    assert mistake.hint


def test_a_caption_may_begin_where_the_one_before_ends() -> None:
    assert len(cues(GOOD.replace("03,000", "02,500"))) == 2


def test_more_captions_than_a_film_has_are_refused() -> None:
    block = "{0:02}:{1:02}:{2:02},000 --> {0:02}:{1:02}:{2:02},900\nx\n"
    text = "\n".join(block.format(n // 3600, n // 60 % 60, n % 60) for n in range(MAX_CUES + 1))
    assert "at most 2,000" in parse_captions(text).mistakes[0].message


@settings(deadline=None, max_examples=25)
@given(st.text(max_size=200))
def test_no_text_whatever_makes_an_exception(text: str) -> None:
    parsed = parse_captions(text)
    assert parsed.cues or parsed.mistakes or "-->" in text


WORDS = st.text(alphabet="ab <&>\"'%{}é\u05d0", min_size=1, max_size=12).map(str.strip)


@settings(deadline=None, max_examples=25)
@given(st.lists(WORDS.filter(lambda w: bool(w) and "<" not in w), min_size=1, max_size=6))
def test_what_is_written_is_read_again(texts: list[str]) -> None:
    written = [
        Cue(start_s=Fraction(n * 4001, 1000), end_s=Fraction(n * 4001 + 1999, 1000), text=text)
        for n, text in enumerate(texts)
    ]
    for form in (write_srt(written), write_vtt(written)):
        assert [each.cue for each in parse_captions(form).cues] == written


def test_hours_and_milliseconds_are_written_out_and_blank_lines_left_out() -> None:
    cue = Cue(start_s=Fraction(3661), end_s=Fraction(3662) + Fraction(1, 3), text="a\n\nb")
    assert write_srt([cue]) == "1\n01:01:01,000 --> 01:01:02,333\na\nb\n"
    assert write_vtt([cue]) == "WEBVTT\n\n01:01:01.000 --> 01:01:02.333\na\nb\n"
