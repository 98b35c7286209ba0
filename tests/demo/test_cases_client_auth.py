"""How servers that ask for a client certificate treat an OpenSSL client without one."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio

from scanner.demo.cases_client_auth import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import Pki
from tests.demo.clients import connect, trusting, untested, using_server_of

ASKED = b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n"


async def request_page(row: FleetRow, pki: Pki) -> bytes:
    """Return the answer to a request. Raises ``trio.BrokenResourceError`` if the server closes the connection."""
    stream = trio.SSLStream(await connect(row.addresses[0], row.port), trusting(pki), server_hostname=row.host)
    async with stream:
        await stream.send_all(ASKED)
        return bytes(await stream.receive_some())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("client-cert-required", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        ("client-cert-required-tls12", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
    ],
)
def test_clients_without_a_certificate_are_refused(name: str, reason: str) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await request_page(row, pki)
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        assert caught.value.__cause__.reason == reason


@pytest.mark.parametrize(
    ("name", "status"),
    [("client-cert-page", 400), ("client-cert-optional", 200), ("client-cert-optional-tls12", 200)],
)
def test_clients_without_a_certificate_get_an_answer(name: str, status: int) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        assert (await request_page(row, pki)).startswith(f"HTTP/1.1 {status} ".encode())


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
