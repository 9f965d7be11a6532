"""Find an ffmpeg and run it once: bounded in time and memory, stoppable, its words kept.

ffmpeg sees no terminal, no key, and nothing of our environment but what it needs to start; its
whole process group ends with it. What it is asked to do is built in ``commands``.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import anyio
from anyio.abc import ByteReceiveStream, Process

from pipeline.errors import FfmpegMissing, MediaError

INSTALL_HINT = (
    "install ffmpeg with the system's package manager, "
    'or: pip install "storyboard-pipeline[ffmpeg]"'
)
PATH_VARIABLE = "STORYBOARD_FFMPEG"

_STDERR_TAIL_BYTES = 8_192
# Captured output is text or a few raw frames; media goes to files.
_STDOUT_LIMIT_BYTES = 64 * 1024 * 1024
_GRACE_S = 2.0
# Enough to start a dynamically linked ffmpeg and let it find fonts; no credentials among them.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "FONTCONFIG_FILE",
    "FONTCONFIG_PATH",
)
_QUIET = ("-hide_banner", "-nostdin", "-nostats", "-v", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFfmpeg:
    """An ffmpeg program and where it was found, in words for ``storyboard doctor``."""

    path: Path
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FfmpegRun:
    """What a run that ended well left: its standard output and its last words, safe to print."""

    stdout: bytes
    stderr_tail: str


def find_ffmpeg(env: Mapping[str, str]) -> Path:
    """Path of the ffmpeg to use; see ``locate_ffmpeg``."""
    return locate_ffmpeg(env).path


def locate_ffmpeg(env: Mapping[str, str]) -> FoundFfmpeg:
    """Find ffmpeg: ``STORYBOARD_FFMPEG``, else on ``PATH``, else the imageio-ffmpeg package's.

    Raises:
        FfmpegMissing: none of the three; or ``STORYBOARD_FFMPEG`` names none, for a wrong
            setting is an error and no reason to take another.
    """
    search_path = env.get("PATH", "")
    if wanted := env.get(PATH_VARIABLE, ""):
        found = shutil.which(wanted, path=search_path)
        if found is None:
            raise FfmpegMissing(
                f"{PATH_VARIABLE} is {wanted!r}, which is not a program that can be run",
                hint=f"correct it, or unset it and {INSTALL_HINT}",
            )
        return FoundFfmpeg(path=Path(found).absolute(), source=PATH_VARIABLE)
    if found := shutil.which("ffmpeg", path=search_path):
        return FoundFfmpeg(path=Path(found).absolute(), source="PATH")
    if find_spec("imageio_ffmpeg") is not None:
        import imageio_ffmpeg  # noqa: PLC0415 - an optional package, wanted only here

        try:
            carried = Path(imageio_ffmpeg.get_ffmpeg_exe())
        except RuntimeError:  # the package was installed without its program
            carried = Path()
        if carried.is_file():
            return FoundFfmpeg(path=carried.absolute(), source="the imageio-ffmpeg package")
    raise FfmpegMissing("no ffmpeg was found", hint=INSTALL_HINT)


def child_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The few variables that ffmpeg may see; API keys are never among them."""
    return {name: env[name] for name in _ENVIRONMENT if name in env}


def clean_text(raw: bytes) -> str:
    """Bytes that a program printed, as text that is safe on a terminal: no escape survives."""
    text = raw.decode("utf-8", errors="replace").replace("\r", "\n")
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "�" for letter in text
    ).strip()


async def run_ffmpeg(
    arguments: Sequence[str],
    *,
    ffmpeg: Path,
    time_limit_s: float,
    cwd: Path | None = None,
    on_progress: Callable[[float], None] | None = None,
    env: Mapping[str, str] | None = None,
) -> FfmpegRun:
    """Run ffmpeg to its end.

    Args:
        arguments: without the program and without the options that keep it quiet, which are
            put in front.
        time_limit_s: wall-clock seconds after which it is stopped.
        on_progress: called with the seconds of media done, about twice a second; standard
            output is then used for that and comes back empty.
        env: where the few variables that it may see are taken from; None: our own.
    Raises:
        FfmpegMissing: the program cannot be started.
        MediaError: it failed, ran out of time, or printed without end.
    """
    reporting = () if on_progress is None else ("-progress", "pipe:1")
    command = [str(ffmpeg), *_QUIET, *reporting, *arguments]
    # Cancelled half way, starting would leave a process that no one holds.
    with anyio.CancelScope(shield=True):
        process = await _start(command, cwd=cwd, env=os.environ if env is None else env)
    watch = _Watch(on_progress=on_progress)
    ended = False
    try:
        with anyio.move_on_after(time_limit_s):
            await watch.until_end(process)
            ended = True
    finally:
        if not ended:
            await _stop(process)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    return watch.outcome(process.returncode if ended else None, time_limit_s)


