"""Runware's wire format for ``xai:grok-imagine@video``. No I/O.

One URL takes an array of tasks; every request here holds exactly one, so that an answer can be
about nothing else. Source of the contract: https://runware.ai/docs/models/xai-grok-imagine-video;
of the other tasks: https://runware.ai/docs/platform/task-polling.md, ``/task-details``,
``/image-upload``, ``/media-storage`` and ``/account-management`` beside it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any, assert_never
from uuid import uuid4

from pipeline.capabilities import Capabilities, PromptDialect
from pipeline.errors import Unavailable, UnknownTask
from pipeline.model import FileReference, SafetyMode, ShotKind
from pipeline.prompt import rewrite
from pipeline.providers.answers import need_usd
from pipeline.providers.base import (
    Archive,
    Books,
    HttpReply,
    HttpRequest,
    Signing,
    TakeRequest,
    TaskStatus,
    UploadTicket,
)
from pipeline.providers.runware_answers import Envelope, failed_question, read_acceptance, read_item
from pipeline.providers.runware_faults import FaultKind, read_faults
from pipeline.providers.runware_status import read_task
from pipeline.text import clean

# What several integrations report as the usual life of a result. It is always said, because an
# organisation without data retention otherwise has its files deleted after 60 s:
# https://runware.ai/docs/models-api/zero-data-retention
_KEEP_S = 7 * 24 * 60 * 60
_UPLOAD_IDS = {"imageUpload": "imageUUID", "mediaStorage": "mediaUUID"}
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


class Runware:
    """The dialect; holds the capability row it speaks for and how prompts name images.

    ``prompts`` None: as the row says. ``new_id`` makes the ids of tasks that nobody pays
    for, each a UUID of version 4.
    """

    def __init__(
        self,
        capabilities: Capabilities,
        *,
        prompts: PromptDialect | None = None,
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._capabilities = capabilities
        self._prompts = prompts or capabilities.prompt_dialect
        self._new_id = new_id

    @property
    def capabilities(self) -> Capabilities:
        """What can be bought through this dialect."""
        return self._capabilities

    @property
    def books(self) -> Books | None:
        """None: neither history, quotes nor a bill by task."""
        return None

    @property
    def archive(self) -> Archive:
        """Executed tasks can be looked up."""
        return self

    @property
    def signing(self) -> Signing | None:
        """None: its webhooks are not signed."""
        return None

    def build_submit(self, request: TakeRequest) -> HttpRequest:
        """The paid task, under the id that we chose. Unknown keys are refused by the service."""
        if not request.task_id:
            raise AssertionError("a task is only ever submitted under an id of ours")
        output = request.output
        task: dict[str, Any] = {
            "taskType": "videoInference",
            "taskUUID": request.task_id,
            "model": request.model,
            "positivePrompt": rewrite(request.prompt, self._prompts),
            **_subject(request),
            "deliveryMethod": "async",
            "outputType": "URL",
            "outputFormat": output.container.value,
            "numberResults": request.results,
            "includeCost": True,
            "ttl": _KEEP_S if output.keep_s is None else output.keep_s,
        }
        if request.duration_s is not None:
            task["duration"] = request.duration_s
        if output.quality is not None:
            task["outputQuality"] = output.quality
        if output.safety is not SafetyMode.NONE:
            task["safety"] = {"checkContent": True, "mode": output.safety.value}
        if request.webhook_url:
            task["webhookURL"] = request.webhook_url
        if output.put_url is not None:
            task["uploadEndpoint"] = output.put_url
        return _post(task)

    def read_submit(self, reply: HttpReply, request: TakeRequest) -> str:
        """Our own id once it is taken; see ``read_acceptance``."""
        return read_acceptance(reply, request.task_id)

    def build_status(self, task_id: str) -> HttpRequest:
        """Ask for the results of a task."""
        return _post({"taskType": "getResponse", "taskUUID": task_id})

    def read_status(self, reply: HttpReply, task_id: str, results: int = 1) -> TaskStatus:
        """How a task is; see ``read_task``."""
        return read_task(reply, task_id, results)

    def build_details(self, task_id: str) -> HttpRequest:
        """Ask the archive for a task."""
        return _post({"taskType": "getTaskDetails", "taskUUID": task_id})

    def read_details(self, reply: HttpReply, task_id: str) -> bool:
        """Whether the archive shows that there was a task of that id, however it ended.

        It keeps the latest answer only. A plain refusal proves no task; one of a second sending,
        which says that the id is in use, does.

        Raises:
            KeyRefused, RateLimited, Unavailable: the question failed.
            ConfigurationError: a redirect.
        """
        envelope = Envelope(reply, task_id)
        yes = 200 <= reply.status < 300
        if yes and envelope.items:
            return any(_holds_task(item) for item in envelope.items)
        refused = envelope.addressed or envelope.unaddressed or envelope.strange
        error = failed_question(reply, envelope)
        if (yes and envelope.empty and not refused) or isinstance(error, UnknownTask):
            return False
        raise error

    def build_upload(
        self,
        reference: FileReference,
        name: str,  # noqa: ARG002 - the service names files itself
        content: bytes,
    ) -> HttpRequest:
        """Hand a picture or clip over, inside the request. A picture over 2048 px is reduced."""
        uri = f"data:{reference.media_type};base64,{b64encode(content).decode('ascii')}"
        if reference.media_type.startswith("image/"):
            return self._ask("imageUpload", image=uri)
        return self._ask("mediaStorage", operation="upload", media=uri)

    def read_upload(self, reply: HttpReply) -> UploadTicket:
        """The id of the file, which a task can name for 30 days after its last use."""
        item = read_item(reply, *_UPLOAD_IDS)
        file_id = item.get(_UPLOAD_IDS[item["taskType"]])
        if not isinstance(file_id, str) or not _UUID.match(file_id):
            raise Unavailable("the provider's answer to an upload names no file")
        return UploadTicket(put=None, address=file_id)

    def build_balance(self) -> HttpRequest:
        """Ask for the account's credit: free, and it proves the key."""
        return self._ask("accountManagement", operation="getDetails")

    def read_balance(self, reply: HttpReply) -> Decimal:
        """Credit in dollars. Whether ``amount`` holds the ``freeBalance`` is nowhere said, so that
        is not added."""
        balance = read_item(reply, "accountManagement").get("balance")
        if not isinstance(balance, dict):
            raise Unavailable("the provider's balance could not be read")
        currency = balance.get("currency", "USD")
        if currency != "USD":
            raise Unavailable(f"the provider's balance is in {clean(str(currency), limit=10)}")
        return need_usd(balance.get("amount"), "balance")

    def _ask(self, task_type: str, **fields: str) -> HttpRequest:
        return _post({"taskType": task_type, "taskUUID": self._new_id(), **fields})


