"""The catalogue of causes and codes: words live in ``scanner/data/catalogue.toml``, not in the rules.

A *code* is what was seen, a *cause* one of the fifteen categories it belongs to. Codes are numbered by their place in
the file, which is their order of precedence inside a cause. What is read here is the JSON that
``scripts/build_catalogue.py`` makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import orjson
from msgspec import Struct

from scanner.language import ENGLISH
from scanner.model.evidence import Stage
from scanner.model.findings import CAUSES, Cause, Severity
from scanner.shipped import shipped

__all__ = ["CAUSES", "CODES", "Code", "Words", "rank", "translated", "words_of"]


class Code(Struct, frozen=True):
    """One code: ``severity`` is the usual one; ``summary``, ``remedy`` and ``confirm`` are templates, the most telling one first.

    ``judged`` is false where no rule gives the code yet.
    """

    code: str
    cause: Cause
    severity: Severity
    stage: Stage
    title: str
    proof: str
    summary: tuple[str, ...]
    remedy: tuple[str, ...]
    confirm: tuple[str, ...]
    order: int
    judged: bool


class Words(Struct, frozen=True):
    """The words on one code in one language; templates as in ``Code``."""

    title: str
    proof: str
    summary: tuple[str, ...]
    remedy: tuple[str, ...]


def _table(name: str) -> dict[str, Any]:
    table: dict[str, Any] = orjson.loads(shipped(name))
    return table


def _remedies(written: str | list[str]) -> tuple[str, ...]:
    return (written,) if isinstance(written, str) else tuple(written)


def _read() -> dict[str, Code]:
    table: dict[str, dict[str, Any]] = _table("catalogue.json")
    return {
        name: Code(
            code=name,
            cause=entry["cause"],
            severity=entry["severity"],
            stage=Stage(entry["stage"]),
            title=entry["title"],
            proof=entry["proof"],
            summary=tuple(entry["summary"]),
            remedy=_remedies(entry["remedy"]),
            confirm=tuple(entry["confirm"]),
            order=order,
            judged=entry.get("judged", True),
        )
        for order, (name, entry) in enumerate(table.items())
    }


CODES: Final = MappingProxyType(_read())


@cache
def translated(language: str) -> Mapping[str, Any]:
    """Return the catalogue of a ``language`` other than English: a table for each code, ``causes`` and ``values``."""
    return _table(f"catalogue.{language}.json")


@cache
def cause_texts() -> Mapping[str, Mapping[str, str]]:
    """Return ``scanner/data/causes.toml``: title, means and tell of each cause."""
    import tomllib  # a scan needs none of it

    return tomllib.loads(shipped("causes.toml").decode())


@cache
def words_of(code: str, language: str = ENGLISH) -> Words:
    """Return the words on ``code``; English ones if the language has none for it."""
    entry = CODES[code]
    other = {} if language == ENGLISH else translated(language).get(code, {})
    return Words(
        other.get("title", entry.title),
        other.get("proof", entry.proof),
        tuple(other.get("summary", entry.summary)),
        _remedies(other["remedy"]) if "remedy" in other else entry.remedy,
    )


_CAUSE_RANK: Final = {cause: position for position, cause in enumerate(CAUSES)}


def rank(code: str) -> tuple[int, int]:
    """Return the place of ``code`` in the order of precedence: that of its cause, then its own inside the cause."""
    entry = CODES[code]
    return _CAUSE_RANK[entry.cause], entry.order
