"""Servers that share nothing with current clients, and what older clients get from them."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest
import trio
from cryptography import x509

from scanner.demo.cases_negotiation import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import Pki
from tests.demo.clients import (
    certificates,
    check_alert,
    check_works,
    exchange,
    hello_bytes,
    messages,
    old_hello,
    trusting,
    unchecked,
    untested,
    using_server_of,
)

# OpenSSL offers more than browsers; test_every_case shows that the scanner's browser-like hello is refused.
WORKS_WITH_OPENSSL = {
    "retired-suites": "TLSv1.2",
    "no-forward-secrecy": "TLSv1.2",
    "no-shared-group": "TLSv1.3",
    "ed25519": "TLSv1.3",
    "strict-about-alpn": "TLSv1.3",
}

ALERTS = {
    "tls11-only": 70,
    "ssl3-only": 70,
    "version-rejected": 70,
    "version-intolerant": 70,
    "triple-des-only": 40,
    "sha1-signatures": 40,
    "handshake-failure": 40,
    "insufficient-security": 71,
}


@pytest.mark.parametrize(("name", "version"), WORKS_WITH_OPENSSL.items())
def test_servers_work_with_openssl(name: str, version: str) -> None:
    check_works(name, version)


@pytest.mark.parametrize(("name", "description"), ALERTS.items())
def test_hellos_get_an_alert(name: str, description: int) -> None:
    check_alert(name, description)


def test_openssl_refuses_legacy_renegotiation() -> None:
    @using_server_of("legacy-renegotiation")
    async def test(row: FleetRow, pki: Pki) -> None:
        stream = await trio.open_tcp_stream(row.addresses[0], row.port)
        tls = trio.SSLStream(stream, trusting(pki), server_hostname=row.host)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await tls.do_handshake()
        assert "UNSAFE_LEGACY_RENEGOTIATION_DISABLED" in str(caught.value.__cause__)
        await trio.aclose_forcefully(tls)


@pytest.mark.parametrize("name", ["version-intolerant", "version-intolerant-close", "version-intolerant-silent"])
def test_version_intolerant_servers_refuse_only_tls13(name: str) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        context = trusting(pki)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        stream = await trio.open_tcp_stream(row.addresses[0], row.port)
        tls = trio.SSLStream(stream, context, server_hostname=row.host)
        await tls.do_handshake()
        assert tls.version() == "TLSv1.2"
        await trio.aclose_forcefully(tls)


@pytest.mark.parametrize(
    ("name", "version", "suite"),
    [("tls11-only", 0x0302, 0xC009), ("tls10-only", 0x0301, 0xC013), ("ssl3-only", 0x0300, 0x0005),
     ("triple-des-only", 0x0303, 0x000A)],
)  # fmt: skip
def test_old_servers_answer_old_clients(name: str, version: int, suite: int) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        answer = await exchange(row, old_hello(version, suite), seconds=0.3)
        assert answer is not None
        flight = messages(answer)
        assert [kind for kind, _ in flight] == ([2, 11, 12, 14] if suite >= 0xC000 else [2, 11, 14])
        assert answer[1:3] == flight[0][1][:2] == version.to_bytes(2)
        assert flight[0][1][35:37] == suite.to_bytes(2)
        leaf = x509.load_der_x509_certificate(certificates(flight)[0])
        assert row.host in leaf.subject.rfc4514_string()


def test_tls10_servers_answer_newer_hellos_with_their_version() -> None:
    @using_server_of("tls10-only")
    async def test(row: FleetRow, pki: Pki) -> None:
        answer = await exchange(row, old_hello(0x0303, 0xC013), seconds=0.3)
        assert answer is not None
        assert messages(answer)[0][1][:2] == b"\x03\x01"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
@pytest.mark.parametrize(("name", "option"), [("tls11-only", "-tls1_1"), ("tls10-only", "-tls1")])
def test_openssl_accepts_the_signature_of_old_servers(name: str, option: str) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        command = [
            "openssl",
            "s_client",
            option,
            "-cipher",
            "ALL:@SECLEVEL=0",
            "-connect",
            f"{row.addresses[0]}:{row.port}",
        ]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        # The client accepted ServerKeyExchange if it gets our alert (access_denied, which is sent nowhere else).
        assert b"SSL alert number 49" in done.stderr
        assert b"BEGIN CERTIFICATE" in done.stdout


def test_a_version_intolerant_server_closes() -> None:
    @using_server_of("version-intolerant-close")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await exchange(row, hello_bytes(unchecked(), row.host)) == b""


def test_a_version_intolerant_server_does_not_answer() -> None:
    @using_server_of("version-intolerant-silent")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await exchange(row, hello_bytes(unchecked(), row.host), seconds=0.3) is None


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
