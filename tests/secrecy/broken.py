"""Programs that leak the key on purpose: the scan must catch each, and in the right place."""

from __future__ import annotations

from secrecy.plays import Play
from secrecy.stage import Evidence

# Each with what the finds must hold: the stream, the file, the child or the wire.
BROKEN = {
    "headers-logged": "KEY in stderr",
    "environment-passed-on": "seen/ffmpeg.log",
    "key-in-arguments": "seen/ffmpeg.log",
    "key-in-journal": "/journal",
    "key-to-files": "KEY on the wire",
}


def broken_play(name: str) -> Play:
    """As short a run as the leak needs: a refusal, or a clip from where the key shows."""
    rules: dict[str, tuple[dict[str, object], ...]] = {
        "key-in-arguments": (),
        "key-to-files": ({"on": "result", "fault": "outputs_url", "url": "{canary}/clip.mp4"},),
    }
    refusal = ({"on": "submit", "fault": "http_400"},)
    return Play(name=f"broken: {name}", rules=rules.get(name, refusal), launcher=("--break", name))


def is_caught(name: str, evidence: Evidence) -> bool:
    """Whether the leak was found where this program has it."""
    return any(BROKEN[name] in breach for breach in evidence.breaches)
