"""Runware's API: one address that takes arrays of tasks, and answers each of them.

A task passes the same moments as in the other dialect: it is read (nothing exists yet), accepted
(from here it is billed), answered. The socket's frames come through here as well.

Sources: https://runware.ai/docs/platform/authentication , https://runware.ai/docs/platform/errors
and the official Python SDKs 0.5.24 and 1.8.0.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.sandbox.account import NO_CREDIT, Account, TaskExists
from pipeline.sandbox.answers import Refusal, read_json
from pipeline.sandbox.bill import usd
from pipeline.sandbox.files import Files, upload_path
from pipeline.sandbox.keys import bearer_key, is_good, key_id
from pipeline.sandbox.options import Quirk, SandboxOptions
from pipeline.sandbox.renders import RenderQueue
from pipeline.sandbox.runware_account import manage, search_models
from pipeline.sandbox.runware_errors import TaskError, invalid, missing, status_code
from pipeline.sandbox.runware_media import Media
from pipeline.sandbox.runware_notices import Notices
from pipeline.sandbox.runware_orders import MODEL, read_order, read_uuid, request_key
from pipeline.sandbox.runware_purchases import Purchases
from pipeline.sandbox.runware_results import Item, Results, archived_request
from pipeline.sandbox.store import Store, Task, ViolationKind

DRY_RUN_HEADER = "x-runware-dry-run"

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request: whose it is, and what its tasks have come to."""

    request: Request
    key: str
    items: list[Item] = field(default_factory=list)
    errors: list[tuple[int, Item]] = field(default_factory=list)

    @property
    def is_dry(self) -> bool:
        return self.request.headers.get(DRY_RUN_HEADER) == "1"


_Handler = Callable[[_Call, Body], Awaitable[None]]


