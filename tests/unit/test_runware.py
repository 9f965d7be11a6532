"""Runware's requests to the letter, and its answers: the table that prevents paying twice."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_reference

from pipeline.capabilities import RUNWARE, PromptDialect
from pipeline.errors import (
    ConfigurationError,
    KeyRefused,
    NoCredit,
    ProviderError,
    RateLimited,
    ReferenceRefused,
    Rejected,
    StoryboardError,
    SubmissionInDoubt,
    Unavailable,
)
from pipeline.model import Container, Output, Resolution, SafetyMode, ShotKind, Size
from pipeline.providers.base import HttpReply, TakeRequest
from pipeline.providers.runware import Runware
from pipeline.providers.runware_faults import Fault, FaultKind

SAMPLES = Path(__file__).parent.parent / "samples" / "runware"
TASK_ID = "0b8c4f8e-4f0a-4f7d-9d3e-2f6c1a5b7e90"
OTHER_ID = "7a1e2c3d-0f4b-4c5d-8e6f-9a0b1c2d3e4f"
FILE_ID = "1c9d5a9f-5a1b-4a8e-8e4f-3a7d2b6c8f01"
REQUEST = TakeRequest(
    model=RUNWARE.model,
    task_id=TASK_ID,
    prompt="@image1 beside @image2's label",
    image_urls=(FILE_ID, "https://cdn.example.net/logo.png"),
    duration_s=6,
    resolution=Resolution.P720,
    size=Size(width_px=720, height_px=1280),
)
dialect = Runware(RUNWARE, new_id=lambda: OTHER_ID)


def reply(status: int = 200, body: object = b"", **headers: str) -> HttpReply:
    """An answer; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status=status, headers=named, body=content)


def sample(name: str, status: int = 200) -> HttpReply:
    """A recorded answer."""
    return reply(status, (SAMPLES / f"{name}.json").read_bytes())


def fault(code: str, **fields: Any) -> dict[str, Any]:
    """An error about our task."""
    return {"code": code, "message": "no", "taskUUID": TASK_ID, **fields}


def task_of(request: TakeRequest, prompts: PromptDialect | None = None) -> Mapping[str, Any]:
    """The one task of a submission's body."""
    wire = Runware(RUNWARE, prompts=prompts).build_submit(request)
    assert (wire.method, wire.path, wire.url, wire.content) == ("POST", "/v1", "", None)
    assert isinstance(wire.json, list)
    (task,) = wire.json
    assert isinstance(task, dict)
    assert json.loads(json.dumps(task)) == task
    return task


def submitted(answer: HttpReply) -> str:
    """What the dialect makes of an answer to the submission."""
    return dialect.read_submit(answer, REQUEST)


# ---------------------------------------------------------------- the body, by kind

ALWAYS = {
    "taskType": "videoInference",
    "taskUUID": TASK_ID,
    "model": "xai:grok-imagine@video",
    "deliveryMethod": "async",
    "outputType": "URL",
    "outputFormat": "MP4",
    "numberResults": 1,
    "includeCost": True,
    "ttl": 604_800,
}


def test_references_are_asked_for_by_width_and_height() -> None:
    assert task_of(REQUEST) == ALWAYS | {
        "positivePrompt": "<IMAGE_1> beside <IMAGE_2>'s label",
        "width": 720,
        "height": 1280,
        "duration": 6,
        "inputs": {"referenceImages": [FILE_ID, "https://cdn.example.net/logo.png"]},
    }


def test_text_alone_has_no_inputs() -> None:
    request = replace(REQUEST, kind=ShotKind.TEXT, prompt="a storm", image_urls=(), duration_s=15)
    assert task_of(request) == ALWAYS | {
        "positivePrompt": "a storm",
        "width": 720,
        "height": 1280,
        "duration": 15,
    }


def test_first_frame_is_asked_for_by_resolution_and_has_its_shape_from_the_picture() -> None:
    request = replace(
        REQUEST,
        kind=ShotKind.FRAME,
        prompt="it rains",
        image_urls=(),
        frame_url=FILE_ID,
        size=None,
        resolution=Resolution.P480,
    )
    assert task_of(request) == ALWAYS | {
        "positivePrompt": "it rains",
        "resolution": "480p",
        "duration": 6,
        "inputs": {"frameImages": [{"image": FILE_ID, "frame": "first"}]},
    }


