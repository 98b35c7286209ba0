"""Statistics in Prometheus' text exposition format 0.0.4, for a textfile collector. Names and labels stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from scanner.fleet.stats.counts import causes_seen
from scanner.fleet.stats.run_counts import RunCounts, largest_first
from scanner.fleet.stats.target_series import TargetSeries, timestamp
from scanner.model.findings import OUTCOMES

if TYPE_CHECKING:
    from scanner.fleet.stats.fleet_stats import FleetStats

# Shared causes that are exported: each is a time series that Prometheus keeps for long.
MAX_SHARED: Final = 20
QUANTILES: Final = {"p50": "0.5", "p90": "0.9", "p99": "0.99", "max": "1"}

_Metric = Callable[[str, str, Sequence[tuple[Mapping[str, str], float]]], None]


def as_prometheus(counts: RunCounts, fleet: FleetStats | None = None) -> str:
    """Return the statistics in the text exposition format 0.0.4, for a textfile collector."""
    lines: list[str] = []
    total = counts.total

    def metric(name: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> None:
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} gauge")
        for labels, value in samples:
            inside = ",".join(f'{label}="{prometheus_label(text)}"' for label, text in labels.items())
            lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")

    metric("tlsweep_findings", "Targets by outcome.", [({"outcome": o}, total.outcomes[o]) for o in OUTCOMES])
    metric("tlsweep_unreadable_lines", "Lines that held no finding.", [({}, counts.unreadable_lines)])
    causes = total.by_precedence()
    metric(
        "tlsweep_cause_targets",
        "Targets with any diagnosis of the cause.",
        [({"cause": n}, c.targets) for n, c in causes],
    )
    metric(
        "tlsweep_cause_primary",
        "Targets whose finding is named by the cause.",
        [({"cause": n}, c.primary) for n, c in causes],
    )
    metric(
        "tlsweep_code_targets",
        "Targets with a diagnosis of the code.",
        [({"cause": n, "code": code}, count) for n, c in causes for code, count in sorted(c.codes.items())],
    )
    groups = [(column, value, group) for column, values in counts.by.items() for value, group in largest_first(values)]
    if groups:
        metric(
            "tlsweep_group_findings",
            "Targets by outcome and value of a column.",
            [({"column": c, "value": v, "outcome": o}, t.outcomes[o]) for c, v, t in groups for o in OUTCOMES],
        )
        metric(
            "tlsweep_group_cause_targets",
            "Targets with any diagnosis of the cause, by value of a column.",
            [
                ({"column": c, "value": v, "cause": n}, count.targets)
                for c, v, t in groups
                for n, count in causes_seen(t)
            ],
        )
    if fleet is not None:
        _of_the_fleet(fleet, metric)
        if fleet.series is not None:
            _of_targets(fleet.series, metric)
    return "\n".join(lines) + "\n"


def _of_the_fleet(fleet: FleetStats, metric: _Metric) -> None:
    last = fleet.last_started()
    if last is not None:
        metric(
            "tlsweep_last_started_timestamp_seconds",
            "When the last target was taken up, in seconds since the epoch.",
            [({}, int(last.timestamp()))],
        )
        expired, within = fleet.expiry.within(last.date())
        metric("tlsweep_services_expired", "Services whose certificate had expired by then.", [({}, expired)])
        metric(
            "tlsweep_services_expiring",
            "Services whose certificate expires within so many days from then.",
            [({"within_days": str(span)}, services) for span, services in within.items()],
        )
    metric(
        "tlsweep_repeated_findings",
        "Findings of a run and a row of the inventory that another one was of already.",
        [({}, fleet.duplicates.count)],
    )
    metric(
        "tlsweep_stage_duration_seconds",
        "Quantiles of the time that the stages of a probe took.",
        [
            ({"stage": stage, "quantile": quantile}, round(values[name] / 1000, 6))
            for stage, values in fleet.latency.to_json().items()
            for name, quantile in QUANTILES.items()
        ],
    )
    metric(
        "tlsweep_shared_cause_targets",
        "Targets that share one root, the largest few.",
        [
            ({"code": one["code"], "kind": one["kind"], "key": one["key"]}, one["targets"])
            for one in fleet.shared_causes.to_json(MAX_SHARED)
        ],
    )
    correlation = fleet.correlation.to_json()
    wrong = sum(clock["state"] == "wrong" for clock in correlation["clocks"].values())
    metric("tlsweep_runs_with_wrong_clock", "Runs of machines whose clock is wrong, as witnesses say.", [({}, wrong)])
    metric(
        "tlsweep_intercepting_issuers",
        "Issuers that nobody trusts and that sign for unrelated names.",
        [({}, sum(one["certain"] for one in correlation["interceptors"]))],
    )
    blocked = int(correlation["revocation_blocked"] is not None)
    metric("tlsweep_revocation_blocked", "1 where no OCSP, CRL or AIA host could be reached.", [({}, blocked)])


def _of_targets(series: TargetSeries, metric: _Metric) -> None:
    """Write what every target and every certificate has by itself; labels without a value are left out."""
    targets, certificates = series.targets(), series.certificates()
    metric(
        "tlsweep_target_outcome",
        "1 for each target, with its outcome and the cause of a failure as labels.",
        [({**one.labels, **_present({"outcome": one.outcome, "cause": one.cause})}, 1) for one in targets],
    )
    metric(
        "tlsweep_target_expiry_timestamp_seconds",
        "When the first of the certificates expires that a target serves, at whichever address.",
        [(one.labels, moment) for one in targets if (moment := timestamp(one.not_after)) is not None],
    )
    named = [
        ({"sha256": one.sha256, "subject": subject, "issuer": issuer, "owner": one.owner}, one.not_after, count)
        for one, (subject, issuer), count in certificates
    ]
    metric(
        "tlsweep_certificate_expiry_timestamp_seconds",
        "When a certificate expires that targets of an owner serve.",
        [(_present(labels), moment) for labels, text, _ in named if (moment := timestamp(text)) is not None],
    )
    metric(
        "tlsweep_certificate_targets",
        "Targets of an owner that serve a certificate.",
        [(_present(labels), count) for labels, _, count in named],
    )
    metric(
        "tlsweep_series_complete",
        "0 where there are more targets or certificates than get a series of their own.",
        [({"of": "targets"}, int(series.all_targets)), ({"of": "certificates"}, int(series.all_certificates))],
    )


def _present(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}


def prometheus_label(text: str) -> str:
    """Return a label's value: backslash, quote and line feed escaped, as the format demands; what is not UTF-8 replaced."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return escaped.encode("utf-8", "replace").decode("utf-8")
