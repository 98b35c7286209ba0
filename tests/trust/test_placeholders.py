"""Factory and fallback certificates: named when known for certain, hinted at otherwise, and never on a good certificate."""

from __future__ import annotations

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
