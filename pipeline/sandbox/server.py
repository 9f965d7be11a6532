"""One sandbox: two listening ports of loopback, one event loop, one state folder.

It never listens anywhere but on 127.0.0.1, and connects to nothing but the servers on this machine
that tasks ask to have told.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import CannotWrite, ConfigurationError
from pipeline.sandbox.account import Account
from pipeline.sandbox.answers import NS_PER_S
from pipeline.sandbox.bill import build_record, write_record
from pipeline.sandbox.courier import Courier
from pipeline.sandbox.fault_layer import FaultLayer
from pipeline.sandbox.files import Files
from pipeline.sandbox.meddling import Meddler
from pipeline.sandbox.options import SANDBOX_KEY, SandboxOptions
from pipeline.sandbox.renders import RenderQueue
from pipeline.sandbox.runware import RunwareApi
from pipeline.sandbox.runware_notices import Notices
from pipeline.sandbox.runware_results import Results
from pipeline.sandbox.runware_socket import with_sockets
from pipeline.sandbox.store import Store
from pipeline.sandbox.wavespeed import WaveSpeedApi
from pipeline.sandbox.wavespeed_notices import WaveSpeedNotices
from pipeline.sandbox.wire import SocketProtocol, WireProtocol

__all__ = ["SandboxOptions", "SandboxServer", "running_sandbox"]

_LOOPBACK = "127.0.0.1"
_START_LIMIT_S = 10.0
_STOP_LIMIT_S = 10.0
# uvicorn renews the Date header by ticks of this length.
_TICK_S = 0.1
_LAST_WORDS_S = 1.0
_STEP_S = 0.002
# A frame holds up to seven pictures of 8 MB in base64.
_MAX_FRAME_BYTES = 96 * 2**20


class SandboxServer:
    """A server that has its ports from the start and answers once ``run`` runs.

    ``base_url`` is what clients take as the API's address; ``files_url`` plays the CDN;
    ``canary_url``, where no client should ever go, is empty but while a fault script plays.
    """

    def __init__(self, options: SandboxOptions) -> None:
        """Take both ports.

        Raises:
            ConfigurationError: one of them is not free.
            UsageError: the fault script cannot be played.
        """
        if options.faults is not None:
            options.faults.check()
        self._options = _skewed(options)
        self._api_socket = _listen(options.port)
        try:
            self._files_socket = _listen(options.files_port)
        except ConfigurationError:
            self._api_socket.close()
            raise
        self.base_url = _url(self._api_socket)
        self.files_url = _url(self._files_socket)
        self.canary_url = ""
        self.key = SANDBOX_KEY if options.key is None else options.key
        self._server: _Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._renders: RenderQueue | None = None
        self._store: Store | None = None
        self._last_record: dict[str, object] | None = None
        self._stopping = False

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until ``stop``, then write the record if one is wanted.

        Raises:
            StorageError: the state folder holds something else.
            CannotWrite: the state folder or the record cannot be written.
        """
        state = self._options.state
        folder = Path(tempfile.mkdtemp(prefix="storyboard-sandbox-")) if state is None else state
        try:
            await self._run_in(folder, on_ready)
        finally:
            self._api_socket.close()
            self._files_socket.close()
            if state is None:
                shutil.rmtree(folder, ignore_errors=True)
        if self._options.record is not None and self._last_record is not None:
            try:
                write_record(self._last_record, self._options.record)
            except OSError as exc:
                raise CannotWrite(
                    f"cannot write the sandbox record {self._options.record}: {exc.strerror}",
                    hint="choose another --record file",
                ) from exc

    def stop(self) -> None:
        """End ``run`` soon; may be called from any thread, more than once."""
        self._stopping = True
        if self._server is not None:
            self._server.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has just closed by itself
                self._loop.call_soon_threadsafe(self._wake)

    def record(self) -> dict[str, object]:
        """Bill, violations and counters as of now, or of the end; from another thread only."""
        loop = self._loop
        if self._last_record is None and loop is not None:
            now = asyncio.run_coroutine_threadsafe(self._record_now(), loop)
            return now.result(_STOP_LIMIT_S)
        return self._last_record or {}

    def wait_for_renders(self, timeout_s: float = 30.0) -> None:
        """Return once every wanted clip is drawn or has failed; from another thread only.

        Raises:
            TimeoutError: not within the time.
        """
        if self._renders is not None and not self._renders.idle.wait(timeout_s):
            raise TimeoutError(f"clips are still being drawn after {timeout_s} s")

    async def _run_in(self, folder: Path, on_ready: Callable[[], None]) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise CannotWrite(
                f"cannot make the sandbox state folder {folder}: {exc.strerror}",
                hint="choose another --state folder",
            ) from exc
        options = self._options
        self._loop = asyncio.get_running_loop()
        store = Store(folder / "sandbox.sqlite3", lasting=options.state is not None)
        try:
            account = Account(store, options)

            def finish(task_id: str, error: str | None) -> None:
                account.finish(task_id, now_ns=options.clock(), error=error)

            renders = RenderQueue(
                render=options.render,
                version=options.render_version,
                workers=options.render_workers,
                state=folder,
                finish=finish,
            )
            port: int = self._files_socket.getsockname()[1]
            files = Files(store=store, options=options, renders=renders, state=folder, port=port)
            courier = Courier(store)
            api = WaveSpeedApi(
                store=store,
                account=account,
                files=files,
                renders=renders,
                options=options,
                notices=WaveSpeedNotices(store=store, courier=courier, options=options),
            )
            results = Results(files=files, options=options)
            notices = Notices(
                store=store, renders=renders, results=results, courier=courier, options=options
            )
            runware = RunwareApi(
                store=store,
                account=account,
                files=files,
                renders=renders,
                options=options,
                notices=notices,
                results=results,
            )
            both = _by_dialect(api.app(), runware.app())
            layer = self._fault_layer(store, account)
            config = uvicorn.Config(
                with_sockets(
                    _by_port(
                        {port: files.app() if layer is None else layer.around_files(files.app())},
                        otherwise=both if layer is None else layer.around_api(both),
                    ),
                    port=self._api_socket.getsockname()[1],
                    idle_s=options.socket_idle_s,
                ),
                lifespan="off",
                ws=SocketProtocol,
                ws_max_size=_MAX_FRAME_BYTES,
                ws_ping_interval=None,
                http="h11" if layer is None else WireProtocol,
                date_header=layer is None,
                access_log=False,
                log_config=None,
                proxy_headers=False,
                timeout_keep_alive=75,
            )
            for task in account.waiting_for_clips(now_ns=options.clock()):
                renders.want(task)
                notices.watch(task, lambda path: f"{self.files_url}{path}")
            self._store, self._renders = store, renders
            self._server = _Server(config, on_ready)
            self._server.should_exit = self._stopping
            try:
                if layer is not None:
                    self.canary_url = await layer.open_canary()
                await self._server.serve(sockets=[self._api_socket, self._files_socket])
            finally:
                if layer is not None:
                    layer.close()
                courier.stop()
                renders.stop()
                self._last_record = build_record(store, options, now_ns=options.clock())
        finally:
            self._loop = None
            store.close()

    def _fault_layer(self, store: Store, account: Account) -> FaultLayer | None:
        options = self._options
        if options.faults is None:
            return None

        async def shut_door(seconds: float) -> None:
            if self._server is not None:
                self._server.shut_door(self._api_socket.getsockname()[1], seconds)

        return FaultLayer(
            options.faults,
            store=store,
            meddler=Meddler(store, account),
            clock=options.clock,
            places={"api": self.base_url, "cdn": self.files_url},
            shut_door=shut_door,
            quirks=options.quirks,
        )

    def _wake(self) -> None:
        if self._server is not None:
            self._server.wake.set()

    async def _record_now(self) -> dict[str, object]:
        if self._store is None:
            return {}
        return build_record(self._store, self._options, now_ns=self._options.clock())


