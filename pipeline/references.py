"""What an entry of ``images`` means: a name of the library, a file beside the manifest, or a URL.

Only text is judged here; whether a file exists is for the edge that opens it.
"""

from __future__ import annotations

import binascii
import ipaddress
import re
from base64 import b64decode
from urllib.parse import urlsplit

from pipeline.text import shown

MAX_URL_CHARACTERS = 2000

# Names of shots, storyboards and references: they become file names on any system.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
NAME_RULE = "1 to 64 of a–z, A–Z, 0–9, _ and -, starting with a letter or digit"
# Windows keeps these names for devices, with any ending.
RESERVED_NAMES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(?:https?|file|ftp|data|javascript):", re.IGNORECASE)
_URL_CHARACTERS = re.compile(r"[!-~]+\Z")
# How a provider names media that it has, and how base64 of a JPEG, PNG, WebP or GIF begins.
_MEDIA_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*\Z")
_BARE_HEADS = ("/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD")
_LEAST_BARE = 48
_LABELS = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?\Z")
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa")


def is_url(source: str) -> bool:
    """Whether an entry is meant as a URL; ``concat:x.png`` is a file name."""
    return _URL.match(source) is not None


def is_inline(source: str) -> bool:
    """Whether an entry is a ``data:`` URI, the picture itself instead of its name."""
    return source[:5].lower() == "data:"


def is_address(source: str) -> bool:
    """Whether an entry is a URL that somebody has to fetch."""
    return is_url(source) and not is_inline(source)


def inline_label(uri: str) -> str:
    """A ``data:`` URI as it may be shown: its type and length, never its picture."""
    head = shown(uri[: uri.find(",") + 1] or "data:", 40)
    return f"{head}… ({len(uri):,} characters)"


def inline_bytes(uri: str) -> bytes | None:
    """The bytes of a ``data:`` URI in base64, None where it is none.

    Source: RFC 2397. Blanks are allowed, as YAML folds long lines.
    """
    head, _, body = uri.partition(",")
    if not head.lower().endswith(";base64"):
        return None
    try:
        return b64decode("".join(body.split()), validate=True) or None
    except (ValueError, binascii.Error):
        return None


def foreign_form(source: str) -> tuple[str, str] | None:
    """Message and cure for an entry in a form that a provider knows and a manifest does not take:
    the id of a file that is there already, or a picture in bare base64; None for any other."""
    if _MEDIA_ID.match(source):
        return (
            f'"{source}" is the id of a file at the provider, which nobody can look at before '
            "money is spent",
            "name the file itself, or its https address",
        )
    if len(source) >= _LEAST_BARE and source.startswith(_BARE_HEADS) and _BARE.match(source):
        return (
            f'"{shown(source, 20)}" is a picture in bare base64 ({len(source):,} characters)',
            "on runware write it as a data: URI (data:image/png;base64, and the picture); "
            "or save it to a file beside the manifest and name that",
        )
    return None


def is_this_machine(url: str) -> bool:
    """Whether a URL is plain http to a loopback address, as a sandbox's are."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def url_mistake(url: str) -> tuple[str, str] | None:
    """What is wrong with a reference URL and its cure, or None.

    The provider fetches the URL, so only ``https`` to a public host makes sense; credentials in
    it would be stored with the task.
    """
    quoted = f'"{shown(url)}"'
    host = ""
    port_is_valid = True
    if _URL_CHARACTERS.match(url) and len(url) <= MAX_URL_CHARACTERS:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            port_is_valid = parts.port is None or parts.port > 0
        except ValueError:
            port_is_valid = False
    mistake: tuple[str, str] | None = None
    if is_inline(url):
        mistake = (
            f'"{inline_label(url)}" is no address; https URLs only',
            "save it to a file beside the manifest and name that",
        )
    elif not url.lower().startswith("https://"):
        scheme = url.partition(":")[0].lower()
        mistake = (
            f"{quoted} uses {shown(scheme, 12)}; https URLs only",
            "use an https URL, or save the image beside the manifest and name the file",
        )
    elif len(url) > MAX_URL_CHARACTERS:
        mistake = (
            f"the URL has {len(url):,} characters; at most {MAX_URL_CHARACTERS:,}",
            "use a shorter one",
        )
    elif not _URL_CHARACTERS.match(url):
        mistake = (
            f"{quoted} has a blank, a control or a non-ASCII character",
            "write it percent-encoded, as a browser's address bar copies it",
        )
    elif not port_is_valid or not host:
        mistake = f"{quoted} has no valid host and port", "write https://host/path"
    elif "@" in urlsplit(url).netloc:
        mistake = (
            f'"https://…@{shown(host, 40)}" carries a user name or password; https URLs without',
            "use a signed or public URL",
        )
    elif not _is_public(host):
        mistake = (
            f"{quoted} is not on a public host, so the provider cannot fetch it; "
            "public https URLs only",
            "save the image beside the manifest and name the file",
        )
    return mistake


def _is_public(host: str) -> bool:
    """Whether a host name could be reached from the internet, judged by the name alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        pass
    labels = host.rstrip(".").split(".")
    # Resolvers read 127.1, 2130706433 and 0x7f.1 as IPv4 addresses.
    is_numeric = re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]*", labels[-1]) is not None
    return (
        _LABELS.match(host) is not None
        and len(host) <= 253
        and len(labels) > 1
        and not is_numeric
        and labels[-1].lower() not in _LOCAL_NAMES
    )
