"""What a rule answers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from scanner.model.findings import Severity


class Claim(Struct, frozen=True):
    """A code that holds, and what proves it (JSON types only). ``severity`` None is the catalogue's."""

    code: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity | None = None
