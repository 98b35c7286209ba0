"""Targets and certificates one by one, in bounded number, whatever the order of findings."""

from __future__ import annotations

import random
from typing import Any

import pytest

from scanner.fleet.stats.target_series import TargetSeries, sample_of, timestamp
from tests.helpers.hostile import hostile_finding, misshapen
from tests.helpers.made import certificate, diagnosis, finding, invalid, sha256

EARLY, LATE = "2026-12-01T00:00:00Z", "2027-05-01T00:00:00Z"


def series_of(findings: list[dict[str, Any]], limit: int = 100) -> TargetSeries:
    series = TargetSeries(limit)
    for one in findings:
        sample = sample_of(one)
        assert sample is not None
        series.add(sample)
    return series


def shown(series: TargetSeries) -> tuple[Any, ...]:
    return (
        [(one.labels, one.outcome, one.not_after) for one in series.targets()],
        series.certificates(),
        series.all_targets,
        series.all_certificates,
    )


def estate(size: int = 40) -> list[dict[str, Any]]:
    """Every fourth fails; certificates expire on different days, and each second is shared by two targets of two owners."""
    made = []
    for row in range(1, size + 1):
        leaf = certificate(f"c{row // 2}", not_after=f"2027-01-{1 + row // 2 % 28:02}T00:00:00Z")
        errors = [diagnosis("certificate-expired")] if row % 4 == 0 else []
        made.append(finding(row, f"h{row}", *errors, leaf=leaf, tags={"Team": ("web", "mail")[row % 2]}))
    return made


def test_a_target_has_its_outcome_cause_owner_and_expiry() -> None:
    (one,) = series_of(
        [finding(1, "a.example", diagnosis("certificate-expired"), tags={"site": "x", "Service Owner": " web "})]
    ).targets()
    assert one.labels == {"target": "a.example:443", "protocol": "tls", "owner": "web"}
    assert (one.outcome, one.cause, one.not_after) == ("fail", "expired-or-self-signed", "2027-02-11T02:00:00Z")


def test_the_first_to_expire_at_any_address_counts() -> None:
    """Two nodes with their own certificates, and an issuer that expires even earlier and is no service's certificate."""
    leaf, node = certificate("a", not_after=LATE), certificate("b", not_after=EARLY)
    issuer = certificate("ca", not_after="2026-11-30T00:00:00Z")
    one = finding(1, "a.example", leaf=leaf)
    other = {**one["endpoints"][0], "address": "192.0.2.2", "chain": [sha256("b"), sha256("ca")]}
    one["endpoints"].append(other)
    one["endpoints"].append({**other, "address": "192.0.2.3"})
    one["certificates"] += [node, issuer]
    series = series_of([one])
    assert [target.not_after for target in series.targets()] == [EARLY]
    assert [(served.sha256, targets) for served, _, targets in series.certificates()] == [
        (sha256("b"), 1),
        (sha256("a"), 1),
    ]


def test_a_certificate_is_counted_for_each_owner_apart() -> None:
    leaf = certificate("*.example")
    rows = [finding(row, f"h{row}", leaf=leaf, tags={"owner": owner}) for row, owner in enumerate(("b", "a", "b"))]
    assert [(one.owner, targets) for one, _, targets in series_of(rows).certificates()] == [("a", 1), ("b", 2)]


def test_rows_that_differ_are_different_series() -> None:
    plain = finding(1, "a.example")
    others: list[dict[str, Any]] = [
        {"sni": "b.example"}, {"address": "192.0.2.9"}, {"id": "cmdb-7"}, {"id": 7}, {"port": 8443}, {"protocol": "smtp"}
    ]  # fmt: skip
    rows = [plain, *({**plain, "target": {**plain["target"], **other}} for other in others), invalid(3), invalid(4)]
    labels = [tuple(sorted(one.labels.items())) for one in series_of(rows).targets()]
    assert len(set(labels)) == len(rows)
    assert (("target", "row 3"),) in labels


