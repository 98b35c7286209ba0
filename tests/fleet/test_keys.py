"""What findings are joined and grouped by."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.fleet.keys import domain_of, identity, leaf_of, served

LEAF = {"sha256": "aa", "issuer": "CN=Issuer"}
TARGET = {"row": 3, "id": None, "host": "www.shop.example", "port": 443, "protocol": "tls", "sni": "x", "address": None}


def finding(**changes: Any) -> dict[str, Any]:
    return {
        "target": TARGET,
        "endpoints": [{"address": "192.0.2.1", "chain": []}, {"address": "192.0.2.2", "chain": ["aa", "bb"]}],
        "certificates": [{"sha256": "bb"}, LEAF],
        **changes,
    }


def test_the_row_does_not_make_the_target() -> None:
    moved = finding(target={**TARGET, "row": 99, "tags": {"a": 1}})
    assert identity(finding()) == identity(moved)


@pytest.mark.parametrize("part", ["host", "port", "protocol", "sni", "address", "id"])
def test_each_part_of_the_identity_makes_another_target(part: str) -> None:
    assert identity(finding()) != identity(finding(target={**TARGET, part: "other"}))


def test_rows_that_cannot_be_used_are_told_apart() -> None:
    rows = [finding(target={"row": row, "host": None, "id": None}) for row in (1, 2, 2)]
    assert identity(rows[0]) != identity(rows[1]) == identity(rows[2])


def test_the_first_address_that_sent_a_certificate() -> None:
    endpoint, leaf = served(finding())
    assert endpoint is not None
    assert endpoint["address"] == "192.0.2.2"
    assert leaf is leaf_of(finding()) is LEAF


def test_the_registrable_domain_of_the_host() -> None:
    assert domain_of(finding()) == "shop.example"
    assert domain_of(finding(target={**TARGET, "host": "192.0.2.1"})) == "192.0.2.1"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"target": 5},
        {"target": {"host": []}, "endpoints": {}, "certificates": 1},
        {"target": {}, "endpoints": [1, {"chain": 1}, {"chain": [5]}], "certificates": [1, {}]},
    ],
)
def test_odd_findings_have_no_keys(broken: dict[str, Any]) -> None:
    assert len(identity(broken)) == 6
    assert domain_of(broken) is None
    assert served(broken) == (None, None)


def test_a_protocol_that_was_found_out_does_not_make_the_target() -> None:
    plain, found, said = (
        {**TARGET, "protocol": "tls", "auto": True},
        {**TARGET, "protocol": "smtp", "auto": True},
        TARGET,
    )
    assert identity(finding(target=plain)) == identity(finding(target=found)) == identity(finding(target=said))
    assert identity(finding(target=found)) != identity(finding(target={**TARGET, "protocol": "smtp"}))
