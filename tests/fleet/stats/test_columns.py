"""What is taken from findings by column, and what is refused to be taken so."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from scanner.fleet.stats.columns import Batch, Naming
from scanner.output import FOREIGN
from tests.helpers.made import RUN, certificate, diagnosis, finding, invalid, sha256


def batch_of(findings: Iterable[dict[str, Any]], naming: Naming | None = None) -> Batch[str]:
    return Batch(findings, lambda made, told: f"{made['target']['row']} {told}", naming)


def test_columns() -> None:
    batch = batch_of(
        iter(
            [
                finding(1, "a.example", timing={"connect": 1.0, "handshake": 2.0}),
                finding(2, "b.example", diagnosis("expires-soon"), timing={"connect": 3.0, "starttls": 4.0}),
                invalid(3, started="2026-11-23T02:00:01.999Z"),
            ]
        )
    )
    assert list(batch.outcomes) == ["ok", "invalid"] and batch.telling == ["2 True"]
    assert batch.asked_more == []
    assert batch.durations == {"connect": [1.0, 3.0], "starttls": [4.0], "handshake": [2.0], "total": [12.5, 12.5]}
    assert batch.leaves == [("2027-02-11T02:00:00Z", sha256(name)) for name in ("a.example", "b.example")]
    assert batch.last == "2026-11-23T02:00:01"
    assert batch.rows == {RUN: [1, 2, 3]}


def test_all_addresses_were_waited_for() -> None:
    two = finding(1, timing={"connect": 1.0})
    two["endpoints"].append({**two["endpoints"][0], "timing_ms": {"connect": 2.0}})
    assert batch_of([two, finding(2, timing={"connect": 3.0})]).durations["connect"] == [1.0, 2.0, 3.0]


def test_several_runs() -> None:
    batch = batch_of([finding(1), finding(2, run="other"), finding(3)])
    assert batch.rows == {RUN: [1, 3], "other": [2]}


def test_columns_of_the_inventory() -> None:
    assert batch_of([finding(1, tags={"owner": "a"}), finding(2, tags={"site": None, "owner": 5})]).columns == {
        "owner",
        "site",
    }


def test_those_about_which_more_was_asked() -> None:
    once, twice = finding(1), finding(2, attempts=2)
    observed = finding(3, observed={"revocation": []})
    assert batch_of([once, twice, observed]).asked_more == ["2 False", "3 False"]
    assert batch_of([once]).asked_more == []
    assert Batch([twice], lambda made, told: None).asked_more == []


def test_groups_are_those_of_findings_without_a_diagnosis() -> None:
    batch = batch_of(
        [
            finding(1, tags={"owner": "web"}),
            finding(2, "b", diagnosis("expires-soon")),
            finding(3, tags={"owner": "mail"}),
        ],
        lambda made, tags: [tags.get("owner", "")],
    )
    assert list(batch.groups) == [["web"], ["mail"]] and list(batch.outcomes) == ["ok", "ok"]


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

    batch_of(read())


def test_a_certificate_that_cannot_be_read_expires_never() -> None:
    broken = {**certificate("b"), "not_after": None}
    assert len(batch_of([finding(1), finding(2, leaf=broken)]).leaves) == 1


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
def test_what_is_not_ours_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FOREIGN):
        batch_of([finding(), finding(2, **changes)])
