"""Rows of the table of findings: a finding cut down to what fits, as harmless text.

A finding may be megabytes of somebody else's text. Here every part of it has a length, and whatever acts instead of showing
(control characters, bidirectional overrides) is written as an escape. Escaping for HTML is the template's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from scanner.fleet.keys import records_in
from scanner.model.findings import CAUSES, SEVERITIES
from scanner.text import ELLIPSIS, printable, shorten

# Characters of a host name, of a sentence, of a value of evidence. Ours are shorter, but for lists.
MAX_NAME: Final = 120
MAX_SENTENCE: Final = 600
MAX_VALUE: Final = 240
# Diagnoses of a finding, and values of evidence of a diagnosis. Ours have two or three, and ten.
MAX_DIAGNOSES: Final = 8
MAX_EVIDENCE: Final = 14
# Lists within lists that are shown. Ours have two.
MAX_DEPTH: Final = 4
# Evidence whose values are names of certificates only: the finding has them, a person who reads a page has no use for them.
_LEFT_OUT: Final = frozenset({"path", "scts", "first_bytes", "version_code", "alert_code", "issuer_key"})


class TableDiagnosis(Struct, frozen=True):
    """One diagnosis of a row."""

    code: str
    cause: str
    severity: str
    summary: str
    remedy: str
    confirm: str
    endpoints: str
    evidence: tuple[tuple[str, str], ...]


class Row(Struct, frozen=True):
    """A finding as the table shows it; ``fresh`` where it fails and did not in the run before."""

    target: str
    protocol: str
    address: str
    owner: str
    outcome: str
    cause: str
    fresh: bool
    summary: str
    codes: tuple[str, ...]
    diagnoses: tuple[TableDiagnosis, ...]
    more: int
    row: int | None

    @property
    def place(self) -> tuple[Any, ...]:
        """Sort key: failures first, those of one cause together."""
        return (_OUTCOMES.get(self.outcome, 9), _ORDER.get(self.cause, 99), self.codes[:1], self.target)


_OUTCOMES: Final = {"fail": 0, "invalid": 1, "warn": 2, "ok": 3}
_ORDER: Final[dict[str, int]] = {cause: order for order, cause in enumerate(CAUSES)}


def row_of(finding: Mapping[str, Any], owner_column: str | None = None, *, fresh: bool = False) -> Row:
    """Return the row of a finding, whoever wrote it. Never raises."""
    target = finding.get("target")
    if not isinstance(target, Mapping):
        target = {}
    tags = target.get("tags")
    owner = tags.get(owner_column) if isinstance(tags, Mapping) and owner_column is not None else None
    given = list(records_in(finding.get("diagnoses")))
    diagnoses = tuple(_diagnosis(one) for one in given[:MAX_DIAGNOSES])
    named = next((one for one in diagnoses if one.severity == "error"), diagnoses[0] if diagnoses else None)
    cause = plain(finding.get("cause"), MAX_NAME)
    number = target.get("row")
    return Row(
        target=name_of(target),
        protocol=plain(target.get("protocol"), MAX_NAME),
        address=plain(target.get("address"), MAX_NAME),
        owner=plain(owner, MAX_NAME),
        outcome=plain(finding.get("outcome"), MAX_NAME),
        cause=cause or (named.cause if named is not None else ""),
        fresh=fresh,
        summary=named.summary or named.code if named is not None else plain(finding.get("error"), MAX_SENTENCE),
        codes=tuple(dict.fromkeys(one.code for one in diagnoses)),
        diagnoses=diagnoses,
        more=len(given) - len(diagnoses),
        row=number if type(number) is int else None,
    )


def _diagnosis(given: Mapping[str, Any]) -> TableDiagnosis:
    severity = given.get("severity")
    endpoints = given.get("endpoints")
    return TableDiagnosis(
        code=plain(given.get("code"), MAX_NAME),
        cause=plain(given.get("cause"), MAX_NAME),
        severity=severity if isinstance(severity, str) and severity in SEVERITIES else "note",
        summary=plain(given.get("summary"), MAX_SENTENCE),
        remedy=plain(given.get("remedy"), MAX_SENTENCE),
        confirm=plain(given.get("confirm"), MAX_SENTENCE),
        endpoints=plain(endpoints, MAX_VALUE) if isinstance(endpoints, list) else "",
        evidence=tuple(_evidence(given.get("evidence"))),
    )


def _evidence(given: Any) -> list[tuple[str, str]]:
    if not isinstance(given, Mapping):
        return []
    shown = []
    for name, value in given.items():
        if name in _LEFT_OUT or value is None or value in ("", []):
            continue
        shown.append((plain(name, MAX_NAME).replace("_", " "), plain(value, MAX_VALUE)))
        if len(shown) == MAX_EVIDENCE:
            break
    return shown


def name_of(target: Mapping[str, Any]) -> str:
    """Return host and port for a person; the row's id or number if it has no host."""
    host, port = target.get("host"), target.get("port")
    if host is None or host == "":
        for part, words in (("id", ""), ("row", "row ")):
            if target.get(part) is not None:
                return words + plain(target[part], MAX_NAME)
        return "(no host)"
    text = plain(host, MAX_NAME)
    if port is None:
        return text
    return f"[{text}]:{plain(port, 10)}" if ":" in text else f"{text}:{plain(port, 10)}"


def plain(value: Any, limit: int, depth: int = 0) -> str:
    """Return a value of any JSON type as one line of harmless text of at most ``limit`` characters."""
    if value is None:
        return ""
    if isinstance(value, str):
        return shorten(printable(value[: limit + 1]), limit)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if depth == MAX_DEPTH:
        return ELLIPSIS
    if isinstance(value, list):
        return shorten(", ".join(plain(one, limit, depth + 1) for one in value[:limit]), limit)
    if isinstance(value, Mapping):
        parts = islice(value.items(), limit)
        return shorten(", ".join(f"{plain(name, limit)}: {plain(one, limit, depth + 1)}" for name, one in parts), limit)
    return shorten(printable(str(value)), limit)


_ATTRIBUTE: Final = r"(?:^|[,+])\s*{}=((?:\\.|[^,+\\])*)"


def short_name(text: str, *parts: str) -> str:
    """Return some attributes of a name (``CN``, ``O``) in RFC 4514 text; the text itself if it has none of them."""
    found = [match[1] for name in parts if (match := re.search(_ATTRIBUTE.format(name), text)) is not None]
    return ", ".join(dict.fromkeys(re.sub(r"\\(.)", r"\1", one) for one in found)) or text
