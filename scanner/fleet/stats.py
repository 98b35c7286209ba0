"""Statistics over findings: a fold that takes one finding at a time and can be added to another.

Its JSON form is schema ``tlsweep-stats/1``. Memory does not grow with the number of findings: whatever is counted
by a text from outside has a limit, beyond which everything counts under one common name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from scanner.findings import CAUSES

SCHEMA: Final = "tlsweep-stats/1"

OUTCOMES: Final = ("ok", "warn", "fail", "invalid")

# Values of one column that are told apart. Owners, teams and sites are some hundreds; a column of host names is no
# grouping, and 10,000 groups of about 1 KB are still a small process.
MAX_VALUES: Final = 10_000
OTHER: Final = "(other values)"

# Codes of one cause, and causes beyond the fifteen, that are told apart: the catalogue has a dozen a cause; more can
# only come from files that are not ours.
MAX_CODES: Final = 100
MAX_CAUSES: Final = 50
OTHER_CODES: Final = "(other codes)"
OTHER_CAUSES: Final = "(other causes)"

# Column names remembered to tell a misspelt one; runs listed by name.
MAX_COLUMNS: Final = 1000
MAX_RUNS: Final = 1000

# Characters of a value that make its group's name.
MAX_VALUE_LENGTH: Final = 200

# Fields of the target itself that can be grouped by; a tag of the same name goes before.
TARGET_COLUMNS: Final = ("protocol", "port", "host", "sni", "address", "id")

_SHARE_DIGITS: Final = 6


class UnknownColumn(Exception):
    """A column to group by that no finding has; the message is one line and names those that exist."""


class CauseCount:
    """Targets with any diagnosis of one cause, those named by it, and targets by code."""

    __slots__ = ("codes", "primary", "targets")

    def __init__(self) -> None:
        self.targets = 0
        self.primary = 0
        self.codes: dict[str, int] = {}

    def merge(self, other: CauseCount) -> None:
        self.targets += other.targets
        self.primary += other.primary
        for code, count in other.codes.items():
            _count(self.codes, code, count)

    def to_json(self, findings: int) -> dict[str, Any]:
        return {
            "targets": self.targets,
            "share": share(self.targets, findings),
            "primary": self.primary,
            "codes": dict(sorted(self.codes.items(), key=_most_first)),
        }


class Tally:
    """Findings, outcomes and causes of one group of targets, or of all."""

    __slots__ = ("causes", "findings", "outcomes")

    def __init__(self) -> None:
        self.findings = 0
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.causes: dict[str, CauseCount] = {}

    def cause(self, name: str) -> CauseCount:
        """The counts of one cause, made on first use."""
        found = self.causes.get(name)
        if found is None:
            if name not in CAUSES and len(self.causes) >= len(CAUSES) + MAX_CAUSES:
                name = OTHER_CAUSES
            found = self.causes.setdefault(name, CauseCount())
        return found

    def add(self, outcome: str, primary: str | None, codes: Sequence[tuple[str, str]]) -> None:
        """One target: its outcome, the cause that names it, and its distinct (cause, code) pairs."""
        self.findings += 1
        self.outcomes[outcome] += 1
        if not codes and primary is None:
            return
        if primary is not None:
            self.cause(primary).primary += 1
        causes = set()
        for cause, code in codes:
            count = self.cause(cause)
            if cause not in causes:
                causes.add(cause)
                count.targets += 1
            _count(count.codes, code, 1)
        if primary is not None and primary not in causes:
            self.cause(primary).targets += 1

    def merge(self, other: Tally) -> None:
        self.findings += other.findings
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += count
        for name, cause in other.causes.items():
            self.cause(name).merge(cause)

    def in_order(self) -> list[tuple[str, CauseCount]]:
        """All fifteen causes in order of precedence, then any other that was met."""
        known = [(name, self.causes.get(name) or CauseCount()) for name in CAUSES]
        return known + [(name, count) for name, count in self.causes.items() if name not in CAUSES]

    def to_json(self) -> dict[str, Any]:
        return {
            "findings": self.findings,
            "outcomes": dict(self.outcomes),
            "causes": {name: count.to_json(self.findings) for name, count in self.in_order()},
        }


class Stats:
    """The fold: ``add`` findings one by one, ``merge`` with another over the same columns, read at any moment."""

    def __init__(self, by: Sequence[str] = ()) -> None:
        self.total = Tally()
        self.unreadable_lines = 0
        self.runs: dict[str, None] = {}
        self.by: dict[str, dict[str, Tally]] = {column: {} for column in by}
        self.columns: dict[str, None] = {}  # tags that some finding has
        self._met: set[str] = set()  # columns of ``by`` that some finding has

    def add(self, finding: Mapping[str, Any]) -> None:
        """Count one finding; one that is not shaped like a finding counts as an unreadable line."""
        outcome = finding.get("outcome")
        target = finding.get("target")
        if not isinstance(outcome, str) or outcome not in self.total.outcomes or not isinstance(target, dict):
            self.unreadable_lines += 1
            return
        primary = finding.get("cause")
        if primary is not None and not isinstance(primary, str):
            primary = None
        diagnoses = finding.get("diagnoses")
        codes = _codes(diagnoses) if diagnoses else ()
        self.total.add(outcome, primary, codes)
        run = finding.get("run")
        if isinstance(run, str) and run not in self.runs and len(self.runs) < MAX_RUNS:
            self.runs[run] = None
        tags = target.get("tags")
        if not isinstance(tags, dict):
            tags = {}
        for name in tags:
            if name not in self.columns and len(self.columns) < MAX_COLUMNS:
                self.columns[name] = None
        for column, groups in self.by.items():
            if column in tags:
                value = tags[column]
                self._met.add(column)
            elif column in TARGET_COLUMNS and column in target:
                value = target[column]
                self._met.add(column)
            else:
                value = None
            group = _group(groups, value if type(value) is str and len(value) <= MAX_VALUE_LENGTH else _name(value))
            group.add(outcome, primary, codes)

    def add_unreadable(self, count: int = 1) -> None:
        """Count lines that held no finding."""
        self.unreadable_lines += count

    def merge(self, other: Stats) -> None:
        """Add what ``other`` counted; it must have been made for the same columns."""
        if self.by.keys() != other.by.keys():
            raise ValueError("statistics over different columns cannot be added")
        self.total.merge(other.total)
        self.unreadable_lines += other.unreadable_lines
        for run in other.runs:
            if len(self.runs) < MAX_RUNS:
                self.runs.setdefault(run)
        for name in other.columns:
            if len(self.columns) < MAX_COLUMNS:
                self.columns.setdefault(name)
        self._met |= other._met
        for column, groups in other.by.items():
            for value, tally in groups.items():
                _group(self.by[column], value).merge(tally)

    def require_columns(self) -> None:
        """Raise ``UnknownColumn`` for a column to group by that no finding had."""
        for column in self.by:
            if column not in self._met:
                exist = [*self.columns, *(name for name in TARGET_COLUMNS if name not in self.columns)]
                raise UnknownColumn(f'no finding has a column "{column}"; there are: {", ".join(exist)}')

    def to_json(self) -> dict[str, Any]:
        """The JSON form of schema ``tlsweep-stats/1``; groups by size, the largest first."""
        return {
            "schema": SCHEMA,
            "findings": self.total.findings,
            "unreadable_lines": self.unreadable_lines,
            "runs": list(self.runs),
            "outcomes": dict(self.total.outcomes),
            "causes": {name: count.to_json(self.total.findings) for name, count in self.total.in_order()},
            "by": {
                column: {value: tally.to_json() for value, tally in largest_first(groups)}
                for column, groups in self.by.items()
            },
        }


def largest_first(groups: Mapping[str, Tally]) -> list[tuple[str, Tally]]:
    """Groups by how many findings they have, then by name; the common one of ``OTHER`` values last."""
    return sorted(groups.items(), key=lambda item: (item[0] == OTHER, -item[1].findings, item[0]))


def share(count: int, total: int) -> float:
    """``count`` of ``total`` as a fraction, 0 where there is nothing."""
    return round(count / total, _SHARE_DIGITS) if total else 0.0


def _codes(diagnoses: Any) -> list[tuple[str, str]]:
    """Distinct (cause, code) pairs; whatever is not shaped like a diagnosis is passed over."""
    if not isinstance(diagnoses, list):
        return []
    if len(diagnoses) == 1 and type(diagnoses[0]) is dict:  # the common case
        cause, code = diagnoses[0].get("cause"), diagnoses[0].get("code")
        return [(cause, code)] if isinstance(cause, str) and isinstance(code, str) else []
    pairs: dict[tuple[str, str], None] = {}
    for diagnosis in diagnoses:
        if isinstance(diagnosis, dict):
            cause, code = diagnosis.get("cause"), diagnosis.get("code")
            if isinstance(cause, str) and isinstance(code, str):
                pairs[cause, code] = None
    return list(pairs)


def _count(codes: dict[str, int], code: str, count: int) -> None:
    if code not in codes and len(codes) >= MAX_CODES:
        code = OTHER_CODES
    codes[code] = codes.get(code, 0) + count


def _group(groups: dict[str, Tally], value: str) -> Tally:
    tally = groups.get(value)
    if tally is None:
        if len(groups) >= MAX_VALUES:
            value = OTHER
        tally = groups.setdefault(value, Tally())
    return tally


def _name(value: Any) -> str:
    """The name of the group that a value of any JSON type belongs to; a missing one belongs to the empty one."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE_LENGTH else value[: MAX_VALUE_LENGTH - 1] + "…"
    try:
        return _name(orjson.dumps(value).decode())
    except TypeError:
        return _name(repr(value)[:MAX_VALUE_LENGTH])


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
