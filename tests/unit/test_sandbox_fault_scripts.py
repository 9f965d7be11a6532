"""Fault scripts are read strictly, and decide by counting and seeded chance alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import UsageError
from pipeline.sandbox.fault_catalogue import (
    FAULT_NAMES,
    KINDS,
    Endpoint,
    Moment,
    Option,
    find_fault,
)
from pipeline.sandbox.fault_rules import Event, Tally
from pipeline.sandbox.fault_text import read_faults
from pipeline.sandbox.faults import parse_faults

DROP = {"on": "submit", "fault": "drop_before_accept"}


def event(
    since_s: float = 0.0,
    *,
    on: str = "submit",
    moment: Moment = Moment.ARRIVAL,
    task_id: str = "",
    prompt: str = "",
) -> Event:
    return Event(
        endpoint=Endpoint(on),
        moments=frozenset({moment}),
        since_start_s=since_s,
        task_id=task_id,
        prompt=prompt,
    )


def tally(*rules: dict[str, object]) -> Tally:
    return Tally(parse_faults({"faults": list(rules)}).rules)


def fires(tally: Tally, events: list[Event]) -> list[int]:
    """Numbers, from 1, of the events at which anything fires."""
    return [n for n, each in enumerate(events, 1) if tally.firing(each)]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"nth": 4}, [4]),
        ({"nth": [1, 7, 20]}, [1, 7]),
        ({"every": 3}, [3, 6, 9]),
        ({"every": 3, "times": 2}, [3, 6]),
        ({"times": 1}, [1]),
        ({"p": 0}, []),
        ({"p": 1}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_selector_counts(selector: dict[str, object], expected: list[int]) -> None:
    assert fires(tally(DROP | selector), [event()] * 9) == expected


def test_time_window_holds_its_start_and_not_its_end_and_counts_only_inside() -> None:
    moments = [event(second) for second in range(6)]
    assert fires(tally(DROP | {"from": 2, "to": 4}), moments) == [3, 4]
    assert fires(tally(DROP | {"from": 2, "nth": 1}), moments) == [3]


def test_match_counts_only_the_prompts_that_hold_it() -> None:
    events = [event(prompt=prompt) for prompt in ("a cat", "a dog", "two dogs", "")]
    assert fires(tally(DROP | {"match": "dog", "nth": 2}), events) == [3]


def test_counts_are_kept_for_each_prompt_or_task() -> None:
    prompts = [event(prompt=prompt) for prompt in "aabab"]
    assert fires(tally(DROP | {"per": "prompt", "nth": 2}), prompts) == [2, 5]
    assert fires(tally(DROP | {"per": "prompt", "times": 1}), prompts) == [1, 3]
    polls = [event(on="result", task_id=task) for task in "xyxy"]
    rule = {"on": "result", "fault": "http_503", "per": "task", "nth": 1}
    assert fires(tally(rule), polls) == [1, 2]


def test_chance_is_the_same_each_time_and_close_to_its_number() -> None:
    events = [event()] * 4000
    rule = DROP | {"p": 0.2, "seed": 7}
    first = fires(tally(rule), events)
    assert first == fires(tally(rule), events)
    assert first != fires(tally(rule | {"seed": 8}), events)
    assert 700 < len(first) < 900


def test_chance_does_not_depend_on_task_ids_nor_on_who_comes_first() -> None:
    rule = {"on": "result", "fault": "http_503", "p": 0.5, "per": "task"}

    def played(ids: str, order: list[int]) -> Counter[str]:
        rules, prompts = tally(rule), [f"shot {n}" for n in range(8)]
        found: Counter[str] = Counter()
        for n in order:
            hit = rules.firing(event(on="result", task_id=ids[n], prompt=prompts[n]))
            found[prompts[n]] += bool(hit)
        return found

    assert played("abcdefgh", [*range(8)] * 5) == played("ijklmnop", [*reversed(range(8))] * 5)


def test_rules_of_equal_chance_do_not_fire_in_step() -> None:
    rules = tally(
        {"on": "result", "fault": "http_503", "p": 0.2},
        {"on": "result", "fault": "drop", "p": 0.2},
    )
    fired = Counter(rule.fault for _ in range(2000) for rule in rules.firing(event(on="result")))
    assert fired["http_503"] > 300
    # The first rule wins where both would play.
    assert 250 < fired["drop"] < fired["http_503"]


def test_first_rule_wins_and_the_others_still_count() -> None:
    rules = tally(DROP | {"nth": 2}, {"on": "submit", "fault": "http_500", "nth": [2, 3]})
    names = [[rule.fault for rule in rules.firing(event())] for _ in range(3)]
    assert names == [[], ["drop_before_accept"], ["http_500"]]


def test_rule_that_lost_its_turn_has_not_used_it_up() -> None:
    rules = tally(DROP | {"nth": 1}, {"on": "submit", "fault": "http_500", "times": 1})
    names = [[rule.fault for rule in rules.firing(event())] for _ in range(3)]
    assert names == [["drop_before_accept"], ["http_500"], []]


def test_delay_joins_another_fault() -> None:
    rules = tally(DROP, {"on": "submit", "fault": "delay", "seconds": 1})
    assert {rule.fault for rule in rules.firing(event())} == {"drop_before_accept", "delay"}


@pytest.mark.parametrize(
    ("rule", "moment"),
    [
        (DROP, Moment.ARRIVAL),
        ({"on": "submit", "fault": "drop_after_accept"}, Moment.ANSWER),
        ({"on": "submit", "fault": "http_500"}, Moment.ARRIVAL),
        ({"on": "submit", "fault": "http_500", "accept": True}, Moment.ANSWER),
        ({"on": "submit", "fault": "hang", "accept": True}, Moment.ANSWER),
        ({"on": "submit", "fault": "kill_client", "when": "before_accept"}, Moment.ARRIVAL),
        ({"on": "submit", "fault": "kill_client", "when": "after_accept"}, Moment.ANSWER),
        ({"on": "result", "fault": "no_outputs"}, Moment.COMPLETED),
    ],
)
def test_rule_counts_at_the_moment_of_its_fault(rule: dict[str, object], moment: Moment) -> None:
    (read,) = parse_faults([rule]).rules
    assert read.moment is moment


def test_any_stands_for_every_endpoint_where_the_fault_can_play() -> None:
    (rule,) = parse_faults([{"on": "any", "fault": "malformed_json"}]).rules
    assert rule.on == set(Endpoint) - {Endpoint.UPLOAD_PUT, Endpoint.DOWNLOAD}
    (rule,) = parse_faults([{"on": ["submit", "result"], "fault": "drop"}]).rules
    assert rule.on == {Endpoint.SUBMIT, Endpoint.RESULT}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("faults:\n  - {on: submit, fault: drop_afer_accept}", "f:2", "drop_after_accept"),
        ("faults:\n  - on: submit\n    fault: http_600", "f:3", "no fault 'http_600'"),
        ("faults:\n  - {on: submitt, fault: drop}", "f:2: faults[0].on", "did you mean submit"),
        ("faults:\n  - {fault: drop}", "f:2", "no endpoint None"),
        ("faults:\n  - {on: [], fault: drop}", "f:2", "no endpoint"),
        ("faults:\n  - {on: history, fault: no_id}", "f:2", "on: submit"),
        ("faults:\n  - {on: submit, fault: drop, nht: 3}", "f:2: faults[0].nht", "mean nth"),
        ("faults:\n  - {on: submit, fault: no_id, accept: true}", "f:2", "unknown key 'accept'"),
        ("faults:\n  - {on: submit, fault: drop, nth: 0}", "faults[0].nth", "from 1"),
        ("faults:\n  - {on: submit, fault: drop, nth: [1, x]}", "faults[0].nth", "from 1"),
        ("faults:\n  - {on: submit, fault: drop, nth: []}", "faults[0].nth", "from 1"),
        ("faults:\n  - {on: submit, fault: drop, every: 1.5}", "faults[0].every", "whole"),
        ("faults:\n  - {on: submit, fault: drop, p: 1.1}", "faults[0].p", "0 to 1"),
        ("faults:\n  - {on: submit, fault: drop, p: 0.1, nth: 1}", "faults[0].p", "exclude"),
        ("faults:\n  - {on: submit, fault: drop, per: shot}", "faults[0].per", "global, task"),
        ("faults:\n  - {on: submit, fault: drop, per: task}", "faults[0].per", "known only to"),
        ("faults:\n  - {on: history, fault: drop, match: x}", "faults[0].match", "known only to"),
        ("faults:\n  - {on: submit, fault: hang, seconds: -1}", "faults[0].seconds", "seconds"),
        ("faults:\n  - {on: submit, fault: delay}", "f:2: faults[0]", "seconds is missing"),
        ("faults:\n  - {on: submit, fault: drop, accept: 1}", "faults[0].accept", "true or false"),
        ("faults:\n  - {on: submit, fault: kill_client, when: later}", "when", "after_answer"),
        ("faults:\n  - {on: submit, fault: redirect, location: x, status: 200}", "status", "307"),
        ('faults:\n  - {on: submit, fault: redirect, location: "a\\nb"}', "location", "address"),
        ('faults:\n  - {on: submit, fault: http_429, retry_after: "\\u00e9"}', "retry_", "ASCII"),
        ("faults:\n  - drop", "f:2: faults[0]", "mapping"),
        ("faults:\n  - {on: submit, fault: http_429, retry_after: ' 2'}", "retry_after", "ASCII"),
        ("faults: drop", "f:1: faults", "list"),
        ("drop", "f:1", "mapping"),
        ("fault:\n  - {on: submit, fault: drop}", "f:2: fault:", "did you mean faults"),
        ("clock_skew: tomorrow", "clock_skew", "seconds"),
        ("faults: [\n", "f:2", "YAML"),
        ("faults: []\nfaults: []", "f:2", "twice"),
        ("faults: &a [*a]", "f:1", "aliases"),
        ("a: \x07", "f", "YAML"),
    ],
)
def test_script_that_is_not_understood_is_refused_with_its_place(
    text: str, place: str, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_faults(text, source="f")
    assert place in str(caught.value)
    assert words in str(caught.value)


def test_words_of_yaml_stay_words() -> None:
    script = read_faults(
        "faults:\n"
        "  - {on: history, fault: off}\n"
        "  - {on: submit, fault: http_429, retry_after: 1e9}\n"
        '  - {on: submit, fault: http_429, retry_after: "2"}\n'
        "  - {on: submit, fault: http_429, retry_after: -1}\n",
        source="f",
    )
    assert script.rules[0].fault == "off"
    assert [rule.text("retry_after") for rule in script.rules[1:]] == ["1e9", "2", "-1"]


def test_json_is_read_too_and_an_empty_script_does_nothing() -> None:
    text = '{"faults": [{"on": "submit", "fault": "drop", "accept": true}], "clock_skew": -1.5}'
    script = read_faults(text, source="f")
    assert (script.rules[0].flag("accept"), script.clock_skew_s) == (True, -1.5)
    assert read_faults("", source="f").rules == ()


def test_command_refuses_a_script_with_the_exit_code_of_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("faults:\n  - {on: submit, fault: drop_afer_accept}\n")
    assert main(["sandbox", "--faults", str(file)]) == 64
    assert "did you mean drop_after_accept?" in capsys.readouterr().err
    file.write_text("faults:\n  - {on: submit, fault: kill_client, when: after_accept}\n")
    assert main(["sandbox", "--faults", str(file)]) == 64
    assert "--client-pid-file FILE" in capsys.readouterr().err
    file.write_bytes(b"\xff")
    assert main(["sandbox", "--faults", str(file)]) == 64
    assert main(["sandbox", "--client-pid-file", str(file)]) == 64
    assert main(["sandbox", "--faults", str(tmp_path / "missing.yaml")]) == 66


def example(name: str) -> dict[str, object]:
    """A rule for a fault, with a value for each setting that it needs."""
    found = find_fault(name)
    assert found is not None
    kind, _ = found
    samples: list[object] = [1, "text", "after_accept", "cancelled"]

    def sample(option: Option) -> object:
        return next(value for value in samples if option.accept(value) is not None)

    needed = {key: sample(option) for key, option in kind.takes.items() if option.is_needed}
    return {"on": min(kind.on), "fault": name, **needed}


@pytest.mark.parametrize("name", FAULT_NAMES)
def test_every_fault_is_documented_with_an_example(name: str) -> None:
    assert parse_faults([example(name)]).rules[0].fault == name
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    if name in KINDS:
        assert f"| `{name}` |" in page


def test_examples_of_the_page_are_good_scripts() -> None:
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if "| `{on:" in line]
    assert len(rows) > len(KINDS)
    for _, name, *_, example, _ in rows:
        (rule,) = read_faults(f"faults: [{example.strip('` ')}]", source="docs/faults.md").rules
        assert rule.fault == name.strip("` ") or name == " `http_CODE` "
    blocks = [block for block in page.split("\n\n") if "\n    faults:\n" in f"\n{block}"]
    assert len(blocks) == 1
    for block in blocks:
        assert read_faults(block.replace("\n    ", "\n").strip(), source="faults.yaml").rules
