"""All that ``tlsweep stats`` tells of a fleet, in one pass: the counts of a scan, and expiry, latency, shared causes, and
what the fleet says as a whole. Parts of a fleet add up to the whole.

Findings are folded a batch at a time. Most are in order and are counted by columns, a comprehension for each, which is
several times faster than finding by finding; a batch with anything in it that no run of ours wrote is folded one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

from scanner.correlate.facts import facts_of_finding
from scanner.correlate.fold import Fold
from scanner.correlate.verdicts import FleetVerdict
from scanner.fleet.clusters import Clusters
from scanner.fleet.expiry import Expiry
from scanner.fleet.latency import Latency
from scanner.fleet.stats import Stats, codes_of

# What values that are not where ours are may raise
_FOREIGN: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError)
# Causes that the fleet decides, with the recorded causes that they replace where the whole was not seen then
_BY_CODE: Final = {
    "issuer-across-unrelated-names": "interceptors",
    "captive-portal": "portals",
    "local-clock-wrong": "clock",
    "revocation-blocked": "revocation_blocked",
}


class Statistics(Stats):
    """The fold; see ``Stats`` for what a scan counts too."""

    of_fleet = True

    def __init__(self, by: Sequence[str] = ()) -> None:
        super().__init__(by)
        self.expiry = Expiry()
        self.latency = Latency()
        self.clusters = Clusters()
        self.fold = Fold()
        self.decided: Counter[str] = Counter()  # targets whose finding has a code that the fleet decides

    def add_batch(self, findings: Sequence[Mapping[str, Any]]) -> None:
        """Count findings; those not shaped like findings of ours count as far as they can be understood."""
        try:
            quiet = [one for one in findings if not one["diagnoses"] and one["cause"] is None]
            columns = _Columns(quiet)
            measured = _Measured(findings)
        except _FOREIGN:
            self._one_by_one(findings)
            return
        for one in findings if len(quiet) < len(findings) else ():
            if one["diagnoses"] or one["cause"] is not None:
                self._add_telling(one)
        self._add_columns(columns, quiet)
        self._add_measured(measured)

    def add(self, finding: Mapping[str, Any]) -> None:
        """Count one finding."""
        self.add_batch([finding])

    def _one_by_one(self, findings: Sequence[Mapping[str, Any]]) -> None:
        for finding in findings:
            before = self.unreadable_lines
            super().add(finding)
            if self.unreadable_lines != before:
                continue
            self.fold.targets += 1
            try:
                self._add_measured(_Measured([finding]))
            except _FOREIGN:
                pass  # a finding of somebody else's, without what is measured here

    def _add_telling(self, finding: Mapping[str, Any]) -> None:
        before = self.unreadable_lines
        super().add(finding)
        if self.unreadable_lines != before:
            return
        self.clusters.add(finding)
        self.fold.add(facts_of_finding(finding))
        self.decided.update({code for _, code in codes_of(finding) if code in _BY_CODE})

    def _add_columns(self, columns: _Columns, quiet: Sequence[Mapping[str, Any]]) -> None:
        for finding in columns.telling:
            self.fold.add(facts_of_finding(finding))
        self.fold.targets += len(quiet) - len(columns.telling)
        for outcome, count in columns.outcomes.items():
            self.total.add_quiet(outcome, count)
        self.note(columns.runs, columns.tags)
        for column in self.by:
            for (value, outcome), count in Counter(
                zip(self.values(column, quiet, columns.tags), columns.listed, strict=True)
            ).items():
                self.group(column, value).add_quiet(outcome, count)

    def _add_measured(self, measured: _Measured) -> None:
        self.expiry.add(measured.leaves)
        for stage, durations in measured.durations.items():
            self.latency.add(stage, durations)

    def merge(self, other: Stats) -> None:
        """Add what ``other`` counted; it must have been made for the same columns."""
        super().merge(other)
        if isinstance(other, Statistics):
            self.expiry.merge(other.expiry)
            self.latency.merge(other.latency)
            self.clusters.merge(other.clusters)
            self.fold.merge(other.fold)
            self.decided.update(other.decided)

    def to_json(self) -> dict[str, Any]:
        """The JSON form of schema ``tlsweep-stats/1``."""
        return {
            **super().to_json(),
            "shared_causes": self.clusters.to_json(),
            "expiry": self.expiry.to_json(),
            "latency_ms": self.latency.to_json(),
            "correlation": self.correlation(),
        }

    def correlation(self) -> dict[str, Any]:
        """What all findings together say, and how many of them say so already."""
        return correlation_json(self.fold.verdict(), self.decided)


class _Columns:
    """Findings without a diagnosis, by column. Raises ``_FOREIGN``."""

    def __init__(self, quiet: Sequence[Mapping[str, Any]]) -> None:
        self.listed: list[str] = [one["outcome"] for one in quiet]
        self.outcomes = Counter(self.listed)
        self.runs = {one["run"] for one in quiet}
        self.tags: list[Mapping[str, Any]] = [one["target"]["tags"] for one in quiet]
        if {type(tags) for tags in self.tags} - {dict} or {type(run) for run in self.runs} - {str}:
            raise TypeError
        self.telling = [one for one in quiet if one["attempts"] > 1 or "revocation" in one]


class _Measured:
    """Leaf certificates and durations of findings. Raises ``_FOREIGN``."""

    __slots__ = ("durations", "leaves")

    def __init__(self, findings: Sequence[Mapping[str, Any]]) -> None:
        leaves = [one["certificates"][0] for one in findings if one["certificates"]]
        self.leaves = [(leaf["not_after"], leaf["sha256"]) for leaf in leaves if leaf["not_after"] is not None]
        "".join(chain.from_iterable(self.leaves))  # raises where one of them is no text
        timings = [one["endpoints"][0]["timing_ms"] for one in findings if one["endpoints"]]
        self.durations: dict[str, list[float]] = {
            "connect": [timing["connect"] for timing in timings if "connect" in timing],
            "handshake": [timing["handshake"] for timing in timings if "handshake" in timing],
            "total": [one["duration_ms"] for one in findings if one["attempts"]],
        }
        if any("starttls" in timing for timing in timings):
            self.durations["starttls"] = [timing["starttls"] for timing in timings if "starttls" in timing]
        for durations in self.durations.values():
            sum(durations)  # raises where one of them is no number


def correlation_json(fleet: FleetVerdict, decided: Mapping[str, int]) -> dict[str, Any]:
    """Verdicts of the fleet as JSON; ``decided`` counts findings by those codes that only the fleet can give."""
    clock: dict[str, Any] = {"state": fleet.clock.state, "witnesses": [dict(one) for one in fleet.clock.witnesses]}
    if fleet.clock.offset is not None:
        clock["offset_seconds"] = fleet.clock.offset
    return {
        "clock": clock,
        "interceptors": [
            {"issuer": verdict.issuer, "certain": verdict.certain, "evidence": dict(verdict.evidence)}
            for verdict in fleet.interceptors.values()
        ],
        "portals": [{"to": name, "evidence": dict(evidence)} for name, evidence in fleet.portals.items()],
        "revocation_blocked": None if fleet.revocation_blocked is None else dict(fleet.revocation_blocked),
        "findings": {code: decided.get(code, 0) for code in _BY_CODE},
    }
