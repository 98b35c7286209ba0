"""What is taken from findings by column, and what is refused to be taken so."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from scanner.fleet.stats.columns import columns_of
from scanner.output import BAD_SHAPE_ERRORS
from tests.helpers.made import RUN, certificate, diagnosis, finding, invalid, sha256


def test_columns_of_findings_with_and_without_a_diagnosis() -> None:
    columns = columns_of(
        iter(
            [
                finding(1, "a.example", timing={"connect": 1.0, "handshake": 2.0}),
                finding(2, "b.example", diagnosis("expires-soon"), timing={"connect": 3.0, "starttls": 4.0}),
                invalid(3, started="2026-11-23T02:00:01.999Z"),
            ]
        )
    )
    assert columns.outcomes == ["ok", "invalid"] and columns.seen == []
    ((kind, groups, roots, name, seen),) = columns.diagnosed
    assert (kind.outcome, groups, name, seen) == ("warn", (), "b.example:443", None)
    assert list(roots) == [("expires-soon", "address", "192.0.2.1")]
    assert columns.durations == {"connect": [1.0, 3.0], "starttls": [4.0], "handshake": [2.0], "total": [12.5, 12.5]}
    assert columns.leaves == [("2027-02-11T02:00:00Z", sha256(name)) for name in ("a.example", "b.example")]
    assert columns.last == "2026-11-23T02:00:01"
    assert columns.rows == {RUN: [1, 2, 3]}


def test_durations_are_of_all_addresses() -> None:
    two = finding(1, timing={"connect": 1.0})
    two["endpoints"].append({**two["endpoints"][0], "timing_ms": {"connect": 2.0}})
    assert columns_of([two, finding(2, timing={"connect": 3.0})]).durations["connect"] == [1.0, 2.0, 3.0]


def test_rows_are_kept_by_run() -> None:
    assert columns_of([finding(1), finding(2, run="other"), finding(3)]).rows == {RUN: [1, 3], "other": [2]}


def test_names_of_the_inventory_s_columns() -> None:
    made = [finding(1, tags={"owner": "a"}), finding(2, tags={"site": None, "owner": 5})]
    assert list(columns_of(made).columns) == ["owner", "site"]


def test_findings_without_a_diagnosis_may_tell_the_fleet_something() -> None:
    answer = {"kind": "ocsp", "who": "ca.test", "time": 1, "local": 9}
    older = {"observed": {"completions": {"http": {"stage": "done", "date": 5.0, "local_time": 5.0}}}}
    nothing = [
        finding(1),
        finding(2, attempts=2),
        finding(3, observed={"revocation": []}),
        finding(4, observed={"facts": 5}),
    ]
    something = [
        finding(5, observed={"facts": {"local": 9, "witnesses": [answer]}}),
        finding(6, attempts=2, endpoint=older),
    ]
    assert columns_of(nothing).seen == []
    assert [[one.kind for one in seen.facts.witnesses] for seen in columns_of(something).seen if seen.facts] == [
        ["ocsp"],
        ["http-date"],
    ]


def test_groups_of_findings_without_a_diagnosis_are_apart() -> None:
    made = [
        finding(1, tags={"owner": "web"}),
        finding(2, "b", diagnosis("expires-soon"), tags={"owner": "other"}),
        finding(3, tags={"owner": None}),
        finding(4),
    ]
    columns = columns_of(made, ("owner", "port"))
    assert columns.groups == [["web", "443"], ["", "443"], [None, "443"]] and columns.outcomes == ["ok", "ok", "ok"]
    assert [groups for _, groups, *_ in columns.diagnosed] == [["other", "443"]]


def test_making_columns_again_gives_the_same() -> None:
    """Nothing is counted by it: what was made in vain does no harm."""
    made = [finding(1), finding(2, "b", diagnosis("nxdomain")), finding(3, observed={"revocation": []})]
    one, two = columns_of(made, ("owner",)), columns_of(made, ("owner",))
    for name in type(one).__slots__:
        assert getattr(one, name) == getattr(two, name)


def test_a_finding_is_gone_before_the_next_one_is_read() -> None:
    alive: list[weakref.ref[Any]] = []

    class Seen(dict[str, Any]):
        pass

    def read() -> Iterator[dict[str, Any]]:
        for row in range(3):
            assert [one for one in alive if one() is not None] == []
            made = [Seen(finding(row))]
            alive.append(weakref.ref(made[0]))
            yield made.pop()

    assert columns_of(read()).rows == {RUN: [0, 1, 2]}


def test_a_certificate_without_a_date_has_no_expiry() -> None:
    broken = {**certificate("b"), "not_after": None}
    assert len(columns_of([finding(1), finding(2, leaf=broken)]).leaves) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "fine"},
        {"outcome": []},
        {"run": 5},
        {"run": None},
        {"schema": "tlsweep/2"},
        {"schema": []},
        {"attempts": "1"},
        {"started": "yesterday"},
        {"started": None},
        {"duration_ms": "long"},
        {"certificates": [[]]},
        {"certificates": [{"not_after": 5, "sha256": "ab"}]},
        {"certificates": 7},
        {"endpoints": 7},
        {"endpoints": [{"timing_ms": {"connect": "1"}}]},
        {"endpoints": [{"timing_ms": []}]},
        {"endpoints": [{"timing_ms": "connect"}]},
        {"target": {"row": 1, "tags": []}},
        {"target": {"row": 1.5, "tags": {}}},
        {"target": {"row": -1, "tags": {}}},
        {"target": {"row": None, "tags": {}}},
        {"target": None},
    ],
    ids=str,
)
def test_findings_of_another_shape_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BAD_SHAPE_ERRORS):
        columns_of([finding(), finding(2, **changes)])
