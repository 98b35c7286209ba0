"""Statistics in Prometheus' text exposition format 0.0.4, for a textfile collector. Names and labels stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

from scanner.fleet.stats.counts import Stats, largest_first
from scanner.fleet.stats.tally import OUTCOMES, met

if TYPE_CHECKING:
    from scanner.fleet.stats.statistics import Statistics

# Shared causes that are exported: each is a time series that Prometheus keeps for long.
MAX_SHARED: Final = 20
QUANTILES: Final = {"p50": "0.5", "p90": "0.9", "p99": "0.99", "max": "1"}

_Metric = Callable[[str, str, Sequence[tuple[Mapping[str, str], float]]], None]


def as_prometheus(stats: Stats) -> str:
    """The statistics in the text exposition format 0.0.4, for a textfile collector."""
    lines: list[str] = []
    total = stats.total

    def metric(name: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> None:
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} gauge")
        for labels, value in samples:
            inside = ",".join(f'{label}="{prometheus_label(text)}"' for label, text in labels.items())
            lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")

    metric("tlsweep_findings", "Targets by outcome.", [({"outcome": o}, total.outcomes[o]) for o in OUTCOMES])
    metric("tlsweep_unreadable_lines", "Lines that held no finding.", [({}, stats.unreadable_lines)])
    causes = total.in_order()
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
    groups = [(column, value, tally) for column, values in stats.by.items() for value, tally in largest_first(values)]
    if groups:
        metric(
            "tlsweep_group_findings",
            "Targets by outcome and value of a column.",
            [({"column": c, "value": v, "outcome": o}, t.outcomes[o]) for c, v, t in groups for o in OUTCOMES],
        )
        metric(
            "tlsweep_group_cause_targets",
            "Targets with any diagnosis of the cause, by value of a column.",
            [({"column": c, "value": v, "cause": n}, count.targets) for c, v, t in groups for n, count in met(t)],
        )
    if stats.of_fleet:
        _of_the_fleet(cast("Statistics", stats), metric)
    return "\n".join(lines) + "\n"


def _of_the_fleet(stats: Statistics, metric: _Metric) -> None:
    last = stats.last_started()
    if last is not None:
        metric(
            "tlsweep_last_started_timestamp_seconds",
            "When the last target was taken up, in seconds since the epoch.",
            [({}, int(last.timestamp()))],
        )
        expired, within = stats.expiry.within(last.date())
        metric("tlsweep_services_expired", "Services whose certificate had expired by then.", [({}, expired)])
        metric(
            "tlsweep_services_expiring",
            "Services whose certificate expires within so many days from then.",
            [({"within_days": str(span)}, services) for span, services in within.items()],
        )
    metric(
        "tlsweep_repeated_findings",
        "Findings of a run and a row of the inventory that another one was of already.",
        [({}, stats.repeats.count)],
    )
    metric(
        "tlsweep_stage_duration_seconds",
        "Quantiles of the time that the stages of a probe took.",
        [
            ({"stage": stage, "quantile": quantile}, round(values[name] / 1000, 6))
            for stage, values in stats.latency.to_json().items()
            for name, quantile in QUANTILES.items()
        ],
    )
    metric(
        "tlsweep_shared_cause_targets",
        "Targets that share one root, the largest few.",
        [
            ({"code": one["code"], "kind": one["kind"], "key": one["key"]}, one["targets"])
            for one in stats.clusters.to_json(MAX_SHARED)
        ],
    )
    correlation = stats.correlation()
    wrong = sum(clock["state"] == "wrong" for clock in correlation["clocks"].values())
    metric("tlsweep_runs_with_wrong_clock", "Runs of machines whose clock is wrong, as witnesses say.", [({}, wrong)])
    metric(
        "tlsweep_intercepting_issuers",
        "Issuers that nobody trusts and that sign for unrelated names.",
        [({}, sum(one["certain"] for one in correlation["interceptors"]))],
    )
    blocked = int(correlation["revocation_blocked"] is not None)
    metric("tlsweep_revocation_blocked", "1 where no OCSP, CRL or AIA host could be reached.", [({}, blocked)])


def prometheus_label(text: str) -> str:
    """A label's value: backslash, quote and line feed escaped, as the format demands; what is not UTF-8 replaced."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return escaped.encode("utf-8", "replace").decode("utf-8")
