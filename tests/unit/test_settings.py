"""Settings and keys: ranges with their cure, and a key that no message, repr or path tells."""

from __future__ import annotations

import traceback
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.capabilities import PROVIDERS, SANDBOX, WAVESPEED
from pipeline.errors import ConfigurationError, ExitCode
from pipeline.session import settings_for
from pipeline.settings import account_level, is_loopback, read_access, read_settings

KEY = "wsk_canary_5f1c9a3e77b24d"
PAID = {"WAVESPEED_API_KEY": KEY}


def refused(env: dict[str, str]) -> str:
    """What is said of an environment that gives no access; never the key."""
    with pytest.raises(ConfigurationError) as caught:
        read_access("wavespeed", env)
    told = "".join(traceback.format_exception(caught.value))
    one: BaseException | None = caught.value
    while one is not None:
        told += f"{one!s}{one!r}{vars(one)!r}"
        one = one.__cause__ or one.__context__
    assert "canary" not in told
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    return str(caught.value)


# ---------------------------------------------------------------- figures


def test_defaults_are_the_documented_ones() -> None:
    settings = read_settings({})
    assert settings.account_level is None
    assert settings.submits_per_minute is None
    assert settings.max_tasks is None
    assert settings.rate_window_s == 60
    assert settings.poll_interval_s == 5
    assert settings.submit_timeout_s == 60
    assert settings.settle_s == 10
    assert settings.task_limit_s == 1800
    assert settings.result_hosts == ()
    assert settings.state_dir is None


def test_every_setting_is_read() -> None:
    settings = read_settings(
        {
            "STORYBOARD_ACCOUNT_LEVEL": "silver",
            "STORYBOARD_SUBMITS_PER_MINUTE": "7",
            "STORYBOARD_MAX_TASKS": " 3 ",
            "STORYBOARD_RATE_WINDOW_S": "3",
            "STORYBOARD_POLL_INTERVAL_S": "0.5",
            "STORYBOARD_SUBMIT_TIMEOUT_S": "2",
            "STORYBOARD_SETTLE_S": "0",
            "STORYBOARD_TASK_LIMIT_S": "60",
            "STORYBOARD_RESULT_HOSTS": "A.example, ,b.example,",
            "STORYBOARD_STATE_DIR": "/somewhere",
        }
    )
    assert settings.account_level == "silver"
    assert (settings.submits_per_minute, settings.max_tasks) == (7, 3)
    assert (settings.rate_window_s, settings.poll_interval_s) == (3.0, 0.5)
    assert (settings.submit_timeout_s, settings.settle_s, settings.task_limit_s) == (2.0, 0.0, 60.0)
    assert settings.result_hosts == ("a.example", "b.example")
    assert settings.state_dir == Path("/somewhere")


@pytest.mark.parametrize("name", ["SUBMITS_PER_MINUTE", "MAX_TASKS"])
@pytest.mark.parametrize("text", ["0", "-1", "1.5", "abc", "1e9", "999999999", "١", "1_0", "nan"])
def test_a_limit_that_is_no_count_is_refused_with_its_range(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"STORYBOARD_{name}.*from 1 to 100000") as caught:
        read_settings({f"STORYBOARD_{name}": text})
    assert caught.value.exit_code is ExitCode.CONFIGURATION


@pytest.mark.parametrize(
    "name", ["RATE_WINDOW_S", "POLL_INTERVAL_S", "SUBMIT_TIMEOUT_S", "SETTLE_S", "TASK_LIMIT_S"]
)
@pytest.mark.parametrize("text", ["-1", "nan", "inf", "-inf", "1e9", "five", "5,0", "0x10"])
def test_a_time_that_is_no_time_is_refused_with_its_range(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"STORYBOARD_{name}.*seconds from"):
        read_settings({f"STORYBOARD_{name}": text})


@pytest.mark.parametrize("name", ["RATE_WINDOW_S", "POLL_INTERVAL_S", "SUBMIT_TIMEOUT_S"])
def test_times_that_would_spin_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        read_settings({f"STORYBOARD_{name}": "0"})


def test_an_unknown_level_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="bronze, gold, silver, ultra"):
        read_settings({"STORYBOARD_ACCOUNT_LEVEL": "platinum\x1b[0m"})


