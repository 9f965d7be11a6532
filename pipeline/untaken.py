"""What a provider's page documents and a manifest does not take: why, and what to write instead.

Pure. A key of the page is no mistyped one, so that it is not called unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.findings import KeyPath
from pipeline.output import SECTION

# Keys of a provider's page, by name: the reason, and the cure.
_REASONS: Mapping[str, tuple[str, str]] = {
    "taskType": ("it is always videoInference", "leave it out"),
    "taskUUID": (
        "the program chooses it, so that nothing is bought twice",
        "leave it out; run.json has it as task_id",
    ),
    "model": (
        "each provider makes clips with one model only",
        "write provider: wavespeed or runware at the top, or leave it out",
    ),
    "outputType": ("it is always URL, the only one there is", "leave it out"),
    "deliveryMethod": ("it is always async, the only one there is", "leave it out"),
    "includeCost": (
        "it is always true, as spending is counted by it",
        "leave it out; run.json has the cost as settled_usd",
    ),
    "webhookURL": (
        "it belongs to a run, and often holds a secret",
        "storyboard run --webhook-url, or STORYBOARD_WEBHOOK_URL",
    ),
    "webhook": (
        "it belongs to a run, and often holds a secret",
        "storyboard run --webhook-url, or STORYBOARD_WEBHOOK_URL",
    ),
    "enable_sync_mode": (
        "it would hold the paid request open until the clip is made, and its answer is soon lost",
        "leave it out",
    ),
    "enable_base64_output": (
        "it would put the clip into the answer; clips are fetched from their address",
        "leave it out",
    ),
    "positivePrompt": ("it has another name here", "write prompt"),
    "inputs": ("they stand in the shot itself", "write images, frame or video"),
    "referenceImages": ("they have another name here", "write images"),
    "frameImages": ("they have another name here", "write frame, one image"),
    "referenceVideos": ("they have another name here", "write video, one clip"),
}
# What stands in the section of one provider, wherever that is written.
SECTION_KEYS = frozenset(
    {
        *("width", "height", "outputFormat", "outputQuality", "numberResults"),
        *("ttl", "uploadEndpoint", "safety"),
    }
)


def why_untaken(path: KeyPath, name: str) -> tuple[str, str] | None:
    """Message and hint for a key that a provider documents; None for one that nobody does.

    Args:
        path: of the mapping that holds it.
    """
    if name in SECTION_KEYS and SECTION not in path:
        place = (
            f"defaults: {{{SECTION}: {{{name}: …}}}}" if not path else f"{SECTION}: {{{name}: …}}"
        )
        return f"only {SECTION} takes it, in a section of its own", f"write {place}"
    if name not in _REASONS:
        return None
    reason, cure = _REASONS[name]
    return f"is not taken from a manifest: {reason}", cure