@pytest.mark.parametrize(("duration_s", "said"), [(None, {}), (4, {"duration": 4})])
def test_edit_says_no_size_and_a_length_only_if_there_is_one(
    duration_s: int | None, said: dict[str, int]
) -> None:
    request = replace(
        REQUEST,
        kind=ShotKind.EDIT,
        prompt="make it snow",
        image_urls=(),
        video_url="https://cdn.example.net/walk.mp4",
        duration_s=duration_s,
        size=None,
    )
    inputs = {"inputs": {"video": "https://cdn.example.net/walk.mp4"}}
    assert task_of(request) == ALWAYS | {"positivePrompt": "make it snow"} | said | inputs


def test_every_wish_about_the_output_has_its_field() -> None:
    output = Output(
        container=Container.WEBM,
        quality=80,
        safety=SafetyMode.FULL,
        results=4,
        keep_s=60,
        put_url="https://bucket.example.net/clip?sig=1",
    )
    webhook = "https://hooks.example.net/w?token=a"
    task = task_of(replace(REQUEST, output=output, results=3, webhook_url=webhook))
    told = {key: value for key, value in task.items() if ALWAYS.get(key) != value}
    assert told == {
        "positivePrompt": "<IMAGE_1> beside <IMAGE_2>'s label",
        "width": 720,
        "height": 1280,
        "duration": 6,
        "inputs": {"referenceImages": list(REQUEST.image_urls)},
        "outputFormat": "WEBM",
        "outputQuality": 80,
        "safety": {"checkContent": True, "mode": "full"},
        "numberResults": 3,
        "ttl": 60,
        "uploadEndpoint": "https://bucket.example.net/clip?sig=1",
        "webhookURL": webhook,
    }


@pytest.mark.parametrize(
    ("prompts", "text"),
    [
        (None, "<IMAGE_1> beside <IMAGE_2>'s label"),
        (PromptDialect.UPSTREAM, "<IMAGE_1> beside <IMAGE_2>'s label"),
        (PromptDialect.MANIFEST, "@image1 beside @image2's label"),
        (
            PromptDialect.PROSE,
            "the first reference image beside the second reference image's label",
        ),
    ],
)
def test_prompt_names_images_as_it_is_set(prompts: PromptDialect | None, text: str) -> None:
    assert task_of(REQUEST, prompts)["positivePrompt"] == text


@pytest.mark.parametrize("change", [{"task_id": ""}, {"size": None}])
def test_request_that_could_only_be_a_mistake_of_ours_is_not_built(change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        dialect.build_submit(replace(REQUEST, **change))


def test_every_body_is_plain_json_with_numbers_that_are_integers() -> None:
    task = task_of(REQUEST)
    assert {type(task[key]) for key in ("width", "height", "duration", "ttl")} == {int}
    assert {type(task[key]) for key in ("outputFormat", "positivePrompt")} == {str}


# ---------------------------------------------------------------- was it taken?


def test_recorded_acknowledgment_gives_our_own_id() -> None:
    assert submitted(sample("submit_accepted")) == TASK_ID


def test_acknowledgment_in_capitals_is_ours_too_and_gives_the_id_as_we_wrote_it() -> None:
    assert submitted(reply(200, {"data": [{"taskUUID": TASK_ID.upper()}]})) == TASK_ID


@pytest.mark.parametrize("status", [200, 400, 409, 429, 500, 503])
def test_conflict_about_our_id_proves_that_an_earlier_sending_was_taken(status: int) -> None:
    assert submitted(sample("submit_conflict", status)) == TASK_ID


@pytest.mark.parametrize("status", [200, 400, 503])
@pytest.mark.parametrize("task_id", [OTHER_ID, None])
def test_conflict_about_anything_else_proves_nothing(status: int, task_id: str | None) -> None:
    body = {"data": [], "errors": [fault("conflictTaskUUID", taskUUID=task_id)]}
    with pytest.raises(SubmissionInDoubt):
        submitted(reply(status, body))


@pytest.mark.parametrize(
    ("name", "status", "error", "code"),
    [
        ("refused_key", 401, KeyRefused, "invalidApiKey"),
        ("refused_key", 403, KeyRefused, "invalidApiKey"),
        ("refused_credit", 200, NoCredit, "videoInferenceInsufficientCredits"),
        ("refused_credit", 400, NoCredit, "videoInferenceInsufficientCredits"),
        ("refused_credit", 402, NoCredit, "videoInferenceInsufficientCredits"),
        ("refused_parameter", 200, Rejected, "unsupportedDimensions"),
        ("refused_parameter", 400, Rejected, "unsupportedDimensions"),
        ("refused_safety", 200, Rejected, "contentPolicyViolation"),
        ("refused_safety", 403, Rejected, "contentPolicyViolation"),
        ("refused_reference", 400, ReferenceRefused, "invalidValueUploadFailed"),
        ("refused_rate", 429, RateLimited, ""),
        ("refused_rate", 400, RateLimited, ""),
    ],
)
def test_recorded_refusal_made_no_task(
    name: str, status: int, error: type[ProviderError], code: str
) -> None:
    with pytest.raises(error) as caught:
        submitted(sample(name, status))
    assert type(caught.value) is error
    assert getattr(caught.value, "code", "") == code


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Rejected),
        (401, KeyRefused),
        (402, NoCredit),
        (403, KeyRefused),
        (404, ConfigurationError),
        (405, ConfigurationError),
        (413, Rejected),
        (422, Rejected),
        (429, RateLimited),
        # A gateway may say these after it has passed the request on.
        (408, SubmissionInDoubt),
        (409, SubmissionInDoubt),
        (425, SubmissionInDoubt),
        (499, SubmissionInDoubt),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[]", b'{"data": []}', b'{"errors":1}'])
