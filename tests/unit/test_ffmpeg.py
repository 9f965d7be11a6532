"""The runner, against shell scripts that behave as badly as an ffmpeg can."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from pipeline.errors import ExitCode, FfmpegMissing, MediaError
from pipeline.media.ffmpeg import (
    child_environment,
    clean_text,
    find_ffmpeg,
    locate_ffmpeg,
    run_ffmpeg,
)

Result = TypeVar("Result")
Runner = Callable[[Callable[[], Awaitable[Result]]], Result]


@pytest.fixture(params=["asyncio", "trio"])
def on_loop(request: pytest.FixtureRequest) -> Callable[..., object]:
    """Runs a coroutine function on each of the two event loops."""
    if request.param == "trio":
        pytest.importorskip("trio")
    return partial(anyio.run, backend=request.param)


def script(folder: Path, body: str, name: str = "ffmpeg") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def is_gone(pid: int) -> bool:
    """Whether a process ends; one that only waits to be collected has ended."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)  # a signal that was sent takes its moment to arrive
    return False


class TestFinding:
    def test_the_setting_comes_before_the_path(self, tmp_path: Path) -> None:
        mine = script(tmp_path, "", "mine")
        script(tmp_path, "")

        assert find_ffmpeg({"STORYBOARD_FFMPEG": str(mine), "PATH": str(tmp_path)}) == mine

    def test_the_setting_may_be_a_name_on_the_path(self, tmp_path: Path) -> None:
        mine = script(tmp_path, "", "ffmpeg6")

        found = locate_ffmpeg({"STORYBOARD_FFMPEG": "ffmpeg6", "PATH": str(tmp_path)})

        assert (found.path, found.source) == (mine, "STORYBOARD_FFMPEG")

    def test_a_wrong_setting_is_an_error_and_not_overlooked(self, tmp_path: Path) -> None:
        script(tmp_path, "")

        with pytest.raises(FfmpegMissing, match="STORYBOARD_FFMPEG") as caught:
            find_ffmpeg({"STORYBOARD_FFMPEG": str(tmp_path / "none"), "PATH": str(tmp_path)})

        assert caught.value.exit_code is ExitCode.UNAVAILABLE

    def test_the_path_comes_before_the_carried_one(self, tmp_path: Path) -> None:
        # Whether or not a package with a program of its own is installed here.
        script(tmp_path, "")
        found = locate_ffmpeg({"PATH": str(tmp_path)})

        assert (found.path, found.source) == (tmp_path / "ffmpeg", "PATH")

    def test_a_relative_path_becomes_absolute(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "bin").mkdir()
        mine = script(tmp_path / "bin", "")

        assert find_ffmpeg({"PATH": "bin"}) == mine

    def test_without_one_on_the_path_the_carried_one_is_used(self) -> None:
        imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")

        found = locate_ffmpeg({})

        assert found.path == Path(imageio_ffmpeg.get_ffmpeg_exe())
        assert "imageio-ffmpeg" in found.source

    def test_without_any_the_cure_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pipeline.media.ffmpeg.find_spec", lambda _name: None)

        with pytest.raises(FfmpegMissing) as caught:
            find_ffmpeg({"PATH": ""})

        assert "package manager" in caught.value.hint
        assert 'pip install "storyboard-pipeline[ffmpeg]"' in caught.value.hint


def test_output_and_last_words_come_back(tmp_path: Path, on_loop: Runner) -> None:
    stub = script(tmp_path, 'echo "$@"; echo careful >&2')

    run = on_loop(partial(run_ffmpeg, ["-i", "a b"], ffmpeg=stub, time_limit_s=10))

    assert run.stdout.endswith(b"-i a b\n")
    assert b"-nostdin" in run.stdout
    assert run.stderr_tail == "careful"


def test_it_runs_in_the_folder_it_is_told(tmp_path: Path, on_loop: Runner) -> None:
    stub = script(tmp_path, "pwd")

    run = on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=10, cwd=tmp_path))

    assert run.stdout.decode().strip() == str(tmp_path)


def test_a_failure_keeps_its_code_and_its_last_words(tmp_path: Path, on_loop: Runner) -> None:
    stub = script(tmp_path, "echo first >&2; echo last >&2; exit 187")

    with pytest.raises(MediaError, match=r"exit code 187: first / last") as caught:
        on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=10))

    assert caught.value.returncode == 187
    assert caught.value.stderr_tail == "first\nlast"
    assert caught.value.exit_code is ExitCode.IO_ERROR


def test_a_death_by_signal_is_said_so(tmp_path: Path, on_loop: Runner) -> None:
    stub = script(tmp_path, "kill -9 $$")

    with pytest.raises(MediaError, match="signal 9") as caught:
        on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=10))

    assert caught.value.returncode == -9


@pytest.mark.parametrize("content", [None, "not a program"], ids=["missing", "no program"])
def test_what_cannot_be_started_is_a_missing_ffmpeg(
    tmp_path: Path, on_loop: Runner, content: str | None
) -> None:
    path = tmp_path / "ffmpeg"
    if content is not None:
        path.write_text(content)
        path.chmod(0o755)

    with pytest.raises(FfmpegMissing, match="cannot start"):
        on_loop(partial(run_ffmpeg, [], ffmpeg=path, time_limit_s=10))


