"""What each provider sells and promises: one table that checking, pricing and planning read.

Nothing is snapped: a length or size that is not in the table is refused by name. Sources of the
rows: the provider's page of the model (URL beside each row).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from pipeline.model import Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLevel:
    """Limits of a provider account: starts in any minute, tasks running at once."""

    name: str
    submits_per_minute: int
    max_tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one provider can do for a shot.

    ``client_task_ids``: we choose the task id, so a submission may be repeated safely.
    ``history``: finished and running tasks can be listed, so a lost answer can be settled.
    """

    provider: str
    model: str
    source: str
    durations_s: tuple[int, ...]
    resolutions: tuple[Resolution, ...]
    min_references: int
    max_references: int
    max_image_bytes: int
    client_task_ids: bool
    history: bool
    levels: tuple[AccountLevel, ...]

    def level(self, name: str) -> AccountLevel | None:
        """The account level of that name, or None."""
        return next((level for level in self.levels if level.name == name), None)


WAVESPEED = Capabilities(
    provider="wavespeed",
    model="x-ai/grok-imagine-video/reference-to-video",
    source=(
        "https://wavespeed.ai/docs/docs-api/x-ai/x-ai-grok-imagine-video-reference-to-video"
        " and https://wavespeed.ai/docs/account-levels"
    ),
    durations_s=(6, 10),
    resolutions=(Resolution.P480, Resolution.P720),
    min_references=1,
    max_references=7,
    # The oldest upload page says 20 MB an image and newer ones more: the stricter one is safe.
    max_image_bytes=20_000_000,
    client_task_ids=False,
    history=True,
    levels=(
        AccountLevel(name="bronze", submits_per_minute=2, max_tasks=2),
        AccountLevel(name="silver", submits_per_minute=500, max_tasks=300),
        AccountLevel(name="gold", submits_per_minute=3000, max_tasks=3000),
        AccountLevel(name="ultra", submits_per_minute=5000, max_tasks=10000),
    ),
)

# The sandbox stands in for WaveSpeed, so it sells exactly what WaveSpeed sells.
SANDBOX = replace(WAVESPEED, provider="sandbox")

CAPABILITIES: Mapping[str, Capabilities] = MappingProxyType(
    {row.provider: row for row in (WAVESPEED, SANDBOX)}
)
DEFAULT_PROVIDER = "sandbox"