def test_4xx_without_a_code_speaks_by_its_status(
    status: int, error: type[StoryboardError], body: bytes
) -> None:
    with pytest.raises(error) as caught:
        submitted(reply(status, body))
    assert type(caught.value) is error


def test_refusal_names_the_field_and_what_is_wrong_with_it() -> None:
    with pytest.raises(Rejected) as caught:
        submitted(sample("refused_parameter", 400))
    assert "width, height" in str(caught.value)
    assert "Unsupported" in str(caught.value)
    with pytest.raises(Rejected, match=r"referenceImages"):
        submitted(sample("refused_reference", 400))
    with pytest.raises(Rejected, match="moderation"):
        submitted(sample("refused_safety", 400))
    with pytest.raises(KeyRefused, match="top up"):
        submitted(sample("refused_credit", 402))


@pytest.mark.parametrize("value", ["7", "soon"])
def test_wait_that_a_429_asks_for_is_kept(value: str) -> None:
    with pytest.raises(RateLimited) as caught:
        submitted(reply(429, b"", retry_after=value))
    assert caught.value.retry_after_s == (7 if value == "7" else None)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    with pytest.raises(ConfigurationError, match=r"elsewhere\.example") as caught:
        submitted(reply(status, location="https://elsewhere.example/?token=secret"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "body", [{"data": [{"taskUUID": TASK_ID}]}, f'{{"data": [{{"taskUUID": "{TASK_ID}'.encode()]
)
def test_redirect_that_names_our_task_is_no_refusal(body: object) -> None:
    with pytest.raises(SubmissionInDoubt):
        submitted(reply(307, body))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *(
            (status, body)
            for status in (500, 502, 503, 504, 520)
            for body in (
                b"",
                b"<html>bad gateway</html>",
                {"data": [{"taskUUID": TASK_ID}]},
                {"errors": [fault("unsupportedDimensions")]},
                {"errors": [fault("invalidApiKey")]},
                {"errors": [fault("rateLimitExceeded")]},
            )
        ),
        *((200, fault_of) for fault_of in (b"", b"[]", b"null", b"\xff", b"[" * 100_000)),
        (200, (SAMPLES / "submit_accepted.json").read_bytes()[:80]),
        (204, b""),
        (200, {}),
        (200, {"data": []}),
        (200, {"data": None}),
        (200, {"data": {"taskUUID": TASK_ID}}),
        (200, {"data": ["x", {"taskUUID": None}, {"taskUUID": [TASK_ID]}]}),
        (200, {"data": [{"taskUUID": OTHER_ID}]}),
        (200, {"data": [], "errors": []}),
        # Errors that name no task, or another one, are no verdict on ours.
        (200, {"errors": [fault("unsupportedDimensions", taskUUID=None)]}),
        (200, {"errors": [fault("invalidApiKey", taskUUID=None)]}),
        (200, {"error": "unauthorized"}),
        (200, {"errors": [fault("unsupportedDimensions", taskUUID=OTHER_ID)]}),
        (400, {"errors": [fault("unsupportedDimensions", taskUUID=OTHER_ID)]}),
        (400, {"data": [{"taskUUID": OTHER_ID}], "errors": [fault("no", taskUUID=None)]}),
        # A task that failed has existed, and one that is said to be taken is not refused.
        *(
            (status, {"data": [], "errors": [fault(code)]})
            for status in (200, 400)
            for code in (
                "timeoutProvider",
                "providerError",
                "noAvailableServer",
                "taskFailed",
                "taskNotFound",
                "internalServerError",
                "serviceUnavailable",
            )
        ),
        (200, {"errors": [fault("aCodeOfNextYear")]}),
        (400, {"data": [{"taskUUID": TASK_ID}]}),
        (400, {"data": [{"taskUUID": TASK_ID}], "errors": [fault("invalidDuration")]}),
        (400, {"errors": [fault("invalidDuration"), fault("providerError")]}),
        # Broken off, but our id is in what came.
        (429, b'{"data": [{"taskType": "videoInference", "taskUUID": "%b' % TASK_ID.encode()),
    ],
)
def test_whatever_leaves_it_open_is_in_doubt(status: int, body: object) -> None:
    with pytest.raises(SubmissionInDoubt):
        submitted(reply(status, body))


