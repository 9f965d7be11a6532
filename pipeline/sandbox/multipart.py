"""Take one file field out of a ``multipart/form-data`` body (RFC 7578)."""

from __future__ import annotations

from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser

_HEADERS = BytesHeaderParser(policy=policy.HTTP)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """An uploaded file as the form carries it; ``content_type`` empty where none is given."""

    filename: str
    content_type: str
    data: bytes


def read_file_part(content_type: str, body: bytes, *, field: str) -> FilePart | None:
    """The file in form field ``field``; None where the body holds no such file."""
    outer = EmailMessage(policy=policy.HTTP)
    outer["Content-Type"] = content_type
    boundary = outer.get_boundary()
    if outer.get_content_type() != "multipart/form-data" or not boundary:
        return None
    # The bytes are cut by hand: a mail parser would be free to touch line ends.
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, found, data = piece.lstrip(b" \t").removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not found:
            continue
        part = _HEADERS.parsebytes(head)
        filename = part.get_filename()
        name = part.get_param("name", header="content-disposition")
        if name == field and filename is not None:
            given = part.get_content_type() if "content-type" in part else ""
            return FilePart(filename=filename, content_type=given, data=data)
    return None