def test_a_level_sets_both_limits_and_a_setting_replaces_one() -> None:
    lowest = account_level(read_settings({}), WAVESPEED)
    assert (lowest.name, lowest.submits_per_minute, lowest.max_tasks) == ("bronze", 2, 2)
    highest = account_level(read_settings({}), SANDBOX)
    assert highest == SANDBOX.levels[-1]
    silver = read_settings({"STORYBOARD_ACCOUNT_LEVEL": "silver", "STORYBOARD_MAX_TASKS": "4"})
    named = account_level(silver, WAVESPEED)
    assert (named.submits_per_minute, named.max_tasks) == (500, 4)
    assert account_level(silver, SANDBOX).name == "silver"


def test_state_lives_where_the_user_or_the_platform_says() -> None:
    home = {"HOME": "/home/ann"}
    assert read_settings(home).state_dir == Path("/home/ann/.local/state/storyboard")
    xdg = home | {"XDG_STATE_HOME": "/state"}
    assert read_settings(xdg).state_dir == Path("/state/storyboard")
    assert read_settings(xdg | {"STORYBOARD_STATE_DIR": "/mine"}).state_dir == Path("/mine")


def test_the_sandbox_is_asked_more_often_unless_a_setting_says_otherwise() -> None:
    settings = read_settings({})
    assert settings_for(settings, "wavespeed") == settings
    assert settings_for(settings, "sandbox").poll_interval_s < settings.poll_interval_s
    named = read_settings({"STORYBOARD_POLL_INTERVAL_S": "5", "STORYBOARD_SETTLE_S": "9"})
    assert settings_for(named, "sandbox").poll_interval_s == 5
    assert settings_for(named, "sandbox").settle_s == 9


# ---------------------------------------------------------------- keys


def test_a_key_comes_from_the_environment_trimmed() -> None:
    assert read_access("wavespeed", {"WAVESPEED_API_KEY": f" {KEY}\r\n"}).key == KEY


def test_a_key_comes_from_a_file_trimmed(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    access = read_access("wavespeed", {"WAVESPEED_API_KEY_FILE": str(file)})
    assert (access.key, access.warning) == (KEY, "")


def test_a_key_in_the_environment_comes_before_a_file(tmp_path: Path) -> None:
    access = read_access("wavespeed", PAID | {"WAVESPEED_API_KEY_FILE": str(tmp_path / "none")})
    assert (access.key, access.warning) == (KEY, "")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_file_that_others_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)
    warning = read_access("wavespeed", {"WAVESPEED_API_KEY_FILE": str(file)}).warning
    assert "chmod 600" in warning
    assert KEY not in warning


@pytest.mark.parametrize(
    "key",
    [
        f"{KEY} with a blank",
        f"{KEY}\nsecond line",
        f"{KEY}\x00",
        f"{KEY}é",
        f"{KEY}\udcff",
        KEY * 400,
        f"{KEY}-your-api-key",
        "xxxxxxxxxxxxxxxxcanary",
    ],
)
def test_what_cannot_be_a_key_is_refused_without_being_told(tmp_path: Path, key: str) -> None:
    assert "WAVESPEED_API_KEY" in refused({"WAVESPEED_API_KEY": key})
    file = tmp_path / "key"
    file.write_bytes(key.encode("utf-8", "surrogateescape"))
    assert "WAVESPEED_API_KEY_FILE" in refused({"WAVESPEED_API_KEY_FILE": str(file)})


@pytest.mark.parametrize("env", [{}, {"WAVESPEED_API_KEY": ""}, {"WAVESPEED_API_KEY": " \n"}])
def test_no_key_names_both_variables_and_the_free_way(env: dict[str, str]) -> None:
    text = refused(env)
    assert "WAVESPEED_API_KEY is not set" in text
    assert "WAVESPEED_API_KEY_FILE" in text
    assert "sandbox" in text


def test_a_key_file_that_is_empty_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    assert "is empty" in refused({"WAVESPEED_API_KEY_FILE": str(empty)})
    assert "No such file" in refused({"WAVESPEED_API_KEY_FILE": str(tmp_path / "none")})
    assert "directory" in refused({"WAVESPEED_API_KEY_FILE": str(tmp_path)}).lower()


