"""OpenSSL refuses each certificate for its flaw and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from scanner.demo.cases_certificates import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import Pki
from tests.demo.clients import (
    certificates,
    check_refused,
    check_works,
    flight_of,
    handshake,
    leaf_for,
    messages,
    trusting,
    untested,
    using_server_of,
)

VERIFY_CODES = {
    "expired": 10,
    "expired-and-misnamed": 62,
    "not-yet-valid": 9,
    "self-signed": 18,
    "wrong-name": 62,
    "a.b.wildcard": 62,
    "bare": 62,
    "not-configured-here": 62,
    "intermediate-not-sent": 20,
    "intermediate-unobtainable": 20,
    "issuer-unknown": 20,
    "untrusted-root": 19,
    "bad-signature": 7,
    "intermediate-expired": 10,
    "issuer-not-a-ca": 79,
    "path-length-exceeded": 25,
    "name-constraint-violated": 47,
    "wrong-key-usage": 79,  # "invalid CA certificate": OpenSSL requires keyCertSign of a CA
    "not-for-server-auth": 26,
    "unknown-critical-extension": 34,
    "path-not-found-by-all": 20,
    "weak-signature": 68,
    "weak-key": 66,
}


@pytest.mark.parametrize(("name", "code"), VERIFY_CODES.items())
def test_certificates_are_refused_for_their_flaw(name: str, code: int) -> None:
    check_refused(name, code)


def test_a_certificate_that_expires_soon_still_works() -> None:
    check_works("expires-soon", "TLSv1.3")


def test_a_bundle_of_roots_still_works_with_openssl() -> None:
    check_works("too-many-certificates", "TLSv1.3")


def test_a_brainpool_ca_is_known_to_openssl() -> None:
    check_works("unsupported-algorithm", "TLSv1.3")


def test_a_policy_that_is_demanded_is_nothing_to_openssl() -> None:
    check_works("policy-not-satisfied", "TLSv1.3")


def test_common_name_only_is_refused_by_clients_that_ignore_it() -> None:
    @using_server_of("common-name-only")
    async def test(row: FleetRow, pki: Pki) -> None:
        context = trusting(pki)
        assert await handshake(row, context) == "TLSv1.3"
        context.hostname_checks_common_name = False
        assert await handshake(row, context) == "verify 62"


def test_the_malformed_certificate_does_not_parse() -> None:
    @using_server_of("malformed-certificate")
    async def test(row: FleetRow, pki: Pki) -> None:
        flight = messages(await flight_of(row))
        assert [kind for kind, _ in flight] == [2, 11, 12, 14]
        with pytest.raises(ValueError):
            x509.load_der_x509_certificate(certificates(flight)[0])


@pytest.mark.parametrize("name", ["wrong-name", "common-name-only", "expired-and-misnamed"])
def test_another_name_gets_another_certificate(name: str) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await leaf_for(row, row.host) != await leaf_for(row, "unheard-of.invalid")


def test_the_default_certificate_is_sent_for_every_name() -> None:
    @using_server_of("not-configured-here")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await leaf_for(row, row.host) == await leaf_for(row, "unheard-of.invalid") == await leaf_for(row, None)


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
