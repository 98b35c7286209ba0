"""The alert rules and the dashboard, against the metrics that are really printed, by Prometheus' own promtool."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scanner.fleet.diff.comparison import Diff
from scanner.fleet.diff.diff_tables import as_prometheus as metrics_of
from scanner.fleet.stats.fleet_stats import FleetStats
from scanner.fleet.stats.prometheus import as_prometheus
from tests.contrib.test_nightly import CONTRIB, PATIENCE, SCRIPT, tool
from tests.fleet.diff.test_comparison import write
from tests.helpers.made import certificate, diagnosis, finding

RULES: Final = CONTRIB / "prometheus-rules.yml"
DASHBOARD: Final = CONTRIB / "grafana-dashboard.json"
# Labels that Prometheus and Alertmanager add.
ADDED: Final = {"instance", "job"}
# Columns of Grafana's grid.
COLUMNS: Final = 24
# 2026-11-23T02:00:00Z, when the findings were made, and the start of time for promtool.
NIGHT: Final = 1_795_399_200

Labels = Mapping[str, str]


def estate() -> list[dict[str, Any]]:
    """One target in order, one that fails, one whose certificate expires in two days; three share the cause of a warning."""
    rows = [
        finding(1, "good.example", tags={"owner": "web"}),
        finding(2, "bad.example", diagnosis("certificate-expired"), tags={"owner": "mail"}),
        finding(3, "soon.example", leaf=certificate("soon", not_after="2026-11-25T02:00:00Z"), tags={"owner": "web"}),
    ]
    shared = diagnosis("weak-key", "warning", certificate="aa")
    return [*rows, *(finding(row, f"h{row}", *([shared] if row < 7 else ()), tags={}) for row in range(4, 20))]


def printed(findings: list[dict[str, Any]], path: Path, *, max_targets: int = 100) -> str:
    """Return what a night writes, each with a line for every metric of the script."""
    statistics = FleetStats(("owner",), max_targets)
    statistics.add_batch(findings)
    name = write(path, findings)
    with Diff([name, name]) as diff:
        text = as_prometheus(statistics.counts, statistics) + "".join(metrics_of(diff))
    names = re.findall(r"metric (tlsweep_\w+)", SCRIPT.read_text())
    assert len(names) >= 4
    return text + "".join(f"# TYPE {name} gauge\n{name} 0\n" for name in names)


@pytest.fixture
def metrics(tmp_path: Path) -> dict[str, list[tuple[Labels, float]]]:
    """Name -> its samples."""
    families = text_string_to_metric_families(printed(estate(), tmp_path / "f.ndjson"))
    return {family.name: [(one.labels, one.value) for one in family.samples] for family in families}


def check_expression(expression: str, metrics: Mapping[str, list[tuple[Labels, float]]]) -> None:
    """Check that metrics exist, that each has the labels asked for, and that a value given word by word is there."""
    asked = re.findall(r"\b(tlsweep_\w+)(?:\{([^}]*)\})?", expression)
    assert asked, expression
    for name, inside in asked:
        assert name in metrics, (name, expression)
        known = {label for labels, _ in metrics[name] for label in labels} | ADDED
        for label, operator, value in re.findall(r'(\w+)(=~|=)"([^"]*)"', inside):
            assert label in known, (label, expression)
            if operator == "=":
                assert any(labels[label] == value for labels, _ in metrics[name] if label in labels), expression


def rules() -> list[tuple[str, str]]:
    """(alert, expression) of each rule."""
    return re.findall(r"(?m)^      - alert: (\w+)\n        expr: (.*)$", RULES.read_text())


def test_alert_rules_use_existing_metrics(metrics: dict[str, list[tuple[Labels, float]]]) -> None:
    assert len(rules()) == RULES.read_text().count("alert:") >= 14
    for _, expression in rules():
        check_expression(expression, metrics)


def test_annotations_use_labels_that_the_expression_has(metrics: dict[str, list[tuple[Labels, float]]]) -> None:
    for block in RULES.read_text().split("- alert: ")[1:]:
        name = re.findall(r"tlsweep_\w+", block)[0]
        known = {label for labels, _ in metrics[name] for label in labels} | ADDED
        assert set(re.findall(r"\$labels\.(\w+)", block)) <= known, block


def test_promtool_accepts_the_rules() -> None:
    run = [tool("promtool"), "check", "rules", str(RULES)]
    assert subprocess.run(run, capture_output=True, timeout=PATIENCE, check=False).returncode == 0


def test_promtool_accepts_what_is_printed(tmp_path: Path) -> None:
    text = printed(estate(), tmp_path / "f.ndjson")
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    # the script's metrics have their help in the script; the quantiles kept their name, which promtool wants for summaries only
    known = re.compile(
        r'tlsweep_nightly_\w+ no help text|tlsweep_stage_duration_seconds .* should not have "quantile" label'
    )
    assert [line for line in done.stderr.splitlines() if not known.match(line)] == []


@pytest.mark.parametrize(
    ("alert", "findings", "max_targets", "expected"),
    [
        ("TlsTargetFails", estate(), 100, [{"target": "bad.example:443", "owner": "mail"}]),
        ("TlsTargetExpires", estate(), 100, [{"target": "soon.example:443", "owner": "web"}]),
        ("TlsSeriesLeftOut", estate(), 5, [{"of": "certificates"}, {"of": "targets"}]),
        ("TlsTargetFails", estate()[3:], 100, []),
        ("TlsTargetExpires", estate()[3:], 100, []),
        ("TlsSeriesLeftOut", estate(), 100, []),
    ],
)
def test_an_alert_is_raised_for_what_it_is_about(
    alert: str, findings: list[dict[str, Any]], max_targets: int, expected: list[Labels], tmp_path: Path
) -> None:
    """promtool evaluates the rules over the metrics of a night, at its time. Times are moved so that the night is the epoch."""
    series = []
    for family in text_string_to_metric_families(printed(findings, tmp_path / "f.ndjson", max_targets=max_targets)):
        for sample in family.samples:
            value = sample.value - NIGHT if "expiry_timestamp" in sample.name else sample.value
            labels = ", ".join(f"{name}={json.dumps(text)}" for name, text in sample.labels.items())
            series.append({"series": f"{sample.name}{{{labels}}}", "values": f"{value:.0f}x10"})
    by = ", ".join(sorted({name for one in expected for name in one})) or "target"
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": f'count by ({by}) (ALERTS{{alertname="{alert}", alertstate="firing"}})',
                        "eval_time": "5m",
                        "exp_samples": [
                            {
                                "labels": "{" + ", ".join(f"{k}={json.dumps(v)}" for k, v in one.items()) + "}",
                                "value": 1,
                            }
                            for one in expected
                        ],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps(test))
    run = [tool("promtool"), "test", "rules", str(tmp_path / "test.yml")]
    done = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- the dashboard ---------------------------------------------------------------------------------


@cache
def dashboard() -> dict[str, Any]:
    loaded = json.loads(DASHBOARD.read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_the_dashboard_has_what_grafana_requires() -> None:
    """Rules of Grafana's dashboard JSON model: identity, variables, and panels that fill its grid without overlapping."""
    board = dashboard()
    assert board["id"] is None, "an id belongs to one installation"
    assert re.fullmatch(r"[\w-]{1,40}", board["uid"]) and board["title"] and board["schemaVersion"] >= 36
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert list(variables) == ["datasource", "instance", "owner"]
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    taken: set[tuple[int, int]] = set()
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers)) >= 10
    for panel in board["panels"]:
        assert panel["type"] in {"stat", "timeseries", "table", "bargauge"}
        assert panel["title"] and panel["description"].endswith(".")
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert cells and not cells & taken and max(x for x, _ in cells) < COLUMNS, panel["title"]
        taken |= cells
        references = [target["refId"] for target in panel["targets"]]
        assert references and len(references) == len(set(references))
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert {"defaults", "overrides"} == set(panel["fieldConfig"])
    for row in {y for _, y in taken}:
        assert sum(y == row for _, y in taken) == COLUMNS, f"a gap in row {row}"


