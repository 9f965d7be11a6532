"""From a valid ``videoInference`` task to what the account sells: media found, film measured."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal

from pipeline.errors import MediaError
from pipeline.sandbox.files import Files
from pipeline.sandbox.options import Quirk, SandboxOptions
from pipeline.sandbox.purchases import Purchase, StoredFile
from pipeline.sandbox.runware_errors import TaskError
from pipeline.sandbox.runware_media import Media, shown
from pipeline.sandbox.runware_orders import (
    EDIT_DURATIONS_S,
    MODEL,
    TIERS,
    Kind,
    VideoOrder,
    request_key,
    tier_of,
)
from pipeline.sandbox.runware_prices import price_micro_usd

# What of a request decides how its clips look, apart from the media.
_LOOKS = (
    *("positivePrompt", "width", "height", "resolution", "duration"),
    *("numberResults", "outputFormat", "outputQuality"),
)


class Purchases:
    """Builds purchases; nothing is sold yet."""

    def __init__(self, *, media: Media, files: Files, options: SandboxOptions) -> None:
        self._media = media
        self._files = files
        self._options = options

    async def build(
        self, order: VideoOrder, body: Mapping[str, object], *, access_key_id: str
    ) -> Purchase:
        """What an order comes to; ``body`` is the task as it was sent.

        Raises:
            TaskError: input media cannot be read, or last too long.
        """
        found = [self._media.find(text, order.kind) for text in order.media]
        where, is_edit = order.media_parameter, order.kind is Kind.EDIT
        lost = next((n for n, each in enumerate(found, 1) if each is None), None)
        reason = "" if lost is None else f"Input {lost} of '{where}' cannot be read."
        if reason and Quirk.LATE_INPUT_CHECK not in self._options.quirks:
            raise TaskError("invalidValueUploadFailed", reason, parameter=where, wants="media")
        fields, duration_s = dict(order.fields), Decimal(order.duration_s or 0)
        if is_edit:
            duration_s, fields["resolution"] = await self._measure(order, found[0])
            fields["duration"] = float(duration_s)
        if order.media:
            texts = [shown(text, each) for text, each in zip(order.media, found, strict=True)]
            fields["inputs"] = {where.removeprefix("inputs."): texts[0] if is_edit else texts}
        webhook = fields.get("webhookURL")
        return Purchase(
            model=MODEL,
            inputs=fields,
            files=tuple(each.file if each else "" for each in found),
            content_key=_content_key(order, found, fields),
            price_micro_usd=price_micro_usd(
                tier_of(fields),
                duration_s,
                results=order.results,
                images=0 if is_edit else len(order.media),
                input_video_s=duration_s if is_edit else Decimal(0),
            ),
            access_key_id=access_key_id,
            webhook=webhook if isinstance(webhook, str) else None,
            lost=reason,
            results=order.results,
            task_id=order.task_uuid,
            may_replace=Quirk.REUSE_AFTER_END in self._options.quirks,
            request_key=request_key(body),
        )

    async def _measure(self, order: VideoOrder, source: StoredFile | None) -> tuple[Decimal, str]:
        """Seconds and tier of an edit: those of its source, whatever ``duration`` says.

        Source: https://docs.x.ai/developers/model-capabilities/video/editing, and the provider's
        own example of $0.404, which is 5.05 s. By the quirk it is the first seconds of it.
        """
        from pipeline.sandbox.footage import probe  # noqa: PLC0415 - heavy, and only edits need it

        least, most = (Decimal(bound) for bound in EDIT_DURATIONS_S)
        if source is None:
            # It is going to fail; the bill still needs a length.
            return least, TIERS[0]
        try:
            facts = await asyncio.to_thread(probe, self._files.path(source))
        except MediaError as exc:
            raise TaskError(
                "invalidValueUploadFailed", f"{exc}.", parameter="inputs.video", wants="video"
            ) from exc
        duration_s = facts.duration_s
        if order.duration_s is not None and Quirk.SHORT_EDITS in self._options.quirks:
            duration_s = min(duration_s, Decimal(order.duration_s))
        if not least <= duration_s <= most:
            raise TaskError(
                "unsupportedDuration",
                f"The input video lasts {facts.duration_s} s; an edit takes {least} to {most} s.",
                parameter="inputs.video",
            )
        return duration_s, TIERS[0] if min(facts.frame_px) <= 480 else TIERS[1]


def _content_key(
    order: VideoOrder, found: list[StoredFile | None], fields: Mapping[str, object]
) -> str:
    """Equal for orders that yield the same clips: media count by content, not by address."""
    digests = [
        f"sha256:{each.sha256}" if each else f"text:{text}"
        for text, each in zip(order.media, found, strict=True)
    ]
    facts = [MODEL, order.kind, digests, [fields.get(name) for name in _LOOKS]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
