"""Where the real command is killed: a storyboard, clips that cost little, an account, a process.

The clip of a shot follows from its prompt, so a film with a clip missing, or with two of them
swapped, has other bytes. The provider is the sandbox; the command knows only its address.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from PIL import Image
from support import quick_ffmpeg

from pipeline.media.ffmpeg import PATH_VARIABLE
from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.server import SandboxOptions, SandboxServer, running_sandbox

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = Path(__file__).with_name("launcher.py")
KEY = "kill-loop-key"
# 6 s at $0.05 a second; 6 s at $0.07 and one reference.
SHOT_USD = {"wavespeed": Decimal("0.30"), "runware": Decimal("0.422")}
_REFERENCES = 3
# Every fifth clip has sound, so that the join decodes some; all of them would cost half a second.
_SOUND_EVERY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the provider allows, as both sides know it, and what its history tells.

    ``starts`` in any ``window_s``; ``echo``: the history repeats what was ordered. Without that,
    lost answers can only be told apart where one submission is in flight at a time. ``rules`` are
    lines of a fault script that hold for every run.
    """

    name: str
    starts: int
    window_s: float
    max_tasks: int
    echo: bool = True
    provider: str = "wavespeed"
    rules: tuple[Mapping[str, object], ...] = ()


# Half of the time before a submission is taken, half of it after: where a kill makes a doubt.
_HESITANT = (
    {"on": "submit", "fault": "delay", "seconds": 0.2},
    {"on": "submit", "fault": "slow_body", "seconds": 0.2},
)
# Nothing binds, and all shots are submitted at once: many answers can be lost by one kill.
WIDE = Terms(name="wide", starts=5000, window_s=60.0, max_tasks=10_000, echo=True)
# Four submissions at a time, whose answers take long: most kills lose some.
SLOW = Terms(name="slow", starts=120, window_s=60.0, max_tasks=10_000, echo=True, rules=_HESITANT)
# One submission at a time, and a history that names tasks without saying what they are.
ONE_LANE = Terms(
    name="one lane", starts=30, window_s=60.0, max_tasks=10_000, echo=False, rules=_HESITANT
)
# Both limits bind, across every restart.
TIGHT = Terms(name="tight", starts=6, window_s=3.0, max_tasks=6, echo=True)
# We choose the ids of tasks there, and nobody keeps a history.
RUNWARE = Terms(
    name="runware",
    starts=240,
    window_s=60.0,
    max_tasks=10_000,
    provider="runware",
    rules=_HESITANT,
)
TERMS = {terms.name: terms for terms in (WIDE, SLOW, ONE_LANE, TIGHT, RUNWARE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A folder with one manifest of ``shots`` shots and the clips that they yield."""

    folder: Path
    shots: int
    name: str = "loop"

    @property
    def manifest(self) -> Path:
        """The storyboard."""
        return self.folder / f"{self.name}.yaml"

    @property
    def price_usd(self) -> Decimal:
        """What all of it costs on WaveSpeed."""
        return self.price_at(WIDE)

    def price_at(self, terms: Terms) -> Decimal:
        """What all of it costs, exactly, on some terms."""
        return SHOT_USD[terms.provider] * self.shots

    def prompts(self) -> list[str]:
        """One a shot, in cut order."""
        return [f"@image1 in {self.name}, shot {number}" for number in range(1, self.shots + 1)]

    def clip(self, prompt: str) -> Path:
        """Where the clip of this prompt lies."""
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        return self.folder / "drawn" / f"{digest}.mp4"

    def clip_hashes(self) -> frozenset[str]:
        """sha256 of every clip there can be."""
        return frozenset(
            hashlib.sha256(self.clip(prompt).read_bytes()).hexdigest() for prompt in self.prompts()
        )

    def draw(self, spec: AnimaticSpec, destination: Path) -> None:
        """The sandbox's renderer: the clip drawn before, under its name at once."""
        part = destination.with_suffix(".part")
        shutil.copyfile(self.clip(spec.prompt), part)
        part.replace(destination)

    def build(self) -> None:
        """Write the manifest and its pictures, and draw every clip."""
        (self.folder / "drawn").mkdir(parents=True, exist_ok=True)
        for number in range(_REFERENCES):
            picture = Image.new("RGB", (64, 64), (80 * number, 60, 90))
            picture.save(self.folder / f"picture{number}.png")
        lines = [f"storyboard: {self.name}", "title: Kill loop"]
        lines += [f"budget: {max(SHOT_USD.values()) * self.shots}"]
        lines += ["defaults: {duration: 6, runware: {width: 720, height: 720}}", "shots:"]
        for number, prompt in enumerate(self.prompts(), start=1):
            lines += [f"  - id: s{number:02}", f"    images: [picture{number % _REFERENCES}.png]"]
            lines += [f'    prompt: "{prompt}"']
        self.manifest.write_text("\n".join(lines) + "\n")
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(self._draw_clip, enumerate(self.prompts())))

    def _draw_clip(self, item: tuple[int, str]) -> None:
        """Four frames a second and a square picture: valid, and decoded in no time."""
        number, prompt = item
        path = self.clip(prompt)
        if path.exists():
            return
        color = hashlib.sha256(prompt.encode()).hexdigest()[:6]
        command = [str(quick_ffmpeg()), "-nostdin", "-v", "error", "-y"]
        command += ["-f", "lavfi", "-i", f"color=c=0x{color}:size=720x720:rate=4:duration=6"]
        if number % _SOUND_EVERY == 0:
            command += ["-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono:d=6", "-b:a", "16k"]
        command += ["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        part = path.with_suffix(".part.mp4")
        subprocess.run([*command, str(part)], check=True, timeout=120)
        part.replace(path)


def sandbox_options(stage: Stage, terms: Terms, **options: Any) -> SandboxOptions:
    """How the sandbox of a stage is set up; ``options`` go over what is chosen here."""
    chosen: dict[str, Any] = {
        "render": stage.draw,
        "key": KEY,
        "rpm": terms.starts,
        "rate_window_s": terms.window_s,
        "max_tasks": terms.max_tasks,
        "history_inputs": terms.echo,
        "latency_s": (0.2, 0.6),
        # Below the command's interval by more than what a loaded machine adds to an answer.
        "min_poll_s": 0.15,
    }
    return SandboxOptions(**chosen | options)


@contextmanager
def provider(stage: Stage, terms: Terms, **options: Any) -> Iterator[SandboxServer]:
    """A sandbox on these terms, with an empty bill."""
    with running_sandbox(sandbox_options(stage, terms, **options)) as server:
        yield server


def environment(
    terms: Terms, base_url: str, folder: Path, *, day_cap_usd: Decimal | None = None
) -> dict[str, str]:
    """What the command sees: the account of one folder, patience counted in seconds."""
    cap = {} if day_cap_usd is None else {"STORYBOARD_DAY_CAP_USD": str(day_cap_usd)}
    return cap | {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        PATH_VARIABLE: str(quick_ffmpeg()),
        f"{terms.provider.upper()}_BASE_URL": base_url,
        f"{terms.provider.upper()}_API_KEY": KEY,
        # The clip of a shot is found by its prompt.
        "STORYBOARD_RUNWARE_PROMPTS": "manifest",
        "STORYBOARD_STATE_DIR": str(folder / "state"),
        "STORYBOARD_ACCOUNT_LEVEL": "ultra",
        "STORYBOARD_SUBMITS_PER_MINUTE": str(terms.starts),
        "STORYBOARD_RATE_WINDOW_S": str(terms.window_s),
        "STORYBOARD_MAX_TASKS": str(terms.max_tasks),
        # Longer than any stall of a loaded machine that was seen: a request that is still on its
        # way when the history is trusted would be bought twice, by anyone.
        "STORYBOARD_SUBMIT_TIMEOUT_S": "3",
        "STORYBOARD_SETTLE_S": "0.5",
        "STORYBOARD_POLL_INTERVAL_S": "0.25",
    }


def command(
    manifests: Sequence[Path],
    out: Path,
    *,
    max_cost: Decimal,
    launcher: Sequence[str] = (),
    provider: str = "wavespeed",
) -> list[str]:
    """``storyboard run``; ``launcher`` options start it through ``launcher.py``."""
    start = [str(LAUNCHER), *launcher, "--"] if launcher else ["-m", "pipeline"]
    words = ["run", "--provider", provider, "--out", str(out), "--max-cost", str(max_cost)]
    return [sys.executable, *start, *words, *(str(path) for path in manifests)]


def start(words: Sequence[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start the command; all that it says goes to ``log``."""
    with log.open("wb") as output:
        return subprocess.Popen(
            words,
            env=env,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def read_json(path: Path) -> dict[str, Any]:
    """An object from a file; {} where there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