def test_a_flood_of_errors_is_drained_and_only_its_end_kept(
    tmp_path: Path, on_loop: Runner
) -> None:
    stub = script(
        tmp_path, "head -c 100000000 /dev/zero | tr '\\0' 'x' >&2; echo the end >&2; exit 1"
    )

    with pytest.raises(MediaError) as caught:
        on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=30))

    assert caught.value.stderr_tail.endswith("the end")
    assert len(caught.value.stderr_tail) <= 8_192
    assert len(str(caught.value)) < 1_500


@pytest.mark.parametrize("reported", [False, True])
def test_output_without_end_is_stopped(tmp_path: Path, on_loop: Runner, reported: bool) -> None:
    stub = script(tmp_path, "exec cat /dev/zero")
    listen = (lambda _seconds: None) if reported else None

    with pytest.raises(MediaError, match="printed more than"):
        on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=30, on_progress=listen))


def test_one_that_hangs_is_stopped_at_its_time_limit(tmp_path: Path, on_loop: Runner) -> None:
    pid_file = tmp_path / "pid"
    stub = script(tmp_path, f"echo $$ > {pid_file}; echo stuck here >&2; exec sleep 60")
    started = time.monotonic()

    with pytest.raises(MediaError, match=r"not done after 1 s: stuck here") as caught:
        on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=0.3))

    assert caught.value.returncode is None
    assert time.monotonic() - started < 5
    assert is_gone(int(pid_file.read_text()))


def test_one_that_ignores_the_request_is_killed_with_its_children(
    tmp_path: Path, on_loop: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.media.ffmpeg._GRACE_S", 0.05)
    pids = tmp_path / "pids"
    stub = script(
        tmp_path, f"trap '' TERM; sleep 60 & echo $$ $! > {pids}; while :; do sleep 60; done"
    )

    with pytest.raises(MediaError, match="not done"):
        on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=0.3))

    assert all(is_gone(int(pid)) for pid in pids.read_text().split())


def test_a_child_that_holds_the_pipes_does_not_outlive_the_limit(
    tmp_path: Path, on_loop: Runner
) -> None:
    pid_file = tmp_path / "pid"
    stub = script(tmp_path, f"sleep 60 & echo $! > {pid_file}; exit 0")

    with pytest.raises(MediaError, match="not done"):
        on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=0.3))

    assert is_gone(int(pid_file.read_text()))


def test_cancelling_stops_it(tmp_path: Path, on_loop: Runner) -> None:
    pid_file = tmp_path / "pid"
    stub = script(
        tmp_path, f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 60"
    )

    async def cancel_once_started() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=60))
            with anyio.fail_after(10):
                while not pid_file.exists():
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()

    on_loop(cancel_once_started)

    assert is_gone(int(pid_file.read_text()))


def test_progress_is_told_in_seconds(tmp_path: Path, on_loop: Runner) -> None:
    stub = script(
        tmp_path,
        "echo out_time_us=N/A; echo out_time_us=-21333; printf 'out_time_us=25'; sleep 0.05;"
        "printf '00000\\nprogress=continue\\n'; sleep 0.05; echo out_time_us=6000000;"
        "echo progress=end",
    )
    seen: list[float] = []

    run = on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=10, on_progress=seen.append))

    assert seen == [2.5, 6.0]
    assert run.stdout == b""


def test_an_error_of_the_listener_is_its_own(tmp_path: Path, on_loop: Runner) -> None:
    stub = script(tmp_path, "echo out_time_us=1; exec sleep 60")

    def listen(_seconds: float) -> None:
        raise BrokenPipeError("no one reads")

    with pytest.raises(BrokenPipeError):
        on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=10, on_progress=listen))


def test_it_sees_no_key_and_no_terminal(tmp_path: Path, on_loop: Runner) -> None:
    stub = script(tmp_path, "env; cat; ps -o sid= -p $$")
    env = {**os.environ, "WAVESPEED_API_KEY": "canary", "RUNWARE_API_KEY": "canary", "LANG": "C"}

    run = on_loop(partial(run_ffmpeg, [], ffmpeg=stub, time_limit_s=10, env=env))

    text = run.stdout.decode()
    assert "canary" not in text
    assert "LANG=C" in text
    assert text.split()[-1] != str(os.getsid(0))


def test_only_listed_variables_reach_it() -> None:
    env = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "FOO_API_KEY": "x", "HOME": "/root"}

    assert child_environment(env) == {"PATH": "/bin", "HOME": "/root"}


def test_what_it_prints_cannot_steer_a_terminal() -> None:
    text = clean_text(b"\x1b[31mred\x07\rnext \xff\n\xe2\x80\xaeevil\x00")

    assert text == "�[31mred�\nnext �\n�evil�"


def test_importing_the_runner_is_light() -> None:
    heavy = {"av", "numpy", "imageio_ffmpeg"}
    code = f"import sys, pipeline.media.verify; sys.exit(bool({heavy!r} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
