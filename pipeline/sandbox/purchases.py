"""What an account is asked for, in words that every dialect shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """An input that can be fetched: its name in the uploads folder and its content."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A valid submission with its price.

    ``inputs`` what the model is given, defaults filled in, as JSON values. ``files`` names in the
    uploads folder, empty where an input cannot be fetched; ``lost`` says which, and makes the task
    fail. ``content_key`` is equal for purchases that yield the same clips, ``request_key`` for
    equal requests. ``task_id`` None: the provider chooses one; ``may_replace``: a task of this
    id that has ended is no hindrance.
    """

    model: str
    inputs: Mapping[str, object]
    files: tuple[str, ...]
    content_key: str
    price_micro_usd: int
    access_key_id: str
    webhook: str | None
    lost: str = ""
    results: int = 1
    task_id: str | None = None
    may_replace: bool = False
    request_key: str = ""
