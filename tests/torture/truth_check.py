"""Compares findings with the truth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.torture.rows import ANY, Row, Truth

# Blames the machine's own clock, so it says nothing false about the server.
LOCAL_CLOCK: Final = "local-clock-wrong"


@dataclass(slots=True)
class Counts:
    """Counts of wrong findings of one case; ``false`` is by the kind of row and the wrong statement."""

    false: Counter[str] = field(default_factory=Counter)
    not_judged: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    doubled: int = 0
    unreadable: int = 0


def statement_of(finding: dict[str, Any]) -> Truth:
    """Return what a finding says about its target."""
    codes = tuple(sorted(each["code"] for each in finding.get("diagnoses") or ()))
    return Truth(finding["outcome"], finding.get("cause"), codes)


def is_not_judged(finding: dict[str, Any]) -> bool:
    """Return whether a finding says that its target could not be judged, without naming a cause."""
    if finding["outcome"] == "warn" and finding.get("cause") is None and finding.get("error"):
        return True
    return any(each["code"] == LOCAL_CLOCK for each in finding.get("diagnoses") or ())


def agrees(seen: Truth, truth: Truth) -> bool:
    """Return whether a statement matches the truth."""
    return seen.outcome == truth.outcome and truth.cause in (ANY, seen.cause) and truth.codes in (ANY, seen.codes)


def count_wrong(rows: Sequence[Row], lines: Iterable[bytes]) -> Counts:
    """Count the wrong findings in the lines of an output."""
    counts = Counts()
    seen: Counter[int] = Counter()
    for line in lines:
        try:
            finding = json.loads(line)
            number = int(finding["target"]["id"])
            row, statement = rows[number], statement_of(finding)
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
