"""Healthy servers work with a strictly verifying OpenSSL client."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from scanner.demo.cases_healthy import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import Pki
from tests.demo.clients import check_works, leaf_for, script, trusting, untested, using_server_of

WORKS = {
    "healthy": "TLSv1.3",
    "tls12": "TLSv1.2",
    "tls13": "TLSv1.3",
    "rsa": "TLSv1.3",
    "hello-retry": "TLSv1.3",
    "shop.wildcard": "TLSv1.3",
    "bücher": "TLSv1.3",
    "address": "TLSv1.3",
    "ipv6": "TLSv1.3",
    "sends-intermediate": "TLSv1.3",
    "needs-sni": "TLSv1.3",
}

STARTTLS = {
    "mx": [(b"", b"220 "), (b"EHLO here\r\n", b"250-"), (b"STARTTLS\r\n", b"220 ")],
    "mailbox": [
        (b"", b"* OK "),
        (b"a CAPABILITY\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS"),
        (b"b STARTTLS\r\n", b"b OK"),
    ],
    "database": [(bytes.fromhex("0000000804d2162f"), b"S")],
}


@pytest.mark.parametrize(("name", "version"), WORKS.items())
def test_healthy_servers_work(name: str, version: str) -> None:
    check_works(name, version)


def test_another_name_gets_another_certificate() -> None:
    @using_server_of("healthy")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await leaf_for(row, row.host) != await leaf_for(row, "unheard-of.invalid")
        assert await leaf_for(row, "unheard-of.invalid") == await leaf_for(row, None)


@pytest.mark.parametrize("other", ["unheard-of.invalid", None])
def test_other_names_and_no_name_are_refused_with_an_alert(other: str | None) -> None:
    @using_server_of("needs-sni")
    async def test(row: FleetRow, pki: Pki) -> None:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await leaf_for(row, other)
        assert "unrecognized name" in str(caught.value.__cause__)


@pytest.mark.parametrize("name", STARTTLS)
def test_starttls_works(name: str) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        stream = await script(row, *STARTTLS[name])
        tls = trio.SSLStream(stream, trusting(pki), server_hostname=row.host)
        await tls.do_handshake()
        await trio.aclose_forcefully(tls)


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
