"""Reads the findings of a report once: counts them, and picks those that are worth a row.

Memory does not grow with the number of findings: statistics have their own bounds, and of the findings the first of each
code are kept, failures before warnings, so that a cause met three times is not lost behind one met nine thousand times.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

from scanner.fleet.keys import Identity, identity, leaf_of
from scanner.fleet.owners import owner_column
from scanner.fleet.stats.fleet_stats import FleetStats
from scanner.output import Unreadable, list_of_findings, read_batches
from scanner.output.reader import Batch
from scanner.report.csv_export import CsvExport
from scanner.report.table_rows import MAX_NAME, Row, name_of, plain, row_of, short_name

# Rows of the table: what a browser sorts and searches without a pause, and what stays below 3 MB with all its evidence.
MAX_ROWS: Final = 1500
# Findings looked at for the inventory's columns before counting begins.
LOOKED_AT: Final = 1000
# Certificates listed that expire next; those kept until they are cut back to that.
MAX_UPCOMING: Final = 12
KEPT_UPCOMING: Final = 50 * MAX_UPCOMING
EXAMPLES: Final = 3
# Codes counted apart when rows are picked: the catalogue has some hundred, more can only come from files that are not ours.
MAX_CODES: Final = 1000


_Split = tuple[list[dict[str, Any]], list[Unreadable]]


class Collected:
    """What is counted and picked."""

    def __init__(self, owner: str | None) -> None:
        self.owner = owner
        self.statistics = FleetStats(("version", "issuer", *(() if owner is None else (owner,))))
        self.picker = Picker()
        self.next_to_expire = NextToExpire()
        self.first: str | None = None
        self.last: str | None = None

    def _moments(self, findings: Sequence[Mapping[str, Any]]) -> None:
        moments = [moment for one in findings if isinstance(moment := one.get("started"), str) and moment]
        if not moments:
            return
        first, last = min(moments), max(moments)
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    def add(
        self, findings: Sequence[Mapping[str, Any]], fresh: Container[Identity] = (), sink: CsvExport | None = None
    ) -> None:
        """Count findings and keep those that are worth a row."""
        self.statistics.add_batch(findings)
        self._moments(findings)
        self.next_to_expire.add(findings)
        for one in findings:
            if one["outcome"] == "ok":
                continue
            is_fresh = bool(fresh) and one["outcome"] == "fail" and identity(one) in fresh
            self.picker.add(one, self.owner, fresh=is_fresh)
            if sink is not None:
                sink.add(one, self.owner, is_fresh)


def collect(
    paths: Sequence[str], *, by: str | None = None, fresh: Container[Identity] = (), sink: CsvExport | None = None
) -> Collected:
    """Read all findings once. ``by`` is the column that tells whose a target is, ``None`` looks for one; ``fresh`` are the
    targets that fail since the last run; ``sink`` takes every finding that is not ok.

    Raises what reading findings raises, and ``UnknownColumn`` for a ``by`` that no finding has.
    """
    batches = map(_findings, read_batches(paths, list_of_findings))
    ahead = list(_ahead(batches))
    found = Collected(owner_column(_tags(chain.from_iterable(findings for findings, _ in ahead))) if by is None else by)
    for findings, unreadable in chain(ahead, batches):
        found.add(findings, fresh, sink)
        for line in unreadable:
            found.statistics.add_line(line)
    if by is not None:
        found.statistics.counts.require_columns()
    return found


def _findings(batch: Batch[list[dict[str, Any]]]) -> _Split:
    findings, others = batch
    if findings is not None:
        return findings, []
    return [one for one in others if isinstance(one, dict)], [one for one in others if isinstance(one, Unreadable)]


def _ahead(batches: Iterator[_Split]) -> Iterator[_Split]:
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch[0]) + len(batch[1])
        if seen >= LOOKED_AT:
            return


def _tags(findings: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the names of the inventory's own columns, as often as findings have them."""
    for finding in islice(findings, LOOKED_AT):
        tags = finding["target"].get("tags")
        yield from map(str, tags if isinstance(tags, Mapping) else ())


