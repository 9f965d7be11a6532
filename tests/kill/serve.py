"""The sandbox of a stage as a process of its own, so that it can be killed: prints its address.

serve.py STAGE_FOLDER SHOTS STATE_FOLDER PORT FILES_PORT
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kill.stage import WIDE, Stage, sandbox_options

from pipeline.sandbox.server import SandboxServer


def main() -> None:
    """Serve until killed."""
    folder, shots, state, port, files_port = sys.argv[1:]
    stage = Stage(folder=Path(folder), shots=int(shots))
    options = sandbox_options(
        stage, WIDE, state=Path(state), port=int(port), files_port=int(files_port)
    )
    server = SandboxServer(options)

    def ready() -> None:
        sys.stdout.write(f"{server.base_url} {server.files_url}\n")
        sys.stdout.flush()

    asyncio.run(server.run(ready))


if __name__ == "__main__":
    main()