def test_failed_entry_of_our_task_counts_as_an_error_about_it() -> None:
    entry = {"taskUUID": TASK_ID, "status": "error", "error": {"code": "unsupportedDuration"}}
    with pytest.raises(Rejected):
        submitted(reply(200, {"data": [entry]}))
    with pytest.raises(SubmissionInDoubt):
        submitted(reply(200, {"data": [entry | {"error": {"code": "timeoutProvider"}}]}))


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (("unsupportedDuration", "invalidApiKey"), KeyRefused),
        (("rateLimitExceeded", "insufficientCredits"), NoCredit),
        (("rateLimitExceeded", "missingPositivePrompt"), Rejected),
    ],
)
def test_of_several_refusals_the_one_that_stops_most_counts(
    codes: tuple[str, ...], error: type[ProviderError]
) -> None:
    with pytest.raises(error) as caught:
        submitted(reply(400, {"errors": [fault(code) for code in codes]}))
    assert type(caught.value) is error


def test_acceptance_with_an_error_beside_it_is_left_to_the_first_poll() -> None:
    body = {"data": [{"taskUUID": TASK_ID}], "errors": [fault("timeoutProvider")]}
    assert submitted(reply(200, body)) == TASK_ID


def test_services_words_cannot_act_on_a_terminal() -> None:
    message = "duration \x1b[31mmust\r\n be \u202e6 " + "x" * 5000
    with pytest.raises(Rejected) as caught:
        submitted(reply(400, {"errors": [fault("invalidDuration", message=message)] * 9}))
    text = str(caught.value)
    assert "duration" in text
    assert not set(text) & set("\x1b\r\n\u202e")
    assert len(text) < 1000


# ---------------------------------------------------------------- the codes


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (
            FaultKind.KEY,
            "invalidApiKey missingApiKey unauthorized forbidden accountSuspended "
            "organizationSuspended expiredAPIKey",
        ),
        (
            FaultKind.MONEY,
            "insufficientCredits videoInferenceInsufficientCredits "
            "thirdPartyInsufficientCredits quotaExceeded insufficientBalance paymentRequired",
        ),
        (FaultKind.RATE, "rateLimitExceeded providerRateLimitExceeded"),
        (
            FaultKind.REQUEST,
            "invalidTaskUUID missingDimensionParameters unsupportedParameter "
            "unsupportedDimensions unsupportedDuration conflictParameters modelNotFound",
        ),
        (FaultKind.REFERENCE, "invalidValueUploadFailed"),
        (
            FaultKind.SAFETY,
            "contentPolicyViolation providerContentPolicyViolation promptBlocked imageBlocked "
            "moderationFailed nsfwContentDetected sensitiveContentDetected unsafeContentDetected",
        ),
        (FaultKind.CONFLICT, "conflictTaskUUID"),
        (FaultKind.GONE, "taskNotFound taskFailedOrNotFound"),
        (
            FaultKind.TASK,
            "timeoutProvider providerError providerOverloaded inferenceError noAvailableServer "
            "modelUnavailable taskFailed downloadFailed uploadFailed taskExpired taskCancelled",
        ),
        (FaultKind.SERVICE, "internalServerError serviceUnavailable"),
        # Words inside other words mean nothing.
        (FaultKind.UNKNOWN, "loadBalancerError invalidatedCache taskSuspended x"),
    ],
)
def test_every_documented_code_has_its_meaning(kind: FaultKind, codes: str) -> None:
    for code in codes.split():
        assert Fault(code=code).kind is kind, code


