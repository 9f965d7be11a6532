"""A program of a customer with the newer SDK (``runware-sdk``): prints what it was told, as JSON.

Arguments: the transport, the address for it, a picture.
"""

from __future__ import annotations

import asyncio
import json
import sys

from runware import Runware, RunwareError, file_to_base64


async def _main(transport: str, address: str, picture: str) -> None:
    address_of = {"rest": "http_base_url", "websocket": "ws_base_url"}
    async with Runware(
        api_key="right", transport=transport, **{address_of[transport]: address}
    ) as client:
        (stored,) = await client.media_storage(
            {"operation": "upload", "media": file_to_base64(picture)}
        )
        shot = {
            "taskType": "videoInference",
            "model": "xai:grok-imagine@video",
            "positivePrompt": "@image1 and @image2 turn",
            "width": 848,
            "height": 480,
            "duration": 6,
            "numberResults": 2,
            "includeCost": True,
            "inputs": {"referenceImages": [file_to_base64(picture), stored["mediaUUID"]]},
        }
        results = await client.run(shot)
        (account,) = await client.account_management({"operation": "getDetails"})
        (details,) = await client.get_task_details({"taskUUID": results[0]["taskUUID"]})
        try:
            await client.run(shot | {"duration": 16})
            refusal = {}
        except RunwareError as error:
            refusal = {"code": error.code, "parameter": error.parameter, "text": str(error)}
    told = {"results": results, "account": account, "details": details, "refusal": refusal}
    sys.stdout.write(json.dumps(told))


asyncio.run(_main(*sys.argv[1:]))
