"""What happens to a run other than a kill: signals, a second copy, a full disk, a dying server.

Each incident is played once and gives what was measured and what was wrong; the tests play every
one of them, the soak as often as its figure asks for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kill.scene import LIMIT_S, Scene, mortal_scene, scene
from kill.stage import ONE_LANE, ROOT, WIDE, Stage, Terms, command, provider

_LONG = (3.0, 4.0)
ANSWER_S = 2.0
# So little is allowed that three shots feel it, over longer than a lost answer takes to settle.
_NARROW = Terms(name="narrow", starts=2, window_s=6.0, max_tasks=2, echo=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where an incident is played. ``after_s``: how long after its earliest moment it happens."""

    stage: Stage
    folder: Path
    film_sha256: str | None
    after_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What came of it; ``seconds`` and ``cpu_s`` of what the incident's figure is about."""

    faults: tuple[str, ...]
    seconds: float = 0.0
    cpu_s: float = 0.0


def first_interrupt(at: Setting) -> Incident:
    """Ctrl-C at some time after the first task was accepted: what is paid comes home."""
    with scene(at.stage, ONE_LANE, at.folder) as played:
        process = played.start()
        played.wait_until(lambda: played.accepted() > 0)
        time.sleep(at.after_s)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        played.wait_until(lambda: played.said("Ctrl-C again") or process.poll() is not None)
        accepted = played.accepted()
        code = process.wait(LIMIT_S)
        seconds = time.monotonic() - began
        faults = _wrong(played, code, {-signal.SIGINT, 0})
        # The one on the wire may still have been accepted, and no other.
        if played.accepted() > accepted + 1:
            faults.append(f"{played.accepted() - accepted} more tasks after the signal")
        if played.unfetched():
            faults.append(f"{played.unfetched()} paid clips were left behind")
        return Incident(faults=_resume(played, at, faults), seconds=seconds)


def second_interrupt(at: Setting) -> Incident:
    """Ctrl-C twice; the seconds are those from the second to the end."""
    with scene(at.stage, ONE_LANE, at.folder, latency_s=_LONG) as played:
        process = played.start()
        played.wait_until(lambda: played.accepted() > 0)
        time.sleep(at.after_s)
        process.send_signal(signal.SIGINT)
        played.wait_until(lambda: played.said("Ctrl-C again") or process.poll() is not None)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        code = process.wait(LIMIT_S)
        seconds = time.monotonic() - began
        faults = _wrong(played, code, {-signal.SIGINT})
        return Incident(faults=_resume(played, at, faults), seconds=seconds)


def terminate_idle(at: Setting) -> Incident:
    """SIGTERM while every task is running and nothing is on the wire."""
    with scene(at.stage, WIDE, at.folder, latency_s=_LONG) as played:
        process = played.start()
        played.wait_until(lambda: played.log.read_text().count("submitted task") == at.stage.shots)
        time.sleep(at.after_s)
        began = time.monotonic()
        process.terminate()
        code = process.wait(LIMIT_S)
        seconds = time.monotonic() - began
        faults = _wrong(played, code, {-signal.SIGTERM})
        return Incident(faults=_resume(played, at, faults), seconds=seconds)


def terminate_submitting(at: Setting) -> Incident:
    """SIGTERM while a submission waits for its answer."""
    answer_s = ANSWER_S
    rule = {"on": "submit", "fault": "slow_body", "seconds": answer_s, "nth": 1}
    with scene(at.stage, WIDE, at.folder, rules=[rule]) as played:
        process = played.start(STORYBOARD_SUBMIT_TIMEOUT_S=str(answer_s + 10))
        played.wait_until(lambda: played.accepted() > 0)
        began = time.monotonic()
        process.terminate()
        code = process.wait(LIMIT_S)
        seconds = time.monotonic() - began
        faults = _wrong(played, code, {-signal.SIGTERM})
        if not any(attempt.task_id for attempt in played.ledger().attempts):
            faults.append("the answer was not waited for")
        return Incident(faults=_resume(played, at, faults), seconds=seconds)


