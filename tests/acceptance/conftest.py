"""Fixtures of the acceptance tests: a studio, and quick settings for a provider next door."""

from __future__ import annotations

from pathlib import Path

import pytest
from studio import Studio
from support import quick_ffmpeg

from pipeline.media.ffmpeg import PATH_VARIABLE


@pytest.fixture
def studio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Studio:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORYBOARD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("STORYBOARD_ACCOUNT_LEVEL", "ultra")
    monkeypatch.setenv("STORYBOARD_POLL_INTERVAL_S", "0.25")
    monkeypatch.setenv("STORYBOARD_SUBMIT_TIMEOUT_S", "5")
    monkeypatch.setenv("STORYBOARD_SETTLE_S", "0.2")
    monkeypatch.setenv(PATH_VARIABLE, str(quick_ffmpeg()))
    return Studio(folder=tmp_path, capsys=capsys)
