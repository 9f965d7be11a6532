"""``storyboard doctor``: what this machine has, and what it lacks. Spends nothing."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Mapping
from typing import Any

from pipeline import __version__
from pipeline.errors import ConfigurationError, ExitCode, FfmpegMissing

_PAID = ("wavespeed", "runware")
_SANDBOX = "sandbox"
HELP = "report which ffmpeg is used and whether anything is missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Report the ffmpeg that is used and whether it has all that is needed. With --provider,\n"
        "look at the account instead: key, credit, limits in force, the price of one shot. The\n"
        "sandbox needs none, and says so."
    )
    parser.epilog = (
        "examples:\n  storyboard doctor --json\n  storyboard doctor --provider wavespeed"
    )
    parser.add_argument(
        "--provider",
        choices=(_SANDBOX, *_PAID),
        help="look at the account there; nothing is spent",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Exit 0 where all is well, 69 where ffmpeg will not do or the provider is out of reach, 77
    where it refuses the key or there is no credit, 78 where a setting is wrong."""
    if args.provider is None:
        report, code = _examine(os.environ)
    elif args.provider == _SANDBOX:
        report, code = _describe_sandbox(os.environ)
    else:
        report, code = _examine_account(args.provider, os.environ)
    if args.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        problems = report.pop("problems", [])
        for name, value in report.items():
            text = (", ".join(value) or "none") if isinstance(value, list) else value
            sys.stdout.write(f"{name.replace('_', ' '):<20}{'-' if text is None else text}\n")
        for problem in problems:
            sys.stderr.write(f"storyboard: {problem}\n")
    return code


def _examine_account(provider: str, env: Mapping[str, str]) -> tuple[dict[str, Any], ExitCode]:
    from pipeline.commands.account_check import examine_account  # noqa: PLC0415 - slow to import
    from pipeline.settings import read_settings  # noqa: PLC0415

    found = examine_account(provider, read_settings(env), env)
    return found.facts | {"problems": found.problems}, found.exit_code


def _describe_sandbox(env: Mapping[str, str]) -> tuple[dict[str, Any], ExitCode]:
    """The sandbox is part of the program: nothing about it can be wrong but a setting."""
    from pipeline.capabilities import CAPABILITIES  # noqa: PLC0415 - slow to import
    from pipeline.settings import account_level, read_settings  # noqa: PLC0415

    capabilities = CAPABILITIES[_SANDBOX]
    level = account_level(read_settings(env), capabilities)
    return {
        "provider": _SANDBOX,
        "model": capabilities.model,
        "key": "none is needed",
        "account": "always there: the server starts with each run",
        "price": "free; a run tells what the provider it stands in for would charge",
        "level": level.name,
        "submits_per_minute": level.submits_per_minute,
        "max_tasks": level.max_tasks,
    }, ExitCode.DONE


def _key_words(provider: str, env: Mapping[str, str]) -> tuple[str, bool]:
    """Whether there is a key, in words, and whether that is as it should be."""
    from pipeline.settings import has_key, key_origin, read_access  # noqa: PLC0415

    if not has_key(provider, env):
        return "not set", True
    try:
        access = read_access(provider, env)
    except ConfigurationError as exc:
        return f"cannot be used: {exc}", False
    warning = f"; {access.warning}" if access.warning else ""
    return f"set ({key_origin(provider, env)}){warning}", True


def _examine(env: Mapping[str, str]) -> tuple[dict[str, Any], ExitCode]:
    from pipeline.media.ffmpeg import locate_ffmpeg  # noqa: PLC0415 - slow to import
    from pipeline.media.inventory import inventory  # noqa: PLC0415
    from pipeline.settings import read_settings  # noqa: PLC0415

    code = ExitCode.DONE
    report: dict[str, Any] = {
        "storyboard": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    try:
        settings = read_settings(env)
        report["state_folder"] = str(settings.state_dir or "none: HOME is not set")
        report["settings"] = "good"
    except ConfigurationError as exc:
        code = exc.exit_code
        report["settings"] = str(exc)
    for provider in _PAID:
        report[f"{provider}_key"], is_good = _key_words(provider, env)
        code = code if is_good else ExitCode.CONFIGURATION
    try:
        found = locate_ffmpeg(env)
        stock = inventory(found.path)
        report["ffmpeg"] = str(found.path)
        report["ffmpeg_from"] = found.source
        report["ffmpeg_version"] = stock.version
        report["ffmpeg_lacks"] = list(stock.missing)
        report["ffmpeg_lacks_for"] = {
            use.value: list(lacks) for use, lacks in stock.missing_for.items()
        }
        if stock.missing:
            code = ExitCode.UNAVAILABLE
    except FfmpegMissing as exc:
        report["ffmpeg"] = str(exc)
        code = exc.exit_code
    return report, code