async def _start(command: Sequence[str], *, cwd: Path | None, env: Mapping[str, str]) -> Process:
    try:
        return await anyio.open_process(
            # As bytes: a plain C locale could not carry a title with an umlaut.
            [part.encode("utf-8", "surrogateescape") for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=child_environment(env),
            start_new_session=True,
        )
    except OSError as exc:
        raise FfmpegMissing(
            f"cannot start {command[0]}: {exc.strerror}", hint=INSTALL_HINT
        ) from exc


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Reads both outputs of one process while it runs."""

    on_progress: Callable[[float], None] | None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    flooded: bool = False

    async def until_end(self, process: Process) -> None:
        stdout = cast("ByteReceiveStream", process.stdout)
        stderr = cast("ByteReceiveStream", process.stderr)
        try:
            async with anyio.create_task_group() as readers:
                readers.start_soon(self._drain_stderr, stderr)
                readers.start_soon(self._read_stdout, stdout, readers.cancel_scope)
        except ExceptionGroup as group:
            # Only a caller's on_progress can raise in there; callers know its error, not a group.
            raise group.exceptions[0] from None
        if self.flooded:
            await _stop(process)
        else:
            await process.wait()

    async def _drain_stderr(self, stream: ByteReceiveStream) -> None:
        async for chunk in stream:
            self.stderr += chunk
            del self.stderr[:-_STDERR_TAIL_BYTES]

    async def _read_stdout(self, stream: ByteReceiveStream, everything: anyio.CancelScope) -> None:
        async for chunk in stream:
            self.stdout += chunk
            if self.on_progress is not None and b"\n" in chunk:
                self._report(self.on_progress)
            if len(self.stdout) > _STDOUT_LIMIT_BYTES:
                self.flooded = True
                everything.cancel()

    def _report(self, on_progress: Callable[[float], None]) -> None:
        """Take whole lines off the buffer; the last time among them is how far ffmpeg is."""
        lines = self.stdout.split(b"\n")
        self.stdout = lines.pop()
        for line in reversed(lines):
            name, _, value = line.partition(b"=")
            # Before the first frame the value is "N/A"; it can be negative while priming.
            if name == b"out_time_us" and value.strip().isdigit():
                on_progress(int(value) / 1_000_000)
                return

    def outcome(self, returncode: int | None, time_limit_s: float) -> FfmpegRun:
        tail = clean_text(bytes(self.stderr))
        if self.flooded:
            raise MediaError(
                f"ffmpeg was stopped: it printed more than {_STDOUT_LIMIT_BYTES} bytes",
                stderr_tail=tail,
            )
        if returncode is None:
            raise MediaError(
                f"ffmpeg was stopped: not done after {math.ceil(time_limit_s)} s"
                f"{_last_words(tail)}",
                stderr_tail=tail,
            )
        if returncode != 0:
            ending = (
                f"was killed by signal {-returncode}"
                if returncode < 0
                else f"failed with exit code {returncode}"
            )
            raise MediaError(
                f"ffmpeg {ending}{_last_words(tail)}", returncode=returncode, stderr_tail=tail
            )
        return FfmpegRun(
            stdout=bytes(self.stdout) if self.on_progress is None else b"", stderr_tail=tail
        )


def _last_words(tail: str) -> str:
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    return ": " + " / ".join(line[:200] for line in lines[-5:]) if lines else ""


async def _stop(process: Process) -> None:
    """End a process and all that it started: asked first, killed two seconds later."""
    with anyio.CancelScope(shield=True):
        _signal_group(process, signal.SIGTERM)
        with anyio.move_on_after(_GRACE_S):
            await process.wait()
        # Whatever the leader left behind in its group holds our pipes: it goes too.
        _signal_group(process, signal.SIGKILL)
        await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    # The child leads its own session, so its pid is its group's; never ours, which would be 0.
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:  # macOS says so of a group that holds only ended processes
        return
