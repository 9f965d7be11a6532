"""Settings from the environment, checked once and handed around as values.

Keys are read from a variable or from a file that a variable names; no key is ever part of a
message, a ``repr`` or a path.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.capabilities import (
    CAPABILITIES,
    AccountLevel,
    Capabilities,
    PromptDialect,
    is_free,
)
from pipeline.errors import ConfigurationError
from pipeline.text import shown

_BASE_URLS = {"wavespeed": "https://api.wavespeed.ai", "runware": "https://api.runware.ai"}
_MAX_KEY_CHARACTERS = 500
# Anything beyond this is refused as too long all the same.
_MAX_KEY_FILE_BYTES = 10_000
# Words that people leave in from a template.
_PLACEHOLDERS = ("your-api-key", "your_api_key", "changeme", "<key>", "xxxx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every tunable figure; README's table explains each. Times are seconds.

    None for a limit means: by the account level.
    """

    account_level: str | None
    submits_per_minute: int | None
    max_tasks: int | None
    rate_window_s: float
    poll_interval_s: float
    submit_timeout_s: float
    settle_s: float
    task_limit_s: float
    result_hosts: tuple[str, ...]
    day_cap_usd: Decimal | None
    state_dir: Path | None
    runware_prompts: PromptDialect | None
    env: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach one account of one provider.

    ``account`` names the account in file names without giving the key away; ``warning`` what a
    person should know about the key, if anything.
    """

    base_url: str
    key: str = field(repr=False)
    account: str
    warning: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the provider runs on this machine (the sandbox)."""
        return is_loopback(urlsplit(self.base_url).hostname or "")


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read ``STORYBOARD_*``.

    Raises:
        ConfigurationError: a value that is no number, or out of its range; names the variable.
    """
    level = env.get("STORYBOARD_ACCOUNT_LEVEL") or None
    if level is not None:
        known = {row.name for capabilities in CAPABILITIES.values() for row in capabilities.levels}
        if level not in known:
            raise ConfigurationError(
                f"STORYBOARD_ACCOUNT_LEVEL is {shown(level)}",
                hint=f"use one of {', '.join(sorted(known))}",
            )
    return Settings(
        account_level=level,
        submits_per_minute=_whole(env, "STORYBOARD_SUBMITS_PER_MINUTE", 1, 100_000),
        max_tasks=_whole(env, "STORYBOARD_MAX_TASKS", 1, 100_000),
        rate_window_s=_seconds(env, "STORYBOARD_RATE_WINDOW_S", 60, 0.1, 3600),
        poll_interval_s=_seconds(env, "STORYBOARD_POLL_INTERVAL_S", 5, 0.1, 600),
        submit_timeout_s=_seconds(env, "STORYBOARD_SUBMIT_TIMEOUT_S", 60, 0.1, 600),
        settle_s=_seconds(env, "STORYBOARD_SETTLE_S", 10, 0, 3600),
        task_limit_s=_seconds(env, "STORYBOARD_TASK_LIMIT_S", 1800, 1, 86_400),
        result_hosts=tuple(
            host.strip().lower()
            for host in env.get("STORYBOARD_RESULT_HOSTS", "").split(",")
            if host.strip()
        ),
        day_cap_usd=_dollars(env, "STORYBOARD_DAY_CAP_USD"),
        state_dir=_state_dir(env),
        runware_prompts=_prompts(env, "STORYBOARD_RUNWARE_PROMPTS"),
        env=env,
    )


def account_level(settings: Settings, capabilities: Capabilities) -> AccountLevel:
    """The limits that hold for an account: the level's, each replaced where a setting says so.

    The default is the lowest level the provider has; for the sandbox, which is ours, the highest.
    """
    default = capabilities.levels[-1 if is_free(capabilities.provider) else 0]
    level = capabilities.level(settings.account_level or "") or default
    return AccountLevel(
        name=level.name,
        submits_per_minute=settings.submits_per_minute or level.submits_per_minute,
        max_tasks=settings.max_tasks or level.max_tasks,
    )


def read_access(provider: str, env: Mapping[str, str]) -> Access:
    """Base URL and key of a paid provider.

    Raises:
        ConfigurationError: no key, a key that cannot be one, or a base URL that is not safe.
    """
    prefix = provider.upper()
    base_url = _base_url(f"{prefix}_BASE_URL", env, _BASE_URLS[provider])
    key = _read_key(f"{prefix}_API_KEY", env)
    digest = hashlib.sha256(f"{base_url}\n{key}".encode()).hexdigest()[:16]
    return Access(
        base_url=base_url,
        key=key,
        account=f"{provider}-{digest}",
        warning=_key_file_warning(f"{prefix}_API_KEY", env),
    )


def key_origin(provider: str, env: Mapping[str, str]) -> str:
    """The variable that gives a provider's key, or names the file that does; empty: none."""
    variable = f"{provider.upper()}_API_KEY"
    if env.get(variable, "").strip():
        return variable
    return f"{variable}_FILE" if env.get(f"{variable}_FILE", "") else ""


