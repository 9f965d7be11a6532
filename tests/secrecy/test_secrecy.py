"""The short version of the canary scan, and that it finds the key where a program leaks it.

The full one, the whole fault catalogue, is ``make soak``.
"""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from secrecy.broken import BROKEN, broken_play, is_caught
from secrecy.hostile import REMOTE, Listener, local_addresses, visit_all
from secrecy.plays import Play, every_play, hostile_urls_play, short_plays
from secrecy.scan import CANARY, control_bytes, find_key, read_tree
from secrecy.stage import run_play

from pipeline.sandbox.fault_catalogue import FAULT_NAMES

# What other clients of the sandbox use, or what another play stands for.
_BESIDE: frozenset[str] = frozenset({"http_503"})


@pytest.mark.parametrize("play", short_plays(), ids=lambda play: play.name)
def test_the_key_is_in_nothing_that_a_run_shows_or_leaves(play: Play, tmp_path: Path) -> None:
    evidence = run_play(play, tmp_path)
    assert not evidence.breaches, evidence.stderr.decode()
    assert any(place.endswith(".sqlite3") for place in evidence.places) or evidence.exit_code == 78


@pytest.mark.parametrize("name", BROKEN)
def test_a_program_that_leaks_the_key_is_caught(name: str, tmp_path: Path) -> None:
    evidence = run_play(broken_play(name), tmp_path)
    assert is_caught(name, evidence), evidence.breaches


def test_no_hostile_address_of_a_provider_elsewhere_is_ever_called() -> None:
    assert len(REMOTE) > 60
    assert visit_all() == {}


def test_a_local_provider_cannot_lead_to_other_ports_in_disguise(tmp_path: Path) -> None:
    with Listener() as listener:
        count = len(local_addresses(listener.port))
        evidence = run_play(hostile_urls_play(listener.port), tmp_path)
    assert count >= 30
    assert evidence.faults_played >= count
    assert evidence.exit_code == 1
    assert listener.visitors == 0
    assert not evidence.breaches


def test_the_full_scan_plays_every_fault_of_the_catalogue() -> None:
    played = {rule["fault"] for play in every_play() for rule in play.rules}
    assert set(FAULT_NAMES) - played <= _BESIDE
    names = [play.name for play in every_play()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "content",
    [
        CANARY,
        quote(CANARY, safe=""),
        CANARY.replace("/", "\\/"),
        base64.b64encode(f"Bearer {CANARY}".encode()).decode(),
        base64.b64encode(f"me:{CANARY}".encode()).decode(),
        CANARY.encode().hex(),
        f"shortened to {CANARY[3:20]}…",
    ],
)
def test_the_scan_finds_the_key_in_every_form(content: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.bin").write_bytes(b"\x00\xff" + content.encode() + b"\x00")
    assert find_key(read_tree([tmp_path]))


def test_the_scan_finds_the_key_in_a_files_name_and_nothing_where_nothing_is(
    tmp_path: Path,
) -> None:
    assert find_key(read_tree([tmp_path])) == []
    (tmp_path / quote(CANARY, safe="")).touch()
    assert find_key(read_tree([tmp_path]))


@pytest.mark.parametrize("text", ["\x1b[2J", "\r", "\x07", "\u202e", "\x9b31m"])
def test_control_characters_are_found_on_a_stream(text: str) -> None:
    assert control_bytes(f"line\n{text}".encode())
    assert not control_bytes("line\nlösung …\n".encode())
