"""What makes two films the same: their settings as plain data, wherever their files lie. Pure."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """Frozen values as JSON data: equal for equal settings, without the places of files.

    What a file is says its hash; a storyboard that was moved makes the same film.
    """
    if is_dataclass(value):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: plain(each) for name, each in named.items() if not isinstance(each, Path)}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int) else str(value)
