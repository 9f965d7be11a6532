"""The sandbox as a child process: the same server that ``storyboard sandbox`` starts.

It ends when this process does, however that happens: its standard input is a pipe that only
this process holds. It is started without any key in its environment.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import CannotWrite, ProviderError
from pipeline.settings import Access
from pipeline.text import clean

_START_LIMIT_S = 60.0
_LOG_NAME = "server.log"


@contextmanager
def embedded_sandbox(
    state: Path, env: Mapping[str, str], *, has_slate: bool = True
) -> Iterator[Access]:
    """Run a sandbox on free ports for as long as the context lasts.

    Args:
        state: its folder of tasks, uploads and clips; a later run with the same folder finds
            the tasks of an interrupted one.
        has_slate: whether the clips that it draws carry their slate.
    Raises:
        CannotWrite: the folder cannot be made.
        ProviderError: the server did not start; says its last words.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        log = (state / _LOG_NAME).open("w", encoding="utf-8")
    except OSError as exc:
        raise CannotWrite(f"cannot write to {state}: {exc.strerror or exc}") from exc
    command = [sys.executable, "-m", "pipeline", "sandbox", "--exit-on-stdin-close"]
    command += ["--history-inputs", "--state", str(state)]
    command += [] if has_slate else ["--no-slate"]
    clean_env = {name: value for name, value in env.items() if "_API_KEY" not in name}
    with log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=clean_env,
            # A Ctrl-C on the terminal is for us; the server goes on until we are done.
            start_new_session=True,
        )
    try:
        announced = _first_line(process, state / _LOG_NAME)
        yield Access(
            base_url=announced["base_url"], key=announced["key"], account="sandbox-embedded"
        )
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _first_line(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """The addresses that the server prints once it listens."""
    if process.stdout is None:
        raise AssertionError("started with a pipe")
    ready, _, _ = select.select([process.stdout], [], [], _START_LIMIT_S)
    line = os.read(process.stdout.fileno(), 4096) if ready else b""
    try:
        announced = json.loads(line)
        return {"base_url": str(announced["base_url"]), "key": str(announced["key"])}
    except (ValueError, LookupError, TypeError) as exc:
        last_words = clean(log.read_text(encoding="utf-8", errors="replace")[-1500:])
        raise ProviderError(
            f"the sandbox did not start: {last_words or 'it said nothing'}",
            hint="run `storyboard doctor`, or `storyboard sandbox` by itself",
        ) from exc
