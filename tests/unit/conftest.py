"""Pictures and manifests made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """Makes the bytes of a small image file: format, size and colour as asked."""

    def make(
        kind: str = "PNG", size: tuple[int, int] = (16, 9), color: object = (200, 30, 30)
    ) -> bytes:
        buffer = BytesIO()
        Image.new("RGB", size, color).save(buffer, kind)
        return buffer.getvalue()

    return make


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., bytes]) -> Callable[..., str]:
    """Writes a manifest beside one picture, ``a.png``, and gives its path."""
    (tmp_path / "a.png").write_bytes(picture())

    def write(text: str | bytes, name: str = "m.yaml") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write
