"""From a file to a Storyboard or to every problem, whatever the file is."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from pipeline import images
from pipeline import manifest as module
from pipeline.errors import ExitCode
from pipeline.manifest import Checked, read_manifest
from pipeline.model import FileReference, Severity

Write = Callable[..., str]
ROOT = Path(__file__).parents[2]
VALID = sorted((ROOT / "tests/manifests/valid").glob("*.yaml"))

GOOD = 'storyboard: s\nshots:\n  - {id: one, images: [a.png], prompt: "@image1 turns"}\n'

TEN = """\
storyboard: ten mistakes
provider: wavespede
references:
  cap: gone.png
shots:
  - id: one
    images: [cap]
    prompt: @image1 turns
    durration: 6
  - id: two
    images: [a.png]
    prompt: "@image1 meets @image2"
    duration: 7
  - id: ONE
    images: [a.png]
    prompt: the @image1 is the #1 hit
  - id: no
    images: [a.png]
    prompt: "@image1 turns"
"""


def lines(checked: Checked) -> list[tuple[int, int, str]]:
    return [(p.position.line, p.position.column, p.path) for p in checked.problems]


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_every_valid_example_is_a_storyboard_without_a_word(path: Path) -> None:
    checked = read_manifest(str(path))
    assert checked.problems == ()
    assert checked.storyboard is not None
    assert checked.storyboard.path == path


def test_ten_mistakes_are_ten_problems_at_their_lines(manifest: Write) -> None:
    file = manifest(TEN)
    checked = read_manifest(file)
    assert checked.storyboard is None
    assert lines(checked) == [
        (1, 13, "storyboard"),
        (2, 11, "provider"),
        (4, 8, "references.cap"),
        (8, 13, "shots[0].prompt"),
        (9, 5, "shots[0].durration"),
        (12, 28, "shots[1].prompt"),
        (13, 15, "shots[1].duration"),
        (14, 9, "shots[2].id"),
        (16, 32, "shots[2].prompt"),
        (17, 9, "shots[3].id"),
    ]
    for problem in checked.problems:
        assert str(problem).startswith(f"{file}:{problem.position.line}:")
        assert problem.hint
    assert {p.exit_code for p in checked.problems} == {
        ExitCode.BAD_MANIFEST,
        ExitCode.FILE_MISSING,
    }


def test_the_override_decides_what_may_be_bought_and_the_storyboard_keeps_its_own_word(
    manifest: Write,
) -> None:
    file = manifest("provider: wavespeed\n" + GOOD.replace("}", ", duration: 8}"))
    refused = read_manifest(file)
    assert "which is what wavespeed sells" in refused.problems[0].message
    accepted = read_manifest(file, provider="runware")
    assert accepted.storyboard is not None
    assert accepted.storyboard.provider == "wavespeed"


def test_an_unknown_override_is_a_usage_problem(manifest: Write) -> None:
    [problem] = read_manifest(manifest(GOOD), provider="wavespede").problems
    assert problem.exit_code is ExitCode.USAGE
    assert problem.hint == "did you mean wavespeed?"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.yaml", "no such file"),
        ("m.yml", "no such file (did you mean"),
        ("m.yaml/x", "not a directory"),
        ("folder", "is a folder, not a manifest"),
        ("pipe", "is not a plain file"),
        ("socket", "is not a plain file"),
        ("nul\0byte", "not a usable file name"),
        ("x" * 300, "file name too long"),
        ("", ""),
    ],
)
def test_a_manifest_that_cannot_be_read_is_exit_66(
    name: str, words: str, manifest: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(GOOD)
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        outcome: list[Checked] = []
        worker = threading.Thread(target=lambda: outcome.append(read_manifest(name)), daemon=True)
        worker.start()
        worker.join(timeout=5)
    [checked] = outcome
    [problem] = checked.problems
    assert (problem.exit_code, problem.path) == (ExitCode.FILE_MISSING, "")
    assert (problem.position.line, problem.position.column) == (1, 1)
    assert words in str(problem)
    assert problem.hint
    assert checked.file == name


def test_an_unreadable_manifest_is_permission_denied(
    manifest: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    file = manifest(GOOD)
    monkeypatch.setattr("pipeline.manifest.os.open", deny)
    [problem] = read_manifest(file).problems
    assert problem.message == "cannot be read: permission denied"
    assert problem.exit_code is ExitCode.FILE_MISSING


def test_standard_input_is_a_manifest_in_the_current_folder(
    manifest: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest("")
    monkeypatch.chdir(tmp_path)
    checked = read_manifest("-", stdin=BytesIO(GOOD.encode()))
    assert checked.storyboard is not None
    assert checked.file == "<stdin>"
    [problem] = read_manifest("-", stdin=BytesIO(b"[]")).problems
    assert str(problem).startswith("<stdin>:1:1: ")


def test_closed_standard_input_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    [problem] = read_manifest("-").problems
    assert problem.message == "standard input is closed"
    stream = BytesIO()
    stream.close()
    assert read_manifest("-", stdin=stream).problems[0].exit_code is ExitCode.FILE_MISSING


@pytest.mark.parametrize(
    ("data", "line", "column", "words"),
    [
        (GOOD.encode("utf-16"), 1, 1, "UTF-16"),
        (GOOD.encode("utf-16-be"), 1, 1, "UTF-16"),
        (GOOD.encode("utf-32"), 1, 1, "UTF-16 or UTF-32"),
        (b"a: b\r\nt: \xc3\xa9\xe9\n", 2, 5, "not UTF-8: byte 0xe9 at offset 11"),
        (b"\xef\xbb\xbfa: \xff", 1, 4, "not UTF-8: byte 0xff"),
        ("a: \ud800".encode("utf-8", "surrogatepass"), 1, 4, "not UTF-8: byte 0xed"),
        (b"", 1, 1, "the file is empty"),
        (b"\xef\xbb\xbf", 1, 1, "the file is empty"),
    ],
)
def test_only_utf_8_is_read(
    data: bytes, line: int, column: int, words: str, manifest: Write
) -> None:
    [problem] = read_manifest(manifest(data)).problems
    assert (problem.position.line, problem.position.column) == (line, column)
    assert words in problem.message
    assert problem.exit_code is ExitCode.BAD_MANIFEST


def test_a_manifest_over_a_megabyte_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [problem] = read_manifest(str(path)).problems
    assert problem.message == "over 1 MB, which no manifest is"
    assert problem.exit_code is ExitCode.BAD_MANIFEST
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 20_000


def test_too_many_shots_are_refused_by_number(manifest: Write) -> None:
    shots = "- {id: a, images: [a.png], prompt: p}\n" * 10_001
    [problem] = read_manifest(manifest("storyboard: s\nshots:\n" + shots)).problems
    assert problem.message == "at most 1,000 shots; 10,001 given"
    assert problem.path == "shots"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\n" + "b: [*a, *a, *a, *a, *a, *a, *a, *a]\n" * 5000,
        "&a [*a]",
        "[" * 1000,
        "a: &a {x: y}\n" + "b: {<<: *a}\n" * 20_000,
        GOOD + "x: 1\n" * 100_000,
        "storyboard: s\nshots:\n" + "- 1\n" * 1000,
        GOOD + "".join(f"unknown{n}: 1\n" for n in range(40_000)),
        "storyboard: s\nshots:\n- id: a\n  prompt: p\n  images: [" + "a," * 90_000 + "]\n",
    ],
    ids=["aliases", "self", "deep", "merge", "twice", "numbers", "unknown", "images"],
)
def test_bombs_end_at_once_within_100_megabytes(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(text[:1_000_000])
    script = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from pipeline.manifest import read_manifest\n"
        "problems = read_manifest(sys.argv[1]).problems\n"
        # Not getrusage: its peak is inherited from the process that started this one.
        "status = Path('/proc/self/status').read_text()\n"
        "print(len(problems), re.search(r'VmHWM:\\s+(\\d+)', status)[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        cwd=ROOT,
    )
    count, peak_kb = (int(word) for word in done.stdout.split())
    assert 1 <= count <= 501
    assert peak_kb < 100_000


def test_a_thousand_shots_with_twenty_pictures_are_quick_and_open_each_once(
    manifest: Write,
    tmp_path: Path,
    picture: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(20):
        (tmp_path / f"r{number}.png").write_bytes(picture(color=(number, 0, 0)))
    library = "".join(f"  ref{number}: r{number}.png\n" for number in range(20))
    shots = "".join(
        f"  - id: s{n}\n    images: [ref{n % 20}, ./r{(n + 1) % 20}.png]\n"
        f'    prompt: "@image1 passes @image2, number {n}"\n    cut: 4.5\n'
        for n in range(1000)
    )
    read: list[Path] = []
    real = images.open_image

    def counted(path: Path, source: str, max_bytes: int) -> object:
        read.append(path)
        return real(path, source, max_bytes)

    monkeypatch.setattr("pipeline.images.open_image", counted)
    file = manifest("storyboard: s\nreferences:\n" + library + "shots:\n" + shots)
    start_s = time.process_time()
    checked = read_manifest(file)
    assert time.process_time() - start_s < 2
    assert checked.problems == ()
    assert checked.storyboard is not None
    assert len(checked.storyboard.shots) == 1000
    assert len(read) == len(set(read)) == 20
    image = checked.storyboard.shots[0].images[1]
    assert isinstance(image, FileReference)
    assert (image.source, image.path) == ("./r1.png", tmp_path / "r1.png")


def test_images_outside_the_folder_need_permission(
    manifest: Write, tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "b.png").write_bytes(picture())
    (tmp_path / "project/link.png").symlink_to(tmp_path / "b.png")
    text = GOOD.replace("[a.png]", f"[../b.png, {tmp_path}/a.png, link.png]").replace(
        "@image1", "@image1 @image2 @image3"
    )
    file = manifest(text, "project/m.yaml")
    refused = read_manifest(file)
    assert len(refused.problems) == 3
    assert all("outside the project folder" in problem.message for problem in refused.problems)
    allowed = read_manifest(file, allow_outside=True)
    assert allowed.storyboard is not None
    assert [problem.severity for problem in allowed.problems] == [Severity.WARNING] * 2


@pytest.mark.parametrize("kind", ["fifo", "socket", "huge", "long name", "odd name"])
def test_images_that_no_repository_can_hold(
    kind: str, manifest: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = manifest(GOOD.replace("a.png", "x"))
    monkeypatch.chdir(tmp_path)
    words = ""
    match kind:
        case "fifo":
            os.mkfifo("x")
            words = "is a named pipe, not a plain file"
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("x")
            words = "is a socket, not a plain file"
        case "huge":
            os.truncate(os.open("x", os.O_CREAT | os.O_WRONLY), 201_000_000)
            words = "201.0 MB; over the upload limit of 20 MB"
        case "long name":
            file = manifest(GOOD.replace("a.png", "x" * 300))
            words = "file name too long"
        case _:
            names = ["two words.png", "it's.png", "-a.png", "concat:a.png", "f%03d.png", "🎬.png"]
            for name in names:
                Path(name).symlink_to("a.png")
            quoted = ", ".join(f'"{name}"' for name in names)
            file = manifest(GOOD.replace("a.png", quoted))
            checked = read_manifest(file)
            assert checked.storyboard is not None
            assert len(checked.storyboard.shots[0].images) == len(names)
            return
    [problem] = read_manifest(file).problems
    assert words in problem.message
    assert problem.path == "shots[0].images[0]"


def test_an_image_changed_between_two_readings_is_another_reference(
    manifest: Write, tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    file = manifest(GOOD)
    first = read_manifest(file).storyboard
    (tmp_path / "a.png").write_bytes(picture(color=(9, 9, 9)))
    second = read_manifest(file).storyboard
    assert first is not None
    assert second is not None
    assert first.shots[0].images[0].content_key != second.shots[0].images[0].content_key


def test_names_behind_a_syntax_error_are_not_called_missing(manifest: Write) -> None:
    second = "  - {id: two, images: [cap], prompt: p}\n"
    text = GOOD.replace("a.png", "cap") + second + "\tx: 1\nreferences: {cap: a.png}\n"
    [problem] = read_manifest(manifest(text)).problems
    assert problem.message == "tab at column 1"


def test_control_characters_of_a_file_name_reach_no_message(
    manifest: Write, tmp_path: Path
) -> None:
    [problem] = read_manifest(manifest("[]", "a\x1b[31m\n.yaml")).problems
    assert "\\x1b[31m\\n" in problem.file
    assert str(problem).isprintable()


def test_the_schema_is_found_in_an_installed_package_and_in_a_source_tree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = module._schema_text()
    assert text == (ROOT / "schemas/storyboard.schema.json").read_text("utf-8")
    (tmp_path / "storyboard.schema.json").write_text("{}")
    monkeypatch.setattr("pipeline.manifest.resources.files", lambda _: tmp_path)
    assert module._schema_text() == "{}"


def test_importing_the_module_loads_neither_jsonschema_nor_pillow() -> None:
    script = (
        "import sys, pipeline.manifest\n"
        "print([name for name in ('jsonschema', 'PIL', 'httpx', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
