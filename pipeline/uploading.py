"""Gives every reference an address that the provider can read; a file is uploaded once.

What was uploaded is remembered for as long as the provider keeps it, by content, for all runs of
the account. Costs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from pipeline.model import FileReference, Reference
from pipeline.planning import PlannedTake
from pipeline.production import Production, Services
from pipeline.providers.base import TakeRequest


class UnlessHalted(Protocol):
    """Makes a call that is given up once submissions are stopped."""

    async def __call__(self, call: Callable[[], Awaitable[str]]) -> str: ...


class Uploads:
    """The uploads of one run."""

    def __init__(self, services: Services, unless_halted: UnlessHalted) -> None:
        self._services = services
        self._unless_halted = unless_halted
        self._under_way: dict[str, anyio.Lock] = {}

    async def address(
        self, production: Production, planned: PlannedTake, reference: Reference
    ) -> str:
        """The URL or id under which a task can name a reference.

        Raises:
            ProviderError: the upload failed; nothing was paid.
        """
        if not isinstance(reference, FileReference):
            return reference.url
        account, capabilities = self._services.account, self._services.provider.capabilities
        # One provider's addresses mean nothing to another, and the sandbox is two of them.
        key = f"{capabilities.provider} {reference.content_key}"
        async with self._under_way.setdefault(key, anyio.Lock()):
            cached = account.cached_upload(key, capabilities.upload_keep_s)
            if cached is not None:
                return cached

            async def upload() -> str:
                self._services.say(production, planned.slate, "uploading", reference.source)
                return await self._services.provider.upload(reference)

            address = await self._unless_halted(upload)
            account.remember_upload(key, address)
            return address

    def used(self, request: TakeRequest) -> None:
        """A task was made of them: where the provider counts from the last use, that was now."""
        if self._services.provider.capabilities.kept_by_use:
            self._services.account.renew_uploads(_addresses(request))

    def forget(self, request: TakeRequest) -> None:
        """The provider could not read one of them; the next try uploads them again."""
        self._services.account.forget_uploads(_addresses(request))


def _addresses(request: TakeRequest) -> list[str]:
    return [each for each in (*request.image_urls, request.frame_url, request.video_url) if each]
