"""OpenSSL refuses certificates of interceptors like any untrusted issuer's."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.demo.cases_interception import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import Pki
from scanner.x509.certificate import Certificate
from tests.demo.clients import check_refused, leaf_for, untested, using_server_of

# 19: an untrusted self-signed certificate in the chain; 62: a certificate for another name
VERIFY_CODES = {"inspected": 19, "alpha-bank": 19, "delta-shop": 19, "portal": 62}


@pytest.mark.parametrize(("name", "code"), VERIFY_CODES.items())
def test_certificates_are_refused(name: str, code: int) -> None:
    check_refused(name, code)


@pytest.mark.parametrize("name", ["bravo-mail", "charlie-news"])
def test_certificates_have_the_issuers_key(name: str) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        leaf = Certificate.parse_untrusted(await leaf_for(row, row.host))
        assert leaf.signed_by(leaf) and not leaf.self_issued


def test_one_of_two_addresses_is_intercepted() -> None:
    @using_server_of("one-path-intercepted")
    async def test(row: FleetRow, pki: Pki) -> None:
        public = Certificate.parse_untrusted(await leaf_for(row, row.host, index=0))
        other = Certificate.parse_untrusted(await leaf_for(row, row.host, index=1))
        assert public.issuer != other.issuer and public.dns_names == other.dns_names


def test_every_case_is_tested() -> None:
    assert untested(CASES, Path(__file__).read_text("utf-8")) == []