class RunwareApi:
    """The application of ``/v1``."""

    def __init__(
        self,
        *,
        store: Store,
        account: Account,
        files: Files,
        renders: RenderQueue,
        options: SandboxOptions,
        notices: Notices,
        results: Results,
    ) -> None:
        self._store = store
        self._account = account
        self._files = files
        self._renders = renders
        self._options = options
        self._notices = notices
        self._results = results
        self._media = Media(store=store, files=files, options=options)
        self._purchases = Purchases(media=self._media, files=files, options=options)
        self._sessions: set[str] = set()
        # The counters' names are those of the other dialect.
        self._handlers: dict[str, tuple[str, _Handler]] = {
            "videoInference": ("submit", self._submit),
            "getResponse": ("result", self._poll),
            "getTaskDetails": ("history", self._details),
            "imageUpload": ("upload_binary", self._upload_image),
            "mediaStorage": ("upload_binary", self._store_media),
            "accountManagement": ("balance", self._manage),
            "modelSearch": ("models", self._search),
            "ping": ("ping", self._ping),
            "authentication": ("authentication", self._authenticate),
        }

    def app(self) -> Starlette:
        """Every path of the dialect leads to the same place."""
        app = Starlette(
            routes=[
                Route(path, self._post, methods=["POST"]) for path in ("/v1", "/v1/{rest:path}")
            ],
            exception_handlers={
                Refusal: self._refuse,
                HTTPException: self._no_route,
                ClientDisconnect: self._gone,
                Exception: self._broken,
            },
        )
        app.router.redirect_slashes = False
        return app

    async def _post(self, request: Request) -> Response:
        body = await read_json(request)
        if not isinstance(body, list) or not body:
            raise Refusal(400, "The request body must be an array of task objects.")
        leading = body[0] if isinstance(body[0], dict) else {}
        key = bearer_key(request)
        if leading.get("taskType") == "authentication":
            given = leading.get("apiKey")
            key = key or (given if isinstance(given, str) else "")
            # Its own answer is wanted only where it is all that was asked.
            body = body[1:] or body
        call = _Call(request=request, key=key)
        # A ping says nothing about anybody.
        pings = all(isinstance(task, dict) and task.get("taskType") == "ping" for task in body)
        if not pings and not is_good(key, self._options.key):
            self._store.count("unauthorized")
            return _answer(call, [(401, _unauthorized(key).item(taskType="authentication"))])
        for task in body:
            await self._carry_out(call, task)
        return _answer(call, call.errors)

    async def _carry_out(self, call: _Call, task: object) -> None:
        if not isinstance(task, dict):
            call.errors.append((400, invalid("task", "an object").item()))
            return
        kind = task.get("taskType")
        name, handler = self._handlers.get(str(kind), ("", self._unknown))
        if name:
            self._store.count(name)
        try:
            await handler(call, task)
        except TaskError as error:
            if name:
                self._store.count(f"{name}.{error.status}")
            item = error.item(taskUUID=task.get("taskUUID"), taskType=kind)
            call.errors.append((error.status, item))

    async def _unknown(self, _call: _Call, task: Body) -> None:
        if task.get("taskType") is None:
            raise missing("taskType", "a string")
        raise invalid("taskType", "one of the allowed values", allowed=self._handlers)

    async def _authenticate(self, call: _Call, task: Body) -> None:
        known = task.get("connectionSessionUUID")
        session = known if isinstance(known, str) and known in self._sessions else str(uuid.uuid4())
        self._sessions.add(session)
        call.items.append({"taskType": "authentication", "connectionSessionUUID": session})

    async def _ping(self, call: _Call, _task: Body) -> None:
        call.items.append({"taskType": "ping", "pong": True})

    async def _submit(self, call: _Call, task: Body) -> None:
        task_uuid = read_uuid(task.get("taskUUID"))
        self._check_new(task_uuid, task)
        order = read_order(task_uuid, task)
        purchase = await self._purchases.build(order, task, access_key_id=key_id(call.key))
        item: Item = {"taskType": "videoInference", "taskUUID": task["taskUUID"]}
        if call.is_dry:
            call.items.append(item | {"cost": float(usd(purchase.price_micro_usd))})
            return
        try:
            made = self._account.accept(purchase, now_ns=self._options.clock())
        except TaskExists as exc:
            raise self._conflict() from exc
        except Refusal as refusal:
            raise _account_error(refusal) from refusal
        if made.needs_clip:
            self._renders.want(made)
        self._notices.watch(made, lambda path: self._files.url(call.request, path))
        call.items.append(item)

    def _check_new(self, task_uuid: str, task: Body) -> None:
        earlier = self._store.tasks("id = :id", {"id": task_uuid}, now_ns=self._options.clock())
        if not earlier:
            return
        if Quirk.REUSE_AFTER_END in self._options.quirks and earlier[0].is_final:
            return
        # The same request once more is how a lost answer is made up for; another one is a mistake.
        if earlier[0].request_key != request_key(task):
            self._store.note_violation(
                ViolationKind.UUID_REUSED, at_ns=self._options.clock(), task_id=task_uuid
            )
        raise self._conflict()

    def _conflict(self) -> TaskError:
        self._store.count("submit.conflict")
        return TaskError(
            "conflictTaskUUID",
            "A task with this 'taskUUID' exists already. Every task needs a UUID of its own.",
            parameter="taskUUID",
            wants="UUID v4",
        )

    async def _poll(self, call: _Call, task: Body) -> None:
        now_ns, name = self._options.clock(), task.get("taskUUID")
        task_uuid = read_uuid(name)
        self._look(task_uuid, now_ns)
        found = self._account.poll(task_uuid, now_ns=now_ns, may_be_unknown=True)
        if found is None or found.status == "deleted":
            self._store.count("result.unknown")
            if Quirk.UNKNOWN_IS_ERROR in self._options.quirks:
                raise _not_found()
            return
        if not found.is_final or found.status == "completed":
            call.items.extend(self._results.items(found, name, self._address(call)))
        elif Quirk.FAILURE_IN_DATA in self._options.quirks:
            call.items.append(self._results.failed_item(found, name))
        else:
            call.errors.append(self._failed(found, name))

    def _failed(self, task: Task, name: object) -> tuple[int, Item]:
        """The poll itself was in order, so by default its status says so."""
        error = self._results.failure(task)
        status = 400 if Quirk.FAILED_POLL_400 in self._options.quirks else 200
        return status, error.item(taskUUID=name, taskType=task.inputs["taskType"], status="error")

    async def _details(self, call: _Call, task: Body) -> None:
        now_ns, name = self._options.clock(), task.get("taskUUID")
        found = self._look(read_uuid(name), now_ns)
        if not self._options.history or found is None or found.status == "deleted":
            raise _not_found()
        response: Item = {"data": []}
        if not found.is_final or found.status == "completed":
            response["data"] = self._results.items(found, name, self._address(call))
        else:
            response["errors"] = [self._failed(found, name)[1]]
        call.items.append(
            {
                "taskType": "getTaskDetails",
                "taskUUID": name,
                "request": [archived_request(found)],
                "response": response,
            }
        )

    def _look(self, task_uuid: str, now_ns: int) -> Task | None:
        """The task as it stands; a clip that another server left undrawn is wanted here."""
        task = self._store.task(task_uuid, now_ns=now_ns)
        # Ids of both dialects lie in one table.
        if task is None or task.model != MODEL:
            return None
        if task.needs_clip:
            self._renders.want(task)
        return task

    def _address(self, call: _Call) -> Callable[[str], str]:
        return lambda path: self._files.url(call.request, path)

    async def _upload_image(self, call: _Call, task: Body) -> None:
        read_uuid(task.get("taskUUID"))
        upload = await self._media.upload(task.get("image"), "image", images_only=True)
        call.items.append(
            {
                "taskType": "imageUpload",
                "taskUUID": task["taskUUID"],
                "imageUUID": upload.id,
                "imageURL": self._files.url(call.request, upload_path(upload)),
            }
        )

    async def _store_media(self, call: _Call, task: Body) -> None:
        read_uuid(task.get("taskUUID"))
        operation = task.get("operation")
        item: Item = {
            "taskType": "mediaStorage",
            "taskUUID": task["taskUUID"],
            "operation": operation,
        }
        if operation == "upload":
            upload = await self._media.upload(task.get("media"), "media", images_only=False)
            item["mediaUUID"] = upload.id
            item["mediaURL"] = self._files.url(call.request, upload_path(upload))
        elif operation == "delete":
            if not self._media.remove(task.get("mediaUUID")):
                raise invalid("mediaUUID", "the UUID of something stored")
            item["mediaUUID"] = task.get("mediaUUID")
        else:
            raise invalid("operation", "one of the allowed values", allowed=("upload", "delete"))
        call.items.append(item)

    async def _manage(self, call: _Call, task: Body) -> None:
        now_ns = self._options.clock()
        balance = self._account.balance_micro_usd(now_ns=now_ns)
        answer = manage(self._store, task, balance_micro_usd=balance, now_ns=now_ns)
        call.items.append(
            {"taskType": "accountManagement", "taskUUID": task.get("taskUUID")} | answer
        )

    async def _search(self, call: _Call, task: Body) -> None:
        head: Item = {"taskType": "modelSearch", "taskUUID": task.get("taskUUID")}
        call.items.append(head | search_models(task))

    async def _refuse(self, _request: Request, exc: Exception) -> Response:
        if not isinstance(exc, Refusal):
            raise exc
        return _whole_error(exc.status, exc.message)

    async def _no_route(self, _request: Request, exc: Exception) -> Response:
        if not isinstance(exc, HTTPException):
            raise exc
        self._store.count(f"no_route.{exc.status_code}")
        return _whole_error(exc.status_code, "Send POST requests to /v1.")

    async def _gone(self, _request: Request, _exc: Exception) -> Response:
        """The client hung up in mid-body; nobody reads this."""
        return Response(status_code=400)

    async def _broken(self, _request: Request, _exc: Exception) -> Response:
        # As in the other dialect: the connection is about to be dropped.
        answer = _whole_error(500, "the sandbox failed; its standard error says why")
        answer.headers["connection"] = "close"
        return answer


