"""What bytes are, by the first of them: names, endings and what a server says prove nothing."""

from __future__ import annotations

# The first bytes of what people take for pictures: (offset, bytes, name).
_SIGNATURES = (
    (0, b"%PDF", "PDF"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"8BPS", "Photoshop document"),
    (0, b"PK\x03\x04", "ZIP archive"),
    (0, b"\0\0\1\0", "icon"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftyp", "video"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"version https://git-lfs", "Git LFS pointer, not the file itself"),
)


def media_type(data: bytes) -> str | None:
    """``image/png``, ``image/jpeg`` or ``image/webp``; None for anything else.

    Args:
        data: at least the first 12 bytes.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def kind(data: bytes) -> str:
    """What bytes most likely are, in a word or two: ``PNG``, ``TIFF``, ``web page``, ``video``.

    Args:
        data: the first bytes, some hundred at least where there are so many.
    """
    known = media_type(data)
    if known is not None:
        return {"image/png": "PNG", "image/jpeg": "JPEG"}.get(known, "WebP")
    if not data:
        return "an empty file"
    for offset, signature, name in _SIGNATURES:
        if data.startswith(signature, offset):
            return name
    head = data[:2048]
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # A character cut in two by the end of ``head`` is still text.
        text = head[: error.start].decode() if error.start > len(head) - 4 > 0 else ""
    text = text.lstrip("\ufeff \t\r\n").lower()
    if "<svg" in text:
        return "SVG"
    if text.startswith(("<!doctype html", "<html")):
        return "web page"
    return "text" if text and "\0" not in text else "unknown data"
