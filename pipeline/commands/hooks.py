"""The options by which providers tell that a task is done, and what they come to."""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.errors import ConfigurationError, UsageError
from pipeline.masking import without_query
from pipeline.settings import Access, is_loopback
from pipeline.text import shown

if TYPE_CHECKING:
    from pipeline.listening import Receiver

WEBHOOK_VARIABLE = "STORYBOARD_WEBHOOK_URL"
_MAX_URL_CHARACTERS = 2000


def add_webhooks(parser: argparse.ArgumentParser) -> None:
    """--webhook-url and --listen, of every command that submits."""
    parser.add_argument(
        "--webhook-url",
        metavar="URL",
        help="where the provider shall tell that a task is done (https; docs/webhooks.md); "
        f"better in {WEBHOOK_VARIABLE}, where its token is not seen by others",
    )
    parser.add_argument(
        "--listen",
        type=address_option("--listen"),
        metavar="[HOST:]PORT",
        help="hear these notices while the run goes on: each brings the next poll of its task "
        "nearer",
    )


def address_option(option: str) -> Callable[[str], tuple[str, int]]:
    """An argparse type for PORT or HOST:PORT."""

    def read(text: str) -> tuple[str, int]:
        host, _, port = text.rpartition(":")
        return host.strip("[]") or "127.0.0.1", read_port(port)

    read_port = port_option(option)
    return read


def port_option(option: str) -> Callable[[str], int]:
    """An argparse type for a port, 0 to 65535."""

    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535:
            return int(text)
        raise UsageError(f"{option} is {shown(text)}", hint="a port to 65535; 0 is any free one")

    return read


def read_webhook_url(given: str | None, env: Mapping[str, str]) -> str:
    """The address for the provider, by the option or else the variable; empty where neither.

    Raises:
        UsageError: it is no such address; does not show its query.
    """
    text = (given if given is not None else env.get(WEBHOOK_VARIABLE, "")).strip()
    if not text:
        return ""
    name = "--webhook-url" if given is not None else WEBHOOK_VARIABLE
    seen = shown(without_query(text))
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    plain = text.isascii() and text.isprintable() and " " not in text
    if not host or not plain or len(text) > _MAX_URL_CHARACTERS or parts.fragment:
        raise UsageError(f"{name} is not a URL: {seen}", hint="like https://host/path?token=...")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"{name} holds a name or password", hint="put a secret into its query: ?token=..."
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise UsageError(
            f"{name} is not https: {seen}", hint="http is for a provider on this machine only"
        )
    return text


def open_webhooks(
    args: argparse.Namespace, access: Access, stack: ExitStack, *, free: bool
) -> tuple[str, Receiver | None]:
    """The address for the provider, and the port that hears it where the run itself is to.

    Args:
        free: the provider is our own sandbox. It calls this machine only, and keeps what it is
            told in the output folder, so that no other address is given to it.
    Raises:
        UsageError: the address is none, or none that this provider can reach.
        ConfigurationError: the port cannot be had.
    """
    url = read_webhook_url(args.webhook_url, os.environ)
    near = is_loopback(urlsplit(url).hostname or "")
    if free and not near:
        url = ""
    if url and near and not access.is_local:
        raise UsageError(
            f"the provider cannot reach {shown(without_query(url))}",
            hint="give a public https address that leads to this machine",
        )
    if args.listen is None:
        return url, None
    if not url and not access.is_local:
        raise ConfigurationError(
            "--listen needs the address that the provider reaches this port by",
            hint=f"set {WEBHOOK_VARIABLE} to a public https URL that leads here",
        )
    from pipeline.listening import Receiver  # noqa: PLC0415 - slow to import

    receiver = stack.enter_context(Receiver(*args.listen))
    if not url:
        place = receiver.url if is_loopback(receiver.host) else f"http://127.0.0.1:{receiver.port}"
        url = f"{place}/?token={secrets.token_urlsafe(24)}"
    return url, receiver
