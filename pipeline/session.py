"""Opens the outside world for one provider account and runs productions in it.

Signals: the first Ctrl-C stops new submissions and lets paid tasks come home; the second, or a
SIGTERM or SIGHUP, leaves at once. A submission on the wire always gets its answer first.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from pipeline.account import AccountStore
from pipeline.capabilities import CAPABILITIES, RUNWARE, Capabilities, is_free
from pipeline.download import Downloader
from pipeline.errors import (
    ConfigurationError,
    ExitCode,
    NotOffered,
    OverBudget,
    ProviderError,
    StoryboardError,
)
from pipeline.filming import open_studio
from pipeline.ledger import DOUBTFUL, PENDING
from pipeline.media.verify import verify_clip
from pipeline.model import ClipFacts, Expected
from pipeline.openfiles import open_file_limit
from pipeline.pricing import dollars
from pipeline.probing import Prober
from pipeline.production import Halt, Production, Reporter, Services, Verify
from pipeline.providers.base import BillingRow, Dialect
from pipeline.providers.http import HttpProvider
from pipeline.providers.limits import Limiter, Retrying, allowance
from pipeline.providers.runware import Runware
from pipeline.providers.wavespeed import WaveSpeed
from pipeline.providers.webhooks import HookSecrets, Notice, token_of
from pipeline.quoting import check_quotes
from pipeline.runner import Runner, heed_journals
from pipeline.settings import Access, Settings, account_level
from pipeline.summary import Outcome
from pipeline.uptime import machine_uptime
from pipeline.vetting import check_references
from pipeline.waking import Bell

if TYPE_CHECKING:
    from pipeline.listening import Receiver

# Journals, the account, ffmpeg's pipes, the event loop, with some to spare.
_FILES_OF_OURS = 34
# A port that hears webhooks, and those who talk to it.
_FILES_OF_A_RECEIVER = 20

_THREADS = 8


def settings_for(settings: Settings, provider: str) -> Settings:
    """The settings with the sandbox's own defaults where it is the provider.

    It is ours and next door: it may be asked more often, and answers at once.
    """
    if not is_free(provider):
        return settings
    named = settings.env.get
    return replace(
        settings,
        poll_interval_s=settings.poll_interval_s if named("STORYBOARD_POLL_INTERVAL_S") else 1.0,
        submit_timeout_s=settings.submit_timeout_s if named("STORYBOARD_SUBMIT_TIMEOUT_S") else 15,
        settle_s=settings.settle_s if named("STORYBOARD_SETTLE_S") else 1.0,
    )


def dialect_of(capabilities: Capabilities, settings: Settings | None = None) -> Dialect:
    """The wire format of a provider, or of the one that the sandbox stands in for."""
    if capabilities.model != RUNWARE.model:
        return WaveSpeed(capabilities)
    prompts = settings.runware_prompts if settings is not None else None
    return Runware(capabilities, prompts=prompts)


async def run_session(
    productions: Sequence[Production],
    *,
    provider: str,
    access: Access,
    settings: Settings,
    account_file: Path,
    ffmpeg: Path,
    reporter: Reporter,
    finished: Callable[[Outcome], None],
    same_account: bool = False,
    webhook_url: str = "",
    receiver: Receiver | None = None,
    probe: bool = True,
) -> ExitCode:
    """Run productions on one account.

    Args:
        finished: called as each storyboard ends; not called for one that a signal cut short.
        same_account: a person says that another key or address is the same account.
        webhook_url: where the provider shall tell that a task is done; polling goes on.
        receiver: the port that such notices reach, if this run is to hear them itself.
        probe: look at the references' addresses before anything is bought from them.
    Returns:
        DONE, or the signal's exit code where one cut the run short.
    """
    capabilities = CAPABILITIES[provider]
    if not same_account:
        _check_account(productions, access)
    settings = settings_for(settings, provider)
    limits = allowance(account_level(settings, capabilities), settings.rate_window_s)
    halt = Halt()
    began = datetime.now(UTC) - timedelta(minutes=2)
    heard: list[ExitCode] = []
    # Three clients and the downloads, which hold a file besides their connection.
    ours = _FILES_OF_OURS + (0 if receiver is None else _FILES_OF_A_RECEIVER)
    shares = max(2, (open_file_limit() - ours) // 6)
    if access.warning:
        reporter.note("warning", access.warning)
    # Threads only wait for the disk and for SQLite here; each keeps memory of its own.
    anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
    async with AsyncExitStack() as stack:
        account = stack.enter_context(AccountStore(account_file, uptime=machine_uptime()))
        http = await stack.enter_async_context(
            HttpProvider(
                dialect_of(capabilities, settings),
                base_url=access.base_url,
                key=access.key,
                submit_timeout_s=settings.submit_timeout_s,
                max_connections=shares,
                webhook_url=webhook_url,
            )
        )
        downloader = await stack.enter_async_context(
            Downloader(
                local=access.is_local,
                api_url=access.base_url,
                extra_hosts=settings.result_hosts,
                at_once=shares,
            )
        )
        services = Services(
            provider=Retrying(http),
            limiter=Limiter(account, limits),
            account=account,
            downloader=downloader,
            verify=a_few_at_a_time(partial(verify_clip, ffmpeg=ffmpeg)),
            studio=open_studio(ffmpeg),
            settings=settings,
            reporter=reporter,
            account_name=access.account,
            webhook_url=webhook_url,
            bell=None if receiver is None else Bell(),
        )
        heed_journals(account, productions)
        async with anyio.create_task_group() as group:
            group.start_soon(_heed_signals, halt, heard, reporter, group.cancel_scope)
            if receiver is not None:
                group.start_soon(_listen, services, receiver, webhook_url)
            try:
                _check_day_cap(services, productions)
                await check_quotes(services, productions)
                if probe:
                    async with Prober(local=access.is_local) as prober:
                        await check_references(
                            services, productions, prober, halt, local=access.is_local
                        )
            except StoryboardError as exc:
                # Nothing new is submitted, but what is paid already still comes home.
                halt.set(str(exc), exc.exit_code)
            await Runner(services, halt).run(productions, finished)
            bought = any(production.plan.buy_usd for production in productions)
            if not halt.is_set and bought and capabilities.bill:
                await _name_orphans(services, began)
            group.cancel_scope.cancel()
    if receiver is not None:
        reporter.note("webhooks", receiver.heard.words)
    return heard[-1] if heard else ExitCode.DONE


def a_few_at_a_time(verify: Verify) -> Verify:
    """The same check, by as many processes as there are processors.

    Each decodes a whole clip; of a thousand that arrive together none would end in its time.
    """
    turns = anyio.Semaphore(max(1, os.cpu_count() or 1))

    async def in_turn(path: Path, expected: Expected) -> ClipFacts:
        async with turns:
            return await verify(path, expected)

    return in_turn


def _check_account(productions: Sequence[Production], access: Access) -> None:
    """Refuse to look for tasks where they were not made: not finding them would prove nothing.

    Raises:
        ConfigurationError: an unfinished submission was made with another key or address.
    """
    for production in productions:
        for attempt in production.ledger().attempts:
            unfinished = attempt.state in PENDING | DOUBTFUL
            if unfinished and attempt.account not in {None, "", access.account}:
                raise ConfigurationError(
                    f"{attempt.slate} was submitted with another key or base URL; nothing sent",
                    hint="use those again, or add --same-account if only the key was changed",
                )


def _check_day_cap(services: Services, productions: Sequence[Production]) -> None:
    """Refuse a plan that the day's cap would stop half-way.

    Raises:
        OverBudget: nothing has been sent.
    """
    cap_usd = services.settings.day_cap_usd
    buy_usd = sum((production.plan.buy_usd for production in productions), Decimal(0))
    spent_usd = services.account.spent_today_usd()
    if cap_usd is not None and buy_usd and spent_usd + buy_usd > cap_usd:
        raise OverBudget(
            f"estimate {dollars(buy_usd)} on top of {dollars(spent_usd)} spent today is over the "
            f"account's cap of {dollars(cap_usd)} a day; nothing sent",
            hint="run again tomorrow (UTC), or raise STORYBOARD_DAY_CAP_USD",
        )


async def read_bill(provider: str, access: Access, since: datetime) -> tuple[BillingRow, ...]:
    """The provider's bill since then; costs nothing."""
    dialect = dialect_of(CAPABILITIES[provider])
    http = HttpProvider(dialect, base_url=access.base_url, key=access.key)
    async with http:
        return await Retrying(http).billings(since)


