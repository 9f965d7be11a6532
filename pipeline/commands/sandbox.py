"""``storyboard sandbox``: run the fake provider by itself, for any client of the API."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ExitCode, FileMissing, UsageError

if TYPE_CHECKING:
    from pipeline.sandbox.faults import FaultScript
    from pipeline.sandbox.options import SandboxOptions
    from pipeline.sandbox.server import SandboxServer

HELP = "run a free local stand-in for WaveSpeedAI's and Runware's APIs"
DESCRIPTION = """\
Run a local server that speaks WaveSpeedAI's and Runware's APIs, takes any key, costs nothing and
draws every accepted shot as an animatic clip. It listens on 127.0.0.1 only. One JSON line on
standard output tells its addresses once it listens; Ctrl-C or SIGTERM ends it."""
EXAMPLE = """\
example, a Bronze account whose minute lasts 3 seconds:
  storyboard sandbox --port 8765 --level bronze --rate-window 3 --record record.json
then point a client at it:
  WAVESPEED_BASE_URL=http://127.0.0.1:8765 WAVESPEED_API_KEY=any storyboard run film.yaml
  curl http://127.0.0.1:8765/_sandbox/record"""

# The words of ``pipeline.sandbox.options``, which is imported only when a server is wanted.
_LEVELS = ("bronze", "silver", "gold", "ultra")
_OVER_LIMIT = ("reject", "queue")
_CREDIT_STATUS = ("400", "402", "403")
_QUIRKS = (
    *("reuse-after-end", "unknown-is-error", "failed-poll-400", "failure-in-data"),
    *("no-early-uuid", "late-input-check", "wrapped-webhooks", "short-edits"),
)
_MAX_SECONDS = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; parsing a value that makes no sense raises ``UsageError``."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument_group("addresses and key").add_argument
    add(
        "--port",
        type=_whole("--port", 0, 65535),
        default=0,
        metavar="N",
        help="the API's (0: any free one)",
    )
    add(
        "--files-port",
        type=_whole("--files-port", 0, 65535),
        default=0,
        metavar="N",
        help="where uploads and clips live (0: any free one)",
    )
    add("--key", type=_key, metavar="KEY", help="the only good key (default: any non-empty one)")

    add = parser.add_argument_group("account").add_argument
    add(
        "--level",
        type=_one_of("--level", _LEVELS),
        default="ultra",
        metavar="|".join(_LEVELS),
        help="sets both limits (default ultra)",
    )
    add(
        "--rpm",
        type=_whole("--rpm", 1, 1_000_000),
        metavar="N",
        help="starts in a rate window (else by level)",
    )
    add(
        "--max-tasks",
        type=_whole("--max-tasks", 1, 1_000_000),
        metavar="N",
        help="unfinished tasks at once (else by level)",
    )
    add(
        "--rate-window",
        type=_seconds("--rate-window", 0.001),
        default=60.0,
        metavar="S",
        help="length of the rate window (default 60)",
    )
    add(
        "--over-limit",
        type=_one_of("--over-limit", _OVER_LIMIT),
        default="reject",
        metavar="|".join(_OVER_LIMIT),
        help="above a limit: answer 429, or take the task and start it later (default reject)",
    )
    add(
        "--retry-after",
        type=_whole("--retry-after", 0, 86_400),
        metavar="S",
        help="Retry-After of a 429 (default: none is sent)",
    )
    add("--balance", type=_dollars, default=Decimal(1000), metavar="USD", help="default 1000")
    add(
        "--insufficient-credit-status",
        type=_one_of("--insufficient-credit-status", _CREDIT_STATUS),
        default="400",
        metavar="|".join(_CREDIT_STATUS),
        help="HTTP status when the balance is short (default 400, with code 1407)",
    )

    add = parser.add_argument_group("tasks").add_argument
    add(
        "--latency",
        type=_span,
        default=(0.0, 0.0),
        metavar="A:B",
        help="shortest and longest time of a task in seconds (default 0:0, as fast as it draws)",
    )
    add(
        "--seed",
        type=_whole("--seed", 0, 2**63 - 1),
        default=0,
        metavar="N",
        help="chooses the latencies (default 0)",
    )
    add(
        "--min-poll",
        type=_seconds("--min-poll", 0),
        default=1.0,
        metavar="S",
        help="polls of one task closer than this are violations (default 1)",
    )
    add(
        "--sync-limit",
        type=_seconds("--sync-limit", 0),
        default=90.0,
        metavar="S",
        help="longest wait of a synchronous submission (default 90)",
    )
    add("--no-slate", action="store_true", help="clips show their pictures and nothing else")
    add("--no-history", action="store_true", help="the history answers 404")
    add("--history-inputs", action="store_true", help="history items carry the task's inputs")
    add("--forget-deleted", action="store_true", help="deleted tasks answer 404, not 'deleted'")

    add = parser.add_argument_group("Runware's dialect").add_argument
    add(
        "--quirk",
        type=_one_of("--quirk", _QUIRKS),
        action="append",
        default=[],
        metavar="NAME",
        help="another answer where Runware's pages leave it open; may be given several times:"
        f" {', '.join(_QUIRKS)}",
    )
    add(
        "--socket-idle",
        type=_seconds("--socket-idle", 0.001),
        default=120.0,
        metavar="S",
        help="close a WebSocket that is silent for so long (default 120)",
    )

    add = parser.add_argument_group("faults").add_argument
    add(
        "--faults",
        type=Path,
        metavar="FILE",
        help="play this fault script, YAML or JSON; docs/faults.md lists every fault",
    )
    add(
        "--client-pid-file",
        type=Path,
        metavar="FILE",
        help="holds the process id of the client that the script's kill_client kills",
    )

    add = parser.add_argument_group("state and record").add_argument
    add(
        "--state",
        type=Path,
        metavar="DIR",
        help="keep tasks, uploads, clips and bill here; servers may share it"
        " (default: a temporary folder, removed at the end)",
    )
    add("--record", type=Path, metavar="FILE", help="write bill and violations here at the end")
    add(
        "--exit-on-stdin-close",
        action="store_true",
        help="end with standard input, so as not to outlive the program at its other end",
    )