def _answer(call: _Call, errors: list[tuple[int, Item]]) -> Response:
    """``data``, and ``errors`` where there are any: official clients take an empty list for one."""
    body: Item = {"data": call.items}
    if errors:
        body["errors"] = [item for _, item in errors]
    worst = max((status for status, _ in errors), default=200)
    return JSONResponse(body, status_code=200 if call.items else worst)


def _whole_error(status: int, message: str) -> Response:
    error = TaskError(status_code(status), message)
    return JSONResponse({"data": [], "errors": [error.item()]}, status_code=status)


def _unauthorized(key: str) -> TaskError:
    code = "invalidApiKey" if key else "missingApiKey"
    message = "The API key is missing or not valid. Send it as a bearer key, or as the first task."
    return TaskError(code, message, parameter="apiKey", wants="string", status=401)


def _account_error(refusal: Refusal) -> TaskError:
    """What the account said, in this dialect's words."""
    if refusal.status == 429:
        return TaskError("rateLimitExceeded", refusal.message, status=429)
    if refusal.code == NO_CREDIT or refusal.status in {402, 403}:
        return TaskError(
            "videoInferenceInsufficientCredits", refusal.message, status=refusal.status
        )
    return TaskError(status_code(refusal.status), refusal.message, status=refusal.status)


def _not_found() -> TaskError:
    return TaskError("taskNotFound", "There is no task with this 'taskUUID'.", parameter="taskUUID")