def test_the_latest_finding_about_a_target_counts_and_of_one_moment_the_worst() -> None:
    failing = finding(1, "a.example", diagnosis("certificate-expired"))
    healthy = finding(2, "a.example")
    for rows in ([failing, healthy], [healthy, failing]):
        assert [one.outcome for one in series_of(rows).targets()] == ["fail"]
    later = finding(1, "a.example", started="2026-11-24T02:00:00.000Z")
    for rows in ([failing, later], [later, failing]):
        assert [one.outcome for one in series_of(rows).targets()] == ["ok"]


@pytest.mark.parametrize("limit", [1, 7, 12, 100])
def test_what_is_kept_depends_neither_on_order_nor_on_parts(limit: int) -> None:
    rows = estate()
    expected = shown(series_of(rows, limit))
    assert len(expected[0]) <= limit and len(expected[1]) <= limit
    assert expected[2] == (limit >= 40) and expected[3] == (limit >= 41)
    shuffled = rows[:]
    random.Random(7).shuffle(shuffled)
    assert shown(series_of(shuffled, limit)) == expected
    merged = TargetSeries(limit)
    for start in range(0, len(shuffled), 9):
        merged.merge(series_of(shuffled[start : start + 9], limit))
    assert shown(merged) == expected


def test_failures_are_kept_before_warnings_and_those_before_what_expires_first() -> None:
    rows = [
        finding(1, "ok-early", leaf=certificate("a", not_after=EARLY)),
        finding(2, "warned", diagnosis("expires-soon"), leaf=certificate("b", not_after=LATE)),
        finding(3, "ok-late", leaf=certificate("c", not_after=LATE)),
        finding(4, "failed", diagnosis("certificate-expired"), leaf=certificate("d", not_after=LATE)),
    ]
    assert [one.labels["target"] for one in series_of(rows, 3).targets()] == [
        "failed:443", "warned:443", "ok-early:443"
    ]  # fmt: skip


def test_counts_of_kept_certificates_are_exact() -> None:
    """What was dropped once never comes back, so no count can lack targets."""
    rows = [finding(row, f"h{row}", leaf=certificate(f"c{row % 10}", not_after=f"2027-01-{1 + row % 10:02}T00:00:00Z"))
            for row in range(200)]  # fmt: skip
    for limit in (1, 3, 9):
        assert [targets for *_, targets in series_of(rows, limit).certificates()] == [20] * limit


def test_no_series_comes_twice() -> None:
    """Prometheus refuses a whole file in which two lines have the same labels."""
    number, text = finding(1, "a.example", id=None), finding(2, "a.example")
    number["target"]["id"], text["target"]["id"] = 7, "7"
    long = [finding(3, "x" * 5000), finding(4, "x" * 5001)]
    assert len(series_of([number, text, *long]).targets()) == 2
    forged = [finding(5, "b", leaf=certificate("b", not_after=when)) for when in (LATE, EARLY)]
    assert [one.not_after for one, *_ in series_of(forged).certificates()] == [EARLY]


def test_strange_findings_are_taken_as_far_as_they_can_be_understood() -> None:
    series = TargetSeries(50)
    samples = [*map(sample_of, misshapen()), *[sample_of(hostile_finding(number)) for number in range(15)]]
    for sample in samples:
        if sample is not None:
            series.add(sample)
    assert all(isinstance(value, str) for one in series.targets() for value in one.labels.values())
    assert sample_of({}) is None and sample_of({"outcome": "ok", "target": 3}) is None
    assert sample_of({"outcome": ["ok"], "target": {}}) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
        ("1970-01-01T00:01:00", None),
        ("soon", None),
        ("Z", None),
        ("", None),
    ],
)
def test_timestamps(text: str, seconds: int | None) -> None:
    assert timestamp(text) == seconds
