"""The other commands from the outside: their words, their data, their exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from studio import Studio, paid_sandbox

from pipeline.sandbox.wavespeed import WaveSpeedApi

PAID = ("--provider", "wavespeed", "--yes", "--max-cost", "100")


def test_validate_reports_every_problem_as_text_and_as_data(studio: Studio) -> None:
    manifest = studio.write("ad", 2)
    manifest.write_text(manifest.read_text().replace("duration: 6", "duration: 7"))
    assert studio.run("validate", manifest) == 65
    assert f"{manifest}:3:22: defaults.duration: " in studio.stderr
    assert "6 or 10" in studio.stderr
    assert studio.run("validate", "--json", manifest) == 65
    (report,) = json.loads(studio.stdout)["manifests"]
    assert report["ok"] is False
    assert report["problems"][0]["line"] == 3
    assert report["problems"][0]["path"] == "defaults.duration"


def test_missing_manifest_is_exit_66_and_missing_image_too(studio: Studio) -> None:
    assert studio.run("validate", "nowhere.yaml") == 66
    manifest = studio.write("ad", 1)
    (studio.folder / "picture1.png").unlink()
    assert studio.run("validate", manifest) == 66
    assert "picture1.png" in studio.stderr


def test_estimate_prints_shots_and_total(studio: Studio) -> None:
    short, long = studio.write("short", 2), studio.write("long", 1, duration_s=10)
    assert studio.run("estimate", short, long) == 0
    assert "$0.60" in studio.stdout
    assert "$0.50" in studio.stdout
    assert "all 2 storyboards: $1.10" in studio.stdout
    assert studio.run("estimate", "--json", short, long) == 0
    assert json.loads(studio.stdout)["total_usd"] == "1.10"


def test_plan_sends_nothing_and_makes_nothing(studio: Studio) -> None:
    manifest = studio.write("ad", 2)
    assert studio.run("plan", manifest) == 0
    assert studio.stdout.count(" buy   ") == 2
    assert not (studio.folder / "out").exists()


def test_plan_of_some_shots_is_what_a_run_of_them_does(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 3)
    some = ("--only", "shot1", "--only", "shot3", "--retake", "shot3")

    def planned() -> list[tuple[str, str]]:
        assert studio.run("plan", "--json", *some, *PAID[:2], manifest) == 0
        (plan,) = json.loads(studio.stdout)["plans"]
        return [(take["slate"], take["action"]) for take in plan["takes"]]

    with paid_sandbox(monkeypatch) as server:
        for takes in (2, 3):
            before = planned()
            assert sum(action == "buy" for _, action in before) == takes - len(
                server.record()["tasks"]
            )
            studio.run("run", *some, *PAID, manifest)
            assert len(server.record()["tasks"]) == takes
    assert ("shot2_tk01", "skip") in before
    assert ("shot3_tk02", "buy") in before
    assert studio.run("plan", "--only", "shot9", manifest) == 64
    assert "there is no shot" in studio.stderr
    assert studio.run("plan", "--compare", "--only", "shot1", manifest) == 64


def test_status_and_spend_tell_what_was_bought(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2)
    assert studio.run("spend") == 0
    assert "nothing was spent" in studio.stdout
    with paid_sandbox(monkeypatch):
        studio.run("run", *PAID, manifest)
    assert studio.run("status", "--provider", "wavespeed", manifest) == 0
    assert studio.stdout.count("verified") == 2
    assert studio.run("spend", "--json") == 0
    spent = json.loads(studio.stdout)
    assert spent["spent_usd"] == "0.60"
    assert spent["lines"][0]["storyboard"] == "ad"
    assert studio.run("spend", "--csv") == 0
    assert studio.stdout.splitlines()[1].endswith(",ad,wavespeed,2,0.60,0.00,0.00")


def test_lost_answer_without_history_waits_for_a_person_who_names_the_task(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2)
    with paid_sandbox(monkeypatch, history=False) as server:
        with monkeypatch.context() as broken:
            # Accepted and billed, then a fault of the server's own instead of the answer.
            broken.setattr(WaveSpeedApi, "_prediction", None)
            assert studio.run("run", *PAID, manifest) == 3
        doubtful = server.record()["tasks"]
        assert "resolve" in studio.stderr
        # A second run spends nothing while the doubt is open.
        assert studio.run("run", *PAID, manifest) == 3
        assert server.record()["tasks"] == doubtful
        for number, task in enumerate(doubtful, start=1):
            words = ("resolve", f"shot{number}", "--provider", "wavespeed", manifest)
            assert studio.run(*words, "--adopt", task["id"]) == 0
        assert studio.run("run", *PAID, manifest) == 0
        assert server.record()["bill"]["total_usd"] == "0.60"
    assert studio.film("ad").exists()


def test_a_task_whose_journal_is_gone_is_named_counted_and_fetched_by_hand(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    other = studio.write("other", 1)
    reconcile = ("reconcile", "--provider", "wavespeed")
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest, other) == 0
        # Another storyboard's task is no finding while its journal is where it was.
        assert studio.run(*reconcile, other) == 0
        shutil.rmtree(studio.folder / "out" / "ad")
        tasks = {task["id"] for task in server.record()["tasks"]}
        assert studio.run(*reconcile, manifest, other) == 1
        (lost,) = {task for task in tasks if f"{task}\n" in studio.stdout}
        assert "gone" in studio.stdout
        monkeypatch.setenv("STORYBOARD_DAY_CAP_USD", "0.89")
        assert studio.run("run", *PAID, manifest) == 4
        words = ("resolve", "shot1", "--provider", "wavespeed", manifest, "--adopt", lost)
        assert studio.run(*words) == 0
        assert studio.run("run", *PAID, manifest) == 0
        assert studio.run(*reconcile, manifest, other) == 0
        assert {task["id"] for task in server.record()["tasks"]} == tasks
    assert studio.summary("ad")["money"]["spent_usd"] == "0.30"


@pytest.mark.parametrize("drawn", ["shot1", "shot2"])
def test_a_paid_task_is_taken_in_beside_the_sandboxs_work_and_never_bought_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, drawn: str
) -> None:
    manifest = studio.write("ad", 2)
    paid = (*PAID, "--only", "shot1", manifest)
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *paid) == 0
        (task,) = server.record()["tasks"]
        shutil.rmtree(studio.folder / "out" / "ad")
        assert studio.run("run", "--only", drawn, manifest) == 0
        # A word about a doubt finds none of this provider's, and moves nothing.
        words = ("resolve", "shot1", "--provider", "wavespeed", manifest)
        assert studio.run(*words, "--abandon") == 64
        assert not (studio.folder / "out" / "ad" / "animatic").exists()
        assert studio.run(*words, "--adopt", task["id"]) == 0
        assert "its animatic is now in out/ad/animatic" in studio.stderr
        assert studio.run("run", *paid) == 0
        assert [each["id"] for each in server.record()["tasks"]] == [task["id"]]
    assert studio.summary("ad")["money"]["spent_usd"] == "0.30"
    assert studio.run("spend", "--csv") == 0
    assert studio.stdout.splitlines()[1].endswith(",ad,wavespeed,1,0.30,0.00,0.00")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--max-cost", "5,00", "ad.yaml"],
        ["run", "--max-cost", "nan", "ad.yaml"],
        ["run", "--max-cost", "-1", "ad.yaml"],
        ["run", "--max-cost", "1e-400", "ad.yaml"],
        ["run", "--max-cost", "0.00001", "ad.yaml"],
        ["run", "--only", "shot9", "ad.yaml"],
        ["run", "--retake", "shott1", "ad.yaml"],
        ["fly"],
        [],
        ["plan", "--nonsense", "ad.yaml"],
        ["resolve", "shot1", "ad.yaml", "--abandon"],
    ],
    ids=" ".join,
)
def test_wrong_command_line_is_exit_64_with_a_cure(studio: Studio, arguments: list[str]) -> None:
    studio.write("ad", 1)
    assert studio.run(*arguments) == 64
    assert studio.stderr.strip().endswith(")")
    assert "Traceback" not in studio.stderr


def test_key_is_missing_and_nothing_is_sent(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAVESPEED_API_KEY", raising=False)
    manifest = studio.write("ad", 1)
    assert studio.run("run", *PAID, manifest) == 78
    assert "WAVESPEED_API_KEY" in studio.stderr
    assert studio.summary("ad")["exit_code"] == 78


def test_output_that_is_a_file_is_exit_73(studio: Studio) -> None:
    manifest = studio.write("ad", 1)
    Path("out").write_text("in the way")
    assert studio.run("run", manifest) == 73
    assert "--out" in studio.stderr


def test_doctor_names_the_ffmpeg_and_lacks_nothing(studio: Studio) -> None:
    assert studio.run("doctor", "--json") == 0
    report = json.loads(studio.stdout)
    assert report["ffmpeg_lacks"] == []
    assert report["ffmpeg_version"]


def test_doctor_without_ffmpeg_is_exit_69(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYBOARD_FFMPEG", "/nonexistent/ffmpeg")
    assert studio.run("doctor") == 69
    assert "ffmpeg" in studio.stdout
