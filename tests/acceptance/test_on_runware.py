"""``--provider runware`` against the sandbox: every kind of shot, money, doubts, refusals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from studio import Studio, draw_picture

from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.sandbox.faults import parse_faults
from pipeline.sandbox.options import Quirk
from pipeline.sandbox.renders import animatic_renderer
from pipeline.sandbox.server import SandboxOptions, SandboxServer, running_sandbox

PAID = ("--provider", "runware", "--yes", "--max-cost", "100")
# The cheapest there is to draw.
SMALL = "runware: {width: 480, height: 480}"


@contextmanager
def runware(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[SandboxServer]:
    """A sandbox that the ``runware`` provider believes to be the real one."""
    render, version = animatic_renderer(find_ffmpeg(os.environ))
    chosen = {"render": render, "render_version": version, "min_poll_s": 0.2} | options
    with running_sandbox(SandboxOptions(**chosen)) as server:
        monkeypatch.setenv("RUNWARE_BASE_URL", server.base_url)
        monkeypatch.setenv("RUNWARE_API_KEY", "test-key-of-runware")
        yield server


def write(folder: Path, *shots: str, top: str = "") -> Path:
    """A manifest of these shots, each a flow mapping; they may name a.png, b.png and clip.mp4."""
    for name in ("a", "b"):
        draw_picture(folder / f"{name}.png", name)
    lines = ["storyboard: ad", "title: Ad", top, "shots:"]
    lines += [f"  - {{id: s{number}, {shot}}}" for number, shot in enumerate(shots, start=1)]
    path = folder / "ad.yaml"
    path.write_text("\n".join(line for line in lines if line) + "\n")
    return path


def make_clip(path: Path, seconds: str) -> None:
    """A clip of 480p to edit."""
    command = [str(find_ffmpeg(os.environ)), "-nostdin", "-v", "error", "-y"]
    picture = f"color=teal:size=848x480:rate=24:duration={seconds}"
    command += ["-f", "lavfi", "-i", picture, "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, str(path)], check=True, timeout=60)


REFERENCES = f'images: [a.png, b.png], prompt: "@image1 meets @image2", duration: 1, {SMALL}'
TEXT = f'prompt: "a lamp at night", duration: 1, {SMALL}'


def test_every_kind_of_shot_comes_into_the_film_for_the_price_that_was_told(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 50 frames: no whole number of milliseconds.
    make_clip(studio.folder / "clip.mp4", "2.0833")
    manifest = write(
        studio.folder,
        REFERENCES,
        TEXT,
        'frame: a.png, prompt: "the sun climbs", duration: 1, resolution: 480p',
        'video: clip.mp4, prompt: "in blue"',
    )
    with runware(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0, studio.stderr
        record = server.record()
    money = studio.summary("ad")["money"]
    # 0.05 + 2 pictures, 0.05, 0.05 + 1 picture, 2.084 s at 0.06.
    assert money["estimate_usd"] == money["spent_usd"] == "0.28104"
    assert record["bill"]["total_usd"] == "0.28104"
    assert "price list says" not in studio.stderr
    assert record["violations"] == []
    shots = studio.summary("ad")["shots"]
    assert [shot["kind"] for shot in shots] == ["references", "text", "frame", "edit"]
    for shot in shots:
        (take,) = shot["takes"]
        assert take["settled_usd"] == take["price_usd"]
    assert studio.summary("ad")["film"]["duration_s"] == pytest.approx(5.08, abs=0.05)
    # A finished storyboard asks for nothing.
    assert studio.run("run", *PAID, manifest) == 0


def test_with_every_answer_lost_each_shot_is_billed_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write(studio.folder, REFERENCES, TEXT)
    lost = parse_faults({"faults": [{"on": "submit", "fault": "drop_after_accept"}]})
    with runware(monkeypatch, faults=lost) as server:
        assert studio.run("run", *PAID, manifest) == 0, studio.stderr
        record = server.record()
    assert len(record["tasks"]) == 2
    assert studio.film("ad").exists()


def test_a_journal_that_is_deleted_costs_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write(studio.folder, TEXT)
    with runware(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0, studio.stderr
        first = studio.film("ad").read_bytes()
        shutil.rmtree(studio.folder / "out" / "ad")
        assert studio.run("run", *PAID, manifest) == 0, studio.stderr
        assert len(server.record()["tasks"]) == 1
    assert studio.film("ad").read_bytes() == first


def test_several_takes_come_out_of_one_task(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = "runware: {width: 480, height: 480, numberResults: 3}"
    shot = f'images: [a.png], prompt: "@image1 turns", duration: 1, takes: 3, {section}'
    manifest = write(studio.folder, shot)
    with runware(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0, studio.stderr
        record = server.record()
    assert len(record["tasks"]) == 1
    # However many takes wait for it, its end is asked for once.
    assert record["violations"] == []
    # Three seconds and one picture.
    assert record["bill"]["total_usd"] == "0.152"
    assert studio.summary("ad")["money"]["spent_usd"] == "0.152"
    takes = studio.summary("ad")["shots"][0]["takes"]
    assert [take["price_usd"] for take in takes] == ["0.052", "0.05", "0.05"]
    assert [take["settled_usd"] for take in takes] == ["0.052", "0.05", "0.05"]
    # What it was bought for is not changed by what it would be bought for now.
    manifest.write_text(manifest.read_text().replace("numberResults: 3", "numberResults: 1"))
    assert studio.run("plan", "--json", "--provider", "runware", manifest) == 0
    (plan,) = json.loads(studio.stdout)["plans"]
    assert (plan["estimate_usd"], plan["buy_usd"]) == ("0.152", "0.00")
    assert len({take["sha256"] for take in takes}) == len({take["clip"] for take in takes}) == 3


def test_a_task_that_fails_is_named_with_its_code(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write(studio.folder, TEXT)
    rule = {"on": "result", "fault": "fail_task", "code": "timeoutProvider"}
    with runware(monkeypatch, faults=parse_faults({"faults": [rule]})) as server:
        assert studio.run("run", *PAID, manifest) == 1
        assert "timeoutProvider" in studio.stderr
        # It names no cost, and the bill has given the money back.
        assert "spent $0.00" in studio.stderr
        assert studio.run("run", *PAID, manifest) == 1
        assert len(server.record()["tasks"]) == 1
        assert server.record()["bill"]["total_usd"] == "0.00"
    assert studio.summary("ad")["money"]["spent_usd"] == "0.00"
    (take,) = studio.summary("ad")["shots"][0]["takes"]
    assert (take["price_usd"], take["settled_usd"]) == ("0.05", "0.00")


@pytest.mark.parametrize(
    ("shot", "cure"),
    [
        ('images: [a.png], prompt: "@image1", duration: 15', "the nearest is 10"),
        ('images: [a, b, c, d, e, f, g, h], prompt: "x"', "leave out 1"),
        (
            'images: [a.png], prompt: "@image1", resolution: 480p',
            "write runware: {width: 848, height: 480} instead",
        ),
    ],
)
def test_what_is_not_sold_is_refused_before_any_request(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, shot: str, cure: str
) -> None:
    manifest = write(studio.folder, shot)
    with runware(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 65
        assert sum(server.record()["counters"].values()) == 0
    assert cure in studio.stderr


def test_the_sandbox_stands_in_for_the_provider_that_the_manifest_names(studio: Studio) -> None:
    manifest = write(studio.folder, TEXT, top="provider: runware")
    assert studio.run("plan", "--json", "--provider", "sandbox", manifest) == 0
    (plan,) = json.loads(studio.stdout)["plans"]
    assert plan["estimate_usd"] == "0.05"
    assert studio.run("plan", "--provider", "wavespeed", manifest) == 65
    assert "images: is missing" in studio.stderr


def test_compare_says_what_each_provider_would_charge_and_cannot_make(studio: Studio) -> None:
    manifest = write(
        studio.folder, 'images: [a.png], prompt: "@image1 turns"', 'prompt: "a lamp", duration: 8'
    )
    assert studio.run("plan", "--compare", "--json", manifest) == 0
    (found,) = json.loads(studio.stdout)["comparisons"]
    assert found["totals_usd"] == {"wavespeed": None, "runware": "0.982"}
    first, second = (shot["providers"] for shot in found["shots"])
    assert (first["wavespeed"]["price_usd"], first["runware"]["price_usd"]) == ("0.30", "0.422")
    assert second["runware"]["price_usd"] == "0.56"
    assert "images" in second["wavespeed"]["reason"]
    assert studio.run("plan", "--compare", manifest) == 0
    assert "wavespeed cannot make s2" in studio.stdout


def test_compare_names_shots_that_nobody_makes_and_gives_whole_reasons(studio: Studio) -> None:
    manifest = write(
        studio.folder,
        'prompt: "a lamp", duration: 40',
        'images: [a.png], prompt: "@image2", cut: 9',
    )
    studio.run("plan", "--compare", "--json", manifest)
    (found,) = json.loads(studio.stdout)["comparisons"]
    assert [shot["shot"] for shot in found["shots"]] == ["s1", "s2"]
    reasons = [each["reason"] for shot in found["shots"] for each in shot["providers"].values()]
    studio.run("plan", "--compare", manifest)
    assert "shots[" not in studio.stdout
    assert "…" not in studio.stdout
    table, _, told = studio.stdout.partition("\n  wavespeed cannot make s1: ")
    assert table
    assert max(len(line) for line in f"{told}".splitlines()[1:]) <= 80
    words = " ".join(told.split())
    assert all(" ".join(reason.split()) in words for reason in reasons if reason)


def test_an_edit_is_shown_at_its_real_length_and_one_of_an_address_as_the_most(
    studio: Studio,
) -> None:
    make_clip(studio.folder / "clip.mp4", "2.0833")
    address = "https://clips.example.com/clip.mp4"
    shots = (
        'video: clip.mp4, prompt: "in blue"',
        f'video: "{address}", prompt: "in red", duration: 5',
    )
    manifest = write(studio.folder, *shots, top="provider: runware")
    said = "s2: size and length of the clip behind its address are not known; counted as 10 s at"
    assert studio.run("estimate", manifest) == 0
    assert "2.084 s" in studio.stdout
    assert "12.084 s" in studio.stdout
    assert f"  {said} 720p, the most that it can cost\n" in studio.stdout
    assert studio.run("estimate", "--json", manifest) == 0
    ours, theirs = json.loads(studio.stdout)["storyboards"][0]["shots"]
    assert (ours["duration_s"], ours["note"]) == (2.084, "")
    assert (theirs["duration_s"], theirs["total_usd"]) == (10, "0.80")
    assert studio.run("plan", manifest) == 0
    assert said in studio.stdout
    assert studio.run("plan", "--json", manifest) == 0
    (plan,) = json.loads(studio.stdout)["plans"]
    assert len(plan["notes"]) == 1
    assert studio.run("plan", "--compare", manifest) == 0
    assert f"runware, {said}" in " ".join(studio.stdout.split())


@pytest.mark.parametrize(
    ("quirks", "cost", "lasts_s"),
    [(frozenset(), "0.18", 3), (frozenset({Quirk.SHORT_EDITS}), "0.12", 2)],
    ids=["as long as its source", "as long as asked for"],
)
def test_an_edit_of_an_address_is_kept_however_long_it_comes_back(
    studio: Studio,
    monkeypatch: pytest.MonkeyPatch,
    quirks: frozenset[Quirk],
    cost: str,
    lasts_s: int,
) -> None:
    # Only this machine can be asked in a test, and no manifest may name it.
    monkeypatch.setattr("pipeline.library.url_mistake", lambda _: None)
    make_clip(studio.folder / "clip.mp4", "3")
    with runware(monkeypatch, quirks=quirks) as server:
        clip = b64encode((studio.folder / "clip.mp4").read_bytes()).decode()
        task = {"taskType": "mediaStorage", "operation": "upload", "media": clip}
        answer = httpx.post(
            f"{server.base_url}/v1",
            json=[task | {"taskUUID": "0b8c4f8e-4f0a-4f7d-9d3e-2f6c1a5b7e90"}],
            headers={"Authorization": "Bearer test-key-of-runware"},
        ).json()
        address = answer["data"][0]["mediaURL"]
        manifest = write(studio.folder, f'video: "{address}", prompt: "in blue", duration: 2')
        assert studio.run("run", *PAID, "--no-probe", manifest) == 0, studio.stderr
        (task,) = server.record()["tasks"]
        assert task["price_usd"] == cost
    summary = studio.summary("ad")
    # Ten seconds at 720p were set aside, and what it cost is told by the provider.
    assert (summary["money"]["estimate_usd"], summary["money"]["spent_usd"]) == ("0.80", cost)
    assert summary["film"]["duration_s"] == lasts_s
    assert "price list says" not in studio.stderr


def test_the_plan_shows_the_prompt_as_the_provider_gets_it(studio: Studio) -> None:
    manifest = write(studio.folder, 'images: [a.png], prompt: "@image1 turns"')
    assert studio.run("plan", "--prompts", "--provider", "runware", manifest) == 0
    assert "s1: <IMAGE_1> turns" in studio.stdout
    assert studio.run("plan", "--prompts", manifest) == 0
    assert "s1: @image1 turns" in studio.stdout
