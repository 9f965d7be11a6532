"""WaveSpeedAI's API, version 3, as the official clients know it: routes and answers.

A submission passes three moments in plain sequence: it is read (nothing exists yet), accepted
(from here it is billed), answered. Polls and downloads have one place each as well.

Sources: https://wavespeed.ai/docs/rest-api , https://wavespeed.ai/docs/submit-task ,
https://wavespeed.ai/docs/get-result and the official Python SDK 2.0.5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.sandbox import listings
from pipeline.sandbox.account import Account
from pipeline.sandbox.answers import (
    NS_PER_S,
    Refusal,
    read_object,
    refused,
    success,
    write_time,
)
from pipeline.sandbox.bill import PRICES, build_record, price_micro_usd, usd
from pipeline.sandbox.catalogue import catalogue_entry
from pipeline.sandbox.files import Files, media_kind, ticket_headers, upload_path
from pipeline.sandbox.keys import bearer_key, is_good, key_id
from pipeline.sandbox.multipart import read_file_part
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.orders import (
    MODELS,
    Model,
    Order,
    build_purchase,
    quoted_duration_s,
    read_order,
)
from pipeline.sandbox.outputs import output_names
from pipeline.sandbox.renders import RenderQueue
from pipeline.sandbox.store import Store, Task
from pipeline.sandbox.wavespeed_notices import WaveSpeedNotices, webhook_secret

SYNC_TIMED_OUT = 5004
_SYNC_STEP_S = 0.02

_Handler = Callable[[Request], Awaitable[Response]]


class WaveSpeedApi:
    """The application of the API port."""

    def __init__(
        self,
        *,
        store: Store,
        account: Account,
        files: Files,
        renders: RenderQueue,
        options: SandboxOptions,
        notices: WaveSpeedNotices,
    ) -> None:
        self._store = store
        self._account = account
        self._files = files
        self._renders = renders
        self._options = options
        self._notices = notices

    def app(self) -> Starlette:
        """Every route of the dialect, and the record beside it."""
        table: list[tuple[str, str, str, _Handler]] = [
            ("GET", "/predictions/{id}/result", "result", self._result),
            ("GET", "/predictions/{id}", "result", self._result),
            ("POST", "/predictions", "history", self._history),
            ("POST", "/predictions/delete", "delete", self._delete),
            ("POST", "/media/uploads", "upload_ticket", self._make_ticket),
            ("POST", "/media/upload/binary", "upload_binary", self._take_binary),
            ("GET", "/balance", "balance", self._balance),
            ("POST", "/model/price", "price", self._price),
            ("POST", "/model/pricing", "pricing", self._legacy_price),
            ("GET", "/models", "models", self._models),
            ("POST", "/billings/search", "billings", self._billings),
            ("POST", "/user/usage_stats", "usage", self._usage),
            ("GET", "/webhook/secret", "webhook_secret", self._webhook_secret),
        ]
        table += [("POST", f"/{name}", "submit", self._submit_to(m)) for name, m in MODELS.items()]
        routes = [
            Route(f"/api/v3{path}", self._guard(name, handler), methods=[method])
            for method, path, name, handler in table
        ]
        routes.append(Route("/_sandbox/record", self._record, methods=["GET"]))
        app = Starlette(
            routes=routes,
            exception_handlers={
                Refusal: self._refuse,
                HTTPException: self._no_route,
                ClientDisconnect: self._gone,
                Exception: self._broken,
            },
        )
        # A redirect would make clients send a paid POST twice.
        app.router.redirect_slashes = False
        return app

    def _submit_to(self, model: Model) -> _Handler:
        async def submit(request: Request) -> Response:
            webhook = request.query_params.get("webhook")
            order = read_order(model, await read_object(request), webhook=webhook)
            task = self._accept(request, order)
            if order.sync:
                return await self._answer_at_end(request, task)
            return success(self._prediction(request, task))

        return submit

    def _accept(self, request: Request, order: Order) -> Task:
        images = [self._files.image(url) for url in order.images]
        purchase = build_purchase(order, images, access_key_id=key_id(bearer_key(request)))
        task = self._account.accept(purchase, now_ns=self._options.clock())
        if task.needs_clip:
            self._renders.want(task)
        self._notices.watch(task, lambda ended: self._prediction(request, ended))
        return task

    async def _answer_at_end(self, request: Request, task: Task) -> Response:
        """Source of the limit's answer: https://wavespeed.ai/docs/sync-mode"""
        limit_ns = task.created_ns + round(self._options.sync_limit_s * NS_PER_S)
        while (now_ns := self._options.clock()) < limit_ns:
            current = self._look(task.id, now_ns)
            if current is not None and current.is_final:
                return success(self._prediction(request, current))
            await asyncio.sleep(_SYNC_STEP_S)
        waiting = self._prediction(request, task) | {
            "status": "processing",
            "code": SYNC_TIMED_OUT,
            "error": "Sync mode timed out; the task goes on, ask for its result",
        }
        return success(waiting)

    async def _result(self, request: Request) -> Response:
        task_id, now_ns = request.path_params["id"], self._options.clock()
        self._look(task_id, now_ns)
        task = self._account.poll(task_id, now_ns=now_ns)
        if task is None or (task.status == "deleted" and self._options.forget_deleted):
            raise Refusal(404, "Prediction not found")
        return success(self._prediction(request, task))

    def _look(self, task_id: str, now_ns: int) -> Task | None:
        """The task as it stands; a clip that another server left undrawn is wanted here."""
        task = self._store.task(task_id, now_ns=now_ns)
        if task is not None and task.needs_clip:
            self._renders.want(task)
        return task

    def _prediction(self, request: Request, task: Task) -> dict[str, object]:
        done = task.status == "completed"
        failed = task.status == "failed"
        ends_ns = task.ends_ns if done and task.ends_ns is not None else None
        starts_ns = task.created_ns if task.starts_ns is None else task.starts_ns
        host = request.url.netloc
        names = output_names(task) if done else ()
        outputs = [self._files.url(request, f"/outputs/{task.id}/{name}") for name in names]
        data: dict[str, object] = {
            "id": task.id,
            "model": task.model,
            "outputs": outputs,
            "urls": {"get": f"http://{host}/api/v3/predictions/{task.id}/result"},
            "has_nsfw_contents": [False] if done else [],
            "status": task.status,
            "created_at": write_time(task.created_ns),
            "error": task.error if failed else "",
            "executionTime": 0 if ends_ns is None else (ends_ns - task.created_ns) // 1_000_000,
            "timings": {"inference": 0 if ends_ns is None else (ends_ns - starts_ns) // 1_000_000},
        }
        if failed:
            data["code"] = task.error_code
        return data

    async def _make_ticket(self, request: Request) -> Response:
        body = await read_object(request)
        ticket = self._files.make_ticket(
            body.get("filename"), body.get("size"), body.get("content_type")
        )
        url = self._files.url(request, upload_path(ticket))
        return success(
            {
                "type": media_kind(ticket.content_type),
                "filename": ticket.filename,
                "size": ticket.size_bytes,
                "download_url": url,
                "upload": {
                    "method": "PUT",
                    "url": f"{url}?sig={ticket.signature}",
                    "headers": ticket_headers(ticket),
                    "expires_at": write_time(ticket.expires_ns),
                },
            }
        )

    async def _take_binary(self, request: Request) -> Response:
        """Source: https://www.wavespeed.ai/docs/upload-files-api"""
        content_type = request.headers.get("content-type", "")
        part = read_file_part(content_type, await request.body(), field="file")
        if part is None:
            raise Refusal(400, "a multipart form with a file in field 'file' is required")
        upload = await self._files.receive(part.filename, part.content_type, part.data)
        return success(
            {
                "type": media_kind(upload.content_type),
                "download_url": self._files.url(request, upload_path(upload)),
                "filename": upload.filename,
                "size": upload.size_bytes,
            }
        )

    async def _balance(self, _request: Request) -> Response:
        balance = self._account.balance_micro_usd(now_ns=self._options.clock())
        return success({"balance": float(usd(balance))})

    async def _price(self, request: Request) -> Response:
        model_id, price = await self._quote(request)
        return success(
            {"model_id": model_id, "price": price, "discounted_price": price, "currency": "USD"}
        )

    async def _legacy_price(self, request: Request) -> Response:
        _, price = await self._quote(request)
        return success({"unit_price": price, "currency": "USD"})

    async def _quote(self, request: Request) -> tuple[str, float]:
        """Like the real one, it prices incomplete inputs by the base price."""
        body = await read_object(request)
        model = MODELS.get(str(body.get("model_id")))
        if model is None:
            raise Refusal(404, "model not found")
        duration_s = quoted_duration_s(body.get("inputs"), model)
        seconds = PRICES[model.id].base_duration_s if duration_s is None else duration_s
        return model.id, float(usd(price_micro_usd(model.id, seconds)))

    async def _models(self, request: Request) -> Response:
        host = request.url.netloc
        return success([catalogue_entry(model, f"http://{host}") for model in MODELS.values()])

    async def _history(self, request: Request) -> Response:
        if not self._options.history:
            raise Refusal(404, "history is not available")
        body, now_ns = await read_object(request), self._options.clock()

        def view(task: Task) -> dict[str, object]:
            item = self._prediction(request, task)
            return item | {"inputs": task.inputs} if self._options.history_inputs else item

        return success(listings.history(self._store, body, now_ns=now_ns, view=view))

    async def _delete(self, request: Request) -> Response:
        ids = listings.read_ids((await read_object(request)).get("ids"), "ids")
        deleted = self._account.delete(ids, now_ns=self._options.clock())
        for task_id in deleted:
            self._renders.discard(task_id)
        return success({"deleted_count": len(deleted)})

    async def _billings(self, request: Request) -> Response:
        body = await read_object(request)
        return success(listings.billings(self._store, body, now_ns=self._options.clock()))

    async def _usage(self, request: Request) -> Response:
        body = await read_object(request)
        return success(listings.usage(self._store, body, now_ns=self._options.clock()))

    async def _webhook_secret(self, request: Request) -> Response:
        return success({"secret": webhook_secret(key_id(bearer_key(request)))})

    async def _record(self, _request: Request) -> Response:
        now_ns = self._options.clock()
        return JSONResponse(build_record(self._store, self._options, now_ns=now_ns))

    def _guard(self, name: str, handler: _Handler) -> _Handler:
        """Check the key and count the request, and its refusal, before anything else."""

        async def endpoint(request: Request) -> Response:
            self._check_key(request)
            self._store.count(name)
            try:
                return await handler(request)
            except Refusal as refusal:
                self._store.count(f"{name}.{refusal.status}")
                raise

        return endpoint

    def _check_key(self, request: Request) -> None:
        if not is_good(bearer_key(request), self._options.key):
            self._store.count("unauthorized")
            raise Refusal(401, "invalid authentication: send Authorization: Bearer <key>")

    async def _refuse(self, _request: Request, exc: Exception) -> Response:
        if not isinstance(exc, Refusal):
            raise exc
        return refused(exc)

    async def _no_route(self, request: Request, exc: Exception) -> Response:
        if not isinstance(exc, HTTPException):
            raise exc
        try:
            self._check_key(request)
        except Refusal as refusal:
            return refused(refusal)
        self._store.count(f"no_route.{exc.status_code}")
        words = {404: "no such endpoint or model", 405: "method not allowed"}
        message = words.get(exc.status_code, exc.detail)
        return refused(Refusal(exc.status_code, message, headers=exc.headers))

    async def _gone(self, _request: Request, _exc: Exception) -> Response:
        """The client hung up in mid-body; nobody reads this."""
        return Response(status_code=400)

    async def _broken(self, _request: Request, _exc: Exception) -> Response:
        # uvicorn drops the connection after a fault; unannounced, that would cost the client its
        # next request.
        message = "the sandbox failed; its standard error says why"
        return refused(Refusal(500, message, headers={"Connection": "close"}))
