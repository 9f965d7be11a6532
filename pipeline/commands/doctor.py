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

HELP = "report which ffmpeg is used and whether anything is missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Report the ffmpeg that is used and whether it has all that is needed."
    parser.epilog = "example:\n  storyboard doctor --json"
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Exit 0 where all is well, 69 where ffmpeg will not do, 78 where a setting is wrong."""
    report, code = _examine(os.environ)
    if args.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for name, value in report.items():
            text = (", ".join(value) or "none") if isinstance(value, list) else value
            sys.stdout.write(f"{name.replace('_', ' '):<16}{text}\n")
    return code


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
    for provider in ("WAVESPEED", "RUNWARE"):
        there = env.get(f"{provider}_API_KEY") or env.get(f"{provider}_API_KEY_FILE")
        report[f"{provider.lower()}_key"] = "set" if there else "not set"
    try:
        found = locate_ffmpeg(env)
        stock = inventory(found.path)
        report["ffmpeg"] = str(found.path)
        report["ffmpeg_from"] = found.source
        report["ffmpeg_version"] = stock.version
        report["ffmpeg_lacks"] = list(stock.missing)
        if stock.missing:
            code = ExitCode.UNAVAILABLE
    except FfmpegMissing as exc:
        report["ffmpeg"] = str(exc)
        code = exc.exit_code
    return report, code
