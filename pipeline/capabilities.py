"""What each provider sells and promises: one table that checking, pricing and planning read.

Nothing is snapped: a length or size that is not in the table is refused by name. Sources of the
rows: the provider's page of the model (URL beside each row).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

from pipeline.model import Container, Resolution, ShotKind, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLevel:
    """Limits of a provider account: starts in any minute, tasks running at once."""

    name: str
    submits_per_minute: int
    max_tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a provider sells of one kind of shot.

    ``resolutions`` that may be named; ``sizes`` in pixels that may be named instead (empty: none),
    the first of each being what is bought where neither is named. Both empty: the picture follows
    from the input. ``why`` explains a limit that the provider's own page does not show;
    ``sure_input_s`` is up to what length a clip that goes in is taken without doubt (None: any).
    """

    durations_s: tuple[int, ...]
    resolutions: tuple[Resolution, ...] = ()
    sizes: tuple[Size, ...] = ()
    min_references: int = 0
    max_references: int = 0
    why: str = ""
    sure_input_s: Fraction | None = None


class PromptDialect(StrEnum):
    """How a provider's prompts name images: as in the manifest (``@image1``), as the upstream
    model's own notation (``<IMAGE_1>``), or in words ("the first reference image")."""

    MANIFEST = "manifest"
    UPSTREAM = "upstream"
    PROSE = "prose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one provider can do for a shot.

    ``client_task_ids``: we choose the task id, so a submission may be repeated safely.
    ``history``: finished and running tasks can be listed, so a lost answer can be settled.
    ``quotes``: it tells the price of a take beforehand. ``bill``: its charges can be listed.
    ``containers`` that clips can be had in; ``max_results`` the most takes of one task.
    ``max_image_side_px`` that a picture keeps (None: not stated); ``fetched_images`` what an
    address may lead to; ``inline_images`` whether a manifest may hold the picture itself.
    ``puts_clips``: it uploads a finished clip to an address of ours as well.
    ``upload_keep_s`` how long an uploaded file can be named, in seconds, ``kept_by_use`` counted
    from its last use.
    """

    provider: str
    model: str
    source: str
    offers: Mapping[ShotKind, Offer]
    max_image_bytes: int
    client_task_ids: bool
    history: bool
    quotes: bool
    bill: bool
    levels: tuple[AccountLevel, ...]
    containers: tuple[Container, ...] = (Container.MP4,)
    max_results: int = 1
    prompt_dialect: PromptDialect = PromptDialect.MANIFEST
    max_image_side_px: int | None = None
    fetched_images: tuple[str, ...] = ("JPEG", "PNG", "WebP", "GIF", "BMP")
    inline_images: bool = False
    puts_clips: bool = False
    upload_keep_s: float = 24 * 3600.0
    kept_by_use: bool = False

    @property
    def max_references(self) -> int:
        """The most images that a prompt can name."""
        return max(offer.max_references for offer in self.offers.values())

    def level(self, name: str) -> AccountLevel | None:
        """The account level of that name, or None."""
        return next((level for level in self.levels if level.name == name), None)


_BOTH = (Resolution.P720, Resolution.P480)
# Seconds of the longest clip that anybody edits: what an edit of one behind an address can cost.
LONGEST_EDIT_S = 10

WAVESPEED = Capabilities(
    provider="wavespeed",
    model="x-ai/grok-imagine-video/reference-to-video",
    source=(
        "https://wavespeed.ai/docs/docs-api/x-ai/x-ai-grok-imagine-video-reference-to-video"
        " and https://wavespeed.ai/docs/account-levels"
    ),
    offers=MappingProxyType(
        {
            ShotKind.REFERENCES: Offer(
                durations_s=(6, 10), resolutions=_BOTH, min_references=1, max_references=7
            )
        }
    ),
    # The oldest upload page says 20 MB an image and newer ones more: the stricter one is safe.
    max_image_bytes=20_000_000,
    # The same page's list of formats. An upload is deleted after 7 days whether it is used or not;
    # the official clients name one for a day.
    fetched_images=("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF"),
    upload_keep_s=24 * 3600.0,
    client_task_ids=False,
    history=True,
    quotes=True,
    bill=True,
    levels=(
        AccountLevel(name="bronze", submits_per_minute=2, max_tasks=2),
        AccountLevel(name="silver", submits_per_minute=500, max_tasks=300),
        AccountLevel(name="gold", submits_per_minute=3000, max_tasks=3000),
        AccountLevel(name="ultra", submits_per_minute=5000, max_tasks=10000),
    ),
)

# The table of https://runware.ai/docs/models/xai-grok-imagine-video, the 720p tier first. Its 3:2
# and 2:3 have no pair there that could be confirmed.
_RUNWARE_SIZES = tuple(
    Size(width_px=width, height_px=height)
    for width, height in (
        (1280, 720),
        (720, 1280),
        (720, 720),
        (960, 720),
        (720, 960),
        (848, 480),
        (480, 848),
        (480, 480),
        (640, 480),
        (480, 640),
        (720, 480),
        (480, 720),
    )
)

RUNWARE = Capabilities(
    provider="runware",
    model="xai:grok-imagine@video",
    source="https://runware.ai/docs/models/xai-grok-imagine-video",
    offers=MappingProxyType(
        {
            ShotKind.REFERENCES: Offer(
                durations_s=tuple(range(1, 11)),
                sizes=_RUNWARE_SIZES,
                min_references=1,
                max_references=7,
                why="Runware's page says 1 to 15, but the model behind it makes at most 10 s "
                "from reference images",
            ),
            ShotKind.TEXT: Offer(durations_s=tuple(range(1, 16)), sizes=_RUNWARE_SIZES),
            ShotKind.FRAME: Offer(durations_s=tuple(range(1, 16)), resolutions=_BOTH),
            # The model's own page: a source of at most 8.7 s, whose length the edit has, whatever
            # is asked for. https://docs.x.ai/developers/model-capabilities/video/editing
            ShotKind.EDIT: Offer(
                durations_s=tuple(range(2, LONGEST_EDIT_S + 1)),
                why="Runware's page says 2 to 10 s, but the model behind it edits clips of at most "
                "8.7 s",
                sure_input_s=Fraction(87, 10),
            ),
        }
    ),
    # Larger ones were seen to be refused upstream; sides over 2048 px are reduced anyway.
    max_image_bytes=8_000_000,
    max_image_side_px=2048,
    inline_images=True,
    puts_clips=True,
    # Deleted 30 days after the last use; two days are left for a run that takes its time.
    # https://runware.ai/docs/platform/image-upload
    upload_keep_s=28 * 24 * 3600.0,
    kept_by_use=True,
    client_task_ids=True,
    history=False,
    quotes=False,
    bill=False,
    # The service publishes no quota; its own batch guide suggests a steady two to four.
    # https://runware.ai/docs/platform/rate-limits
    levels=(
        AccountLevel(name="bronze", submits_per_minute=60, max_tasks=3),
        AccountLevel(name="silver", submits_per_minute=120, max_tasks=15),
        AccountLevel(name="gold", submits_per_minute=600, max_tasks=100),
        AccountLevel(name="ultra", submits_per_minute=3000, max_tasks=1000),
    ),
    containers=tuple(Container),
    max_results=4,
    prompt_dialect=PromptDialect.UPSTREAM,
)

# The sandbox stands in for a paid provider, so it sells exactly what that one sells.
SANDBOX = replace(WAVESPEED, provider="sandbox")
SANDBOX_RUNWARE = replace(RUNWARE, provider="sandbox-runware")

CAPABILITIES: Mapping[str, Capabilities] = MappingProxyType(
    {row.provider: row for row in (WAVESPEED, RUNWARE, SANDBOX, SANDBOX_RUNWARE)}
)
# What people may name; which of its two the sandbox is follows from what it stands in for.
PROVIDERS = ("sandbox", "wavespeed", "runware")
DEFAULT_PROVIDER = "sandbox"
_STAND_INS: Mapping[str, str] = MappingProxyType({"runware": "sandbox-runware"})


def is_free(provider: str) -> bool:
    """Whether a provider takes no money: the sandbox, whatever it stands in for."""
    return provider in {SANDBOX.provider, SANDBOX_RUNWARE.provider}


def choose_provider(wanted: str | None, named: str | None) -> str:
    """The row of ``CAPABILITIES`` that a run uses.

    Args:
        wanted: by the command line, one of ``PROVIDERS`` or None.
        named: by the manifest, likewise. A sandbox that is wanted stands in for it.
    """
    chosen = wanted or named or DEFAULT_PROVIDER
    return _STAND_INS.get(named or "", chosen) if chosen == SANDBOX.provider else chosen