def second_copy(at: Setting) -> Incident:
    """The command started again while it is at work; the second one's account is another."""
    with (
        scene(at.stage, WIDE, at.folder, latency_s=_LONG) as played,
        provider(at.stage, WIDE) as other,
    ):
        first = played.start()
        played.wait_until(lambda: played.accepted() > 0)
        began = time.monotonic()
        second = played.start(WAVESPEED_BASE_URL=other.base_url)
        _, status, usage = os.wait4(second.pid, 0)
        seconds = time.monotonic() - began
        second.returncode = os.waitstatus_to_exitcode(status)
        faults = [] if second.returncode == 75 else [f"exit code {second.returncode}"]
        if not played.said(f"process {first.pid}"):
            faults.append("it does not say who is at work")
        if other.record()["counters"]:
            faults.append("it sent requests")
        faults += map(str, played.judge(first.wait(LIMIT_S), at.film_sha256))
        return Incident(
            faults=tuple(faults), seconds=seconds, cpu_s=usage.ru_utime + usage.ru_stime
        )


def nothing_to_do(at: Setting) -> Incident:
    """The command once more when the film is finished."""
    with scene(at.stage, WIDE, at.folder) as played:
        faults = [str(fault) for fault in played.judge(played.run(), at.film_sha256)]
        requests = played.requests()
        began = time.monotonic()
        again = played.start()
        _, status, usage = os.wait4(again.pid, 0)
        seconds = time.monotonic() - began
        again.returncode = os.waitstatus_to_exitcode(status)
        if again.returncode:
            faults.append(f"exit code {again.returncode}")
        if played.requests() != requests:
            faults.append(f"{played.requests() - requests} requests")
        return Incident(
            faults=tuple(faults), seconds=seconds, cpu_s=usage.ru_utime + usage.ru_stime
        )


def through_make(at: Setting) -> Incident:
    """Ctrl-C twice in a terminal where the command was started by make."""
    storyboard = Path(sys.prefix) / "bin" / "storyboard"
    if not storyboard.exists():
        return Incident(faults=())
    with scene(at.stage, ONE_LANE, at.folder, latency_s=_LONG) as played:
        process = played.start(words=_make_words(played))
        played.wait_until(lambda: played.accepted() > 0)
        time.sleep(at.after_s)
        os.killpg(process.pid, signal.SIGINT)
        played.wait_until(lambda: played.said("Ctrl-C again"))
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(LIMIT_S)
        seconds = time.monotonic() - began
        faults = _wrong(played, code, {-signal.SIGINT, 2, 130})
        return Incident(faults=_resume(played, at, faults), seconds=seconds)


def _make_words(played: Scene) -> list[str]:
    venv = Path(sys.prefix)
    return [
        # The environment is what these tests run in; it is not for make to renew.
        *("make", "-C", str(ROOT), "--no-print-directory", "-o", str(venv / ".installed"), "run"),
        *(f"VENV={venv}", f"MANIFEST={played.stage.manifest}", f"OUT={played.folder / 'out'}"),
        f"ARGS=--provider wavespeed --max-cost {played.stage.price_usd}",
    ]


def restart_storm(at: Setting) -> Incident:
    """Killed as soon as anything was accepted, again and again, where little is allowed."""
    with scene(at.stage, _NARROW, at.folder) as played:
        goals = (1, 1, 2, 2)
        for goal in goals:
            process = played.start()
            _wait_for_accepted(played, goal)
            time.sleep(at.after_s)
            process.kill()
            process.wait()
        faults = played.judge(played.run(), at.film_sha256, kills=len(goals))
        return Incident(faults=tuple(map(str, faults)))


_BUILDING = threading.Lock()


def two_at_once(at: Setting) -> Incident:
    """Two storyboards of one account in two processes; one of them is killed and comes again."""
    other = Stage(folder=at.stage.folder, shots=at.stage.shots, name="other")
    # Played several times at once, all with the same clips.
    with _BUILDING:
        if not other.manifest.exists():
            other.build()
    with scene(at.stage, _NARROW, at.folder) as played:
        words = command([other.manifest], at.folder / "out", max_cost=other.price_usd)
        first = played.start()
        dying = played.start(words=words)
        _wait_for_accepted(played, 2)
        time.sleep(at.after_s)
        dying.kill()
        dying.wait()
        again = played.start(words=words)
        codes = [process.wait(LIMIT_S) for process in (first, again)]
        record = played.server.record()
        faults = [] if codes == [0, 0] else [f"exit codes {codes}"]
        if len(record["tasks"]) != 2 * at.stage.shots or record["duplicates"]:
            faults.append(f"{len(record['tasks'])} tasks accepted")
        if played.unfetched():
            faults.append(f"{played.unfetched()} paid clips were never fetched")
        faults += [row["kind"] for row in record["violations"]]
        return Incident(faults=tuple(faults))


