"""Which folder a storyboard is made in, so that animatics and paid clips never meet.

A folder belongs to one world: the free sandbox or paid providers. Whichever comes second, the
sandbox's files go to ``animatic/`` inside.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.capabilities import is_free
from pipeline.errors import CannotWrite, ConfigurationError
from pipeline.files import make_folder, sync_folder
from pipeline.journal import JOURNAL_NAME, LOCK_NAME, Journal, locked, read_events
from pipeline.ledger import FREE, EventKind, fold
from pipeline.model import FileReference, Storyboard
from pipeline.settings import Settings

CLIPS_FOLDER = "clips"
ANIMATIC_FOLDER = "animatic"
SANDBOX_FOLDER = ".sandbox"
# What a clip may take before it is paid for: several times the largest that were seen.
ROOM_PER_CLIP_BYTES = 25_000_000


def find_folder(out: Path, name: str, provider: str, *, animatic: bool = False) -> Path:
    """The folder of a storyboard for this provider; makes nothing."""
    base = out / name
    if is_free(provider) and (animatic or holds_paid_work(base)):
        return base / ANIMATIC_FOLDER
    return base


def check_place(out: Path, folder: Path, storyboard: Storyboard) -> None:
    """Refuse an output folder that belongs to something else.

    Raises:
        CannotWrite: it lies inside another storyboard's, or it is where the images are.
    """
    here = out.absolute()
    for above in (here, *here.parents):
        if (above / JOURNAL_NAME).exists():
            raise CannotWrite(
                f"{out} lies inside the output of another storyboard, {above}",
                hint="choose another --out",
            )
    images = {
        image.path.resolve().parent
        for shot in storyboard.shots
        for image in shot.sources
        if isinstance(image, FileReference)
    }
    for taken in (folder, folder / CLIPS_FOLDER):
        if taken.resolve() in images:
            raise CannotWrite(
                f"{storyboard.name}: its reference images lie in its output folder, {taken}",
                hint="choose another --out, or move the images",
            )


def check_room(folder: Path, clips: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        clips: how many will be downloaded.
    Raises:
        CannotWrite: less is free than so many clips may take.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        free_bytes = shutil.disk_usage(there).free
    except OSError as exc:
        raise CannotWrite(f"cannot look at {there}: {exc.strerror or exc}") from exc
    if free_bytes < clips * ROOM_PER_CLIP_BYTES:
        raise CannotWrite(
            f"{there} has {free_bytes // 1_000_000} MB free; {clips} clips may need "
            f"{clips * ROOM_PER_CLIP_BYTES // 1_000_000} MB; nothing sent",
            hint="free some disk space, or choose another --out",
        )


def holds_paid_work(folder: Path) -> bool:
    """Whether the folder's journal names a provider that takes money."""
    return not all(map(is_free, _providers(folder)))


def make_room_for_paid_work(folder: Path) -> Path | None:
    """Move a sandbox run out of the way of a paid one.

    The journal goes last, so that an interrupted move is taken up again.

    Returns:
        Where the animatic is now; None where there was none.
    Raises:
        CannotWrite: it cannot be moved, or its journal tells of paid work as well.
        Locked: a run is at work in it.
    """
    if not any(map(is_free, _providers(folder))):
        return None
    with Journal(folder):
        # What a run that died left in the write-ahead log comes into the file that is moved.
        pass
    with locked(folder):
        # Asked again: another paid run may have moved it meanwhile.
        return _move_animatic(folder) if any(map(is_free, _providers(folder))) else None


def _check_unpaid(folder: Path) -> None:
    """Refuse to move what was paid: where it went nobody would look, and it were bought again.

    Raises:
        CannotWrite: the journal tells of paid work.
    """
    paid = [a for a in fold(read_events(folder)).attempts if not is_free(a.provider)]
    if not paid:
        return
    bound = [a for a in paid if a.state not in FREE]
    tasks = ", ".join(f"{a.slate} (task {a.task_id or 'not known'})" for a in bound)
    raise CannotWrite(
        f"{folder} holds the sandbox's work and paid work in one journal: {tasks or 'refused'}; "
        "nothing was moved, nothing sent",
        hint="move the folder away, then take in each paid task with "
        "`storyboard resolve SHOT MANIFEST --adopt TASK`",
    )


def _move_animatic(folder: Path) -> Path:
    _check_unpaid(folder)
    target = folder / ANIMATIC_FOLDER
    number = 2
    while (target / JOURNAL_NAME).exists():
        target = folder / f"{ANIMATIC_FOLDER}-{number}"
        number += 1
    try:
        make_folder(target)
        entries = [
            entry
            for entry in folder.iterdir()
            if not entry.name.startswith(ANIMATIC_FOLDER) and entry.name != LOCK_NAME
        ]
        for entry in sorted(entries, key=lambda entry: entry.name == JOURNAL_NAME):
            if entry.name == JOURNAL_NAME:
                sync_folder(target)
            entry.rename(target / entry.name)
        sync_folder(target)
        sync_folder(folder)
    except OSError as exc:
        raise CannotWrite(f"cannot move the animatic in {folder}: {exc.strerror or exc}") from exc
    return target


def account_file(settings: Settings, out: Path, provider: str, account: str) -> Path:
    """Where the state lives that all runs of one account share.

    Raises:
        ConfigurationError: a paid account, and nothing says where the user's state belongs.
    """
    if is_free(provider):
        return out / SANDBOX_FOLDER / "account.sqlite3"
    if settings.state_dir is None:
        raise ConfigurationError(
            "no place for account-wide state: HOME is not set",
            hint="set STORYBOARD_STATE_DIR to a folder that outlives the run",
        )
    return settings.state_dir / "accounts" / f"{account}.sqlite3"


def _providers(folder: Path) -> set[str]:
    intents = (event for event in read_events(folder) if event.kind is EventKind.INTENT)
    return {str(event.data["provider"]) for event in intents}
