"""Whom a flaw stops: known for some, and for a mixture only where all of it is known."""

from __future__ import annotations

import pytest

from scanner.x509 import malformations
from tests.helpers import pki
from tests.helpers.pki import Issued, sequence, tlv
from tests.trust.test_verifier import CA, verdict_on


def leaf(**changes: object) -> Issued:
    return pki.certificate(changes.pop("subject", "leaf.example"), **{"issuer": CA, **changes})  # type: ignore[arg-type]


ACCESS = sequence(sequence(pki.oid("1.3.6.1.5.5.7.48.2"), tlv(0x86, b"http://ca.example/")))
CASES = {
    "negative serial": (leaf(serial=-5), ["go"]),
    "name that is not ASCII": (leaf(san=["leaf.example", tlv(0x82, "bücher".encode())]), ["go", "chrome"]),
    "address of five bytes": (leaf(san=["leaf.example", tlv(0x87, b"12345")]), ["go", "java", "chrome"]),
    "no subject": (leaf(subject=pki.name(), san=["leaf.example"]), ["java", "chrome"]),
    "UniversalString": (
        leaf(subject=pki.name(O=tlv(0x1C, "x".encode("utf-32-be"))), san=["leaf.example"]),
        ["go"],
    ),
    "critical authorityInfoAccess": (
        leaf(extra=[pki.extension("1.3.6.1.5.5.7.1.1", ACCESS, critical=True)]),
        ["openssl", "go", "java", "chrome"],
    ),
}


@pytest.mark.parametrize("label", CASES)
def test_clients_that_refuse_a_flaw_are_named(label: str) -> None:
    certificate, clients = CASES[label]
    (problem,) = verdict_on(certificate, CA).stores["test"].problems
    assert (problem.code, problem.evidence["refused_by"]) == ("malformed-certificate", clients)


def test_an_empty_subject_is_fine_where_the_names_are_critical() -> None:
    names = pki.subject_alt_name(["leaf.example"], critical=True)
    assert verdict_on(leaf(subject=pki.name(), without=["san"], extra=[names]), CA).trusted


def test_one_unknown_flaw_makes_the_clients_unknown() -> None:
    assert malformations.refused_by([malformations.NEGATIVE_SERIAL, "something else"]) is None
    unread = "the critical nameConstraints cannot be read: "
    assert "java" in (malformations.refused_by([f"{unread}nameConstraints: a length"]) or ())
    assert malformations.refused_by([unread + malformations.EMPTY_CONSTRAINTS]) == ["go", "chrome", "firefox"]
    assert malformations.refused_by([malformations.NEGATIVE_SERIAL, malformations.UNNAMED]) == ["go", "java", "chrome"]
