"""Reading the manifests that a command line names."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.capabilities import choose_provider
from pipeline.errors import ExitCode, UsageError
from pipeline.manifest import Checked, read_manifest
from pipeline.model import Problem, Severity, Storyboard
from pipeline.report import Messages
from pipeline.text import shown

# Inside the output folder, so that it lasts as long as the clips that were made from it.
CONVERTED_FOLDER = ".converted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The manifests of a command line: the good ones, and the exit codes of the others."""

    checked: tuple[Checked, ...]
    storyboards: tuple[Storyboard, ...]
    codes: tuple[ExitCode, ...]


def load(args: argparse.Namespace, messages: Messages) -> Loaded:
    """Read every manifest named, report every problem of all of them, keep the good ones."""
    checked = tuple(
        read_manifest(
            file,
            provider=args.provider,
            allow_outside=args.allow_outside,
            max_shots=args.max_shots,
            max_prompt_chars=args.max_prompt_chars,
            convert_images=args.convert_images,
            # Commands without --out need no clip, and so no picture to send.
            converted=args.out / CONVERTED_FOLDER if "out" in args else None,
            stdin=sys.stdin.buffer if file == "-" else None,
        )
        for file in args.manifests
    )
    codes: list[ExitCode] = []
    storyboards: list[Storyboard] = []
    for one in checked:
        for note in one.notes:
            messages.say(f"{one.file}: {note}")
        for problem in one.problems:
            tell = messages.say if problem.severity is Severity.WARNING else messages.error
            tell(str(problem))
        if one.storyboard is None:
            codes.append(_code(one.problems))
        elif twin := _same_name(one.storyboard, storyboards):
            messages.error(
                f"{one.file}:1:1: storyboard: {shown(one.storyboard.name)} is also the name of "
                f"{twin.path} (give each storyboard its own name)"
            )
            codes.append(ExitCode.BAD_MANIFEST)
        else:
            storyboards.append(one.storyboard)
    return Loaded(checked=checked, storyboards=tuple(storyboards), codes=tuple(codes))


def provider_of(args: argparse.Namespace, storyboard: Storyboard) -> str:
    """Who makes this storyboard: the flag, else the manifest, else the free sandbox."""
    return choose_provider(args.provider, storyboard.provider)


def shot_names(option: str, names: Iterable[str], storyboards: Iterable[Storyboard]) -> set[str]:
    """Shot ids that were named on the command line, each known to some storyboard.

    Raises:
        UsageError: a name that no storyboard has; names the closest ones.
    """
    known = {shot.id for storyboard in storyboards for shot in storyboard.shots}
    wanted = set(names)
    for name in sorted(wanted - known):
        close = difflib.get_close_matches(name, sorted(known), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"shots: {_some(known)}"
        raise UsageError(f"{option}: there is no shot {shown(name)}", hint=hint)
    return wanted


def problem_json(problem: Problem) -> dict[str, Any]:
    """One problem as data."""
    return {
        "file": problem.file,
        "line": problem.position.line,
        "column": problem.position.column,
        "path": problem.path,
        "severity": problem.severity.value,
        "message": problem.message,
        "hint": problem.hint,
        "exit_code": int(problem.exit_code),
    }


def _code(problems: Iterable[Problem]) -> ExitCode:
    """65 if anything is wrong with the text itself, 66 if only files are missing."""
    codes = {p.exit_code for p in problems if p.severity is Severity.ERROR}
    return ExitCode.FILE_MISSING if codes == {ExitCode.FILE_MISSING} else ExitCode.BAD_MANIFEST


def _same_name(storyboard: Storyboard, others: Iterable[Storyboard]) -> Storyboard | None:
    name = storyboard.name.casefold()
    return next((other for other in others if other.name.casefold() == name), None)


def _some(names: Iterable[str]) -> str:
    first = sorted(names)[:8]
    return ", ".join(first)
