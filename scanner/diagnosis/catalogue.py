"""The catalogue of causes and codes, read from ``scanner/data/catalogue.toml``: words live there, not in the rules.

A *code* is what was seen, a *cause* one of the fifteen categories it belongs to. Codes are numbered by their place in
the file, which is their order of precedence inside a cause.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from scanner.evidence import Stage
from scanner.findings import CAUSES, Cause, Severity

__all__ = ["CAUSES", "CODES", "Code", "rank"]


@dataclass(frozen=True, slots=True)
class Code:
    """One code: ``severity`` is the usual one; ``summary`` and ``confirm`` are templates, the most telling one first.

    ``judged`` is false where no rule gives the code yet.
    """

    code: str
    cause: Cause
    severity: Severity
    stage: Stage
    title: str
    proof: str
    summary: tuple[str, ...]
    remedy: str
    confirm: tuple[str, ...]
    order: int
    judged: bool


def _read() -> dict[str, Code]:
    text = files("scanner").joinpath("data/catalogue.toml").read_text("utf-8")
    table: dict[str, dict[str, Any]] = tomllib.loads(text)
    return {
        name: Code(
            code=name,
            cause=entry["cause"],
            severity=entry["severity"],
            stage=Stage(entry["stage"]),
            title=entry["title"],
            proof=entry["proof"],
            summary=tuple(entry["summary"]),
            remedy=entry["remedy"],
            confirm=tuple(entry["confirm"]),
            order=order,
            judged=entry.get("judged", True),
        )
        for order, (name, entry) in enumerate(table.items())
    }


CODES: Final = MappingProxyType(_read())

_CAUSE_RANK: Final = {cause: position for position, cause in enumerate(CAUSES)}


def rank(code: str) -> tuple[int, int]:
    """The place of ``code`` in the order of precedence: its cause's, then its own inside the cause."""
    entry = CODES[code]
    return _CAUSE_RANK[entry.cause], entry.order
