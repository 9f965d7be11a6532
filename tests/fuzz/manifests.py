"""Mutated manifests: each is accepted, or refused with findings that a person can act on.

Bytes are flipped, lines swapped, YAML's own signs put in, values replaced by hostile ones.
"""

from __future__ import annotations

import contextlib
import io
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest.mock import patch

from PIL import Image

from pipeline.cli import main
from pipeline.manifest import read_manifest
from pipeline.model import Problem, Severity
from pipeline.text import shown

_ROOT = Path(__file__).parents[2]
_SOURCES = sorted((_ROOT / "tests/manifests/valid").glob("*.yaml"))
_LIMIT_CPU_S = 1.0
# Through the command line, and not only through the function behind it.
_COMMAND_EVERY = 10
_MANY_MISTAKES = """\
storyboard: many mistakes
provider: wavespede
references:
  cap: gone.png
shots:
  - id: one
    images: [cap]
    prompt: "@image1 turns"
    durration: 6
  - id: two
    images: [a.png]
    prompt: "@image1 meets @image2"
    duration: 7
  - id: ONE
    images: [a.png, a.png, https://user:pw@refs.test/x.png]
    prompt: the @image1 is the #1 hit
  - id: no
    images: [a.png]
    prompt: "@image1 turns"
"""
_SIGNS = [
    "@image1", "@image9", "@", ": ", " #", "\t", "[", "]", "{", "}", '"', "'", "&a", "*a", "!x",
    "|", ">", "-", "- ", "? ", "%", "`", "\\", "\n", "\n\n", "  ", "no", "~", "1e400", ".nan",
    "0" * 50, "---\n", "...", "<<: x", "shots:", "id: a\n", "prompt:", "\x00", "\x1b", "\u202e",
    "\u2028", "\ufeff", "\ufffd", "é", "https://", "../", "null", "true", "6.0", ",", ":",
    "!!python/object/apply:os.system ['id']", "!!binary", "%YAML 1.2\n---\n", "*anchor", "\r",
]  # fmt: skip
_HOSTILE = [
    ".nan", ".inf", "-.inf", "1e400", "-1", "0", "7", "6.0", '"6"', "0x6", "0o6", "1_000", "12:30",
    "9" * 400, "9" * 6000, "true", "no", "~", "null", "2024-01-01", "[]", "{}", '""', "'  '",
    "[[]]", "[" * 60 + "]" * 60, "[" * 3000, "{a: {a: {a: {}}}}", "&a [*a]", "!!set {a}", "? [a]",
    "../../../etc/passwd", "/etc/passwd", "/dev/zero", "file:///etc/passwd", "http://127.0.0.1/x",
    "https://user:pw@refs.test/x.png", "https://[::1/x.png", "https://169.254.169.254/x.png",
    '"shot\\n"', '"\\ud800"', '"\\x00"', '"\\e[2J"', "con", "-rf", ".hidden", "a'b", "ѕhot",
    "x" * 5000, '"@image0 @image01 @Image1 @image 1 @image10"', "|\n      block\n",
    ">-\n      fold\n", "1080p", "720P", "wavespede", "a.png", "[" + "a.png, " * 8 + "]",
]  # fmt: skip


@dataclass(slots=True, kw_only=True)
class ManifestTally:
    """What became of the mutated manifests."""

    manifests: int = 0
    refused: int = 0
    findings: int = 0
    through_the_command: int = 0
    slowest_cpu_s: float = 0.0
    breaches: list[str] = field(default_factory=list)


def fuzz_manifests(first: int, count: int, folder: Path) -> ManifestTally:
    """Mutate ``count`` manifests and read each, from pictures and a file in ``folder``."""
    _draw(folder)
    sources = [path.read_text("utf-8") for path in _SOURCES] + [_MANY_MISTAKES]
    tally = ManifestTally()
    for number in range(first, first + count):
        chance = Random(f"manifest {number}")
        path = folder / "m.yaml"
        path.write_bytes(mutate(chance.choice(sources), chance))
        tally.manifests += 1
        began_s = time.process_time()
        with _no_network():
            verdict = _judge(path, tally)
        spent_s = time.process_time() - began_s
        tally.slowest_cpu_s = max(tally.slowest_cpu_s, spent_s)
        if spent_s > _LIMIT_CPU_S:
            verdict = verdict or f"took {spent_s:.2f} s of CPU"
        if not verdict and number % _COMMAND_EVERY == 0:
            tally.through_the_command += 1
            with _no_network():
                verdict = _judge_command(path)
        if verdict:
            tally.breaches.append(f"manifest {number}: {verdict}")
    return tally


