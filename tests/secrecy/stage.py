"""Run the real command with a canary for a key, and gather everything that it leaves or shows."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acceptance.studio import draw_cheaply, draw_picture
from secrecy.plays import Play
from secrecy.scan import CANARY, control_bytes, find_key, read_tree
from support import quick_ffmpeg

from pipeline.sandbox.faults import parse_faults
from pipeline.sandbox.server import SandboxOptions, SandboxServer, running_sandbox

_ROOT = Path(__file__).resolve().parents[2]
_LAUNCHER = Path(__file__).with_name("launcher.py")
_LOOK_EVERY_S = 0.02
_TIME_LIMIT_S = 90.0
# Options that every command of its own needs, besides the provider.
_OPTIONS = {
    "run": ("--yes", "--max-cost", "100"),
    "plan": (),
    "status": (),
    "reconcile": (),
}
# How the shots of each provider are asked for.
_DEFAULTS = {
    "wavespeed": "duration: 6, resolution: 480p",
    "runware": "duration: 6, runware: {width: 848, height: 480}",
}
_QUICK = {
    "STORYBOARD_ACCOUNT_LEVEL": "ultra",
    "STORYBOARD_POLL_INTERVAL_S": "0.25",
    "STORYBOARD_SUBMIT_TIMEOUT_S": "1",
    "STORYBOARD_SETTLE_S": "0.2",
    "STORYBOARD_TASK_LIMIT_S": "6",
}


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What one play left behind.

    ``places``: everything that was looked through, by name. ``child_starts``: how often ffmpeg
    wrote down what it was started with. ``process_looks``: command lines and environments seen
    in /proc while the command ran. ``was_stopped``: it was sent a SIGTERM as it took too long.
    """

    play: Play
    exit_code: int = 0
    places: dict[str, bytes] = field(default_factory=dict)
    child_starts: int = 0
    process_looks: int = 0
    was_stopped: bool = False
    record: dict[str, Any] = field(default_factory=dict)
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def breaches(self) -> list[str]:
        """Every promise about the key and the terminal that was broken."""
        found = [f"KEY in {place}" for place in find_key(self.places)]
        kinds = [violation["kind"] for violation in self.record.get("violations", [])]
        found += [f"KEY on the wire: {kind}" for kind in kinds if kind == "key_leak"]
        for name, stream in (("stdout", self.stdout), ("stderr", self.stderr)):
            found += [f"CONTROL {code:#x} on {name}" for code in control_bytes(stream)[:3]]
        if self.play.fires and self.play.rules and not self.fired:
            found.append("the fault was never played")
        if not self.process_looks:
            found.append("the process was never looked at")
        return found

    @property
    def faults_played(self) -> int:
        """How often any rule of the script played."""
        return sum(row["count"] for row in self.record.get("faults", []))

    @property
    def fired(self) -> bool:
        """Whether the first rule of the script played."""
        wanted = self.play.rules[0]["fault"]
        return any(row["fault"] == wanted for row in self.record.get("faults", []))


def run_play(play: Play, folder: Path | None = None) -> Evidence:
    """Play one fault to the command, in a folder that is removed unless one is given."""
    if folder is not None:
        return _run(play, folder)
    with tempfile.TemporaryDirectory(prefix="story-secrecy-") as temporary:
        return _run(play, Path(temporary))


def _run(play: Play, folder: Path) -> Evidence:
    manifest = write_manifest(folder / "work", play.shots, play.provider)
    for name in ("home", "tmp", "state", "seen"):
        (folder / name).mkdir()
    pid_file = folder / "seen" / "client.pid"
    script = parse_faults({"faults": list(play.rules), "client_pid_file": str(pid_file)})
    options = SandboxOptions(
        render=draw_cheaply,
        min_poll_s=0.2,
        faults=script,
        history_inputs=True,
        key=CANARY if play.key_is_good else "another-key-altogether",
    )
    evidence = Evidence(play=play)
    with running_sandbox(options) as server:
        env = _environment(play, folder, server)
        _be_the_command(play, manifest, env, pid_file, evidence)
        evidence.record = server.record()
    # The key file is the one place where the key belongs.
    (folder / "key").unlink(missing_ok=True)
    kept = ("work", "home", "tmp", "state", "seen")
    evidence.places |= read_tree(folder / name for name in kept)
    evidence.places["the sandbox's record"] = repr(_without_script(evidence.record)).encode()
    log = folder / "seen" / "ffmpeg.log"
    evidence.child_starts = log.read_bytes().count(b"STARTED") if log.exists() else 0
    return evidence


