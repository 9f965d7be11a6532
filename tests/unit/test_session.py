"""Signals: the first Ctrl-C stops spending, the next leaves, and the exit code tells which."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from fakes import FakeReporter

from pipeline.errors import ExitCode
from pipeline.production import Halt
from pipeline.session import _heed_signals


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Session:
    """A run that would go on for ever, with the signals heeded."""

    def __init__(self) -> None:
        self.halt = Halt()
        self.heard: list[ExitCode] = []
        self.reporter = FakeReporter()
        self.left = False

    async def send(self, number: signal.Signals) -> None:
        signal.raise_signal(number)
        # The event loop reads the signal in a turn of its own.
        with anyio.move_on_after(1):
            count = len(self.heard)
            while len(self.heard) == count:
                await anyio.sleep(0.001)
        await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def under_way() -> AsyncIterator[Session]:
    session = Session()

    async def work() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(
                    _heed_signals, session.halt, session.heard, session.reporter, scope
                )
                await anyio.sleep_forever()
        session.left = True

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        yield session
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_the_first_ctrl_c_stops_submissions_and_stays() -> None:
    async with under_way() as session:
        await session.send(signal.SIGINT)
        assert session.halt.is_set
        assert session.halt.exit_code is ExitCode.SIGINT
        assert not session.left
        assert any("Ctrl-C again leaves" in note for note in session.reporter.notes)
    assert session.heard == [ExitCode.SIGINT]


@pytest.mark.anyio
async def test_the_second_ctrl_c_leaves() -> None:
    async with under_way() as session:
        await session.send(signal.SIGINT)
        await session.send(signal.SIGINT)
        assert session.left
    assert session.heard[-1] is ExitCode.SIGINT


@pytest.mark.anyio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_polite_kill_leaves_at_once(number: signal.Signals) -> None:
    async with under_way() as session:
        await session.send(number)
        assert session.left
        assert session.halt.is_set
    assert session.heard == [ExitCode.SIGTERM]


@pytest.mark.anyio
async def test_a_ctrl_c_after_a_refused_key_is_still_the_first_one() -> None:
    async with under_way() as session:
        session.halt.set("401: no such key", ExitCode.KEY_REFUSED)
        await session.send(signal.SIGINT)
        assert not session.left
        await session.send(signal.SIGINT)
        assert session.left
    assert session.heard == [ExitCode.SIGINT, ExitCode.SIGINT]


@pytest.mark.anyio
async def test_a_kill_after_a_ctrl_c_is_what_ended_the_run() -> None:
    async with under_way() as session:
        await session.send(signal.SIGINT)
        await session.send(signal.SIGTERM)
        assert session.left
    assert session.heard[-1] is ExitCode.SIGTERM
