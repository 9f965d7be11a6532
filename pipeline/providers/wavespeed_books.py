"""What WaveSpeed tells of an account's past: history, quotes and the bill. No I/O.

Sources: https://wavespeed.ai/docs/docs-common-api/predictions,
https://wavespeed.ai/docs/docs-common-api/pricing and the official Python SDK 2.0.5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipeline.capabilities import Capabilities
from pipeline.errors import Unavailable
from pipeline.providers.answers import SAFE_TASK_ID, need_usd
from pipeline.providers.base import BillingRow, HistoryItem, HttpReply, HttpRequest, TakeRequest
from pipeline.providers.wavespeed_answers import read_data
from pipeline.text import clean

_HISTORY_PAGE_SIZE = 100


def inputs_of(request: TakeRequest) -> dict[str, Any]:
    """The contract's four keys, as they are submitted, quoted and echoed."""
    return {
        "images": list(request.image_urls),
        "prompt": request.prompt,
        "duration": request.duration_s,
        "resolution": request.resolution.value,
    }


class WaveSpeedBooks:
    """The ``Books`` of the dialect."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities

    def build_history(self, created_after: datetime, page: int) -> HttpRequest:
        """A page of the account's tasks of this model; pages count from 1, newest task first."""
        after = created_after.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return HttpRequest(
            method="POST",
            path="/api/v3/predictions",
            json={
                "page": page,
                "page_size": _HISTORY_PAGE_SIZE,
                "model": self._capabilities.model,
                "created_after": after,
            },
        )

    def read_history(self, reply: HttpReply) -> tuple[tuple[HistoryItem, ...], bool]:
        """The items of a page, and whether another page may follow."""
        items = read_data(reply).get("items")
        if not isinstance(items, list):
            raise Unavailable("the provider's history could not be read")
        found = []
        for item in items:
            task_id = item.get("id") if isinstance(item, dict) else None
            if not isinstance(task_id, str) or not SAFE_TASK_ID.match(task_id):
                raise Unavailable("the provider's history holds something unknown")
            inputs = item.get("inputs") or item.get("input")
            found.append(
                HistoryItem(
                    task_id=task_id,
                    created_at=_read_time(str(item.get("created_at", ""))),
                    inputs=inputs if isinstance(inputs, dict) else None,
                )
            )
        return tuple(found), len(items) >= _HISTORY_PAGE_SIZE

    def same_request(self, inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        """Whether echoed inputs agree with a body that we sent, on all four keys."""
        keys = ("images", "prompt", "duration", "resolution")
        return all(inputs.get(key) == request.get(key) for key in keys)

    def build_quote(self, request: TakeRequest) -> HttpRequest:
        """Ask for the price of a take. The whole body goes along: for an incomplete one the
        endpoint answers with the catalogue's lowest price, which is no quote."""
        return HttpRequest(
            method="POST",
            path="/api/v3/model/price",
            json={"model_id": request.model, "inputs": inputs_of(request)},
        )

    def read_quote(self, reply: HttpReply) -> Decimal:
        """What would be charged, in dollars: the discounted price where there is one."""
        data = read_data(reply)
        price = data.get("discounted_price", data.get("price"))
        return need_usd(price, "quote")

    def build_billings(self, since: datetime, page: int) -> HttpRequest:
        """A page of the account's charges and refunds; times are epoch milliseconds as text."""
        return HttpRequest(
            method="POST",
            path="/api/v3/billings/search",
            json={
                "page": page,
                "page_size": _HISTORY_PAGE_SIZE,
                "model_uuid": self._capabilities.model,
                "start_time": str(round(since.timestamp() * 1000)),
                "sort": "created_at DESC",
            },
        )

    def build_charges(self, task_ids: Sequence[str]) -> HttpRequest:
        """The rows of a few tasks, whenever they were made."""
        return HttpRequest(
            method="POST",
            path="/api/v3/billings/search",
            json={
                "page": 1,
                "page_size": _HISTORY_PAGE_SIZE,
                "prediction_uuids": list(task_ids),
                "sort": "created_at DESC",
            },
        )

    def read_billings(self, reply: HttpReply) -> tuple[tuple[BillingRow, ...], bool]:
        """The rows of a page, and whether another page may follow."""
        items = read_data(reply).get("items")
        if not isinstance(items, list):
            raise Unavailable("the provider's bill could not be read")
        rows = []
        for item in items:
            task = item.get("prediction") if isinstance(item, dict) else None
            if not isinstance(task, dict):
                raise Unavailable("the provider's bill holds something unknown")
            rows.append(
                BillingRow(
                    row_id=clean(_name(item.get("uuid")), limit=100),
                    task_id=clean(_name(task.get("uuid")), limit=128),
                    is_refund=item.get("billing_type") == "refund",
                    amount_usd=need_usd(item.get("price"), "bill"),
                    created_at=_read_time(str(item.get("created_at", ""))),
                    key_id=clean(_name(item.get("access_key_id")), limit=128),
                )
            )
        return tuple(rows), len(items) >= _HISTORY_PAGE_SIZE


def _name(value: object) -> str:
    """What the bill calls something, empty where it says nothing.

    Raises:
        Unavailable: that is no name; as one, it would be that of somebody else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unavailable("the provider's bill holds something unknown")
    return value


def _read_time(text: str) -> datetime:
    """An RFC 3339 time with any number of fraction digits.

    Raises:
        Unavailable: it is not a time.
    """
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)\Z", text)
    if match is None:
        raise Unavailable("the provider's history holds a time that cannot be read")
    whole, fraction, zone = match.groups()
    micros = (fraction or "0")[:6].ljust(6, "0")
    try:
        told = datetime.fromisoformat(f"{whole}.{micros}{'+00:00' if zone == 'Z' else zone}")
        return told.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise Unavailable("the provider's history holds a time that does not exist") from exc
