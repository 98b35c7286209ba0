"""What a verdict on the whole fleet changes: the causes that its targets would have without it, and those that they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Final, Protocol, Self, TypeVar

from scanner.fleet.keys import records_in
from scanner.fleet.stats.counts import most_first
from scanner.model.findings import CAUSES

# Codes that only the fleet gives, and the cause that each belongs to.
FLEET_CODES: Final[Mapping[str, str]] = {
    "issuer-across-unrelated-names": "interception",
    "captive-portal": "interception",
    "local-clock-wrong": "clock-skew",
    "revocation-blocked": "network-blocked",
}

_Key = TypeVar("_Key", bound=Hashable)


class Reclassified:
    """Targets that a verdict of cause ``cause`` explains."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        self.targets = 0
        self.said = 0  # findings that have the verdict's code already
        # (the cause of the first error that is not the verdict's, the cause that the finding is named by)
        self._causes: Counter[tuple[str, str]] = Counter()

    def add(self, errors: Iterable[str], named: str, *, said: bool = False) -> None:
        """Count a target by the causes of its errors, as they are ordered, and the one that its finding is named by ("": none)."""
        self.targets += 1
        self.said += said
        self._causes[next((cause for cause in errors if cause != self.cause), ""), named] += 1

    def merge(self, other: Reclassified) -> None:
        """Add what ``other`` counted."""
        self.targets += other.targets
        self.said += other.said
        self._causes.update(other._causes)

    def to_json(self) -> dict[str, Any]:
        """Return the counts. ``reclassified``: targets that the findings put under the verdict's cause, by the cause they would
        have without it; ``otherwise``: those that the findings put under another cause, by that one."""
        reclassified: Counter[str] = Counter()
        otherwise: Counter[str] = Counter()
        for (alone, named), count in self._causes.items():
            if named == self.cause and alone:
                reclassified[alone] += count
            elif named and named != self.cause:
                otherwise[named] += count
        return {
            "targets": self.targets,
            "said": self.said,
            "reclassified": dict(most_first(reclassified)),
            "otherwise": dict(most_first(otherwise)),
        }


class _Mergeable(Protocol):
    def merge(self, other: Self, /) -> None: ...


_Fold = TypeVar("_Fold", bound=_Mergeable)


def merge_each(mine: dict[_Key, _Fold], theirs: Mapping[_Key, _Fold], limit: int) -> None:
    """Merge folds by key; new keys are taken in up to ``limit``."""
    for key, fold in theirs.items():
        known = mine.get(key)
        if known is not None:
            known.merge(fold)
        elif len(mine) < limit:
            mine[key] = deepcopy(fold)


def causes_of(finding: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the causes of a finding's errors, as they are ordered, and the one that it is named by ("": none)."""
    errors: list[str] = [
        cause
        for diagnosis in records_in(finding.get("diagnoses"))
        if diagnosis.get("severity") == "error"
        if isinstance(cause := diagnosis.get("cause"), str) and cause in CAUSES
    ]
    named = finding.get("cause")
    return errors, named if isinstance(named, str) and named in CAUSES else ""