# ---------------------------------------------------------------- upload, account, archive


def test_picture_goes_up_inside_the_request_and_its_id_is_what_a_task_names() -> None:
    wire = dialect.build_upload(make_reference(), "5b3f.png", b"\x89PNG\x00")
    assert (wire.method, wire.path, wire.url) == ("POST", "/v1", "")
    uri = "data:image/png;base64," + b64encode(b"\x89PNG\x00").decode()
    assert wire.json == [{"taskType": "imageUpload", "taskUUID": OTHER_ID, "image": uri}]
    ticket = dialect.read_upload(sample("upload_image"))
    assert (ticket.put, ticket.address) == (None, FILE_ID)


def test_clip_goes_up_as_media() -> None:
    clip = replace(make_reference(), media_type="video/mp4")
    assert dialect.build_upload(clip, "5b3f.mp4", b"ftyp").json == [
        {
            "taskType": "mediaStorage",
            "taskUUID": OTHER_ID,
            "operation": "upload",
            "media": "data:video/mp4;base64," + b64encode(b"ftyp").decode(),
        }
    ]
    address = dialect.read_upload(sample("upload_media")).address
    assert address == "2dae6ba0-6b2c-4b9f-9f50-4b8e3c7d9a12"


def test_every_upload_and_question_has_an_id_of_its_own_of_version_4() -> None:
    fresh = Runware(RUNWARE)
    wires = [fresh.build_balance() for _ in range(3)]
    ids = [wire.json[0]["taskUUID"] for wire in wires if isinstance(wire.json, list)]
    assert len(set(ids)) == 3
    assert {UUID(each).version for each in ids} == {4}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(200, b""), Unavailable),
        (reply(200, {"data": []}), Unavailable),
        (reply(200, {"data": [{"taskType": "imageUpload"}]}), Unavailable),
        (reply(200, {"data": [{"taskType": "imageUpload", "imageUUID": "a/b"}]}), Unavailable),
        (reply(200, {"data": [{"taskType": "ping", "imageUUID": FILE_ID}]}), Unavailable),
        (reply(503, {"errors": [{"code": "invalidImage"}]}), Unavailable),
        (reply(400, {"errors": [{"code": "providerError"}]}), Unavailable),
        (reply(200, {"errors": [{"code": "somethingElse"}]}), Unavailable),
        (reply(400, {"errors": [{"code": "invalidImage", "message": "no"}]}), Rejected),
        (reply(200, {"errors": [{"code": "imageBlocked", "message": "no"}]}), Rejected),
        (reply(413, b""), Rejected),
        (reply(401, b""), KeyRefused),
        (reply(429, b""), RateLimited),
        (reply(404, b"<html>"), ConfigurationError),
        (reply(302, location="https://x.example/"), ConfigurationError),
    ],
)
def test_upload_that_fails_says_what_may_be_done(
    answer: HttpReply, error: type[StoryboardError]
) -> None:
    with pytest.raises(error) as caught:
        dialect.read_upload(answer)
    assert type(caught.value) is error


def test_balance_is_exact_dollars_and_proves_the_key() -> None:
    assert dialect.build_balance().json == [
        {"taskType": "accountManagement", "taskUUID": OTHER_ID, "operation": "getDetails"}
    ]
    assert dialect.read_balance(sample("account")) == Decimal("12.345")
    with pytest.raises(KeyRefused):
        dialect.read_balance(sample("refused_key", 401))


@pytest.mark.parametrize(
    "balance", [None, 12, {}, {"amount": True}, {"amount": 5, "currency": "EUR"}]
)
def test_balance_that_is_no_dollars_is_not_read(balance: object) -> None:
    body = {"data": [{"taskType": "accountManagement", "balance": balance}]}
    with pytest.raises(Unavailable):
        dialect.read_balance(reply(200, body))