@contextmanager
def running_sandbox(options: SandboxOptions) -> Iterator[SandboxServer]:
    """A server in a background thread, for as long as the block lasts.

    Raises:
        StoryboardError: it cannot start.
    """
    server = SandboxServer(options)
    ready = threading.Event()
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            asyncio.run(server.run(ready.set))
        except BaseException as exc:  # noqa: BLE001 - handed to the thread that started this one
            failures.append(exc)
        finally:
            ready.set()

    thread = threading.Thread(target=serve, name="sandbox", daemon=True)
    thread.start()
    started = ready.wait(_START_LIMIT_S)
    if failures:
        raise failures[0]
    if not started:
        server.stop()
        raise TimeoutError(f"the sandbox did not start within {_START_LIMIT_S} s")
    try:
        yield server
    finally:
        server.stop()
        thread.join(_STOP_LIMIT_S)
    if failures:
        raise failures[0]


class _Server(uvicorn.Server):
    """uvicorn, started and stopped by others, and at once.

    It takes no signal: whoever starts a sandbox decides when it stops. uvicorn's own loop would
    look for the end every 0.1 s and then wait as often again, three times as long as a test takes.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self.wake = asyncio.Event()
        self._reopening: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    def shut_door(self, port: int, seconds: float) -> None:
        """Refuse connections to the first port for a time; requests on the wire go on."""
        if self._reopening is not None:
            return
        self.servers[0].close()
        for connection in list(self.server_state.connections):
            if isinstance(connection, WireProtocol):
                connection.leave_if_idle(port)
        self._reopening = asyncio.create_task(self._open_door(port, seconds))

    async def _open_door(self, port: int, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.wake.wait(), seconds)
        if not self.wake.is_set():
            self.servers[0] = await asyncio.get_running_loop().create_server(
                lambda: WireProtocol(self.config, self.server_state, self.lifespan.state),
                sock=_listen(port),
            )
        self._reopening = None

    async def main_loop(self) -> None:
        ticks = itertools.count()
        while not await self.on_tick(next(ticks)):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), _TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what is idle; give requests on the wire a moment, then drop them."""
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                while state.connections or state.tasks:
                    await asyncio.sleep(_STEP_S)
        for task in list(state.tasks):
            task.cancel()


