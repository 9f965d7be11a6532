"""A thousand shots at once: memory, processor time, looks at tasks.

    python tests/load/soak.py --shots 1000 --report FILE.json

The real command against the sandbox, tasks of 3 to 6 s, no limits of the account. Exit code 1 if
a shot failed, or one of the figures of goal G14 that do not hang on the machine's other work was
missed: memory, looks at tasks, and processor time for each request.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kill.scene import scene
from kill.stage import WIDE, Stage

_MOST_RSS_MB = 150
_MOST_CPU_MS = 10.0
_MOST_POLL_SHARE = 1.3
_LATENCY_S = (3.0, 6.0)
_POLL_INTERVAL_S = 1.0
_CLIPS = 20
_LOOK_S = 0.05


class LoadStage(Stage):
    """Many shots that share a few clips, as drawing a thousand would take longer than the run."""

    def clip(self, prompt: str) -> Path:
        """The clip of this shot and of every twentieth other."""
        number = int(prompt.rpartition(" ")[2]) % _CLIPS
        return Stage.clip(self, f"@image1 in {self.name}, shot {number}")

    def build(self) -> None:
        """Draw each of the few first, as two threads must not draw the same one."""
        (self.folder / "drawn").mkdir(parents=True)
        for each in enumerate(self.prompts()[:_CLIPS]):
            self._draw_clip(each)
        Stage.build(self)


def run(shots: int) -> dict[str, Any]:
    """Run so many shots and measure the command."""
    with tempfile.TemporaryDirectory(prefix="storyboard-load-") as name:
        folder = Path(name)
        stage = LoadStage(folder=folder / "stage", shots=shots)
        stage.build()
        (folder / "work").mkdir()
        with scene(stage, WIDE, folder / "work", latency_s=_LATENCY_S, min_poll_s=0.9) as played:
            began_s = time.monotonic()
            process = played.start(
                STORYBOARD_POLL_INTERVAL_S=str(_POLL_INTERVAL_S), STORYBOARD_SUBMIT_TIMEOUT_S="60"
            )
            rss_mb, cpu_s = _watch(process.pid, lambda: process.poll() is not None)
            wall_s = time.monotonic() - began_s
            record = played.server.record()
            code = process.returncode
            if code:
                sys.stderr.write(played.log.read_text(errors="replace")[-2000:])
    return figures(shots, code, record, rss_mb=rss_mb, cpu_s=cpu_s, wall_s=wall_s)


def _watch(pid: int, is_over: Any) -> tuple[float, float]:
    """The most memory, and the processor time of the process itself, while it runs."""
    rss_mb = cpu_s = 0.0
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    while not is_over():
        with suppress(OSError, ValueError, IndexError):
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
            rss_mb = max(rss_mb, int(status.partition("VmHWM:")[2].split()[0]) / 1000)
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            cpu_s = max(cpu_s, (int(stat[11]) + int(stat[12])) * tick_s)
        time.sleep(_LOOK_S)
    return rss_mb, cpu_s


def figures(
    shots: int,
    code: int,
    record: dict[str, Any],
    *,
    rss_mb: float,
    cpu_s: float,
    wall_s: float,
) -> dict[str, Any]:
    """What was measured, against the goal."""
    counters: dict[str, int] = record["counters"]
    requests = sum(counters.values())
    polls = counters.get("result", 0)
    # A task is asked about for as long as it lasts, then once more.
    fair_polls = shots * (sum(_LATENCY_S) / 2 / _POLL_INTERVAL_S + 1)
    cpu_ms = 1000 * cpu_s / max(requests, 1)
    reached = {
        "errors": code == 0 and len(record["tasks"]) == shots and not record["violations"],
        "memory": rss_mb <= _MOST_RSS_MB,
        "cpu": cpu_ms <= _MOST_CPU_MS,
        "polls": 0 < polls <= _MOST_POLL_SHARE * fair_polls,
    }
    return {
        "passed": all(reached.values()),
        "shots": shots,
        "exit_code": code,
        "tasks": len(record["tasks"]),
        "violations": len(record["violations"]),
        "G14_rss_mb": round(rss_mb, 1),
        "G14_cpu_ms_a_request": round(cpu_ms, 2),
        "requests": requests,
        "polls": polls,
        "fair_polls": round(fair_polls),
        "cpu_s": round(cpu_s, 1),
        "wall_s": round(wall_s, 1),
        "load": round(os.getloadavg()[0], 1),
        "goals": [
            {
                "goal": "G14",
                "asks_for": "1,000 shots: no errors, 150 MB, 10 ms a request, 1.3 x fair polls",
                "figure": f"exit {code}, {rss_mb:.0f} MB, {cpu_ms:.1f} ms, {polls} polls of "
                f"{fair_polls:.0f}",
                "reached": all(reached.values()),
            },
            *({"goal": f"G14 {name}", "reached": held} for name, held in reached.items()),
        ],
    }


def main() -> int:
    """Run, report, and say by the exit code whether the goal was reached."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shots", type=int, default=1000)
    parser.add_argument("--workers", type=int, help="taken and left: there is one command to run")
    parser.add_argument("--report", type=Path, required=True, metavar="FILE.json")
    options = parser.parse_args()
    report = run(options.shots)
    options.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.stderr.write(f"{report['goals'][0]['figure']}\n")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
