"""The short version of the proof: one clip of each kind, and that broken checks are caught.

The full one is ``make soak``: ``python tests/verify/soak.py --clips 500``.
"""

from __future__ import annotations

import pytest
from verify.checking import Row, Server
from verify.clips import Kind
from verify.soak import figures, play, sure_ways

# Small clips of one second each: by ffmpeg, and (the tens) by the sandbox.
GOOD = (20, 7)
DAMAGED = {
    Kind.CUT: 7,
    Kind.FLIPPED: 6,
    Kind.SWAPPED: 7,
    Kind.WRONG_LENGTH: 7,
    Kind.WRONG_HEIGHT: 7,
    Kind.BLACK: 7,
    Kind.FROZEN: 7,
}
# Which clip shows each mistake.
SHOWN_BY = {
    "no checksum is read": (7, Kind.SWAPPED.value),
    "every ETag is taken for an MD5": (7, "good"),
    "ffmpeg's exit status is believed": (7, Kind.WRONG_LENGTH.value),
    "a length to the frame is asked for": (6, "good"),
    "clips are joined unread": (7, Kind.CUT.value),
    "clips are joined unseen": (7, Kind.BLACK.value),
}


@pytest.mark.parametrize("kind", Kind)
def test_damage_is_found_on_the_way_and_on_the_disk(kind: Kind) -> None:
    row = play((DAMAGED[kind], kind.value, ""))

    assert all(row.refused[way] for way in sure_ways(kind))


@pytest.mark.parametrize("number", GOOD)
def test_a_good_clip_is_never_refused(number: int) -> None:
    assert not any(play((number, "good", "")).refused.values())


@pytest.mark.parametrize("program", SHOWN_BY)
def test_a_broken_check_does_not_pass(program: str) -> None:
    number, kind = SHOWN_BY[program]
    row = play((number, kind, program))

    whole = Row(number=0, kind="good", refused={})
    found = Row(number=0, kind=Kind.CUT.value, refused=dict.fromkeys(sure_ways(Kind.CUT), True))
    assert figures([whole, found])["passed"]
    assert not figures([whole, found, row])["passed"]


def test_what_decoding_cannot_find_is_counted_and_does_not_fail_the_proof() -> None:
    whole = Row(number=0, kind="good", refused={})
    refused = {Server.MD5.value: True, Server.NOTHING.value: False, "at the join": True}
    report = figures([whole, Row(number=0, kind=Kind.SWAPPED.value, refused=refused)])

    assert report["found_without_checksum"] == 0
    assert report["G19_found_with_checksum"] == 1
    assert report["passed"]
