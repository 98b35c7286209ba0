"""Factory and fallback certificates: named when known for certain, hinted at otherwise, and never on a good certificate."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from scanner.trust import placeholders
from scanner.trust.placeholders import catalogue, match
from tests.helpers import pki

CA = pki.root("Ordinary CA")


def _issued(issuer: bytes, subject: bytes, san: list[str]) -> pki.Issued:
    return pki.certificate(subject, issuer_name=issuer, san=san, private=pki.key("x"), signed_by=pki.key("y"))


KNOWN = [
    (
        pki.certificate(
            pki.name(O="Acme Co", CN="Kubernetes Ingress Controller Fake Certificate"), san=["ingress.local"]
        ),
        "ingress-nginx (Kubernetes)",
    ),
    (
        pki.certificate(pki.name(CN="TRAEFIK DEFAULT CERT"), san=[f"{'0a' * 16}.{'1b' * 16}.traefik.default"]),
        "Traefik",
    ),
    (_issued(pki.name(CN="ASA Temporary Self Signed Certificate"), pki.name(CN="fw"), ["fw"]), "Cisco ASA"),
    (
        _issued(
            pki.name(CN="Default Issuer (Do not trust)", OU="ISS", O="Hewlett Packard Enterprise"),
            pki.name(CN="ilo"),
            [],
        ),
        "HPE iLO",
    ),
]
KNOWN += [
    (pki.certificate(pki.name(CN="SSL_Self_Signed_Fallback"), without=["san", "extensions"]), "Microsoft SQL Server"),
    (
        pki.certificate(
            pki.name(C="--", ST="WA", L="Seattle", O="MyCompany", OU="MyOrg", CN="bigip1.example"),
            san=["bigip1.example"],
        ),
        "F5 BIG-IP",
    ),
    (
        pki.certificate(
            pki.name(C="US", ST="WA", L="Seattle", O="MyCompany", OU="IT", CN="localhost.localdomain"), without=["san"]
        ),
        "F5 BIG-IP (default certificate of client SSL profiles)",
    ),
    (
        _issued(pki.name(O="WatchGuard", OU="Fireware", CN="Fireware web CA"), pki.name(CN="192.0.2.1"), []),
        "WatchGuard Firebox",
    ),
    (
        _issued(
            pki.name(O="WatchGuard_Technologies", CN="Fireware SSLVPN (SN 80AA00000000) CA"),
            pki.name(O="WatchGuard_Technologies", OU="Fireware", CN="Fireware SSLVPN Server"),
            [],
        ),
        "WatchGuard Firebox (Mobile VPN with SSL)",
    ),
]
HINTS = [
    (pki.certificate(pki.name(CN="Plesk", O="Parallels IP Holdings"), san=["x"]), "Plesk"),
    (pki.certificate(pki.name(CN="localhost"), san=["localhost"]), "XAMPP / Apache sample"),
    (
        _issued(pki.name(CN="(STAGING) X", O="(STAGING) Let's Encrypt"), pki.name(CN="a"), ["a"]),
        "Let's Encrypt staging",
    ),
]
NOT = [
    pki.certificate("www.example.com", issuer=CA),
    pki.certificate(pki.name(CN="Kubernetes Ingress Controller Fake Certificate"), san=["x.example"]),
    pki.certificate(pki.name(CN="TRAEFIK DEFAULT CERT"), san=["x.example"]),
    pki.certificate(pki.name(CN="PLESK-like", O="Odin"), san=["x"]),
    pki.certificate(pki.name(), san=["x" * 5000]),
    # names that come near those of SQL Server, F5 and WatchGuard
    pki.certificate(pki.name(CN="SSL_Self_Signed_Fallback"), issuer=CA, san=["db.example"]),
    pki.certificate(pki.name(C="US", ST="WA", L="Seattle", O="MyCompany", OU="MyOrg", CN="www"), san=["www.example"]),
    pki.certificate(pki.name(O="MyCompany", OU="IT", CN="localhost.localdomain"), san=["localhost.localdomain"]),
    _issued(pki.name(O="WatchGuard", CN="Our CA"), pki.name(CN="fw"), ["fw.example"]),
]


@pytest.mark.parametrize(("issued", "product"), KNOWN)
def test_placeholder_certificates_are_recognised(issued: pki.Issued, product: str) -> None:
    found = match(issued.parsed)
    assert found is not None and found[0] == product
    assert found[1].decides


@pytest.mark.parametrize(("issued", "product"), HINTS)
def test_unchecked_entries_are_hints(issued: pki.Issued, product: str) -> None:
    found = match(issued.parsed)
    assert found is not None and found[0] == product
    assert not found[1].decides


@pytest.mark.parametrize("issued", NOT)
def test_other_certificates_are_not_recognised(issued: pki.Issued) -> None:
    assert match(issued.parsed) is None


def _examples() -> list[dict[str, Any]]:
    rows = json.loads((resources.files("scanner") / "data" / "placeholders.json").read_bytes())["entries"]
    return [row for row in rows if isinstance(row.get("example"), dict) and "subject" in row["example"]]


@pytest.mark.parametrize("row", _examples(), ids=lambda row: row["product"])
def test_every_entry_matches_its_example(row: dict[str, Any]) -> None:
    """A certificate as it was seen, or as the product's source makes it, is recognised and decides if it was checked."""
    example = row["example"]
    subject = pki.name_of(example["subject"])
    if example.get("self_signed") or "issuer" not in example:
        issued = pki.certificate(subject, san=example.get("san", ()))
    else:
        issued = _issued(pki.name_of(example["issuer"]), subject, list(example.get("san", ())))
    found = match(issued.parsed)
    assert found is not None
    checked = row["kind"] in ("placeholder", "device default") and "not checked" not in row["source"]
    assert found[1].decides or not checked


def test_unchecked_entries_never_decide() -> None:
    assert catalogue()
    for entry in catalogue():
        assert entry.conditions
        if entry.decides:
            assert "not checked" not in entry.source
            assert entry.kind in ("placeholder", "device default")


@pytest.mark.parametrize("issued", [*(issued for issued, _ in KNOWN + HINTS), *NOT])
def test_the_screens_change_no_match(monkeypatch: pytest.MonkeyPatch, issued: pki.Issued) -> None:
    """A certificate that no screen matches matches no entry."""
    found = match(issued.parsed)
    everywhere = {place for entry in catalogue() for place in entry.places}
    monkeypatch.setattr(placeholders, "_places", lambda where, _: {place for place in everywhere if place[0] == where})
    monkeypatch.setattr(placeholders, "_places_of_issuer", lambda _: everywhere)
    assert match(issued.parsed) == found


def test_the_screens_match_whatever_a_condition_matches() -> None:
    for entry in catalogue():
        for where, attribute, pattern in entry.conditions:
            assert f"(?:{pattern.pattern})" in placeholders._screens()[where, attribute].pattern
            assert not pattern.groupindex and pattern.flags == placeholders._screens()[where, attribute].flags
