"""A clock that nobody sets: the seconds since the machine started, the same for all processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Linux gives every start of the machine a name: random(4).
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """``boot`` names this start of the machine; ``elapsed`` gives seconds since it."""

    boot: str
    elapsed: Callable[[], float]


def machine_uptime() -> Uptime | None:
    """The machine's; None where processes cannot agree on one, and the wall clock must do."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if not boot or clock is None:
        return None
    # It goes on while the machine sleeps, as the provider's clock does.
    return Uptime(boot=boot, elapsed=lambda: time.clock_gettime(clock))