def main(args: argparse.Namespace) -> int:
    """Serve until SIGINT, SIGTERM or, if asked for, the end of standard input.

    Raises:
        UsageError, FileMissing: the fault script cannot be read, or makes no sense.
        FfmpegMissing: nothing to draw clips with.
        ConfigurationError: a port is not free.
        StorageError, CannotWrite: the state folder or the record file will not do.
    """
    import asyncio  # noqa: PLC0415 - this and the next are slow to import

    from pipeline.sandbox.server import SandboxServer  # noqa: PLC0415

    server = SandboxServer(_options(args))
    asyncio.run(_serve(server, watch_stdin=args.exit_on_stdin_close))
    return ExitCode.DONE


def _options(args: argparse.Namespace) -> SandboxOptions:
    from pipeline.media.ffmpeg import find_ffmpeg  # noqa: PLC0415 - as above
    from pipeline.sandbox.options import OverLimit, Quirk, SandboxOptions  # noqa: PLC0415
    from pipeline.sandbox.renders import animatic_renderer  # noqa: PLC0415

    render, version = animatic_renderer(find_ffmpeg(os.environ), has_slate=not args.no_slate)
    return SandboxOptions(
        render=render,
        render_version=version,
        port=args.port,
        files_port=args.files_port,
        key=args.key,
        level=args.level,
        rpm=args.rpm,
        max_tasks=args.max_tasks,
        rate_window_s=args.rate_window,
        over_limit=OverLimit(args.over_limit),
        retry_after_s=args.retry_after,
        latency_s=args.latency,
        seed=args.seed,
        min_poll_s=args.min_poll,
        balance_usd=args.balance,
        insufficient_credit_status=int(args.insufficient_credit_status),
        history=not args.no_history,
        history_inputs=args.history_inputs,
        forget_deleted=args.forget_deleted,
        sync_limit_s=args.sync_limit,
        quirks=frozenset(Quirk(name) for name in args.quirk),
        socket_idle_s=args.socket_idle,
        state=args.state,
        record=args.record,
        faults=_faults(args.faults, args.client_pid_file),
    )


def _faults(file: Path | None, client_pid_file: Path | None) -> FaultScript | None:
    if file is None:
        if client_pid_file is not None:
            raise UsageError("--client-pid-file goes with --faults")
        return None
    from pipeline.sandbox.fault_text import read_faults  # noqa: PLC0415 - as above

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as exc:
        raise FileMissing(f"cannot read the fault script {file}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise UsageError(f"{file} is not UTF-8 text") from exc
    script = read_faults(text, source=str(file))
    return script if client_pid_file is None else replace(script, client_pid_file=client_pid_file)


async def _serve(server: SandboxServer, *, watch_stdin: bool) -> None:
    import asyncio  # noqa: PLC0415 - slow to import, and loaded by now

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    if watch_stdin:
        threading.Thread(target=_stop_at_end_of_stdin, args=(server,), daemon=True).start()

    def announce() -> None:
        line = {"base_url": server.base_url, "files_url": server.files_url, "key": server.key}
        if server.canary_url:
            line["canary_url"] = server.canary_url
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    await server.run(announce)


def _stop_at_end_of_stdin(server: SandboxServer) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.stop()


def _whole(name: str, least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most:
            return int(text)
        raise UsageError(f"{name} {text!r} is not a whole number from {least} to {most}")

    return read


def _seconds(name: str, least: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = _float(text)
        if value is not None and least <= value <= _MAX_SECONDS:
            return value
        raise UsageError(f"{name} {text!r} is not a number of seconds from {least:g}")

    return read


def _one_of(name: str, words: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text in words:
            return text
        raise UsageError(f"{name} {text!r} is not one of {', '.join(words)}")

    return read


def _span(text: str) -> tuple[float, float]:
    first, colon, second = text.partition(":")
    shortest, longest = _float(first), _float(second if colon else first)
    if shortest is None or longest is None or not 0 <= shortest <= longest <= _MAX_SECONDS:
        raise UsageError(
            f"--latency {text!r} is not a range of seconds", hint="write it as 1:3, or 2 for 2:2"
        )
    return shortest, longest


def _dollars(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= 1_000_000_000:
        raise UsageError(f"--balance {text!r} is not an amount in dollars", hint="such as 12.50")
    return amount


def _key(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise UsageError("--key must be printable ASCII text without blanks around it")
    return text


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
