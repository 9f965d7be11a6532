"""Runware's errors: a code to branch on, words, and the parameter that is meant.

Source: https://runware.ai/docs/platform/errors
"""

from __future__ import annotations

from collections.abc import Iterable

_HELP = "https://runware.ai/docs/platform/errors"

# What is wrong with a task that failed later, by the numbers that both dialects share.
FAILURE_NAMES = {
    1200: "providerContentPolicyViolation",
    1402: "invalidValueUploadFailed",
    1403: "inferenceError",
    5003: "providerError",
    5004: "timeoutProvider",
}
# The other way round, for money: a content verdict is not refunded, nor is a lost input.
FAILURE_NUMBERS = {
    "contentPolicyViolation": 1200,
    "providerContentPolicyViolation": 1200,
    "promptBlocked": 1200,
    "imageBlocked": 1200,
    "moderationFailed": 1200,
    "nsfwContentDetected": 1200,
    "sensitiveContentDetected": 1200,
    "unsafeContentDetected": 1200,
    "invalidValueUploadFailed": 1402,
    "providerError": 5003,
    "timeoutProvider": 5004,
}
# Codes of whole requests that failed, by HTTP status.
STATUS_CODES = {
    400: "invalidRequest",
    401: "invalidApiKey",
    402: "insufficientCredits",
    403: "forbidden",
    404: "notFound",
    429: "rateLimitExceeded",
    500: "internalServerError",
    503: "serviceUnavailable",
    504: "timeoutProvider",
}


class TaskError(Exception):
    """One task is refused; ``status`` is the HTTP status where it is the only one."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        parameter: str | list[str] | None = None,
        wants: str | None = None,
        allowed: Iterable[object] = (),
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.parameter = parameter
        self.wants = wants
        self.allowed = tuple(allowed)
        self.status = status

    def item(self, **address: object) -> dict[str, object]:
        """The error as an answer carries it; ``address`` says whose it is."""
        facts = {
            "code": self.code,
            "message": self.message,
            "parameter": self.parameter,
            "type": self.wants,
            "documentation": _HELP,
            "allowedValues": list(self.allowed) or None,
        }
        return {name: value for name, value in {**facts, **address}.items() if value is not None}


def status_code(status: int) -> str:
    """The code that goes with an HTTP status."""
    fallback = STATUS_CODES[500 if status >= 500 else 400]
    return STATUS_CODES.get(status, fallback)


def missing(parameter: str, wants: str) -> TaskError:
    """A required parameter is not there."""
    return TaskError(
        f"missing{_capital(parameter)}",
        f"Missing required parameter '{parameter}'. It must be {wants}.",
        parameter=parameter,
        wants=wants,
    )


def invalid(parameter: str, wants: str, *, allowed: Iterable[object] = ()) -> TaskError:
    """A parameter has a value that it cannot have."""
    values = tuple(allowed)
    choice = f" Allowed values: {', '.join(str(value) for value in values)}." if values else ""
    return TaskError(
        f"invalid{_capital(parameter)}",
        f"Invalid value for parameter '{parameter}'. It must be {wants}.{choice}",
        parameter=parameter,
        wants=wants,
        allowed=values,
    )


def unsupported(parameter: str, reason: str, *, code: str = "unsupportedParameter") -> TaskError:
    """A parameter that the model does not take, or not together with the others."""
    return TaskError(code, f"Unsupported use of '{parameter}': {reason}.", parameter=parameter)


def _capital(parameter: str) -> str:
    last = parameter.rpartition(".")[2]
    return last[:1].upper() + last[1:]
