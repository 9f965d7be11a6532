"""Plays a fault script: a layer around both applications of the sandbox.

Each request passes the protocol's own moments: it is here, whole (``ARRIVAL``); it was carried out
and its answer is held back (``ANSWER``); the answer goes out. The fault is played exactly there, so
that a script can say "billed, but the customer never heard of it".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.sandbox import delivery
from pipeline.sandbox.account import EXECUTION_FAILED
from pipeline.sandbox.answers import NS_PER_S
from pipeline.sandbox.bill import FAULT_COUNTER
from pipeline.sandbox.canary import Canary
from pipeline.sandbox.dialects import FilesFaults, RunwareFaults, WaveSpeedFaults
from pipeline.sandbox.fault_catalogue import Endpoint, Moment
from pipeline.sandbox.fault_requests import (
    find_endpoint,
    find_runware_endpoint,
    is_runware,
    key_in,
    narrow_history,
    prompt_in,
)
from pipeline.sandbox.fault_rules import Event, FaultScript, Rule, Tally
from pipeline.sandbox.lifetimes import Lifetimes
from pipeline.sandbox.meddling import Meddler
from pipeline.sandbox.options import Quirk
from pipeline.sandbox.runware_errors import FAILURE_NUMBERS
from pipeline.sandbox.spoiling import (
    HOSTILE,
    Answer,
    Dialect,
    instead,
    spoil,
)
from pipeline.sandbox.store import Store, ViolationKind
from pipeline.sandbox.wire import Wire, wire_of

_FILES = frozenset({Endpoint.DOWNLOAD, Endpoint.UPLOAD_PUT})
# Faults after which the client has the right answer in its hands.
_HARMLESS = frozenset({"slow", "slow_body", "refuse", "two_outputs", "object_outputs", "nsfw_flag"})


@dataclass(frozen=True, slots=True)
class _Found:
    """What a request asks for, of which task (or empty), and in which dialect."""

    endpoint: Endpoint
    task_id: str
    dialect: Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request on its way."""

    endpoint: Endpoint
    task_id: str
    prompt: str
    dialect: Dialect
    scope: Scope
    send: Send
    wire: Wire

    @property
    def of_files(self) -> bool:
        return self.endpoint in _FILES


