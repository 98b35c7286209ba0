"""The example inventories are as their README says, and only name hosts that may be scanned."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Final

import pytest

from scanner.inventory import read_inventory
from scanner.inventory.exclude import load_exclusions
from scanner.model.evidence import InvalidRow, Target
from scanner.model.findings import CAUSES
from scanner.starttls import PROTOCOLS

INPUTS: Final = Path(__file__).resolve().parent.parent / "inputs"
# name -> (rows, of which cannot be used)
EXAMPLES: Final = {
    "fleet.csv": (5, 0),
    "fleet-semicolon.csv": (3, 0),
    "fleet.ndjson": (5, 0),
    "hosts.txt": (6, 0),
    "starttls.txt": (18, 0),
    "addresses-and-idn.csv": (11, 2),
    "badssl.csv": (64, 0),
}
RESERVED_NAMES: Final = (".example", ".test", ".invalid", ".xn--zckzah")
RESERVED_NETWORKS: Final = [
    ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def rows(name: str) -> list[Target | InvalidRow]:
    return list(read_inventory(str(INPUTS / name), protocols=PROTOCOLS))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_has_the_expected_rows(name: str) -> None:
    read = rows(name)
    assert (len(read), sum(isinstance(row, InvalidRow) for row in read)) == EXAMPLES[name]


def test_every_example_is_listed() -> None:
    assert {path.name for path in INPUTS.iterdir()} == {*EXAMPLES, "README.md", "never.txt"}
    readme = (INPUTS / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in EXAMPLES)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "badssl.csv"])
def test_examples_use_only_reserved_names_and_addresses(name: str) -> None:
    for row in rows(name):
        if not isinstance(row, Target):
            continue
        for text in (row.host if row.host_is_ip else None, row.address):
            assert text is None or any(ipaddress.ip_address(text) in network for network in RESERVED_NETWORKS)
        for text in (None if row.host_is_ip else row.host, row.sni):
            assert text is None or text.endswith(RESERVED_NAMES)


def test_badssl_expectations_are_existing_causes() -> None:
    expected = set()
    for row in rows("badssl.csv"):
        assert isinstance(row, Target) and (row.host == "badssl.com" or row.host.endswith(".badssl.com"))
        assert set(row.tags) == {"expected_cause", "expected_code", "note"}
        expected.add(row.tags["expected_cause"])
    assert expected <= {*CAUSES, "ok", ""}
    assert len(expected - {"ok", ""}) >= 9


def test_the_list_of_exclusions_loads() -> None:
    exclusions = load_exclusions([str(INPUTS / "never.txt")])
    assert len(exclusions) == 5
    assert exclusions.host("a.b.clinic.example") and exclusions.host("198.51.100.9")