def dying_server(at: Setting) -> Incident:
    """The provider goes away in mid-run and comes back with all it knew."""
    with mortal_scene(at.stage, at.folder) as (played, server):
        process = played.start()
        played.wait_until(lambda: played.said("submitted task"))
        time.sleep(at.after_s)
        server.kill()
        server.start()
        code = process.wait(LIMIT_S)
        faults = played.judge(code, at.film_sha256)
        if code:
            # It may give up on a provider that is gone; the next start finds everything.
            faults = played.judge(played.run(), at.film_sha256)
        return Incident(faults=tuple(map(str, faults)))


def small_files(at: Setting, limit_bytes: int) -> Incident:
    """No file may grow beyond a limit: the account's state, the journal, all the same."""
    with scene(at.stage, WIDE, at.folder) as played:
        process = played.start(launcher=["--file-limit", str(limit_bytes)])
        return Incident(faults=_after_full_disk(played, at, process.wait(LIMIT_S)))


def few_files(at: Setting, limit: int = 64, shots: int = 60) -> Incident:
    """No more than 64 files and connections may be open, and far more shots than that fit."""
    many = Stage(folder=at.folder / "many", shots=shots, name="many")
    many.build()
    with scene(many, WIDE, at.folder) as played:
        process = played.start(launcher=["--open-files", str(limit)])
        faults = played.judge(process.wait(LIMIT_S), None)
        return Incident(faults=tuple(map(str, faults)))


def full_disk(at: Setting, size_kib: int, *, may_fit: bool = False) -> Incident:
    """The output folder is a disk with so much room, which is made larger afterwards."""
    with (
        scene(at.stage, WIDE, at.folder) as played,
        small_disk(at.folder / "out", size_kib) as grow,
    ):
        # What fills up later must be met in the middle, not refused at the start.
        code = played.start(launcher=["--small-disk"]).wait(LIMIT_S)
        grow()
        if may_fit and code == 0:
            return Incident(faults=tuple(map(str, played.judge(code, at.film_sha256))))
        return Incident(faults=_after_full_disk(played, at, code))


@contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[Callable[[], None]]:
    """A file system of its own in memory; gives what makes it large.

    Raises:
        PermissionError: this needs the right to mount.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "storyboard-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise PermissionError("may not mount")
    try:
        yield (
            lambda: (
                subprocess.run(["mount", "-o", "remount,size=256m", str(folder)], check=True)
                and None
            )
        )
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def may_mount(folder: Path) -> bool:
    """Whether ``full_disk`` can be played here."""
    try:
        with small_disk(folder / "mount", 8):
            return True
    except (PermissionError, FileNotFoundError):
        return False


def _after_full_disk(played: Scene, at: Setting, code: int) -> tuple[str, ...]:
    said = played.log.read_text(errors="replace")
    faults = [] if code in {73, 74} else [f"exit code {code}"]
    if "Traceback" in said:
        faults.append("a traceback")
    if "restore" in said:
        faults.append("a full disk is called a damaged journal")
    return _resume(played, at, faults, kills=1)


INCIDENTS: dict[str, Callable[[Setting], Incident]] = {
    "first Ctrl-C": first_interrupt,
    "second Ctrl-C": second_interrupt,
    "Ctrl-C twice through make": through_make,
    "SIGTERM, nothing on the wire": terminate_idle,
    "SIGTERM, a submission on the wire": terminate_submitting,
    "a second copy": second_copy,
    "nothing left to do": nothing_to_do,
    "a storm of restarts": restart_storm,
    "two storyboards at once": two_at_once,
    "a server that dies": dying_server,
    "64 open files": few_files,
}
# Sizes at which the disk is full for the journal, the answers, the clips, the join.
FULL_DISK_KIB = (24, 64, 112, 192)
SMALL_FILES_BYTES = (1_000, 14_000, 40_000)


def _wait_for_accepted(played: Scene, goal: int) -> None:
    played.wait_until(lambda: played.accepted() >= goal)


def _wrong(played: Scene, code: int, wanted: set[int]) -> list[str]:
    """What must hold right after any signal."""
    faults = [] if code in wanted else [f"exit code {code}"]
    if played.doubts():
        faults.append(f"{played.doubts()} submissions in doubt")
    return faults


def _resume(played: Scene, at: Setting, faults: list[str], *, kills: int = 0) -> tuple[str, ...]:
    """Start it again and let it end."""
    return (*faults, *map(str, played.judge(played.run(), at.film_sha256, kills=kills)))
