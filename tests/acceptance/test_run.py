"""``storyboard run`` from the outside: money, requests, files and exit codes."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest
from studio import Studio, paid_sandbox

from pipeline.errors import FilmRefused, MediaError
from pipeline.media.ffmpeg import PATH_VARIABLE
from pipeline.media.probe import probe
from pipeline.sandbox import bill
from pipeline.sandbox.bill import PriceRule
from pipeline.sandbox.faults import parse_faults
from pipeline.sandbox.wavespeed import WaveSpeedApi

MODEL = "x-ai/grok-imagine-video/reference-to-video"
PAID = ("--provider", "wavespeed", "--yes", "--max-cost", "100")


def test_run_makes_the_film_and_the_bill_equals_the_estimate(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not with the quickest ffmpeg that there is, as everywhere else, but with the one of users.
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    manifest = studio.write("ad", 3)
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0
        record = server.record()
    assert studio.stdout.strip().endswith("out/ad/film.mp4")
    info = probe(studio.film("ad"))
    assert info.video is not None
    assert info.video.packets == 3 * 6 * 24
    summary = studio.summary("ad")
    assert summary["state"] == "done"
    assert summary["exit_code"] == 0
    assert record["bill"]["total_usd"] == summary["money"]["estimate_usd"] == "0.90"
    assert summary["money"]["spent_usd"] == "0.90"
    assert record["violations"] == []


def test_second_run_makes_no_request_and_needs_no_server(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2)
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0
        before = server.record()["counters"]
        assert studio.run("run", *PAID, manifest) == 0
        assert server.record()["counters"] == before
    monkeypatch.delenv("WAVESPEED_API_KEY")
    began = time.perf_counter()
    assert studio.run("run", *PAID, manifest) == 0
    assert time.perf_counter() - began < 1
    assert studio.stdout.strip().endswith("out/ad/film.mp4")


def test_changed_prompt_buys_one_shot_and_keeps_the_rest(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 3)
    with paid_sandbox(monkeypatch) as server:
        studio.run("run", *PAID, manifest)
        studio.write("ad", 3, prompts={2: "@image1 leaves @image2"})
        assert studio.run("plan", "--provider", "wavespeed", "--json", manifest) == 0
        assert studio.stdout.count('"action": "buy"') == 1
        assert studio.stdout.count('"action": "keep"') == 2
        assert studio.run("run", *PAID, manifest) == 0
        assert server.record()["bill"]["total_usd"] == "1.20"
    assert studio.summary("ad")["shots"][1]["clip"] == "clips/shot2_tk02.mp4"


def test_renamed_shot_is_adopted_and_costs_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2)
    with paid_sandbox(monkeypatch) as server:
        studio.run("run", *PAID, manifest)
        manifest.write_text(manifest.read_text().replace("id: shot2", "id: finale"))
        assert studio.run("run", *PAID, manifest) == 0
        assert server.record()["bill"]["total_usd"] == "0.60"
    assert studio.summary("ad")["shots"][1]["clip"] == "clips/finale_tk01.mp4"


def test_max_cost_one_cent_under_the_plan_sends_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2)
    with paid_sandbox(monkeypatch) as server:
        code = studio.run("run", "--provider", "wavespeed", "--max-cost", "0.59", manifest)
        assert code == 4
        assert server.record()["counters"] == {}
    assert "nothing sent" in studio.stderr
    assert studio.summary("ad")["exit_code"] == 4


def test_budget_of_the_manifest_counts_what_was_spent_before(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2, extra="budget: 0.75")
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", "--provider", "wavespeed", manifest) == 0
        assert studio.run("run", "--provider", "wavespeed", "--retake", "shot1", manifest) == 4
        assert server.record()["bill"]["total_usd"] == "0.60"
    assert "on top of $0.60" in studio.stderr


def test_day_cap_counts_every_storyboard_of_the_account(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = studio.write("first", 2), studio.write("second", 2)
    monkeypatch.setenv("STORYBOARD_DAY_CAP_USD", "1.00")
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, first) == 0
        assert studio.run("run", *PAID, second) == 4
        assert server.record()["bill"]["total_usd"] == "0.60"
    assert "$0.60 spent today" in studio.stderr


def test_quote_that_differs_from_the_price_list_stops_before_the_first_submission(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2)
    dearer = MappingProxyType({MODEL: PriceRule(micro_usd_per_s=51_000, base_duration_s=6)})
    monkeypatch.setattr(bill, "PRICES", dearer)
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 4
        assert set(server.record()["counters"]) == {"price"}
    assert "$0.306" in studio.stderr


def test_reconcile_names_a_charge_that_no_journal_knows(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0
        assert studio.run("reconcile", "--provider", "wavespeed", manifest) == 0
        order = {"prompt": "a stranger", "images": [f"{server.files_url}/none.png"]}
        headers = {"Authorization": "Bearer test-key"}
        url = f"{server.base_url}/api/v3/{MODEL}"
        stranger = httpx.post(url, json=order, headers=headers, trust_env=False).json()
        assert studio.run("reconcile", "--provider", "wavespeed", manifest) == 1
    assert stranger["data"]["id"] in studio.stdout
    assert "orphan" in studio.stdout


def test_paid_provider_without_terminal_and_cap_sends_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", "--provider", "wavespeed", "--yes", manifest) == 4
        assert server.record()["counters"] == {}
    assert "--max-cost" in studio.stderr


def test_retake_buys_one_more_and_the_film_uses_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2)
    with paid_sandbox(monkeypatch) as server:
        studio.run("run", *PAID, manifest)
        assert studio.run("run", *PAID, "--retake", "shot1", manifest) == 0
        assert server.record()["bill"]["total_usd"] == "0.90"
    assert studio.summary("ad")["shots"][0]["clip"] == "clips/shot1_tk02.mp4"


def test_retake_that_was_cut_short_is_taken_up_and_not_bought_twice(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    # The second task's clip cannot be had at first, so that run ends without it.
    fault = {"on": "result", "fault": "outputs_url", "url": "file:///x", "nth": 2}
    with paid_sandbox(monkeypatch, faults=parse_faults({"faults": [fault]})) as server:
        studio.run("run", *PAID, manifest)
        assert studio.run("run", *PAID, "--retake", "shot1", manifest) == 1
        assert studio.run("run", *PAID, "--retake", "shot1", manifest) == 0
        assert server.record()["bill"]["total_usd"] == "0.60"
    assert studio.summary("ad")["shots"][0]["clip"] == "clips/shot1_tk02.mp4"


@pytest.mark.parametrize(
    ("cut_short", "code"), [("a clip", 1), ("the film", 74), ("the last note", 0)]
)
def test_command_with_retakes_that_was_cut_short_goes_on_and_then_asks_for_more(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, cut_short: str, code: int
) -> None:
    manifest = studio.write("ad", 2)
    again = (*PAID, "--retake", "shot1", "--retake", "shot2", manifest)
    fault = {"on": "result", "fault": "outputs_url", "url": "file:///x", "match": "shot 2"}
    faults = [fault | {"nth": 2}] if cut_short == "a clip" else []
    with paid_sandbox(monkeypatch, faults=parse_faults({"faults": faults})) as server:
        assert studio.run("run", *PAID, manifest) == 0
        with monkeypatch.context() as broken:
            if cut_short == "the film":
                broken.setattr("pipeline.runner.make_film", _no_film)
            if cut_short == "the last note":
                broken.setattr("pipeline.commands.making._close_retakes", lambda *_: None)
            assert studio.run("run", *again) == code
        assert server.record()["bill"]["total_usd"] == "1.20"
        plan = ("plan", "--provider", "wavespeed", "--retake", "shot1", "--retake", "shot2")
        assert studio.run(*plan, manifest) == 0
        assert "to buy $0.00" in studio.stdout
        assert studio.run("run", *again) == 0
        assert server.record()["bill"]["total_usd"] == "1.20"
        assert studio.run(*plan, manifest) == 0
        assert "to buy $0.60" in studio.stdout
        assert studio.run("run", *again) == 0
        assert server.record()["bill"]["total_usd"] == "1.80"
    clips = [shot["clip"] for shot in studio.summary("ad")["shots"]]
    assert clips == ["clips/shot1_tk03.mp4", "clips/shot2_tk03.mp4"]


async def _no_film(*_: object, **__: object) -> None:
    raise MediaError("no film today")


def test_a_retake_whose_film_is_refused_can_be_retaken(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the very take that the film was refused for."""
    manifest = studio.write("ad", 1)

    async def refuse(*_: object, **__: object) -> None:
        raise FilmRefused("shot1 is black")

    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0
        with monkeypatch.context() as broken:
            broken.setattr("pipeline.runner.make_film", refuse)
            assert studio.run("run", *PAID, "--retake", "shot1", manifest) == 1
        assert server.record()["bill"]["total_usd"] == "0.60"
        assert studio.run("run", *PAID, "--retake", "shot1", manifest) == 0
        assert server.record()["bill"]["total_usd"] == "0.90"


