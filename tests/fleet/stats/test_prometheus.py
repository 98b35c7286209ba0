"""What Prometheus reads is what was meant, by the word of its own client."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from scanner.fleet.stats.fleet_stats import FleetStats
from scanner.fleet.stats.prometheus import MAX_SHARED, as_prometheus, prometheus_label
from scanner.fleet.stats.run_counts import RunCounts
from scanner.model.findings import CAUSES
from tests.fleet.stats.test_fleet_stats import estate
from tests.fleet.stats.test_shared_causes import estate as shared_estate
from tests.helpers.hostile import TEXTS, hostile_finding, misshapen
from tests.helpers.made import diagnosis, finding

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """(name, labels) -> value; each once, with HELP and TYPE before it."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge" and family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.name == family.name
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def folded(findings: list[dict[str, Any]], *by: str) -> FleetStats:
    statistics = FleetStats(by)
    statistics.add_batch(findings)
    return statistics


def printed(statistics: FleetStats) -> str:
    return as_prometheus(statistics.counts, statistics)


NAMES = {
    "tlsweep_findings", "tlsweep_unreadable_lines", "tlsweep_repeated_findings", "tlsweep_cause_targets",
    "tlsweep_cause_primary", "tlsweep_code_targets", "tlsweep_group_findings", "tlsweep_group_cause_targets",
    "tlsweep_last_started_timestamp_seconds", "tlsweep_services_expired", "tlsweep_services_expiring",
    "tlsweep_stage_duration_seconds", "tlsweep_shared_cause_targets", "tlsweep_runs_with_wrong_clock",
    "tlsweep_intercepting_issuers", "tlsweep_revocation_blocked",
}  # fmt: skip


def test_metric_names_are_these() -> None:
    """Alerts and dashboards depend on them."""
    assert {name for name, _ in samples(printed(folded(estate(), "owner")))} == NAMES


def test_values_of_an_estate() -> None:
    found = samples(printed(folded(estate(), "owner")))
    assert value(found, "tlsweep_findings", outcome="fail") == 11
    assert value(found, "tlsweep_repeated_findings") == 2
    assert value(found, "tlsweep_group_findings", column="owner", value="web", outcome="fail") == 4
    assert value(found, "tlsweep_code_targets", cause="untrusted-ca", code="untrusted-root") == 5
    assert value(found, "tlsweep_last_started_timestamp_seconds") == 1_795_658_400
    assert value(found, "tlsweep_services_expiring", within_days="90") == 26
    assert value(found, "tlsweep_stage_duration_seconds", stage="handshake", quantile="0.5") == pytest.approx(
        0.01, rel=0.02
    )
    assert value(found, "tlsweep_runs_with_wrong_clock") == 1
    assert value(found, "tlsweep_intercepting_issuers") == 1
    assert value(found, "tlsweep_revocation_blocked") == 1
    assert [value(found, "tlsweep_cause_targets", cause=cause) for cause in CAUSES]


def test_at_most_max_shared_roots_are_exported() -> None:
    rows = range(1, 101)
    many = [finding(row, f"h{row}", diagnosis("weak-key", certificate=f"{row % 50}")) for row in rows]
    found = samples(printed(folded([*shared_estate(), *many])))
    shared = [key for key in found if key[0] == "tlsweep_shared_cause_targets"]
    assert len(shared) == MAX_SHARED
    assert value(
        found, "tlsweep_shared_cause_targets", code="intermediate-expired", kind="certificate", key="ca" * 32
    ) == 40  # fmt: skip


def test_no_findings_are_zeros() -> None:
    for text in (as_prometheus(RunCounts()), printed(FleetStats())):
        assert value(samples(text), "tlsweep_findings", outcome="ok") == 0


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from((*TEXTS, "\\", '"', "\n", "\r", "\\n", "}")))
def test_any_text_is_one_label(text: str) -> None:
    line = f'a{{b="{prometheus_label(text)}"}} 1'
    assert "\n" not in line
    assert samples(f"# HELP a A.\n# TYPE a gauge\n{line}\n") == {("a", frozenset({("b", text)})): 1.0}


SERIES = {
    "tlsweep_target_outcome", "tlsweep_target_expiry_timestamp_seconds", "tlsweep_certificate_expiry_timestamp_seconds",
    "tlsweep_certificate_targets", "tlsweep_series_complete",
}  # fmt: skip


def exported(findings: list[dict[str, Any]], max_targets: int = 5000) -> Samples:
    statistics = FleetStats(("owner",), max_targets)
    statistics.add_batch(findings)
    return samples(printed(statistics))


def test_targets_and_certificates_have_series_of_their_own() -> None:
    row = finding(7, "a.example", diagnosis("certificate-expired"), tags={"team": "web"})
    found = exported([row, *estate()])
    assert {name for name, _ in found} == NAMES | SERIES
    labels = {"target": "a.example:443", "protocol": "tls", "owner": "web"}
    cause = "expired-or-self-signed"
    assert value(found, "tlsweep_target_outcome", **labels, outcome="fail", cause=cause) == 1
    moment = value(found, "tlsweep_target_expiry_timestamp_seconds", **labels)
    assert moment == 1_802_311_200
    served = {"sha256": row["certificates"][0]["sha256"], "subject": "CN=a.example", "issuer": "CN=Made CA"}
    assert value(found, "tlsweep_certificate_expiry_timestamp_seconds", **served, owner="web") == moment
    assert value(found, "tlsweep_certificate_targets", **served, owner="web") == 1
    assert value(found, "tlsweep_series_complete", of="targets") == 1


def test_the_number_of_series_has_a_bound_that_is_reported() -> None:
    found = exported([finding(row, f"h{row}") for row in range(50)], 10)
    for name in SERIES - {"tlsweep_series_complete"}:
        assert sum(one == name for one, _ in found) == 10
    assert value(found, "tlsweep_series_complete", of="targets") == 0
    assert value(found, "tlsweep_series_complete", of="certificates") == 0
    assert value(found, "tlsweep_findings", outcome="ok") == 50


def test_hostile_findings_give_valid_series() -> None:
    found = exported([hostile_finding(number) for number in range(40)] + misshapen())
    assert sum(name == "tlsweep_target_outcome" for name, _ in found) > 13


def test_hostile_groups_and_roots() -> None:
    made = [
        finding(row, text, diagnosis("known-middlebox", product=text), tags={"owner": text})
        for row, text in enumerate([*TEXTS, *TEXTS])
    ]
    found = samples(printed(folded(made, "owner", "host")))
    for text in TEXTS[:-1]:
        assert value(found, "tlsweep_group_findings", column="owner", value=text, outcome="fail") == 2
        assert value(found, "tlsweep_shared_cause_targets", code="known-middlebox", kind="product", key=text) == 2