def mutate(text: str, chance: Random) -> bytes:
    """One to four edits of a manifest, at times below the level of characters."""
    for _ in range(chance.randint(1, 4)):
        text = _edit(text, chance)
    raw = text.encode()
    if chance.random() < 0.1 and raw:
        at = chance.randrange(len(raw))
        raw = raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :]
    if chance.random() < 0.03:
        raw = chance.choice((text.encode("utf-16"), raw + b"\xff\xfe", b"\xef\xbb\xbf" + raw))
    return raw


def _edit(text: str, chance: Random) -> str:
    at = chance.randrange(len(text) + 1)
    end = min(len(text), at + chance.choice((0, 1, 2, 8, 40)))
    match chance.randrange(8):
        case 0:
            return text[:at] + text[end:]
        case 1:
            return text[:at] + chance.choice(_SIGNS) + text[at:]
        case 2:
            return text[:at] + chance.choice(_SIGNS) + text[end:]
        case 3:
            return text[:at] + text[at:end] * 3 + text[end:]
        case 4:
            lines = text.splitlines(keepends=True)
            if lines:
                one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
                lines[one], lines[other] = lines[other], lines[one]
            return "".join(lines)
        case _:
            return _with_a_hostile_value(text, chance)


def _with_a_hostile_value(text: str, chance: Random) -> str:
    """The value behind some key, replaced."""
    places = list(re.finditer(r"(?m)^([ -]*[a-z]+: )(.*)$", text))
    if not places:
        return chance.choice(_HOSTILE)
    place = chance.choice(places)
    return text[: place.start(2)] + chance.choice(_HOSTILE) + text[place.end(2) :]


def _judge(path: Path, tally: ManifestTally) -> str:
    raw = path.read_bytes()
    try:
        checked = read_manifest(str(path))
    except Exception as exc:  # noqa: BLE001 - whatever it is, it must not get this far
        return f"{type(exc).__name__} came out: {exc!s:.200}"
    tally.findings += len(checked.problems)
    has_error = any(problem.severity is Severity.ERROR for problem in checked.problems)
    tally.refused += has_error
    if (checked.storyboard is None) != has_error:
        return "accepted with an error, or refused without one"
    for problem in checked.problems:
        if verdict := _judge_problem(problem, raw):
            return verdict
    return ""


def _judge_problem(problem: Problem, raw: bytes) -> str:
    line, column = problem.position.line, problem.position.column
    text = str(problem)
    if not 1 <= line <= raw.count(b"\n") + raw.count(b"\r") + 1 or column < 1:
        return f"a place that is not in the file: {text:.200}"
    if not text.startswith(f"{problem.file}:{line}:{column}: "):
        return f"no FILE:LINE:COL: {text:.200}"
    if not problem.message or not problem.hint:
        return f"no word of what is wrong, or of the cure: {text:.200}"
    if shown(text, 2000) != text or len(text) > 1000:
        return f"not fit to be shown: {text!r:.200}"
    return ""


def _judge_command(path: Path) -> str:
    """``storyboard validate`` of the same file."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        code = main(["validate", str(path)])
    words = told.getvalue()
    if code not in {0, 65, 66} or "Traceback" in words:
        return f"validate ended with {code}: {words:.200}"
    if code and not re.search(rf"(?m)^{re.escape(str(path))}:\d+:\d+: ", words):
        return f"validate ended with {code} and names no place: {words:.200}"
    return ""


@contextmanager
def _no_network() -> Iterator[None]:
    """Reading a manifest sends nothing: any connection is an error that nothing catches."""

    def refuse(*_: object) -> None:
        raise AssertionError("a manifest was read and a connection was made")

    with (
        patch.object(socket.socket, "connect", refuse),
        patch.object(socket, "getaddrinfo", refuse),
    ):
        yield


def _draw(folder: Path) -> None:
    (folder / "refs").mkdir(exist_ok=True)
    names = ("a.png", "refs/a.png", "refs/b.png", "refs/c.png")
    for number, name in enumerate(names):
        Image.new("RGB", (16, 9), (40 * number, 30, 30)).save(folder / name)
