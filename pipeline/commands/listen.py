"""``storyboard listen``: hear the providers' webhooks and print a line for each."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.commands.hooks import WEBHOOK_VARIABLE, port_option, read_webhook_url
from pipeline.commands.options import add_output_style
from pipeline.errors import ConfigurationError, ExitCode
from pipeline.report import Messages
from pipeline.settings import has_key, read_access, read_settings

if TYPE_CHECKING:
    import anyio

    from pipeline.listening import Receiver
    from pipeline.providers.webhooks import HookSecrets, Notice

HELP = "hear the providers' webhooks and print a line for each"
_PORT = 8766


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Answer on a port and print a line for each genuine notice that a provider sends:\n"
        "WaveSpeed's by their signature, Runware's by the token of the address that it was given.\n"
        "To wake a run, use `storyboard run --listen` instead. Ctrl-C or SIGTERM ends it."
    )
    parser.epilog = (
        "example:\n"
        f"  {WEBHOOK_VARIABLE}='https://ads.example.com/hook?token=...' storyboard listen --json"
    )
    parser.add_argument(
        "--port",
        type=port_option("--port"),
        default=_PORT,
        metavar="N",
        help=f"default {_PORT}; 0 is any free one",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="default 127.0.0.1, which only this machine reaches",
    )
    parser.add_argument(
        "--webhook-url",
        metavar="URL",
        help="the address that the provider was given, for its token; better in "
        f"{WEBHOOK_VARIABLE}, where others do not see it",
    )
    add_output_style(parser)


def main(args: argparse.Namespace) -> int:
    """Listen until a signal comes; exit 0 then.

    Raises:
        ConfigurationError: there is nothing to know a genuine notice by, or the port is taken.
        ProviderError: the provider does not tell the secret that it signs with.
    """
    import anyio  # noqa: PLC0415 - slow to import

    from pipeline.listening import Receiver  # noqa: PLC0415
    from pipeline.providers.webhooks import HookSecrets, token_of  # noqa: PLC0415

    token = token_of(read_webhook_url(args.webhook_url, os.environ))
    known = {"wavespeed": has_key("wavespeed", os.environ), "runware": bool(token)}
    if not any(known.values()):
        raise ConfigurationError(
            "nothing tells a genuine notice from a forged one",
            hint=f"set WAVESPEED_API_KEY, or {WEBHOOK_VARIABLE} with a ?token=",
        )
    signing = anyio.run(_signing_secret, os.environ) if known["wavespeed"] else ""
    messages = Messages(sys.stderr, quiet=args.quiet)
    with Receiver(args.host, args.port) as receiver:
        url = receiver.url
        if args.json:
            _write(json.dumps({"listening": url}))
        names = " and ".join(name for name, is_known in known.items() if is_known)
        messages.say(f"listening on {url} for {names}")
        anyio.run(_listen, receiver, HookSecrets(signing=signing, token=token), args.json)
        messages.say(f"webhooks: {receiver.heard.words}")
    return ExitCode.DONE


async def _signing_secret(env: Mapping[str, str]) -> str:
    from pipeline.capabilities import CAPABILITIES  # noqa: PLC0415
    from pipeline.providers.http import HttpProvider  # noqa: PLC0415
    from pipeline.session import dialect_of  # noqa: PLC0415

    access = read_access("wavespeed", env)
    dialect = dialect_of(CAPABILITIES["wavespeed"], read_settings(env))
    async with HttpProvider(dialect, base_url=access.base_url, key=access.key) as provider:
        return await provider.webhook_secret()


async def _listen(receiver: Receiver, secrets: HookSecrets, as_json: bool) -> None:
    import anyio  # noqa: PLC0415

    def tell(notice: Notice) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        for task_id in notice.task_ids:
            row = {"at": at, "provider": notice.provider, "task_id": task_id, "word": notice.word}
            try:
                _write(json.dumps(row) if as_json else " ".join(row.values()).rstrip())
            except OSError:
                # Nobody reads any more.
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(_until_signal, group.cancel_scope)
        await receiver.serve(secrets, tell)


async def _until_signal(listening: anyio.CancelScope) -> None:
    import anyio  # noqa: PLC0415

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            listening.cancel()


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