def details(**fields: Any) -> HttpReply:
    entry = {"taskType": "getTaskDetails", "taskUUID": TASK_ID} | fields
    return reply(200, {"data": [entry]})


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (sample("details"), True),
        (details(request=[], response={"errors": [fault("timeoutProvider")]}), True),
        (details(request=[{}], response={"errors": [fault("conflictTaskUUID")]}), True),
        (details(request=[{}], response={"errors": [fault("invalidX", status="error")]}), True),
        (details(request=[{}], response={"data": [], "errors": [fault("invalidValue")]}), False),
        (details(request=[{}], response={"errors": [fault("insufficientCredits")]}), False),
        (details(request=[{}], response={"errors": ["no"]}), False),
        (details(request=[{}]), True),
        (details(request=[], response={"data": []}), False),
        (details(), False),
        (sample("result_unknown"), False),
        (reply(404, {"errors": [fault("taskNotFound")]}), False),
        (reply(200, {"errors": [{"code": "taskNotFound"}]}), False),
    ],
)
def test_archive_says_whether_there_was_a_task_and_a_refusal_is_none(
    answer: HttpReply, known: bool
) -> None:
    assert dialect.build_details(TASK_ID).json == [
        {"taskType": "getTaskDetails", "taskUUID": TASK_ID}
    ]
    assert dialect.read_details(answer, TASK_ID) is known


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(200, b""), Unavailable),
        (reply(200, {}), Unavailable),
        (reply(200, {"data": [{"taskUUID": OTHER_ID}]}), Unavailable),
        (reply(200, {"data": [], "errors": [{"code": "internalServerError"}]}), Unavailable),
        (reply(404, b"<html>"), Unavailable),
        (reply(500, {"errors": [fault("taskNotFound")]}), Unavailable),
        (reply(429, {"data": []}), RateLimited),
        (reply(401), KeyRefused),
        (reply(301), ConfigurationError),
    ],
)
def test_archive_that_cannot_be_read_says_neither_yes_nor_no(
    answer: HttpReply, error: type[StoryboardError]
) -> None:
    with pytest.raises(error) as caught:
        dialect.read_details(answer, TASK_ID)
    assert type(caught.value) is error


def test_it_keeps_no_books_and_signs_nothing() -> None:
    assert dialect.books is None
    assert dialect.signing is None


# ---------------------------------------------------------------- answers of any kind

WORDS = st.sampled_from(
    "success error processing invalidApiKey conflictTaskUUID unsupportedDuration taskNotFound "
    f"insufficientCredits rateLimitExceeded {TASK_ID} {OTHER_ID} imageUpload getResponse "
    f"https://vm.example/1.mp4 {FILE_ID} \ud800 USD videoInference".split(" ")
)
KEYS = st.sampled_from(
    (
        *("data", "errors", "error", "code", "message", "status", "taskUUID", "taskType"),
        *("videoURL", "videoUUID", "cost", "balance", "amount", "parameter", "progress"),
        *("NSFWContent", "request", "response", "imageUUID", "responseContent"),
    )
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
ENTRIES = st.lists(st.dictionaries(KEYS, VALUES, max_size=6) | VALUES, max_size=3)
ENVELOPES = st.dictionaries(KEYS, ENTRIES | VALUES, max_size=4)
BODIES = (ENVELOPES | VALUES).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50)
STATUSES = st.sampled_from([200, 200, 200, 204, 302, 400, 401, 402, 403, 404, 409, 429, 500, 503])


@settings(max_examples=100, deadline=None)
@given(status=STATUSES, body=BODIES)
def test_whatever_comes_only_declared_errors_go_out(status: int, body: bytes) -> None:
    answer = reply(status, body)
    for read in (
        submitted,
        lambda answer: dialect.read_status(answer, TASK_ID, 2),
        lambda answer: dialect.read_details(answer, TASK_ID),
        dialect.read_upload,
        dialect.read_balance,
    ):
        try:
            read(answer)
        except (ProviderError, ConfigurationError) as exc:
            str(exc).encode()


@settings(max_examples=100, deadline=None)
@given(status=st.sampled_from([200, 202, 500, 503]), body=ENVELOPES)
def test_no_yes_and_no_server_fault_is_read_as_a_no_unless_it_names_our_task(
    status: int, body: dict[str, Any]
) -> None:
    content = json.dumps(body).replace(TASK_ID, OTHER_ID).encode()
    with pytest.raises(SubmissionInDoubt):
        submitted(reply(status, content))
