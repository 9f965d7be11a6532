"""Input media as Runware takes them: an address, a UUID, a data URI or bare base64.

Sources: https://runware.ai/docs/platform/image-upload ,
https://runware.ai/docs/platform/media-storage
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from pathlib import Path

from pipeline.sandbox.files import Files, is_image, is_video
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.outputs import output_names
from pipeline.sandbox.purchases import StoredFile
from pipeline.sandbox.runware_errors import TaskError
from pipeline.sandbox.runware_orders import MODEL, Kind
from pipeline.sandbox.store import Store, Upload

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_DATA_URI = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Media:
    """Finds and keeps input media; it fetches nothing from elsewhere."""

    def __init__(self, *, store: Store, files: Files, options: SandboxOptions) -> None:
        self._store = store
        self._files = files
        self._options = options

    def find(self, text: str, kind: Kind) -> StoredFile | None:
        """The input that a text names, if it is of the right sort; None if it cannot be had."""
        if kind is Kind.EDIT:
            found = self._video(text)
            return found if found is not None and is_video(found) else None
        found = self._any(text)
        return found if found is not None and is_image(found) else None

    async def upload(self, text: object, parameter: str, *, images_only: bool) -> Upload:
        """Keep what a text names under a UUID of its own.

        Raises:
            TaskError: it cannot be had, or is no image where one is wanted.
        """
        found = self._any(text) if isinstance(text, str) and text else None
        if found is None or (images_only and not is_image(found)):
            wants = "an image" if images_only else "a media file"
            raise TaskError(
                "invalidValueUploadFailed",
                f"Parameter '{parameter}' could not be read as {wants}. Send a data URI, base64,"
                " or the address of something uploaded here: the sandbox fetches nothing.",
                parameter=parameter,
                wants="URL, data URI or base64",
            )
        content = self._files.path(found).read_bytes()
        upload_id = str(uuid.uuid4())
        name = f"{upload_id}{Path(found.file).suffix}"
        return await self._files.receive(name, "", content, upload_id=upload_id)

    def remove(self, upload_id: object) -> bool:
        """Forget an upload; False where there is none."""
        return isinstance(upload_id, str) and self._store.remove_upload(upload_id)

    def _any(self, text: str) -> StoredFile | None:
        if _ADDRESS.match(text):
            return self._files.image(text) or self._files.video(text)
        if _UUID.fullmatch(text):
            return self._files.stored(text.lower())
        content = _decoded(_DATA_URI.sub("", text, count=1))
        return self._files.keep(content) if content else None

    def _video(self, text: str) -> StoredFile | None:
        """An edit takes no inline data, but clips that were made here."""
        if _ADDRESS.match(text):
            return self._files.video(text)
        if not _UUID.fullmatch(text):
            return None
        return self._files.stored(text.lower()) or self._made(text.lower())

    def _made(self, video_uuid: str) -> StoredFile | None:
        tasks = self._store.tasks(
            "model = :model AND status = 'completed'",
            {"model": MODEL},
            now_ns=self._options.clock(),
        )
        for task in tasks:
            for name in output_names(task):
                if name.startswith(video_uuid):
                    return self._files.clip(task.id, name)
        return None


def shown(text: str, stored: StoredFile | None) -> str:
    """The text of an input as records keep it: inline data by their content only."""
    if _ADDRESS.match(text) or _UUID.fullmatch(text):
        return text
    return "unreadable" if stored is None else f"sha256:{stored.sha256}"


def _decoded(text: str) -> bytes:
    """The bytes of a base64 text; empty if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
