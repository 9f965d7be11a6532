"""Animatics and paid clips never lie in one folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import event

from pipeline.errors import CannotWrite, ConfigurationError, ExitCode, Locked
from pipeline.journal import JOURNAL_NAME, LOCK_NAME, Journal, read_events
from pipeline.ledger import EventKind
from pipeline.settings import read_settings
from pipeline.workspace import (
    account_file,
    find_folder,
    holds_paid_work,
    make_room_for_paid_work,
)


def work(folder: Path, provider: str, clip: str = "opening_tk01.mp4") -> None:
    """A folder in which a provider has made something."""
    with Journal(folder) as journal:
        data = event(EventKind.INTENT, provider=provider).data
        journal.append(f"{provider}{len(journal.events())}", EventKind.INTENT, data)
    (folder / "clips").mkdir(exist_ok=True)
    (folder / "clips" / clip).write_text(f"made by {provider}")
    (folder / "film.mp4").write_text(f"made by {provider}")
    (folder / ".cache").mkdir(exist_ok=True)


def leave_log_behind(folder: Path) -> None:
    """One more event, in the write-ahead log of a run that died."""
    names = (JOURNAL_NAME, f"{JOURNAL_NAME}-wal")
    with Journal(folder) as journal:
        journal.append("last", EventKind.INTENT, event(EventKind.INTENT, provider="sandbox").data)
        left = {name: (folder / name).read_bytes() for name in names}
    for name, content in left.items():
        (folder / name).write_bytes(content)


def providers(folder: Path) -> list[str]:
    return [one.data["provider"] for one in read_events(folder)]


@pytest.mark.parametrize("provider", ["sandbox", "wavespeed"])
def test_storyboard_has_a_folder_of_its_own_name_and_looking_makes_nothing(
    tmp_path: Path, provider: str
) -> None:
    assert find_folder(tmp_path, "aurora", provider) == tmp_path / "aurora"
    assert list(tmp_path.iterdir()) == []


def test_sandbox_goes_aside_where_paid_work_lies(tmp_path: Path) -> None:
    work(tmp_path / "aurora", "wavespeed")
    assert find_folder(tmp_path, "aurora", "sandbox") == tmp_path / "aurora" / "animatic"
    assert find_folder(tmp_path, "aurora", "wavespeed") == tmp_path / "aurora"
    assert find_folder(tmp_path, "other", "sandbox") == tmp_path / "other"


def test_sandbox_stays_where_only_the_sandbox_has_been(tmp_path: Path) -> None:
    work(tmp_path / "aurora", "sandbox")
    assert find_folder(tmp_path, "aurora", "sandbox") == tmp_path / "aurora"
    assert not holds_paid_work(tmp_path / "aurora")


def test_animatic_asked_for_by_name_is_always_aside(tmp_path: Path) -> None:
    folder = find_folder(tmp_path, "aurora", "sandbox", animatic=True)
    assert folder == tmp_path / "aurora" / "animatic"


def test_paid_run_moves_the_animatic_aside_whole(tmp_path: Path) -> None:
    work(tmp_path, "sandbox")
    assert make_room_for_paid_work(tmp_path) == tmp_path / "animatic"
    assert {path.name for path in tmp_path.iterdir()} == {"animatic", LOCK_NAME}
    assert providers(tmp_path / "animatic") == ["sandbox"]
    assert (tmp_path / "animatic" / "clips" / "opening_tk01.mp4").read_text() == "made by sandbox"
    work(tmp_path, "wavespeed")
    assert holds_paid_work(tmp_path)


def test_second_animatic_does_not_overwrite_the_first(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        work(tmp_path, "sandbox", clip=f"take{number}.mp4")
        make_room_for_paid_work(tmp_path)
    for number, name in enumerate(("animatic", "animatic-2", "animatic-3"), start=1):
        assert (tmp_path / name / "clips" / f"take{number}.mp4").exists()


def test_paid_work_is_never_moved(tmp_path: Path) -> None:
    work(tmp_path, "wavespeed")
    before = sorted(tmp_path.rglob("*"))
    assert make_room_for_paid_work(tmp_path) is None
    assert sorted(tmp_path.rglob("*")) == before


def test_paid_work_among_the_sandboxs_is_not_moved_but_named(tmp_path: Path) -> None:
    work(tmp_path, "sandbox")
    with Journal(tmp_path) as journal:
        for paid in (
            event(EventKind.INTENT, "paid", provider="wavespeed", shot="closing"),
            event(EventKind.ACCEPTED, "paid", task_id="task-7"),
        ):
            journal.append(paid.attempt_id, paid.kind, paid.data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CannotWrite, match=r"closing_tk01 \(task task-7\).*--adopt TASK"):
        make_room_for_paid_work(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_there_is_nothing_to_move_in_an_empty_folder(tmp_path: Path) -> None:
    assert make_room_for_paid_work(tmp_path / "never") is None
    assert make_room_for_paid_work(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_run_at_work_on_the_animatic_is_not_robbed_of_it(tmp_path: Path) -> None:
    work(tmp_path, "sandbox")
    before = sorted(tmp_path.rglob("*.mp4"))
    with Journal(tmp_path), pytest.raises(Locked) as caught:
        make_room_for_paid_work(tmp_path)
    assert caught.value.exit_code is ExitCode.TRY_LATER
    assert sorted(tmp_path.rglob("*.mp4")) == before


def test_no_run_can_begin_while_the_animatic_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(tmp_path, "sandbox")
    rename = Path.rename
    refused = []

    def look(path: Path, target: Path) -> Path:
        with pytest.raises(Locked), Journal(tmp_path):
            pass
        refused.append(path.name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", look)
    make_room_for_paid_work(tmp_path)
    assert len(refused) == 4


def test_move_that_was_cut_short_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short after each of its steps in turn, until one run gets through."""
    left = 0
    rename = Path.rename

    def cut_short(path: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError("cut short")
        return rename(path, target)

    for steps in range(20):
        folder = tmp_path / str(steps)
        work(folder, "sandbox")
        leave_log_behind(folder)
        left = steps

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", cut_short)
            try:
                make_room_for_paid_work(folder)
                break
            except CannotWrite:
                pass
        assert make_room_for_paid_work(folder) == folder / "animatic"
        assert {path.name for path in folder.iterdir()} == {"animatic", LOCK_NAME}
        assert (folder / "animatic" / "clips" / "opening_tk01.mp4").exists()
        assert providers(folder / "animatic") == ["sandbox"] * 2
    assert steps == 4


def test_everything_else_is_safe_in_its_new_place_before_the_journal_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(tmp_path, "sandbox")
    steps: list[str] = []
    rename, fsync = Path.rename, os.fsync

    def note_move(path: Path, target: Path) -> Path:
        steps.append(f"move {path.name}")
        return rename(path, target)

    def note_sync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    monkeypatch.setattr(Path, "rename", note_move)
    monkeypatch.setattr(os, "fsync", note_sync)
    make_room_for_paid_work(tmp_path)
    journal = steps.index(f"move {JOURNAL_NAME}")
    assert {step.split()[0] for step in steps[journal + 1 :]} == {"sync"}
    assert steps[journal - 1 :] == [
        "sync animatic",
        f"move {JOURNAL_NAME}",
        "sync animatic",
        f"sync {tmp_path.name}",
    ]


def test_account_state_of_the_sandbox_lies_with_its_output(tmp_path: Path) -> None:
    settings = read_settings({})
    path = account_file(settings, tmp_path, "sandbox", "sandbox-embedded")
    assert path.is_relative_to(tmp_path)


def test_account_state_of_a_paid_provider_is_shared_by_every_output_folder(tmp_path: Path) -> None:
    settings = read_settings({"STORYBOARD_STATE_DIR": str(tmp_path / "state")})
    paths = {
        account_file(settings, tmp_path / out, "wavespeed", "wavespeed-1a2b") for out in ("a", "b")
    }
    assert len(paths) == 1
    assert paths.pop().is_relative_to(tmp_path / "state")
    assert account_file(settings, tmp_path, "wavespeed", "other").name == "other.sqlite3"


def test_paid_account_needs_a_place_for_its_state(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="STORYBOARD_STATE_DIR"):
        account_file(read_settings({}), tmp_path, "wavespeed", "wavespeed-1a2b")
