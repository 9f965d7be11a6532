from __future__ import annotations

from fractions import Fraction

from pipeline.edl import EdlEvent, build_edl


def test_a_cut_reads_as_cmx3600() -> None:
    events = [
        EdlEvent(slate="opening_tk01", file_name="opening_tk01.mp4", frames=108),
        EdlEvent(slate="end_tk02", file_name="end_tk02.mp4", frames=144, has_audio=False),
    ]

    assert build_edl("Aurora", events, Fraction(24)) == (
        "TITLE: Aurora\n"
        "FCM: NON-DROP FRAME\n"
        "\n"
        "001  AX       AA/V  C        00:00:00:00 00:00:04:12 01:00:00:00 01:00:04:12\n"
        "* FROM CLIP NAME: opening_tk01.mp4\n"
        "* COMMENT: opening_tk01\n"
        "002  AX       V     C        00:00:00:00 00:00:06:00 01:00:04:12 01:00:10:12\n"
        "* FROM CLIP NAME: end_tk02.mp4\n"
        "* COMMENT: end_tk02\n"
    )


def test_record_times_lie_end_to_end_at_a_fractional_rate() -> None:
    rate = Fraction(30000, 1001)
    events = [EdlEvent(slate=f"s{n}", file_name=f"s{n}.mp4", frames=7 + n) for n in range(30)]

    lines = [line.split() for line in build_edl("x", events, rate).splitlines() if " C " in line]

    assert lines[0][6] == "01:00:00:00"
    assert [line[7] for line in lines[:-1]] == [line[6] for line in lines[1:]]


def test_names_cannot_break_a_line() -> None:
    event = EdlEvent(slate="a\nb", file_name="new\r\nline\x1b.mp4", frames=1)

    text = build_edl("two\nlines", [event], Fraction(24))

    assert text.splitlines()[0] == "TITLE: two lines"
    assert len(text.splitlines()) == 6
    assert "\x1b" not in text


def test_the_thousandth_event_has_a_number_of_its_own() -> None:
    events = [EdlEvent(slate="s", file_name="s.mp4", frames=24)] * 1000

    assert "\n1000  AX " in build_edl("long", events, Fraction(24))


def test_a_dissolve_reads_as_cmx3600() -> None:
    """Twelve frames of both are seen: the first event ends where they begin, and goes on below."""
    events = [
        EdlEvent(slate="opening_tk01", file_name="opening_tk01.mp4", frames=108, in_frame=12),
        EdlEvent(slate="end_tk02", file_name="end_tk02.mp4", frames=144, in_frame=24, lead=12),
    ]

    assert build_edl("Aurora", events, Fraction(24)) == (
        "TITLE: Aurora\n"
        "FCM: NON-DROP FRAME\n"
        "\n"
        "001  AX       AA/V  C        00:00:00:12 00:00:04:12 01:00:00:00 01:00:04:00\n"
        "* FROM CLIP NAME: opening_tk01.mp4\n"
        "* COMMENT: opening_tk01\n"
        "002  AX       AA/V  C        00:00:04:12 00:00:04:12 01:00:04:00 01:00:04:00\n"
        "002  AX       AA/V  D    012 00:00:01:00 00:00:07:00 01:00:04:00 01:00:10:00\n"
        "* FROM CLIP NAME: opening_tk01.mp4\n"
        "* TO CLIP NAME: end_tk02.mp4\n"
        "* COMMENT: end_tk02\n"
    )


def test_what_two_events_share_counts_once_in_record_time() -> None:
    events = [
        EdlEvent(slate=f"s{n}", file_name=f"s{n}.mp4", frames=30, lead=6 if n else 0)
        for n in range(4)
    ]

    marks = [line.split()[-2:] for line in build_edl("x", events, Fraction(24)).splitlines()
             if line[:1].isdigit()]  # fmt: skip

    assert [mark for mark in marks if mark[0] != mark[1]] == [
        ["01:00:00:00", "01:00:01:00"],
        ["01:00:01:00", "01:00:02:00"],
        ["01:00:02:00", "01:00:03:00"],
        ["01:00:03:00", "01:00:04:06"],
    ]


def test_an_event_of_nothing_but_overlaps_still_has_its_place() -> None:
    events = [
        EdlEvent(slate="a", file_name="a.mp4", frames=20),
        EdlEvent(slate="b", file_name="b.mp4", frames=12, lead=6),
        EdlEvent(slate="c", file_name="c.mp4", frames=20, lead=6),
    ]

    lines = [line for line in build_edl("x", events, Fraction(24)).splitlines() if " D " in line]

    assert [line.split()[4] for line in lines] == ["006", "006"]
    assert lines[0].split()[-2:] == ["01:00:00:14", "01:00:00:20"]
    assert lines[1].split()[-2:] == ["01:00:00:20", "01:00:01:16"]
