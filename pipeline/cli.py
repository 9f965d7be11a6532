"""The command line: reads arguments, hands them to one command, turns failures into exit codes.

Commands live in ``pipeline.commands`` and import what they need only when they run, so that
``storyboard --help`` stays quick.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from pipeline import __version__
from pipeline.errors import ExitCode, StoryboardError, UsageError
from pipeline.text import clean

_COMMANDS = (
    "validate",
    "estimate",
    "plan",
    "run",
    "status",
    "spend",
    "reconcile",
    "conform",
    "resolve",
    "animatic",
    "sandbox",
    "listen",
    "doctor",
)
_DESCRIPTION = """\
Turn a storyboard manifest into a finished multi-shot video ad. Nothing is paid without a printed
estimate; nothing is paid twice; the same command starts a run and resumes it."""
_EPILOG = """\
example, free and without a network:
  storyboard run manifests/aurora-bottle.yaml
exit codes:
  0 done, 1 some shot failed, 3 a submission is in doubt, 4 over budget (nothing sent),
  64 usage, 65 bad manifest, 66 file missing, 69 provider or ffmpeg out of reach,
  73 cannot write, 74 disk full or I/O, 75 locked or still running, 77 key or credit refused,
  78 configuration, 130 and 143 stopped by a signal"""


_KEY_OPTION = re.compile(r"unrecognized arguments:.*--?(api[-_]?)?(key|token)\b", re.IGNORECASE)


class _Parser(argparse.ArgumentParser):
    """argparse, with this program's exit code for a wrong command line."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        if _KEY_OPTION.search(message):
            # Not shown: what follows it is a key.
            raise UsageError(
                "a key has no place on a command line, where everybody on this machine can read it",
                hint="keys come from the environment or a file: WAVESPEED_API_KEY, "
                "WAVESPEED_API_KEY_FILE",
            )
        raise UsageError(message, hint=f"see `{self.prog} --help`")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; each command module declares its own arguments."""
    parser = _Parser(
        prog="storyboard",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"storyboard {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with every error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        module = import_module(f"pipeline.commands.{name}")
        command = commands.add_parser(
            name,
            help=module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.set_defaults(main=module.main)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; no exception leaves here but ``SystemExit``."""
    debug = "--debug" in arguments
    _mend_streams()
    try:
        parsed = build_parser().parse_args(arguments)
        return int(parsed.main(parsed))
    except StoryboardError as exc:
        if debug:
            traceback.print_exc()
        _complain(f"storyboard: {exc}")
        return int(exc.exit_code)
    except KeyboardInterrupt:
        _complain("storyboard: interrupted")
        return int(ExitCode.SIGINT)
    except BrokenPipeError:
        # The reader of our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)
    except OSError as exc:
        if debug:
            traceback.print_exc()
        _complain(f"storyboard: {exc.strerror or exc}: {clean(str(exc.filename or 'output'))}")
        return int(ExitCode.IO_ERROR)
    except Exception:  # noqa: BLE001 - the last resort, and the only one
        traceback.print_exc()
        _complain("storyboard: this is a bug; please report it with the lines above")
        return 70  # EX_SOFTWARE
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def entry() -> NoReturn:
    """The console script. A run that a signal stopped dies of that signal, so that make and
    shells stop as well: https://www.cons.org/cracauer/sigint.html"""
    code = main(sys.argv[1:])
    for number, stopped in ((signal.SIGINT, ExitCode.SIGINT), (signal.SIGTERM, ExitCode.SIGTERM)):
        if code == stopped:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
    sys.exit(code)


def _mend_streams() -> None:
    """Give closed streams a place to go, and let no character stop the program."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Left open for as long as the program runs.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115


def _complain(text: str) -> None:
    with contextlib.suppress(BrokenPipeError, ValueError):
        sys.stderr.write(f"{text}\n")
