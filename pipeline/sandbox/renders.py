"""Draw the clips of accepted tasks in worker threads, each distinct clip once.

Clips are kept by content under ``clips/`` of the state folder and hard-linked as the output of
every task that bought them. A kernel lock per clip keeps two servers of one state folder from
drawing the same one; the lock goes with its process, so nothing has to be cleaned up.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.sandbox.outputs import output_names
from pipeline.sandbox.store import Task

if TYPE_CHECKING:
    from pipeline.sandbox.animatic import AnimaticSpec

_LOG = logging.getLogger(__name__)

_Finish = Callable[[str, str | None], None]


def animatic_renderer(
    ffmpeg: Path, *, has_slate: bool = True
) -> tuple[Callable[[AnimaticSpec, Path], None], str]:
    """The real renderer, and a version that changes with its code, with ffmpeg and the slate."""

    def render(spec: AnimaticSpec, destination: Path) -> None:
        from pipeline.sandbox import animatic  # noqa: PLC0415 - heavy, and only a worker draws

        animatic.render(replace(spec, has_slate=has_slate), destination, ffmpeg=ffmpeg)

    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    binary = ffmpeg.stat()
    digest.update(f"{ffmpeg} {binary.st_size} {binary.st_mtime_ns} {has_slate}".encode())
    return render, digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Wish:
    """A task that waits for a clip; its clips by name, and which of them this is."""

    task: Task
    names: tuple[str, ...]
    index: int


class RenderQueue:
    """First come, first drawn; ``want`` and every report run in the event loop's thread.

    ``finish(task_id, error)`` is called once for each wanted task whose clips are all in place
    (``error`` None), and for each clip that cannot be drawn.
    """

    def __init__(
        self,
        *,
        render: Callable[[AnimaticSpec, Path], None],
        version: str,
        workers: int,
        state: Path,
        finish: _Finish,
    ) -> None:
        self._render = render
        self._version = version
        self._workers = max(1, workers)
        self._uploads = state / "uploads"
        self._clips = state / "clips"
        self._outputs = state / "outputs"
        self._clips.mkdir(exist_ok=True)
        self._outputs.mkdir(exist_ok=True)
        self._finish = finish
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[Path, _Wish] | None] = queue.SimpleQueue()
        self._wanted: dict[Path, dict[tuple[str, int], _Wish]] = {}
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self.idle = threading.Event()
        self.idle.set()

    def want(self, task: Task) -> None:
        """Make sure that this unfinished task gets its clips; asking twice costs nothing."""
        names = output_names(task)
        for index in range(len(names)):
            self._want(_Wish(task, names, index))

    def _want(self, wish: _Wish) -> None:
        suffix = Path(wish.names[wish.index]).suffix
        clip = self._clips / f"{self._clip_key(wish)}{suffix}"
        key = wish.task.id, wish.index
        if clip in self._wanted:
            self._wanted[clip][key] = wish
        elif clip.exists():
            self._deliver(clip, [wish], None)
        else:
            self._wanted[clip] = {key: wish}
            self.idle.clear()
            self._jobs.put((clip, wish))
            if len(self._threads) < min(self._workers, len(self._wanted)):
                # Daemons: a stopping server does not wait for a picture nobody will fetch.
                thread = threading.Thread(target=self._work, name="sandbox-render", daemon=True)
                self._threads.append(thread)
                thread.start()

    def output(self, task_id: str, name: str) -> Path:
        """Where a clip of a task lies once it is drawn."""
        return self._outputs / task_id / name

    def discard(self, task_id: str) -> None:
        """Remove the output of a deleted task."""
        shutil.rmtree(self._outputs / task_id, ignore_errors=True)

    def stop(self) -> None:
        """Start nothing more and report nothing more; running renders are left behind."""
        self._stopping = True
        for _ in self._threads:
            self._jobs.put(None)

    def _clip_key(self, wish: _Wish) -> str:
        facts = f"{self._version}\n{wish.task.content_key}\n{wish.task.price_micro_usd}"
        if wish.index:
            facts += f"\n{wish.index}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopping:
            clip, wish = job
            drawn, error = False, None
            try:
                drawn = self._draw(clip, wish)
            except Exception as exc:  # noqa: BLE001 - whatever the renderer raises fails its task
                _LOG.warning("clip of task %s could not be drawn: %s", wish.task.id, exc)
                error = f"task execution failed: {type(exc).__name__}"
            if not self._stopping:
                self._loop.call_soon_threadsafe(self._report, clip, drawn, error)

    def _draw(self, clip: Path, wish: _Wish) -> bool:
        """Draw one clip; False where another server is at it."""
        from pipeline.sandbox.drawings import spec_of  # noqa: PLC0415 - as above

        with clip.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if not clip.exists():
                self._render(spec_of(wish.task, wish.index, uploads=self._uploads), clip)
        return True

    def _report(self, clip: Path, drawn: bool, error: str | None) -> None:
        if self._stopping:
            return
        waiting = self._wanted.pop(clip)
        # Neither drawn nor failed: the other server will have drawn it when the task is next asked.
        if drawn or error is not None:
            self._deliver(clip, list(waiting.values()), error)
        if not self._wanted:
            self.idle.set()

    def _deliver(self, clip: Path, wishes: list[_Wish], error: str | None) -> None:
        for wish in wishes:
            task_id = wish.task.id
            if error is None:
                _link(clip, self.output(task_id, wish.names[wish.index]))
            if error is not None or all(self.output(task_id, n).exists() for n in wish.names):
                self._finish(task_id, error)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name; a copy where the file system cannot link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        part = target.with_suffix(".part")
        shutil.copyfile(source, part)
        part.replace(target)
