"""Counts over findings: outcomes, causes and codes, of all and by columns. Taken one finding at a time; two can be added.

Its JSON form is part of schema ``tlsweep-stats/1``. Memory does not grow with the number of findings: whatever is counted
by a text from outside has a limit, beyond which everything counts under one common name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from scanner.errors import TlsweepError
from scanner.fleet.keys import records_in
from scanner.fleet.stats.counts import GroupCounts
from scanner.fleet.stats.dimensions import BUILT_IN

SCHEMA: Final = "tlsweep-stats/1"

# Values of one column that are counted apart. Owners, teams and sites are some hundreds; a column of host names is no
# grouping, and 10,000 groups of about 1 KB are still a small process.
MAX_VALUES: Final = 10_000
OTHER: Final = "(other values)"

# Column names remembered to name them when one is misspelt; runs listed by name.
MAX_COLUMNS: Final = 1000
MAX_RUNS: Final = 1000

# Characters of a value that make its group's name.
MAX_VALUE_LENGTH: Final = 200


class UnknownColumn(TlsweepError):
    """A column to group by that no finding has; the message is one line and names those that exist."""


class CountingFailed(TlsweepError):
    """A process that counted has gone; the message is one line."""


class RunCounts:
    """What a scan counts, and statistics too: ``add`` findings, ``merge`` with others over the same columns, read at any moment."""

    def __init__(self, by: Sequence[str] = ()) -> None:
        self.total = GroupCounts()
        self.unreadable_lines = 0
        self.runs: dict[str, None] = {}
        self.by: dict[str, dict[str, GroupCounts]] = {column: {} for column in by}
        self.columns: dict[str, None] = {}  # tags that some finding has
        self._met: set[str] = set()  # columns of ``by`` that some finding has

    def add(self, finding: Mapping[str, Any]) -> bool:
        """Count one finding. Return False for one that is not shaped like a finding, which counts as an unreadable line."""
        outcome = finding.get("outcome")
        target = finding.get("target")
        if not isinstance(outcome, str) or outcome not in self.total.outcomes or not isinstance(target, dict):
            self.unreadable_lines += 1
            return False
        primary = finding.get("cause")
        if not isinstance(primary, str):
            primary = None
        codes = codes_of(finding) if finding.get("diagnoses") else ()
        run = finding.get("run")
        tags = target.get("tags")
        if not isinstance(tags, dict):
            tags = {}
        self.note((run,) if isinstance(run, str) else (), tags)
        self.total.add(outcome, primary, codes)
        for column, value in zip(self.by, group_names(self.by, finding, tags), strict=True):
            self.group(column, value).add(outcome, primary, codes)
        return True

    def note(self, runs: Iterable[str], columns: Iterable[str]) -> None:
        """Remember the names of runs and of the inventory's own columns."""
        for run in runs:
            if run not in self.runs and len(self.runs) < MAX_RUNS:
                self.runs[run] = None
        for name in columns:
            if name not in self.columns and len(self.columns) < MAX_COLUMNS:
                self.columns[name] = None

    def group(self, column: str, value: str | None) -> GroupCounts:
        """Return the counts of one value of a column, made on first use; ``None`` where the finding does not have the column."""
        if value is not None:
            self._met.add(column)
        return _group(self.by[column], value or "")

    def merge(self, other: RunCounts) -> None:
        """Add what ``other`` counted; it must have been made for the same columns."""
        if self.by.keys() != other.by.keys():
            raise ValueError("statistics over different columns cannot be added")
        self.total.merge(other.total)
        self.unreadable_lines += other.unreadable_lines
        self.note(other.runs, other.columns)
        self._met |= other._met
        for column, groups in other.by.items():
            for value, counts in groups.items():
                _group(self.by[column], value).merge(counts)

    def require_columns(self) -> None:
        """Raise ``UnknownColumn`` for a column to group by that no finding had."""
        for column in self.by:
            if column not in self._met:
                exist = [*self.columns, *(name for name in BUILT_IN if name not in self.columns)]
                raise UnknownColumn(f'no finding has a column "{column}"; there are: {", ".join(exist)}')

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form of schema ``tlsweep-stats/1``, as far as a scan counts; groups by size, the largest first."""
        return {
            "schema": SCHEMA,
            "findings": self.total.findings,
            "unreadable_lines": self.unreadable_lines,
            "runs": sorted(self.runs),
            "outcomes": dict(self.total.outcomes),
            "causes": {name: count.to_json(self.total.findings) for name, count in self.total.by_precedence()},
            "by": {
                column: {value: counts.to_json() for value, counts in largest_first(groups)}
                for column, groups in self.by.items()
            },
        }


def group_names(by: Collection[str], finding: Mapping[str, Any], tags: Mapping[str, Any]) -> list[str | None]:
    """Return the names of the groups that a finding belongs to, one for each column; ``None`` where it lacks the column."""
    found: list[str | None] = []
    for column in by:
        built_in = BUILT_IN.get(column)
        if column in tags:
            value = tags[column]
        elif built_in is not None:
            value = built_in(finding)
        else:
            found.append(None)
            continue
        found.append(value if type(value) is str and len(value) <= MAX_VALUE_LENGTH else _name(value))
    return found


def largest_first(groups: Mapping[str, GroupCounts]) -> list[tuple[str, GroupCounts]]:
    """Return groups by how many findings they have, then by name; the common one of ``OTHER`` values last."""
    return sorted(groups.items(), key=lambda item: (item[0] == OTHER, -item[1].findings, item[0]))


def codes_of(finding: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the distinct (cause, code) pairs of a finding. What is not shaped like a diagnosis is left out."""
    found = [(one.get("cause"), one.get("code")) for one in records_in(finding.get("diagnoses"))]
    texts = [(cause, code) for cause, code in found if isinstance(cause, str) and isinstance(code, str)]
    return list(dict.fromkeys(texts))


def _group(groups: dict[str, GroupCounts], value: str) -> GroupCounts:
    counts = groups.get(value)
    if counts is None:
        if len(groups) >= MAX_VALUES:
            value = OTHER
        counts = groups.setdefault(value, GroupCounts())
    return counts


def _name(value: Any) -> str:
    """Return the name of the group that a value of any JSON type belongs to, "" for ``None``."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE_LENGTH else value[: MAX_VALUE_LENGTH - 1] + "…"
    try:
        return _name(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())
    except (TypeError, RecursionError):  # deeper than orjson goes, or not JSON
        return f"({type(value).__name__})"
