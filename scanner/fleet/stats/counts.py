"""Statistics over findings: a fold that takes one finding at a time and can be added to another.

Its JSON form is schema ``tlsweep-stats/1``. Memory does not grow with the number of findings: whatever is counted
by a text from outside has a limit, beyond which everything counts under one common name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from scanner.errors import TlsweepError
from scanner.fleet.stats.dimensions import BUILT_IN
from scanner.fleet.stats.tally import Tally

SCHEMA: Final = "tlsweep-stats/1"

# Values of one column that are told apart. Owners, teams and sites are some hundreds; a column of host names is no
# grouping, and 10,000 groups of about 1 KB are still a small process.
MAX_VALUES: Final = 10_000
OTHER: Final = "(other values)"

# Column names remembered to tell a misspelt one; runs listed by name.
MAX_COLUMNS: Final = 1000
MAX_RUNS: Final = 1000

# Characters of a value that make its group's name.
MAX_VALUE_LENGTH: Final = 200


class UnknownColumn(TlsweepError):
    """A column to group by that no finding has; the message is one line and names those that exist."""


class CountingFailed(TlsweepError):
    """A process that counted has gone; the message is one line."""


class Stats:
    """The fold: ``add`` findings one by one, ``merge`` with another over the same columns, read at any moment."""

    of_fleet = False  # more than a scan counts: ``scanner.fleet.stats.statistics``

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
        if not isinstance(primary, str):
            primary = None
        codes = codes_of(finding) if finding.get("diagnoses") else ()
        self.total.add(outcome, primary, codes)
        run = finding.get("run")
        tags = target.get("tags")
        if not isinstance(tags, dict):
            tags = {}
        self.note((run,) if isinstance(run, str) else (), tags)
        for column, value in zip(self.by, self.names(finding, tags), strict=True):
            self.group(column, value).add(outcome, primary, codes)

    def note(self, runs: Iterable[str], columns: Iterable[str]) -> None:
        """Remember the names of runs and of the inventory's own columns."""
        for run in runs:
            if run not in self.runs and len(self.runs) < MAX_RUNS:
                self.runs[run] = None
        for name in columns:
            if name not in self.columns and len(self.columns) < MAX_COLUMNS:
                self.columns[name] = None

    def names(self, finding: Mapping[str, Any], tags: Mapping[str, Any]) -> list[str]:
        """The names of the groups that a finding belongs to, one for each column."""
        found = []
        for column in self.by:
            built_in = BUILT_IN.get(column)
            if column in tags:
                value = tags[column]
            elif built_in is not None:
                value = built_in(finding)
            else:
                found.append("")
                continue
            if column not in self._met:
                self._met.add(column)
            found.append(value if type(value) is str and len(value) <= MAX_VALUE_LENGTH else _name(value))
        return found

    def group(self, column: str, value: str) -> Tally:
        """The counts of one value of a column, made on first use."""
        return _group(self.by[column], value)

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
                exist = [*self.columns, *(name for name in BUILT_IN if name not in self.columns)]
                raise UnknownColumn(f'no finding has a column "{column}"; there are: {", ".join(exist)}')

    def to_json(self) -> dict[str, Any]:
        """The JSON form of schema ``tlsweep-stats/1``; groups by size, the largest first."""
        return {
            "schema": SCHEMA,
            "findings": self.total.findings,
            "unreadable_lines": self.unreadable_lines,
            "runs": sorted(self.runs),
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


def codes_of(finding: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Distinct (cause, code) pairs of a finding; whatever is not shaped like a diagnosis is passed over."""
    diagnoses = finding.get("diagnoses")
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
        return _name(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())
    except (TypeError, RecursionError):  # deeper than orjson goes, or not JSON
        return f"({type(value).__name__})"