def test_retakes_are_had_once_the_whole_command_has_ended_well(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, bad = studio.write("ad", 1), studio.folder / "bad.yaml"
    bad.write_text("storyboard: bad\nshots: []\n")
    again = (*PAID, "--retake", "shot1", manifest)
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 0
        for _ in range(2):
            assert studio.run("run", *again, bad) == 65
            assert server.record()["bill"]["total_usd"] == "0.60"
        # A run that does not ask for it closes the order as well.
        assert studio.run("run", *PAID, manifest) == 0
        assert studio.run("run", *again) == 0
        assert server.record()["bill"]["total_usd"] == "0.90"


def test_renamed_shot_keeps_the_take_that_its_film_used(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    with paid_sandbox(monkeypatch) as server:
        studio.run("run", *PAID, manifest)
        studio.run("run", *PAID, "--retake", "shot1", manifest)
        (take,) = studio.summary("ad")["shots"][0]["takes"][1:]
        manifest.write_text(manifest.read_text().replace("id: shot1", "id: hero"))
        assert studio.run("run", *PAID, manifest) == 0
        assert server.record()["bill"]["total_usd"] == "0.60"
    assert studio.summary("ad")["shots"][0]["takes"][0]["task_id"] == take["task_id"]


def test_doubt_is_not_settled_at_another_address_than_it_was_made(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    with paid_sandbox(monkeypatch, history=False) as server, monkeypatch.context() as broken:
        broken.setattr(WaveSpeedApi, "_prediction", None)
        assert studio.run("run", *PAID, manifest) == 3
        assert len(server.record()["tasks"]) == 1
    with paid_sandbox(monkeypatch) as other:
        assert studio.run("run", *PAID, manifest) == 78
        assert other.record()["tasks"] == []
    assert "--same-account" in studio.stderr


def test_ffmpeg_that_does_not_work_is_found_before_anything_is_paid(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    monkeypatch.setenv("STORYBOARD_FFMPEG", "/bin/true")
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, manifest) == 69
        assert server.record()["counters"] == {}


def test_journal_and_clips_that_are_gone_are_not_bought_again_unasked(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    with paid_sandbox(monkeypatch) as server:
        studio.run("run", *PAID, manifest)
        folder = studio.folder / "out" / "ad"
        (folder / "journal.sqlite3").unlink()
        shutil.rmtree(folder / "clips")
        assert studio.run("run", *PAID, manifest) == 74
        assert studio.run("plan", "--provider", "wavespeed", manifest) == 74
        assert server.record()["bill"]["total_usd"] == "0.30"


def test_only_buys_the_named_shot_and_makes_no_film(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 3)
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, "--only", "shot2", manifest) == 0
        assert server.record()["bill"]["total_usd"] == "0.30"
    assert not studio.film("ad").exists()
    assert studio.summary("ad")["film"] is None


def test_several_manifests_share_a_run_and_a_bad_one_stops_no_other(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, other = studio.write("good", 2), studio.write("other", 1)
    bad = studio.folder / "bad.yaml"
    bad.write_text("storyboard: bad\nshots: []\n")
    with paid_sandbox(monkeypatch) as server:
        assert studio.run("run", *PAID, good, bad, other) == 65
        assert server.record()["bill"]["total_usd"] == "0.90"
    assert studio.film("good").exists()
    assert studio.film("other").exists()


def test_paid_run_moves_the_animatic_aside_and_never_uses_its_clips(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 1)
    folder = studio.folder / "out" / "ad"
    assert studio.run("run", manifest) == 0
    animatic = (folder / "film.mp4").read_bytes()
    with paid_sandbox(monkeypatch):
        assert studio.run("run", *PAID, manifest) == 0
    assert (folder / "animatic" / "film.mp4").read_bytes() == animatic
    assert (folder / "film.mp4").read_bytes() != animatic
    paid = (folder / "film.mp4").read_bytes()
    assert studio.run("animatic", manifest) == 0
    assert (folder / "film.mp4").read_bytes() == paid


def test_twenty_shots_keep_the_account_limit_and_the_poll_interval(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 20)
    monkeypatch.setenv("STORYBOARD_SUBMITS_PER_MINUTE", "6")
    monkeypatch.setenv("STORYBOARD_RATE_WINDOW_S", "3")
    monkeypatch.setenv("STORYBOARD_POLL_INTERVAL_S", "0.5")
    with paid_sandbox(
        monkeypatch, rpm=6, rate_window_s=3.0, latency_s=(1.0, 3.0), min_poll_s=0.5
    ) as server:
        assert studio.run("run", *PAID, manifest) == 0
        record = server.record()
    assert record["violations"] == []
    assert record["bill"]["total_usd"] == "6.00"


@pytest.mark.parametrize("name", ["film", "clip"])
def test_deleted_output_is_made_again_without_paying(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    manifest = studio.write("ad", 2)
    with paid_sandbox(monkeypatch) as server:
        studio.run("run", *PAID, manifest)
        film = studio.film("ad").read_bytes()
        gone = {"film": studio.film("ad"), "clip": Path("out/ad/clips/shot1_tk01.mp4")}[name]
        gone.unlink()
        assert studio.run("run", *PAID, manifest) == 0
        assert server.record()["bill"]["total_usd"] == "0.60"
    assert gone.exists()
    assert studio.film("ad").read_bytes() == film


def test_conform_makes_the_same_film_without_a_network(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2)
    with paid_sandbox(monkeypatch):
        studio.run("run", *PAID, manifest)
    film = studio.film("ad").read_bytes()
    studio.film("ad").unlink()
    assert studio.run("conform", "--provider", "wavespeed", manifest) == 0
    assert studio.film("ad").read_bytes() == film
