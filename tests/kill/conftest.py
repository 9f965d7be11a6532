"""One small storyboard for all of these tests, and the film that it makes undisturbed."""

from __future__ import annotations

import pytest
from kill.loop import Loop
from kill.stage import TERMS, Stage

SHOTS = 3
# Most of a point's time is waiting for a lost answer to be settled, which costs no processor.
WORKERS = 6


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    folder = tmp_path_factory.mktemp("kill")
    (folder / "work").mkdir()
    stage = Stage(folder=folder / "stage", shots=SHOTS)
    made = Loop(stage=stage, folder=folder / "work", workers=WORKERS)
    undisturbed = made.prepare(["wide", "runware"], copies=2)
    made.lengths_s = dict.fromkeys(TERMS, made.lengths_s["wide"])
    assert [fault for result in undisturbed for fault in result.faults] == []
    return made
