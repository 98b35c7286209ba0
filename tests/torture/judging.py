"""Findings compared with the truth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.torture.rows import ANY, Row, Truth

# The scanner says that the machine's own clock is at fault: nothing false is said of the server.
_OWN_CLOCK: Final = "local-clock-wrong"


@dataclass(slots=True)
class Counts:
    """What is wrong with the findings of one case; ``false`` names the kind of row and what was said instead."""

    false: Counter[str] = field(default_factory=Counter)
    not_judged: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    doubled: int = 0
    unreadable: int = 0


def said(finding: dict[str, Any]) -> Truth:
    """What the finding says of its target."""
    codes = tuple(sorted(each["code"] for each in finding.get("diagnoses") or ()))
    return Truth(finding["outcome"], finding.get("cause"), codes)


def is_not_judged(finding: dict[str, Any]) -> bool:
    """Whether the finding says that its target could not be judged, and blames nobody for it."""
    if finding["outcome"] == "warn" and finding.get("cause") is None and finding.get("error"):
        return True
    return any(each["code"] == _OWN_CLOCK for each in finding.get("diagnoses") or ())


def agrees(seen: Truth, truth: Truth) -> bool:
    """Whether what was said is the truth."""
    return seen.outcome == truth.outcome and truth.cause in (ANY, seen.cause) and truth.codes in (ANY, seen.codes)


def judge(rows: Sequence[Row], lines: Iterable[bytes]) -> Counts:
    """Count what is wrong in the lines of an output."""
    counts = Counts()
    seen: Counter[int] = Counter()
    for line in lines:
        try:
            finding = json.loads(line)
            number = int(finding["target"]["id"])
            row, statement = rows[number], said(finding)
        except (ValueError, KeyError, TypeError, IndexError):
            counts.unreadable += 1
            continue
        seen[number] += 1
        if agrees(statement, row.kind.truth):
            continue
        what = f"{row.kind.name}: {statement.outcome} {statement.cause} {','.join(statement.codes)}".rstrip()
        if is_not_judged(finding):
            counts.not_judged[f"{what} ({str(finding.get('error'))[:80]})"] += 1
        else:
            counts.false[what] += 1
    counts.missing = sum(1 for row in rows if not seen[row.number])
    counts.doubled = sum(1 for times in seen.values() if times > 1)
    return counts