def test_neither_settings_nor_access_show_the_key() -> None:
    access = read_access("wavespeed", PAID)
    settings = read_settings(PAID)
    for text in (repr(access), str(access), repr(settings), str(settings), access.account):
        assert KEY not in text
    assert asdict(access)["key"] == KEY


def test_accounts_are_told_apart_by_key_and_base_url() -> None:
    one = read_access("wavespeed", PAID)
    other_key = read_access("wavespeed", {"WAVESPEED_API_KEY": KEY + "2"})
    other_url = read_access("wavespeed", PAID | {"WAVESPEED_BASE_URL": "http://127.0.0.1:9"})
    assert len({one.account, other_key.account, other_url.account}) == 3
    assert one.account == read_access("wavespeed", PAID).account


# ---------------------------------------------------------------- base URLs


@pytest.mark.parametrize(
    ("text", "base_url", "local"),
    [
        ("https://api.wavespeed.ai/", "https://api.wavespeed.ai", False),
        ("https://gateway.example:8443", "https://gateway.example:8443", False),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", True),
        ("http://localhost:9000/", "http://localhost:9000", True),
        ("http://[::1]:9000", "http://[::1]:9000", True),
        ("https://127.0.0.1:9000", "https://127.0.0.1:9000", True),
    ],
)
def test_a_base_url_is_scheme_host_and_port(text: str, base_url: str, local: bool) -> None:
    access = read_access("wavespeed", PAID | {"WAVESPEED_BASE_URL": text})
    assert (access.base_url, access.is_local) == (base_url, local)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://api.wavespeed.ai", "plain http"),
        ("http://192.168.1.10", "plain http"),
        ("http://localhost.example", "plain http"),
        ("http://127.0.0.1.example", "plain http"),
        ("https://", "not a base URL"),
        ("https:///x", "not a base URL"),
        ("api.wavespeed.ai", "not a base URL"),
        ("ftp://api.wavespeed.ai", "not a base URL"),
        ("https://api.wavespeed.ai?x=1", "not a base URL"),
        ("https://api.wavespeed.ai#x", "not a base URL"),
        ("https://api wavespeed.ai", "not a base URL"),
        ("https://bücher.example", "not a base URL"),
        ("https://user:canary@api.wavespeed.ai", "name or password"),
        ("https://@api.wavespeed.ai", "name or password"),
        ("https://api.wavespeed.ai/api/v3", "path"),
        ("https://api.wavespeed.ai:port", "not a URL"),
        ("https://[::1", "not a URL"),
    ],
)
def test_a_base_url_that_is_not_safe_is_refused_before_the_key_is_read(text: str, why: str) -> None:
    env = {"WAVESPEED_BASE_URL": text, "WAVESPEED_API_KEY_FILE": "/nonexistent"}
    message = refused(env)
    assert "WAVESPEED_BASE_URL" in message
    assert why in message


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_a_base_url_that_is_set_but_empty_never_means_the_real_provider(text: str) -> None:
    message = refused(PAID | {"WAVESPEED_BASE_URL": text})
    assert "WAVESPEED_BASE_URL is set, but empty (unset it" in message
    assert read_access("wavespeed", PAID).base_url == "https://api.wavespeed.ai"


@pytest.mark.parametrize("name", ["STORYBOARD_DAY_CAP_USD", "STORYBOARD_STATE_DIR"])
def test_a_cap_or_its_place_that_is_set_but_empty_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is set, but empty .*unset it"):
        read_settings({"HOME": "/home/ann", name: " "})


@pytest.mark.parametrize("name", ["WAVESPEED_API_KEY_FILE", "STORYBOARD_SETTLE_S"])
def test_what_is_empty_and_does_no_harm_counts_as_not_set(name: str) -> None:
    env = PAID | {name: ""}
    assert read_access("wavespeed", env).key == KEY
    assert read_settings(env).settle_s == 10


def test_every_paid_provider_that_we_know_has_a_default_address() -> None:
    for name in PROVIDERS[1:]:
        access = read_access(name, {f"{name.upper()}_API_KEY": KEY})
        assert access.base_url.startswith("https://")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.200.1.1", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),  # noqa: S104
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.1", False),
        ("", False),
    ],
)
def test_only_names_and_numbers_of_this_machine_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