def has_key(provider: str, env: Mapping[str, str]) -> bool:
    """Whether a key is given, good or not."""
    return bool(key_origin(provider, env))


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _base_url(variable: str, env: Mapping[str, str], default: str) -> str:
    text = _not_empty(env, variable, "like https://host").strip() or default
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as exc:
        raise ConfigurationError(f"{variable} is not a URL", hint="like https://host") from exc
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{variable} holds a name or password", hint="leave them out")
    has_host = bool(host) and text.isascii() and not any(letter.isspace() for letter in text)
    if parts.scheme not in {"http", "https"} or not has_host or parts.query or parts.fragment:
        raise ConfigurationError(f"{variable} is not a base URL", hint="like https://host")
    if parts.path.strip("/"):
        raise ConfigurationError(
            f"{variable} has a path", hint="give only scheme, host and port, like https://host"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{variable} is plain http to {shown(host)}",
            hint="use https; http is for this machine only",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _read_key(variable: str, env: Mapping[str, str]) -> str:
    key, origin = env.get(variable, "").strip(), variable
    file_name = env.get(f"{variable}_FILE", "")
    if not key and file_name:
        origin = f"the file that {variable}_FILE names"
        try:
            # Not as strict ASCII: the error would hold all of the file, and travel with ours.
            key = Path(file_name).read_bytes()[:_MAX_KEY_FILE_BYTES].decode("ascii", "replace")
            key = key.strip()
        except OSError as exc:
            raise ConfigurationError(
                f"{origin} cannot be read: {exc.strerror}", hint=f"check {shown(file_name)}"
            ) from exc
    if not key:
        raise ConfigurationError(
            f"no key: {origin} is empty" if file_name else f"no key: {variable} is not set",
            hint=f"set {variable} or {variable}_FILE, or use --provider sandbox, which is free",
        )
    plain = key.isascii() and key.isprintable() and " " not in key
    if not plain or len(key) > _MAX_KEY_CHARACTERS:
        raise ConfigurationError(
            f"{origin} holds something that cannot be a key",
            hint="a key is one word of plain characters; copy it again",
        )
    if any(word in key.lower() for word in _PLACEHOLDERS):
        raise ConfigurationError(f"{origin} still holds a placeholder", hint="put in your own key")
    return key


def _key_file_warning(variable: str, env: Mapping[str, str]) -> str:
    """What is wrong with the key file's permissions, where it is the file that counts."""
    name = env.get(f"{variable}_FILE", "")
    if env.get(variable, "").strip() or not name:
        return ""
    if not Path(name).stat().st_mode & 0o077:
        return ""
    return f"the key file {shown(name)} can be read by others (chmod 600 it)"


def _state_dir(env: Mapping[str, str]) -> Path | None:
    """Where account-wide state lives: by setting, else the user's state folder (XDG)."""
    # Elsewhere, nobody knows what the account has spent today.
    if named := _not_empty(env, "STORYBOARD_STATE_DIR", "such as /var/lib/storyboard"):
        return Path(named)
    if base := env.get("XDG_STATE_HOME"):
        return Path(base) / "storyboard"
    if home := env.get("HOME"):
        return Path(home) / ".local" / "state" / "storyboard"
    return None


def _prompts(env: Mapping[str, str], variable: str) -> PromptDialect | None:
    text = env.get(variable, "").strip()
    if not text:
        return None
    try:
        return PromptDialect(text)
    except ValueError as exc:
        raise ConfigurationError(
            f"{variable} is {shown(text)}", hint=f"use one of {', '.join(PromptDialect)}"
        ) from exc


def _not_empty(env: Mapping[str, str], variable: str, example: str) -> str:
    """A variable's text, empty where it is not set.

    Raises:
        ConfigurationError: it is set and empty, as when a script's own variable was not set. The
            default would then be a real account, or no limit: nobody asked for either.
    """
    text = env.get(variable, "")
    if variable in env and not text.strip():
        raise ConfigurationError(
            f"{variable} is set, but empty", hint=f"unset it, or give it a value {example}"
        )
    return text


def _whole(env: Mapping[str, str], variable: str, low: int, high: int) -> int | None:
    text = env.get(variable, "").strip()
    if not text:
        return None
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else -1
    if not low <= value <= high:
        raise ConfigurationError(
            f"{variable} is {shown(text)}", hint=f"a whole number from {low} to {high}"
        )
    return value


def _dollars(env: Mapping[str, str], variable: str) -> Decimal | None:
    text = _not_empty(env, variable, "such as 20.00").strip()
    if not text:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= 1_000_000:
        raise ConfigurationError(f"{variable} is {shown(text)}", hint="US dollars, such as 20.00")
    return amount


def _seconds(
    env: Mapping[str, str], variable: str, default: float, low: float, high: float
) -> float:
    text = env.get(variable, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ConfigurationError(
            f"{variable} is {shown(text)}", hint=f"a number of seconds from {low:g} to {high:g}"
        )
    return value
