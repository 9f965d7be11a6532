"""Read a submission the way the provider does: known fields checked, unknown ones dropped.

Source: https://wavespeed.ai/docs/docs-api/x-ai/x-ai-grok-imagine-video-reference-to-video
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from pipeline.sandbox.answers import Refusal, is_integer
from pipeline.sandbox.bill import price_micro_usd
from pipeline.sandbox.purchases import Purchase, StoredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one model takes; the first duration and resolution are the defaults."""

    id: str
    max_images: int
    durations_s: tuple[int, ...]
    resolutions: tuple[str, ...]


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        model.id: model
        for model in (
            Model(
                id="x-ai/grok-imagine-video/reference-to-video",
                max_images=7,
                durations_s=(6, 10),
                resolutions=("720p", "480p"),
            ),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A valid submission, defaults filled in; ``images`` 1 to 7 http(s) addresses in order.

    ``sync``: the answer waits for the end of the task. ``webhook``: where a notice is wanted.
    """

    model: str
    images: tuple[str, ...]
    prompt: str
    duration_s: int
    resolution: str
    sync: bool
    webhook: str | None

    @property
    def inputs(self) -> dict[str, object]:
        """The fields in the provider's words."""
        return {
            "images": list(self.images),
            "prompt": self.prompt,
            "duration": self.duration_s,
            "resolution": self.resolution,
        }


def read_order(model: Model, body: Mapping[str, object], *, webhook: str | None) -> Order:
    """Check one request body.

    Raises:
        Refusal: 400; the message names the field and what it takes.
    """
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise Refusal(400, "prompt is required and must be a non-empty string")
    resolution = body.get("resolution", model.resolutions[0])
    if resolution not in model.resolutions:
        raise Refusal(400, f"resolution must be one of {', '.join(model.resolutions)}")
    return Order(
        model=model.id,
        images=_read_images(body.get("images"), model.max_images),
        prompt=prompt,
        duration_s=_read_duration(body, model),
        resolution=str(resolution),
        sync=body.get("enable_sync_mode") is True,
        webhook=webhook,
    )


def build_purchase(
    order: Order, images: list[StoredFile | None], *, access_key_id: str
) -> Purchase:
    """What the account is to sell; ``images`` in the order's order, None for one out of reach."""
    lost = next((n for n, image in enumerate(images, 1) if image is None), None)
    return Purchase(
        model=order.model,
        inputs=order.inputs,
        files=tuple(image.file if image else "" for image in images),
        content_key=_content_key(order, images),
        price_micro_usd=price_micro_usd(order.model, order.duration_s),
        access_key_id=access_key_id,
        webhook=order.webhook,
        lost=f"reference image {lost} could not be fetched" if lost else "",
    )


def quoted_duration_s(inputs: object, model: Model) -> int | None:
    """The duration a price question names; None where it names none that is sold."""
    value = inputs.get("duration") if isinstance(inputs, Mapping) else None
    return value if is_integer(value) and value in model.durations_s else None


def _content_key(order: Order, images: list[StoredFile | None]) -> str:
    """Equal for orders that yield the same clip: uploads count by content, not by address."""
    pictures = [
        f"sha256:{image.sha256}" if image else f"url:{url}"
        for url, image in zip(order.images, images, strict=True)
    ]
    facts = [order.model, pictures, order.prompt, order.duration_s, order.resolution]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _read_duration(body: Mapping[str, object], model: Model) -> int:
    value = body.get("duration", model.durations_s[0])
    if is_integer(value) and value in model.durations_s:
        return value
    words = " or ".join(str(seconds) for seconds in model.durations_s)
    raise Refusal(400, f"duration must be the integer {words}")


def _read_images(value: object, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise Refusal(400, f"images is required and must be an array of 1 to {most} URLs")
    return tuple(_read_url(item, index) for index, item in enumerate(value))


def _read_url(item: object, index: int) -> str:
    if isinstance(item, str):
        try:
            parts = urlsplit(item)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme in {"http", "https"} and parts.netloc:
            return item
    raise Refusal(400, f"images[{index}] must be an http or https URL")
