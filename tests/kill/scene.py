"""One account, one storyboard, and the command started by hand: signals, locks, full disks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
from kill.stage import WIDE, Stage, Terms, command, environment, provider, read_json, start
from kill.verdicts import Evidence, Fault, judge

from pipeline.files import file_sha256
from pipeline.journal import JOURNAL_NAME, read_events
from pipeline.ledger import DOUBTFUL, Ledger, fold
from pipeline.sandbox.faults import parse_faults
from pipeline.summary import FILM_NAME, SUMMARY_NAME

_SERVE = Path(__file__).with_name("serve.py")
_LOOK_S = 0.005
LIMIT_S = 90.0


class Recorded(Protocol):
    """A sandbox whose books can be read."""

    @property
    def base_url(self) -> str: ...

    def record(self) -> dict[str, Any]: ...


class MortalServer:
    """A sandbox in a process of its own, on the same ports and with the same books each time."""

    def __init__(self, stage: Stage, state: Path) -> None:
        self._stage = stage
        self._state = state
        self._process: subprocess.Popen[str] | None = None
        self.base_url = ""
        self._ports = ["0", "0"]

    def start(self) -> None:
        """Start it, again or for the first time."""
        stage = self._stage
        words = [sys.executable, str(_SERVE), str(stage.folder), str(stage.shots), str(self._state)]
        self._process = subprocess.Popen([*words, *self._ports], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        urls = self._process.stdout.readline().split()
        self.base_url = urls[0]
        self._ports = [url.rpartition(":")[2] for url in urls]

    def kill(self) -> None:
        """End it without a word of warning."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None

    def record(self) -> dict[str, Any]:
        """Its books, by the address beside the API."""
        record: dict[str, Any] = httpx.get(f"{self.base_url}/_sandbox/record").json()
        return record


@dataclass(slots=True, kw_only=True)
class Scene:
    """A sandbox that runs, and every process that was started against it."""

    stage: Stage
    folder: Path
    server: Recorded
    env: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """The storyboard's folder."""
        return self.folder / "out" / self.stage.name

    @property
    def log(self) -> Path:
        """What the latest process said."""
        return self.folder / f"start{len(self.processes)}.log"

    def start(
        self, *, launcher: Sequence[str] = (), words: Sequence[str] = (), **env: str
    ) -> subprocess.Popen[bytes]:
        """Start the command, or ``words``."""
        usual = command(
            [self.stage.manifest],
            self.folder / "out",
            max_cost=self.stage.price_usd,
            launcher=launcher,
        )
        log = self.folder / f"start{len(self.processes) + 1}.log"
        process = start(words or usual, self.env | env, log)
        self.processes.append(process)
        return process

    def run(self, **env: str) -> int:
        """Start the command and wait for its end."""
        return self.start(**env).wait(LIMIT_S)

    def accepted(self) -> int:
        """Tasks on the bill."""
        return len(self.server.record()["tasks"])

    def unfetched(self) -> int:
        """Tasks on the bill whose clip nobody has asked for."""
        return sum(not task["downloads"] for task in self.server.record()["tasks"])

    def requests(self) -> int:
        """Every request that has come in."""
        return sum(self.server.record()["counters"].values())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Look often until it holds.

        Raises:
            TimeoutError: it does not come to that.
        """
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(self.log.read_text(errors="replace")[-2000:])
            time.sleep(_LOOK_S)

    def said(self, text: str) -> bool:
        """Whether the latest process has said this."""
        return text in self.log.read_text(errors="replace")

    def ledger(self) -> Ledger:
        """What the journal says now; see ``read_ledger``."""
        return read_ledger(self.out, self.folder / "copy")

    def doubts(self) -> int:
        """Submissions whose answer the journal does not have."""
        return sum(attempt.state in DOUBTFUL for attempt in self.ledger().attempts)

    def judge(self, exit_code: int, film_sha256: str | None, *, kills: int = 0) -> list[Fault]:
        """What is wrong, now that a run has ended with this exit code."""
        film = self.out / FILM_NAME
        evidence = Evidence(
            record=self.server.record(),
            summary=read_json(self.out / SUMMARY_NAME),
            exit_code=exit_code,
            film_sha256=file_sha256(film) if film.is_file() else None,
            kills=kills,
        )
        return judge(
            evidence,
            shots=self.stage.shots,
            price_usd=self.stage.price_usd,
            film_sha256=film_sha256,
        )


@contextmanager
def scene(
    stage: Stage,
    terms: Terms,
    folder: Path,
    *,
    rules: Sequence[Mapping[str, object]] = (),
    **options: Any,
) -> Iterator[Scene]:
    """A sandbox with these fault rules; no process outlives the block."""
    faults = parse_faults([*terms.rules, *rules])
    with (
        provider(stage, terms, faults=faults, **options) as server,
        _played(stage, terms, folder, server) as made,
    ):
        yield made


@contextmanager
def mortal_scene(stage: Stage, folder: Path) -> Iterator[tuple[Scene, MortalServer]]:
    """The same with a sandbox that can be killed."""
    server = MortalServer(stage, folder / "server")
    server.start()
    try:
        with _played(stage, WIDE, folder, server) as made:
            yield made, server
    finally:
        server.kill()


@contextmanager
def _played(stage: Stage, terms: Terms, folder: Path, server: Recorded) -> Iterator[Scene]:
    folder.mkdir(parents=True, exist_ok=True)
    env = environment(terms, server.base_url, folder)
    made = Scene(stage=stage, folder=folder, server=server, env=env)
    try:
        yield made
    finally:
        for process in made.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def read_ledger(journal_folder: Path, scratch: Path) -> Ledger:
    """What a journal says, read from a copy: reading it might change what the next start finds."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for path in journal_folder.glob(f"{JOURNAL_NAME}*"):
        shutil.copyfile(path, scratch / path.name)
    return fold(read_events(scratch))
