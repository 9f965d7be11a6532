"""Which addresses may be given to a provider, and that their secrets are not repeated."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from typing import Any

import pytest

from pipeline.commands.hooks import (
    WEBHOOK_VARIABLE,
    address_option,
    open_webhooks,
    read_webhook_url,
)
from pipeline.errors import ConfigurationError, ExitCode, StoryboardError, UsageError
from pipeline.masking import last_letters, without_query
from pipeline.providers.webhooks import token_of
from pipeline.settings import Access

FAR = Access(base_url="https://api.wavespeed.ai", key="k", account="a")
NEAR = Access(base_url="http://127.0.0.1:8765", key="k", account="a")
HOOK = "https://ads.example.com/hook?token=do-not-show-me"


def opened(access: Access, *, free: bool = False, **options: Any) -> tuple[str, bool]:
    with ExitStack() as stack:
        args = Namespace(**{"webhook_url": None, "listen": None} | options)
        url, receiver = open_webhooks(args, access, stack, free=free)
        return url, receiver is not None


def test_the_option_goes_before_the_variable_and_neither_is_needed() -> None:
    env = {WEBHOOK_VARIABLE: f" {HOOK}\n"}
    assert read_webhook_url(None, env) == HOOK
    assert read_webhook_url("https://other.example/", env) == "https://other.example/"
    assert read_webhook_url(None, {}) == ""


@pytest.mark.parametrize(
    "url",
    [
        "ads.example.com/hook?token=do-not-show-me",
        "http://ads.example.com/hook?token=do-not-show-me",
        "ftp://ads.example.com/?token=do-not-show-me",
        "https://?token=do-not-show-me",
        "https://user:do-not-show-me@ads.example.com/",
        "https://ads.example.com:port/?token=do-not-show-me",
        "https://[::1/?token=do-not-show-me",
        "https://ads.example.com/?token=do-not-show-me#x",
        "https://ads.example.com/ a?token=do-not-show-me",
        "https://ads.example.com/é?token=do-not-show-me",
        "https://ads.example.com/?token=do-not-show-me" + "x" * 2000,
    ],
)
def test_what_is_no_safe_address_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_webhook_url(url, {})
    assert "do-not-show-me" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/?token=t", "https://localhost/?token=t"])
def test_an_address_of_this_machine_is_for_a_provider_on_it(url: str) -> None:
    assert opened(NEAR, webhook_url=url) == (url, False)
    with pytest.raises(UsageError, match="cannot reach"):
        opened(FAR, webhook_url=url)


def test_a_run_that_listens_makes_up_an_address_only_for_a_provider_next_door() -> None:
    url, listens = opened(NEAR, listen=("127.0.0.1", 0))
    assert listens
    assert url.startswith("http://127.0.0.1:")
    assert len(token_of(url)) >= 24
    assert opened(NEAR, listen=("127.0.0.1", 0))[0].partition("?")[2] != url.partition("?")[2]
    assert opened(FAR, listen=("127.0.0.1", 0), webhook_url=HOOK) == (HOOK, True)
    assert opened(NEAR, listen=("localhost", 0))[0].startswith("http://localhost:")
    with pytest.raises(ConfigurationError) as caught:
        opened(FAR, listen=("127.0.0.1", 0))
    assert caught.value.exit_code is ExitCode.CONFIGURATION


def test_the_sandbox_of_a_run_is_given_no_address_of_another_machine() -> None:
    assert opened(NEAR, free=True, webhook_url=HOOK) == ("", False)
    url, listens = opened(NEAR, free=True, webhook_url=HOOK, listen=("127.0.0.1", 0))
    assert listens
    assert url.startswith("http://127.0.0.1:")
    assert "do-not-show-me" not in url
    here = "http://127.0.0.1:9/?token=t"
    assert opened(NEAR, free=True, webhook_url=here) == (here, False)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("0", ("127.0.0.1", 0)),
        ("8766", ("127.0.0.1", 8766)),
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_where_to_listen_is_a_port_or_host_and_port(text: str, place: tuple[str, int]) -> None:
    assert address_option("--listen")(text) == place


@pytest.mark.parametrize("text", ["", "x", "host:", "65536", "-1", "٣", "1.5"])
def test_what_is_no_port_is_a_usage_error(text: str) -> None:
    with pytest.raises(StoryboardError) as caught:
        address_option("--listen")(text)
    assert caught.value.exit_code is ExitCode.USAGE


def test_what_is_shown_of_secrets() -> None:
    assert without_query(HOOK) == "https://ads.example.com/hook?***"
    assert without_query("https://ads.example.com/hook") == "https://ads.example.com/hook"
    assert last_letters("short-key") == "***"
    assert last_letters("a-key-of-thirty-characters-1234") == "***1234"