def _post(task: dict[str, Any]) -> HttpRequest:
    return HttpRequest(method="POST", path="/v1", json=[task])


def _subject(request: TakeRequest) -> dict[str, Any]:
    """What the clip is made from, and its picture the way that each kind of shot has to say it:
    ``resolution`` is legal beside a first frame only."""
    match request.kind:
        case ShotKind.REFERENCES:
            return _size(request) | {"inputs": {"referenceImages": list(request.image_urls)}}
        case ShotKind.TEXT:
            return _size(request)
        case ShotKind.FRAME:
            frame = {"image": request.frame_url, "frame": "first"}
            return {"resolution": request.resolution.value, "inputs": {"frameImages": [frame]}}
        case ShotKind.EDIT:
            return {"inputs": {"video": request.video_url}}
        case _:
            assert_never(request.kind)


def _size(request: TakeRequest) -> dict[str, Any]:
    if request.size is None:
        raise AssertionError("this kind of shot is asked for by width and height")
    return {"width": request.size.width_px, "height": request.size.height_px}


def _holds_task(item: dict[str, Any]) -> bool:
    """Whether an entry of the archive is of a task, and not of a submission that made none."""
    answer = item.get("response")
    told = answer if isinstance(answer, dict) else {}
    if told.get("data"):
        return True
    if told.get("errors"):
        return any(
            fault.is_verdict or fault.kind in {FaultKind.TASK, FaultKind.CONFLICT}
            for fault in read_faults(told)
        )
    return bool(item.get("request"))
