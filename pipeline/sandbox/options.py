"""What a sandbox server can be told: account limits, latency, state folder, renderer.

Plain values only; ``storyboard sandbox`` builds them from its arguments and tests build them
directly.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.sandbox.animatic import AnimaticSpec
    from pipeline.sandbox.faults import FaultScript

SANDBOX_KEY = "sandbox"


class OverLimit(StrEnum):
    """What happens to a submission above a limit: HTTP 429, or taken and started later."""

    REJECT = "reject"
    QUEUE = "queue"


class Quirk(StrEnum):
    """Where Runware's pages leave something open: the other way of doing it.

    ``REUSE_AFTER_END`` a task id may be used again once its task has ended.
    ``UNKNOWN_IS_ERROR`` a poll of an unknown id answers ``taskNotFound`` instead of nothing.
    ``FAILED_POLL_400`` the poll of a failed task answers 400 instead of 200.
    ``FAILURE_IN_DATA`` a failed task stands in ``data`` with a nested ``error``.
    ``NO_EARLY_UUID`` results that are not ready carry no ``videoUUID`` yet.
    ``LATE_INPUT_CHECK`` input media that cannot be read fail the task instead of the submission.
    ``SHORT_EDITS`` the ``duration`` of an edit shortens it and its bill instead of nothing.
    ``WRAPPED_WEBHOOKS`` a notice is ``{"data": [item]}`` instead of the bare item.
    """

    REUSE_AFTER_END = "reuse-after-end"
    UNKNOWN_IS_ERROR = "unknown-is-error"
    FAILED_POLL_400 = "failed-poll-400"
    FAILURE_IN_DATA = "failure-in-data"
    NO_EARLY_UUID = "no-early-uuid"
    LATE_INPUT_CHECK = "late-input-check"
    SHORT_EDITS = "short-edits"
    WRAPPED_WEBHOOKS = "wrapped-webhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Starts in any rate window, and tasks unfinished at once."""

    starts_per_window: int
    max_tasks: int


# Source: https://wavespeed.ai/docs/account-levels (the newer of two versions of that page).
LEVELS: Mapping[str, Limits] = MappingProxyType(
    {
        "bronze": Limits(starts_per_window=2, max_tasks=2),
        "silver": Limits(starts_per_window=500, max_tasks=300),
        "gold": Limits(starts_per_window=3000, max_tasks=3000),
        "ultra": Limits(starts_per_window=5000, max_tasks=10000),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Everything that shapes one server.

    ``render`` draws the clip of a task, whole or not at all, in a worker thread; it must be a
    pure function of its first argument. ``render_version`` changes whenever the same input would
    be drawn otherwise, so that a kept ``state`` folder serves no stale clips.
    ``port``/``files_port`` 0: any free one. ``key`` None: any non-empty bearer key is good.
    ``rpm``/``max_tasks`` None: as the level says. ``latency_s`` shortest and longest time from
    start to end of a task. ``state`` None: a temporary folder, removed at the end.
    ``quirks`` change Runware's dialect; ``socket_idle_s`` is how long a silent socket is kept.
    ``faults`` what shall go wrong. ``clock`` gives Unix time in nanoseconds; tests replace it.
    """

    render: Callable[[AnimaticSpec, Path], None]
    render_version: str = ""
    render_workers: int = os.cpu_count() or 1
    port: int = 0
    files_port: int = 0
    key: str | None = None
    level: str = "ultra"
    rpm: int | None = None
    max_tasks: int | None = None
    rate_window_s: float = 60.0
    over_limit: OverLimit = OverLimit.REJECT
    retry_after_s: int | None = None
    latency_s: tuple[float, float] = (0.0, 0.0)
    seed: int = 0
    min_poll_s: float = 1.0
    balance_usd: Decimal = Decimal(1000)
    insufficient_credit_status: int = 400
    history: bool = True
    history_inputs: bool = False
    forget_deleted: bool = False
    sync_limit_s: float = 90.0
    ticket_life_s: float = 3600.0
    quirks: frozenset[Quirk] = frozenset()
    socket_idle_s: float = 120.0
    state: Path | None = None
    record: Path | None = None
    faults: FaultScript | None = None
    clock: Callable[[], int] = time.time_ns

    @property
    def limits(self) -> Limits:
        """The two limits in force."""
        level = LEVELS[self.level]
        return Limits(
            starts_per_window=level.starts_per_window if self.rpm is None else self.rpm,
            max_tasks=level.max_tasks if self.max_tasks is None else self.max_tasks,
        )
