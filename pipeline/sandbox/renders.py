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
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.sandbox.bill import usd
from pipeline.sandbox.store import Task

if TYPE_CHECKING:
    from pipeline.sandbox.animatic import AnimaticSpec

_LOG = logging.getLogger(__name__)

_Finish = Callable[[str, str | None], None]


def animatic_renderer(ffmpeg: Path) -> tuple[Callable[[AnimaticSpec, Path], None], str]:
    """The real renderer, and a version that changes with its code and with ffmpeg."""

    def render(spec: AnimaticSpec, destination: Path) -> None:
        from pipeline.sandbox import animatic  # noqa: PLC0415 - heavy, and only a worker draws

        animatic.render(spec, destination, ffmpeg=ffmpeg)

    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    binary = ffmpeg.stat()
    digest.update(f"{ffmpeg} {binary.st_size} {binary.st_mtime_ns}".encode())
    return render, digest.hexdigest()


class RenderQueue:
    """First come, first drawn; ``want`` and every report run in the event loop's thread.

    ``finish(task_id, error)`` is called once for each wanted task whose clip is in place
    (``error`` None) or cannot be drawn.
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
        self._jobs: queue.SimpleQueue[tuple[Path, Task] | None] = queue.SimpleQueue()
        self._wanted: dict[Path, set[str]] = {}
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self.idle = threading.Event()
        self.idle.set()

    def want(self, task: Task) -> None:
        """Make sure that this unfinished task gets its clip; asking twice costs nothing."""
        clip = self._clips / f"{self._clip_key(task)}.mp4"
        if clip in self._wanted:
            self._wanted[clip].add(task.id)
        elif clip.exists():
            self._deliver(clip, {task.id}, None)
        else:
            self._wanted[clip] = {task.id}
            self.idle.clear()
            self._jobs.put((clip, task))
            if len(self._threads) < min(self._workers, len(self._wanted)):
                # Daemons: a stopping server does not wait for a picture nobody will fetch.
                thread = threading.Thread(target=self._work, name="sandbox-render", daemon=True)
                self._threads.append(thread)
                thread.start()

    def output(self, task_id: str) -> Path:
        """Where the clip of a task lies once it is drawn."""
        return self._outputs / task_id / "clip.mp4"

    def discard(self, task_id: str) -> None:
        """Remove the output of a deleted task."""
        shutil.rmtree(self.output(task_id).parent, ignore_errors=True)

    def stop(self) -> None:
        """Start nothing more and report nothing more; running renders are left behind."""
        self._stopping = True
        for _ in self._threads:
            self._jobs.put(None)

    def _clip_key(self, task: Task) -> str:
        facts = f"{self._version}\n{task.content_key}\n{task.price_micro_usd}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopping:
            clip, task = job
            drawn, error = False, None
            try:
                drawn = self._draw(clip, task)
            except Exception as exc:  # noqa: BLE001 - whatever the renderer raises fails its task
                _LOG.warning("clip of task %s could not be drawn: %s", task.id, exc)
                error = f"task execution failed: {type(exc).__name__}"
            if not self._stopping:
                self._loop.call_soon_threadsafe(self._report, clip, drawn, error)

    def _draw(self, clip: Path, task: Task) -> bool:
        """Draw one clip; False where another server is at it."""
        from pipeline.sandbox.animatic import AnimaticSpec  # noqa: PLC0415 - as above

        with clip.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if not clip.exists():
                spec = AnimaticSpec(
                    images=tuple(self._uploads / name for name in task.image_files),
                    prompt=str(task.inputs["prompt"]),
                    duration_s=int(str(task.inputs["duration"])),
                    resolution=str(task.inputs["resolution"]),
                    title="",
                    price_usd=usd(task.price_micro_usd),
                )
                self._render(spec, clip)
        return True

    def _report(self, clip: Path, drawn: bool, error: str | None) -> None:
        if self._stopping:
            return
        waiting = self._wanted.pop(clip)
        # Neither drawn nor failed: the other server will have drawn it when the task is next asked.
        if drawn or error is not None:
            self._deliver(clip, waiting, error)
        if not self._wanted:
            self.idle.set()

    def _deliver(self, clip: Path, task_ids: set[str], error: str | None) -> None:
        for task_id in task_ids:
            if error is None:
                _link(clip, self.output(task_id))
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
