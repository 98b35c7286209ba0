"""The JSON form of statistics, schema ``tlsweep-stats/1``. These types are the schema.

``tlsweep schema stats`` is made from them, with the text under each field as its description. Fields are only ever added
within ``tlsweep-stats/1``.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class OutcomeCounts(TypedDict):
    """Findings by outcome."""

    ok: int
    """Nothing is wrong."""
    warn: int
    """No mainstream client would refuse, but something will or might; or tlsweep itself failed."""
    fail: int
    """A mainstream client would refuse."""
    invalid: int
    """Rows of the inventory that cannot be used."""


class OutcomeShares(TypedDict):
    """Shares of all findings by outcome, from 0 to 1."""

    ok: float
    """Share of those in which nothing is wrong."""
    warn: float
    """Share of those with a warning."""
    fail: float
    """Share of those that a mainstream client would refuse."""
    invalid: float
    """Share of rows that cannot be used."""


class CauseRecord(TypedDict):
    """Counts of one cause."""

    targets: int
    """Targets with any diagnosis of the cause, notes included."""
    share: float
    """Their share of all findings (of the group), from 0 to 1."""
    primary: int
    """Targets whose finding is named by the cause."""
    codes: dict[str, int]
    """Targets by code, the most frequent first."""


class CodeRecord(TypedDict):
    """Counts of one code."""

    cause: str
    """The cause that it belongs to."""
    targets: int
    """Targets with a diagnosis of the code."""
    share: float
    """Their share of all findings, from 0 to 1."""


class GroupRecord(TypedDict):
    """The findings with one value of a column."""

    findings: int
    """How many there are."""
    outcomes: OutcomeCounts
    """The same by outcome."""
    causes: dict[str, CauseRecord]
    """Counts of all fifteen causes, in order of precedence."""


class SharedCauseRecord(TypedDict):
    """A root that several targets share, so that one repair mends them."""

    code: str
    """The code that each of the targets has."""
    kind: str
    """What the key is: ``certificate``, ``address``, ``issuer``, ``domain``, ``product``, ..."""
    key: str
    """What the targets share; of a certificate its SHA-256."""
    name: NotRequired[str]
    """Subject of the certificate."""
    targets: int
    """How many targets share it."""
    examples: list[str]
    """Some of them, the first in the alphabet: host and port."""


class ExpiringRecord(TypedDict):
    """A certificate that expires."""

    sha256: str
    """SHA-256 of its DER, hex."""
    not_after: str
    """When it expires (RFC 3339)."""
    services: int
    """Targets that sent it as their own."""


class ExpiryRecord(TypedDict):
    """When the certificates expire that the targets sent as their own. A service is one target."""

    by_day: dict[str, int]
    """Services by day (``2027-02-11``), in order."""
    by_week: dict[str, int]
    """Services by ISO week (``2027-W06``)."""
    by_month: dict[str, int]
    """Services by month (``2027-02``)."""
    certificates: list[ExpiringRecord]
    """The thousand certificates that expire first."""
    expired: NotRequired[int]
    """Services whose certificate had expired on the day of ``last_started``."""
    within_days: NotRequired[dict[str, int]]
    """Services whose certificate expires within so many days from then."""


class LatencyRecord(TypedDict):
    """Milliseconds that one stage took, right to 1 %."""

    count: int
    """How often it was measured."""
    p50: float
    """Half of them took no longer."""
    p90: float
    """Nine of ten took no longer."""
    p99: float
    """99 of a hundred took no longer."""
    max: float
    """The longest."""


class ChangesRecord(TypedDict):
    """What a verdict of the fleet changes."""

    targets: int
    """Targets that it explains."""
    said: int
    """Findings of these that say so already."""
    reclassified: dict[str, int]
    """Findings named by the verdict's cause, by the cause of their first error beside it."""
    otherwise: dict[str, int]
    """Findings named by another cause, by that one: written before the fleet was known (``tlsweep diagnose`` judges them
    again), or where the verdict is a warning only."""


class ClockRecord(ChangesRecord):
    """The clock of the machine that made a run."""

    state: Literal["confirmed", "wrong", "unknown"]
    """What independent witnesses say of it."""
    offset_seconds: NotRequired[float]
    """Seconds to add to it."""
    witnesses: list[dict[str, Any]]
    """Some of the witnesses."""
    run: NotRequired[str]
    """The run."""


class InterceptorRecord(ChangesRecord):
    """An issuer that nobody trusts and that signs for unrelated names."""

    issuer: str
    """Its name (RFC 4514 text)."""
    certain: bool
    """More than the number of names says that it intercepts."""
    evidence: dict[str, Any]
    """Names, and the reasons."""


class PortalRecord(ChangesRecord):
    """A login or block page that answers in place of others."""

    to: str
    """The page."""
    evidence: dict[str, Any]
    """What proves it."""


class BlockedRecord(ChangesRecord):
    """Hosts for OCSP, CRLs and issuers cannot be reached from where the scan ran."""

    evidence: dict[str, Any]
    """Some of the hosts."""
    runs: list[str]
    """The runs in which that was so."""


class CorrelationRecord(TypedDict):
    """What all findings together say."""

    clock: ClockRecord
    """The clock of which there is most to say: a wrong one, if any is."""
    clocks: dict[str, ClockRecord]
    """By run, where witnesses say anything of it."""
    interceptors: list[InterceptorRecord]
    """Issuers that intercept, those that explain most first."""
    portals: list[PortalRecord]
    """Pages that answer in place of others."""
    revocation_blocked: BlockedRecord | None
    """``null`` where revocation hosts were reached, or too few were tried."""
    findings: dict[str, int]
    """Findings by those codes that only the fleet gives."""


class StatisticsRecord(TypedDict):
    """Statistics over findings."""

    schema: Literal["tlsweep-stats/1"]
    """Name and version of this schema."""
    findings: int
    """Findings counted. Those of several runs, and those met twice, all count."""
    unreadable_lines: int
    """Lines that hold no finding, blank ones aside."""
    runs: list[str]
    """Identifiers of the runs, in order; the first thousand that were met."""
    outcomes: OutcomeCounts
    """Findings by outcome."""
    causes: dict[str, CauseRecord]
    """Counts of all fifteen causes, in order of precedence; then of any other that a file names."""
    by: dict[str, dict[str, GroupRecord]]
    """Column asked for (``--by``) -> value -> its counts, the largest first. Beyond 10,000 values the further ones count
    under ``(other values)``; findings without one under the empty text."""
    unreadable: dict[str, int]
    """Lines that hold no finding, by why they hold none."""
    repeated: int
    """Findings of a run and a row of the inventory that another one was of already."""
    last_started: str | None
    """When the last target was taken up (RFC 3339, UTC)."""
    outcome_shares: OutcomeShares
    """Shares of all findings by outcome."""
    codes: dict[str, CodeRecord]
    """Counts by code, the most frequent first."""
    shared_causes: list[SharedCauseRecord]
    """Roots that more than one target shares, the 200 largest."""
    shared_causes_complete: bool
    """``false`` where there were so many roots that rare ones were dropped; counts are then the least they can be."""
    expiry: ExpiryRecord
    """When certificates expire."""
    latency_ms: dict[str, LatencyRecord]
    """Milliseconds by stage: ``connect``, ``starttls``, ``handshake``, ``total`` (all that was asked of a target)."""
    correlation: CorrelationRecord
    """What the fleet says as a whole."""
