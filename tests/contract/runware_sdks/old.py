"""A program of a customer with the older SDK (``runware`` 0.5): prints what it was told, as JSON.

Arguments: the socket's address, a picture.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from runware import IVideoInference, IVideoInputs, Runware


def _shot(picture: str, **changes: Any) -> IVideoInference:
    settings = {
        "model": "xai:grok-imagine@video",
        "positivePrompt": "@image1 turns",
        "width": 848,
        "height": 480,
        "duration": 6,
        "includeCost": True,
        "inputs": IVideoInputs(referenceImages=[picture]),
    }
    return IVideoInference(**settings | changes)


async def _main(address: str, picture: str) -> None:
    client = Runware(api_key="right", url=address)
    await client.connect()
    acknowledged = await client.videoInference(requestVideo=_shot(picture))
    (video,) = await client.getResponse(taskUUID=acknowledged.taskUUID, numberResults=1)
    try:
        await client.videoInference(requestVideo=_shot(picture, duration=16))
        refusal = {}
    except Exception as exc:  # noqa: BLE001 - whatever the SDK makes of a refusal is the result
        refusal = {"kind": type(exc).__name__, "text": str(exc)}
    await client.disconnect()
    told = {"task": acknowledged.taskUUID, "url": video.videoURL, "cost": video.cost}
    sys.stdout.write(json.dumps(told | {"uuid": video.videoUUID, "refusal": refusal}))


asyncio.run(_main(*sys.argv[1:]))
