"""What becomes a time series of its own: each target with its outcome, cause and expiry, and each certificate in use.

A monitoring system keeps every series for long, so their number has a limit. Beyond it the targets that matter most are kept
(failures, then warnings, then those that expire first) and the certificates that expire first, and what is left out is counted.
Which these are does not depend on the order in which findings come.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct

from scanner.fleet.keys import records_in
from scanner.fleet.owners import owner_column
from scanner.fleet.stats.shared_causes import target_of
from scanner.model.findings import OUTCOMES

# Targets and certificates with series of their own where nothing else is asked for: with two series each, some 20,000 of the
# few millions that one Prometheus server takes.
MAX_TARGETS: Final = 5000
# Characters of a label's value.
MAX_LABEL: Final = 200
# Addresses of one target that are looked at: what a name has at most.
MAX_ENDPOINTS: Final = 64

# Names and values.
Labels = tuple[tuple[str, str], ...]

_RANKS: Final = {"fail": 0, "warn": 1, "invalid": 2, "ok": 3}
# Sorts after every date.
_NEVER: Final = "\U0010ffff"


class ServedCertificate(Struct, frozen=True, order=True):
    """A certificate as one owner's targets serve it; the first to expire comes first."""

    not_after: str
    sha256: str
    owner: str


class TargetSample(Struct, frozen=True):
    """What is exported of one finding."""

    labels: Mapping[str, str]
    outcome: str
    cause: str
    # of the certificate in use that expires first, at whichever address; empty where none was sent
    not_after: str
    started: str
    # (subject, issuer) of each certificate in use
    certificates: Mapping[ServedCertificate, tuple[str, str]]

    @property
    def key(self) -> Labels:
        """What tells it from all others: no two series of one metric may have the same labels."""
        return tuple(self.labels.items())

    @property
    def importance(self) -> tuple[int, str, Labels]:
        """What matters most sorts first."""
        return _RANKS[self.outcome], self.not_after or _NEVER, self.key

    def replaces(self, other: TargetSample) -> bool:
        """Return True if this is the one to keep of two findings about a target: the later one, the worse one of one moment."""
        if self.started != other.started:
            return self.started > other.started
        return self.importance <= other.importance


def sample_of(finding: Mapping[str, Any]) -> TargetSample | None:
    """Return what is exported of a finding, as far as it can be understood; ``None`` for what has no outcome. Never raises."""
    outcome, cause, target = finding.get("outcome"), finding.get("cause"), finding.get("target")
    if not isinstance(outcome, str) or outcome not in OUTCOMES or not isinstance(target, dict):
        return None
    owner = _owner(target.get("tags"))
    labels = {"target": target_of(finding), "protocol": _text(target.get("protocol"))}
    if target.get("host") is None:
        labels["target"] = f"row {_text(target.get('row'))}"
    if target.get("sni") != target.get("host"):
        labels["sni"] = _text(target.get("sni"))
    labels |= {"address": _text(target.get("address")), "id": _text(target.get("id")), "owner": owner}
    certificates = dict(_in_use(finding, owner))
    return TargetSample(
        labels={name: value for name, value in labels.items() if value},
        outcome=outcome,
        cause=_text(cause),
        not_after=min(certificates, default=_NONE).not_after,
        started=_text(finding.get("started")),
        certificates=certificates,
    )


_NONE: Final = ServedCertificate("", "", "")


def _in_use(finding: Mapping[str, Any], owner: str) -> Iterator[tuple[ServedCertificate, tuple[str, str]]]:
    """Yield the certificates that the target's addresses sent first, with subject and issuer."""
    known = {_text(one.get("sha256")): one for one in records_in(finding.get("certificates"))}
    for place, endpoint in enumerate(records_in(finding.get("endpoints"))):
        chain = endpoint.get("chain")
        if place >= MAX_ENDPOINTS or not isinstance(chain, list) or not chain:
            continue
        sha256 = _text(chain[0])
        record = known.get(sha256)
        if record is not None and timestamp(not_after := _text(record.get("not_after"))) is not None:
            yield (
                ServedCertificate(not_after, sha256, owner),
                (_text(record.get("subject")), _text(record.get("issuer"))),
            )


