"""Counts of one group of targets, or of all: outcomes, causes, codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from scanner.model.findings import CAUSES, OUTCOMES

# Codes of one cause, and causes beyond the fifteen, that are counted apart: the catalogue has a dozen a cause; more can
# only come from files that are not ours.
MAX_CODES: Final = 100
MAX_CAUSES: Final = 50
OTHER_CODES: Final = "(other codes)"
OTHER_CAUSES: Final = "(other causes)"

_SHARE_DIGITS: Final = 6


class CauseCounts:
    """Targets with any diagnosis of one cause, targets named by it, and targets by code."""

    __slots__ = ("codes", "primary", "targets")

    def __init__(self) -> None:
        self.targets = 0
        self.primary = 0
        self.codes: dict[str, int] = {}

    def merge(self, other: CauseCounts) -> None:
        self.targets += other.targets
        self.primary += other.primary
        for code, count in other.codes.items():
            _count(self.codes, code, count)

    def to_json(self, findings: int) -> dict[str, Any]:
        return {
            "targets": self.targets,
            "share": share(self.targets, findings),
            "primary": self.primary,
            "codes": dict(most_first(self.codes)),
        }


class GroupCounts:
    """Findings, outcomes and causes of one group of targets, or of all."""

    __slots__ = ("causes", "findings", "outcomes")

    def __init__(self) -> None:
        self.findings = 0
        self.outcomes: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        self.causes: dict[str, CauseCounts] = {}

    def cause(self, name: str) -> CauseCounts:
        """Return the counts of one cause; they are made on first use."""
        found = self.causes.get(name)
        if found is None:
            if name not in CAUSES and len(self.causes) >= len(CAUSES) + MAX_CAUSES:
                name = OTHER_CAUSES
            found = self.causes.setdefault(name, CauseCounts())
        return found

    def add(self, outcome: str, primary: str | None, codes: Sequence[tuple[str, str]], targets: int = 1) -> None:
        """Count ``targets`` of one outcome, the cause that names them, and their distinct (cause, code) pairs."""
        self.findings += targets
        self.outcomes[outcome] += targets
        if not codes and primary is None:
            return
        if primary is not None:
            self.cause(primary).primary += targets
        causes = set()
        for cause, code in codes:
            count = self.cause(cause)
            if cause not in causes:
                causes.add(cause)
                count.targets += targets
            _count(count.codes, code, targets)
        if primary is not None and primary not in causes:
            self.cause(primary).targets += targets

    def merge(self, other: GroupCounts) -> None:
        self.findings += other.findings
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += count
        for name, cause in other.causes.items():
            self.cause(name).merge(cause)

    def by_precedence(self) -> list[tuple[str, CauseCounts]]:
        """Return all fifteen causes by precedence, then any other that was counted."""
        known = [(name, self.causes.get(name) or CauseCounts()) for name in CAUSES]
        return known + [(name, count) for name, count in sorted(self.causes.items()) if name not in CAUSES]

    def to_json(self) -> dict[str, Any]:
        return {
            "findings": self.findings,
            "outcomes": dict(self.outcomes),
            "causes": {name: count.to_json(self.findings) for name, count in self.by_precedence()},
        }


def share(count: int, total: int) -> float:
    """Return ``count`` of ``total`` as a fraction, 0 if ``total`` is 0."""
    return round(count / total, _SHARE_DIGITS) if total else 0.0


def percent(count: int, total: int) -> str:
    """Return the share as text for a person."""
    return f"{100 * count / total:.1f} %" if total else "-"


def causes_seen(counts: GroupCounts) -> list[tuple[str, CauseCounts]]:
    """Return the causes that some target has, the most frequent first."""
    return sorted((item for item in counts.by_precedence() if item[1].targets), key=lambda item: -item[1].targets)


def _count(codes: dict[str, int], code: str, count: int) -> None:
    if code not in codes and len(codes) >= MAX_CODES:
        code = OTHER_CODES
    codes[code] = codes.get(code, 0) + count


def most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return names with their counts, the largest first, then by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
