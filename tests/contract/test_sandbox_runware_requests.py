"""What Runware's dialect refuses, with which code and parameter, and that refusals cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from runware_support import DATA_URI, MODEL, Client, runware

from pipeline.sandbox.runware_orders import SIZES_PX

_FRAME = {"inputs": {"frameImages": [DATA_URI]}, "width": None, "height": None}
_URL = "https://cdn.example.com/clip.mp4"
_EDIT = {"inputs": {"video": _URL}, "width": None, "height": None, "duration": None}


@pytest.fixture(scope="module", name="client")
def _client() -> Iterator[Client]:
    """One server for all: nothing here is accepted but where the test says so."""
    with runware() as client:
        yield client


@pytest.mark.parametrize(
    ("changes", "code", "parameter"),
    [
        ({"taskUUID": None}, "invalidTaskUUID", "taskUUID"),
        ({"taskUUID": "7"}, "invalidTaskUUID", "taskUUID"),
        ({"taskUUID": "6378aa49-9f31-114a-8e00-3076dea79124"}, "invalidTaskUUID", "taskUUID"),
        ({"model": None}, "missingModel", "model"),
        ({"model": "xai:grok-imagine@image"}, "modelNotFound", "model"),
        ({"seed": 7}, "unsupportedParameter", "seed"),
        ({"fps": 24}, "unsupportedParameter", "fps"),
        ({"negativePrompt": "rain"}, "unsupportedParameter", "negativePrompt"),
        ({"positivePrompt": None}, "missingPositivePrompt", "positivePrompt"),
        ({"positivePrompt": ""}, "invalidPositivePrompt", "positivePrompt"),
        ({"inputs": []}, "invalidInputs", "inputs"),
        ({"inputs": {"audio": "x"}}, "unsupportedParameter", "inputs.audio"),
        (
            {"inputs": {"frameImages": [DATA_URI]}},
            "conflictParameters",
            ["inputs.frameImages", "width", "height"],
        ),
        (
            _FRAME | {"inputs": {"frameImages": [DATA_URI], "video": _URL}},
            "conflictParameters",
            ["inputs.frameImages", "inputs.video"],
        ),
        (
            _FRAME | {"inputs": {"frameImages": [DATA_URI], "referenceImages": [DATA_URI]}},
            "conflictParameters",
            ["inputs.referenceImages", "inputs.frameImages"],
        ),
        (
            _EDIT | {"inputs": {"video": _URL, "referenceImages": [DATA_URI]}},
            "conflictParameters",
            ["inputs.referenceImages", "inputs.video"],
        ),
        ({"inputs": {"referenceImages": []}}, "invalidReferenceImages", "inputs.referenceImages"),
        (
            {"inputs": {"referenceImages": [DATA_URI] * 8}},
            "invalidReferenceImages",
            "inputs.referenceImages",
        ),
        ({"inputs": {"referenceImages": [7]}}, "invalidReferenceImages", "inputs.referenceImages"),
        (
            _FRAME | {"inputs": {"frameImages": [DATA_URI] * 2}},
            "invalidFrameImages",
            "inputs.frameImages",
        ),
        (
            _FRAME | {"inputs": {"frameImages": [{"image": DATA_URI, "frame": "last"}]}},
            "invalidFrame",
            "inputs.frameImages.frame",
        ),
        ({"width": None}, "missingDimensionParameters", ["width", "height"]),
        ({"width": None, "height": None}, "missingDimensionParameters", ["width", "height"]),
        ({"width": 1279}, "unsupportedDimensions", ["width", "height"]),
        ({"width": 1280.0, "height": 720}, "invalidWidth", "width"),
        ({"resolution": "720p"}, "unsupportedParameter", "resolution"),
        (
            {"resolution": "720p", "width": None, "height": None},
            "unsupportedParameter",
            "resolution",
        ),
        (_EDIT | {"resolution": "720p"}, "unsupportedParameter", "resolution"),
        (_FRAME | {"resolution": "1080p"}, "invalidResolution", "resolution"),
        ({"duration": 0}, "unsupportedDuration", "duration"),
        ({"duration": 16}, "unsupportedDuration", "duration"),
        ({"duration": "6"}, "invalidDuration", "duration"),
        ({"duration": True}, "invalidDuration", "duration"),
        (_EDIT | {"duration": 1}, "unsupportedDuration", "duration"),
        (_EDIT | {"duration": 11}, "unsupportedDuration", "duration"),
        ({"numberResults": 0}, "invalidNumberResults", "numberResults"),
        ({"numberResults": 5}, "invalidNumberResults", "numberResults"),
        ({"outputType": "base64Data"}, "invalidOutputType", "outputType"),
        ({"outputFormat": "GIF"}, "invalidOutputFormat", "outputFormat"),
        ({"outputQuality": 19}, "invalidOutputQuality", "outputQuality"),
        ({"outputQuality": 100}, "invalidOutputQuality", "outputQuality"),
        ({"deliveryMethod": "sync"}, "invalidDeliveryMethod", "deliveryMethod"),
        ({"includeCost": 1}, "invalidIncludeCost", "includeCost"),
        ({"ttl": 59}, "invalidTtl", "ttl"),
        ({"webhookURL": "ftp://x/y"}, "invalidWebhookURL", "webhookURL"),
        ({"uploadEndpoint": "nowhere"}, "invalidUploadEndpoint", "uploadEndpoint"),
        ({"safety": {"mode": "strict"}}, "invalidMode", "safety.mode"),
        ({"safety": {"level": 1}}, "unsupportedParameter", "safety.level"),
        ({"safety": {"checkContent": "yes"}}, "invalidCheckContent", "safety.checkContent"),
    ],
)
def test_wrong_parameter_is_named(
    client: Client, changes: dict[str, Any], code: str, parameter: object
) -> None:
    shot = client.shot(**changes)
    error = client.error(client.post(shot))
    assert (error["code"], error["parameter"]) == (code, parameter)
    assert error["taskType"] == "videoInference"
    assert error.get("taskUUID") == shot.get("taskUUID")
    assert error["documentation"].startswith("https://")
    assert client.bill() == (0, "0.00")


def test_first_of_several_mistakes_is_told_in_the_providers_order(client: Client) -> None:
    wrong = {"model": "x", "seed": 1, "positivePrompt": "", "width": 1, "duration": 99}
    cures: list[dict[str, Any]] = [
        {"model": MODEL},
        {"seed": None},
        {"positivePrompt": "a"},
        {"width": 848},
        {"duration": 6},
    ]
    codes = []
    for cure in cures:
        codes.append(client.error(client.post(client.shot(**wrong)))["code"])
        wrong |= cure
    assert codes == [
        "modelNotFound",
        "unsupportedParameter",
        "invalidPositivePrompt",
        "unsupportedDimensions",
        "unsupportedDuration",
    ]


def test_allowed_values_are_told(client: Client) -> None:
    error = client.error(client.post(client.shot(outputFormat="GIF")))
    assert error["allowedValues"] == ["MP4", "WEBM", "MOV"]


@pytest.mark.parametrize(
    "changes",
    [
        *({"width": width, "height": height, "inputs": None} for width, height in SIZES_PX),
        *({"duration": duration} for duration in (1, 15)),
        {"outputFormat": "mov", "outputQuality": 20, "numberResults": 4, "ttl": 60},
        _FRAME | {"resolution": "720p"},
        _FRAME | {"inputs": {"frameImages": [{"image": DATA_URI, "frame": "first"}]}},
        {"inputs": {}},
    ],
)
def test_legal_request_passes_a_dry_run(client: Client, changes: dict[str, Any]) -> None:
    dry = {"X-Runware-Dry-Run": "1"}
    assert client.item(client.post(client.shot(**changes), headers=dry))["cost"] > 0
    assert client.bill() == (0, "0.00")
