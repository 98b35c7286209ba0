"""The fold: what is counted, what is bounded, and that parts add up."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.fleet.stats import counts
from scanner.fleet.stats import run_counts as module
from scanner.fleet.stats.counts import OTHER_CAUSES, OTHER_CODES
from scanner.fleet.stats.run_counts import OTHER, RunCounts, UnknownColumn
from scanner.model.findings import CAUSES


def finding(outcome: str = "ok", *codes: str, cause: str | None = None, run: str = "r1", **tags: Any) -> dict[str, Any]:
    """A finding; each of ``codes`` is ``cause/code``."""
    diagnoses = [dict(zip(("cause", "code"), code.split("/"), strict=True)) for code in codes]
    target = {"row": 1, "host": "a.example", "port": 443, "protocol": "tls", "tags": tags}
    return {
        "schema": "tlsweep/1",
        "run": run,
        "outcome": outcome,
        "cause": cause,
        "diagnoses": diagnoses,
        "target": target,
    }


FLEET = [
    finding(owner="web"),
    finding("warn", "expired-or-self-signed/expires-soon", owner="web"),
    finding(
        "fail",
        "expired-or-self-signed/certificate-expired",
        "expired-or-self-signed/certificate-expired",
        "hostname-mismatch/wildcard-depth",
        cause="expired-or-self-signed",
        owner="mail",
    ),
    finding("invalid", run="r2"),
]


def fold(findings: list[dict[str, Any]], *by: str) -> RunCounts:
    stats = RunCounts(by)
    for one in findings:
        stats.add(one)
    return stats


def test_the_contract_form() -> None:
    stats = fold(FLEET, "owner")
    stats.unreadable_lines += 2
    shown = stats.to_json()
    assert list(shown) == ["schema", "findings", "unreadable_lines", "runs", "outcomes", "causes", "by"]
    assert shown["schema"] == "tlsweep-stats/1"
    assert (shown["findings"], shown["unreadable_lines"], shown["runs"]) == (4, 2, ["r1", "r2"])
    assert shown["outcomes"] == {"ok": 1, "warn": 1, "fail": 1, "invalid": 1}
    assert tuple(shown["causes"]) == CAUSES and len(CAUSES) == 15
    assert shown["causes"]["expired-or-self-signed"] == {
        "targets": 2,
        "share": 0.5,
        "primary": 1,
        "codes": {"certificate-expired": 1, "expires-soon": 1},
    }
    assert shown["causes"]["hostname-mismatch"]["primary"] == 0
    assert shown["causes"]["dns"] == {"targets": 0, "share": 0.0, "primary": 0, "codes": {}}
    assert list(shown["by"]["owner"]) == ["web", "", "mail"]
    web = shown["by"]["owner"]["web"]
    assert web["findings"] == 2 and web["outcomes"]["warn"] == 1
    assert web["causes"]["expired-or-self-signed"]["share"] == 0.5
    orjson.dumps(shown)


def test_no_findings_are_zeros() -> None:
    shown = RunCounts().to_json()
    assert shown["findings"] == 0 and shown["by"] == {}
    assert all(cause["share"] == 0.0 for cause in shown["causes"].values())


@given(st.lists(st.sampled_from(FLEET), max_size=12), st.integers(0, 12))
def test_parts_add_up_to_the_whole(findings: list[dict[str, Any]], cut: int) -> None:
    left, right = fold(findings[:cut], "owner"), fold(findings[cut:], "owner")
    left.merge(right)
    whole = fold(findings, "owner")
    assert left.to_json() == whole.to_json()


def test_only_statistics_over_the_same_columns_add_up() -> None:
    with pytest.raises(ValueError, match="different columns"):
        RunCounts(["owner"]).merge(RunCounts())


@pytest.mark.parametrize(
    ("value", "name"),
    [("web", "web"), (None, ""), (7, "7"), (True, "true"), (["a", 1], '["a",1]'), ("x" * 500, "x" * 199 + "…")],
)
def test_values_of_any_type_make_groups(value: Any, name: str) -> None:
    assert list(fold([finding(owner=value)], "owner").by["owner"]) == [name]


def test_fields_of_the_target_are_columns_too() -> None:
    stats = fold([finding(), finding(port="inside")], "protocol", "port")
    stats.require_columns()
    assert {column: list(groups) for column, groups in stats.by.items()} == {
        "protocol": ["tls"],
        "port": ["443", "inside"],
    }


def test_an_unknown_column_names_those_that_exist() -> None:
    stats = fold(FLEET, "ownr")
    with pytest.raises(UnknownColumn, match='"ownr"; there are: owner, protocol'):
        stats.require_columns()
    fold(FLEET, "owner").require_columns()


def test_what_comes_from_outside_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VALUES", 3)
    monkeypatch.setattr(counts, "MAX_CODES", 3)
    monkeypatch.setattr(counts, "MAX_CAUSES", 3)
    monkeypatch.setattr(module, "MAX_RUNS", 3)
    monkeypatch.setattr(module, "MAX_COLUMNS", 3)
    made = []
    for n in range(50):
        tags: dict[str, Any] = {f"tag{n}": 1, "owner": f"o{n}"}
        made.append(finding("fail", f"dns/code{n}", f"cause{n}/x", run=f"r{n}", **tags))
    stats = fold(made, "owner")
    shown = stats.to_json()
    assert len(stats.columns) == 3 and len(shown["runs"]) == 3
    assert shown["by"]["owner"][OTHER]["findings"] == 47 and list(shown["by"]["owner"])[-1] == OTHER
    assert shown["causes"]["dns"]["codes"][OTHER_CODES] == 47 and shown["causes"]["dns"]["targets"] == 50
    assert shown["causes"][OTHER_CAUSES]["targets"] > 0 and len(shown["causes"]) <= 15 + 3 + 1 + 15
    twice = fold(made, "owner")
    twice.merge(stats)
    assert twice.by["owner"][OTHER].findings == 94


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["ok", "fail", "dns"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["code", "cause", "tags", "x"]), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["outcome", "target", "cause", "diagnoses", "run"]), JSON), JSON, JSON)
def test_any_json_object_is_counted_somewhere(made: dict[str, Any], diagnoses: Any, tags: Any) -> None:
    stats = RunCounts(["owner", "port"])
    stats.add(made)
    stats.add({**finding(), "diagnoses": diagnoses, "target": {"tags": tags, "port": tags}, "cause": diagnoses})
    assert stats.total.findings + stats.unreadable_lines == 2
    orjson.dumps(stats.to_json())
