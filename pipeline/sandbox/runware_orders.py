"""Read a ``videoInference`` task the way Runware does: everything checked, nothing dropped.

Source: https://runware.ai/docs/models/xai-grok-imagine-video
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from pipeline.sandbox.answers import is_integer
from pipeline.sandbox.runware_errors import TaskError, invalid, missing, unsupported

MODEL = "xai:grok-imagine@video"
MAX_REFERENCES = 7
DURATIONS_S = (1, 15)
EDIT_DURATIONS_S = (2, 10)
USUAL_DURATION_S = 6
TIERS = ("480p", "720p")
FORMATS = ("MP4", "WEBM", "MOV")
SAFETY_MODES = ("none", "fast", "full")
SIZES_PX = (
    *((480, 480), (848, 480), (480, 848), (640, 480), (480, 640), (720, 480), (480, 720)),
    *((720, 720), (1280, 720), (720, 1280), (960, 720), (720, 960)),
)

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_KEYS = frozenset(
    {
        *("taskType", "taskUUID", "model", "positivePrompt", "inputs"),
        *("width", "height", "resolution", "duration", "numberResults", "safety"),
        *("outputType", "outputFormat", "outputQuality", "includeCost", "ttl"),
        *("deliveryMethod", "webhookURL", "uploadEndpoint"),
    }
)
_INPUT_KEYS = frozenset({"referenceImages", "frameImages", "video", "referenceVideos"})
# Where the answer goes is no part of what is asked for.
_DELIVERY_KEYS = frozenset({"taskUUID", "webhookURL", "uploadEndpoint", "includeCost", "ttl"})


class Kind(StrEnum):
    """What a shot starts from."""

    TEXT = "text"
    REFERENCES = "references"
    FRAME = "frame"
    EDIT = "edit"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOrder:
    """A valid task. ``fields`` as sent, defaults filled in, all but the input media;
    ``media`` the texts that name those, in order; ``duration_s`` None for the source's own length.
    """

    task_uuid: str
    kind: Kind
    media: tuple[str, ...]
    duration_s: int | None
    results: int
    fields: Mapping[str, object]

    @property
    def media_parameter(self) -> str:
        """Where the media stand in the request."""
        return _MEDIA_PARAMETERS[self.kind]


_MEDIA_PARAMETERS = {
    Kind.TEXT: "inputs",
    Kind.REFERENCES: "inputs.referenceImages",
    Kind.FRAME: "inputs.frameImages",
    Kind.EDIT: "inputs.video",
}


def read_uuid(value: object) -> str:
    """A task's own id, in lower case.

    Raises:
        TaskError: it is no UUID of version 4.
    """
    if isinstance(value, str) and _UUID4.fullmatch(value.lower()):
        return value.lower()
    raise TaskError(
        "invalidTaskUUID",
        "Invalid value for parameter 'taskUUID'. It must be a UUID v4, unique per task.",
        parameter="taskUUID",
        wants="UUID v4",
    )


def request_key(body: Mapping[str, object]) -> str:
    """Equal for the same request sent again, wherever its answer shall go."""
    asked = {name: value for name, value in body.items() if name not in _DELIVERY_KEYS}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def read_order(task_uuid: str, body: Mapping[str, object]) -> VideoOrder:
    """Check one task, in the provider's order.

    Raises:
        TaskError: names the first parameter that will not do, and what it takes.
    """
    _check_model(body.get("model"))
    for key in body:
        if key not in _KEYS:
            raise unsupported(key, f"the model {MODEL} has no such parameter")
    prompt = body.get("positivePrompt")
    if prompt is None:
        raise missing("positivePrompt", "a string")
    if not isinstance(prompt, str) or not prompt:
        raise invalid("positivePrompt", "a string of at least 1 character")
    kind, media = _read_inputs(body)
    fields: dict[str, object] = {"taskType": "videoInference", "model": MODEL}
    fields |= {"positivePrompt": prompt} | _read_size(body, kind)
    duration_s = _read_duration(body.get("duration"), kind)
    results = _read_whole(body, "numberResults", 1, 4, default=1)
    fields |= {
        "duration": duration_s,
        "numberResults": results,
        "outputType": _read_word(body, "outputType", ("URL",)),
        "outputFormat": _read_word(body, "outputFormat", FORMATS),
        "outputQuality": _read_whole(body, "outputQuality", 20, 99, default=95),
        "deliveryMethod": _read_word(body, "deliveryMethod", ("async",)),
        "includeCost": _read_flag(body, "includeCost"),
        "safety": _read_safety(body.get("safety")),
    }
    if body.get("ttl") is not None:
        fields["ttl"] = _read_whole(body, "ttl", 60, 10**9, default=60)
    for name in ("webhookURL", "uploadEndpoint"):
        if body.get(name) is not None:
            fields[name] = _read_uri(body[name], name)
    return VideoOrder(
        task_uuid=task_uuid,
        kind=kind,
        media=media,
        duration_s=duration_s,
        results=results,
        fields=fields,
    )


def kind_of(inputs: Mapping[str, object]) -> Kind:
    """What kind of shot the stored inputs of a task are."""
    given = inputs.get("inputs")
    names = set(given) if isinstance(given, Mapping) else set()
    if "video" in names:
        return Kind.EDIT
    if "frameImages" in names:
        return Kind.FRAME
    return Kind.REFERENCES if "referenceImages" in names else Kind.TEXT


def tier_of(inputs: Mapping[str, object]) -> str:
    """The price tier of a task: its preset, else by the short side of its size."""
    preset = inputs.get("resolution")
    if isinstance(preset, str):
        return preset
    sides = [side for side in (inputs.get("width"), inputs.get("height")) if is_integer(side)]
    return TIERS[0] if min(sides, default=0) <= 480 else TIERS[1]


def _check_model(value: object) -> None:
    if value is None:
        raise missing("model", f"the string '{MODEL}'")
    if value != MODEL:
        raise TaskError(
            "modelNotFound",
            f"The model in parameter 'model' was not found. The sandbox has {MODEL} only.",
            parameter="model",
            wants="string",
            allowed=(MODEL,),
        )


def _read_inputs(body: Mapping[str, object]) -> tuple[Kind, tuple[str, ...]]:
    given = body.get("inputs", {})
    if not isinstance(given, dict):
        raise invalid("inputs", "an object")
    for key in given:
        if key not in _INPUT_KEYS:
            raise unsupported(f"inputs.{key}", f"the model {MODEL} has no such input")
    sized = [name for name in ("width", "height") if body.get(name) is not None]
    # The provider's own example names the same thing in another way.
    videos = [f"inputs.{name}" for name in ("video", "referenceVideos") if name in given]
    frames = ["inputs.frameImages"] if "frameImages" in given else []
    references = ["inputs.referenceImages"] if "referenceImages" in given else []
    chosen = [*frames, *videos, *sized]
    if (frames or videos) and len(chosen) > 1:
        raise _conflict(chosen, "exactly one of frameImages, video, or width with height is wanted")
    if references and (frames or videos):
        raise _conflict([*references, *frames, *videos], "reference images go with a size only")
    if videos:
        return Kind.EDIT, (_read_video(given),)
    if frames:
        return Kind.FRAME, (_read_frame(given["frameImages"]),)
    if references:
        return Kind.REFERENCES, _read_references(given["referenceImages"])
    return Kind.TEXT, ()


def _conflict(names: list[str], reason: str) -> TaskError:
    quoted = ", ".join(f"'{name}'" for name in names)
    return TaskError(
        "conflictParameters", f"Parameters {quoted} cannot be combined: {reason}.", parameter=names
    )


def _read_references(value: object) -> tuple[str, ...]:
    where = "inputs.referenceImages"
    wants = f"an array of 1 to {MAX_REFERENCES} strings (UUID, URL, data URI or base64)"
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_REFERENCES:
        raise invalid(where, wants)
    if not all(isinstance(item, str) and item for item in value):
        raise invalid(where, wants)
    return tuple(value)


def _read_frame(value: object) -> str:
    where = "inputs.frameImages"
    if not isinstance(value, list) or len(value) != 1:
        raise invalid(where, "an array of exactly 1 image")
    item = value[0]
    if isinstance(item, dict):
        if item.keys() - {"image", "frame"}:
            raise unsupported(where, "an item holds 'image' and 'frame' only")
        if item.get("frame", "first") not in ("first", 0):
            raise invalid(f"{where}.frame", "'first'", allowed=("first",))
        item = item.get("image")
    if not isinstance(item, str) or not item:
        raise invalid(where, "a string (UUID, URL, data URI or base64), or an object with 'image'")
    return item


def _read_video(given: Mapping[str, object]) -> str:
    if "video" in given:
        value = given["video"]
    else:
        several = given["referenceVideos"]
        value = several[0] if isinstance(several, list) and len(several) == 1 else None
    if not isinstance(value, str) or not value:
        raise invalid("inputs.video", "a string (UUID or URL)")
    return value


def _read_size(body: Mapping[str, object], kind: Kind) -> dict[str, object]:
    preset = body.get("resolution")
    if kind is Kind.FRAME:
        if preset is not None and preset not in TIERS:
            raise invalid("resolution", "a preset", allowed=TIERS)
        return {"resolution": TIERS[0] if preset is None else preset}
    if preset is not None:
        raise unsupported(
            "resolution", "it goes with inputs.frameImages only; send width and height instead"
        )
    if kind is Kind.EDIT:
        return {}
    width_px, height_px = body.get("width"), body.get("height")
    if width_px is None or height_px is None:
        raise TaskError(
            "missingDimensionParameters",
            "Parameters 'width' and 'height' must both be given, unless inputs.frameImages or"
            " inputs.video is.",
            parameter=["width", "height"],
            wants="integer",
        )
    for name, side in (("width", width_px), ("height", height_px)):
        if not is_integer(side):
            raise invalid(name, "an integer")
    if (width_px, height_px) not in SIZES_PX:
        sizes = [f"{width}x{height}" for width, height in SIZES_PX]
        raise TaskError(
            "unsupportedDimensions",
            f"The model does not make {width_px}x{height_px}. Supported: {', '.join(sizes)}.",
            parameter=["width", "height"],
            wants="integer",
            allowed=sizes,
        )
    return {"width": width_px, "height": height_px}


def _read_duration(value: object, kind: Kind) -> int | None:
    if value is None:
        return None if kind is Kind.EDIT else USUAL_DURATION_S
    if not is_integer(value):
        raise invalid("duration", "an integer")
    least, most = EDIT_DURATIONS_S if kind is Kind.EDIT else DURATIONS_S
    if not least <= value <= most:
        raise TaskError(
            "unsupportedDuration",
            f"Unsupported value {value} for parameter 'duration'. It must be an integer from"
            f" {least} to {most}{' with an input video' if kind is Kind.EDIT else ''}.",
            parameter="duration",
            wants="integer",
        )
    return value


def _read_whole(
    body: Mapping[str, object], name: str, least: int, most: int, *, default: int
) -> int:
    value = body.get(name)
    if value is None:
        return default
    if not is_integer(value) or not least <= value <= most:
        raise invalid(name, f"an integer from {least} to {most}")
    return value


def _read_word(body: Mapping[str, object], name: str, words: tuple[str, ...]) -> str:
    """One of several words, the first one being the default; capitals do not matter."""
    value = body.get(name)
    if value is None:
        return words[0]
    # One client sends the output type as a list.
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    known = {word.lower(): word for word in words}
    if not isinstance(value, str) or value.lower() not in known:
        raise invalid(name, "one of the allowed values", allowed=words)
    return known[value.lower()]


def _read_flag(body: Mapping[str, object], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise invalid(name, "a boolean")
    return value


def _read_safety(value: object) -> dict[str, object]:
    given = {} if value is None else value
    if not isinstance(given, dict):
        raise invalid("safety", "an object")
    for key in given:
        if key not in {"checkContent", "mode"}:
            raise unsupported(f"safety.{key}", "there is no such setting")
    checks = given.get("checkContent", False)
    if not isinstance(checks, bool):
        raise invalid("safety.checkContent", "a boolean")
    mode = given.get("mode", "fast" if checks else "none")
    if mode not in SAFETY_MODES:
        raise invalid("safety.mode", "one of the allowed values", allowed=SAFETY_MODES)
    return {"checkContent": checks or mode != "none", "mode": mode}


def _read_uri(value: object, name: str) -> str:
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme in {"http", "https"} and parts.netloc:
            return value
    raise invalid(name, "an http or https URI")