class Picker:
    """The ``limit`` findings that matter most of all that were added, each cut down to its row."""

    def __init__(self, limit: int = MAX_ROWS) -> None:
        self.offered = 0
        self._limit = limit
        self._kept: list[tuple[int, int, int, Row]] = []  # a heap, the least important first
        self._met: dict[tuple[int, str], int] = {}

    def add(self, finding: Mapping[str, Any], owner: str | None, *, fresh: bool) -> None:
        """Add one finding."""
        self.offered += 1
        level = 0 if fresh else _LEVELS.get(finding["outcome"], 3)
        code = _first_code(finding)
        if (level, code) not in self._met and len(self._met) >= MAX_CODES:
            code = ""
        nth = self._met[level, code] = self._met.get((level, code), 0) + 1
        key = (-level, -nth, -self.offered)
        if len(self._kept) < self._limit:
            heapq.heappush(self._kept, (*key, row_of(finding, owner, fresh=fresh)))
        elif key > self._kept[0][:3]:
            heapq.heapreplace(self._kept, (*key, row_of(finding, owner, fresh=fresh)))

    def by_importance(self) -> list[Row]:
        """Return the rows, the most important first."""
        return [row for *_, row in sorted(self._kept, key=lambda entry: entry[:3], reverse=True)]


_LEVELS: Final = {"fail": 1, "invalid": 2, "warn": 3}


def _first_code(finding: Mapping[str, Any]) -> str:
    diagnoses = finding.get("diagnoses")
    code = diagnoses[0].get("code") if isinstance(diagnoses, list) and diagnoses and type(diagnoses[0]) is dict else ""
    return code if isinstance(code, str) else ""


class NextToExpire:
    """The certificates that expire next after their finding was made, with how many services sent each and examples of them.

    ``Expiry`` counts services too, but keeps the first to expire of all: an estate with a thousand expired certificates has no
    room there for those that are still valid.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _ExpiringLeaf] = {}
        self._last = "\U0010ffff"  # nothing later than that is looked at

    def add(self, findings: Sequence[Mapping[str, Any]]) -> None:
        """Count the leaf certificates of findings."""
        last = self._last
        for one in findings:
            certificates = one.get("certificates")
            if not certificates or not isinstance(certificates, list) or not isinstance(certificates[0], dict):
                continue
            not_after, started = certificates[0].get("not_after"), one.get("started")
            if type(not_after) is str and not_after <= last and (type(started) is not str or started < not_after):
                self._count(one, not_after)
        if len(self._kept) > KEPT_UPCOMING:
            self._cut()

    def _count(self, finding: Mapping[str, Any], not_after: str) -> None:
        leaf = leaf_of(finding)
        sha256 = leaf.get("sha256") if leaf is not None else None
        if leaf is None or not isinstance(sha256, str) or leaf.get("not_after") != not_after:
            return
        found = self._kept.get((not_after, sha256))
        if found is None:
            found = self._kept[not_after, sha256] = _ExpiringLeaf(leaf)
        found.services += 1
        if len(found.examples) < EXAMPLES:
            found.examples.append(name_of(finding["target"]))

    def _cut(self) -> None:
        kept = heapq.nsmallest(MAX_UPCOMING, self._kept)
        self._kept = {key: self._kept[key] for key in kept}
        self._last = kept[-1][0]

    def listed(self) -> list[tuple[str, _ExpiringLeaf]]:
        """Return (not_after, what is known), the first to expire first."""
        return [(key[0], self._kept[key]) for key in heapq.nsmallest(MAX_UPCOMING, self._kept)]


class _ExpiringLeaf:
    __slots__ = ("examples", "issuer", "services", "subject")

    def __init__(self, leaf: Mapping[str, Any]) -> None:
        self.subject = short_name(plain(leaf.get("subject"), MAX_NAME), "CN") or plain(leaf.get("san"), MAX_NAME)
        self.issuer = plain(leaf.get("issuer"), MAX_NAME)
        self.services = 0
        self.examples: list[str] = []
