"""What is taken from findings by column, and what is refused to be taken so."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.fleet.batch import FOREIGN, Batch
from tests.helpers.made import RUN, certificate, diagnosis, finding, invalid, sha256


def test_columns() -> None:
    batch = Batch(
        [
            finding(1, "a.example", timing={"connect": 1.0, "handshake": 2.0}),
            finding(2, "b.example", diagnosis("expires-soon"), timing={"connect": 3.0, "starttls": 4.0}),
            invalid(3, started="2026-11-23T02:00:01.999Z"),
        ]
    )
    assert list(batch.outcomes) == ["ok", "warn", "invalid"] and batch.telling == [1]
    assert batch.durations == {"connect": [1.0, 3.0], "starttls": [4.0], "handshake": [2.0], "total": [12.5, 12.5]}
    assert batch.leaves == [("2027-02-11T02:00:00Z", sha256(name)) for name in ("a.example", "b.example")]
    assert batch.last == "2026-11-23T02:00:01"
    assert list(batch.rows_by_run()) == [(RUN, [1, 2, 3])]
    batch.drop_telling()
    assert list(batch.outcomes) == ["ok", "invalid"] and list(batch.rows_by_run()) == [(RUN, [1, 3])]


def test_several_runs() -> None:
    batch = Batch([finding(1), finding(2, run="other"), finding(3)])
    assert dict(batch.rows_by_run()) == {RUN: [1, 3], "other": [2]}


def test_those_about_which_more_was_asked() -> None:
    once, twice = finding(1), finding(2, attempts=2)
    observed = finding(3, observed={"revocation": []})
    assert Batch([once, twice, observed]).asked_more() == [twice, observed]
    assert Batch([once, observed]).asked_more() == [observed]


def test_a_certificate_that_cannot_be_read_expires_never() -> None:
    broken = {**certificate("b"), "not_after": None}
    assert len(Batch([finding(1), finding(2, leaf=broken)]).leaves) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "fine"},
        {"outcome": []},
        {"run": 5},
        {"attempts": "1"},
        {"started": "yesterday"},
        {"started": None},
        {"duration_ms": "long"},
        {"certificates": [[]]},
        {"certificates": [{"not_after": 5, "sha256": "ab"}]},
        {"certificates": 7},
        {"endpoints": 7},
        {"endpoints": [{"timing_ms": {"connect": "1"}}]},
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
        Batch([finding(), finding(2, **changes)])
