"""A document together with what is already known to be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.findings import Findings, KeyPath
from pipeline.model import Severity
from pipeline.yaml_document import Document


@dataclass(frozen=True, slots=True)
class View:
    """Gives values only where nothing is wrong with them yet; takes further findings."""

    document: Document
    findings: Findings

    def get(self, path: KeyPath) -> Any:
        """The value at ``path``; None where it is absent or already known to be wrong."""
        return None if path in self.findings.flagged else self.document.value(path)

    def text(self, path: KeyPath) -> str | None:
        """The text at ``path``, or None as for :meth:`get`."""
        value = self.get(path)
        return value if isinstance(value, str) else None

    def list_at(self, path: KeyPath) -> list[Any]:
        """The list at ``path``, empty where there is none that can be used."""
        value = self.get(path)
        return value if isinstance(value, list) else []

    def source(self, path: KeyPath) -> str:
        """The value as written in the file."""
        return self.document.source(path)

    def line(self, path: KeyPath) -> int:
        """The line of the value."""
        return self.document.position(path).line

    def add(self, path: KeyPath, message: str, hint: str) -> None:
        """Note an error at the value's place."""
        self.findings.add(self.document.position(path), path, message, hint)

    def warn(self, path: KeyPath, message: str, hint: str, *, at_key: bool = False) -> None:
        """Note a warning at the value's place, or at its key's."""
        place = self.document.key_position if at_key else self.document.position
        self.findings.add(place(path), path, message, hint, severity=Severity.WARNING)
