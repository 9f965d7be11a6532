"""A webhook is believed only as far as that a task is worth a look."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import NOON

from pipeline.providers.webhooks import is_genuine, read_runware, read_wavespeed

SAMPLES = Path(__file__).parent.parent / "samples"
TASK_ID = "0b8c4f8e-4f0a-4f7d-9d3e-2f6c1a5b7e90"
SECRET = "whsec_c2VjcmV0"
AT = str(int(NOON.timestamp()))
# One delivery worked out by hand from the page: id, dot, timestamp, dot, body; the key is what
# follows "whsec_", as plain text.
BODY = b'{"id": "4b1d0c7ea2f94f0c9d2e5a6b7c8d9e0f", "status": "completed"}'
DIGEST = hmac.new(b"c2VjcmV0", b"wh_1." + AT.encode() + b"." + BODY, hashlib.sha256).hexdigest()
HEADERS = {
    "webhook-id": "wh_1",
    "webhook-timestamp": AT,
    "webhook-signature": f"v3,{DIGEST}",
}


def test_signed_notice_is_genuine() -> None:
    assert is_genuine(HEADERS, BODY, secret=SECRET, now=NOON)
    assert is_genuine(HEADERS, BODY, secret="c2VjcmV0", now=NOON)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        HEADERS | {"webhook-id": "wh_2"},
        HEADERS | {"webhook-timestamp": str(int(AT) + 1)},
        HEADERS | {"webhook-timestamp": ""},
        HEADERS | {"webhook-timestamp": f"{AT}.0"},
        HEADERS | {"webhook-timestamp": "٣" * 10},
        HEADERS | {"webhook-timestamp": "9" * 5000},
        HEADERS | {"webhook-signature": ""},
        HEADERS | {"webhook-signature": DIGEST},
        HEADERS | {"webhook-signature": f"v1,{DIGEST}"},
        HEADERS | {"webhook-signature": f"v3,{DIGEST.upper()}"},
        HEADERS | {"webhook-signature": f"v3,{DIGEST[:-1]}"},
        HEADERS | {"webhook-signature": "v3,\u00e9\udce9"},
    ],
)
def test_notice_that_is_not_signed_so_is_not_genuine(headers: dict[str, str]) -> None:
    assert not is_genuine(headers, BODY, secret=SECRET, now=NOON)


def test_changed_body_or_another_secret_is_not_genuine() -> None:
    assert not is_genuine(HEADERS, BODY + b" ", secret=SECRET, now=NOON)
    assert not is_genuine(HEADERS, BODY, secret="whsec_other", now=NOON)


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_without_a_secret_nothing_is_genuine(secret: str) -> None:
    digest = hmac.new(b"", b"wh_1." + AT.encode() + b"." + BODY, hashlib.sha256).hexdigest()
    headers = HEADERS | {"webhook-signature": f"v3,{digest}"}
    assert not is_genuine(headers, BODY, secret=secret, now=NOON)


@pytest.mark.parametrize(
    ("off_s", "genuine"), [(-301, False), (-300, True), (300, True), (301, False)]
)
def test_notice_is_genuine_for_five_minutes(off_s: int, genuine: bool) -> None:
    now = NOON + timedelta(seconds=off_s)
    assert is_genuine(HEADERS, BODY, secret=SECRET, now=now) is genuine


def test_wavespeeds_notice_is_the_task_by_itself() -> None:
    assert read_wavespeed(BODY) == ("4b1d0c7ea2f94f0c9d2e5a6b7c8d9e0f",)
    assert read_wavespeed(b'{"data": {"id": "t1"}}') == ()


@pytest.mark.parametrize("name", ["webhook_bare", "webhook_wrapped", "webhook_failed"])
def test_runwares_notice_is_read_in_all_its_shapes(name: str) -> None:
    assert read_runware((SAMPLES / "runware" / f"{name}.json").read_bytes()) == (TASK_ID,)


def test_each_task_of_a_notice_is_named_once() -> None:
    body = {"data": [{"taskUUID": "a"}, {"taskUUID": "b"}], "errors": [{"taskUUID": "a"}]}
    assert read_runware(json.dumps(body).encode()) == ("a", "b")


@pytest.mark.parametrize("task_id", ["../x", "a/b", "", None, 7, ["a"], "a\n", "x" * 129])
def test_id_that_could_lead_elsewhere_is_not_asked_for(task_id: Any) -> None:
    assert read_wavespeed(json.dumps({"id": task_id}).encode()) == ()
    assert read_runware(json.dumps({"taskUUID": task_id}).encode()) == ()


@settings(max_examples=50, deadline=None)
@given(
    body=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(("data", "errors", "taskUUID", "id")), inner)
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_comes_names_tasks_or_none(body: bytes) -> None:
    assert all(isinstance(each, str) for each in (*read_runware(body), *read_wavespeed(body)))
