"""Imports point one way. What is decided may not depend on how the world is reached."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import pipeline

# From the bottom up; a unit may import what stands below it. A package is one unit.
LAYERS: tuple[tuple[str, str, frozenset[str]], ...] = (
    (
        "words",
        "what everybody speaks in; depends on nothing",
        frozenset({"pipeline", "errors", "masking", "text", "schemas"}),
    ),
    (
        "core",
        "decisions over plain values, so that every one of them is a table in a test",
        frozenset(
            {
                "film",
                "model",
                "capabilities",
                "timecode",
                "prompt",
                "references",
                "signatures",
                "findings",
                "yaml_tree",
                "yaml_faults",
                "yaml_document",
                "view",
                "library",
                "shape",
                "task_ids",
                "purchase",
                "output",
                "untaken",
                "validation",
                "pricing",
                "fingerprint",
                "checksums",
                "ledger",
                "planning",
                "spending",
                "edl",
            }
        ),
    ),
    (
        "files",
        "files that appear whole, and what the machine gives all of us; edges share it",
        frozenset({"files", "openfiles", "tls", "uptime"}),
    ),
    (
        "edges",
        "one kind of I/O each; they know no other edge, so each can be tested and replaced alone",
        frozenset(
            {
                "settings",
                "images",
                "conversion",
                "materials",
                "typefaces",
                "wording",
                "probing",
                "manifest",
                "journal",
                "account",
                "summary",
                "workspace",
                "download",
                "embedded",
                "media",
                "providers",
                "sandbox",
            }
        ),
    ),
    (
        "shell",
        "carries out one plan with the edges it is handed",
        frozenset(
            {
                "filming",
                "finishing",
                "waking",
                "listening",
                "production",
                "proving",
                "asking",
                "settling",
                "fetching",
                "taking",
                "quoting",
                "vetting",
                "uploading",
                "reconciling",
                "runner",
                "session",
            }
        ),
    ),
    ("report", "puts results into words; nothing below knows how they look", frozenset({"report"})),
    (
        "top",
        "reads the command line and wires the rest together",
        frozenset({"commands", "cli", "__main__"}),
    ),
)
# Edges that know another one, and why.
SIDEWAYS = {
    ("manifest", "images"): "a manifest is only checked with the pictures it names",
    ("manifest", "media"): "and with the clips that it edits",
    ("manifest", "conversion"): "and with the pictures that are converted for it",
    ("manifest", "materials"): "and with the files that its film names",
    ("manifest", "wording"): "and with the words that are written on its pictures",
    ("wording", "typefaces"): "which are looked for in the fonts",
    ("materials", "images"): "a logo or card is judged as any other picture",
    ("materials", "media"): "and a recording by what decodes it",
    ("materials", "typefaces"): "and a font by what draws its letters",
    ("conversion", "images"): "what was converted is judged as any other picture",
    ("probing", "download"): "the same rules say where any stranger's address may lead",
    ("workspace", "journal"): "whose folder it is stands in its journal",
    ("workspace", "settings"): "where the user's state lives is a setting",
    ("embedded", "settings"): "it gives the same kind of access as a key does",
    ("providers", "account"): "the limiter hands out what the account allows",
}
# The double shares no code with the client, or it would prove nothing.
SANDBOX_MAY_KNOW = frozenset({"sandbox", "errors", "media"})
HTTPX_ONLY_IN = frozenset({"pipeline.providers.http", "pipeline.download", "pipeline.probing"})
# Disk, clock, network, processes and chance. ``pathlib`` is not among them: a path is a value.
# fmt: off
IO_LIBRARIES = frozenset({
    "PIL", "anyio", "asyncio", "av", "fcntl", "ffmpeg", "httpx", "io", "multiprocessing", "numpy",
    "os", "random", "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl",
    "starlette", "subprocess", "sys", "tempfile", "threading", "time", "tqdm", "trio", "uuid",
    "uvicorn",
})
# fmt: on

LEVEL_OF = {unit: level for level, (_, _, units) in enumerate(LAYERS) for unit in units}


def unit_of(module: str) -> str:
    """``pipeline.media.probe`` belongs to ``media``, ``pipeline.cli`` to ``cli``."""
    return module.split(".")[1] if "." in module else module


@cache
def imports(module: str, source: str, is_package: bool = False) -> frozenset[str]:
    """Every module that a module imports, wherever in its text; for names of a package, the
    package and the name, as the name may be a module."""
    return frozenset(_imports(module, source, is_package))


def _imports(module: str, source: str, is_package: bool) -> Iterator[str]:
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                above = ".".join(parts[: len(parts) - node.level + 1])
                base = f"{above}.{base}".rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def faults(sources: Mapping[str, str]) -> list[str]:
    """What is wrong with the imports of these modules, in words."""
    found: list[str] = []
    for module, source in sources.items():
        unit = unit_of(module)
        if unit not in LEVEL_OF:
            found.append(f"{module} belongs to no layer; add {unit!r} to LAYERS")
            continue
        is_package = any(other.startswith(f"{module}.") for other in sources)
        for target in sorted(imports(module, source, is_package)):
            top = target.split(".")[0]
            if top == "httpx" and module not in HTTPX_ONLY_IN:
                found.append(f"{module} imports httpx")
            if top in IO_LIBRARIES and LAYERS[LEVEL_OF[unit]][0] in {"words", "core"}:
                found.append(f"{module} imports {top}, but decides over plain values")
            if target in sources and (fault := _fault(unit, unit_of(target))):
                found.append(f"{module} imports {target}: {fault}")
    return found


def _fault(unit: str, target: str) -> str:
    if unit == "sandbox":
        shares = target not in SANDBOX_MAY_KNOW
        return "a double that shares the client's code proves nothing" if shares else ""
    if target not in LEVEL_OF or LEVEL_OF[target] > LEVEL_OF[unit]:
        return "upward"
    sideways = LEVEL_OF[target] == LEVEL_OF[unit] and unit != target
    if sideways and LAYERS[LEVEL_OF[unit]][0] == "edges" and (unit, target) not in SIDEWAYS:
        return "edges do not know each other"
    return ""


def circles(sources: Mapping[str, str]) -> list[str]:
    """Modules that import themselves by way of others."""
    graph = {
        module: (imports(module, source) & sources.keys()) - {module}
        for module, source in sources.items()
    }
    # What imports nothing that is left can be taken away; what remains goes round in circles.
    while free := [module for module, targets in graph.items() if not targets & graph.keys()]:
        for module in free:
            del graph[module]
    return sorted(graph)


def real_sources() -> dict[str, str]:
    root = Path(pipeline.__file__).parent
    sources = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources


REAL = real_sources()


def test_imports_of_the_program_point_one_way() -> None:
    assert len(REAL) > 60
    assert faults(REAL) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(REAL) == []


def test_every_layer_and_exception_is_still_needed() -> None:
    units = {unit_of(module) for module in REAL} | {"schemas"}
    assert set(LEVEL_OF) == units
    known = {
        (unit_of(module), unit_of(target))
        for module, source in REAL.items()
        for target in imports(module, source)
        if target in REAL
    }
    assert set(SIDEWAYS) <= known
    assert all(
        any(target.split(".")[0] == "httpx" for target in imports(module, REAL[module]))
        for module in HTTPX_ONLY_IN
    )


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("pipeline.errors", "from pipeline.model import Shot"),
        ("pipeline.planning", "from pipeline.journal import Journal"),
        ("pipeline.planning", "from pipeline import journal"),
        ("pipeline.planning", "import pipeline.journal as j"),
        ("pipeline.planning", "from .journal import Journal"),
        ("pipeline.planning", "def plan():\n    from pipeline.runner import Runner"),
        ("pipeline.planning", "if TYPE_CHECKING:\n    from pipeline.account import Allowance"),
        ("pipeline.files", "from pipeline.summary import SUMMARY_NAME"),
        ("pipeline.journal", "from pipeline.commands import run"),
        ("pipeline.taking", "from pipeline.report import Messages"),
        ("pipeline.report", "from pipeline.cli import main"),
        ("pipeline.media.probe", "from pipeline.taking import TakeMaker"),
        ("pipeline.account", "from pipeline.journal import read_events"),
        ("pipeline.media.probe", "from pipeline.providers import http"),
        ("pipeline.media.probe", "from ..providers.http import HttpProvider"),
        ("pipeline.sandbox.server", "from pipeline.providers.base import HttpRequest"),
        ("pipeline.sandbox.server", "from pipeline.pricing import RATE_CARDS"),
        ("pipeline.sandbox.server", "from pipeline.account import AccountStore"),
        ("pipeline.sandbox.server", "from pipeline.journal import Journal"),
        ("pipeline.sandbox.server", "from pipeline import runner"),
        ("pipeline.sandbox.server", "from pipeline.model import Resolution"),
        ("pipeline.ledger", "import sqlite3"),
        ("pipeline.pricing", "import os.path"),
        ("pipeline.validation", "from subprocess import run"),
        ("pipeline.errors", "import anyio"),
        ("pipeline.fingerprint", "import httpx"),
        ("pipeline.runner", "import httpx"),
        ("pipeline.providers.wavespeed", "from httpx import Response"),
        ("pipeline.sandbox.server", "import httpx"),
        ("pipeline.newcomer", ""),
        ("pipeline.model", "from pipeline import newcomer"),
    ],
)
def test_import_that_breaks_a_rule_is_found(module: str, line: str) -> None:
    sources = REAL | {module: f"{REAL.get(module, '')}\n{line}\n"}
    if "newcomer" in line:
        sources["pipeline.newcomer"] = ""
    assert faults(sources)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("pipeline.planning", "from pipeline.text import clean"),
        ("pipeline.planning", "from pathlib import Path"),
        ("pipeline.sandbox.server", "from pipeline.media.ffmpeg import find_ffmpeg"),
        ("pipeline.taking", "from pipeline.journal import Journal"),
        ("pipeline.commands.run", "from pipeline.session import run_session"),
        ("pipeline.media.probe", "from .ffmpeg import run_ffmpeg"),
        ("pipeline.download", "import httpx"),
    ],
)
def test_import_that_keeps_the_rules_is_let_through(module: str, line: str) -> None:
    assert faults(REAL | {module: f"{REAL[module]}\n{line}\n"}) == []


def test_circle_is_found() -> None:
    sources = REAL | {"pipeline.pricing": f"{REAL['pipeline.pricing']}\nimport pipeline.planning\n"}
    assert {"pipeline.planning", "pipeline.pricing"} <= set(circles(sources))
