"""Collects what is wrong with one manifest, with its place, until there is too much of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeAlias

from pipeline.errors import ExitCode
from pipeline.model import Position, Problem, Severity
from pipeline.text import shown

KeyPath: TypeAlias = tuple[str | int, ...]

# More than anyone reads in one go; the rest waits until these are mended.
MAX_PROBLEMS = 500
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def path_text(path: KeyPath) -> str:
    """``("shots", 3, "duration")`` as ``shots[3].duration``; odd keys are quoted and escaped."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.match(step):
            text += f".{step}" if text else step
        else:
            text += f'["{shown(step, 40)}"]'
    return text


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was most likely meant to be, without regard to case."""
    if len(word) > 64:
        return None
    by_fold = {name.casefold(): name for name in known}
    match = get_close_matches(word.casefold().strip(), by_fold, n=1, cutoff=0.6)
    return by_fold[match[0]] if match else None


def either(words: Sequence[object]) -> str:
    """``6``, ``6 or 10``, ``4, 6 or 10``."""
    *head, last = [str(word) for word in words]
    return f"{', '.join(head)} or {last}" if head else last


@dataclass(slots=True)
class Findings:
    """The problems of one file, and the paths whose value is not worth a second look.

    ``errors`` and ``warnings`` count every one, also those too many to keep.
    """

    file: str
    problems: list[Problem] = field(default_factory=list)
    flagged: set[KeyPath] = field(default_factory=set)
    errors: int = 0
    warnings: int = 0

    def add(
        self,
        position: Position,
        path: KeyPath,
        message: str,
        hint: str,
        *,
        severity: Severity = Severity.ERROR,
        exit_code: ExitCode = ExitCode.BAD_MANIFEST,
        flag: bool = True,
    ) -> None:
        """Note one problem; an error also flags its path, unless its value can still be judged."""
        if severity is Severity.ERROR:
            self.errors += 1
            if flag:
                self.flagged.add(path)
            if self.errors > MAX_PROBLEMS:
                return
        else:
            self.warnings += 1
            if self.warnings > MAX_PROBLEMS:
                return
        self.problems.append(
            Problem(
                file=self.file,
                position=position,
                path=path_text(path),
                message=message,
                hint=hint,
                severity=severity,
                exit_code=exit_code,
            )
        )

    @property
    def has_errors(self) -> bool:
        """Whether anything worse than a warning was found."""
        return self.errors > 0

    @property
    def is_full(self) -> bool:
        """Whether further errors would only be counted."""
        return self.errors > MAX_PROBLEMS

    def sorted(self) -> tuple[Problem, ...]:
        """Every problem in file order; the last says so where there were too many to keep."""
        ordered = sorted(self.problems, key=lambda each: (each.position.line, each.position.column))
        more = max(self.errors, self.warnings) - MAX_PROBLEMS
        if more > 0:
            ordered.append(
                Problem(
                    file=self.file,
                    position=ordered[-1].position,
                    path="",
                    message=f"there is more than this: only {MAX_PROBLEMS} problems are shown",
                    hint="mend these first, then check again",
                    severity=Severity.ERROR if self.has_errors else Severity.WARNING,
                )
            )
        return tuple(ordered)
