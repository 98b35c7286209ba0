"""Interceptors are known by their issuer's name or key; what was not checked is found and does not decide."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from scanner.trust import interceptors
from scanner.trust.interceptors import by_issuer, is_portal_key, key_hash, middlebox_of
from tests.helpers import pki

KNOWN = [
    (pki.name(CN="avast! Web/Mail Shield Root", O="avast! Web/Mail Shield"), "Avast Antivirus"),
    (pki.name(O="Fortinet Ltd.", CN="FG100"), "Fortinet"),
    (pki.name(CN="Zscaler Intermediate Root CA (zscalertwo.net)", O="Zscaler Inc."), "Zscaler"),
    (pki.name(CN="Kaspersky Anti-Virus Personal Root Certificate"), "Kaspersky Internet Security"),
    (pki.name(CN="mitmproxy", O="mitmproxy"), "mitmproxy"),
    (pki.name(CN="PortSwigger CA", O="PortSwigger"), "Burp Suite"),
]
HINTS = [
    (pki.name(O="Palo Alto Networks Inc", CN="decrypt"), "Palo Alto Networks decryption"),
    (pki.name(CN="Fireware HTTPS Proxy: 192.0.2.1", O="WatchGuard_Technologies"), "WatchGuard Firebox"),
    (pki.name(CN="iboss CA", O="iboss, Inc."), "iboss"),
]
ORDINARY = [
    pki.name(CN="Fortinet"),  # the organization is what is known
    pki.name(CN="Cisco Umbrella Root CA"),
    pki.name(O="Not Zscaler Inc. at all"),
    pki.name(CN="Kaspersky Anti-Virus Personal Root Certificate" + "x" * 300),
    pki.name(),
]


def issued(issuer: bytes) -> pki.Issued:
    return pki.certificate("www.example.org", issuer_name=issuer, signed_by=pki.key("box"))


@pytest.mark.parametrize(("issuer", "product"), KNOWN)
def test_products_are_recognised_by_their_issuer(issuer: bytes, product: str) -> None:
    found = middlebox_of(issued(issuer).parsed)
    assert found is not None and found.product == product and found.decides


@pytest.mark.parametrize(("issuer", "product"), HINTS)
def test_unchecked_entries_do_not_decide(issuer: bytes, product: str) -> None:
    found = middlebox_of(issued(issuer).parsed)
    assert found is not None and found.product == product and not found.decides


@pytest.mark.parametrize("issuer", ORDINARY)
def test_ordinary_issuers_are_not_recognised(issuer: bytes) -> None:
    assert middlebox_of(issued(issuer).parsed) is None


def test_a_product_s_self_issued_page_is_not_interception() -> None:
    own = pki.certificate(pki.name(O="Fortinet", CN="FGT60E"), san=["fw.example"])
    assert by_issuer(own.parsed.issuer_name.attributes) is not None
    assert middlebox_of(own.parsed) is None


def test_products_are_recognised_by_a_known_key(monkeypatch: pytest.MonkeyPatch) -> None:
    ca = pki.root("Local CA")
    leaf = pki.certificate("www.example.org", issuer=ca)
    assert middlebox_of(leaf.parsed, (ca.parsed,)) is None
    monkeypatch.setitem(interceptors._data()["keys"], key_hash(ca.parsed), "Headset")
    found = middlebox_of(leaf.parsed, (ca.parsed,))
    assert found is not None and found.product == "Headset" and found.decides


def test_keys_of_portals_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = pki.certificate("login.example.org", issuer=pki.root("Public CA")).parsed
    assert not is_portal_key(leaf)
    monkeypatch.setattr(interceptors, "_portal_keys", lambda: frozenset({key_hash(leaf)}))
    assert is_portal_key(leaf)


def _rows() -> list[dict[str, Any]]:
    content = json.loads((resources.files("scanner") / "data" / "interceptors.json").read_bytes())
    return [row for row in content["issuers"] if "example" in row]


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row["product"])
def test_every_entry_matches_its_example(row: dict[str, Any]) -> None:
    """An issuer as it was seen, or as the product's source makes it, is recognised and decides if it was checked."""
    found = middlebox_of(issued(pki.name_of(row["example"])).parsed)
    assert found is not None
    assert found.decides or not row["decides"]


def test_every_entry_has_a_source() -> None:
    content = json.loads((resources.files("scanner") / "data" / "interceptors.json").read_bytes())
    for row in content["issuers"]:
        assert row["source"] and row["product"] and {"CN", "O", "OU"} & set(row)
        assert row["decides"] is ("not checked" not in row["source"])
    assert all(len(key) == 64 for key in [*content["keys"], *content["portal_keys"]])
