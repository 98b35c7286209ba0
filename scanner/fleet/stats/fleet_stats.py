"""All that ``tlsweep stats`` reports of a fleet, in one pass: the counts of a scan, and expiry, latency, shared causes, and
what the fleet says as a whole. Statistics of parts add up to those of the whole, in any order.

Findings become columns (``scanner.fleet.stats.columns``), which are pure, and columns are folded in here. A batch with
anything in it that no run of ours wrote is counted finding by finding, each as far as it can be understood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from scanner.fleet.stats.columns import Columns, Diagnosed, columns_of, diagnosed_of
from scanner.fleet.stats.counts import most_first, share
from scanner.fleet.stats.duplicates import Duplicates
from scanner.fleet.stats.expiry import Expiry
from scanner.fleet.stats.fleet_correlation import Correlation
from scanner.fleet.stats.latency import Latency
from scanner.fleet.stats.run_counts import RunCounts
from scanner.fleet.stats.shared_causes import SharedCauses
from scanner.fleet.stats.target_series import TargetSeries, sample_of
from scanner.output import BAD_SHAPE_ERRORS, Unreadable

# Reasons counted apart why lines are not findings.
MAX_REASONS: Final = 20
OTHER_REASONS: Final = "(other reasons)"

_Kind = TypeVar("_Kind")


class FleetStats:
    """Statistics of a fleet: ``fold`` columns, or ``add`` findings; ``merge`` with others over the same columns.

    ``max_targets`` are exported one by one (``series``), 0 for none.
    """

    def __init__(self, by: Sequence[str] = (), max_targets: int = 0) -> None:
        self.by = tuple(by)
        self.counts = RunCounts(by)
        self.expiry = Expiry()
        self.latency = Latency()
        self.shared_causes = SharedCauses()
        self.correlation = Correlation()
        self.duplicates = Duplicates()
        self.unreadable: Counter[str] = Counter()  # lines by why they are not findings
        self.series = TargetSeries(max_targets) if max_targets else None
        self._last = ""  # when the last target was taken up

    def add_batch(self, findings: Sequence[Mapping[str, Any]]) -> None:
        """Count findings; those not shaped like ours count as far as they can be understood."""
        try:
            columns = columns_of(findings, self.by, samples=self.series is not None)
        except BAD_SHAPE_ERRORS:
            for finding in findings:
                self.add(finding)
        else:
            self.fold(columns)

    def add(self, finding: Mapping[str, Any]) -> None:
        """Count one finding, as far as it can be understood."""
        try:
            columns = columns_of((finding,), self.by, samples=self.series is not None)
        except BAD_SHAPE_ERRORS:
            if self.counts.add(finding):
                self._correlate([diagnosed_of(finding, ())])
                if self.series is not None and (sample := sample_of(finding)) is not None:
                    self.series.add(sample)
            else:
                self._add_unreadable("has no target or no outcome", 1)
        else:
            self.fold(columns)

    def add_line(self, line: Unreadable) -> None:
        """Count a line that is not a finding, by why."""
        self.counts.unreadable_lines += 1
        self._add_unreadable(line.reason.partition(" (")[0], 1)

    def _add_unreadable(self, reason: str, count: int) -> None:
        if reason not in self.unreadable and len(self.unreadable) >= MAX_REASONS:
            reason = OTHER_REASONS
        self.unreadable[reason] += count

    def fold(self, columns: Columns) -> None:
        """Count what columns hold."""
        counts, correlation = self.counts, self.correlation
        counts.note(columns.rows, columns.columns)
        self.expiry.add(columns.leaves)
        for stage, durations in columns.durations.items():
            self.latency.add(stage, durations)
        for run, rows in columns.rows.items():
            self.duplicates.add(run, rows)
        self._last = max(self._last, columns.last)
        self._count(columns.outcomes, columns.groups, lambda outcome: (outcome, None, ()))
        correlation.targets += len(columns.outcomes) - columns.outcomes.count("invalid")
        for seen in columns.seen:
            correlation.add(seen)
        if columns.diagnosed:
            kinds, groups = [kind for kind, *_ in columns.diagnosed], [names for _, names, *_ in columns.diagnosed]
            self._count(kinds, groups, lambda kind: (kind.outcome, kind.primary, kind.codes))
            self._correlate(columns.diagnosed)
        if self.series is not None:
            for sample in columns.samples:
                self.series.add(sample)

    def _count(
        self,
        kinds: Sequence[_Kind],
        groups: Sequence[Sequence[str | None]],
        counted: Callable[[_Kind], tuple[str, str | None, Sequence[tuple[str, str]]]],
    ) -> None:
        """Count findings by what they have in common; ``counted`` is what ``GroupCounts.add`` takes of one."""
        for kind, count in Counter(kinds).items():
            self.counts.total.add(*counted(kind), count)
        for column, values in zip(self.by, zip(*groups, strict=True), strict=False):
            for (value, kind), count in Counter(zip(values, kinds, strict=True)).items():
                self.counts.group(column, value).add(*counted(kind), count)

    def _correlate(self, diagnosed: Sequence[Diagnosed]) -> None:
        add_roots, correlation = self.shared_causes.add, self.correlation
        for kind, _, roots, target, seen in diagnosed:
            correlation.targets += kind.outcome != "invalid"
            if roots:
                add_roots(roots, target)
            if seen is not None:
                correlation.add(seen)

    def merge(self, other: FleetStats) -> None:
        """Add what ``other`` counted; it must have been made for the same columns."""
        self.counts.merge(other.counts)
        self.expiry.merge(other.expiry)
        self.latency.merge(other.latency)
        self.shared_causes.merge(other.shared_causes)
        self.correlation.merge(other.correlation)
        self.duplicates.merge(other.duplicates)
        if self.series is not None and other.series is not None:
            self.series.merge(other.series)
        for reason, count in other.unreadable.items():
            self._add_unreadable(reason, count)
        self._last = max(self._last, other._last)

    def why_unreadable(self) -> list[tuple[str, int]]:
        """Return the reasons for which lines are not findings, the most frequent first."""
        return most_first(self.unreadable)

    def last_started(self) -> datetime | None:
        """Return when the last target was taken up."""
        try:
            return datetime.fromisoformat(f"{self._last}+00:00")
        except ValueError:
            return None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form of schema ``tlsweep-stats/1``."""
        total = self.counts.total
        last = self.last_started()
        return {
            **self.counts.to_json(),
            "unreadable": dict(self.why_unreadable()),
            "repeated": self.duplicates.count,
            "last_started": None if last is None else f"{self._last}Z",
            "outcome_shares": {outcome: share(number, total.findings) for outcome, number in total.outcomes.items()},
            "codes": self._codes(),
            "shared_causes": self.shared_causes.to_json(),
            "shared_causes_complete": self.shared_causes.complete,
            "expiry": self._expiry(last),
            "latency_ms": self.latency.to_json(),
            "correlation": self.correlation.to_json(),
        }

    def _codes(self) -> dict[str, dict[str, Any]]:
        """Return targets by code, the most frequent first."""
        total = self.counts.total
        found = [
            (number, code, cause) for cause, count in total.by_precedence() for code, number in count.codes.items()
        ]
        return {
            code: {"cause": cause, "targets": number, "share": share(number, total.findings)}
            for number, code, cause in sorted(found, key=lambda item: (-item[0], item[1:]))
        }

    def _expiry(self, last: datetime | None) -> dict[str, Any]:
        shown = self.expiry.to_json()
        if last is not None:
            expired, within = self.expiry.within(last.date())
            shown |= {"expired": expired, "within_days": {str(span): services for span, services in within.items()}}
        return shown
