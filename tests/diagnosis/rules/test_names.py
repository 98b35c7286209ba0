"""Cases of the cause ``hostname-mismatch``."""

from __future__ import annotations

import pytest

from scanner.model.evidence import Probe
from tests.helpers import pki
from tests.helpers.evidence import alerted, answered, at, codes, diagnosed, evidence, issuing, proof, target, verifier

UNKNOWN = "tlsweep-asks-for-no-such-name.invalid"


def serving(*names: str, subject: str = "whatever", without: tuple[str, ...] = ()) -> Probe:
    certificate = pki.certificate(subject, issuer=issuing(), san=None if without else list(names), without=without)
    return answered((certificate, issuing()))


def test_other_names_are_listed_by_nearness() -> None:
    """The nearest names show a typing error or another service."""
    diagnosis = diagnosed(serving("wwww.example.org", "mail.example.net"))
    assert codes(diagnosis) == ["name-not-in-san"]
    assert diagnosis.cause == "hostname-mismatch"
    facts = proof(diagnosis, "name-not-in-san")
    assert (facts["nearest"][0], facts["names"]) == ("wwww.example.org", 2)
    assert diagnosis.clients["go"].endswith("is valid for wwww.example.org, mail.example.net, not www.example.org")


def test_certificate_shown_for_any_name_is_the_default() -> None:
    """Asked for a name that cannot exist, the server shows the same certificate: its default one."""
    first = serving("default.example.org")
    assert first.flight is not None
    again = answered(first.flight.certificates, sni=UNKNOWN)
    diagnosis = diagnosed(evidence(at(first, default_certificate=again)))
    assert codes(diagnosis) == ["name-not-in-san", "default-certificate"]


@pytest.mark.parametrize(
    ("subject", "product"),
    [
        (pki.name(CN="SSL_Self_Signed_Fallback"), "Microsoft SQL Server"),
        (pki.name(CN="TRAEFIK DEFAULT CERT"), "Traefik"),
        (pki.name(C="--", ST="WA", L="Seattle", O="MyCompany", OU="MyOrg", CN="lb1"), "F5 BIG-IP"),
        (pki.name(CN="somebody"), None),
    ],
)
def test_a_placeholder_that_a_store_has_is_named_where_the_name_does_not_match(
    subject: bytes, product: str | None
) -> None:
    names = [f"{'0a' * 16}.{'1b' * 16}.traefik.default"] if product == "Traefik" else ["other.example"]
    certificate = pki.certificate(subject, san=names)
    diagnosis = diagnosed(evidence(answered((certificate,))), verifier(certificate))
    expected = ["name-not-in-san"] if product is None else ["placeholder-certificate", "name-not-in-san"]
    assert codes(diagnosis) == expected
    if product is not None:
        assert proof(diagnosis, "placeholder-certificate")["product"] == product


def test_another_certificate_for_any_name_is_no_default() -> None:
    """It has chosen this certificate for this name: a wrong certificate, not a missing configuration."""
    seen = at(serving("other.example.org"), default_certificate=serving("default.example.org"))
    assert codes(diagnosed(evidence(seen))) == ["name-not-in-san"]
    refused = at(serving("other.example.org"), default_certificate=alerted(112, sni=UNKNOWN))
    assert codes(diagnosed(evidence(refused))) == ["name-not-in-san"]


def test_wildcard_matches_one_label_only() -> None:
    """One label more than the asterisk covers, and the bare domain, which it does not cover either."""
    deep = diagnosed(evidence(serving("*.example.org"), of=target("a.b.example.org")))
    assert codes(deep) == ["wildcard-depth"]
    assert proof(deep, "wildcard-depth")["wildcard"] == "*.example.org"
    bare = diagnosed(evidence(serving("*.example.org", "*.other.net"), of=target("example.org")))
    assert codes(bare) == ["wildcard-depth"]
    assert "*.example.org" in bare.diagnoses[0]["summary"]


def test_name_in_the_common_name_alone_has_its_code() -> None:
    """OpenSSL, curl, Python, Java and GnuTLS still look at it; browsers and Go do not."""
    diagnosis = diagnosed(serving(subject="www.example.org", without=("san",)))
    assert codes(diagnosis) == ["common-name-only"]
    refusing = {client for client, text in diagnosis.clients.items() if text != "ok"}
    assert refusing == {"go", "chrome", "firefox"}


def test_address_is_compared_with_addresses() -> None:
    """An IP literal must stand in an iPAddress entry; each client has its own words for that."""
    diagnosis = diagnosed(evidence(serving("www.example.org"), of=target("192.0.2.1")))
    assert codes(diagnosis) == ["name-not-in-san"]
    assert diagnosis.clients["openssl"] == "verify error:num=64:IP address mismatch"
    assert "-noservername" in diagnosis.diagnoses[0]["confirm"]
    assert codes(diagnosed(evidence(serving("IP:192.0.2.1"), of=target("192.0.2.1")))) == []
