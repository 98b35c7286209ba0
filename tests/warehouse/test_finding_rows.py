"""Rows have every value of our findings, and null for malformed values of foreign ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.warehouse import finding_rows as rows
from scanner.warehouse.tables import CERTIFICATES, CHAINS, DIAGNOSES, ENDPOINTS, FINDINGS, RUN_DATE, Table
from tests.helpers.schema import validate
from tests.helpers.warehouse import certificate, complete_finding, finding, sha256


def all_rows(of: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {
        "findings": [rows.finding_row(of, "r", 1)],
        "diagnoses": list(rows.diagnosis_rows(of, "r", 1)),
        "endpoints": list(rows.endpoint_rows(of, "r", 1)),
        "chains": list(rows.chain_rows(of, "r", 1)),
        "certificates": [rows.certificate_row(record) for _, _, record in rows.certificates_of(of)],
    }


def leaves(value: Any) -> Iterator[Any]:
    """Yield all values that are neither lists nor objects."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


def test_every_value_of_a_complete_finding_is_in_a_row() -> None:
    complete = complete_finding()
    validate(complete)
    made = [*leaves(all_rows(complete)), complete["target"]["row"]]  # the row number is a separate argument
    # except for fields of the run, and times, which databases write differently
    apart = {"schema", "run"}
    wanted = [value for name in complete if name not in apart for value in leaves(complete[name])]
    missing = [value for value in wanted if value not in made and rows.timestamp(value) not in [*made, None]]
    assert missing == []
    assert len(wanted) > 120


@pytest.mark.parametrize("table", [FINDINGS, DIAGNOSES, ENDPOINTS, CHAINS, CERTIFICATES], ids=lambda table: table.name)
def test_rows_have_the_columns_of_their_table(table: Table) -> None:
    made = all_rows(complete_finding())[table.name]
    assert made
    for row in made:
        assert row.keys() == {column.name for column in table.columns if column.name != RUN_DATE}


def test_unknown_fields_are_kept_in_more() -> None:
    of = finding("a.example", "dns", new=1)
    of["target"]["newer"] = 2
    of["diagnoses"][0]["new"] = 3
    endpoint = of["endpoints"][0]
    endpoint |= {"new": 4, "alert": {"level": 2, "new": 5}, "client_auth": {"new": 6}}
    endpoint["timing_ms"]["quic"] = 7
    of["certificates"][0]["new"] = 8
    made = all_rows(of)
    assert made["findings"][0]["more"] == {"new": 1, "target": {"newer": 2}}
    assert made["diagnoses"][0]["more"] == {"new": 3}
    assert made["endpoints"][0]["more"] == {
        "new": 4, "alert": {"new": 5}, "client_auth": {"new": 6}, "timing_ms": {"quic": 7},
    }  # fmt: skip
    assert made["certificates"][0]["more"] == {"new": 8}
    assert {
        row["more"] for name, found in all_rows(finding("a", "dns")).items() if name != "chains" for row in found
    } == {None}


def test_chains_distinguish_sent_certificates_from_others() -> None:
    of = finding("a.example")
    of["endpoints"].append({"address": "192.0.2.2", "chain": [sha256("b"), sha256("a.example")]})
    of["certificates"] += [certificate("b"), {**certificate("c"), "source": "aia"}]
    result = [
        (row["endpoint"], row["position"], row["address"], row["sha256"], row["source"])
        for row in rows.chain_rows(of, "r", 1)
    ]
    assert result == [
        (0, 0, "192.0.2.1", sha256("a.example"), None),
        (1, 0, "192.0.2.2", sha256("b"), None),
        (1, 1, "192.0.2.2", sha256("a.example"), None),
        (-1, 2, None, sha256("c"), "aia"),
    ]


def test_an_endpoint_is_trusted_if_any_store_trusts_it() -> None:
    stores = [{}, {"a": {"trusted": False}}, {"a": {"trusted": False}, "b": {"trusted": True}}]
    of = finding("a.example", endpoints=[{"trust": trust} for trust in stores])
    assert [row["trusted"] for row in rows.endpoint_rows(of, "r", 1)] == [None, False, True]


def test_numeric_ids_become_text_and_certificates_need_a_digest() -> None:
    of = finding("a.example", certificates=[{"sha256": "short"}, {"sha256": 5}, {}])
    of["target"]["id"] = 7
    assert rows.finding_row(of, "r", 1)["id"] == "7"
    assert list(rows.certificates_of(of)) == []


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2026-11-23T06:00:00Z", "2026-11-23 06:00:00.000"),
        ("2026-11-23T06:00:00.123456+02:00", "2026-11-23 04:00:00.123"),
        ("9999-12-31T23:59:59Z", "9999-12-31 23:59:59.000"),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2026-11-23T06:00:00.123Z", "2026-11-23 06:00:00.123"),
        ("2026-W47-1T06:00:00.000Z", "2026-11-16 06:00:00.000"),
        ("2026-02-30T06:00:00.000Z", None),
        ("2026-11-23T06:00:00.12xZ", None),
        ("yesterday", None),
        ("2026-11-23T06:00:00Z" + " " * 50, None),
        (None, None),
        (17, None),
    ],
)
def test_timestamps_are_converted_to_utc_or_null(text: object, result: str | None) -> None:
    assert rows.timestamp(text) == result


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if depth % 2 else {"a": value}
    return value


@pytest.mark.parametrize("depth", [0, rows.MAX_DEPTH - 2, rows.MAX_DEPTH - 1, 500, 501])
def test_deeply_nested_values_are_refused(depth: int) -> None:
    row = {"a": nested(depth), "b": "x"}
    if depth < rows.MAX_DEPTH - 1:
        assert orjson.loads(rows.encode_row(row)) == row
    else:
        with pytest.raises(rows.TooDeep):
            rows.encode_row(row)


def test_long_flat_values_are_kept() -> None:
    row = {"a": [[1]] * 500}
    assert orjson.loads(rows.encode_row(row)) == row


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(complete_finding()["endpoints"][0])), inner),
    max_leaves=8,
)  # fmt: skip


@given(st.fixed_dictionaries(
    {"outcome": st.just("ok")},
    optional={name: JSON for name in complete_finding() if name != "outcome"},
))  # fmt: skip
def test_any_foreign_finding_gives_valid_rows(of: dict[str, Any]) -> None:
    for name, found in all_rows(of).items():
        for row in found:
            assert orjson.loads(rows.encode_row(row)), name