def test_the_dashboard_uses_existing_metrics_and_variables(metrics: dict[str, list[tuple[Labels, float]]]) -> None:
    known = {one["name"] for one in dashboard()["templating"]["list"]}
    for expression in expressions():
        check_expression(expression, metrics)
        assert set(re.findall(r"\$(\w+)", expression)) <= known
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            name, label = re.findall(r"^label_values\((\w+), (\w+)\)$", variable["query"]["query"])[0]
            assert label in ADDED or any(label in labels for labels, _ in metrics[name])


def test_the_dashboard_hides_and_renames_labels_that_exist(metrics: dict[str, list[tuple[Labels, float]]]) -> None:
    for panel in dashboard()["panels"]:
        for transformation in panel.get("transformations", ()):
            (name,) = set(re.findall(r"tlsweep_\w+", panel["targets"][0]["expr"]))
            known = {label for labels, _ in metrics[name] for label in labels} | ADDED | {"Time", "Value", "__name__"}
            options = transformation["options"]
            assert {*options["excludeByName"], *options["renameByName"]} <= known


def test_promtool_accepts_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    """As recording rules, since promtool 2.42 checks no expression by itself."""
    recorded = [
        {"record": f"panel:{number}", "expr": expression.replace("$instance", ".*").replace("$owner", ".*")}
        for number, expression in enumerate(expressions())
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}))
    run = [tool("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(recorded)} rules found" in done.stdout
