"""How the provider's catalogue describes a model to clients that check for drift."""

from __future__ import annotations

from pipeline.sandbox.bill import PRICES, price_micro_usd, usd
from pipeline.sandbox.orders import Model


def catalogue_entry(model: Model, server: str) -> dict[str, object]:
    """Shape: the catalogue as the official command-line client reads it."""
    cents = PRICES[model.id].micro_usd_per_s // 10_000
    properties = {
        "images": {"type": "array", "items": {"type": "string"}, "maxItems": model.max_images},
        "prompt": {"type": "string"},
        "duration": {
            "type": "integer",
            "enum": list(model.durations_s),
            "default": model.durations_s[0],
        },
        "resolution": {
            "type": "string",
            "enum": list(model.resolutions),
            "default": model.resolutions[0],
        },
    }
    return {
        "model_id": model.id,
        "name": model.id,
        "description": "Reference images and a prompt to a clip",
        "type": "image-to-video",
        "base_price": float(usd(price_micro_usd(model.id, PRICES[model.id].base_duration_s))),
        "sort_order": 0,
        "formula": f'{{"total_price": duration * {cents} / 100}}',
        "api_schema": {
            "api_schemas": [
                {
                    "type": "model_run",
                    "method": "POST",
                    "server": server,
                    "api_path": f"/api/v3/{model.id}",
                    "request_schema": {
                        "type": "object",
                        "properties": properties,
                        "required": ["images", "prompt"],
                        "x-order-properties": list(properties),
                    },
                }
            ]
        },
    }