def _owner(tags: Any) -> str:
    if not isinstance(tags, dict):
        return ""
    column = owner_column(tags)
    return "" if column is None else _text(tags[column]).strip()


def _text(value: Any) -> str:
    """Return a label's value: texts and numbers as they are, at most ``MAX_LABEL`` characters; nothing for all else."""
    if isinstance(value, str):
        return value[:MAX_LABEL]
    return str(value)[:MAX_LABEL] if type(value) in (int, float) else ""


def timestamp(moment: str) -> int | None:
    """Return seconds since the epoch of RFC 3339 text in UTC; ``None`` if it is something else."""
    try:
        return int(datetime.fromisoformat(moment).timestamp()) if moment.endswith("Z") else None
    except (ValueError, OverflowError):
        return None


class TargetSeries:
    """The targets and certificates that are exported, at most ``limit`` of each. ``add`` samples, ``merge`` with others.

    ``limit`` is 1 or more. Of several findings about one target the latest counts, as far as it is kept.
    """

    def __init__(self, limit: int = MAX_TARGETS) -> None:
        self.limit = limit
        self.all_targets = True
        self._targets: dict[Labels, TargetSample] = {}
        self._certificates: dict[ServedCertificate, _Served] = {}
        self._last: ServedCertificate | None = None  # certificates that expire after this one are not kept

    @property
    def all_certificates(self) -> bool:
        """Whether no certificate was left out."""
        return self._last is None

    def add(self, sample: TargetSample) -> None:
        """Take one finding into account."""
        self._add_target(sample)
        for certificate, names in sample.certificates.items():
            self._add_certificate(certificate, names, 1)
        self._trim(2 * self.limit)

    def merge(self, other: TargetSeries) -> None:
        """Add what ``other`` took."""
        self.all_targets &= other.all_targets
        for sample in other._targets.values():
            self._add_target(sample)
        lasts = [last for last in (self._last, other._last) if last is not None]
        if lasts:
            last = self._last = min(lasts)
            self._certificates = {one: served for one, served in self._certificates.items() if one <= last}
        for certificate, served in other._certificates.items():
            self._add_certificate(certificate, served.names, served.targets)
        self._trim(2 * self.limit)

    def targets(self) -> list[TargetSample]:
        """Return the targets that are exported, those that matter most first."""
        self._trim(self.limit)
        return sorted(self._targets.values(), key=_IMPORTANCE)

    def certificates(self) -> list[tuple[ServedCertificate, tuple[str, str], int]]:
        """Return the certificates that are exported with subject and issuer and how many targets serve each, the first to expire first."""
        self._trim(self.limit)
        # a fingerprint with two dates is forged, and would be one series twice
        first = {(one.sha256, one.owner): one for one in sorted(self._certificates, reverse=True)}
        return [(one, (served := self._certificates[one]).names, served.targets) for one in sorted(first.values())]

    def _add_target(self, sample: TargetSample) -> None:
        known = self._targets.get(sample.key)
        if known is None or sample.replaces(known):
            self._targets[sample.key] = sample

    def _add_certificate(self, certificate: ServedCertificate, names: tuple[str, str], targets: int) -> None:
        if self._last is not None and certificate > self._last:
            return
        if (served := self._certificates.get(certificate)) is None:
            served = self._certificates[certificate] = _Served(names)
        served.targets += targets

    def _trim(self, above: int) -> None:
        """Keep ``limit`` targets and certificates where there are more than ``above``."""
        if len(self._targets) > above:
            kept = heapq.nsmallest(self.limit, self._targets.values(), key=_IMPORTANCE)
            self._targets = {sample.key: sample for sample in kept}
            self.all_targets = False
        if len(self._certificates) > above:
            first = sorted(self._certificates)[: self.limit]
            self._certificates = {one: self._certificates[one] for one in first}
            self._last = first[-1]


_IMPORTANCE: Final = attrgetter("importance")


class _Served(Struct):
    """A certificate's subject and issuer, and how many targets serve it."""

    names: tuple[str, str]
    targets: int = 0
