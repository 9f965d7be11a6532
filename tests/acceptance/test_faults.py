"""What the command does when the provider misbehaves, judged by the provider's own bill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from studio import Studio, paid_sandbox

from pipeline.sandbox.faults import parse_faults

PAID = ("--provider", "wavespeed", "--yes", "--max-cost", "100")
SHOTS = 2


def rule(on: str, fault: str, **settings: Any) -> dict[str, Any]:
    return {"on": on, "fault": fault, **settings}


# (name, rules, exit code, tasks on the bill): whatever happens, no shot is ever billed twice.
HEALED = [
    ("drop before accept", rule("submit", "drop_before_accept", nth=2)),
    ("drop after accept", rule("submit", "drop_after_accept", nth=2)),
    ("reset before accept", rule("submit", "reset_before_accept", nth=1)),
    ("reset after accept", rule("submit", "reset_after_accept", nth=1)),
    ("every answer lost after accept", rule("submit", "drop_after_accept")),
    ("500, not accepted", rule("submit", "http_500", nth=2)),
    ("500 though accepted", rule("submit", "http_500", accept=True, nth=2)),
    ("504 though accepted", rule("submit", "http_504", accept=True, nth=2)),
    ("200 without id", rule("submit", "no_id", nth=1)),
    ("200 with broken JSON", rule("submit", "malformed_json", nth=1)),
    ("200 with half an answer", rule("submit", "half_response", nth=1)),
    ("200 with an empty body", rule("submit", "empty_body", nth=1)),
    ("envelope code 500, accepted", rule("submit", "wrong_code", accept=True, nth=1)),
    ("hangs, accepted", rule("submit", "hang", accept=True, seconds=20, nth=2)),
    ("hangs, not accepted", rule("submit", "hang", seconds=20, nth=2)),
    ("429 with Retry-After", rule("submit", "http_429", retry_after=1, nth=2)),
    ("ticket fails once", rule("upload_ticket", "http_503", nth=1)),
    ("upload is cut once", rule("upload_put", "drop", nth=1)),
    ("polls fail at first", rule("result", "http_503", nth=1, per="task")),
    ("polls are dropped at first", rule("result", "drop", nth=1, per="task")),
    ("polls say 404 at first", rule("result", "http_404", nth=1, per="task")),
    ("unknown status word", rule("result", "unknown_status", nth=1, per="task")),
    ("no outputs at first", rule("result", "no_outputs", nth=1, per="task")),
    ("outputs are objects", rule("result", "object_outputs")),
    ("two outputs", rule("result", "two_outputs")),
    ("flagged as unsafe", rule("result", "nsfw_flag")),
    ("URL expired once", rule("result", "expire_url", nth=1, per="task")),
    ("download cut", rule("download", "truncate", nth=1, per="task")),
    ("download cut, no length", rule("download", "truncate_nolength", nth=1, per="task")),
    ("download reset", rule("download", "reset_mid", nth=1, per="task")),
    ("bytes flipped", rule("download", "corrupt", nth=1, per="task")),
    ("one bit flipped", rule("download", "flip_bit", nth=1, per="task", place=1)),
    ("HTML instead of a clip", rule("download", "wrong_type", nth=1, per="task")),
    ("playlist instead of a clip", rule("download", "hls_body", nth=1, per="task")),
    ("empty download", rule("download", "empty", nth=1, per="task")),
    ("strangers in the history", rule("history", "strangers", n=3)),
]


@pytest.mark.parametrize(("name", "fault"), HEALED, ids=[name for name, _ in HEALED])
def test_run_heals_and_buys_each_shot_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, name: str, fault: dict[str, Any]
) -> None:
    manifest = studio.write("ad", SHOTS)
    # The quote and the bill are beside the point here; a short limit makes a hang a doubt soon.
    monkeypatch.setenv("STORYBOARD_SUBMIT_TIMEOUT_S", "1")
    rules = [fault]
    if name == "strangers in the history":
        rules.append(rule("submit", "drop_after_accept", nth=1))
    script = parse_faults({"faults": rules})
    with paid_sandbox(monkeypatch, faults=script, history_inputs=True) as server:
        code = studio.run("run", *PAID, manifest)
        record = server.record()
    assert code == 0, studio.stderr
    strangers = fault.get("n", 0)
    assert len(record["tasks"]) == SHOTS + strangers
    assert record["violations"] == []
    assert studio.film("ad").exists()
    assert studio.summary("ad")["money"]["spent_usd"] == "0.60"
    assert not list((studio.folder / "out/ad/clips").glob("*.part"))


@pytest.mark.parametrize(("lost", "strangers", "code"), [(2, 0, 0), (None, 0, 3), (2, 1, 3)])
def test_a_lost_task_is_taken_by_its_bill_where_the_history_shows_no_inputs(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, lost: int | None, strangers: int, code: int
) -> None:
    """The bill names the key; which one is ours is known once any task of ours is."""
    manifest = studio.write("ad", SHOTS)
    rules = [rule("submit", "drop_after_accept", **({"nth": lost} if lost else {}))]
    if strangers:
        rules.append(rule("history", "strangers", n=strangers))
    monkeypatch.setenv("STORYBOARD_SUBMIT_TIMEOUT_S", "1")
    with paid_sandbox(monkeypatch, faults=parse_faults({"faults": rules})) as server:
        assert studio.run("run", *PAID, manifest) == code, studio.stderr
        mine = [task for task in server.record()["tasks"] if not task["stranger"]]
        assert len(mine) == SHOTS
        if code == 3:
            assert "storyboard resolve" in studio.stderr
            shot = next(
                n for n in range(1, SHOTS + 1) if f"shot {n}" in mine[-1]["inputs"]["prompt"]
            )
            adopt = ("resolve", f"shot{shot}", manifest, "--adopt", mine[-1]["id"], "--provider")
            assert studio.run(*adopt, "wavespeed", "--yes") == 0, studio.stderr
            assert studio.run("run", *PAID, manifest) == 0, studio.stderr
        mine = [task for task in server.record()["tasks"] if not task["stranger"]]
    assert len(mine) == SHOTS
    assert studio.film("ad").exists()


FAILED = [
    ("400 for one shot", rule("submit", "http_400", match="shot 2"), 1, 1),
    ("task fails", rule("result", "fail_task", match="shot 2"), 1, 2),
    ("moderation", rule("result", "nsfw", match="shot 2"), 1, 2),
    ("cancelled", rule("result", "end_as", status="cancelled", match="shot 2"), 1, 2),
    ("always damaged", rule("download", "corrupt", match="shot 2"), 1, 2),
    ("URL to a file", rule("result", "outputs_url", url="file:///etc/passwd"), 1, 2),
    ("URL to metadata", rule("result", "outputs_url", url="http://169.254.169.254/x"), 1, 2),
    ("URL with a user", rule("result", "outputs_url", url="https://a:b@host/x.mp4"), 1, 2),
    ("URL with data", rule("result", "outputs_url", url="data:video/mp4;base64,AAAA"), 1, 2),
    ("key refused", rule("submit", "http_401"), 77, 0),
    ("redirect at submit", rule("submit", "redirect", location="{canary}/steal"), 78, 0),
    ("history off after a lost answer", rule("submit", "drop_after_accept", nth=1), 3, None),
]


@pytest.mark.parametrize("case", FAILED, ids=[name for name, *_ in FAILED])
def test_run_tells_what_failed_and_buys_nothing_again(
    studio: Studio,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, dict[str, Any], int, int | None],
) -> None:
    name, fault, code, tasks = case
    manifest = studio.write("ad", SHOTS)
    rules = [fault]
    if name.startswith("history off"):
        rules.append(rule("history", "off"))
    script = parse_faults({"faults": rules})
    with paid_sandbox(monkeypatch, faults=script, history_inputs=True) as server:
        assert studio.run("run", *PAID, manifest) == code, studio.stderr
        first = server.record()
        # The same command again spends nothing on what failed.
        studio.run("run", *PAID, manifest)
        second = server.record()
    assert first["violations"] == []
    if tasks is not None:
        assert len(first["tasks"]) == tasks
    billed = len(second["tasks"])
    assert billed <= SHOTS
    assert billed == len(first["tasks"])
    assert not studio.film("ad").exists()
    assert studio.summary("ad")["film"] is None
    assert "Traceback" not in studio.stderr


def test_all_shots_refused_names_each_with_its_reason(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", SHOTS)
    script = parse_faults({"faults": [rule("submit", "http_400", body='{"message": "no cats"}')]})
    with paid_sandbox(monkeypatch, faults=script) as server:
        assert studio.run("run", *PAID, manifest) == 1
        assert server.record()["tasks"] == []
    for number in range(1, SHOTS + 1):
        assert f"shot{number}_tk01: the provider answered 400: no cats" in studio.stderr


def test_summary_of_a_failed_run_is_whole_json(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = studio.write("ad", 2)
    script = parse_faults({"faults": [rule("result", "fail_task", match="shot 1")]})
    with paid_sandbox(monkeypatch, faults=script):
        studio.run("run", "--json", *PAID, manifest)
    (run,) = json.loads(studio.stdout)["runs"]
    assert run["state"] == "failed"
    assert run["exit_code"] == 1
    assert "task execution failed" in run["shots"][0]["message"]
    assert run["shots"][1]["clip"] == "clips/shot2_tk01.mp4"
    assert Path(run["folder"]).name == "ad"
