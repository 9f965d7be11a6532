"""The second port: what an object store and a CDN are to the real service.

Takes the PUT of an upload ticket, serves uploads and finished clips. The API key has no business
here: a request that carries an Authorization header is refused and recorded as a leak.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import mimetypes
import re
import secrets
from collections.abc import AsyncIterable
from pathlib import Path
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.sandbox.answers import NS_PER_S, Refusal, is_integer
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.outputs import files_end_ns, is_due, media_type, output_names
from pipeline.sandbox.purchases import StoredFile
from pipeline.sandbox.renders import RenderQueue
from pipeline.sandbox.store import RETENTION_NS, Store, Task, Upload, ViolationKind

# The guard of the official clients' ticket flow.
MAX_UPLOAD_BYTES = 200 * 1024 * 1024
_BY_NUMBER = "127.0.0.1"
_LOOPBACK = frozenset({_BY_NUMBER, "localhost"})
# Since the last use. Source: https://runware.ai/docs/platform/image-upload
_UUID_LIFE_NS = 30 * 86_400 * NS_PER_S
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

# First bytes of what counts as an image.
# Source: https://wavespeed.ai/docs/upload-files (list of image types)
_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ".webp"),
    (re.compile(rb"GIF8"), ".gif"),
    (re.compile(rb"BM"), ".bmp"),
    (re.compile(rb"II\*\x00|MM\x00\*"), ".tiff"),
)
_IMAGE_SUFFIXES = frozenset(suffix for _, suffix in _SIGNATURES)
# The same for video: the box "ftyp" of MP4 and MOV, the EBML head of WebM.
_VIDEO_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"....ftyp", re.DOTALL), ".mp4"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), ".webm"),
)
_VIDEO_SUFFIXES = frozenset(suffix for _, suffix in _VIDEO_SIGNATURES)


class Files:
    """Uploads and outputs of one server, and the application that serves them."""

    def __init__(
        self, *, store: Store, options: SandboxOptions, renders: RenderQueue, state: Path, port: int
    ) -> None:
        self._store = store
        self._options = options
        self._renders = renders
        self._folder = state / "uploads"
        self._folder.mkdir(exist_ok=True)
        self._port = port

    def app(self) -> Starlette:
        """The application of the files port."""
        return Starlette(
            routes=[
                Route("/uploads/{id}/{filename}", self._put, methods=["PUT"]),
                Route("/uploads/{id}/{filename}", self._get_upload, methods=["GET"]),
                Route("/outputs/{id}/{name}", self._get_output, methods=["GET"]),
            ],
            exception_handlers={Refusal: _plain_refusal, ClientDisconnect: _gone},
        )

    def url(self, request: Request, path: str) -> str:
        """Address on this port, under the host name by which the client knows the API."""
        return f"http://{request.url.hostname or _BY_NUMBER}:{self._port}{path}"

    def make_ticket(
        self,
        filename: object,
        size: object,
        content_type: object,
        *,
        upload_id: str | None = None,
    ) -> Upload:
        """A new upload ticket, already remembered; ``upload_id`` None: any new one.

        Raises:
            Refusal: 400 or 413; the message names the field.
        """
        if not isinstance(filename, str) or not filename.strip():
            raise Refusal(400, "filename is required and must be a non-empty string")
        if not is_integer(size) or size < 1:
            raise Refusal(400, "size is required and must be a positive integer")
        if size > MAX_UPLOAD_BYTES:
            raise Refusal(413, f"file too large: at most {MAX_UPLOAD_BYTES} bytes")
        if content_type is not None and not isinstance(content_type, str):
            raise Refusal(400, "content_type must be a string")
        now_ns = self._options.clock()
        name = _safe_name(filename)
        upload = Upload(
            id=upload_id or secrets.token_hex(12),
            filename=name,
            content_type=content_type or _guess_type(name),
            size_bytes=size,
            signature=secrets.token_hex(16),
            created_ns=now_ns,
            expires_ns=now_ns + round(self._options.ticket_life_s * NS_PER_S),
        )
        self._store.add_upload(upload)
        return upload

    async def receive(
        self, filename: str, content_type: str, data: bytes, *, upload_id: str | None = None
    ) -> Upload:
        """Keep a file that came through the API itself.

        Raises:
            Refusal: 400, it is empty; 413, it is too large.
        """
        ticket = self.make_ticket(filename, len(data), content_type or None, upload_id=upload_id)
        await self._fill(ticket, _chunks(data))
        return ticket

    def image(self, url: str) -> StoredFile | None:
        """The stored image behind an address of a files port; None where there is none."""
        found = self._uploaded(url)
        return found if found is not None and is_image(found) else None

    def video(self, url: str) -> StoredFile | None:
        """The stored video, or finished clip, behind an address of a files port; None as above."""
        found = self._uploaded(url) or self._made(url)
        return found if found is not None and is_video(found) else None

    def clip(self, task_id: str, name: str) -> StoredFile | None:
        """A finished clip as an input for others; None where there is none."""
        task = self._store.task(task_id, now_ns=self._options.clock())
        if task is None or not self.is_there(task, name):
            return None
        return self.keep(self._renders.output(task.id, name).read_bytes())

    def is_there(self, task: Task, name: str) -> bool:
        """Whether this clip of a task can be fetched now."""
        names, now_ns = output_names(task), self._options.clock()
        if name not in names or not is_due(task, names.index(name), now_ns=now_ns):
            return False
        ends_ns = files_end_ns(task)
        in_time = ends_ns is None or now_ns < ends_ns
        return in_time and self._renders.output(task.id, name).exists()

    def keep(self, data: bytes) -> StoredFile:
        """Store bytes by content, under no address."""
        sha256 = hashlib.sha256(data).hexdigest()
        name = sha256 + _suffix(data[:16])
        part = self._folder / f"{sha256}.{secrets.token_hex(4)}.part"
        try:
            part.write_bytes(data)
            part.replace(self._folder / name)
        finally:
            part.unlink(missing_ok=True)
        return StoredFile(file=name, sha256=sha256)

    def path(self, stored: StoredFile) -> Path:
        """Where the bytes of a stored file lie."""
        return self._folder / stored.file

    def _uploaded(self, url: str) -> StoredFile | None:
        """The port is not compared: it may have changed since the upload, with the server."""
        pieces = _pieces(url)
        if len(pieces) != 4 or pieces[1] != "uploads":
            return None
        return self.stored(pieces[2])

    def stored(self, upload_id: str) -> StoredFile | None:
        """The content of an upload by its id, which counts as use; None where there is none."""
        now_ns = self._options.clock()
        upload = self._store.upload(upload_id, now_ns=now_ns, life_ns=_life_ns(upload_id))
        if upload is None:
            return None
        if _is_uuid(upload_id):
            self._store.renew_upload(upload_id, now_ns=now_ns)
        return stored_file(upload)

    def _made(self, url: str) -> StoredFile | None:
        pieces = _pieces(url)
        if len(pieces) != 4 or pieces[1] != "outputs":
            return None
        return self.clip(pieces[2], pieces[3])

    async def _put(self, request: Request) -> Response:
        self._refuse_key(request)
        self._store.count("upload_put")
        ticket = self._find(request)
        if not hmac.compare_digest(
            request.query_params.get("sig", "").encode(), ticket.signature.encode()
        ):
            raise Refusal(403, "signature does not match")
        if self._options.clock() >= ticket.expires_ns:
            raise Refusal(403, "upload ticket has expired")
        if ticket.file is not None:
            raise Refusal(412, "an object is already here (If-None-Match: *)")
        for name, wanted in ticket_headers(ticket).items():
            if request.headers.get(name) != wanted:
                raise Refusal(403, f"header {name} must be exactly {wanted!r}")
        length = request.headers.get("content-length")
        if length is None:
            raise Refusal(411, "Content-Length is required")
        if length != str(ticket.size_bytes):
            raise Refusal(400, f"size is {length} bytes, the ticket says {ticket.size_bytes}")
        await self._fill(ticket, request.stream())
        return Response()

    async def _get_upload(self, request: Request) -> Response:
        self._refuse_key(request)
        self._store.count("upload_get")
        upload = self._find(request)
        if upload.file is None:
            raise Refusal(404, "no such object")
        return FileResponse(self._folder / upload.file, media_type=upload.content_type)

    async def _get_output(self, request: Request) -> Response:
        self._refuse_key(request)
        self._store.count("output_get")
        name = request.path_params["name"]
        task = self._store.task(request.path_params["id"], now_ns=self._options.clock())
        if task is None or not self.is_there(task, name):
            raise Refusal(404, "no such object")
        clip = self._renders.output(task.id, name)
        if request.method == "GET" and "range" not in request.headers:
            self._store.note_download(task.id)
        # The real service keeps clips in an object store behind a CDN, whose ETag is the MD5.
        etag = await asyncio.to_thread(_md5, clip)
        return FileResponse(clip, media_type=media_type(name), headers={"ETag": f'"{etag}"'})

    def _find(self, request: Request) -> Upload:
        upload_id = request.path_params["id"]
        upload = self._store.upload(
            upload_id, now_ns=self._options.clock(), life_ns=_life_ns(upload_id)
        )
        if upload is None or upload.filename != request.path_params["filename"]:
            raise Refusal(404, "no such object")
        return upload

    def _refuse_key(self, request: Request) -> None:
        if "authorization" in request.headers:
            self._store.note_violation(
                ViolationKind.KEY_LEAK,
                at_ns=self._options.clock(),
                method=request.method,
                path=request.url.path,
            )
            raise Refusal(400, "Authorization is not wanted here: the key leaves the API host")

    async def _fill(self, ticket: Upload, chunks: AsyncIterable[bytes]) -> None:
        """Store the bytes by content, whole or not at all."""
        part = self._folder / f"{ticket.id}.{secrets.token_hex(4)}.part"
        digest, size, head = hashlib.sha256(), 0, b""
        try:
            with part.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    digest.update(chunk)
                    head = (head + chunk)[:16]
                    file.write(chunk)
            if size != ticket.size_bytes:
                raise Refusal(400, f"got {size} bytes, the ticket says {ticket.size_bytes}")
            name = digest.hexdigest() + _suffix(head)
            part.replace(self._folder / name)
        finally:
            part.unlink(missing_ok=True)
        if not self._store.fill_upload(ticket.id, file=name, sha256=digest.hexdigest()):
            raise Refusal(412, "an object is already here (If-None-Match: *)")


def ticket_headers(ticket: Upload) -> dict[str, str]:
    """The headers that the PUT must carry exactly."""
    return {"Content-Type": ticket.content_type, "If-None-Match": "*"}


def upload_path(upload: Upload) -> str:
    """Path of an upload on the files port."""
    return f"/uploads/{upload.id}/{quote(upload.filename)}"


def media_kind(content_type: str) -> str:
    """``image``, ``video``, ``audio``, else ``file``."""
    kind = content_type.partition("/")[0]
    return kind if kind in {"image", "video", "audio"} else "file"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def stored_file(upload: Upload) -> StoredFile | None:
    """The content of an upload; None where the bytes have not come."""
    if upload.file is None or upload.sha256 is None:
        return None
    return StoredFile(file=upload.file, sha256=upload.sha256)


def is_image(stored: StoredFile) -> bool:
    """Whether the first bytes were those of an image."""
    return Path(stored.file).suffix in _IMAGE_SUFFIXES


def is_video(stored: StoredFile) -> bool:
    """Whether the first bytes were those of a video."""
    return Path(stored.file).suffix in _VIDEO_SUFFIXES


def _is_uuid(upload_id: str) -> bool:
    """Whether an upload came the way that knows UUIDs, not addresses."""
    return "-" in upload_id


def _life_ns(upload_id: str) -> int:
    return _UUID_LIFE_NS if _is_uuid(upload_id) else RETENTION_NS


def _suffix(head: bytes) -> str:
    """File name suffix by content; empty for what is neither image nor video."""
    known = (*_SIGNATURES, *_VIDEO_SIGNATURES)
    return next((suffix for pattern, suffix in known if pattern.match(head)), "")


def _pieces(url: str) -> list[str]:
    """The path of an address on this machine, cut at its slashes; empty for any other."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    return parts.path.split("/") if parts.hostname in _LOOPBACK else []


def _safe_name(filename: str) -> str:
    base = filename.replace("\\", "/").rpartition("/")[2]
    return _UNSAFE.sub("-", base).strip(".-")[-100:] or "file"


def _guess_type(filename: str) -> str:
    return mimetypes.guess_type(filename)[0] or "application/octet-stream"


async def _chunks(data: bytes) -> AsyncIterable[bytes]:
    yield data


async def _plain_refusal(_request: Request, exc: Exception) -> Response:
    if not isinstance(exc, Refusal):
        raise exc
    return PlainTextResponse(f"{exc.message}\n", status_code=exc.status)


async def _gone(_request: Request, _exc: Exception) -> Response:
    return Response(status_code=400)