class FaultLayer:
    """The layer of one server.

    ``places`` gives the addresses behind ``{api}`` and ``{cdn}``. ``shut_door(seconds)``
    makes the API's port refuse connections for a time, from now on.
    """

    def __init__(
        self,
        script: FaultScript,
        *,
        store: Store,
        meddler: Meddler,
        clock: Callable[[], int],
        places: Mapping[str, str],
        shut_door: Callable[[float], Awaitable[None]],
        quirks: frozenset[Quirk],
    ) -> None:
        self._wavespeed, self._runware = WaveSpeedFaults(), RunwareFaults(quirks)
        self._files = FilesFaults()
        self._script = script
        self._store = store
        self._meddler = meddler
        self._clock = clock
        self._places = dict(places)
        self._canary = Canary(lambda: store.count("canary"), self._note_canary)
        self._shut_door = shut_door
        self._tally = Tally(script.rules)
        self._lifetimes = Lifetimes(script, clock)
        self._start_ns = clock()
        self._last_submit_ns: int | None = None
        self._keys: set[bytes] = set()

    def around_api(self, app: ASGIApp) -> ASGIApp:
        """The API's application, with its faults."""

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            self._note_key(scope)
            send = self._with_date(send)
            dialect: Dialect = self._wavespeed
            if is_runware(scope):
                dialect = self._runware
                body = await delivery.read_body(receive)
                self._keys.update({key_in(body)} - {b""})
                receive = delivery.replay(body, receive)
                found = find_runware_endpoint(body)
            else:
                found = find_endpoint(scope, of_files=False)
            if found is None:
                await app(scope, receive, send)
            else:
                await self._play(app, _Found(*found, dialect), scope, receive, send)

        return faulty

    def around_files(self, app: ASGIApp) -> ASGIApp:
        """The files port's application, with its faults; it also watches for stray keys."""

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            send = self._with_date(send)
            found = find_endpoint(scope, of_files=True)
            if found is None:
                if not scope["path"].startswith("/uploads/"):
                    self._note_stray(scope)
                await app(scope, receive, send)
            else:
                await self._play(app, _Found(*found, self._files), scope, receive, send)

        return faulty

    async def open_canary(self) -> str:
        """Listen where no client should go; the address."""
        self._places["canary"] = await self._canary.start()
        return self._places["canary"]

    def close(self) -> None:
        """Stop listening there."""
        self._canary.stop()

    def _note_canary(self, head: bytes) -> None:
        if b"authorization:" in head.lower() or any(key in head for key in self._keys):
            self._note_leak(
                path="canary", method=head[:16].decode("ascii", "replace").split(" ")[0]
            )

    async def _play(
        self,
        app: ASGIApp,
        found: _Found,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        endpoint, task_id, dialect = found.endpoint, found.task_id, found.dialect
        if endpoint is Endpoint.SUBMIT:
            self._last_submit_ns = self._clock()
        if not self._concerns(endpoint):
            await app(scope, receive, send)
            return
        body = await delivery.read_body(receive)
        now_ns = self._clock()
        facts = self._meddler.facts(task_id, now_ns=now_ns) if task_id else None
        prompt = prompt_in(body) if endpoint is Endpoint.SUBMIT else facts.prompt if facts else ""
        call = _Call(
            endpoint=endpoint,
            task_id=task_id,
            prompt=prompt,
            dialect=dialect,
            scope=scope,
            send=send,
            wire=wire_of(scope),
        )
        before_ns: int | None = None
        for rule in self._firing(call, Moment.ARRIVAL):
            if rule.fault == "lag":
                before_ns = self._clock() - round(rule.seconds() * NS_PER_S)
                self._note(rule, call)
            elif not await self._arrive(rule, call):
                return
        gone: Answer | None = None
        if facts is not None:
            gone = self._lifetimes.over(endpoint, facts.created_ns, scope, dialect)
            if before_ns is not None and facts.created_ns >= before_ns:
                gone = dialect.unknown_task(endpoint)
        if gone is not None:
            if gone.status == 403:
                self._store.count("output_get.403")
                # The client will have to ask once more where the clip is.
                self._meddler.forget_poll(task_id)
            await delivery.send_whole(gone, send)
            return
        if endpoint is Endpoint.HISTORY and not task_id:
            body = narrow_history(body, after_ns=self._lifetimes.oldest_ns(), before_ns=before_ns)
        answer = await delivery.hold(app, scope, delivery.replay(body, receive))
        await self._answer(call, self._lifetimes.dated(answer, dialect))

    async def _arrive(self, rule: Rule, call: _Call) -> bool:
        """Play a fault before anything is done; False: nothing will be."""
        if rule.joins and rule.fault != "delay":
            self._meddle(rule, call)
            return True
        self._note(rule, call)
        if rule.fault != "delay":
            await self._deliver(rule, call, None)
            return False
        if await call.wire.pause(rule.seconds()):
            return True
        await call.wire.close()
        return False

    async def _answer(self, call: _Call, answer: Answer) -> None:
        """Let an answer go, or what the script makes of it."""
        is_poll = call.endpoint is Endpoint.RESULT
        completed = is_poll and call.dialect.is_completed(answer)
        moments = [Moment.ANSWER] + ([Moment.COMPLETED] if completed else [])
        for rule in self._firing(call, *moments) if answer.is_good else []:
            self._note(rule, call)
            if rule.fault not in _HARMLESS and not _tells(rule):
                self._forgive(call, was_final=is_poll and call.dialect.is_final(answer))
            await self._deliver(rule, call, answer)
            return
        await delivery.send_whole(answer, call.send)

    def _meddle(self, rule: Rule, call: _Call) -> None:
        """A fault that changes the world, and leaves the answer to be made."""
        now_ns, took = self._clock(), True
        match rule.fault:
            case "fail_task" | "nsfw":
                # A word is one dialect's own name for what the other has numbers for.
                name = rule.text("code")
                number = FAILURE_NUMBERS.get(name, EXECUTION_FAILED) if name else rule.whole("code")
                took = self._meddler.fail(
                    call.task_id,
                    code=number,
                    name=name,
                    error=self._fill(rule.text("error")),
                    now_ns=now_ns,
                )
            case "end_as":
                took = self._meddler.end_as(call.task_id, rule.text("status"), now_ns=now_ns)
            case "stuck":
                took = self._meddler.stick(call.task_id, now_ns=now_ns)
            case "strangers":
                at_ns = now_ns if self._last_submit_ns is None else self._last_submit_ns
                self._meddler.add_strangers(
                    rule.whole("n"), prompt=rule.text("prompt"), created_ns=at_ns
                )
            case unknown:
                raise AssertionError(unknown)
        if took:
            self._note(rule, call)
        else:
            self._tally.take_back(rule, self._event(call))

    async def _deliver(self, rule: Rule, call: _Call, answer: Answer | None) -> None:
        """Play a fault that decides what the client gets; ``answer`` None: nothing was done."""
        send, wire = call.send, call.wire
        other = instead(rule, self._fill, call.dialect)
        if other is not None:
            await delivery.send_whole(other, send)
            return
        match rule.fault:
            case "drop" | "drop_before_accept" | "drop_after_accept":
                await wire.close()
            case "reset" | "reset_before_accept" | "reset_after_accept":
                await wire.reset()
            case "hang":
                await wire.wait(rule.seconds())
                await wire.close()
            case "kill_client":
                pid_file = self._script.client_pid_file
                if not await delivery.kill_client(rule, answer, send, wire, pid_file=pid_file):
                    self._store.count("kill_client.missed")
            case _ if answer is not None:
                await self._deliver_spoiled(rule, call, answer)
            case unknown:
                raise AssertionError(unknown)

    async def _deliver_spoiled(self, rule: Rule, call: _Call, answer: Answer) -> None:
        send, wire = call.send, call.wire
        match rule.fault:
            case "half_response" | "truncate":
                await delivery.send_half(answer, send, wire)
                await wire.close()
            case "reset_mid":
                await delivery.send_half(answer, send, wire)
                await wire.reset()
            case "truncate_nolength":
                await delivery.send_half_of_unknown(answer, wire)
            case "slow_body" | "slow":
                await delivery.send_slowly(answer, send, wire, seconds=rule.seconds())
            case "gzip_bomb":
                await delivery.send_bomb(answer, send, wire, megabytes=rule.whole("mb"))
            case "endless":
                await delivery.send_endlessly(answer, send, wire)
            case "refuse":
                await self._shut_door(rule.seconds())
                await delivery.send_whole(answer.with_header(b"connection", b"close"), send)
            case "expire_url":
                await delivery.send_whole(self._lifetimes.expired(answer, call.dialect), send)
            case "unseen":
                await delivery.send_whole(call.dialect.unknown_task(call.endpoint), send)
            case _:
                spoiled = spoil(rule, answer, self._fill, call.dialect)
                await delivery.send_whole(answer if spoiled is None else spoiled, send)

    def _concerns(self, endpoint: Endpoint) -> bool:
        by_rule = any(endpoint in rule.on for rule in self._script.rules)
        return by_rule or self._lifetimes.concern(endpoint)

    def _firing(self, call: _Call, *moments: Moment) -> list[Rule]:
        return self._tally.firing(self._event(call, *moments))

    def _event(self, call: _Call, *moments: Moment) -> Event:
        return Event(
            endpoint=call.endpoint,
            moments=frozenset(moments),
            since_start_s=(self._clock() - self._start_ns) / NS_PER_S,
            task_id=call.task_id,
            prompt=call.prompt,
        )

    def _note(self, rule: Rule, call: _Call) -> None:
        self._store.count(f"{FAULT_COUNTER}{call.endpoint}.{rule.fault}")

    def _forgive(self, call: _Call, *, was_final: bool) -> None:
        """What the client did not get must not look as if it had."""
        if call.endpoint is Endpoint.DOWNLOAD:
            self._meddler.forget_download(call.task_id)
        elif was_final:
            self._meddler.forget_poll(call.task_id)

    def _with_date(self, send: Send) -> Send:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._clock() / NS_PER_S, usegmt=True).encode()
                message = {**message, "headers": [*message["headers"], (b"date", date)]}
            await send(message)

        return send_dated

    def _fill(self, text: str) -> str:
        for name, value in {**self._places, "hostile": HOSTILE}.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def _note_key(self, scope: Scope) -> None:
        for name, value in scope["headers"]:
            if name == b"authorization" and len(value.split()) == 2:
                self._keys.add(value.split()[1])

    def _note_stray(self, scope: Scope) -> None:
        self._store.count("stray")
        if any(name == b"authorization" for name, _ in scope["headers"]):
            self._note_leak(path=scope["path"], method=scope["method"])

    def _note_leak(self, *, path: str, method: str) -> None:
        self._store.note_violation(
            ViolationKind.KEY_LEAK, at_ns=self._clock(), method=method, path=path
        )


def _tells(rule: Rule) -> bool:
    """Whether the client hears the whole answer although it dies of it."""
    return rule.fault == "kill_client" and rule.text("when") == "after_answer"
