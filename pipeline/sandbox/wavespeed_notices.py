"""Tells a customer's own server that a task of WaveSpeed's dialect has ended, signed.

Sources: https://wavespeed.ai/docs/how-to-use-webhooks , https://wavespeed.ai/docs/verify-webhooks
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable

from pipeline.sandbox.answers import NS_PER_S
from pipeline.sandbox.courier import Courier
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.store import Store, Task

_FIRST_LOOK_S, _SELDOM_S = 0.02, 0.5
# Once and three times more, as others report; the provider's pages do not say.
_ATTEMPTS = 4

Prediction = Callable[[Task], dict[str, object]]


def webhook_secret(key_id: str) -> str:
    """The secret that belongs to a key; told at ``GET /webhook/secret``."""
    return f"whsec_{key_id}"


class WaveSpeedNotices:
    """Watches the tasks that want a notice."""

    def __init__(self, *, store: Store, courier: Courier, options: SandboxOptions) -> None:
        self._store = store
        self._courier = courier
        self._options = options

    def watch(self, task: Task, prediction: Prediction) -> None:
        """Send one notice when the task has ended, whatever its end."""
        if task.webhook:
            self._courier.begin(self._follow(task.id, task.webhook, prediction))

    async def _follow(self, task_id: str, url: str, prediction: Prediction) -> None:
        look_s = _FIRST_LOOK_S
        while (task := self._store.task(task_id, now_ns=self._options.clock())) is not None:
            if task.is_final:
                # The task by itself, without the envelope of other answers.
                content = json.dumps(prediction(task) | {"input": task.inputs}).encode()
                await self._post(task, url, content)
                return
            await asyncio.sleep(look_s)
            look_s = min(2 * look_s, _SELDOM_S)

    async def _post(self, task: Task, url: str, content: bytes) -> None:
        name = f"msg_{uuid.uuid4().hex}"

        def headers() -> dict[str, str]:
            at = str(self._options.clock() // NS_PER_S)
            # The secret counts as text from behind its prefix on, whatever it looks like.
            secret = webhook_secret(task.access_key_id).removeprefix("whsec_").encode()
            signed = f"{name}.{at}.".encode() + content
            digest = hmac.new(secret, signed, hashlib.sha256).hexdigest()
            return {
                "Content-Type": "application/json",
                "webhook-id": name,
                "webhook-timestamp": at,
                "webhook-signature": f"v3,{digest}",
            }

        await self._courier.deliver("webhook", "POST", url, content, headers, attempts=_ATTEMPTS)