def write_manifest(folder: Path, shots: int, provider: str = "wavespeed") -> Path:
    """A storyboard whose prompts end in ``shot N.``, so that a rule can pick one."""
    folder.mkdir(parents=True)
    draw_picture(folder / "a.png", "a")
    lines = ["storyboard: ad", f"defaults: {{{_DEFAULTS[provider]}}}", "shots:"]
    for number in range(1, shots + 1):
        prompt = f'"@image1 turns, shot {number}."'
        lines.append(f"  - {{id: shot{number}, images: [a.png], prompt: {prompt}}}")
    path = folder / "ad.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _environment(play: Play, folder: Path, server: SandboxServer) -> dict[str, str]:
    env = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(_ROOT),
        "STORYBOARD_STATE_DIR": str(folder / "state"),
        "STORYBOARD_FFMPEG": str(_wrap_ffmpeg(folder)),
        f"{play.provider.upper()}_BASE_URL": server.base_url,
        **_QUICK,
        **play.settings,
    }
    if play.key == "file":
        key_file = folder / "key"
        key_file.write_text(f"{CANARY}\n", encoding="utf-8")
        key_file.chmod(0o600)
        return env | {f"{play.provider.upper()}_API_KEY_FILE": str(key_file)}
    kind, _, text = play.key.partition(":")
    return env | {f"{play.provider.upper()}_API_KEY": text if kind == "text" else CANARY}


def _wrap_ffmpeg(folder: Path) -> Path:
    """A program that writes down its command line and environment, then becomes ffmpeg."""
    path, log = folder / "ffmpeg", folder / "seen" / "ffmpeg.log"
    real = quick_ffmpeg()
    path.write_text(
        "#!/bin/sh\n"
        f'{{ echo STARTED; cat /proc/$$/cmdline /proc/$$/environ; }} >> "{log}"\n'
        f'exec "{real}" "$@"\n',
        encoding="utf-8",
    )
    path.chmod(0o700)
    return path


def _be_the_command(
    play: Play, manifest: Path, env: dict[str, str], pid_file: Path, evidence: Evidence
) -> None:
    name = play.command[0]
    arguments = ["--debug", *play.command]
    if name != "doctor":
        arguments += ["--provider", play.provider, *_OPTIONS[name]]
        arguments += ["--out", str(manifest.parent / "out")]
        arguments += [str(manifest)]
    program = ["-m", "pipeline", *arguments]
    if play.launcher:
        program = [str(_LAUNCHER), *play.launcher, "--", *arguments]
    looks: dict[str, bytes] = {}
    with subprocess.Popen(
        [sys.executable, *program],
        cwd=manifest.parent,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        pid_file.write_text(str(process.pid), encoding="utf-8")
        watcher = threading.Thread(target=_watch, args=(process, looks))
        watcher.start()
        try:
            evidence.stdout, evidence.stderr = process.communicate(timeout=_TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            # A run that waits for long is no leak; what it has left until now is looked at.
            evidence.was_stopped = True
            process.terminate()
            evidence.stdout, evidence.stderr = process.communicate(timeout=_TIME_LIMIT_S)
        finally:
            process.kill()
            watcher.join()
        evidence.exit_code = process.returncode
    evidence.process_looks = len(looks)
    evidence.places |= looks | {"stdout": evidence.stdout, "stderr": evidence.stderr}


def _watch(process: subprocess.Popen[bytes], looks: dict[str, bytes]) -> None:
    """Keep the command line of the process, and that and the environment of its children."""
    own = Path("/proc") / str(process.pid)
    while process.poll() is None:
        ours = _keep(looks, own / "cmdline")
        for child in _children(own):
            # Until it becomes another program, a child is a copy of us, environment and all.
            if _keep(looks, child / "cmdline") not in {ours, b""}:
                _keep(looks, child / "environ")
        time.sleep(_LOOK_EVERY_S)


def _keep(looks: dict[str, bytes], path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError:
        return b""
    if content:
        looks[f"{path} {zlib.crc32(content):08x}"] = content
    return content


def _children(own: Path) -> list[Path]:
    try:
        texts = [path.read_text() for path in (own / "task").glob("*/children")]
    except OSError:
        return []
    return [Path("/proc") / word for text in texts for word in text.split()]


def _without_script(record: dict[str, Any]) -> dict[str, Any]:
    """The record without the words that the script itself put into a task's fate."""
    tasks = [
        {name: value for name, value in task.items() if name != "error"}
        for task in record.get("tasks", [])
    ]
    return record | {"tasks": tasks}
