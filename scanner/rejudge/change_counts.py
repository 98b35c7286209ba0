"""Counts what judging again has changed, and describes it in a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from scanner.fleet.keys import records_in
from scanner.output import Unreadable
from scanner.rejudge.judging import Rejudged
from scanner.text import quoted, shorten

# Kinds of change that are listed; the rest are summed up.
MAX_LISTED: Final = 8


class ChangeCounts:
    """Counts of findings judged again."""

    def __init__(self) -> None:
        self.same = 0
        self.changes: Counter[str] = Counter()
        self.unjudged = 0
        self.unreadable = 0
        self._first_problem = ""
        self._first_unreadable = ""

    def add(self, item: Rejudged | Unreadable) -> None:
        """Count one line of a findings file."""
        if isinstance(item, Unreadable):
            self.unreadable += 1
            self._first_unreadable = self._first_unreadable or f"line {item.line}: {item.reason}"
        elif item.now is None:
            self.unjudged += 1
            if not self._first_problem:
                self._first_problem = f"{_target(item.before)}: {shorten(item.problem or '', 300)}"
        elif verdict_of(item.before) == verdict_of(item.now):
            self.same += 1
        else:
            self.changes[_change(item.before, item.now)] += 1

    def lines(self) -> list[str]:
        """Return lines for the user: what has changed, and what could not be judged."""
        changed = self.changes.total()
        text = f"{_count(self.same + changed, 'finding')} judged again: {self.same} the same, {changed} changed"
        if changed:
            listed = [f"{count} {change}" for change, count in self.changes.most_common(MAX_LISTED)]
            rest = changed - sum(count for _, count in self.changes.most_common(MAX_LISTED))
            text += f" ({'; '.join([*listed, f'{rest} otherwise'] if rest else listed)})"
        found = [text]
        if self.unjudged:
            are = "finding is as it was, since it" if self.unjudged == 1 else "findings are as they were, since they"
            found.append(f"{self.unjudged} {are} cannot be judged again (first: {self._first_problem})")
        if self.unreadable:
            found.append(
                f"{_count(self.unreadable, 'line')} left out: no finding (first: {shorten(self._first_unreadable, 200)})"
            )
        return found


def verdict_of(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the outcome, cause and codes of a finding, without texts and evidence."""
    codes = [
        (diagnosis.get("code"), diagnosis.get("severity"), diagnosis.get("endpoints"))
        for diagnosis in records_in(finding.get("diagnoses"))
    ]
    return finding.get("outcome"), finding.get("cause"), codes


def _change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    old, new = _named(before), _named(now)
    return f"from {old} to {new}" if old != new else f"still {new}, with other codes"


def _named(finding: Mapping[str, Any]) -> str:
    cause, outcome = finding.get("cause"), finding.get("outcome")
    if isinstance(cause, str):
        return shorten(quoted(cause)[1:-1], 60)
    return {"ok": "in order", "warn": "a warning"}.get(str(outcome), "no cause")


def _target(finding: Mapping[str, Any]) -> str:
    target = finding.get("target")
    host = target.get("host") if isinstance(target, dict) else None
    return quoted(str(host), 100)[1:-1]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
