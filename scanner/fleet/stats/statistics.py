"""All that ``tlsweep stats`` tells of a fleet, in one pass: the counts of a scan, and expiry, latency, shared causes, and
what the fleet says as a whole. Parts of a fleet add up to the whole, in any order.

Findings are folded a batch at a time. Most are in order and are counted by columns (``scanner.fleet.stats.columns``); a batch with
anything in it that no run of ours wrote is folded one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from scanner.fleet.stats.clusters import Clusters, Root, roots_among, roots_of, target_of
from scanner.fleet.stats.columns import Batch
from scanner.fleet.stats.counts import Stats
from scanner.fleet.stats.expiry import Expiry
from scanner.fleet.stats.finding_kinds import MAX_SORTS, Sort, sort_of
from scanner.fleet.stats.fleet_correlation import Correlation, Seen
from scanner.fleet.stats.latency import Latency
from scanner.fleet.stats.repeats import Repeats
from scanner.fleet.stats.tally import Tally, share
from scanner.output import FOREIGN, Unreadable

# Reasons told apart why lines are no findings.
MAX_REASONS: Final = 20
OTHER_REASONS: Final = "(other reasons)"


# What is counted of a finding that has a diagnosis: its sort, its groups, its roots, its name if it has some, what it tells.
_Told = tuple[Sort, Sequence[str], Mapping[Root, str] | None, str, Seen | None]


class Statistics(Stats):
    """The fold; see ``Stats`` for what a scan counts too."""

    of_fleet = True

    def __init__(self, by: Sequence[str] = ()) -> None:
        self._waiting: Counter[Sort] = Counter()  # to be counted in ``total``
        super().__init__(by)
        self.expiry = Expiry()
        self.latency = Latency()
        self.clusters = Clusters()
        self.correlated = Correlation()
        self.repeats = Repeats()
        self.reasons: Counter[str] = Counter()
        self._last = ""  # when the last target was taken up

    @property
    def total(self) -> Tally:
        """The counts of all findings."""
        if self._waiting:
            self._settle()
        return self._total

    @total.setter
    def total(self, tally: Tally) -> None:
        self._total = tally

    def _settle(self) -> None:
        for sort, count in self._waiting.items():
            self._total.add(sort.outcome, sort.primary, sort.codes, count)
        self._waiting.clear()

    def __getstate__(self) -> dict[str, Any]:
        self._settle()  # sorts are not for other processes
        return self.__dict__

    def batch(self, findings: Iterable[Mapping[str, Any]]) -> Batch[Any]:
        """What there is to count in findings, which are gone afterwards. Raises ``FOREIGN`` for those not shaped like ours."""
        return Batch(findings, self._look, self.names if self.by else None)

    def add_batch(self, findings: Sequence[Mapping[str, Any]]) -> None:
        """Count findings; those not shaped like findings of ours count as far as they can be understood."""
        try:
            self.fold(self.batch(findings))
        except FOREIGN:
            for finding in findings:
                self.add(finding)

    def add(self, finding: Mapping[str, Any]) -> None:
        """Count one finding."""
        before = self.unreadable_lines
        super().add(finding)
        if self.unreadable_lines != before:
            self._reason("has no target or no outcome", 1)
            return
        _, _, roots, target, seen = self._tell(finding, ())
        if roots:
            self.clusters.add(roots, target)
        if finding["outcome"] != "invalid":
            self.correlated.targets += 1
            if seen is not None:
                self.correlated.add(seen)
        try:
            self._add_measured(Batch((finding,), _nothing))
        except FOREIGN:
            pass  # a finding of somebody else's, without what is measured here

    def add_line(self, line: Unreadable) -> None:
        """Count a line that is no finding, by why it is none."""
        self.add_unreadable()
        self._reason(line.reason.partition(" (")[0], 1)

    def _reason(self, reason: str, count: int) -> None:
        if reason not in self.reasons and len(self.reasons) >= MAX_REASONS:
            reason = OTHER_REASONS
        self.reasons[reason] += count

    def _look(self, finding: Mapping[str, Any], told: bool) -> Any:
        """What is kept of a finding in which there may be more: ``None`` if nothing."""
        if told:
            return self._tell(finding, self.names(finding, finding["target"]["tags"]) if self.by else ())
        return None if finding["outcome"] == "invalid" else self.correlated.look(finding)

    def _tell(self, finding: Mapping[str, Any], groups: Sequence[str]) -> _Told:
        sort = sort_of(finding)
        roots: Mapping[Root, str] | None = None
        if sort.rootings:
            roots = roots_among(finding, finding["diagnoses"], sort.rootings)
        elif sort.rootings is None:
            roots = roots_of(finding)
        return (
            sort,
            groups,
            roots,
            target_of(finding) if roots else "",
            None if sort.outcome == "invalid" else self.correlated.look(finding, sort),
        )

    def fold(self, batch: Batch[Any]) -> None:
        """Count what a batch holds."""
        self._add_measured(batch)
        self.note(batch.rows, batch.columns)
        if batch.telling:
            self._add_telling(batch.telling)
        for outcome in {*batch.outcomes}:
            self._total.add_quiet(outcome, batch.outcomes.count(outcome))
        for column, values in zip(self.by, zip(*batch.groups, strict=True), strict=False):
            for (value, outcome), count in Counter(zip(values, batch.outcomes, strict=True)).items():
                self.group(column, value).add_quiet(outcome, count)
        correlated = self.correlated
        correlated.targets += len(batch.outcomes) - batch.outcomes.count("invalid")
        for seen in batch.asked_more:
            correlated.add(seen)

    def _add_telling(self, telling: Sequence[_Told]) -> None:
        sorts = [sort for sort, *_ in telling]
        groups = [names for _, names, *_ in telling]
        self._waiting.update(sorts)
        full = len(self._waiting) > MAX_SORTS
        for column, values in zip(self.by, zip(*groups, strict=True), strict=False):
            for (value, sort), count in Counter(zip(values, sorts, strict=True)).items():
                self.group(column, value).add(sort.outcome, sort.primary, sort.codes, count)
        add_roots, correlated = self.clusters.add, self.correlated
        correlated.targets += len(sorts)
        for sort, _, roots, target, seen in telling:
            if sort.outcome == "invalid":
                correlated.targets -= 1
            if roots:
                add_roots(roots, target)
            if seen is not None:
                correlated.add(seen)
            full = full or not sort.remembered
        if full:  # what is not remembered may be as large as a finding
            self._settle()

    def _add_measured(self, batch: Batch[Any]) -> None:
        self.expiry.add(batch.leaves)
        for stage, durations in batch.durations.items():
            if durations:
                self.latency.add(stage, durations)
        for run, rows in batch.rows.items():
            self.repeats.add(run, rows)
        if batch.last > self._last:
            self._last = batch.last

    def merge(self, other: Stats) -> None:
        """Add what ``other`` counted; it must have been made for the same columns."""
        super().merge(other)
        if isinstance(other, Statistics):
            self.expiry.merge(other.expiry)
            self.latency.merge(other.latency)
            self.clusters.merge(other.clusters)
            self.correlated.merge(other.correlated)
            self.repeats.merge(other.repeats)
            for reason, count in other.reasons.items():
                self._reason(reason, count)
            self._last = max(self._last, other._last)

    def why_unreadable(self) -> list[tuple[str, int]]:
        """Reasons for which lines are no findings, the most frequent first."""
        return sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))

    def last_started(self) -> datetime | None:
        """When the last target was taken up."""
        try:
            return datetime.fromisoformat(f"{self._last}+00:00")
        except ValueError:
            return None

    def correlation(self) -> dict[str, Any]:
        """What all findings together say, and what that changes."""
        return self.correlated.to_json()

    def to_json(self) -> dict[str, Any]:
        """The JSON form of schema ``tlsweep-stats/1``."""
        counted = super().to_json()
        last = self.last_started()
        return {
            **counted,
            "unreadable": dict(self.why_unreadable()),
            "repeated": self.repeats.count,
            "last_started": None if last is None else f"{self._last}Z",
            "outcome_shares": {
                outcome: share(number, self.total.findings) for outcome, number in self.total.outcomes.items()
            },
            "codes": self._codes(),
            "shared_causes": self.clusters.to_json(),
            "shared_causes_complete": self.clusters.complete,
            "expiry": self._expiry(last),
            "latency_ms": self.latency.to_json(),
            "correlation": self.correlation(),
        }

    def _codes(self) -> dict[str, dict[str, Any]]:
        """Targets by code, the most frequent first."""
        found = [
            (number, code, cause) for cause, count in self.total.in_order() for code, number in count.codes.items()
        ]
        return {
            code: {"cause": cause, "targets": number, "share": share(number, self.total.findings)}
            for number, code, cause in sorted(found, key=lambda item: (-item[0], item[1:]))
        }

    def _expiry(self, last: datetime | None) -> dict[str, Any]:
        shown = self.expiry.to_json()
        if last is not None:
            expired, within = self.expiry.within(last.date())
            shown |= {"expired": expired, "within_days": {str(span): services for span, services in within.items()}}
        return shown


def _nothing(_finding: Mapping[str, Any], _told: bool) -> None:
    return None
