"""What a verdict of the fleet changes: under which causes its targets would stand each by itself, and under which they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from copy import deepcopy
from typing import Any, Protocol, Self, TypeVar

from scanner.findings import CAUSES

_Key = TypeVar("_Key", bound=Hashable)


class Explained:
    """Targets that a verdict of cause ``cause`` explains."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        self.targets = 0
        self.said = 0  # findings that say so already
        # (the cause of its first error if the fleet were not asked, the cause that the finding is named by)
        self._causes: Counter[tuple[str, str]] = Counter()

    def add(self, finding: Mapping[str, Any], *, said: bool = False, alone: str | None = None) -> None:
        """Count a target. ``alone`` is the cause that it would have by itself, where its diagnoses do not show that any more."""
        self.targets += 1
        self.said += said
        named = finding.get("cause")
        by_itself = self._by_itself(finding) if alone is None else alone
        self._causes[by_itself, named if isinstance(named, str) and named in CAUSES else ""] += 1

    def _by_itself(self, finding: Mapping[str, Any]) -> str:
        diagnoses = finding.get("diagnoses")
        for diagnosis in diagnoses if isinstance(diagnoses, list) else ():
            if isinstance(diagnosis, dict) and diagnosis.get("severity") == "error":
                cause = diagnosis.get("cause")
                if isinstance(cause, str) and cause != self.cause and cause in CAUSES:
                    return cause
        return ""

    def merge(self, other: Explained) -> None:
        """Add what another counted."""
        self.targets += other.targets
        self.said += other.said
        self._causes.update(other._causes)

    def to_json(self) -> dict[str, Any]:
        """``reclassified``: targets that the findings put under the verdict's cause, by the cause they would have without it;
        ``otherwise``: those that the findings put under another cause, by that one."""
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
            "reclassified": _most_first(reclassified),
            "otherwise": _most_first(otherwise),
        }


class _Adds(Protocol):
    def merge(self, other: Self, /) -> None: ...


_Fold = TypeVar("_Fold", bound=_Adds)


def of_each(mine: dict[_Key, _Fold], theirs: Mapping[_Key, _Fold], limit: int) -> None:
    """Merge folds by key; new keys up to ``limit``."""
    for key, fold in theirs.items():
        known = mine.get(key)
        if known is not None:
            known.merge(fold)
        elif len(mine) < limit:
            mine[key] = deepcopy(fold)


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
