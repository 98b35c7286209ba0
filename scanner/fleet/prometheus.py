"""Statistics in Prometheus' text exposition format 0.0.4, for a textfile collector. Names and labels stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

from scanner.fleet.stats import Stats, largest_first
from scanner.fleet.tally import OUTCOMES, met

if TYPE_CHECKING:
    from scanner.fleet.statistics import Statistics

# Shared causes that are exported: each is a time series that Prometheus keeps for long.
MAX_SHARED: Final = 20


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
            "Targets by outcome and value of an inventory column.",
            [({"column": c, "value": v, "outcome": o}, t.outcomes[o]) for c, v, t in groups for o in OUTCOMES],
        )
        metric(
            "tlsweep_group_cause_targets",
            "Targets with any diagnosis of the cause, by value of an inventory column.",
            [({"column": c, "value": v, "cause": n}, count.targets) for c, v, t in groups for n, count in met(t)],
        )
    if stats.of_fleet:
        _of_the_fleet(cast("Statistics", stats), metric)
    return "\n".join(lines) + "\n"


def _of_the_fleet(
    stats: Statistics, metric: Callable[[str, str, Sequence[tuple[Mapping[str, str], float]]], None]
) -> None:
    metric(
        "tlsweep_expiring_services",
        "Services by the month in which their certificate expires.",
        [({"month": month}, services) for month, services in stats.expiry.to_json()["by_month"].items()],
    )
    latency = stats.latency.to_json()
    metric(
        "tlsweep_stage_milliseconds",
        "Quantiles of the time that the stages of a probe took.",
        [
            ({"stage": stage, "quantile": quantile}, values[name])
            for stage, values in latency.items()
            for name, quantile in (("p50", "0.5"), ("p90", "0.9"), ("p99", "0.99"), ("max", "1"))
        ],
    )
    metric(
        "tlsweep_shared_cause_targets",
        "Targets that share one root, the largest few.",
        [
            ({"code": one["code"], "kind": one["kind"], "key": one["key"]}, one["targets"])
            for one in stats.clusters.to_json()[:MAX_SHARED]
        ],
    )
    metric(
        "tlsweep_local_clock_wrong",
        "1 where independent witnesses say that the clock of the scanning machine is wrong.",
        [({}, int(stats.correlation()["clock"]["state"] == "wrong"))],
    )


def prometheus_label(text: str) -> str:
    """A label's value: backslash, quote and line feed escaped, as the format demands; what is not UTF-8 replaced."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return escaped.encode("utf-8", "replace").decode("utf-8")