async def _listen(services: Services, receiver: Receiver, webhook_url: str) -> None:
    """Ring for every genuine notice until cancelled; where that cannot be, polling does alone."""
    bell = services.bell
    if bell is None:
        raise AssertionError("a run that listens has a bell")
    signing, token, fault = "", token_of(webhook_url), ""
    try:
        signing = await services.provider.webhook_secret()
    except NotOffered as exc:
        fault = "" if token else f"{exc.message}, and the address has no ?token="
    except (ProviderError, ConfigurationError) as exc:
        fault = exc.message
    if fault:
        services.reporter.note("webhooks", f"not listened to: {fault}; polling goes on")
        return

    def ring(notice: Notice) -> None:
        for task_id in notice.task_ids:
            bell.ring(task_id)

    await receiver.serve(HookSecrets(signing=signing, token=token), ring)


async def _name_orphans(services: Services, since: datetime) -> None:
    """Say which charges of the run's time no journal of this account knows."""
    try:
        rows = await services.provider.billings(since)
    except (ProviderError, ConfigurationError):
        # Free and only a courtesy here; `storyboard reconcile` says why it cannot be had.
        return
    for row in rows:
        if not row.is_refund and not services.account.knows_task(row.task_id):
            services.reporter.note(
                "bill",
                f"{dollars(row.amount_usd)} for task {row.task_id} is on the account's bill, but "
                "no run of this program started it",
            )


async def _heed_signals(
    halt: Halt, heard: list[ExitCode], reporter: Reporter, leave: anyio.CancelScope
) -> None:
    """Act on signals and note them in ``heard``; a refused key may have set ``halt`` before."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for number in signals:
            first = not heard
            heard.append(ExitCode.SIGINT if number == signal.SIGINT else ExitCode.SIGTERM)
            if number == signal.SIGINT and first:
                halt.set("interrupted; nothing more was submitted", ExitCode.SIGINT)
                reporter.note(
                    "stopping",
                    "no new submissions; waiting for what is paid (Ctrl-C again leaves at once)",
                )
                continue
            halt.set("stopped by a signal", heard[-1])
            leave.cancel()
            return