def _by_port(apps: dict[int, ASGIApp], *, otherwise: ASGIApp) -> ASGIApp:
    """One application that is another one behind each port."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await apps.get(scope["server"][1], otherwise)(scope, receive, send)

    return app


def _by_dialect(wavespeed: ASGIApp, runware: ASGIApp) -> ASGIApp:
    """Both dialects behind one port: their paths do not meet."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        is_runware = f"{scope['path']}/".startswith("/v1/")
        await (runware if is_runware else wavespeed)(scope, receive, send)

    return app


def _skewed(options: SandboxOptions) -> SandboxOptions:
    """The same options, on the clock that the fault script wants."""
    if options.faults is None or not options.faults.clock_skew_s:
        return options
    clock, skew_ns = options.clock, round(options.faults.clock_skew_s * NS_PER_S)
    return replace(options, clock=lambda: clock() + skew_ns)


def _listen(port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it on, an answer's
    # body waits 40 ms for the acknowledgement of its head.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with suppress(OSError):
        # A restarted server gets its port back although old connections linger.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((_LOOPBACK, port))
        bound.listen(1024)
    except OSError as exc:
        bound.close()
        raise ConfigurationError(
            f"cannot listen on {_LOOPBACK}:{port}: {exc.strerror}",
            hint="choose another port, or 0 for any free one",
        ) from exc
    bound.setblocking(False)
    return bound


def _url(bound: socket.socket) -> str:
    return f"http://{_LOOPBACK}:{bound.getsockname()[1]}"
