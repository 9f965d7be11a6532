"""Every failure a user can meet, with its exit code and what to do next.

Code decides on the class and its attributes, never on the words of a message. Wrong manifests
are not exceptions: ``validation`` returns them as ``Problem`` values, all at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """The program's exit codes; the values from 64 up are those of BSD ``sysexits``."""

    DONE = 0
    SHOT_FAILED = 1
    IN_DOUBT = 3
    OVER_BUDGET = 4
    USAGE = 64
    BAD_MANIFEST = 65
    FILE_MISSING = 66
    UNAVAILABLE = 69
    CANNOT_WRITE = 73
    IO_ERROR = 74
    TRY_LATER = 75
    KEY_REFUSED = 77
    CONFIGURATION = 78
    SIGINT = 130
    SIGTERM = 143


# Of several reasons, the one that says most about what to do next comes first.
_GRAVEST_FIRST = (
    ExitCode.SIGINT,
    ExitCode.SIGTERM,
    ExitCode.KEY_REFUSED,
    ExitCode.IO_ERROR,
    ExitCode.CANNOT_WRITE,
    ExitCode.CONFIGURATION,
    ExitCode.USAGE,
    ExitCode.IN_DOUBT,
    ExitCode.OVER_BUDGET,
    ExitCode.UNAVAILABLE,
    ExitCode.BAD_MANIFEST,
    ExitCode.FILE_MISSING,
    ExitCode.SHOT_FAILED,
    ExitCode.TRY_LATER,
    ExitCode.DONE,
)


def gravest(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code that stands for several."""
    return min(codes, key=_GRAVEST_FIRST.index, default=ExitCode.DONE)


class StoryboardError(Exception):
    """Base of every expected failure: what was being done, why it failed, and the cure."""

    exit_code = ExitCode.SHOT_FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(StoryboardError):
    """The command line asks for something that makes no sense."""

    exit_code = ExitCode.USAGE


class ManifestError(StoryboardError):
    """A manifest was refused; its problems have been reported one by one."""

    exit_code = ExitCode.BAD_MANIFEST


class FileMissing(StoryboardError):
    """A file that the user named is not there or cannot be read."""

    exit_code = ExitCode.FILE_MISSING


class CannotWrite(StoryboardError):
    """The output folder cannot be made or written to."""

    exit_code = ExitCode.CANNOT_WRITE


class StorageError(StoryboardError):
    """The disk is full, failed, or holds a journal that cannot be trusted."""

    exit_code = ExitCode.IO_ERROR


class Displaced(StorageError):
    """The files of a run were deleted or replaced under it; it must not spend any more."""

    exit_code = ExitCode.TRY_LATER


class Locked(StoryboardError):
    """Another run holds this storyboard."""

    exit_code = ExitCode.TRY_LATER


class ConfigurationError(StoryboardError):
    """A setting is missing or wrong: no key, a bad URL, a number out of range."""

    exit_code = ExitCode.CONFIGURATION


class OverBudget(StoryboardError):
    """The plan costs more than the cap allows; nothing was sent."""

    exit_code = ExitCode.OVER_BUDGET


class MediaError(StoryboardError):
    """ffmpeg refused, failed, hung, or made something other than what was asked.

    ``returncode`` is ffmpeg's own (None where it never ended by itself); ``stderr_tail`` its
    last lines, made safe to print.
    """

    exit_code = ExitCode.IO_ERROR

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        returncode: int | None = None,
        stderr_tail: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.returncode = returncode
        self.stderr_tail = stderr_tail


class FfmpegMissing(MediaError):
    """No usable ffmpeg: none found, or one without an encoder or filter that we need."""

    exit_code = ExitCode.UNAVAILABLE


class ClipRejected(MediaError):
    """A downloaded clip is damaged or is not what was asked for."""

    exit_code = ExitCode.SHOT_FAILED


class FilmRefused(MediaError):
    """A clip or a finished film was made and measured, and is not what it should be."""

    exit_code = ExitCode.SHOT_FAILED


class PlateRefused(StoryboardError):
    """Words or a picture that cannot be put on the screen: too long, too large, damaged."""

    exit_code = ExitCode.BAD_MANIFEST


class ProviderError(StoryboardError):
    """Base of what can go wrong between us and a provider."""

    exit_code = ExitCode.UNAVAILABLE


class Rejected(ProviderError):
    """The provider said no and made no task: fix the shot, then run again."""

    exit_code = ExitCode.SHOT_FAILED

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ReferenceRefused(Rejected):
    """The provider could not fetch or read a reference; what was uploaded may be gone there."""


class KeyRefused(Rejected):
    """The key is not accepted, or the account has no credit: every further submission stops."""

    exit_code = ExitCode.KEY_REFUSED


class NoCredit(KeyRefused):
    """The account has no credit; what runs already is not concerned."""


class RateLimited(ProviderError):
    """The provider asked us to slow down and did not take the request."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(ProviderError):
    """The provider could not be reached; nothing was sent, or the call is safe to repeat."""


class NotOffered(Unavailable):
    """The provider has no such call; nothing was sent, and asking again is of no use."""


class UnknownTask(ProviderError):
    """The provider does not know this task id."""


class UrlExpired(ProviderError):
    """A result URL no longer answers with the clip; the provider may name a fresh one."""


class UrlRefused(ProviderError):
    """A result URL leads somewhere that a clip may not come from; no connection was made."""

    exit_code = ExitCode.SHOT_FAILED


class StillRunning(ProviderError):
    """A task is not done yet; a later run takes it up. Nothing is lost, nothing re-bought."""

    exit_code = ExitCode.TRY_LATER


class Halted(ProviderError):
    """No new submission is wanted any more; nothing was sent for this take."""

    exit_code = ExitCode.TRY_LATER


class SubmissionInDoubt(ProviderError):
    """A paid submission was sent and its outcome is not known: the task may exist.

    It is never sent again by itself; the provider's history or a person settles it.
    """

    exit_code = ExitCode.IN_DOUBT
