"""Start the real command with a crash built in, or broken on purpose.

    launcher.py [--crash PLACE] [--break NAME] [--clip-cap BYTES] -- --debug run ...

A crash happens where the program holds the key. A broken program leaks it in one of the ways in
which programs do; a scan that lets these pass proves nothing. No code of the program knows of
any of this.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pipeline import settings
from pipeline.cli import entry
from pipeline.download import Downloader
from pipeline.journal import Journal
from pipeline.media import ffmpeg
from pipeline.providers.http import HttpProvider

_KEY = "WAVESPEED_API_KEY"


def crash_in_send() -> None:
    """An error nobody foresaw, raised with the headers at hand."""

    async def send(self: HttpProvider, client: Any, request: Any, **options: Any) -> Any:
        headers = {**(request.headers or {}), **self._authorization}
        raise RuntimeError(f"forced crash with {len(headers)} headers")

    HttpProvider._send = send  # type: ignore[method-assign]


def crash_in_journal() -> None:
    """The journal fails in a way of its own."""

    def append(self: Journal, *_: Any, **__: Any) -> Any:
        raise RuntimeError("forced crash")

    Journal.append = append  # type: ignore[method-assign]


def crash_in_download() -> None:
    """The download fails in a way of its own."""

    async def fetch(self: Downloader, *_: Any, **__: Any) -> int:
        raise RuntimeError("forced crash")

    Downloader.fetch = fetch  # type: ignore[method-assign]


def crash_in_verify() -> None:
    """Looking at a clip fails in a way of its own."""

    def environment(_: Mapping[str, str]) -> dict[str, str]:
        raise RuntimeError("forced crash")

    ffmpeg.child_environment = environment


def crash_in_header() -> None:
    """A key that no header can hold gets past the check: httpx names it in its error."""
    read_key = settings._read_key

    def unchecked(variable: str, env: Mapping[str, str]) -> str:
        return read_key(variable, env) + "\n"

    settings._read_key = unchecked


def crash_in_settings() -> None:
    """Reading the settings fails with the key at hand."""

    def fail(variable: str, env: Mapping[str, str]) -> str:
        key = env[variable]
        raise RuntimeError(f"forced crash with a key of {len(key)} letters")

    settings._read_key = fail


def break_headers_logged() -> None:
    """Print what is sent, as debug logs do."""
    send = HttpProvider._send

    async def loud(self: HttpProvider, client: Any, request: Any, **options: Any) -> Any:
        sys.stderr.write(f"> {request.method} {request.path} {self._authorization}\n")
        return await send(self, client, request, **options)

    HttpProvider._send = loud  # type: ignore[method-assign]


def break_environment_passed_on() -> None:
    """Start ffmpeg with all of our environment, as subprocess does by default."""
    ffmpeg.child_environment = dict


def break_key_in_arguments() -> None:
    """Hand ffmpeg a header, as one would to let it fetch a clip by itself."""
    run = ffmpeg.run_ffmpeg

    async def talkative(arguments: Any, **options: Any) -> Any:
        header = ["-headers", f"Authorization: Bearer {os.environ[_KEY]}"]
        return await run([*header, *arguments], **options)

    from pipeline.media import verify  # noqa: PLC0415 - it has taken the name with it

    for module in (ffmpeg, verify):
        if hasattr(module, "run_ffmpeg"):
            module.run_ffmpeg = talkative  # type: ignore[attr-defined]


def break_key_in_journal() -> None:
    """Keep the whole request, headers and all."""
    append = Journal.append

    def wordy(self: Journal, attempt_id: str, kind: Any, data: Mapping[str, Any]) -> Any:
        return append(self, attempt_id, kind, {**data, "authorization": os.environ[_KEY]})

    Journal.append = wordy  # type: ignore[method-assign]


def break_key_to_files() -> None:
    """Fetch clips with the client that carries the key."""
    make = Downloader.__init__

    def keyed(self: Downloader, **options: Any) -> None:
        make(self, **options)
        self._client.headers["Authorization"] = f"Bearer {os.environ[_KEY]}"

    Downloader.__init__ = keyed  # type: ignore[method-assign]


CRASHES: dict[str, Callable[[], None]] = {
    "send": crash_in_send,
    "journal": crash_in_journal,
    "download": crash_in_download,
    "verify": crash_in_verify,
    "header": crash_in_header,
    "settings": crash_in_settings,
}
BREAKS: dict[str, Callable[[], None]] = {
    "headers-logged": break_headers_logged,
    "environment-passed-on": break_environment_passed_on,
    "key-in-arguments": break_key_in_arguments,
    "key-in-journal": break_key_in_journal,
    "key-to-files": break_key_to_files,
}


def main() -> None:
    """Arrange what the options ask for, then be the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--crash", choices=sorted(CRASHES))
    parser.add_argument("--break", dest="broken", choices=sorted(BREAKS))
    parser.add_argument("--clip-cap", type=int)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    if options.crash is not None:
        CRASHES[options.crash]()
    if options.broken is not None:
        BREAKS[options.broken]()
    if options.clip_cap is not None:
        (Downloader.__init__.__kwdefaults__ or {})["max_bytes"] = options.clip_cap
    sys.argv = ["storyboard", *options.arguments]
    entry()


if __name__ == "__main__":
    main()
