"""What the runner may ask of a provider, whatever the provider.

A provider is wire format (one module each, no I/O) carried by one HTTP adapter. It promises what
its ``Capabilities`` say and fails only with the four provider errors: ``Rejected``,
``RateLimited``, ``Unavailable`` and ``SubmissionInDoubt``. What only some providers offer is a
protocol of its own (``Books``, ``Archive``, ``Signing``) that a dialect has or has not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from pipeline.capabilities import Capabilities
from pipeline.model import FileReference, Output, Resolution, ShotKind, Size


class TaskPhase(StrEnum):
    """How far a provider's task is; everything that is not known to have ended is running."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeRequest:
    """One submission as the provider is asked for it.

    ``prompt`` in the manifest's own dialect (``@image1``); ``image_urls``, ``frame_url`` and
    ``video_url`` addresses or ids that ``Provider.upload`` gave out, images in ``@image`` order;
    ``task_id`` the id that we chose, empty where the provider chooses. ``duration_s`` None: as
    long as the clip that is edited. ``results`` takes in one task; ``webhook_url`` where the
    provider shall tell that it is done.
    """

    model: str
    prompt: str
    image_urls: tuple[str, ...]
    duration_s: int | None
    resolution: Resolution
    kind: ShotKind = ShotKind.REFERENCES
    size: Size | None = None
    frame_url: str = ""
    video_url: str = ""
    output: Output = field(default_factory=Output)
    results: int = 1
    task_id: str = ""
    webhook_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """One answer about a task.

    ``word`` is the provider's own status; ``outputs`` the clips' URLs, in an order that stays the
    same from one look to the next once the task is done (of a running one, those that are there
    already); ``flagged`` whether the provider marked an output as unsafe; ``code`` and ``message``
    say why a task failed, or, beside outputs, why there are fewer than were asked for.
    ``cost_usd`` what the provider says that the whole task cost, None where it does not say.
    ``reference_lost``: it failed because a reference could not be fetched or read;
    ``no_credit``: because the account has no credit.
    """

    phase: TaskPhase
    word: str
    outputs: tuple[str, ...] = ()
    flagged: bool = False
    code: str = ""
    message: str = ""
    cost_usd: Decimal | None = None
    reference_lost: bool = False
    no_credit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """A task in the provider's history; ``inputs`` None where the provider does not echo them."""

    task_id: str
    created_at: datetime
    inputs: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingRow:
    """One line of the provider's bill: a charge or a refund in dollars, for one task.

    ``key_id`` is the provider's name for the API key that the task was made with, empty where
    the bill does not say.
    """

    row_id: str
    task_id: str
    is_refund: bool
    amount_usd: Decimal
    created_at: datetime
    key_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as data. ``path`` below the base URL; ``url`` instead for a foreign host, which
    never gets the key."""

    method: str
    path: str = ""
    url: str = ""
    json: Mapping[str, Any] | list[Any] | None = None
    content: bytes | None = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """An answer as data; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTicket:
    """Where to send a file (None: it has arrived already), and the URL or id under which a task
    can name it."""

    put: HttpRequest | None
    address: str


class Books(Protocol):
    """What a provider tells of an account's tasks and money, in wire format."""

    def build_history(self, created_after: datetime, page: int) -> HttpRequest: ...
    def read_history(self, reply: HttpReply) -> tuple[tuple[HistoryItem, ...], bool]: ...
    def same_request(self, inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool: ...
    def build_quote(self, request: TakeRequest) -> HttpRequest: ...
    def read_quote(self, reply: HttpReply) -> Decimal: ...
    def build_billings(self, since: datetime, page: int) -> HttpRequest: ...
    def build_charges(self, task_ids: Sequence[str]) -> HttpRequest: ...
    def read_billings(self, reply: HttpReply) -> tuple[tuple[BillingRow, ...], bool]: ...


class Archive(Protocol):
    """A second, slower place to ask whether a task was ever made."""

    def build_details(self, task_id: str) -> HttpRequest: ...
    def read_details(self, reply: HttpReply, task_id: str) -> bool: ...


class Signing(Protocol):
    """How to learn the secret that a provider signs its webhooks with."""

    def build_webhook_secret(self) -> HttpRequest: ...
    def read_webhook_secret(self, reply: HttpReply) -> str: ...


class Dialect(Protocol):
    """A provider's wire format: ``build_`` makes a request, ``read_`` parses the answer.

    What an answer must be matched against comes along with it: the request that was submitted,
    or the task that was asked about and how many results it was to make.
    """

    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def books(self) -> Books | None: ...
    @property
    def archive(self) -> Archive | None: ...
    @property
    def signing(self) -> Signing | None: ...

    def build_submit(self, request: TakeRequest) -> HttpRequest: ...
    def read_submit(self, reply: HttpReply, request: TakeRequest) -> str: ...
    def build_status(self, task_id: str) -> HttpRequest: ...
    def read_status(self, reply: HttpReply, task_id: str, results: int = 1) -> TaskStatus: ...
    def build_upload(self, reference: FileReference, name: str, content: bytes) -> HttpRequest: ...
    def read_upload(self, reply: HttpReply) -> UploadTicket: ...
    def build_balance(self) -> HttpRequest: ...
    def read_balance(self, reply: HttpReply) -> Decimal: ...


class Provider(Protocol):
    """What the runner uses. Only ``submit`` costs money, and it is never repeated below it.

    A call that this provider does not offer raises ``NotOffered``.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def server_ahead_s(self) -> float | None:
        """How far the provider's clock is ahead of ours by its last answer, None before any."""
        ...

    async def upload(self, reference: FileReference) -> str:
        """Hand over a local image or clip; return the URL or id that a task can name."""
        ...

    async def submit(self, request: TakeRequest) -> str:
        """Start one paid task and return its id. Sends exactly one request."""
        ...

    async def status(self, task_id: str, results: int = 1) -> TaskStatus:
        """Ask how a task is that was to make so many results."""
        ...

    async def details(self, task_id: str) -> bool:
        """Whether the provider's archive holds a task of that id, however it ended."""
        ...

    async def history(self, created_after: datetime) -> tuple[HistoryItem, ...]:
        """Every task that the account started since then, newest first; by the provider's clock."""
        ...

    def same_request(self, inputs: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        """Whether a history item's echoed inputs are those of a request we recorded."""
        ...

    async def balance(self) -> Decimal:
        """The account's credit in dollars; a free way to check the key."""
        ...

    async def quote(self, request: TakeRequest) -> Decimal:
        """What the provider itself would charge for a take, in dollars."""
        ...

    async def billings(self, since: datetime) -> tuple[BillingRow, ...]:
        """Every charge and refund of this model since then, newest first."""
        ...

    async def charges(self, task_ids: Sequence[str]) -> tuple[BillingRow, ...]:
        """The charges and refunds of a few tasks, at most 50."""
        ...

    async def webhook_secret(self) -> str:
        """The secret that the provider signs its webhooks with."""
        ...
